/* Free pages back to the system, beyond 110 % of what the heap is going to need (Go:
 * mgcscavenge.go). */
#ifndef GC_SCAVENGE_H
#define GC_SCAVENGE_H

#include "handshake.h"

/* Bytes of free, backed pages that may go. */
size_t scavenge_excess(gc_heap *heap);
/* Gives a little back; false when there is nothing (more) to give. Background thread. */
bool scavenge_step(gc_heap *heap);
/* All free pages; bytes given. */
size_t scavenge_all(gc_heap *heap);

#endif
