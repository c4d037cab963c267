/* Types: what an alignment means wherever objects are made, and when a released type goes. */
#include "build.h"
#include "cells.h"

/* ---- Alignment ---- */

static const size_t sizes[] = {1,  2,  3,  4,   5,   7,   8,    9,    12,    15,   16,
                               17, 24, 40, 100, 256, 500, 1000, 8192, 20000, 40000};
static const size_t aligns[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 4096, 8192};

static size_t asked_for(size_t align)
{
    return align ? align : sizeof(void *);
}

static void check_place(const void *object, size_t align, size_t size)
{
    CHECK(object);
    CHECK_EQ((uintptr_t)object % asked_for(align), 0);
    CHECK(gc_is_object(object) && gc_object_size(object) >= size);
}

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}

/* Without references; with one; and traced. */
enum kind { PLAIN, REFERENCE, TRACED, KINDS };

static bool make_type(gc_type *type, enum kind kind, size_t size, size_t align)
{
    *type = (gc_type){.size = size, .align = (uint16_t)align, .kind = GC_KIND_STRUCT, .name = "t"};
    if (kind == REFERENCE)
        type->inline_mask[0] = 1;
    if (kind == TRACED)
        type->trace = trace_nothing;
    return kind != REFERENCE || (size >= sizeof(void *) && asked_for(align) >= sizeof(void *));
}

static void check_arrays_of(gc_type *type, size_t n)
{
    size_t room;
    void *array = gc_new_array(type, n);
    check_place(array, type->align, n * type->size);
    array = gc_array_grow(type, array, n, &room);
    check_place(array, type->align, room * type->size);
    array = gc_array_shrink(type, array, n, &room);
    check_place(array, type->align, room * type->size);
}

static void check_objects_of(gc_type *type)
{
    for (size_t i = 1; i <= 5; i++) {
        CHECK(gc_new_bytes(i * 3));
        check_place(gc_new(type), type->align, type->size);
        CHECK(gc_new_bytes(i));
        if (type->trace || (type->inline_mask[0] && type->size % sizeof(void *)))
            CHECK_REFUSED(gc_array_shrink(type, NULL, 0, &i), EINVAL);
        else
            check_arrays_of(type, i);
    }
}

static void check_all(gc_options *options)
{
    static gc_type types[sizeof sizes / sizeof *sizes][sizeof aligns / sizeof *aligns][KINDS];
    gc_heap *heap = gc_heap_create(options);
    CHECK(heap);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t a = 0; a < sizeof aligns / sizeof *aligns; a++) {
            for (int kind = 0; kind < KINDS; kind++) {
                gc_type *type = &types[s][a][kind];
                if (type->info || make_type(type, (enum kind)kind, sizes[s], aligns[a]))
                    check_objects_of(type);
            }
        }
    }
    end_heap(heap);
}

TEST(objects_are_aligned_as_their_types_say)
{
    check_all(&(gc_options){.percent = 100});
    check_all(&(gc_options){.debug = "nth=7"});
    if (sizeof(void *) == 8)
        check_all(&(gc_options){.format = {7, 1, ~(uint64_t)7}});
}

TEST(types_made_at_run_time_are_aligned_like_a_word)
{
    gc_heap *heap = new_heap(0);
    for (size_t size = 1; size <= 64; size++) {
        gc_type *type = gc_type_create(&(struct gc_type_spec){.size = size});
        CHECK_EQ(type->align, sizeof(void *));
        check_objects_of(type);
        CHECK_EQ(gc_type_release(type), 0);
    }
    gc_heap_destroy(heap);
}

/* ---- Where the elements of a flexible object begin ---- */

struct element {
    gc_type type;
    size_t words;
    size_t at; /* of its reference */
};

static void make_element(struct element *e, size_t words, size_t align)
{
    size_t size = words * sizeof(void *);
    e->type =
        (gc_type){.size = size, .align = (uint16_t)align, .kind = GC_KIND_STRUCT, .name = "e"};
    e->words = words;
    e->at = words - 1;
    e->type.inline_mask[0] = (uint64_t)1 << e->at;
}

enum { MOST = 12 };

/* Each element holds one object, which lives as long as the reference is there. */
static void check_flexible(gc_type *head, struct element *e, size_t n)
{
    size_t align = asked_for(e->type.align);
    size_t tail = (head->size + align - 1) / align * align;
    char *object = gc_new_flex(head, &e->type, n);
    gc_weak *weak[MOST];
    GC_FRAME(object);
    check_place(object, e->type.align, tail + n * e->type.size);
    void **slots = (void **)(void *)(object + tail);
    for (size_t i = 0; i < n; i++) {
        gc_store(&slots[i * e->words + e->at], gc_new_bytes(24));
        weak[i] = gc_weak_new(slots[i * e->words + e->at]);
    }
    gc_collect();
    for (size_t i = 0; i < n; i++) {
        CHECK(gc_weak_get(weak[i]) == slots[i * e->words + e->at]);
        gc_store(&slots[i * e->words + e->at], NULL);
    }
    gc_collect();
    for (size_t i = 0; i < n; i++) {
        CHECK(!gc_weak_get(weak[i]));
        gc_weak_free(weak[i]);
    }
}

TEST(elements_begin_where_their_alignment_says)
{
    static gc_type heads[8];
    static struct element elements[3][5];
    static const size_t head_sizes[] = {1, 8, 12, 20, 24, 33, 72, 700};
    static const uint16_t element_aligns[] = {0, 8, 16, 32, 64};
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    for (size_t h = 0; h < 8; h++) {
        make_type(&heads[h], h % 2 ? REFERENCE : PLAIN, head_sizes[h], h % 3 == 1 ? 0 : h ? 8 : 1);
        for (size_t w = 0; w < 3; w++) {
            for (size_t a = 0; a < 5; a++) {
                struct element *e = &elements[w][a];
                if (!e->words)
                    make_element(e, 1 + w, element_aligns[a]);
                for (size_t n = 1; n <= MOST; n += SLOW ? 5 : 1)
                    check_flexible(&heads[h], e, n);
            }
        }
    }
    CHECK_EQ(gc_heap_verify(), 0);
    gc_heap_destroy(heap);
}

TEST(impossible_alignments)
{
    gc_heap *heap = new_heap(0);
    gc_type bad = {.size = 16, .align = 3, .name = "bad"};
    CHECK_REFUSED(gc_new(&bad), EINVAL);
    CHECK(strstr(gc_type_error(), "power of two"));
    bad.align = 16384;
    CHECK_REFUSED(gc_new(&bad), EINVAL);
    bad.align = 0;
    bad.field_align = 48;
    CHECK_REFUSED(gc_new(&bad), EINVAL);
    static gc_type packed = {.size = 16, .align = 1, .name = "packed", .inline_mask = {1}};
    CHECK_REFUSED(gc_new(&packed), EINVAL);
    CHECK(strstr(gc_type_error(), "word"));
    packed.align = 0;
    CHECK(gc_new(&packed));
    CHECK(!gc_type_create(&(struct gc_type_spec){.size = 16, .align = 24}));
    gc_heap_destroy(heap);
}

/* ---- Types that are released ---- */

static gc_type *a_type(size_t size)
{
    static const uint64_t mask[] = {1};
    gc_type *type = gc_type_create(
        &(struct gc_type_spec){.name = "plugin", .size = size, .mask = mask, .mask_bits = 1});
    CHECK(type);
    return type;
}

/* As many as there are run slots, and again: what is released leaves its slot. */
TEST(a_plugin_comes_and_goes)
{
    for (int i = 0; i < 10000; i++) {
        gc_heap *heap = i % 100 == 0 ? new_heap(GC_NO_BACKGROUND) : NULL;
        gc_type *type = a_type(24);
        CHECK(type->run != 0);
        if (heap)
            CHECK(gc_new(type));
        CHECK_EQ(gc_type_release(type), 0);
        if (heap)
            gc_heap_destroy(heap);
    }
}

/* The allocator gives the same place out again and again. */
TEST(released_types_take_no_memory)
{
    if (SLOW)
        SKIP("the sanitizer's allocator gives no place out twice");
    enum { ROUNDS = 1000 };
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int i = 0; i < ROUNDS; i++) {
        gc_type *type = a_type(24);
        low = (uintptr_t)type < low ? (uintptr_t)type : low;
        high = (uintptr_t)type > high ? (uintptr_t)type : high;
        CHECK_EQ(gc_type_release(type), 0);
    }
    CHECK(high - low < ROUNDS * sizeof(gc_type) / 10);
}

/* A heap keeps those that were there in its time, and none that were gone before it came. */
TEST(a_heap_keeps_the_types_of_its_time)
{
    gc_heap *first = new_heap(GC_NO_BACKGROUND);
    gc_type *old = a_type(24);
    void *kept = gc_new(old);
    GC_FRAME(kept);
    uint32_t slot = old->run;
    CHECK_EQ(gc_type_release(old), 0);
    CHECK_EQ(gc_type_release(old), -EINVAL);
    gc_type *other = a_type(24);
    CHECK(other->run != slot);
    gc_heap *second = gc_heap_create(NULL);
    CHECK_EQ(gc_type_release(other), 0);
    gc_thread_switch(first);
    gc_collect();
    CHECK_EQ(gc_heap_destroy(first), 0);
    gc_type *next = a_type(24);
    CHECK_EQ(next->run, slot); /* `old` is gone with its heap, and `other` is not */
    gc_thread_switch(second);
    CHECK_EQ(gc_heap_destroy(second), 0);
    CHECK_EQ(gc_type_release(next), 0);
}

/* ---- Static types ---- */

struct pair {
    struct pair *next;
    void *more;
};
static GC_TYPE(pair_type, struct pair, next, more);

static void make_pairs(void)
{
    struct pair *single = NULL, *array = NULL, *tail = NULL;
    GC_FRAME(single, array, tail);
    CHECK((single = gc_new(&pair_type)));
    CHECK((array = gc_new_array(&pair_type, 3)));
    CHECK((tail = gc_new_flex(&pair_type, &pair_type, 2)));
    gc_store(&single->next, gc_new(&pair_type));
    CHECK_EQ(gc_collect(), 0);
    CHECK(gc_is_object(single->next) && gc_is_object(array) && gc_is_object(tail));
}

/* Its run is given away once no heap of its time is left. */
TEST(a_static_type_is_released_and_used_again)
{
    CHECK_EQ(gc_type_release(&pair_type), 0); /* nothing is kept of it */
    gc_heap *first = new_heap(GC_NO_BACKGROUND);
    make_pairs();
    uint32_t slot = pair_type.run;
    CHECK_EQ(gc_type_release(&pair_type), 0);
    CHECK(!pair_type.info && !pair_type.run && !pair_type.arrays && !pair_type.tail);
    CHECK_EQ(gc_type_release(&pair_type), 0);
    make_pairs();
    CHECK(pair_type.run != slot);
    CHECK_EQ(gc_heap_destroy(first), 0);
    gc_type *next = a_type(sizeof(struct pair));
    CHECK_EQ(next->run, slot);
    CHECK_EQ(gc_type_release(&pair_type), 0);
    CHECK_EQ(gc_type_release(next), 0);
}

/* The type's memory may go as soon as it is released and no heap is left. */
TEST(a_static_type_that_goes_leaves_nothing)
{
    enum { ROUNDS = 3 * GC_RUNS_MAX };
    gc_type *type = malloc(sizeof *type);
    CHECK(type);
    for (int i = 0; i < ROUNDS; i++) {
        *type = pair_type;
        type->info = NULL;
        type->run = type->arrays = 0;
        type->id = type->tail = 0;
        CHECK_EQ(gc_type_register(type), 0);
        CHECK(type->run >= RUN_TYPES); /* one of its own */
        CHECK_EQ(gc_type_release(type), 0);
        memset(type, 0xff, sizeof *type);
    }
    free(type);
}

TAP_MAIN
