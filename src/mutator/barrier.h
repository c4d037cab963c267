/* Shading: an object becomes grey by an atomic or on its mark bit, and the thread that set the bit
 * queues the object (eager marking, I4). Here are the write barrier, and what roots and markers
 * share with it. */
#ifndef GC_BARRIER_H
#define GC_BARRIER_H

#include "mutator/mutators.h"

/* The address to which a slot's word refers, in the heap's value format. arena_of tells whether it
 * lies in the heap. */
INLINE uintptr_t value_address(const gc_value_format *format, word value)
{
    if (LIKELY(format->mask == 0))
        return value;
    if ((value & format->mask) == format->match)
        return (uintptr_t)(value & format->payload);
    return value & (sizeof(uint64_t) - 1) ? 0 : value;
}

/* Large objects are scanned in pieces. They consist of strands, which several markers can scan. The
 * pieces of a strand are scanned in order: each one queues the next. */
#define MARK_PIECE ((size_t)4 << 10)
#define MARK_STRAND (32 * MARK_PIECE)

/* The object to which an address leads. */
struct target {
    uintptr_t base;
    struct arena *arena; /* of base */
    uint16_t tag;        /* of the page on which the address lies */
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

/* For large objects, whose spans are not cut into cells. */
bool target_resolve_large(const struct mheap *h, uintptr_t address, struct target *t);

/* Resolves a reference to the start of its object. Reads only the page tables. false: the address
 * is not in the heap. */
INLINE bool target_resolve(const struct mheap *h, uintptr_t address, struct target *t)
{
    struct arena *a = arena_of(&h->arenas, address);
    if (UNLIKELY(!a))
        return false;
    t->tag = arena_tag(a, address);
    if (UNLIKELY(target_info(t)->size == 0))
        return target_resolve_large(h, address, t);
    t->base = arena_cell_start(address, t->tag);
    t->arena = a;
    return true;
}

INLINE bool target_is_marked(const struct target *t)
{
    return bits_test(t->arena->mark, arena_bit(t->base));
}

/* Whether an address leads to an object that is marked. */
INLINE bool target_marked_at(const struct mheap *h, uintptr_t address)
{
    struct target t;
    return target_resolve(h, address, &t) && target_is_marked(&t);
}

/* Sets the mark bit. Returns true to the one caller that has changed it. The test before the or
 * pays, as many edges lead to marked objects. Release, for weak_get. */
INLINE bool target_set_bit(const struct target *t)
{
    size_t bit = arena_bit(t->base);
    word *map = &t->arena->mark[bit / WORD_BITS], mask = (word)1 << bit % WORD_BITS;
    return !(word_load_relaxed(map) & mask) && !(word_fetch_or_release(map, mask) & mask);
}

INLINE bool target_mark(const struct target *t)
{
    bool yes = target_set_bit(t);
    if (yes)
        arena_note_mark(t->arena, t->base);
    return yes;
}

/* Shades the object to which an address leads, on behalf of thread t, whose grey buffer gets it. */
void barrier_shade(gc_thread *t, uintptr_t address);
/* Queues an object for scanning without marking it. */
void barrier_scan(gc_thread *t, uintptr_t object);
/* Whether a word of a C stack is the address of a cell whose alloc bit is set. If the cell is
 * unmarked besides, and ROOTS is complete, it holds an object (I15). */
bool barrier_may_be_object(const struct mheap *h, uintptr_t address);
/* Collect such words in a buffer, which may be NULL and passes to the callee; then shade them on
 * behalf of thread t, or put them off until ROOTS is complete. */
struct workbuf *barrier_note_ambiguous(gc_thread *t, struct workbuf *b, uintptr_t address);
void barrier_shade_ambiguous(gc_thread *t, struct workbuf *b);
/* What gc_barrier_store does when `value` overwrites `old`. */
void barrier_write(gc_thread *t, word old, word value);
/* Gives the thread's grey buffer to the shared queue. true: there was anything in it. */
bool barrier_hand_over(gc_thread *t);

#endif
