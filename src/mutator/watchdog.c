#include "mutator/watchdog.h"
#include "mutator/log.h"

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
    char name[sizeof t->name];
    lock_acquire(&heap->mutators.lock);
    unsigned long long id = t->os_id;
    memcpy(name, t->name, sizeof name);
    lock_release(&heap->mutators.lock);
    log_write(heap, GC_LOG_WARNING,
              "thread %llu%s%s has not reached a safepoint for %llu ms; its last call was %s; %s",
              id, name[0] ? " " : "", name, (unsigned long long)(ns / 1000000),
              call ? call : "gc_thread_attach", what[verdict]);
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
    tell(heap, t, now - w->since, verdict);
}
