/* A module's part of fork(), for each heap made with GC_FORK_SAFE. cycle/fork.c has the list of all
 * parts, in the order of their ranks.
 *
 * seize: the parent, before. Waits until nothing of the module is half done, and takes its locks.
 *   The parts before it are seized in all heaps, and the world is held from the first part on.
 * forget: the child, after. The module's locks are still seized. Other threads are gone, so what
 * they had, or waited for, is nobody's. release: parent and child, after. Undoes seize, in the
 * reverse order.
 *
 * A function may be NULL. A part of the process, not of a heap, is called once, with NULL. */
#ifndef GC_FORKPART_H
#define GC_FORKPART_H

#include "gcheap.h"
#include "base/lock.h"

struct fork_part {
    uint32_t ranks; /* LOCK_BIT() of each lock that it seizes */
    bool of_process;
    void (*seize)(gc_heap *heap);
    void (*forget)(gc_heap *heap);
    void (*release)(gc_heap *heap);
};

#endif
