#include "scavenge.h"
#include "collector.h"

#define STEP_PAGES 256

static size_t idle_bytes(gc_heap *heap)
{
    struct mheap *mem = &heap->mem;
    lock_acquire(&mem->lock);
    size_t pages = mem->pages.free_pages - mem->pages.scavenged_pages;
    lock_release(&mem->lock);
    return pages << PAGE_SHIFT;
}

size_t scavenge_excess(gc_heap *heap)
{
    uint64_t goal = word_load_relaxed(&heap->collector->goal);
    if (goal == (word)UINT64_MAX)
        return 0;
    size_t idle = idle_bytes(heap);
    size_t inuse = word_load_relaxed(&heap->mem.counts.pages_inuse) << PAGE_SHIFT;
    uint64_t keep = goal + goal / 10;
    uint64_t have = (uint64_t)inuse + idle;
    return have > keep ? MIN_OF((size_t)(have - keep), idle) : 0;
}

bool scavenge_step(gc_heap *heap)
{
    size_t excess = scavenge_excess(heap) >> PAGE_SHIFT;
    return excess > 0 && mheap_scavenge(&heap->mem, MIN_OF(excess, (size_t)STEP_PAGES)) > 0;
}

size_t scavenge_all(gc_heap *heap)
{
    return mheap_scavenge(&heap->mem, SIZE_MAX >> PAGE_SHIFT) << PAGE_SHIFT;
}
