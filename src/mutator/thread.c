#include "mutator/thread.h"
#include "mutator/frame.h"
#include "mutator/handshake.h"
#include "mutator/log.h"
#include "mutator/self.h"
#include "mutator/watchdog.h"

/* ---- C stacks ---- */

void thread_panic_on_frames(const gc_heap *heap, const gc_thread *t, const char *fault)
{
    unsigned long long id = t ? t->os_id : 0;
    log_write(heap, GC_LOG_ERROR,
              "%s %llu%s%s: %s: by longjmp() without gc_frame_reset() to a mark taken before "
              "setjmp(), by a C++ exception through C code compiled without -fexceptions, by a "
              "computed goto, or by a goto or switch into a block past its GC_FRAME",
              t ? "thread" : "a suspended fiber", id, t && t->name[0] ? " " : "", t ? t->name : "",
              fault);
    if (t && t == thread_self())
        log_place(heap, t, 0);
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

/* Notes where the thread stands on its stack, for visits on its behalf. Its innermost frame must
 * belong to a block that the thread is in (I27). */
static void note_stack(gc_thread *t, uintptr_t caller)
{
    struct stack *of_fiber = thread_fiber_stack(t);
    const struct frame_view view = {&t->stacks.own, of_fiber, caller};
    const char *fault = frame_fault(t->fast.frames, &view);
    if (UNLIKELY(fault))
        thread_panic_on_frames(t->heap, t, fault);
    bool shown = UNLIKELY(t->heap->debug.roots > 0);
    bool named = shown || UNLIKELY(u32_load_relaxed(&t->heap->names_frames));
    t->nframes = named ? place_frames(t->frames_noted, THREAD_FRAMES, caller) : 0;
    if ((t->stacks.scanned || of_fiber || shown) && !stacks_note(&t->stacks, of_fiber, caller))
        tell_stray(t);
}

void thread_leave_stack(gc_thread *t, uintptr_t caller)
{
    struct stack *of_fiber = thread_fiber_stack(t);
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
    const struct frame_view view = {&t->stacks.own, thread_fiber_stack(t), sp};
    const char *fault = frames_visit(innermost, &view, tracer);
    if (UNLIKELY(fault))
        thread_panic_on_frames(t->heap, t, fault);
}

/* While the thread runs a fiber, fast.frames is the fiber's innermost frame, and the thread's own
 * frames are in its root set. */
NOINLINE void thread_visit_roots(gc_thread *t, struct gc_tracer *tracer)
{
    uintptr_t sp = runs_here(t) ? STACK_CALLER() : 0;
    tracer->source.thread = t;
    if (sp)
        note_stack(t, sp);
    visit_frames(t, t->fiber ? t->roots.frames : t->fast.frames, sp, tracer);
    rootset_visit(&t->roots, tracer);
    if (t->fiber) {
        visit_frames(t, t->fast.frames, sp, tracer);
        rootset_visit(&t->fiber->roots, tracer);
        tracer_enter(tracer, GC_IN_FIBER, NULL);
        tracer_word(tracer, t->fiber->held);
    }
    if (t->stacks.scanned || thread_fiber_stack(t))
        stacks_visit(&t->stacks, thread_fiber_stack(t), tracer);
}

size_t thread_count_frames(const gc_thread *t, bool (*is_such)(const struct gc_frame *),
                           uintptr_t caller)
{
    const struct frame_view view = {&t->stacks.own, thread_fiber_stack(t), caller};
    size_t n = 0;
    const char *fault = frames_count(t->fast.frames, &view, is_such, &n);
    if (!fault && t->fiber)
        fault = frames_count(t->roots.frames, &view, is_such, &n);
    if (UNLIKELY(fault))
        thread_panic_on_frames(t->heap, t, fault);
    return n;
}

/* Whether a block was entered that ends out of turn, or to which the chain does not lead. If not,
 * its frame may hold anything. */
static bool was_entered(const gc_thread *t, const struct gc_frame *frame,
                        const struct frame_view *view)
{
    return frames_contain(t->fast.frames, view, frame) ||
           (frame_fault(t->fast.frames, view) && !frame_fault(frame, view));
}

/* In a loop it may happen very often. */
#define NEVER_ENTERED_TOLD 10

void thread_frame_error(gc_thread *t, const struct gc_frame *frame, uintptr_t caller)
{
    const struct frame_view view = {&t->stacks.own, thread_fiber_stack(t), caller};
    bool entered = was_entered(t, frame, &view);
    if (entered ? !t->left_told : t->never_entered++ < NEVER_ENTERED_TOLD) {
        log_write(t->heap, GC_LOG_ERROR,
                  "GC_FRAME: a block ends whose frame is not the innermost; %s",
                  entered ? "an inner one was left by longjmp without gc_frame_reset(), by a C++ "
                            "exception through C code compiled without -fexceptions, or by a "
                            "computed goto"
                          : "it was never entered, as a goto or switch jumped into the block past "
                            "the GC_FRAME (-Wjump-misses-init tells), or was reset, or the thread "
                            "switched heaps or fibers in the block");
        log_place(t->heap, t, caller);
    }
    t->left_told |= entered;
    if (entered)
        t->fast.frames = frame->prev;
    ASSERT(false && "unbalanced GC_FRAME");
}

/* ---- Blocking ---- */

/* The stack is noted after the poll, as a safepoint notes it, too. */
void thread_enter_blocked(gc_thread *t, uintptr_t caller)
{
    thread_poll(t);
    note_stack(t, caller);
    proc_release(t->heap, t);
    stress(STRESS_ENTER_BLOCKED);
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
    stress(STRESS_BLOCKED);
    mutators_wake_collector(&t->heap->mutators);
}

/* I3: one CAS decides between the claim and leaving. A claim ends soon: it is one scan of this
 * thread's own roots, unless the world is held. */
void thread_become_running(gc_thread *t)
{
    ASSERT(self_may_wait_for(t->heap) && "I21");
    for (;;) {
        uint32_t st = u32_load_relaxed(&t->st);
        if (state_of(st) == THREAD_CLAIMED) {
            u32_store_relaxed(&t->waits, 1);
            fence_seq_cst();
            uint64_t begin = stall_begin();
            if (u32_load_relaxed(&t->st) == st)
                os_wait(&t->st, st, -1);
            stall_end(STALL_CLAIM, begin);
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
    thread_become_running(t);
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

void thread_leave_regions(gc_thread *t)
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
        thread_leave_regions(t);
}

static void wait_while_held(gc_thread *t)
{
    struct mutators *m = &t->heap->mutators;
    uint64_t start = os_now_ns();
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
    mutators_wake_collector(&t->heap->mutators);
    stress(STRESS_HELD);
    while (u32_load_relaxed(&m->held))
        os_wait(&m->held, 1, -1);
    thread_become_running(t);
    uint64_t waited = os_now_ns() - start;
    histogram_add(&t->times.held, waited);
    stall_was(STALL_HELD, start, waited);
}

static void yield_proc(gc_thread *t)
{
    proc_release(t->heap, t);
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
    mutators_wake_collector(&t->heap->mutators);
    CHECK(proc_acquire(t->heap, t));
    thread_become_running(t);
}

/* I1: the flag is cleared before the epoch is read. A request that comes between the two sets the
 * flag again; one that came before is seen. */
NOINLINE void thread_safepoint(gc_thread *t)
{
    struct mutators *m = &t->heap->mutators;
    bool again;
    u8_exchange_acquire(&t->fast.poll, 0);
    stress(STRESS_SAFEPOINT_CLEARED);
    t->quiet_bytes = 0;
    if (UNLIKELY(u64_load_relaxed(&t->silent_since)))
        watchdog_tell_arrival(t, STACK_CALLER());
    do {
        again = false;
        handshake_catch_up(t);
        if (UNLIKELY(u32_load_relaxed(&m->held))) {
            note_stack(t, STACK_CALLER());
            wait_while_held(t);
            again = true;
        } else if (UNLIKELY(proc_should_yield(&t->heap->procs, t))) {
            note_stack(t, STACK_CALLER());
            yield_proc(t);
            again = true;
        }
    } while (again);
    if (UNLIKELY(t->heap->polls_always))
        thread_request_poll(t);
}

void thread_set_name(gc_thread *t, const char *name)
{
    lock_acquire(&t->heap->mutators.lock);
    snprintf(t->name, sizeof t->name, "%s", name);
    lock_release(&t->heap->mutators.lock);
}
