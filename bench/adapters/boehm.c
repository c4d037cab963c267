#include "../harness.h"

#include <stdio.h>

/* The time from the request to stop the world until it runs again. */
static uint64_t stop_began, stop_max;

static void on_event(GC_EventType event)
{
    if (event == GC_EVENT_PRE_STOP_WORLD)
        stop_began = now_ns();
    if (event != GC_EVENT_POST_START_WORLD)
        return;
    uint64_t took = now_ns() - stop_began;
    if (took > stop_max)
        stop_max = took;
}

void bm_start(const char *variant)
{
    (void)variant;
    GC_INIT();
    GC_set_on_collection_event(on_event);
}

void bm_mark_in_parallel(void)
{
    GC_start_mark_threads();
}

void bm_stop(void) {}

void bm_report_collector(void)
{
    result("cycles", (double)GC_get_gc_no(), "");
    result("stall_max", (double)stop_max, "ns");
}

const char *bm_version(void)
{
    static char text[64];
    unsigned v = GC_get_version();
    bm_mark_in_parallel();
    snprintf(text, sizeof text, "bdwgc %u.%u.%u, %d markers", v >> 16, v >> 8 & 0xff, v & 0xff,
             GC_get_parallel() + 1);
    return text;
}
