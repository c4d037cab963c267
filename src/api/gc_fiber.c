/* Fibers. */
#include "api/entry.h"
#include "collector/owned.h"

gc_fiber *gc_fiber_create(void)
{
    gc_thread *t = ENTER();
    return t ? fiber_create(t, NULL) : NULL;
}

gc_fiber *gc_fiber_create_for(void *owner)
{
    gc_thread *t = ENTER();
    return t ? owned_create(t, owner) : NULL;
}

/* Whether it is a fiber of the thread's current heap. */
static bool is_fiber(const gc_thread *t, const gc_fiber *fiber)
{
    return fiber && fiber->heap == t->heap;
}

static int switch_fiber(gc_thread *t, gc_fiber *fiber, uintptr_t caller)
{
    return fiber && !is_fiber(t, fiber) ? -EINVAL : owned_switch(t, fiber, caller);
}

NOINLINE gc_fiber *gc_fiber_switch(gc_fiber *fiber)
{
    gc_thread *t = ENTER();
    if (!t)
        return NULL;
    gc_fiber *before = t->fiber;
    errno = -switch_fiber(t, fiber, STACK_CALLER());
    return before;
}

gc_fiber *gc_fiber_current(void)
{
    gc_thread *t = ENTER();
    return t ? t->fiber : NULL;
}

int gc_fiber_destroy(gc_fiber *fiber)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    return is_fiber(t, fiber) ? owned_destroy(t, fiber) : -EINVAL;
}

int gc_fiber_stack(gc_fiber *fiber, const void *low, const void *high)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!is_fiber(t, fiber) || (uintptr_t)low > (uintptr_t)high)
        return -EINVAL;
    return fiber_set_stack(t, fiber, (uintptr_t)low, (uintptr_t)high);
}
