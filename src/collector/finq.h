/* The queue of finalizers and cleanups that are to be run because their objects died, in the order
 * in which the deaths were found. */
#ifndef GC_FINQ_H
#define GC_FINQ_H

#include "base/service.h"
#include "mutator/heap.h"

/* The part of a record by which it is queued. */
struct finq_item {
    struct finq_item *next;
};

struct finq {
    struct lock lock;                /* LOCK_FINQ */
    struct finq_item *first, **last; /* under lock */
    size_t pending;                  /* length; written under lock, read by any thread */
    void (*notify)(void *arg);       /* under lock */
    void *notify_arg;
    struct service *runner; /* runs what is queued; NULL: the heap has none */
};

/* Zero: empty. */
struct finq_batch {
    struct finq_item *first, *last;
    size_t count;
};

/* `runner` may be NULL. */
void finq_init(gc_heap *heap, struct service *runner);
void finq_batch_add(struct finq_batch *batch, struct finq_item *item);
/* Queues a batch, and calls the runner and the function of gc_finalizers_notify(). Any thread that
 * holds no lock. */
void finq_add(gc_heap *heap, const struct finq_batch *batch);
/* Takes the first item, which then belongs to the caller; NULL: the queue is empty. */
struct finq_item *finq_take(gc_heap *heap);
size_t finq_pending(gc_heap *heap);
void finq_set_notify(gc_heap *heap, void (*fn)(void *arg), void *arg);

#define FINQ_FORK_RANKS LOCK_BIT(LOCK_FINQ)
extern const struct fork_part finq_fork;

#endif
