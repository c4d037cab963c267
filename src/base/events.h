/* The event trace: what the threads of the process did for the collector, and what the cycles of
 * its heaps did. Each thread notes its events in a ring of its own, which keeps the last ones.
 * While nothing is recorded, an event costs a load. */
#ifndef GC_EVENTS_H
#define GC_EVENTS_H

#include "base/stalls.h"

/* Besides the kinds of stalls. */
enum event_kind {
    EVENT_MARK = STALL_KINDS, /* a thread of the library's marks; heap */
    EVENT_BACK_SWEEP,         /* or sweeps; heap */
    EVENT_STEP,               /* heap, enum step, number of the cycle */
    EVENT_CYCLE,              /* heap, enum gc_cause, number of the cycle */
    EVENT_SIZE,               /* heap, size, goal: at its end */
    EVENT_KINDS
};

struct event {
    uint64_t begin, end; /* os_now_ns() */
    uint64_t kind;       /* enum stall_kind or event_kind */
    uint64_t thread;     /* os_thread_id() */
    uint64_t heap;       /* its number; 0: not known */
    uint64_t x, y;
};
#define EVENT_WORDS 7

/* How many events of a thread are kept: a power of two. */
#define EVENTS_KEPT 8192

/* Records from now on, and forgets what was recorded; or records no more. */
void events_record(bool on);
extern u64 events_since; /* 0: nothing is recorded; atomic */
INLINE bool events_are_on(void)
{
    return UNLIKELY(u64_load_relaxed(&events_since) != 0);
}
bool events_were_recorded(void);
void event_note(const struct event *e);

/* Around a piece of work: 0 if nothing is recorded. */
INLINE uint64_t event_begin(void)
{
    return events_are_on() ? os_now_ns() : 0;
}
void event_end(enum event_kind kind, uint64_t begin, uint64_t heap);

/* Calls fn for the events that are kept, those of a thread in the order of their ends, until it
 * returns false. Threads may note others meanwhile. */
void events_each(bool (*fn)(void *arg, const struct event *e), void *arg);

/* What the calling thread is, if it is the library's: a string that stays. */
void events_title(const char *title);
/* Calls fn for each thread of the library's that has noted an event. */
void events_each_title(void (*fn)(void *arg, uint64_t thread, const char *title), void *arg);
/* The calling thread's stalls are events from now on. It calls events_leave() before it ends. */
void events_join(void);
/* The calling thread notes nothing more for now: another thread may have its ring. */
void events_leave(void);

#endif
