#include "finq.h"
#include "collector.h"
#include <errno.h>

static struct finq *finq_of(const gc_heap *heap)
{
    return &heap->collector->finq;
}

void finq_init(gc_heap *heap)
{
    struct finq *q = finq_of(heap);
    lock_init(&q->lock, LOCK_FINQ);
    q->last = &q->first;
}

/* ---- The queue ---- */

void finq_batch_add(struct finq_batch *batch, struct special *r)
{
    r->next_queued = NULL;
    if (batch->last)
        batch->last->next_queued = r;
    else
        batch->first = r;
    batch->last = r;
    batch->count++;
}

static void kick_thread(struct finq *q)
{
    u32_fetch_add_acq_rel(&q->kicks, 1);
    os_wake(&q->kicks, OS_WAKE_ALL);
}

void finq_add(gc_heap *heap, const struct finq_batch *batch)
{
    struct finq *q = finq_of(heap);
    if (batch->count == 0)
        return;
    lock_acquire(&q->lock);
    *q->last = batch->first;
    q->last = &batch->last->next_queued;
    word_store_relaxed(&q->pending, q->pending + batch->count);
    void (*notify)(void *) = q->notify;
    void *arg = q->notify_arg;
    lock_release(&q->lock);
    if (ptr_load_relaxed(&q->lost))
        finq_start_thread(heap);
    if (heap->options.flags & GC_FINALIZER_THREAD)
        kick_thread(q);
    if (notify)
        notify(arg);
}

static struct special *take(struct finq *q)
{
    lock_acquire(&q->lock);
    struct special *r = q->first;
    if (r) {
        q->first = r->next_queued;
        if (!q->first)
            q->last = &q->first;
        word_store_relaxed(&q->pending, q->pending - 1);
    }
    lock_release(&q->lock);
    return r;
}

size_t finq_pending(gc_heap *heap)
{
    return word_load_relaxed(&finq_of(heap)->pending);
}

void finq_set_notify(gc_heap *heap, void (*fn)(void *arg), void *arg)
{
    struct finq *q = finq_of(heap);
    lock_acquire(&q->lock);
    q->notify = fn;
    q->notify_arg = arg;
    lock_release(&q->lock);
}

/* ---- Running ---- */

static void run_cleanup(gc_heap *heap, struct special *r)
{
    gc_cleanup_fn fn = r->cleanup.fn;
    void *arg = r->cleanup.arg;
    special_free(heap, r);
    fn(arg);
}

/* The record, which was a root, goes; this frame takes over, and shades as any root that goes does.
 * A longjmp out of fn finds nothing left to be done. */
static void run_finalizer(gc_thread *t, struct special *r)
{
    gc_finalizer_fn fn = r->finalizer.fn;
    void *arg = r->finalizer.arg, *object = (void *)r->object;
    void *base = (void *)mheap_object_base(&t->heap->mem, r->object);
    GC_FRAME(base);
    if (t->fast.barrier)
        barrier_shade(t, (uintptr_t)base);
    special_unqueue(t->heap, r);
    special_free(t->heap, r);
    fn(object, arg);
}

size_t finq_run(gc_thread *t, size_t max)
{
    struct special *r;
    size_t n = 0;
    while ((max == 0 || n < max) && (r = take(finq_of(t->heap))) != NULL) {
        if (r->kind == SPECIAL_CLEANUP)
            run_cleanup(t->heap, r);
        else
            run_finalizer(t, r);
        n++;
    }
    return n;
}

/* ---- The thread ---- */

static bool stopping(const struct finq *q)
{
    return u32_load_acquire(&q->state) == FINQ_ENDS;
}

static void run_attached(gc_heap *heap, struct finq *q)
{
    if (thread_attach(heap) != 0) {
        os_sleep_ns(1000 * 1000);
        return;
    }
    gc_thread_name("finalizers");
    while (!stopping(q) && finq_run(thread_self(), 1) > 0)
        ;
    thread_detach(thread_self(), true);
}

/* What kicks there were is read first: who asks the thread to end kicks it then. */
static bool goes_on(const struct finq *q, uint32_t *kicks)
{
    *kicks = u32_load_acquire(&q->kicks);
    stress(STRESS_MAY_SLEEP);
    return !stopping(q);
}

static void thread_main(void *arg)
{
    gc_heap *heap = arg;
    struct finq *q = finq_of(heap);
    uint32_t kicks;
    os_thread_title("gcheap-final");
    word_store_relaxed(&q->runner, (word)os_thread_id());
    while (goes_on(q, &kicks)) {
        if (finq_pending(heap) > 0)
            run_attached(heap, q);
        else
            os_wait(&q->kicks, kicks, -1);
    }
}

int finq_start_thread(gc_heap *heap)
{
    struct finq *q = finq_of(heap);
    if (!(heap->options.flags & GC_FINALIZER_THREAD) || u32_load_acquire(&q->state) != FINQ_NONE ||
        !u32_cas_acq_rel(&q->state, FINQ_NONE, FINQ_STARTS))
        return 0;
    stress(STRESS_FINQ_STARTS);
    int error = os_thread_start(&q->thread, thread_main, heap) == 0 ? 0 : -EAGAIN;
    if (error)
        ptr_store_relaxed(&q->lost, true);
    u32_store_release(&q->state, error ? FINQ_NONE : FINQ_RUNS);
    return error;
}

/* No thread is to start from now on. Returns the state that it found: NONE, RUNS, or ENDS if
 * another was first. */
static uint32_t put_an_end(struct finq *q)
{
    for (;;) {
        uint32_t state = u32_load_acquire(&q->state);
        if (state == FINQ_STARTS)
            os_yield();
        else if (state == FINQ_ENDS || u32_cas_acq_rel(&q->state, state, FINQ_ENDS))
            return state;
    }
}

static void join_thread(struct finq *q)
{
    gc_thread *t = thread_self();
    kick_thread(q);
    if (t)
        thread_blocking_begin(t);
    ASSERT(thread_may_wait_for(NULL) && "I21");
    os_thread_join(&q->thread);
    if (t)
        thread_blocking_end(t);
    word_store_relaxed(&q->runner, 0);
}

int finq_stop_thread(gc_heap *heap)
{
    struct finq *q = finq_of(heap);
    if (word_load_relaxed(&q->runner) == (word)os_thread_id())
        return -EBUSY;
    uint32_t state = put_an_end(q);
    if (state == FINQ_RUNS)
        join_thread(q);
    return state == FINQ_ENDS ? -EBUSY : 0;
}

void finq_go_on(gc_heap *heap)
{
    u32_store_release(&finq_of(heap)->state, FINQ_NONE);
    finq_start_thread(heap);
}

void finq_after_fork_in_child(struct finq *q)
{
    q->lost |= q->state != FINQ_NONE;
    q->state = FINQ_NONE;
    q->runner = 0;
}
