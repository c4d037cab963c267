/* GCHEAP_TRACE: what the collector does, as it happens. */
#ifndef GC_TRACE_H
#define GC_TRACE_H

#include "collector/collector.h"

/* One line about the cycle that has just ended. Its driver. */
void trace_cycle(gc_heap *heap);

#endif
