/* A local holds the only reference to objects while others are allocated. */
#include "mistake.h"

static struct node *build(long n)
{
    struct node *list = NULL; /* the mistake: no GC_FRAME */
    for (long i = 1; i <= n; i++) {
        struct node *node = new_node(i);
        node->next = list;
        list = node;
    }
    meanwhile();
    return list;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    return end(heap, "the sum", sum(build(1000)), 500500);
}
