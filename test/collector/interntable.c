/* The hash tables under intern tables, against a model: numbers that are in a table. A number
 * stands for an object. */
#include "collector/interntable.h"
#include "heaps.h"
#include "random.h"
#include "refuse.h"

static gc_heap *heap;
static struct interntable t;

static void begin(void)
{
    heap = new_heap(0);
    interntable_init(&t, heap);
}

static void end(void)
{
    interntable_destroy(&t);
    end_heap(heap);
}

static uintptr_t object_of(size_t i)
{
    return (i + 1) << 4;
}

/* Good in all bits. */
static uintptr_t hash_of(size_t i)
{
    uint64_t state = i;
    return (uintptr_t)random_next(&state);
}

/* Whether an object is in; the search sees an entry that is free, however full the leaf is. */
static bool is_in(uintptr_t hash, uintptr_t object)
{
    const struct internleaf *leaf = interntable_leaf(&t, hash);
    for (size_t i = 0; leaf; i++) {
        const struct internentry *e = internleaf_entry(leaf, hash, i);
        CHECK(i <= leaf->mask);
        if (e->object == INTERN_FREE)
            break;
        if (e->hash == hash && e->object == object)
            return true;
    }
    return false;
}

static bool add(uintptr_t hash, uintptr_t object)
{
    lock_acquire(&t.lock);
    bool done = interntable_add_locked(&t, hash, object);
    lock_release(&t.lock);
    return done;
}

static void add_range(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        CHECK(add(hash_of(i), object_of(i)));
}

/* Those for which `lives` says so are in, of all up to n. */
static void check_all(size_t n, bool (*lives)(void *, uintptr_t))
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        bool in = lives(NULL, object_of(i));
        CHECK_EQ(is_in(hash_of(i), object_of(i)), in);
        count += in;
    }
    CHECK_EQ(t.count, count);
}

static bool all_live(void *unused, uintptr_t object)
{
    (void)unused, (void)object;
    return true;
}
static bool every_fifth_lives(void *unused, uintptr_t object)
{
    (void)unused;
    return (object >> 4) % 5 == 0;
}
static bool none_lives(void *unused, uintptr_t object)
{
    (void)unused, (void)object;
    return false;
}

static void walk(bool (*fn)(void *, uintptr_t), void *arg)
{
    uintptr_t at = 0;
    while (interntable_walk(&t, &at, fn, arg))
        ;
}

/* What all leaves together have: each once, and they lie in the order of their hashes. */
struct shape {
    size_t leaves, entries, live, largest;
};

static struct shape shape(void)
{
    struct shape s = {0};
    const struct interndirectory *d = t.directory;
    for (size_t i = 0; d && i < (size_t)1 << d->bits;) {
        const struct internleaf *leaf = d->leaves[i];
        size_t n = (size_t)1 << (d->bits - leaf->depth);
        CHECK(leaf->depth <= d->bits && i % n == 0);
        for (size_t k = 0; k < n; k++)
            CHECK(d->leaves[i + k] == leaf);
        CHECK(leaf->used >= leaf->live && leaf->used <= leaf->mask);
        s.leaves++;
        s.entries += leaf->mask + 1;
        s.live += leaf->live;
        s.largest = MAX_OF(s.largest, leaf->mask + 1);
        i += n;
    }
    CHECK_EQ(s.leaves, t.nleaves);
    CHECK_EQ(s.live, t.count);
    diag("%zu objects, %zu entries, %zu leaves", s.live, s.entries, s.leaves);
    return s;
}

TEST(empty)
{
    uintptr_t at = 0;
    begin();
    CHECK(!is_in(0, 16));
    CHECK(!interntable_walk(&t, &at, none_lives, NULL));
    CHECK_EQ(shape().leaves, 0);
    end();
}

/* No leaf is larger than a step of a walk, or a replacement, may take. */
TEST(leaves_split)
{
    enum { N = 50000 };
    begin();
    add_range(0, N);
    check_all(N, all_live);
    CHECK(!is_in(hash_of(N), object_of(N)));
    struct shape s = shape();
    CHECK(s.leaves > 40 && s.largest == 1024);
    CHECK(s.entries <= 5 * N);
    end();
}

enum { MANY = 50000, FEW = MANY / 5 };

static bool some_of_the_first_live(void *unused, uintptr_t object)
{
    return object <= object_of(MANY - 1) && every_fifth_lives(unused, object);
}

/* The places of the dead are used again: the table does not grow. */
TEST(the_dead_are_taken_out)
{
    begin();
    add_range(0, MANY);
    walk(some_of_the_first_live, NULL);
    check_all(MANY, some_of_the_first_live);
    size_t entries = shape().entries;
    for (size_t i = 1; i <= 20; i++) {
        add_range(i * MANY, i * MANY + FEW);
        CHECK_EQ(t.count, 2 * FEW);
        walk(some_of_the_first_live, NULL);
        CHECK_EQ(t.count, FEW);
    }
    check_all(MANY, some_of_the_first_live);
    CHECK(shape().entries <= entries);
    end();
}

static bool one_in_500_lives(void *unused, uintptr_t object)
{
    (void)unused;
    return (object >> 4) % 500 == 0;
}

/* A cycle like the last one finds leaves as large as it needs; after a cycle with few objects they
 * are small, and few. */
TEST(leaves_shrink_when_a_cycle_had_few)
{
    begin();
    add_range(0, MANY);
    size_t leaves = shape().leaves;
    walk(one_in_500_lives, NULL);
    CHECK_EQ(shape().leaves, leaves);
    walk(one_in_500_lives, NULL);
    check_all(MANY, one_in_500_lives);
    CHECK(shape().entries <= 16 * MANY / 500 && shape().leaves < 4);
    walk(none_lives, NULL);
    walk(none_lives, NULL);
    CHECK(shape().entries <= 16 && shape().leaves == 1);
    add_range(0, MANY);
    check_all(MANY, all_live);
    end();
}

/* Between two steps leaves are split and joined; what stays is seen. */
static unsigned char seen[100000];
static bool see_every_fifth(void *unused, uintptr_t object)
{
    (void)unused;
    seen[(object >> 4) - 1] = 1;
    return every_fifth_lives(NULL, object);
}

TEST(a_walk_misses_nothing)
{
    enum { N = 20000, MORE = 80000 };
    uintptr_t at = 0;
    size_t next = N, steps = 0;
    begin();
    add_range(0, N);
    while (interntable_walk(&t, &at, see_every_fifth, NULL)) {
        size_t to = MIN_OF(next + 4000, (size_t)N + MORE);
        add_range(next, to);
        next = to;
        steps++;
    }
    CHECK(steps > 10);
    for (size_t i = 0; i < N; i++) {
        CHECK(seen[i]);
        CHECK_EQ(is_in(hash_of(i), object_of(i)), every_fifth_lives(NULL, object_of(i)));
    }
    shape();
    end();
}

/* The directory does not grow without end for hashes that are alike. */
TEST(hashes_that_are_the_same)
{
    enum { N = 5000 };
    begin();
    for (size_t i = 0; i < N; i++)
        CHECK(add(42, object_of(i)));
    for (size_t i = 0; i < N; i++)
        CHECK(is_in(42, object_of(i)));
    CHECK(t.directory->bits <= 10);
    CHECK(shape().entries <= 8 * N);
    walk(none_lives, NULL);
    CHECK(!is_in(42, object_of(0)));
    end();
}

/* ---- Memory that is read without a lock (I29) ---- */

static size_t discarded(const struct discarded *d)
{
    size_t n = 0;
    for (; d; d = d->next)
        n++;
    return n;
}

/* What was replaced stays until a cycle has asked all threads. */
TEST(replaced_memory_stays)
{
    begin();
    add_range(0, 1);
    const struct internleaf *leaf = interntable_leaf(&t, hash_of(0));
    add_range(1, 5000);
    CHECK(interntable_leaf(&t, hash_of(0)) != leaf);
    CHECK_EQ(leaf->depth, 0);
    CHECK_EQ(leaf->entries[hash_of(0) & leaf->mask].object, object_of(0));
    CHECK(discarded(heap->weaksets->discarded) > 10);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(discarded(heap->weaksets->discarded), 0);
    CHECK_EQ(discarded(heap->weaksets->doomed), 0);
    check_all(5000, all_live);
    end();
}

/* ---- malloc refuses a leaf or a directory ---- */

TEST(the_first_leaf_is_refused)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    begin();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        fail_malloc(nth);
        CHECK(!add(hash_of(0), object_of(0)));
        fail_malloc(0);
        CHECK(!is_in(hash_of(0), object_of(0)));
        CHECK_EQ(t.count, 0);
    }
    add_range(0, 1);
    check_all(1, all_live);
    end();
}

/* A leaf takes what it can, and then says so. Nothing that is in gets lost. */
TEST(larger_leaves_are_refused)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    begin();
    add_range(0, 1);
    size_t n = 1, size = interntable_leaf(&t, 0)->mask + 1;
    for (;; n++) {
        fail_malloc(1);
        bool done = add(hash_of(n), object_of(n));
        fail_malloc(0);
        if (!done)
            break;
    }
    CHECK_EQ(n, size - 1);
    check_all(n, all_live);
    CHECK(!is_in(hash_of(n), object_of(n)));
    add_range(n, 100);
    check_all(100, all_live);
    end();
}

/* Each allocation of a replacement is refused once, also those of a split and of its directory. */
TEST(every_allocation_is_refused_once)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    enum { N = 20000 };
    begin();
    add_range(0, 1);
    for (size_t i = 1; i < N; i++) {
        fail_malloc(1 + i % 3);
        CHECK(add(hash_of(i), object_of(i)));
        fail_malloc(0);
    }
    check_all(N, all_live);
    for (int i = 0; i < 4; i++) {
        fail_malloc(1);
        walk(every_fifth_lives, NULL);
        fail_malloc(0);
    }
    check_all(N, every_fifth_lives);
    CHECK(shape().leaves > 10);
    end();
}

TAP_MAIN
