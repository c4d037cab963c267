/* Weak maps and ephemerons. */
#include <limits.h>
#include "build.h"
#include "cells.h"
#include "refuse.h"
#include "random.h"

static uint64_t seed = 1;

/* ---- One thread ---- */

TEST(set_get_delete)
{
    gc_heap *heap = new_heap(0);
    gc_weakmap *map = gc_weakmap_new();
    struct cell *k = new_cell(1), *k2 = new_cell(2);
    GC_FRAME(k, k2);
    CHECK(!gc_weakmap_has(map, k) && !gc_weakmap_get(map, k) && !gc_weakmap_delete(map, k));
    CHECK(gc_weakmap_set(map, k, new_cell(10)) == 0);
    CHECK(gc_weakmap_set(map, k2, NULL) == 0);
    CHECK_EQ(gc_weakmap_count(map), 2);
    CHECK(gc_weakmap_has(map, k2) && !gc_weakmap_get(map, k2));
    gc_collect();
    CHECK(is_cell(gc_weakmap_get(map, k), 10));
    CHECK(gc_weakmap_has(map, k2) && !gc_weakmap_get(map, k2));
    CHECK(gc_weakmap_set(map, k, new_cell(11)) == 0);
    CHECK_EQ(gc_weakmap_count(map), 2);
    gc_collect();
    CHECK(is_cell(gc_weakmap_get(map, k), 11));
    CHECK(gc_weakmap_delete(map, k) && !gc_weakmap_delete(map, k));
    CHECK(!gc_weakmap_has(map, k));
    CHECK_EQ(gc_weakmap_count(map), 1);
    k2 = NULL;
    gc_collect();
    CHECK_EQ(gc_weakmap_count(map), 0);
    gc_weakmap_free(map);
    gc_heap_destroy(heap);
}

/* An entry's value leads to its key, and still both die. */
static void value_leads_to_key(unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    gc_weakmap *map = gc_weakmap_new();
    struct cell *k = new_cell(1), *v = new_cell(2);
    GC_FRAME(k, v);
    gc_store(&v->next, k);
    gc_weak *wk = gc_weak_new(k), *wv = gc_weak_new(v);
    gc_weakmap_set(map, k, v);
    v = NULL;
    gc_collect();
    CHECK(is_cell(gc_weak_get(wv), 2) && gc_weakmap_get(map, k) == gc_weak_get(wv));
    k = NULL;
    gc_collect();
    CHECK(!gc_weak_get(wk) && !gc_weak_get(wv));
    CHECK_EQ(gc_weakmap_count(map), 0);
    gc_heap_destroy(heap);
}

TEST_EACH_WAY(value_leads_to_key)

TEST(large_and_tiny_keys)
{
    gc_heap *heap = new_heap(0);
    gc_weakmap *map = gc_weakmap_new();
    char *large = gc_new_bytes(1 << 20), *tiny = gc_new_bytes(5), *neighbour = gc_new_bytes(5);
    GC_FRAME(large, tiny, neighbour);
    gc_weakmap_set(map, large, new_cell(1));
    gc_weakmap_set(map, tiny, new_cell(2));
    gc_weakmap_set(map, neighbour, new_cell(3));
    gc_collect();
    CHECK(is_cell(gc_weakmap_get(map, large), 1) && is_cell(gc_weakmap_get(map, tiny), 2) &&
          is_cell(gc_weakmap_get(map, neighbour), 3));
    large = tiny = neighbour = NULL;
    gc_collect();
    CHECK_EQ(gc_weakmap_count(map), 0);
    gc_heap_destroy(heap);
}

TEST(values_in_a_value_format)
{
    if (UINTPTR_MAX == UINT32_MAX)
        SKIP("value formats are for 64-bit hosts");
    gc_options o = {.format = {0xffff000000000000u, 0xfffc000000000000u, 0xffffffffffffu}};
    gc_heap *heap = gc_heap_create(&o);
    gc_weakmap *map = gc_weakmap_new();
    struct cell *k = new_cell(1), *n = new_cell(2);
    GC_FRAME(k, n);
    uint64_t boxed = (uint64_t)(uintptr_t)new_cell(3) | 0xfffc000000000000u;
    uint64_t number = 0x400921fb54442d18u;
    gc_weakmap_set(map, k, (void *)(uintptr_t)boxed);
    gc_weakmap_set(map, n, (void *)(uintptr_t)number);
    gc_collect();
    CHECK((uint64_t)(uintptr_t)gc_weakmap_get(map, k) == boxed);
    CHECK(is_cell((void *)(uintptr_t)(boxed & 0xffffffffffffu), 3));
    CHECK((uint64_t)(uintptr_t)gc_weakmap_get(map, n) == number);
    gc_heap_destroy(heap);
}

/* Such keys live for ever, and so do their values until the entry is deleted or replaced. */
static void keys_outside_the_heap(unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    gc_weakmap *map = gc_weakmap_new();
    static int variable;
    void *keys[] = {&variable, (void *)(uintptr_t)1, (void *)UINTPTR_MAX}, *key, *value = NULL;
    GC_FRAME(value);
    for (uint64_t i = 0; i < 3; i++)
        CHECK_EQ(gc_weakmap_set(map, keys[i], new_cell(i)), 0);
    gc_weak *probe = gc_weak_new(gc_weakmap_get(map, keys[0]));
    for (int i = 0; i < 3; i++)
        gc_collect();
    for (uint64_t i = 0; i < 3; i++)
        CHECK(is_cell(gc_weakmap_get(map, keys[i]), i));
    size_t n = 0;
    for (size_t at = 0; gc_weakmap_next(map, &at, &key, &value); n++)
        CHECK(key == keys[((struct cell *)value)->id]);
    CHECK_EQ(n, 3);
    value = NULL;
    CHECK(gc_weakmap_delete(map, keys[0]));
    gc_collect();
    CHECK(!gc_weak_get(probe) && !gc_weakmap_has(map, keys[0]));
    CHECK_EQ(gc_weakmap_count(map), 2);
    end_heap(heap);
}

TEST_EACH_WAY(keys_outside_the_heap)

/* The address in a boxed word is no key, but for numbers. */
TEST(boxed_keys)
{
    if (UINTPTR_MAX == UINT32_MAX)
        SKIP("value formats are for 64-bit hosts");
    gc_options o = {.format = {0xffff000000000000u, 0xfffc000000000000u, 0xffffffffffffu}};
    gc_heap *heap = gc_heap_create(&o);
    gc_weakmap *map = gc_weakmap_new();
    struct cell *k = new_cell(1);
    GC_FRAME(k);
    uint64_t boxed = (uint64_t)(uintptr_t)k | 0xfffc000000000000u, number = 0x400921fb54442d18u;
    CHECK_EQ(gc_weakmap_set(map, (void *)(uintptr_t)boxed, k), -EINVAL);
    CHECK_EQ(gc_weakmap_set(map, (void *)(uintptr_t)number, k), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(argument_errors)
{
    gc_heap *heap = new_heap(0);
    gc_weakmap *map = gc_weakmap_new();
    struct cell *k = new_cell(1);
    void *out = k;
    size_t at = 0;
    GC_FRAME(k);
    CHECK_EQ(gc_weakmap_set(NULL, k, k), -EINVAL);
    CHECK_EQ(gc_weakmap_set(map, NULL, k), -EINVAL);
    CHECK_EQ(gc_weakmap_set(map, &k->magic, k), -EINVAL);
    CHECK_EQ(gc_weakmap_set(map, gc_new_bytes(0), k), -EINVAL);
    CHECK(!gc_weakmap_has(map, NULL) && !gc_weakmap_get(map, &out) && !gc_weakmap_delete(map, &at));
    CHECK_REFUSED(gc_weakmap_get(NULL, k), EINVAL);
    CHECK_REFUSED(gc_weakmap_has(NULL, k), EINVAL);
    CHECK_REFUSED(gc_weakmap_delete(NULL, k), EINVAL);
    CHECK_REFUSED(gc_weakmap_count(NULL), EINVAL);
    CHECK_REFUSED(gc_weakmap_next(NULL, &at, &out, &out), EINVAL);
    CHECK_REFUSED(gc_weakmap_next(map, NULL, &out, &out), EINVAL);
    CHECK_REFUSED(gc_weakmap_next(map, &at, NULL, &out), EINVAL);
    CHECK_REFUSED(gc_weakmap_next(map, &at, &out, NULL), EINVAL);
    gc_heap *other = new_heap(0);
    CHECK_REFUSED(gc_weakmap_get(map, k), EINVAL);
    CHECK_EQ(gc_weakmap_set(map, k, k), -EINVAL);
    gc_weakmap *others = gc_weakmap_new();
    CHECK_EQ(gc_weakmap_set(others, k, NULL), -EINVAL);
    gc_heap_destroy(other);
    gc_thread_switch(NULL);
    CHECK_REFUSED(gc_weakmap_new(), EPERM);
    CHECK_REFUSED(gc_weakmap_get(map, k), EPERM);
    CHECK_EQ(gc_weakmap_set(map, k, k), -EPERM);
    gc_weakmap_free(map);
    gc_weakmap_free(NULL);
    gc_thread_switch(heap);
    gc_heap_destroy(heap);
}

/* ---- Iterating ---- */

/* Each key once, although three of four go while it walks and a thousand come. */
TEST(iterates_while_changing)
{
    enum { N = 4000 };
    gc_heap *heap = new_heap(0);
    gc_weakmap *map = gc_weakmap_new();
    struct cell *k = NULL, *v = NULL, **keys = gc_new_array(&gc_pointer_type, N);
    static unsigned char seen[N], gone[N];
    GC_FRAME(keys, k, v);
    for (uint64_t i = 0; i < N; i++) {
        gc_store(&keys[i], new_cell(i));
        gc_weakmap_set(map, keys[i], keys[i]);
    }
    size_t at = 0;
    uint64_t given = 0;
    while (gc_weakmap_next(map, &at, (void **)&k, (void **)&v)) {
        if (k->id == N)
            continue;
        CHECK(k == v && !gone[k->id] && !seen[k->id]++);
        given++;
        for (int i = 0; i < 3; i++) {
            size_t victim = random_below(&seed, N);
            if (gc_weakmap_delete(map, keys[victim]))
                gone[victim] = 1;
        }
        if (given % 4 == 0)
            gc_weakmap_set(map, new_cell(N), v);
        if (given % 100 == 0)
            gc_collect();
    }
    for (size_t i = 0; i < N; i++)
        CHECK(seen[i] || gone[i]);
    CHECK(!gc_weakmap_next(map, &at, (void **)&k, (void **)&v));
    ok(given > N / 10, "%" PRIu64 " of %d were given before they went", given, N);
    gc_heap_destroy(heap);
}

/* ---- Chains ---- */

static void shuffle(struct cell **keys, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = random_below(&seed, i);
        struct cell *k = keys[i - 1];
        gc_store(&keys[i - 1], keys[j]);
        gc_store(&keys[j], k);
    }
}

/* The value of each key is the next one, in random order over `nmaps` maps; only the first is held.
 * Few waves find all of them: what waits for a key is resolved as soon as the key is marked. */
static void chain(size_t n, size_t nmaps, unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    gc_weakmap *maps[16];
    struct cell **keys = gc_new_array(&gc_pointer_type, n), *first = NULL;
    GC_FRAME(keys, first);
    for (size_t i = 0; i < nmaps; i++)
        maps[i] = gc_weakmap_new();
    for (size_t i = 0; i < n; i++)
        gc_store(&keys[i], new_cell(i));
    shuffle(keys, n);
    for (size_t i = 0; i + 1 < n; i++)
        CHECK(gc_weakmap_set(maps[i % nmaps], keys[i], keys[i + 1]) == 0);
    first = keys[0];
    keys = NULL;
    gc_collect();
    CHECK(stats_now().flush_waves < 40);
    size_t count = 0, length = 1;
    for (size_t i = 0; i < nmaps; i++)
        count += gc_weakmap_count(maps[i]);
    CHECK_EQ(count, n - 1);
    for (struct cell *c = first; (c = gc_weakmap_get(maps[(length - 1) % nmaps], c)); length++)
        CHECK(c->magic == MAGIC);
    CHECK_EQ(length, n);
    first = NULL;
    gc_collect();
    for (size_t i = 0; i < nmaps; i++)
        CHECK_EQ(gc_weakmap_count(maps[i]), 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(chains)
{
    chain(10000, 1, 0);
}
TEST(chains_over_maps)
{
    chain(10000, 16, 0);
}
TEST(chains_stop_world)
{
    chain(10000, 3, GC_STOP_WORLD);
}
TEST(chains_without_background)
{
    chain(10000, 3, GC_NO_BACKGROUND);
}

/* So long that to look at all for each link would take many minutes. */
TEST(a_long_chain)
{
    chain(400000 / SCALE, 1, 0);
}

/* Value objects between the keys: markers have to come by them. */
TEST(a_chain_with_links)
{
    enum { N = 100000 / SCALE };
    gc_heap *heap = new_heap(0);
    gc_weakmap *map = gc_weakmap_new();
    struct cell **keys = gc_new_array(&gc_pointer_type, N), *k = NULL, *link = NULL;
    GC_FRAME(keys, k, link);
    for (uint64_t i = 0; i < N; i++)
        gc_store(&keys[i], new_cell(i));
    shuffle(keys, N);
    for (size_t i = 0; i + 1 < N; i++) {
        link = new_cell(0);
        gc_store(&link->next, keys[i + 1]);
        gc_weakmap_set(map, keys[i], link);
    }
    k = keys[0];
    keys = NULL;
    link = NULL;
    for (int i = 0; i < 3; i++) {
        gc_collect();
        CHECK_EQ(gc_weakmap_count(map), N - 1);
    }
    k = NULL;
    gc_collect();
    CHECK_EQ(gc_weakmap_count(map), 0);
    gc_heap_destroy(heap);
}

/* ---- Sizes ---- */

TEST(keys_by_the_million)
{
    enum { N = 1000000 / SCALE };
    gc_heap *heap = new_heap(0);
    gc_weakmap *map = gc_weakmap_new();
    struct cell **keys = gc_new_array(&gc_pointer_type, N);
    GC_FRAME(keys);
    for (uint64_t i = 0; i < N; i++) {
        gc_store(&keys[i], new_cell(i));
        CHECK(gc_weakmap_set(map, keys[i], keys[i]) == 0);
    }
    for (size_t i = 0; i < N; i++)
        CHECK(gc_weakmap_get(map, keys[i]) == keys[i]);
    for (size_t i = 0; i < N; i += 2)
        gc_store(&keys[i], NULL);
    gc_collect();
    CHECK_EQ(gc_weakmap_count(map), N / 2);
    for (size_t i = 1; i < N; i += 2)
        CHECK(gc_weakmap_get(map, keys[i]) == keys[i]);
    gc_heap_destroy(heap);
}

TEST(maps_by_the_thousand)
{
    gc_heap *heap = new_heap(0);
    struct cell *k = new_cell(1);
    GC_FRAME(k);
    for (unsigned i = 0; i < 200000 / SCALE; i++) {
        gc_weakmap *map = gc_weakmap_new();
        CHECK(map);
        gc_weakmap_set(map, k, k);
        if (i % 8)
            gc_weakmap_free(map);
        if (i % (20000 / SCALE) == 0)
            gc_collect();
    }
    gc_heap_destroy(heap);
}

/* ---- Threads ---- */

enum { THREADS = 3, KEYS = 3000 };

static struct {
    gc_weakmap *map; /* all threads' keys */
    atomic_uint_fast64_t changes, iterated;
} shared;

static void change(struct cell **keys, uint64_t *value_of, uint64_t *random)
{
    size_t i = random_below(random, KEYS);
    struct cell *k = keys[i];
    switch (k ? random_below(random, 8) : 0) {
    case 0: /* a new key; if there was one it dies */
        gc_store(&keys[i], new_cell(crowd_number));
        value_of[i] = 0;
        return;
    case 1:
    case 2:
    case 3:
        value_of[i] = random_next(random) | 1;
        CHECK(gc_weakmap_set(shared.map, k, new_cell(value_of[i])) == 0);
        return;
    case 4:
        CHECK(gc_weakmap_delete(shared.map, k) == (value_of[i] != 0));
        value_of[i] = 0;
        return;
    default: {
        const struct cell *v = gc_weakmap_get(shared.map, k);
        CHECK(value_of[i] ? is_cell(v, value_of[i]) : !v);
    }
    }
}

/* Nearly all keys die: the table shrinks. */
static void drop_keys(struct cell **keys, uint64_t *value_of)
{
    gc_clear(keys, (KEYS - 50) * sizeof *keys);
    memset(value_of, 0, KEYS * sizeof *value_of);
    for (size_t i = KEYS - 50; i < KEYS; i++)
        gc_store(&keys[i], NULL);
}

static void iterate(size_t *at)
{
    struct cell *k = NULL, *v = NULL;
    GC_FRAME(k, v);
    for (int i = 0; i < 50; i++) {
        if (!gc_weakmap_next(shared.map, at, (void **)&k, (void **)&v)) {
            *at = 0;
            return;
        }
        CHECK(k->magic == MAGIC && v->magic == MAGIC);
        gc_safepoint();
        CHECK(k->magic == MAGIC && v->magic == MAGIC);
        shared.iterated++;
    }
}

static void changer(void)
{
    uint64_t random = crowd_number, *value_of = calloc(KEYS, sizeof *value_of);
    struct cell **keys = gc_new_array(&gc_pointer_type, KEYS);
    size_t at = 0;
    GC_FRAME(keys);
    for (unsigned i = 0; !crowd.stop; i++) {
        if (!crowd_may_step())
            continue;
        change(keys, value_of, &random);
        if (i % 1000 == 0)
            iterate(&at);
        if (i % 40000 == 0)
            drop_keys(keys, value_of);
        shared.changes++;
    }
    free(value_of);
}

static void make_shared(const char *debug, unsigned flags)
{
    crowd_heap(debug, flags, THREADS);
    shared.map = gc_weakmap_new();
    CHECK(shared.map);
}

static void end_shared(void)
{
    crowd_stop();
    gc_collect();
    CHECK_EQ(gc_weakmap_count(shared.map), 0);
    CHECK(gc_heap_destroy(crowd.heap) == 0);
}

static void stress_changers(const char *debug, unsigned flags, unsigned cycles)
{
    make_shared(debug, flags);
    crowd_start(THREADS, changer);
    crowd_collect(cycles, 50000);
    while (shared.changes == 0 || shared.iterated == 0)
        crowd_collect(1, 50000);
    end_shared();
    diag("%" PRIu64 " operations", (uint64_t)shared.changes);
}

TEST(changes_during_cycles)
{
    stress_changers("poison=2", 0, 12);
}
TEST(changes_during_delayed_cycles)
{
    stress_changers("poison=2,delay=3", 0, 12);
}
TEST(changes_and_stopped_cycles)
{
    stress_changers("poison=2", GC_STOP_WORLD, 25);
}

/* Threads that do nothing but read all there is: the cycle must end all the same. */
static void restless(void)
{
    struct cell *k = NULL, *v = NULL;
    GC_FRAME(k, v);
    for (size_t at = 0; !crowd.stop;) {
        if (!gc_weakmap_next(shared.map, &at, (void **)&k, (void **)&v))
            at = 0;
        k = v = NULL;
        if (shared.iterated++ % 16 == 0)
            gc_safepoint();
    }
}

static void fill_map(uint64_t n)
{
    struct cell *k = NULL;
    GC_FRAME(k);
    for (uint64_t i = 0; i < n; i++) {
        k = new_cell(i);
        CHECK(gc_weakmap_set(shared.map, k, new_cell(i)) == 0);
    }
}

TEST(cycles_end_under_restless_reading)
{
    struct gc_statistics s;
    make_shared("poison=2", 0);
    fill_map(300000 / SCALE);
    crowd_start(THREADS, restless);
    for (int i = 0; i < 3; i++) {
        gc_collect();
        gc_stats(&s);
        CHECK(s.flush_waves < 40);
    }
    diag("%" PRIu64 " waves, %zu entries left", s.flush_waves, gc_weakmap_count(shared.map));
    end_shared();
}

/* Threads follow chains of ephemerons by gc_weakmap_get alone, cut and extend them. A link that was
 * found is alive. */
static uint64_t length_of_chain(struct cell **at)
{
    uint64_t length = 0;
    for (struct cell *next; (next = gc_weakmap_get(shared.map, *at)); length++) {
        CHECK(is_cell(next, (*at)->id + 1));
        *at = next;
        gc_safepoint();
    }
    return length;
}

static void walker(void)
{
    uint64_t random = crowd_number;
    struct cell *head = NULL, *at = NULL, *fresh = NULL;
    GC_FRAME(head, at, fresh);
    for (head = new_cell(0); !crowd.stop; shared.changes++) {
        at = head;
        uint64_t length = length_of_chain(&at);
        for (int i = 0; i < 20; i++) {
            fresh = new_cell(at->id + 1);
            CHECK(gc_weakmap_set(shared.map, at, fresh) == 0);
            at = fresh;
        }
        if (length <= 300 && !random_one_in(&random, 16))
            continue;
        /* The head goes on: what was before it dies. */
        for (size_t skip = random_below(&random, (size_t)length + 1); skip > 0; skip--)
            head = gc_weakmap_get(shared.map, head);
    }
}

/* The collector has no memory for an index of the entries that wait for their keys, for more of it,
 * or for its heads: it walks through all maps again and again, and loses nothing. */
static void chain_without_memory(unsigned flags)
{
    enum { LENGTH = 700 };
    if (!malloc_is_ours())
        SKIP("the sanitizer's malloc cannot be made to fail");
    gc_heap *heap = new_heap(GC_NO_BACKGROUND | flags);
    CHECK((shared.map = gc_weakmap_new()));
    struct cell *head = NULL, *at = NULL, *fresh = NULL;
    GC_FRAME(head, at, fresh);
    at = head = new_cell(0);
    for (uint64_t i = 1; i <= LENGTH; i++) {
        fresh = new_cell(i);
        CHECK_EQ(gc_weakmap_set(shared.map, at, fresh), 0);
        at = fresh;
    }
    fresh = NULL;
    bool refused = true;
    for (uint64_t nth = 1; refused; nth++) {
        at = NULL;
        fail_malloc(nth);
        CHECK_EQ(gc_collect(), 0);
        refused = malloc_calls >= nth;
        fail_malloc(0);
        at = head;
        CHECK_EQ(length_of_chain(&at), LENGTH);
        if (!refused)
            diag("%" PRIu64 " calls refused", nth - 1);
    }
    gc_weakmap_free(shared.map);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}
TEST(chains_without_memory)
{
    chain_without_memory(0);
}
TEST(chains_without_memory_stop_world)
{
    chain_without_memory(GC_STOP_WORLD);
}

TEST(chains_that_change)
{
    make_shared("poison=2,delay=5", 0);
    crowd_start(THREADS, walker);
    crowd_collect(15, 0);
    while (shared.changes < 20)
        crowd_collect(1, 0);
    end_shared();
    diag("%" PRIu64 " walks", (uint64_t)shared.changes);
}

/* Maps made and freed while the collector goes through all of them. */
static void map_maker(void)
{
    struct cell *k = NULL, *other = NULL;
    GC_FRAME(k, other);
    k = new_cell(1);
    gc_weakmap *maps[8] = {NULL};
    for (unsigned i = 0; !crowd.stop; i++) {
        gc_weakmap_free(maps[i % 8]);
        maps[i % 8] = gc_weakmap_new();
        for (uint64_t j = 0; j < i % 100; j++) {
            other = new_cell(j);
            CHECK(gc_weakmap_set(maps[i % 8], j == 0 ? k : other, new_cell(j)) == 0);
        }
        if (i % 100)
            CHECK(is_cell(gc_weakmap_get(maps[i % 8], k), 0));
    }
}

TEST(makers_and_cycles)
{
    crowd_heap("poison=2,delay=9", 0, 0);
    crowd_start(THREADS, map_maker);
    crowd_collect(40, 0);
    crowd_stop();
    CHECK(gc_heap_destroy(crowd.heap) == 0);
}

TAP_MAIN
