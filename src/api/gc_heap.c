/* Heaps. */
#include "api/entry.h"
#include "cycle/lifetime.h"

unsigned gc_version(void)
{
    return GC_VERSION;
}

NOINLINE gc_heap *gc_heap_create(const gc_options *options)
{
    gc_heap *heap = NULL;
    if (!MAY_PASS())
        return NULL;
    int error = lifetime_begin(options, STACK_CALLER(), &heap);
    if (error)
        errno = -error;
    return heap;
}

NOINLINE int gc_heap_destroy(gc_heap *heap)
{
    if (!heap)
        return -EINVAL;
    if (heap->orphan || !MAY_PASS())
        return -EPERM;
    if (UNLIKELY(heap->strays != NULL) && gc_heap_current() == heap)
        gc_collect(); /* tells what is found last */
    return lifetime_end(heap, STACK_CALLER());
}

gc_heap *gc_heap_current(void)
{
    gc_thread *t = thread_self();
    return t ? t->heap : NULL;
}

const gc_options *gc_heap_options(const gc_heap *heap)
{
    return &heap->options;
}
