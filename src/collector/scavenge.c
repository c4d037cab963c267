#include "collector/scavenge.h"
#include "collector/pacing.h"

#define STEP_PAGES 256
#define STEP_PAUSE_NS (20 * 1000 * 1000)
/* What the heap needed in the last one to two windows, it is assumed to need again. */
#define WINDOW_NS ((uint64_t)5 * 1000 * 1000 * 1000)

/* Bytes of pages that are free and backed. *kept: bytes of structs of spans that were in use once,
 * which stay. */
static size_t idle_bytes(gc_heap *heap, size_t *kept)
{
    struct mheap *mem = &heap->mem;
    lock_acquire(&mem->lock);
    size_t pages = mem->pages.free_pages - mem->pages.scavenged_pages;
    *kept = mem->spans.kept * mem->spans.size;
    lock_release(&mem->lock);
    return pages << PAGE_SHIFT;
}

void scavenge_note_peak(gc_heap *heap, uint64_t now)
{
    struct scavenging *sc = heap->scavenging;
    uint64_t inuse = (uint64_t)word_load_relaxed(&heap->mem.counts.pages_inuse) << PAGE_SHIFT;
    if (now - sc->window_began > WINDOW_NS) {
        sc->previous_peak = now - sc->window_began > 2 * WINDOW_NS ? 0 : sc->peak;
        sc->peak = 0;
        sc->window_began = now;
    }
    sc->peak = MAX_OF(sc->peak, inuse);
}

/* Free, backed pages beyond what the heap will need. */
static size_t excess_pages(gc_heap *heap)
{
    const struct scavenging *sc = heap->scavenging;
    uint64_t goal = u64_load_relaxed(&heap->pacing->goal);
    if (goal == (word)UINT64_MAX)
        return 0;
    uint64_t limit = u64_load_relaxed(&heap->pacing->limit);
    uint64_t peak = MAX_OF(sc->peak, sc->previous_peak);
    uint64_t needed = MAX_OF(goal, limit ? MIN_OF(peak, limit) : peak);
    uint64_t keep = needed + needed / 10;
    size_t kept, idle = idle_bytes(heap, &kept);
    uint64_t have = (word_load_relaxed(&heap->mem.counts.pages_inuse) << PAGE_SHIFT) + idle + kept;
    return have > keep ? (size_t)MIN_OF(have - keep, (uint64_t)idle) >> PAGE_SHIFT : 0;
}

int64_t scavenge_step(gc_heap *heap)
{
    struct scavenging *sc = heap->scavenging;
    uint64_t now = os_now_ns();
    scavenge_note_peak(heap, now);
    if (now - sc->stepped < STEP_PAUSE_NS)
        return (int64_t)(sc->stepped + STEP_PAUSE_NS - now);
    size_t excess = excess_pages(heap);
    if (excess == 0 || mheap_scavenge(&heap->mem, MIN_OF(excess, (size_t)STEP_PAGES)) == 0)
        return -1;
    sc->stepped = now;
    return STEP_PAUSE_NS;
}

size_t scavenge_all(gc_heap *heap)
{
    return mheap_scavenge(&heap->mem, SIZE_MAX >> PAGE_SHIFT) << PAGE_SHIFT;
}
