/* What a slot costs in a cycle if it is weak: the same keys are held by an array of references, by
 * a weak array, by an array of pairs (ephemerons) and by a gc_weakmap, beside an array that keeps
 * all of them alive; and the same with nothing that keeps them alive, so that each slot is cleared.
 * In ns of processor time for each slot, with what the keys cost themselves taken off. The value of
 * a pair, and of an entry, is its key. */
#include "../harness.h"

#if defined(BENCH_GCHEAP)

#include "nodes.h"

enum { ROUNDS_MAX = 1000 };

struct pair {
    void *key, *value;
};
struct weak_array {
    size_t n;
    void *slots[];
};
struct pair_array {
    size_t n;
    struct pair pairs[];
};
static void trace_slots(void *object, gc_tracer *tracer)
{
    struct weak_array *a = object;
    gc_trace_weak(tracer, a->slots, a->n, sizeof(void *), NULL);
}
static void trace_pairs(void *object, gc_tracer *tracer)
{
    struct pair_array *a = object;
    gc_trace_ephemerons(tracer, a->pairs, a->n, sizeof(struct pair), NULL);
}
static gc_type weak_type = {
    .size = sizeof(struct weak_array), .name = "weak", .trace = trace_slots};
static gc_type pairs_type = {
    .size = sizeof(struct pair_array), .name = "pairs", .trace = trace_pairs};
static GC_TYPE_NOPTR(slot_type, void *);
static GC_TYPE_NOPTR(pair_type, struct pair);

/* What holds the keys: `holder` is an object, or `map` is. */
static size_t count;
static void *holder; /* rooted */
static gc_weakmap *map;

static void hold_nothing(void) {}
static void hold_strongly(void)
{
    gc_store(&holder, BM_POINTERS(count));
}
static void hold_weakly(void)
{
    struct weak_array *a = gc_new_flex(&weak_type, &slot_type, count);
    a->n = count;
    gc_store(&holder, a);
}
static void hold_pairs(void)
{
    struct pair_array *a = gc_new_flex(&pairs_type, &pair_type, count);
    a->n = count;
    gc_store(&holder, a);
}
static void hold_map(void)
{
    map = gc_weakmap_new();
}

static void put_nothing(size_t i, void *key)
{
    (void)i, (void)key;
}
static void put_strongly(size_t i, void *key)
{
    gc_store(&((void **)holder)[i], key);
}
static void put_weakly(size_t i, void *key)
{
    gc_store_weak(&((struct weak_array *)holder)->slots[i], key);
}
static void put_pair(size_t i, void *key)
{
    struct pair *pair = &((struct pair_array *)holder)->pairs[i];
    gc_store_weak(&pair->value, key);
    gc_store_weak(&pair->key, key);
}
static void put_entry(size_t i, void *key)
{
    (void)i;
    gc_weakmap_set(map, key, key);
}

static const struct kind {
    const char *live, *dead; /* the metrics; NULL: not reported */
    void (*hold)(void);
    void (*put)(size_t i, void *key);
} kinds[] = {
    {NULL, NULL, hold_nothing, put_nothing}, /* the keys themselves; the first */
    {"strong", NULL, hold_strongly, put_strongly},
    {"weak", "weak_cleared", hold_weakly, put_weakly},
    {"pair", "pair_cleared", hold_pairs, put_pair},
    {"map", "map_cleared", hold_map, put_entry},
};

static void let_go(void)
{
    gc_store(&holder, NULL);
    gc_weakmap_free(map);
    map = NULL;
}

static double collection_ns(void)
{
    uint64_t t0 = cpu_ns();
    gc_collect();
    return (double)(cpu_ns() - t0);
}

static double live_ns(const struct kind *kind, void **keys, int rounds)
{
    double ns[ROUNDS_MAX];
    kind->hold();
    for (size_t i = 0; i < count; i++)
        kind->put(i, keys[i]);
    for (int i = -2; i < rounds; i++)
        ns[i < 0 ? 0 : i] = collection_ns();
    let_go();
    return median(ns, rounds) / (double)count;
}

static double dead_ns(const struct kind *kind, int rounds)
{
    double ns[ROUNDS_MAX];
    for (int i = -2; i < rounds; i++) {
        void **keys = NULL;
        BM_ROOTS(keys);
        kind->hold();
        keys = BM_POINTERS(count);
        for (size_t k = 0; k < count; k++) {
            gc_store(&keys[k], leaf_new());
            kind->put(k, keys[k]);
        }
        keys = NULL;
        ns[i < 0 ? 0 : i] = collection_ns();
        let_go();
        gc_collect();
    }
    return median(ns, rounds) / (double)count;
}

static void measure(const struct kind *kind, void **keys, int rounds)
{
    static double base_live, base_dead;
    double live = live_ns(kind, keys, rounds), dead = dead_ns(kind, rounds);
    if (kind == kinds) {
        base_live = live;
        base_dead = dead;
    }
    if (kind->live)
        result(kind->live, live - base_live, "ns");
    if (kind->dead)
        result(kind->dead, dead - base_dead, "ns");
}

void run_weak(void)
{
    void **keys = NULL;
    BM_ROOTS(keys);
    count = (size_t)parameter("slots", 100000);
    int rounds = (int)parameter("collections", 25);
    if (rounds < 1 || rounds > ROUNDS_MAX)
        fail("1 to 1000 collections");
    gc_root(&holder);
    gc_set_percent(GC_PERCENT_OFF);
    keys = BM_POINTERS(count);
    for (size_t i = 0; i < count; i++)
        gc_store(&keys[i], leaf_new());
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        measure(&kinds[i], keys, rounds);
}

#else

void run_weak(void)
{
    fail("gcheap's own tables");
}

#endif
