/* Free pages back to the system, beyond 110 % of what the heap is going to need: its goal, or what
 * it used in the last seconds if that was more. A page that is given back and needed again costs a
 * fault. (Go: mgcscavenge.go) */
#ifndef GC_SCAVENGE_H
#define GC_SCAVENGE_H

#include "mutator/handshake.h"

/* The background thread's, but for the peak, which the driver of a cycle notes; under
 * cycle.lock. */
struct scavenging {
    uint64_t window_began;
    uint64_t peak, previous_peak; /* bytes of spans, in this window and in the last */
    uint64_t stepped;             /* os_now_ns of the last step that gave something */
};

/* A cycle is about to free memory: what is in use now is needed again, as far as anyone knows. */
void scavenge_note_peak(gc_heap *heap, uint64_t now);
/* Gives a little back if it is time: ns until there is more to do; -1: there is nothing. Background
 * thread. */
int64_t scavenge_step(gc_heap *heap);
/* All free pages; bytes given. */
size_t scavenge_all(gc_heap *heap);

#endif
