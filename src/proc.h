/* Ps: the right to run managed code, with the allocation cache that goes with it (Go: P). A thread
 * holds one while it runs and gives it back while it blocks, so there are as many caches as threads
 * that run, not as threads.
 *
 * A P's state word: IDLE -> RUNNING (a thread takes it) -> IDLE; IDLE -> CLAIMED (the collector
 * works on it) -> IDLE; and IDLE or RUNNING -> RUNNING for another thread when it is handed over.
 * All by CAS, but for the owner's giving it up.
 */
#ifndef GC_PROC_H
#define GC_PROC_H

#include "malloc.h"

#define PROCS_MAX 256

enum proc_state { PROC_IDLE, PROC_RUNNING, PROC_CLAIMED };

struct proc {
    uint32_t state CACHE_ALIGNED; /* enum proc_state; atomic */
    /* The last handshake whose work on this P is done. Written by whoever holds the P; read by the
     * collector (acquire). */
    uint32_t epoch;
    struct mcache *cache;
    gc_thread *owner; /* while RUNNING; a hint for others: threads' memory is never unmapped */
    unsigned id;
};

struct procs {
    struct lock lock; /* LOCK_PROCS: the queue; with LOCK_REGISTRY: making Ps */
    unsigned max;
    uint32_t count; /* Ps made; grows under lock, with release */
    struct proc *all[PROCS_MAX];
    gc_thread *queue, **queue_tail; /* who waits for a P, in turn; under lock */
    uint32_t waiting;               /* length of the queue; written under lock */
};

void procs_init(struct procs *procs, unsigned max);
/* Every P is idle. */
void procs_destroy(struct procs *procs);

/* Gives the thread a P, at once or when its turn comes. The thread is in the blocked state, so
 * collections go on. false: no memory for a first P. */
bool proc_acquire(gc_heap *heap, gc_thread *t);
/* The thread gives its P up: to the first in the queue, or to nobody. */
void proc_release(gc_heap *heap, gc_thread *t);
/* Whether somebody waits and this thread has had its time slice. */
bool proc_should_yield(const struct procs *procs, gc_thread *t);
/* Ps that no thread holds. A hint. */
unsigned procs_idle(const struct procs *procs);

/* In the child of a fork: nobody holds a P or waits for one. */
void proc_after_fork_in_child(struct procs *procs);

INLINE bool proc_try(struct proc *p, enum proc_state to)
{
    return u32_load_relaxed(&p->state) == PROC_IDLE && u32_cas_acquire(&p->state, PROC_IDLE, to);
}
/* Ends a CLAIM; serves the queue. */
void proc_unclaim(struct procs *procs, struct proc *p);

#endif
