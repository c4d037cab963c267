/* Statistics: the heap's counters, gathered. */
#include "api/entry.h"
#include "collector/pacing.h"
#include "collector/sweep.h"
#include "cycle/cycle.h"
#include "introspect/metrics.h"

static void add_thread_times(gc_heap *heap, struct gc_statistics *s)
{
    struct mutators *m = &heap->mutators;
    const struct thread_times *kept = &m->kept;
    lock_acquire(&m->lock);
    s->threads = m->count;
    s->handshakes = m->handshakes;
    for (gc_thread *t = m->list;; t = t->next) {
        const struct thread_times *times = t ? &t->times : kept;
        histogram_merge(&s->handshake_cpu, &times->handshake_cpu);
        histogram_merge(&s->handshake_wall, &times->handshake_wall);
        histogram_merge(&s->stall_cpu, &times->stall_cpu);
        histogram_merge(&s->stall, &times->stall);
        histogram_merge(&s->held, &times->held);
        histogram_merge(&s->held_back, &times->held_back);
        if (!t)
            break;
        s->threads_blocked += state_of(u32_load_relaxed(&t->st)) != THREAD_RUN;
    }
    lock_release(&m->lock);
}

/* Reads in the order that keeps freed below allocated; see struct mheap_counts. */
static void add_counts(const struct mheap_counts *counts, struct gc_statistics *s)
{
    s->freed_bytes = u64_load_acquire(&counts->freed_bytes);
    s->freed_bytes += u64_load_acquire(&counts->returned_bytes);
    s->allocated_bytes = u64_load_relaxed(&counts->taken_bytes);
    s->heap_live = s->allocated_bytes - s->freed_bytes;
    s->spans_inuse = word_load_relaxed(&counts->spans_inuse);
    s->heap_inuse = (uint64_t)word_load_relaxed(&counts->pages_inuse) << PAGE_SHIFT;
}

static void add_memory(gc_heap *heap, struct gc_statistics *s)
{
    struct mheap *mem = &heap->mem;
    lock_acquire(&mem->lock);
    size_t free_pages = mem->pages.free_pages, scavenged = mem->pages.scavenged_pages;
    size_t arenas = mem->arenas.count;
    s->heap_reserved = mem->mapped_bytes;
    s->metadata = mem->pages.metadata + persistent_bytes(&mem->persistent);
    lock_release(&mem->lock);
    add_counts(&mem->counts, s);
    s->heap_idle = (uint64_t)(free_pages - scavenged) << PAGE_SHIFT;
    s->heap_released = (uint64_t)scavenged << PAGE_SHIFT;
    s->metadata +=
        arena_metadata_bytes(arenas, (size_t)((s->heap_inuse + s->heap_idle) >> PAGE_SHIFT),
                             word_load_relaxed(&mem->counts.pages_noscan));
}

static void take_stats(gc_heap *heap, struct gc_statistics *stats)
{
    memset(stats, 0, sizeof *stats);
    add_memory(heap, stats);
    add_thread_times(heap, stats);
    cycle_report(heap, stats);
    pacing_report(heap, stats);
    stats->quiet_bytes = u64_load_relaxed(&heap->mutators.quiet_bytes);
    stats->quiet_max = u64_load_relaxed(&heap->mutators.quiet_max);
    stats->procs = u32_load_relaxed(&heap->procs.count);
    stats->sweep_ns = u64_load_relaxed(&heap->sweeping->cpu_ns);
    stats->assist_ns = u64_load_relaxed(&heap->marking->assist_ns);
}

int gc_heap_stats(gc_heap *heap, struct gc_statistics *stats)
{
    if (!heap || !stats)
        return -EINVAL;
    if (heap->orphan || !MAY_PASS())
        return -EPERM;
    take_stats(heap, stats);
    return 0;
}

int gc_stats(struct gc_statistics *stats)
{
    gc_thread *t = ENTER();
    return t ? gc_heap_stats(t->heap, stats) : -EPERM;
}

struct stats_text {
    struct gc_statistics stats;
    struct class_objects classes[SIZECLASS_COUNT];
    struct output output;
};

static int write_stats(void *text)
{
    struct stats_text *x = text;
    metrics_print(&x->output, &x->stats, x->classes);
    return output_end(&x->output);
}

int gc_heap_stats_write(gc_heap *heap, gc_write_fn write, void *arg)
{
    struct stats_text x;
    if (!heap || !write)
        return -EINVAL;
    if (heap->orphan || !MAY_PASS())
        return -EPERM;
    take_stats(heap, &x.stats);
    mcentral_objects(&heap->mem, x.classes);
    output_begin(&x.output, write, arg);
    return entry_unheld(write_stats, &x);
}
