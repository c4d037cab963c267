/* The binary-trees program of the language shoot-outs: one long-lived tree of depth 18, and
 * beside it, at depths 4, 8, 12 and 16, as many trees as make 2^22 leaves in all, each made,
 * counted and dropped. The threads share the short-lived trees; their number stays. */
#include "nodes.h"

#include <stdatomic.h>

enum { MIN_DEPTH = 4, STEP = 4 };
static int long_depth, threads;
static _Atomic uint64_t nodes;

static uint64_t one_tree(int depth)
{
    struct node *tree = NULL;
    BM_ROOTS(tree);
    tree = tree_new(depth);
    uint64_t count = tree_count(tree);
    tree_free(tree);
    return count;
}

static void short_lived(int index)
{
    uint64_t count = 0;
    for (int depth = MIN_DEPTH; depth <= long_depth - 2; depth += STEP)
        for (int i = index; i < 1 << (long_depth - depth + MIN_DEPTH); i += threads)
            count += one_tree(depth);
    nodes += count;
}

void run_tree(void)
{
    struct node *long_lived = NULL;
    BM_ROOTS(long_lived);
    threads = (int)parameter("threads", 1);
    long_depth = (int)parameter("depth", 18);
    uint64_t t0 = now_ns(), cpu0 = cpu_ns();
    one_tree(long_depth + 1);
    long_lived = tree_new(long_depth);
    in_threads(threads, short_lived);
    uint64_t total = nodes + tree_count(long_lived);
    result("time", since(t0), "s");
    result("cpu", (double)(cpu_ns() - cpu0) / 1e9, "s");
    check(total);
    tree_free(long_lived);
}
