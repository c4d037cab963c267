#include "base/events.h"
#include "base/stress.h"

/* Never unmapped; used again when its thread has left, by a thread with the same title. So a title
 * is never that of another thread. */
struct ring {
    struct ring *next;  /* never changes, as title */
    const char *title;  /* NULL: of threads that are not the library's */
    uint32_t taken;     /* a thread has it; atomic */
    u64 thread;         /* its owner's; atomic. 0: none yet */
    u64 begun, written; /* events, ever; atomic (I45) */
    u64 events[EVENTS_KEPT][EVENT_WORDS];
};

_Static_assert(sizeof(struct event) == EVENT_WORDS * sizeof(u64), "a ring keeps it word by word");

u64 events_since;
static u64 recorded_since; /* the last one that was not 0; atomic */
static struct ring *rings; /* atomic */
static _Thread_local struct ring *mine;
static _Thread_local const char *my_title;
static _Thread_local bool will_leave; /* what it has taken */

/* ---- Rings ---- */

static struct ring *take_free_ring(void)
{
    struct ring *r = ptr_load_acquire(&rings);
    while (r && (r->title != my_title || !u32_cas_acquire(&r->taken, 0, 1)))
        r = r->next;
    return r;
}

static struct ring *make_ring(void)
{
    struct ring *r = os_map(align_up(sizeof *r, os_page_size()));
    if (!r)
        return NULL;
    r->taken = 1;
    r->title = my_title;
    r->next = ptr_load_relaxed(&rings);
    while (!ptr_cas_release(&rings, &r->next, r))
        ;
    return r;
}

/* The calling thread's; NULL: no memory. */
static struct ring *my_ring(void)
{
    struct ring *r = mine;
    if (r)
        return r;
    r = take_free_ring();
    if (!r)
        r = make_ring();
    if (!r)
        return NULL;
    u64_store_relaxed(&r->thread, os_thread_id());
    mine = r;
    return r;
}

void events_join(void)
{
    will_leave = true;
}

void events_leave(void)
{
    struct ring *r = mine;
    mine = NULL;
    will_leave = false;
    if (r)
        u32_store_release(&r->taken, 0);
}

void events_title(const char *title)
{
    my_title = title;
}

/* ---- Writing ---- */

/* I45: an event is counted as begun before its words are written, and as written after. */
static void write_event(struct ring *r, const struct event *e)
{
    u64 n = r->written, *words = r->events[n % EVENTS_KEPT];
    u64_store_relaxed(&r->begun, n + 1);
    fence_release();
    uint64_t copy[EVENT_WORDS];
    memcpy(copy, e, sizeof copy);
    for (size_t i = 0; i < EVENT_WORDS; i++) {
        u64_store_relaxed(&words[i], copy[i]);
        stress(STRESS_EVENT_WORD);
    }
    __atomic_store_n(&r->written, n + 1, __ATOMIC_RELEASE);
}

NOINLINE void event_note(const struct event *e)
{
    struct ring *r = my_ring();
    if (!r)
        return;
    struct event mark = *e;
    mark.thread = u64_load_relaxed(&r->thread);
    write_event(r, &mark);
}

NOINLINE void event_end(enum event_kind kind, uint64_t begin, uint64_t heap)
{
    if (begin)
        event_note(&(struct event){.begin = begin, .end = os_now_ns(), .kind = kind, .heap = heap});
}

/* Any thread may wait for a lock. One that is never attached would keep its ring when it ends. */
static void note_stall(enum stall_kind kind, uint64_t begin, uint64_t end)
{
    if (will_leave)
        event_note(&(struct event){.begin = begin, .end = end, .kind = kind});
}

void events_record(bool on)
{
    uint64_t now = on ? os_now_ns() : 0;
    if (on)
        u64_store_relaxed(&recorded_since, now);
    u64_store_relaxed(&events_since, now);
    stalls_listen(on ? note_stall : NULL);
}

/* ---- Reading ---- */

/* I45: whether the words of event n, which were read before, are all its own. */
static bool was_whole(const struct ring *r, uint64_t n)
{
    fence_acquire();
    return n + EVENTS_KEPT >= u64_load_relaxed(&r->begun);
}

static bool read_event(const struct ring *r, uint64_t n, struct event *e)
{
    uint64_t copy[EVENT_WORDS];
    const u64 *words = r->events[n % EVENTS_KEPT];
    for (size_t i = 0; i < EVENT_WORDS; i++) {
        copy[i] = u64_load_relaxed(&words[i]);
        stress(STRESS_EVENT_READ);
    }
    memcpy(e, copy, sizeof copy);
    return was_whole(r, n);
}

static bool each_of_ring(const struct ring *r, uint64_t since,
                         bool (*fn)(void *arg, const struct event *e), void *arg)
{
    uint64_t written = u64_load_acquire(&r->written);
    struct event e;
    for (uint64_t n = written - MIN_OF(written, (uint64_t)EVENTS_KEPT); n < written; n++) {
        if (read_event(r, n, &e) && e.begin >= since && !fn(arg, &e))
            return false;
    }
    return true;
}

bool events_were_recorded(void)
{
    return u64_load_relaxed(&recorded_since) != 0;
}

void events_each(bool (*fn)(void *arg, const struct event *e), void *arg)
{
    uint64_t since = u64_load_relaxed(&recorded_since);
    const struct ring *r = ptr_load_acquire(&rings);
    while (r && each_of_ring(r, since, fn, arg))
        r = r->next;
}

void events_each_title(void (*fn)(void *arg, uint64_t thread, const char *title), void *arg)
{
    for (const struct ring *r = ptr_load_acquire(&rings); r; r = r->next) {
        uint64_t thread = u64_load_relaxed(&r->thread);
        if (thread && r->title)
            fn(arg, thread, r->title);
    }
}
