/* Ranked mutexes. A thread takes locks in rising rank only; debug builds check it.
 *
 * The lock order of the whole library, lowest rank first. "A before B" means that B may be taken
 * while A is held.
 */
#ifndef GC_LOCK_H
#define GC_LOCK_H

#include "base/atomics.h"

enum lock_rank {
    LOCK_HEAPS = 1,    /* the list of heaps, for fork */
    LOCK_CYCLE,        /* the cycle: held by its driver */
    LOCK_REGISTRY,     /* mutators of a heap, epoch and phase publication */
    LOCK_FIBERS,       /* list of fibers */
    LOCK_PROCS,        /* Ps, and the queue of threads that wait for one */
    LOCK_TYPES,        /* type registry */
    LOCK_ROOTS,        /* global roots and root callbacks */
    LOCK_HANDLES,      /* handle blocks */
    LOCK_WEAK,         /* the list of weak maps and intern tables of a heap */
    LOCK_WEAKTABLE,    /* one weak map or intern table */
    LOCK_SPECIALS,     /* a span's specials */
    LOCK_RECORDS,      /* memory for specials */
    LOCK_FINQ,         /* finalizer queue */
    LOCK_WAITS,        /* which heap's finalizers wait for which */
    LOCK_WORKBUF,      /* grey work, shared buffers */
    LOCK_SPANSET,      /* one span set */
    LOCK_SPANSET_POOL, /* blocks for all span sets of a heap */
    LOCK_SCAVENGE,     /* free pages on their way to the OS */
    LOCK_HEAP,         /* pages, spans, arenas */
    LOCK_PERSISTENT,   /* linear off-heap memory */
    LOCK_PACING,       /* the pacer */
    LOCK_RECORD,       /* the record of the last cycle */
    LOCK_NOTES,        /* who allocated objects, and what stores have written (debug switches) */
    LOCK_PLACE,        /* files of programs and libraries that are mapped for their symbols */
    LOCK_RANKS         /* number of ranks + 1 */
};

/* Sets of ranks. */
#define LOCK_BIT(rank) ((uint32_t)1 << (rank))
#define LOCK_ALL_BITS (LOCK_BIT(LOCK_RANKS) - LOCK_BIT(LOCK_HEAPS))
_Static_assert(LOCK_RANKS < 32, "a set of ranks is one word");
/* A fork takes the locks of all ranks except these. Only running mutators and sweepers hold them,
 * for a few steps; while the world is held and all is swept, no thread does. Each other rank
 * belongs to one fork_part. */
#define LOCK_BITS_AT_REST                                                                          \
    (LOCK_BIT(LOCK_WEAKTABLE) | LOCK_BIT(LOCK_SPECIALS) | LOCK_BIT(LOCK_SPANSET) |                 \
     LOCK_BIT(LOCK_NOTES))

/* A small mutex that spins briefly and then sleeps. It is not recursive. A free lock is zero,
 * except for its rank. It is not padded; its owner may do that. */
struct lock {
    uint32_t state; /* 0 free, 1 held, 2 held with sleepers */
    uint32_t rank;
};

#define LOCK_INIT(r)                                                                               \
    {                                                                                              \
        0, r                                                                                       \
    }

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_acquire_slow(struct lock *lock);
void lock_release_slow(struct lock *lock);

/* Debug builds: the ranks of the locks that the calling thread holds. */
void lock_rank_push(uint32_t rank);
void lock_rank_note(uint32_t rank);
void lock_rank_pop(uint32_t rank);
bool lock_rank_held(uint32_t rank);
/* Debug builds: the ranks of the locks that the calling thread has seized since the last call. */
void lock_note_seized(uint32_t rank);
uint32_t lock_take_seized(void);

INLINE void lock_acquire(struct lock *lock)
{
    if (GC_DEBUG)
        lock_rank_push(lock->rank);
    if (UNLIKELY(!u32_cas_acquire(&lock->state, 0, 1)))
        lock_acquire_slow(lock);
}

INLINE bool lock_try(struct lock *lock)
{
    if (!u32_cas_acquire(&lock->state, 0, 1))
        return false;
    if (GC_DEBUG)
        lock_rank_push(lock->rank);
    return true;
}
/* The same while locks of higher ranks may be held. It does not wait, so it cannot close a circle;
 * the caller takes no other lock before it releases this one. */
INLINE bool lock_try_late(struct lock *lock)
{
    if (!u32_cas_acquire(&lock->state, 0, 1))
        return false;
    if (GC_DEBUG)
        lock_rank_note(lock->rank);
    return true;
}

INLINE void lock_release(struct lock *lock)
{
    if (GC_DEBUG)
        lock_rank_pop(lock->rank);
    if (UNLIKELY(!u32_cas_release(&lock->state, 1, 0)))
        lock_release_slow(lock);
}

/* These two do not check ranks. A fork uses them, because it takes the locks of all heaps. */
INLINE void lock_seize(struct lock *lock)
{
    if (GC_DEBUG)
        lock_note_seized(lock->rank);
    if (UNLIKELY(!u32_cas_acquire(&lock->state, 0, 1)))
        lock_acquire_slow(lock);
}
INLINE void lock_free(struct lock *lock)
{
    if (UNLIKELY(!u32_cas_release(&lock->state, 1, 0)))
        lock_release_slow(lock);
}

/* The first line of functions named *_locked. */
#define LOCK_ASSERT_HELD(lock_) ASSERT(u32_load_relaxed(&(lock_)->state) != 0)

#endif
