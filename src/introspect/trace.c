#include "introspect/trace.h"
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

void trace_cycle(gc_heap *heap)
{
    const struct collector *c = heap->collector;
    const struct cycle_times *t = &c->times;
    char before[32], after[32], goal[32];
    if (!heap->trace)
        return;
    uint64_t marked = c->marking.marked_bytes;
    lock_acquire(&heap->mutators.lock);
    size_t threads = heap->mutators.count;
    lock_release(&heap->mutators.lock);
    log_write(heap, GC_LOG_TRACE,
              "gc %u @%.3fs: arm %.3f roots %.3f mark %.3f end %.3f ms; %s -> %s -> goal %s; %llu "
              "objects marked, %llu waves, %zu threads, %u Ps%s",
              c->started, ms(heap->created_ns, t->begin) / 1e3, ms(t->begin, t->armed),
              ms(t->armed, t->rooted), ms(t->rooted, t->marked), ms(t->marked, t->flipped),
              size_text(before, c->heap_before), size_text(after, marked),
              c->goal == (word)UINT64_MAX ? "none" : size_text(goal, c->goal),
              (unsigned long long)c->marking.marked_objects, (unsigned long long)c->flush_waves,
              threads, u32_load_acquire(&heap->procs.count), c->forced ? " (forced)" : "");
}
