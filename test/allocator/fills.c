/* What the slots of a fresh object hold, by gc_type.fill: in every way in which objects come about,
 * and again in memory that was used before. */
#include "heaps.h"

#define NIL ((uintptr_t)0xfff1)
#define UNDEFINED ((uintptr_t)0xfff3)
#define DIRT ((uintptr_t)0x7777)

/* A type of up to 64 words, whose references the mask says. */
struct part {
    size_t words;
    uint64_t mask;
    uintptr_t fill;
    gc_type *type;
};

static void make_part(struct part *p, gc_trace_fn trace)
{
    struct gc_type_spec spec = {.name = "part",
                                .size = p->words * sizeof(uintptr_t),
                                .mask = &p->mask,
                                .mask_bits = p->words,
                                .fill = p->fill,
                                .trace = trace};
    CHECK((p->type = gc_type_create(&spec)));
}

static void check_part(uintptr_t *words, const struct part *p, size_t n)
{
    for (size_t i = 0; i < n * p->words; i++) {
        CHECK_EQ(words[i], p->mask >> i % p->words & 1 ? p->fill : 0);
        words[i] = DIRT;
    }
}

static const size_t lengths[] = {0,   1,   2,   3,   5,   8,    20,   64,
                                 100, 126, 127, 128, 300, 1500, 6000, 9000};
#define LENGTHS (sizeof lengths / sizeof *lengths)

static void check_array(const struct part *p, size_t n)
{
    uintptr_t *array = gc_new_array(p->type, n);
    CHECK(array);
    check_part(array, p, n);
}

static void check_flexible(const struct part *head, const struct part *p, size_t n)
{
    uintptr_t *object = gc_new_flex(head->type, p->type, n);
    CHECK(object);
    check_part(object, head, 1);
    check_part(object + head->words, p, n);
}

/* Everything dies, and its memory is used again. */
static void check_all(struct part *parts, size_t n)
{
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < n; i++) {
            for (int k = 0; k < 300; k++)
                check_part(gc_new(parts[i].type), &parts[i], 1);
            for (size_t k = 0; k < LENGTHS; k++) {
                if (!parts[i].type->trace)
                    check_array(&parts[i], lengths[k]);
                for (size_t j = 0; j < n; j++) {
                    if (!parts[j].type->trace)
                        check_flexible(&parts[i], &parts[j], lengths[k]);
                }
            }
        }
        CHECK_EQ(gc_collect(), 0);
    }
}

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}

static void fills(unsigned flags)
{
    struct part parts[] = {{1, 1, NIL, NULL}, {2, 3, NIL, NULL},       {5, 0x12, NIL, NULL},
                           {3, 6, 0, NULL},   {1, 1, UNDEFINED, NULL}, {4, 9, NIL, NULL}};
    size_t n = sizeof parts / sizeof *parts;
    gc_heap *heap = new_heap(flags);
    for (size_t i = 0; i < n; i++)
        make_part(&parts[i], i + 1 == n ? trace_nothing : NULL);
    check_all(parts, n);
    end_heap(heap);
}

TEST(fresh_objects)
{
    fills(0);
}
TEST(fresh_objects_and_a_stopped_world)
{
    fills(GC_STOP_WORLD);
}
TEST(fresh_objects_without_background)
{
    fills(GC_NO_BACKGROUND);
}

/* Without a shape each array has its heap bits by itself. */
TEST(no_shapes_are_left)
{
    static struct part parts[100];
    gc_heap *heap = new_heap(0);
    for (uint64_t mask = 1; mask <= 100; mask++) {
        struct part *p = &parts[mask - 1];
        *p = (struct part){7, mask, NIL, NULL};
        make_part(p, NULL);
        for (int round = 0; round < 2; round++) {
            for (size_t k = 0; k < LENGTHS; k += 3)
                check_array(p, lengths[k]);
            CHECK_EQ(gc_collect(), 0);
        }
    }
    end_heap(heap);
}

/* Large enough to be beyond the size classes, and not a mask but a program. */
TEST(a_type_of_a_program)
{
    enum { TIMES = 3000 };
    uint8_t bytes[40];
    struct gc_prog prog;
    gc_heap *heap = new_heap(0);
    for (size_t times = 1; times <= TIMES; times += TIMES - 1) {
        gc_prog_begin(&prog, bytes, sizeof bytes);
        gc_prog_emit(&prog, (const uint64_t[]){5}, 3);
        gc_prog_repeat(&prog, 3, times);
        CHECK_EQ(gc_prog_end(&prog), 0);
        struct part p = {3, 5, NIL, NULL};
        CHECK((p.type = gc_type_create(
                   &(struct gc_type_spec){.size = (times + 1) * 3 * sizeof(void *),
                                          .ptrdata = (times + 1) * 3 * sizeof(void *),
                                          .program = bytes,
                                          .program_size = prog.size,
                                          .fill = NIL})));
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 100; i++)
                check_part(gc_new(p.type), &p, times + 1);
            CHECK_EQ(gc_collect(), 0);
        }
        CHECK_EQ(gc_type_release(p.type), 0);
    }
    end_heap(heap);
}

struct list {
    struct list *next, *other;
};
static GC_TYPE(list_type, struct list, next, other);

/* What fills a slot is no reference: it keeps nothing alive, and the next cycles do not mind. */
TEST(a_static_type)
{
    list_type.fill = NIL;
    gc_heap *heap = new_heap(0);
    struct list *all = NULL, *fresh = NULL;
    GC_FRAME(all, fresh);
    for (int i = 0; i < 100000; i++) {
        fresh = gc_new(&list_type);
        CHECK_EQ(fresh->next, NIL);
        CHECK_EQ(fresh->other, NIL);
        if (i % 2)
            continue;
        fresh->next = all;
        all = fresh;
    }
    CHECK_EQ(gc_collect(), 0);
    size_t n = 0;
    for (; all; all = all->next, n++)
        CHECK_EQ(all->other, NIL);
    CHECK_EQ(n, 50000);
    end_heap(heap);
}

/* A vector that grows has nil behind its elements. */
TEST(arrays_that_grow)
{
    struct part p = {1, 1, NIL, NULL};
    gc_heap *heap = new_heap(0);
    make_part(&p, NULL);
    uintptr_t *array = NULL;
    size_t capacity = 0, n = 0;
    GC_FRAME(array);
    while (n < 20000) {
        array = gc_array_grow(p.type, array, n, &capacity);
        CHECK(array && capacity > n);
        for (; n < capacity; n++) {
            CHECK_EQ(array[n], NIL);
            array[n] = n | 1;
        }
    }
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(array[i], i | 1);
    CHECK_EQ(gc_type_release(p.type), 0);
    end_heap(heap);
}

/* One that shrinks has it there again, in the words that are references. */
TEST(an_array_that_shrinks_in_place)
{
    struct part p = {2, 1, NIL, NULL};
    gc_heap *heap = new_heap(0);
    make_part(&p, NULL);
    size_t capacity = 60, n = 2 * capacity;
    uintptr_t *array = gc_new_array(p.type, capacity);
    GC_FRAME(array);
    for (size_t i = 0; i < n; i++)
        array[i] = i | 1;
    CHECK(gc_array_shrink(p.type, array, 59, &capacity) == array);
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(array[i], i < n - 2 ? i | 1 : i % 2 ? 0 : NIL);
    CHECK_EQ(gc_type_release(p.type), 0);
    end_heap(heap);
}

TEST(a_fill_without_references)
{
    CHECK_REFUSED(gc_type_create(&(struct gc_type_spec){.size = 16, .fill = NIL}), EINVAL);
    CHECK(strstr(gc_type_error(), "a fill without references"));
}

TAP_MAIN
