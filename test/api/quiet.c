/* Quiet regions: allocations in them are no safepoints. */
#include <errno.h>

#include "cells.h"
#include "log.h"
#include "moment.h"

enum { MANY = 20000 };

/* A chain that nothing roots, while everything that is unreachable would go at each allocation. */
static void unrooted_objects_stay(unsigned flags)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = flags, .debug = "nth=1,poison=2"});
    CHECK(heap);
    CHECK_EQ(gc_quiet_begin(0), 0);
    struct cell *chain = new_chain(MANY);
    struct cell *large = gc_new_array(&gc_pointer_type, 100000);
    gc_weak *weak = gc_weak_new(large);
    check_chain(chain, MANY);
    CHECK(gc_weak_get(weak) == large);
    CHECK_EQ(gc_quiet_end(), 0);
    check_chain(chain, MANY);
    chain = large = NULL;
    CHECK_EQ(gc_collect(), 0);
    CHECK(!gc_weak_get(weak));
    end_heap(heap);
}
TEST_EACH_WAY(unrooted_objects_stay)

/* A cycle waits for the thread, which allocates and answers nothing until it says so. One object is
 * to be zeroed, in pieces. */
TEST(a_question_waits)
{
    gc_heap *heap = new_heap(0);
    memset(gc_new_bytes(4 << 20), 1, 4 << 20);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_quiet_begin(0), 0);
    CHECK(!gc_safepoint_due());
    begin_cycle();
    WAIT_UNTIL(asked() == STEP_ARM);
    WAIT_UNTIL(gc_safepoint_due());
    for (int i = 0; i < MANY; i++)
        CHECK(gc_new(&cell_type));
    CHECK(gc_new_bytes(4 << 20));
    CHECK_EQ(gc_external_add(gc_new(&cell_type), 1000), 0);
    CHECK_EQ(asked(), STEP_ARM);
    gc_safepoint();
    CHECK(asked() != STEP_ARM);
    CHECK_EQ(gc_blocking_begin(), 0);
    end_cycle();
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_quiet_end(), 0);
    end_heap(heap);
}

/* A virtual machine that answers only where it has spilled its registers: the heap is collected as
 * it should be. */
static void only_at_safepoints(unsigned flags)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = flags});
    uint64_t most = 0, answers = 0;
    CHECK(heap);
    CHECK_EQ(gc_quiet_begin(0), 0);
    for (int i = 0; i < 1000000; i++) {
        CHECK(gc_new_bytes(100));
        if (!gc_safepoint_due())
            continue;
        gc_safepoint();
        uint64_t live = stats_now().heap_live;
        most = live > most ? live : most;
        answers++;
    }
    struct gc_statistics s = stats_now();
    diag("%" PRIu64 " cycles, %" PRIu64 " answers, most %" PRIu64 ", quiet %" PRIu64, s.cycles,
         answers, most, s.quiet_max);
    CHECK(s.cycles > 5 && answers > 100);
    CHECK(most < (uint64_t)32 << 20);
    CHECK(s.quiet_bytes > 90 * 1000000 && s.quiet_max < (uint64_t)1 << 20);
    CHECK_EQ(gc_quiet_end(), 0);
    end_heap(heap);
}
TEST(safepoints_only)
{
    only_at_safepoints(0);
}
TEST(safepoints_only_with_the_world_held)
{
    only_at_safepoints(GC_STOP_WORLD);
}
TEST(safepoints_only_without_background)
{
    only_at_safepoints(GC_NO_BACKGROUND);
}

/* How much can be allocated now: less than 64 MiB. */
static size_t allocate_until_refused(size_t size)
{
    size_t sum = 0;
    errno = 0;
    while (sum < (size_t)64 << 20 && gc_new_bytes(size))
        sum += size;
    CHECK_EQ(errno, ENOMEM);
    return sum;
}

TEST(a_region_has_a_bound)
{
    enum { BOUND = 1 << 20, RUN = 64 << 10 };
    gc_heap *heap = new_heap(0);
    CHECK_EQ(gc_quiet_begin(BOUND), 0);
    CHECK_EQ(gc_quiet_begin(10 * BOUND), 0); /* the outermost holds */
    CHECK(!gc_new_bytes(BOUND + 1));
    CHECK_EQ(errno, ENOMEM);
    size_t sum = allocate_until_refused(64);
    CHECK(sum > BOUND - RUN && sum < BOUND + RUN);
    CHECK(!gc_new_bytes(40000));
    CHECK(gc_safepoint_due());
    gc_safepoint();
    CHECK(gc_new_bytes(40000));
    sum = allocate_until_refused(8 * 8192);
    CHECK(sum > BOUND - 120000 && sum <= BOUND);
    CHECK_EQ(gc_quiet_end(), 0);
    CHECK(!gc_new_bytes(BOUND));
    CHECK_EQ(gc_quiet_end(), 0);
    CHECK(gc_new_bytes(BOUND));
    CHECK_EQ(gc_quiet_end(), -EPERM);
    CHECK(stats_now().quiet_max <= BOUND + RUN);
    end_heap(heap);
}

static unsigned times_asked;
static bool count_asked(void *unused, size_t size)
{
    (void)unused, (void)size;
    times_asked++;
    return false;
}

/* Memory that a limit refuses is not looked for: that would be a safepoint. */
TEST(refused_memory_in_a_region)
{
    gc_options o = {.hard_limit = 8 << 20, .out_of_memory = count_asked, .percent = GC_PERCENT_OFF};
    gc_heap *heap = gc_heap_create(&o);
    CHECK(heap);
    CHECK_EQ(gc_quiet_begin(0), 0);
    CHECK(allocate_until_refused(1000) > 1 << 20);
    CHECK(times_asked == 0 && stats_now().cycles == 0);
    CHECK_EQ(gc_quiet_end(), 0);
    CHECK(gc_new_bytes(1000));
    CHECK(stats_now().cycles > 0);
    end_heap(heap);
}

/* A thread that leaves the heap leaves its regions. */
TEST(a_region_ends_with_the_attachment)
{
    gc_heap *heap = new_heap(0);
    CHECK_EQ(gc_quiet_begin(1), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK(gc_new_bytes(100000));
    CHECK_EQ(gc_quiet_end(), -EPERM);
    end_heap(heap);
}

TAP_MAIN
