/* Weak references: who may read them, and when an object is dead to all who do.
 *
 * Weak reads are the only way to an object that marking has not protected. They and the decision
 * that what is unmarked is dead go through one word (after Ugawa, Jones and Ritson):
 *   TRACING  marking goes on as far as weak reads are concerned
 *   REPEAT   somebody read a weak reference to an unmarked object, and shaded the object
 *   CUT      the deaths of this cycle are decided: what is unmarked is dead
 * TRACING -> REPEAT by a reader, TRACING -> CUT and all others by the cycle's driver.
 */
#ifndef GC_WEAK_H
#define GC_WEAK_H

#include "collector/special.h"

enum weak_state { WEAK_TRACING, WEAK_REPEAT, WEAK_CUT };

struct weaks {
    uint32_t state; /* enum weak_state; atomic */
};

void weak_init(gc_heap *heap);

/* ---- Cells: gc_weak ---- */

/* NULL with errno. */
struct special *weak_new(gc_heap *heap, const void *object);
void *weak_get(gc_thread *t, struct special *weak);
/* Any thread, attached or not. */
void weak_free(struct special *weak);

/* ---- Tables ---- */

/* A thread has found a reference to `object` in a table, whose lock it holds. true: the thread may
 * keep it; false: the object is dead. */
bool weak_hold(gc_thread *t, uintptr_t object);

/* ---- The cycle ---- */

/* Nothing grey is left: decides the deaths of this cycle (true), or finds more to mark (false). */
bool weak_cut(gc_heap *heap, struct marker *m);
/* FLUSH waves in one cycle after which it gives up. A cycle that is left in peace has a few. */
#define WEAK_PATIENCE 16
/* Marks all that weak references, maps and intern tables hold, as if they were strong: there is
 * nothing left then that a weak read could find unmarked, so the cycle ends, however many threads
 * go on reading. */
void weak_give_up(gc_heap *heap, struct marker *m);
/* After the cut, before DISARM: forgets what died where the sweep does not. */
void weak_clear(gc_heap *heap);
/* FLIP is complete. */
void weak_flipped(gc_heap *heap);

#endif
