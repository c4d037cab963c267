#include "cycle/background.h"
#include "base/events.h"
#include "collector/scavenge.h"
#include "collector/special.h"
#include "collector/sweep.h"
#include "mutator/self.h"

uint32_t background_wanted(const gc_heap *heap)
{
    return u32_load_relaxed(&heap->background->wanted);
}

bool background_is_late(const gc_heap *heap)
{
    return (int32_t)(background_wanted(heap) - u32_load_relaxed(&heap->cycle->started)) > 0;
}

/* ---- Cycles ---- */

static bool has_cycle(const gc_heap *heap)
{
    return background_is_late(heap) || (cycle_is_left(heap->cycle) && !cycle_stays(heap->cycle));
}

/* Whether the thread has more important work than what it does. */
static bool is_called(const gc_heap *heap)
{
    return has_cycle(heap) || service_is_ending(&heap->background->service);
}

/* Runs a cycle, unless another thread was quicker. */
static void run_cycle(gc_heap *heap)
{
    stress(STRESS_CYCLE_WANTED);
    lock_acquire(&heap->cycle->lock);
    if (cycle_is_left(heap->cycle))
        cycle_end_stay(heap->cycle);
    if (has_cycle(heap))
        cycle_drive(heap, (struct cycle_patience){0, 0});
    lock_release(&heap->cycle->lock);
}

/* ---- Sweeping, and memory that goes back ---- */

static bool nothing_to_sweep(const gc_heap *heap)
{
    return is_called(heap) || sweep_is_done(heap);
}

static void sweep_for(gc_heap *heap, uint64_t ns)
{
    uint64_t begin = event_begin(), cpu = os_thread_cpu_ns(), end = os_now_ns() + ns;
    while (!has_cycle(heap) && sweep_one(heap) > 0 && os_now_ns() < end)
        ;
    u64_fetch_add_relaxed(&heap->sweeping->cpu_ns, os_thread_cpu_ns() - cpu);
    event_end(EVENT_BACK_SWEEP, begin, heap->number);
}

#define MUTATORS_LEAST ((intptr_t)16) /* pages in each pause */

/* If mutators run on all processors, they sweep as they allocate. Returns whether they get on with
 * it. What finalizers, cleanups and external bytes wait for is not left to them. */
static bool mutators_sweep(gc_heap *heap)
{
    const struct service *s = &heap->background->service;
    const word *swept = &heap->sweeping->swept_pages;
    word before = word_load_relaxed(swept);
    uint32_t kicks;
    if (service_goes_on(s, &kicks) && !has_cycle(heap))
        service_sleep(s, kicks, CYCLE_MUTATORS_PAUSE_NS);
    intptr_t pages = (intptr_t)(word_load_relaxed(swept) - before);
    return is_called(heap) || (!special_any(heap) && pages >= MUTATORS_LEAST);
}

static void background_sweep(gc_heap *heap)
{
    while (!nothing_to_sweep(heap)) {
        bool taken = cycle_processors_taken(heap);
        if (!taken || !mutators_sweep(heap))
            sweep_for(heap, taken ? CYCLE_BESIDE_NS : CYCLE_SHORT_SLICE_NS);
    }
}

/* A small heap is better swept by the threads that allocate in it: bitmaps that were swept here
 * would have to come back to their caches. If they do not sweep soon, they do not need to, and the
 * background sweeps. If there are finalizers, cleanups or external bytes, which wait for the sweep,
 * it sweeps at once. */
#define SWEEP_PATIENCE_NS (10 * 1000 * 1000)

static bool leave_sweeping(gc_heap *heap)
{
    const struct service *s = &heap->background->service;
    uint32_t kicks;
    if (!cycle_heap_is_small(heap) || special_any(heap) || sweep_is_done(heap))
        return false;
    if (service_goes_on(s, &kicks) && !has_cycle(heap))
        service_sleep(s, kicks, SWEEP_PATIENCE_NS);
    return is_called(heap);
}

#define BUSY_PAUSE_NS (20 * 1000 * 1000)

/* A cycle that was left is this thread's work, unless it stays. */
static int64_t pause_in_cycle(const struct cycle *c)
{
    return cycle_stays(c) ? BUSY_PAUSE_NS : 0;
}

/* Does a step of scavenging. Returns how long to wait for the next one; -1: there is none. */
static int64_t background_scavenge(gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    int64_t pause = BUSY_PAUSE_NS;
    if (lock_try(&c->lock)) {
        pause = cycle_is_left(c) ? pause_in_cycle(c) : scavenge_step(heap);
        lock_release(&c->lock);
    }
    return pause;
}

/* ---- The service ---- */

#define IDLE_WAIT_NS ((int64_t)2000 * 1000 * 1000)

static void run_service(void *arg)
{
    gc_heap *heap = arg;
    struct service *s = &heap->background->service;
    uint32_t kicks;
    self_joins_collector();
    while (service_goes_on(s, &kicks)) {
        if (has_cycle(heap))
            run_cycle(heap);
        if (!leave_sweeping(heap))
            background_sweep(heap);
        int64_t pause = is_called(heap) ? 0 : background_scavenge(heap);
        if (!is_called(heap))
            service_sleep(s, kicks, pause < 0 ? IDLE_WAIT_NS : pause);
    }
}

void background_init(gc_heap *heap)
{
    service_init(&heap->background->service, "gcheap", run_service, heap);
}

bool background_runs(const gc_heap *heap)
{
    return service_runs(&heap->background->service);
}

bool background_start(gc_heap *heap)
{
    if (heap->options.flags & GC_NO_BACKGROUND)
        return false;
    service_start(&heap->background->service);
    return background_runs(heap);
}

void background_kick(gc_heap *heap)
{
    background_start(heap);
    background_kick_if_started(heap);
}

void background_kick_if_started(gc_heap *heap)
{
    service_kick(&heap->background->service);
}

/* Asks for one more cycle than has started, unless that was done. */
static uint32_t want_cycle(gc_heap *heap)
{
    struct background *b = heap->background;
    uint32_t next = u32_load_relaxed(&heap->cycle->started) + 1;
    uint32_t wanted = u32_load_relaxed(&b->wanted);
    if ((int32_t)(next - wanted) > 0)
        u32_cas_relaxed(&b->wanted, wanted, next);
    return next;
}

uint32_t background_request_cycle(gc_heap *heap, enum gc_cause cause)
{
    bool asked = background_is_late(heap);
    if (!asked)
        u32_store_relaxed(&heap->cycle->asked_for, cause);
    uint32_t number = want_cycle(heap);
    if (!asked)
        background_kick(heap);
    return number;
}

void background_stop(gc_heap *heap)
{
    service_stop(&heap->background->service);
}

/* ---- Fork ---- */

/* A request for a cycle is gone with the thread that got it. */
static void forget(gc_heap *heap)
{
    service_forget(&heap->background->service);
    heap->background->wanted = heap->cycle->started;
}

const struct fork_part background_fork = {BACKGROUND_FORK_RANKS, .forget = forget};
