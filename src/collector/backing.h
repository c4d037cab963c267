/* Memory is backed ahead of its use, where huge pages are wanted. One of the library's threads
 * touches what allocation is about to use for the first time. So a thread that allocates does not
 * wait while the OS zeroes 2 MiB. */
#ifndef GC_BACKING_H
#define GC_BACKING_H

#include "base/service.h"
#include "mutator/handshake.h"

struct backing {
    struct service service;
};

void backing_init(gc_heap *heap);

/* mheap_upcalls.back_ahead */
void backing_kick(void *self);
/* Ends the thread. No mutator is attached. */
void backing_stop(gc_heap *heap);

#define BACKING_FORK_RANKS 0
extern const struct fork_part backing_fork;

#endif
