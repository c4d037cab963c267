/* Where the references, the stamp and the other words of an object stand. */
#include "layout.h"
#include "shapes.h"

static shape_word shape_fill(uint64_t id, size_t i)
{
    uint64_t state = id ^ (uint64_t)i << 40;
    return shape_plain(random_next(&state));
}

static bool shape_bit(const uint64_t *mask, size_t i)
{
    return mask[i / 64] >> i % 64 & 1;
}

void layout_finish(struct layout *l)
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

size_t shape_slots(const struct shape *s)
{
    return s->layout->external ? s->n : s->layout->nhead + s->layout->nelem * s->n;
}

bool shape_is_scanned(const struct shape *s)
{
    return s->layout->external || s->layout->nhead + s->layout->nelem > 0;
}

shape_word *shape_slot(const struct shape *s, void *object, size_t i)
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
static size_t layout_stamp_elements(const struct layout *l)
{
    return l->how == SHAPE_ARRAY ? l->head_words / l->elem_words : 0;
}

struct shape shape_make(const struct layout *l, size_t n)
{
    struct shape s = {l, l->how == SHAPE_NEW ? l->fixed : n, 0, NULL};
    if (l->elem_bytes)
        s.size = l->head_words * SHAPE_WORD + n;
    else
        s.size = (l->head_words + l->elem_words * s.n) * SHAPE_WORD;
    if (l->external)
        s.n = n;
    return s;
}

void *shape_allocate(const struct shape *s)
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

static size_t sample_step(size_t n)
{
    return n / SHAPE_SAMPLES + 1;
}

/* Where the nth data word of the elements is. */
static shape_word *shape_elem_data(const struct shape *s, void *object, size_t i)
{
    const struct layout *l = s->layout;
    return (shape_word *)object + l->head_words + i / l->nelem_data * l->elem_words +
           l->elem_data[i % l->nelem_data];
}

static size_t shape_bytes(const struct shape *s)
{
    return s->layout->elem_bytes ? s->n : 0;
}

const char *shape_check_fresh(const struct shape *s, const void *object)
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

void shape_write(const struct shape *s, void *object, uint64_t id)
{
    const struct layout *l = s->layout;
    shape_word *words = object;
    unsigned char *bytes = (unsigned char *)object + l->head_words * SHAPE_WORD;
    if (!l->unstamped) {
        words[0] = (shape_word)id;
        words[1] = shape_check_of(id);
    }
    for (unsigned i = l->external ? 2 : 0; i < l->nhead_data; i++)
        words[l->head_data[i]] = shape_fill(id, l->head_data[i]);
    if (l->external) {
        words[3] = (uintptr_t)s->external;
        __atomic_store_n(&words[2], s->n, __ATOMIC_RELEASE);
    }
    for (size_t i = 0, n = l->nelem_data * s->n; i < n; i += sample_step(n))
        *shape_elem_data(s, object, i) = shape_fill(id, i + SHAPE_WORDS);
    for (size_t i = 0, n = shape_bytes(s); i < n; i += sample_step(n))
        bytes[i] = (unsigned char)shape_fill(id, i + SHAPE_WORDS);
}

const char *shape_check(const struct shape *s, void *object, uint64_t id)
{
    const struct layout *l = s->layout;
    shape_word *words = object;
    const unsigned char *bytes = (unsigned char *)object + l->head_words * SHAPE_WORD;
    if (!l->unstamped && (words[0] != id || words[1] != shape_check_of(id)))
        return "lost its stamp";
    if (l->external && (words[2] != s->n || words[3] != (uintptr_t)s->external))
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
