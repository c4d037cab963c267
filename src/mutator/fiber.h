/* Fibers: root sets that threads switch between.
 *
 * A suspended fiber's roots are visited once per cycle: by the collector after ROOTS is complete,
 * or by the thread that resumes it first, if that thread is past its own ROOTS (I10). `scanned`
 * holds the number of the cycle in which that was done; a thread that makes or suspends a fiber
 * before its own ROOTS leaves it unscanned.
 *
 * A fiber is CLAIMED while someone who does not run it looks at its roots, or changes them.
 */
#ifndef GC_FIBER_INTERNAL_H
#define GC_FIBER_INTERNAL_H

#include "mutator/handshake.h"

enum fiber_state { FIBER_SUSPENDED, FIBER_RUNNING, FIBER_CLAIMED };

gc_fiber *fiber_create(gc_thread *t);
/* -EBUSY if it does not rest. */
int fiber_destroy(gc_thread *t, gc_fiber *fiber);
/* The calling thread goes on in `fiber` (NULL: its own root set); its code stands at `caller` as
 * yet. false: another thread runs the fiber. */
bool fiber_switch(gc_thread *t, gc_fiber *fiber, uintptr_t caller);
/* Of a fiber that rests, or that the calling thread runs; low == high: it has none. 0, -ENOMEM,
 * -EBUSY: another thread runs it. */
int fiber_set_stack(gc_thread *t, gc_fiber *f, uintptr_t low, uintptr_t high);
/* The roots of a fiber that nobody runs. */
void fiber_visit(const gc_fiber *f, struct gc_tracer *tracer);
/* Visits every suspended fiber not yet scanned in this cycle. Collector, after ROOTS is complete.
 */
void fibers_visit(gc_heap *heap, struct gc_tracer *tracer);
/* Whether there are no more than that many. */
bool fibers_are_few(gc_heap *heap, size_t few);
void fibers_destroy(gc_heap *heap);

#endif
