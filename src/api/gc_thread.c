/* Threads, safepoints, blocking regions. */
#include "api/entry.h"
#include "cycle/assist.h"
#include "introspect/strays.h"
#include "mutator/attach.h"

/* Its callers must not know what it does: they would take the variable's address themselves. */
NOINLINE struct gc_fast *gc_self_of_thread(void)
{
    __asm__ volatile("" : : : "memory");
    return gc_self;
}

NOINLINE int gc_thread_attach(gc_heap *heap)
{
    if (!heap)
        return -EINVAL;
    return MAY_PASS() ? attach_begin(heap, STACK_CALLER()) : -EPERM;
}

int gc_thread_detach(void)
{
    gc_thread *t = thread_self();
    return t && MAY_PASS() ? attach_end(t, false) : -EPERM;
}

NOINLINE int gc_thread_switch(gc_heap *heap)
{
    return MAY_PASS() ? attach_switch(heap, STACK_CALLER()) : -EPERM;
}

int gc_thread_name(const char *name)
{
    gc_thread *t = thread_self();
    if (!t || !MAY_PASS())
        return -EPERM;
    if (!name)
        return -EINVAL;
    thread_set_name(t, name);
    return 0;
}

int gc_thread_scan_stack(bool on)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (on && !t->stacks.own.high)
        return -ENOTSUP;
    t->stacks.scanned = on;
    return 0;
}

static void safepoint(gc_thread *t)
{
    ptr_store_relaxed(&t->last_call, "gc_safepoint");
    if (UNLIKELY(t->heap->checks))
        assist_checks(t->heap, t);
    thread_safepoint(t);
    if (UNLIKELY(t->heap->debug.stay))
        assist_stay(t->heap, t);
    if (UNLIKELY(t->quiet))
        assist_allocation(t->heap, t, 0);
    if (UNLIKELY(t->heap->strays != NULL))
        strays_wipe(NULL, 0);
}

/* If the thread may do nothing here, it does nothing, and errno stays. */
void gc_safepoint_slow(void)
{
    gc_thread *t = thread_self();
    if (UNLIKELY(!t))
        entry_outside();
    else if (LIKELY(t->blocking == 0 && !self_is_called_back(t)))
        safepoint(t);
}

NOINLINE int gc_blocking_begin(void)
{
    gc_thread *t = thread_self();
    if (!t || !MAY_PASS())
        return -EPERM;
    ptr_store_relaxed(&t->last_call, __func__);
    if (UNLIKELY(t->heap->checks))
        assist_checks(t->heap, t);
    thread_blocking_begin(t, STACK_CALLER());
    return 0;
}

int gc_blocking_end(void)
{
    gc_thread *t = thread_self();
    if (!t || t->blocking == 0)
        return -EPERM;
    if (t->blocking == 1)
        entry_check_frames(t);
    thread_blocking_end(t);
    return 0;
}

int gc_quiet_begin(size_t bytes)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (t->quiet++ > 0)
        return 0;
    t->quiet_limit = bytes ? bytes : SIZE_MAX;
    t->quiet_bytes = 0;
    return 0;
}

int gc_quiet_end(void)
{
    gc_thread *t = ENTER();
    if (!t || t->quiet == 0)
        return -EPERM;
    t->quiet--;
    return 0;
}
