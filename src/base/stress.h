/* Random waits at marked points, from a seed. They widen the intervals in which threads may meet
 * (the switch delay of GCHEAP_DEBUG). The points are on slow paths only, and cost a load there. */
#ifndef GC_STRESS_H
#define GC_STRESS_H

#include "base/atomics.h"
#include "base/os.h"

enum stress_point {
    STRESS_SAFEPOINT_CLEARED,
    STRESS_CATCH_UP,
    STRESS_THREAD_OP_DONE,
    STRESS_PROC_OP_DONE,
    STRESS_ENTER_BLOCKED,
    STRESS_PROC_RELEASED,
    STRESS_BLOCKED,
    STRESS_LEAVE_BLOCKED,
    STRESS_RUNNING_AGAIN,
    STRESS_CLAIMED,
    STRESS_UNCLAIM,
    STRESS_PUBLISHED,
    STRESS_POLLS_SET,
    STRESS_PROC_CLAIMED,
    STRESS_PROC_MADE,
    STRESS_GRANT,
    STRESS_ENQUEUED,
    STRESS_LENT,
    STRESS_ATTACH_ADOPTED,
    STRESS_DETACH,
    STRESS_LEFT,
    STRESS_HELD,
    STRESS_BARRIER_LOADED,
    STRESS_BARRIER_SHADED,
    STRESS_HAND_OVER,
    STRESS_QUEUE_PUSH,
    STRESS_QUEUE_POP,
    STRESS_CALLBACK_AWAITED,
    STRESS_ROOTS_VISITED,
    STRESS_LEFT_TO_MUTATORS,
    STRESS_DRAINED,
    STRESS_FLUSHED,
    STRESS_CUT,
    STRESS_DISARMED,
    STRESS_FLIP,
    STRESS_SWEEP_ENTER,
    STRESS_SWEEP_SPAN,
    STRESS_SWEEP_FILE,
    STRESS_SWEEP_AWAITED,
    STRESS_RECLAIM,
    STRESS_REFILL,
    STRESS_RUN_OPEN,
    STRESS_RUN_MARKED,
    STRESS_RUN_READ,
    STRESS_RUN_LIMIT,
    STRESS_LARGE,
    STRESS_CELL_FOUND,
    STRESS_CACHE_SPAN,
    STRESS_UNCACHE,
    STRESS_SPAN_FRESH,
    STRESS_SPAN_FREE,
    STRESS_FIBER_TAKEN,
    STRESS_FIBER_LEFT,
    STRESS_FIBER_CLAIMED,
    STRESS_FIBERS_UNLOCKED,
    STRESS_TAIL_FOUND,
    STRESS_WEAK_LOADED,
    STRESS_WEAK_LOOK,
    STRESS_WEAK_WALKED,
    STRESS_WEAK_SLOT,
    STRESS_WEAK_MARK,
    STRESS_WEAK_AGAIN,
    STRESS_WEAK_UNMARKED,
    STRESS_WEAK_GET,
    STRESS_WEAK_PARTING,
    STRESS_WEAK_PARTED,
    STRESS_WEAK_CLEAR,
    STRESS_SPECIAL,
    STRESS_CYCLE_WANTED,
    STRESS_CYCLE_LEFT,
    STRESS_MAY_SLEEP,
    STRESS_SERVICE_STARTS,
    STRESS_GROWN,
    STRESS_EVENT_WORD,
    STRESS_EVENT_READ
};

extern word stress_seed; /* 0: off; atomic */
void stress_seed_set(uint64_t seed);
/* Instead of a random wait, `stop` is called at each point, so that a test decides how threads
 * meet. Set before any heap is made. */
void stress_stop_set(void (*stop)(enum stress_point point));
void stress_wait(enum stress_point point);

INLINE void stress(enum stress_point point)
{
    if (UNLIKELY(word_load_relaxed(&stress_seed)))
        stress_wait(point);
}

#endif
