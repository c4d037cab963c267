/* `longjmp()` leaves blocks that have frames. */
#include "mistake.h"
#include <setjmp.h>

static jmp_buf handler;

static void fail(int depth)
{
    struct node *node = NULL;
    GC_FRAME(node);
    node = new_node(depth);
    if (depth == 0)
        longjmp(handler, 1); /* the mistake: no gc_frame_reset() where it lands */
    fail(depth - 1);
    node->number = 1;
}

static void overwrite_stack(void)
{
    volatile char bytes[4000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 17;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct node *list = NULL;
    GC_FRAME(list);
    list = new_node(5);
    if (setjmp(handler) == 0)
        fail(10);
    overwrite_stack();
    meanwhile();
    return end(heap, "the number", list->number, 5);
}
