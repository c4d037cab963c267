#include "collector/weakslot.h"

static struct weakslots *weakslots_of(const gc_heap *heap)
{
    return heap->weakslots;
}

bool weakslots_are_few(gc_heap *heap, size_t few)
{
    return word_load_relaxed(&weakslots_of(heap)->before) <= few;
}

void weakslots_each_new(gc_heap *heap, void (*fn)(void *arg, const struct weak_slots *s), void *arg)
{
    marker_each_weak(ptr_load_acquire(&heap->marking->weak), fn, arg);
}

void weakslots_each_taken(gc_heap *heap, void (*fn)(void *arg, const struct weak_slots *s),
                          void *arg)
{
    marker_each_weak(weakslots_of(heap)->taken, fn, arg);
}

void weakslots_take(gc_heap *heap)
{
    struct weakslots *all = weakslots_of(heap);
    struct workbuf *b = ptr_exchange_acquire(&heap->marking->weak, NULL), *next;
    for (; b; b = next) {
        next = b->next;
        b->next = all->taken;
        all->taken = b;
    }
}

static void keep(void *tracer, const struct weak_slots *s)
{
    marker_keep_weak(tracer, s);
}

bool weakslots_any_new(const gc_heap *heap)
{
    return ptr_load_relaxed(&heap->marking->weak) != NULL;
}

void weakslots_keep(gc_heap *heap, struct marker *m)
{
    ptr_store_relaxed(&heap->marking->on_weak, marker_keep_weak);
    weakslots_take(heap);
    weakslots_each_taken(heap, keep, &m->tracer);
}

/* ---- The dead ---- */

static bool is_dead(const gc_heap *heap, word value)
{
    uintptr_t address = value_address(&heap->options.format, value);
    struct target target;
    return address && target_resolve(&heap->mem, address, &target) && !target_is_marked(&target);
}

/* A thread may store another value at the same time. It cannot store the same one, which is
 * dead. */
static void replace(slot_word *slot, word value, word by)
{
    __atomic_compare_exchange_n(slot, &value, by, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* I48: no thread writes to a pair whose key is dead, until the key is replaced. */
static void clear(void *heap, const struct weak_slots *s)
{
    for (size_t i = 0; i < s->n; i++) {
        slot_word *slot = weak_slot(s, i);
        word value = slot_load_acquire(slot);
        if (!is_dead(heap, value))
            continue;
        if (s->pairs)
            __atomic_store_n(slot + 1, 0, __ATOMIC_RELAXED);
        stress(STRESS_WEAK_SLOT);
        replace(slot, value, s->dead);
    }
}

static void part(void *heap, const struct weak_slots *s)
{
    if (!s->pairs)
        clear(heap, s);
}

void weakslots_part(gc_heap *heap)
{
    weakslots_each_taken(heap, part, heap);
    weakslots_each_new(heap, part, heap);
}

static void count_slots(void *sum, const struct weak_slots *s)
{
    *(size_t *)sum += s->n;
}

static void give_back(gc_heap *heap, struct workbuf *b)
{
    while (b) {
        struct workbuf *next = b->next;
        workbuf_put_empty(&heap->work, b);
        b = next;
    }
}

void weakslots_clear(gc_heap *heap)
{
    struct weakslots *all = weakslots_of(heap);
    size_t found = 0;
    weakslots_take(heap);
    weakslots_each_taken(heap, clear, heap);
    weakslots_each_taken(heap, count_slots, &found);
    word_store_relaxed(&all->before, found);
    give_back(heap, all->taken);
    all->taken = NULL;
}
