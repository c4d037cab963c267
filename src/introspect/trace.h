/* GCHEAP_TRACE: what the collector does, as it happens. */
#ifndef GC_TRACE_H
#define GC_TRACE_H

#include "collector/collector.h"

/* Writes one line about the cycle that has just ended. The cycle's driver calls it. */
void trace_cycle(gc_heap *heap);

#endif
