/* A P is the right to run managed code, with an allocation cache (Go: P). A thread holds one while
 * it runs, and gives it back while it blocks. So there are as many caches as running threads, not
 * as threads. When mutators have all Ps, the library's threads borrow one for their work; its cache
 * rests meanwhile.
 *
 * A P's state word:
 *   IDLE -> RUNNING          a thread takes the P, or is granted it in the queue
 *   RUNNING -> IDLE          the thread gives it back
 *   RUNNING -> LENT          one of the library's threads was granted the P
 *   LENT -> RUNNING -> IDLE  that thread returns it
 *   IDLE, LENT -> CLAIMED    a handshake works on it, and then restores the state
 * Changes are made by CAS, except for those of a RUNNING P by its owner and of a CLAIMED P.
 */
#ifndef GC_PROC_H
#define GC_PROC_H

#include "allocator/malloc.h"
#include "base/forkpart.h"
#include "base/options.h"

enum proc_state { PROC_IDLE, PROC_RUNNING, PROC_CLAIMED, PROC_LENT };

struct proc {
    uint32_t state CACHE_ALIGNED; /* enum proc_state; atomic */
    /* The last handshake whose work on this P is done. Written by the thread that holds or has
     * claimed the P; read by the collector (acquire). */
    uint32_t epoch;
    struct mcache *cache;
    gc_thread *owner; /* while RUNNING; a hint for others: threads' structs are never unmapped */
    unsigned id;
};

/* A thread that waits for a P: a mutator, or one of the library's threads. */
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
    struct proc_waiter *queue, **queue_tail; /* in the order of their turns; under lock */
    uint32_t waiting;                        /* length of the queue; written under lock */
};

#define PROC_FORK_RANKS LOCK_BIT(LOCK_PROCS)
extern const struct fork_part proc_fork;

void procs_init(struct procs *procs, unsigned max);
/* Every P is idle. */
void procs_destroy(struct procs *procs);

/* Gives the thread a P, at once or when its turn comes. The thread is in the blocked state, so
 * collections go on. false: no memory for a first P. */
bool proc_acquire(gc_heap *heap, gc_thread *t);
/* The thread gives up its P. The first thread in the queue gets it, if there is any. */
void proc_release(gc_heap *heap, gc_thread *t);
/* Whether a thread waits for a P and this one has had its time slice. */
bool proc_should_yield(const struct procs *procs, gc_thread *t);
/* How many Ps are idle or can still be made. A hint. */
unsigned procs_idle(const struct procs *procs);

/* For one of the library's threads, which is put first in the queue: borrows the next P that
 * becomes free, with its processor. NULL: that took too long. */
#define PROC_LOAN_NS ((uint64_t)1000 * 1000) /* the longest time for which a P is borrowed */
struct proc *proc_borrow(struct procs *procs);
void proc_return(struct procs *procs, struct proc *p);

INLINE bool proc_try(struct proc *p, enum proc_state from, enum proc_state to)
{
    return u32_load_relaxed(&p->state) == (uint32_t)from && u32_cas_acquire(&p->state, from, to);
}
/* Whether no thread uses its cache. */
INLINE bool proc_rests(const struct proc *p)
{
    uint32_t state = u32_load_relaxed(&p->state);
    return state == PROC_IDLE || state == PROC_LENT;
}
/* For a handshake: claims a P that is IDLE or LENT, and notes in *was which. */
INLINE bool proc_claim(struct proc *p, enum proc_state *was)
{
    *was = u32_load_relaxed(&p->state) == PROC_LENT ? PROC_LENT : PROC_IDLE;
    return proc_try(p, *was, PROC_CLAIMED);
}
/* Ends a claim; serves the queue. */
void proc_unclaim(struct procs *procs, struct proc *p, enum proc_state was);

#endif
