#include "introspect/trace.h"
#include "collector/marking.h"
#include "collector/pacing.h"
#include "mutator/log.h"

static double ms(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e6 : 0;
}

/* "1.5 MB" of bytes; `text` has room for 32. */
static const char *size_text(char *text, uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
        n /= 1024;
    snprintf(text, 32, n < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return text;
}

const char *trace_cause(enum gc_cause cause)
{
    static const char *const names[GC_CAUSES] = {"goal",  "limit",  "collect",
                                                 "start", "memory", "debug"};
    return names[cause];
}

void trace_cycle(gc_heap *heap, const struct cycle_times *t, uint64_t waves, enum gc_cause cause)
{
    const struct marking *marking = heap->marking;
    const struct pacing *p = heap->pacing;
    char before[32], after[32], goal[32];
    if (!heap->trace)
        return;
    lock_acquire(&heap->mutators.lock);
    size_t threads = heap->mutators.count;
    lock_release(&heap->mutators.lock);
    log_write(heap, GC_LOG_TRACE,
              "gc %u @%.3fs: arm %.3f roots %.3f mark %.3f end %.3f ms; %s -> %s -> goal %s; %llu "
              "objects marked, %llu waves, %zu threads, %u Ps (%s)",
              heap->cycle_number, ms(heap->created_ns, t->begin) / 1e3, ms(t->begin, t->armed),
              ms(t->armed, t->rooted), ms(t->rooted, t->marked), ms(t->marked, t->flipped),
              size_text(before, p->heap_before), size_text(after, marking->marked_bytes),
              p->goal == (word)UINT64_MAX ? "none" : size_text(goal, p->goal),
              (unsigned long long)marking->marked_objects, (unsigned long long)waves, threads,
              u32_load_relaxed(&heap->procs.count), trace_cause(cause));
}
