/* One span class's spans that no P caches: partial (have free slots) and full, each swept and
 * unswept (Go: mcentral). Which of two sets is "swept" follows from a sweep generation, and every
 * caller uses its own view of it, so that a P that has not yet acknowledged FLIP keeps filing its
 * spans among the old ones (I13). */
#ifndef GC_MCENTRAL_H
#define GC_MCENTRAL_H

#include "memory/span.h"
#include "memory/spanset.h"

struct mheap;
struct mcache;

struct mcentral {
    unsigned spanclass;
    word taken; /* spans that Ps took since the last FLIP; atomic */
    word keep;  /* empty spans that sweeping may yet leave here instead of freeing; atomic */
    struct spanset partial[2] CACHE_ALIGNED;
    struct spanset full[2];
};

void mcentral_init(struct mcentral *c, unsigned spanclass);

INLINE struct spanset *mcentral_swept(struct spanset sets[2], uint32_t sweepgen)
{
    return &sets[sweepgen / 2 % 2];
}
INLINE struct spanset *mcentral_unswept(struct spanset sets[2], uint32_t sweepgen)
{
    return &sets[1 - sweepgen / 2 % 2];
}

/* A span with free slots, cached (sweepgen + 3), for the P whose cache it is: swept ones first,
 * then by sweeping up to a budget of unswept ones, then new pages. NULL: no memory. */
struct gc_span *mcentral_cache_span(struct mheap *h, struct mcentral *c, struct mcache *cache);

/* A P gives up a cached span, in its own view; `stale`: in the generation that has just ended. */
void mcentral_uncache_span(struct mheap *h, struct gc_span *s, uint32_t sweepgen, bool stale);

/* Files a swept span, sweepgen in force, that its sweeper owns. */
void mcentral_file_swept(struct mheap *h, struct gc_span *s, uint32_t sweepgen);

/* FLIP is complete: as many empty spans as were taken in the cycle before may stay with the class,
 * which is likely to take them again; with `none`, none. */
void mcentral_begin_sweep(struct mcentral *c, bool none);
/* Whether one more empty span may stay. */
bool mcentral_keeps(struct mcentral *c);

/* Claims one unswept span of the class (sweepgen - 1), or NULL. */
struct gc_span *mcentral_claim_unswept(struct mheap *h, struct mcentral *c, uint32_t sweepgen);

#endif
