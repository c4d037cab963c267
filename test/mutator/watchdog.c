/* Who is said to keep the collector waiting, and who is not. */
#include "build.h"
#include "cells.h"
#include "log.h"
#include "mutator/self.h"
#include "mutator/watchdog.h"
#include <signal.h>

/* ---- The judge ---- */

enum { LIMIT = 100 };

static enum verdict_of_watch look(struct watch *w, uint64_t now, uint64_t cpu,
                                  enum os_thread_state state)
{
    struct os_thread_look seen = {cpu, state};
    return watchdog_judge(w, now, LIMIT, &seen);
}

TEST(a_thread_without_a_processor_is_innocent)
{
    struct watch w = {0};
    for (uint64_t now = 1; now < 100 * LIMIT; now += 7)
        CHECK_EQ(look(&w, now, 5000 + now / 1000, OS_THREAD_AWAKE), WATCH_INNOCENT);
}

TEST(a_thread_that_runs_so_long_is_not)
{
    struct watch w = {0};
    CHECK_EQ(look(&w, 1, 5000, OS_THREAD_AWAKE), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 1000, 5000 + LIMIT - 1, OS_THREAD_AWAKE), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 1001, 5000 + LIMIT, OS_THREAD_AWAKE), WATCH_RAN);
}

TEST(a_thread_that_sleeps_so_long_is_not)
{
    struct watch w = {0};
    CHECK_EQ(look(&w, 1, 5000, OS_THREAD_SLEEPS), WATCH_INNOCENT);
    CHECK_EQ(look(&w, LIMIT, 5000, OS_THREAD_SLEEPS), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 1 + LIMIT, 5000, OS_THREAD_SLEEPS), WATCH_SLEPT);
}

/* It was woken, or ran, or waited for a processor in between. */
TEST(a_sleep_counts_from_its_beginning)
{
    struct watch w = {0};
    CHECK_EQ(look(&w, 1, 5000, OS_THREAD_AWAKE), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 90, 5000, OS_THREAD_SLEEPS), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 180, 5001, OS_THREAD_SLEEPS), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 270, 5001, OS_THREAD_SLEEPS), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 275, 5001, OS_THREAD_AWAKE), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 280, 5001, OS_THREAD_SLEEPS), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 379, 5001, OS_THREAD_SLEEPS), WATCH_INNOCENT);
    CHECK_EQ(look(&w, 380, 5001, OS_THREAD_SLEEPS), WATCH_SLEPT);
}

/* Where the system does not tell, time alone counts. */
TEST(without_the_systems_word)
{
    struct watch w = {0};
    CHECK_EQ(watchdog_judge(&w, 1, LIMIT, NULL), WATCH_INNOCENT);
    CHECK_EQ(watchdog_judge(&w, LIMIT, LIMIT, NULL), WATCH_INNOCENT);
    CHECK_EQ(watchdog_judge(&w, 1 + LIMIT, LIMIT, NULL), WATCH_LATE);
}

/* ---- Threads ---- */

static gc_heap *heap;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_there, over;

static void *sleep_outside(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_name("sleeper"), 0);
    CHECK(gc_new_bytes(64));
    is_there = true;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void *run_outside(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_name("runner"), 0);
    CHECK(gc_new_bytes(64));
    is_there = true;
    while (!over)
        cpu_relax();
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void make_watched_heap(unsigned ms)
{
    heap = gc_heap_create(&(gc_options){.max_procs = 4, .log = keep_line, .watchdog_ms = ms});
    CHECK(heap);
    forget_log();
    logged.warnings = 0;
    is_there = over = false;
}

/* It is named with its name, its last call, what it does and the remedy; once, however long. When
 * it comes to a safepoint it tells where. */
static void name_it(void *(*run)(void *), const char *name, const char *what, const char *remedy,
                    const char *where)
{
    make_watched_heap(20);
    pthread_mutex_lock(&gate);
    pthread_t thread = start_thread(run, NULL);
    POLL_UNTIL(is_there);
    CHECK_EQ(gc_collect_start(), 0);
    POLL_UNTIL(has_logged("safepoint"));
    CHECK(has_logged(name));
    CHECK(has_logged("gc_new"));
    CHECK(has_logged(what));
    CHECK(has_logged(remedy));
    for (int i = 0; i < 20; i++) { /* time enough for another line */
        os_sleep_ns(5 * 1000 * 1000);
        gc_safepoint();
    }
    CHECK_EQ(logged.warnings, 1);
    over = true;
    pthread_mutex_unlock(&gate);
    join_thread(thread);
    CHECK(has_logged(name) && has_logged(" reaches a safepoint after ") && has_logged(where));
    CHECK_EQ(logged.warnings, 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(who_sleeps_is_named)
{
    struct os_thread_look self;
    if (!os_look_at_thread(os_thread_id(), &self))
        SKIP("this system does not tell what a thread does");
    name_it(sleep_outside, "sleeper", "it sleeps", "gc_blocking_begin", "sleep_outside+0x");
}

TEST(who_runs_is_named)
{
    struct os_thread_look self;
    if (!os_look_at_thread(os_thread_id(), &self))
        SKIP("this system does not tell what a thread does");
    name_it(run_outside, "runner", "it runs", "gc_safepoint", "run_outside+0x");
}

/* ---- Where it is ---- */

static __attribute__((noinline)) void linger(void)
{
    while (!over)
        cpu_relax();
}

static void *run_within(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    is_there = true;
    linger();
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static pthread_t start_silence(void *(*run)(void *))
{
    heap = gc_heap_create(
        &(gc_options){.max_procs = 4, .log = keep_line, .watchdog_ms = 20, .debug = "safepoints"});
    CHECK(heap);
    forget_log();
    logged.warnings = 0;
    is_there = over = false;
    pthread_t thread = start_thread(run, NULL);
    POLL_UNTIL(is_there);
    CHECK_EQ(gc_collect_start(), 0);
    return thread;
}

static void end_silence(pthread_t thread)
{
    over = true;
    join_thread(thread);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static bool tells_places(void)
{
    struct os_thread_look self;
    return os_look_at_thread(os_thread_id(), &self) && !THREAD_SANITIZER;
}

TEST(where_it_is_is_told)
{
    if (!tells_places())
        SKIP("a thread cannot be asked here");
    pthread_t thread = start_silence(run_within);
    POLL_UNTIL(has_logged("  it stands in linger+0x"));
    CHECK(has_logged(" < run_within+0x") && has_logged("has not reached a safepoint for "));
    end_silence(thread);
    struct sigaction now;
    CHECK_EQ(sigaction(SIGURG, NULL, &now), 0);
    CHECK(now.sa_flags & SA_RESTART);
}

/* The thread blocks the signal until the question is withdrawn, and then gets it. */
static void *run_deaf(void *unused)
{
    sigset_t urgent, pending;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &urgent, NULL), 0);
    CHECK_EQ(gc_thread_attach(heap), 0);
    gc_thread *self = thread_self();
    is_there = true;
    do
        CHECK_EQ(sigpending(&pending), 0);
    while (!sigismember(&pending, SIGURG));
    while (u32_load_relaxed(&self->asked))
        cpu_relax();
    self->silent_place.pc[0] = 1;
    CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &urgent, NULL), 0);
    CHECK_EQ(self->silent_place.pc[0], 1);
    CHECK_EQ(u32_load_relaxed(&self->asked), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(a_question_that_is_withdrawn)
{
    if (!tells_places())
        SKIP("a thread cannot be asked here");
    pthread_t thread = start_silence(run_deaf);
    POLL_UNTIL(has_logged("has not reached a safepoint for "));
    end_silence(thread);
}

/* A handler of the program's is left alone. */
static void of_program(int unused)
{
    (void)unused;
}

TEST(a_signal_that_the_program_handles)
{
    struct os_thread_look self;
    if (!os_look_at_thread(os_thread_id(), &self))
        SKIP("this system does not tell what a thread does");
    struct sigaction action = {.sa_handler = of_program}, now;
    CHECK_EQ(sigaction(SIGURG, &action, NULL), 0);
    pthread_t thread = start_silence(run_within);
    POLL_UNTIL(has_logged("has not reached a safepoint for "));
    end_silence(thread);
    CHECK_EQ(sigaction(SIGURG, NULL, &now), 0);
    CHECK(now.sa_handler == of_program);
}

/* As long as a watchdog would wait several times over. */
TEST(the_watchdog_is_off)
{
    make_watched_heap(GC_WATCHDOG_OFF);
    pthread_mutex_lock(&gate);
    pthread_t thread = start_thread(sleep_outside, NULL);
    POLL_UNTIL(is_there);
    CHECK_EQ(gc_collect_start(), 0);
    for (int i = 0; i < 60; i++) {
        os_sleep_ns(5 * 1000 * 1000);
        gc_safepoint();
    }
    pthread_mutex_unlock(&gate);
    join_thread(thread);
    CHECK(!has_logged(""));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- The system's word ---- */

static uint64_t sleeper_id;

static void *sleep_at_the_gate(void *unused)
{
    sleeper_id = os_thread_id();
    is_there = true;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return unused;
}

TEST(what_the_system_tells)
{
    struct os_thread_look self, again, other;
    if (!os_look_at_thread(os_thread_id(), &self))
        SKIP("this system does not tell what a thread does");
    CHECK_EQ(self.state, OS_THREAD_AWAKE);
    uint64_t cpu = os_thread_cpu_ns();
    while (os_thread_cpu_ns() - cpu < 1000 * 1000) {}
    CHECK(os_look_at_thread(os_thread_id(), &again));
    CHECK(again.cpu_ns >= self.cpu_ns + 1000 * 1000);
    is_there = false;
    pthread_mutex_lock(&gate);
    pthread_t thread = start_thread(sleep_at_the_gate, NULL);
    WAIT_UNTIL(is_there);
    WAIT_UNTIL(os_look_at_thread(sleeper_id, &other) && other.state == OS_THREAD_SLEEPS);
    pthread_mutex_unlock(&gate);
    join_thread(thread);
    CHECK(!os_look_at_thread(UINT32_MAX / 16, &other));
}

TAP_MAIN
