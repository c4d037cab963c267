/* Mutators: threads attached to a heap.
 *
 * The state word of a thread is {epoch of the last handshake it has done : 30, state : 2}.
 *   RUN      it runs managed code and holds a P
 *   BLOCKED  it is in a blocking region or waits for a P; the collector may claim it
 *   CLAIMED  the collector works on its behalf; leaving the region waits for the end of that
 *   GONE     it detached
 * RUN -> BLOCKED and BLOCKED -> RUN by the thread, BLOCKED <-> CLAIMED by the collector. One word,
 * so that claim and leave are decided by one CAS (I3).
 */
#ifndef GC_THREAD_H
#define GC_THREAD_H

#include "mutator/proc.h"
#include "mutator/stack.h"
#include "mutator/workbuf.h"
#include "base/stats.h"

enum thread_state { THREAD_RUN, THREAD_BLOCKED, THREAD_CLAIMED, THREAD_GONE };
#define THREAD_STATE_MASK 3u
#define EPOCH_BITS 30
#define EPOCH_MASK ((1u << EPOCH_BITS) - 1)

INLINE enum thread_state state_of(uint32_t st)
{
    return (enum thread_state)(st & THREAD_STATE_MASK);
}
INLINE uint32_t epoch_of(uint32_t st)
{
    return st >> 2;
}
INLINE uint32_t state_word(uint32_t epoch, enum thread_state state)
{
    return epoch << 2 | state;
}
/* Whether epoch a is b or later; epochs wrap. */
INLINE bool epoch_reached(uint32_t a, uint32_t b)
{
    return ((a - b) & EPOCH_MASK) < 1u << (EPOCH_BITS - 1);
}

/* Where in the cycle a mutator is, in its own view. */
enum thread_phase { PHASE_IDLE, PHASE_ARM, PHASE_MARK, PHASE_DONE };

/* gc_fast.barrier: a mode, and perhaps the flag that the thread must not store. */
enum barrier_mode { BARRIER_OFF, BARRIER_BOTH, BARRIER_OLD, BARRIER_SHUT = 1 << 2 };

struct gc_fiber {
    gc_heap *heap;
    struct rootset roots;
    uint32_t state;        /* enum fiber_state; atomic */
    uint32_t scanned;      /* cycle in which its roots were blackened; see fiber.c */
    struct stack *stack;   /* malloc'ed; NULL: it has none that is known. Its user's, as `roots` */
    gc_fiber *next, *prev; /* of the heap; under LOCK_FIBERS */
};

/* Unless marked, a field belongs to the thread, and to the collector while it has CLAIMED it. */
struct gc_thread {
    struct gc_fast fast; /* first: gc_self points here. poll: atomic, set by anyone */
    gc_heap *heap;
    uint32_t st;                     /* state word; atomic */
    uint32_t waits;                  /* it sleeps on st, or is about to; the thread's; atomic */
    uint32_t epoch;                  /* the thread's copy of its epoch */
    uint8_t phase;                   /* enum thread_phase */
    unsigned blocking;               /* depth of gc_blocking_begin */
    bool left_told;                  /* it was said that a frame was left in the chain */
    unsigned calls_back;             /* depth of self_calls_back() */
    struct gc_run *runs_meanwhile;   /* fast.runs before that */
    struct gc_frame *frames_blocked; /* fast.frames when its blocking region began */
    struct proc *proc;               /* held while RUN */
    struct proc *last_proc;
    word shaded_objects, shaded_bytes; /* without references, since it last handed over */
    struct workbuf *grey;              /* objects this thread's barriers shaded; NULL: none yet */
    struct rootset roots;
    gc_fiber *fiber; /* the fiber it runs; NULL: its own root set */
    struct stacks stacks;
    uint64_t slice_start;  /* when it got its P */
    const char *last_call; /* a hint for messages; atomic */
    uint32_t blamed;       /* the request, an epoch + 1, for which the watchdog has named it; the
                              collector's */
    char name[32];         /* under LOCK_REGISTRY, as is os_id */
    uint64_t os_id;
    struct os_life life; /* from attaching to detaching (I28) */
    struct thread_times times;
    struct proc_waiter waiter;
    gc_thread *next, *prev;   /* of the heap; under LOCK_REGISTRY */
    gc_thread *next_attached; /* of the OS thread; its own */
};

/* I21: whether the calling OS thread runs in no other heap than this one; NULL: in none. Asserted
 * wherever a thread may wait for a heap. */
bool thread_may_wait_for(const gc_heap *heap);

/* Before a heap is made; one thread at a time. 0; -EAGAIN: all keys are in use; -ENOMEM. */
int thread_make_key(void);

/* Sets the barrier's mode. Owner or claimant. */
INLINE void thread_set_barrier(gc_thread *t, enum barrier_mode mode)
{
    t->fast.barrier = (uint8_t)(mode | (t->fast.barrier & BARRIER_SHUT));
}

/* 0; -EEXIST, -ENOMEM, -EPERM: an orphan, or the thread has all but ended. */
/* Both leave the current heap, in which the thread then counts as blocked at `caller`: the
 * STACK_CALLER() of the public call. */
int thread_attach(gc_heap *heap, uintptr_t caller);
/* The current attachment; -EBUSY with open frames or a running fiber, unless forced. */
int thread_detach(gc_thread *t, bool force);
int thread_switch(gc_heap *heap, uintptr_t caller);
/* Detaches the calling OS thread from every heap; what its frames held is gone. */
void thread_leave_all(void);

/* For messages; cut to what fits. */
void thread_set_name(gc_thread *t, const char *name);

/* If the thread has ended while it was attached, in a way that left nobody to detach it, it is
 * detached on its behalf (I28). Whether that was done. Any thread that holds no lock from
 * LOCK_REGISTRY on. */
bool thread_bury(gc_thread *t);
/* All threads of the heap that have ended so, but for those that are claimed. */
void thread_bury_all(gc_heap *heap);

/* The slow path of every safepoint: handshakes, holds, the P's time slice. */
void thread_safepoint(gc_thread *t);
INLINE void thread_poll(gc_thread *t)
{
    if (UNLIKELY(u8_load_relaxed(&t->fast.poll)))
        thread_safepoint(t);
}

/* To BLOCKED and back. Entering is a safepoint and gives up the P; leaving takes one, and is a
 * safepoint. `caller` is the STACK_CALLER() of the function that the thread is in all the while. */
void thread_enter_blocked(gc_thread *t, uintptr_t caller);
void thread_leave_blocked(gc_thread *t);
/* gc_blocking_begin() and _end(): the same, counted. */
void thread_blocking_begin(gc_thread *t, uintptr_t caller);
void thread_blocking_end(gc_thread *t);

/* Asks the thread to come to its slow path soon. Any thread. */
INLINE void thread_request_poll(gc_thread *t)
{
    u8_store_release(&t->fast.poll, 1);
}

/* The thread, whose code stands at `caller`, is about to leave the fiber it runs or its own set. */
void thread_leave_stack(gc_thread *t, uintptr_t caller);
/* A block ends whose frame is not the innermost. */
void thread_frame_error(gc_thread *t, const struct gc_frame *frame, uintptr_t caller);
/* A chain of frames is broken: what lies behind cannot be found, and would be lost. NULL: that of a
 * suspended fiber. */
_Noreturn void thread_panic_on_frames(const gc_heap *heap, const gc_thread *t, const char *fault);
/* A thread ends inside a fiber: the fiber is suspended. See fiber.h. */
void fiber_abandon(gc_thread *t);

/* How many open frames of the calling thread are such, its own and its fiber's. It stands at
 * `caller` or deeper. */
size_t thread_count_frames(const gc_thread *t, bool (*is_such)(const struct gc_frame *),
                           uintptr_t caller);
/* Visits the thread's roots: its own set, its fiber's, its C stack. Owner or claimant. */
void thread_visit_roots(gc_thread *t, struct gc_tracer *tracer);

/* Whether threads other than the calling one are attached. For the child of a fork: no lock. */
bool thread_has_others(const gc_heap *heap);
/* In the child of a fork: the other threads are gone. World held, by a thread since gone. */
void thread_after_fork_in_child(gc_heap *heap);
/* The calling thread's attachments to orphans end. */
void thread_leave_orphans(void);
/* Frees the structs of threads that left. */
void thread_free_spares(gc_heap *heap);

#endif
