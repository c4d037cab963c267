/* `GC_TYPE` leaves out a field that holds references. */
#include "mistake.h"

struct tree {
    struct tree *left, *right;
    long number;
};
static GC_TYPE(tree_type, struct tree, left); /* the mistake: right */

static struct tree *build(int depth)
{
    struct tree *tree = NULL, *left = NULL, *right = NULL;
    GC_FRAME(tree, left, right);
    if (depth > 0) {
        left = build(depth - 1);
        right = build(depth - 1);
    }
    tree = gc_new(&tree_type);
    tree->left = left;
    tree->right = right;
    tree->number = 1;
    return tree;
}

/* Trees that were overwritten may lead anywhere. */
static long count(const struct tree *tree, int depth)
{
    return tree && depth >= 0
               ? tree->number + count(tree->left, depth - 1) + count(tree->right, depth - 1)
               : 0;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct tree *top = NULL;
    GC_FRAME(top);
    top = build(8);
    gc_collect();
    for (int i = 0; i < 2000; i++)
        gc_new(&tree_type);
    return end(heap, "nodes", count(top, 8), 511);
}
