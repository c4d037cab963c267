#include "cycle/fork.h"
#include "collector/backing.h"
#include "collector/finalizer.h"
#include "collector/pacing.h"
#include "collector/special.h"
#include "collector/sweep.h"
#include "collector/weakset.h"
#include "cycle/background.h"
#include "mutator/attach.h"
#include "mutator/self.h"
#include "mutator/thread.h"
#include <errno.h>
#include <pthread.h>

static struct {
    struct lock lock;  /* LOCK_HEAPS; held during a fork */
    gc_heap *heaps;    /* linked by next_heap; under lock */
    bool registered;   /* under lock */
    gc_thread *forker; /* it left the RUN state for a fork; NULL: it was not in it; under lock */
} forks = {.lock = LOCK_INIT(LOCK_HEAPS)};

static bool is_safe(const gc_heap *heap)
{
    return heap->options.flags & GC_FORK_SAFE;
}

static void each_safe(void (*fn)(gc_heap *heap))
{
    for (gc_heap *heap = forks.heaps; heap; heap = heap->next_heap) {
        if (is_safe(heap))
            fn(heap);
    }
}

/* ---- Before ---- */

/* What scavenging has taken from the free pages, it has given back. */
static void bring_to_rest(gc_heap *heap)
{
    lock_seize(&heap->cycle->lock);
    cycle_finish_left(heap);
    sweep_finish(heap);
    handshake_hold(heap);
    lock_seize(&heap->mem.huge.scavenge_lock);
}

/* In rank order, with the registry of types in between. Locks of span sets, of spans' specials and
 * of weak tables are missing: running mutators and sweepers take them, and there are none. */
static void seize_before_types(gc_heap *heap)
{
    lock_seize(&heap->mutators.lock);
    lock_seize(&heap->fibers_lock);
    lock_seize(&heap->procs.lock);
}

static void seize_after_types(gc_heap *heap)
{
    lock_seize(&heap->roots.lock);
    lock_seize(&heap->roots.handles.lock);
    lock_seize(&heap->weaksets->lock);
    lock_seize(&heap->specials->lock);
    lock_seize(&heap->finq->lock);
    lock_seize(&heap->work.lock);
    lock_seize(&heap->mem.pool.lock);
    lock_seize(&heap->mem.lock);
    lock_seize(&heap->mem.persistent.lock);
    lock_seize(&heap->pacing->lock);
    lock_seize(&heap->cycle->record_lock);
}

/* The forking thread is blocked while it waits, as anyone it waits for may wait for it. */
static NOINLINE void prepare(void)
{
    gc_thread *t = thread_self();
    if (t && t->blocking > 0)
        t = NULL;
    if (t) {
        thread_enter_blocked(t, STACK_CALLER());
    }
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_seize(&forks.lock);
    forks.forker = t;
    each_safe(bring_to_rest);
    each_safe(seize_before_types);
    type_fork_prepare();
    each_safe(seize_after_types);
    finalizer_seize();
}

/* ---- After, in both ---- */

static void free_locks(gc_heap *heap)
{
    lock_free(&heap->cycle->record_lock);
    lock_free(&heap->pacing->lock);
    lock_free(&heap->mem.persistent.lock);
    lock_free(&heap->mem.lock);
    lock_free(&heap->mem.pool.lock);
    lock_free(&heap->work.lock);
    lock_free(&heap->finq->lock);
    lock_free(&heap->specials->lock);
    lock_free(&heap->weaksets->lock);
    lock_free(&heap->roots.handles.lock);
    lock_free(&heap->roots.lock);
    lock_free(&heap->procs.lock);
    lock_free(&heap->fibers_lock);
    lock_free(&heap->mutators.lock);
    lock_free(&heap->mem.huge.scavenge_lock);
}

static void go_on(gc_heap *heap)
{
    handshake_release(heap);
    lock_free(&heap->cycle->lock);
}

static void free_all_locks(void)
{
    finalizer_release();
    type_fork_done();
    each_safe(free_locks);
}

static gc_thread *let_heaps_go_on(void)
{
    gc_thread *t = forks.forker;
    each_safe(go_on);
    lock_free(&forks.lock);
    return t;
}

static void parent(void)
{
    free_all_locks();
    gc_thread *t = let_heaps_go_on();
    if (t)
        thread_leave_blocked(t);
}

/* ---- The child ---- */

static void forget_library_threads(gc_heap *heap)
{
    background_forget(heap);
    marking_forget(heap->marking);
    heap->sweeping->sweepers = 0;
    heap->work.waiters = heap->work.sleepers = 0;
    heap->mutators.collector_waits = 0;
    finalizer_forget(heap);
}

static void clear_child(gc_heap *heap)
{
    forget_library_threads(heap);
    backing_forget(heap);
    attach_after_fork_in_child(heap);
    proc_after_fork_in_child(&heap->procs);
}

static bool was_shared(const gc_heap *heap)
{
    return attach_has_others(heap) || service_is_used(&heap->background->service) ||
           heap->marking->nhelpers > 0 || service_is_used(&heap->finalizers->service) ||
           service_is_used(&heap->backing->service);
}

static void find_orphans(void)
{
    for (gc_heap *heap = forks.heaps; heap; heap = heap->next_heap)
        heap->orphan |= !is_safe(heap) && was_shared(heap);
}

static void child(void)
{
    os_after_fork_in_child();
    free_all_locks();
    each_safe(clear_child);
    find_orphans();
    gc_thread *t = let_heaps_go_on();
    attach_end_orphans();
    if (t && !t->heap->orphan)
        thread_leave_blocked(t);
}

/* ---- Heaps ---- */

/* The key of threads and the handlers are there before a heap is. */
static int register_locked(void)
{
    LOCK_ASSERT_HELD(&forks.lock);
    int error = attach_make_key();
    if (error)
        return error;
    if (!forks.registered && pthread_atfork(prepare, parent, child) != 0)
        return -ENOMEM;
    forks.registered = true;
    return 0;
}

static void unlink_locked(const gc_heap *heap)
{
    LOCK_ASSERT_HELD(&forks.lock);
    gc_heap **link = &forks.heaps;
    while (*link && *link != heap)
        link = &(*link)->next_heap;
    if (*link)
        *link = heap->next_heap;
}

/* Who forks has the lock and waits for mutators: they wait for it in the blocked state. */
static NOINLINE gc_thread *enter(void)
{
    gc_thread *t = thread_self();
    if (t)
        thread_blocking_begin(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&forks.lock);
    return t;
}

static void leave(gc_thread *t)
{
    lock_release(&forks.lock);
    if (t)
        thread_blocking_end(t);
}

int fork_heap_created(gc_heap *heap)
{
    gc_thread *t = enter();
    int error = register_locked();
    if (!error) {
        heap->next_heap = forks.heaps;
        forks.heaps = heap;
    }
    leave(t);
    return error;
}

void fork_heap_destroyed(gc_heap *heap)
{
    gc_thread *t = enter();
    unlink_locked(heap);
    leave(t);
}

bool fork_any_heap_contains(word value)
{
    bool yes = false;
    if (value == 0 || !lock_try(&forks.lock))
        return false;
    for (const gc_heap *heap = forks.heaps; heap && !yes; heap = heap->next_heap)
        yes = arena_of(&heap->mem.arenas, value_address(&heap->options.format, value)) != NULL;
    lock_release(&forks.lock);
    return yes;
}
