/* A trace function leaves out a reference. */
#include "mistake.h"

struct box {
    struct node *first, *second;
};

static void trace_box(void *object, gc_tracer *tracer)
{
    struct box *box = object;
    gc_trace_slot(tracer, &box->first); /* the mistake: second */
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    gc_type *box_type = gc_type_create(
        &(struct gc_type_spec){.name = "box", .size = sizeof(struct box), .trace = trace_box});
    struct box *box = NULL;
    struct node *node = NULL;
    GC_FRAME(box, node);
    box = gc_new(box_type);
    gc_store(&box->first, new_node(1));
    gc_store(&box->second, new_node(2));
    meanwhile();
    node = box->second;
    gc_collect();
    return end(heap, "the second one", node->number, 2);
}
