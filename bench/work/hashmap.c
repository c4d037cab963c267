/* A hash map that several threads share: what a server's session table or cache does to memory.
 * 64 shards with a lock each, chained entries of 32 bytes, values of 32 to 159 bytes. Half of the
 * keys are there at first; then 60 % lookups, 20 % insertions or replacements, 20 % deletions, so
 * entries of all ages die all the time. Each thread has keys of its own, so the outcome is known;
 * the shards are everyone's. Nothing is allocated under a lock. */
#include "../harness.h"

#include <stdatomic.h>

enum { SHARDS = 64, BUCKETS = 8192, VALUE_MIN = 32, VALUE_SPREAD = 128 };

struct entry {
    struct entry *next;
    unsigned char *value; /* its first byte depends on the key */
    uint64_t key, stamp;
};
BM_TYPE(entry_type, struct entry, next, value);

static struct entry **shards[SHARDS]; /* each an array of BUCKETS chains */
static pthread_mutex_t locks[SHARDS];
static size_t keys, operations;
static int threads;
static _Atomic uint64_t outcome;

static uint64_t hash(uint64_t key)
{
    struct random r = {key};
    return random_next(&r);
}

static unsigned char *value_new(uint64_t key, struct random *r)
{
    size_t size = VALUE_MIN + random_below(r, VALUE_SPREAD);
    unsigned char *value = BM_BYTES(size);
    fill(value, size, key & 0xff);
    return value;
}

/* The slot that refers to the key's entry, or to NULL at the end of its chain. */
static struct entry **find(uint64_t key, uint64_t h)
{
    struct entry **slot = &shards[h % SHARDS][(h / SHARDS) % BUCKETS];
    while (*slot && (*slot)->key != key)
        slot = &(*slot)->next;
    return slot;
}

/* The byte that the key's value begins with, or 0. */
static uint64_t get(uint64_t key)
{
    uint64_t h = hash(key), found = 0;
    lock(&locks[h % SHARDS]);
    struct entry *e = *find(key, h);
    if (e)
        found = e->value[0];
    unlock(&locks[h % SHARDS]);
    return found;
}

/* Replaces the value of a key that is there; false if it is not. */
static bool put_present(uint64_t key, uint64_t h, unsigned char *value)
{
    unsigned char *old = NULL;
    lock(&locks[h % SHARDS]);
    struct entry *e = *find(key, h);
    if (e) {
        old = e->value;
        BM_STORE(&e->value, value);
        e->stamp++;
    }
    unlock(&locks[h % SHARDS]);
    BM_FREE(old);
    return e != NULL;
}

static void put(uint64_t key, struct random *r)
{
    uint64_t h = hash(key);
    unsigned char *value = value_new(key, r);
    BM_ROOTS(value);
    if (put_present(key, h, value))
        return;
    struct entry *fresh = BM_NEW(struct entry, entry_type);
    BM_ROOTS(fresh);
    fresh->next = NULL;
    fresh->value = value;
    fresh->key = key;
    fresh->stamp = 0;
    lock(&locks[h % SHARDS]);
    BM_STORE(find(key, h), fresh);
    unlock(&locks[h % SHARDS]);
}

static uint64_t take_out(uint64_t key)
{
    uint64_t h = hash(key);
    lock(&locks[h % SHARDS]);
    struct entry **slot = find(key, h), *e = *slot;
    if (e)
        BM_STORE(slot, e->next);
    unlock(&locks[h % SHARDS]);
    if (!e)
        return 0;
    BM_FREE(e->value);
    BM_FREE(e);
    return 1;
}

static void churn(int index)
{
    struct random r = {(uint64_t)index};
    uint64_t sum = 0, own = keys / (uint64_t)threads;
    for (uint64_t i = 0; i < own / 2; i++)
        put(2 * i * (uint64_t)threads + (uint64_t)index, &r);
    meet();
    for (size_t i = 0; i < operations / (size_t)threads; i++) {
        uint64_t key = random_below(&r, own) * (uint64_t)threads + (uint64_t)index;
        size_t dice = random_below(&r, 10);
        if (dice < 6)
            sum += get(key);
        else if (dice < 8)
            put(key, &r);
        else
            sum += take_out(key);
    }
    outcome += sum;
}

static void shards_new(void)
{
    BM_ROOT_GLOBALS(shards, SHARDS);
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&locks[i], NULL);
        BM_STORE(&shards[i], BM_POINTERS(BUCKETS));
    }
}

static uint64_t entries(void)
{
    uint64_t count = 0;
    for (int i = 0; i < SHARDS; i++)
        for (int j = 0; j < BUCKETS; j++)
            for (struct entry *e = shards[i][j]; e; e = e->next)
                count += e->value[0] == (e->key & 0xff);
    return count;
}

void run_hashmap(void)
{
    threads = (int)parameter("threads", 2);
    keys = (size_t)parameter("keys", 1000 * 1000);
    operations = (size_t)parameter("operations", 4 * 1000 * 1000);
    shards_new();
    double seconds = in_threads(threads, churn);
    result("time", seconds, "s");
    result("resident", resident_mib(), "MiB");
    check(outcome + entries());
}
