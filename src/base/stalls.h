/* What keeps a mutator from going on, for a listener of the benchmarks': each piece of work for the
 * collector, and each wait for the library, with its begin and end. Without a listener a piece
 * costs a load; the clock is read for the listener only. No heap state. */
#ifndef GC_STALLS_H
#define GC_STALLS_H

#include "base/atomics.h"
#include "base/os.h"

enum stall_kind {
    STALL_HANDSHAKE, /* an answer */
    STALL_ASSIST,    /* marking that an allocation owes */
    STALL_SWEEP,     /* sweeping that an allocation owes, or does for cells or pages */
    STALL_DRIVE,     /* a cycle, or a part of one, that an allocation drives */
    STALL_PROC,      /* a wait for a P */
    STALL_CLAIM,     /* a wait for the end of a claim */
    STALL_HELD,      /* the world is held */
    STALL_HELD_BACK, /* a wait for the cycle, the heap being far beyond its goal */
    STALL_LOCK,      /* a wait for a lock of the library's */
    STALL_KINDS
};

/* Called on the thread that was kept. Times are those of os_now_ns(). */
typedef void stall_listener(enum stall_kind kind, uint64_t begin, uint64_t end);
/* NULL: none. Set before any heap is made. */
void stalls_listen(stall_listener *listener);

extern stall_listener *stalls_listener; /* atomic */

/* Around a wait: 0 if nobody listens. */
INLINE uint64_t stall_begin(void)
{
    return UNLIKELY(ptr_load_relaxed(&stalls_listener) != NULL) ? os_now_ns() : 0;
}
void stall_tell(enum stall_kind kind, uint64_t begin, uint64_t end);
INLINE void stall_end(enum stall_kind kind, uint64_t begin)
{
    if (UNLIKELY(begin))
        stall_tell(kind, begin, os_now_ns());
}
/* The same for a piece that was timed, and is over. */
INLINE void stall_was(enum stall_kind kind, uint64_t ns)
{
    uint64_t end = stall_begin();
    if (UNLIKELY(end))
        stall_tell(kind, end - ns, end);
}

#endif
