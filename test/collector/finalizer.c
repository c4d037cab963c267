/* Finalizers, cleanups, and the bytes that objects own outside the heap. */
#include <limits.h>
#include <setjmp.h>
#include "cells.h"
#include "collector/pacing.h"
#include "cycle/background.h"
#include "random.h"
#include "refuse.h"

/* What ran, in order: a finalizer's object's id, or 1000 + the argument of a cleanup. */
static uint64_t ran[100];
static atomic_uint nran;

static void note(uint64_t what)
{
    unsigned i = nran++;
    if (i < 100)
        ran[i] = what;
}

static void finalize(void *object, void *arg)
{
    const struct cell *c = object;
    CHECK(c->magic == MAGIC);
    note(c->id);
    if (arg)
        ++*(int *)arg;
}

static void clean(void *arg)
{
    note(1000 + (uintptr_t)arg);
}

/* ---- Finalizers ---- */

static void runs_once(unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    struct cell *c = new_cell(1);
    int count = 0;
    GC_FRAME(c);
    CHECK(gc_finalizer_set(c, finalize, &count) == 0);
    gc_store(&c->next, new_cell(2));
    for (int i = 0; i < 3; i++) {
        gc_collect();
        CHECK_EQ(gc_finalizers_pending(), 0);
    }
    CHECK(c->next->magic == MAGIC);
    c = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 1);
    /* Queued, it lives, with what it reaches. */
    gc_collect();
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 1);
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK(count == 1 && ran[0] == 1);
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 0);
    CHECK_EQ(records(heap), 0);
    struct gc_statistics s;
    gc_stats(&s);
    CHECK_EQ(s.heap_live, 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST_EACH_WAY(runs_once)

static struct cell *risen;
static void rise(void *object, void *arg)
{
    (void)arg;
    gc_store(&risen, object);
    note(((struct cell *)object)->id);
}

/* The heap check, and the second marking, know finalizers that are set and that are queued. */
static void verified(unsigned flags)
{
    gc_options o = {.flags = flags, .debug = "poison=2,verify,checkmark"};
    gc_heap *heap = gc_heap_create(&o);
    CHECK(heap);
    for (uint64_t i = 0; i < 100; i++) {
        struct cell *c = new_cell(2 * i);
        GC_FRAME(c);
        gc_store(&c->next, new_cell(2 * i + 1));
        CHECK(gc_finalizer_set(c, finalize, NULL) == 0);
    }
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK(gc_collect() == 0);
    CHECK_EQ(gc_finalizers_pending(), 100);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_finalizers_run(0), 100);
    CHECK(gc_collect() == 0);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(records(heap), 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(heap_checks)
{
    verified(0);
    verified(GC_STOP_WORLD);
}

TEST(resurrection)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_root(&risen);
    gc_store(&c->next, new_cell(2));
    gc_finalizer_set(c, rise, NULL);
    gc_weak *w = gc_weak_new(c);
    for (unsigned round = 1; round <= 3; round++) {
        c = NULL;
        gc_collect();
        CHECK(!gc_weak_get(w));
        CHECK_EQ(gc_finalizers_run(0), 1);
        gc_collect();
        gc_collect();
        CHECK(risen && risen->magic == MAGIC && risen->next->id == 2);
        /* The old weak reference stays dead, a new one works. */
        CHECK(!gc_weak_get(w));
        gc_weak_free(w);
        w = gc_weak_new(risen);
        CHECK(gc_weak_get(w) == risen);
        CHECK_EQ(nran, round);
        CHECK_EQ(gc_finalizer_set(risen, NULL, NULL), -ENOENT);
        CHECK(gc_finalizer_set(risen, rise, NULL) == 0);
        gc_store(&risen, NULL);
    }
    gc_heap_destroy(heap);
}

static bool note_cell(void *found, const struct gc_object *object)
{
    *(void **)found = object->address;
    return false;
}

/* A walk finds the object whose finalizer is queued, and it gets another one: the queued one runs,
 * the other one stays until the object dies again. */
TEST(set_while_one_is_queued)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = NULL;
    GC_FRAME(c);
    int count = 0;
    CHECK_EQ(gc_finalizer_set(new_cell(1), finalize, NULL), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_pending(), 1);
    CHECK_EQ(gc_heap_each(note_cell, &c), 0);
    CHECK(is_cell(c, 1));
    CHECK_EQ(gc_finalizer_set(c, finalize, &count), 0);
    CHECK_EQ(gc_finalizer_set(c, finalize, &count), -EEXIST);
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK(nran == 1 && count == 0);
    CHECK_EQ(records(heap), 1);
    c = NULL;
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK(nran == 2 && count == 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(records(heap), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* From the outside to the inside, one cycle for each. */
TEST(order_along_references)
{
    gc_heap *heap = new_heap(0);
    struct cell *a = new_cell(1), *b = new_cell(2), *c = new_cell(3);
    GC_FRAME(a, b, c);
    gc_store(&a->next, b);
    gc_store(&b->next, c);
    gc_finalizer_set(c, finalize, NULL);
    gc_finalizer_set(a, finalize, NULL);
    gc_finalizer_set(b, finalize, NULL);
    a = b = c = NULL;
    for (unsigned i = 0; i < 3; i++) {
        gc_collect();
        CHECK_EQ(gc_finalizers_run(0), 1);
        CHECK_EQ(ran[i], i + 1);
    }
    gc_heap_destroy(heap);
}

TEST(cycles_are_kept)
{
    gc_heap *heap = new_heap(0);
    struct cell *a = new_cell(1), *b = new_cell(2);
    GC_FRAME(a, b);
    gc_store(&a->next, b);
    gc_store(&b->next, a);
    gc_finalizer_set(a, finalize, NULL);
    a = NULL;
    gc_weak *w = gc_weak_new(b);
    b = NULL;
    gc_collect();
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 0);
    b = gc_weak_get(w);
    CHECK(b && gc_finalizer_set(b->next, NULL, NULL) == 0);
    b = NULL;
    gc_collect();
    CHECK(!gc_weak_get(w));
    gc_heap_destroy(heap);
}

static gc_weak *weak_of_dead;
static gc_weakmap *map_of_dead;
static void look_at_weak(void *object, void *arg)
{
    const struct cell *c = object;
    CHECK(!gc_weak_get(weak_of_dead));
    CHECK_EQ(gc_weakmap_count(map_of_dead), 1);
    CHECK(!gc_weakmap_has(map_of_dead, object));
    /* What the object reaches is as it was. */
    CHECK(gc_weak_get(arg) == c->next && gc_weakmap_get(map_of_dead, c->next) == c->next);
    note(c->id);
}

TEST(weak_references_are_cleared_first)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_store(&c->next, new_cell(2));
    weak_of_dead = gc_weak_new(c);
    gc_weak *inner = gc_weak_new(c->next);
    map_of_dead = gc_weakmap_new();
    gc_weakmap_set(map_of_dead, c, c);
    gc_weakmap_set(map_of_dead, c->next, c->next);
    gc_finalizer_set(c, look_at_weak, inner);
    c = NULL;
    gc_collect();
    CHECK(!gc_weak_get(weak_of_dead));
    CHECK_EQ(gc_finalizers_run(0), 1);
    gc_collect();
    CHECK(!gc_weak_get(inner));
    CHECK_EQ(gc_weakmap_count(map_of_dead), 0);
    gc_heap_destroy(heap);
}

TEST(set_and_removed)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    CHECK_EQ(gc_finalizer_set(c, NULL, NULL), -ENOENT);
    CHECK(gc_finalizer_set(c, finalize, NULL) == 0);
    CHECK_EQ(gc_finalizer_set(c, finalize, NULL), -EEXIST);
    CHECK(gc_finalizer_set(c, NULL, NULL) == 0);
    CHECK_EQ(gc_finalizer_set(c, NULL, NULL), -ENOENT);
    c = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 0);
    CHECK_EQ(records(heap), 0);
    gc_heap_destroy(heap);
}

TEST(large_and_tiny)
{
    gc_heap *heap = new_heap(0);
    char *tiny = gc_new_bytes(5), *neighbour = gc_new_bytes(5);
    struct cell **large = gc_new_array(&cell_type, 100000);
    GC_FRAME(tiny, neighbour, large);
    int count = 0;
    ((struct cell *)large)->magic = MAGIC;
    gc_store(large, new_cell(2));
    gc_store(&((struct cell *)large)[99999].next, new_cell(3));
    gc_weak *first = gc_weak_new(((struct cell *)large)[0].next),
            *last = gc_weak_new(((struct cell *)large)[99999].next);
    CHECK(gc_finalizer_set(large, finalize, &count) == 0);
    CHECK(gc_cleanup_add(tiny, clean, (void *)1) > 0 && gc_cleanup_add(neighbour, clean, NULL) > 0);
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 0);
    large = NULL;
    gc_collect();
    gc_collect();
    CHECK(gc_weak_get(first) && gc_weak_get(last));
    CHECK(gc_finalizers_run(0) == 1 && count == 1);
    gc_collect();
    CHECK(!gc_weak_get(first) && !gc_weak_get(last));
    CHECK_EQ(gc_finalizers_pending(), 0);
    tiny = neighbour = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 2);
    gc_heap_destroy(heap);
}

/* The frames between are left behind; the finalizer counts as run. */
static jmp_buf landing;
static void jump(void *object, void *arg)
{
    GC_FRAME(object);
    finalize(object, arg);
    longjmp(landing, 1);
}

TEST(left_by_longjmp)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    static int count;
    gc_finalizer_set(c, jump, &count);
    c = new_cell(2);
    gc_finalizer_set(c, jump, &count);
    c = NULL;
    gc_collect();
    struct gc_frame *mark = gc_frame_mark();
    for (int i = 0; i < 2; i++) {
        if (setjmp(landing) == 0)
            gc_finalizers_run(0);
        gc_frame_reset(mark);
        gc_collect();
    }
    CHECK_EQ(count, 2);
    CHECK_EQ(gc_finalizers_run(0), 0);
    CHECK_EQ(records(heap), 0);
    gc_heap_destroy(heap);
}

/* A finalizer that allocates, collects, sets others and runs the queue. */
static void busy(void *object, void *depth)
{
    struct cell *c = object, *fresh = NULL;
    GC_FRAME(fresh);
    note(c->id);
    if (depth) {
        fresh = new_cell(c->id + 1);
        CHECK(gc_finalizer_set(fresh, busy, (void *)((uintptr_t)depth - 1)) == 0);
        fresh = NULL;
        gc_collect();
        CHECK(c->magic == MAGIC);
        CHECK(gc_finalizers_run(1) == 1);
    }
}

TEST(finalizers_within_finalizers)
{
    gc_heap *heap = new_heap(0);
    gc_finalizer_set(new_cell(1), busy, (void *)10);
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK_EQ(nran, 11);
    CHECK_EQ(ran[10], 11);
    gc_heap_destroy(heap);
}

/* A finalizer is set while the collector marks: what the object reaches is marked all the same. */
TEST(set_while_marking)
{
    gc_options o = {.debug = "poison=2,delay=21"};
    gc_heap *heap = gc_heap_create(&o);
    struct cell *c = NULL;
    int count = 0, made = 0;
    GC_FRAME(c);
    for (; made < 2000 || stats_now().cycles < 30; made++) {
        gc_collect_start();
        c = new_cell(1);
        gc_store(&c->next, new_cell(2));
        gc_store(&c->next->next, new_cell(3));
        for (int i = made % 50; i > 0; i--)
            gc_safepoint();
        CHECK(gc_finalizer_set(c, finalize, &count) == 0);
        c = NULL;
        gc_safepoint();
        gc_finalizers_run(0);
    }
    gc_collect();
    gc_finalizers_run(0);
    CHECK_EQ(count, made);
    gc_heap_destroy(heap);
}

/* ---- Cleanups ---- */

TEST(cleanups)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    int64_t ids[5];
    for (uintptr_t i = 0; i < 5; i++) {
        ids[i] = gc_cleanup_add(c, clean, (void *)i);
        CHECK(ids[i] > 0 && (i == 0 || ids[i] != ids[i - 1]));
    }
    CHECK(gc_cleanup_cancel(c, ids[2]) == 0);
    CHECK_EQ(gc_cleanup_cancel(c, ids[2]), -ENOENT);
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 0);
    c = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 4);
    CHECK_EQ(gc_finalizers_run(3), 3);
    CHECK_EQ(gc_finalizers_run(3), 1);
    unsigned seen = 0;
    for (unsigned i = 0; i < nran; i++)
        seen |= 1u << (ran[i] - 1000);
    CHECK_EQ(seen, 0x1b);
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 0);
    CHECK_EQ(records(heap), 0);
    gc_heap_destroy(heap);
}

/* The object is dead for good only after its finalizer. */
TEST(cleanups_after_finalizer)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_root(&risen);
    gc_cleanup_add(c, clean, NULL);
    gc_finalizer_set(c, rise, NULL);
    c = NULL;
    gc_collect();
    CHECK(gc_finalizers_run(0) == 1 && ran[0] == 1);
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 0);
    gc_store(&risen, NULL);
    gc_collect();
    CHECK(gc_finalizers_run(0) == 1 && ran[1] == 1000);
    gc_heap_destroy(heap);
}

static void count_up(void *arg)
{
    ++*(atomic_uint *)arg;
}

TEST(a_hundred_thousand)
{
    enum { N = 100000 };
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    atomic_uint many = 0, each = 0;
    for (int i = 0; i < N; i++) {
        CHECK(gc_cleanup_add(c, count_up, &many) > 0);
        CHECK(gc_cleanup_add(new_cell(2), count_up, &each) > 0);
    }
    gc_collect();
    gc_finalizers_run(0);
    CHECK_EQ(each, N);
    CHECK_EQ(many, 0);
    c = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), N);
    CHECK_EQ(many, N);
    CHECK_EQ(records(heap), 0);
    gc_heap_destroy(heap);
}

TEST(argument_errors)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    int on_stack;
    void *bad[] = {NULL, &on_stack, &c->magic, gc_new_bytes(0), (void *)(uintptr_t)-8};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(gc_finalizer_set(bad[i], finalize, NULL), -EINVAL);
        CHECK_EQ(gc_finalizer_set(bad[i], NULL, NULL), -EINVAL);
        CHECK_EQ(gc_cleanup_add(bad[i], clean, NULL), -EINVAL);
        CHECK_EQ(gc_cleanup_cancel(bad[i], 1), -EINVAL);
        CHECK_EQ(gc_external_add(bad[i], 1), -EINVAL);
    }
    CHECK_EQ(gc_cleanup_add(c, NULL, NULL), -EINVAL);
    int64_t nobody[] = {0, -1, 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++)
        CHECK_EQ(gc_cleanup_cancel(c, nobody[i]), -ENOENT);
    gc_thread_switch(NULL);
    CHECK_EQ(gc_finalizer_set(c, finalize, NULL), -EPERM);
    CHECK_EQ(gc_cleanup_add(c, clean, NULL), -EPERM);
    CHECK_EQ(gc_cleanup_cancel(c, 1), -EPERM);
    CHECK_EQ(gc_external_add(c, 1), -EPERM);
    CHECK_EQ(gc_finalizers_notify(NULL, NULL), -EPERM);
    CHECK_EQ(gc_finalizers_run(0), 0);
    CHECK_EQ(gc_finalizers_pending(), 0);
    gc_thread_switch(heap);
    gc_heap_destroy(heap);
}

TEST(without_memory)
{
    gc_heap *heap = new_heap(GC_NO_BACKGROUND);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    size_t n = 0;
    atomic_uint count = 0;
    os_fail_nth(1, UINT64_MAX);
    int64_t id = gc_cleanup_add(c, count_up, &count);
    for (; id > 0; n++)
        id = gc_cleanup_add(c, count_up, &count);
    CHECK_EQ(id, -ENOMEM);
    CHECK_EQ(gc_finalizer_set(c, finalize, NULL), -ENOMEM);
    CHECK_EQ(gc_external_add(c, 1), -ENOMEM);
    CHECK_EQ(gc_external_add(c, -1), -EINVAL);
    os_fail_nth(0, 0);
    c = NULL;
    gc_collect();
    gc_finalizers_run(0);
    CHECK_EQ(count, n);
    gc_heap_destroy(heap);
}

/* All four that make a record are refused, and leave nothing. */
static void add_each_refused(struct cell *c)
{
    fail_malloc(1);
    CHECK_EQ(gc_finalizer_set(c, finalize, NULL), -ENOMEM);
    fail_malloc(1);
    CHECK_EQ(gc_cleanup_add(c, clean, NULL), -ENOMEM);
    fail_malloc(1);
    CHECK_EQ(gc_external_add(c, 100), -ENOMEM);
    fail_malloc(1);
    CHECK_REFUSED(gc_weak_new(c), ENOMEM);
    fail_malloc(0);
    CHECK_EQ(stats_now().external, 0);
}

/* There is memory for a record, but not for the first table of its span. */
TEST(without_memory_for_a_table)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    gc_heap *heap = new_heap(GC_NO_BACKGROUND);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    add_each_refused(c);
    CHECK_EQ(records(heap), 0);
    CHECK_EQ(gc_finalizer_set(c, NULL, NULL), -ENOENT);
    CHECK_EQ(gc_external_add(c, -1), -EINVAL);
    CHECK_EQ(gc_finalizer_set(c, finalize, NULL), 0);
    CHECK_EQ(gc_external_add(c, 100), 0);
    CHECK_EQ(stats_now().external, 100);
    c = NULL;
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(stats_now().external, 0);
    CHECK_EQ(records(heap), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* There is none for the attachment of the library's thread: it tries again until there is. */
TEST(without_memory_for_the_thread)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    gc_heap *heap = new_heap(GC_NO_BACKGROUND | GC_FINALIZER_THREAD);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    CHECK_EQ(gc_finalizer_set(c, finalize, NULL), 0);
    c = NULL;
    fail_malloc_of_others(true);
    CHECK_EQ(gc_collect(), 0);
    WAIT_UNTIL(calls_of_others_refused() >= 3);
    CHECK_EQ(nran, 0);
    fail_malloc_of_others(false);
    BLOCK_UNTIL(nran == 1);
    CHECK_EQ(ran[0], 1);
    gc_frame_reset(NULL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

enum { CLEANED = 200, STAY = 10 };

/* Cells with a cleanup each, of which a few stay. malloc refuses the table that grows, or its nth
 * call in the collection, where the table shrinks. Returns whether that call was met. */
static bool clean_most(bool grows, uint64_t nth)
{
    gc_heap *heap = new_heap(GC_NO_BACKGROUND);
    struct cell *cells[CLEANED];
    int64_t ids[CLEANED];
    bool met;
    GC_FRAME_ARRAY(cells, CLEANED);
    atomic_uint cleaned = 0;
    for (size_t i = 0; i < CLEANED; i++) {
        cells[i] = new_cell(i);
        fail_malloc(i == 0 || grows ? 0 : 1);
        CHECK((ids[i] = gc_cleanup_add(cells[i], count_up, &cleaned)) > 0);
    }
    memset(cells + STAY, 0, sizeof cells - STAY * sizeof cells[0]);
    fail_malloc(nth);
    CHECK_EQ(gc_collect(), 0);
    met = nth > 0 && malloc_calls >= nth;
    fail_malloc(0);
    CHECK_EQ(gc_finalizers_run(0), CLEANED - STAY);
    CHECK_EQ(cleaned, CLEANED - STAY);
    for (size_t i = 0; i < STAY; i++)
        CHECK_EQ(gc_cleanup_cancel(cells[i], ids[i]), 0);
    CHECK_EQ(records(heap), 0);
    CHECK_EQ(gc_heap_verify(), 0);
    gc_frame_reset(NULL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    return met;
}

/* A table that cannot grow keeps its size, and takes more records all the same. */
TEST(without_memory_for_a_larger_table)
{
    clean_most(false, 0);
}

/* And so does one that cannot shrink. */
TEST(without_memory_for_a_smaller_table)
{
    uint64_t nth = 1;
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    while (clean_most(true, nth))
        nth++;
    ok(nth > 1, "refused at %" PRIu64 " calls", nth - 1);
}

/* ---- The queue's ends ---- */

static void notified(void *arg)
{
    ++*(atomic_uint *)arg;
}

TEST(notify)
{
    gc_heap *heap = new_heap(0);
    atomic_uint calls = 0;
    CHECK(gc_finalizers_notify(notified, &calls) == 0);
    gc_collect();
    CHECK_EQ(calls, 0);
    gc_cleanup_add(new_cell(1), clean, NULL);
    gc_finalizer_set(new_cell(2), finalize, NULL);
    gc_collect();
    CHECK(calls >= 1 && calls <= 2);
    CHECK(gc_finalizers_notify(NULL, NULL) == 0);
    unsigned before = calls;
    gc_cleanup_add(new_cell(1), clean, NULL);
    gc_collect();
    CHECK_EQ(calls, before);
    CHECK_EQ(gc_finalizers_run(0), 3);
    gc_heap_destroy(heap);
}

TEST(destroyed_with_pending_queue)
{
    for (unsigned flags = 0; flags <= GC_FINALIZER_THREAD; flags += GC_FINALIZER_THREAD) {
        gc_heap *heap = new_heap(flags);
        struct cell *kept = new_cell(0);
        GC_FRAME(kept);
        for (uint64_t i = 0; i < 1000; i++) {
            gc_finalizer_set(new_cell(i), finalize, NULL);
            gc_cleanup_add(new_cell(i), clean, NULL);
        }
        gc_finalizer_set(kept, finalize, NULL);
        gc_cleanup_add(kept, clean, NULL);
        gc_weak_new(kept);
        gc_external_add(kept, 1000);
        gc_collect();
        CHECK(flags || gc_finalizers_pending() == 2000);
        gc_frame_reset(NULL);
        CHECK(gc_heap_destroy(heap) == 0);
    }
    CHECK(nran <= 2000);
}

static void wait_for(atomic_uint *count, unsigned wanted)
{
    BLOCK_UNTIL(*count >= wanted);
    CHECK_EQ(*count, wanted);
}

TEST(finalizer_thread)
{
    gc_heap *heap = new_heap(GC_FINALIZER_THREAD);
    for (unsigned round = 1; round <= 20; round++) {
        gc_finalizer_set(new_cell(1), finalize, NULL);
        gc_cleanup_add(new_cell(2), clean, NULL);
        gc_collect();
        wait_for(&nran, 2 * round);
    }
    CHECK_EQ(gc_finalizers_run(0), 0);
    BLOCK_UNTIL(stats_of(heap).threads == 1);
    CHECK(gc_heap_destroy(heap) == 0);
}

static atomic_uint entered, let_out; /* 1: the finalizer; 2: all */
static int destroy_said;
static void block(void *object, void *heap)
{
    (void)object;
    destroy_said = gc_heap_destroy(heap);
    entered++;
    BLOCK_UNTIL(let_out);
    note(1);
}

static void *other_thread(void *heap)
{
    CHECK(gc_thread_attach(heap) == 0);
    gc_blocking_begin();
    WAIT_UNTIL(let_out == 2);
    gc_blocking_end();
    CHECK(gc_thread_detach() == 0);
    return NULL;
}

/* The running finalizer is waited for; with another thread attached the queue goes on. */
TEST(destroy_waits_for_the_finalizer_thread)
{
    gc_heap *heap = new_heap(GC_FINALIZER_THREAD);
    pthread_t other;
    gc_finalizer_set(new_cell(1), block, heap);
    gc_collect();
    wait_for(&entered, 1);
    CHECK_EQ(destroy_said, -EBUSY);
    other = start_thread(other_thread, heap);
    BLOCK_UNTIL(stats_of(heap).threads == 3);
    let_out = 1;
    CHECK_EQ(gc_heap_destroy(heap), -EBUSY);
    let_out = 2;
    CHECK_EQ(nran, 1);
    gc_cleanup_add(new_cell(1), clean, NULL);
    gc_collect();
    wait_for(&nran, 2);
    join_thread(other);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* One starts the finalizer thread while others try to destroy the heap, to which all are attached:
 * nothing comes of that. */
enum { DESTROYERS = 2 };
static struct {
    gc_heap *heap;
    pthread_barrier_t barrier;
} refused;

static void *destroyer(void *unused)
{
    CHECK(gc_thread_attach(refused.heap) == 0);
    wait_at(&refused.barrier);
    CHECK_EQ(gc_heap_destroy(refused.heap), -EBUSY);
    CHECK(gc_heap_current() == refused.heap);
    wait_at(&refused.barrier);
    CHECK(gc_thread_detach() == 0);
    return unused;
}

TEST(destroy_while_the_finalizer_thread_starts)
{
    pthread_barrier_init(&refused.barrier, NULL, DESTROYERS + 1);
    for (uint64_t round = 1; round <= 200; round++) {
        gc_options o = {.flags = GC_FINALIZER_THREAD, .debug = "delay=5"};
        pthread_t threads[DESTROYERS];
        unsigned before = nran;
        CHECK((refused.heap = gc_heap_create(&o)));
        for (int i = 0; i < DESTROYERS; i++)
            threads[i] = start_thread(destroyer, NULL);
        wait_at(&refused.barrier);
        CHECK_EQ(gc_finalizer_set(new_cell(round), finalize, NULL), 0);
        wait_at(&refused.barrier);
        gc_collect();
        wait_for(&nran, before + 1);
        join_threads(threads, DESTROYERS);
        CHECK_EQ(gc_heap_destroy(refused.heap), 0);
    }
}

/* Heaps in a ring: what runs on the library's thread of each destroys the next. The last to come
 * finds that all would wait for ever. */
enum { RING = 3 };
static struct {
    gc_heap *heaps[RING];
    size_t n;
    atomic_uint entered, returned;
    int said[RING];
} ring;

static void destroy_next(void *number)
{
    size_t i = (uintptr_t)number;
    ring.entered++;
    BLOCK_UNTIL(ring.entered == ring.n + 1); /* and no heap has another thread */
    ring.said[i] = gc_heap_destroy(ring.heaps[(i + 1) % ring.n]);
    ring.returned++;
}

static void destroy_in_a_ring(size_t n)
{
    memset(&ring, 0, sizeof ring);
    ring.n = n;
    for (uintptr_t i = 0; i < n; i++) {
        ring.heaps[i] = new_heap(GC_FINALIZER_THREAD);
        CHECK(gc_cleanup_add(new_cell(i), destroy_next, (void *)i) > 0);
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(gc_thread_detach(), 0);
    }
    ring.entered++;
    WAIT_UNTIL(ring.returned == n);
    size_t refusals = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        if (ring.said[i] != 0) {
            CHECK_EQ(ring.said[i], -EBUSY);
            refusals++;
            left = (i + 1) % n;
        }
    }
    CHECK_EQ(refusals, 1);
    CHECK_EQ(gc_heap_destroy(ring.heaps[left]), 0);
}

TEST(finalizers_destroy_each_others_heaps)
{
    for (int round = 0; round < 20; round++) {
        destroy_in_a_ring(2);
        destroy_in_a_ring(3);
    }
}

/* ---- External bytes ---- */

static uint64_t external(void)
{
    struct gc_statistics s;
    gc_stats(&s);
    return s.external;
}

TEST(external)
{
    gc_heap *heap = new_heap(0);
    struct cell *a = new_cell(1), *b = new_cell(2);
    GC_FRAME(a, b);
    CHECK(gc_external_add(a, 0) == 0 && external() == 0);
    CHECK_EQ(gc_external_add(a, -1), -EINVAL);
    CHECK(gc_external_add(a, 1000) == 0 && gc_external_add(b, 500) == 0 && external() == 1500);
    CHECK(gc_external_add(a, -300) == 0 && external() == 1200);
    CHECK_EQ(gc_external_add(a, -701), -EINVAL);
    CHECK_EQ(gc_external_add(a, PTRDIFF_MAX - 699), -EINVAL);
    CHECK_EQ(gc_external_add(a, PTRDIFF_MIN), -EINVAL);
    CHECK_EQ(external(), 1200);
    gc_collect();
    CHECK_EQ(external(), 1200);
    a = NULL;
    gc_collect();
    CHECK_EQ(external(), 500);
    CHECK(gc_external_add(b, -500) == 0 && external() == 0);
    gc_collect();
    CHECK_EQ(records(heap), 0);
    /* With a finalizer they stay as long as the object. */
    gc_external_add(b, 700);
    gc_finalizer_set(b, finalize, NULL);
    b = NULL;
    gc_collect();
    CHECK_EQ(external(), 700);
    gc_finalizers_run(0);
    gc_collect();
    CHECK_EQ(external(), 0);
    gc_heap_destroy(heap);
}

static void forget_bytes(void *object, void *arg)
{
    struct cell *c = object;
    CHECK_EQ(gc_external_add(c, -(ptrdiff_t)(size_t)(uintptr_t)arg), 0);
}

static uint64_t goal(void)
{
    struct gc_statistics s;
    gc_stats(&s);
    return s.heap_goal;
}

/* What waits for its finalizer is garbage: it does not raise the goal, whether the finalizer takes
 * the bytes back, or the object keeps them until it dies; and cycles do not come on end while
 * nobody runs finalizers. */
static void external_garbage_with_finalizers(gc_finalizer_fn fn)
{
    const size_t bytes = 64 << 20;
    gc_heap *heap = new_heap(GC_NO_BACKGROUND);
    gc_collect();
    uint64_t least = goal();
    for (int round = 0; round < 6; round++) {
        struct cell *c = new_cell((uint64_t)round);
        CHECK_EQ(gc_finalizer_set(c, fn, (void *)(uintptr_t)bytes), 0);
        CHECK_EQ(gc_external_add(c, (ptrdiff_t)bytes), 0);
        c = NULL;
        gc_collect();
        CHECK_EQ(external(), bytes);
        CHECK_EQ(goal(), least);
        gc_collect(); /* it still waits */
        CHECK_EQ(external(), bytes);
        CHECK_EQ(goal(), least);
        CHECK(pacing_heap_live(heap) < bytes);
        CHECK_EQ(gc_finalizers_run(0), 1);
        gc_collect();
        CHECK_EQ(external(), 0);
        CHECK_EQ(goal(), least);
        CHECK(pacing_heap_live(heap) < bytes);
    }
    gc_heap_destroy(heap);
}

static void keep_bytes(void *object, void *arg)
{
    CHECK(object && arg);
}

TEST(external_that_wait_for_a_finalizer)
{
    external_garbage_with_finalizers(forget_bytes);
    external_garbage_with_finalizers(keep_bytes);
}

static struct cell *kept_cell;

static void keep_cell(void *object, void *bytes)
{
    (void)bytes;
    kept_cell = object;
}

/* It lives on: its bytes count as any live object's. */
TEST(external_of_what_its_finalizer_keeps)
{
    const size_t bytes = 64 << 20;
    gc_heap *heap = new_heap(GC_NO_BACKGROUND);
    CHECK_EQ(gc_root(&kept_cell), 0);
    struct cell *c = new_cell(1);
    CHECK_EQ(gc_finalizer_set(c, keep_cell, NULL), 0);
    CHECK_EQ(gc_external_add(c, (ptrdiff_t)bytes), 0);
    c = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK(kept_cell);
    gc_collect();
    CHECK_EQ(external(), bytes);
    CHECK(goal() > bytes + bytes / 2);
    CHECK_EQ(gc_unroot(&kept_cell), 0);
    gc_collect();
    CHECK_EQ(external(), 0);
    CHECK(pacing_heap_live(heap) < bytes);
    gc_heap_destroy(heap);
}

/* Until no cycle is wanted or under way. */
static void await_collector(gc_heap *heap)
{
    BLOCK_UNTIL(!background_is_late(heap) && cycle_is_idle(heap->cycle));
}

/* Small objects with much behind them: cycles come, and the sum stays near the goal. */
static void external_garbage(unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    struct gc_statistics s;
    atomic_uint freed = 0;
    uint64_t most = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct cell *c = new_cell(i);
        CHECK(gc_cleanup_add(c, count_up, &freed) > 0);
        CHECK(gc_external_add(c, 100000) == 0);
        gc_finalizers_run(0);
        gc_stats(&s);
        most = s.external > most ? s.external : most;
        if (i % 64 == 0 && !(flags & GC_NO_BACKGROUND)) {
            await_collector(heap); /* the machine may be busy */
        }
    }
    diag("%" PRIu64 " cycles, at most %" PRIu64 " MB", s.cycles, most >> 20);
    ok(s.cycles >= 10 && freed > 10000, "cycles came");
    ok(most < UINT64_C(1000) << 20, "and in time");
    gc_heap_destroy(heap);
}

TEST(external_start_cycles)
{
    external_garbage(0);
}
TEST(external_stop_world)
{
    external_garbage(GC_STOP_WORLD);
}
TEST(external_without_background)
{
    external_garbage(GC_NO_BACKGROUND);
}

/* ---- Threads ---- */

enum { THREADS = 3 };

static struct {
    atomic_uint finalized, cleaned, cancelled, set, added;
    atomic_int *runs[THREADS]; /* of each cleanup; until the heap is gone */
} shared;

static void count_finalized(void *object, void *arg)
{
    struct cell *c = object;
    (void)arg;
    CHECK(c->magic == MAGIC && c->next->magic == MAGIC && c->next->id == c->id + 1);
    CHECK(c->id % 2 == 0);
    c->id = 1; /* a second run would see it */
    shared.finalized++;
}
static void count_cleaned(void *arg)
{
    CHECK(++*(atomic_int *)arg == 1);
    shared.cleaned++;
}

/* A new object with a finalizer and a cleanup; returns the cleanup's number. */
static int64_t make_owned(struct cell **place, uint64_t id, atomic_int *run)
{
    *place = new_cell(id);
    gc_store(&(*place)->next, new_cell(id + 1));
    CHECK(gc_finalizer_set(*place, count_finalized, NULL) == 0);
    shared.set++;
    int64_t number = gc_cleanup_add(*place, count_cleaned, run);
    CHECK(number > 0);
    shared.added++;
    return number;
}

static void owner(void)
{
    enum { HELD = 200, MOST = 200000 };
    uint64_t random = crowd_number;
    atomic_int *runs = shared.runs[crowd_number] = calloc(MOST, sizeof *runs);
    unsigned next_run = 0;
    struct cell *held[HELD] = {NULL};
    int64_t ids[HELD] = {0};
    GC_FRAME_ARRAY(held, HELD);
    while (!crowd.stop) {
        gc_safepoint();
        size_t i = random_below(&random, HELD);
        if (held[i] && ids[i] && random_one_in(&random, 4)) {
            shared.cancelled += gc_cleanup_cancel(held[i], ids[i]) == 0;
            ids[i] = 0;
        }
        if (next_run == MOST || !crowd_may_step()) {
            gc_finalizers_run(10);
            continue;
        }
        ids[i] = make_owned(&held[i], 2 * (random_next(&random) >> 30), &runs[next_run++]);
        if (random_one_in(&random, 8))
            gc_finalizers_run(10);
    }
}

/* Twice: what a finalized object refers to dies later. The library's thread is attached as long as
 * it runs any. */
static void run_what_remains(void)
{
    for (int i = 0; i < 2; i++) {
        gc_collect();
        while (gc_finalizers_run(0) > 0 || gc_finalizers_pending() > 0)
            sched_yield();
        BLOCK_UNTIL(stats_of(crowd.heap).threads == 1);
    }
}

static void stress_owners(const char *debug, unsigned flags, unsigned cycles)
{
    crowd_heap(debug, flags, THREADS);
    crowd_start(THREADS, owner);
    crowd_collect(cycles, 3000);
    crowd_stop();
    run_what_remains();
    ok(shared.finalized == shared.set && shared.cleaned + shared.cancelled == shared.added,
       "%u cycles; %u of %u finalized; %u + %u of %u cleaned or cancelled", cycles,
       shared.finalized, shared.set, shared.cleaned, shared.cancelled, shared.added);
    CHECK_EQ(records(crowd.heap), 0);
    CHECK(gc_heap_destroy(crowd.heap) == 0);
    for (int i = 0; i < THREADS; i++)
        free(shared.runs[i]);
}

TEST(owners_and_cycles)
{
    stress_owners("poison=2", 0, 30);
}
TEST(owners_and_delayed_cycles)
{
    stress_owners("poison=2,delay=13", 0, 20);
}
TEST(owners_and_finalizer_thread)
{
    stress_owners("poison=2,delay=14", GC_FINALIZER_THREAD, 20);
}
TEST(owners_and_stopped_cycles)
{
    stress_owners("poison=2", GC_STOP_WORLD, 20);
}

TAP_MAIN
