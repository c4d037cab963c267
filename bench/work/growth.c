/* How the cost of marking and of allocating depends on how much is alive: a tree of 64-byte nodes
 * as large as asked for; full collections of it; then short-lived nodes of the same kind beside it,
 * `passes` times as many bytes as are alive. The first pass touches memory for the first time; in
 * the others memory is used again, and each collector pays its own cycles. The peers without a
 * collector show what an allocation costs in a process of that size. */
#include "../harness.h"

enum { COLLECTIONS = 3, PASSES_MAX = 64 };

struct item {
    struct item *left, *right;
    uint64_t data[6];
};
BM_TYPE(item_type, struct item, left, right);

/* The caller has rooted both. */
static struct item *item_new(struct item *left, struct item *right)
{
    struct item *n = BM_NEW(struct item, item_type);
    n->left = left;
    n->right = right;
    memset(n->data, 0, sizeof n->data);
    return n;
}

/* A balanced tree of n nodes. */
static struct item *items_new(size_t n)
{
    if (!n)
        return NULL;
    struct item *left = NULL, *right = NULL;
    BM_ROOTS(left, right);
    left = items_new((n - 1) / 2);
    right = items_new(n - 1 - (n - 1) / 2);
    return item_new(left, right);
}

static uint64_t items_end(struct item *n)
{
    if (!n)
        return 0;
    uint64_t count = items_end(n->left) + items_end(n->right) + 1;
    BM_FREE(n);
    return count;
}

static void time_marking(size_t n)
{
    double wall[COLLECTIONS];
    bm_collect();
    for (int i = 0; i < COLLECTIONS; i++) {
        uint64_t t0 = now_ns();
        bm_collect();
        wall[i] = (double)(now_ns() - t0) / (double)n;
    }
    result("mark", median(wall, COLLECTIONS), "ns/object");
}

static void allocate(struct item **kept, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct item *fresh = item_new(NULL, NULL);
        BM_FREE(kept[i % 64]);
        kept[i % 64] = fresh;
    }
}

/* The passes after the first: the median, and the CPU time of all. */
static void time_passes(struct item **kept, size_t n, int passes)
{
    double wall[PASSES_MAX];
    uint64_t cpu0 = cpu_ns();
    for (int i = 0; i < passes; i++) {
        uint64_t t0 = now_ns();
        allocate(kept, n);
        wall[i] = (double)(now_ns() - t0) / (double)n;
    }
    result("alloc", median(wall, passes), "ns/object");
    result("alloc_cpu", (double)(cpu_ns() - cpu0) / (double)n / passes, "ns/object");
}

static void time_allocation(size_t n, int passes)
{
    struct item *kept[64] = {0};
    BM_ROOT_ARRAY(kept, 64);
    uint64_t t0 = now_ns();
    allocate(kept, n);
    result("alloc_first", since(t0) * 1e9 / (double)n, "ns/object");
    if (passes > 1)
        time_passes(kept, n, passes - 1);
    for (int i = 0; i < 64; i++)
        BM_FREE(kept[i]);
}

void run_growth(void)
{
    struct item *root = NULL;
    BM_ROOTS(root);
    size_t n = (size_t)parameter("live", 100L << 20) / sizeof(struct item);
    int passes = (int)parameter("passes", 9);
    if (passes < 1 || passes > PASSES_MAX)
        fail("1 to 64 passes");
    bm_mark_in_parallel();
    uint64_t t0 = now_ns();
    root = items_new(n);
    result("build", since(t0) * 1e9 / (double)n, "ns/object");
    if (BM_COLLECTS)
        time_marking(n);
    time_allocation(n, passes);
    check(items_end(root));
}
