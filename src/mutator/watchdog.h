/* Tells which thread keeps a handshake waiting, if that is its fault. A thread to which the OS
 * gives no processor cannot reach a safepoint; a thread that runs, or sleeps, could. */
#ifndef GC_WATCHDOG_H
#define GC_WATCHDOG_H

#include "mutator/heap.h"

/* What is known of a thread while another one waits for it. Zero at first. */
struct watch {
    uint64_t since;            /* time of the first look; 0: none yet */
    uint64_t cpu;              /* CPU time that the thread had used then */
    uint64_t rests_since;      /* every look since then found it asleep */
    struct os_thread_look was; /* what the last look found */
};

enum verdict_of_watch {
    WATCH_INNOCENT, /* as far as is known */
    WATCH_RAN,      /* it has run for as long as the watchdog waits */
    WATCH_SLEPT,    /* it has slept all the while */
    WATCH_LATE      /* the OS does not tell what it did */
};

/* Judges another look at a thread, at the time `now`, for a watchdog that waits for `limit` ns.
 * `look` NULL: the OS does not tell. */
enum verdict_of_watch watchdog_judge(struct watch *w, uint64_t now, uint64_t limit,
                                     const struct os_thread_look *look);
/* Looks at the thread (NULL: none), and writes what it finds to the log, once for each request that
 * the thread does not answer. The thread that waits for it calls this. */
void watchdog_look(struct watch *w, gc_heap *heap, gc_thread *t);
/* A thread that was named comes to a safepoint: tells where, by the frames from `sp` on. */
COLD void watchdog_tell_arrival(gc_thread *t, uintptr_t sp);

#endif
