/* One element more is stored than a flexible object has. */
#include "mistake.h"

struct vector {
    struct node *owner;
    long n;
    struct node *items[];
};
static GC_TYPE(vector_type, struct vector, owner);

enum { N = 9 };

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct vector *vector = NULL;
    GC_FRAME(vector);
    vector = gc_new_flex(&vector_type, &gc_pointer_type, N);
    vector->n = N;
    for (int i = 0; i <= N; i++) /* the mistake: <= */
        gc_store(&vector->items[i], new_node(i));
    meanwhile();
    long total = 0;
    for (int i = 0; i < vector->n; i++)
        total += vector->items[i]->number;
    return end(heap, "the sum", total, 36);
}
