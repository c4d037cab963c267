/* The cycle: the only writer of the phase. See docs/architecture.md for the picture and
 * docs/invariants.md for the proof.
 *
 *   IDLE -> ARM -> ROOTS -> MARK (with FLUSH waves) -> CUT -> DISARM -> FLIP -> IDLE
 *
 * Whoever holds collector.lock drives: the background thread, or a mutator in the blocked state. */
#ifndef GC_CYCLE_H
#define GC_CYCLE_H

#include "collector.h"

/* 0 or a negative errno, nothing held. */
int cycle_init(gc_heap *heap);
/* Stops the library's threads; no mutator is attached. */
void cycle_destroy(gc_heap *heap);

/* At an allocation's safepoint (of `more` bytes, if it is large), when the thread's P has handed
 * out something worth a look: starts a cycle, assists one, sweeps. */
void cycle_pace(gc_heap *heap, gc_thread *t, size_t more);
/* Collects everything that is unreachable now, and sweeps it; the thread blocks meanwhile. */
void cycle_collect(gc_heap *heap, gc_thread *t);
/* The same with a second marking; *missed: what the first one missed. */
void cycle_collect_verified(gc_heap *heap, gc_thread *t, unsigned *missed);
/* Asks for a cycle. Any thread. */
void cycle_request(gc_heap *heap);
/* The pacer as it is; and new settings for it (percent, limit). */
struct pacer cycle_pacer(gc_heap *heap);
void cycle_retune(gc_heap *heap, const struct pacer *settings);
/* What gc_stats says of cycles. */
void cycle_report(gc_heap *heap, struct gc_statistics *s);
/* Runs fn with the world held and no cycle under way; the calling thread is blocked meanwhile. */
void cycle_with_world_held(gc_heap *heap, gc_thread *t, void (*fn)(gc_heap *, void *), void *arg);

#endif
