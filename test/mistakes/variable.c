/* A global variable that is no root holds the only reference. */
#include "mistake.h"

static struct node *list; /* the mistake: no gc_root(&list) */

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    for (long i = 1; i <= 1000; i++) {
        struct node *node = new_node(i);
        node->next = list;
        list = node;
    }
    meanwhile();
    return end(heap, "the sum", sum(list), 500500);
}
