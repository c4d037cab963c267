/* A window of live messages, each a node of two fields and 256 bytes. An operation replaces one at
 * random. Every operation is timed, from the end of the one before it, so that no delay falls
 * between two measurements. The threads share out the window and the operations. */
#include "../harness.h"

#include <stdlib.h>

enum { BODY = 256 };

struct message {
    unsigned char *body;
    uint64_t id;
};
BM_TYPE(message_type, struct message, body);

static size_t live, operations;
static int threads;
static struct histogram *histograms; /* one per thread */
static struct stalls *stalls;        /* the same */
static uint64_t checksums[256];
static uint64_t cpu_start;

static struct message *message_new(uint64_t id)
{
    unsigned char *body = BM_BYTES(BODY);
    BM_ROOTS(body);
    fill(body, BODY, id & 0xff);
    struct message *m = BM_NEW(struct message, message_type);
    m->body = body;
    m->id = id;
    return m;
}

/* Looks at a message for the last time. */
static uint64_t message_end(struct message *m)
{
    uint64_t sum = m->id + m->body[0] + m->body[BODY - 1];
    BM_FREE(m->body);
    BM_FREE(m);
    return sum;
}

/* Looks for the cause of a long operation, and now and then in any case. The time for that belongs
 * to the next operation: the system takes the processor away where it is asked. */
static void look_after(struct stalls *s, size_t i, uint64_t before, uint64_t now)
{
    if (now - before >= STALL_NS)
        stalls_note(s, before, now);
    else if (i % STALL_LOOK == 0)
        stalls_look(s);
}

static uint64_t replace(struct message **window, size_t n, size_t count, int index)
{
    struct histogram *h = &histograms[index];
    struct stalls *s = &stalls[index];
    struct random r = {(uint64_t)index};
    uint64_t sum = 0;
    stalls_look(s);
    uint64_t before = now_ns();
    for (size_t i = 0; i < count; i++) {
        size_t slot = random_below(&r, n);
        struct message *fresh = message_new(i);
        sum += message_end(window[slot]);
        BM_STORE(&window[slot], fresh);
        uint64_t now = now_ns();
        histogram_add(h, now - before);
        look_after(s, i, before, now);
        before = now;
    }
    return sum;
}

static void one_thread(int index)
{
    size_t n = live / (size_t)threads;
    struct message **window = (struct message **)BM_POINTERS(n);
    BM_ROOTS(window);
    for (size_t i = 0; i < n; i++)
        BM_STORE(&window[i], message_new(i));
    meet();
    if (index == 0)
        cpu_start = cpu_ns();
    uint64_t sum = replace(window, n, operations / (size_t)threads, index);
    for (size_t i = 0; i < n; i++)
        sum += message_end(window[i]);
    checksums[index] = sum;
}

void run_latency(void)
{
    live = (size_t)parameter("live", 1000 * 1000);
    operations = (size_t)parameter("operations", 5 * 1000 * 1000);
    threads = (int)parameter("threads", 1);
    histograms = calloc((size_t)threads, sizeof *histograms);
    stalls = calloc((size_t)threads, sizeof *stalls);
    if (!histograms || !stalls)
        fail("out of memory");
    bm_stall_listen();
    double seconds = in_threads(threads, one_thread);
    result("time", seconds, "s");
    result("cpu", (double)(cpu_ns() - cpu_start) / 1e9, "s");
    uint64_t sum = 0;
    for (int i = 0; i < threads; i++) {
        sum += checksums[i];
        if (i) {
            histogram_merge(&histograms[0], &histograms[i]);
            stalls_merge(&stalls[0], &stalls[i]);
        }
    }
    histogram_result(&histograms[0]);
    stalls_result(&stalls[0]);
    check(sum);
    free(histograms);
    free(stalls);
}
