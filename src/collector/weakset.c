#include "collector/weakset.h"
#include "base/os.h"

static struct weaksets *weaksets_of(const gc_heap *heap)
{
    return heap->weaksets;
}

void weaksets_init(gc_heap *heap)
{
    lock_init(&weaksets_of(heap)->lock, LOCK_WEAK);
}

/* ---- Memory that is read without a lock ---- */

static void free_discarded(struct discarded *memory)
{
    while (memory) {
        struct discarded *next = memory->next;
        os_aligned_free(memory);
        memory = next;
    }
}

void weaksets_discard(gc_heap *heap, struct discarded *memory)
{
    struct discarded **list = &weaksets_of(heap)->discarded;
    memory->next = ptr_load_relaxed(list);
    while (!ptr_cas_release(list, &memory->next, memory))
        ;
}

/* I29: what was discarded until now is not found by any thread that answers DISARM. */
static void doom_discarded(struct weaksets *all)
{
    ASSERT(!all->doomed && "I29");
    all->doomed = ptr_exchange_acquire(&all->discarded, NULL);
}

void weaksets_flipped(gc_heap *heap)
{
    struct weaksets *all = weaksets_of(heap);
    free_discarded(all->doomed);
    all->doomed = NULL;
}

/* ---- Sets ---- */

struct weakset *weakset_new(gc_heap *heap, size_t size, const struct weakset_kind *kind)
{
    struct weakset *set = os_aligned_alloc(CACHE_PAD, size);
    if (!set)
        return NULL;
    memset(set, 0, size);
    set->heap = heap;
    set->kind = kind;
    return set;
}

void weakset_publish(struct weakset *set)
{
    struct weaksets *all = weaksets_of(set->heap);
    lock_acquire(&all->lock);
    set->next = all->first;
    if (set->next)
        set->next->prev = set;
    all->first = set;
    lock_release(&all->lock);
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
    set->kind->destroy(set);
    os_aligned_free(set);
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
    free_discarded(all->discarded);
    free_discarded(all->doomed);
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

bool weaksets_are_small(gc_heap *heap, size_t few)
{
    struct weaksets *all = weaksets_of(heap);
    size_t n = 0;
    lock_acquire(&all->lock);
    for (const struct weakset *set = all->first; set && n <= few; set = set->next)
        n += 1 + set->kind->count(set);
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

static void mark_set(struct weakset *set, void *marker)
{
    set->kind->mark(set, marker);
}

void weaksets_mark(gc_heap *heap, struct marker *m)
{
    weaksets_walk(heap, mark_set, m);
}

bool weaksets_key_lives(const gc_heap *heap, uintptr_t key)
{
    struct target target;
    return !target_resolve(&heap->mem, key, &target) || target_is_marked(&target);
}

static void clear_set(struct weakset *set, void *unused)
{
    (void)unused;
    set->kind->clear(set);
}

void weaksets_clear(gc_heap *heap)
{
    weaksets_walk(heap, clear_set, NULL);
    doom_discarded(weaksets_of(heap));
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
