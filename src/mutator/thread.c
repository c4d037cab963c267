#include "mutator/fiber.h"
#include "mutator/frame.h"
#include "mutator/log.h"
#include "mutator/self.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>

/* What the key holds for an OS thread that has ever been attached: its attachments, linked by
 * next_attached; and in the lowest bits 1 more than the rounds of destructors that it has gone
 * through as it ends. So the value is not NULL, and the destructor runs in every round: it knows
 * the last one but one, after which nobody would detach the thread. */
#define ROUNDS_MASK ((uintptr_t)7)
#define ROUNDS_LAST (PTHREAD_DESTRUCTOR_ITERATIONS - 1)
static pthread_key_t attachments_key;
static uint32_t key_is_made; /* atomic */
_Static_assert(PTHREAD_DESTRUCTOR_ITERATIONS < ROUNDS_MASK, "rounds are counted in three bits");

static void thread_exits(void *value);

int thread_make_key(void)
{
    if (u32_load_acquire(&key_is_made))
        return 0;
    int error = pthread_key_create(&attachments_key, thread_exits);
    if (!error)
        u32_store_release(&key_is_made, 1);
    return -error;
}

static uintptr_t key_value(void)
{
    if (!u32_load_acquire(&key_is_made))
        return 0;
    return (uintptr_t)pthread_getspecific(attachments_key);
}

static gc_thread *attachments(void)
{
    return (gc_thread *)(key_value() & ~ROUNDS_MASK);
}

/* The thread is ending, and the library's destructor will not detach it any more. */
static bool in_last_rounds(void)
{
    return (key_value() & ROUNDS_MASK) > ROUNDS_LAST;
}

/* false: no memory, which can be only at a thread's first time. */
static bool set_attachments(gc_thread *first)
{
    uintptr_t rounds = key_value() & ROUNDS_MASK;
    uintptr_t value = (uintptr_t)first | (rounds ? rounds : 1);
    return pthread_setspecific(attachments_key, (void *)value) == 0;
}

static gc_thread *find_attachment(const gc_heap *heap)
{
    gc_thread *t = attachments();
    while (t && t->heap != heap)
        t = t->next_attached;
    return t;
}

static void set_current(gc_thread *t)
{
    gc_self = t ? &t->fast : &self_unattached;
}

/* Where the calling OS thread counts as running. */
static gc_thread *running(void)
{
    gc_thread *t = attachments();
    while (t && state_of(u32_load_relaxed(&t->st)) != THREAD_RUN)
        t = t->next_attached;
    return t;
}

bool thread_may_wait_for(const gc_heap *heap)
{
    const gc_thread *t = running();
    return !t || t->heap == heap;
}

/* ---- C stacks ---- */

static struct stack *stack_of_fiber(const gc_thread *t)
{
    return t->fiber ? t->fiber->stack : NULL;
}

void thread_panic_on_frames(const gc_heap *heap, const gc_thread *t, const char *fault)
{
    unsigned long long id = t ? t->os_id : 0;
    log_write(heap, GC_LOG_ERROR,
              "%s %llu%s%s: %s: by longjmp() without gc_frame_reset() to a mark taken before "
              "setjmp(), by a C++ exception through C code compiled without -fexceptions, by a "
              "computed goto, or by a goto or switch into a block past its GC_FRAME",
              t ? "thread" : "a suspended fiber", id, t && t->name[0] ? " " : "", t ? t->name : "",
              fault);
    base_panic(__FILE__, __LINE__, fault);
}

static COLD void tell_stray(gc_thread *t)
{
    if (t->stacks.stray_told)
        return;
    t->stacks.stray_told = true;
    log_write(t->heap, GC_LOG_ERROR,
              "thread %llu%s%s stands on a C stack that is neither its own nor, by "
              "gc_fiber_stack(), that of the fiber it runs: %zu bytes from its stack pointer on "
              "are scanned",
              (unsigned long long)t->os_id, t->name[0] ? " " : "", t->name,
              (size_t)(t->stacks.here_high - t->stacks.here.sp));
}

/* For visits on the thread's behalf. Its innermost frame must be of a block that it is in (I27). */
static void note_stack(gc_thread *t, uintptr_t caller)
{
    struct stack *of_fiber = stack_of_fiber(t);
    const struct frame_view view = {&t->stacks.own, of_fiber, caller};
    const char *fault = frame_fault(t->fast.frames, &view);
    if (UNLIKELY(fault))
        thread_panic_on_frames(t->heap, t, fault);
    if ((t->stacks.scanned || of_fiber) && !stacks_note(&t->stacks, of_fiber, caller))
        tell_stray(t);
}

void thread_leave_stack(gc_thread *t, uintptr_t caller)
{
    struct stack *of_fiber = stack_of_fiber(t);
    if (t->stacks.scanned || of_fiber)
        stacks_leave(&t->stacks, of_fiber, caller);
}

static bool runs_here(const gc_thread *t)
{
    return state_of(u32_load_relaxed(&t->st)) == THREAD_RUN && thread_self() == t;
}

static void visit_frames(const gc_thread *t, const struct gc_frame *innermost, uintptr_t sp,
                         struct gc_tracer *tracer)
{
    const struct frame_view view = {&t->stacks.own, stack_of_fiber(t), sp};
    const char *fault = frames_visit(innermost, &view, tracer);
    if (UNLIKELY(fault))
        thread_panic_on_frames(t->heap, t, fault);
}

/* While a fiber runs, the innermost frame is its, and the thread's own frames wait in its set. */
NOINLINE void thread_visit_roots(gc_thread *t, struct gc_tracer *tracer)
{
    uintptr_t sp = runs_here(t) ? STACK_CALLER() : 0;
    if (sp)
        note_stack(t, sp);
    visit_frames(t, t->fiber ? t->roots.frames : t->fast.frames, sp, tracer);
    rootset_visit(&t->roots, tracer);
    if (t->fiber) {
        visit_frames(t, t->fast.frames, sp, tracer);
        rootset_visit(&t->fiber->roots, tracer);
    }
    if (t->stacks.scanned || stack_of_fiber(t))
        stacks_visit(&t->stacks, stack_of_fiber(t), tracer);
}

size_t thread_count_frames(const gc_thread *t, bool (*is_such)(const struct gc_frame *),
                           uintptr_t caller)
{
    const struct frame_view view = {&t->stacks.own, stack_of_fiber(t), caller};
    size_t n = 0;
    const char *fault = frames_count(t->fast.frames, &view, is_such, &n);
    if (!fault && t->fiber)
        fault = frames_count(t->roots.frames, &view, is_such, &n);
    if (UNLIKELY(fault))
        thread_panic_on_frames(t->heap, t, fault);
    return n;
}

/* Whether a block that ends out of turn, or that the chain does not lead to, was entered. If not,
 * its frame holds anything. */
static bool was_entered(const gc_thread *t, const struct gc_frame *frame,
                        const struct frame_view *view)
{
    return frames_contain(t->fast.frames, view, frame) ||
           (frame_fault(t->fast.frames, view) && !frame_fault(frame, view));
}

void thread_frame_error(gc_thread *t, const struct gc_frame *frame, uintptr_t caller)
{
    const struct frame_view view = {&t->stacks.own, stack_of_fiber(t), caller};
    bool entered = was_entered(t, frame, &view);
    if (!entered || !t->left_told)
        log_write(t->heap, GC_LOG_ERROR,
                  "GC_FRAME: a block ends whose frame is not the innermost; %s",
                  entered ? "an inner one was left by longjmp without gc_frame_reset(), by a C++ "
                            "exception through C code compiled without -fexceptions, or by a "
                            "computed goto"
                          : "it was never entered, as a goto or switch jumped into the block past "
                            "the GC_FRAME (-Wjump-misses-init tells), or was reset, or the thread "
                            "switched heaps or fibers in the block");
    t->left_told |= entered;
    if (entered)
        t->fast.frames = frame->prev;
    ASSERT(!"unbalanced GC_FRAME");
}

/* ---- Blocking ---- */

/* What is noted last is how the stack stands. */
void thread_enter_blocked(gc_thread *t, uintptr_t caller)
{
    thread_poll(t);
    note_stack(t, caller);
    proc_release(t->heap, t);
    stress(STRESS_ENTER_BLOCKED);
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
    stress(STRESS_BLOCKED);
    handshake_wake_collector(t->heap);
}

/* I3: the claim and our leaving are decided by one CAS. A claim ends soon: it is one scan of this
 * thread's own roots, unless the world is held. */
static void become_running(gc_thread *t)
{
    ASSERT(thread_may_wait_for(t->heap) && "I21");
    for (;;) {
        uint32_t st = u32_load_acquire(&t->st);
        if (state_of(st) == THREAD_CLAIMED) {
            u32_store_seq_cst(&t->waits, 1);
            fence_seq_cst();
            if (u32_load_acquire(&t->st) == st)
                os_wait(&t->st, st, -1);
            u32_store_relaxed(&t->waits, 0);
        } else if (u32_cas_acquire(&t->st, st, state_word(epoch_of(st), THREAD_RUN))) {
            t->epoch = epoch_of(st);
            return;
        }
    }
}

void thread_leave_blocked(gc_thread *t)
{
    CHECK(proc_acquire(t->heap, t) && "a first P exists since the thread attached");
    stress(STRESS_LEAVE_BLOCKED);
    become_running(t);
    stress(STRESS_RUNNING_AGAIN);
    thread_safepoint(t);
}

void thread_blocking_begin(gc_thread *t, uintptr_t caller)
{
    if (t->blocking++ > 0)
        return;
    t->frames_blocked = t->fast.frames;
    t->fast.barrier |= BARRIER_SHUT;
    thread_enter_blocked(t, caller);
}

/* All regions end. */
static void leave_region(gc_thread *t)
{
    t->blocking = 0;
    thread_leave_blocked(t);
    t->fast.barrier &= (uint8_t)~BARRIER_SHUT;
}

void thread_blocking_end(gc_thread *t)
{
    if (t->blocking > 1)
        t->blocking--;
    else
        leave_region(t);
}

static void wait_while_held(gc_thread *t)
{
    struct mutators *m = &t->heap->mutators;
    uint64_t start = os_now_ns();
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
    handshake_wake_collector(t->heap);
    stress(STRESS_HELD);
    while (u32_load_acquire(&m->held))
        os_wait(&m->held, 1, -1);
    become_running(t);
    histogram_add(&t->times.held, os_now_ns() - start);
}

static void yield_proc(gc_thread *t)
{
    proc_release(t->heap, t);
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
    handshake_wake_collector(t->heap);
    CHECK(proc_acquire(t->heap, t));
    become_running(t);
}

/* The flag is cleared before the epoch is read: a request that comes between the two sets it again,
 * one that came before is seen (I1). */
NOINLINE void thread_safepoint(gc_thread *t)
{
    struct mutators *m = &t->heap->mutators;
    bool again;
    u8_exchange_seq_cst(&t->fast.poll, 0);
    stress(STRESS_SAFEPOINT_CLEARED);
    do {
        again = false;
        handshake_catch_up(t);
        if (UNLIKELY(u32_load_acquire(&m->held))) {
            note_stack(t, STACK_CALLER());
            wait_while_held(t);
            again = true;
        } else if (UNLIKELY(proc_should_yield(&t->heap->procs, t))) {
            note_stack(t, STACK_CALLER());
            yield_proc(t);
            again = true;
        }
    } while (again);
}

void thread_set_name(gc_thread *t, const char *name)
{
    lock_acquire(&t->heap->mutators.lock);
    snprintf(t->name, sizeof t->name, "%s", name);
    lock_release(&t->heap->mutators.lock);
}

/* ---- Attaching and detaching ---- */

static gc_thread *take_struct_locked(struct mutators *m)
{
    LOCK_ASSERT_HELD(&m->lock);
    gc_thread *t = m->spare;
    if (t)
        m->spare = t->next;
    return t;
}

static void link_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    t->prev = NULL;
    t->next = m->list;
    if (m->list)
        m->list->prev = t;
    m->list = t;
    m->count++;
}

static void unlink_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    if (t->prev)
        t->prev->next = t->next;
    else
        m->list = t->next;
    if (t->next)
        t->next->prev = t->prev;
    m->count--;
}

/* Empty roots are trivially scanned: the thread adopts the state in force whole. */
static void adopt_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    t->epoch = m->epoch;
    t->phase = m->phase;
    t->fast.barrier = m->barrier;
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
}

static void lock_while_not_held(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    ASSERT(thread_may_wait_for(heap) && "I21");
    lock_acquire(&m->lock);
    while (m->held) {
        lock_release(&m->lock);
        os_wait(&m->held, 1, -1);
        lock_acquire(&m->lock);
    }
}

/* The collector may still ask the thread that had the struct to poll, and the watchdog tell of it.
 */
static void renew_locked(gc_heap *heap, gc_thread *t)
{
    LOCK_ASSERT_HELD(&heap->mutators.lock);
    t->heap = heap;
    t->fast.runs = PROC_NO_RUNS;
    t->fast.barrier = BARRIER_OFF;
    u8_store_relaxed(&t->fast.poll, 0);
    t->fast.frames = NULL;
    t->os_id = os_thread_id();
    ptr_store_relaxed(&t->last_call, NULL);
    t->name[0] = 0;
    t->blocking = 0;
    t->calls_back = 0;
    t->left_told = false;
    os_life_begin(&t->life);
}

/* A thread that is not in the registry is GONE. */
static gc_thread *make_struct(void)
{
    gc_thread *t = calloc(1, sizeof *t);
    if (t) {
        t->st = state_word(0, THREAD_GONE);
        os_life_init(&t->life);
    }
    return t;
}

static gc_thread *new_thread(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    lock_while_not_held(heap);
    gc_thread *t = take_struct_locked(m);
    if (!t)
        t = make_struct();
    if (t)
        renew_locked(heap, t);
    lock_release(&m->lock);
    return t;
}

static void recycle_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    t->next = m->spare;
    m->spare = t;
}

static void recycle(gc_heap *heap, gc_thread *t)
{
    lock_acquire(&heap->mutators.lock);
    recycle_locked(&heap->mutators, t);
    lock_release(&heap->mutators.lock);
}

/* What any public call needs at most, without the embedder's callbacks (test stacks). */
#define STACK_NEEDED ((uintptr_t)13 << 10)

static int check_room(const gc_heap *heap, uintptr_t low, uintptr_t high)
{
    uintptr_t room = (uintptr_t)__builtin_frame_address(0) - low;
    if (room > high - low || room >= STACK_NEEDED)
        return 0;
    log_write(
        heap, GC_LOG_ERROR,
        "gc_thread_attach: %zu bytes are left of the thread's C stack, of which calls need up "
        "to %zu: give the thread a larger one",
        (size_t)room, (size_t)STACK_NEEDED);
    return -EINVAL;
}

/* The calling thread's; 0, 0: not to be found. */
static int find_stack(const gc_heap *heap, uintptr_t *low, uintptr_t *high)
{
    int error = os_stack_bounds(low, high);
    if (!error)
        return check_room(heap, *low, *high);
    if (error != -ENOTSUP || heap->options.flags & GC_STACK_CONSERVATIVE)
        return error;
    *low = *high = 0;
    return 0;
}

/* Another heap's view of a thread that turns to this one. */
static void leave_current(uintptr_t caller)
{
    gc_thread *t = thread_self();
    if (t && t->blocking == 0)
        thread_enter_blocked(t, caller);
    set_current(NULL);
}

static void resume(gc_thread *t)
{
    if (t && t->blocking == 0)
        thread_leave_blocked(t);
    set_current(t);
}

static void forget_attachment(gc_thread *t)
{
    gc_thread *first = attachments();
    if (first == t) {
        set_attachments(t->next_attached);
        return;
    }
    while (first->next_attached != t)
        first = first->next_attached;
    first->next_attached = t->next_attached;
}

/* A struct that its OS thread knows, with a P; or NULL. */
static gc_thread *prepare_thread(gc_heap *heap)
{
    gc_thread *t = new_thread(heap);
    if (!t)
        return NULL;
    t->next_attached = attachments();
    bool known = set_attachments(t);
    if (known && proc_acquire(heap, t))
        return t;
    if (known)
        forget_attachment(t);
    os_life_end(&t->life);
    recycle(heap, t);
    return NULL;
}

static void join_registry(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    lock_while_not_held(heap);
    adopt_locked(m, t);
    link_locked(m, t);
    lock_release(&m->lock);
    stress(STRESS_ATTACH_ADOPTED);
    become_running(t);
    thread_safepoint(t);
}

/* Nobody would detach the thread, and every handshake would wait for it. */
static int refuse_in_last_rounds(const gc_heap *heap)
{
    log_write(heap, GC_LOG_ERROR,
              "gc_thread_attach: refused in the last rounds of the destructors of thread keys: "
              "nobody would detach the thread when it has ended. Attach and detach in the first");
    return -EPERM;
}

/* I21: the thread leaves its current heap before it waits for anything of this one. */
int thread_attach(gc_heap *heap, uintptr_t caller)
{
    gc_thread *before = thread_self();
    if (heap->orphan)
        return -EPERM;
    if (find_attachment(heap))
        return -EEXIST;
    if (in_last_rounds())
        return refuse_in_last_rounds(heap);
    uintptr_t low, high;
    int error = find_stack(heap, &low, &high);
    if (error)
        return error;
    leave_current(caller);
    gc_thread *t = prepare_thread(heap);
    if (!t) {
        resume(before);
        return -ENOMEM;
    }
    t->stacks = (struct stacks){.own = {.low = low, .high = high},
                                .scanned = heap->options.flags & GC_STACK_CONSERVATIVE};
    join_registry(heap, t);
    set_current(t);
    return 0;
}

/* Takes a thread that runs, or is claimed, off the list. The P goes before the thread is gone for a
 * held world, in which the collector works on all Ps. */
static void unregister_locked(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    LOCK_ASSERT_HELD(&m->lock);
    if (barrier_hand_over(t))
        u8_store_relaxed(&m->handed, true);
    if (t->grey)
        workbuf_put_empty(&heap->work, t->grey);
    t->grey = NULL;
    if (t->proc)
        proc_release(heap, t);
    t->last_proc = NULL;
    unlink_locked(m, t);
    times_fold(&m->kept, &t->times);
    memset(&t->times, 0, sizeof t->times);
    u32_store_release(&t->st, state_word(t->epoch, THREAD_GONE));
}

/* Leaves the registry at a moment when the thread is up to date: that counts as its ack for any
 * handshake that comes. The heap stays until leave_heap(). */
static void leave_registry(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    stress(STRESS_DETACH);
    lock_acquire(&m->lock);
    while (t->epoch != m->epoch) {
        lock_release(&m->lock);
        thread_safepoint(t);
        lock_acquire(&m->lock);
    }
    unregister_locked(heap, t);
    m->leaving++;
    lock_release(&m->lock);
    stress(STRESS_LEFT);
    handshake_wake_collector(heap);
}

/* Once the lock is free the heap may be destroyed: the thread touches nothing of it any more. */
static void leave_heap(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    os_life_end(&t->life);
    lock_acquire(&m->lock);
    recycle_locked(m, t);
    m->leaving--;
    lock_release(&m->lock);
}

int thread_detach(gc_thread *t, bool force)
{
    gc_heap *heap = t->heap;
    if (!force && (t->fast.frames || t->fiber || t->blocking))
        return -EBUSY;
    if (t->blocking)
        leave_region(t);
    if (t->fiber)
        fiber_abandon(t);
    t->fast.frames = NULL;
    leave_registry(heap, t);
    forget_attachment(t);
    rootset_free(&t->roots);
    set_current(NULL);
    leave_heap(heap, t);
    return 0;
}

int thread_switch(gc_heap *heap, uintptr_t caller)
{
    gc_thread *t = heap ? find_attachment(heap) : NULL;
    if (heap && !t)
        return -ENOENT;
    if (t && t == thread_self())
        return 0;
    leave_current(caller);
    resume(t);
    return 0;
}

/* ---- Threads that end attached ---- */

/* Whether frames lie on a stack that stays when the thread ends. Where its own is not known, only
 * one that was told of is known to stay. */
static bool outlive_thread(const gc_thread *t, const struct gc_frame *frames)
{
    const struct stack *own = &t->stacks.own, *of_fiber = stack_of_fiber(t);
    if (own->high)
        return !stack_contains(own, (uintptr_t)frames);
    return of_fiber && stack_contains(of_fiber, (uintptr_t)frames);
}

/* What was on the thread's stack is overwritten by now: neither frames nor ranges are looked at any
 * more. The frames of a fiber that has a stack of its own stay. */
static void forget_stack(gc_thread *t)
{
    if (!t->fiber || !outlive_thread(t, t->fast.frames))
        t->fast.frames = NULL;
    t->stacks.scanned = false;
    rootset_free(&t->roots);
}

static void end_attachment(gc_thread *t)
{
    if (state_of(u32_load_relaxed(&t->st)) != THREAD_RUN) {
        CHECK(proc_acquire(t->heap, t));
        become_running(t);
    }
    t->blocking = 0;
    t->fast.barrier &= (uint8_t)~BARRIER_SHUT;
    forget_stack(t);
    set_current(t);
    thread_detach(t, true);
}

/* Where it runs comes first: in all other heaps it is blocked. */
void thread_leave_all(void)
{
    if (running())
        end_attachment(running());
    while (attachments())
        end_attachment(attachments());
}

static void tell_of_attachments(void)
{
    for (gc_thread *t = attachments(); t; t = t->next_attached)
        log_write(t->heap, GC_LOG_WARNING, "thread %llu %s ended without gc_thread_detach()",
                  (unsigned long long)t->os_id, t->name);
}

static void end_attachments(void)
{
    if (GC_DEBUG)
        tell_of_attachments();
    thread_leave_all();
}

#if defined(__has_attribute)
#if __has_attribute(disable_sanitizer_instrumentation)
#define NO_SANITIZER __attribute__((disable_sanitizer_instrumentation))
#endif
#endif
#ifndef NO_SANITIZER
#define NO_SANITIZER __attribute__((no_sanitize("thread")))
#endif

/* Runs in each round of destructors of an OS thread that ends; it may have been attached anew by
 * another destructor since. In the last round nothing is left to do: not even a sanitizer knows the
 * thread any more. */
static NO_SANITIZER void thread_exits(void *value)
{
    uintptr_t rounds = (uintptr_t)value & ROUNDS_MASK;
    if (rounds > ROUNDS_LAST) {
        pthread_setspecific(attachments_key, value);
        return;
    }
    pthread_setspecific(attachments_key, (void *)((uintptr_t)value + 1));
    end_attachments();
}

/* ---- Threads that have ended attached ---- */

/* Nothing moves a thread out of RUN any more. One that was blocked is claimed, unless the collector
 * has it. */
static bool claim_remains_locked(gc_thread *t)
{
    LOCK_ASSERT_HELD(&t->heap->mutators.lock);
    uint32_t st = u32_load_acquire(&t->st);
    if (!os_life_is_over(&t->life))
        return false; /* another thread was quicker, and the struct may be in use again */
    return state_of(st) == THREAD_RUN ||
           (state_of(st) == THREAD_BLOCKED &&
            u32_cas_acquire(&t->st, st, state_word(epoch_of(st), THREAD_CLAIMED)));
}

static void bury_locked(gc_heap *heap, gc_thread *t)
{
    LOCK_ASSERT_HELD(&heap->mutators.lock);
    forget_stack(t);
    if (t->fiber)
        fiber_abandon(t);
    unregister_locked(heap, t);
    recycle_locked(&heap->mutators, t);
}

bool thread_bury(gc_thread *t)
{
    if (LIKELY(!os_life_is_over(&t->life)))
        return false;
    gc_heap *heap = t->heap;
    struct mutators *m = &heap->mutators;
    char name[sizeof t->name];
    lock_acquire(&m->lock);
    unsigned long long id = t->os_id;
    memcpy(name, t->name, sizeof name);
    bool yes = claim_remains_locked(t);
    if (yes)
        bury_locked(heap, t);
    lock_release(&m->lock);
    if (yes)
        log_write(heap, GC_LOG_WARNING,
                  "thread %llu%s%s has ended while it was attached, and is detached by another: it "
                  "attached in the last round of the destructors of thread keys, or ended without "
                  "running them; call gc_thread_detach() before",
                  id, name[0] ? " " : "", name);
    return yes;
}

static gc_thread *find_dead(struct mutators *m)
{
    lock_acquire(&m->lock);
    gc_thread *t = m->list;
    while (t && !os_life_is_over(&t->life))
        t = t->next;
    lock_release(&m->lock);
    return t;
}

void thread_bury_all(gc_heap *heap)
{
    gc_thread *t;
    while ((t = find_dead(&heap->mutators)) && thread_bury(t)) {}
}

/* ---- After a fork ---- */

bool thread_has_others(const gc_heap *heap)
{
    const struct mutators *m = &heap->mutators;
    return m->count + m->leaving > (find_attachment(heap) != NULL);
}

/* Its stack is gone, and with it the frames of the fiber that it ran. */
static void forget_thread(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    t->fast.frames = NULL;
    if (t->fiber)
        fiber_abandon(t);
    if (t->grey)
        workbuf_put_empty(&heap->work, t->grey);
    t->grey = NULL;
    lock_acquire(&m->lock);
    unlink_locked(m, t);
    times_fold(&m->kept, &t->times);
    lock_release(&m->lock);
    memset(&t->times, 0, sizeof t->times);
    rootset_free(&t->roots);
    t->proc = t->last_proc = NULL;
    t->st = state_word(t->epoch, THREAD_GONE);
    recycle(heap, t);
}

void thread_after_fork_in_child(gc_heap *heap)
{
    gc_thread *self = find_attachment(heap), *next;
    for (gc_thread *t = heap->mutators.list; t; t = next) {
        next = t->next;
        if (t != self)
            forget_thread(heap, t);
    }
    heap->mutators.leaving = 0;
    for (gc_thread *t = heap->mutators.spare; t; t = t->next)
        os_life_init(&t->life);
    if (self) {
        self->os_id = os_thread_id();
        os_life_init(&self->life);
        os_life_begin(&self->life);
    }
}

void thread_leave_orphans(void)
{
    gc_thread *t = thread_self(), *next;
    if (t && t->heap->orphan)
        set_current(NULL);
    for (t = attachments(); t; t = next) {
        next = t->next_attached;
        if (t->heap->orphan)
            forget_attachment(t);
    }
}

void thread_free_spares(gc_heap *heap)
{
    while (heap->mutators.spare) {
        gc_thread *t = heap->mutators.spare;
        heap->mutators.spare = t->next;
        free(t);
    }
}
