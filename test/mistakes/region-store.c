/* A store in a blocking region. */
#include "mistake.h"

static struct node *list;

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    gc_root(&list);
    gc_store(&list, new_node(1));
    gc_store(&list->next, new_node(2));
    gc_blocking_begin();
    gc_store(&list, list->next); /* the mistake: gc_blocking_end() comes first */
    gc_blocking_end();
    meanwhile();
    return end(heap, "the sum", sum(list), 2);
}
