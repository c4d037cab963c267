/* The pacer of a heap: what it goes by, and what it says to those who allocate. The arithmetic is
 * the pacer's (pacer.h). */
#ifndef GC_PACING_H
#define GC_PACING_H

#include "collector/pacer.h"
#include "mutator/heap.h"

/* Unless marked, words are atomic. */
struct pacing {
    struct lock lock;                /* LOCK_STATS */
    struct pacer pacer;              /* under lock */
    word goal, trigger, live, limit; /* the pacer's, for those without the lock */
    word external_bytes;             /* told by gc_external_add */
    word external_live;              /* of them what counts towards the goal */
    word live_offset; /* the live heap is this much more than all that was ever allocated, modulo
                         word size */
    word heap_before; /* the live heap when the cycle began */
    word allocated_before; /* and what had ever been allocated; the driver's, not atomic */
    word sweep_basis;      /* the live heap when sweeping began */
    word sweep_pages;      /* pages of spans to sweep then */
};

void pacing_init(gc_heap *heap);

/* What counts towards the goal: what the last cycle left, and what was allocated since. Not less as
 * sweeping goes on, which may be late. */
uint64_t pacing_heap_live(const gc_heap *heap);
/* The heap, with `more` bytes, is large enough for a cycle to start. */
bool pacing_is_due(const gc_heap *heap, size_t more);
/* It is more than a tenth beyond its goal. */
bool pacing_is_far_beyond(const gc_heap *heap, size_t more);
/* Bytes of marking that `bytes` allocated bytes owe when so many are marked. */
uint64_t pacing_marking_due(const gc_heap *heap, uint64_t bytes, uint64_t marked);
/* Pages that should be swept by this time. */
uint64_t pacing_sweeping_due(const gc_heap *heap);

/* So many external bytes more, or fewer: of all, and of those that count towards the goal. */
void pacing_add_external(gc_heap *heap, ptrdiff_t all, ptrdiff_t live);

/* The cycle's driver: a cycle begins; it has ended and marked so many bytes, and sweeping begins.
 */
void pacing_cycle_begins(gc_heap *heap);
void pacing_cycle_ended(gc_heap *heap, uint64_t marked);

/* New settings, in force at once. Return the previous ones. */
int pacing_set_percent(gc_heap *heap, int percent);
uint64_t pacing_set_limit(gc_heap *heap, uint64_t limit);
/* What gc_stats says of the pacer. */
void pacing_report(gc_heap *heap, struct gc_statistics *s);

#endif
