/* Grey work: buffers of object addresses, filled and emptied by one thread each, and the queue of
 * full ones that all markers share.
 *
 * Termination is one word: {queued buffers, active workers}. A worker that takes a buffer becomes
 * active in the same CAS, and stays so while it holds any grey object; so the word is 0 only if no
 * buffer is queued and no worker holds grey (I5). */
#ifndef GC_WORKBUF_H
#define GC_WORKBUF_H

#include "base/freelist.h"
#include "base/lock.h"

#define WORKBUF_ITEMS 254

struct workbuf {
    union {
        struct workbuf *next;
        struct freelist_node free;
    };
    uint32_t n, room; /* items; no more than that many are put in */
    uintptr_t items[WORKBUF_ITEMS];
};

struct workqueue {
    struct lock lock CACHE_ALIGNED;
    struct workbuf *queued;  /* under lock */
    struct freelist free;    /* taken from under lock */
    word nfree;              /* atomic; counted after it is given */
    size_t made;             /* under lock */
    uint32_t room;           /* of the buffers made */
    struct workbuf *batches; /* what `free` was made from; under lock */
    /* queued << 32 | active (16 bits each on 32-bit hosts). Changed by CAS only. */
    word load CACHE_ALIGNED;
    uint32_t waiters;  /* workers with nothing to do */
    uint32_t sleepers; /* those of them that sleep on `wakeups`, or are about to */
    uint32_t asked;    /* someone who does not wait found nothing to do */
    uint32_t wakeups;
    struct workbuf *doubtful; /* see workqueue_put_off; under lock */
    bool puts_off;            /* under lock */
};

void workqueue_init(struct workqueue *q);
/* Before first use: buffers hold this many items only (a switch for tests). */
void workqueue_set_room(struct workqueue *q, uint64_t items);
void workqueue_destroy(struct workqueue *q);

/* An empty buffer; waits for memory if there is none (marking cannot stop half-way). */
struct workbuf *workbuf_get(struct workqueue *q);
void workbuf_put_empty(struct workqueue *q, struct workbuf *b);

/* Queues a buffer that is not empty. Any thread. */
void workqueue_push(struct workqueue *q, struct workbuf *b);

/* Words that may be addresses are put off from the beginning of a cycle until ROOTS is complete
 * (I15). They are no work as yet. */
void workqueue_begin_putting_off(struct workqueue *q);
/* Any thread. false: ROOTS is complete, and the caller is to look at them itself. */
bool workqueue_put_off(struct workqueue *q, struct workbuf *b);
/* All buffers, linked. */
struct workbuf *workqueue_end_putting_off(struct workqueue *q);

/* Takes a buffer. The caller is active already (`active`), or becomes so if it gets one. */
struct workbuf *workqueue_pop(struct workqueue *q, bool active);
/* The caller holds no grey any more. Returns whether the word is 0 now. */
bool workqueue_retire(struct workqueue *q);
/* Whether the word is 0. */
bool workqueue_is_idle(const struct workqueue *q);
bool workqueue_has_work(const struct workqueue *q);
/* Becomes active without a buffer: root jobs. */
void workqueue_activate(struct workqueue *q);
/* Until there may be work, or timeout_ns; with `until_idle` also until the word is 0. Looks for
 * some microseconds, as long as it takes to be woken, then sleeps. */
void workqueue_wait(struct workqueue *q, int64_t timeout_ns, bool until_idle);
void workqueue_wake_all(struct workqueue *q);
/* The same, if there are any. */
void workqueue_wake_waiters(struct workqueue *q);
/* Asks those who work to share, and does not wait. */
void workqueue_ask(struct workqueue *q);
/* Whether the queue is empty and someone waits or has asked. */
bool workqueue_is_wanted(const struct workqueue *q);
/* Gives buffers back to the OS, but for a few, if nobody has one. */
void workqueue_trim(struct workqueue *q);

#endif
