#include "../harness.h"

#include <stdio.h>

static gc_heap *heap;

void bm_start(const char *variant)
{
    gc_options options = {0};
    if (!strcmp(variant, "stw"))
        options.flags = GC_STOP_WORLD;
    else if (!strcmp(variant, "400"))
        options.percent = 400;
    else if (!strcmp(variant, "small"))
        options.flags = GC_NO_HUGE_PAGES;
    heap = gc_heap_create(&options);
    if (!heap)
        fail("no heap");
}

void bm_stop(void)
{
    gc_heap_destroy(heap);
}

void bm_thread_begin(void)
{
    if (gc_thread_attach(heap))
        fail("cannot attach a thread");
}

void bm_thread_end(void)
{
    gc_thread_detach();
}

void bm_report_collector(void)
{
    struct gc_statistics s;
    gc_stats(&s);
    result("cycles", (double)s.cycles, "");
    uint64_t stall = s.stall.max > s.held.max ? s.stall.max : s.held.max;
    result("stall_max", (double)stall, "ns");
    result("stall_cpu_max", (double)s.stall_cpu.max, "ns");
    result("handshake_wall_max", (double)s.handshake_wall.max, "ns");
    result("handshake_cpu_max", (double)s.handshake_cpu.max, "ns");
    if (s.handshake_cpu.count)
        result("handshake_cpu_mean", (double)s.handshake_cpu.sum / (double)s.handshake_cpu.count,
               "ns");
    result("held_max", (double)s.held.max, "ns");
    result("gc_cpu", (double)(s.mark_ns + s.sweep_ns) / 1e9, "s");
    if (s.heap_inuse)
        result("metadata", 100 * (double)s.metadata / (double)s.heap_inuse, "%");
}

const char *bm_version(void)
{
    static char text[64];
    snprintf(text, sizeof text, "gcheap %d.%d.%d", GC_VERSION_MAJOR, GC_VERSION_MINOR,
             GC_VERSION_PATCH);
    return text;
}
