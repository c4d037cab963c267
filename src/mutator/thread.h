/* What a mutator does at safepoints and around blocking regions, and what is known of its C stack.
 */
#ifndef GC_THREAD_H
#define GC_THREAD_H

#include "mutator/mutators.h"

/* Sets the thread's name for messages; a long one is cut. */
void thread_set_name(gc_thread *t, const char *name);

/* The slow path of every safepoint: handshakes, holds, the P's time slice. */
void thread_safepoint(gc_thread *t);
INLINE void thread_poll(gc_thread *t)
{
    if (UNLIKELY(u8_load_relaxed(&t->fast.poll)))
        thread_safepoint(t);
}

/* To BLOCKED and back. Entering is a safepoint and gives up the P; leaving takes a P and is a
 * safepoint. `caller` is the STACK_CALLER() of a function in which the thread stays all the
 * while. */
void thread_enter_blocked(gc_thread *t, uintptr_t caller);
void thread_leave_blocked(gc_thread *t);
/* gc_blocking_begin() and _end(): the same, counted. */
void thread_blocking_begin(gc_thread *t, uintptr_t caller);
void thread_blocking_end(gc_thread *t);

/* The second part of leaving, when the thread has a P: to RUN, as soon as it is not claimed. */
void thread_become_running(gc_thread *t);
/* Ends all blocking regions of the thread. */
void thread_leave_regions(gc_thread *t);

/* The stack of the fiber that the thread runs; NULL: it runs none, or one without a stack. */
INLINE struct stack *thread_fiber_stack(const gc_thread *t)
{
    return t->fiber ? t->fiber->stack : NULL;
}

/* Called when the thread, whose code stands at `caller`, is about to leave the fiber that it runs,
 * or its own root set. */
void thread_leave_stack(gc_thread *t, uintptr_t caller);
/* Called when a block ends whose frame is not the innermost. */
void thread_frame_error(gc_thread *t, const struct gc_frame *frame, uintptr_t caller);
/* Ends the process because a chain of frames is broken: frames behind the fault cannot be found,
 * and what they hold would be lost. t NULL: the chain of a suspended fiber. */
_Noreturn void thread_panic_on_frames(const gc_heap *heap, const gc_thread *t, const char *fault);

/* How many open frames of the calling thread, its own and its fiber's, `is_such` accepts. The
 * thread stands at `caller` or deeper. */
size_t thread_count_frames(const gc_thread *t, bool (*is_such)(const struct gc_frame *),
                           uintptr_t caller);
/* Visits the thread's roots: its own set, its fiber's, its C stack. Owner or claimant. */
void thread_visit_roots(gc_thread *t, struct gc_tracer *tracer);

#endif
