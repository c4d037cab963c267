/* The rings of the event trace: what a reader is given is what a thread wrote (I45). */
#include "base/events.h"
#include "base/stress.h"
#include "crew.h"

static uint64_t since;

static void record(void)
{
    events_record(true);
    since = u64_load_relaxed(&events_since);
}

/* An event whose words all tell its number. */
static void note(uint64_t n)
{
    event_note(&(struct event){since + n, since + n, EVENT_SIZE, 0, n, n, n});
}

static struct {
    uint64_t first, last, count;
    const uint64_t *written; /* how many a thread that goes on to write has begun; atomic */
} seen;

/* The writer has overtaken the reader: all before n are overwritten. */
static bool is_overtaken(uint64_t n)
{
    return seen.written && n > seen.last && u64_load_acquire(seen.written) >= n + EVENTS_KEPT;
}

static bool look(void *unused, const struct event *e)
{
    uint64_t n = e->heap;
    (void)unused;
    CHECK(e->begin == since + n && e->end == e->begin && e->x == n && e->y == n);
    CHECK_EQ(e->kind, EVENT_SIZE);
    if (seen.count++ == 0)
        seen.first = n;
    else
        CHECK(n == seen.last + 1 || is_overtaken(n));
    seen.last = n;
    return true;
}

static void look_at_all(void)
{
    seen.count = 0;
    events_each(look, NULL);
}

TEST(events_come_back)
{
    record();
    for (uint64_t n = 0; n < 10; n++)
        note(n);
    look_at_all();
    CHECK_EQ(seen.count, 10);
    CHECK_EQ(seen.first, 0);
}

TEST(the_last_ones_are_kept)
{
    record();
    for (uint64_t n = 0; n < 3 * EVENTS_KEPT + 5; n++)
        note(n);
    look_at_all();
    CHECK_EQ(seen.count, EVENTS_KEPT);
    CHECK_EQ(seen.last, 3 * EVENTS_KEPT + 4);
}

TEST(nothing_is_recorded)
{
    CHECK(!events_were_recorded());
    CHECK_EQ(event_begin(), 0);
    event_end(EVENT_MARK, event_begin(), 1);
    CHECK_EQ(stall_begin() != 0, HAS_PROBES);
    stall_end(STALL_LOCK, stall_begin());
    look_at_all();
    CHECK_EQ(seen.count, 0);
}

TEST(a_new_record_forgets_the_old_one)
{
    record();
    note(1);
    events_record(false);
    look_at_all();
    CHECK_EQ(seen.count, 1);
    CHECK(events_were_recorded());
    os_sleep_ns(1000); /* the clock goes on */
    record();
    note(7);
    look_at_all();
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(seen.last, 7);
}

/* ---- Rings of threads ---- */

static uint64_t ids[2];

static bool note_id(void *n, const struct event *e)
{
    CHECK(e->thread == ids[0] || e->thread == ids[1]);
    ++*(int *)n;
    return true;
}

static void *note_and_leave(void *which)
{
    ids[(uintptr_t)which] = os_thread_id();
    note(1);
    events_leave();
    return NULL;
}

/* The second thread has the ring of the first, whose events stay. */
TEST(a_ring_is_used_again)
{
    int n = 0;
    record();
    os_fail_nth(2, 1000);
    join_thread(start_thread(note_and_leave, (void *)0));
    join_thread(start_thread(note_and_leave, (void *)1));
    events_each(note_id, &n);
    CHECK_EQ(n, 2);
}

/* ---- Titles ---- */

static uint64_t titled;

static void note_title(void *name, uint64_t thread, const char *title)
{
    if (strcmp(title, name) == 0)
        titled = thread;
}

static void *note_with_title(void *title)
{
    events_title(title);
    return note_and_leave((void *)0);
}

/* A thread of another title has another ring, so the first one keeps its name. */
TEST(titles_stay)
{
    static char one[] = "one", other[] = "other";
    record();
    join_thread(start_thread(note_with_title, one));
    uint64_t first = ids[0];
    join_thread(start_thread(note_with_title, other));
    join_thread(start_thread(note_and_leave, (void *)1));
    events_each_title(note_title, one);
    CHECK_EQ(titled, first);
    events_each_title(note_title, other);
    CHECK_EQ(titled, ids[0]);
}

TEST(no_memory_for_a_ring)
{
    record();
    os_fail_nth(1, 1);
    note(1);
    look_at_all();
    CHECK_EQ(seen.count, 0);
    note(2);
    look_at_all();
    CHECK_EQ(seen.count, 1);
}

/* ---- A reader and a writer (I45) ---- */

static void (*at_word)(void), (*at_read)(void);
static _Thread_local bool stops;

static void stop(enum stress_point point)
{
    if (!stops)
        return;
    void (*act)(void) = point == STRESS_EVENT_WORD   ? at_word
                        : point == STRESS_EVENT_READ ? at_read
                                                     : NULL;
    stops = false;
    if (act)
        act();
    stops = true;
}

static uint64_t written;
static bool once;

/* Between two words that are read, the thread writes so many events that its ring comes round. */
static void overtake(void)
{
    if (once)
        return;
    once = true;
    for (int i = 0; i < EVENTS_KEPT; i++)
        note(written++);
}

TEST(a_reader_is_overtaken)
{
    stress_stop_set(stop);
    record();
    while (written < EVENTS_KEPT)
        note(written++);
    at_read = overtake;
    stops = true;
    look_at_all();
    CHECK(once);
    CHECK(seen.count < EVENTS_KEPT);
}

/* Between two words that are written, another thread reads: the event before is gone, the new one
 * is not there. */
static void *look_elsewhere(void *unused)
{
    look_at_all();
    return unused;
}

static void look_between(void)
{
    if (once)
        return;
    once = true;
    join_thread(start_thread(look_elsewhere, NULL));
    CHECK_EQ(seen.count, EVENTS_KEPT - 1);
    CHECK_EQ(seen.first, 1);
}

TEST(a_writer_is_in_the_middle)
{
    stress_stop_set(stop);
    record();
    while (written < EVENTS_KEPT)
        note(written++);
    at_word = look_between;
    stops = true;
    note(written++);
    CHECK(once);
}

static atomic_bool over;

static void *write_on(void *unused)
{
    while (!over) {
        uint64_t n = written;
        u64_store_relaxed(&written, n + 1);
        fence_release();
        note(n);
    }
    return unused;
}

TEST(at_the_same_time)
{
    record();
    seen.written = &written;
    pthread_t writer = start_thread(write_on, NULL);
    for (int i = 0; i < 50; i++)
        look_at_all();
    over = true;
    join_thread(writer);
}

TAP_MAIN
