/* Fibers: root sets between which threads switch.
 *
 * A suspended fiber's roots are visited once per cycle: by the collector after ROOTS is complete,
 * or by the thread that resumes it first, if that thread is past its own ROOTS (I10). `scanned` is
 * the number of the cycle in which that was done. A thread that makes or suspends a fiber before
 * its own ROOTS leaves the fiber unscanned.
 *
 * If a fiber has an owner, an object, what it holds is not a root while it is suspended: the
 * collector visits it when the owner is marked (I57, owned.h). This module knows the two kinds
 * apart, and no more.
 *
 * A fiber is CLAIMED while a thread that does not run it visits or changes its roots.
 */
#ifndef GC_FIBER_INTERNAL_H
#define GC_FIBER_INTERNAL_H

#include "mutator/handshake.h"

enum fiber_state { FIBER_SUSPENDED, FIBER_RUNNING, FIBER_CLAIMED };

#define FIBER_FORK_RANKS LOCK_BIT(LOCK_FIBERS)
extern const struct fork_part fiber_fork;

/* `owner`: see struct gc_fiber. */
gc_fiber *fiber_create(gc_thread *t, struct special *owner);
/* Returns 0, or -EBUSY if the fiber runs. The owner's record stays. */
int fiber_destroy(gc_thread *t, gc_fiber *fiber);
/* The calling thread goes on in `fiber` (NULL: its own root set). At this moment its code stands at
 * `caller`. The object `owner` (0: none) is a root while the thread runs the fiber. false: another
 * thread runs the fiber. */
bool fiber_switch(gc_thread *t, gc_fiber *fiber, uintptr_t owner, uintptr_t caller);
/* Sets the stack of a fiber that is suspended, or that the calling thread runs; low == high: it has
 * none. Returns 0, -ENOMEM, or -EBUSY if another thread runs it. */
int fiber_set_stack(gc_thread *t, gc_fiber *f, uintptr_t low, uintptr_t high);
/* Suspends the fiber that a thread runs as it ends. */
void fiber_abandon(gc_thread *t);
/* Whether its roots were visited in this cycle. */
INLINE bool fiber_is_scanned(const gc_fiber *f)
{
    return u32_load_relaxed(&f->scanned) == u32_load_relaxed(&f->heap->cycle_number);
}
/* Visits the roots of a fiber that no thread runs. */
void fiber_visit(const gc_fiber *f, struct gc_tracer *tracer);
/* The same, if it was not scanned in this cycle; when ROOTS is complete. false: it was, or a thread
 * runs it. Any marker. */
bool fiber_scan(gc_fiber *f, struct gc_tracer *tracer);
/* Scans every suspended fiber without an owner. Collector, when ROOTS is complete. */
void fibers_visit(gc_heap *heap, struct gc_tracer *tracer);
/* Calls fn, under LOCK_FIBERS, for every fiber that has an owner, but for those that are made
 * meanwhile. From now on they stay, even if they are destroyed, until fibers_forgotten(). */
void fibers_each_owned(gc_heap *heap, void (*fn)(void *arg, gc_fiber *f), void *arg);
void fibers_forgotten(gc_heap *heap);
/* Whether there are so few fibers, at most. */
bool fibers_are_few(gc_heap *heap, size_t few);
/* Whether the fiber with this number was not destroyed. Takes time for each fiber. */
bool fiber_exists(gc_heap *heap, uint64_t number);
void fibers_destroy(gc_heap *heap);

#endif
