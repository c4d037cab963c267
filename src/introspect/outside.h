/* The memory outside of the heap that roots name, and that the program unmaps when it likes: the
 * switch freed looks whether it is there before a cycle reads it. */
#ifndef GC_OUTSIDE_H
#define GC_OUTSIDE_H

#include "mutator/heap.h"

/* Names memory that is gone, and ends the process. World held. */
void outside_check(gc_heap *heap);

#endif
