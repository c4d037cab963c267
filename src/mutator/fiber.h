/* Fibers: root sets between which threads switch.
 *
 * A suspended fiber's roots are visited once per cycle: by the collector after ROOTS is complete,
 * or by the thread that resumes it first, if that thread is past its own ROOTS (I10). `scanned` is
 * the number of the cycle in which that was done. A thread that makes or suspends a fiber before
 * its own ROOTS leaves the fiber unscanned.
 *
 * A fiber is CLAIMED while a thread that does not run it visits or changes its roots.
 */
#ifndef GC_FIBER_INTERNAL_H
#define GC_FIBER_INTERNAL_H

#include "mutator/handshake.h"

enum fiber_state { FIBER_SUSPENDED, FIBER_RUNNING, FIBER_CLAIMED };

#define FIBER_FORK_RANKS LOCK_BIT(LOCK_FIBERS)
extern const struct fork_part fiber_fork;

gc_fiber *fiber_create(gc_thread *t);
/* Returns 0, or -EBUSY if the fiber runs. */
int fiber_destroy(gc_thread *t, gc_fiber *fiber);
/* The calling thread goes on in `fiber` (NULL: its own root set). At this moment its code stands at
 * `caller`. false: another thread runs the fiber. */
bool fiber_switch(gc_thread *t, gc_fiber *fiber, uintptr_t caller);
/* Sets the stack of a fiber that is suspended, or that the calling thread runs; low == high: it has
 * none. Returns 0, -ENOMEM, or -EBUSY if another thread runs it. */
int fiber_set_stack(gc_thread *t, gc_fiber *f, uintptr_t low, uintptr_t high);
/* Suspends the fiber that a thread runs as it ends. */
void fiber_abandon(gc_thread *t);
/* Visits the roots of a fiber that no thread runs. */
void fiber_visit(const gc_fiber *f, struct gc_tracer *tracer);
/* Visits every suspended fiber that was not scanned in this cycle. Collector, when ROOTS is
 * complete. */
void fibers_visit(gc_heap *heap, struct gc_tracer *tracer);
/* Whether there are so few fibers, at most. */
bool fibers_are_few(gc_heap *heap, size_t few);
void fibers_destroy(gc_heap *heap);

#endif
