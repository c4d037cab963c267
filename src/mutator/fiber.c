#include "mutator/fiber.h"
#include "mutator/frame.h"
#include "mutator/thread.h"
#include <errno.h>

static bool past_roots(const gc_thread *t)
{
    return t->phase == PHASE_MARK || t->phase == PHASE_DONE;
}

/* I10: once the collector has visited the fibers, none is unscanned, not even a new one. On the
 * stack of a new one, words may lie that once were references; they would revive what is dead by
 * now. */
gc_fiber *fiber_create(gc_thread *t)
{
    gc_heap *heap = t->heap;
    gc_fiber *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->heap = heap;
    f->scanned = past_roots(t) ? heap->cycle_number : 0;
    lock_acquire(&heap->fibers_lock);
    f->next = heap->fibers;
    if (f->next)
        f->next->prev = f;
    heap->fibers = f;
    lock_release(&heap->fibers_lock);
    return f;
}

void fiber_visit(const gc_fiber *f, struct gc_tracer *tracer)
{
    const struct frame_view view = {f->stack, NULL, 0};
    tracer->source.thread = NULL;
    const char *fault = frames_visit(f->roots.frames, &view, tracer);
    if (fault)
        thread_panic_on_frames(f->heap, NULL, fault);
    rootset_visit(&f->roots, tracer);
    if (f->stack)
        stack_visit(f->stack, tracer);
}

/* SUSPENDED -> `to`. Waits while the fiber is claimed, for the scan of one root set. false: it is
 * running. */
static bool take(gc_fiber *f, enum fiber_state to)
{
    for (;;) {
        uint32_t state = u32_load_relaxed(&f->state);
        if (state == FIBER_RUNNING)
            return false;
        if (state == FIBER_CLAIMED)
            os_wait(&f->state, FIBER_CLAIMED, -1);
        else if (u32_cas_acquire(&f->state, FIBER_SUSPENDED, to))
            return true;
    }
}

static void suspend(gc_fiber *f)
{
    u32_store_release(&f->state, FIBER_SUSPENDED);
    os_wake(&f->state, OS_WAKE_ALL);
}

/* I10: a black thread must not see a root set that was not scanned. */
static void scan_first(gc_thread *t, gc_fiber *f)
{
    if (t->phase != PHASE_MARK || f->scanned == t->heap->cycle_number)
        return;
    struct shading_tracer shade = handshake_shading_tracer(t);
    fiber_visit(f, &shade.tracer);
    barrier_shade_ambiguous(t, shade.ambiguous);
    f->scanned = t->heap->cycle_number;
}

/* Takes the fiber's frames off the thread, and puts the thread's own back on. */
static void leave_fiber(gc_thread *t, uintptr_t caller)
{
    gc_fiber *f = t->fiber;
    thread_leave_stack(t, caller);
    if (!f) {
        t->roots.frames = t->fast.frames;
        return;
    }
    f->roots.frames = t->fast.frames;
    f->scanned = past_roots(t) ? t->heap->cycle_number : 0;
    t->fiber = NULL;
    t->fast.frames = t->roots.frames;
    stress(STRESS_FIBER_LEFT);
    suspend(f);
}

bool fiber_switch(gc_thread *t, gc_fiber *fiber, uintptr_t caller)
{
    if (fiber && fiber == t->fiber)
        return true;
    if (fiber && !take(fiber, FIBER_RUNNING))
        return false;
    if (fiber)
        stress(STRESS_FIBER_TAKEN);
    if (fiber)
        scan_first(t, fiber);
    leave_fiber(t, caller);
    if (fiber) {
        t->roots.frames = t->fast.frames;
        t->fiber = fiber;
        t->fast.frames = fiber->roots.frames;
    } else {
        t->roots.frames = NULL;
    }
    return true;
}

/* It is not known where the fiber's code stands on the stack until it has left it. */
static int set_stack(gc_fiber *f, uintptr_t low, uintptr_t high)
{
    if (low == high) {
        free(f->stack);
        f->stack = NULL;
        return 0;
    }
    if (!f->stack)
        f->stack = calloc(1, sizeof *f->stack);
    if (!f->stack)
        return -ENOMEM;
    f->stack->low = low;
    f->stack->high = high;
    f->stack->left.sp = 0;
    return 0;
}

int fiber_set_stack(gc_thread *t, gc_fiber *f, uintptr_t low, uintptr_t high)
{
    if (f == t->fiber)
        return set_stack(f, low, high);
    if (!take(f, FIBER_CLAIMED))
        return -EBUSY;
    stress(STRESS_FIBER_TAKEN);
    int error = set_stack(f, low, high);
    suspend(f);
    return error;
}

void fiber_abandon(gc_thread *t)
{
    leave_fiber(t, 0);
}

static void free_fiber(gc_fiber *f)
{
    rootset_free(&f->roots);
    free(f->stack);
    free(f);
}

int fiber_destroy(gc_thread *t, gc_fiber *f)
{
    gc_heap *heap = f->heap;
    if (!take(f, FIBER_RUNNING))
        return -EBUSY;
    scan_first(t, f);
    lock_acquire(&heap->fibers_lock);
    if (heap->fiber_cursor == f)
        heap->fiber_cursor = f->next;
    if (f->prev)
        f->prev->next = f->next;
    else
        heap->fibers = f->next;
    if (f->next)
        f->next->prev = f->prev;
    lock_release(&heap->fibers_lock);
    free_fiber(f);
    return 0;
}

/* The lock is released after so many fibers, so that no thread waits for a hundred thousand. */
#define VISIT_BATCH 32

static void visit_one_locked(gc_heap *heap, gc_fiber *f, struct gc_tracer *tracer)
{
    LOCK_ASSERT_HELD(&heap->fibers_lock);
    if (!take(f, FIBER_CLAIMED))
        return;
    stress(STRESS_FIBER_CLAIMED);
    if (f->scanned != heap->cycle_number) {
        fiber_visit(f, tracer);
        f->scanned = heap->cycle_number;
    }
    suspend(f);
}

void fibers_visit(gc_heap *heap, struct gc_tracer *tracer)
{
    lock_acquire(&heap->fibers_lock);
    heap->fiber_cursor = heap->fibers;
    while (heap->fiber_cursor) {
        for (int i = 0; i < VISIT_BATCH && heap->fiber_cursor; i++) {
            gc_fiber *f = heap->fiber_cursor;
            heap->fiber_cursor = f->next;
            visit_one_locked(heap, f, tracer);
        }
        lock_release(&heap->fibers_lock);
        stress(STRESS_FIBERS_UNLOCKED);
        lock_acquire(&heap->fibers_lock);
    }
    lock_release(&heap->fibers_lock);
}

bool fibers_are_few(gc_heap *heap, size_t few)
{
    size_t n = 0;
    lock_acquire(&heap->fibers_lock);
    for (const gc_fiber *f = heap->fibers; f && n <= few; f = f->next)
        n++;
    lock_release(&heap->fibers_lock);
    return n <= few;
}

void fibers_destroy(gc_heap *heap)
{
    while (heap->fibers) {
        gc_fiber *f = heap->fibers;
        heap->fibers = f->next;
        free_fiber(f);
    }
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->fibers_lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->fibers_lock);
}

const struct fork_part fiber_fork = {FIBER_FORK_RANKS, .seize = seize, .release = release};
