/* What mutators do for the collector as they allocate: they start cycles, assist marking and sweep,
 * in proportion. */
#ifndef GC_PACE_H
#define GC_PACE_H

#include "cycle/cycle.h"

/* At an allocation's safepoint (of `more` bytes, if it is large), when the thread's P has handed
 * out something worth a look. */
void pace_allocation(gc_heap *heap, gc_thread *t, size_t more);

/* For an allocation that was refused memory: a full cycle, swept. It gives up, perhaps without a
 * cycle, if heap callbacks do not return: they may wait for a lock that this thread holds. */
void pace_collect(gc_heap *heap, gc_thread *t);

/* The settings of the pacer, which the background goes by at once. Return the previous ones; each
 * value that was set is returned by one later call only. */
int pace_set_percent(gc_heap *heap, int percent);
uint64_t pace_set_limit(gc_heap *heap, uint64_t limit);

#endif
