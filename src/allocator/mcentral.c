#include "allocator/mcentral.h"

static void init(struct mcentral *c, unsigned spanclass)
{
    c->spanclass = spanclass;
    for (int i = 0; i < 2; i++) {
        spanset_init(&c->partial[i]);
        spanset_init(&c->full[i]);
    }
}

void mcentrals_init(struct mcentral centrals[SPANCLASS_COUNT])
{
    for (unsigned i = 0; i < SPANCLASS_COUNT; i++)
        init(&centrals[i], i);
}

static void push(struct mheap *h, struct spanset *set, struct gc_span *s)
{
    /* A set that cannot grow must not lose a span. If there is no memory for 2 KiB, the heap is at
     * its end; but the sweeper must still find what it holds. */
    while (!spanset_push(set, &h->pool, s))
        os_sleep_ns(1000 * 1000);
}

static bool has_free(const struct gc_span *s)
{
    return s->live < s->ncells;
}

/* Takes a swept span (sweepgen) for a P (sweepgen + 3). false: a sweeper of the next generation has
 * claimed it. */
static bool cache_swept(struct gc_span *s, uint32_t sweepgen)
{
    return u32_cas_acquire(&s->sweepgen, sweepgen, sweepgen + 3);
}

static struct gc_span *pop_swept(struct mheap *h, struct mcentral *c, uint32_t sweepgen)
{
    struct spanset *set = mcentral_swept(c->partial, sweepgen);
    struct gc_span *s;
    while ((s = spanset_pop(set, &h->pool)) != NULL) {
        if (cache_swept(s, sweepgen))
            return s;
    }
    return NULL;
}

static struct gc_span *claim(struct mheap *h, struct spanset *set, uint32_t sweepgen)
{
    struct gc_span *s;
    while ((s = spanset_pop(set, &h->pool)) != NULL) {
        if (u32_cas_acquire(&s->sweepgen, sweepgen - 2, sweepgen - 1))
            return s;
    }
    return NULL;
}

struct gc_span *mcentral_claim_unswept(struct mheap *h, struct mcentral *c, uint32_t sweepgen)
{
    struct gc_span *s = claim(h, mcentral_unswept(c->partial, sweepgen), sweepgen);
    return s ? s : claim(h, mcentral_unswept(c->full, sweepgen), sweepgen);
}

/* The sweeper owns the span (sweepgen - 1) and leaves it to the caller, which caches it. */
static struct gc_span *sweep_for_cells(struct mheap *h, struct mcentral *c, uint32_t sweepgen)
{
    struct gc_span *s = h->up.sweep_for_cells(h->up.self, c->spanclass, sweepgen);
    if (s)
        u32_store_relaxed(&s->sweepgen, sweepgen + 3);
    return s;
}

static struct gc_span *fresh(struct mheap *h, struct mcentral *c, struct mheap_store *store,
                             uint32_t sweepgen, bool sweeping)
{
    bool zeroed;
    size_t npages = sizeclass_table[spanclass_size(c->spanclass)].npages;
    if (sweeping)
        h->up.reclaim(h->up.self, npages);
    return mheap_alloc_span(h, store, npages, c->spanclass, sweepgen + 3, &zeroed);
}

struct gc_span *mcentral_cache_span(struct mheap *h, struct mcentral *c, struct mheap_store *store,
                                    uint32_t sweepgen, bool sweeping)
{
    stress(STRESS_CACHE_SPAN);
    word_fetch_add_relaxed(&c->taken, 1);
    struct gc_span *s = pop_swept(h, c, sweepgen);
    if (!s && sweeping)
        s = sweep_for_cells(h, c, sweepgen);
    if (!s)
        s = fresh(h, c, store, sweepgen, sweeping);
    return s;
}

void mcentral_begin_sweep(struct mcentral *c, bool none)
{
    word taken = word_exchange_relaxed(&c->taken, 0);
    word_store_relaxed(&c->keep, none || spanclass_size(c->spanclass) == 0 ? 0 : taken);
}

bool mcentral_keeps(struct mcentral *c)
{
    word keep = word_load_relaxed(&c->keep);
    while (keep > 0 && !word_cas_relaxed(&c->keep, keep, keep - 1))
        keep = word_load_relaxed(&c->keep);
    return keep > 0;
}

/* The caller owns the span, and no run ends in it. */
static void count_allocated(struct mcentral *c, struct gc_span *s)
{
    if (s->live != s->counted)
        u64_fetch_add_relaxed(&c->allocated, s->live - s->counted);
    s->counted = s->live;
}

/* The counts are relaxed: a death may be seen before the birth. */
void mcentral_objects(const struct mheap *h, struct class_objects classes[SIZECLASS_COUNT])
{
    memset(classes, 0, SIZECLASS_COUNT * sizeof *classes);
    for (unsigned i = 0; i < SPANCLASS_COUNT; i++) {
        struct class_objects *sum = &classes[spanclass_size(i)];
        sum->freed += u64_load_relaxed(&h->centrals[i].freed);
        sum->allocated += u64_load_relaxed(&h->centrals[i].allocated);
    }
    for (unsigned i = 0; i < SIZECLASS_COUNT; i++)
        classes[i].freed = MIN_OF(classes[i].freed, classes[i].allocated);
}

void mcentral_file_swept(struct mheap *h, struct gc_span *s, uint32_t sweepgen)
{
    struct mcentral *c = &h->centrals[s->spanclass];
    struct spanset *sets = has_free(s) && !span_is_large(s) ? c->partial : c->full;
    count_allocated(c, s);
    u32_store_release(&s->sweepgen, sweepgen);
    push(h, mcentral_swept(sets, sweepgen), s);
}

void mcentral_uncache_span(struct mheap *h, struct gc_span *s, uint32_t sweepgen, bool stale)
{
    struct mcentral *c = &h->centrals[s->spanclass];
    struct spanset *sets = s->next_cell < s->ncells ? c->partial : c->full;
    ASSERT(s->open_runs == 0);
    count_allocated(c, s);
    stress(STRESS_UNCACHE);
    u32_store_release(&s->sweepgen, stale ? sweepgen - 2 : sweepgen);
    push(h, stale ? mcentral_unswept(sets, sweepgen) : mcentral_swept(sets, sweepgen), s);
}
