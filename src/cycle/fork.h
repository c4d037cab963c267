/* fork(). The process's heaps are known here, and three handlers are registered with the first.
 *
 * A heap made with GC_FORK_SAFE is at rest while the process forks: no cycle is under way, all is
 * swept, every mutator is held, and the forking thread has every lock; so the child finds nothing
 * half done. In the child the other threads have left, their Ps are idle, and the library's own
 * threads start anew when there is something for them to do. Other heaps go on in the child only if
 * nobody but the forking thread used them; else they are orphans, which no call enters. */
#ifndef GC_FORK_H
#define GC_FORK_H

#include "cycle/cycle.h"

/* 0, -ENOMEM, -EAGAIN. */
int fork_heap_created(gc_heap *heap);
/* The heap does not take part in forks any more. No effect for one that never did. */
void fork_heap_destroyed(gc_heap *heap);
/* Whether a word is a reference to what lies in some heap of the process, as far as can be told
 * without waiting. Any thread. */
bool fork_any_heap_contains(word value);

#endif
