/* A `goto` jumps over the beginning of a frame into its block. */
#include "mistake.h"

static long jump(int skip)
{
    if (skip)
        goto out;
    struct node *node = NULL;
    GC_FRAME(node); /* the mistake: a block of its own is missing */
    node = new_node(1);
out:
    return skip;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    return end(heap, "the sum", jump(0) + jump(1), 1);
}
