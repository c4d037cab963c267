/* The collector beside mutators that run on all processors: marking is theirs as long as they
 * allocate, and does not wait for them if they do not. */
#include "actors.h"
#include "cycle/background.h"

enum { LIVE = 400 * 1000, MANY = 50 * 1000 * 1000 };

static struct gate left;
static struct cell *list;

/* A heap of one P, which the calling thread has, with a chain of cells. Cycles start on request
 * only, and no allocation owes any marking but what the background leaves to it. */
static void begin(void)
{
    left.state = GATE_FREE;
    of_the_test = true;
    stress_stop_set(stop_here);
    heap = gc_heap_create(&(gc_options){.max_procs = 1, .percent = GC_PERCENT_OFF});
    CHECK(heap);
    CHECK_EQ(gc_root(&list), 0);
    gc_store(&list, new_chain(LIVE));
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

TAP_MAIN
