/* What keeps a mutator from going on: each piece of work for the collector, and each wait for the
 * library, with its begin and end, for a listener (the event trace, or the benchmarks'). Without
 * one a piece costs a load. No heap state. */
#ifndef GC_STALLS_H
#define GC_STALLS_H

#include "base/atomics.h"
#include "base/os.h"
#include "base/probe.h"

/* The kinds: their names are those of events and probes. */
#define STALLS(KIND)                                                                               \
    KIND(HANDSHAKE, handshake) /* an answer */                                                     \
    KIND(ASSIST, assist)       /* marking that an allocation owes */                               \
    KIND(SWEEP, sweep)         /* sweeping that an allocation owes, or does for cells or pages */  \
    KIND(DRIVE, drive)         /* a cycle, or a part of one, that an allocation drives */          \
    KIND(PROC, proc)           /* a wait for a P */                                                \
    KIND(CLAIM, claim)         /* a wait for the end of a claim */                                 \
    KIND(HELD, held)           /* the world is held */                                             \
    KIND(HELD_BACK, held_back) /* a wait for the cycle, the heap being far beyond its goal */      \
    KIND(LOCK, lock)           /* a wait for a lock of the library's */

#define STALL_KIND(KIND, name) STALL_##KIND,
enum stall_kind { STALLS(STALL_KIND) STALL_KINDS };
#undef STALL_KIND

/* Called on the thread that was kept. Times are those of os_now_ns(). */
typedef void stall_listener(enum stall_kind kind, uint64_t begin, uint64_t end);
/* NULL: none. A stall that goes on meanwhile may be told to the one before. */
void stalls_listen(stall_listener *listener);

extern stall_listener *stalls_listener; /* atomic */

/* Around a wait: 0 if nobody listens, and no probe can be set. */
INLINE uint64_t stall_begin(void)
{
    return UNLIKELY(HAS_PROBES || ptr_load_relaxed(&stalls_listener) != NULL) ? os_now_ns() : 0;
}
void stall_tell(enum stall_kind kind, uint64_t begin, uint64_t end);
INLINE void stall_end(enum stall_kind kind, uint64_t begin)
{
    if (UNLIKELY(begin))
        stall_tell(kind, begin, os_now_ns());
}
/* The same for a piece that was timed. */
INLINE void stall_was(enum stall_kind kind, uint64_t begin, uint64_t ns)
{
    if (UNLIKELY(HAS_PROBES || ptr_load_relaxed(&stalls_listener) != NULL))
        stall_tell(kind, begin, begin + ns);
}

#endif
