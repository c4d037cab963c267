#include "cycle.h"
#include "trace.h"
#include "verify.h"
#include <errno.h>

/* ---- Phases ---- */

static void set_phase(struct collector *c, enum cycle_phase to)
{
    static const uint8_t next[] = {CYCLE_ARM,    CYCLE_ROOTS, CYCLE_MARK, CYCLE_CUT,
                                   CYCLE_DISARM, CYCLE_FLIP,  CYCLE_IDLE};
    ASSERT(next[c->phase] == to);
    (void)next;
    u32_store_release(&c->phase, to);
}

static void phase_arm(gc_heap *heap)
{
    struct collector *c = heap->collector;
    set_phase(c, CYCLE_ARM);
    handshake(heap, OP_ARM);
    /* A store that began before ARM was complete may overwrite what a thread without a barrier
     * wrote after the store's own barrier had looked; after this no such store is in flight. */
    handshake(heap, OP_SETTLE);
    c->times.armed = os_now_ns();
}

static void phase_roots(gc_heap *heap)
{
    struct collector *c = heap->collector;
    set_phase(c, CYCLE_ROOTS);
    handshake(heap, OP_ROOTS);
    c->times.rooted = os_now_ns();
}

/* ---- Marking ---- */

/* The collector's thread takes a processor that mutators leave idle. Without one it works for a
 * short time beside them, which is enough for a small heap, and rests as long as its share demands;
 * for a large heap it borrows a P then, so that there are not more threads than processors, which
 * the OS would let wait for each other (Go: a worker runs on a P). */
#define BACKGROUND_SHARE 0.25
#define SHORT_SLICE_NS ((uint64_t)250 * 1000)
#define LENT_SLICE_NS ((uint64_t)20 * 1000 * 1000)
#define SLICE_BYTES ((uint64_t)256 << 10)
#define BORROW_MIN_BYTES ((word)64 << 20)

static bool processors_are_taken(const gc_heap *heap)
{
    return !u8_load_relaxed(&heap->collector->marking.whole) && procs_idle(&heap->procs) == 0;
}

static bool drain_for(gc_heap *heap, struct marker *m, uint64_t ns)
{
    struct marking *marking = &heap->collector->marking;
    uint64_t budget = u8_load_relaxed(&marking->whole) ? UINT64_MAX : SLICE_BYTES;
    uint64_t end = os_now_ns() + ns;
    bool over;
    do {
        over = marker_drain(m, budget);
        marking_give_credit(marking, m);
    } while (!over && workqueue_has_work(&heap->work) && os_now_ns() < end);
    return over;
}

static bool nothing_to_mark(void *heap)
{
    return !workqueue_has_work(&((gc_heap *)heap)->work);
}

static void rest_from(const gc_heap *heap, uint64_t busy)
{
    double share = BACKGROUND_SHARE * heap->options.max_procs;
    if (share < 1)
        os_sleep_ns((uint64_t)((double)busy * (1 / share - 1)));
}

/* Works for a while, as far as there is a processor. Whether all is drained. */
static bool drain_some(gc_heap *heap, struct marker *m)
{
    if (!processors_are_taken(heap))
        return drain_for(heap, m, SHORT_SLICE_NS);
    if (word_load_relaxed(&heap->collector->heap_before) < BORROW_MIN_BYTES) {
        uint64_t start = os_now_ns();
        bool over = drain_for(heap, m, SHORT_SLICE_NS);
        if (!over)
            rest_from(heap, os_now_ns() - start);
        return over;
    }
    struct proc *p = proc_borrow(&heap->procs, nothing_to_mark, heap);
    bool over = drain_for(heap, m, p ? LENT_SLICE_NS : SHORT_SLICE_NS);
    if (p)
        proc_return(&heap->procs, p);
    return over;
}

/* Drains until the work word is 0. */
static void drain(gc_heap *heap, struct marker *m)
{
    bool over = drain_for(heap, m, SHORT_SLICE_NS);
    while (!over) {
        if (workqueue_has_work(&heap->work)) {
            over = drain_some(heap, m);
        } else {
            workqueue_wait(&heap->work, 50 * 1000, true);
            over = workqueue_is_idle(&heap->work);
        }
    }
}

static void mark_roots(gc_heap *heap, struct marker *m)
{
    roots_visit(&heap->roots, &m->tracer);
    stress(STRESS_ROOTS_VISITED);
    fibers_visit(heap, &m->tracer);
    special_mark_roots(heap, m);
    roots_free_retired(&heap->roots);
}

/* Termination (I6): the work word was 0 when the wave began, and no mutator held grey at its ack or
 * gave grey away since the draining began: then there was no grey at all when the wave began, and
 * there is none now. `handed` is cleared before the draining: a thread that detaches reports at any
 * time. */
static void mark_to_fixpoint(gc_heap *heap, struct marker *m)
{
    struct collector *c = heap->collector;
    do {
        u8_store_relaxed(&heap->mutators.handed, false);
        drain(heap, m);
        stress(STRESS_DRAINED);
        handshake(heap, OP_FLUSH);
        c->flush_waves++;
        stress(STRESS_FLUSHED);
        if (UNLIKELY(c->flush_waves == WEAK_PATIENCE))
            weak_give_up(heap, m);
    } while (u8_load_relaxed(&heap->mutators.handed) || !workqueue_is_idle(&heap->work));
}

/* What mutators marked is marked. */
static void count_shaded(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    struct marking *marking = &heap->collector->marking;
    word_fetch_add_relaxed(&marking->marked_objects, word_exchange_acq_rel(&m->shaded_objects, 0));
    word_fetch_add_relaxed(&marking->marked_bytes, word_exchange_acq_rel(&m->shaded_bytes, 0));
}

static void phase_mark(gc_heap *heap)
{
    struct collector *c = heap->collector;
    struct marker m;
    set_phase(c, CYCLE_MARK);
    c->flush_waves = 0;
    marker_init(&m, heap);
    marking_begin(heap, &c->marking);
    m.active = true;
    workqueue_activate(&heap->work);
    mark_roots(heap, &m);
    /* Values of weak maps before any wave: fewer of them are found unmarked by those who read. */
    do {
        drain(heap, &m);
    } while (ephemerons_resolve(heap, &m));
    do {
        mark_to_fixpoint(heap, &m);
    } while (!weak_cut(heap, &m));
    set_phase(c, CYCLE_CUT);
    weak_clear(heap);
    marker_finish(&m);
    marking_end(heap, &c->marking);
    count_shaded(heap);
    c->times.marked = os_now_ns();
}

/* ---- The end ---- */

static void phase_disarm_and_flip(gc_heap *heap)
{
    struct collector *c = heap->collector;
    set_phase(c, CYCLE_DISARM);
    stress(STRESS_CUT);
    handshake(heap, OP_DISARM);
    stress(STRESS_DISARMED);
    sweep_prepare(heap);
    set_phase(c, CYCLE_FLIP);
    handshake(heap, OP_FLIP);
    stress(STRESS_FLIP);
    weak_flipped(heap);
    sweep_begin(heap);
    c->times.flipped = os_now_ns();
    set_phase(c, CYCLE_IDLE);
}

/* What counts towards the goal: what the last cycle left, and what was allocated since. Not less as
 * sweeping goes on, which may be late. */
static uint64_t heap_live(const gc_heap *heap)
{
    const struct collector *c = heap->collector;
    return (word)(word_load_relaxed(&c->live_offset) +
                  word_load_relaxed(&heap->mem.counts.allocated_bytes)) +
           word_load_relaxed(&c->external_bytes);
}

/* Memory that is not objects; it counts under a soft limit. */
static uint64_t overhead_bytes(const gc_heap *heap)
{
    size_t inuse = word_load_relaxed(&heap->mem.counts.pages_inuse) << PAGE_SHIFT;
    size_t live = word_load_relaxed(&heap->mem.counts.live_bytes);
    return inuse / 16 + (inuse > live ? inuse - live : 0) / 2;
}

/* What those go by who do not take the lock. */
static void publish_pace_locked(struct collector *c)
{
    LOCK_ASSERT_HELD(&c->pacer_lock);
    word_store_relaxed(&c->goal, (word)c->pacer.goal);
    word_store_relaxed(&c->trigger, (word)c->pacer.trigger);
    word_store_relaxed(&c->live, (word)c->pacer.live);
    word_store_relaxed(&c->limit, (word)c->pacer.limit);
}

/* What was marked lives; of what was born black meanwhile as much, as far as anyone knows, as of
 * what was there before. */
static uint64_t estimate_live(uint64_t marked, uint64_t before, uint64_t allocated)
{
    double survives = before > 0 ? (double)MIN_OF(marked, before) / (double)before : 1;
    return marked + (uint64_t)(survives * (double)allocated);
}

static void update_pacer(gc_heap *heap)
{
    struct collector *c = heap->collector;
    lock_acquire(&c->pacer_lock);
    word ever = word_load_relaxed(&heap->mem.counts.allocated_bytes);
    word allocated = ever - c->allocated_before, marked = c->marking.marked_bytes;
    /* Runs that were open before the cycle were counted whole, and given back in part since. */
    if (allocated > UINTPTR_MAX / 2)
        allocated = 0;
    uint64_t external = word_load_relaxed(&c->external_bytes);
    uint64_t live = estimate_live(marked + external, c->heap_before, allocated);
    pacer_cycle_ended(&c->pacer, live, 0, allocated);
    pacer_update(&c->pacer, overhead_bytes(heap));
    word_store_relaxed(&c->live_offset, marked + allocated - ever);
    publish_pace_locked(c);
    lock_release(&c->pacer_lock);
}

static void note_end(gc_heap *heap, uint64_t cpu)
{
    struct collector *c = heap->collector;
    update_pacer(heap);
    lock_acquire(&c->pacer_lock);
    struct cycle_record *r = &c->record;
    r->mark_cpu_ns += cpu + word_exchange_acq_rel(&c->marking.helper_cpu_ns, 0);
    r->last_cycle_ns = c->times.flipped - c->times.begin;
    r->last_mark_ns = c->times.marked - c->times.rooted;
    r->forced_cycles += c->forced;
    r->flush_waves = c->flush_waves;
    r->objects_marked = c->marking.marked_objects;
    lock_release(&c->pacer_lock);
    u32_store_release(&c->flipped, c->started);
    os_wake(&c->flipped, OS_WAKE_ALL);
    trace_cycle(heap);
}

/* The driver holds c->lock and is no running mutator. All spans are swept before ARM: then every
 * mark bit is 0 (I11). */
static void run_cycle(gc_heap *heap, bool forced)
{
    struct collector *c = heap->collector;
    bool stop = heap->options.flags & GC_STOP_WORLD;
    uint64_t cpu = os_thread_cpu_ns();
    sweep_finish(heap);
    c->forced = forced;
    c->times.begin = os_now_ns();
    scavenge_note_peak(heap, c->times.begin);
    word_store_relaxed(&c->heap_before, (word)heap_live(heap));
    c->allocated_before = word_load_relaxed(&heap->mem.counts.allocated_bytes);
    u32_store_release(&c->started, c->started + 1);
    heap->cycle = c->started;
    if (stop)
        handshake_hold(heap);
    phase_arm(heap);
    phase_roots(heap);
    phase_mark(heap);
    verify_after_mark(heap);
    phase_disarm_and_flip(heap);
    verify_after_cycle(heap);
    if (stop)
        handshake_release(heap);
    note_end(heap, os_thread_cpu_ns() - cpu);
}

static bool wants_cycle(const struct collector *c)
{
    return (int32_t)(u32_load_acquire(&c->wanted) - u32_load_acquire(&c->started)) > 0;
}

/* ---- The background thread ---- */

#define IDLE_WAIT_NS ((int64_t)2000 * 1000 * 1000)

static bool nothing_to_sweep(void *heap)
{
    struct collector *c = ((gc_heap *)heap)->collector;
    return wants_cycle(c) || u32_load_acquire(&c->stopping) || sweep_is_done(heap);
}

static void sweep_for(gc_heap *heap, uint64_t ns)
{
    uint64_t cpu = os_thread_cpu_ns(), end = os_now_ns() + ns;
    while (!wants_cycle(heap->collector) && sweep_one(heap) > 0 && os_now_ns() < end)
        ;
    word_fetch_add_relaxed(&heap->collector->sweeping.cpu_ns, os_thread_cpu_ns() - cpu);
}

static void background_sweep(gc_heap *heap)
{
    while (!nothing_to_sweep(heap)) {
        struct proc *p = NULL;
        if (processors_are_taken(heap))
            p = proc_borrow(&heap->procs, nothing_to_sweep, heap);
        sweep_for(heap, p ? LENT_SLICE_NS : SHORT_SLICE_NS);
        if (p)
            proc_return(&heap->procs, p);
    }
}

/* A heap that fits a processor's cache is better swept by those who allocate in it: bitmaps swept
 * here would have to come back to them. If they do not get to it soon, they have no use for it.
 * Finalizers, cleanups and external memory wait for sweeping: then it does not wait. */
#define SMALL_HEAP ((size_t)8 << 20)
#define SWEEP_PATIENCE_NS (10 * 1000 * 1000)

static bool leave_sweeping(gc_heap *heap)
{
    struct collector *c = heap->collector;
    uint32_t kicks = u32_load_acquire(&c->kicks);
    if (word_load_relaxed(&heap->mem.counts.pages_inuse) << PAGE_SHIFT > SMALL_HEAP ||
        special_any(heap) || sweep_is_done(heap))
        return false;
    if (!wants_cycle(c) && !u32_load_acquire(&c->stopping))
        os_wait(&c->kicks, kicks, SWEEP_PATIENCE_NS);
    return wants_cycle(c) || u32_load_acquire(&c->stopping);
}

#define BUSY_PAUSE_NS (20 * 1000 * 1000)

/* How long to wait for the next step; -1: there is none. */
static int64_t background_scavenge(gc_heap *heap)
{
    struct collector *c = heap->collector;
    int64_t pause = BUSY_PAUSE_NS;
    if (lock_try(&c->lock)) {
        pause = scavenge_step(heap);
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

static void background_main(void *arg)
{
    gc_heap *heap = arg;
    struct collector *c = heap->collector;
    uint32_t kicks;
    os_thread_title("gcheap");
    while (goes_on(c, &kicks)) {
        if (wants_cycle(c)) {
            lock_acquire(&c->lock);
            if (wants_cycle(c))
                run_cycle(heap, false);
            lock_release(&c->lock);
        }
        if (!leave_sweeping(heap))
            background_sweep(heap);
        int64_t pause = wants_cycle(c) ? 0 : background_scavenge(heap);
        if (!wants_cycle(c) && u32_load_acquire(&c->kicks) == kicks)
            os_wait(&c->kicks, kicks, pause < 0 ? IDLE_WAIT_NS : pause);
    }
}

static void kick_background(gc_heap *heap)
{
    struct collector *c = heap->collector;
    if (heap->options.flags & GC_NO_BACKGROUND)
        return;
    if (!u32_load_relaxed(&c->thread_started) && u32_cas_acq_rel(&c->thread_started, 0, 1) &&
        os_thread_start(&c->thread, background_main, heap) != 0)
        u32_store_release(&c->thread_started, 0);
    u32_fetch_add_acq_rel(&c->kicks, 1);
    os_wake(&c->kicks, 1);
}

static bool has_background(const gc_heap *heap)
{
    return u32_load_acquire(&heap->collector->thread_started) == 1;
}

/* ---- What mutators do ---- */

/* Asks for one cycle more than has started, once. */
static void want_cycle(struct collector *c)
{
    uint32_t next = u32_load_acquire(&c->started) + 1;
    uint32_t wanted = u32_load_relaxed(&c->wanted);
    if ((int32_t)(next - wanted) > 0)
        u32_cas_acq_rel(&c->wanted, wanted, next);
}

void cycle_request(gc_heap *heap)
{
    if (wants_cycle(heap->collector))
        return;
    want_cycle(heap->collector);
    kick_background(heap);
}

/* The thread runs a cycle itself; if another does, that one will do. */
static void run_inline(gc_heap *heap, gc_thread *t)
{
    struct collector *c = heap->collector;
    thread_save_stack(t, (uintptr_t)__builtin_frame_address(0));
    thread_enter_blocked(t);
    if (lock_try(&c->lock)) {
        if (heap_live(heap) >= word_load_relaxed(&c->trigger))
            run_cycle(heap, false);
        lock_release(&c->lock);
    }
    thread_leave_blocked(t);
}

static void start_cycle(gc_heap *heap, gc_thread *t)
{
    if (heap->options.flags & (GC_STOP_WORLD | GC_NO_BACKGROUND)) {
        run_inline(heap, t);
        kick_background(heap);
        return;
    }
    cycle_request(heap);
    if (!has_background(heap))
        run_inline(heap, t);
}

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
    double ratio = pacer_assist_ratio(live, word_load_relaxed(&c->goal), heap_live(heap), left);
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

/* A cycle is late, and the heap far beyond its goal: more likely than not the collector waits for
 * this processor. If that does not get it started, this thread runs the cycle. */
static NOINLINE void give_way(gc_heap *heap, gc_thread *t)
{
    struct collector *c = heap->collector;
    bool late = wants_cycle(c);
    if (late && heap_live(heap) / 2 > word_load_relaxed(&c->goal))
        run_inline(heap, t);
    else if (late || u32_load_relaxed(&c->phase) != CYCLE_IDLE)
        os_yield();
}

/* Sweeps what these bytes owe. */
static void sweep_credit(gc_heap *heap, gc_thread *t, uint64_t bytes)
{
    struct collector *c = heap->collector;
    size_t swept = word_load_relaxed(&c->sweeping.swept_pages);
    size_t inuse = word_load_relaxed(&heap->mem.counts.pages_inuse);
    size_t left = inuse > swept ? inuse - swept : 0;
    double due =
        (double)bytes * pacer_sweep_ratio(word_load_relaxed(&c->trigger), heap_live(heap), left);
    if (due < 1)
        return;
    uint64_t start = os_now_ns();
    for (size_t pages = 1; due >= 1 && pages > 0; due -= (double)pages)
        pages = sweep_one(heap);
    times_add_stall(&t->times, stopwatch_short(start));
}

void cycle_pace(gc_heap *heap, gc_thread *t, size_t more)
{
    struct collector *c = heap->collector;
    uint64_t bytes = t->proc->cache->unreported + more;
    mcache_report(t->proc->cache);
    if (UNLIKELY(heap_live(heap) / 5 * 4 > word_load_relaxed(&c->goal)))
        give_way(heap, t);
    if (t->phase == PHASE_MARK)
        assist(heap, t, bytes);
    else if (u32_load_relaxed(&c->phase) == CYCLE_IDLE &&
             heap_live(heap) + more >= word_load_relaxed(&c->trigger))
        start_cycle(heap, t);
    else if (t->proc->cache->sweeping && u32_load_relaxed(&c->sweeping.active))
        sweep_credit(heap, t, bytes);
}

/* A cycle that starts after now: another one may be under way, which is not ours. With `missed`,
 * ours in any case, and marked twice. */
static void collect(gc_heap *heap, gc_thread *t, unsigned *missed)
{
    struct collector *c = heap->collector;
    thread_save_stack(t, (uintptr_t)__builtin_frame_address(0));
    uint32_t ours = u32_load_acquire(&c->started) + 1;
    thread_enter_blocked(t);
    lock_acquire(&c->lock);
    c->verify_missed = missed;
    if (missed || (int32_t)(u32_load_relaxed(&c->flipped) - ours) < 0)
        run_cycle(heap, true);
    c->verify_missed = NULL;
    sweep_finish(heap);
    lock_release(&c->lock);
    thread_leave_blocked(t);
}

void cycle_collect(gc_heap *heap, gc_thread *t)
{
    collect(heap, t, NULL);
}

void cycle_collect_verified(gc_heap *heap, gc_thread *t, unsigned *missed)
{
    collect(heap, t, missed);
}

void cycle_with_world_held(gc_heap *heap, gc_thread *t, void (*fn)(gc_heap *, void *), void *arg)
{
    struct collector *c = heap->collector;
    thread_save_stack(t, (uintptr_t)__builtin_frame_address(0));
    thread_enter_blocked(t);
    lock_acquire(&c->lock);
    sweep_finish(heap);
    handshake_hold(heap);
    fn(heap, arg);
    handshake_release(heap);
    lock_release(&c->lock);
    thread_leave_blocked(t);
}

struct pacer cycle_pacer(gc_heap *heap)
{
    struct collector *c = heap->collector;
    lock_acquire(&c->pacer_lock);
    struct pacer p = c->pacer;
    lock_release(&c->pacer_lock);
    return p;
}

void cycle_retune(gc_heap *heap, const struct pacer *settings)
{
    struct collector *c = heap->collector;
    lock_acquire(&c->pacer_lock);
    c->pacer.percent = settings->percent;
    c->pacer.limit = settings->limit;
    pacer_update(&c->pacer, overhead_bytes(heap));
    publish_pace_locked(c);
    lock_release(&c->pacer_lock);
    if (has_background(heap))
        kick_background(heap);
}

void cycle_report(gc_heap *heap, struct gc_statistics *s)
{
    struct collector *c = heap->collector;
    lock_acquire(&c->pacer_lock);
    const struct cycle_record *r = &c->record;
    s->cycles = u32_load_acquire(&c->flipped);
    s->forced_cycles = r->forced_cycles;
    s->heap_marked = c->pacer.live;
    s->heap_goal = c->pacer.goal;
    s->objects_marked = r->objects_marked;
    s->mark_ns = r->mark_cpu_ns;
    s->last_cycle_ns = r->last_cycle_ns;
    s->last_mark_ns = r->last_mark_ns;
    s->flush_waves = r->flush_waves;
    lock_release(&c->pacer_lock);
}

/* ---- Life ---- */

int cycle_init(gc_heap *heap)
{
    const gc_options *o = &heap->options;
    struct collector *c = aligned_alloc(CACHE_PAD, align_up(sizeof *c, CACHE_PAD));
    if (!c)
        return -ENOMEM;
    memset(c, 0, sizeof *c);
    c->heap = heap;
    lock_init(&c->lock, LOCK_CYCLE);
    lock_init(&c->pacer_lock, LOCK_STATS);
    pacer_init(&c->pacer, o->percent, o->min_heap, o->limit);
    lock_acquire(&c->pacer_lock);
    publish_pace_locked(c);
    lock_release(&c->pacer_lock);
    heap->collector = c;
    heap->mutators.shade_roots = marking_shade_roots;
    special_init(heap);
    finq_init(heap);
    weak_init(heap);
    weaksets_init(heap);
    heap->mem.up =
        (struct mheap_upcalls){heap, sweep_for_slots_upcall, sweep_reclaim_upcall, backing_kick};
    return 0;
}

void cycle_destroy(gc_heap *heap)
{
    struct collector *c = heap->collector;
    u32_store_release(&c->stopping, 1);
    if (has_background(heap)) {
        u32_fetch_add_acq_rel(&c->kicks, 1);
        os_wake(&c->kicks, OS_WAKE_ALL);
        os_thread_join(&c->thread);
    }
    marking_stop_helpers(&c->marking);
    backing_stop(heap);
    weaksets_destroy(heap);
    special_destroy(heap);
    free(c);
    heap->collector = NULL;
}
