/* Off-heap memory: the linear allocator, and fixed-size objects on top of it. */
#include "memory/fixalloc.h"
#include "base/os.h"
#undef CHECK
#include "tap.h"

static struct persistent memory;

static bool all_bytes(const unsigned char *p, size_t n, unsigned char value)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return false;
    return true;
}

/* ---- persistent ---- */

#define BLOCKS 3000

TEST(persistent_blocks_are_zero_aligned_and_apart)
{
    static unsigned char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    persistent_init(&memory);
    size_t total = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t align = (size_t)1 << i % 13;
        sizes[i] = i % 97 == 0 ? 30000 + i * 50 : i * 7919 % 700;
        total += sizes[i];
        blocks[i] = persistent_alloc(&memory, sizes[i], align);
        CHECK(blocks[i] && (uintptr_t)blocks[i] % align == 0);
        CHECK(all_bytes(blocks[i], sizes[i], 0));
        memset(blocks[i], (int)(i % 251 + 1), sizes[i]);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        CHECK(all_bytes(blocks[i], sizes[i], (unsigned char)(i % 251 + 1)));
    CHECK(memory.bytes >= total && memory.bytes % os_page_size() == 0);
    diag("%zu bytes asked for, %zu mapped", total, memory.bytes);
    persistent_destroy(&memory);
    CHECK_EQ(memory.bytes, 0);
}

TEST(persistent_large_blocks_leave_the_rest_of_a_chunk)
{
    persistent_init(&memory);
    char *a = persistent_alloc(&memory, 64, 8);
    char *large = persistent_alloc(&memory, (size_t)10 << 20, 4096);
    char *b = persistent_alloc(&memory, 64, 8);
    CHECK(a && large && b == a + 64);
    large[((size_t)10 << 20) - 1] = 1;
    persistent_destroy(&memory);
}

TEST(persistent_survives_refused_memory)
{
    persistent_init(&memory);
    os_fail_nth(1, 2);
    CHECK(persistent_alloc(&memory, 10, 8) == NULL);
    CHECK(persistent_alloc(&memory, 1 << 20, 8) == NULL);
    CHECK_EQ(memory.bytes, 0);
    char *p = persistent_alloc(&memory, 10, 8);
    os_fail_nth(1, 1);
    CHECK(p && persistent_alloc(&memory, 10, 8) == p + 16); /* no new memory was needed */
    os_fail_nth(0, 0);
    CHECK(persistent_alloc(&memory, SIZE_MAX, 8) == NULL);
    CHECK(persistent_alloc(&memory, SIZE_MAX - 100, 4096) == NULL);
    CHECK(persistent_alloc(&memory, SIZE_MAX / 4 * 3, 8) == NULL);
    persistent_destroy(&memory);
}

static void exit_with_42(int signal)
{
    (void)signal;
    _exit(42);
}

static void touch(char *p)
{
    signal(SIGSEGV, exit_with_42);
    *(volatile char *)p = 1;
}

TEST(persistent_gives_all_back)
{
    persistent_init(&memory);
    char *first = persistent_alloc(&memory, 100, 8), *large = persistent_alloc(&memory, 100000, 8);
    char *second = persistent_alloc(&memory, 60000, 8);
    for (int i = 0; i < 4; i++)
        CHECK(persistent_alloc(&memory, 60000, 8));
    EXPECT_EXIT(0, touch(first); touch(large); touch(second));
    persistent_destroy(&memory);
    EXPECT_EXIT(42, touch(first));
    EXPECT_EXIT(42, touch(large));
    EXPECT_EXIT(42, touch(second));
}

#define THREADS 8
#define PER_THREAD 20000

/* Each block keeps the mark of the thread that got it. */
static void allocate_and_mark(void *arg)
{
    static _Thread_local uint32_t *blocks[PER_THREAD];
    uint32_t mark = (uint32_t)(uintptr_t)arg;
    for (uint32_t i = 0; i < PER_THREAD; i++) {
        blocks[i] = persistent_alloc(&memory, 4 * (1 + i % 5), 4);
        CHECK(blocks[i]);
        for (uint32_t j = 0; j <= i % 5; j++) {
            CHECK_EQ(blocks[i][j], 0);
            blocks[i][j] = mark;
        }
    }
    for (uint32_t i = 0; i < PER_THREAD; i++)
        for (uint32_t j = 0; j <= i % 5; j++)
            CHECK_EQ(blocks[i][j], mark);
}

TEST(persistent_serves_many_threads)
{
    struct os_thread threads[THREADS];
    persistent_init(&memory);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(os_thread_start(&threads[i], allocate_and_mark, (void *)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; i++)
        os_thread_join(&threads[i]);
    persistent_destroy(&memory);
}

/* ---- fixalloc ---- */

TEST(fixalloc_aligns_by_size)
{
    persistent_init(&memory);
    for (size_t size = 1; size < 1200; size++) {
        struct fixalloc f;
        fixalloc_init(&f, size, &memory);
        CHECK(f.size >= size && f.size < size + WORD_SIZE);
        size_t align = f.size & (~f.size + 1);
        for (int i = 0; i < 3; i++) {
            unsigned char *p = fixalloc_alloc(&f);
            CHECK(p && all_bytes(p, size, 0));
            CHECK_EQ((uintptr_t)p % MIN_OF(align, (size_t)CACHE_PAD), 0);
            memset(p, 0xee, size);
        }
    }
    persistent_destroy(&memory);
}

#define OBJECTS 2000
#define OBJECT_WORDS 5

TEST(fixalloc_keeps_objects_apart_and_reuses_them)
{
    static word *objects[OBJECTS];
    struct fixalloc f;
    size_t bytes = 0;
    persistent_init(&memory);
    fixalloc_init(&f, OBJECT_WORDS * sizeof(word), &memory);
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < OBJECTS; i++) {
            CHECK_EQ(f.inuse, i);
            objects[i] = fixalloc_alloc(&f);
            CHECK(objects[i]);
            for (size_t w = 0; w < OBJECT_WORDS; w++)
                objects[i][w] = i * OBJECT_WORDS + w;
        }
        for (size_t i = 0; i < OBJECTS; i++)
            for (size_t w = 0; w < OBJECT_WORDS; w++)
                CHECK_EQ(objects[i][w], i * OBJECT_WORDS + w);
        for (size_t i = OBJECTS; i-- > 0;)
            fixalloc_free(&f, objects[i]);
        CHECK_EQ(f.inuse, 0);
        CHECK(round == 0 || memory.bytes == bytes);
        bytes = memory.bytes;
    }
    persistent_destroy(&memory);
}

TEST(fixalloc_leaves_what_a_late_reader_may_read)
{
    struct fixalloc f;
    persistent_init(&memory);
    fixalloc_init(&f, 64, &memory);
    unsigned char *p = fixalloc_alloc(&f);
    memset(p, 0x5a, 64);
    fixalloc_free(&f, p);
    CHECK(all_bytes(p + sizeof(void *), 64 - sizeof(void *), 0x5a));
    CHECK(fixalloc_alloc(&f) == p);
    CHECK(all_bytes(p + sizeof(void *), 64 - sizeof(void *), 0x5a));
    persistent_destroy(&memory);
}

TEST(fixalloc_survives_refused_memory)
{
    struct fixalloc f;
    persistent_init(&memory);
    fixalloc_init(&f, 1000, &memory);
    os_fail_nth(1, UINT64_MAX);
    CHECK(fixalloc_alloc(&f) == NULL);
    CHECK_EQ(f.inuse, 0);
    os_fail_nth(0, 0);
    void *p = fixalloc_alloc(&f);
    CHECK(p);
    fixalloc_free(&f, p);
    os_fail_nth(1, UINT64_MAX);
    CHECK(fixalloc_alloc(&f) == p);
    CHECK_EQ(f.inuse, 1);
    os_fail_nth(0, 0);
    persistent_destroy(&memory);
}

TAP_MAIN
