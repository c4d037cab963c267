/* All heaps of the process. */
#ifndef GC_HEAPS_H
#define GC_HEAPS_H

#include "mutator/heap.h"

/* Takes the lock of the list. The calling thread is blocked until heaps_leave(), because a forking
 * thread holds the lock and waits for mutators. Returns what heaps_leave() needs. */
gc_thread *heaps_enter(void);
void heaps_leave(gc_thread *t);
void heaps_add_locked(gc_heap *heap);
/* Takes a heap out of the list, if it is there. */
void heaps_remove_locked(gc_heap *heap);

/* Whether a word is a reference into some heap of the process, as far as that can be told without
 * waiting. Any thread. */
bool heaps_any_contains(word value);

#define HEAPS_FORK_RANKS LOCK_BIT(LOCK_HEAPS)
extern const struct fork_part heaps_fork;
/* The first heap of the list, linked by next_heap. The lock is held or seized. */
gc_heap *heaps_first_locked(void);

#endif
