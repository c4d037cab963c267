/* Gives free pages back to the OS, beyond 110 % of what the heap will need: its goal, or what it
 * used in the last seconds if that was more. A page that is given back and needed again costs a
 * fault. (Go: mgcscavenge.go) */
#ifndef GC_SCAVENGE_H
#define GC_SCAVENGE_H

#include "mutator/handshake.h"

/* Owner: the background thread, under cycle.lock. The driver of a cycle notes the peak. */
struct scavenging {
    uint64_t window_began;
    uint64_t peak, previous_peak; /* bytes of spans, in this window and in the last */
    uint64_t stepped;             /* os_now_ns of the last step that gave something */
};

/* Called when a cycle is about to free memory. What is in use now is assumed to be needed again. */
void scavenge_note_peak(gc_heap *heap, uint64_t now);
/* Gives a little back if it is time. Returns the ns until there is more to do; -1: there is
 * nothing. Background thread. */
int64_t scavenge_step(gc_heap *heap);
/* Gives back all free pages. Returns the number of bytes. */
size_t scavenge_all(gc_heap *heap);

#endif
