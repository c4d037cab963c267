/* What is to be run because objects died: finalizers and cleanups, in the order of their deaths'
 * discovery; and the thread that runs them, if the heap has one (GC_FINALIZER_THREAD). */
#ifndef GC_FINQ_H
#define GC_FINQ_H

#include "special.h"

/* NONE -> STARTS -> RUNS, or back to NONE, by whoever starts the thread; RUNS -> STARTS by a thread
 * that a finalizer ends; NONE or RUNS -> ENDS by the one who will destroy the heap. Then none is
 * started, but if the heap goes on: ENDS -> NONE. */
enum finq_thread { FINQ_NONE, FINQ_STARTS, FINQ_RUNS, FINQ_ENDS };

struct finq {
    struct lock lock;              /* LOCK_FINQ */
    struct special *first, **last; /* under lock */
    size_t pending;                /* length; written under lock, read by anyone */
    void (*notify)(void *arg);     /* under lock */
    void *notify_arg;
    /* The thread. It is attached to the heap only while it has something to run. */
    struct os_thread thread; /* whose who moved `state` to STARTS or ENDS */
    struct os_thread
        predecessor; /* which a finalizer has ended; of the one after it, or as above */
    bool replaced;   /* there is a predecessor to join; as that */
    uint32_t state;  /* enum finq_thread; atomic */
    uint32_t kicks;  /* futex: something to do */
    word runner;     /* os_thread_id of the thread; atomic */
    bool lost; /* it is wanted, but a fork or the OS was against it: start it when there is work;
                  atomic */
};

/* Records linked by next_queued. Zero: empty. */
struct finq_batch {
    struct special *first, *last;
    size_t count;
};

void finq_init(gc_heap *heap);
void finq_batch_add(struct finq_batch *batch, struct special *r);
/* Queues them and tells who wants to know. Any thread, which holds no lock. */
void finq_add(gc_heap *heap, const struct finq_batch *batch);

/* Runs up to `max` (0: all) on the calling mutator; how many. None if too many of them, each run by
 * the one before, wait for this one. The thread is afterwards as it was, whatever they do. */
size_t finq_run(gc_thread *t, size_t max);
/* How many finalizers and cleanups are running on the calling mutator, each within the one before.
 */
size_t finq_depth(const gc_thread *t);
size_t finq_pending(gc_heap *heap);
void finq_set_notify(gc_heap *heap, void (*fn)(void *arg), void *arg);

/* Starts the thread if the heap shall have one and it does not run. 0, -EAGAIN. */
int finq_start_thread(gc_heap *heap);
/* The heap is about to be destroyed: waits until the thread has ended; what it runs just now, it
 * finishes. What is queued remains. A mutator that waits is blocked meanwhile. -EBUSY: the caller
 * runs a finalizer of this heap, or another thread destroys the heap. */
int finq_stop_thread(gc_heap *heap);
/* It is not destroyed after all. */
void finq_go_on(gc_heap *heap);
/* There is no thread here; it starts again when it has something to do. */
void finq_after_fork_in_child(struct finq *q);

#endif
