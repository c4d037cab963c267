#include "collector/finalizer.h"
#include "collector/owned.h"
#include "memory/tagged.h"
#include "mutator/attach.h"
#include "mutator/frame.h"
#include "mutator/log.h"
#include "mutator/self.h"
#include "mutator/thread.h"
#include <errno.h>

/* ---- A call ---- */

/* A finalizer or cleanup that runs, on the C stack of the thread that runs it. The frame roots the
 * object and keeps the thread attached, as any open frame does. A call is found by its frame. If
 * longjmp leaves the function, the frames are reset, and so the call is over. */
struct call {
    struct gc_frame_array frame;
    void *object;     /* a root of the frame; NULL: the call is a cleanup's */
    const void *mark; /* &call_mark, which is no object: another slot of the frame */
    gc_thread *thread;
    gc_fiber *fiber; /* NULL: none; freed if the function has destroyed it */
    uint64_t fiber_number;
    uintptr_t fn;
    const char *type; /* NULL: not known */
};
static const char call_mark;

READS_DEAD_FRAMES static bool is_call(const struct gc_frame *f)
{
    const struct call *c = CONTAINER_OF(f, struct call, frame.head);
    return c->frame.size == GC_FRAME_SIZE(2) && c->frame.base == &c->object &&
           c->mark == &call_mark;
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
    c->frame = (struct gc_frame_array){{t->fast.frames}, GC_FRAME_SIZE(2), &c->object};
    c->thread = t;
    c->fiber = t->fiber;
    c->fiber_number = t->fiber ? t->fiber->number : 0;
    c->fn = fn;
    t->fast.frames = &c->frame.head;
}

static COLD void complain(const struct call *c, const char *how, const char *remedy)
{
    log_write(c->thread->heap, GC_LOG_ERROR, "the %s at 0x%zx%s%s has returned %s: %s",
              c->object ? "finalizer" : "cleanup", (size_t)c->fn, c->type ? " of a " : "",
              c->type ? c->type : "", how, remedy);
}

/* Another fiber may have the place of one that was destroyed. */
static bool is_back_in_its_fiber(const struct call *c)
{
    const gc_fiber *now = c->thread->fiber;
    return now == c->fiber && (!now || now->number == c->fiber_number);
}

/* Why the fiber cannot be resumed; NULL: the thread goes on in it. */
static const char *resume_fiber(const struct call *c, uintptr_t caller)
{
    gc_thread *t = c->thread;
    if (c->fiber && !fiber_exists(t->heap, c->fiber_number))
        return "it was destroyed";
    int error = owned_switch(t, c->fiber, caller);
    return error == -EBUSY ? "another thread runs it" : error ? "its owner is dead" : NULL;
}

/* What the code that called the function has in its frames was no root meanwhile. */
_Noreturn static COLD void panic_on_fiber(const struct call *c, const char *why, uintptr_t caller)
{
    log_write(c->thread->heap, GC_LOG_ERROR,
              "that fiber cannot be resumed: %s; and what called gc_finalizers_run() in it cannot "
              "go on: until the function returns, let nobody else resume or destroy the fiber, and "
              "keep its owner in a root",
              why);
    log_place(c->thread->heap, c->thread, caller);
    base_panic(__FILE__, __LINE__, "a finalizer or cleanup has no fiber to return to");
}

static COLD void return_to_fiber(const struct call *c, uintptr_t caller)
{
    complain(c, "in another fiber", "gc_fiber_switch() back to the one it found");
    const char *why = resume_fiber(c, caller);
    if (why)
        panic_on_fiber(c, why, caller);
}

/* Restores the thread's state before the call, whatever the function has left open. The thread is
 * still attached. */
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
    if (UNLIKELY(!is_back_in_its_fiber(c)))
        return_to_fiber(c, STACK_CALLER());
    if (UNLIKELY(t->fast.frames != &c->frame.head))
        complain(c, "with an open GC_FRAME", "gc_frame_reset() where a longjmp lands");
    t->fast.frames = c->frame.head.prev;
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
    const struct parts p = parts_of(mheap_span_of(&heap->mem, object), object);
    const gc_type *type = parts_type(&p);
    return type && type->name ? type->name : NULL;
}

/* The call's frame takes the place of the record, which was a root. So the object is shaded, as
 * always when a root is removed. All is done before fn is called, as longjmp may leave fn. */
static void run_finalizer(gc_thread *t, struct special *r)
{
    gc_finalizer_fn fn = r->finalizer.fn;
    void *arg = r->finalizer.arg, *object = (void *)r->object;
    struct call c;
    begin_call(&c, t, object, (uintptr_t)fn);
    c.type = type_name(t->heap, r->object);
    if (thread_shades(t))
        barrier_shade(t, r->object);
    special_unqueue(t->heap, r);
    special_free(t->heap, r);
    fn(object, arg);
    end_call(&c);
}

/* A finalizer that runs the queue may find one there that does the same, and so on through all of
 * the queue. The C stack would not hold that. So at this depth no more are run, and the outer ones
 * run what is left. */
#define DEPTH_MAX 16

NOINLINE size_t finalizer_run(gc_thread *t, size_t max)
{
    struct finq_item *item;
    size_t n = 0;
    if (finq_pending(t->heap) == 0 || depth_of(t, STACK_CALLER()) >= DEPTH_MAX)
        return 0;
    while ((max == 0 || n < max) && (item = finq_take(t->heap)) != NULL) {
        struct special *r = CONTAINER_OF(item, struct special, item);
        if (r->kind == SPECIAL_CLEANUP)
            run_cleanup(t, r);
        else
            run_finalizer(t, r);
        n++;
    }
    return n;
}

/* ---- The thread ---- */

/* The finalizers of the heap for which the calling thread is the service; NULL: it is another
 * thread. */
static _Thread_local struct finalizers *own;

static NOINLINE void run_attached(gc_heap *heap)
{
    if (attach_begin(heap, STACK_CALLER()) != 0) {
        os_sleep_ns(1000 * 1000);
        return;
    }
    thread_set_name(thread_self(), "finalizers");
    while (!service_is_ending(&heap->finalizers->service) && finalizer_run(thread_self(), 1) > 0)
        ;
    attach_end(thread_self(), true);
    attach_end_all(); /* from the heaps to which finalizers attached it */
}

static void run_service(void *arg)
{
    gc_heap *heap = arg;
    struct service *s = &heap->finalizers->service;
    uint32_t kicks;
    own = heap->finalizers;
    while (service_goes_on(s, &kicks)) {
        if (finq_pending(heap) > 0)
            run_attached(heap);
        else
            service_sleep(s, kicks, -1);
    }
}

static void tell_of_the_end(void *heap)
{
    log_write(
        heap, GC_LOG_WARNING,
        "a finalizer or cleanup has ended the library's thread that runs them (pthread_exit): "
        "another one goes on; let it return instead");
}

static bool has_service(const gc_heap *heap)
{
    return heap->options.flags & GC_FINALIZER_THREAD;
}

void finalizer_init(gc_heap *heap)
{
    struct service *s = &heap->finalizers->service;
    service_init(s, "gcheap-final", run_service, heap);
    s->cut_short = tell_of_the_end;
    finq_init(heap, has_service(heap) ? s : NULL);
}

int finalizer_start_thread(gc_heap *heap)
{
    return has_service(heap) && !service_start(&heap->finalizers->service) ? -EAGAIN : 0;
}

static NOINLINE void join_blocked(struct service *s, enum service_state before)
{
    gc_thread *t = thread_self();
    if (t)
        thread_blocking_begin(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    service_join(s, before);
    if (t)
        thread_blocking_end(t);
}

/* While it is held, no other lock is taken and nothing is waited for, except in a fork. */
static struct lock waits_lock = LOCK_INIT(LOCK_WAITS);

/* Called before the calling thread waits for the end of f's thread. false: it must not, as that
 * thread waits for this one, perhaps through others. The service of f was ended, so f stays. */
static bool begin_wait(struct finalizers *f)
{
    if (!own)
        return true; /* no such thread waits for this one */
    lock_acquire(&waits_lock);
    const struct finalizers *at = f;
    while (at && at != own)
        at = at->waits_for;
    if (!at)
        own->waits_for = f;
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

NOINLINE int finalizer_stop_thread(gc_heap *heap)
{
    struct finalizers *f = heap->finalizers;
    const gc_thread *t = thread_self();
    if (own == f || (t && t->heap == heap && depth_of(t, STACK_CALLER()) > 0))
        return -EBUSY;
    enum service_state before = service_end(&f->service);
    if (before == SERVICE_ENDS)
        return -EBUSY;
    if (!begin_wait(f)) { /* the thread of f waits, and has not looked at the state */
        service_resume(&f->service, before);
        return -EBUSY;
    }
    join_blocked(&f->service, before);
    end_wait();
    return 0;
}

void finalizer_go_on(gc_heap *heap)
{
    service_resume(&heap->finalizers->service, SERVICE_NONE);
    finalizer_start_thread(heap);
}

/* ---- Fork ---- */

static void seize(gc_heap *none)
{
    (void)none;
    lock_seize(&waits_lock);
}

static void release(gc_heap *none)
{
    (void)none;
    lock_free(&waits_lock);
}

const struct fork_part finalizer_waits_fork = {WAITS_FORK_RANKS, .of_process = true, .seize = seize,
                                               .release = release};

static void forget(gc_heap *heap)
{
    service_forget(&heap->finalizers->service);
    heap->finalizers->waits_for = NULL;
}

const struct fork_part finalizer_fork = {FINALIZER_FORK_RANKS, .forget = forget};
