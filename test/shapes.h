/* Objects of many shapes for tests of the collector. Each carries a stamp in its first two words:
 * an id, and a check of that id; its other words without references are filled from the id. So an
 * object that was swept while it was wanted, or written to by somebody else, shows.
 *
 * A layout says where the references of a shape stand: `head` words, then elements at a fixed
 * distance. The numbers of an object's slots run through the head first, then through the elements.
 */
#ifndef SHAPES_H
#define SHAPES_H

#include "gcheap.h"
#include "random.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Words ---- */

typedef uint64_t __attribute__((may_alias)) shape_word;

/* Ids stay below 2^36, where no arena lies: they may stand in a slot and are no reference. */
static inline uint64_t shape_check_of(uint64_t id)
{
    return (id * 0x9e3779b97f4a7c15u >> 34) | 1;
}
static inline uint64_t shape_fill(uint64_t id, size_t i)
{
    uint64_t state = id ^ (uint64_t)i << 40;
    return random_next(&state);
}

/* ---- Layouts ---- */

enum shape_how { SHAPE_NEW, SHAPE_ARRAY, SHAPE_FLEX, SHAPE_BYTES, SHAPE_RAW };
#define SHAPE_WORDS 256 /* of a head or an element */

struct layout {
    const char *name;
    enum shape_how how;
    gc_type *type, *element; /* element: for flexible objects */
    size_t align;
    size_t head_words; /* what stands before the elements, the stamp included */
    size_t elem_words; /* distance of two elements; 0: no elements with references */
    size_t elem_bytes; /* BYTES, RAW, or flexible objects that end in bytes: 1 */
    size_t fixed;      /* elements that every object has (NEW) */
    uint64_t head[SHAPE_WORDS / 64], elem[SHAPE_WORDS / 64]; /* where the references are */
    bool external;   /* its slots are outside the heap: see shape_trace_external */
    bool unstamped;  /* no room for a stamp */
    bool small_slot; /* slot 0 may refer to unstamped objects, and to no others */
    unsigned weight;
    /* Computed. */
    unsigned nhead, nelem, nhead_data, nelem_data;
    uint16_t head_slots[SHAPE_WORDS], elem_slots[SHAPE_WORDS];
    uint16_t head_data[SHAPE_WORDS], elem_data[SHAPE_WORDS];
};

static inline bool shape_bit(const uint64_t *mask, size_t i)
{
    return mask[i / 64] >> i % 64 & 1;
}

static inline void layout_finish(struct layout *l)
{
    l->nhead = l->nelem = l->nhead_data = l->nelem_data = 0;
    for (size_t i = 0; i < l->head_words; i++) {
        if (shape_bit(l->head, i))
            l->head_slots[l->nhead++] = (uint16_t)i;
        else if (i >= 2)
            l->head_data[l->nhead_data++] = (uint16_t)i;
    }
    for (size_t i = 0; i < l->elem_words; i++) {
        if (shape_bit(l->elem, i))
            l->elem_slots[l->nelem++] = (uint16_t)i;
        else
            l->elem_data[l->nelem_data++] = (uint16_t)i;
    }
}

/* An object's place in memory, as the test knows it. */
struct shape {
    const struct layout *layout;
    size_t n;    /* elements behind the head */
    size_t size; /* bytes asked for */
    shape_word *external;
};

static inline size_t shape_slots(const struct shape *s)
{
    return s->layout->external ? s->n : s->layout->nhead + s->layout->nelem * s->n;
}

/* Whether the collector looks for references in it. */
static inline bool shape_is_scanned(const struct shape *s)
{
    return s->layout->external || s->layout->nhead + s->layout->nelem > 0;
}

static inline shape_word *shape_slot(const struct shape *s, void *object, size_t i)
{
    const struct layout *l = s->layout;
    if (l->external)
        return &s->external[i];
    if (i < l->nhead)
        return (shape_word *)object + l->head_slots[i];
    i -= l->nhead;
    return (shape_word *)object + l->head_words + i / l->nelem * l->elem_words +
           l->elem_slots[i % l->nelem];
}

/* Array elements that the stamp occupies. */
static inline size_t layout_stamp_elements(const struct layout *l)
{
    return l->how == SHAPE_ARRAY ? l->head_words / l->elem_words : 0;
}

static inline struct shape shape_make(const struct layout *l, size_t n)
{
    struct shape s = {l, l->how == SHAPE_NEW ? l->fixed : n, 0, NULL};
    if (l->elem_bytes)
        s.size = l->head_words * 8 + n;
    else
        s.size = (l->head_words + l->elem_words * s.n) * 8;
    if (l->external)
        s.n = n;
    return s;
}

/* Allocates an object; NULL as the library says. */
static inline void *shape_allocate(const struct shape *s)
{
    const struct layout *l = s->layout;
    switch (l->how) {
    case SHAPE_NEW:
        return gc_new(l->type);
    case SHAPE_ARRAY:
        return gc_new_array(l->type, s->n + layout_stamp_elements(l));
    case SHAPE_FLEX:
        return gc_new_flex(l->type, l->element, s->n);
    case SHAPE_BYTES:
        return gc_new_bytes(s->size);
    case SHAPE_RAW:
        return gc_new_bytes_raw(s->size);
    }
    return NULL;
}

/* Words of the data of big objects that are looked at. */
#define SHAPE_SAMPLES 128

static inline size_t sample_step(size_t n)
{
    return n / SHAPE_SAMPLES + 1;
}

/* Where the nth data word of the elements is. */
static inline shape_word *shape_elem_data(const struct shape *s, void *object, size_t i)
{
    const struct layout *l = s->layout;
    return (shape_word *)object + l->head_words + i / l->nelem_data * l->elem_words +
           l->elem_data[i % l->nelem_data];
}

static inline size_t shape_bytes(const struct shape *s)
{
    return s->layout->elem_bytes ? s->n : 0;
}

/* Whether fresh memory is aligned, and zero if it is to be; NULL, or what is wrong. */
static inline const char *shape_check_fresh(const struct shape *s, const void *object)
{
    const unsigned char *bytes = object;
    size_t step = s->size > 4096 ? 61 : 1;
    if ((uintptr_t)object % s->layout->align)
        return "is not aligned";
    if (s->layout->how == SHAPE_RAW)
        return NULL;
    for (size_t i = 0; i < s->size; i += step) {
        if (bytes[i])
            return "is not zero when fresh";
    }
    if (s->size && bytes[s->size - 1])
        return "does not end in zero when fresh";
    return NULL;
}

static inline void shape_write(const struct shape *s, void *object, uint64_t id)
{
    const struct layout *l = s->layout;
    shape_word *words = object;
    unsigned char *bytes = (unsigned char *)object + l->head_words * 8;
    if (!l->unstamped) {
        words[0] = id;
        words[1] = shape_check_of(id);
    }
    for (unsigned i = l->external ? 2 : 0; i < l->nhead_data; i++)
        words[l->head_data[i]] = shape_fill(id, l->head_data[i]);
    if (l->external) {
        words[3] = (uint64_t)(uintptr_t)s->external;
        __atomic_store_n(&words[2], s->n, __ATOMIC_RELEASE);
    }
    for (size_t i = 0, n = l->nelem_data * s->n; i < n; i += sample_step(n))
        *shape_elem_data(s, object, i) = shape_fill(id, i + SHAPE_WORDS);
    for (size_t i = 0, n = shape_bytes(s); i < n; i += sample_step(n))
        bytes[i] = (unsigned char)shape_fill(id, i + SHAPE_WORDS);
}

/* NULL, or what is wrong with it. */
static inline const char *shape_check(const struct shape *s, void *object, uint64_t id)
{
    const struct layout *l = s->layout;
    shape_word *words = object;
    const unsigned char *bytes = (unsigned char *)object + l->head_words * 8;
    if (!l->unstamped && (words[0] != id || words[1] != shape_check_of(id)))
        return "lost its stamp";
    if (l->external && (words[2] != s->n || words[3] != (uint64_t)(uintptr_t)s->external))
        return "lost its outer slots";
    for (unsigned i = l->external ? 2 : 0; i < l->nhead_data; i++) {
        if (words[l->head_data[i]] != shape_fill(id, l->head_data[i]))
            return "has a wrong word in its head";
    }
    for (size_t i = 0, n = l->nelem_data * s->n; i < n; i += sample_step(n)) {
        if (*shape_elem_data(s, object, i) != shape_fill(id, i + SHAPE_WORDS))
            return "has a wrong word in its elements";
    }
    for (size_t i = 0, n = shape_bytes(s); i < n; i += sample_step(n)) {
        if (bytes[i] != (unsigned char)shape_fill(id, i + SHAPE_WORDS))
            return "has a wrong byte";
    }
    return NULL;
}

/* ---- The static types ---- */

struct shape_pair {
    uint64_t id, check;
    void *a, *b;
};
static GC_TYPE(shape_pair_type, struct shape_pair, a, b);

struct shape_mixed {
    uint64_t id, check;
    void *a;
    double x;
    void *b, *c;
    uint64_t y[3];
    void *d;
    char text[13];
};
static GC_TYPE(shape_mixed_type, struct shape_mixed, a, b, c, d);

struct shape_wide {
    uint64_t id, check;
    void *first[5];
    uint64_t x[70];
    void *middle[3];
    uint64_t y[30];
    void *last;
};
static GC_TYPE(shape_wide_type, struct shape_wide, first[0], first[1], first[2], first[3], first[4],
               middle[0], middle[1], middle[2], last);

struct shape_triple {
    uint64_t x;
    void *a, *b;
};
static GC_TYPE(shape_triple_type, struct shape_triple, a, b);

struct shape_head {
    uint64_t id, check;
    void *a;
};
static GC_TYPE(shape_head_type, struct shape_head, a);
static GC_TYPE_NOPTR(shape_byte_type, unsigned char);

struct shape_line {
    alignas(64) uint64_t id;
    uint64_t check;
    void *a, *b, *c;
};
static GC_TYPE(shape_line_type, struct shape_line, a, b, c);

struct shape_plain_line {
    alignas(128) uint64_t id;
    uint64_t check, x[6];
};
static GC_TYPE_NOPTR(shape_plain_line_type, struct shape_plain_line);

struct shape_page {
    alignas(4096) uint64_t id;
    uint64_t check;
    void *a;
};
static GC_TYPE(shape_page_type, struct shape_page, a);

/* Types whose references only code can find. */
#define TRACED_MASKED 4 /* the first slot; the mask has the next ones up to TRACED_HIDDEN */
#define TRACED_HIDDEN 12
#define TRACED_WORDS 24
#define TRACED_LARGE 6000 /* slots */
static inline void shape_trace_hidden(void *object, gc_tracer *tracer)
{
    gc_trace_slots(tracer, (shape_word *)object + TRACED_HIDDEN, TRACED_WORDS - TRACED_HIDDEN);
}
static inline void shape_trace_large(void *object, gc_tracer *tracer)
{
    const shape_word *words = object;
    for (size_t i = 0; i < TRACED_LARGE; i++)
        gc_trace_slot(tracer, &words[2 + i]);
}
/* Word 3: where the slots are; word 2: how many, written last. */
static inline void shape_trace_external(void *object, gc_tracer *tracer)
{
    const shape_word *words = object;
    size_t n = __atomic_load_n(&words[2], __ATOMIC_ACQUIRE);
    if (n)
        gc_trace_slots(tracer, (const void *)(uintptr_t)words[3], n);
}

/* ---- The layouts ---- */

enum {
    LAYOUT_PAIR,
    LAYOUT_MIXED,
    LAYOUT_WIDE,
    LAYOUT_REFS,
    LAYOUT_WORDS,
    LAYOUT_TRIPLES,
    LAYOUT_FLEX,
    LAYOUT_FLEX_BYTES,
    LAYOUT_BYTES,
    LAYOUT_RAW,
    LAYOUT_LINE,
    LAYOUT_PLAIN_LINE,
    LAYOUT_PAGE,
    LAYOUT_PROGRAM,
    LAYOUT_PROGRAM_LARGE,
    LAYOUT_TRACED,
    LAYOUT_TRACED_LARGE,
    LAYOUT_TRACED_EXTERNAL,
    LAYOUT_BOX,       /* unstamped: one reference */
    LAYOUT_TINY,      /* unstamped: 1…15 bytes */
    LAYOUT_HOLDER,    /* its slot 0 is for unstamped ones */
    LAYOUT_FIRST_MADE /* made at run time */
};
#define LAYOUTS_MADE 60
#define LAYOUTS (LAYOUT_FIRST_MADE + LAYOUTS_MADE)
static struct layout layouts[LAYOUTS];

static inline void mask_set(uint64_t *mask, size_t i)
{
    mask[i / 64] |= (uint64_t)1 << i % 64;
}
#define MASK_FIELD(mask, T, field) mask_set(mask, offsetof(T, field) / 8)

static inline struct layout *layout_fixed(int which, const char *name, gc_type *type, size_t align,
                                          unsigned weight)
{
    struct layout *l = &layouts[which];
    *l = (struct layout){.name = name, .how = SHAPE_NEW, .type = type, .align = align};
    l->head_words = type->size / 8;
    l->weight = weight;
    return l;
}

static inline gc_type *shape_must(gc_type *type, const char *name)
{
    if (!type) {
        fprintf(stderr, "gc_type_create(%s): %s\n", name, gc_type_error());
        abort();
    }
    return type;
}

/* Two words without references, then `reps` times (x, ref, ref, x, ref), built by nested repetition
 * where reps is even. */
static inline gc_type *program_type(const char *name, size_t reps)
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
                                .size = (2 + 5 * reps) * 8,
                                .ptrdata = (2 + 5 * reps) * 8,
                                .program = bytes,
                                .program_size = prog.size};
    return shape_must(gc_type_create(&spec), name);
}

static inline void layout_program(int which, const char *name, size_t reps, unsigned weight)
{
    struct layout *l = layout_fixed(which, name, program_type(name, reps), 8, weight);
    l->head_words = 2;
    l->elem_words = 5;
    l->fixed = reps;
    l->elem[0] = 0x16;
}

static inline gc_type *traced_type(const char *name, size_t words, uint64_t mask, gc_trace_fn trace)
{
    struct gc_type_spec spec = {.name = name, .size = words * 8, .trace = trace};
    spec.mask = &mask;
    spec.mask_bits = words < 64 ? words : 64;
    return shape_must(gc_type_create(&spec), name);
}

static inline void layouts_traced(void)
{
    struct layout *l;
    uint64_t masked = (1u << TRACED_HIDDEN) - (1u << TRACED_MASKED);
    gc_type *type = traced_type("traced", TRACED_WORDS, masked, shape_trace_hidden);
    l = layout_fixed(LAYOUT_TRACED, "traced", type, 8, 3);
    for (size_t i = TRACED_MASKED; i < TRACED_WORDS; i++)
        mask_set(l->head, i);
    type = traced_type("traced_large", TRACED_LARGE + 2, 0, shape_trace_large);
    l = layout_fixed(LAYOUT_TRACED_LARGE, "traced_large", type, 8, 0);
    l->head_words = 2;
    l->elem_words = 1;
    l->fixed = TRACED_LARGE;
    l->elem[0] = 1;
    type = traced_type("traced_external", 5, 0, shape_trace_external);
    l = layout_fixed(LAYOUT_TRACED_EXTERNAL, "traced_external", type, 8, 2);
    l->external = true;
}

static inline void layout_array(int which, const char *name, gc_type *type, size_t stamp,
                                unsigned weight)
{
    struct layout *l = &layouts[which];
    *l = (struct layout){.name = name, .how = SHAPE_ARRAY, .type = type, .align = 8};
    l->elem_words = type->size / 8;
    l->head_words = stamp * l->elem_words;
    l->weight = weight;
}

/* A type of 3…70 words with random references. */
static inline void layout_random(int which, uint64_t *random)
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
        .name = names[which], .size = words * 8, .mask = mask, .mask_bits = words};
    gc_type *type = shape_must(gc_type_create(&spec), spec.name);
    struct layout *l = layout_fixed(which, names[which], type, 8, 1);
    memcpy(l->head, mask, sizeof mask);
}

static inline void layouts_init(uint64_t seed)
{
    struct layout *l;
    l = layout_fixed(LAYOUT_PAIR, "pair", &shape_pair_type, 8, 30);
    l->head[0] = 0xc;
    l = layout_fixed(LAYOUT_MIXED, "mixed", &shape_mixed_type, 8, 10);
    l->head_words = 10; /* the text behind is not looked at */
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
    layout_array(LAYOUT_REFS, "references", &gc_pointer_type, 2, 12);
    layouts[LAYOUT_REFS].elem[0] = 1;
    layout_array(LAYOUT_WORDS, "words", &gc_word_type, 2, 6);
    layouts[LAYOUT_WORDS].elem[0] = 1;
    layout_array(LAYOUT_TRIPLES, "triples", &shape_triple_type, 1, 4);
    layouts[LAYOUT_TRIPLES].elem[0] = 6;
    l = layout_fixed(LAYOUT_FLEX, "flex", &shape_head_type, 8, 6);
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
    layouts[LAYOUT_BYTES] = (struct layout){.name = "bytes", .how = SHAPE_BYTES, .align = 8};
    layouts[LAYOUT_BYTES].head_words = 2;
    layouts[LAYOUT_BYTES].elem_bytes = 1;
    layouts[LAYOUT_BYTES].weight = 8;
    layouts[LAYOUT_RAW] = layouts[LAYOUT_BYTES];
    layouts[LAYOUT_RAW].name = "raw";
    layouts[LAYOUT_RAW].how = SHAPE_RAW;
    l = layout_fixed(LAYOUT_LINE, "line", &shape_line_type, 64, 2);
    l->head[0] = 0x1c;
    l->head_words = 5;
    l = layout_fixed(LAYOUT_PLAIN_LINE, "plain_line", &shape_plain_line_type, 128, 1);
    l->head_words = 8;
    l = layout_fixed(LAYOUT_PAGE, "page", &shape_page_type, 4096, 0);
    l->head[0] = 4;
    l->head_words = 3;
    layout_program(LAYOUT_PROGRAM, "program", 30, 2);
    layout_program(LAYOUT_PROGRAM_LARGE, "program_large", 30000, 0);
    layouts_traced();
    l = &layouts[LAYOUT_BOX];
    *l = (struct layout){.name = "box", .how = SHAPE_NEW, .type = &gc_pointer_type, .align = 8};
    l->head_words = 1;
    l->head[0] = 1;
    l->unstamped = true;
    l->weight = 3;
    l = &layouts[LAYOUT_TINY];
    *l = (struct layout){.name = "tiny", .how = SHAPE_BYTES, .align = 1, .elem_bytes = 1};
    l->unstamped = true;
    l->weight = 5;
    l = layout_fixed(LAYOUT_HOLDER, "holder", &shape_pair_type, 8, 8);
    l->head[0] = 0xc;
    l->small_slot = true;
    for (int i = LAYOUT_FIRST_MADE; i < LAYOUTS; i++)
        layout_random(i, &seed);
    for (int i = 0; i < LAYOUTS; i++)
        layout_finish(&layouts[i]);
}

#endif
