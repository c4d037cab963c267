/* Shading: a reference becomes grey by an atomic or on its mark bit, and whoever set the bit queues
 * the object (eager marking, I4). The write barrier, and what roots and markers share of it. */
#ifndef GC_BARRIER_H
#define GC_BARRIER_H

#include "mutator/heap.h"

/* The address that a slot's word refers to, in the heap's value format; whether it lies in the heap
 * is for arena_of to say. */
INLINE uintptr_t value_address(const gc_value_format *format, word value)
{
    if (LIKELY(format->mask == 0))
        return value;
    if ((value & format->mask) == format->match)
        return (uintptr_t)(value & format->payload);
    return value & (sizeof(uint64_t) - 1) ? 0 : value;
}

/* An object that an address leads to. */
struct target {
    uintptr_t base;
    struct arena *arena; /* of base */
    uint16_t tag;        /* of the page that the address lies on */
};

INLINE const struct page_class_info *target_info(const struct target *t)
{
    return &page_class_info[page_tag_class(t->tag)];
}

INLINE size_t target_bytes(const struct target *t)
{
    const struct page_class_info *info = target_info(t);
    return info->large ? span_bytes(t->arena->spans[arena_page(t->base)]) : info->size;
}

/* Large objects, which have no slots to count. */
bool target_resolve_large(const struct mheap *h, uintptr_t address, struct target *t);

/* Resolves a reference to the start of its object, reading page tables only. false: not ours. */
INLINE bool target_resolve(const struct mheap *h, uintptr_t address, struct target *t)
{
    struct arena *a = arena_of(&h->arenas, address);
    if (UNLIKELY(!a))
        return false;
    t->tag = arena_tag(a, address);
    if (UNLIKELY(target_info(t)->size == 0))
        return target_resolve_large(h, address, t);
    t->base = arena_slot_start(address, t->tag);
    t->arena = a;
    return true;
}

INLINE bool target_is_marked(const struct target *t)
{
    return bits_test(t->arena->mark, arena_bit(t->base));
}

/* Sets the mark bit; true for the one caller that changed it. Test before or: many edges lead to
 * marked objects. Acquire-release, for weak_get. */
INLINE bool target_set_bit(const struct target *t)
{
    size_t bit = arena_bit(t->base);
    word *map = &t->arena->mark[bit / WORD_BITS], mask = (word)1 << bit % WORD_BITS;
    return !(word_load_relaxed(map) & mask) && !(word_fetch_or_acq_rel(map, mask) & mask);
}

INLINE bool target_mark(const struct target *t)
{
    bool yes = target_set_bit(t);
    if (yes)
        arena_note_mark(t->arena, t->base);
    return yes;
}

/* Shades what an address leads to, on behalf of thread t: its grey buffer gets it. */
void barrier_shade(gc_thread *t, uintptr_t address);
/* Queues an object that is not marked to be scanned. */
void barrier_scan(gc_thread *t, uintptr_t object);
/* Whether a word of a C stack is the address of a slot whose alloc bit is set. If it is not marked
 * either, and ROOTS is complete, it is an object (I15). */
bool barrier_may_be_object(const struct mheap *h, uintptr_t address);
/* Collects such words in a buffer, which may be NULL and is not the caller's any more; then shades
 * them on behalf of thread t, or puts them off until ROOTS is complete. */
struct workbuf *barrier_note_doubtful(gc_thread *t, struct workbuf *b, uintptr_t address);
void barrier_shade_doubtful(gc_thread *t, struct workbuf *b);
/* gc_barrier_store's work: `old` is overwritten by `value`. */
void barrier_write(gc_thread *t, word old, word value);
/* Gives the thread's grey buffer to the shared queue; true if there was anything in it. */
bool barrier_hand_over(gc_thread *t);

#endif
