/* The spans of one span class that no P caches: partial ones, which have free cells, and full ones;
 * swept and unswept (Go: mcentral). The sweep generation tells which of two sets is "swept". Every
 * caller goes by its own view of the generation. So a P that has not yet acknowledged FLIP files
 * its spans among the old ones (I13). */
#ifndef GC_MCENTRAL_H
#define GC_MCENTRAL_H

#include "allocator/mheap.h"

struct mcentral {
    unsigned spanclass;
    word taken;           /* spans that Ps took since the last FLIP; atomic */
    word keep;            /* empty spans that the sweep may still keep here; atomic */
    u64 allocated, freed; /* objects, since the heap was made; atomic */
    struct spanset partial[2] CACHE_ALIGNED;
    struct spanset full[2];
};

/* All of a heap. */
void mcentrals_init(struct mcentral centrals[SPANCLASS_COUNT]);

INLINE struct spanset *mcentral_swept(struct spanset sets[2], uint32_t sweepgen)
{
    return &sets[sweepgen / 2 % 2];
}
INLINE struct spanset *mcentral_unswept(struct spanset sets[2], uint32_t sweepgen)
{
    return &sets[1 - sweepgen / 2 % 2];
}

/* Finds a span with free cells and caches it (sweepgen + 3) for the P with that store and that
 * view. Takes swept spans first, then, if `sweeping`, sweeps unswept ones up to a budget, then
 * takes new pages. NULL: no memory. */
struct gc_span *mcentral_cache_span(struct mheap *h, struct mcentral *c, struct mheap_store *store,
                                    uint32_t sweepgen, bool sweeping);

/* A P gives up a cached span, by its own view of the generation. `stale`: the span belongs to the
 * generation that has just ended. */
void mcentral_uncache_span(struct mheap *h, struct gc_span *s, uint32_t sweepgen, bool stale);

/* Files a swept span that its sweeper owns. sweepgen is the generation in force. */
void mcentral_file_swept(struct mheap *h, struct gc_span *s, uint32_t sweepgen);

/* Called when FLIP is complete. The class may keep as many empty spans as it took in the cycle
 * before, because it is likely to take them again; with `none` it keeps none. */
void mcentral_begin_sweep(struct mcentral *c, bool none);
/* Whether the class keeps one more empty span. */
bool mcentral_keeps(struct mcentral *c);

/* Counts the objects that a sweep found dead. */
INLINE void mcentral_count_freed(struct mcentral *c, size_t n)
{
    u64_fetch_add_relaxed(&c->freed, n);
}
/* Objects of a size class since the heap was made. Those that were taken from a span are counted
 * when no P caches the span any more. Neither number ever becomes less. */
struct class_objects {
    uint64_t allocated, freed; /* freed <= allocated */
};
/* Any thread. */
void mcentral_objects(const struct mheap *h, struct class_objects classes[SIZECLASS_COUNT]);

/* Claims one unswept span of the class (sweepgen - 1), or NULL. */
struct gc_span *mcentral_claim_unswept(struct mheap *h, struct mcentral *c, uint32_t sweepgen);

#endif
