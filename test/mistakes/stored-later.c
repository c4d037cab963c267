/* A local alone holds an object while another one is made, which then gets it. */
#include "mistake.h"

static struct node *list_of(long number)
{
    struct node *last = new_node(number); /* the mistake: it is not in a frame */
    gc_collect();
    struct node *first = new_node(1);
    gc_store(&first->next, last);
    return first;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct node *list = NULL;
    GC_FRAME(list);
    list = list_of(2);
    meanwhile();
    return end(heap, "the sum", sum(list), 3);
}
