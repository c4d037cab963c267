/* Threads come to heaps, turn from one to another, and leave. */
#ifndef GC_ATTACH_H
#define GC_ATTACH_H

#include "mutator/heap.h"

/* Before a heap is made; one thread at a time. 0; -EAGAIN: all keys are in use; -ENOMEM. */
int attach_make_key(void);

/* The calling OS thread attaches. 0; -EEXIST, -ENOMEM, -EPERM: an orphan, or the thread has all but
 * ended. Like attach_switch() it leaves the current heap, in which the thread then counts as
 * blocked at `caller`: the STACK_CALLER() of the public call. */
int attach_begin(gc_heap *heap, uintptr_t caller);
/* The current attachment ends; -EBUSY with open frames or a running fiber, unless forced. */
int attach_end(gc_thread *t, bool force);
int attach_switch(gc_heap *heap, uintptr_t caller);
/* The calling OS thread leaves every heap; what its frames held is gone. */
void attach_end_all(void);

/* If the thread has ended while it was attached, in a way that left nobody to detach it, it is
 * detached on its behalf (I28). Whether that was done. Any thread that holds no lock from
 * LOCK_REGISTRY on. */
bool attach_bury(gc_thread *t);
/* All threads of the heap that have ended so, but for those that are claimed. */
void attach_bury_all(gc_heap *heap);

/* Whether threads other than the calling one are attached. For the child of a fork: no lock. */
bool attach_has_others(const gc_heap *heap);
/* In the child of a fork: the other threads are gone. World held, by a thread since gone. */
void attach_after_fork_in_child(gc_heap *heap);
/* The calling thread's attachments to orphans end. */
void attach_end_orphans(void);

#endif
