#include "collector/finq.h"
#include "mutator/attach.h"
#include "mutator/self.h"
#include "mutator/thread.h"
#include "mutator/log.h"
#include "collector/collector.h"
#include "mutator/frame.h"
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

static void call_notify(void (*notify)(void *), void *arg)
{
    gc_thread *self = self_calls_back();
    int cancel = os_cancel_off(); /* the thread is sweeping, and must go on */
    notify(arg);
    os_cancel_restore(cancel);
    self_called_back(self);
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
        call_notify(notify, arg);
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

/* ---- A call ---- */

/* A finalizer or cleanup that runs, on the C stack of its runner. The frame roots the object and
 * keeps the thread attached, as any open frame does. A call is found again by its frame: if the
 * function is left by longjmp the frames are reset, and so the call is over. */
struct call {
    struct gc_frame frame;
    void *object;     /* NULL: a cleanup's; a root of the frame */
    const void *mark; /* &call_mark, which is no object: another slot of the frame */
    gc_thread *thread;
    gc_fiber *fiber;
    uintptr_t fn;
    const char *type; /* NULL: not known */
};
static const char call_mark;

READS_DEAD_FRAMES static bool is_call(const struct gc_frame *f)
{
    const struct call *c = CONTAINER_OF(f, struct call, frame);
    return f->n == 2 && !f->slots && f->base == &c->object && c->mark == &call_mark;
}

/* How many finalizers and cleanups are running on the calling mutator, each within the one before.
 */
static size_t depth_of(const gc_thread *t, uintptr_t caller)
{
    return thread_count_frames(t, is_call, caller);
}

static void begin_call(struct call *c, gc_thread *t, void *object, uintptr_t fn)
{
    *c = (struct call){.object = object, .mark = &call_mark};
    c->frame = (struct gc_frame){t->fast.frames, 2, NULL, &c->object};
    c->thread = t;
    c->fiber = t->fiber;
    c->fn = fn;
    t->fast.frames = &c->frame;
}

static COLD void complain(const struct call *c, const char *how, const char *remedy)
{
    log_write(c->thread->heap, GC_LOG_ERROR, "the %s at 0x%zx%s%s has returned %s: %s",
              c->object ? "finalizer" : "cleanup", (size_t)c->fn, c->type ? " of a " : "",
              c->type ? c->type : "", how, remedy);
}

/* The thread is as it was before the call, whatever the function has left open. It is still
 * attached. */
static NOINLINE void end_call(struct call *c)
{
    gc_thread *t = c->thread;
    if (UNLIKELY(thread_self() != t)) {
        complain(c, "with another current heap", "gc_thread_switch() back to the one it found");
        attach_switch(t->heap, STACK_CALLER());
    }
    if (UNLIKELY(t->blocking > 0)) {
        complain(c, "in a blocking region", "as many gc_blocking_end() as gc_blocking_begin()");
        t->blocking = 1;
        thread_blocking_end(t);
    }
    if (UNLIKELY(t->fiber != c->fiber)) {
        complain(c, "in another fiber", "gc_fiber_switch() back to the one it found");
        fiber_switch(t, c->fiber, STACK_CALLER());
    }
    if (UNLIKELY(t->fast.frames != &c->frame))
        complain(c, "with an open GC_FRAME", "gc_frame_reset() where a longjmp lands");
    t->fast.frames = c->frame.prev;
}

/* ---- Running ---- */

static void run_cleanup(gc_thread *t, struct special *r)
{
    gc_cleanup_fn fn = r->cleanup.fn;
    void *arg = r->cleanup.arg;
    struct call c;
    special_free(t->heap, r);
    begin_call(&c, t, NULL, (uintptr_t)fn);
    fn(arg);
    end_call(&c);
}

static const char *type_name(gc_heap *heap, uintptr_t object)
{
    const gc_type *type = span_type_of(mheap_span_of(&heap->mem, object), object);
    return type && type->name ? type->name : NULL;
}

/* The call's frame takes the place of the record, which was a root: the object is shaded, as always
 * when a root goes. All is done before fn is called, as fn may be left by longjmp. */
static void run_finalizer(gc_thread *t, struct special *r)
{
    gc_finalizer_fn fn = r->finalizer.fn;
    void *arg = r->finalizer.arg, *object = (void *)r->object;
    struct call c;
    begin_call(&c, t, object, (uintptr_t)fn);
    c.type = type_name(t->heap, r->object);
    if (t->fast.barrier)
        barrier_shade(t, r->object);
    special_unqueue(t->heap, r);
    special_free(t->heap, r);
    fn(object, arg);
    end_call(&c);
}

/* A finalizer that runs the queue may find one that does the same, and so on through all of the
 * queue. The C stack would not hold that; so from this depth on the outer ones run what is left. */
#define DEPTH_MAX 16

NOINLINE size_t finq_run(gc_thread *t, size_t max)
{
    struct special *r;
    size_t n = 0;
    if (finq_pending(t->heap) == 0 || depth_of(t, STACK_CALLER()) >= DEPTH_MAX)
        return 0;
    while ((max == 0 || n < max) && (r = take(finq_of(t->heap))) != NULL) {
        if (r->kind == SPECIAL_CLEANUP)
            run_cleanup(t, r);
        else
            run_finalizer(t, r);
        n++;
    }
    return n;
}

/* ---- The thread ---- */

/* The queue whose thread the calling one is; NULL: another. */
static _Thread_local struct finq *own;

static bool stopping(const struct finq *q)
{
    return u32_load_acquire(&q->state) == FINQ_ENDS;
}

static NOINLINE void run_attached(gc_heap *heap, struct finq *q)
{
    if (attach_begin(heap, STACK_CALLER()) != 0) {
        os_sleep_ns(1000 * 1000);
        return;
    }
    thread_set_name(thread_self(), "finalizers");
    while (!stopping(q) && finq_run(thread_self(), 1) > 0)
        ;
    attach_end(thread_self(), true);
    attach_end_all(); /* what finalizers attached it to */
}

/* The kicks are read before the state: a request to end sets the state, then kicks. */
static bool goes_on(const struct finq *q, uint32_t *kicks)
{
    *kicks = u32_load_acquire(&q->kicks);
    stress(STRESS_MAY_SLEEP);
    return !stopping(q);
}

static void join_predecessor(struct finq *q)
{
    if (q->replaced)
        os_thread_join(&q->predecessor);
    q->replaced = false;
}

static void thread_main(void *arg)
{
    gc_heap *heap = arg;
    struct finq *q = finq_of(heap);
    uint32_t kicks;
    os_thread_title("gcheap-final");
    join_predecessor(q);
    own = q;
    while (goes_on(q, &kicks)) {
        if (finq_pending(heap) > 0)
            run_attached(heap, q);
        else
            os_wait(&q->kicks, kicks, -1);
    }
}

static void replace_thread(void *arg);

/* Called by the thread that has moved the state to STARTS. */
static int start_thread(gc_heap *heap)
{
    struct finq *q = finq_of(heap);
    stress(STRESS_FINQ_STARTS);
    q->thread.cut_short = replace_thread;
    int error = os_thread_start(&q->thread, thread_main, heap) == 0 ? 0 : -EAGAIN;
    if (error)
        ptr_store_relaxed(&q->lost, true);
    u32_store_release(&q->state, error ? FINQ_NONE : FINQ_RUNS);
    return error;
}

/* A finalizer ends this thread, which is detached when it has ended as any thread is. Another one
 * takes its place, and joins it. A thread that destroys the heap joins both. */
static void replace_thread(void *arg)
{
    gc_heap *heap = arg;
    struct finq *q = finq_of(heap);
    log_write(
        heap, GC_LOG_WARNING,
        "a finalizer or cleanup has ended the library's thread that runs them (pthread_exit): "
        "another one goes on; let it return instead");
    while (u32_load_acquire(&q->state) == FINQ_STARTS)
        os_yield();
    if (!u32_cas_acq_rel(&q->state, FINQ_RUNS, FINQ_STARTS))
        return;
    q->predecessor = q->thread;
    q->replaced = true;
    start_thread(heap);
}

int finq_start_thread(gc_heap *heap)
{
    struct finq *q = finq_of(heap);
    if (!(heap->options.flags & GC_FINALIZER_THREAD) || u32_load_acquire(&q->state) != FINQ_NONE ||
        !u32_cas_acq_rel(&q->state, FINQ_NONE, FINQ_STARTS))
        return 0;
    return start_thread(heap);
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

static NOINLINE void join_thread(struct finq *q, bool runs)
{
    gc_thread *t = thread_self();
    kick_thread(q);
    if (t)
        thread_blocking_begin(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    if (runs)
        os_thread_join(&q->thread);
    join_predecessor(q);
    if (t)
        thread_blocking_end(t);
}

/* Held while nothing else is locked or waited for, but in a fork. */
static struct lock waits_lock = LOCK_INIT(LOCK_FINQ);

/* The calling thread is about to wait until that of q has ended. false: it must not, as that thread
 * waits for this one, or would in the end. q->state is ENDS, so q stays. */
static bool begin_wait(struct finq *q)
{
    if (!own)
        return true; /* no queue's thread waits for this one */
    lock_acquire(&waits_lock);
    const struct finq *at = q;
    while (at && at != own)
        at = at->waits_for;
    if (!at)
        own->waits_for = q;
    lock_release(&waits_lock);
    return !at;
}

static void end_wait(void)
{
    if (!own)
        return;
    lock_acquire(&waits_lock);
    own->waits_for = NULL;
    lock_release(&waits_lock);
}

void finq_fork_prepare(void)
{
    lock_seize(&waits_lock);
}
void finq_fork_done(void)
{
    lock_free(&waits_lock);
}

NOINLINE int finq_stop_thread(gc_heap *heap)
{
    struct finq *q = finq_of(heap);
    const gc_thread *t = thread_self();
    if (own == q || (t && t->heap == heap && depth_of(t, STACK_CALLER()) > 0))
        return -EBUSY;
    uint32_t state = put_an_end(q);
    if (state == FINQ_ENDS)
        return -EBUSY;
    if (!begin_wait(q)) { /* q's thread waits, and has not looked at the state */
        u32_store_release(&q->state, state);
        return -EBUSY;
    }
    join_thread(q, state == FINQ_RUNS);
    end_wait();
    return 0;
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
    q->waits_for = NULL;
    q->replaced = false;
}
