/* Whole-heap checks: structures, and a second marking with the world held. */
#ifndef GC_VERIFY_H
#define GC_VERIFY_H

#include "collector.h"

/* Debug switches: after marking has ended, before DISARM. The cycle's driver. */
void verify_after_mark(gc_heap *heap);
/* All checks, with the world held and everything swept. Number of faults, each told in the log. */
unsigned verify_heap(gc_heap *heap);

#endif
