#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- The command line: PEER[-VARIANT] WORKLOAD key=value … ---------------------------------- */

static struct {
    const char *peer, *workload;
    char **given;
    int n_given;
    char parameters[512]; /* JSON members, as they were asked for */
} run;

static long with_suffix(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    switch (*end) {
    case 'g':
        value *= 1024; /* fall through */
    case 'm':
        value *= 1024; /* fall through */
    case 'k':
        value *= 1024;
    }
    return value;
}

/* What the command line gives for `key`, or NULL. */
static const char *given(const char *key)
{
    size_t length = strlen(key);
    const char *text = NULL;
    for (int i = 0; i < run.n_given; i++)
        if (!strncmp(run.given[i], key, length) && run.given[i][length] == '=')
            text = run.given[i] + length + 1;
    return text;
}

long parameter(const char *key, long fallback)
{
    const char *text = given(key);
    long value = text ? with_suffix(text) : fallback;
    size_t used = strlen(run.parameters);
    snprintf(run.parameters + used, sizeof run.parameters - used, "%s\"%s\":%ld", used ? "," : "",
             key, value);
    return value;
}

const char *parameter_name(const char *key, const char *fallback)
{
    const char *text = given(key), *name = text ? text : fallback;
    size_t used = strlen(run.parameters);
    snprintf(run.parameters + used, sizeof run.parameters - used, "%s\"%s\":\"%s\"",
             used ? "," : "", key, name);
    return name;
}

static void result_begin(const char *metric)
{
    printf("{\"bench\":\"%s\",\"peer\":\"%s\",\"params\":{%s},\"metric\":\"%s\",", run.workload,
           run.peer, run.parameters, metric);
}

void result(const char *metric, double value, const char *unit)
{
    result_begin(metric);
    printf("\"value\":%.6g,\"unit\":\"%s\",\"rss_mib\":%.1f,\"cpu_s\":%.3f}\n", value, unit,
           peak_mib(), (double)cpu_ns() / 1e9);
    fflush(stdout);
}

void check(uint64_t value)
{
    result_begin("check");
    printf("\"value\":\"%llu\",\"unit\":\"\"}\n", (unsigned long long)value);
    fflush(stdout);
}

void fail(const char *message)
{
    fprintf(stderr, "%s %s: %s\n", run.peer, run.workload, message);
    exit(3);
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s PEER[-VARIANT] version | WORKLOAD [key=value …]\n", program);
    for (const struct workload *w = workloads; w->name; w++)
        fprintf(stderr, "  %-10s %s\n", w->name, w->what);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return usage(argv[0]);
    if (!strcmp(argv[2], "version")) {
        bm_start("");
        return puts(bm_version()) < 0;
    }
    run.peer = argv[1];
    run.workload = argv[2];
    run.given = argv + 3;
    run.n_given = argc - 3;
    const char *variant = strchr(run.peer, '-');
    for (const struct workload *w = workloads; w->name; w++) {
        if (strcmp(w->name, run.workload))
            continue;
        bm_start(variant ? variant + 1 : "");
        w->run();
        bm_report_collector();
        bm_stop();
        return 0;
    }
    return usage(argv[0]);
}

/* ---- Clocks and memory --------------------------------------------------------------------- */

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    uint64_t seconds = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    uint64_t micros = (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return seconds * 1000000000u + micros * 1000;
}

double since(uint64_t t0)
{
    return (double)(now_ns() - t0) / 1e9;
}

/* A line of /proc/self/status, in KiB; 0 if there is none. */
static long proc_status(const char *key)
{
    char line[256];
    long value = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key)))
            value = strtol(line + strlen(key), NULL, 10);
    fclose(file);
    return value;
}

/* VmHWM is this program's own peak; ru_maxrss, the fallback, counts the process that ran it too. */
double peak_mib(void)
{
    struct rusage usage;
    long kib = proc_status("VmHWM:");
    getrusage(RUSAGE_SELF, &usage);
    return (double)(kib ? kib : usage.ru_maxrss) / 1024;
}

double resident_mib(void)
{
    return (double)proc_status("VmRSS:") / 1024;
}

int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_double);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void fill(void *block, size_t n, unsigned char mark)
{
    static const unsigned char data[8192] = {1, 2, 3};
    memcpy(block, data, n);
    ((unsigned char *)block)[0] = ((unsigned char *)block)[n - 1] = mark;
}

/* ---- Threads ------------------------------------------------------------------------------- */

static struct {
    int n;
    void (*body)(int index);
    pthread_barrier_t barrier;
    uint64_t start; /* written by the thread that the barrier elects */
    uint64_t ends[256];
} team;

void meet(void)
{
    if (team.n == 1) {
        team.start = now_ns();
        return;
    }
    bm_block_begin();
    if (pthread_barrier_wait(&team.barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        team.start = now_ns();
    bm_block_end();
}

static void *member(void *arg)
{
    int index = (int)(intptr_t)arg;
    bm_thread_begin();
    meet();
    team.body(index);
    team.ends[index] = now_ns();
    bm_thread_end();
    return NULL;
}

static void spawn_and_join(int n)
{
    pthread_t threads[256];
    pthread_barrier_init(&team.barrier, NULL, (unsigned)n);
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, member, (void *)(intptr_t)i))
            fail("cannot create a thread");
    bm_block_begin();
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    bm_block_end();
    pthread_barrier_destroy(&team.barrier);
}

double in_threads(int n, void (*body)(int index))
{
    uint64_t end = 0;
    if (n < 1 || n > 256)
        fail("1 to 256 threads");
    team.n = n;
    team.body = body;
    if (n == 1) {
        meet();
        body(0);
        team.ends[0] = now_ns();
    } else {
        spawn_and_join(n);
    }
    for (int i = 0; i < n; i++)
        end = team.ends[i] > end ? team.ends[i] : end;
    return (double)(end - team.start) / 1e9;
}

void lock(pthread_mutex_t *mutex)
{
    if (!pthread_mutex_trylock(mutex))
        return;
    bm_block_begin();
    pthread_mutex_lock(mutex);
    bm_block_end();
}

void unlock(pthread_mutex_t *mutex)
{
    pthread_mutex_unlock(mutex);
}

void wait_for(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    bm_block_begin();
    pthread_cond_wait(condition, mutex);
    bm_block_end();
}

/* ---- Histograms ---------------------------------------------------------------------------- */

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
}

/* The largest duration that bucket i counts. */
static double bucket_top(size_t i)
{
    size_t shift = i < 128 ? 0 : i / 64 - 1;
    return (double)(((uint64_t)(i - shift * 64 + 1) << shift) - 1);
}

double histogram_percentile(const struct histogram *h, double p)
{
    double wanted = (double)h->count * p;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen && (double)seen >= wanted)
            return bucket_top(i) < (double)h->max ? bucket_top(i) : (double)h->max;
    }
    return (double)h->max;
}

void histogram_result(const struct histogram *h)
{
    result("p50", histogram_percentile(h, 0.5), "ns");
    result("p99", histogram_percentile(h, 0.99), "ns");
    result("p99.9", histogram_percentile(h, 0.999), "ns");
    result("p99.99", histogram_percentile(h, 0.9999), "ns");
    result("p99.999", histogram_percentile(h, 0.99999), "ns");
    result("max", (double)h->max, "ns");
}
