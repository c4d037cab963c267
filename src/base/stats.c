#include "base/stats.h"

static void add(u64 *to, uint64_t n)
{
    u64_store_relaxed(to, u64_load_relaxed(to) + n);
}

static unsigned bucket_of(uint64_t ns)
{
    unsigned log = ns ? 63 - (unsigned)__builtin_clzll(ns) : 0;
    return MIN_OF(log, 39u);
}

void histogram_add(struct thread_histogram *h, uint64_t ns)
{
    add(&h->buckets[bucket_of(ns)], 1);
    add(&h->count, 1);
    add(&h->sum, ns);
    if (ns > u64_load_relaxed(&h->max))
        u64_store_relaxed(&h->max, ns);
}

struct stopwatch stopwatch_start(void)
{
    return (struct stopwatch){os_now_ns(), os_thread_cpu_ns()};
}

struct elapsed stopwatch_elapsed(const struct stopwatch *start)
{
    struct stopwatch now = stopwatch_start();
    return (struct elapsed){start->wall, now.wall - start->wall, now.cpu - start->cpu};
}

struct elapsed stopwatch_short(uint64_t start)
{
    uint64_t wall = os_now_ns() - start;
    return (struct elapsed){start, wall, MIN_OF(wall, SHORT_VISIT_NS)};
}

void times_add_stall(struct thread_times *t, enum stall_kind kind, struct elapsed elapsed)
{
    stall_was(kind, elapsed.begin, elapsed.wall);
    histogram_add(&t->stall, elapsed.wall);
    histogram_add(&t->stall_cpu, elapsed.cpu);
}

_Static_assert(sizeof((struct thread_histogram *)0)->buckets ==
                   sizeof((struct gc_histogram *)0)->buckets,
               "gcheap.h: the same buckets");

void histogram_merge(struct gc_histogram *total, const struct thread_histogram *h)
{
    for (size_t i = 0; i < ARRAY_LEN(h->buckets); i++)
        total->buckets[i] += u64_load_relaxed(&h->buckets[i]);
    total->count += u64_load_relaxed(&h->count);
    total->sum += u64_load_relaxed(&h->sum);
    total->max = MAX_OF(total->max, u64_load_relaxed(&h->max));
}

void histogram_fold(struct thread_histogram *kept, const struct thread_histogram *h)
{
    if (h->count == 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(h->buckets); i++)
        add(&kept->buckets[i], h->buckets[i]);
    add(&kept->count, h->count);
    add(&kept->sum, h->sum);
    if (h->max > kept->max)
        u64_store_relaxed(&kept->max, h->max);
}

void times_fold(struct thread_times *kept, const struct thread_times *t)
{
    histogram_fold(&kept->handshake_cpu, &t->handshake_cpu);
    histogram_fold(&kept->handshake_wall, &t->handshake_wall);
    histogram_fold(&kept->stall_cpu, &t->stall_cpu);
    histogram_fold(&kept->stall, &t->stall);
    histogram_fold(&kept->held, &t->held);
    histogram_fold(&kept->held_back, &t->held_back);
}
