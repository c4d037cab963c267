/* The calling OS thread: its attachments to heaps, which one is current, and whether it runs a
 * function of the embedder that must not use the heap. */
#ifndef GC_SELF_H
#define GC_SELF_H

#include "mutator/mutators.h"

/* The calling OS thread's attachment to its current heap, or NULL. */
extern struct gc_fast self_unattached;
INLINE gc_thread *thread_self(void)
{
    struct gc_fast *fast = gc_self;
    return fast == &self_unattached ? NULL : CONTAINER_OF(fast, gc_thread, fast);
}
/* Sets the current heap. NULL: the thread has none any more. */
void self_set_current(gc_thread *t);

/* The runs of a thread that may not allocate: all are used up, and no thread writes to them. */
extern const struct gc_run self_no_runs[RUN_INDEXES];
#define SELF_NO_RUNS ((struct gc_run *)(uintptr_t)self_no_runs)

/* Called before a heap is made, by one thread at a time. `thread_ends` is called, perhaps several
 * times, when an OS thread ends that was ever attached. Returns 0, -ENOMEM, or -EAGAIN: all keys
 * are in use. */
int self_make_key(void (*thread_ends)(void));
/* The thread is ending, and the library's destructor will not detach it any more. */
bool self_is_in_last_rounds(void);

/* The calling OS thread's attachments, linked by next_attached. */
gc_thread *self_attachments(void);
gc_thread *self_attached_to(const gc_heap *heap);
/* false: no memory. That can happen only at a thread's first attachment. */
bool self_add(gc_thread *t);
void self_remove(gc_thread *t);
/* The attachment in which the calling OS thread counts as running; NULL: there is none. */
gc_thread *self_running(void);
/* I21: whether the calling OS thread runs in this heap at most (NULL: in none). Asserted wherever a
 * thread may wait for a heap. */
bool self_may_wait_for(const gc_heap *heap);

/* Between these calls the calling thread, attached or not, runs functions of the embedder that
 * must not use the heap. All public calls refuse it, and its runs cannot be reached. */
INLINE void self_thread_calls_back(gc_thread *self)
{
    if (self->calls_back++ == 0) {
        self->runs_meanwhile = self->fast.runs;
        self->fast.runs = SELF_NO_RUNS;
    }
}
INLINE gc_thread *self_calls_back(void)
{
    gc_thread *t = thread_self();
    if (t)
        self_thread_calls_back(t);
    return t;
}
INLINE void self_called_back(gc_thread *t)
{
    if (t && --t->calls_back == 0)
        t->fast.runs = t->runs_meanwhile;
}
/* The calling thread belongs to the collector. All functions of the embedder that it runs are of
 * that kind. */
void self_joins_collector(void);
/* Whether the calling thread, which is t if it has a current heap, runs such a function. */
bool self_is_called_back(const gc_thread *t);

#endif
