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

/* Between these two calls the calling thread, attached or not, runs functions of the embedder that
 * must not use the heap. All public calls refuse it, and its runs cannot be reached. */
gc_thread *self_calls_back(void);
void self_called_back(gc_thread *t);
/* The calling thread belongs to the collector. All functions of the embedder that it runs are of
 * that kind. */
void self_joins_collector(void);
/* Whether the calling thread, which is t if it has a current heap, runs such a function. */
bool self_is_called_back(const gc_thread *t);

#endif
