/* A block of malloc() holds the only references. */
#include "mistake.h"

struct queue {
    struct node *items[100]; /* the mistake: no handles, no gc_root_range() */
    int n;
};

static void fill(struct queue *queue)
{
    while (queue->n < 100) {
        struct node *node = new_node(queue->n);
        queue->items[queue->n++] = node;
    }
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct queue *queue = calloc(1, sizeof *queue);
    long total = 0;
    fill(queue);
    meanwhile();
    for (int i = 0; i < queue->n; i++)
        total += queue->items[i]->number;
    free(queue);
    return end(heap, "the sum", total, 4950);
}
