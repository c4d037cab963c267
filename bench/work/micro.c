/* The inline paths by themselves, in ns each: a plain store, gc_store without and with marking
 * under way, a safepoint. The targets of the stores fit the first-level cache. */
#include "../harness.h"

#if defined(BENCH_GCHEAP)

#include "nodes.h"

enum { SLOTS = 256, BATCH = 64 };

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

/* One batch of stores, if marking is on throughout; its duration is added to *ns. */
static bool batch_while_marking(struct node **nodes, uint64_t *ns)
{
    if (!gc_self->barrier)
        return false;
    uint64_t t0 = now_ns();
    for (int i = 0; i < BATCH; i++)
        gc_store(&nodes[i % SLOTS]->left, nodes[(i + 1) % SLOTS]);
    *ns += now_ns() - t0;
    return true;
}

/* Marking of a large graph keeps the barriers on; what the clock costs is taken off. */
static void time_store_marking(struct node **nodes)
{
    uint64_t ns = 0, batches = 0, t0 = now_ns();
    while (batches < 20000 && since(t0) < 10) {
        if (!gc_self->barrier)
            gc_collect_start();
        gc_safepoint();
        if (batch_while_marking(nodes, &ns))
            batches++;
    }
    if (!batches)
        fail("marking never began");
    uint64_t clocks = 20000, c0 = now_ns();
    for (uint64_t i = 0; i < clocks; i++)
        now_ns();
    double clock = (double)(now_ns() - c0) / (double)clocks;
    double each = ((double)ns / (double)batches - clock) / BATCH;
    result("store_marking", each, "ns");
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
