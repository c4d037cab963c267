#include "mutator/self.h"

/* For threads without a heap. Its flags send their stores and safepoints to the slow paths, which
 * report the mistake. */
struct gc_fast self_unattached = {PROC_NO_RUNS, BARRIER_SHUT, 1, NULL};
GC_TLS struct gc_fast *gc_self = &self_unattached;

static _Thread_local bool of_collector;

void self_joins_collector(void)
{
    of_collector = true;
}

bool self_is_called_back(const gc_thread *t)
{
    if (!t)
        return of_collector;
    return t->calls_back > 0 ||
           (t->blocking == 0 && state_of(u32_load_relaxed(&t->st)) != THREAD_RUN);
}

gc_thread *self_calls_back(void)
{
    gc_thread *t = thread_self();
    if (t && t->calls_back++ == 0) {
        t->runs_meanwhile = t->fast.runs;
        t->fast.runs = PROC_NO_RUNS;
    }
    return t;
}

void self_called_back(gc_thread *t)
{
    if (t && --t->calls_back == 0)
        t->fast.runs = t->runs_meanwhile;
}
