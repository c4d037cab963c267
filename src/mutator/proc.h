/* Ps: the right to run managed code, with the allocation cache that goes with it (Go: P). A thread
 * holds one while it runs and gives it back while it blocks, so there are as many caches as threads
 * that run, not as threads. When all run, the library's threads borrow one for their work: its
 * cache rests meanwhile, and the processor is theirs.
 *
 * A P's state word: IDLE -> RUNNING (a thread takes it) -> IDLE; RUNNING -> LENT (the collector's)
 * -> IDLE; IDLE or LENT -> CLAIMED (a handshake works on it) -> what it was; and IDLE or RUNNING ->
 * RUNNING for another thread when it is handed over. All by CAS, but for what its owner or claimant
 * does.
 */
#ifndef GC_PROC_H
#define GC_PROC_H

#include "allocator/malloc.h"

#define PROCS_MAX 256

enum proc_state { PROC_IDLE, PROC_RUNNING, PROC_CLAIMED, PROC_LENT };

struct proc {
    uint32_t state CACHE_ALIGNED; /* enum proc_state; atomic */
    /* The last handshake whose work on this P is done. Written by whoever holds the P; read by the
     * collector (acquire). */
    uint32_t epoch;
    struct mcache *cache;
    gc_thread *owner; /* while RUNNING; a hint for others: threads' memory is never unmapped */
    unsigned id;
};

/* Who waits for a P: a thread, or one of the collector's. */
struct proc_waiter {
    struct proc_waiter *next; /* under LOCK_PROCS */
    struct proc *grant;       /* the P it was given; set before `granted` */
    uint32_t granted;         /* futex: 1 when its turn has come */
};

struct procs {
    struct lock lock; /* LOCK_PROCS: the queue; with LOCK_REGISTRY: making Ps */
    unsigned max;
    uint32_t count; /* Ps made; grows under lock, with release */
    struct proc *all[PROCS_MAX];
    struct proc_waiter *queue, **queue_tail; /* in turn; under lock */
    uint32_t waiting;                        /* length of the queue; written under lock */
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

/* For one of the library's threads, which stands first in the queue: the next P that comes free,
 * with its processor, or NULL. Gives up waiting when that has become pointless, or takes long. */
#define PROC_LOAN_NS ((uint64_t)20 * 1000 * 1000) /* it is kept no longer at a time */
struct proc *proc_borrow(struct procs *procs, bool (*pointless)(void *), void *arg);
void proc_return(struct procs *procs, struct proc *p);

INLINE bool proc_try(struct proc *p, enum proc_state from, enum proc_state to)
{
    return u32_load_relaxed(&p->state) == (uint32_t)from && u32_cas_acquire(&p->state, from, to);
}
/* Nobody uses its cache. */
INLINE bool proc_rests(const struct proc *p)
{
    uint32_t state = u32_load_relaxed(&p->state);
    return state == PROC_IDLE || state == PROC_LENT;
}
/* For a handshake: from IDLE or LENT, which is *was, to CLAIMED. */
INLINE bool proc_claim(struct proc *p, enum proc_state *was)
{
    *was = u32_load_relaxed(&p->state) == PROC_LENT ? PROC_LENT : PROC_IDLE;
    return proc_try(p, *was, PROC_CLAIMED);
}
/* Ends a claim; serves the queue. */
void proc_unclaim(struct procs *procs, struct proc *p, enum proc_state was);

#endif
