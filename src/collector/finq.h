/* What is to be run because objects died: finalizers and cleanups, in the order of their deaths'
 * discovery; and the thread that runs them, if the heap has one (GC_FINALIZER_THREAD). */
#ifndef GC_FINQ_H
#define GC_FINQ_H

#include "collector/special.h"

/* NONE -> STARTS -> RUNS, or back to NONE: by the thread that starts the library's thread. RUNS ->
 * STARTS: by a library's thread that a finalizer ends. NONE or RUNS -> ENDS: by the thread that is
 * to destroy the heap; no thread is started from then on. ENDS -> NONE: the heap goes on. */
enum finq_thread { FINQ_NONE, FINQ_STARTS, FINQ_RUNS, FINQ_ENDS };

struct finq {
    struct lock lock;              /* LOCK_FINQ */
    struct special *first, **last; /* under lock */
    size_t pending;                /* length; written under lock, read by anyone */
    void (*notify)(void *arg);     /* under lock */
    void *notify_arg;
    /* The thread. It is attached to the heap only while it has something to run. */
    struct os_thread thread; /* owner: the thread that moved `state` to STARTS or ENDS */
    /* The one before, which a finalizer has ended. Owner: `thread` while it runs, else as above. */
    struct os_thread predecessor;
    bool replaced;  /* there is a predecessor to join; owner: as of that */
    uint32_t state; /* enum finq_thread; atomic */
    uint32_t kicks; /* futex: something to do */
    /* A finalizer that the thread runs destroys this queue's heap, and waits for its thread; or
     * NULL. Under a lock that all queues share. */
    struct finq *waits_for;
    bool lost; /* a fork ended it, or the OS refused it: start it when there is work; atomic */
};

/* Records linked by next_queued. Zero: empty. */
struct finq_batch {
    struct special *first, *last;
    size_t count;
};

void finq_init(gc_heap *heap);
void finq_batch_add(struct finq_batch *batch, struct special *r);
/* Queues them and calls the function of gc_finalizers_notify(). Any thread that holds no lock. */
void finq_add(gc_heap *heap, const struct finq_batch *batch);

/* Runs up to `max` (0: all) on the calling mutator; returns how many. It runs none if too many run
 * on this mutator, each within the one before. The thread is afterwards as it was, whatever they
 * do. */
size_t finq_run(gc_thread *t, size_t max);
size_t finq_pending(gc_heap *heap);
void finq_set_notify(gc_heap *heap, void (*fn)(void *arg), void *arg);

/* Starts the thread if the heap shall have one and it does not run. 0, -EAGAIN. */
int finq_start_thread(gc_heap *heap);
/* The heap is about to be destroyed: waits until the thread has finished what it is running, and
 * has ended. What is queued remains. A mutator is blocked while it waits. -EBUSY: the caller runs a
 * finalizer of this heap, or another thread destroys the heap, or both threads would wait for each
 * other. */
int finq_stop_thread(gc_heap *heap);
/* The heap is not destroyed after all. */
void finq_go_on(gc_heap *heap);
/* fork: the lock that all queues share is held across it. */
void finq_fork_prepare(void);
void finq_fork_done(void);
/* The child has no such thread; one is started when there is something to run. */
void finq_after_fork_in_child(struct finq *q);

#endif
