#include "cycle/dumper.h"
#include "base/os.h"
#include "base/service.h"
#include "cycle/cycle.h"
#include "introspect/dump.h"
#include "introspect/edges.h"
#include "mutator/log.h"
#include "mutator/self.h"

#define LOOK_NS ((int64_t)200 * 1000 * 1000)

struct dumper {
    gc_heap *heap;
    struct service service;
    char path[1024], ask[1032];
};

static void serve(struct dumper *d)
{
    struct dump_request request = {d->path, 0};
    edges_name_frames(d->heap, true);
    cycle_with_world_held_by_service(d->heap, dump_write, &request);
    edges_name_frames(d->heap, false);
    if (request.error)
        log_write(d->heap, GC_LOG_ERROR, "no heap dump is written to %s: %s", d->path,
                  strerror(-request.error));
}

/* A file that cannot be removed would ask for ever. */
static bool answer(struct dumper *d)
{
    if (!os_file_exists(d->ask))
        return true;
    serve(d);
    if (os_file_remove(d->ask) == 0)
        return true;
    log_write(d->heap, GC_LOG_ERROR, "%s cannot be removed: no more heap dumps on request", d->ask);
    return false;
}

static void run(void *dumper)
{
    struct dumper *d = dumper;
    uint32_t kicks;
    self_joins_collector();
    while (service_goes_on(&d->service, &kicks) && answer(d))
        service_sleep(&d->service, kicks, LOOK_NS);
}

/* The first heap of the process has the path itself, the nth one PATH.n. */
static bool set_paths(struct dumper *d, const char *path)
{
    unsigned long long number = d->heap->types.since;
    int n = number > 1 ? snprintf(d->path, sizeof d->path, "%s.%llu", path, number)
                       : snprintf(d->path, sizeof d->path, "%s", path);
    snprintf(d->ask, sizeof d->ask, "%s.ask", d->path);
    return n > 0 && (size_t)n < sizeof d->path;
}

void dumper_start(gc_heap *heap)
{
    const char *path = getenv("GCHEAP_DUMP");
    if (!path || !*path)
        return;
    struct dumper *d = calloc(1, sizeof *d);
    if (d) {
        d->heap = heap;
        service_init(&d->service, "gcheap-dump", run, d);
        heap->dumper = d;
    }
    if (!d || !set_paths(d, path) || !service_start(&d->service))
        log_write(heap, GC_LOG_WARNING, "GCHEAP_DUMP: no heap dumps on request: %s",
                  d ? "the path is too long, or there is no thread" : "no memory");
}

void dumper_stop(gc_heap *heap)
{
    if (heap->dumper)
        service_stop(&heap->dumper->service);
    free(heap->dumper);
    heap->dumper = NULL;
}

bool dumper_is_used(const gc_heap *heap)
{
    return heap->dumper && service_is_used(&heap->dumper->service);
}

static void forget(gc_heap *heap)
{
    if (heap->dumper)
        service_forget(&heap->dumper->service);
}

const struct fork_part dumper_fork = {DUMPER_FORK_RANKS, .forget = forget};
