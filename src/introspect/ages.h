/* The switch "ages" of GCHEAP_DEBUG: how much a generational collector could save at most. Of what
 * each cycle marked, how much had the cycle before marked, which a minor cycle would not mark
 * again? Of what died, how much was young, that is, made since the cycle before ended its marking?
 */
#ifndef GC_AGES_H
#define GC_AGES_H

#include "mutator/heap.h"

struct age_count {
    uint64_t objects, bytes;
};

/* Sums over all cycles. The cycle's driver writes them. */
struct ages {
    uint64_t cycles;
    struct age_count marked; /* by marking; not what was born black */
    struct age_count again;  /* of these, marked by the cycle before, too */
    struct age_count died, died_young;
    uint64_t counting_ns; /* CPU time of the counting itself */
    bool incomplete;      /* no memory for a map; objects count as young */
};

/* Counts, if the switch is on. The cycle's driver calls it when marking has ended, before
 * DISARM. */
void ages_after_mark(gc_heap *heap, struct ages *ages);
/* Writes the sums to the log, if the switch is on. `mark_ns`: CPU time of all cycles, the
 * counting included. No thread uses the heap any more. */
void ages_tell(const gc_heap *heap, const struct ages *ages, uint64_t mark_ns);

#endif
