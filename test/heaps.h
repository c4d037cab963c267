/* Heaps as tests make them, and a crowd: threads that work on one heap while another collects it.
 */
#ifndef HEAPS_H
#define HEAPS_H

#include "crew.h"

static inline gc_heap *new_heap(unsigned flags)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = flags, .debug = "poison=2"});
    CHECK(heap);
    return heap;
}

/* The calling thread's heap is sound to its end. */
static inline void end_heap(gc_heap *heap)
{
    CHECK(gc_heap_current() == heap);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static inline struct gc_statistics stats_of(gc_heap *heap)
{
    struct gc_statistics s;
    CHECK_EQ(gc_heap_stats(heap, &s), 0);
    return s;
}

static inline struct gc_statistics stats_now(void)
{
    return stats_of(gc_heap_current());
}

/* Memory of this process. The system says it in KiB; its pages may be smaller than those that
 * sysconf() tells of (test/outside/pagesize.c). */
static inline size_t resident(void)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmRSS: %zu", &kib) != 1) {}
    if (f)
        fclose(f);
    if (kib == 0)
        SKIP("no VmRSS in /proc/self/status");
    return kib << 10;
}

/* For random numbers; the environment's repeats a run. */
static inline uint64_t random_seed(void)
{
    const char *given = getenv("GCHEAP_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : os_now_ns();
    diag("GCHEAP_SEED=%" PRIu64, seed);
    return seed;
}

/* Three tests: body(flags) for each way to collect. */
#define TEST_EACH_WAY(body)                                                                        \
    TEST(body##_concurrent)                                                                        \
    {                                                                                              \
        body(0);                                                                                   \
    }                                                                                              \
    TEST(body##_stop_world)                                                                        \
    {                                                                                              \
        body(GC_STOP_WORLD);                                                                       \
    }                                                                                              \
    TEST(body##_without_background)                                                                \
    {                                                                                              \
        body(GC_NO_BACKGROUND);                                                                    \
    }

/* ---- The crowd ---- */

enum { CROWD = 8 };

static struct {
    gc_heap *heap;
    void (*work)(void);
    size_t n;
    pthread_t threads[CROWD];
    atomic_size_t attached;
    atomic_int allowed; /* steps; so many in a cycle */
    atomic_bool stop;
} crowd;
static _Thread_local uint64_t crowd_number; /* of the calling thread, from 0 on */

static inline void crowd_heap(const char *debug, unsigned flags, unsigned procs)
{
    crowd.heap = gc_heap_create(&(gc_options){.flags = flags, .debug = debug, .max_procs = procs});
    CHECK(crowd.heap);
}

static inline void *crowd_thread(void *number)
{
    CHECK_EQ(gc_thread_attach(crowd.heap), 0);
    crowd.attached++;
    crowd_number = (uintptr_t)number;
    crowd.work();
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

/* n threads attach and do `work`; returns when all are attached. */
static inline void crowd_start(size_t n, void (*work)(void))
{
    CHECK(n <= CROWD);
    crowd.work = work;
    crowd.n = n;
    for (uintptr_t i = 0; i < n; i++)
        crowd.threads[i] = start_thread(crowd_thread, (void *)i);
    POLL_UNTIL(crowd.attached == n);
}

/* Whether the calling thread may take a step now; if not, it has let others run. It rests but
 * shortly where nobody else wants to run, since the collector waits for its answers. */
static inline bool crowd_may_step(void)
{
    static _Thread_local unsigned refused;
    gc_safepoint();
    if (atomic_fetch_sub(&crowd.allowed, 1) > 0) {
        refused = 0;
        return true;
    }
    crowd.allowed++;
    if (++refused % 64)
        os_yield();
    else
        os_sleep_ns(100 * 1000);
    return false;
}

/* Collects so often, with so many steps allowed in each cycle. */
static inline void crowd_collect(unsigned cycles, int steps)
{
    for (; cycles > 0; cycles--) {
        crowd.allowed = steps;
        CHECK_EQ(gc_collect(), 0);
    }
}

static inline void crowd_join(void)
{
    join_threads(crowd.threads, crowd.n);
}

static inline void crowd_stop(void)
{
    crowd.stop = true;
    crowd_join();
}

#endif
