/* Counters and histograms, and the public structs they fill. No heap state. */
#ifndef GC_STATS_INTERNAL_H
#define GC_STATS_INTERNAL_H

#include "gcheap.h"
#include "base/atomics.h"
#include "base/os.h"

/* One thread's times. Written by the thread (or the collector on its behalf), read by anyone:
 * relaxed. */
struct thread_histogram {
    uint64_t buckets[40];
    uint64_t count, sum, max;
};

struct thread_times {
    struct thread_histogram handshake_cpu, handshake_wall, stall_cpu, stall, held, held_back;
};

/* Two clocks: the time of day, and the calling thread's own, which is a system call. In ns. */
struct stopwatch {
    uint64_t wall, cpu;
};
struct stopwatch stopwatch_start(void);
struct stopwatch stopwatch_elapsed(const struct stopwatch *start);
/* A visit of a mutator to the collector's work has taken so long. */
void times_add_stall(struct thread_times *t, struct stopwatch elapsed);
/* The same for work that is known to be short, when reading the thread's clock twice would be most
 * of its cost: by the time of day, from os_now_ns() at its start. What is beyond SHORT_VISIT_NS the
 * thread did not run. */
#define SHORT_VISIT_NS ((uint64_t)100 * 1000)
struct stopwatch stopwatch_short(uint64_t start);

void histogram_add(struct thread_histogram *h, uint64_t ns);
/* Adds a thread's to a total. */
void histogram_merge(struct gc_histogram *total, const struct thread_histogram *h);
/* A leaving thread's to what the heap keeps. */
void histogram_fold(struct thread_histogram *kept, const struct thread_histogram *h);
void times_fold(struct thread_times *kept, const struct thread_times *t);

#endif
