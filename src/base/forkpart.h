/* A module's part of fork(), for each heap made with GC_FORK_SAFE. cycle/fork.c has the list of all
 * parts, in the order of their ranks.
 *
 * seize: in the parent, before the fork. Waits until nothing of the module is half done, and takes
 * its locks. The parts before it are already seized in all heaps. The cycle's part holds the world.
 *
 * forget: in the child, after the fork, while the module's locks are still seized. Forgets the
 * other threads, which are gone: what they had, and what they waited for.
 *
 * release: in parent and child, after the fork. Undoes seize; parts are released in reverse order.
 *
 * A function may be NULL. A part that belongs to the process, and not to a heap, is called once,
 * with NULL. */
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
