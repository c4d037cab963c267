/* A message broker: producers publish to topics, consumers read them, and each consumer keeps the
 * last 16384 messages for replay. Memory is allocated by one thread and dropped by another, in
 * bursts, at an age of milliseconds. Messages travel in batches of 32; a producer waits while its
 * consumer is 8192 behind. Bodies are of 64 to 1024 bytes. */
#include "../harness.h"

#include <stdatomic.h>

enum { BATCH = 32, BACKLOG = 8192, REPLAY = 16384, TEAMS_MAX = 16 };

struct message {
    struct message *next;
    unsigned char *body;
    uint64_t id, size;
};
BM_TYPE(message_type, struct message, next, body);

/* One consumer's inbox. */
struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t filled, drained;
    size_t count;
    int producers; /* that have not finished */
};
static struct inbox inboxes[TEAMS_MAX];
static struct message *heads[TEAMS_MAX], *tails[TEAMS_MAX];

static int teams; /* producers, and as many consumers */
static uint64_t messages;
static _Atomic uint64_t received;

/* A list under construction, in a producer's locals. */
struct batch {
    struct message *first, *last;
};

static struct message *message_new(uint64_t id, struct random *r)
{
    size_t size = (size_t)64 << random_below(r, 5);
    unsigned char *body = BM_BYTES(size);
    BM_ROOTS(body);
    fill(body, size, id & 0xff);
    struct message *m = BM_NEW(struct message, message_type);
    m->next = NULL;
    m->body = body;
    m->id = id;
    m->size = size;
    return m;
}

static uint64_t message_end(struct message *m)
{
    uint64_t ok = m->body[0] == (m->id & 0xff) && m->body[m->size - 1] == (m->id & 0xff);
    BM_FREE(m->body);
    BM_FREE(m);
    return ok;
}

static void deliver(int to, struct batch *batch)
{
    struct inbox *in = &inboxes[to];
    if (!batch->first)
        return;
    lock(&in->mutex);
    while (in->count >= BACKLOG)
        wait_for(&in->drained, &in->mutex);
    if (heads[to])
        BM_STORE(&tails[to]->next, batch->first);
    else
        BM_STORE(&heads[to], batch->first);
    BM_STORE(&tails[to], batch->last);
    in->count += BATCH;
    pthread_cond_signal(&in->filled);
    unlock(&in->mutex);
    batch->first = batch->last = NULL;
}

static void finish(int to)
{
    lock(&inboxes[to].mutex);
    inboxes[to].producers--;
    pthread_cond_signal(&inboxes[to].filled);
    unlock(&inboxes[to].mutex);
}

/* The messages of a producer go to the consumers in turn, a batch at a time. */
static void produce(int index)
{
    struct batch batch = {0};
    struct message *m = NULL;
    BM_ROOT_ARRAY(&batch, 2);
    BM_ROOTS(m);
    struct random r = {(uint64_t)index};
    for (uint64_t i = 0; i < messages / (uint64_t)teams; i++) {
        m = message_new(i, &r);
        if (batch.last)
            BM_STORE(&batch.last->next, m);
        else
            batch.first = m;
        batch.last = m;
        if (i % BATCH == BATCH - 1)
            deliver((int)(i / BATCH % (uint64_t)teams), &batch);
    }
    deliver(0, &batch);
    for (int i = 0; i < teams; i++)
        finish(i);
}

/* All that is in the inbox; NULL when nothing will come any more. */
static struct message *receive(int index)
{
    struct inbox *in = &inboxes[index];
    lock(&in->mutex);
    while (!heads[index] && in->producers)
        wait_for(&in->filled, &in->mutex);
    struct message *all = heads[index];
    BM_STORE(&heads[index], NULL);
    BM_STORE(&tails[index], NULL);
    in->count = 0;
    pthread_cond_broadcast(&in->drained);
    unlock(&in->mutex);
    return all;
}

/* Puts the messages of a list into the replay window, of which n were there before; what they push
 * out is dropped. Returns how many of those were intact. */
static uint64_t keep(struct message **replay, struct message *list, uint64_t *n)
{
    uint64_t intact = 0;
    BM_ROOTS(list);
    while (list) {
        struct message *m = list, **slot = &replay[(*n)++ % REPLAY];
        list = m->next;
        if (*slot)
            intact += message_end(*slot);
        BM_STORE(&m->next, NULL);
        BM_STORE(slot, m);
        if (*n % 256 == 0)
            bm_poll();
    }
    return intact;
}

static void consume(int index)
{
    struct message **replay = (struct message **)BM_POINTERS(REPLAY), *list = NULL;
    BM_ROOTS(replay, list);
    uint64_t n = 0, intact = 0;
    while ((list = receive(index)))
        intact += keep(replay, list, &n);
    for (int i = 0; i < REPLAY; i++)
        if (replay[i])
            intact += message_end(replay[i]);
    BM_FREE(replay);
    received += intact;
}

static void produce_or_consume(int index)
{
    if (index < teams)
        produce(index);
    else
        consume(index - teams);
}

void run_broker(void)
{
    teams = (int)parameter("teams", 2);
    messages = (uint64_t)parameter("messages", 3 * 1000 * 1000);
    if (teams < 1 || teams > TEAMS_MAX)
        fail("1 to 16 teams");
    BM_ROOT_GLOBALS(heads, TEAMS_MAX);
    BM_ROOT_GLOBALS(tails, TEAMS_MAX);
    for (int i = 0; i < teams; i++) {
        pthread_mutex_init(&inboxes[i].mutex, NULL);
        pthread_cond_init(&inboxes[i].filled, NULL);
        pthread_cond_init(&inboxes[i].drained, NULL);
        inboxes[i].producers = teams;
    }
    double seconds = in_threads(2 * teams, produce_or_consume);
    result("time", seconds, "s");
    check(received);
}
