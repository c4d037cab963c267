/* The calling OS thread: its attachment to its current heap, and whether it runs a function of the
 * embedder that must not use the heap. */
#ifndef GC_SELF_H
#define GC_SELF_H

#include "mutator/thread.h"

/* The calling OS thread's attachment to its current heap, or NULL. */
extern struct gc_fast self_unattached;
INLINE gc_thread *thread_self(void)
{
    struct gc_fast *fast = gc_self;
    return fast == &self_unattached ? NULL : CONTAINER_OF(fast, gc_thread, fast);
}

/* Between the two the calling thread, which may be attached, runs functions of the embedder that
 * must not use the heap: no public call lets it in, and its runs are out of reach. */
gc_thread *self_calls_back(void);
void self_called_back(gc_thread *t);
/* The calling thread is one of the collector's: whatever functions of the embedder it runs are such
 * ones. */
void self_joins_collector(void);
/* Whether the calling thread, which is t if it has a current heap, runs such a function. */
bool self_is_called_back(const gc_thread *t);

#endif
