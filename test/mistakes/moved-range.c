/* Rooted memory is moved by `realloc()`, and nobody roots the new place. */
#include "mistake.h"

enum { FEW = 50, MANY = 100 };

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct node **items = calloc(FEW, sizeof *items);
    long total = 0;
    gc_root_range(items, FEW);
    for (long i = 0; i < FEW; i++)
        gc_store(&items[i], new_node(i));
    gc_unroot(items);
    items = realloc(items, MANY * sizeof *items); /* the mistake: no gc_root_range() of it */
    for (long i = FEW; i < MANY; i++)
        items[i] = new_node(i);
    meanwhile();
    for (int i = 0; i < MANY; i++)
        total += items[i]->number;
    free(items);
    return end(heap, "the sum", total, 4950);
}
