#include "mutator/attach.h"
#include "base/events.h"
#include "mutator/fiber.h"
#include "mutator/log.h"
#include "mutator/self.h"
#include "mutator/thread.h"
#include "mutator/window.h"
#include <errno.h>
#include <limits.h>

/* The thread has no roots yet, which counts as scanned. So it adopts all of the state in force. */
static void adopt_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    t->epoch = m->epoch;
    t->phase = m->phase;
    t->fast.barrier = m->barrier | t->heap->watch;
    u32_store_release(&t->st, state_word(t->epoch, THREAD_BLOCKED));
}

static void lock_while_not_held(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    ASSERT(self_may_wait_for(heap) && "I21");
    lock_acquire(&m->lock);
    while (m->held) {
        lock_release(&m->lock);
        os_wait(&m->held, 1, -1);
        lock_acquire(&m->lock);
    }
}

/* Renews a struct that another thread may have had. The collector may still ask that thread to
 * poll, and the watchdog may still report it. */
static void renew_locked(gc_heap *heap, gc_thread *t)
{
    LOCK_ASSERT_HELD(&heap->mutators.lock);
    t->fast.runs = SELF_NO_RUNS;
    t->fast.barrier = BARRIER_OFF;
    u8_store_relaxed(&t->fast.poll, 0);
    t->fast.frames = NULL;
    t->os_id = os_thread_id();
    ptr_store_relaxed(&t->last_call, NULL);
    u64_store_relaxed(&t->silent_since, 0);
    t->call_before = NULL;
    t->fresh = 0;
    t->name[0] = 0;
    t->blocking = 0;
    t->quiet = 0;
    t->calls_back = 0;
    t->left_told = false;
    t->never_entered = 0;
    os_life_begin(&t->life);
}

/* A thread that is not in the registry is GONE. */
static gc_thread *make_struct(gc_heap *heap)
{
    gc_thread *t = calloc(1, sizeof *t);
    if (t) {
        t->heap = heap;
        t->st = state_word(0, THREAD_GONE);
        os_life_init(&t->life);
    }
    return t;
}

static gc_thread *new_thread(gc_heap *heap)
{
    struct mutators *m = &heap->mutators;
    lock_while_not_held(heap);
    gc_thread *t = mutators_take_spare_locked(m);
    if (!t)
        t = make_struct(heap);
    if (t)
        renew_locked(heap, t);
    lock_release(&m->lock);
    return t;
}

static void recycle(gc_heap *heap, gc_thread *t)
{
    lock_acquire(&heap->mutators.lock);
    mutators_give_spare_locked(&heap->mutators, t);
    lock_release(&heap->mutators.lock);
}

static int check_room(const gc_heap *heap, uintptr_t low, uintptr_t high)
{
    uintptr_t room = (uintptr_t)__builtin_frame_address(0) - low;
    if (room > high - low || room >= ATTACH_STACK_NEEDED)
        return 0;
    log_write(
        heap, GC_LOG_ERROR,
        "gc_thread_attach: %zu bytes are left of the thread's C stack, of which calls need up "
        "to %zu: give the thread a larger one",
        (size_t)room, (size_t)ATTACH_STACK_NEEDED);
    return -EINVAL;
}

/* Finds the calling thread's stack; 0, 0: it cannot be found. */
static int find_stack(const gc_heap *heap, uintptr_t *low, uintptr_t *high)
{
    int error = os_stack_bounds(low, high);
    if (!error)
        return check_room(heap, *low, *high);
    if (error != -ENOTSUP || heap->options.flags & GC_STACK_CONSERVATIVE)
        return error;
    *low = *high = 0;
    return 0;
}

/* The thread leaves its current heap, where it counts as blocked from then on. */
static void leave_current(uintptr_t caller)
{
    gc_thread *t = thread_self();
    if (t && t->blocking == 0)
        thread_enter_blocked(t, caller);
    self_set_current(NULL);
}

static void resume(gc_thread *t)
{
    if (t && t->blocking == 0)
        thread_leave_blocked(t);
    self_set_current(t);
}

/* Called when the thread may be attached no more. */
static void leave_events(void)
{
    if (!self_attachments())
        events_leave();
}

/* Makes a struct that its OS thread knows and that holds a P; or NULL. */
static gc_thread *prepare_thread(gc_heap *heap)
{
    gc_thread *t = new_thread(heap);
    if (!t)
        return NULL;
    events_join();
    bool known = self_add(t);
    if (known && proc_acquire(heap, t))
        return t;
    if (known)
        self_remove(t);
    leave_events();
    os_life_end(&t->life);
    recycle(heap, t);
    return NULL;
}

static void join_registry(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    lock_while_not_held(heap);
    adopt_locked(m, t);
    mutators_link_locked(m, t);
    lock_release(&m->lock);
    stress(STRESS_ATTACH_ADOPTED);
    thread_become_running(t);
    thread_safepoint(t);
}

/* No destructor would detach the thread, and every handshake would wait for it. */
static int refuse_in_last_rounds(const gc_heap *heap)
{
    log_write(heap, GC_LOG_ERROR,
              "gc_thread_attach: refused in the last rounds of the destructors of thread keys: "
              "nobody would detach the thread when it has ended. Attach and detach in the first");
    return -EPERM;
}

/* I21: the thread leaves its current heap before it waits for anything of this one. */
int attach_begin(gc_heap *heap, uintptr_t caller)
{
    gc_thread *before = thread_self();
    if (heap->orphan)
        return -EPERM;
    if (self_attached_to(heap))
        return -EEXIST;
    if (self_is_in_last_rounds())
        return refuse_in_last_rounds(heap);
    uintptr_t low, high;
    int error = find_stack(heap, &low, &high);
    if (error)
        return error;
    leave_current(caller);
    gc_thread *t = prepare_thread(heap);
    if (!t) {
        resume(before);
        return -ENOMEM;
    }
    t->stacks = (struct stacks){.own = {.low = low, .high = high},
                                .scanned = heap->options.flags & GC_STACK_CONSERVATIVE};
    join_registry(heap, t);
    self_set_current(t);
    return 0;
}

/* Takes a thread without a P off the list. What is in its grey buffer is gone. */
static void strike_off_locked(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    LOCK_ASSERT_HELD(&m->lock);
    if (t->grey)
        workbuf_put_empty(&heap->work, t->grey);
    t->grey = NULL;
    ASSERT(!t->windows.armed && "I50");
    window_forget(t);
    t->last_proc = NULL;
    mutators_unlink_locked(m, t);
    times_fold(&m->kept, &t->times);
    memset(&t->times, 0, sizeof t->times);
    u32_store_release(&t->st, state_word(t->epoch, THREAD_GONE));
}

/* Takes a thread that runs, or is claimed, off the list. Its P is released before it is GONE,
 * because the collector works on all Ps in a held world. */
static void unregister_locked(gc_heap *heap, gc_thread *t)
{
    LOCK_ASSERT_HELD(&heap->mutators.lock);
    bool handed = window_hand_over(t);
    if (barrier_hand_over(t) || handed)
        u8_store_relaxed(&heap->mutators.handed, true);
    if (t->proc)
        proc_release(heap, t);
    strike_off_locked(heap, t);
}

/* Leaves the registry when the thread is up to date, which counts as its acknowledgement of every
 * later handshake. The heap stays until leave_heap(). */
static void leave_registry(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    stress(STRESS_DETACH);
    lock_acquire(&m->lock);
    while (t->epoch != m->epoch) {
        lock_release(&m->lock);
        thread_safepoint(t);
        lock_acquire(&m->lock);
    }
    unregister_locked(heap, t);
    m->leaving++;
    lock_release(&m->lock);
    stress(STRESS_LEFT);
    mutators_wake_collector(&heap->mutators);
}

/* Once the lock is free, the heap may be destroyed. So the thread touches nothing of it any more.
 * A wait for the lock is an event. */
static void leave_heap(gc_heap *heap, gc_thread *t)
{
    struct mutators *m = &heap->mutators;
    os_life_end(&t->life);
    lock_acquire(&m->lock);
    mutators_give_spare_locked(m, t);
    m->leaving--;
    lock_release(&m->lock);
    leave_events();
}

int attach_end(gc_thread *t, bool force)
{
    gc_heap *heap = t->heap;
    if (!force && (t->fast.frames || t->fiber || t->blocking))
        return -EBUSY;
    if (t->blocking)
        thread_leave_regions(t);
    if (t->fiber)
        fiber_abandon(t);
    t->fast.frames = NULL;
    leave_registry(heap, t);
    self_remove(t);
    rootset_free(&t->roots);
    self_set_current(NULL);
    leave_heap(heap, t);
    return 0;
}

int attach_switch(gc_heap *heap, uintptr_t caller)
{
    gc_thread *t = heap ? self_attached_to(heap) : NULL;
    if (heap && !t)
        return -ENOENT;
    if (t && t == thread_self())
        return 0;
    leave_current(caller);
    resume(t);
    return 0;
}

/* ---- Threads that end attached ---- */

/* Whether frames lie on a stack that stays when the thread ends. If the thread's own stack is not
 * known, only a stack that the embedder has told the library of is known to stay. */
static bool outlive_thread(const gc_thread *t, const struct gc_frame *frames)
{
    const struct stack *own = &t->stacks.own, *of_fiber = thread_fiber_stack(t);
    if (own->high)
        return !stack_contains(own, (uintptr_t)frames);
    return of_fiber && stack_contains(of_fiber, (uintptr_t)frames);
}

/* What was on the thread's stack is overwritten by now, so its frames and ranges are forgotten. The
 * frames of a fiber with a stack of its own stay. */
static void forget_stack(gc_thread *t)
{
    if (!t->fiber || !outlive_thread(t, t->fast.frames))
        t->fast.frames = NULL;
    t->stacks.scanned = false;
    rootset_free(&t->roots);
}

static void end_attachment(gc_thread *t)
{
    if (state_of(u32_load_relaxed(&t->st)) != THREAD_RUN) {
        CHECK(proc_acquire(t->heap, t));
        thread_become_running(t);
    }
    t->blocking = 0;
    t->fast.barrier &= (uint8_t)~BARRIER_SHUT;
    forget_stack(t);
    self_set_current(t);
    attach_end(t, true);
}

/* The heap in which the thread runs comes first: in all others it is blocked. */
void attach_end_all(void)
{
    if (self_running())
        end_attachment(self_running());
    while (self_attachments())
        end_attachment(self_attachments());
}

static void tell_of_attachments(void)
{
    for (gc_thread *t = self_attachments(); t; t = t->next_attached)
        log_write(t->heap, GC_LOG_WARNING, "thread %llu %s ended without gc_thread_detach()",
                  (unsigned long long)t->os_id, t->name);
}

static void end_attachments(void)
{
    if (GC_DEBUG)
        tell_of_attachments();
    attach_end_all();
}

int attach_make_key(void)
{
    return self_make_key(end_attachments);
}

/* ---- Threads that have ended attached ---- */

/* Claims what is left of a thread that has ended. If its state is RUN, nothing changes it any more.
 * If it is BLOCKED, it is claimed, unless the collector has claimed it. */
static bool claim_ended_locked(gc_thread *t)
{
    LOCK_ASSERT_HELD(&t->heap->mutators.lock);
    if (!os_life_is_over(&t->life))
        return false; /* another thread was quicker, and the struct may be in use again */
    uint32_t st = u32_load_relaxed(&t->st);
    return state_of(st) == THREAD_RUN ||
           (state_of(st) == THREAD_BLOCKED &&
            u32_cas_acquire(&t->st, st, state_word(epoch_of(st), THREAD_CLAIMED)));
}

/* It has nothing to do for the present handshake either, so it is up to date. */
static void reap_locked(gc_heap *heap, gc_thread *t)
{
    LOCK_ASSERT_HELD(&heap->mutators.lock);
    forget_stack(t);
    if (t->fiber)
        fiber_abandon(t);
    t->epoch = heap->mutators.epoch;
    unregister_locked(heap, t);
    mutators_give_spare_locked(&heap->mutators, t);
}

bool attach_reap(gc_thread *t)
{
    if (LIKELY(!os_life_is_over(&t->life)))
        return false;
    gc_heap *heap = t->heap;
    struct mutators *m = &heap->mutators;
    char name[sizeof t->name];
    lock_acquire(&m->lock);
    unsigned long long id = t->os_id;
    memcpy(name, t->name, sizeof name);
    bool yes = claim_ended_locked(t);
    if (yes)
        reap_locked(heap, t);
    lock_release(&m->lock);
    if (!yes)
        return false;
    mutators_wake_collector(m);
    log_write(heap, GC_LOG_WARNING,
              "thread %llu%s%s has ended while it was attached, and is detached by another: it "
              "attached in the last round of the destructors of thread keys, or ended without "
              "running them; call gc_thread_detach() before",
              id, name[0] ? " " : "", name);
    return true;
}

static gc_thread *find_dead(struct mutators *m)
{
    lock_acquire(&m->lock);
    gc_thread *t = m->list;
    while (t && !os_life_is_over(&t->life))
        t = t->next;
    lock_release(&m->lock);
    return t;
}

void attach_reap_all(gc_heap *heap)
{
    gc_thread *t;
    while ((t = find_dead(&heap->mutators)) && attach_reap(t)) {}
}

/* ---- Fork ---- */

bool attach_has_others(const gc_heap *heap)
{
    const struct mutators *m = &heap->mutators;
    return m->count + m->leaving > (self_attached_to(heap) != NULL);
}

/* The thread's stack is gone, and with it the frames of the fiber that it ran. */
static void forget_thread(gc_heap *heap, gc_thread *t)
{
    t->fast.frames = NULL;
    if (t->fiber)
        fiber_abandon(t);
    rootset_free(&t->roots);
    t->proc = NULL;
    strike_off_locked(heap, t);
    mutators_give_spare_locked(&heap->mutators, t);
}

/* Forgets the other threads. */
static void forget(gc_heap *heap)
{
    gc_thread *self = self_attached_to(heap), *next;
    for (gc_thread *t = heap->mutators.list; t; t = next) {
        next = t->next;
        if (t != self)
            forget_thread(heap, t);
    }
    heap->mutators.leaving = 0;
    for (gc_thread *t = heap->mutators.spare; t; t = t->next)
        os_life_init(&t->life);
}

const struct fork_part attach_fork = {ATTACH_FORK_RANKS, .forget = forget};

/* The parent's thread has the old life, and this one begins a life of its own. */
static void begin_again(gc_thread *t)
{
    t->os_id = os_thread_id();
    os_life_init(&t->life);
    os_life_begin(&t->life);
    events_join();
}

void attach_go_on_in_child(void)
{
    gc_thread *t = thread_self(), *next;
    if (t && t->heap->orphan)
        self_set_current(NULL);
    for (t = self_attachments(); t; t = next) {
        next = t->next_attached;
        if (t->heap->orphan)
            self_remove(t);
        else
            begin_again(t);
    }
}
