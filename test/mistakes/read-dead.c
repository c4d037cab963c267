/* A dead object is read, through a pointer that the collector does not see. */
#include "mistake.h"

static uintptr_t hidden;

static __attribute__((noinline)) void hide(struct node *node)
{
    hidden = ~(uintptr_t)node; /* the mistake */
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    hide(new_node(42));
    meanwhile();
    const struct node *node = (const struct node *)~hidden;
    return end(heap, "the number", node->number, 42);
}
