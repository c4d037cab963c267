/* Locks: mutual exclusion, sleepers, and the order of ranks. */
#include "base/lock.h"
#include "base/os.h"
#undef CHECK
#include "tap.h"

#define THREADS 8

static struct lock lock = LOCK_INIT(LOCK_HEAP);
static uint64_t inside,
    total; /* under lock; plain, so that TSan sees whether the lock orders them */

static void run_threads(void (*run)(void *))
{
    struct os_thread threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(os_thread_start(&threads[i], run, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        os_thread_join(&threads[i]);
    CHECK_EQ(lock.state, 0);
}

static void enter(void)
{
    LOCK_ASSERT_HELD(&lock);
    CHECK_EQ(inside++, 0);
    total++;
}

static void leave(void)
{
    CHECK_EQ(--inside, 0);
}

static void hold_shortly(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50000; i++) {
        lock_acquire(&lock);
        enter();
        leave();
        lock_release(&lock);
    }
}

TEST(short_holds)
{
    run_threads(hold_shortly);
    CHECK_EQ(total, THREADS * 50000);
}

/* So long that the others go to sleep. */
static void hold_long(void *arg)
{
    for (int i = 0; i < 60; i++) {
        lock_acquire(&lock);
        enter();
        if ((uintptr_t)arg % 2)
            os_sleep_ns(100000);
        else
            os_yield();
        leave();
        lock_release(&lock);
    }
}

TEST(long_holds_and_sleepers)
{
    run_threads(hold_long);
    CHECK_EQ(total, THREADS * 60);
}

static void try_only(void *arg)
{
    (void)arg;
    for (int taken = 0; taken < 2000;) {
        if (!lock_try(&lock)) {
            os_yield();
            continue;
        }
        enter();
        leave();
        lock_release(&lock);
        taken++;
    }
}

static void mixed(void *arg)
{
    ((uintptr_t)arg % 2 ? try_only : hold_long)(arg);
}

TEST(tries_among_sleepers)
{
    run_threads(mixed);
    CHECK_EQ(total, THREADS / 2 * (2000 + 60));
}

TEST(try_says_whether)
{
    CHECK(lock_try(&lock));
    CHECK(!lock_try(&lock));
    lock_release(&lock);
    CHECK(lock_try(&lock));
    lock_release(&lock);
}

TEST(release_of_a_free_lock_aborts)
{
    EXPECT_ABORT("gcheap: ", lock_release(&lock));
}

TEST(ranks_rise)
{
    lock_rank_push(LOCK_CYCLE);
    lock_rank_push(LOCK_HEAP);
    CHECK(lock_rank_held(LOCK_CYCLE) && lock_rank_held(LOCK_HEAP) && !lock_rank_held(LOCK_RECORD));
    EXPECT_ABORT("lock order", lock_rank_push(LOCK_SPANSET));
    EXPECT_ABORT("lock order", lock_rank_push(LOCK_HEAP));
    EXPECT_ABORT("lock order", lock_rank_pop(LOCK_SPANSET));
    EXPECT_ABORT("lock order", lock_rank_note(LOCK_SPANSET); lock_rank_note(LOCK_SPANSET));
    EXPECT_EXIT(0, lock_rank_note(LOCK_SPANSET));
    EXPECT_ABORT("without a rank", lock_rank_push(0));
    lock_rank_pop(LOCK_CYCLE); /* in any order */
    lock_rank_pop(LOCK_HEAP);
    lock_rank_push(LOCK_SPANSET);
    lock_rank_pop(LOCK_SPANSET);
}

TEST(debug_builds_check_ranks)
{
    struct lock low = LOCK_INIT(LOCK_CYCLE), high = LOCK_INIT(LOCK_RECORD), none = {0, 0};
    if (!GC_DEBUG)
        SKIP("not a debug build");
    EXPECT_ABORT("lock order", lock_acquire(&high); lock_acquire(&low));
    EXPECT_ABORT("lock order", lock_acquire(&high); lock_try(&low));
    EXPECT_ABORT("lock order", lock_acquire(&high); CHECK(lock_try_late(&low)); lock_acquire(&low));
    EXPECT_ABORT("lock order", lock_acquire(&high); lock_acquire(&high));
    EXPECT_ABORT("lock order", lock_acquire(&low); lock_try(&none));
    EXPECT_ABORT("lock order", lock_release(&low));
    lock_acquire(&low);
    CHECK(lock_rank_held(LOCK_CYCLE));
    lock_acquire(&high);
    lock_release(&low);
    lock_release(&high);
    CHECK(!lock_rank_held(LOCK_CYCLE) && !lock_rank_held(LOCK_RECORD));
    CHECK(lock_try(&high));
    CHECK(!lock_try(&high));
    CHECK(lock_rank_held(LOCK_RECORD));
    lock_release(&high);
}

static void rank_of_another_thread(void *arg)
{
    (void)arg;
    CHECK(!lock_rank_held(LOCK_RECORD));
    lock_rank_push(LOCK_CYCLE);
    lock_rank_pop(LOCK_CYCLE);
}

TEST(ranks_are_a_threads_own)
{
    struct os_thread thread;
    lock_rank_push(LOCK_RECORD);
    CHECK_EQ(os_thread_start(&thread, rank_of_another_thread, NULL), 0);
    os_thread_join(&thread);
    lock_rank_pop(LOCK_RECORD);
}

TAP_MAIN
