#include "api/entry.h"
#include "mutator/log.h"
#include "mutator/barrier.h"
#include "mutator/heaps.h"

enum mistake {
    NO_HEAP,
    IN_A_REGION,
    CALLED_BACK,
    FRAME_WITHOUT_HEAP,
    FRAME_IN_A_REGION,
    FOREIGN,
    STALE,
    NOT_AN_OBJECT
};

static const char *const texts[] = {
    [NO_HEAP] = "this thread has no current heap; call gc_thread_attach() or gc_thread_switch()",
    [IN_A_REGION] = "this thread is in a blocking region; call gc_blocking_end()",
    [CALLED_BACK] = "a function that the collector calls must not use the heap, and must return",
    [FRAME_WITHOUT_HEAP] = "this thread has no current heap; call gc_thread_attach() or "
                           "gc_thread_switch() before it",
    [FRAME_IN_A_REGION] = "a GC_FRAME began or ended in the blocking region; let its block end "
                          "where it began, inside of the region or outside",
    [NOT_AN_OBJECT] =
        "the address lies in no object of the current heap; for rooted memory outside of "
        "it call gc_before_write_range()",
    [FOREIGN] = "nothing was done with a handle of another heap; call gc_thread_switch()",
    [STALE] = "the handle was freed before; let the last one who uses it call gc_handle_free()",
};

static _Thread_local unsigned told; /* a bit for each enum mistake */

/* Reports a mistake, once for each thread and kind. `t` NULL: to standard error. `sp`: an address
 * in the frame of the public call; 0: the frame is still there. */
static void tell_from(uintptr_t sp, const gc_thread *t, enum mistake mistake, const char *call,
                      const char *what)
{
    if (told & 1u << mistake)
        return;
    told |= 1u << mistake;
    const gc_heap *heap = t ? t->heap : NULL;
    log_write(heap, GC_LOG_ERROR, "%.*s%s: %s", log_call_length(call), call, what, texts[mistake]);
    log_place(heap, t, sp);
}

static void tell(const gc_thread *t, enum mistake mistake, const char *call, const char *what)
{
    tell_from(0, t, mistake, call, what);
}

static enum mistake mistake_of(const gc_thread *t)
{
    if (self_is_called_back(t))
        return CALLED_BACK;
    return t ? IN_A_REGION : NO_HEAP;
}

static bool lies_on_this_stack(const void *p)
{
    uintptr_t low = 0, high = 0;
    return os_stack_bounds(&low, &high) == 0 && (uintptr_t)p - low < high - low;
}

COLD gc_thread *entry_refuse(gc_thread *t, const char *call)
{
    tell_from(STACK_CALLER(), t, mistake_of(t), call, " is refused (EPERM)");
    entry_outside();
    errno = EPERM;
    return NULL;
}

void entry_refuse_store(const char *call, word old, word value, uintptr_t sp)
{
    gc_thread *t = thread_self();
    if (heaps_any_contains(old) || heaps_any_contains(value))
        tell_from(sp, t, mistake_of(t), call, " stores what the collector does not see");
}

/* All threads without a heap share one struct. A frame that another thread has put there lies on
 * another stack. */
COLD void entry_outside(void)
{
    KEEP_ERRNO;
    if (!thread_self() && self_unattached.frames && lies_on_this_stack(self_unattached.frames))
        tell_from(STACK_CALLER(), NULL, FRAME_WITHOUT_HEAP, "GC_FRAME", " keeps nothing alive");
}

void entry_check_frames(const gc_thread *t)
{
    if (UNLIKELY(t->fast.frames != t->frames_blocked))
        tell(t, FRAME_IN_A_REGION, "gc_blocking_end", "");
}

void entry_refuse_handle(const gc_thread *t, const char *call, bool foreign)
{
    tell(t, foreign ? FOREIGN : STALE, call, " is refused (EINVAL)");
    errno = EINVAL;
}

void entry_tell_no_object(const gc_thread *t, const char *call)
{
    tell(t, NOT_AN_OBJECT, call, "");
}

NOINLINE int entry_unheld(int (*fn)(void *arg), void *arg)
{
    gc_thread *t = thread_self();
    bool runs = t && t->blocking == 0;
    if (runs)
        thread_enter_blocked(t, STACK_CALLER());
    int cancel = os_cancel_off();
    int result = fn(arg);
    os_cancel_restore(cancel);
    if (runs)
        thread_leave_blocked(t);
    return result;
}
