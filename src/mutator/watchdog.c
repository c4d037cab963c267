#include "mutator/watchdog.h"
#include "base/os.h"
#include "mutator/log.h"
#include "mutator/self.h"

static void look_first(struct watch *w, uint64_t now, const struct os_thread_look *look)
{
    *w = (struct watch){.since = now, .rests_since = now};
    if (look) {
        w->cpu = look->cpu_ns;
        w->was = *look;
    }
}

/* Whether the thread has slept for the limit. It counts as asleep between two looks if both find it
 * asleep, and it has used no processor in between. */
static bool has_slept(struct watch *w, uint64_t now, uint64_t limit,
                      const struct os_thread_look *look)
{
    bool rests = look->state == OS_THREAD_SLEEPS && w->was.state == OS_THREAD_SLEEPS &&
                 look->cpu_ns == w->was.cpu_ns;
    if (!rests)
        w->rests_since = now;
    w->was = *look;
    return now - w->rests_since >= limit;
}

enum verdict_of_watch watchdog_judge(struct watch *w, uint64_t now, uint64_t limit,
                                     const struct os_thread_look *look)
{
    if (w->since == 0) {
        look_first(w, now, look);
        return WATCH_INNOCENT;
    }
    if (!look)
        return now - w->since >= limit ? WATCH_LATE : WATCH_INNOCENT;
    if (look->cpu_ns - w->cpu >= limit)
        return WATCH_RAN;
    return has_slept(w, now, limit, look) ? WATCH_SLEPT : WATCH_INNOCENT;
}

/* ---- Where a thread is that does not come to a safepoint ---- */

/* How long an interrupted thread may take; one that gets no processor, or blocks the signal, would
 * take longer. */
#define ANSWER_NS ((uint64_t)100 * 1000 * 1000)

/* gc_thread.asked (I56). */
enum question { NOT_ASKED, ASKED, ANSWERING, ANSWERED };

/* In the handler of a signal, on the thread that is asked. The heap that waits is the thread's
 * current one, as the thread blocks in all others. */
static void answer(void)
{
    gc_thread *t = thread_self();
    if (!t || !u32_cas_relaxed(&t->asked, ASKED, ANSWERING))
        return;
    place_take_interrupted(&t->silent_place);
    u32_store_release(&t->asked, ANSWERED);
    os_wake(&t->asked, OS_WAKE_ALL);
}

static void await_answer(gc_thread *t)
{
    uint64_t until = os_now_ns() + ANSWER_NS;
    while (u32_load_relaxed(&t->asked) == ASKED && os_now_ns() < until)
        os_wait(&t->asked, ASKED, (int64_t)ANSWER_NS);
}

/* false: the thread was not asked, or did not answer in time. Then it does not answer any more. */
static bool ask(gc_thread *t, uint64_t id)
{
    u32_store_relaxed(&t->asked, ASKED);
    if (os_interrupt(id, answer))
        await_answer(t);
    if (u32_cas_relaxed(&t->asked, ASKED, NOT_ASKED))
        return false;
    while (u32_load_acquire(&t->asked) != ANSWERED) /* it is about to */
        os_wait(&t->asked, ANSWERING, -1);
    return true;
}

/* The unwinder loads now what it may not load in a handler. */
static void tell_silent_place(gc_thread *t, uint64_t id)
{
    struct callers place;
    char text[360];
    place_take(&place, 0);
    if (ask(t, id))
        log_write(t->heap, GC_LOG_WARNING, "  it stands in %s",
                  place_text(&t->silent_place, text, sizeof text));
}

/* The message names the thread, what it did, and the remedy. */
static void tell(gc_heap *heap, gc_thread *t, uint64_t ns, enum verdict_of_watch verdict)
{
    static const char *const what[] = {
        [WATCH_RAN] = "it runs: call gc_safepoint() in its long loops",
        [WATCH_SLEPT] =
            "it sleeps: call gc_blocking_begin() and gc_blocking_end() around what waits",
        [WATCH_LATE] = "call gc_safepoint() in its long loops, gc_blocking_begin() and "
                       "gc_blocking_end() around what waits"};
    const char *call = ptr_load_relaxed(&t->last_call);
    call = call ? call : "gc_thread_attach";
    char name[sizeof t->name];
    lock_acquire(&heap->mutators.lock);
    unsigned long long id = t->os_id;
    memcpy(name, t->name, sizeof name);
    lock_release(&heap->mutators.lock);
    log_write(heap, GC_LOG_WARNING,
              "thread %llu%s%s has not reached a safepoint for %llu ms; its last call was %.*s; "
              "%s",
              id, name[0] ? " " : "", name, (unsigned long long)(ns / 1000000),
              log_call_length(call), call, what[verdict]);
    if (heap->debug.safepoints)
        tell_silent_place(t, id);
}

/* It stands near what took so long. */
void watchdog_tell_arrival(gc_thread *t, uintptr_t sp)
{
    uint64_t ns = os_now_ns() - u64_load_relaxed(&t->silent_since);
    struct callers place;
    char text[360];
    u64_store_relaxed(&t->silent_since, 0);
    place_take_program(&place, sp);
    log_write(t->heap, GC_LOG_WARNING, "thread %llu%s%s reaches a safepoint after %llu ms, in %s",
              (unsigned long long)t->os_id, t->name[0] ? " " : "", t->name,
              (unsigned long long)(ns / 1000000), place_text(&place, text, sizeof text));
}

static uint64_t id_of(gc_heap *heap, const gc_thread *t)
{
    lock_acquire(&heap->mutators.lock);
    uint64_t id = t->os_id;
    lock_release(&heap->mutators.lock);
    return id;
}

void watchdog_look(struct watch *w, gc_heap *heap, gc_thread *t)
{
    unsigned ms = heap->options.watchdog_ms;
    uint32_t request = u32_load_relaxed(&heap->mutators.epoch) + 1;
    if (ms == GC_WATCHDOG_OFF || !t || t->reported == request)
        return;
    struct os_thread_look look;
    bool known = os_look_at_thread(id_of(heap, t), &look);
    uint64_t now = os_now_ns();
    enum verdict_of_watch verdict =
        watchdog_judge(w, now, (uint64_t)ms * 1000 * 1000, known ? &look : NULL);
    if (verdict == WATCH_INNOCENT)
        return;
    t->reported = request;
    u64_store_relaxed(&t->silent_since, w->since);
    tell(heap, t, now - w->since, verdict);
}
