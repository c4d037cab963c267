/* A thread of a pool that attaches to the heap for each task and detaches after it: a pair with
 * nothing between, and a pair around one small object. With two threads the other one makes trees
 * all the while, so that collections meet the coming and going. */
#include "nodes.h"

#if defined(BENCH_GCHEAP)

#include <stdatomic.h>

enum { TREE_DEPTH = 10 };

static long count;
static atomic_bool working;
static double pair_ns, task_ns;
static uint64_t tasks_done;

static double time_pairs(void)
{
    uint64_t t0 = now_ns();
    for (long i = 0; i < count; i++) {
        bm_thread_begin();
        bm_thread_end();
    }
    return since(t0) * 1e9 / (double)count;
}

static double time_tasks(void)
{
    uint64_t t0 = now_ns();
    for (long i = 0; i < count; i++) {
        bm_thread_begin();
        tasks_done += leaf_new()->value;
        bm_thread_end();
    }
    return since(t0) * 1e9 / (double)count;
}

static void work(void)
{
    struct node *tree = NULL;
    BM_ROOTS(tree);
    while (working)
        tree = tree_new(TREE_DEPTH);
}

/* The first thread is the pool's. */
static void attach_or_work(int index)
{
    if (index) {
        work();
        return;
    }
    bm_thread_end();
    pair_ns = time_pairs();
    task_ns = time_tasks();
    bm_thread_begin();
    working = false;
}

void run_attach(void)
{
    int threads = (int)parameter("threads", 1);
    count = parameter("count", 1000 * 1000);
    working = true;
    in_threads(threads, attach_or_work);
    result("pair", pair_ns, "ns");
    result("task", task_ns, "ns");
    check(tasks_done);
}

#else

void run_attach(void)
{
    fail("gcheap alone attaches threads");
}

#endif
