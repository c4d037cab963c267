#include "mutator/fiber.h"
#include "mutator/frame.h"
#include "mutator/thread.h"
#include <errno.h>

static bool past_roots(const gc_thread *t)
{
    return t->phase == PHASE_MARK || t->phase == PHASE_DONE;
}

static void set_scanned(gc_fiber *f, bool yes)
{
    u32_store_relaxed(&f->scanned, yes ? u32_load_relaxed(&f->heap->cycle_number) : 0);
}

static gc_fiber **list_of(const gc_fiber *f)
{
    return f->owner ? &f->heap->owned_fibers : &f->heap->fibers;
}

/* I10: once the collector has visited the fibers, none is unscanned, not even a new one. On the
 * stack of a new one, words may lie that once were references; they would revive what is dead by
 * now. */
gc_fiber *fiber_create(gc_thread *t, struct special *owner)
{
    gc_heap *heap = t->heap;
    gc_fiber *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->heap = heap;
    f->owner = owner;
    set_scanned(f, past_roots(t));
    lock_acquire(&heap->fibers_lock);
    f->number = ++heap->fibers_made;
    gc_fiber **list = list_of(f);
    f->next = *list;
    if (f->next)
        f->next->prev = f;
    *list = f;
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

/* Nobody waits for a thread that runs the fiber. */
static void suspend(gc_fiber *f)
{
    u32_store_release(&f->state, FIBER_SUSPENDED);
}

static void end_claim(gc_fiber *f)
{
    suspend(f);
    os_wake(&f->state, OS_WAKE_ALL);
}

/* I10: a black thread must not see a root set that was not scanned. */
static void scan_first(gc_thread *t, gc_fiber *f)
{
    if (t->phase != PHASE_MARK || fiber_is_scanned(f))
        return;
    struct shading_tracer shade = handshake_shading_tracer(t);
    fiber_visit(f, &shade.tracer);
    barrier_shade_ambiguous(t, shade.ambiguous);
    set_scanned(f, true);
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
    f->held = 0;
    set_scanned(f, past_roots(t));
    t->fiber = NULL;
    t->fast.frames = t->roots.frames;
    stress(STRESS_FIBER_LEFT);
    suspend(f);
}

/* The thread runs no fiber. NULL: it goes on in its own root set. */
static void enter_fiber(gc_thread *t, gc_fiber *fiber, uintptr_t owner)
{
    if (!fiber) {
        t->roots.frames = NULL;
        return;
    }
    t->roots.frames = t->fast.frames;
    t->fiber = fiber;
    t->fast.frames = fiber->roots.frames;
    fiber->held = owner;
}

bool fiber_switch(gc_thread *t, gc_fiber *fiber, uintptr_t owner, uintptr_t caller)
{
    if (fiber && fiber == t->fiber)
        return true;
    if (fiber) {
        if (!take(fiber, FIBER_RUNNING))
            return false;
        stress(STRESS_FIBER_TAKEN);
        scan_first(t, fiber);
    }
    leave_fiber(t, caller);
    enter_fiber(t, fiber, owner);
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
    end_claim(f);
    return error;
}

void fiber_abandon(gc_thread *t)
{
    leave_fiber(t, 0);
}

static void unlink_locked(gc_heap *heap, gc_fiber *f)
{
    LOCK_ASSERT_HELD(&heap->fibers_lock);
    if (heap->fiber_cursor == f)
        heap->fiber_cursor = f->next;
    if (f->prev)
        f->prev->next = f->next;
    else
        *list_of(f) = f->next;
    if (f->next)
        f->next->prev = f->prev;
}

static void free_list(gc_fiber *f)
{
    while (f) {
        gc_fiber *next = f->next;
        rootset_free(&f->roots);
        free(f->stack);
        free(f);
        f = next;
    }
}

/* I57: what a fiber with an owner holds need not be shaded. Its owner may be dead, and what it held
 * with it. A marker that still finds the fiber takes it for one that a thread runs. */
int fiber_destroy(gc_thread *t, gc_fiber *f)
{
    gc_heap *heap = f->heap;
    if (!take(f, FIBER_RUNNING))
        return -EBUSY;
    if (!f->owner)
        scan_first(t, f);
    lock_acquire(&heap->fibers_lock);
    unlink_locked(heap, f);
    bool stays = f->owner && heap->fibers_are_known;
    f->next = stays ? heap->dead_fibers : NULL;
    if (stays)
        heap->dead_fibers = f;
    lock_release(&heap->fibers_lock);
    if (!stays)
        free_list(f);
    return 0;
}

/* The lock is released after so many fibers, so that no thread waits for a hundred thousand. */
#define VISIT_BATCH 32

bool fiber_scan(gc_fiber *f, struct gc_tracer *tracer)
{
    if (!take(f, FIBER_CLAIMED))
        return false;
    stress(STRESS_FIBER_CLAIMED);
    bool scans = !fiber_is_scanned(f);
    if (scans) {
        fiber_visit(f, tracer);
        set_scanned(f, true);
    }
    end_claim(f);
    return scans;
}

static void walk(gc_heap *heap, gc_fiber *const *list, void (*fn)(void *arg, gc_fiber *f),
                 void *arg)
{
    lock_acquire(&heap->fibers_lock);
    heap->fiber_cursor = *list;
    while (heap->fiber_cursor) {
        for (int i = 0; i < VISIT_BATCH && heap->fiber_cursor; i++) {
            gc_fiber *f = heap->fiber_cursor;
            heap->fiber_cursor = f->next;
            fn(arg, f);
        }
        lock_release(&heap->fibers_lock);
        stress(STRESS_FIBERS_UNLOCKED);
        lock_acquire(&heap->fibers_lock);
    }
    lock_release(&heap->fibers_lock);
}

static void scan(void *tracer, gc_fiber *f)
{
    fiber_scan(f, tracer);
}

void fibers_visit(gc_heap *heap, struct gc_tracer *tracer)
{
    walk(heap, &heap->fibers, scan, tracer);
}

void fibers_each_owned(gc_heap *heap, void (*fn)(void *arg, gc_fiber *f), void *arg)
{
    lock_acquire(&heap->fibers_lock);
    heap->fibers_are_known = true;
    lock_release(&heap->fibers_lock);
    walk(heap, &heap->owned_fibers, fn, arg);
}

void fibers_forgotten(gc_heap *heap)
{
    lock_acquire(&heap->fibers_lock);
    gc_fiber *dead = heap->dead_fibers;
    heap->dead_fibers = NULL;
    heap->fibers_are_known = false;
    lock_release(&heap->fibers_lock);
    free_list(dead);
}

static bool is_in_list(const gc_fiber *list, uint64_t number)
{
    while (list && list->number != number)
        list = list->next;
    return list;
}

bool fiber_exists(gc_heap *heap, uint64_t number)
{
    lock_acquire(&heap->fibers_lock);
    bool exists = is_in_list(heap->fibers, number) || is_in_list(heap->owned_fibers, number);
    lock_release(&heap->fibers_lock);
    return exists;
}

static size_t count_up_to(const gc_fiber *f, size_t most)
{
    size_t n = 0;
    for (; f && n < most; f = f->next)
        n++;
    return n;
}

bool fibers_are_few(gc_heap *heap, size_t few)
{
    lock_acquire(&heap->fibers_lock);
    size_t n = count_up_to(heap->fibers, few + 1) + count_up_to(heap->owned_fibers, few + 1);
    lock_release(&heap->fibers_lock);
    return n <= few;
}

void fibers_destroy(gc_heap *heap)
{
    free_list(heap->fibers);
    free_list(heap->owned_fibers);
    free_list(heap->dead_fibers);
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
