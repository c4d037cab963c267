/* Spans: adjacent pages that are cut into equal cells, or hold one large object (Go: mspan).
 *
 * State (one setter, span_set_state): DEAD -> IN_USE -> DEAD. Page tables are written while DEAD.
 *
 * Sweep generations, as in Go, where sg is the generation as the observer sees it (I12):
 *   sg - 2  needs sweeping                  sg - 1  is being swept
 *   sg      swept, in a set of its mcentral sg + 3  swept, cached by a P
 *   sg + 1  was cached when sg began and must be given up (the old view's sg + 3)
 * A thread that moves sweepgen by CAS owns the span: sg-2 -> sg-1 to sweep, sg -> sg+3 to cache.
 */
#ifndef GC_SPAN_H
#define GC_SPAN_H

#include "memory/arena.h"
#include "base/lock.h"
#include "base/stress.h"

struct gc_type;
struct special_table;
struct mcache;

enum span_state { SPAN_DEAD, SPAN_IN_USE };

struct gc_span {
    uintptr_t base;
    size_t npages;
    uint32_t size; /* of a cell; 0: large */
    uint32_t ncells;
    uint32_t words;     /* of a cell */
    uint32_t next_cell; /* owner's; no cell below it is free */
    uint8_t spanclass;
    uint8_t state;    /* enum span_state; atomic */
    uint8_t needzero; /* owner's; free cells may be dirty */
    uint8_t unused;
    uint32_t open_runs;   /* owner's; how many runs of a P end in it */
    struct mcache *cache; /* caches it and its runs; NULL: none. Owner writes; atomic */
    uint32_t sweepgen;    /* atomic; see above */
    uint32_t live;        /* cells taken at the last sweep and by runs since; owner writes */
    struct arena *arena;  /* of its first page */
    uintptr_t scan_limit; /* large: end of its last reference word */
    const struct gc_type *large_type;    /* large: element or object type, if it has one */
    const struct gc_type *large_element; /* large: type of elements with tagged words; NULL: none */
    uint32_t counted; /* of `live`, those that are in its mcentral's counts; owner writes */
    struct lock specials_lock;
    struct special_table *specials; /* under specials_lock; see special.h */
};

_Static_assert(SPANCLASS_COUNT - 1 <= UINT8_MAX, "gc_span.spanclass");

INLINE bool span_is_large(const struct gc_span *s)
{
    return spanclass_size(s->spanclass) == 0;
}
INLINE bool span_noscan(const struct gc_span *s)
{
    return spanclass_noscan(s->spanclass);
}
INLINE uintptr_t span_end(const struct gc_span *s)
{
    return s->base + (s->npages << PAGE_SHIFT);
}
INLINE size_t span_bytes(const struct gc_span *s)
{
    return s->npages << PAGE_SHIFT;
}
/* The bytes of one cell. */
INLINE size_t span_object_bytes(const struct gc_span *s)
{
    return span_is_large(s) ? span_bytes(s) : s->size;
}
INLINE uintptr_t span_cell(const struct gc_span *s, size_t i)
{
    return s->base + i * s->size;
}

/* Sets the fields of a dead span. */
void span_init(struct gc_span *s, struct arena *a, uintptr_t base, size_t npages,
               unsigned spanclass);
/* Publishes the span in its arenas' tables and makes it IN_USE; retract does the reverse. */
void span_publish(struct gc_span *s, const struct arena_index *index);
void span_retract(struct gc_span *s, const struct arena_index *index);

/* For small spans: finds the first free cells at or after s->next_cell that lie together and begin
 * on one page. Sets *first and returns how many they are; 0: there are none. Owner only. */
size_t span_next_free(struct gc_span *s, size_t *first);

/* Sets or clears the alloc bits of cells [first, first + n). Owner only. */
void span_set_alloc(struct gc_span *s, size_t first, size_t n);
void span_clear_alloc(struct gc_span *s, size_t first, size_t n);
/* Sets or clears the mark bits of the same cells, atomically: for cells that are handed out black,
 * and for those of them that are given back. Setting returns whether none was set before. */
bool span_set_marks(struct gc_span *s, size_t first, size_t n);
void span_clear_marks(struct gc_span *s, size_t first, size_t n);
/* Notes that the span holds a marked object; tells whether it does; forgets it. */
void span_note_mark(struct gc_span *s);
bool span_has_marks(const struct gc_span *s);
void span_clear_page_marks(struct gc_span *s);

/* alloc := alloc & mark, mark := 0 over the whole span. Returns how many cells are taken. Sweeper
 * only. */
size_t span_flip_bits(struct gc_span *s);
/* Clears the alloc bits of a span whose mark bits are all 0. Sweeper only. */
void span_clear_bits(struct gc_span *s);

#endif
