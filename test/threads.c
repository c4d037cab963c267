/* gcheap-test: alone (it measures who waits for whom)
 * Threads and Ps: attaching, blocking, hand-over, exits, the watchdog, heaps that go away. */
#include <errno.h>
#include <gcheap.h>
#include <pthread.h>
#include <time.h>
#include "tap.h"

struct cell {
    struct cell *next;
    long number;
};
static GC_TYPE(cell_type, struct cell, next);

static gc_heap *heap;
static atomic_int ready, done;
static atomic_bool stop;

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void make_heap(gc_options options)
{
    heap = gc_heap_create(&options);
    CHECK(heap);
}

static void start(pthread_t *threads, size_t n, void *(*run)(void *))
{
    for (size_t i = 0; i < n; i++)
        CHECK(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i) == 0);
}

/* The calling thread is blocked meanwhile. */
static void join(pthread_t *threads, size_t n)
{
    gc_blocking_begin();
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    gc_blocking_end();
}

static struct gc_statistics stats(void)
{
    struct gc_statistics s;
    CHECK(gc_heap_stats(heap, &s) == 0);
    return s;
}

static void *allocate_a_little(void *seed)
{
    CHECK(gc_thread_attach(heap) == 0);
    {
        struct cell *list = NULL;
        GC_FRAME(list);
        for (long i = 0; i < 20000; i++) {
            struct cell *cell = gc_new(&cell_type);
            cell->number = (long)(uintptr_t)seed;
            gc_store(&cell->next, i % 100 ? list : NULL);
            list = cell;
        }
        for (struct cell *c = list; c; c = c->next)
            CHECK_EQ(c->number, (uintptr_t)seed);
    }
    CHECK(gc_thread_detach() == 0);
    return NULL;
}

TEST(attach_at_once)
{
    pthread_t threads[64];
    make_heap((gc_options){0});
    start(threads, 64, allocate_a_little);
    join(threads, 64);
    CHECK_EQ(stats().threads, 1);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

static void *block_for_long(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    CHECK(gc_new(&cell_type));
    gc_blocking_begin();
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&stop))
        pause_ms(20);
    gc_blocking_end();
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* A thousand attached, blocked threads keep no P, and a collection waits for none of them. */
TEST(a_thousand_blocked)
{
    enum { THREADS = 1000 };
    static pthread_t threads[THREADS];
    make_heap((gc_options){.max_procs = 4});
    gc_blocking_begin();
    start(threads, THREADS, block_for_long);
    while (atomic_load(&ready) < THREADS)
        pause_ms(10);
    gc_blocking_end();
    struct gc_statistics s = stats();
    CHECK_EQ(s.threads, THREADS + 1);
    CHECK_EQ(s.threads_blocked, THREADS);
    CHECK(s.procs <= 4);
    uint64_t before = now_ms();
    CHECK(gc_collect() == 0);
    diag("a collection with %d blocked threads took %llu ms", THREADS,
         (unsigned long long)(now_ms() - before));
    atomic_store(&stop, true);
    join(threads, THREADS);
    CHECK(gc_heap_destroy(heap) == 0);
}

static atomic_long turns[8];

static void *take_turns(void *number)
{
    CHECK(gc_thread_attach(heap) == 0);
    while (!atomic_load(&stop)) {
        CHECK(gc_new(&cell_type));
        atomic_fetch_add_explicit(&turns[(uintptr_t)number], 1, memory_order_relaxed);
    }
    CHECK(gc_thread_detach() == 0);
    return NULL;
}

/* With fewer Ps than threads each gets its share. */
static void check_turns(unsigned procs)
{
    pthread_t threads[8];
    long least = -1, most = 0;
    memset(turns, 0, sizeof turns);
    atomic_store(&stop, false);
    make_heap((gc_options){.max_procs = procs});
    gc_blocking_begin();
    start(threads, 8, take_turns);
    pause_ms(1500);
    atomic_store(&stop, true);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    gc_blocking_end();
    for (int i = 0; i < 8; i++) {
        long n = atomic_load(&turns[i]);
        least = least < 0 || n < least ? n : least;
        most = n > most ? n : most;
    }
    ok(least > 0 && stats().procs <= procs, "%u Ps: from %ld to %ld turns", procs, least, most);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(hand_over)
{
    check_turns(1);
    check_turns(2);
}

/* ---- A thread that does not poll ---- */

static char watched[512];
static void keep_warning(void *user, enum gc_log_level level, const char *line)
{
    (void)user;
    if (level == GC_LOG_WARNING)
        snprintf(watched, sizeof watched, "%s", line);
}

static void *refuse_to_poll(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    CHECK(gc_thread_name("sleepy") == 0);
    CHECK(gc_new(&cell_type));
    atomic_store(&ready, 1);
    pause_ms(600);
    atomic_store(&done, 1);
    CHECK(gc_thread_detach() == 0);
    return unused;
}

static void *collect_now(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    CHECK(gc_collect() == 0);
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* A cycle waits for the thread; nobody else waits for either. The watchdog names it. */
TEST(nobody_waits)
{
    pthread_t sleepy, collector;
    make_heap((gc_options){.max_procs = 4, .log = keep_warning});
    CHECK(pthread_create(&sleepy, NULL, refuse_to_poll, NULL) == 0);
    while (!atomic_load(&ready))
        gc_safepoint();
    CHECK(pthread_create(&collector, NULL, collect_now, NULL) == 0);
    uint64_t longest = 0, n = 0;
    while (!atomic_load(&done)) {
        uint64_t before = now_ms();
        CHECK(gc_new(&cell_type));
        uint64_t took = now_ms() - before;
        longest = took > longest ? took : longest;
        n++;
    }
    CHECK(pthread_join(sleepy, NULL) == 0);
    join(&collector, 1);
    ok(n > 1000 && longest < 300, "%llu allocations meanwhile, the longest took %llu ms",
       (unsigned long long)n, (unsigned long long)longest);
    ok(strstr(watched, "sleepy") && strstr(watched, "gc_new"), "the watchdog: %s", watched);
    CHECK(gc_heap_destroy(heap) == 0);
}

/* ---- Coming and going ---- */

static void *exit_attached(void *how)
{
    CHECK(gc_thread_attach(heap) == 0);
    CHECK(gc_new(&cell_type));
    if ((uintptr_t)how % 2)
        gc_blocking_begin();
    return NULL;
}

TEST(exit_without_detaching)
{
    pthread_t threads[16];
    make_heap((gc_options){0});
    start(threads, 16, exit_attached);
    join(threads, 16);
    CHECK_EQ(stats().threads, 1);
    CHECK(gc_collect() == 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

static void *come_and_go(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        CHECK(gc_thread_attach(heap) == 0);
        CHECK(gc_new(&cell_type));
        if (i % 7 == 0)
            CHECK(gc_blocking_begin() == 0 && gc_blocking_end() == 0);
        CHECK(gc_thread_detach() == 0);
    }
    atomic_fetch_add(&done, 1);
    return unused;
}

/* Threads attach and leave at any moment of any phase. */
TEST(churn)
{
    pthread_t threads[6];
    make_heap((gc_options){0});
    start(threads, 6, come_and_go);
    while (atomic_load(&done) < 6)
        CHECK(gc_collect() == 0);
    join(threads, 6);
    CHECK_EQ(stats().threads, 1);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

static void *use_briefly(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    for (int i = 0; i < 1000; i++)
        CHECK(gc_new(&cell_type));
    gc_collect_start();
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* A heap may be destroyed as soon as the others have left, whatever its collector does. */
TEST(destroy_at_any_moment)
{
    for (int i = 0; i < 200; i++) {
        pthread_t threads[3];
        make_heap((gc_options){.min_heap = 64 << 10});
        start(threads, 3, use_briefly);
        if (i % 2)
            gc_collect_start();
        join(threads, 3);
        CHECK(gc_heap_destroy(heap) == 0);
    }
}

static void *hold_open(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    gc_blocking_begin();
    atomic_store(&ready, 1);
    while (!atomic_load(&stop))
        pause_ms(5);
    gc_blocking_end();
    CHECK(gc_thread_detach() == 0);
    return unused;
}

TEST(destroy_busy)
{
    pthread_t thread;
    make_heap((gc_options){0});
    CHECK(pthread_create(&thread, NULL, hold_open, NULL) == 0);
    while (!atomic_load(&ready))
        gc_safepoint();
    CHECK_EQ(gc_heap_destroy(heap), -EBUSY);
    CHECK(gc_new(&cell_type));
    atomic_store(&stop, true);
    join(&thread, 1);
    CHECK(gc_heap_destroy(heap) == 0);
}

TAP_MAIN
