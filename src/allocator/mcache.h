/* What one P owns of the heap (Go: mcache): a current span per span class, and runs.
 *
 * A run is a stretch of free cells that begin on one page. It belongs to one run index and is
 * prepared in bulk: its memory is zeroed or filled, the heap bits of its type or shape are written,
 * its alloc bits are set, and its mark bits too if the P allocates black (I8). After that an
 * allocation only moves the cursor in the public struct gc_run.
 *
 * Owner: the thread that holds the P; or the collector, while it has claimed the P. No locks.
 */
#ifndef GC_MCACHE_H
#define GC_MCACHE_H

#include "allocator/mcentral.h"
#include "memory/type.h"

struct mcache {
    struct mheap *heap;
    struct gc_run *runs; /* RUN_INDEXES of them, backed as they are touched */
    uint32_t sweepgen;   /* this P's view; with `black` and `sweeping` one tuple (I9) */
    bool black;          /* objects are allocated marked: from ROOTS to FLIP */
    bool sweeping;       /* unswept sets may be used: from FLIP to ARM (I13) */
    struct gc_span *current[SPANCLASS_COUNT];
    uint32_t nopen;             /* run indexes that have a run */
    uint16_t open[RUN_INDEXES]; /* those run indexes */
    struct mheap_store store;
    size_t unreported; /* bytes handed out that are not in the heap's counts yet */
    size_t returned;   /* bytes of rests given back that are not there yet */
    size_t unassisted; /* bytes that are there, but that pacing has not looked at */
    size_t unzeroed;   /* bytes of the newest object that its maker has to zero; see malloc.h */
    struct sampler sampler;
};

/* NULL: no memory. */
struct mcache *mcache_create(struct mheap *h);
/* The cache must be empty: mcache_flush was called. */
void mcache_destroy(struct mcache *c);

/* Whether the cell at `base` lies in the rest of a run of this cache and of that class. Such a cell
 * is free, though its alloc bit is set (I24). Any thread. */
bool mcache_keeps(const struct mcache *c, unsigned spanclass, uintptr_t base);

/* Gives run index `index` a new run from spans of `spanclass`. All its cells get these heap bits
 * (NULL: they have no references, or get their bits one by one). false: no memory. */
bool mcache_refill(struct mcache *c, unsigned index, unsigned spanclass,
                   const struct cell_bits *bits);

/* Writes what the slots of an object, of [object, end), hold at first. Its heap bits are there. */
void mcache_fill(struct mcache *c, const struct cell_fill *fill, uintptr_t object, uintptr_t end);

/* Takes a span for a large object; see malloc.c for its bits. NULL: no memory. */
struct gc_span *mcache_alloc_large(struct mcache *c, size_t npages, unsigned spanclass,
                                   bool *zeroed);

/* ARM: every span is swept; from now on the unswept sets are the next generation's. */
void mcache_arm(struct mcache *c);
/* ROOTS: blackens the rests of the runs, and allocates black from now on. */
void mcache_blacken(struct mcache *c);
/* FLIP: gives up all runs and spans as spans of the generation that ended, then takes on the new
 * tuple {white, sweepgen}. */
void mcache_flip(struct mcache *c, uint32_t sweepgen);
/* Gives up everything, in the current generation: the P will rest for long, or the heap is
 * inspected. */
void mcache_flush(struct mcache *c);

/* Adds what was handed out since the last report to the heap's counts. */
void mcache_report(struct mcache *c);

/* Bytes handed out since the last mcache_take_unassisted(), to any thread. */
INLINE size_t mcache_unassisted(const struct mcache *c)
{
    return c->unreported + c->unassisted;
}
/* The same. Reports them, and begins to count from 0. */
size_t mcache_take_unassisted(struct mcache *c);

#endif
