/* Span sets: order, memory refused, and many threads: nothing is lost or doubled. */
#include "memory/spanset.h"
#include "base/os.h"
#undef CHECK
#include "tap.h"

/* Spans are only names here. */
static struct gc_span *span_of(uintptr_t i)
{
    return (struct gc_span *)(i + 1);
}
static uintptr_t index_of(const struct gc_span *span)
{
    return (uintptr_t)span - 1;
}

static struct persistent memory;
static struct spanset_pool pool;

static void set_up(struct spanset *s)
{
    persistent_init(&memory);
    spanset_pool_init(&pool, &memory);
    spanset_init(s);
}

TEST(last_in_first_out)
{
    struct spanset s;
    set_up(&s);
    CHECK(spanset_pop(&s, &pool) == NULL);
    for (uintptr_t round = 0; round < 3; round++) {
        for (uintptr_t i = 0; i < 5000; i++) {
            CHECK_EQ(spanset_count(&s), i);
            CHECK(spanset_push(&s, &pool, span_of(i)));
        }
        for (uintptr_t i = 5000; i-- > 0;)
            CHECK_EQ(index_of(spanset_pop(&s, &pool)), i);
        CHECK(spanset_pop(&s, &pool) == NULL);
        CHECK_EQ(spanset_count(&s), 0);
    }
    persistent_destroy(&memory);
}

TEST(blocks_are_shared_and_reused)
{
    struct spanset s, other;
    set_up(&s);
    spanset_init(&other);
    for (uintptr_t i = 0; i < 100000; i++)
        CHECK(spanset_push(&s, &pool, span_of(i)));
    size_t bytes = memory.bytes;
    while (spanset_pop(&s, &pool)) {}
    CHECK_EQ(pool.blocks.inuse, 1); /* the spare one */
    for (uintptr_t i = 0; i < 99000; i++)
        CHECK(spanset_push(&other, &pool, span_of(i)));
    CHECK_EQ(memory.bytes, bytes);
    persistent_destroy(&memory);
}

TEST(edge_of_a_block_needs_no_pool)
{
    struct spanset s;
    set_up(&s);
    for (uintptr_t i = 0; i < SPANSET_BLOCK_SPANS; i++)
        CHECK(spanset_push(&s, &pool, span_of(i)));
    for (int round = 0; round < 10; round++) {
        CHECK(spanset_push(&s, &pool, span_of(1)));
        CHECK(spanset_pop(&s, &pool) == span_of(1));
        CHECK_EQ(pool.blocks.inuse, 2);
    }
    persistent_destroy(&memory);
}

TEST(refused_memory_leaves_the_set)
{
    struct spanset s;
    uintptr_t n = 0;
    set_up(&s);
    CHECK(spanset_push(&s, &pool, span_of(n++)));
    os_fail_nth(1, UINT64_MAX);
    while (spanset_push(&s, &pool, span_of(n)))
        n++;
    CHECK_EQ(n % SPANSET_BLOCK_SPANS, 0);
    CHECK_EQ(spanset_count(&s), n);
    CHECK(!spanset_push(&s, &pool, span_of(n)));
    os_fail_nth(0, 0);
    CHECK(spanset_push(&s, &pool, span_of(n)));
    for (uintptr_t i = n + 1; i-- > 0;)
        CHECK_EQ(index_of(spanset_pop(&s, &pool)), i);
    persistent_destroy(&memory);
}

#define THREADS 8
#define SETS 3
#define PER_THREAD 30000

static struct spanset sets[SETS];
static uint32_t seen[THREADS * PER_THREAD];
static uint32_t popped;

static void record(struct gc_span *span)
{
    CHECK_EQ(u32_fetch_add_relaxed(&seen[index_of(span)], 1), 0);
    u32_fetch_add_relaxed(&popped, 1);
}

/* Pushes its own spans, and pops anyone's, moving some on to another set. */
static void churn(void *arg)
{
    uintptr_t first = *(uintptr_t *)arg;
    uint32_t random = (uint32_t)first + 1;
    for (uintptr_t i = 0; i < PER_THREAD; i++) {
        CHECK(spanset_push(&sets[i % SETS], &pool, span_of(first + i)));
        random = random * 1664525 + 1013904223;
        struct gc_span *span = random >> 30 ? spanset_pop(&sets[random >> 8 & 1], &pool) : NULL;
        if (span && (random >> 20 & 1))
            CHECK(spanset_push(&sets[2], &pool, span));
        else if (span)
            record(span);
    }
}

TEST(threads_lose_and_double_nothing)
{
    struct os_thread threads[THREADS];
    uintptr_t first[THREADS];
    set_up(&sets[0]);
    spanset_init(&sets[1]);
    spanset_init(&sets[2]);
    for (uintptr_t i = 0; i < THREADS; i++) {
        first[i] = i * PER_THREAD;
        CHECK_EQ(os_thread_start(&threads[i], churn, &first[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        os_thread_join(&threads[i]);
    for (int i = 0; i < SETS; i++)
        for (struct gc_span *span; (span = spanset_pop(&sets[i], &pool));)
            record(span);
    CHECK_EQ(popped, THREADS * PER_THREAD);
    persistent_destroy(&memory);
}

TAP_MAIN
