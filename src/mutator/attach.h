/* How threads attach to heaps, switch from one to another, and leave. */
#ifndef GC_ATTACH_H
#define GC_ATTACH_H

#include "mutator/heap.h"

/* The most C stack that a public call needs, without the embedder's callbacks; a thread with less
 * cannot attach. i386 has few registers; on s390x and POWER each frame begins with an area for
 * registers. */
#if defined(__s390x__) || defined(__powerpc64__)
#define ATTACH_STACK_NEEDED ((uintptr_t)16 << 10)
#else
#define ATTACH_STACK_NEEDED ((uintptr_t)(WORD_BITS == 64 ? 13 : 16) << 10)
#endif

/* Called before a heap is made, by one thread at a time. Returns 0, -ENOMEM, or -EAGAIN: all keys
 * are in use. */
int attach_make_key(void);

/* Returns 0, -EEXIST, -ENOMEM, or -EPERM: the heap is an orphan, or the thread has all but
 * ended. */
int attach_begin(gc_heap *heap, uintptr_t caller);
/* Ends the current attachment. -EBUSY: there are open frames or a running fiber, and it is not
 * forced. */
int attach_end(gc_thread *t, bool force);
int attach_switch(gc_heap *heap, uintptr_t caller);
/* Detaches the calling OS thread from every heap. What its frames held is not held any more. */
void attach_end_all(void);

/* Detaches a thread that has ended while it was attached, if no destructor has done so (I28).
 * Returns whether it did. Any thread that holds no lock from LOCK_REGISTRY on. */
bool attach_reap(gc_thread *t);
/* The same for all threads of the heap that have ended so, except for claimed ones. */
void attach_reap_all(gc_heap *heap);

/* Whether threads other than the calling one are attached. For the child of a fork, so it takes no
 * lock. */
bool attach_has_others(const gc_heap *heap);
#define ATTACH_FORK_RANKS 0
extern const struct fork_part attach_fork;
/* In the child of a fork, for the calling thread: its attachments to orphans end, and it begins a
 * life of its own in the others. */
void attach_go_on_in_child(void);

#endif
