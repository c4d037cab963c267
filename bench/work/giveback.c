/* How soon memory goes back to the system after a peak: blocks of 1 KiB until 1 GiB is live; all
 * but some are dropped, one collection is asked for, and the program goes on with little to do.
 * Each second its resident memory is compared with the heap's goal, until it is within 20 % of that
 * and has come to rest, or the time is up. */
#include "../harness.h"

#if defined(BENCH_GCHEAP)

#include <time.h>

enum { BLOCK = 1024, STEPS = 100, STEP_BLOCKS = 64 };

static uint64_t **blocks_new(size_t n)
{
    uint64_t **blocks = (uint64_t **)BM_POINTERS(n);
    BM_ROOTS(blocks);
    for (size_t i = 0; i < n; i++) {
        uint64_t *block = BM_BYTES(BLOCK);
        fill(block, BLOCK, i & 0xff);
        BM_STORE(&blocks[i], block);
    }
    return blocks;
}

/* A second in which 6 MiB is allocated and dropped. */
static void idle_second(void)
{
    const struct timespec pause = {0, 1000 * 1000 * 1000 / STEPS};
    for (int i = 0; i < STEPS; i++) {
        blocks_new(STEP_BLOCKS);
        bm_block_begin();
        nanosleep(&pause, NULL);
        bm_block_end();
    }
}

/* Resident memory in parts of the goal. */
static double residence(void)
{
    struct gc_statistics s;
    gc_stats(&s);
    return resident_mib() * (1 << 20) / (double)s.heap_goal;
}

/* What of it are pages of the heap, and what its tables. */
static void report_parts(void)
{
    struct gc_statistics s;
    gc_stats(&s);
    double pages = (double)(s.heap_inuse + s.heap_idle), mib = 1 << 20;
    result("goal", (double)s.heap_goal / mib, "MiB");
    result("resident", resident_mib(), "MiB");
    result("pages", pages / mib, "MiB");
    result("tables", (double)s.metadata / mib, "MiB");
}

void run_giveback(void)
{
    uint64_t **kept = NULL, **peak = NULL;
    BM_ROOTS(kept, peak);
    size_t live = (size_t)parameter("live", 128L << 20) / BLOCK;
    size_t most = (size_t)parameter("peak", 1L << 30) / BLOCK;
    long limit = parameter("seconds", 30), seconds = 0, settled = 0;
    kept = blocks_new(live);
    peak = blocks_new(most - live);
    peak = NULL;
    bm_collect();
    double now = residence(), before = 0;
    while (seconds < limit && !(settled && now > before * 0.99)) {
        idle_second();
        seconds++;
        before = now;
        now = residence();
        if (!settled && now <= 1.2)
            settled = seconds;
    }
    result("settled", (double)(settled ? settled : limit + 1), "s");
    result("residence", now, "");
    report_parts();
    uint64_t intact = 0;
    for (size_t i = 0; i < live; i++)
        intact += ((unsigned char *)kept[i])[BLOCK - 1] == (i & 0xff);
    check(intact);
}

#else

void run_giveback(void)
{
    fail("nothing has a goal here");
}

#endif
