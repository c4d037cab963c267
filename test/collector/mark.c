/* What a marker meets that marks beside others: between its look at a mark word and its atomic
 * operation on it, another thread does its part. Markers of two threads come there too seldom for a
 * test. */
#include "base/atomics.h"

/* Called in between, with the bits that the marker is about to set or to clear; NULL: nothing. */
static void (*before_set)(word *map, word bits), (*before_clear)(word *map, word bits);

static word set_bits(word *map, word bits)
{
    if (before_set)
        before_set(map, bits);
    return word_fetch_or_seq_cst(map, bits);
}

static word clear_bits(word *map, word rest)
{
    if (before_clear)
        before_clear(map, ~rest);
    return word_fetch_and_relaxed(map, rest);
}

#define word_fetch_or_seq_cst(map, bits) set_bits(map, bits)
#define word_fetch_and_relaxed(map, bits) clear_bits(map, bits)
#include "src/collector/mark.c"
#undef word_fetch_or_seq_cst
#undef word_fetch_and_relaxed

#include "cells.h"
#include "chains.h"

static gc_heap *heap;
static size_t met; /* moments at which another thread did its part */

/* Arrays of these sizes begin at even words, and at any. */
static const size_t sizes[] = {2, 3, 4, 6, 7};

/* The word of memory whose bit this is. */
static uintptr_t place_of(const word *map, unsigned bit)
{
    const struct arena *a = heap->mem.arenas.newest;
    return a->base + ((size_t)(map - a->mark) * WORD_BITS + bit) * WORD_SIZE;
}

static bool begins_object(uintptr_t at)
{
    struct target target;
    return target_resolve(&heap->mem, at, &target) && target.base == at;
}

/* Chains of arrays are collected twice. Each is scanned and counted once. */
static void collect_chains(const char *debug)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void ***firsts = NULL;
        gc_options o = {.debug = debug, .flags = GC_NO_BACKGROUND};
        CHECK((heap = gc_heap_create(&o)));
        GC_FRAME(firsts);
        firsts = new_chains(sizes[i]);
        for (int round = 0; round < 2; round++) {
            met = 0;
            CHECK_EQ(gc_collect(), 0);
            CHECK(met > 0);
            CHECK_EQ(stats_now().objects_marked, LINKED + 1);
            check_chains(firsts, sizes[i]);
        }
        end_heap(heap);
    }
}

/* A mutator's barrier marks an object that the marker has just found unmarked. */
static void shade_one(word *map, word bits)
{
    for (word left = bits & ~word_load_relaxed(map); left; left &= left - 1) {
        uintptr_t at = place_of(map, bits_trailing_zeros(left));
        if (!begins_object(at))
            continue; /* it is the grey bit of its neighbour */
        barrier_shade(thread_self(), at);
        met++;
        return;
    }
}

TEST(an_object_that_is_marked_meanwhile)
{
    before_set = shade_one;
    collect_chains("poison,checkmark");
    collect_chains("poison,checkmark,buffers=3");
}

/* The other marker scans what it has taken. */
static void take(word *map, unsigned bit)
{
    struct workbuf *b = workbuf_get(&heap->work);
    CHECK(word_fetch_and_relaxed(map, ~((word)1 << bit)) >> bit & 1);
    b->items[b->n++] = place_of(map, bit ^ 1);
    workqueue_push(&heap->work, b);
}

/* Of the grey objects of a mark word another marker takes the first or the last, all but the first,
 * or all. */
static void take_some(word *map, word greys)
{
    size_t n = bits_count(greys), how = met % 4;
    size_t from = how == 1 ? n - 1 : how == 2, end = how == 0 ? 1 : n;
    if (n < 2)
        return;
    met++;
    for (size_t i = 0; i < end; i++, greys &= greys - 1) {
        if (i >= from)
            take(map, bits_trailing_zeros(greys));
    }
}

TEST(objects_that_another_marker_takes)
{
    before_clear = take_some;
    collect_chains("poison,checkmark");
    collect_chains("poison,checkmark,buffers=3");
}

TAP_MAIN
