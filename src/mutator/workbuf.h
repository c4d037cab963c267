/* Grey work: buffers of object addresses, each filled and emptied by one thread; and the queue of
 * full ones, which all markers share.
 *
 * One word decides about termination: {queued buffers, active markers}. A marker that takes a
 * buffer becomes active in the same CAS, and stays active while it holds any grey object. So the
 * word is 0 only if no buffer is queued and no marker holds a grey object (I5). */
#ifndef GC_WORKBUF_H
#define GC_WORKBUF_H

#include "base/freelist.h"
#include "base/forkpart.h"

#define WORKBUF_ITEMS 254

struct workbuf {
    union {
        struct workbuf *next;
        struct freelist_node free;
    };
    uint32_t n, room; /* items, and how many may be put in */
    uintptr_t items[WORKBUF_ITEMS];
};

struct workqueue {
    struct lock lock CACHE_ALIGNED;
    struct workbuf *queued;  /* under lock */
    struct workbuf *last;    /* of `queued`, if there are any; under lock */
    struct freelist free;    /* under lock to take from it */
    word nfree;              /* buffers in `free`; atomic; added after they are given */
    size_t made;             /* under lock */
    uint32_t room;           /* of each buffer */
    struct workbuf *batches; /* the memory of all buffers; under lock */
    /* queued << 32 | active, on every host: as many buffers are queued as there are objects and
     * roots for. Changed by CAS only. */
    u64 load CACHE_ALIGNED;
    uint32_t waiters;  /* markers with nothing to do */
    uint32_t sleepers; /* waiters that sleep on `wakeups`, or are about to */
    uint32_t asked;    /* a thread that does not wait found nothing to do */
    uint32_t wakeups;
    uint32_t ends; /* futex; increased when the word has become 0, and a thread waits for it */
    uint32_t end_wanted;       /* a thread sleeps on `ends`, or is about to */
    struct workbuf *ambiguous; /* see workqueue_defer; under lock */
    bool puts_off;             /* under lock */
};

#define WORKBUF_FORK_RANKS LOCK_BIT(LOCK_WORKBUF)
extern const struct fork_part workbuf_fork;

void workqueue_init(struct workqueue *q);
/* Before the first use: buffers shall hold only so many items (a switch for tests). */
void workqueue_set_room(struct workqueue *q, uint64_t items);
void workqueue_destroy(struct workqueue *q);

/* Gets an empty buffer. If there is no memory it waits for some, as marking cannot stop
 * half-way. */
struct workbuf *workbuf_get(struct workqueue *q);
void workbuf_put_empty(struct workqueue *q, struct workbuf *b);

/* Queues a buffer that is not empty. Any thread. */
void workqueue_push(struct workqueue *q, struct workbuf *b);
/* The same, but the buffer is taken after all those that are queued. */
void workqueue_append(struct workqueue *q, struct workbuf *b);

/* From the beginning of a cycle until ROOTS is complete, words that may be addresses are put off
 * (I15), and nobody gets a queued buffer (I37). Such words do not count as work. */
void workqueue_begin_deferring(struct workqueue *q);
/* Any thread. false: ROOTS is complete, and the caller has to look at the words itself. */
bool workqueue_defer(struct workqueue *q, struct workbuf *b);
/* Returns all buffers that were put off, linked. */
struct workbuf *workqueue_end_deferring(struct workqueue *q);

/* Takes a buffer, if ROOTS is complete. The caller is active already (`active`), or becomes so if
 * it gets one. */
struct workbuf *workqueue_pop(struct workqueue *q, bool active);
/* Called when the caller, who is active, holds no grey objects any more. Returns whether the word
 * is 0. */
bool workqueue_retire(struct workqueue *q);
/* Whether the word is 0. */
bool workqueue_is_idle(const struct workqueue *q);
bool workqueue_has_work(const struct workqueue *q);
/* The caller becomes active without a buffer, to mark roots. */
void workqueue_activate(struct workqueue *q);
/* Waits until there may be work, for timeout_ns at most; with `until_idle` also until the word is
 * 0. It spins for some microseconds, as long as it takes to be woken, and then sleeps. */
void workqueue_wait(struct workqueue *q, int64_t timeout_ns, bool until_idle);
/* Sleeps until the word is 0, for `ns` at most. One thread at a time. */
void workqueue_await_end(struct workqueue *q, int64_t ns);
void workqueue_wake_all(struct workqueue *q);
/* Called when the word has become 0: wakes the threads that sleep until then, if there are any. */
void workqueue_wake_waiters(struct workqueue *q);
/* Asks the markers to share their work, and does not wait. */
void workqueue_ask(struct workqueue *q);
/* Whether the queue is empty and a thread waits or has asked. */
bool workqueue_is_wanted(const struct workqueue *q);
/* If no thread has a buffer, gives all but a few back to the OS. */
void workqueue_trim(struct workqueue *q);

#endif
