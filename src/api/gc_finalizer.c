/* Finalizers and cleanups; bytes outside the heap. */
#include "api/entry.h"
#include "collector/finalizer.h"
#include "collector/special.h"
#include "cycle/assist.h"
#include "cycle/cycle.h"

/* ---- Finalizers and cleanups ---- */

int gc_finalizer_set(void *object, gc_finalizer_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    int error = fn ? finalizer_start_thread(t->heap) : 0;
    return error ? error : special_set_finalizer(t, object, fn, arg);
}

int64_t gc_cleanup_add(void *object, gc_cleanup_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!fn)
        return -EINVAL;
    int error = finalizer_start_thread(t->heap);
    return error ? error : special_add_cleanup(t->heap, object, fn, arg);
}

int gc_cleanup_cancel(void *object, int64_t id)
{
    gc_thread *t = ENTER();
    return t ? special_cancel_cleanup(t->heap, object, id) : -EPERM;
}

size_t gc_finalizers_run(size_t max)
{
    gc_thread *t = ENTER();
    return t ? finalizer_run(t, max) : 0;
}

static void take_all(gc_heap *heap, void *batch)
{
    special_take_all(heap, batch);
}

size_t gc_finalizers_queue_all(void)
{
    gc_thread *t = ENTER();
    struct finq_batch all = {0};
    if (!t)
        return 0;
    cycle_with_world_held(t->heap, t, take_all, &all);
    finq_add(t->heap, &all);
    return all.count;
}

size_t gc_finalizers_pending(void)
{
    gc_thread *t = ENTER();
    return t ? finq_pending(t->heap) : 0;
}

int gc_finalizers_notify(void (*fn)(void *arg), void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    finq_set_notify(t->heap, fn, arg);
    return 0;
}

/* ---- External bytes ---- */

/* More bytes may start a cycle. */
/* Looks for memory as an allocation does if the heap would be beyond its hard limit. */
static bool has_room(gc_thread *t, uint64_t bytes)
{
    for (unsigned n = 0; UNLIKELY(mheap_is_over(&t->heap->mem, bytes)); n++) {
        if (t->quiet || !assist_find_memory(t->heap, t, (size_t)bytes, n))
            return false;
    }
    return true;
}

int gc_external_add(void *object, ptrdiff_t bytes)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    GC_FRAME(object);
    if (bytes > 0 && !has_room(t, (uint64_t)bytes))
        return -ENOMEM;
    int error = special_add_external(t->heap, object, bytes);
    if (!error && bytes > 0 && t->quiet) {
        thread_request_poll(t);
    } else if (!error && bytes > 0) {
        thread_poll(t);
        assist_allocation(t->heap, t, 0);
    }
    return error;
}
