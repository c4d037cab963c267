#include "mutator/workbuf.h"
#include "mutator/heap.h"
#include "base/options.h"
#include "base/os.h"

#define QUEUED_SHIFT 32
#define QUEUED_ONE ((uint64_t)1 << QUEUED_SHIFT)
#define ACTIVE_MASK (QUEUED_ONE - 1)
_Static_assert(PROCS_MAX + MARK_WORKERS_MAX < ACTIVE_MASK, "all who mark at once can be counted");
#define KEEP_BUFFERS 16

/* So many buffers are made at a time; at first fewer, as each takes memory when it is made, and a
 * small heap needs no more. */
#define BATCH 32
#define BATCH_FIRST 4

void workqueue_init(struct workqueue *q)
{
    memset(q, 0, sizeof *q);
    lock_init(&q->lock, LOCK_WORKBUF);
    q->room = WORKBUF_ITEMS;
}

void workqueue_set_room(struct workqueue *q, uint64_t items)
{
    q->room = (uint32_t)MAX_OF(MIN_OF(items, (uint64_t)WORKBUF_ITEMS), (uint64_t)1);
}

static size_t batch_size(uint32_t n)
{
    return align_up((n + 1) * sizeof(struct workbuf), os_page_size());
}

/* Each batch begins with a header of the size of a buffer. It links the batches; its n is how many
 * buffers there are. */
static bool make_batch_locked(struct workqueue *q, uint32_t n)
{
    struct workbuf *batch = os_map(batch_size(n));
    if (!batch)
        return false;
    batch->next = q->batches;
    batch->n = n;
    q->batches = batch;
    for (uint32_t i = 1; i <= n; i++) {
        batch[i].room = q->room;
        freelist_give(&q->free, &batch[i].free);
    }
    word_fetch_add_relaxed(&q->nfree, n);
    q->made += n;
    return true;
}

static void free_batches(struct workqueue *q)
{
    while (q->batches) {
        struct workbuf *batch = q->batches;
        q->batches = batch->next;
        os_unmap(batch, batch_size(batch->n));
    }
    q->free = (struct freelist){0};
    q->nfree = q->made = 0;
}

void workqueue_destroy(struct workqueue *q)
{
    free_batches(q);
}

void workqueue_trim(struct workqueue *q)
{
    lock_acquire(&q->lock);
    if (word_load_acquire(&q->nfree) == q->made && q->made > BATCH) {
        free_batches(q);
        make_batch_locked(q, BATCH); /* else a mutator's handshake would */
    }
    lock_release(&q->lock);
}

static struct workbuf *take_locked(struct workqueue *q)
{
    LOCK_ASSERT_HELD(&q->lock);
    struct freelist_node *node = freelist_take(&q->free);
    if (!node && make_batch_locked(q, q->made ? BATCH : BATCH_FIRST))
        node = freelist_take(&q->free);
    if (!node)
        return NULL;
    struct workbuf *b = CONTAINER_OF(node, struct workbuf, free);
    word_fetch_sub_relaxed(&q->nfree, 1);
    b->next = NULL;
    b->n = 0;
    return b;
}

struct workbuf *workbuf_get(struct workqueue *q)
{
    for (;;) {
        lock_acquire(&q->lock);
        struct workbuf *b = take_locked(q);
        lock_release(&q->lock);
        if (b)
            return b;
        os_sleep_ns(1000 * 1000);
    }
}

void workbuf_put_empty(struct workqueue *q, struct workbuf *b)
{
    freelist_give(&q->free, &b->free);
    word_fetch_add_release(&q->nfree, 1);
}

static void load_add(struct workqueue *q, uint64_t delta)
{
    uint64_t old = u64_load_relaxed(&q->load);
    while (!u64_cas_relaxed(&q->load, old, old + delta))
        old = u64_load_relaxed(&q->load);
}

static void queue_locked(struct workqueue *q, struct workbuf *b, bool last)
{
    LOCK_ASSERT_HELD(&q->lock);
    if (last && q->queued) {
        b->next = NULL;
        q->last->next = b;
        q->last = b;
        return;
    }
    if (!q->queued)
        q->last = b;
    b->next = q->queued;
    q->queued = b;
}

static void queue(struct workqueue *q, struct workbuf *b, bool last)
{
    ASSERT(b->n > 0);
    lock_acquire(&q->lock);
    queue_locked(q, b, last);
    load_add(q, QUEUED_ONE);
    lock_release(&q->lock);
    u32_store_relaxed(&q->asked, 0);
    fence_seq_cst(); /* for sleepers (I54), and before what the caller reports (I6) */
    if (u32_load_relaxed(&q->sleepers)) {
        u32_fetch_add_relaxed(&q->wakeups, 1);
        os_wake(&q->wakeups, 1);
    }
}

void workqueue_push(struct workqueue *q, struct workbuf *b)
{
    queue(q, b, false);
}

void workqueue_append(struct workqueue *q, struct workbuf *b)
{
    queue(q, b, true);
}

void workqueue_begin_deferring(struct workqueue *q)
{
    lock_acquire(&q->lock);
    ASSERT(!q->ambiguous);
    q->puts_off = true;
    lock_release(&q->lock);
}

bool workqueue_defer(struct workqueue *q, struct workbuf *b)
{
    lock_acquire(&q->lock);
    bool yes = q->puts_off;
    if (yes) {
        b->next = q->ambiguous;
        q->ambiguous = b;
    }
    lock_release(&q->lock);
    return yes;
}

struct workbuf *workqueue_end_deferring(struct workqueue *q)
{
    lock_acquire(&q->lock);
    struct workbuf *all = q->ambiguous;
    q->ambiguous = NULL;
    q->puts_off = false;
    lock_release(&q->lock);
    return all;
}

void workqueue_ask(struct workqueue *q)
{
    u32_store_relaxed(&q->asked, 1);
}

bool workqueue_is_wanted(const struct workqueue *q)
{
    return (u32_load_relaxed(&q->waiters) || u32_load_relaxed(&q->asked)) && !workqueue_has_work(q);
}

struct workbuf *workqueue_pop(struct workqueue *q, bool active)
{
    if (!workqueue_has_work(q))
        return NULL;
    lock_acquire(&q->lock);
    struct workbuf *b = q->puts_off ? NULL : q->queued; /* I37 */
    if (b) {
        q->queued = b->next;
        load_add(q, (active ? (uint64_t)0 : (uint64_t)1) - QUEUED_ONE);
    }
    lock_release(&q->lock);
    return b;
}

void workqueue_activate(struct workqueue *q)
{
    load_add(q, 1);
}

bool workqueue_retire(struct workqueue *q)
{
    uint64_t old = u64_load_relaxed(&q->load);
    ASSERT((old & ACTIVE_MASK) > 0);
    while (!u64_cas_release(&q->load, old, old - 1))
        old = u64_load_relaxed(&q->load);
    return old == 1;
}

bool workqueue_is_idle(const struct workqueue *q)
{
    return u64_load_acquire(&q->load) == 0;
}

bool workqueue_has_work(const struct workqueue *q)
{
    return u64_load_relaxed(&q->load) >> QUEUED_SHIFT != 0;
}

#define SPINS 400

static bool comes_soon(const struct workqueue *q, uint32_t seen, bool until_idle)
{
    for (int i = 0; i < SPINS; i++) {
        if (workqueue_has_work(q) || u32_load_relaxed(&q->wakeups) != seen ||
            (until_idle && workqueue_is_idle(q)))
            return true;
        cpu_relax();
    }
    return false;
}

static void sleep_for_work(struct workqueue *q, uint32_t seen, int64_t timeout_ns)
{
    u32_fetch_add_relaxed(&q->sleepers, 1);
    fence_seq_cst();
    if (!workqueue_has_work(q))
        os_wait(&q->wakeups, seen, timeout_ns);
    u32_fetch_sub_relaxed(&q->sleepers, 1);
}

void workqueue_wait(struct workqueue *q, int64_t timeout_ns, bool until_idle)
{
    uint32_t seen = u32_load_acquire(&q->wakeups);
    u32_fetch_add_relaxed(&q->waiters, 1);
    if (!comes_soon(q, seen, until_idle))
        sleep_for_work(q, seen, timeout_ns);
    u32_fetch_sub_relaxed(&q->waiters, 1);
}

void workqueue_await_end(struct workqueue *q, int64_t ns)
{
    uint32_t seen = u32_load_relaxed(&q->ends);
    u32_store_relaxed(&q->end_wanted, 1);
    fence_seq_cst();
    if (!workqueue_is_idle(q))
        os_wait(&q->ends, seen, ns);
    u32_store_relaxed(&q->end_wanted, 0);
}

void workqueue_wake_waiters(struct workqueue *q)
{
    fence_seq_cst(); /* I54: workqueue_await_end sees the 0, or its wait is seen */
    if (u32_load_relaxed(&q->end_wanted)) {
        u32_fetch_add_relaxed(&q->ends, 1);
        os_wake(&q->ends, OS_WAKE_ALL);
    }
    if (u32_load_relaxed(&q->sleepers))
        workqueue_wake_all(q);
}

void workqueue_wake_all(struct workqueue *q)
{
    u32_fetch_add_release(&q->wakeups, 1);
    os_wake(&q->wakeups, OS_WAKE_ALL);
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->work.lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->work.lock);
}

static void forget(gc_heap *heap)
{
    heap->work.waiters = heap->work.sleepers = 0;
}

const struct fork_part workbuf_fork = {WORKBUF_FORK_RANKS, .seize = seize, .forget = forget,
                                       .release = release};
