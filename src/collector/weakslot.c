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
    u8_store_relaxed(&heap->marking->keeps_weak, 1);
    weakslots_take(heap);
    marker_each_weak(weakslots_of(heap)->taken, keep, &m->tracer);
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

static void clear_slot(const gc_heap *heap, slot_word *slot, word dead)
{
    word value = slot_load_acquire(slot);
    if (!is_dead(heap, value))
        return;
    stress(STRESS_WEAK_SLOT);
    replace(slot, value, dead);
}

/* I48: no thread writes to a pair whose key is dead, until the key is replaced. */
static void clear_pair(const gc_heap *heap, slot_word *key, word dead)
{
    if (is_dead(heap, slot_load_acquire(key)))
        __atomic_store_n(key + 1, 0, __ATOMIC_RELAXED);
    clear_slot(heap, key, dead);
}

static void clear(void *heap, const struct weak_slots *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->pairs)
            clear_pair(heap, weakslot_at(s, i), s->dead);
        else
            clear_slot(heap, weakslot_at(s, i), s->dead);
    }
    weakslots_of(heap)->found += s->n;
}

static void part(void *heap, const struct weak_slots *s)
{
    for (size_t i = 0; !s->pairs && i < s->n; i++)
        clear_slot(heap, weakslot_at(s, i), s->dead);
}

void weakslots_part(gc_heap *heap)
{
    marker_each_weak(weakslots_of(heap)->taken, part, heap);
    weakslots_each_new(heap, part, heap);
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
    weakslots_take(heap);
    all->found = 0;
    marker_each_weak(all->taken, clear, heap);
    word_store_relaxed(&all->before, all->found);
    give_back(heap, all->taken);
    all->taken = NULL;
}
