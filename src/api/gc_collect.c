/* Collections, goals and limits. */
#include "api/entry.h"
#include "cycle/background.h"
#include "cycle/cycle.h"
#include "cycle/assist.h"
#include "collector/scavenge.h"

int gc_collect(void)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    cycle_collect(t->heap, t, GC_CAUSE_COLLECT);
    os_cancel_point();
    return 0;
}

int gc_collect_start(void)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    background_request_cycle(t->heap, GC_CAUSE_START);
    return 0;
}

int gc_set_percent(int percent)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (percent < GC_PERCENT_OFF)
        return -EINVAL;
    return assist_set_percent(t->heap, percent ? percent : 100);
}

size_t gc_set_limit(size_t bytes)
{
    gc_thread *t = ENTER();
    return t ? (size_t)assist_set_limit(t->heap, bytes) : 0;
}

size_t gc_set_hard_limit(size_t bytes)
{
    gc_thread *t = ENTER();
    return t ? word_exchange_relaxed(&t->heap->mem.hard_limit, bytes) : 0;
}

int gc_release_memory(void)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    cycle_collect(t->heap, t, GC_CAUSE_COLLECT);
    workqueue_trim(&t->heap->work);
    scavenge_all(t->heap);
    return 0;
}
