/* The memory of a rooted range is unmapped. */
#define _GNU_SOURCE
#include "mistake.h"
#include <sys/mman.h>

enum { SLOTS = 4096 };

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct node **stack = mmap(NULL, SLOTS * sizeof *stack, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    gc_root_range(stack, SLOTS);
    gc_store(&stack[0], new_node(1));
    munmap(stack, SLOTS * sizeof *stack); /* the mistake: gc_unroot() comes first */
    meanwhile();
    return end(heap, "ranges", 1, 1);
}
