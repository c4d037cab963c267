/* The inline paths by themselves, in ns each: a plain store, gc_store and gc_before_write with a
 * plain store, without and with marking under way, a safepoint. The targets of the stores fit the
 * first-level cache. */
#include "../harness.h"

#if defined(BENCH_GCHEAP)

#include "nodes.h"

enum { SLOTS = 256, WRITTEN = 16, BATCH = 64, BATCHES = 20000 };

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

/* To a few objects by turns. */
static void store_in_windows(struct node **nodes, long n)
{
    for (long i = 0; i < n; i++) {
        struct node *to = nodes[i % WRITTEN];
        gc_before_write(to);
        *(struct node *volatile *)&to->left = nodes[(i + 1) % SLOTS];
    }
}

static void time_windows(struct node **nodes)
{
    uint64_t t0 = now_ns();
    store_in_windows(nodes, count);
    result("window", since(t0) * 1e9 / (double)count, "ns");
}

static void time_safepoint(void)
{
    uint64_t t0 = now_ns();
    for (long i = 0; i < count; i++)
        gc_safepoint();
    result("safepoint", since(t0) * 1e9 / (double)count, "ns");
}

static void store_with_barrier(struct node **nodes, long n)
{
    for (long i = 0; i < n; i++)
        gc_store(&nodes[i % SLOTS]->left, nodes[(i + 1) % SLOTS]);
}

/* The ns that a batch of stores takes, if marking is on; -1 if it is not. */
static double batch_while_marking(void (*stores)(struct node **nodes, long n), struct node **nodes)
{
    if (!gc_is_marking())
        return -1;
    uint64_t t0 = now_ns();
    stores(nodes, BATCH);
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
static void time_marking(const char *metric, void (*stores)(struct node **nodes, long n),
                         struct node **nodes)
{
    static double ns[BATCHES];
    int n = 0;
    uint64_t t0 = now_ns();
    while (n < BATCHES && since(t0) < 10) {
        if (!gc_is_marking())
            gc_collect_start();
        gc_safepoint();
        if ((ns[n] = batch_while_marking(stores, nodes)) >= 0)
            n++;
    }
    if (!n)
        fail("marking never began");
    result(metric, (median(ns, n) - clock_cost()) / BATCH, "ns");
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
    time_windows(nodes);
    time_safepoint();
    ballast = tree_new(depth);
    gc_collect();
    time_marking("store_marking", store_with_barrier, nodes);
    time_marking("window_marking", store_in_windows, nodes);
}

#else

void run_micro(void)
{
    fail("gcheap's own paths");
}

#endif
