/* Shapes of arrays and flexible objects: which words are slots, which types share one, and what
 * happens when there are no more. */
#include "memory/type.h"
#include "base/stress.h"
#include "random.h"
#include "tap.h"

/* Most are never released, and no leaks. */
static gc_type *keep(gc_type *type)
{
    static gc_type *kept[200];
    static size_t n;
    CHECK(type);
    kept[n++ % (sizeof kept / sizeof *kept)] = type;
    return type;
}

/* A type of so many words, of which the mask's are references. */
static gc_type *new_type(size_t words, uint64_t mask)
{
    return keep(gc_type_create(&(struct gc_type_spec){.name = "t",
                                                      .size = words * sizeof(void *),
                                                      .mask = &mask,
                                                      .mask_bits = words < 64 ? words : 64}));
}

static const struct cell_shape *array_shape(gc_type *type)
{
    return type_array_shape(type_info(type));
}

static const struct cell_shape *tail_shape(gc_type *head, gc_type *element)
{
    return type_tail_shape(type_info(head), type_info(element));
}

/* Whether word i of an object is a slot, if it has elements up to its end. */
static bool is_slot(size_t head_words, uint64_t head, size_t words, uint64_t element, size_t i)
{
    return i < head_words ? head >> i & 1 : element >> (i - head_words) % words & 1;
}

TEST(which_words_are_slots)
{
    uint64_t state = 1;
    for (int round = 0; round < 50; round++) {
        size_t head_words = random_below(&state, 20), words = 1 + random_below(&state, 20);
        uint64_t head = random_next(&state), element = random_next(&state) | 1;
        head &= ((uint64_t)1 << head_words) - 1;
        element &= ((uint64_t)1 << words) - 1;
        gc_type *h = new_type(head_words, head), *e = new_type(words, element);
        const struct cell_shape *array = array_shape(e), *flexible = tail_shape(h, e);
        CHECK(array && flexible);
        for (size_t i = 0; i < SHAPE_WORDS; i++) {
            CHECK_EQ(bits_test(array->mask, i), is_slot(0, 0, words, element, i));
            CHECK_EQ(bits_test(flexible->mask, i), is_slot(head_words, head, words, element, i));
        }
        CHECK_EQ(gc_type_release(h), 0);
        CHECK_EQ(gc_type_release(e), 0);
    }
}

TEST(types_share_a_shape)
{
    gc_type *pair = new_type(2, 3), *second = new_type(2, 2), *one = new_type(1, 1);
    const struct cell_shape *all = array_shape(&gc_pointer_type);
    CHECK(all && array_shape(pair) == all);
    CHECK(WORD_BITS < 64 || array_shape(&gc_word_type) == all); /* a value has 64 bits */
    CHECK(tail_shape(one, pair) == all && tail_shape(pair, one) == all);
    CHECK(array_shape(second) != all && tail_shape(second, second) == array_shape(second));
    CHECK(tail_shape(one, second) != all && tail_shape(one, second) != array_shape(second));
}

static gc_type *filled(size_t words, uint64_t mask, uintptr_t fill)
{
    return keep(gc_type_create(&(struct gc_type_spec){.name = "filled",
                                                      .size = words * sizeof(void *),
                                                      .mask = &mask,
                                                      .mask_bits = words,
                                                      .fill = fill}));
}

TEST(shapes_of_filled_types)
{
    gc_type *one = filled(1, 1, 3), *pair = filled(2, 3, 3), *other = filled(1, 1, 5);
    gc_type *gaps = filled(2, 2, 3), *plain = new_type(1, 1);
    const struct cell_shape *all = array_shape(one);
    CHECK(all && all != array_shape(plain) && array_shape(pair) == all);
    CHECK(array_shape(other) != all && tail_shape(pair, one) == all);
    CHECK(tail_shape(plain, one) != all && tail_shape(plain, one) != tail_shape(one, plain));
    CHECK(tail_shape(plain, one) != tail_shape(plain, other));
    CHECK(all->fill.all && !array_shape(gaps)->fill.all && !tail_shape(plain, one)->fill.all);
    CHECK(!array_shape(plain)->fill.all);
}

/* Bit i of the two words is bit i % words of the mask. */
TEST(patterns)
{
    uint64_t state = 2;
    for (unsigned words = 1; words <= WORD_BITS; words++) {
        word pattern[2], mask = (word)random_next(&state);
        heapbits_pattern(pattern, mask, words);
        for (unsigned i = 0; i < 2 * WORD_BITS; i++)
            CHECK_EQ(bits_test(pattern, i), mask >> i % words & 1);
    }
}

/* The run indexes of a shape are those of its classes, and of no others. */
TEST(run_indexes_of_a_shape)
{
    const struct cell_shape *s = array_shape(&gc_pointer_type);
    for (unsigned c = 1; c < RUN_INLINE_CLASSES; c++) {
        unsigned run = runindex_first(spanclass_make(c, false));
        while (run && run != s->runs + c)
            run = runindex_next(run);
        CHECK(run);
    }
    CHECK_EQ(gc_class_by_8[GC_INLINE_BYTES_MAX / 8], RUN_INLINE_CLASSES - 1);
    CHECK_EQ(gc_pointer_type.arrays, s->runs);
    const struct cell_shape *other = array_shape(new_type(2, 2));
    CHECK(other->runs >= s->runs + RUN_INLINE_CLASSES ||
          s->runs >= other->runs + RUN_INLINE_CLASSES);
}

/* What the inline paths know: a head's first element type, and nothing before a type is registered.
 */
TEST(what_the_inline_paths_know)
{
    static gc_type unknown;
    gc_type *head = new_type(1, 0), *one = new_type(1, 1), *two = new_type(2, 2);
    gc_type *bytes = new_type(0, 0), *long_ones = new_type(1600 / WORD_SIZE, 1);
    CHECK(head->id && one->id && two->id && head->id != one->id && one->id != two->id);
    CHECK_EQ(head->id % GC_RUNS_MAX, 0);
    CHECK(!head->tail && !one->arrays && !unknown.id);
    CHECK_EQ(bytes->arrays, GC_RUNS_BYTES);
    const struct cell_shape *s = tail_shape(head, one);
    CHECK_EQ(head->tail, one->id + s->runs);
    CHECK(tail_shape(head, two) != s && tail_shape(head, one) == s);
    CHECK_EQ(head->tail, one->id + s->runs);
    CHECK(!tail_shape(head, bytes) && !tail_shape(bytes, bytes));
    CHECK_EQ(bytes->tail, bytes->id + GC_RUNS_BYTES);
    CHECK(array_shape(long_ones) && !long_ones->arrays);
    CHECK(tail_shape(long_ones, one) && !long_ones->tail);
}

/* A head whose size is no multiple of the elements' alignment: only the slow path knows where they
 * begin. */
TEST(elements_behind_a_gap)
{
    static gc_type odd = {.size = WORD_SIZE / 2, .align = WORD_SIZE / 2, .name = "odd"};
    const struct cell_shape *s = tail_shape(&odd, &gc_pointer_type);
    CHECK(s && !odd.tail);
    CHECK(!bits_test(s->mask, 0) && bits_test(s->mask, 1));
}

/* A head has shapes for a few element types; the others' objects have heap bits of their own. */
TEST(more_element_types_than_a_head_has_tails)
{
    gc_type *head = new_type(1, 0), *elements[TYPE_TAILS + 1];
    for (size_t i = 0; i <= TYPE_TAILS; i++)
        elements[i] = new_type(i + 2, 1);
    for (size_t i = 0; i <= TYPE_TAILS; i++)
        CHECK((tail_shape(head, elements[i]) != NULL) == (i < TYPE_TAILS));
    CHECK_EQ(gc_type_release(elements[1]), 0);
    CHECK(tail_shape(head, elements[TYPE_TAILS])); /* there is no heap: the type is gone */
    CHECK(tail_shape(head, elements[0]) && tail_shape(head, elements[2]));
    gc_type *next = new_type(9, 1);
    CHECK(!tail_shape(head, next));
    CHECK_EQ(gc_type_release(elements[0]), 0);
    const struct cell_shape *s = tail_shape(head, next);
    CHECK(s);
    CHECK_EQ(head->tail, next->id + s->runs); /* the inline path has it in place of the first */
}

static gc_type *with_mask(uint64_t mask)
{
    return new_type(16, mask << 1 | 1);
}

/* There are RUN_BLOCKS shapes. The ones that no type needs are taken for others. */
TEST(no_more_shapes)
{
    gc_type *types[RUN_BLOCKS + 1], *head = new_type(16, 1);
    for (unsigned i = 0; i <= RUN_BLOCKS; i++) {
        types[i] = with_mask(i);
        CHECK((array_shape(types[i]) != NULL) == (i < RUN_BLOCKS));
        CHECK_EQ(types[i]->arrays != 0, i < RUN_BLOCKS);
    }
    CHECK(!tail_shape(head, types[3]));
    CHECK(tail_shape(types[3], types[3]) == array_shape(types[3]));
    const struct cell_shape *third = array_shape(types[3]), *fourth = array_shape(types[4]);
    CHECK_EQ(gc_type_release(types[4]), 0);
    CHECK_EQ(gc_type_release(types[3]), 0);
    gc_type *later[2] = {with_mask(1000), with_mask(1001)};
    const struct cell_shape *a = array_shape(later[0]), *b = array_shape(later[1]);
    CHECK((a == third && b == fourth) || (a == fourth && b == third));
    CHECK(bits_test(a->mask, 4) && !bits_test(a->mask, 1));
    CHECK(!array_shape(with_mask(1002)));
}

static struct {
    gc_type *head, *element;
    const struct cell_shape *got;
} quicker;

static void be_quicker(enum stress_point point)
{
    gc_type *element = quicker.element;
    if (point != STRESS_TAIL_FOUND || !element)
        return;
    quicker.element = NULL;
    quicker.got = tail_shape(quicker.head, element);
}

/* Another thread takes the tail that a thread has found free, for another type. */
TEST(a_tail_is_taken_meanwhile)
{
    gc_type *element = new_type(2, 1);
    quicker.head = new_type(1, 1);
    quicker.element = new_type(2, 2);
    stress_stop_set(be_quicker);
    const struct cell_shape *got = tail_shape(quicker.head, element);
    CHECK(got && quicker.got && got != quicker.got);
    CHECK(bits_test(got->mask, 1) && !bits_test(got->mask, 2));
    CHECK(tail_shape(quicker.head, element) == got);
}

/* While a heap lives that may hold runs of a released type's shape, nobody else gets the shape. */
TEST(shapes_of_released_types)
{
    gc_type *type = with_mask(77);
    gc_heap *heap = gc_heap_create(NULL);
    const struct cell_shape *s = array_shape(type);
    uint64_t before = s->users;
    CHECK_EQ(gc_type_release(type), 0);
    CHECK_EQ(s->users, before);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(s->users, before - 1);
}

TAP_MAIN
