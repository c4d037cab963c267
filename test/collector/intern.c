/* Intern tables: canonical strings that nobody keeps alive. */
#include <limits.h>
#include "heaps.h"
#include "random.h"

struct string {
    uint64_t magic;
    size_t length;
    char bytes[];
};
static GC_TYPE_NOPTR(string_type, struct string);
static GC_TYPE_NOPTR(byte_type, char);
#define MAGIC UINT64_C(0x737472696e67)

static uint64_t hash(const void *key, size_t size)
{
    uint64_t h = 0xcbf29ce484222325;
    for (const unsigned char *p = key; size--; p++)
        h = (h ^ *p) * 0x100000001b3;
    return h;
}

/* All in one bucket of one table. */
static uint64_t poor_hash(const void *key, size_t size)
{
    (void)key, (void)size;
    return 0;
}

static bool equal(const void *object, const void *key, size_t size)
{
    const struct string *s = object;
    CHECK(s->magic == MAGIC);
    return s->length == size && memcmp(s->bytes, key, size) == 0;
}

static atomic_int made;
static void *make(const void *key, size_t size, void *arg)
{
    struct string *s = gc_new_flex(&string_type, &byte_type, size);
    (void)arg;
    if (!s)
        return NULL;
    s->magic = MAGIC;
    s->length = size;
    memcpy(s->bytes, key, size);
    made++;
    return s;
}

static const struct gc_intern_ops strings = {hash, equal, make};

static struct string *intern(gc_intern *table, const char *text)
{
    return gc_intern_get(table, text, strlen(text), NULL);
}

static void lives_and_dies(unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    gc_intern *table = gc_intern_new(&strings);
    struct string *a = intern(table, "a"), *b = NULL;
    GC_FRAME(a, b);
    b = intern(table, "b");
    CHECK(a && b && a != b);
    CHECK(intern(table, "a") == a && intern(table, "b") == b);
    CHECK_EQ(gc_intern_count(table), 2);
    gc_collect();
    CHECK(intern(table, "a") == a && intern(table, "b") == b);
    b = NULL;
    gc_collect();
    CHECK_EQ(gc_intern_count(table), 1);
    CHECK(intern(table, "a") == a && made == 2);
    b = intern(table, "b");
    CHECK(b && made == 3);
    gc_intern_free(table);
    CHECK(a->bytes[0] == 'a');
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST_EACH_WAY(lives_and_dies)

TEST(many)
{
    enum { N = 200000 };
    gc_heap *heap = new_heap(0);
    gc_intern *table = gc_intern_new(&strings);
    struct string **all = gc_new_array(&gc_pointer_type, N);
    char text[32];
    GC_FRAME(all);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "identifier%d", i);
        gc_store(&all[i], intern(table, text));
    }
    CHECK_EQ(gc_intern_count(table), N);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "identifier%d", i);
        CHECK(intern(table, text) == all[i]);
        if (i % 10)
            gc_store(&all[i], NULL);
    }
    CHECK_EQ(made, N);
    gc_collect();
    CHECK_EQ(gc_intern_count(table), N / 10);
    for (int i = 0; i < N; i += 10) {
        snprintf(text, sizeof text, "identifier%d", i);
        CHECK(intern(table, text) == all[i]);
    }
    gc_heap_destroy(heap);
}

TEST(one_hash_for_all)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops ops = {poor_hash, equal, make};
    gc_intern *table = gc_intern_new(&ops);
    struct string *all[500] = {NULL};
    char text[32];
    GC_FRAME_ARRAY(all, 500);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i % 500);
        struct string *s = intern(table, text);
        CHECK(!all[i % 500] || all[i % 500] == s);
        all[i % 500] = s;
    }
    gc_collect();
    CHECK_EQ(gc_intern_count(table), 500);
    memset(all, 0, sizeof all);
    gc_collect();
    CHECK_EQ(gc_intern_count(table), 0);
    gc_heap_destroy(heap);
}

/* ---- make ---- */

static void *refuse(const void *key, size_t size, void *arg)
{
    (void)key, (void)size;
    errno = *(int *)arg;
    return NULL;
}

TEST(make_fails)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops ops = {hash, equal, refuse};
    gc_intern *table = gc_intern_new(&ops);
    int code = ERANGE;
    CHECK(!gc_intern_get(table, "x", 1, &code) && errno == ERANGE);
    code = 0;
    CHECK(!gc_intern_get(table, "x", 1, &code) && errno == ENOMEM);
    CHECK_EQ(gc_intern_count(table), 0);
    gc_heap_destroy(heap);
}

TEST(without_make)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops ops = {hash, equal, NULL};
    gc_intern *table = gc_intern_new(&ops);
    errno = EIO;
    CHECK(!gc_intern_get(table, "x", 1, NULL) && errno == 0);
    gc_heap_destroy(heap);
}

/* The key "(x)" interns "x" first; a collection comes in between. */
static void *make_nested(const void *key, size_t size, void *table)
{
    struct string *inner = NULL, *outer = NULL;
    GC_FRAME(inner, outer);
    if (size > 2) {
        inner = gc_intern_get(table, (const char *)key + 1, size - 2, table);
        CHECK(inner && inner->length == size - 2);
    }
    gc_collect();
    outer = make(key, size, NULL);
    return outer;
}

TEST(make_interns_and_collects)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops ops = {hash, equal, make_nested};
    gc_intern *table = gc_intern_new(&ops);
    struct string *s = gc_intern_get(table, "((x))", 5, table);
    GC_FRAME(s);
    CHECK(s && s->length == 5 && gc_intern_count(table) >= 1);
    gc_collect();
    CHECK(gc_intern_get(table, "((x))", 5, table) == s);
    CHECK_EQ(gc_intern_count(table), 1);
    gc_heap_destroy(heap);
}

/* make interns the very key it is asked for: that one is canonical. */
static void *make_twice(const void *key, size_t size, void *table)
{
    static int depth;
    struct string *first = NULL;
    GC_FRAME(first);
    if (depth++ == 0)
        first = gc_intern_get(table, key, size, table);
    return make(key, size, NULL);
}

TEST(make_comes_second)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops ops = {hash, equal, make_twice};
    gc_intern *table = gc_intern_new(&ops);
    struct string *s = gc_intern_get(table, "x", 1, table);
    CHECK(s && made == 2 && gc_intern_count(table) == 1);
    CHECK(gc_intern_get(table, "x", 1, table) == s && made == 2);
    gc_heap_destroy(heap);
}

/* ---- A key that knows its hash, and an object that may become the canonical one ---- */

struct key {
    uint64_t hash;
    struct string *candidate; /* NULL: none */
};
static unsigned hashed;

static uint64_t hash_of_key(const void *key, size_t size)
{
    (void)size;
    hashed++;
    return ((const struct key *)key)->hash;
}
static bool equals_key(const void *object, const void *key, size_t size)
{
    const struct string *s = object, *candidate = ((const struct key *)key)->candidate;
    return equal(s, candidate->bytes, size);
}
static void *take_candidate(const void *key, size_t size, void *arg)
{
    (void)size, (void)arg;
    return ((const struct key *)key)->candidate;
}

static struct string *intern_string(gc_intern *table, struct string *s)
{
    GC_FRAME(s);
    struct key key = {hash(s->bytes, s->length), s};
    return gc_intern_get(table, &key, s->length, NULL);
}

/* The first string of a content becomes the canonical one; later ones are garbage. */
static void candidates(unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    const struct gc_intern_ops ops = {hash_of_key, equals_key, take_candidate};
    gc_intern *table = gc_intern_new(&ops);
    struct string *first = NULL, *second = NULL;
    GC_FRAME(first, second);
    first = make("abc", 3, NULL);
    gc_collect();
    gc_collect_start(); /* the object is old, and a cycle is under way */
    CHECK(intern_string(table, first) == first);
    second = make("abc", 3, NULL);
    CHECK(intern_string(table, second) == first && hashed == 2);
    second = NULL;
    gc_collect();
    second = make("abc", 3, NULL);
    CHECK(intern_string(table, second) == first);
    first = NULL;
    gc_collect();
    CHECK_EQ(gc_intern_count(table), 0);
    CHECK(intern_string(table, second) == second);
    end_heap(heap);
}
TEST_EACH_WAY(candidates)

static char outside = 'x';
static void *give_outside(const void *key, size_t size, void *arg)
{
    (void)key, (void)size, (void)arg;
    return &outside;
}
static bool equal_outside(const void *object, const void *key, size_t size)
{
    return object == &outside && size == 1 && *(const char *)key == outside;
}

TEST(objects_outside_the_heap_stay)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops ops = {hash, equal_outside, give_outside};
    gc_intern *table = gc_intern_new(&ops);
    CHECK(gc_intern_get(table, "x", 1, NULL) == &outside);
    gc_collect();
    CHECK_EQ(gc_intern_count(table), 1);
    CHECK(gc_intern_get(table, "x", 1, NULL) == &outside);
    gc_heap_destroy(heap);
}

static void *make_tiny(const void *key, size_t size, void *arg)
{
    (void)arg;
    char *p = gc_new_bytes(size + 1);
    memcpy(p, key, size);
    p[size] = 0;
    return p;
}
static bool equal_tiny(const void *object, const void *key, size_t size)
{
    return strlen(object) == size && memcmp(object, key, size) == 0;
}

TEST(tiny_strings)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops ops = {hash, equal_tiny, make_tiny};
    gc_intern *table = gc_intern_new(&ops);
    char *all[26] = {NULL};
    GC_FRAME_ARRAY(all, 26);
    for (int i = 0; i < 26; i++)
        all[i] = gc_intern_get(table, &(char){(char)('a' + i)}, 1, NULL);
    gc_collect();
    for (int i = 0; i < 26; i++)
        CHECK(gc_intern_get(table, &(char){(char)('a' + i)}, 1, NULL) == all[i]);
    memset(all, 0, sizeof all);
    gc_collect();
    CHECK_EQ(gc_intern_count(table), 0);
    gc_heap_destroy(heap);
}

TEST(argument_errors)
{
    gc_heap *heap = new_heap(0);
    const struct gc_intern_ops no_hash = {NULL, equal, make}, no_equal = {hash, NULL, make};
    CHECK_REFUSED(gc_intern_new(NULL), EINVAL);
    CHECK_REFUSED(gc_intern_new(&no_hash), EINVAL);
    CHECK_REFUSED(gc_intern_new(&no_equal), EINVAL);
    CHECK_REFUSED(gc_intern_get(NULL, "", 0, NULL), EINVAL);
    CHECK_REFUSED(gc_intern_count(NULL), EINVAL);
    gc_intern *table = gc_intern_new(&strings);
    gc_heap *other = new_heap(0);
    CHECK_REFUSED(gc_intern_get(table, "", 0, NULL), EINVAL);
    gc_heap_destroy(other);
    gc_thread_switch(NULL);
    CHECK_REFUSED(gc_intern_get(table, "", 0, NULL), EPERM);
    CHECK_REFUSED(gc_intern_new(&strings), EPERM);
    gc_intern_free(table);
    gc_intern_free(NULL);
    gc_thread_switch(heap);
    gc_heap_destroy(heap);
}

/* ---- Threads ---- */

enum { THREADS = 3, TEXTS = 2000, HELD = 300 };

static struct {
    gc_intern *table;
    _Atomic(struct string *) canonical[TEXTS]; /* while somebody holds it */
    atomic_int holders[TEXTS];
    pthread_mutex_t locks[TEXTS];
    atomic_uint_fast64_t interned;
} shared;

static struct string *intern_text(unsigned i)
{
    char text[32];
    snprintf(text, sizeof text, "text %u", i);
    struct string *s = intern(shared.table, text);
    CHECK(s && s->magic == MAGIC);
    CHECK(s->length == strlen(text) && memcmp(s->bytes, text, s->length) == 0);
    shared.interned++;
    return s;
}

/* Between the lock and the unlock there is no safepoint but in intern(): whoever holds the string
 * has it in a root. */
static void hold(struct string **place, unsigned i)
{
    struct string *s = intern_text(i);
    *place = s;
    pthread_mutex_lock(&shared.locks[i]);
    if (shared.holders[i]++ == 0)
        shared.canonical[i] = s;
    CHECK(shared.canonical[i] == s);
    pthread_mutex_unlock(&shared.locks[i]);
}

static void let_go(struct string **place, unsigned i)
{
    pthread_mutex_lock(&shared.locks[i]);
    CHECK(shared.canonical[i] == *place);
    shared.holders[i]--;
    pthread_mutex_unlock(&shared.locks[i]);
    *place = NULL;
}

static void interner(void)
{
    uint64_t random = crowd_number;
    struct string *held[HELD] = {NULL};
    unsigned which[HELD];
    GC_FRAME_ARRAY(held, HELD);
    while (!crowd.stop) {
        if (!crowd_may_step())
            continue;
        size_t place = random_below(&random, HELD);
        unsigned i = (unsigned)random_below(&random, TEXTS);
        if (held[place])
            let_go(&held[place], which[place]);
        else
            hold(&held[place], which[place] = i);
        if (!random_one_in(&random, 4))
            intern_text((unsigned)random_below(&random, TEXTS));
    }
    for (unsigned i = 0; i < HELD; i++) {
        if (held[i])
            let_go(&held[i], which[i]);
    }
}

static void stress_interners(const char *debug, unsigned flags, unsigned cycles)
{
    crowd_heap(debug, flags, THREADS);
    shared.table = gc_intern_new(&strings);
    for (int i = 0; i < TEXTS; i++)
        pthread_mutex_init(&shared.locks[i], NULL);
    crowd_start(THREADS, interner);
    crowd_collect(cycles, TEXTS);
    /* Lookups that are quick enough keep all alive. In a cycle without any the others die. */
    while (made <= TEXTS) {
        crowd_collect(1, 0);
        crowd_collect(1, TEXTS);
    }
    crowd_stop();
    diag("%" PRIu64 " interned, %d made", (uint64_t)shared.interned, made);
    gc_collect();
    CHECK_EQ(gc_intern_count(shared.table), 0);
    CHECK(gc_heap_destroy(crowd.heap) == 0);
}

TEST(interning_during_cycles)
{
    stress_interners("poison=2", 0, 50);
}
TEST(interning_during_delayed_cycles)
{
    stress_interners("poison=2,delay=11", 0, 40);
}
TEST(interning_and_stopped_cycles)
{
    stress_interners("poison=2", GC_STOP_WORLD, 50);
}

TAP_MAIN
