/* The collector beside mutators that run on all processors: marking is theirs as long as they
 * allocate, and does not wait for them if they do not. */
#include "actors.h"
#include "collector/pacing.h"
#include "collector/sweep.h"
#include "cycle/background.h"
#include "heaps.h"

enum { LIVE = 400 * 1000, MANY = 50 * 1000 * 1000 };

static struct gate left;
static struct cell *list;

/* A heap of one P, which the calling thread has, with a chain of cells. */
static void begin_with(unsigned flags, int percent)
{
    left.state = GATE_FREE;
    of_the_test = true;
    stress_stop_set(stop_here);
    heap = gc_heap_create(&(gc_options){.max_procs = 1, .flags = flags, .percent = percent});
    CHECK(heap);
    CHECK_EQ(gc_root(&list), 0);
    gc_store(&list, new_chain(LIVE));
}

/* Cycles start on request only, and no allocation owes any marking but what the background leaves
 * to it. The thread that backs memory with huge pages does not borrow the P. */
static void begin(void)
{
    begin_with(GC_NO_HUGE_PAGES, GC_PERCENT_OFF);
}

static void end(void)
{
    check_chain(list, LIVE);
    CHECK_EQ(gc_unroot(&list), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static bool is_over(void)
{
    return u32_load_acquire(&heap->cycle->flipped) == 1;
}

static void allocate_some(unsigned *n)
{
    for (int i = 0; i < 64; i++)
        CHECK(gc_new_bytes(64));
    CHECK((*n += 64) < MANY);
}

/* The driver stands between two looks, and the marking comes to its end all the same. */
TEST(mutators_mark_while_the_driver_waits)
{
    begin();
    stop_library(STRESS_LEFT_TO_MUTATORS, &left);
    CHECK_EQ(gc_collect_start(), 0);
    unsigned n = 0;
    for (unsigned turns = 0; u32_load_acquire(&left.state) == GATE_FREE; let_run(&turns)) {
        CHECK(!is_over());
        allocate_some(&n);
    }
    n = 0;
    while (!workqueue_is_idle(&heap->work))
        allocate_some(&n);
    CHECK(u64_load_relaxed(&heap->marking->assist_ns) > 0);
    CHECK(n * 64 < LIVE * 24);
    gate_open(&left);
    POLL_UNTIL(is_over());
    end();
}

/* No P comes free, and none is taken: the P stays with its thread through the whole cycle. */
TEST(a_mutator_that_allocates_nothing_keeps_its_p)
{
    begin();
    CHECK_EQ(gc_collect_start(), 0);
    const struct proc *p = thread_self()->proc;
    for (unsigned turns = 0; !is_over(); let_run(&turns)) {
        gc_safepoint();
        CHECK(thread_self()->proc == p && u32_load_relaxed(&p->state) == PROC_RUNNING);
        CHECK_EQ(u32_load_relaxed(&heap->procs.waiting), 0);
    }
    CHECK_EQ(u64_load_relaxed(&heap->marking->assist_ns), 0);
    end();
}

/* ---- Threads that wait ---- */

static atomic_bool spins;
static atomic_uint turns_of_spinner; /* each of them begins when it has the P */

/* Takes the P when the test's thread is blocked, and allocates nothing. */
static void *spin(void *unused)
{
    of_the_test = true;
    CHECK_EQ(gc_thread_attach(heap), 0);
    for (; spins; turns_of_spinner++)
        gc_safepoint();
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static pthread_t start_spinner(void)
{
    spins = true;
    pthread_t spinner = start_thread(spin, NULL);
    for (unsigned turns = 0; stats_of(heap).threads < 2; let_run(&turns))
        gc_safepoint();
    return spinner;
}

static void end_spinner(pthread_t spinner)
{
    spins = false;
    CHECK_EQ(gc_blocking_begin(), 0);
    join_thread(spinner);
    CHECK_EQ(gc_blocking_end(), 0);
}

/* The driver stands in a pause. It makes no other one once a thread waits for the cycle. */
static void *open_when_waited_for(void *unused)
{
    WAIT_UNTIL(u8_load_relaxed(&heap->marking->whole));
    static struct gate never;
    stop_library(STRESS_LEFT_TO_MUTATORS, &never);
    gate_open(&left);
    WAIT_UNTIL(is_over());
    CHECK_EQ(u32_load_acquire(&never.state), GATE_FREE);
    u32_store_release(&library_stops, 0);
    return unused;
}

TEST(a_thread_that_waits_waits_for_no_pauses)
{
    begin();
    pthread_t spinner = start_spinner();
    stop_library(STRESS_LEFT_TO_MUTATORS, &left);
    CHECK_EQ(gc_collect_start(), 0);
    for (unsigned turns = 0; u32_load_acquire(&left.state) == GATE_FREE; let_run(&turns))
        gc_safepoint();
    pthread_t opener = start_thread(open_when_waited_for, NULL);
    CHECK_EQ(gc_collect(), 0);
    join_thread(opener);
    end_spinner(spinner);
    end();
}

/* The driver stands before the first of its marking, until the spinner has the P and goes on. */
static struct gate driving;

static void *open_when_the_spinner_has_the_p(void *unused)
{
    gate_await(&driving);
    unsigned before = turns_of_spinner;
    WAIT_UNTIL(turns_of_spinner - before >= 2);
    CHECK_EQ(procs_idle(&heap->procs), 0);
    gate_open(&driving);
    return unused;
}

/* Without a background thread an allocation drives the cycle, and another thread has the P. */
TEST(a_mutator_that_drives_makes_no_pauses)
{
    begin_with(GC_NO_BACKGROUND, 0);
    pthread_t spinner = start_spinner();
    pthread_t opener = start_thread(open_when_the_spinner_has_the_p, NULL);
    of_the_test = false;
    stop_library(STRESS_LEFT_TO_MUTATORS, &left);
    stop_me(STRESS_ROOTS_VISITED, &driving);
    uint64_t before = stats_of(heap).cycles;
    for (unsigned n = 0; stats_of(heap).cycles < before + 2; n++)
        CHECK(gc_new_bytes(1000) && n < MANY);
    CHECK_EQ(u32_load_acquire(&driving.state), GATE_OPEN);
    join_thread(opener);
    CHECK_EQ(u32_load_acquire(&left.state), GATE_FREE);
    u32_store_release(&library_stops, 0);
    of_the_test = true;
    end_spinner(spinner);
    end();
}

/* ---- Pieces (I39) ---- */

enum { BIG = 20000, LIVE_BYTES = LIVE * 24 };

static size_t marked_bytes(void)
{
    return word_load_relaxed(&heap->marking->marked_bytes);
}

TEST(marking_comes_in_few_bounded_pieces)
{
    begin();
    stop_library(STRESS_LEFT_TO_MUTATORS, &left);
    CHECK_EQ(gc_collect_start(), 0);
    for (unsigned turns = 0; u32_load_acquire(&left.state) == GATE_FREE; let_run(&turns))
        gc_safepoint();
    unsigned pieces = 0;
    for (size_t before = marked_bytes(), now; !workqueue_is_idle(&heap->work); before = now) {
        CHECK(gc_new_bytes(BIG));
        now = marked_bytes();
        CHECK(now - before <= 96 << 10);
        pieces += now != before;
    }
    CHECK(pieces > 0 && pieces < LIVE_BYTES / (48 << 10));
    gate_open(&left);
    POLL_UNTIL(is_over());
    end();
}

static int64_t pages_owed(void)
{
    return (int64_t)(pacing_sweeping_due(heap) - word_load_relaxed(&heap->sweeping->swept_pages));
}

/* No other thread sweeps. */
TEST(sweeping_comes_in_pieces_and_keeps_pace)
{
    begin_with(GC_NO_BACKGROUND, 0);
    uint64_t before = stats_of(heap).cycles;
    for (unsigned n = 0; stats_of(heap).cycles == before; n++)
        CHECK(gc_new_bytes(1000) && n < MANY);
    int64_t most = 0;
    for (int64_t owed = 0; stats_of(heap).cycles == before + 1; most = MAX_OF(most, owed)) {
        CHECK(gc_new_bytes(1000));
        owed = pages_owed();
        CHECK(owed < 64);
    }
    CHECK(most >= 24);
    end();
}

TAP_MAIN
