#include "allocator/malloc.h"
#include "memory/tagged.h"

const uint64_t malloc_zero_object;

static bool is_used_up(const struct gc_run *run)
{
    return run->cursor == run->limit;
}

static void *take_cell(struct gc_run *run)
{
    uintptr_t p = run->cursor;
    word_store_relaxed(&run->cursor, p + run->size); /* other threads read it: mcache_keeps */
    return (void *)p;
}

/* Takes a cell of a run, which is refilled when it is used up. */
static void *from_run(struct mcache *c, unsigned index, unsigned spanclass,
                      const struct cell_bits *bits)
{
    struct gc_run *run = &c->runs[index];
    if (is_used_up(run) && !mcache_refill(c, index, spanclass, bits))
        return NULL;
    return take_cell(run);
}

/* ---- Small objects ---- */

static void *small_noscan(struct mcache *c, unsigned sizeclass)
{
    return from_run(c, RUN_NOSCAN + sizeclass, spanclass_make(sizeclass, true), NULL);
}

static void *small_raw(struct mcache *c, unsigned sizeclass)
{
    return from_run(c, RUN_RAW + sizeclass, spanclass_make(sizeclass, true), NULL);
}

/* Takes a cell. The caller writes its heap bits and, if it is traced, its trace header. */
static void *small_variable(struct mcache *c, unsigned sizeclass, bool traced)
{
    return traced ? from_run(c, RUN_TRACED + sizeclass, spanclass_make_traced(sizeclass), NULL)
                  : from_run(c, RUN_VARIABLE + sizeclass, spanclass_make(sizeclass, false), NULL);
}

/* I30: the heap bits are those of the shape, whatever the object's size within the class is. */
static bool refill_shape(struct mcache *c, const struct cell_shape *shape, unsigned sizeclass)
{
    unsigned words = sizeclass_table[sizeclass].words;
    struct cell_bits bits = {.mask = shape->mask, .ptr_words = words, .fill = shape->fill};
    if (words <= WORD_BITS)
        heapbits_pattern(bits.pattern, shape->mask[0], words);
    return mcache_refill(c, shape->runs + sizeclass, spanclass_make(sizeclass, false), &bits);
}

static void *small_shape(struct mcache *c, const struct cell_shape *shape, unsigned sizeclass)
{
    struct gc_run *run = &c->runs[shape->runs + sizeclass];
    return is_used_up(run) && !refill_shape(c, shape, sizeclass) ? NULL : take_cell(run);
}

/* ---- Large objects ---- */

static void *finish_large(struct mcache *c, struct gc_span *s)
{
    struct arena *a = s->arena;
    stress(STRESS_LARGE);
    s->live = 1;
    size_t bit = arena_bit(s->base);
    if (c->black) {
        word_fetch_or_relaxed(&a->mark[bit / WORD_BITS], (word)1 << bit % WORD_BITS);
        span_note_mark(s);
    }
    word_store_release(&a->alloc[bit / WORD_BITS], (word)1 << bit % WORD_BITS); /* I15 */
    c->unreported += span_bytes(s);
    mcentral_file_swept(c->heap, s, c->sweepgen);
    return (void *)s->base;
}

/* *unzeroed: how many bytes, from the span's base on, may not be zero. */
static struct gc_span *large_span(struct mcache *c, size_t size, unsigned spanclass,
                                  size_t *unzeroed)
{
    bool zeroed;
    struct gc_span *s = mcache_alloc_large(c, divide_up(size, PAGE_SIZE), spanclass, &zeroed);
    *unzeroed = s && !zeroed ? span_bytes(s) : 0;
    return s;
}

static void *large_noscan(struct mcache *c, size_t size)
{
    size_t unzeroed;
    struct gc_span *s = large_span(c, size, spanclass_make(0, true), &unzeroed);
    if (!s)
        return NULL;
    if (unzeroed > MALLOC_ZERO_PIECE)
        c->unzeroed = unzeroed;
    else
        memset((void *)s->base, 0, unzeroed);
    return finish_large(c, s);
}

/* ---- Objects with heap bits of their own ---- */

/* What one object is made of; its heap bits are written from this. */
struct layout {
    size_t size; /* without the trace header, with the spare byte */
    unsigned align;
    struct type_info *head;    /* NULL: an array */
    struct type_info *element; /* NULL: no tail */
    size_t n;                  /* number of elements */
    size_t tail;               /* offset of the elements */
};

/* The type of elements that have tagged words, else NULL. */
static const gc_type *tagged_element(const struct layout *l)
{
    return l->element ? l->element->bits.traced : NULL;
}

static bool carries_types(const struct layout *l)
{
    return tagged_element(l) || (l->head && l->head->bits.traced);
}

/* How many words behind a small object say of which types it is; see tagged.h. */
static unsigned header_words(const struct layout *l)
{
    return 0u + carries_types(l) + (l->head && tagged_element(l));
}

static void write_header(const struct layout *l, word *end)
{
    const gc_type *element = tagged_element(l);
    word kind = !element ? 0 : l->head ? HEADER_FLEX : HEADER_ARRAY;
    if (kind == HEADER_FLEX)
        word_store_relaxed(&end[-2], (word)element);
    word_store_release(&end[-1], kind + (word)(l->head ? l->head->type : l->element->type));
}

static void write_layout(const struct layout *l, struct heapbits_sink *sink)
{
    if (l->head)
        type_write_bits(&l->head->bits, sink);
    if (l->element && !l->element->noscan && l->n > 0) {
        heapbits_emit_zeros(sink, (l->tail - (sink->at - sink->start)) >> WORD_SHIFT);
        type_write_array(l->element, sink, l->n);
    }
}

/* The object's heap bits are written. */
static void fill_object(struct mcache *c, const struct layout *l, uintptr_t object, uintptr_t end)
{
    struct cell_fill fill = type_fill(l->head, l->element);
    if (UNLIKELY(!cell_fill_is_zero(&fill)))
        mcache_fill(c, &fill, object, end);
}

/* How many bytes of the object need not be zeroed, as they are filled. */
static size_t filled_bytes(const struct layout *l)
{
    const struct cell_shape *shape = l->head ? NULL : type_array_shape(l->element);
    return shape && shape->fill.all ? l->n * l->element->type->size : 0;
}

static void *large_scan(struct mcache *c, const struct layout *l)
{
    unsigned spanclass = carries_types(l) ? spanclass_make_traced(0) : spanclass_make(0, false);
    size_t unzeroed;
    struct gc_span *s = large_span(c, l->size, spanclass, &unzeroed);
    if (!s)
        return NULL;
    size_t filled = unzeroed ? filled_bytes(l) : 0;
    memset((void *)(s->base + filled), 0, unzeroed - filled);
    struct heapbits_sink sink;
    heapbits_begin(&sink, &c->heap->arenas, s->base);
    write_layout(l, &sink);
    s->scan_limit = heapbits_end(&sink);
    s->large_type = l->head ? l->head->type : l->element->type;
    s->large_element = tagged_element(l);
    fill_object(c, l, s->base, s->scan_limit);
    return finish_large(c, s);
}

static const struct cell_shape *shape_of(const struct layout *l, unsigned sizeclass)
{
    if (!l->element || sizeclass >= RUN_INLINE_CLASSES)
        return NULL;
    return l->head ? type_tail_shape(l->head, l->element) : type_array_shape(l->element);
}

static void *small_scan(struct mcache *c, const struct layout *l, unsigned sizeclass)
{
    bool carries = carries_types(l);
    size_t words = sizeclass_table[sizeclass].words;
    const struct cell_shape *shape = shape_of(l, sizeclass);
    if (shape)
        return small_shape(c, shape, sizeclass);
    word *p = small_variable(c, sizeclass, carries);
    if (!p)
        return NULL;
    struct heapbits_sink sink;
    heapbits_begin(&sink, &c->heap->arenas, (uintptr_t)p);
    write_layout(l, &sink);
    heapbits_emit_zeros(&sink, words - ((sink.at - sink.start) >> WORD_SHIFT));
    heapbits_end(&sink);
    fill_object(c, l, (uintptr_t)p, (uintptr_t)(p + words));
    if (carries)
        write_header(l, p + words);
    return p;
}

static unsigned class_of_layout(const struct layout *l)
{
    size_t header = header_words(l) * WORD_SIZE;
    return sizeclass_of_aligned(align_up(l->size, WORD_SIZE) + header, l->align);
}

static void *scan(struct mcache *c, const struct layout *l)
{
    unsigned sizeclass = class_of_layout(l);
    return sizeclass ? small_scan(c, l, sizeclass) : large_scan(c, l);
}

static void *noscan_aligned(struct mcache *c, size_t size, unsigned align)
{
    unsigned sizeclass = sizeclass_of_aligned(size, align);
    return sizeclass ? small_noscan(c, sizeclass) : large_noscan(c, size);
}

/* The next one may come from the inline path. */
static void *flex_noscan(struct mcache *c, const struct layout *l)
{
    type_tail_shape(l->head, l->element);
    return noscan_aligned(c, l->size, l->align);
}

/* ---- The calls ---- */

void *malloc_typed(struct mcache *c, struct type_info *info)
{
    unsigned index = u32_load_relaxed(&info->type->run);
    if (index)
        return from_run(c, index, info->spanclass, info->noscan ? NULL : &info->bits);
    if (info->size == 0)
        return (void *)(uintptr_t)&malloc_zero_object;
    if (info->noscan)
        return noscan_aligned(c, info->size, info->align);
    struct layout l = {info->type->size + info->spare, info->align, info, NULL, 0, 0};
    return scan(c, &l);
}

void *malloc_bytes(struct mcache *c, size_t size)
{
    return noscan_aligned(c, size, 1);
}

void *malloc_bytes_raw(struct mcache *c, size_t size)
{
    if (size <= SIZECLASS_MAX_SIZE)
        return small_raw(c, sizeclass_of(size));
    size_t unzeroed;
    struct gc_span *s = large_span(c, size, spanclass_make(0, true), &unzeroed);
    return s ? finish_large(c, s) : NULL;
}

static struct layout array_layout(struct type_info *info, size_t n)
{
    return (struct layout){info->type->size * n + info->spare, info->align, NULL, info, n, 0};
}

void *malloc_array(struct mcache *c, struct type_info *info, size_t n)
{
    struct layout l = array_layout(info, n);
    return info->noscan ? noscan_aligned(c, l.size, l.align) : scan(c, &l);
}

struct array_cell malloc_array_cell(struct type_info *info, size_t n)
{
    struct layout l = array_layout(info, n);
    unsigned sizeclass = class_of_layout(&l);
    size_t bytes = sizeclass ? sizeclass_table[sizeclass].size : align_up(l.size, PAGE_SIZE);
    size_t taken = info->spare + (sizeclass ? header_words(&l) * WORD_SIZE : 0);
    return (struct array_cell){bytes, (bytes - taken) / info->type->size};
}

void *malloc_flex(struct mcache *c, struct type_info *head, struct type_info *element, size_t n)
{
    size_t tail = type_tail_offset(head, element);
    size_t size = tail + element->type->size * n + (head->spare | element->spare);
    struct layout l = {size, MAX_OF(head->align, element->align), head, element, n, tail};
    return head->noscan && element->noscan ? flex_noscan(c, &l) : scan(c, &l);
}
