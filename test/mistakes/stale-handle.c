/* A handle is used after it was freed. */
#include "mistake.h"

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    gc_handle *handle = gc_handle_new(new_node(3));
    gc_handle_free(handle);
    const struct node *node = gc_handle_get(handle); /* the mistake */
    return end(heap, "the number", node ? node->number : 0, 3);
}
