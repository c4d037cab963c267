/* Making and destroying heaps. This lies in the highest layer below the public calls, because a
 * heap is made of the parts of all layers. */
#ifndef GC_LIFETIME_H
#define GC_LIFETIME_H

#include "mutator/heap.h"

/* Makes a heap and attaches the calling thread, whose code stands at `caller`. Returns 0, or a
 * negative errno like gc_heap_create(). */
int lifetime_begin(const gc_options *options, uintptr_t caller, gc_heap **made);
/* Destroys a heap, if no other thread is attached. Returns 0 or -EBUSY. */
int lifetime_end(gc_heap *heap, uintptr_t caller);

#endif
