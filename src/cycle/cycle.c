#include "cycle/cycle.h"
#include "base/events.h"
#include "collector/pacing.h"
#include "collector/scavenge.h"
#include "collector/special.h"
#include "collector/sweep.h"
#include "collector/weak.h"
#include "collector/ephemeron.h"
#include "introspect/checks.h"
#include "introspect/strays.h"
#include "introspect/verify.h"
#include "mutator/fiber.h"
#include "mutator/self.h"
#include "mutator/thread.h"

/* ---- The driver ---- */

/* A cycle goes from step to step, and can change its driver between any two. A mutator that drives
 * it leaves it when a step would keep the mutator, and the next thread that takes cycle.lock goes
 * on (I20). So nothing that a step needs to know of earlier ones is kept by the driver. */
struct driver {
    gc_heap *heap;
    struct cycle_patience patience;
    bool leaves; /* it leaves the cycle before the next step */
    struct marker marker;
};

/* Whether it waits for threads that do not answer. */
static bool is_patient(const struct driver *d)
{
    return d->patience.waits_until == 0;
}

static bool has_time(const struct driver *d)
{
    return d->patience.works_until == 0 || os_now_ns() < d->patience.works_until;
}

/* Called when it would have to wait. It tries again as long as it has time for that. */
static void be_kept(struct driver *d)
{
    d->leaves = d->patience.works_until == 0;
}

static bool end_handshake(struct driver *d)
{
    bool done = handshake_end(d->heap, d->patience.waits_until);
    if (!done)
        be_kept(d);
    return done;
}

static bool prepare_sweep(struct driver *d)
{
    bool done = sweep_prepare(d->heap, is_patient(d));
    if (!done)
        be_kept(d);
    return done;
}

/* Heap callbacks may wait for a lock of the embedder, and an allocation may have been made under
 * that lock. So a mutator that drives for its allocation does not call them. In a heap without a
 * background thread it does, as no other thread would. */
static bool may_call_back(struct driver *d)
{
    bool may = is_patient(d) || d->heap->options.flags & GC_NO_BACKGROUND ||
               !roots_call_back(&d->heap->roots);
    d->leaves |= !may;
    return may;
}

/* All spans are swept before ARM: then every mark bit is 0 (I11). */
static bool sweep_the_rest(struct driver *d)
{
    bool done;
    while (!(done = sweep_step(d->heap)) && has_time(d))
        ;
    return done;
}

/* In how many parts a cycle marks. Nobody knows how far a program's stores lie from its
 * allocations: where cycles stay for the sake of checkmark alone, each stays for longer than the
 * one before, and the fifth as the first. */
static uint32_t stay_parts(const gc_heap *heap)
{
    const struct debug_switches *d = &heap->debug;
    bool varies = d->mixed && !d->rarer;
    return varies ? d->stay << heap->cycle->stay_count % 4 * 4 : d->stay;
}

/* The switch stay. A cycle for which a thread waits goes to its end at once. */
static void begin_stay(gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    u32_store_relaxed(&c->passed, 0);
    if (!heap->debug.stay || c->forced || heap->options.flags & GC_STOP_WORLD)
        return;
    uint32_t parts = stay_parts(heap);
    c->part = mheap_live_bytes(&heap->mem) / parts + 1;
    c->stay_count++;
    u32_store_relaxed(&c->stays, parts);
}

/* What this cycle finds dead is named before. */
static void look_before_cycle(gc_heap *heap)
{
    if (LIKELY(!heap->checks))
        return;
    handshake_hold(heap);
    checks_look(heap, NULL);
    handshake_release(heap);
}

/* ---- Events ---- */

static uint64_t goal_of(const gc_heap *heap)
{
    return u64_load_relaxed(&heap->pacing->goal);
}

static void note_size(const gc_heap *heap)
{
    uint64_t now = os_now_ns();
    event_note(&(struct event){now, now, EVENT_SIZE, 0, heap->number, pacing_heap_live(heap),
                               goal_of(heap)});
}

/* The first step of the cycle ends. */
static void tell_begin(const gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    PROBE3(cycle_begin, heap->number, c->started, c->cause);
    if (!events_are_on())
        return;
    c->step_ns = c->times.begin;
    note_size(heap);
}

static void tell_end(const gc_heap *heap)
{
    const struct cycle *c = heap->cycle;
    PROBE4(cycle_end, heap->number, c->started, heap->marking->marked_bytes, goal_of(heap));
    if (!events_are_on())
        return;
    note_size(heap);
    event_note(&(struct event){c->times.begin, os_now_ns(), EVENT_CYCLE, 0, heap->number, c->cause,
                               c->started});
}

/* Sweeping, before the first step, is no part of the cycle. */
static void tell_step(const gc_heap *heap, enum step step)
{
    struct cycle *c = heap->cycle;
    PROBE2(step, heap->number, step);
    uint64_t now = event_begin();
    if (now && c->step_ns && step != STEP_SWEEP)
        event_note(&(struct event){c->step_ns, now, EVENT_STEP, 0, heap->number, step, c->started});
    c->step_ns = now;
}

/* ---- The beginning ---- */

static enum gc_cause cause_of_cycle(gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    uint32_t asked_for = u32_exchange_relaxed(&c->asked_for, GC_CAUSE_GOAL);
    if (c->forced)
        return (enum gc_cause)c->cause;
    return asked_for != GC_CAUSE_GOAL ? (enum gc_cause)asked_for : pacing_cause(heap);
}

static void begin(gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    c->cause = cause_of_cycle(heap);
    begin_stay(heap);
    look_before_cycle(heap);
    c->times.begin = os_now_ns();
    scavenge_note_peak(heap, c->times.begin);
    pacing_cycle_begins(heap);
    c->flush_waves = 0;
    /* Before any thread shades. */
    marking_begin(heap->marking, c->forced || heap->options.flags & GC_STOP_WORLD);
    workqueue_begin_deferring(&heap->work);
    u8_store_relaxed(&heap->mutators.all_black, false);
    u32_store_relaxed(&c->started, c->started + 1);
    u32_store_relaxed(&heap->cycle_number, c->started);
    tell_begin(heap);
    if (heap->options.flags & GC_STOP_WORLD)
        handshake_hold(heap);
}

/* ---- Marking ---- */

/* The background thread takes a processor that mutators leave idle. If there is none, it leaves the
 * marking to mutators, which assist: a processor that it took would be missing to one of them. In
 * each pause they are to mark at least MUTATORS_LEAST. If they do not, as they allocate little or
 * nothing, the background works beside them for a short time. A thread that waits for the cycle, or
 * drives it itself, does not wait for that. */
#define SLICE_BYTES ((uint64_t)256 << 10)
#define BESIDE_SLICE_BYTES ((uint64_t)32 << 10)
#define MUTATORS_LEAST ((intptr_t)128 << 10)

static bool drain_for(gc_heap *heap, struct marker *m, uint64_t budget, uint64_t ns)
{
    struct marking *marking = heap->marking;
    uint64_t begin = event_begin(), end = os_now_ns() + ns;
    bool over;
    do {
        over = marker_drain(m, u8_load_relaxed(&marking->whole) ? UINT64_MAX : budget);
        marking_give_credit(marking, m);
    } while (!over && workqueue_has_work(&heap->work) && os_now_ns() < end);
    event_end(EVENT_MARK, begin, heap->number);
    return over;
}

static bool drain_beside(gc_heap *heap, struct marker *m)
{
    return drain_for(heap, m, BESIDE_SLICE_BYTES, CYCLE_BESIDE_NS);
}

static bool leave_to_mutators(gc_heap *heap, struct marker *m)
{
    struct marking *marking = heap->marking;
    word before = word_load_relaxed(&marking->marked_bytes);
    workqueue_await_end(&heap->work, CYCLE_MUTATORS_PAUSE_NS);
    stress(STRESS_LEFT_TO_MUTATORS);
    if (workqueue_is_idle(&heap->work))
        return true;
    intptr_t marked = (intptr_t)(word_load_relaxed(&marking->marked_bytes) - before);
    return marked >= MUTATORS_LEAST ? false : drain_beside(heap, m);
}

static bool marking_is_left(const gc_heap *heap)
{
    return !thread_self() && cycle_processors_taken(heap);
}

/* Works for a while, if there is a processor. Returns whether all is drained. */
static bool drain_some(gc_heap *heap, struct marker *m)
{
    bool left = marking_is_left(heap);
    u8_store_relaxed(&heap->marking->by_mutators, left);
    return left ? leave_to_mutators(heap, m)
                : drain_for(heap, m, SLICE_BYTES, CYCLE_SHORT_SLICE_NS);
}

/* Drains until the work word is 0. */
static void drain_patiently(gc_heap *heap, struct marker *m)
{
    marking_call_helpers(heap, heap->marking);
    bool over = drain_beside(heap, m); /* the last few objects of a wave */
    while (!over) {
        if (workqueue_has_work(&heap->work) || marking_is_left(heap)) {
            over = drain_some(heap, m);
        } else {
            workqueue_wait(&heap->work, 50 * 1000, true);
            over = workqueue_is_idle(&heap->work);
        }
    }
}

/* How much is marked between two looks at the clock. */
#define IMPATIENT_SLICE ((uint64_t)32 << 10)

/* Drains. Returns whether the work word is 0. */
static bool drain(struct driver *d)
{
    struct marker *m = &d->marker;
    if (cycle_stays(d->heap->cycle)) {
        marker_drain(m, d->heap->cycle->part);
        d->leaves = true;
        return false;
    }
    if (d->patience.works_until == 0) {
        drain_patiently(d->heap, m);
        return true;
    }
    bool over;
    do {
        over = marker_drain(m, IMPATIENT_SLICE);
    } while (!over && has_time(d));
    return over;
}

static void mark_roots(gc_heap *heap, struct marker *m)
{
    bool calls = roots_call_back(&heap->roots);
    if (calls)
        handshake_hinder(heap, HINDRANCE_CALLBACK);
    roots_visit(&heap->roots, &m->tracer);
    if (calls)
        handshake_hinder(heap, HINDRANCE_NONE);
    stress(STRESS_ROOTS_VISITED);
    fibers_visit(heap, &m->tracer);
    special_mark_roots(heap, m);
}

static void begin_marking(struct driver *d)
{
    gc_heap *heap = d->heap;
    struct marker *m = &d->marker;
    marker_activate(m);
    u8_store_release(&heap->mutators.all_black, true);
    marker_ambiguous(m, workqueue_end_deferring(&heap->work));
    mark_roots(heap, m);
}

/* The fence pairs with that of queue(): either the draining sees what a thread has handed over, or
 * what the thread reports then is not overwritten here. */
static void forget_handed(gc_heap *heap)
{
    u8_store_relaxed(&heap->mutators.handed, false);
    fence_seq_cst();
}

/* As long as little is left to mark, that is done while the world is held, and needs no more waves.
 */
static bool cut_at_once(gc_heap *heap, struct marker *m)
{
    uint64_t until = os_now_ns() + CYCLE_BESIDE_NS;
    while (!weak_cut(heap, m, true)) {
        if (!marker_drain(m, BESIDE_SLICE_BYTES) || os_now_ns() >= until)
            return false;
    }
    return true;
}

/* Marked callbacks read what threads write plainly, and what is unmarked must stay so until it has
 * been taken out of their tables (I51). So the world is held meanwhile. Since the wave, threads may
 * have shaded what they have found in such tables. */
static bool cut_held(struct driver *d)
{
    gc_heap *heap = d->heap;
    bool held = u32_load_relaxed(&heap->mutators.held);
    if (!held && !handshake_hold_until(heap, d->patience.waits_until)) {
        be_kept(d);
        return false;
    }
    bool done = !handshake_take_grey(heap) && cut_at_once(heap, &d->marker);
    if (!held)
        handshake_release(heap);
    return done;
}

static bool cut(struct driver *d)
{
    return UNLIKELY(roots_any_marked(&d->heap->roots)) ? cut_held(d)
                                                       : weak_cut(d->heap, &d->marker, false);
}

/* Called when the wave is over. Termination (I6): the work word was 0 when the wave began. No
 * mutator held a grey object when it acknowledged, and none has given one away since the draining
 * began. So nothing was grey when the wave began, and nothing is now. `handed` is cleared before
 * the draining, as a thread that detaches may report at any time. */
static bool was_last_wave(struct driver *d)
{
    gc_heap *heap = d->heap;
    struct cycle *c = heap->cycle;
    c->flush_waves++;
    stress(STRESS_FLUSHED);
    if (UNLIKELY(weak_is_tired(heap, c->flush_waves)))
        weak_give_up(heap, &d->marker);
    bool dirty = u8_load_relaxed(&heap->mutators.handed) || !workqueue_is_idle(&heap->work);
    if (UNLIKELY(heap->strays != NULL) && !dirty)
        dirty = strays_mark(heap, &d->marker);
    return !dirty && cut(d);
}

/* Adds what mutators have marked. */
static void count_shaded(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    struct marking *marking = heap->marking;
    word_fetch_add_relaxed(&marking->marked_objects, word_exchange_relaxed(&m->shaded_objects, 0));
    word_fetch_add_relaxed(&marking->marked_bytes, word_exchange_relaxed(&m->shaded_bytes, 0));
}

static void end_marking(struct driver *d)
{
    gc_heap *heap = d->heap;
    struct cycle *c = heap->cycle;
    weak_clear(heap);
    marker_finish(&d->marker);
    marking_end(heap, heap->marking);
    count_shaded(heap);
    c->times.marked = os_now_ns();
    verify_after_mark(heap, c->verify_missed);
    ages_after_mark(heap, &c->ages);
}

/* ---- The end ---- */

static void end_flip(gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    stress(STRESS_FLIP);
    weak_flipped(heap);
    sweep_begin(heap, c->forced);
    c->times.flipped = os_now_ns();
    verify_after_cycle(heap);
    if (heap->options.flags & GC_STOP_WORLD)
        handshake_release(heap);
    special_queue_dying(heap);
}

/* If a cycle has cost its mutator more than it should, this is not tried again for some cycles; for
 * more and more of them, as long as that goes on. */
static void note_quick(struct cycle *c)
{
    if (c->quick && c->driver_ns < CYCLE_QUICK_NS)
        c->quick_backoff = 0;
    else if (c->quick)
        c->quick_backoff = MIN_OF(2 * c->quick_backoff + 1, 63u);
    if (c->quick)
        u32_store_relaxed(&c->quick_from, c->started + 1 + c->quick_backoff);
    c->quick = false;
    c->driver_ns = 0;
}

static void note_end(gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    struct marking *marking = heap->marking;
    pacing_cycle_ended(heap, marking->marked_bytes);
    lock_acquire(&c->record_lock);
    struct cycle_record *r = &c->record;
    r->mark_cpu_ns += c->driver_ns + u64_exchange_relaxed(&marking->helper_cpu_ns, 0);
    r->last_cycle_ns = c->times.flipped - c->times.begin;
    r->last_mark_ns = c->times.marked - c->times.rooted;
    r->forced_cycles += c->forced;
    r->causes[c->cause]++;
    r->flush_waves = c->flush_waves;
    r->objects_marked = marking->marked_objects;
    lock_release(&c->record_lock);
    note_quick(c);
    u32_store_release(&c->flipped, c->started);
    tell_end(heap);
    trace_cycle(heap, &c->times, c->flush_waves, (enum gc_cause)c->cause);
}

/* ---- Steps ---- */

/* Each returns whether its step is complete. If the step is a handshake, all have answered before
 * the function is called. */

static bool take_SWEEP(struct driver *d)
{
    return sweep_the_rest(d);
}

static bool take_BEGIN(struct driver *d)
{
    begin(d->heap);
    return true;
}

/* A store that began before ARM was complete may overwrite a value that its barrier has not seen: a
 * thread without a barrier may have written it after the barrier's look. After SETTLE no such store
 * is in flight. */
static bool take_ARM(struct driver *d)
{
    (void)d;
    return true;
}

static bool take_SETTLE(struct driver *d)
{
    d->heap->cycle->times.armed = os_now_ns();
    return true;
}

static bool take_ROOTS(struct driver *d)
{
    d->heap->cycle->times.rooted = os_now_ns();
    return true;
}

static bool take_MARK(struct driver *d)
{
    if (!may_call_back(d))
        return false;
    begin_marking(d);
    return true;
}

/* Values of weak maps are marked before any wave, so that fewer reads find one unmarked. */
static bool take_RESOLVE(struct driver *d)
{
    if (!drain(d) || ephemerons_resolve(d->heap, &d->marker))
        return false;
    forget_handed(d->heap);
    return true;
}

static bool take_DRAIN(struct driver *d)
{
    if (!drain(d))
        return false;
    stress(STRESS_DRAINED);
    return true;
}

static bool take_FLUSH(struct driver *d)
{
    if (was_last_wave(d))
        return true;
    forget_handed(d->heap);
    return false;
}

static bool take_CUT(struct driver *d)
{
    end_marking(d);
    return true;
}

static bool take_DISARM(struct driver *d)
{
    stress(STRESS_DISARMED);
    return prepare_sweep(d);
}

static bool take_FLIP(struct driver *d)
{
    end_flip(d->heap);
    return true;
}

/* ---- From step to step ---- */

enum { DRIVER, ALL };

struct action {
    bool (*take)(struct driver *d);
    bool asks; /* all threads and Ps */
    uint8_t then, otherwise;
};

#define ACTION(step, asked, thread, proc, phase, barrier, colour, timed, then, otherwise, means)   \
    [STEP_##step] = {take_##step, asked, STEP_##then, STEP_##otherwise},
static const struct action actions[] = {CYCLE_STEPS(ACTION)};
#undef ACTION

/* Takes one step, whose handshake the step before has begun. Returns the next step. It is the same
 * one, if the step would keep a driver that is not patient. */
static enum step take_step(struct driver *d, enum step step)
{
    struct cycle *c = d->heap->cycle;
    const struct action *action = &actions[step];
    if (action->asks && !end_handshake(d))
        return step;
    enum step next = action->take(d) ? action->then : action->otherwise;
    u32_store_relaxed(&c->step, next);
    if (next != step)
        tell_step(d->heap, step);
    if (next != step && actions[next].asks)
        handshake_begin(d->heap, next);
    return next;
}

/* A patient driver is timed by its own clock, which takes a system call; a short drive by the time
 * of day. */
static uint64_t driver_clock(const struct driver *d)
{
    return is_patient(d) ? os_thread_cpu_ns() : os_now_ns();
}

/* Takes steps as far as the driver goes. Returns whether the cycle is over; the sweep that is left
 * belongs to the next cycle. */
static bool take_steps(struct driver *d)
{
    const struct cycle *c = d->heap->cycle;
    for (;;) {
        enum step step = (enum step)c->step, next = take_step(d, step);
        if (next == STEP_SWEEP && step != STEP_SWEEP)
            return true;
        if (d->leaves || (next <= step && !has_time(d)))
            return false;
    }
}

/* NOINLINE, as the marker is large: in a function that blocks, the saved registers must lie close
 * to the caller's frame (STACK_BELOW). */
NOINLINE bool cycle_drive(gc_heap *heap, struct cycle_patience patience)
{
    struct cycle *c = heap->cycle;
    struct driver d;
    int cancel = os_cancel_off();
    d.heap = heap;
    d.patience = patience;
    d.leaves = false;
    marker_init(&d.marker, heap);
    d.marker.on_mark = ptr_load_acquire(&heap->marking->on_mark);
    uint64_t start = driver_clock(&d);
    u32_store_relaxed(&c->left, 0);
    bool over = take_steps(&d);
    if (d.marker.active) /* it holds grey objects that no other thread knows of (I5) */
        marker_drain(&d.marker, 0);
    marker_finish(&d.marker);
    c->driver_ns += driver_clock(&d) - start;
    if (over)
        note_end(heap);
    u32_store_relaxed(&c->left, !over);
    handshake_wake_waiters(heap);
    os_cancel_restore(cancel);
    return over;
}

/* Called by a thread that is about to wait for the present cycle, or to drive it: it uses all
 * processors from now on (I33). */
static void hurry(gc_heap *heap)
{
    u8_store_relaxed(&heap->marking->whole, 1);
}

void cycle_finish_left(gc_heap *heap)
{
    hurry(heap);
    cycle_end_stay(heap->cycle);
    if (cycle_is_left(heap->cycle))
        cycle_drive(heap, (struct cycle_patience){0, 0});
}

/* ---- On demand ---- */

static void run_forced(gc_heap *heap, enum gc_cause cause)
{
    struct cycle *c = heap->cycle;
    c->forced = true;
    c->cause = cause;
    cycle_drive(heap, (struct cycle_patience){0, 0});
    c->forced = false;
}

/* Runs a cycle that starts after this call; a cycle that is under way does not count. With
 * `missed`, this thread runs it in any case, and marks twice. */
static NOINLINE void collect(gc_heap *heap, gc_thread *t, enum gc_cause cause, unsigned *missed)
{
    struct cycle *c = heap->cycle;
    uint32_t ours = u32_load_relaxed(&c->started) + 1;
    hurry(heap);
    thread_enter_blocked(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&c->lock);
    cycle_finish_left(heap);
    c->verify_missed = missed;
    if (missed || (int32_t)(u32_load_relaxed(&c->flipped) - ours) < 0)
        run_forced(heap, cause);
    c->verify_missed = NULL;
    sweep_finish(heap);
    lock_release(&c->lock);
    thread_leave_blocked(t);
}

void cycle_collect(gc_heap *heap, gc_thread *t, enum gc_cause cause)
{
    collect(heap, t, cause, NULL);
}

void cycle_collect_verified(gc_heap *heap, gc_thread *t, unsigned *missed)
{
    collect(heap, t, GC_CAUSE_COLLECT, missed);
}

static void with_world_held_locked(gc_heap *heap, void (*fn)(gc_heap *, void *), void *arg)
{
    LOCK_ASSERT_HELD(&heap->cycle->lock);
    cycle_finish_left(heap);
    sweep_finish(heap);
    handshake_hold(heap);
    int cancel = os_cancel_off();
    fn(heap, arg);
    os_cancel_restore(cancel);
    handshake_release(heap);
}

NOINLINE void cycle_with_world_held(gc_heap *heap, gc_thread *t, void (*fn)(gc_heap *, void *),
                                    void *arg)
{
    struct cycle *c = heap->cycle;
    hurry(heap);
    thread_enter_blocked(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&c->lock);
    with_world_held_locked(heap, fn, arg);
    lock_release(&c->lock);
    thread_leave_blocked(t);
}

void cycle_with_world_held_by_service(gc_heap *heap, void (*fn)(gc_heap *, void *), void *arg)
{
    lock_acquire(&heap->cycle->lock);
    with_world_held_locked(heap, fn, arg);
    lock_release(&heap->cycle->lock);
}

void cycle_report(gc_heap *heap, struct gc_statistics *s)
{
    struct cycle *c = heap->cycle;
    lock_acquire(&c->record_lock);
    const struct cycle_record *r = &c->record;
    s->cycles = u32_load_relaxed(&c->flipped);
    s->forced_cycles = r->forced_cycles;
    memcpy(s->causes, r->causes, sizeof s->causes);
    s->objects_marked = r->objects_marked;
    s->mark_ns = r->mark_cpu_ns;
    s->last_cycle_ns = r->last_cycle_ns;
    s->last_mark_ns = r->last_mark_ns;
    s->flush_waves = r->flush_waves;
    lock_release(&c->record_lock);
}

/* ---- Life ---- */

void cycle_init(gc_heap *heap)
{
    struct cycle *c = heap->cycle;
    lock_init(&c->lock, LOCK_CYCLE);
    lock_init(&c->record_lock, LOCK_RECORD);
}

/* ---- Fork ---- */

/* Brings the heap to rest: no cycle is under way, all is swept, and the world is held. */
static void seize(gc_heap *heap)
{
    hurry(heap);
    lock_seize(&heap->cycle->lock);
    cycle_finish_left(heap);
    sweep_finish(heap);
    handshake_hold(heap);
}

static void release(gc_heap *heap)
{
    handshake_release(heap);
    lock_free(&heap->cycle->lock);
}

const struct fork_part cycle_fork = {CYCLE_FORK_RANKS, .seize = seize, .release = release};

static void seize_record(gc_heap *heap)
{
    lock_seize(&heap->cycle->record_lock);
}

static void release_record(gc_heap *heap)
{
    lock_free(&heap->cycle->record_lock);
}

const struct fork_part cycle_record_fork = {CYCLE_RECORD_FORK_RANKS, .seize = seize_record,
                                            .release = release_record};
