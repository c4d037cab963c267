/* `memcpy()` over a live object that has references. */
#include "mistake.h"

struct box {
    struct node *held;
    long weight;
};
static GC_TYPE(box_type, struct box, held);

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct box *from = NULL, *to = NULL;
    GC_FRAME(from, to);
    from = gc_new(&box_type);
    to = gc_new(&box_type);
    for (long i = 1; i <= 1000; i++) {
        gc_store(&from->held, new_node(i));
        memcpy(to, from, sizeof *to); /* the mistake: gc_copy() is for references */
        gc_store(&from->held, NULL);
        gc_safepoint();
    }
    return end(heap, "the last one", to->held->number, 1000);
}
