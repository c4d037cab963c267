#include "collector/owned.h"
#include "collector/weak.h"
#include <errno.h>

gc_fiber *owned_create(gc_thread *t, const void *object)
{
    struct special *owner = weak_new(t->heap, object);
    if (!owner)
        return NULL;
    gc_fiber *f = fiber_create(t, owner);
    if (f)
        return f;
    weak_free(owner);
    errno = ENOMEM;
    return NULL;
}

/* I57: if the thread will have to scan the fiber, the driver of the cycle learns of it before the
 * thread takes the fiber. */
int owned_switch(gc_thread *t, gc_fiber *fiber, uintptr_t caller)
{
    uintptr_t owner = 0;
    if (fiber && fiber->owner && fiber != t->fiber) {
        owner = (uintptr_t)weak_get(t, fiber->owner);
        if (!owner)
            return -EINVAL;
        if (t->phase == PHASE_MARK && !fiber_is_scanned(fiber))
            weak_announce(t);
    }
    return fiber_switch(t, fiber, owner, caller) ? 0 : -EBUSY;
}

int owned_destroy(gc_thread *t, gc_fiber *fiber)
{
    struct special *owner = fiber->owner;
    int error = fiber_destroy(t, fiber);
    if (!error && owner)
        weak_free(owner);
    return error;
}
