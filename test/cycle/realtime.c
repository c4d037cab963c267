/* gcheap-test: alone
 *
 * Threads of real-time priority (SCHED_FIFO) and the library's threads, all on one processor. The
 * system ends a test that keeps the processor: RLIMIT_RTTIME bounds how long a real-time thread
 * runs without a wait. All else is bounded by steps. */
#include "cells.h"
#include <sys/resource.h>

enum { LIVE = 200 * 1000, CYCLES = 3, STEPS = 20 * 1000 * 1000 };

static void stay_on_one_processor(void)
{
    const struct rlimit limit = {10 * 1000 * 1000, 11 * 1000 * 1000};
    cpu_set_t all, one;
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    size_t first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(setrlimit(RLIMIT_RTTIME, &limit), 0);
}

/* The calling thread's; the library's threads have that of the thread that started them. */
static void set_priority(int priority)
{
    const struct sched_param param = {.sched_priority = priority};
    if (sched_setscheduler(0, priority ? SCHED_FIFO : SCHED_OTHER, &param) != 0)
        SKIP("no right to real-time priorities (CAP_SYS_NICE)");
}

/* A heap whose library threads run, and have this priority; the calling thread has the other one
 * from then on. */
static gc_heap *heap_with_priorities(int of_library, int of_thread)
{
    stay_on_one_processor();
    set_priority(of_library);
    gc_heap *heap = new_heap(GC_FINALIZER_THREAD);
    CHECK_EQ(gc_collect_start(), 0);
    BLOCK_UNTIL(stats_now().cycles == 1);
    set_priority(of_thread);
    return heap;
}

static void end_with_priorities(gc_heap *heap)
{
    set_priority(0);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Allocating ---- */

static struct cell *new_cells(size_t n)
{
    struct cell *list = NULL;
    GC_FRAME(list);
    for (size_t i = 0; i < n; i++) {
        struct cell *c = new_cell(i);
        c->next = list; /* fresh: no safepoint since */
        list = c;
    }
    return list;
}

/* Cycles end, though the thread neither sleeps nor yields. */
static void allocate(int of_library, int of_thread)
{
    gc_heap *heap = heap_with_priorities(of_library, of_thread);
    {
        struct cell *list = new_cells(LIVE);
        GC_FRAME(list);
        uint64_t first = stats_now().cycles, steps = 0;
        while (stats_now().cycles < first + CYCLES && steps < STEPS) {
            new_cells(1000);
            steps += 1000;
        }
        ok(steps < STEPS, "%d cycles in %" PRIu64 " allocations", CYCLES, steps);
        CHECK(is_cell(list, LIVE - 1));
    }
    end_with_priorities(heap);
}

TEST(cycles_end_where_all_have_one_priority)
{
    allocate(1, 1);
}
TEST(cycles_end_beside_library_threads_of_no_priority)
{
    allocate(0, 1);
}
TEST(cycles_end_beside_library_threads_of_a_higher_priority)
{
    allocate(2, 1);
}

/* ---- Going through safepoints, and nothing else ---- */

/* How many turns it took until the cycle was over that was asked for; each turn is a number of
 * safepoints. */
static unsigned spin(void (*between)(void), unsigned most)
{
    uint64_t first = stats_now().cycles;
    unsigned turns = 0;
    CHECK_EQ(gc_collect_start(), 0);
    for (; stats_now().cycles == first && turns < most; turns++) {
        for (int i = 0; i < 1000; i++)
            gc_safepoint();
        between();
    }
    return turns;
}

static void yield(void)
{
    sched_yield();
}
static void do_nothing(void) {}

/* sched_yield() is enough for threads of the same priority. */
TEST(a_cycle_ends_beside_a_thread_that_yields)
{
    enum { MOST = 100 * 1000 };
    gc_heap *heap = heap_with_priorities(1, 1);
    unsigned turns = spin(yield, MOST);
    ok(turns < MOST, "%u turns", turns);
    end_with_priorities(heap);
}

/* It has the processor to itself for as long as it likes: a cycle comes no further, and ends when
 * the thread blocks. */
static void spin_then_block(int of_library, int of_thread)
{
    enum { MOST = 1000 };
    gc_heap *heap = heap_with_priorities(of_library, of_thread);
    uint64_t first = stats_now().cycles;
    ok(spin(do_nothing, MOST) == MOST, "no cycle has ended in %d safepoints", MOST * 1000);
    BLOCK_UNTIL(stats_now().cycles > first);
    end_with_priorities(heap);
}

TEST(a_cycle_waits_for_a_thread_that_spins)
{
    spin_then_block(1, 1);
}

/* More important threads of the library's take the processor whenever they can. */
TEST(a_cycle_ends_beside_a_thread_of_lower_priority)
{
    enum { MOST = 100 * 1000 };
    gc_heap *heap = heap_with_priorities(2, 1);
    unsigned turns = spin(do_nothing, MOST);
    ok(turns < MOST, "%u turns", turns);
    end_with_priorities(heap);
}

TAP_MAIN
