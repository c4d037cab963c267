#include "cycle/background.h"
#include "mutator/self.h"

static bool wants_cycle(const struct collector *c)
{
    return (int32_t)(u32_load_acquire(&c->wanted) - u32_load_acquire(&c->started)) > 0;
}

bool background_is_late(const gc_heap *heap)
{
    return wants_cycle(heap->collector);
}

/* ---- Cycles ---- */

static bool has_cycle(const struct collector *c)
{
    return cycle_is_left(c) || wants_cycle(c);
}

/* There is more important work than what it is about. */
static bool is_called(const struct collector *c)
{
    return has_cycle(c) || u32_load_acquire(&c->stopping);
}

/* Others may get to it first. */
static void run_cycle(gc_heap *heap)
{
    struct collector *c = heap->collector;
    stress(STRESS_CYCLE_WANTED);
    lock_acquire(&c->lock);
    if (has_cycle(c))
        cycle_drive(heap, (struct cycle_patience){0, 0});
    lock_release(&c->lock);
}

/* ---- Sweeping, and memory that goes back ---- */

static bool nothing_to_sweep(void *heap)
{
    struct collector *c = ((gc_heap *)heap)->collector;
    return is_called(c) || sweep_is_done(heap);
}

static void sweep_for(gc_heap *heap, uint64_t ns)
{
    uint64_t cpu = os_thread_cpu_ns(), end = os_now_ns() + ns;
    while (!has_cycle(heap->collector) && sweep_one(heap) > 0 && os_now_ns() < end)
        ;
    u64_fetch_add_relaxed(&heap->collector->sweeping.cpu_ns, os_thread_cpu_ns() - cpu);
}

static void background_sweep(gc_heap *heap)
{
    while (!nothing_to_sweep(heap)) {
        struct proc *p = NULL;
        if (cycle_processors_taken(heap))
            p = proc_borrow(&heap->procs, nothing_to_sweep, heap);
        sweep_for(heap, p ? PROC_LOAN_NS : CYCLE_SHORT_SLICE_NS);
        if (p)
            proc_return(&heap->procs, p);
    }
}

/* A small heap is better swept by those who allocate in it: bitmaps swept here would have to come
 * back to their caches. If they do not get to it soon, they have no use for it. Finalizers,
 * cleanups and external memory wait for sweeping: then it does not wait. */
#define SWEEP_PATIENCE_NS (10 * 1000 * 1000)

static bool leave_sweeping(gc_heap *heap)
{
    struct collector *c = heap->collector;
    uint32_t kicks = u32_load_acquire(&c->kicks);
    if (!cycle_heap_is_small(heap) || special_any(heap) || sweep_is_done(heap))
        return false;
    if (!is_called(c))
        os_wait(&c->kicks, kicks, SWEEP_PATIENCE_NS);
    return is_called(c);
}

#define BUSY_PAUSE_NS (20 * 1000 * 1000)

/* How long to wait for the next step; -1: there is none. */
static int64_t background_scavenge(gc_heap *heap)
{
    struct collector *c = heap->collector;
    int64_t pause = BUSY_PAUSE_NS;
    if (lock_try(&c->lock)) {
        pause = cycle_is_left(c) ? 0 : scavenge_step(heap);
        lock_release(&c->lock);
    }
    return pause;
}

/* What kicks there were is read first: who asks the thread to end kicks it then. */
static bool goes_on(const struct collector *c, uint32_t *kicks)
{
    *kicks = u32_load_acquire(&c->kicks);
    stress(STRESS_MAY_SLEEP);
    return !u32_load_acquire(&c->stopping);
}

/* ---- The thread ---- */

#define IDLE_WAIT_NS ((int64_t)2000 * 1000 * 1000)

static void thread_main(void *arg)
{
    gc_heap *heap = arg;
    struct collector *c = heap->collector;
    uint32_t kicks;
    os_thread_title("gcheap");
    self_joins_collector();
    while (goes_on(c, &kicks)) {
        if (has_cycle(c))
            run_cycle(heap);
        if (!leave_sweeping(heap))
            background_sweep(heap);
        int64_t pause = is_called(c) ? 0 : background_scavenge(heap);
        if (!is_called(c) && u32_load_acquire(&c->kicks) == kicks)
            os_wait(&c->kicks, kicks, pause < 0 ? IDLE_WAIT_NS : pause);
    }
}

enum { NO_THREAD, STARTS, RUNS }; /* collector.thread_started */

bool background_runs(const gc_heap *heap)
{
    return u32_load_acquire(&heap->collector->thread_started) == RUNS;
}

static void kick(struct collector *c)
{
    u32_fetch_add_acq_rel(&c->kicks, 1);
    os_wake(&c->kicks, 1);
}

bool background_start(gc_heap *heap)
{
    struct collector *c = heap->collector;
    if (heap->options.flags & GC_NO_BACKGROUND)
        return false;
    if (u32_load_relaxed(&c->thread_started) == NO_THREAD &&
        u32_cas_acq_rel(&c->thread_started, NO_THREAD, STARTS)) {
        bool runs = os_thread_start(&c->thread, thread_main, heap) == 0;
        u32_store_release(&c->thread_started, runs ? RUNS : NO_THREAD);
    }
    return background_runs(heap);
}

void background_kick(gc_heap *heap)
{
    background_start(heap);
    background_kick_if_started(heap);
}

/* Also while somebody starts the thread: it may be about to sleep already. */
void background_kick_if_started(gc_heap *heap)
{
    struct collector *c = heap->collector;
    if (u32_load_acquire(&c->thread_started) != NO_THREAD)
        kick(c);
}

/* Asks for one cycle more than has started, once. */
static uint32_t want_cycle(struct collector *c)
{
    uint32_t next = u32_load_acquire(&c->started) + 1;
    uint32_t wanted = u32_load_relaxed(&c->wanted);
    if ((int32_t)(next - wanted) > 0)
        u32_cas_acq_rel(&c->wanted, wanted, next);
    return next;
}

uint32_t background_request_cycle(gc_heap *heap)
{
    struct collector *c = heap->collector;
    bool asked = wants_cycle(c);
    uint32_t number = want_cycle(c);
    if (!asked)
        background_kick(heap);
    return number;
}

void background_stop(gc_heap *heap)
{
    struct collector *c = heap->collector;
    u32_store_release(&c->stopping, 1);
    if (!background_runs(heap))
        return;
    u32_fetch_add_acq_rel(&c->kicks, 1);
    os_wake(&c->kicks, OS_WAKE_ALL);
    os_thread_join(&c->thread);
}
