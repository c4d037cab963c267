#include "mutator/handshake.h"
#include "mutator/self.h"
#include "mutator/watchdog.h"
#include "mutator/window.h"

/* ---- What a step does to a thread and to a P ---- */

static struct shading_tracer *shading_tracer_of(struct gc_tracer *tracer)
{
    return CONTAINER_OF(tracer, struct shading_tracer, tracer);
}

static void shade_value(struct gc_tracer *tracer, word value)
{
    barrier_shade(shading_tracer_of(tracer)->thread,
                  value_address(&tracer->heap->options.format, value));
}

static void shade_stale(struct gc_tracer *tracer, word value)
{
    struct shading_tracer *s = shading_tracer_of(tracer);
    uintptr_t address = value_address(&tracer->heap->options.format, value);
    s->ambiguous = barrier_note_ambiguous(s->thread, s->ambiguous, address);
}

struct shading_tracer handshake_shading_tracer(gc_thread *t)
{
    return (struct shading_tracer){
        {.value = shade_value, .stale = shade_stale, .heap = t->heap}, t, NULL};
}

static void thread_nothing(gc_thread *t)
{
    (void)t;
}

static void thread_shade_roots(gc_thread *t)
{
    t->heap->mutators.shade_roots(t);
    window_hand_over(t);
    window_forget(t);
    barrier_hand_over(t); /* else the first wave would find it */
    t->fresh = 0;         /* it may die in this cycle (I36) */
}

static void thread_hand_over(gc_thread *t)
{
    if (barrier_hand_over(t))
        u8_store_relaxed(&t->heap->mutators.handed, true);
}

static void thread_hold_none(gc_thread *t)
{
    window_forget(t);
    ASSERT((!t->grey || t->grey->n == 0) && !t->windows.armed && "I7");
}

static void proc_nothing(gc_heap *heap, struct proc *p)
{
    (void)heap;
    (void)p;
}

static void proc_arm(gc_heap *heap, struct proc *p)
{
    (void)heap;
    mcache_arm(p->cache);
}

static void proc_blacken(gc_heap *heap, struct proc *p)
{
    (void)heap;
    mcache_blacken(p->cache);
}

static void proc_flip(gc_heap *heap, struct proc *p)
{
    mcache_flip(p->cache, u32_load_relaxed(&heap->mem.sweepgen));
}

enum { WHITE, BLACK };
enum { FLAGS, WORK };

struct answer {
    void (*thread)(gc_thread *t);
    void (*proc)(gc_heap *heap, struct proc *p);
    uint8_t phase, barrier;
    bool black, timed;
};

#define ANSWER(step, asked, of_thread, of_proc, of_phase, of_barrier, colour, work, then, other,   \
               says)                                                                               \
    [STEP_##step] = {thread_##of_thread,   proc_##of_proc, PHASE_##of_phase,                       \
                     BARRIER_##of_barrier, colour,         work},
static const struct answer answers[] = {CYCLE_STEPS(ANSWER)};
#undef ANSWER

/* The thread does the step's work before it sets the barrier that belongs to the step. */
static void thread_answer(gc_thread *t, enum step step)
{
    const struct answer *a = &answers[step];
    a->thread(t);
    thread_set_barrier(t, a->barrier);
    t->phase = a->phase;
}

static void proc_catch_up(gc_heap *heap, struct proc *p, uint32_t epoch)
{
    if (p->epoch == epoch)
        return;
    answers[u32_load_relaxed(&heap->mutators.step)].proc(heap, p);
    u32_store_release(&p->epoch, epoch);
}

/* Called when the thread holds a P and runs. */
static void catch_up(gc_thread *t, uint32_t epoch, enum step step)
{
    stress(STRESS_CATCH_UP);
    if (epoch != t->epoch)
        thread_answer(t, step);
    stress(STRESS_THREAD_OP_DONE);
    proc_catch_up(t->heap, t->proc, epoch);
    stress(STRESS_PROC_OP_DONE);
    t->epoch = epoch;
    u32_store_release(&t->st, state_word(epoch, THREAD_RUN));
    mutators_wake_collector(&t->heap->mutators);
}

void handshake_catch_up(gc_thread *t)
{
    uint32_t epoch = u32_load_acquire(&t->heap->mutators.epoch);
    if (epoch == t->epoch && epoch == t->proc->epoch)
        return;
    enum step step = u32_load_relaxed(&t->heap->mutators.step);
    if (answers[step].timed) {
        int cancel = os_cancel_off(); /* root callbacks run */
        struct stopwatch start = stopwatch_start();
        catch_up(t, epoch, step);
        struct elapsed elapsed = stopwatch_elapsed(&start);
        histogram_add(&t->times.handshake_wall, elapsed.wall);
        histogram_add(&t->times.handshake_cpu, elapsed.cpu);
        times_add_stall(&t->times, STALL_HANDSHAKE, elapsed);
        os_cancel_restore(cancel);
    } else {
        uint64_t start = os_now_ns();
        catch_up(t, epoch, step);
        uint64_t wall = os_now_ns() - start;
        histogram_add(&t->times.handshake_wall, wall);
        stall_was(STALL_HANDSHAKE, start, wall);
    }
}

/* ---- Threads that wait for the cycle ---- */

/* I54: either this thread sees that the other one sleeps (handshake_await_turn), or the other one
 * sees the turn. */
void handshake_wake_waiters(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    u32_fetch_add_release(&m->turns, 1);
    fence_seq_cst();
    if (u32_load_relaxed(&m->turn_waiters))
        os_wake(&m->turns, OS_WAKE_ALL);
}

void handshake_await_turn(gc_heap *heap, uint32_t turn, int64_t ns)
{
    struct mutators *m = &heap->mutators;
    u32_fetch_add_relaxed(&m->turn_waiters, 1);
    fence_seq_cst();
    os_wait(&m->turns, turn, ns);
    u32_fetch_sub_relaxed(&m->turn_waiters, 1);
}

void handshake_hinder(gc_heap *heap, enum hindrance hindrance)
{
    struct mutators *m = &heap->mutators;
    if (u32_load_relaxed(&m->hindrance) == (uint32_t)hindrance)
        return;
    u32_store_relaxed(&m->hindrance, hindrance);
    handshake_wake_waiters(heap);
}

/* ---- The collector's side ---- */

/* How often to look before sleeping. SPINS_IDLE is for a processor that no mutator could use, and
 * takes as long as a system call and a wake-up. */
#define SPINS 100
#define SPINS_IDLE 2000

/* The collector's wait for a thread or for a P; the other one is NULL. */
struct watched_wait {
    gc_heap *heap;
    gc_thread *t; /* is waited for, if p is NULL */
    struct proc *p;
    uint64_t until; /* see handshake_end */
    uint64_t since; /* 0: the waiting has not begun */
    unsigned spins; /* looks that are left */
    struct watch watch;
};

static bool is_patient(const struct watched_wait *w)
{
    return w->until == 0;
}

/* Whether to give up. A driver that is not patient is a mutator, which has other work to do. */
static bool is_tired(const struct watched_wait *w)
{
    return !is_patient(w) && w->since != 0 && w->spins == 0 &&
           (w->until == HANDSHAKE_NOW || os_now_ns() >= w->until);
}

static void await(struct mutators *m, gc_thread *t, struct proc *p)
{
    ptr_store_release(&m->awaited, t);
    ptr_store_release(&m->awaited_proc, p);
}

static void wait_begin(struct watched_wait *w)
{
    w->since = os_now_ns();
    w->spins = is_patient(w) && procs_idle(&w->heap->procs) > 0 ? SPINS_IDLE : SPINS;
    await(&w->heap->mutators, w->t, w->p);
}

/* Called when a thread has kept the collector waiting for long. */
static void look_at_silence(struct watched_wait *w)
{
    gc_thread *t = w->p ? ptr_load_acquire(&w->p->owner) : w->t;
    if (t && mutators_reap(t))
        return;
    handshake_hinder(w->heap, HINDRANCE_SILENCE);
    watchdog_look(&w->watch, w->heap, t);
}

/* Called when no spins are left. Sleeps until a thread acknowledges. Reports a thread that does
 * not. */
static bool wait_long(struct watched_wait *w, bool (*done)(void *), void *arg)
{
    struct mutators *m = &w->heap->mutators;
    uint32_t seen = u32_load_relaxed(&m->acked);
    u32_store_relaxed(&m->collector_waits, 1);
    fence_seq_cst();
    bool yes = done(arg);
    if (!yes)
        os_wait(&m->acked, seen, (int64_t)HANDSHAKE_SILENCE_NS);
    u32_store_relaxed(&m->collector_waits, 0);
    if (yes || done(arg))
        return true;
    if (os_now_ns() - w->since >= HANDSHAKE_SILENCE_NS)
        look_at_silence(w);
    return false;
}

/* Waits a little for `done` to become true. */
static bool wait_step(struct watched_wait *w, bool (*done)(void *), void *arg)
{
    if (w->since == 0)
        wait_begin(w);
    if (w->spins > 0) {
        w->spins--;
        cpu_relax();
        return done(arg);
    }
    return !is_tired(w) && wait_long(w, done, arg);
}

struct thread_wait {
    gc_thread *t;
    uint32_t epoch;
};

/* The thread need not be waited for: it has acknowledged, has left, or is blocked. */
static bool thread_is_ready(void *arg)
{
    struct thread_wait *w = arg;
    uint32_t st = u32_load_relaxed(&w->t->st);
    return epoch_reached(epoch_of(st), w->epoch) || state_of(st) == THREAD_BLOCKED;
}

static bool claim_thread(gc_thread *t)
{
    uint32_t st = u32_load_relaxed(&t->st);
    return state_of(st) == THREAD_BLOCKED &&
           u32_cas_acquire(&t->st, st, state_word(epoch_of(st), THREAD_CLAIMED));
}

static void unclaim_thread(gc_thread *t, uint32_t epoch)
{
    u32_store_release(&t->st, state_word(epoch, THREAD_BLOCKED));
    fence_seq_cst(); /* I54: thread_become_running sees the store, or its wait is seen */
    if (u32_load_relaxed(&t->waits))
        os_wake(&t->st, OS_WAKE_ALL);
}

static bool thread_is_done(const gc_thread *t, uint32_t epoch)
{
    uint32_t st = u32_load_acquire(&t->st);
    return epoch_reached(epoch_of(st), epoch) || state_of(st) == THREAD_GONE;
}

static bool handshake_thread(gc_heap *heap, gc_thread *t, uint32_t epoch, uint64_t until)
{
    struct watched_wait w = {.heap = heap, .t = t, .until = until};
    struct thread_wait arg = {t, epoch};
    if (u32_load_relaxed(&heap->mutators.step) == STEP_ROOTS && mutators_reap(t))
        return true;
    while (!thread_is_done(t, epoch)) {
        if (claim_thread(t)) {
            stress(STRESS_CLAIMED);
            thread_answer(t, u32_load_relaxed(&heap->mutators.step));
            stress(STRESS_UNCLAIM);
            t->epoch = epoch;
            unclaim_thread(t, epoch);
            return true;
        }
        if (is_tired(&w))
            return mutators_reap(t);
        wait_step(&w, thread_is_ready, &arg);
    }
    return true;
}

struct proc_wait {
    struct proc *p;
    uint32_t epoch;
};

static bool proc_is_ready(void *arg)
{
    struct proc_wait *w = arg;
    return u32_load_relaxed(&w->p->epoch) == w->epoch || proc_rests(w->p);
}

/* A running P belongs to a thread, which does the P's work at its next safepoint. A thread that
 * takes a P comes to one before it runs managed code (I9). */
static bool handshake_proc(gc_heap *heap, struct proc *p, uint32_t epoch, uint64_t until)
{
    struct watched_wait w = {.heap = heap, .p = p, .until = until};
    struct proc_wait arg = {p, epoch};
    enum proc_state was;
    while (u32_load_acquire(&p->epoch) != epoch) {
        if (proc_claim(p, &was)) {
            stress(STRESS_PROC_CLAIMED);
            proc_catch_up(heap, p, epoch);
            proc_unclaim(&heap->procs, p, was);
            return true;
        }
        if (is_tired(&w))
            return false;
        wait_step(&w, proc_is_ready, &arg);
    }
    return true;
}

/* Publishes the step, and the state in which threads that attach from now on begin. */
static void publish_locked(struct mutators *m, enum step step)
{
    const struct answer *a = &answers[step];
    LOCK_ASSERT_HELD(&m->lock);
    u32_store_relaxed(&m->step, step);
    m->phase = a->phase;
    m->barrier = a->barrier;
    m->black = a->black;
    m->sweeping = step == STEP_FLIP;
}

/* The threads that are attached now. Those that attach later adopt all of the new state. NULL: no
 * memory; the caller tries again. */
static gc_thread **snapshot_locked(struct mutators *m, size_t *n)
{
    LOCK_ASSERT_HELD(&m->lock);
    gc_thread **all = malloc((m->count + 1) * sizeof(gc_thread *));
    *n = 0;
    for (gc_thread *t = m->list; all && t; t = t->next)
        all[(*n)++] = t;
    return all;
}

static gc_thread **take_snapshot(gc_heap *heap, size_t *n)
{
    gc_thread **all = snapshot_locked(&heap->mutators, n);
    while (!all) {
        lock_release(&heap->mutators.lock);
        os_sleep_ns(1000 * 1000);
        lock_acquire(&heap->mutators.lock);
        all = snapshot_locked(&heap->mutators, n);
    }
    return all;
}

/* Ps are made under the registry's lock and adopt the state in force. So no P that is made after
 * the publication is behind. */
static bool handshake_procs(gc_heap *heap, uint32_t epoch, uint64_t until)
{
    bool done = true;
    uint32_t n = u32_load_acquire(&heap->procs.count);
    for (uint32_t i = 0; i < n && done; i++)
        done = handshake_proc(heap, heap->procs.all[i], epoch, until);
    return done;
}

static bool handshake_threads(gc_heap *heap, uint32_t epoch, uint64_t until)
{
    struct mutators *m = &heap->mutators;
    bool done = true;
    size_t n;
    lock_acquire(&m->lock);
    gc_thread **all = take_snapshot(heap, &n);
    lock_release(&m->lock);
    stress(STRESS_PUBLISHED);
    for (size_t i = 0; i < n; i++)
        thread_request_poll(all[i]);
    stress(STRESS_POLLS_SET);
    for (size_t i = 0; i < n && done; i++)
        done = handshake_thread(heap, all[i], epoch, until);
    free(all);
    return done;
}

/* Called while the world is held: every thread is claimed, and every P is idle, lent (I18), or held
 * by a claimed thread. */
static void work_on_held(gc_heap *heap, enum step step, uint32_t epoch)
{
    for (gc_thread *t = heap->mutators.list; t; t = t->next) {
        thread_answer(t, step);
        t->epoch = epoch;
    }
    uint32_t n = u32_load_acquire(&heap->procs.count);
    for (uint32_t i = 0; i < n; i++)
        proc_catch_up(heap, heap->procs.all[i], epoch);
}

void handshake_begin(gc_heap *heap, enum step step)
{
    struct mutators *m = &heap->mutators;
    lock_acquire(&m->lock);
    if (step == STEP_FLIP)
        u32_store_relaxed(&heap->mem.sweepgen, heap->mem.sweepgen + 2);
    publish_locked(m, step);
    uint32_t epoch = (m->epoch + 1) & EPOCH_MASK;
    m->handshakes++;
    u32_store_release(&m->epoch, epoch);
    lock_release(&m->lock);
    if (u32_load_relaxed(&m->held))
        work_on_held(heap, step, epoch);
}

static void end_waiting(gc_heap *heap)
{
    await(&heap->mutators, NULL, NULL);
    handshake_hinder(heap, HINDRANCE_NONE);
}

/* Threads that attached after the publication have adopted all of the new state. */
bool handshake_end(gc_heap *heap, uint64_t until)
{
    struct mutators *m = &heap->mutators;
    uint32_t epoch = u32_load_relaxed(&m->epoch);
    ASSERT(self_may_wait_for(NULL) && "I21");
    if (u32_load_relaxed(&m->held))
        return true;
    bool done = handshake_threads(heap, epoch, until) && handshake_procs(heap, epoch, until);
    if (done)
        end_waiting(heap);
    return done;
}

/* The structs of threads and Ps stay as long as the heap, so they can be read at any time. */
bool handshake_is_unanswered(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    uint32_t epoch = u32_load_relaxed(&m->epoch);
    gc_thread *t = ptr_load_acquire(&m->awaited);
    struct proc *p = ptr_load_acquire(&m->awaited_proc);
    return (t && !thread_is_ready(&(struct thread_wait){t, epoch}) && !os_life_is_over(&t->life)) ||
           (p && !proc_is_ready(&(struct proc_wait){p, epoch}));
}

void handshake(gc_heap *heap, enum step step)
{
    handshake_begin(heap, step);
    handshake_end(heap, 0);
}

/* ---- Holding the world ---- */

static bool thread_is_blocked(void *arg)
{
    gc_thread *t = arg;
    enum thread_state state = state_of(u32_load_relaxed(&t->st));
    return state == THREAD_BLOCKED || state == THREAD_GONE;
}

static bool hold_thread(gc_heap *heap, gc_thread *t, uint64_t until)
{
    struct watched_wait w = {.heap = heap, .t = t, .until = until};
    while (!claim_thread(t)) {
        if (state_of(u32_load_acquire(&t->st)) == THREAD_GONE) /* its P's cache will be looked at */
            return true;
        if (is_tired(&w))
            return false;
        wait_step(&w, thread_is_blocked, t);
    }
    return true;
}

/* Detaches a thread that had ended when it was claimed, or has since, while others kept the
 * collector waiting (I28). No struct is used again while the world is held. */
static void reap_held(gc_thread *t)
{
    if (state_of(u32_load_relaxed(&t->st)) != THREAD_CLAIMED || !os_life_is_over(&t->life))
        return;
    unclaim_thread(t, t->epoch);
    mutators_reap(t);
}

/* A thread that waits for a P may be granted one while it is claimed; it goes on only when the
 * claim has ended. No other thread takes a P: attaching waits, and every thread is claimed. */
bool handshake_hold_until(gc_heap *heap, uint64_t until)
{
    struct mutators *m = &heap->mutators;
    bool held = true;
    size_t n;
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&m->lock);
    gc_thread **all = take_snapshot(heap, &n);
    u32_store_relaxed(&m->held, 1);
    lock_release(&m->lock);
    for (size_t i = 0; i < n; i++)
        thread_request_poll(all[i]);
    for (size_t i = 0; i < n && held; i++)
        held = hold_thread(heap, all[i], until);
    for (size_t i = 0; i < n; i++)
        reap_held(all[i]);
    free(all);
    end_waiting(heap);
    if (!held)
        handshake_release(heap);
    return held;
}

void handshake_hold(gc_heap *heap)
{
    handshake_hold_until(heap, 0);
}

bool handshake_take_grey(gc_heap *heap)
{
    bool any = false;
    for (gc_thread *t = heap->mutators.list; t; t = t->next)
        any |= barrier_hand_over(t);
    return any;
}

/* Only the collector claims threads. */
void handshake_release(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    lock_acquire(&m->lock);
    for (gc_thread *t = m->list; t; t = t->next) {
        if (state_of(u32_load_relaxed(&t->st)) == THREAD_CLAIMED)
            unclaim_thread(t, t->epoch);
    }
    u32_store_relaxed(&m->held, 0);
    lock_release(&m->lock);
    os_wake(&m->held, OS_WAKE_ALL);
}
