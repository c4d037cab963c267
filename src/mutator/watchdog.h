/* Tells which thread keeps a handshake waiting, if that is its fault. A thread to which the system
 * gives no processor cannot come to a safepoint; a thread that runs, or sleeps, could.
 */
#ifndef GC_WATCHDOG_H
#define GC_WATCHDOG_H

#include "mutator/barrier.h"

/* What is known of a thread while somebody waits for it. Zero at first. */
struct watch {
    uint64_t since;            /* the first look; 0: none yet */
    uint64_t cpu;              /* what the thread had used then */
    uint64_t rests_since;      /* no look since then has found that it ran */
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
/* Looks at the thread (NULL: none) and says in the log what it found, once for each request that
 * the thread does not answer. Called by the thread that waits for it. */
void watchdog_look(struct watch *w, gc_heap *heap, gc_thread *t);

#endif
