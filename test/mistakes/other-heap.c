/* An object refers to an object of another heap. */
#include "mistake.h"

int main(void)
{
    gc_heap *one = gc_heap_create(NULL), *two = gc_heap_create(NULL);
    struct node *node = NULL;
    gc_thread_switch(one);
    GC_FRAME(node);
    node = new_node(1);
    gc_thread_switch(two);
    struct node *foreign = new_node(2);
    gc_thread_switch(one);
    gc_store(&node->next, foreign); /* the mistake: no gc_handle of heap two */
    meanwhile();
    gc_thread_switch(two);
    meanwhile();
    gc_thread_switch(one);
    long total = sum(node);
    gc_heap_destroy(two);
    gc_thread_switch(one);
    return end(one, "the sum", total, 3);
}
