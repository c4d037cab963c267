/* Specials: records that belong to an object, on its span, sorted by address (Go: mspan.specials).
 */
#ifndef GC_SPECIAL_H
#define GC_SPECIAL_H

#include "handshake.h"

/* Decides about the specials of a span's dead objects. Its sweeper, before the bits are flipped;
 * may mark objects that must live on. */
void special_sweep(gc_heap *heap, struct gc_span *s);
/* Visits what specials keep alive. Collector, after ROOTS. */
void special_mark_roots(gc_heap *heap, struct gc_tracer *tracer);

#endif
