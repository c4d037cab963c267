/* Who keeps a handshake waiting, and whether that is its fault. A thread to which the system gives
 * no processor cannot come to a safepoint; one that runs, or sleeps, could.
 */
#ifndef GC_WATCHDOG_H
#define GC_WATCHDOG_H

#include "barrier.h"

/* What is known of a thread while somebody waits for it. Zero at first. */
struct watch {
    uint64_t since;            /* the first look; 0: none yet */
    uint64_t cpu;              /* what the thread had used then */
    uint64_t rests_since;      /* of the looks since then none found that it had run */
    struct os_thread_look was; /* at the last look */
};

enum verdict_of_watch {
    WATCH_INNOCENT, /* as far as anyone knows */
    WATCH_RAN,      /* it had a processor for as long as the watchdog waits */
    WATCH_SLEPT,    /* it slept all the while */
    WATCH_LATE      /* the system does not tell what it did */
};

/* Another look at it, at `now`, by a watchdog that waits for `limit` ns. `look` NULL: the system
 * does not tell. */
enum verdict_of_watch watchdog_judge(struct watch *w, uint64_t now, uint64_t limit,
                                     const struct os_thread_look *look);
/* Looks at the thread (NULL: nobody) and says in the log what it found: once for a request that the
 * thread does not answer. Whoever waits for it. */
void watchdog_look(struct watch *w, gc_heap *heap, gc_thread *t);

#endif
