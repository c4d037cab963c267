/* Runs the finalizers and cleanups that are queued. Each is a call that leaves its mutator as it
 * was. If the heap has a service for them (GC_FINALIZER_THREAD), that is here, too. */
#ifndef GC_FINALIZER_H
#define GC_FINALIZER_H

#include "collector/finq.h"

struct finalizers {
    struct service service; /* attached to the heap only while it has something to run */
    /* The finalizers for whose service this one waits, as a finalizer that it runs destroys their
     * heap; or NULL. Under a lock that all heaps share. */
    struct finalizers *waits_for;
};

/* Makes the queue, too. */
void finalizer_init(gc_heap *heap);

/* Runs up to `max` (0: all) finalizers and cleanups on the calling mutator; returns how many. It
 * runs none if too many are running on this mutator, one within the other. The thread's state is
 * then as before, whatever they have done. */
size_t finalizer_run(gc_thread *t, size_t max);

/* Starts the thread if the heap is to have one and it does not run. Returns 0 or -EAGAIN. */
int finalizer_start_thread(gc_heap *heap);
/* Called when the heap is about to be destroyed. Waits until the thread has finished what it is
 * running, and has ended. What is queued remains. A mutator is blocked while it waits. -EBUSY: the
 * caller runs a finalizer of this heap, or another thread destroys the heap, or both threads would
 * wait for each other. */
int finalizer_stop_thread(gc_heap *heap);
/* Called when the heap is not destroyed after all. */
void finalizer_go_on(gc_heap *heap);

#define WAITS_FORK_RANKS LOCK_BIT(LOCK_WAITS)
extern const struct fork_part finalizer_waits_fork;

#define FINALIZER_FORK_RANKS 0
extern const struct fork_part finalizer_fork;

#endif
