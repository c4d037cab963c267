/* GCBench, the workload that Ellis, Kovac and Boehm made known: a tree is stretched and dropped; a
 * tree and an array of doubles live on; then trees of depth 4, 6 … 16, so many of each that they
 * have twice the nodes of the stretched one, filled from the top (a store into an older object at
 * each step) and as many made from the bottom. */
#include "../harness.h"

enum { STRETCH = 18, LONG_LIVED = 16, ARRAY = 500000, MIN = 4, MAX = 16 };

struct leafy {
    struct leafy *left, *right;
    int32_t i, j;
};
BM_TYPE(leafy_type, struct leafy, left, right);

/* The caller has rooted both. */
static struct leafy *leafy_new(struct leafy *left, struct leafy *right)
{
    struct leafy *n = BM_NEW(struct leafy, leafy_type);
    n->left = left;
    n->right = right;
    n->i = n->j = 0;
    return n;
}

/* From the top: `n` is reachable, so its children need no roots of their own. */
static void populate(int depth, struct leafy *n)
{
    if (depth <= 0)
        return;
    BM_STORE(&n->left, leafy_new(NULL, NULL));
    BM_STORE(&n->right, leafy_new(NULL, NULL));
    populate(depth - 1, n->left);
    populate(depth - 1, n->right);
}

static struct leafy *bottom_up(int depth)
{
    if (depth <= 0)
        return leafy_new(NULL, NULL);
    struct leafy *left = NULL, *right = NULL;
    BM_ROOTS(left, right);
    left = bottom_up(depth - 1);
    right = bottom_up(depth - 1);
    return leafy_new(left, right);
}

static uint64_t leafy_end(struct leafy *n)
{
    if (!n)
        return 0;
    uint64_t count = leafy_end(n->left) + leafy_end(n->right) + 1;
    BM_FREE(n);
    return count;
}

/* malloc's user has to walk the tree to free it; a collector's has not. */
static uint64_t drop(struct leafy *n)
{
    return BM_COLLECTS ? (uint64_t)(n->i + 1) : leafy_end(n) > 0;
}

static uint64_t tree_size(int depth)
{
    return ((uint64_t)2 << depth) - 1;
}

static uint64_t one_of_each(int depth)
{
    struct leafy *tree = NULL;
    BM_ROOTS(tree);
    tree = leafy_new(NULL, NULL);
    populate(depth, tree);
    uint64_t count = drop(tree);
    tree = bottom_up(depth);
    return count + drop(tree);
}

static double *array_new(void)
{
    double *array = BM_BYTES_ZEROED(ARRAY * sizeof(double));
    for (int i = 1; i < ARRAY / 2; i++)
        array[i] = 1.0 / i;
    return array;
}

void run_gcbench(void)
{
    struct leafy *tree = NULL;
    double *array = NULL;
    BM_ROOTS(tree, array);
    int repeat = (int)parameter("repeat", 3);
    uint64_t t0 = now_ns(), count = 0;
    for (int r = 0; r < repeat; r++) {
        tree = bottom_up(STRETCH);
        count += drop(tree);
        tree = leafy_new(NULL, NULL);
        populate(LONG_LIVED, tree);
        array = array_new();
        for (int depth = MIN; depth <= MAX; depth += 2)
            for (uint64_t i = 0; i < 2 * tree_size(STRETCH) / tree_size(depth); i++)
                count += one_of_each(depth);
        count += leafy_end(tree) + (uint64_t)(array[1000] * 1000 + 0.5);
        BM_FREE(array);
    }
    result("time", since(t0), "s");
    check(count);
}
