/* The registry of a heap's mutators, which are the threads attached to it, and the words by which
 * they and the collector know of each other.
 *
 * The state word of a thread is {epoch of the last handshake it has done : 30, state : 2}.
 *   RUN      it runs managed code and holds a P
 *   BLOCKED  it is in a blocking region or waits for a P; the collector may claim it
 *   CLAIMED  the collector works on its behalf; leaving the region waits for the end of that
 *   GONE     it has detached
 * The thread changes RUN -> BLOCKED and BLOCKED -> RUN, the collector BLOCKED <-> CLAIMED. It is
 * one word, so that one CAS decides between claim and leave (I3).
 */
#ifndef GC_MUTATORS_H
#define GC_MUTATORS_H

#include "mutator/heap.h"

enum thread_state { THREAD_RUN, THREAD_BLOCKED, THREAD_CLAIMED, THREAD_GONE };
#define THREAD_STATE_BITS 2
#define THREAD_STATE_MASK ((1u << THREAD_STATE_BITS) - 1)
#define EPOCH_BITS 30
#define EPOCH_MASK ((1u << EPOCH_BITS) - 1)
_Static_assert(THREAD_GONE <= THREAD_STATE_MASK, "a state fits in its bits");
_Static_assert(THREAD_STATE_BITS + EPOCH_BITS == 8 * sizeof((gc_thread *)0)->st,
               "epoch and state share a word");

INLINE enum thread_state state_of(uint32_t st)
{
    return (enum thread_state)(st & THREAD_STATE_MASK);
}
INLINE uint32_t epoch_of(uint32_t st)
{
    return st >> THREAD_STATE_BITS;
}
INLINE uint32_t state_word(uint32_t epoch, enum thread_state state)
{
    return epoch << THREAD_STATE_BITS | state;
}
/* Whether epoch a is b or later; epochs wrap. */
INLINE bool epoch_reached(uint32_t a, uint32_t b)
{
    return ((a - b) & EPOCH_MASK) < 1u << (EPOCH_BITS - 1);
}

/* Where in the cycle a mutator is, in its own view. */
enum thread_phase { PHASE_IDLE, PHASE_ARM, PHASE_MARK, PHASE_DONE };

/* gc_fast.barrier: a mode, and perhaps flags: the thread must not store; its stores are checked. */
enum barrier_mode {
    BARRIER_OFF,
    BARRIER_BOTH,
    BARRIER_OLD,
    BARRIER_SHUT = 1 << 2,
    BARRIER_WATCH = 1 << 3
};
#define BARRIER_MODES (BARRIER_BOTH | BARRIER_OLD)
#define BARRIER_FLAGS (BARRIER_SHUT | BARRIER_WATCH)
_Static_assert(BARRIER_OFF == 0, "gc_store of gcheap.h calls the barrier if the byte is not 0");
_Static_assert(!(BARRIER_FLAGS & BARRIER_MODES), "a flag is no part of a mode");

/* Sets the barrier's mode. Owner or claimant. */
INLINE void thread_set_barrier(gc_thread *t, enum barrier_mode mode)
{
    t->fast.barrier = (uint8_t)(mode | (t->fast.barrier & BARRIER_FLAGS));
}
/* Whether the thread's stores shade. */
INLINE bool thread_shades(const gc_thread *t)
{
    return t->fast.barrier & BARRIER_MODES;
}

/* Asks the thread to come to its slow path soon. Any thread. I1: an exchange, because a store would
 * hide what another thread published before its request. */
INLINE void thread_request_poll(gc_thread *t)
{
    u8_exchange_release(&t->fast.poll, 1);
}

#define MUTATORS_FORK_RANKS LOCK_BIT(LOCK_REGISTRY)
extern const struct fork_part mutators_fork;

void mutators_init(struct mutators *m, bool (*reap)(gc_thread *t));
/* Frees the structs of threads that left. */
void mutators_destroy(struct mutators *m);

/* A struct of a thread that left, or NULL. */
gc_thread *mutators_take_spare_locked(struct mutators *m);
void mutators_give_spare_locked(struct mutators *m, gc_thread *t);
/* Detaches the thread if it has ended while it was attached; see attach_reap. */
INLINE bool mutators_reap(gc_thread *t)
{
    return t->heap->mutators.reap(t);
}
void mutators_link_locked(struct mutators *m, gc_thread *t);
void mutators_unlink_locked(struct mutators *m, gc_thread *t);

/* Called when a thread or P has done what a handshake asks, or has blocked: wakes the collector, if
 * it sleeps until that. */
void mutators_wake_collector(struct mutators *m);

#endif
