/* A root callback allocates. */
#include "mistake.h"

static struct node *list;

static void visit(void *unused, gc_tracer *tracer)
{
    (void)unused;
    struct node *node = gc_new(&node_type); /* the mistake */
    if (node)
        node->next = list;
    gc_trace_slot(tracer, &list);
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    gc_root_callback(GC_ROOT_HEAP, visit, NULL);
    gc_store(&list, new_node(1));
    meanwhile();
    return end(heap, "the sum", sum(list), 1);
}
