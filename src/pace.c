#include "pace.h"
#include "background.h"

/* ---- Starting cycles ---- */

/* The thread drives a cycle itself, to its end or (`until`) as far as it comes; if another does,
 * that one will do. */
static void run_here(gc_heap *heap, gc_thread *t, uint64_t until)
{
    struct collector *c = heap->collector;
    bool over = true;
    thread_save_stack(t, (uintptr_t)__builtin_frame_address(0));
    thread_enter_blocked(t);
    if (lock_try(&c->lock)) {
        if (cycle_heap_live(heap) >= word_load_relaxed(&c->trigger)) {
            c->quick = until != 0;
            over = cycle_drive(heap, until);
        }
        if (over)
            lock_release(&c->lock);
        else
            background_leave_cycle(heap);
    }
    thread_leave_blocked(t);
}

static void run_whole(gc_heap *heap, gc_thread *t)
{
    struct stopwatch start = stopwatch_start();
    run_here(heap, t, 0);
    times_add_stall(&t->times, stopwatch_elapsed(&start));
}

/* For no longer than a handshake may take. If somebody begins to run meanwhile and does not poll,
 * or more is alive than before, the background goes on. */
static void run_quickly(gc_heap *heap, gc_thread *t)
{
    uint64_t start = os_now_ns();
    run_here(heap, t, start + CYCLE_QUICK_NS);
    times_add_stall(&t->times, stopwatch_short(start));
    if (special_any(heap))
        background_kick(heap); /* finalizers and cleanups wait for sweeping */
}

/* A cycle can be left between two steps, and within marking and sweeping; the rest is done in one
 * go. Of so many each it takes microseconds. */
#define QUICK_THREADS 8
#define QUICK_FIBERS 8
#define QUICK_RECORDS 512
#define QUICK_NODES 1024

static bool has_few_threads(gc_heap *heap)
{
    lock_acquire(&heap->mutators.lock);
    size_t n = heap->mutators.count;
    lock_release(&heap->mutators.lock);
    return n <= QUICK_THREADS;
}

/* And nobody is called back, who could wait for a lock that the thread holds. */
static bool has_little_else(gc_heap *heap)
{
    return has_few_threads(heap) && fibers_are_few(heap, QUICK_FIBERS) &&
           roots_are_few(&heap->roots) && special_few(heap, QUICK_RECORDS) &&
           weaksets_are_small(heap, QUICK_NODES);
}

/* A cycle of a small heap, of which the last ones cost little, while nobody else runs: it is over
 * in less time than it would take to wake somebody for it, and its tables stay in this processor's
 * caches. */
static bool is_quickly_done(gc_heap *heap)
{
    const struct procs *procs = &heap->procs;
    return cycle_heap_is_small(heap) && cycle_may_be_quick(heap->collector) &&
           u32_load_relaxed(&procs->waiting) == 0 && procs_idle(procs) + 1 >= procs->max &&
           has_little_else(heap);
}

static void start_cycle(gc_heap *heap, gc_thread *t)
{
    if (heap->options.flags & (GC_STOP_WORLD | GC_NO_BACKGROUND)) {
        run_whole(heap, t);
        background_kick(heap);
    } else if (!background_start(heap)) {
        run_whole(heap, t);
    } else if (is_quickly_done(heap)) {
        run_quickly(heap, t);
    } else {
        background_request_cycle(heap);
    }
}

/* ---- Paying ---- */

#define ASSIST_MIN ((uint64_t)16 << 10)

/* Pays for `bytes` allocated while the cycle marks: first from what the background has done, then
 * by marking (Go: bgScanCredit). */
static void assist(gc_heap *heap, gc_thread *t, uint64_t bytes)
{
    struct collector *c = heap->collector;
    uint64_t marked = word_load_relaxed(&c->marking.marked_bytes);
    uint64_t live = word_load_relaxed(&c->live);
    uint64_t expected = MAX_OF(live, (uint64_t)word_load_relaxed(&c->heap_before) / 2);
    uint64_t left = expected > marked ? expected - marked : expected / 20 + 1;
    double ratio =
        pacer_assist_ratio(live, word_load_relaxed(&c->goal), cycle_heap_live(heap), left);
    uint64_t debt = (uint64_t)((double)bytes * ratio);
    debt -= marking_take_credit(&c->marking, debt);
    if (debt < ASSIST_MIN / 16)
        return;
    if (!workqueue_has_work(&heap->work)) {
        workqueue_ask(&heap->work);
        return;
    }
    struct marker m;
    uint64_t start = os_now_ns();
    marker_init(&m, heap);
    marker_drain(&m, MAX_OF(debt, ASSIST_MIN));
    m.unpaid -= MIN_OF(m.unpaid, (word)debt); /* what is more pays for allocations to come */
    marking_give_credit(&c->marking, &m);
    marker_finish(&m);
    struct stopwatch elapsed = stopwatch_short(start);
    word_fetch_add_relaxed(&c->assist_ns, elapsed.cpu);
    times_add_stall(&t->times, elapsed);
}

#define LATE_NS ((uint64_t)5 * 1000 * 1000)

/* The thread begins a cycle that the background does not get to, which then goes on with it: who
 * does not poll may keep that waiting, but not this thread (I2). A world that is held is held to
 * the end. */
static void run_late(gc_heap *heap, gc_thread *t)
{
    bool alone = heap->options.flags & (GC_STOP_WORLD | GC_NO_BACKGROUND);
    struct stopwatch start = stopwatch_start();
    run_here(heap, t, !alone && background_start(heap) ? start.wall + LATE_NS : 0);
    times_add_stall(&t->times, stopwatch_elapsed(&start));
}

/* A cycle is late, and the heap far beyond its goal: more likely than not the collector waits for
 * this processor. If that does not get it started, this thread begins the cycle. */
static NOINLINE void give_way(gc_heap *heap, gc_thread *t)
{
    struct collector *c = heap->collector;
    bool late = background_is_late(heap);
    if (late && cycle_heap_live(heap) / 2 > word_load_relaxed(&c->goal))
        run_late(heap, t);
    if (late || u32_load_acquire(&c->left) || u32_load_relaxed(&c->phase) != CYCLE_IDLE)
        os_yield();
}

/* Sweeps what is owed: part of it was, by those who needed slots. */
static void sweep_credit(gc_heap *heap, gc_thread *t)
{
    struct collector *c = heap->collector;
    uint64_t due =
        pacer_pages_swept(word_load_relaxed(&c->trigger), word_load_relaxed(&c->sweep_basis),
                          cycle_heap_live(heap), word_load_relaxed(&c->sweep_pages));
    if (word_load_relaxed(&c->sweeping.swept_pages) >= due)
        return;
    uint64_t start = os_now_ns();
    while (word_load_relaxed(&c->sweeping.swept_pages) < due && sweep_one(heap) > 0)
        ;
    times_add_stall(&t->times, stopwatch_short(start));
}

void pace_allocation(gc_heap *heap, gc_thread *t, size_t more)
{
    struct collector *c = heap->collector;
    uint64_t bytes = mcache_take_unpaced(t->proc->cache) + more;
    if (UNLIKELY(cycle_heap_live(heap) / 11 * 10 > word_load_relaxed(&c->goal)))
        give_way(heap, t);
    if (t->phase == PHASE_MARK)
        assist(heap, t, bytes);
    else if (u32_load_relaxed(&c->phase) == CYCLE_IDLE &&
             cycle_heap_live(heap) + more >= word_load_relaxed(&c->trigger))
        start_cycle(heap, t);
    else if (t->proc->cache->sweeping && u32_load_relaxed(&c->sweeping.active))
        sweep_credit(heap, t);
}
