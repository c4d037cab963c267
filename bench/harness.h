/* What all workloads share: parameters, results, clocks, random numbers, threads, locks. */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include "adapter.h"

#include <pthread.h>
#include <string.h>

/* A workload: reads its parameters, runs, and reports. */
struct workload {
    const char *name;
    const char *what;
    void (*run)(void);
};
extern const struct workload workloads[]; /* ends with a NULL name */
void run_alloc(void);
void run_arrays(void);
void run_closures(void);
void run_strings(void);
void run_mixture(void);
void run_vector(void);
void run_fib(void);
void run_attach(void);
void run_broker(void);
void run_editor(void);
void run_fragment(void);
void run_gcbench(void);
void run_giveback(void);
void run_graphs(void);
void run_growth(void);
void run_hashmap(void);
void run_holes(void);
void run_intern(void);
void run_large(void);
void run_latency(void);
void run_mark(void);
void run_metadata(void);
void run_micro(void);
void run_tiny(void);
void run_tree(void);
void run_weak(void);

/* The parameter `key` of the command line (key=value; k, m and g multiply by 1024s), or
 * `fallback`. What was asked for is part of every result. */
long parameter(const char *key, long fallback);
/* The same for a parameter that is a name. */
const char *parameter_name(const char *key, const char *fallback);

/* One JSON line. `result` is a measurement; the peak memory and CPU time so far go with it. */
void result(const char *metric, double value, const char *unit);
/* A number that every peer must agree on: the driver compares it. */
void check(uint64_t value);
/* Ends the process with a message: the peer cannot do it. */
void fail(const char *message) __attribute__((noreturn));

uint64_t now_ns(void);                       /* wall clock, monotonic */
uint64_t cpu_ns(void);                       /* all threads of this process */
double peak_mib(void);                       /* of resident memory */
double resident_mib(void);                   /* now */
double since(uint64_t t0);                   /* seconds */
int by_double(const void *a, const void *b); /* for qsort */
double median(double *values, int n);        /* sorts them */

/* splitmix64: the same sequence in every language. */
struct random {
    uint64_t state;
};
static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
/* Below n, which fits 32 bits. */
static inline size_t random_below(struct random *r, size_t n)
{
    return (size_t)(((random_next(r) >> 32) * (uint64_t)n) >> 32);
}

/* Fills a fresh block of n bytes (2 … 8192), as data that came from elsewhere; its first and last
 * byte are `mark`. */
void fill(void *block, size_t n, unsigned char mark);

/* Runs body(i) for i < n at once, on the calling thread if n is 1, and waits. Returns seconds. */
double in_threads(int n, void (*body)(int index));
/* All threads of in_threads() meet; the clock that in_threads() reports starts again here. */
void meet(void);

/* Locks and conditions; a wait is announced to the memory manager. */
void lock(pthread_mutex_t *mutex);
void unlock(pthread_mutex_t *mutex);
void wait_for(pthread_cond_t *condition, pthread_mutex_t *mutex);

/* Durations: 64 buckets per power of two, so a value is within 1.6 %. */
enum { HISTOGRAM_BUCKETS = 64 * 59 };
struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};
static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    int shift = ns < 64 ? 0 : 57 - __builtin_clzll(ns);
    h->buckets[(size_t)shift * 64 + (ns >> shift)]++;
    h->count++;
    h->sum += ns;
    if (ns > h->max)
        h->max = ns;
}
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The duration that a fraction `p` of all did not exceed. */
double histogram_percentile(const struct histogram *h, double p);
/* Reports 50 … 99.999 % and the maximum. */
void histogram_result(const struct histogram *h);

/* Operations that took longer than STALL_NS, by cause; a thread's own. */
#define STALL_NS 500000u
#define STALL_LOOK 256 /* operations between two looks */
enum { STALL_CAUSES = 14 };
struct stalls {
    uint64_t at, cpu, faults, waits, preempted; /* the last look */
    uint64_t count[STALL_CAUSES], longest[STALL_CAUSES];
};
/* A look takes a microsecond, and belongs to no operation. */
void stalls_look(struct stalls *s);
/* Called after an operation that took long: finds the cause, and looks. */
void stalls_note(struct stalls *s, uint64_t begin, uint64_t end);
void stalls_merge(struct stalls *into, const struct stalls *from);
/* Reports how many, and the longest, for each cause that there was. */
void stalls_result(const struct stalls *s);

#endif /* BENCH_HARNESS_H */
