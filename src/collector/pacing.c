#include "collector/pacing.h"

/* Publishes the pacer's results for threads that do not take the lock. */
static void publish_locked(struct pacing *p)
{
    LOCK_ASSERT_HELD(&p->lock);
    u64_store_relaxed(&p->goal, p->pacer.goal);
    u64_store_relaxed(&p->trigger, p->pacer.trigger);
    u64_store_relaxed(&p->live, p->pacer.live);
    u64_store_relaxed(&p->limit, p->pacer.limit);
    u8_store_relaxed(&p->limited, p->pacer.limited);
}

void pacing_init(gc_heap *heap)
{
    struct pacing *p = heap->pacing;
    const gc_options *o = &heap->options;
    lock_init(&p->lock, LOCK_PACING);
    lock_acquire(&p->lock);
    pacer_init(&p->pacer, o->percent, o->min_heap, o->limit);
    publish_locked(p);
    lock_release(&p->lock);
}

/* ---- For threads that allocate ---- */

uint64_t pacing_heap_live(const gc_heap *heap)
{
    const struct pacing *p = heap->pacing;
    return u64_load_relaxed(&p->live_offset) + mheap_allocated_bytes(&heap->mem) +
           u64_load_relaxed(&p->external_live);
}

bool pacing_is_due(const gc_heap *heap, size_t more)
{
    return pacing_heap_live(heap) + more >= u64_load_relaxed(&heap->pacing->trigger);
}

enum gc_cause pacing_cause(const gc_heap *heap)
{
    return u8_load_relaxed(&heap->pacing->limited) ? GC_CAUSE_LIMIT : GC_CAUSE_GOAL;
}

bool pacing_is_far_beyond(const gc_heap *heap, size_t more)
{
    return (pacing_heap_live(heap) + more) / 11 * 10 > u64_load_relaxed(&heap->pacing->goal);
}

uint64_t pacing_marking_due(const gc_heap *heap, uint64_t bytes, uint64_t marked)
{
    const struct pacing *p = heap->pacing;
    uint64_t live = u64_load_relaxed(&p->live);
    uint64_t expected = MAX_OF(live, u64_load_relaxed(&p->heap_before) / 2);
    uint64_t left = expected > marked ? expected - marked : expected / 20 + 1;
    double ratio =
        pacer_assist_ratio(live, u64_load_relaxed(&p->goal), pacing_heap_live(heap), left);
    return (uint64_t)((double)bytes * ratio);
}

uint64_t pacing_sweeping_due(const gc_heap *heap)
{
    const struct pacing *p = heap->pacing;
    return pacer_pages_swept(u64_load_relaxed(&p->trigger), u64_load_relaxed(&p->sweep_basis),
                             pacing_heap_live(heap), u64_load_relaxed(&p->sweep_pages));
}

void pacing_add_external(gc_heap *heap, ptrdiff_t all, ptrdiff_t live)
{
    u64_fetch_add_relaxed(&heap->mem.counts.external_bytes, (uint64_t)all);
    u64_fetch_add_relaxed(&heap->pacing->external_live, (uint64_t)live);
}

/* ---- The cycle ---- */

void pacing_cycle_begins(gc_heap *heap)
{
    struct pacing *p = heap->pacing;
    u64_store_relaxed(&p->heap_before, pacing_heap_live(heap));
    p->allocated_before = mheap_allocated_bytes(&heap->mem);
}

/* Memory that is not objects; it counts under a soft limit. */
static uint64_t overhead_bytes(const gc_heap *heap)
{
    size_t inuse = word_load_relaxed(&heap->mem.counts.pages_inuse) << PAGE_SHIFT;
    size_t live = mheap_live_bytes(&heap->mem);
    return inuse / 16 + (inuse > live ? inuse - live : 0) / 2;
}

/* What was marked lives. Of what was allocated black meanwhile, the same part is assumed to live as
 * of what was there before. */
static uint64_t estimate_live(uint64_t marked, uint64_t before, uint64_t allocated)
{
    double survives = before > 0 ? (double)MIN_OF(marked, before) / (double)before : 1;
    return marked + (uint64_t)(survives * (double)allocated);
}

void pacing_cycle_ended(gc_heap *heap, uint64_t marked)
{
    struct pacing *p = heap->pacing;
    lock_acquire(&p->lock);
    uint64_t ever = mheap_allocated_bytes(&heap->mem);
    uint64_t allocated = ever - p->allocated_before;
    /* Runs that were open before the cycle were counted as allocated, and a part was given back
     * since. */
    if (allocated > UINT64_MAX / 2)
        allocated = 0;
    uint64_t external = u64_load_relaxed(&p->external_live);
    uint64_t live = estimate_live(marked + external, p->heap_before, allocated);
    pacer_cycle_ended(&p->pacer, live, allocated);
    pacer_update(&p->pacer, overhead_bytes(heap));
    u64_store_relaxed(&p->live_offset, marked + allocated - ever);
    publish_locked(p);
    lock_release(&p->lock);
    u64_store_relaxed(&p->sweep_basis, pacing_heap_live(heap));
    u64_store_relaxed(&p->sweep_pages, word_load_relaxed(&heap->mem.counts.pages_inuse));
}

/* ---- Settings ---- */

static void retune_locked(gc_heap *heap)
{
    struct pacing *p = heap->pacing;
    LOCK_ASSERT_HELD(&p->lock);
    pacer_update(&p->pacer, overhead_bytes(heap));
    publish_locked(p);
}

int pacing_set_percent(gc_heap *heap, int percent)
{
    struct pacing *p = heap->pacing;
    lock_acquire(&p->lock);
    int before = p->pacer.percent;
    p->pacer.percent = percent;
    retune_locked(heap);
    lock_release(&p->lock);
    return before;
}

uint64_t pacing_set_limit(gc_heap *heap, uint64_t limit)
{
    struct pacing *p = heap->pacing;
    lock_acquire(&p->lock);
    uint64_t before = p->pacer.limit;
    p->pacer.limit = limit;
    retune_locked(heap);
    lock_release(&p->lock);
    return before;
}

void pacing_report(gc_heap *heap, struct gc_statistics *s)
{
    struct pacing *p = heap->pacing;
    lock_acquire(&p->lock);
    s->heap_marked = p->pacer.live;
    s->heap_goal = p->pacer.goal;
    lock_release(&p->lock);
    s->external = u64_load_relaxed(&heap->mem.counts.external_bytes);
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->pacing->lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->pacing->lock);
}

const struct fork_part pacing_fork = {PACING_FORK_RANKS, .seize = seize, .release = release};
