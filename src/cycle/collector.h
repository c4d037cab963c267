/* The collector of a heap: the parts of all its modules in one piece of memory. Each module reaches
 * its own by the heap's pointer to it (heap.h). */
#ifndef GC_COLLECTOR_H
#define GC_COLLECTOR_H

#include "cycle/cycle.h"

/* Called when the heap's own parts are there. Returns 0 or -ENOMEM. */
int collector_create(gc_heap *heap);
/* Stops the library's threads; no mutator is attached. */
void collector_destroy(gc_heap *heap);

#endif
