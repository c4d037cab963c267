/* The beginning of all public calls. */
#ifndef GC_ENTRY_H
#define GC_ENTRY_H

#include "mutator/self.h"
#include "mutator/thread.h"
#include <errno.h>

/* Refuses a call: errno becomes EPERM, and the log tells why, once for each thread and kind of
 * mistake. Returns NULL. `t` is the calling thread, NULL if it has no current heap. */
COLD gc_thread *entry_refuse(gc_thread *t, const char *call);
/* For a store by a thread that may not store; the caller stores without a barrier. The log tells so
 * likewise, if the old or the new value is a reference. `sp` is an address in the frame of the
 * public call. */
COLD void entry_refuse_store(const char *call, word old, word value, uintptr_t sp);
/* For a safepoint of a thread without a heap, which is allowed. The log tells of an open
 * GC_FRAME. */
COLD void entry_outside(void);
/* At the end of a blocking region: the log tells of frames that only began or only ended in it. */
void entry_check_frames(const gc_thread *t);
/* For a call that was given a handle of another heap (`foreign`), or one that was freed. errno
 * becomes EINVAL; the log tells so likewise. */
COLD void entry_refuse_handle(const gc_thread *t, const char *call, bool foreign);

/* For a call that was given an address outside of all objects. The log tells so likewise. */
COLD void entry_tell_no_object(const gc_thread *t, const char *call);

/* Returns the calling thread, which runs in its current heap, and notes the call for messages. NULL
 * with EPERM: it has no current heap, is in a blocking region, or runs a function that the
 * collector calls. */
INLINE gc_thread *entry_enter(const char *call)
{
    gc_thread *t = thread_self();
    if (UNLIKELY(!t || t->calls_back || state_of(u32_load_relaxed(&t->st)) != THREAD_RUN)) {
        entry_refuse(t, call);
        return NULL; /* what the compiler can see: so the caller need not save its arguments */
    }
    ptr_store_relaxed(&t->last_call, call);
    return t;
}
#define ENTER() entry_enter(__func__)

/* For calls that a thread may make without a heap and in a blocking region. false with EPERM in a
 * function that the collector calls. */
INLINE bool entry_may_pass(const char *call)
{
    gc_thread *t = thread_self();
    if (LIKELY(!self_is_called_back(t)))
        return true;
    entry_refuse(t, call);
    return false;
}
#define MAY_PASS() entry_may_pass(__func__)

/* Runs fn(arg), which may wait, or call a function of the embedder's that does: a thread that runs
 * is blocked meanwhile. Returns what fn returns. */
int entry_unheld(int (*fn)(void *arg), void *arg);

#endif
