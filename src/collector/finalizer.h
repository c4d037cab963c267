/* Running what is queued: finalizers and cleanups, each as a call that leaves its mutator as it
 * was; and the service that runs them, if the heap has one (GC_FINALIZER_THREAD). */
#ifndef GC_FINALIZER_H
#define GC_FINALIZER_H

#include "collector/finq.h"

struct finalizers {
    struct service service; /* attached to the heap only while it has something to run */
    /* A finalizer that the service runs destroys this one's heap, and waits for its service; or
     * NULL. Under a lock that all heaps share. */
    struct finalizers *waits_for;
};

/* With the queue. */
void finalizer_init(gc_heap *heap);

/* Runs up to `max` (0: all) on the calling mutator; returns how many. It runs none if too many run
 * on this mutator, each within the one before. The thread is afterwards as it was, whatever they
 * do. */
size_t finalizer_run(gc_thread *t, size_t max);

/* Starts the thread if the heap shall have one and it does not run. 0, -EAGAIN. */
int finalizer_start_thread(gc_heap *heap);
/* The heap is about to be destroyed: waits until the thread has finished what it is running, and
 * has ended. What is queued remains. A mutator is blocked while it waits. -EBUSY: the caller runs a
 * finalizer of this heap, or another thread destroys the heap, or both threads would wait for each
 * other. */
int finalizer_stop_thread(gc_heap *heap);
/* The heap is not destroyed after all. */
void finalizer_go_on(gc_heap *heap);

/* fork: the lock that all heaps share is held across it; in the child the thread is gone. */
void finalizer_seize(void);
void finalizer_release(void);
void finalizer_forget(gc_heap *heap);

#endif
