/* Statistics and settings while others change them: counts of what ever was do not go back, no
 * difference of two is negative, and of settings none is lost. */
#include "build.h"
#include "cells.h"

/* ---- Counts ---- */

/* `later` was read after `s`. */
static void check_later(const struct gc_statistics *s, const struct gc_statistics *later)
{
    CHECK(later->allocated_bytes >= s->allocated_bytes && later->freed_bytes >= s->freed_bytes);
    CHECK(later->cycles >= s->cycles && later->forced_cycles >= s->forced_cycles);
    CHECK(later->handshakes >= s->handshakes && later->procs >= s->procs);
    CHECK(later->mark_ns >= s->mark_ns && later->sweep_ns >= s->sweep_ns);
    CHECK(later->assist_ns >= s->assist_ns);
    CHECK(later->handshake_wall.count >= s->handshake_wall.count);
    CHECK(later->stall.sum >= s->stall.sum && later->stall.max >= s->stall.max);
}

static void check_snapshot(const struct gc_statistics *s)
{
    CHECK(s->freed_bytes <= s->allocated_bytes);
    CHECK_EQ(s->heap_live, s->allocated_bytes - s->freed_bytes);
    CHECK(s->heap_live <= SIZE_MAX / 2 && s->external <= SIZE_MAX / 2);
    CHECK(s->threads_blocked <= s->threads);
}

/* Of every size: each opens a run, of which the collection gives back the rest. */
static void open_runs(void)
{
    for (size_t size = 1; size < 16000; size += 16 + size / 16)
        CHECK(gc_new_bytes(size) && gc_new_bytes_raw(size));
}

TEST(what_was_allocated_does_not_become_less)
{
    gc_heap *heap = new_heap(0);
    struct gc_statistics before, after;
    for (int i = 0; i < 20; i++) {
        open_runs();
        gc_blocking_begin(); /* reports */
        gc_blocking_end();
        before = stats_now();
        gc_collect();
        after = stats_now();
        check_snapshot(&after);
        check_later(&before, &after);
        gc_heap_verify();
        before = stats_now();
        check_later(&after, &before);
    }
    gc_heap_destroy(heap);
}

static gc_heap *heap;
static atomic_bool over;

static void *allocate(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!over) {
        open_runs();
        CHECK(gc_new_bytes(100000));
        new_cell(1);
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(counts_read_while_they_change)
{
    heap = gc_heap_create(&(gc_options){.max_procs = 4, .min_heap = 100000});
    pthread_t threads[2] = {start_thread(allocate, NULL), start_thread(allocate, NULL)};
    struct gc_statistics last = stats_now(), now;
    for (int i = 0; i < (SLOW ? 300 : 3000); i++) {
        now = stats_of(heap);
        check_snapshot(&now);
        check_later(&last, &now);
        last = now;
        gc_weak_free(gc_weak_new(new_cell(2)));
        if (i % 64 == 0)
            gc_collect();
        gc_safepoint();
    }
    over = true;
    join_threads(threads, 2);
    gc_heap_destroy(heap);
}

/* More than 4 GiB go through: words of a 32-bit host would have wrapped. */
TEST(counts_beyond_32_bits)
{
    if (SLOW)
        SKIP("takes long with a sanitizer");
    heap = new_heap(0);
    struct gc_statistics last = stats_now(), now;
    for (int i = 0; i < 1300; i++) {
        CHECK(gc_new_bytes_raw((size_t)4 << 20));
        now = stats_now();
        check_snapshot(&now);
        check_later(&last, &now);
        last = now;
    }
    CHECK(now.allocated_bytes > UINT64_C(5) << 30);
    gc_heap_destroy(heap);
}

/* Two threads add and take away bytes of one object: the sum of all is never below 0. */
static void *owner;

static void *take_away(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!over) {
        if (gc_external_add(owner, -1000) == 0)
            CHECK(stats_of(heap).external <= SIZE_MAX / 2);
        gc_safepoint();
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(external_bytes_do_not_go_below_zero)
{
    heap = gc_heap_create(&(gc_options){.max_procs = 4});
    owner = gc_new_bytes(64);
    CHECK_EQ(gc_root(&owner), 0);
    pthread_t thread = start_thread(take_away, NULL);
    for (int i = 0; i < (SLOW ? 2000 : 50000); i++) {
        CHECK_EQ(gc_external_add(owner, 1000), 0);
        CHECK(stats_of(heap).external <= SIZE_MAX / 2);
    }
    over = true;
    join_thread(thread);
    CHECK_EQ(gc_unroot(&owner), 0);
    gc_heap_destroy(heap);
}

/* ---- Settings ---- */

enum { SETTERS = 3, SETTINGS = 100000 };
static atomic_uint seen_percent[SETTERS * SETTINGS + 1], seen_limit[SETTERS * SETTINGS + 1],
    seen_hard_limit[SETTERS * SETTINGS + 1];
static const size_t far = (size_t)1 << (sizeof(size_t) * 8 - 2);

/* Each value is set once, so each is returned once, but for the one that stays. */
static void *set_all(void *number)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    for (size_t i = 0; i < SETTINGS; i++) {
        size_t value = 1 + (uintptr_t)number * SETTINGS + i;
        seen_percent[gc_set_percent((int)(1000 + value)) - 1000]++;
        seen_limit[gc_set_limit(far + value) - far]++;
        seen_hard_limit[gc_set_hard_limit(far + value) - far]++;
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

TEST(no_setting_is_lost)
{
    heap = gc_heap_create(
        &(gc_options){.max_procs = 4, .percent = 1000, .limit = far, .hard_limit = far});
    pthread_t threads[SETTERS];
    for (uintptr_t i = 0; i < SETTERS; i++)
        threads[i] = start_thread(set_all, (void *)i);
    join_threads(threads, SETTERS);
    seen_percent[gc_set_percent(100) - 1000]++;
    seen_limit[gc_set_limit(0) - far]++;
    seen_hard_limit[gc_set_hard_limit(0) - far]++;
    for (size_t i = 0; i <= SETTERS * SETTINGS; i++)
        CHECK(seen_percent[i] == 1 && seen_limit[i] == 1 && seen_hard_limit[i] == 1);
    gc_heap_destroy(heap);
}

/* ---- Cost ---- */

static atomic_uint asked; /* for the residence of pages */
int mincore(void *start, size_t length, unsigned char *present)
{
    (void)start, (void)length, (void)present;
    asked++;
    return -1;
}

/* How much the tables take is reckoned: a walk over them grows with the heap. */
TEST(statistics_do_not_look_at_pages)
{
    heap = new_heap(0);
    struct gc_statistics small = stats_now();
    void *kept = gc_new_bytes_raw((size_t)200 << 20);
    GC_FRAME(kept);
    struct gc_statistics large = stats_now();
    CHECK_EQ(asked, 0);
    CHECK(small.metadata > 0 && large.metadata > small.metadata);
    gc_heap_destroy(heap);
}

static uint64_t metadata_of(size_t bytes, bool references)
{
    heap = new_heap(0);
    uint64_t before = stats_now().metadata;
    void *kept = references ? gc_new_array(&gc_pointer_type, bytes / sizeof(void *))
                            : gc_new_bytes_raw(bytes);
    GC_FRAME(kept);
    uint64_t more = stats_now().metadata - before;
    gc_heap_destroy(heap);
    return more;
}

/* Only memory with references has heap bits. */
TEST(metadata_of_memory_without_references)
{
    enum { BYTES = 32 << 20 };
    CHECK_EQ(metadata_of(BYTES, true) - metadata_of(BYTES, false), BYTES / WORD_SIZE / 8);
}

TAP_MAIN
