/* The queue of grey work: what one word counts of it. */
#include "mutator/workbuf.h"
#include "crew.h"

/* A 32-bit host has memory for so many buffers: that many ranges of roots are enough for it. */
enum { MANY = (1 << 16) + 2 };

static struct workqueue q;

static void push_one(uintptr_t item)
{
    struct workbuf *b = workbuf_get(&q);
    b->items[b->n++] = item;
    workqueue_push(&q, b);
}

/* The queue is never taken for empty while it has work, nor is the marker lost that is active. */
TEST(more_buffers_than_16_bits_count)
{
    workqueue_init(&q);
    workqueue_activate(&q);
    for (uintptr_t i = 1; i <= MANY; i++) {
        push_one(i);
        CHECK(workqueue_has_work(&q));
    }
    CHECK(!workqueue_retire(&q));
    uint64_t sum = 0;
    for (uintptr_t i = MANY; i >= 1; i--) {
        CHECK(!workqueue_is_idle(&q));
        struct workbuf *b = workqueue_pop(&q, false);
        CHECK(b);
        sum += b->items[0];
        workbuf_put_empty(&q, b);
        CHECK(workqueue_retire(&q) == (i == 1));
    }
    CHECK_EQ(sum, (uint64_t)MANY * (MANY + 1) / 2);
    CHECK(workqueue_is_idle(&q));
    workqueue_destroy(&q);
}

/* A small heap needs few, and takes memory for no more. */
TEST(few_buffers_at_first)
{
    enum { FEW = 4 };
    struct workbuf *taken[FEW];
    workqueue_init(&q);
    for (int i = 0; i < FEW; i++)
        taken[i] = workbuf_get(&q);
    CHECK_EQ(q.made, FEW);
    workbuf_put_empty(&q, workbuf_get(&q));
    CHECK(q.made > 4 * FEW);
    for (int i = 0; i < FEW; i++)
        workbuf_put_empty(&q, taken[i]);
    workqueue_destroy(&q);
}

static struct workbuf *one(uintptr_t item)
{
    struct workbuf *b = workbuf_get(&q);
    b->items[b->n++] = item;
    return b;
}

/* What is pushed comes first, what is appended last, whether the queue was empty or not. */
TEST(pushed_and_appended)
{
    static const uintptr_t order[] = {4, 1, 2, 3, 5};
    workqueue_init(&q);
    workqueue_activate(&q);
    for (int round = 0; round < 2; round++) {
        workqueue_append(&q, one(1));
        workqueue_append(&q, one(2));
        workqueue_append(&q, one(3));
        workqueue_push(&q, one(4));
        workqueue_append(&q, one(5));
        for (int i = 0; i < 5; i++) {
            struct workbuf *b = workqueue_pop(&q, true);
            CHECK(b && b->items[0] == order[i]);
            workbuf_put_empty(&q, b);
        }
        CHECK(!workqueue_pop(&q, true));
        workqueue_push(&q, one(6));
        workqueue_append(&q, one(7));
        for (uintptr_t i = 6; i <= 7; i++) {
            struct workbuf *b = workqueue_pop(&q, true);
            CHECK(b && b->items[0] == i);
            workbuf_put_empty(&q, b);
        }
    }
    CHECK(workqueue_retire(&q));
    workqueue_destroy(&q);
}

/* Until ROOTS is complete, nobody gets what is queued. */
TEST(nothing_before_roots)
{
    workqueue_init(&q);
    workqueue_begin_deferring(&q);
    push_one(1);
    CHECK(workqueue_has_work(&q) && !workqueue_pop(&q, false));
    CHECK(!workqueue_end_deferring(&q));
    struct workbuf *b = workqueue_pop(&q, false);
    CHECK(b && b->items[0] == 1);
    workbuf_put_empty(&q, b);
    CHECK(workqueue_retire(&q));
    workqueue_destroy(&q);
}

/* ---- Sleep ---- */

enum { SLEEPERS = 3 };

/* A thread that sleeps in one of the queue's waits, which have no time limit here. */
struct sleeper {
    void (*sleep)(void);
    uint32_t awake; /* atomic */
    u64 id;         /* atomic */
    pthread_t thread;
};

static void *sleeper_thread(void *arg)
{
    struct sleeper *s = arg;
    u64_store_relaxed(&s->id, os_thread_id());
    s->sleep();
    u32_store_release(&s->awake, 1);
    return NULL;
}

static void sleep_for_work_only(void)
{
    workqueue_wait(&q, -1, false);
}
static void sleep_for_work_or_end(void)
{
    workqueue_wait(&q, -1, true);
}
static void sleep_for_end(void)
{
    workqueue_await_end(&q, -1);
}

static bool is_asleep(struct sleeper *s)
{
    uint64_t id = u64_load_relaxed(&s->id);
    return id && thread_sleeps(id);
}

static void sleeper_start(struct sleeper *s, void (*sleep)(void), const uint32_t *says)
{
    *s = (struct sleeper){.sleep = sleep};
    uint32_t before = u32_load_acquire(says);
    s->thread = start_thread(sleeper_thread, s);
    WAIT_UNTIL(u32_load_acquire(says) == before + 1 && is_asleep(s));
}

static unsigned count_awake(const struct sleeper *sleepers)
{
    unsigned n = 0;
    for (size_t i = 0; i < SLEEPERS; i++)
        n += u32_load_acquire(&sleepers[i].awake);
    return n;
}

/* So many have been woken: the others sleep. Once one of them runs, it may sleep elsewhere, as in
 * an emulator's lock, until it says that it is awake. */
static void await_woken(struct sleeper *sleepers, unsigned n)
{
    WAIT_UNTIL(count_awake(sleepers) >= n);
    for (size_t i = 0; i < SLEEPERS; i++)
        CHECK(u32_load_acquire(&sleepers[i].awake) || is_asleep(&sleepers[i]));
    CHECK_EQ(count_awake(sleepers), n);
}

static void join_sleepers(struct sleeper *sleepers)
{
    for (size_t i = 0; i < SLEEPERS; i++)
        join_thread(sleepers[i].thread);
}

/* The queue is not empty for a thread that is there. */
static void begin_with_work(void)
{
    workqueue_init(&q);
    workqueue_activate(&q);
}

static void end_without_work(void)
{
    while (workqueue_has_work(&q))
        workbuf_put_empty(&q, workqueue_pop(&q, true));
    CHECK(workqueue_retire(&q));
    workqueue_destroy(&q);
}

TEST(work_wakes_one_for_each_buffer)
{
    struct sleeper sleepers[SLEEPERS];
    begin_with_work();
    for (size_t i = 0; i < SLEEPERS; i++)
        sleeper_start(&sleepers[i], i ? sleep_for_work_only : sleep_for_work_or_end, &q.sleepers);
    CHECK(workqueue_is_wanted(&q));
    for (unsigned n = 1; n <= SLEEPERS; n++) {
        if (n == 2)
            workqueue_append(&q, one(n));
        else
            workqueue_push(&q, one(n));
        await_woken(sleepers, n);
    }
    join_sleepers(sleepers);
    CHECK(!q.sleepers && !q.waiters);
    end_without_work();
}

/* The thread that makes the word 0 wakes those who wait for that, and those who might. */
TEST(the_end_wakes_all)
{
    void (*const sleeps[])(void) = {sleep_for_end, sleep_for_work_or_end, sleep_for_work_only};
    struct sleeper sleepers[SLEEPERS];
    begin_with_work();
    for (size_t i = 0; i < SLEEPERS; i++)
        sleeper_start(&sleepers[i], sleeps[i], i ? &q.sleepers : &q.end_wanted);
    CHECK(workqueue_retire(&q));
    workqueue_wake_waiters(&q);
    await_woken(sleepers, SLEEPERS);
    join_sleepers(sleepers);
    CHECK(!q.sleepers && !q.waiters && !q.end_wanted);
    workqueue_destroy(&q);
}

/* Who finds the end or work at once does not sleep. */
TEST(no_sleep_without_need)
{
    workqueue_init(&q);
    workqueue_await_end(&q, -1);
    workqueue_wait(&q, -1, true);
    workqueue_activate(&q);
    push_one(1);
    workqueue_wait(&q, -1, false);
    end_without_work();
}

TAP_MAIN
