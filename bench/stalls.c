/* Why an operation took long. A thread looks at what the system counts for it, every few hundred
 * operations; after a long one it looks again, and compares. What the memory manager itself tells
 * comes first, unless the thread lost its processor meanwhile. */
#include "harness.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

/* In the order of the results. The first ones are the manager's own, see bm_stall_kind(). */
static const char *const causes[STALL_CAUSES] = {
    "handshake", "assist", "sweep", "drive",     "proc",   "claim",  "held",
    "held_back", "lock",   "fault", "preempted", "waited", "stolen", "other"};
enum { FAULT = 9, PREEMPTED, WAITED, STOLEN, OTHER, FIRST_WAIT = 4 };

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void stalls_look(struct stalls *s)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    s->at = now_ns();
    s->cpu = thread_cpu_ns();
    s->faults = (uint64_t)(usage.ru_minflt + usage.ru_majflt);
    s->waits = (uint64_t)usage.ru_nvcsw;
    s->preempted = (uint64_t)usage.ru_nivcsw;
}

/* What the system tells. A thread that did not run, and was not switched, was not given a processor
 * by the host. */
static int cause_outside(const struct stalls *before, const struct stalls *after, bool ran)
{
    if (ran)
        return after->faults > before->faults ? FAULT : OTHER;
    if (after->preempted > before->preempted)
        return PREEMPTED;
    return after->waits > before->waits ? WAITED : STOLEN;
}

/* Whether the thread had a processor for most of a stall. The operations before it took none of the
 * time that is missing, more or less. */
static bool has_run(const struct stalls *before, const struct stalls *after, uint64_t ns)
{
    uint64_t wall = after->at - before->at, cpu = after->cpu - before->cpu;
    return wall < cpu + ns / 2;
}

void stalls_note(struct stalls *s, uint64_t begin, uint64_t end)
{
    struct stalls before = *s;
    stalls_look(s);
    bool ran = has_run(&before, s, end - begin);
    int cause = bm_stall_kind(begin, end);
    if (cause < 0 || (cause < FIRST_WAIT && !ran))
        cause = cause_outside(&before, s, ran);
    s->count[cause]++;
    if (end - begin > s->longest[cause])
        s->longest[cause] = end - begin;
}

void stalls_merge(struct stalls *into, const struct stalls *from)
{
    for (int i = 0; i < STALL_CAUSES; i++) {
        into->count[i] += from->count[i];
        if (from->longest[i] > into->longest[i])
            into->longest[i] = from->longest[i];
    }
}

void stalls_result(const struct stalls *s)
{
    char metric[32];
    for (int i = 0; i < STALL_CAUSES; i++) {
        if (!s->count[i])
            continue;
        snprintf(metric, sizeof metric, "stalls_%s", causes[i]);
        result(metric, (double)s->count[i], "");
        snprintf(metric, sizeof metric, "longest_%s", causes[i]);
        result(metric, (double)s->longest[i], "ns");
    }
}
