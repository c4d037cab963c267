/* The inline paths by themselves, in ns each: a plain store, gc_store without and with marking
 * under way, a safepoint. The targets of the stores fit the first-level cache. */
#include "../harness.h"

#if defined(BENCH_GCHEAP)

#include "nodes.h"

enum { SLOTS = 256, BATCH = 64, BATCHES = 20000 };

static long count;

static void time_plain(struct node **nodes)
{
    uint64_t t0 = now_ns();
    for (long i = 0; i < count; i++) {
        struct node *n = nodes[i % SLOTS];
        *(struct node *volatile *)&n->left = nodes[(i + 1) % SLOTS];
    }
    result("store_plain", since(t0) * 1e9 / (double)count, "ns");
}

static void time_store(struct node **nodes)
{
    uint64_t t0 = now_ns();
    for (long i = 0; i < count; i++)
        gc_store(&nodes[i % SLOTS]->left, nodes[(i + 1) % SLOTS]);
    result("store", since(t0) * 1e9 / (double)count, "ns");
}

static void time_safepoint(void)
{
    uint64_t t0 = now_ns();
    for (long i = 0; i < count; i++)
        gc_safepoint();
    result("safepoint", since(t0) * 1e9 / (double)count, "ns");
}

/* The ns that a batch of stores takes, if marking is on; -1 if it is not. */
static double batch_while_marking(struct node **nodes)
{
    if (!gc_self->barrier)
        return -1;
    uint64_t t0 = now_ns();
    for (int i = 0; i < BATCH; i++)
        gc_store(&nodes[i % SLOTS]->left, nodes[(i + 1) % SLOTS]);
    return (double)(now_ns() - t0);
}

static double clock_cost(void)
{
    uint64_t t0 = now_ns();
    for (int i = 0; i < BATCHES; i++)
        now_ns();
    return (double)(now_ns() - t0) / BATCHES;
}

/* Marking of a large tree keeps the barriers on; what the clock costs is taken off. */
static void time_store_marking(struct node **nodes)
{
    static double ns[BATCHES];
    int n = 0;
    uint64_t t0 = now_ns();
    while (n < BATCHES && since(t0) < 10) {
        if (!gc_self->barrier)
            gc_collect_start();
        gc_safepoint();
        if ((ns[n] = batch_while_marking(nodes)) >= 0)
            n++;
    }
    if (!n)
        fail("marking never began");
    result("store_marking", (median(ns, n) - clock_cost()) / BATCH, "ns");
}

void run_micro(void)
{
    struct node *nodes[SLOTS] = {0}, *ballast = NULL;
    BM_ROOT_ARRAY(nodes, SLOTS);
    BM_ROOTS(ballast);
    count = parameter("count", 100 * 1000 * 1000);
    int depth = (int)parameter("depth", 22);
    for (int i = 0; i < SLOTS; i++)
        nodes[i] = leaf_new();
    gc_collect();
    time_plain(nodes);
    time_store(nodes);
    time_safepoint();
    ballast = tree_new(depth);
    gc_collect();
    time_store_marking(nodes);
}

#else

void run_micro(void)
{
    fail("gcheap's own paths");
}

#endif
