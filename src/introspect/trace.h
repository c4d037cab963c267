/* GCHEAP_TRACE: what the collector does, as it happens. */
#ifndef GC_TRACE_H
#define GC_TRACE_H

#include "mutator/heap.h"

/* "goal", "collect", ... */
const char *trace_cause(enum gc_cause cause);

/* When the steps of a cycle were over, os_now_ns. */
struct cycle_times {
    uint64_t begin, armed, rooted, marked, flipped;
};

/* Writes one line about the cycle that has just ended, with so many FLUSH waves. The cycle's driver
 * calls it. */
void trace_cycle(gc_heap *heap, const struct cycle_times *times, uint64_t waves,
                 enum gc_cause cause);

#endif
