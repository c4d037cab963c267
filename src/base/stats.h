/* Counters and histograms, and the public structs they fill. No heap state. */
#ifndef GC_STATS_INTERNAL_H
#define GC_STATS_INTERNAL_H

#include "gcheap.h"
#include "base/atomics.h"
#include "base/os.h"
#include "base/stalls.h"

/* One thread's times. The thread writes them, or the collector on its behalf, and any thread reads
 * them; all accesses are relaxed. */
struct thread_histogram {
    u64 buckets[40];
    u64 count, sum, max;
};

struct thread_times {
    struct thread_histogram handshake_cpu, handshake_wall, stall_cpu, stall, held, held_back;
};

/* Two clocks, in ns: the time of day, and the calling thread's CPU time. Reading the latter takes a
 * system call. */
struct stopwatch {
    uint64_t wall, cpu;
};
struct stopwatch stopwatch_start(void);
/* A piece of work: when it began, and its time by both clocks. */
struct elapsed {
    uint64_t begin, wall, cpu;
};
struct elapsed stopwatch_elapsed(const struct stopwatch *start);
/* Records for how long a mutator was kept by work for the collector, which ends at this moment. */
void times_add_stall(struct thread_times *t, enum stall_kind kind, struct elapsed elapsed);
/* The same as stopwatch_elapsed, for work that is so short that two readings of the thread's clock
 * would be most of its cost. `start` is os_now_ns() at its beginning. The result's CPU time is the
 * elapsed time, but SHORT_VISIT_NS at most; for the rest the thread did not run. */
#define SHORT_VISIT_NS ((uint64_t)100 * 1000)
struct elapsed stopwatch_short(uint64_t start);

void histogram_add(struct thread_histogram *h, uint64_t ns);
/* Adds a thread's histogram to a total. */
void histogram_merge(struct gc_histogram *total, const struct thread_histogram *h);
/* Add what a leaving thread has measured to what the heap keeps. */
void histogram_fold(struct thread_histogram *kept, const struct thread_histogram *h);
void times_fold(struct thread_times *kept, const struct thread_times *t);

#endif
