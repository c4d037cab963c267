/* What mutators do for the collector as they allocate: they start cycles, assist marking, and
 * sweep, in proportion to what they allocate. */
#ifndef GC_ASSIST_H
#define GC_ASSIST_H

#include "cycle/cycle.h"

/* Called at the safepoint of an allocation (of `more` bytes, if it is large), when the thread's P
 * has handed out so much that a look is worth while. */
void assist_allocation(gc_heap *heap, gc_thread *t, size_t more);

/* For an allocation that was refused memory: a full cycle and its sweep. It gives up, perhaps
 * without a cycle, if heap callbacks do not return: they may wait for a lock that this thread
 * holds. */
void assist_collect(gc_heap *heap, gc_thread *t, enum gc_cause cause);

/* Called when memory was refused, for the nth time. Collects and asks the embedder by turns: what
 * the embedder has dropped goes with the next collection. false: there is no more memory. */
bool assist_find_memory(gc_heap *heap, gc_thread *t, size_t size, unsigned n);

/* Called at each Nth allocation (switch nth): collects; or begins a cycle that stays in marking. */
void assist_nth(gc_heap *heap, gc_thread *t);
/* Called at each safepoint (switch stay): marks a part of what is left of a cycle that stays. */
void assist_stay(gc_heap *heap, gc_thread *t);
/* Called when the heap is destroyed: drives a cycle that stays to its end, as it may have missed
 * objects. */
void assist_end_stay(gc_heap *heap, gc_thread *t);
/* Called before each store (switches stay and checkmark). Marking misses an object that was moved
 * without a barrier if it has scanned the new place, and not the old one. So while a cycle stays,
 * the object that is stored to is scanned first. */
void assist_stored(gc_heap *heap, gc_thread *t, const void *slot);

/* Called at a safepoint before anything else, if the heap has checks: looks at the heap, if that is
 * due. */
void assist_checks(gc_heap *heap, gc_thread *t);

/* Change a setting of the pacer, with effect at once, for the background too. Return the previous
 * value. Each value that was set is returned by one later call only. */
int assist_set_percent(gc_heap *heap, int percent);
uint64_t assist_set_limit(gc_heap *heap, uint64_t limit);

#endif
