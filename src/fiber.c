#include "fiber.h"
#include <errno.h>

static bool past_roots(const gc_thread *t)
{
    return t->phase == PHASE_MARK || t->phase == PHASE_DONE;
}

/* I10: once the collector has visited the fibers none is unscanned, not even a new one. Its stack
 * may have words on it that were references once, and would revive what is dead by now. */
gc_fiber *fiber_create(gc_thread *t)
{
    gc_heap *heap = t->heap;
    gc_fiber *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->heap = heap;
    f->scanned = past_roots(t) ? heap->cycle : 0;
    lock_acquire(&heap->fibers_lock);
    f->next = heap->fibers;
    if (f->next)
        f->next->prev = f;
    heap->fibers = f;
    lock_release(&heap->fibers_lock);
    return f;
}

static void visit(gc_fiber *f, struct gc_tracer *tracer)
{
    rootset_visit(&f->roots, f->roots.frames, tracer);
    if (f->stack_high)
        root_visit_words(f->stack_low, f->stack_high, tracer);
}

/* SUSPENDED -> `to`, waiting while it is claimed (for the scan of one root set). false: it is
 * running. */
static bool take(gc_fiber *f, enum fiber_state to)
{
    for (;;) {
        uint32_t state = u32_load_acquire(&f->state);
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

/* I10: a black thread must not see a root set that nobody has scanned. */
static void scan_first(gc_thread *t, gc_fiber *f)
{
    if (t->phase != PHASE_MARK || f->scanned == t->heap->cycle)
        return;
    handshake_shade_roots(t, &f->roots, f->roots.frames);
    if (f->stack_high)
        handshake_shade_words(t, f->stack_low, f->stack_high);
    f->scanned = t->heap->cycle;
}

/* The fiber's frames come off the thread; its own go back on. */
static void leave_fiber(gc_thread *t)
{
    gc_fiber *f = t->fiber;
    if (!f) {
        t->roots.frames = t->fast.frames;
        return;
    }
    f->roots.frames = t->fast.frames;
    f->scanned = past_roots(t) ? t->heap->cycle : 0;
    t->fiber = NULL;
    t->fast.frames = t->roots.frames;
    stress(STRESS_FIBER_LEFT);
    suspend(f);
}

bool fiber_switch(gc_thread *t, gc_fiber *fiber)
{
    if (fiber && fiber == t->fiber)
        return true;
    if (fiber && !take(fiber, FIBER_RUNNING))
        return false;
    if (fiber)
        stress(STRESS_FIBER_TAKEN);
    if (fiber)
        scan_first(t, fiber);
    leave_fiber(t);
    if (fiber) {
        t->roots.frames = t->fast.frames;
        t->fiber = fiber;
        t->fast.frames = fiber->roots.frames;
    } else {
        t->roots.frames = NULL;
    }
    return true;
}

void fiber_set_stack(gc_fiber *f, uintptr_t low, uintptr_t high)
{
    bool resting = take(f, FIBER_CLAIMED);
    stress(STRESS_FIBER_TAKEN);
    f->stack_low = low;
    f->stack_high = high;
    if (resting)
        suspend(f);
}

void fiber_abandon(gc_thread *t)
{
    leave_fiber(t);
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
    rootset_free(&f->roots);
    free(f);
    return 0;
}

/* The lock is let go every so often: nobody waits for a hundred thousand fibers. */
#define VISIT_BATCH 32

static void visit_one_locked(gc_heap *heap, gc_fiber *f, struct gc_tracer *tracer)
{
    LOCK_ASSERT_HELD(&heap->fibers_lock);
    if (!take(f, FIBER_CLAIMED))
        return;
    stress(STRESS_FIBER_CLAIMED);
    if (f->scanned != heap->cycle) {
        visit(f, tracer);
        f->scanned = heap->cycle;
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
        rootset_free(&f->roots);
        free(f);
    }
}
