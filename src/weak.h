/* Weak references, ephemerons, interning: TRACING, REPEAT, CUT. */
#ifndef GC_WEAK_H
#define GC_WEAK_H

#include "mark.h"

/* Nothing grey is left: decides the deaths of this cycle (true), or finds more to mark (false). */
bool weak_cut(gc_heap *heap, struct marker *m);
/* FLIP is complete. */
void weak_flipped(gc_heap *heap);

#endif
