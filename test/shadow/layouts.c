/* The layouts: static types, types made at run time, arrays, bytes. */
#include "layout.h"
#include "shapes.h"

#include <stdalign.h>

/* ---- Types ---- */

struct shape_mixed {
    uintptr_t id, check;
    void *a;
    double x;
    void *b, *c;
    uintptr_t y[3];
    void *d;
    char text[13];
};
static GC_TYPE(shape_mixed_type, struct shape_mixed, a, b, c, d);

struct shape_wide {
    uintptr_t id, check;
    void *first[5];
    uintptr_t x[70];
    void *middle[3];
    uintptr_t y[30];
    void *last;
};
static GC_TYPE(shape_wide_type, struct shape_wide, first[0], first[1], first[2], first[3], first[4],
               middle[0], middle[1], middle[2], last);

struct shape_line {
    alignas(64) uintptr_t id;
    uintptr_t check;
    void *a, *b, *c;
};
static GC_TYPE(shape_line_type, struct shape_line, a, b, c);

struct shape_plain_line {
    alignas(128) uintptr_t id;
    uintptr_t check, x[6];
};
static GC_TYPE_NOPTR(shape_plain_line_type, struct shape_plain_line);

struct shape_page {
    alignas(4096) uintptr_t id;
    uintptr_t check;
    void *a;
};
static GC_TYPE(shape_page_type, struct shape_page, a);

/* Types whose references only code can find. */
#define TRACED_MASKED 4 /* the first slot; the mask has the next ones up to TRACED_HIDDEN */
#define TRACED_HIDDEN 12
#define TRACED_WORDS 24
#define TRACED_LARGE 6000 /* slots */
static void trace_hidden(void *object, gc_tracer *tracer)
{
    gc_trace_slots(tracer, (shape_word *)object + TRACED_HIDDEN, TRACED_WORDS - TRACED_HIDDEN);
}
static void trace_large(void *object, gc_tracer *tracer)
{
    const shape_word *words = object;
    for (size_t i = 0; i < TRACED_LARGE; i++)
        gc_trace_slot(tracer, &words[2 + i]);
}
/* Word 3: where the slots are; word 2: how many, written last. */
static void trace_external(void *object, gc_tracer *tracer)
{
    const shape_word *words = object;
    size_t n = __atomic_load_n(&words[2], __ATOMIC_ACQUIRE);
    if (n)
        gc_trace_slots(tracer, (const void *)(uintptr_t)words[3], n);
}

/* ---- The layouts ---- */

struct layout layouts[LAYOUTS];

static void mask_set(uint64_t *mask, size_t i)
{
    mask[i / 64] |= (uint64_t)1 << i % 64;
}
#define MASK_FIELD(mask, T, field) mask_set(mask, offsetof(T, field) / SHAPE_WORD)

static struct layout *layout_fixed(int which, const char *name, gc_type *type, size_t align,
                                   unsigned weight)
{
    struct layout *l = &layouts[which];
    *l = (struct layout){.name = name, .how = SHAPE_NEW, .type = type, .align = align};
    l->head_words = type->size / SHAPE_WORD;
    l->weight = weight;
    return l;
}

static gc_type *shape_must(gc_type *type, const char *name)
{
    if (!type) {
        fprintf(stderr, "gc_type_create(%s): %s\n", name, gc_type_error());
        abort();
    }
    return type;
}

/* Two words without references, then `reps` times (x, ref, ref, x, ref), built by nested repetition
 * where reps is even. */
static gc_type *program_type(const char *name, size_t reps)
{
    uint8_t bytes[64];
    struct gc_prog prog;
    const uint64_t zeros = 0, unit = 0x16;
    gc_prog_begin(&prog, bytes, sizeof bytes);
    gc_prog_emit(&prog, &zeros, 2);
    gc_prog_emit(&prog, &unit, 5);
    gc_prog_repeat(&prog, 5, reps / 2 - 1);
    gc_prog_repeat(&prog, 5 * (reps / 2), 1);
    gc_prog_end(&prog);
    struct gc_type_spec spec = {.name = name,
                                .size = (2 + 5 * reps) * SHAPE_WORD,
                                .ptrdata = (2 + 5 * reps) * SHAPE_WORD,
                                .program = bytes,
                                .program_size = prog.size};
    return shape_must(gc_type_create(&spec), name);
}

static void layout_program(int which, const char *name, size_t reps, unsigned weight)
{
    struct layout *l = layout_fixed(which, name, program_type(name, reps), 8, weight);
    l->head_words = 2;
    l->elem_words = 5;
    l->fixed = reps;
    l->elem[0] = 0x16;
}

static gc_type *traced_type(const char *name, size_t words, uint64_t mask, gc_trace_fn trace)
{
    struct gc_type_spec spec = {.name = name, .size = words * SHAPE_WORD, .trace = trace};
    spec.mask = &mask;
    spec.mask_bits = words < 64 ? words : 64;
    return shape_must(gc_type_create(&spec), name);
}

static void layouts_traced(void)
{
    struct layout *l;
    uint64_t masked = (1u << TRACED_HIDDEN) - (1u << TRACED_MASKED);
    gc_type *type = traced_type("traced", TRACED_WORDS, masked, trace_hidden);
    l = layout_fixed(LAYOUT_TRACED, "traced", type, 8, 3);
    for (size_t i = TRACED_MASKED; i < TRACED_WORDS; i++)
        mask_set(l->head, i);
    type = traced_type("traced_large", TRACED_LARGE + 2, 0, trace_large);
    l = layout_fixed(LAYOUT_TRACED_LARGE, "traced_large", type, 8, 0);
    l->head_words = 2;
    l->elem_words = 1;
    l->fixed = TRACED_LARGE;
    l->elem[0] = 1;
    type = traced_type("traced_external", 5, 0, trace_external);
    l = layout_fixed(LAYOUT_TRACED_EXTERNAL, "traced_external", type, 8, 2);
    l->external = true;
}

static void layout_array(int which, const char *name, gc_type *type, size_t stamp, unsigned weight)
{
    struct layout *l = &layouts[which];
    *l = (struct layout){.name = name, .how = SHAPE_ARRAY, .type = type, .align = 8};
    l->elem_words = type->size / SHAPE_WORD;
    l->head_words = stamp * l->elem_words;
    l->weight = weight;
}

/* A type of 3…70 words with random references. */
static void layout_random(int which, uint64_t *random)
{
    static char names[LAYOUTS][16];
    size_t words =
        random_one_in(random, 4) ? 3 + random_below(random, 68) : 3 + random_below(random, 10);
    uint64_t mask[4] = {0};
    for (size_t i = 2; i < words; i++) {
        if (random_one_in(random, 2))
            mask_set(mask, i);
    }
    snprintf(names[which], sizeof names[which], "made %d", which);
    struct gc_type_spec spec = {
        .name = names[which], .size = words * SHAPE_WORD, .mask = mask, .mask_bits = words};
    gc_type *type = shape_must(gc_type_create(&spec), spec.name);
    struct layout *l = layout_fixed(which, names[which], type, 8, 1);
    memcpy(l->head, mask, sizeof mask);
}

/* Objects of one static type. */
static void layouts_of_types(void)
{
    struct layout *l = layout_fixed(LAYOUT_PAIR, "pair", &shape_pair_type, 8, 30);
    l->head[0] = 0xc;
    l = layout_fixed(LAYOUT_HOLDER, "holder", &shape_pair_type, 8, 8);
    l->head[0] = 0xc;
    l->small_slot = true;
    l = layout_fixed(LAYOUT_MIXED, "mixed", &shape_mixed_type, 8, 10);
    l->head_words = offsetof(struct shape_mixed, text) / SHAPE_WORD;
    MASK_FIELD(l->head, struct shape_mixed, a);
    MASK_FIELD(l->head, struct shape_mixed, b);
    MASK_FIELD(l->head, struct shape_mixed, c);
    MASK_FIELD(l->head, struct shape_mixed, d);
    l = layout_fixed(LAYOUT_WIDE, "wide", &shape_wide_type, 8, 2);
    for (size_t i = 0; i < 5; i++)
        MASK_FIELD(l->head, struct shape_wide, first[i]);
    for (size_t i = 0; i < 3; i++)
        MASK_FIELD(l->head, struct shape_wide, middle[i]);
    MASK_FIELD(l->head, struct shape_wide, last);
}

static void layouts_aligned(void)
{
    struct layout *l = layout_fixed(LAYOUT_LINE, "line", &shape_line_type, 64, 2);
    l->head[0] = 0x1c;
    l->head_words = 5;
    l = layout_fixed(LAYOUT_PLAIN_LINE, "plain_line", &shape_plain_line_type, 128, 1);
    l->head_words = 8;
    l = layout_fixed(LAYOUT_PAGE, "page", &shape_page_type, 4096, 0);
    l->head[0] = 4;
    l->head_words = 3;
}

static void layouts_arrays(void)
{
    layout_array(LAYOUT_REFS, "references", &gc_pointer_type, 2, 12);
    layouts[LAYOUT_REFS].elem[0] = 1;
    bool formatted = sizeof(void *) == sizeof(uint64_t);
    layout_array(LAYOUT_WORDS, "words", formatted ? &gc_word_type : &gc_pointer_type, 2, 6);
    layouts[LAYOUT_WORDS].elem[0] = 1;
    layout_array(LAYOUT_TRIPLES, "triples", &shape_triple_type, 1, 4);
    layouts[LAYOUT_TRIPLES].elem[0] = 6;
}

static void layouts_flexible(void)
{
    struct layout *l = layout_fixed(LAYOUT_FLEX, "flex", &shape_head_type, 8, 6);
    l->how = SHAPE_FLEX;
    l->element = &shape_triple_type;
    l->head[0] = 4;
    l->elem[0] = 6;
    l->elem_words = 3;
    l = layout_fixed(LAYOUT_FLEX_BYTES, "flex_bytes", &shape_head_type, 8, 4);
    l->how = SHAPE_FLEX;
    l->element = &shape_byte_type;
    l->head[0] = 4;
    l->elem_bytes = 1;
}

static void layouts_of_bytes(void)
{
    struct layout *l = &layouts[LAYOUT_BYTES];
    *l = (struct layout){.name = "bytes", .how = SHAPE_BYTES, .align = 8, .elem_bytes = 1};
    l->head_words = 2;
    l->weight = 8;
    layouts[LAYOUT_RAW] = *l;
    layouts[LAYOUT_RAW].name = "raw";
    layouts[LAYOUT_RAW].how = SHAPE_RAW;
}

static void layouts_unstamped(void)
{
    struct layout *l = &layouts[LAYOUT_BOX];
    *l = (struct layout){.name = "box", .how = SHAPE_NEW, .type = &gc_pointer_type, .align = 8};
    l->head_words = 1;
    l->head[0] = 1;
    l->unstamped = true;
    l->weight = 3;
    l = &layouts[LAYOUT_TINY];
    *l = (struct layout){.name = "tiny", .how = SHAPE_BYTES, .align = 1, .elem_bytes = 1};
    l->unstamped = true;
    l->weight = 5;
}

void layouts_init(uint64_t seed)
{
    layouts_of_types();
    layouts_aligned();
    layouts_arrays();
    layouts_flexible();
    layouts_of_bytes();
    layouts_unstamped();
    layout_program(LAYOUT_PROGRAM, "program", 30, 2);
    layout_program(LAYOUT_PROGRAM_LARGE, "program_large", 30000, 0);
    layouts_traced();
    for (int i = LAYOUT_FIRST_MADE; i < LAYOUTS; i++)
        layout_random(i, &seed);
    for (int i = 0; i < LAYOUTS; i++)
        layout_finish(&layouts[i]);
}
