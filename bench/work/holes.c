/* GCBench with holes, by several threads at once: each keeps a tree of depth 16 and 4 MB of numbers
 * of its own, and makes trees of depth 4, 6 … 16, filled from the top and made from the bottom, as
 * GCBench does. Before most nodes it makes a hole: a small object of a random size that is dropped
 * at once, so that what survives does not lie together. The lengths are those of runs of a coin
 * that shows heads with a probability of 0.85. Each thread does the same work. */
#include "../harness.h"

enum { STRETCH = 18, LONG_LIVED = 16, ARRAY = 500000, MIN = 4, MAX = 16, LENGTHS = 256 };

struct leafy {
    struct leafy *left, *right;
    int32_t i, depth;
};
BM_TYPE(leafy_type, struct leafy, left, right);

static unsigned char lengths[LENGTHS];

struct maker {
    unsigned hole; /* the next one's length is lengths[hole % LENGTHS] */
    uint64_t count;
};

static void make_lengths(void)
{
    struct random r = {7};
    for (int i = 0; i < LENGTHS; i++)
        while (random_below(&r, 1000) >= 150 && lengths[i] < 255)
            lengths[i]++;
}

/* The words of a hole are zero, but for the first, which says how many follow. */
static void make_hole(struct maker *m)
{
    size_t n = lengths[m->hole++ % LENGTHS];
    if (n == 0)
        return;
    uint64_t *hole = BM_BYTES_ZEROED((n + 1) * sizeof(uint64_t));
    *(volatile uint64_t *)hole = n;
    BM_FREE(hole);
}

static struct leafy *leafy_new(struct maker *m, int depth)
{
    struct leafy *n = BM_NEW_ZEROED(struct leafy, leafy_type);
    n->depth = depth;
    m->count++;
    return n;
}

static void populate(struct maker *m, int depth, struct leafy *n)
{
    if (depth <= 0)
        return;
    struct leafy *left = NULL, *right = NULL;
    BM_ROOTS(n, left, right);
    make_hole(m);
    left = leafy_new(m, depth - 1);
    make_hole(m);
    right = leafy_new(m, depth - 1);
    BM_STORE(&n->left, left);
    BM_STORE(&n->right, right);
    populate(m, depth - 1, left);
    populate(m, depth - 1, right);
}

static struct leafy *bottom_up(struct maker *m, int depth)
{
    if (depth <= 0)
        return leafy_new(m, 0);
    struct leafy *left = NULL, *right = NULL;
    BM_ROOTS(left, right);
    left = bottom_up(m, depth - 1);
    right = bottom_up(m, depth - 1);
    make_hole(m);
    struct leafy *n = leafy_new(m, depth);
    n->left = left;
    n->right = right;
    return n;
}

/* malloc's user has to walk the tree to free it; a collector's has not. */
static void drop(struct leafy *n)
{
    if (BM_COLLECTS || !n)
        return;
    drop(n->left);
    drop(n->right);
    BM_FREE(n);
}

static size_t tree_size(int depth)
{
    return ((size_t)2 << depth) - 1;
}

static void make_trees(struct maker *m, int depth)
{
    struct leafy *tree = NULL;
    BM_ROOTS(tree);
    size_t n = 2 * tree_size(STRETCH) / tree_size(depth);
    for (size_t i = 0; i < n; i++) {
        tree = leafy_new(m, depth);
        populate(m, depth, tree);
        drop(tree);
    }
    for (size_t i = 0; i < n; i++) {
        tree = bottom_up(m, depth);
        drop(tree);
    }
}

static double *array_new(void)
{
    double *array = BM_BYTES_ZEROED(ARRAY * sizeof(double));
    for (int i = 1; i < ARRAY / 2; i++)
        array[i] = 1.0 / i;
    return array;
}

static uint64_t checksums[256];

static void one_thread(int index)
{
    struct maker m = {0, 0};
    struct leafy *tree = NULL;
    double *array = NULL;
    BM_ROOTS(tree, array);
    tree = leafy_new(&m, LONG_LIVED);
    populate(&m, LONG_LIVED, tree);
    array = array_new();
    for (int depth = MIN; depth <= MAX; depth += 2)
        make_trees(&m, depth);
    checksums[index] =
        m.count + (uint64_t)tree->right->depth + (uint64_t)(array[1000] * 1000 + 0.5);
    drop(tree);
    BM_FREE(array);
}

void run_holes(void)
{
    int threads = (int)parameter("threads", 1);
    bm_set_percent((int)parameter("percent", 100));
    make_lengths();
    uint64_t cpu0 = cpu_ns();
    double seconds = in_threads(threads, one_thread);
    result("time", seconds, "s");
    result("cpu", (double)(cpu_ns() - cpu0) / 1e9, "s");
    uint64_t sum = 0;
    for (int i = 0; i < threads; i++)
        sum += checksums[i];
    check(sum);
}
