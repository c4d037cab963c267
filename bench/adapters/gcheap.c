#include "../harness.h"
#include "base/stalls.h" /* of the library: a listener is no part of the API */

#include <stdio.h>

static gc_heap *heap;

static gc_options options;

static void make_heap(void)
{
    heap = gc_heap_create(&options);
    if (!heap)
        fail("no heap");
}

void bm_start(const char *variant)
{
    if (!strcmp(variant, "stw"))
        options.flags = GC_STOP_WORLD;
    else if (!strcmp(variant, "400"))
        options.percent = 400;
    else if (!strcmp(variant, "small"))
        options.flags = GC_NO_HUGE_PAGES;
    make_heap();
}

void bm_box_values(void)
{
    gc_heap_destroy(heap);
    options.format = (gc_value_format){BM_BOX_TAG, BM_BOX_TAG, ~BM_BOX_TAG};
    make_heap();
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

/* What has kept the thread last. */
enum { KEPT = 64 };
static _Thread_local struct {
    struct {
        enum stall_kind kind;
        uint64_t begin, end;
    } all[KEPT];
    size_t n;
} kept;

static void note_stall(enum stall_kind kind, uint64_t begin, uint64_t end)
{
    size_t i = kept.n++ % KEPT;
    kept.all[i].kind = kind;
    kept.all[i].begin = begin;
    kept.all[i].end = end;
}

void bm_stall_listen(void)
{
    stalls_listen(note_stall);
}

/* The clock is the same. A piece may lie within another: the shorter one tells more. */
int bm_stall_kind(uint64_t begin, uint64_t end)
{
    uint64_t best = UINT64_MAX;
    int kind = -1;
    for (size_t i = 0; i < KEPT && i < kept.n; i++) {
        uint64_t took = kept.all[i].end - kept.all[i].begin;
        if (kept.all[i].begin < begin || kept.all[i].end > end || took < (end - begin) / 2)
            continue;
        if (took < best) {
            best = took;
            kind = (int)kept.all[i].kind;
        }
    }
    return kind;
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
