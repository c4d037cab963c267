/* Sweeping frees what the cycle that ended did not mark, span by span, while mutators run (Go:
 * mgcsweep.go). Spans are swept by the background thread, by a P that needs a span of a class, by a
 * P that is about to take new pages, and by every allocation as far as the others lag behind. */
#ifndef GC_SWEEP_H
#define GC_SWEEP_H

#include "mutator/handshake.h"

/* Spans are swept only between sweep_begin() and the next sweep_prepare(). sweep_prepare closes
 * `open`, and then waits until `sweepers` is 0. A sweeper counts itself, and then looks at `open`
 * (I13). */
struct sweeping {
    uint32_t open;   /* FLIP is complete: every P has given up its spans. Atomic */
    uint32_t active; /* generation of which unswept spans may be left; 0: none. A thread that finds
                        none clears it. Atomic */
    uint32_t sweepers;                 /* threads that sweep; atomic */
    uint32_t class_cursor;             /* span classes before it have no unswept spans; atomic */
    word reclaim_cursor CACHE_ALIGNED; /* address up to which page_in_use was looked at; atomic */
    word reclaim_credit;               /* pages freed beyond what was asked for */
    word swept_pages, freed_pages;     /* since FLIP */
    u64 cpu_ns;                        /* total; atomic */
};

/* Claims and sweeps one span of any class. Returns its number of pages; 0: nothing is left to
 * claim. */
size_t sweep_one(gc_heap *heap);
/* Sweeps one span. If there is none to claim, lets the threads go on that sweep the last ones.
 * Returns whether every span is swept. */
bool sweep_step(gc_heap *heap);
/* Sweeps everything, and waits for other sweepers. FLIP must be complete. */
void sweep_finish(gc_heap *heap);
/* Before FLIP: ends sweeping. If it is not patient, it returns false while a sweeper is counted;
 * then it is called again. */
bool sweep_prepare(gc_heap *heap, bool patient);
/* Called when FLIP is complete. keep_none: no empty span stays with its class. */
void sweep_begin(gc_heap *heap, bool keep_none);
/* Whether every span is swept. */
bool sweep_is_done(const gc_heap *heap);

/* Functions for mheap_upcalls. */
struct gc_span *sweep_for_cells_upcall(void *self, unsigned spanclass, uint32_t sweepgen);
void sweep_reclaim_upcall(void *self, size_t npages);

#define SWEEP_FORK_RANKS 0
extern const struct fork_part sweep_fork;

#endif
