#include "trace.h"
#include <errno.h>
#include <stdarg.h>

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
    heap_log(heap, GC_LOG_TRACE,
             "gc %u @%.3fs: arm %.3f roots %.3f mark %.3f end %.3f ms; %s -> %s -> goal %s; %llu "
             "objects marked, %llu waves, %zu threads, %u Ps%s",
             c->started, ms(heap->created_ns, t->begin) / 1e3, ms(t->begin, t->armed),
             ms(t->armed, t->rooted), ms(t->rooted, t->marked), ms(t->marked, t->flipped),
             size_text(before, c->heap_before), size_text(after, marked),
             c->goal == (word)UINT64_MAX ? "none" : size_text(goal, c->goal),
             (unsigned long long)c->marking.marked_objects, (unsigned long long)c->flush_waves,
             threads, u32_load_acquire(&heap->procs.count), c->forced ? " (forced)" : "");
}

/* The calling thread is in options.log: what it does there may be worth a line, too, which goes to
 * standard error. */
static _Thread_local bool logging;

static void call_log(const gc_heap *heap, enum gc_log_level level, const char *line)
{
    logging = true;
    heap->options.log(heap->options.user, level, line);
    logging = false;
}

/* Anywhere: in the middle of a cycle, with its lock taken or the world held. */
void heap_log(const gc_heap *heap, enum gc_log_level level, const char *format, ...)
{
    char text[520] = "gcheap: ", *line = text + strlen(text);
    size_t room = sizeof text - strlen(text) - 1; /* text stays one longer: zeros, for a new line */
    va_list args;
    va_start(args, format);
    vsnprintf(line, room, format, args);
    va_end(args);
    gc_thread *self = thread_calls_back();
    int cancel = os_cancel_off(), error = errno;
    if (heap && heap->options.log && !logging) {
        call_log(heap, level, line);
    } else {
        line[strlen(line)] = '\n';
        fputs(text, stderr); /* fprintf would take 8 KiB of the C stack */
    }
    errno = error;
    os_cancel_restore(cancel);
    thread_called_back(self);
}
