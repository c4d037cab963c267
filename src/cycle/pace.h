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

#endif
