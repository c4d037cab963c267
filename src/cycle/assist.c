#include "cycle/assist.h"
#include "collector/pacing.h"
#include "collector/quarantine.h"
#include "collector/special.h"
#include "collector/sweep.h"
#include "collector/weakset.h"
#include "collector/weakslot.h"
#include "cycle/background.h"
#include "introspect/strays.h"
#include "mutator/fiber.h"
#include "mutator/self.h"
#include "mutator/thread.h"
#include "mutator/window.h"

/* ---- Driving cycles ---- */

static bool take_lock(struct lock *lock, struct cycle_patience patience)
{
    if (patience.waits_until)
        return lock_try(lock);
    lock_acquire(lock);
    return true;
}

/* The thread drives the cycle itself, as far as its patience goes and if the cycle is still needed.
 * false: another thread has the lock, perhaps not for a cycle. */
static NOINLINE bool run_here(gc_heap *heap, gc_thread *t, struct cycle_patience patience,
                              bool quick)
{
    struct cycle *c = heap->cycle;
    thread_enter_blocked(t, STACK_CALLER());
    bool mine = take_lock(&c->lock, patience);
    if (mine) {
        bool over = true;
        if (cycle_is_left(c) || background_is_late(heap) || pacing_is_due(heap, 0)) {
            c->quick = quick;
            over = cycle_drive(heap, patience);
        }
        lock_release(&c->lock);
        stress(STRESS_CYCLE_LEFT);
        if (!over)
            background_kick_if_started(heap);
    }
    thread_leave_blocked(t);
    return mine;
}

static void run_until(gc_heap *heap, gc_thread *t, struct cycle_patience patience)
{
    struct stopwatch start = stopwatch_start();
    run_here(heap, t, patience, false);
    times_add_stall(&t->times, STALL_DRIVE, stopwatch_elapsed(&start));
}

/* Drives the cycle to its end, unless a thread does not answer (I2). Once that thread has answered,
 * the next allocation that assists goes on. */
static void run_unless_kept(gc_heap *heap, gc_thread *t)
{
    run_until(heap, t, (struct cycle_patience){0, HANDSHAKE_NOW});
}

/* Drives the cycle for no longer than a handshake may take. The background goes on if another
 * thread begins to run meanwhile and does not poll, or if more is alive than before. */
static void run_quickly(gc_heap *heap, gc_thread *t)
{
    uint64_t start = os_now_ns();
    struct cycle_patience patience = {start + CYCLE_QUICK_NS, HANDSHAKE_NOW};
    if (!run_here(heap, t, patience, true))
        background_request_cycle(heap, GC_CAUSE_GOAL);
    times_add_stall(&t->times, STALL_DRIVE, stopwatch_short(start));
    if (special_any(heap))
        background_kick(heap); /* finalizers and cleanups wait for sweeping */
}

/* Drives the cycle, and waits for a thread only until that counts as silent. A cycle with the world
 * held is not left, as nobody could go on. */
static void run_briefly(gc_heap *heap, gc_thread *t)
{
    bool holds = heap->options.flags & GC_STOP_WORLD;
    uint64_t until = holds ? 0 : os_now_ns() + HANDSHAKE_SILENCE_NS;
    run_until(heap, t, (struct cycle_patience){until, until});
}

/* ---- Starting cycles ---- */

/* A cycle can be left between two steps, and within marking and sweeping. Work that cannot be
 * interrupted takes microseconds for so many of each kind. */
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

/* Whether there is little work that cannot be interrupted, and no heap callback, which could wait
 * for a lock that the thread holds. */
static bool has_little_else(gc_heap *heap)
{
    return has_few_threads(heap) && fibers_are_few(heap, QUICK_FIBERS) &&
           roots_are_few(&heap->roots) && special_few(heap, QUICK_RECORDS) &&
           weaksets_are_small(heap, QUICK_NODES) && weakslots_are_few(heap, QUICK_NODES);
}

/* Whether the heap is small, its last cycles cost little, and no other thread runs. Then the cycle
 * is over in less time than it takes to wake a thread for it, and its tables stay in this
 * processor's caches. */
static bool is_quickly_done(gc_heap *heap)
{
    const struct procs *procs = &heap->procs;
    return cycle_heap_is_small(heap) && cycle_may_be_quick(heap->cycle) &&
           u32_load_relaxed(&procs->waiting) == 0 && procs_idle(procs) + 1 >= procs->max &&
           has_little_else(heap);
}

static bool is_without_background(const gc_heap *heap)
{
    return heap->options.flags & GC_NO_BACKGROUND || !background_runs(heap);
}

/* Called when no other thread drives cycles. Heap callbacks are promised a thread that holds no
 * lock of the embedder. So with callbacks the cycle waits until there is a background thread,
 * unless the heap is to have none. */
static void run_alone(gc_heap *heap, gc_thread *t)
{
    if (heap->options.flags & GC_NO_BACKGROUND || !roots_call_back(&heap->roots))
        run_unless_kept(heap, t);
}

static void start_cycle(gc_heap *heap, gc_thread *t)
{
    if (heap->options.flags & GC_STOP_WORLD) {
        run_until(heap, t, (struct cycle_patience){0, 0});
        background_kick(heap);
    } else if (!background_start(heap)) {
        run_alone(heap, t);
    } else if (is_quickly_done(heap)) {
        run_quickly(heap, t);
    } else {
        background_request_cycle(heap, GC_CAUSE_GOAL);
    }
}

/* Goes on with a cycle that was left because a thread did not answer. */
static NOINLINE void go_on_with_cycle(gc_heap *heap, gc_thread *t)
{
    if (cycle_stays(heap->cycle))
        return;
    if (is_without_background(heap) && !handshake_is_unanswered(heap))
        run_alone(heap, t);
}

/* ---- Assisting ---- */

#define ASSIST_MIN ((uint64_t)16 << 10)
/* If mutators do all of the marking, each byte that is allocated pays at least so many, up to so
 * many at once. A cycle that is over soon leaves less behind that was born black. The size of the
 * pieces decides how many operations have one (I39). */
#define ALL_PER_BYTE 8
#define ALL_AT_ONCE ((uint64_t)64 << 10)

static uint64_t marking_owed(gc_heap *heap, uint64_t bytes)
{
    const struct marking *marking = heap->marking;
    uint64_t debt = pacing_marking_due(heap, bytes, word_load_relaxed(&marking->marked_bytes));
    if (u8_load_relaxed(&marking->by_mutators))
        debt = MAX_OF(debt, MIN_OF(bytes * ALL_PER_BYTE, ALL_AT_ONCE));
    return debt;
}

/* What `bytes` allocated while the cycle marks owe is taken from the credit first; for the rest the
 * thread marks (Go: bgScanCredit). */
static void assist(gc_heap *heap, gc_thread *t, uint64_t bytes)
{
    struct marking *marking = heap->marking;
    uint64_t debt = marking_owed(heap, bytes);
    debt -= marking_take_credit(marking, debt);
    if (debt < ASSIST_MIN / 16)
        return;
    if (!workqueue_has_work(&heap->work)) {
        workqueue_ask(&heap->work);
        return;
    }
    struct marker m;
    uint64_t start = os_now_ns();
    int cancel = os_cancel_off(); /* trace functions run */
    marker_init(&m, heap);
    self_calls_back();
    marker_drain(&m, MAX_OF(debt, ASSIST_MIN));
    self_called_back(t);
    m.unpaid -= MIN_OF(m.unpaid, (word)debt); /* the rest is credit */
    marking_give_credit(marking, &m);
    marker_finish(&m);
    os_cancel_restore(cancel);
    struct elapsed elapsed = stopwatch_short(start);
    u64_fetch_add_relaxed(&marking->assist_ns, elapsed.cpu);
    times_add_stall(&t->times, STALL_ASSIST, elapsed);
}

/* ---- Waiting (I22) ---- */

/* If a cycle has not begun after this time, the thread that waits for it begins it. */
#define LATE_NS ((uint64_t)5 * 1000 * 1000)
#define HELD_BACK_NS ((uint64_t)100 * 1000 * 1000)

static bool is_over(const struct cycle *c, uint32_t cycle)
{
    return (int32_t)(u32_load_acquire(&c->flipped) - cycle) >= 0;
}

/* Whether the cycle waits for a thread that is still silent, or for a callback that may wait for
 * this thread. */
static bool is_hindered(gc_heap *heap)
{
    uint32_t hindrance = u32_load_relaxed(&heap->mutators.hindrance);
    return hindrance == HINDRANCE_CALLBACK ||
           (hindrance == HINDRANCE_SILENCE && handshake_is_unanswered(heap));
}

/* Whether no thread drives the cycle, and none will before this one does. */
static bool has_no_driver(const gc_heap *heap)
{
    return cycle_is_left(heap->cycle) && is_without_background(heap);
}

/* Waits in the blocked state: handshakes are done for the thread, and another thread gets its P. */
static NOINLINE void await_cycle(gc_heap *heap, gc_thread *t, uint32_t cycle, uint64_t ns)
{
    const struct mutators *m = &heap->mutators;
    uint64_t start = os_now_ns(), waited = 0;
    thread_enter_blocked(t, STACK_CALLER());
    while (waited < ns) {
        uint32_t turn = u32_load_acquire(&m->turns);
        stress(STRESS_MAY_SLEEP);
        if (is_over(heap->cycle, cycle) || is_hindered(heap) || has_no_driver(heap))
            break;
        handshake_await_turn(heap, turn, (int64_t)(ns - waited));
        waited = os_now_ns() - start;
    }
    thread_leave_blocked(t);
    waited = os_now_ns() - start;
    histogram_add(&t->times.held_back, waited);
    stall_was(STALL_HELD_BACK, start, waited);
}

/* Called when the heap is far beyond its goal, because allocation is faster than collection. The
 * thread waits for the cycle that is under way or wanted. */
static NOINLINE void hold_back(gc_heap *heap, gc_thread *t)
{
    const struct cycle *c = heap->cycle;
    uint32_t wanted = background_wanted(heap), started = u32_load_relaxed(&c->started);
    bool late = (int32_t)(wanted - started) > 0;
    uint32_t cycle = late ? wanted : started;
    if (is_over(c, cycle) || is_hindered(heap) || cycle_stays(c))
        return;
    if (late)
        await_cycle(heap, t, cycle, LATE_NS);
    if (has_no_driver(heap) || (late && background_is_late(heap)))
        run_briefly(heap, t);
    if (!is_over(c, cycle) && !is_hindered(heap) && !has_no_driver(heap))
        await_cycle(heap, t, cycle, HELD_BACK_NS);
}

/* ---- Sweeping ---- */

/* A thread sweeps only if it owes so many pages (I39). */
#define SWEEP_AT_ONCE ((uint64_t)32)

/* Sweeps what is owed, except for what was swept by threads that needed cells. */
static void assist_sweeping(gc_heap *heap, gc_thread *t)
{
    const struct sweeping *sweeping = heap->sweeping;
    uint64_t due = pacing_sweeping_due(heap);
    if (word_load_relaxed(&sweeping->swept_pages) + SWEEP_AT_ONCE > due)
        return;
    uint64_t start = os_now_ns();
    while (word_load_relaxed(&sweeping->swept_pages) < due && sweep_one(heap) > 0)
        ;
    times_add_stall(&t->times, STALL_SWEEP, stopwatch_short(start));
}

void assist_allocation(gc_heap *heap, gc_thread *t, size_t more)
{
    struct cycle *c = heap->cycle;
    uint64_t bytes = mcache_take_unassisted(t->proc->cache) + more;
    if (t->phase == PHASE_MARK && !cycle_stays(c))
        assist(heap, t, bytes);
    if (UNLIKELY(cycle_is_left(c)))
        go_on_with_cycle(heap, t);
    else if (cycle_is_idle(c) && pacing_is_due(heap, more))
        start_cycle(heap, t);
    else if (t->proc->cache->sweeping && u32_load_relaxed(&heap->sweeping->active))
        assist_sweeping(heap, t);
    if (UNLIKELY(pacing_is_far_beyond(heap, more)))
        hold_back(heap, t);
}

/* ---- Memory was refused ---- */

/* A thread that allocates may hold a lock for which a heap callback waits. So it gives up when it
 * has found a callback at work so many times. */
#define CALLBACK_LOOKS 20

/* A cycle for which a thread waits does not stay: the safepoints that it stays for may be those of
 * the threads that wait. */
static void end_stay(gc_heap *heap)
{
    if (!cycle_stays(heap->cycle))
        return;
    cycle_end_stay(heap->cycle);
    background_kick_if_started(heap);
}

static void await_memory(gc_heap *heap, uint32_t cycle)
{
    const struct mutators *m = &heap->mutators;
    for (unsigned looks = 0; looks < CALLBACK_LOOKS && !is_over(heap->cycle, cycle);) {
        uint32_t turn = u32_load_acquire(&m->turns);
        end_stay(heap);
        looks += u32_load_relaxed(&m->hindrance) == HINDRANCE_CALLBACK;
        if (!is_over(heap->cycle, cycle))
            handshake_await_turn(heap, turn, (int64_t)LATE_NS);
    }
    while (sweep_one(heap) > 0)
        ;
}

/* The background thread collects, and this thread waits for it. */
static NOINLINE void collect_elsewhere(gc_heap *heap, gc_thread *t, enum gc_cause cause)
{
    if (!background_start(heap))
        return;
    uint32_t cycle = background_request_cycle(heap, cause);
    thread_enter_blocked(t, STACK_CALLER());
    await_memory(heap, cycle);
    thread_leave_blocked(t);
}

static bool collects_elsewhere(gc_heap *heap)
{
    return !(heap->options.flags & (GC_STOP_WORLD | GC_NO_BACKGROUND)) &&
           roots_call_back(&heap->roots);
}

void assist_collect(gc_heap *heap, gc_thread *t, enum gc_cause cause)
{
    if (collects_elsewhere(heap))
        collect_elsewhere(heap, t, cause);
    else
        cycle_collect(heap, t, cause);
}

static bool ask_for_memory(const gc_options *o, size_t size)
{
    return o->out_of_memory && o->out_of_memory(o->user, size);
}

bool assist_find_memory(gc_heap *heap, gc_thread *t, size_t size, unsigned n)
{
    if (n % 2)
        return ask_for_memory(&heap->options, size);
    quarantine_empty(heap);
    assist_collect(heap, t, GC_CAUSE_MEMORY);
    return true;
}

/* ---- The switches nth and stay ---- */

/* Begins a cycle, which is left as soon as it marks; or goes on with it, unless another thread has
 * ended it meanwhile. */
static NOINLINE void drive_staying(gc_heap *heap, gc_thread *t, bool begins)
{
    struct cycle *c = heap->cycle;
    if (begins)
        u32_store_relaxed(&c->asked_for, GC_CAUSE_DEBUG);
    thread_enter_blocked(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&c->lock);
    if (begins || cycle_is_left(c))
        cycle_drive(heap, (struct cycle_patience){0, 0});
    lock_release(&c->lock);
    thread_leave_blocked(t);
}

static void begin_staying(gc_heap *heap, gc_thread *t)
{
    if (collects_elsewhere(heap))
        background_request_cycle(heap, GC_CAUSE_DEBUG);
    else if (cycle_is_idle(heap->cycle))
        drive_staying(heap, t, true);
}

void assist_nth(gc_heap *heap, gc_thread *t)
{
    uint32_t last = u32_load_relaxed(&heap->cycle_number);
    bool ends = heap->debug.mixed && last % 4 != 3; /* a cycle that ends at once */
    if (!heap->debug.stay || ends || heap->options.flags & GC_STOP_WORLD)
        assist_collect(heap, t, GC_CAUSE_DEBUG);
    else
        begin_staying(heap, t);
}

/* A program may store for long without an allocation. Then a cycle that stays begins after so many
 * safepoints for each allocation that nth asks for. */
#define PASSED_PER_NTH 64

static bool is_long_since(gc_heap *heap)
{
    const struct debug_switches *d = &heap->debug;
    uint64_t passed = u32_fetch_add_relaxed(&heap->cycle->passed, 1);
    return passed >= (uint64_t)d->nth * PASSED_PER_NTH;
}

void assist_stay(gc_heap *heap, gc_thread *t)
{
    struct cycle *c = heap->cycle;
    uint32_t parts = u32_load_relaxed(&c->stays);
    bool begins = heap->debug.mixed && !heap->debug.rarer && cycle_is_idle(c);
    if (begins && is_long_since(heap) && !(heap->options.flags & GC_STOP_WORLD))
        begin_staying(heap, t);
    if (parts == 0 || !cycle_is_left(c))
        return;
    if (u32_cas_relaxed(&c->stays, parts, parts - 1))
        drive_staying(heap, t, false);
}

NOINLINE void assist_end_stay(gc_heap *heap, gc_thread *t)
{
    struct cycle *c = heap->cycle;
    if (!cycle_stays(c))
        return;
    thread_enter_blocked(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&c->lock);
    strays_destroy(heap); /* a frame of the program may have ended */
    cycle_finish_left(heap);
    lock_release(&c->lock);
    thread_leave_blocked(t);
}

void assist_stored(gc_heap *heap, gc_thread *t, const void *slot)
{
    if (cycle_stays(heap->cycle) && t->phase == PHASE_MARK)
        window_scan(t, (uintptr_t)slot);
}

/* ---- Checks ---- */

/* A cycle that stays in marking goes on to stay. No thread is in the middle of a store while the
 * world is held. */
static void look_held(gc_heap *heap, gc_thread *t)
{
    if (!cycle_stays(heap->cycle))
        cycle_finish_left(heap);
    sweep_finish(heap);
    handshake_hold(heap);
    checks_look(heap, t);
    handshake_release(heap);
}

/* Another thread, or a cycle that began, may have looked by now. */
static NOINLINE void look(gc_heap *heap, gc_thread *t)
{
    struct cycle *c = heap->cycle;
    thread_enter_blocked(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&c->lock);
    if (checks_are_due(heap))
        look_held(heap, t);
    lock_release(&c->lock);
    thread_leave_blocked(t);
}

void assist_checks(gc_heap *heap, gc_thread *t)
{
    if (t->blocking == 0 && checks_safepoint(t)) /* else its notes are the collector's (I3) */
        look(heap, t);
}

/* ---- Settings ---- */

int assist_set_percent(gc_heap *heap, int percent)
{
    int before = pacing_set_percent(heap, percent);
    background_kick_if_started(heap);
    return before;
}

uint64_t assist_set_limit(gc_heap *heap, uint64_t limit)
{
    uint64_t before = pacing_set_limit(heap, limit);
    background_kick_if_started(heap);
    return before;
}
