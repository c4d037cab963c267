/* Weak slots: words of objects that a trace function has named by gc_trace_weak() and
 * gc_trace_ephemerons(). Markers note them. When the deaths of a cycle are decided, what is dead is
 * taken out of them (I46). */
#ifndef GC_WEAKSLOT_H
#define GC_WEAKSLOT_H

#include "collector/mark.h"

/* The cycle's driver writes all of it; any thread reads `before`. */
struct weakslots {
    struct workbuf *taken; /* buffers of this cycle that weakslots_take has met */
    size_t before;         /* how many slots there were in the last cycle; atomic */
    uint8_t told;          /* that a trace function named none; atomic */
};

/* Whether the last cycle has met so few of them, at most. */
bool weakslots_are_few(gc_heap *heap, size_t few);

/* Calls fn for the slots that markers have found since the last call of weakslots_take. They
 * include all that was found when nothing is grey. */
void weakslots_each_new(gc_heap *heap, void (*fn)(void *arg, const struct weak_slots *s),
                        void *arg);
/* From now on what has been found is no longer new. */
void weakslots_take(gc_heap *heap);
/* Calls fn for all that is no longer new. */
void weakslots_each_taken(gc_heap *heap, void (*fn)(void *arg, const struct weak_slots *s),
                          void *arg);
bool weakslots_any_new(const gc_heap *heap);
/* Marks what they hold as if they were strong, and from now on what those hold that are found. */
void weakslots_keep(gc_heap *heap, struct marker *m);
INLINE bool weakslots_are_kept(const gc_heap *heap)
{
    return ptr_load_relaxed(&heap->marking->on_weak) == marker_keep_weak;
}
/* Takes what is unmarked out of weak slots, but not out of pairs (I49). */
void weakslots_part(gc_heap *heap);
/* Takes the dead out. After the cut, before DISARM. */
void weakslots_clear(gc_heap *heap);

#endif
