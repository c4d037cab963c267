/* The hash table under weak maps, against a model: sorted arrays of what is in it. */
#include "base/os.h"
#include "collector/weaktable.h"
#include "refuse.h"
#include "tap.h"

static uint64_t seed = 1;
static uintptr_t random_word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uintptr_t)seed;
}

/* A hash of a number. */
#define SCATTER(i) ((uintptr_t)((i)*UINT64_C(0x9e3779b97f4a7c15)))

static struct weaknode *add(struct weaktable *t, uintptr_t hash, uintptr_t key)
{
    struct weaknode *node = malloc(sizeof *node);
    *node = (struct weaknode){NULL, hash, key};
    weaktable_lock(t);
    CHECK(weaktable_insert_locked(t, node));
    weaktable_unlock(t);
    return node;
}

static struct weaknode *find(struct weaktable *t, uintptr_t hash, uintptr_t key)
{
    weaktable_lock(t);
    struct weaknode *node = weaktable_find_locked(t, hash);
    while (node && node->hash == hash && node->key != key)
        node = node->next;
    weaktable_unlock(t);
    return node && node->hash == hash ? node : NULL;
}

static void take(struct weaktable *t, struct weaknode *node)
{
    weaktable_lock(t);
    weaktable_remove_locked(t, node);
    weaktable_unlock(t);
    free(node);
}

TEST(empty)
{
    struct weaktable t;
    uintptr_t at = 0;
    weaktable_init(&t);
    CHECK(!find(&t, 5, 5));
    weaktable_lock(&t);
    CHECK(!weaktable_next_locked(&t, &at));
    weaktable_unlock(&t);
    CHECK(at == UINTPTR_MAX);
    CHECK(!weaktable_settle(&t));
    weaktable_destroy(&t);
}

TEST(grows_and_shrinks)
{
    enum { N = 300000 };
    struct weaktable t;
    uintptr_t *hashes = malloc(N * sizeof *hashes);
    weaktable_init(&t);
    for (size_t i = 0; i < N; i++)
        add(&t, hashes[i] = random_word(), i);
    CHECK_EQ(t.count, N);
    CHECK((size_t)1 << t.bits >= N / 2);
    for (size_t i = 0; i < N; i++)
        CHECK(find(&t, hashes[i], i));
    for (size_t i = 0; i < N; i++) {
        take(&t, find(&t, hashes[i], i));
        if (i % 1000 == 0)
            CHECK(!find(&t, hashes[i], i) && find(&t, hashes[N - 1], N - 1));
    }
    CHECK_EQ(t.count, 0);
    while (weaktable_settle(&t))
        ;
    CHECK(t.bits < 10);
    weaktable_destroy(&t);
    free(hashes);
}

TEST(equal_hashes)
{
    struct weaktable t;
    weaktable_init(&t);
    for (uintptr_t i = 0; i < 2000; i++)
        add(&t, i % 2 ? 7 : UINTPTR_MAX - 7, i);
    for (uintptr_t i = 0; i < 2000; i++)
        CHECK(find(&t, i % 2 ? 7 : UINTPTR_MAX - 7, i));
    for (uintptr_t i = 0; i < 2000; i++)
        take(&t, find(&t, i % 2 ? 7 : UINTPTR_MAX - 7, i));
    weaktable_destroy(&t);
}

/* Adds what a walk will have to find, then others come and go while it walks: they make the table
 * grow and shrink. Keys below N stay. */
static void walk_while_changing(struct weaktable *t, size_t n, size_t changes)
{
    unsigned char *seen = calloc(n, 1);
    uintptr_t at = 0, last = 0, extra = n;
    struct weaknode *others[4096];
    size_t nothers = 0;
    while (at != UINTPTR_MAX) {
        weaktable_lock(t);
        struct weaknode *node = weaktable_next_locked(t, &at);
        if (node) {
            CHECK(node->hash >= last);
            last = node->hash;
            at = node->hash + 1;
            if (node->key < n)
                CHECK(seen[node->key]++ == 0);
        }
        weaktable_unlock(t);
        for (size_t i = 0; i < changes; i++) {
            if (nothers < 4096 && random_word() % 4)
                others[nothers++] = add(t, random_word(), extra++);
            else if (nothers > 0)
                take(t, others[--nothers]);
        }
        if (nothers == 4096) {
            while (nothers > 0)
                take(t, others[--nothers]);
        }
    }
    for (size_t i = 0; i < n; i++)
        CHECK(seen[i] == 1);
    while (nothers > 0)
        take(t, others[--nothers]);
    free(seen);
}

TEST(next_while_changing)
{
    for (unsigned round = 0; round < 12; round++) {
        struct weaktable t;
        weaktable_init(&t);
        size_t n = round * 17 + 1;
        for (size_t i = 0; i < n; i++)
            add(&t, random_word(), i);
        walk_while_changing(&t, n, 20 + round * 10);
        CHECK_EQ(t.count, n);
        weaktable_destroy(&t);
    }
}

static bool even_lives(void *visits, const struct weaknode *node)
{
    ++*(size_t *)visits;
    return node->key % 2 == 0;
}

TEST(walk_takes_out)
{
    enum { N = 100000 };
    struct weaktable t;
    uintptr_t at = 0;
    size_t visits = 0, steps = 0;
    weaktable_init(&t);
    for (size_t i = 0; i < N; i++)
        add(&t, random_word(), i);
    while (weaktable_walk(&t, &at, even_lives, &visits))
        steps++;
    CHECK(steps > 100);
    CHECK_EQ(t.count, N / 2);
    ok(visits >= N && visits < N + N / 10, "each node is visited about once");
    visits = at = 0;
    while (weaktable_walk(&t, &at, even_lives, &visits))
        ;
    CHECK_EQ(t.count, N / 2);
    weaktable_destroy(&t);
}

TEST(random_against_model)
{
    enum { KEYS = 5000 };
    static struct weaknode *model[KEYS];
    struct weaktable t;
    size_t count = 0;
    weaktable_init(&t);
    for (unsigned i = 0; i < 200000; i++) {
        size_t key = random_word() % KEYS;
        /* Phases in which it grows, and in which it shrinks. */
        bool grow = i / 20000 % 2 == 0;
        if (!model[key] && (grow || random_word() % 8 == 0)) {
            model[key] = add(&t, SCATTER(key), key);
            count++;
        } else if (model[key] && (!grow || random_word() % 8 == 0)) {
            take(&t, model[key]);
            model[key] = NULL;
            count--;
        }
        if (random_word() % 64 == 0)
            weaktable_settle(&t);
        CHECK(find(&t, SCATTER(key), key) == model[key]);
        CHECK_EQ(t.count, count);
    }
    weaktable_destroy(&t);
}

TEST(without_memory)
{
    struct weaktable t;
    weaktable_init(&t);
    for (size_t i = 0; i < 8192; i++)
        add(&t, random_word(), i);
    os_fail_nth(1, UINT64_MAX);
    for (size_t i = 0; i < 100000; i++)
        add(&t, random_word(), i);
    os_fail_nth(0, 0);
    CHECK(t.bits <= 13);
    for (size_t i = 0; i < 100000; i++)
        add(&t, random_word(), i);
    ok(t.bits >= 16, "it goes on growing when there is memory again");
    weaktable_destroy(&t);
}

/* ---- malloc refuses an array ---- */

/* Whether the node is in, though the call gets no array. */
static bool insert_refused(struct weaktable *t, struct weaknode *node)
{
    weaktable_lock(t);
    fail_malloc(1);
    bool done = weaktable_insert_locked(t, node);
    fail_malloc(0);
    weaktable_unlock(t);
    return done;
}

static void take_refused(struct weaktable *t, struct weaknode *node)
{
    weaktable_lock(t);
    fail_malloc(1);
    weaktable_remove_locked(t, node);
    fail_malloc(0);
    weaktable_unlock(t);
    free(node);
}

static void add_numbered(struct weaktable *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        add(t, SCATTER(i), i);
}

static void check_numbered(struct weaktable *t, size_t from, size_t to)
{
    CHECK_EQ(t->count, to - from);
    for (size_t i = from; i < to; i++)
        CHECK(find(t, SCATTER(i), i));
}

TEST(the_first_array_is_refused)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    struct weaktable t;
    struct weaknode node = {NULL, 0, 0};
    uintptr_t at = 0;
    weaktable_init(&t);
    CHECK(!insert_refused(&t, &node));
    CHECK(!find(&t, 0, 0));
    check_numbered(&t, 0, 0);
    CHECK(!weaktable_settle(&t));
    weaktable_lock(&t);
    CHECK(!weaktable_next_locked(&t, &at));
    weaktable_unlock(&t);
    add_numbered(&t, 0, 100);
    check_numbered(&t, 0, 100);
    weaktable_destroy(&t);
}

/* Each insertion asks anew, and does without. */
TEST(larger_arrays_are_refused)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    enum { N = 1000 };
    struct weaktable t;
    weaktable_init(&t);
    add_numbered(&t, 0, 1);
    unsigned bits = t.bits;
    for (size_t i = 1; i < N; i++) {
        struct weaknode *node = malloc(sizeof *node);
        *node = (struct weaknode){NULL, SCATTER(i), i};
        CHECK(insert_refused(&t, node));
    }
    CHECK_EQ(t.bits, bits);
    check_numbered(&t, 0, N);
    add_numbered(&t, N, 2 * N);
    check_numbered(&t, 0, 2 * N);
    CHECK(t.bits > bits + 4);
    weaktable_destroy(&t);
}

TEST(smaller_arrays_are_refused)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    enum { N = 2000, LEFT = 50 };
    struct weaktable t;
    weaktable_init(&t);
    add_numbered(&t, 0, N);
    while (weaktable_settle(&t))
        ;
    unsigned bits = t.bits;
    for (size_t i = 0; i < N - LEFT; i++)
        take_refused(&t, find(&t, SCATTER(i), i));
    CHECK_EQ(t.bits, bits);
    check_numbered(&t, N - LEFT, N);
    while (weaktable_settle(&t))
        ;
    CHECK((size_t)1 << t.bits <= 16 * LEFT);
    check_numbered(&t, N - LEFT, N);
    weaktable_destroy(&t);
}

TAP_MAIN
