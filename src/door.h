/* What all public calls begin with. */
#ifndef GC_DOOR_H
#define GC_DOOR_H

#include "thread.h"
#include <errno.h>

/* The calling thread, running in its current heap; notes the call for messages. NULL with EPERM
 * when it is attached to none or blocked. */
INLINE gc_thread *door_enter(const char *call)
{
    gc_thread *t = thread_self();
    if (UNLIKELY(!t || t->blocking)) {
        errno = EPERM;
        return NULL;
    }
    ptr_store_relaxed(&t->last_call, call);
    return t;
}
#define ENTER() door_enter(__func__)

#endif
