/* The C stack of a suspended fiber is unmapped. */
#define _GNU_SOURCE
#include "mistake.h"
#include <sys/mman.h>

enum { BYTES = 1 << 16 };

int main(void)
{
    gc_options options = {.flags = GC_STACK_CONSERVATIVE};
    gc_heap *heap = gc_heap_create(&options);
    gc_fiber *fiber = gc_fiber_create();
    char *stack = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    gc_fiber_stack(fiber, stack, stack + BYTES);
    munmap(stack, BYTES); /* the mistake: gc_fiber_destroy() comes first */
    meanwhile();
    return end(heap, "fibers", 1, 1);
}
