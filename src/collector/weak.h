/* Weak references: when they may be read, and when an object is dead for all their readers.
 *
 * A weak read is the only way to an object that marking has not protected. Weak reads, and the
 * decision that what is unmarked is dead, go through one word (after Ugawa, Jones and Ritson):
 *   TRACING  marking goes on, as far as weak reads are concerned
 *   REPEAT   a thread has read a weak reference to an unmarked object, and shades the object
 *   PARTING  the objects are found that are to be finalized in this cycle, and weak references to
 *            what is unmarked are cleared (I49). A reader of something unmarked waits
 *   CUT      the deaths of this cycle are decided: what is unmarked is dead
 * A reader changes TRACING to REPEAT. The cycle's driver makes all other changes, such as TRACING
 * to CUT.
 */
#ifndef GC_WEAK_H
#define GC_WEAK_H

#include "collector/special.h"

enum weak_state { WEAK_TRACING, WEAK_REPEAT, WEAK_PARTING, WEAK_CUT };

struct weaks {
    uint32_t state; /* enum weak_state; atomic */
    bool parted;    /* in this cycle; the driver's, as all below */
    bool told_late; /* the log tells of a marked callback that traces what is dead */
    uint64_t asked; /* how often marked callbacks have marked more in this cycle */
};

void weak_init(gc_heap *heap);

/* ---- gc_weak ---- */

/* NULL with errno. */
struct special *weak_new(gc_heap *heap, const void *object);
void *weak_get(gc_thread *t, struct special *weak);
/* Any thread, attached or not. */
void weak_free(struct special *weak);

/* Called by a thread in PHASE_MARK that is about to shade what it has found over something weak. If
 * the deaths of the cycle are not decided yet, they will not be before the thread has acknowledged
 * another wave. false: they are. */
bool weak_announce(const gc_thread *t);

/* ---- Tables ---- */

/* weak_hold() in PHASE_MARK. */
bool weak_hold_marking(gc_thread *t, uintptr_t object);
/* What a weak slot holds, or 0 if that is dead. */
word weak_load(gc_thread *t, const slot_word *slot);
/* Called when a thread has found a reference to `object` in a table since its last safepoint. true:
 * the thread may keep the reference; false: the object is dead.
 * Invariant: weak_clear has taken out all dead keys before DISARM begins, and nothing dies from
 * then until ROOTS is complete in the next cycle. So only a thread in PHASE_MARK has to look. */
INLINE bool weak_hold(gc_thread *t, uintptr_t object)
{
    return LIKELY(t->phase != PHASE_MARK) || weak_hold_marking(t, object);
}

/* ---- The cycle ---- */

/* Called when nothing grey is left. Decides the deaths of this cycle (true), or finds more to mark
 * (false). With `calls`, asks the marked callbacks; the world is held (I51). */
bool weak_cut(gc_heap *heap, struct marker *m, bool calls);
/* Whether the cycle, which has had so many FLUSH waves, is to call weak_give_up after each one from
 * now on. If weak reads do not disturb it, it has a few. */
#define WEAK_PATIENCE 16
bool weak_is_tired(const gc_heap *heap, uint64_t waves);
/* Marks all that weak references, weak slots, maps and intern tables hold, as if they were strong.
 * Then a weak read finds nothing unmarked, and the cycle ends even if many threads go on reading. A
 * marker that does not know of it yet may find weak slots; what these hold is marked the next
 * time. */
void weak_give_up(gc_heap *heap, struct marker *m);
/* After the cut, before DISARM: takes what is dead out of weak slots, maps and intern tables, and
 * the external bytes of dead objects out of their count. */
void weak_clear(gc_heap *heap);
/* Called when FLIP is complete. */
void weak_flipped(gc_heap *heap);

#endif
