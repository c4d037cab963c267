/* A computed goto leaves a block that has a frame. */
#include "mistake.h"

static long run(const char *code)
{
    static const void *const table[] = {&&op_make, &&op_end};
    long made = 0;
    goto *table[*code++ - 'a'];
op_make : {
    struct node *node = NULL;
    GC_FRAME(node);
    node = new_node(1);
    made += node->number;
    goto *table[*code++ - 'a']; /* the mistake: the end of the block is not run */
}
op_end:
    return made;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    long made = run("aaab");
    gc_collect();
    return end(heap, "objects", made, 3);
}
