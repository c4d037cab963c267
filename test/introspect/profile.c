/* The profile of a heap: who has allocated, and what is in use. */
#include "build.h"
#include "heaps.h"
#include "base/output.h"
#include "base/place.h"

struct node {
    _Alignas(8) struct node *next; /* so a node has 16 bytes on every host */
    int64_t number;
};
static GC_TYPE(node_type, struct node, next);

/* ---- Reading a profile ---- */

static char *text;
static size_t size, room;

static int keep(void *unused, const char *piece, size_t n)
{
    (void)unused;
    if (size + n + 1 > room)
        text = realloc(text, room = 2 * (size + n + 1));
    memcpy(text + size, piece, n);
    text[size += n] = 0;
    return 0;
}

struct sums {
    size_t sites, allocated, inuse;
};

/* Of the sites with that cell size and with a line that contains `frame`. */
static struct sums sums_of(size_t cell, const char *frame)
{
    struct sums sums = {0, 0, 0};
    size = 0;
    CHECK_EQ(gc_profile_write(keep, NULL), 0);
    CHECK(strncmp(text, "gcheap profile 1\nlost 0\n", 24) == 0);
    for (char *at = strstr(text, "\nsite "), *next; at; at = next) {
        size_t bytes, mean, allocated, inuse;
        next = strstr(at + 1, "\nsite ");
        if (next)
            *next = 0;
        CHECK_EQ(sscanf(at, "\nsite %zu %zu %zu %zu", &bytes, &mean, &allocated, &inuse), 4);
        CHECK(inuse <= allocated);
        bool fits = (cell == 0 || cell == bytes) && strstr(at, frame);
        if (next)
            *next = '\n';
        if (fits)
            sums = (struct sums){sums.sites + 1, sums.allocated + allocated, sums.inuse + inuse};
    }
    return sums;
}

/* Each object is a sample. */
static gc_heap *begin(const gc_options *o)
{
    gc_heap *heap = gc_heap_create(o);
    CHECK(heap);
    CHECK_EQ(gc_profile_record(&(struct gc_profile_options){.mean = 1, .seed = 1}), 0);
    return heap;
}

NOINLINE static struct node *make_list(long n)
{
    struct node *list = NULL, *node = NULL;
    GC_FRAME(list, node);
    for (long i = 0; i < n; i++) {
        node = gc_new(&node_type);
        gc_store(&node->next, list);
        list = node;
    }
    return list;
}

/* ---- Tests ---- */

TEST(what_is_in_use)
{
    gc_heap *heap = begin(NULL);
    {
        struct node *list = make_list(100);
        GC_FRAME(list);
        CHECK_EQ(sums_of(16, "make_list").inuse, 100);
        gc_collect();
        CHECK_EQ(sums_of(16, "make_list").inuse, 100);
        list = NULL;
        gc_collect();
        struct sums all = sums_of(16, "make_list");
        CHECK_EQ(all.allocated, 100);
        CHECK_EQ(all.inuse, 0);
    }
    CHECK_EQ(gc_heap_verify(), 0);
    gc_heap_destroy(heap);
}

/* Of one size and one stack all is counted together. */
TEST(sites)
{
    gc_heap *heap = begin(NULL);
    for (int i = 0; i < 50; i++)
        CHECK(gc_new_bytes(24));
    for (int i = 0; i < 50; i++)
        CHECK(gc_new_bytes(100));
    CHECK_EQ(sums_of(24, "").sites, 1);
    CHECK_EQ(sums_of(24, "").allocated, 50);
    CHECK_EQ(sums_of(112, "").allocated, 50);
    CHECK_EQ(sums_of(0, "gc_new").sites, 0);
    gc_heap_destroy(heap);
}

/* Every kind of allocation, small and large. */
TEST(kinds_of_objects)
{
    static gc_heap *heap;
    heap = begin(NULL);
    for (int i = 0; i < 10; i++) {
        CHECK(gc_new(&node_type) && gc_new_array(&node_type, 3) && gc_new_array(&node_type, 500));
        CHECK(gc_new_flex(&node_type, &gc_pointer_type, 9) && gc_new_bytes(640));
        CHECK(gc_new_bytes_raw(768) && gc_new_bytes(100000) && gc_new_bytes_raw(200000));
        CHECK(gc_new_array(&node_type, 10000) && gc_new_bytes(1 << 20));
        CHECK(gc_new_bytes(0));
    }
    const size_t sizes[] = {16,     48,     8192,   sizeof(struct node) + 9 * sizeof(void *),
                            640,    768,    106496, 204800,
                            163840, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t cell = gc_size_class(sizes[i]);
        CHECK_EQ(sums_of(cell, "").allocated, 10);
    }
    CHECK_EQ(sums_of(0, "").allocated, 100);
    gc_collect();
    CHECK_EQ(sums_of(0, "").inuse, 0);
    gc_heap_destroy(heap);
}

static void finalize(void *object, void *arg)
{
    (void)object, (void)arg;
}

/* An object that waits for its finalizer is in use. */
TEST(finalizers)
{
    gc_heap *heap = begin(NULL);
    CHECK_EQ(gc_finalizer_set(make_list(1), finalize, NULL), 0);
    gc_collect();
    CHECK_EQ(sums_of(16, "make_list").inuse, 1);
    CHECK_EQ(gc_finalizers_run(0), 1);
    gc_collect();
    CHECK_EQ(sums_of(16, "make_list").inuse, 0);
    gc_heap_destroy(heap);
}

TEST(an_end)
{
    gc_heap *heap = begin(NULL);
    {
        struct node *list = make_list(10);
        GC_FRAME(list);
        CHECK_EQ(gc_profile_record(NULL), 0);
        CHECK(make_list(1000));
        CHECK_EQ(sums_of(16, "make_list").allocated, 10);
        list = NULL;
    }
    gc_collect();
    CHECK_EQ(sums_of(16, "make_list").inuse, 0);
    CHECK_EQ(gc_profile_record(&(struct gc_profile_options){.mean = 1}), 0);
    CHECK(make_list(1000));
    CHECK(sums_of(16, "make_list").allocated > 400); /* but for the rest of the run */
    gc_heap_destroy(heap);
}

TEST(nothing_was_recorded)
{
    gc_heap *heap = gc_heap_create(NULL);
    CHECK_EQ(gc_profile_write(keep, NULL), -ENOENT);
    CHECK_EQ(gc_profile_record(NULL), 0);
    CHECK_EQ(gc_profile_write(keep, NULL), -ENOENT);
    CHECK_EQ(gc_profile_record(&(struct gc_profile_options){0}), 0);
    CHECK_EQ(gc_profile_write(NULL, NULL), -EINVAL);
    CHECK_EQ(gc_profile_write(keep, NULL), 0);
    gc_heap_destroy(heap);
}

/* The same seed, the same samples; in a heap of one thread. */
static size_t choose(uint64_t seed)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    CHECK_EQ(gc_profile_record(&(struct gc_profile_options){.mean = 10000, .seed = seed}), 0);
    size_t sum = 0;
    for (size_t i = 0; i < 20000; i++)
        CHECK(gc_new_bytes(8 + i % 200 / 8 * 8));
    for (size_t cell = 8; cell <= 208; cell += 8)
        sum = sum * 31 + sums_of(cell, "").allocated;
    gc_heap_destroy(heap);
    return sum;
}

TEST(seeds)
{
    size_t first = choose(1);
    CHECK_EQ(choose(1), first);
    CHECK(choose(2) != first);
}

/* ---- Frames that the embedder tells ---- */

static size_t told; /* calls */
static size_t tell(void *user, struct gc_profile_frame *frames, size_t n)
{
    CHECK(strcmp(user, "user") == 0 && n >= 16);
    told++;
    errno = ENOSPC;
    CHECK_REFUSED(gc_new_bytes(8), EPERM);
    static const char inner[] = "in\"ner";
    frames[0] = (struct gc_profile_frame){inner, "a \\ b.scm", 17};
    frames[1] = (struct gc_profile_frame){"outer", NULL, 0};
    frames[2] = (struct gc_profile_frame){NULL, "", 3};
    return 3;
}

TEST(told_frames)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct gc_profile_options o = {.mean = 1, .seed = 1, .frames = tell, .user = "user"};
    CHECK_EQ(gc_profile_record(&o), 0);
    errno = 0;
    CHECK(gc_new_bytes(24) && gc_new_bytes(24));
    CHECK_EQ(errno, 0);
    CHECK_EQ(told, 2);
    CHECK_EQ(
        sums_of(
            24,
            "\ntold 17 \"in\\\"ner\" \"a \\\\ b.scm\"\ntold 0 \"outer\" \"\"\ntold 3 \"?\" \"\"\n")
            .allocated,
        2);
    gc_heap_destroy(heap);
}

static size_t tell_too_much(void *user, struct gc_profile_frame *frames, size_t n)
{
    static char name[600];
    (void)user;
    memset(name, 'x', sizeof name - 1);
    for (size_t i = 0; i < n; i++)
        frames[i].function = frames[i].file = name;
    return n + 100;
}

TEST(more_than_there_is_room_for)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct gc_profile_options o = {.mean = 1, .seed = 1, .frames = tell_too_much};
    CHECK_EQ(gc_profile_record(&o), 0);
    CHECK(gc_new_bytes(24));
    CHECK_EQ(sums_of(24, "\ntold 0 \"xxx").allocated, 1);
    gc_heap_destroy(heap);
}

/* ---- Threads ---- */

enum { THREADS = 4, OBJECTS = 20000 };
static gc_heap *shared;

static void *allocate(void *unused)
{
    CHECK_EQ(gc_thread_attach(shared), 0);
    for (int i = 0; i < OBJECTS / (SLOW ? 20 : 1); i++) {
        CHECK(gc_new(&node_type));
        if (i % 5000 == 0)
            gc_collect();
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(threads)
{
    pthread_t threads[THREADS];
    shared = begin(&(gc_options){.max_procs = 4});
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(allocate, NULL);
    for (int i = 0; i < 10; i++)
        sums_of(0, "");
    CHECK_EQ(gc_blocking_begin(), 0);
    join_threads(threads, THREADS);
    CHECK_EQ(gc_blocking_end(), 0);
    gc_collect();
    struct sums all = sums_of(16, "allocate");
    CHECK_EQ(all.allocated, THREADS * (OBJECTS / (SLOW ? 20 : 1)));
    CHECK_EQ(all.inuse, 0);
    gc_heap_destroy(shared);
}

/* With the debug switches. */
TEST(switches)
{
    gc_heap *heap = begin(&(gc_options){.debug = "nth=7,poison,stores"});
    {
        struct node *list = make_list(100);
        GC_FRAME(list);
        CHECK_EQ(sums_of(16, "make_list").inuse, 100);
        list = NULL;
        gc_collect();
        CHECK_EQ(sums_of(16, "make_list").inuse, 0);
    }
    gc_heap_destroy(heap);
}

TAP_MAIN
