/* Sweeping: what the cycle that ended did not mark becomes free, span by span, while mutators run.
 * Drivers: the background thread, an allocating P that needs a span of a class, page reclaim before
 * the heap grows, and credit that every allocation earns. (Go: mgcsweep.go) */
#ifndef GC_SWEEP_H
#define GC_SWEEP_H

#include "mutator/handshake.h"

/* Nobody sweeps but between sweep_begin() and the next sweep_prepare(): sweep_prepare closes `open`
 * and then waits until `sweepers` is 0; a sweeper counts itself and then looks at `open` (I13). */
struct sweeping {
    uint32_t open;         /* FLIP is complete: every P has given up its spans. Atomic */
    uint32_t active;       /* generation of which unswept spans may be left; 0: none. Cleared by
                              whoever finds none. Atomic */
    uint32_t sweepers;     /* threads that sweep; atomic */
    uint32_t class_cursor; /* span classes before it have no unswept spans; atomic */
    word reclaim_cursor CACHE_ALIGNED; /* address up to which page_in_use was looked at; atomic */
    word reclaim_credit;               /* pages freed beyond what was asked for */
    word swept_pages, freed_pages;     /* since FLIP */
    uint64_t cpu_ns;                   /* ever; atomic */
};

/* Claims and sweeps one span of any class; pages it had, 0: nothing left to claim. */
size_t sweep_one(gc_heap *heap);
/* Sweeps everything, and waits for those who sweep. FLIP is complete. */
void sweep_finish(gc_heap *heap);
/* Before FLIP: ends sweeping. Not patient: false if somebody is still counted; it is called again
 * then. */
bool sweep_prepare(gc_heap *heap, bool patient);
/* When FLIP is complete. */
void sweep_begin(gc_heap *heap);
/* Whether every span is swept. */
bool sweep_is_done(const gc_heap *heap);

/* mheap_upcalls. */
struct gc_span *sweep_for_slots_upcall(void *self, unsigned spanclass, uint32_t sweepgen);
void sweep_reclaim_upcall(void *self, size_t npages);

#endif
