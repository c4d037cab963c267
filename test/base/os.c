/* Every call of os.h. test/portable.sh builds it a second time, for a system of which little is
 * known. */
#include "base/os.h"
#include "base/os_system.h"
#include "base/atomics.h"
#undef CHECK
#include "tap.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define MIB ((size_t)1 << 20)

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* ---- Memory ---- */

static void exit_with_42(int signal)
{
    (void)signal;
    _exit(42);
}

static void touch(char *p)
{
    signal(SIGSEGV, exit_with_42);
    signal(SIGBUS, exit_with_42);
    *(volatile char *)p = 1;
}

TEST(page_size)
{
    CHECK(is_power_of_two(os_page_size()) && os_page_size() >= 4096);
    CHECK_EQ(os_page_size(), sysconf(_SC_PAGESIZE));
}

TEST(reserve_aligns)
{
    for (size_t align = os_page_size(); align <= 64 * MIB; align *= 2) {
        char *p = os_reserve(NULL, 3 * os_page_size(), align);
        CHECK(p && (uintptr_t)p % align == 0);
        CHECK(os_commit(p, 3 * os_page_size()));
        memset(p, 1, 3 * os_page_size());
        os_unmap(p, 3 * os_page_size());
    }
    CHECK(os_reserve(NULL, align_down(SIZE_MAX, 64 * MIB), 64 * MIB) == NULL);
}

TEST(reserve_takes_a_hint)
{
    char *p = os_reserve(NULL, 16 * MIB, 4 * MIB);
    CHECK(p);
    char *taken = os_reserve(p, 16 * MIB, 4 * MIB);
    CHECK(taken && taken != p && (uintptr_t)taken % (4 * MIB) == 0);
    os_unmap(taken, 16 * MIB);
    os_unmap(p, 16 * MIB);
    CHECK(os_reserve(p, 16 * MIB, 4 * MIB) == p);
    os_unmap(p, 16 * MIB);
}

TEST(reserved_memory_cannot_be_touched)
{
    char *p = os_reserve(NULL, MIB, os_page_size());
    EXPECT_EXIT(42, touch(p));
    CHECK(os_commit(p, MIB / 2));
    EXPECT_EXIT(0, touch(p));
    EXPECT_EXIT(42, touch(p + MIB / 2));
    os_unmap(p, MIB);
    EXPECT_EXIT(42, touch(p));
}

TEST(commit_release_and_use_again)
{
    char *p = os_reserve(NULL, 4 * MIB, os_page_size());
    CHECK(os_commit(p, 4 * MIB));
    for (int round = 0; round < 3; round++) {
        CHECK(all_zero(p, 4 * MIB));
        memset(p, 0x77, 4 * MIB);
        CHECK(os_release(p, 4 * MIB));
    }
    memset(p, 0x77, 4 * MIB);
    CHECK(os_release(p + MIB, MIB)); /* and no more than that */
    CHECK(p[MIB - 1] == 0x77 && all_zero(p + MIB, MIB) && p[2 * MIB] == 0x77);
    os_unmap(p, 4 * MIB);
}

TEST(map_is_ready_and_zero)
{
    char *p = os_map(2 * MIB);
    CHECK(p && all_zero(p, 2 * MIB));
    memset(p, 1, 2 * MIB);
    os_unmap(p, 2 * MIB);
    CHECK(os_map(align_down(SIZE_MAX, MIB)) == NULL);
}

TEST(advice_changes_nothing)
{
    char *p = os_map(4 * MIB);
    memset(p, 9, 4 * MIB);
    os_huge_pages(p, 4 * MIB);
    os_small_pages(p, 4 * MIB);
    for (size_t i = 0; i < 4 * MIB; i++)
        CHECK_EQ(p[i], 9);
    os_unmap(p, 4 * MIB);
}

TEST(resident_counts_touched_pages)
{
    size_t page = os_page_size(), n = 5000;
    char *p = os_map(n * page);
    os_small_pages(p, n * page);
    if (!OS_LINUX) {
        CHECK_EQ(os_resident(p, n * page), n * page);
        SKIP("not known on this system");
    }
    CHECK_EQ(os_resident(p, n * page), 0);
    for (size_t i = 0; i < n; i += 10)
        p[i * page] = 1;
    CHECK_EQ(os_resident(p, n * page), n / 10 * page);
    CHECK(os_release(p, n * page));
    CHECK_EQ(os_resident(p, n * page), 0);
    os_unmap(p, n * page);
}

/* ---- Fault injection ---- */

static void nothing(void *arg)
{
    (void)arg;
}

/* The ith of the fallible calls; whether it succeeded. */
static bool fallible(int i, char *memory)
{
    struct os_thread thread;
    void *p = NULL;
    switch (i % 5) {
    case 0:
        p = os_reserve(NULL, MIB, MIB);
        break;
    case 1:
        return os_commit(memory, MIB);
    case 2:
        p = os_map(MIB);
        break;
    case 3:
        return os_release(memory, MIB);
    default:
        if (os_thread_start(&thread, nothing, NULL) != 0)
            return false;
        os_thread_join(&thread);
        return true;
    }
    if (p)
        os_unmap(p, MIB);
    return p != NULL;
}

TEST(the_nth_call_fails)
{
    char *memory = os_reserve(NULL, MIB, MIB);
    CHECK(os_commit(memory, MIB));
    for (int first = 0; first < 5; first++)
        for (int nth = 1; nth <= 6; nth++)
            for (int count = 0; count <= 7; count += 1 + count) {
                uint64_t calls = os_fallible_calls();
                os_fail_nth((uint64_t)nth, (uint64_t)count);
                for (int i = 1; i <= 15; i++)
                    CHECK_EQ(fallible(first + i, memory), i < nth || i >= nth + count);
                CHECK_EQ(os_fallible_calls() - calls, 15);
            }
    os_fail_nth(2, UINT64_MAX);
    CHECK(fallible(0, memory));
    for (int i = 0; i < 100; i++)
        CHECK(!fallible(i, memory));
    os_fail_nth(0, 0);
    CHECK(fallible(0, memory));
    os_unmap(memory, MIB);
}

TEST(failures_leave_the_state_and_errno)
{
    struct os_thread thread;
    char *p = os_map(MIB);
    p[5] = 5;
    os_fail_nth(1, 4);
    errno = EXDEV;
    CHECK(!os_release(p, MIB) && p[5] == 5);
    CHECK(!os_map(MIB) && !os_reserve(NULL, MIB, MIB));
    CHECK_EQ(os_thread_start(&thread, nothing, NULL), EAGAIN);
    CHECK_EQ(errno, EXDEV);
    os_unmap(p, MIB);
}

/* ---- Waiting ---- */

static uint32_t flag, sleepers;

static void wait_for_flag(void)
{
    while (u32_load_acquire(&flag) == 0)
        os_wait(&flag, 0, -1);
}

static void sleep_until_flag(void *arg)
{
    (void)arg;
    u32_fetch_add_relaxed(&sleepers, 1);
    wait_for_flag();
}

static void raise_flag(int wakes)
{
    u32_store_release(&flag, 1);
    os_wake(&flag, wakes);
}

TEST(wait_returns_when_the_word_differs)
{
    uint32_t here = 5;
    os_wait(&here, 4, -1);
    os_wake(&here, 1);
    os_wake(&here, OS_WAKE_ALL);
}

TEST(wait_times_out)
{
    uint32_t here = 5;
    uint64_t deadline = os_now_ns() + 30000000;
    while (os_now_ns() < deadline)
        os_wait(&here, 5, (int64_t)(deadline - os_now_ns()));
    os_wait(&here, 5, 0);
    os_wait(&here, 5, 1);
}

TEST(wake_all)
{
    struct os_thread threads[10];
    for (int i = 0; i < 10; i++)
        CHECK_EQ(os_thread_start(&threads[i], sleep_until_flag, NULL), 0);
    while (u32_load_relaxed(&sleepers) < 10)
        os_yield();
    os_sleep_ns(5000000); /* some may be asleep, and some not yet */
    raise_flag(OS_WAKE_ALL);
    for (int i = 0; i < 10; i++)
        os_thread_join(&threads[i]);
}

#define TURNS 20000

/* Two threads take turns: a lost wake would leave both asleep. */
static void take_turns(void *arg)
{
    uint32_t mine = *(uint32_t *)arg;
    for (int i = 0; i < TURNS; i++) {
        for (uint32_t now; (now = u32_load_acquire(&flag)) != mine;)
            os_wait(&flag, now, -1);
        u32_store_release(&flag, 1 - mine);
        os_wake(&flag, 1);
    }
}

TEST(no_wake_is_lost)
{
    struct os_thread other;
    uint32_t zero = 0, one = 1;
    CHECK_EQ(os_thread_start(&other, take_turns, &one), 0);
    take_turns(&zero);
    os_thread_join(&other);
}

static uint32_t signals;

static void count_signal(int signal)
{
    (void)signal;
    u32_fetch_add_relaxed(&signals, 1);
}

/* A signal each 200 µs, to this thread: the library's block theirs. */
static void storm(bool on)
{
    struct sigaction action = {.sa_handler = count_signal};
    struct itimerval timer = {{0, on ? 200 : 0}, {0, on ? 200 : 0}};
    if (on)
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void raise_flag_among_signals(void *arg)
{
    (void)arg;
    while (u32_load_relaxed(&signals) < 20)
        os_sleep_ns(1000000);
    raise_flag(1);
}

TEST(signals_disturb_neither_waits_nor_sleeps)
{
    struct os_thread thread;
    storm(true);
    CHECK_EQ(os_thread_start(&thread, raise_flag_among_signals, NULL), 0);
    wait_for_flag();
    CHECK_EQ(flag, 1);
    os_thread_join(&thread);
    for (uint32_t seen = u32_load_relaxed(&signals); u32_load_relaxed(&signals) < seen + 20;) {
        uint64_t start = os_now_ns();
        os_sleep_ns(50000000);
        CHECK(os_now_ns() - start >= 50000000);
    }
    storm(false);
}

/* ---- Clocks ---- */

TEST(clock_is_monotonic)
{
    uint64_t last = os_now_ns();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = os_now_ns();
        CHECK(now >= last);
        last = now;
    }
    os_sleep_ns(2000000);
    CHECK(os_now_ns() - last >= 2000000);
}

TEST(thread_cpu_time_is_work_only)
{
    uint64_t start = os_thread_cpu_ns();
    os_sleep_ns(100000000);
    uint64_t slept = os_thread_cpu_ns() - start;
    for (volatile int i = 0; i < 20000000; i++) {}
    uint64_t worked = os_thread_cpu_ns() - start - slept;
    ok(slept < worked && worked > 1000000, "slept %" PRIu64 " ns, worked %" PRIu64 " ns", slept,
       worked);
}

/* ---- Threads ---- */

static uint64_t other_id;

static void look_around(void *arg)
{
    sigset_t mask;
    CHECK_EQ(*(int *)arg, 17);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    CHECK(sigismember(&mask, SIGALRM) && sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGINT));
    other_id = os_thread_id();
    *(int *)arg = 18;
}

TEST(threads_start_with_signals_blocked)
{
    struct os_thread thread;
    sigset_t before, after;
    int arg = 17;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
    CHECK_EQ(os_thread_start(&thread, look_around, &arg), 0);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
    os_thread_join(&thread);
    CHECK_EQ(arg, 18);
    CHECK_EQ(sigismember(&before, SIGALRM), sigismember(&after, SIGALRM));
    CHECK(other_id != 0 && other_id != os_thread_id());
    if (OS_LINUX)
        CHECK_EQ(os_thread_id(), getpid()); /* of a process's first thread */
}

static void take_title(void *arg)
{
    char path[64], name[64] = "";
    (void)arg;
    os_thread_title("gcheap collector 1");
    if (!OS_LINUX)
        return;
    snprintf(path, sizeof path, "/proc/self/task/%" PRIu64 "/comm", os_thread_id());
    FILE *in = fopen(path, "r");
    CHECK(in && fgets(name, sizeof name, in));
    fclose(in);
    CHECK(strcmp(name, "gcheap collecto\n") == 0);
}

TEST(thread_title)
{
    struct os_thread thread;
    CHECK_EQ(os_thread_start(&thread, take_title, NULL), 0);
    os_thread_join(&thread);
}

static uintptr_t address_of(void *p)
{
    return (uintptr_t)p;
}

static void find_stack(void *arg)
{
    int local;
    uintptr_t low, high;
    *(bool *)arg = os_stack_bounds(&low, &high) == 0;
    if (*(bool *)arg)
        CHECK(low <= address_of(&local) && address_of(&local) < high);
}

TEST(stack_bounds)
{
    struct os_thread thread;
    bool found_first, found;
    find_stack(&found_first);
    CHECK_EQ(os_thread_start(&thread, find_stack, &found), 0);
    os_thread_join(&thread);
    CHECK_EQ(found, found_first);
    if (OS_LINUX)
        CHECK(found);
    if (!found)
        SKIP("cannot be found on this system");
}

TEST(cpu_count)
{
    CHECK(os_cpu_count() >= 1);
#if OS_LINUX
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    CHECK_EQ(os_cpu_count(), CPU_COUNT(&set));
    for (size_t cpu = 0, kept = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set) && kept++ > 0)
            CPU_CLR(cpu, &set);
    CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
    CHECK_EQ(os_cpu_count(), 1);
#endif
    os_yield();
}

#if OS_LINUX
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attributes attributes_here(void)
{
    struct attributes a = {.size = sizeof a};
    CHECK(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) == 0);
    return a;
}

static void be_brief(void *arg)
{
    struct attributes *a = arg;
    a[0] = attributes_here();
    os_thread_brief();
    a[1] = attributes_here();
}
#endif

/* Before Linux 6.12 no thread has a time slice of its own. */
TEST(brief_threads)
{
#if OS_LINUX
    struct attributes a[2];
    struct os_thread thread;
    CHECK_EQ(os_thread_start(&thread, be_brief, a), 0);
    os_thread_join(&thread);
    CHECK(a[1].policy == a[0].policy && a[1].nice == a[0].nice);
    if (a[0].runtime == 0 || a[0].policy != SCHED_OTHER)
        SKIP("not on this system");
    CHECK(a[1].runtime < a[0].runtime && a[1].runtime > 0);
    CHECK_EQ(attributes_here().runtime, a[0].runtime);
#else
    os_thread_brief();
#endif
}

/* ---- Panic ---- */

TEST(panic_says_where_and_what)
{
    EXPECT_ABORT("gcheap: here.c:12: all is lost\n", base_panic("here.c", 12, "all is lost"));
}

TAP_MAIN
