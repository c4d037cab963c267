/* The pacer of a heap: the numbers from which it is calculated, and its results for threads that
 * allocate. The arithmetic is in pacer.h. */
#ifndef GC_PACING_H
#define GC_PACING_H

#include "collector/pacer.h"
#include "mutator/heap.h"

/* Unless marked, numbers are atomic. */
struct pacing {
    struct lock lock;               /* LOCK_PACING */
    struct pacer pacer;             /* under lock */
    u64 goal, trigger, live, limit; /* the pacer's, for threads without the lock */
    uint8_t limited;                /* likewise */
    u64 external_live;              /* external bytes that count towards the goal */
    u64 live_offset;      /* the live heap, less all that was ever allocated, modulo 2^64 */
    u64 heap_before;      /* the live heap when the cycle began */
    u64 allocated_before; /* all that was allocated until then; the driver's, not atomic */
    u64 sweep_basis;      /* the live heap when sweeping began */
    u64 sweep_pages;      /* pages of spans that were to be swept then */
};

void pacing_init(gc_heap *heap);

/* What counts towards the goal: what the last cycle left, and what was allocated since. Sweeping
 * does not lower it, as it may be late. */
uint64_t pacing_heap_live(const gc_heap *heap);
/* Whether the heap, with `more` bytes, is large enough for a cycle to start. */
bool pacing_is_due(const gc_heap *heap, size_t more);
/* Which of the two a cycle that is due has for its cause. */
enum gc_cause pacing_cause(const gc_heap *heap);
/* Whether the heap, with `more` bytes, is more than a tenth beyond its goal. */
bool pacing_is_far_beyond(const gc_heap *heap, size_t more);
/* How many bytes of marking an allocation of `bytes` owes, if `marked` bytes are marked. */
uint64_t pacing_marking_due(const gc_heap *heap, uint64_t bytes, uint64_t marked);
/* How many pages should be swept by now. */
uint64_t pacing_sweeping_due(const gc_heap *heap);

/* Adds to the external bytes: to all, and to those that count towards the goal. */
void pacing_add_external(gc_heap *heap, ptrdiff_t all, ptrdiff_t live);

/* Called by the cycle's driver when a cycle begins, and when it has ended, has marked so many
 * bytes, and sweeping begins. */
void pacing_cycle_begins(gc_heap *heap);
void pacing_cycle_ended(gc_heap *heap, uint64_t marked);

/* Change a setting, with effect at once. Return the previous value. */
int pacing_set_percent(gc_heap *heap, int percent);
uint64_t pacing_set_limit(gc_heap *heap, uint64_t limit);
/* What gc_stats reports of the pacer. */
void pacing_report(gc_heap *heap, struct gc_statistics *s);

#define PACING_FORK_RANKS LOCK_BIT(LOCK_PACING)
extern const struct fork_part pacing_fork;

#endif
