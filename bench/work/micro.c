/* The inline paths by themselves, in ns each: a plain store, gc_store, gc_store_tagged, and
 * gc_before_write with a plain store, without and with marking under way, a safepoint. The targets
 * of the stores fit the first-level cache. */
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

/* Values of two words: every other one becomes a number. */
struct value {
    void *object;
    uint8_t tag;
};
static const struct gc_tagged object_of_value[] = {GC_TAGGED(struct value, object, tag, 1, 1)};
static GC_TYPE_TAGGED(value_type, struct value, object_of_value, object);
static struct value *values;

static void store_values(struct node **nodes, long n)
{
    for (long i = 0; i < n; i++)
        gc_store_tagged(&values[i % SLOTS], object_of_value, nodes[(i + 1) % SLOTS],
                        (uint8_t)(i & 1));
}

static void time_values(struct node **nodes)
{
    uint64_t t0 = now_ns();
    store_values(nodes, count);
    result("store_tagged", since(t0) * 1e9 / (double)count, "ns");
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
    values = gc_new_array(&value_type, SLOTS);
    gc_root(&values);
    gc_collect();
    time_plain(nodes);
    time_store(nodes);
    time_windows(nodes);
    time_values(nodes);
    time_safepoint();
    ballast = tree_new(depth);
    gc_collect();
    time_marking("store_marking", store_with_barrier, nodes);
    time_marking("window_marking", store_in_windows, nodes);
    time_marking("store_tagged_marking", store_values, nodes);
}

#else

void run_micro(void)
{
    fail("gcheap's own paths");
}

#endif
