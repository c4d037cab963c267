/* Memory backed ahead of its use: where huge pages are wanted, a thread of the library's touches
 * what allocation is about to use for the first time, so that those who allocate do not wait while
 * the OS makes 2 MiB zero. */
#ifndef GC_BACKING_H
#define GC_BACKING_H

#include "mutator/handshake.h"

struct backing {
    struct os_thread thread;
    uint32_t started;  /* atomic: 1 once the thread runs */
    uint32_t stopping; /* atomic */
    uint32_t kicks;    /* futex of the thread: something to do */
};

/* mheap_upcalls.back_ahead */
void backing_kick(void *self);
/* Ends the thread. No mutator is attached. */
void backing_stop(gc_heap *heap);
void backing_after_fork_in_child(gc_heap *heap);

#endif
