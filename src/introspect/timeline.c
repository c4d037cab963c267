#include "introspect/timeline.h"
#include "base/events.h"
#include "introspect/trace.h"
#include <ctype.h>
#include <inttypes.h>

/* The tracks of threads and those of heaps, as two processes. */
enum { OF_THREADS = 1, OF_HEAPS = 2 };

struct timeline {
    struct output *o;
    const char *separator;
    uint64_t heaps; /* the highest number of one */
};

#define STALL_NAME(KIND, name) [STALL_##KIND] = #name,
static const char *const names[EVENT_KINDS] = {
    STALLS(STALL_NAME)[EVENT_MARK] = "mark", [EVENT_BACK_SWEEP] = "sweep", [EVENT_CYCLE] = "cycle"};
#undef STALL_NAME

#define STEP_NAME(step, ...) #step,
static const char *const step_names[] = {CYCLE_STEPS(STEP_NAME)};
#undef STEP_NAME

/* Microseconds, as the format has them. */
static void print_time(struct output *o, const char *key, uint64_t ns)
{
    output_print(o, ",\"%s\":%" PRIu64 ".%03" PRIu64, key, ns / 1000, ns % 1000);
}

static void print_place(struct timeline *t, const char *phase, int process, uint64_t track)
{
    output_print(t->o, "%s\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%" PRIu64, t->separator, phase,
                 process, track);
    t->separator = ",";
}

static void print_piece(struct timeline *t, const struct event *e, int process, uint64_t track,
                        const char *name)
{
    print_place(t, "X", process, track);
    output_print(t->o, ",\"name\":\"%s\"", name);
    print_time(t->o, "ts", e->begin);
    print_time(t->o, "dur", e->end - e->begin);
}

static void print_cycle(struct timeline *t, const struct event *e)
{
    print_piece(t, e, OF_HEAPS, e->heap, names[EVENT_CYCLE]);
    output_print(t->o, ",\"args\":{\"number\":%" PRIu64 ",\"cause\":\"%s\"}}", e->y,
                 trace_cause((enum gc_cause)e->x));
}

static void print_step(struct timeline *t, const struct event *e)
{
    char name[16];
    size_t n = 0;
    for (const char *at = step_names[e->x]; *at && n < sizeof name - 1; at++)
        name[n++] = (char)tolower((unsigned char)*at);
    name[n] = 0;
    print_piece(t, e, OF_HEAPS, e->heap, name);
    output_print(t->o, ",\"args\":{\"cycle\":%" PRIu64 "}}", e->y);
}

/* A goal of none is not shown. */
static void print_size(struct timeline *t, const struct event *e)
{
    print_place(t, "C", OF_HEAPS, e->heap);
    output_print(t->o, ",\"name\":\"heap %" PRIu64 "\"", e->heap);
    print_time(t->o, "ts", e->end);
    output_print(t->o, ",\"args\":{\"size\":%" PRIu64, e->x);
    if (e->y != UINT64_MAX)
        output_print(t->o, ",\"goal\":%" PRIu64, e->y);
    output_print(t->o, "}}");
}

static void print_work(struct timeline *t, const struct event *e)
{
    print_piece(t, e, OF_THREADS, e->thread, names[e->kind]);
    output_print(t->o, "}");
}

static bool print_event(void *timeline, const struct event *e)
{
    struct timeline *t = timeline;
    if (e->heap > t->heaps)
        t->heaps = e->heap;
    if (e->kind == EVENT_CYCLE)
        print_cycle(t, e);
    else if (e->kind == EVENT_STEP)
        print_step(t, e);
    else if (e->kind == EVENT_SIZE)
        print_size(t, e);
    else
        print_work(t, e);
    return !t->o->error;
}

static void print_name(struct timeline *t, const char *kind, int process, uint64_t track,
                       const char *name)
{
    print_place(t, "M", process, track);
    output_print(t->o, ",\"name\":\"%s\",\"args\":{\"name\":", kind);
    output_quoted(t->o, name);
    output_print(t->o, "}}");
}

static void print_title(void *timeline, uint64_t thread, const char *title)
{
    print_name(timeline, "thread_name", OF_THREADS, thread, title);
}

static void print_names(struct timeline *t, const struct timeline_thread *threads, size_t n)
{
    char name[32];
    print_name(t, "process_name", OF_THREADS, 0, "threads");
    print_name(t, "process_name", OF_HEAPS, 0, "heaps");
    events_each_title(print_title, t);
    for (size_t i = 0; i < n; i++)
        print_name(t, "thread_name", OF_THREADS, threads[i].id, threads[i].name);
    for (uint64_t i = 1; i <= t->heaps; i++) {
        snprintf(name, sizeof name, "heap %" PRIu64, i);
        print_name(t, "thread_name", OF_HEAPS, i, name);
    }
}

void timeline_print(struct output *o, const struct timeline_thread *threads, size_t n)
{
    struct timeline t = {o, "", 0};
    output_print(o, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    events_each(print_event, &t);
    print_names(&t, threads, n);
    output_print(o, "\n]}\n");
}
