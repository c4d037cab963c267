#include "introspect/metrics.h"
#include "introspect/trace.h"
#include <inttypes.h>

enum metric_kind { COUNTER, GAUGE, COUNTER_NS, GAUGE_NS, HISTOGRAM };

struct metric {
    const char *name, *help;
    enum metric_kind kind;
    size_t offset; /* in struct gc_statistics */
};

#define METRIC(name, kind, field, help)                                                            \
    {                                                                                              \
        "gcheap_" name, help, kind, offsetof(struct gc_statistics, field)                          \
    }
static const struct metric metrics[] = {
    METRIC("forced_cycles_total", COUNTER, forced_cycles, "Cycles for which a thread waited."),
    METRIC("heap_live_bytes", GAUGE, heap_live, "Bytes in objects."),
    METRIC("heap_marked_bytes", GAUGE, heap_marked, "Bytes that the last cycle found live."),
    METRIC("heap_goal_bytes", GAUGE, heap_goal, "Heap size at which the next cycle is to be over."),
    METRIC("heap_inuse_bytes", GAUGE, heap_inuse, "Bytes in spans in use."),
    METRIC("heap_idle_bytes", GAUGE, heap_idle, "Bytes in free pages that the OS still backs."),
    METRIC("heap_released_bytes", GAUGE, heap_released, "Bytes in free pages given back."),
    METRIC("heap_reserved_bytes", GAUGE, heap_reserved, "Address space."),
    METRIC("metadata_bytes", GAUGE, metadata, "Bytes of the heap's own tables, estimated."),
    METRIC("external_bytes", GAUGE, external, "Bytes that objects own outside the heap."),
    METRIC("allocated_bytes_total", COUNTER, allocated_bytes, "Bytes handed out."),
    METRIC("freed_bytes_total", COUNTER, freed_bytes, "Bytes freed."),
    METRIC("marked_objects", GAUGE, objects_marked, "Objects that the last cycle marked."),
    METRIC("spans", GAUGE, spans_inuse, "Spans in use."),
    METRIC("quiet_bytes_total", COUNTER, quiet_bytes, "Bytes handed out in quiet regions."),
    METRIC("quiet_max_bytes", GAUGE, quiet_max, "The most of it without a safepoint."),
    METRIC("threads", GAUGE, threads, "Attached threads."),
    METRIC("threads_blocked", GAUGE, threads_blocked, "Attached threads that are blocked."),
    METRIC("procs", GAUGE, procs, "Ps made so far."),
    METRIC("mark_seconds_total", COUNTER_NS, mark_ns, "CPU time of marking."),
    METRIC("sweep_seconds_total", COUNTER_NS, sweep_ns, "CPU time of sweeping in the background."),
    METRIC("assist_seconds_total", COUNTER_NS, assist_ns, "CPU time of marking by allocations."),
    METRIC("last_cycle_seconds", GAUGE_NS, last_cycle_ns, "How long the last cycle took."),
    METRIC("last_mark_seconds", GAUGE_NS, last_mark_ns, "How long the last cycle marked."),
    METRIC("flush_waves", GAUGE, flush_waves, "FLUSH handshakes of the last cycle."),
    METRIC("handshakes_total", COUNTER, handshakes, "Handshakes."),
    METRIC("handshake_cpu_seconds", HISTOGRAM, handshake_cpu,
           "CPU time of a thread in a handshake that gives it work."),
    METRIC("handshake_seconds", HISTOGRAM, handshake_wall, "A thread's part in a handshake."),
    METRIC("stall_cpu_seconds", HISTOGRAM, stall_cpu,
           "CPU time of a thread that works for the collector."),
    METRIC("stall_seconds", HISTOGRAM, stall, "A thread works for the collector."),
    METRIC("held_seconds", HISTOGRAM, held, "All threads were held."),
    METRIC("held_back_seconds", HISTOGRAM, held_back, "An allocation waited for a cycle."),
};

static void print_head(struct output *o, const char *name, const char *kind, const char *help)
{
    output_print(o, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* From a quarter of a microsecond to eight seconds; what is below counts in the first one. */
#define BUCKET_FIRST 7
#define BUCKET_LAST 32

static void print_histogram(struct output *o, const char *name, const struct gc_histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ARRAY_LEN(h->buckets); i++) {
        count += h->buckets[i];
        if (i < BUCKET_FIRST || i > BUCKET_LAST)
            continue;
        output_print(o, "%s_bucket{le=\"", name);
        output_seconds(o, (UINT64_C(2) << i) - 1);
        output_print(o, "\"} %" PRIu64 "\n", count);
    }
    output_print(o, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, count, name);
    output_seconds(o, h->sum);
    output_print(o, "\n%s_count %" PRIu64 "\n", name, count);
}

static void print_number(struct output *o, const struct metric *m, uint64_t n)
{
    output_print(o, "%s ", m->name);
    if (m->kind == COUNTER_NS || m->kind == GAUGE_NS)
        output_seconds(o, n);
    else if (n == UINT64_MAX)
        output_print(o, "+Inf");
    else
        output_print(o, "%" PRIu64, n);
    output_print(o, "\n");
}

static void print_metric(struct output *o, const struct metric *m, const void *field)
{
    static const char *const kinds[] = {"counter", "gauge", "counter", "gauge", "histogram"};
    print_head(o, m->name, kinds[m->kind], m->help);
    if (m->kind == HISTOGRAM)
        print_histogram(o, m->name, field);
    else
        print_number(o, m, *(const uint64_t *)field);
}

/* The smallest first, and large objects last. Those of which there never were objects are left out.
 */
static void print_classes(struct output *o, const char *name, const char *help,
                          const struct class_objects classes[SIZECLASS_COUNT], size_t offset)
{
    print_head(o, name, "counter", help);
    for (unsigned i = 1; i <= SIZECLASS_COUNT; i++) {
        const struct class_objects *class = &classes[i % SIZECLASS_COUNT];
        if (class->allocated == 0)
            continue;
        if (i < SIZECLASS_COUNT)
            output_print(o, "%s{size=\"%u\"} ", name, (unsigned)sizeclass_table[i].size);
        else
            output_print(o, "%s{size=\"large\"} ", name);
        output_print(o, "%" PRIu64 "\n", *(const uint64_t *)((const char *)class + offset));
    }
}

void metrics_print(struct output *o, const struct gc_statistics *stats,
                   const struct class_objects classes[SIZECLASS_COUNT])
{
    print_head(o, "gcheap_cycles_total", "counter", "Completed cycles, by why they began.");
    for (unsigned i = 0; i < GC_CAUSES; i++)
        output_print(o, "gcheap_cycles_total{cause=\"%s\"} %" PRIu64 "\n",
                     trace_cause((enum gc_cause)i), stats->causes[i]);
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        print_metric(o, &metrics[i], (const char *)stats + metrics[i].offset);
    print_classes(o, "gcheap_allocated_objects_total", "Objects handed out, by size class.",
                  classes, offsetof(struct class_objects, allocated));
    print_classes(o, "gcheap_freed_objects_total", "Objects freed, by size class.", classes,
                  offsetof(struct class_objects, freed));
}
