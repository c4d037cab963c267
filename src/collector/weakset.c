#include "collector/weakset.h"

static struct weaksets *weaksets_of(const gc_heap *heap)
{
    return heap->weaksets;
}

void weaksets_init(gc_heap *heap)
{
    lock_init(&weaksets_of(heap)->lock, LOCK_WEAK);
}

struct weakset *weakset_new(gc_heap *heap, size_t size, unsigned ntables, bool ephemerons)
{
    struct weaksets *all = weaksets_of(heap);
    size_t head = align_up(size, CACHE_PAD), whole = head + ntables * sizeof(struct weaktable);
    struct weakset *set = aligned_alloc(CACHE_PAD, whole);
    if (!set)
        return NULL;
    memset(set, 0, whole);
    set->heap = heap;
    set->ephemerons = ephemerons;
    set->ntables = ntables;
    set->tables = (struct weaktable *)(void *)((char *)set + head);
    for (unsigned i = 0; i < ntables; i++)
        weaktable_init(&set->tables[i]);
    lock_acquire(&all->lock);
    set->next = all->first;
    if (set->next)
        set->next->prev = set;
    all->first = set;
    lock_release(&all->lock);
    return set;
}

static void unlink_locked(struct weaksets *all, struct weakset *set)
{
    LOCK_ASSERT_HELD(&all->lock);
    if (set->prev)
        set->prev->next = set->next;
    else
        all->first = set->next;
    if (set->next)
        set->next->prev = set->prev;
}

static void destroy(struct weakset *set)
{
    for (unsigned i = 0; i < set->ntables; i++)
        weaktable_destroy(&set->tables[i]);
    free(set);
}

void weakset_free(struct weakset *set)
{
    struct weaksets *all = weaksets_of(set->heap);
    lock_acquire(&all->lock);
    bool walking = all->walking;
    if (walking) {
        set->next_retired = all->retired;
        all->retired = set;
    } else {
        unlink_locked(all, set);
    }
    lock_release(&all->lock);
    if (!walking)
        destroy(set);
}

void weaksets_destroy(gc_heap *heap)
{
    struct weaksets *all = weaksets_of(heap);
    while (all->first) {
        struct weakset *set = all->first;
        all->first = set->next;
        destroy(set);
    }
}

/* ---- Walks ---- */

static struct weakset *begin_walk(struct weaksets *all)
{
    lock_acquire(&all->lock);
    all->walking = true;
    struct weakset *first = all->first;
    lock_release(&all->lock);
    return first;
}

static struct weakset *take_retired_locked(struct weaksets *all)
{
    struct weakset *retired = all->retired;
    LOCK_ASSERT_HELD(&all->lock);
    for (struct weakset *set = retired; set; set = set->next_retired)
        unlink_locked(all, set);
    all->retired = NULL;
    return retired;
}

static void end_walk(struct weaksets *all)
{
    lock_acquire(&all->lock);
    all->walking = false;
    struct weakset *retired = take_retired_locked(all), *next;
    lock_release(&all->lock);
    for (; retired; retired = next) {
        next = retired->next_retired;
        destroy(retired);
    }
}

static size_t count_nodes(const struct weakset *set)
{
    size_t n = 0;
    for (unsigned i = 0; i < set->ntables; i++)
        n += word_load_relaxed(&set->tables[i].count);
    return n;
}

bool weaksets_are_small(gc_heap *heap, size_t few)
{
    struct weaksets *all = weaksets_of(heap);
    size_t n = 0;
    lock_acquire(&all->lock);
    for (const struct weakset *set = all->first; set && n <= few; set = set->next)
        n += 1 + count_nodes(set);
    lock_release(&all->lock);
    return n <= few;
}

void weaksets_walk(gc_heap *heap, void (*fn)(struct weakset *set, void *arg), void *arg)
{
    struct weaksets *all = weaksets_of(heap);
    for (struct weakset *set = begin_walk(all); set; set = set->next)
        fn(set, arg);
    end_walk(all);
}

static bool mark_key(void *m, const struct weaknode *node)
{
    marker_edge(m, node->key);
    return true;
}

static bool mark_entry(void *arg, const struct weaknode *node)
{
    struct marker *m = arg;
    uintptr_t value = value_address(&m->heap->options.format, weakentry_of(node)->value);
    marker_edge(m, node->key);
    if (value)
        marker_edge(m, value);
    return true;
}

static void mark_set(struct weakset *set, void *marker)
{
    for (unsigned i = 0; i < set->ntables; i++) {
        uintptr_t at = 0;
        while (
            weaktable_walk(&set->tables[i], &at, set->ephemerons ? mark_entry : mark_key, marker))
            ;
    }
}

void weaksets_mark(gc_heap *heap, struct marker *m)
{
    weaksets_walk(heap, mark_set, m);
}

/* A key outside the heap lives for ever. */
static bool key_lives(void *heap, const struct weaknode *node)
{
    struct target target;
    return !target_resolve(&((const gc_heap *)heap)->mem, node->key, &target) ||
           target_is_marked(&target);
}

static void clear_set(struct weakset *set, void *heap)
{
    for (unsigned i = 0; i < set->ntables; i++) {
        struct weaktable *t = &set->tables[i];
        uintptr_t at = 0;
        while (weaktable_walk(t, &at, key_lives, heap))
            ;
        while (weaktable_settle(t))
            ;
    }
}

void weaksets_clear(gc_heap *heap)
{
    weaksets_walk(heap, clear_set, heap);
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->weaksets->lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->weaksets->lock);
}

const struct fork_part weakset_fork = {WEAKSET_FORK_RANKS, .seize = seize, .release = release};
