/* gcheap-test: alone (it fills a good part of the memory, and counts what is resident)
 * Collections: depth without recursion, pieces, pacing, memory given back, stacks, trace lines. */
#include "build.h"
#include "heaps.h"

struct cell {
    struct cell *next;
    long number;
};
static GC_TYPE(cell_type, struct cell, next);

struct node {
    struct node *left, *right;
};
static GC_TYPE(node_type, struct node, left, right);

static struct gc_statistics stats(void)
{
    struct gc_statistics s;
    CHECK(gc_stats(&s) == 0);
    return s;
}

/* A list of 20 million cells is marked without recursion: at 16 bytes a call no stack held even the
 * twentieth part of it. */
TEST(long_list)
{
    long n = 20L * 1000 * 1000 / SCALE;
    gc_heap *heap = gc_heap_create(NULL);
    CHECK(heap);
    {
        struct cell *list = NULL, *cell = NULL;
        GC_FRAME(list, cell);
        for (long i = 0; i < n; i++) {
            cell = gc_new(&cell_type);
            CHECK(cell);
            cell->number = i;
            gc_store(&cell->next, list);
            list = cell;
        }
        CHECK(gc_collect() == 0);
        CHECK((long)stats().objects_marked >= n);
        long i = n;
        for (cell = list; cell; cell = cell->next)
            CHECK(cell->number == --i);
        CHECK(i == 0);
    }
    CHECK(gc_collect() == 0);
    CHECK(stats().heap_live < 1 << 20);
    CHECK(gc_heap_destroy(heap) == 0);
}

static struct node *comb(long n)
{
    struct node *top = NULL, *node = NULL;
    GC_FRAME(top, node);
    for (long i = 0; i < n; i++) {
        node = gc_new(&node_type);
        gc_store(i % 2 ? &node->left : &node->right, top);
        top = node;
    }
    return top;
}

TEST(deep_tree)
{
    gc_heap *heap = gc_heap_create(NULL);
    {
        struct node *top = comb(1000 * 1000);
        GC_FRAME(top);
        CHECK(gc_collect() == 0);
        CHECK(stats().objects_marked >= 1000 * 1000);
    }
    CHECK(gc_heap_destroy(heap) == 0);
}

/* Large arrays are scanned in pieces, by as many workers as there are; what only their last slots
 * refer to lives. */
TEST(large_arrays)
{
    gc_options options = {.mark_workers = 4};
    gc_heap *heap = gc_heap_create(&options);
    const size_t n = 1000 * 1000;
    {
        struct cell **array = NULL;
        GC_FRAME(array);
        array = gc_new_array(&gc_pointer_type, n);
        for (size_t i = 0; i < n; i++) {
            struct cell *cell = gc_new(&cell_type);
            cell->number = (long)i;
            gc_store(&array[i], cell);
        }
        for (int round = 0; round < 3; round++)
            CHECK(gc_collect() == 0);
        for (size_t i = 0; i < n; i++)
            CHECK(gc_is_object(array[i]) && array[i]->number == (long)i);
    }
    CHECK(gc_heap_destroy(heap) == 0);
}

/* Drops `n` cells, keeping `live`: returns the largest heap seen. */
static uint64_t churn(long n)
{
    uint64_t largest = 0;
    for (long i = 0; i < n; i++) {
        CHECK(gc_new(&cell_type));
        if (i % 4096 == 0) {
            uint64_t now = stats().heap_live;
            largest = now > largest ? now : largest;
        }
    }
    return largest;
}

/* At least `n`, and until a cycle has ended: the background thread may take a while to begin. */
static uint64_t churn_until_a_cycle_ends(long n)
{
    uint64_t largest = 0;
    do {
        uint64_t now = churn(n);
        largest = now > largest ? now : largest;
    } while (stats().cycles == 0);
    return largest;
}

/* Collections begin by themselves, in every mode, and keep the heap bounded. */
static void check_bounded(unsigned flags, const char *what)
{
    gc_options options = {.flags = flags};
    gc_heap *heap = gc_heap_create(&options);
    CHECK(heap);
    uint64_t largest = churn_until_a_cycle_ends(SLOW ? 400 * 1000 : 4 * 1000 * 1000);
    ok(stats().cycles > 0 && largest < 64 << 20, "%s: %llu cycles, at most %llu bytes", what,
       (unsigned long long)stats().cycles, (unsigned long long)largest);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(bounded)
{
    check_bounded(0, "concurrent");
    check_bounded(GC_STOP_WORLD, "stop the world");
    check_bounded(GC_NO_BACKGROUND, "no background thread");
    check_bounded(GC_STOP_WORLD | GC_NO_BACKGROUND, "stop the world, no background thread");
}

TEST(percent_off)
{
    gc_options options = {.percent = GC_PERCENT_OFF};
    gc_heap *heap = gc_heap_create(&options);
    churn(500 * 1000);
    CHECK_EQ(stats().cycles, 0);
    CHECK_EQ(gc_set_percent(50), GC_PERCENT_OFF);
    churn_until_a_cycle_ends(500 * 1000);
    CHECK(stats().cycles > 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

/* A soft limit makes collections more frequent than the percentage asks for. */
TEST(soft_limit)
{
    gc_options options = {.percent = 10000, .limit = 32 << 20};
    gc_heap *heap = gc_heap_create(&options);
    churn_until_a_cycle_ends(4 * 1000 * 1000);
    CHECK(stats().cycles > 0);
    CHECK(stats().heap_goal <= 32 << 20);
    CHECK(gc_heap_destroy(heap) == 0);
}

/* n blocks of 8 pages each. */
static void make_blocks(struct cell **keep, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *block = gc_new_bytes(60000);
        CHECK(block);
        memset(block, 1, 60000);
        gc_store(&keep[i], block);
    }
}

static void make_garbage(size_t bytes)
{
    struct cell **keep = gc_new_array(&gc_pointer_type, bytes >> 16);
    GC_FRAME(keep);
    make_blocks(keep, bytes >> 16);
}

/* Blocks that begin at odd pages, and do not fit at the end of an arena, fill the next one. */
TEST(arenas_are_filled)
{
    enum { BLOCKS = 4800 };
    gc_heap *heap = gc_heap_create(NULL);
    {
        struct cell **keep = gc_new_array(&gc_pointer_type, BLOCKS + 1);
        GC_FRAME(keep);
        make_blocks(keep, 100);
        gc_store(&keep[BLOCKS], gc_new_bytes(50000)); /* 7 pages */
        make_blocks(keep + 100, BLOCKS - 100);
        uint64_t inuse = stats().heap_inuse, unused = stats().heap_reserved - inuse;
        ok(unused < inuse / 4, "%llu MB used, %llu MB of arenas not",
           (unsigned long long)inuse >> 20, (unsigned long long)unused >> 20);
        gc_keep_alive(keep);
    }
    CHECK(gc_heap_destroy(heap) == 0);
}

/* gc_release_memory gives all free pages back at once. */
TEST(release)
{
    gc_heap *heap = gc_heap_create(NULL);
    size_t before = resident();
    make_garbage(128 << 20);
    CHECK(resident() > before + (100u << 20));
    CHECK(gc_release_memory() == 0);
    size_t after = resident();
    ok(SLOW || after < before + (24u << 20), "%zu MB before, %zu MB after", before >> 20,
       after >> 20);
    CHECK(gc_heap_destroy(heap) == 0);
}

static bool is_near_goal(gc_heap *heap)
{
    struct gc_statistics s = stats_of(heap);
    return s.heap_idle + s.heap_inuse < s.heap_goal / 5 * 6;
}

/* The background gives pages beyond 110 % of the goal back by itself. */
TEST(scavenging)
{
    gc_heap *heap = gc_heap_create(NULL);
    make_garbage(128 << 20);
    CHECK(gc_collect() == 0);
    CHECK(gc_collect_start() == 0);
    BLOCK_UNTIL(is_near_goal(heap));
    CHECK(gc_heap_destroy(heap) == 0);
}

/* A peak goes by: what the process has fits the goal after a while, though its thread makes no
 * call. What goes lies between what stays. For the heap's tables, and memory backed ahead of its
 * first use, there are the 10 % beyond what free pages may take. */
TEST(resident_after_a_peak)
{
    enum { BLOCKS = 12800, KEPT = 4800 };
    if (SLOW)
        SKIP("the sanitizer's memory would be counted");
    gc_heap *heap = gc_heap_create(NULL);
    size_t before = resident(), peak, now = 0;
    {
        struct cell **keep = gc_new_array(&gc_pointer_type, BLOCKS);
        GC_FRAME(keep);
        make_blocks(keep, BLOCKS);
        peak = resident() - before;
        for (size_t i = 0; i < BLOCKS; i++) {
            if (i * KEPT / BLOCKS == (i + 1) * KEPT / BLOCKS)
                gc_store(&keep[i], NULL);
        }
        CHECK(gc_collect() == 0);
        size_t allowed = (size_t)stats().heap_goal / 5 * 6;
        CHECK(peak > allowed);
        BLOCK_UNTIL((now = resident() - before) <= allowed);
        diag("%zu MB at the peak, %zu MB after, %zu MB are allowed", peak >> 20, now >> 20,
             allowed >> 20);
        gc_keep_alive(keep);
    }
    CHECK(gc_heap_destroy(heap) == 0);
}

static char traced[512];
static void keep_trace(void *user, enum gc_log_level level, const char *line)
{
    (void)user;
    if (level == GC_LOG_TRACE)
        snprintf(traced, sizeof traced, "%s", line);
}

TEST(trace_line)
{
    setenv("GCHEAP_TRACE", "1", 1);
    gc_options options = {.log = keep_trace};
    gc_heap *heap = gc_heap_create(&options);
    CHECK(gc_collect() == 0);
    diag("%s", traced);
    static const char *const parts[] = {"gc 1 ", " arm ", " roots ", " mark ",
                                        " end ", " ms;",  " goal ",  " threads"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        ok(strstr(traced, parts[i]) != NULL, "a trace line has \"%s\"", parts[i]);
    CHECK(gc_heap_destroy(heap) == 0);
}

/* Objects that only a C local refers to, without any frame. */
static __attribute__((noinline)) long sum_held_by_stack(void)
{
    struct cell *held[64];
    long sum = 0;
    for (int i = 0; i < 64; i++) {
        held[i] = gc_new(&cell_type);
        held[i]->number = i;
        gc_collect();
    }
    gc_blocking_begin();
    gc_blocking_end();
    for (int i = 0; i < 64; i++)
        sum += gc_is_object(held[i]) ? held[i]->number : -1000000;
    return sum;
}

TEST(conservative_stack)
{
    gc_options options = {.flags = GC_STACK_CONSERVATIVE};
    gc_heap *heap = gc_heap_create(&options);
    CHECK(heap);
    CHECK_EQ(sum_held_by_stack(), 64 * 63 / 2);
    churn(100 * 1000);
    gc_collect();
    ok(stats().heap_live < 1 << 20, "stale words keep little: %llu bytes",
       (unsigned long long)stats().heap_live);
    CHECK(gc_heap_destroy(heap) == 0);
}

TAP_MAIN
