#include "memory/type.h"
#include "base/lock.h"
#include "base/stress.h"
#include <errno.h>

_Static_assert(GC_ALIGN_MAX <= PAGE_SIZE, "spans begin at pages");
_Static_assert(GC_ALIGN_MAX == 8192, "what refusals of an alignment say");
#define NOT_RELEASED UINT64_MAX

static struct {
    struct lock lock;                        /* of all of this, of shapes, and of run indexes */
    word last_id;                            /* the newest type's */
    struct type_info *heads;                 /* types that have tails */
    uint64_t clock;                          /* heaps made so far */
    struct type_user *oldest, **newest_link; /* heaps alive, in the order in which they were made */
    struct type_info *released, **last_released; /* released types, in the order of their release */
} registry = {.lock = LOCK_INIT(LOCK_TYPES),
              .newest_link = &registry.oldest,
              .last_released = &registry.released};

static GC_TLS const char *last_error = "no error";

const char *type_error(void)
{
    return last_error;
}

bool type_refuse(const char *why)
{
    last_error = why;
    errno = EINVAL;
    return false;
}

/* ---- Extents: how many words a mask or a program describes ---- */

struct extent {
    size_t bits; /* words that it describes */
    size_t last; /* words up to the last reference */
};

static void extent_add_mask(struct extent *extent, word bits, size_t n)
{
    bits &= bits_mask(0, n);
    if (bits)
        extent->last = extent->bits + WORD_BITS - bits_leading_zeros(bits);
    extent->bits += n;
}

static bool extent_repeat(struct extent *extent, size_t n, size_t count, size_t limit)
{
    size_t total;
    if (n == 0 || n > extent->bits)
        return type_refuse("GC program repeats more bits than it has made");
    if (__builtin_mul_overflow(n, count, &total) || total > limit - extent->bits)
        return type_refuse("GC program writes past the size");
    if (extent->last > extent->bits - n && count > 0)
        extent->last += total;
    extent->bits += total;
    return true;
}

/* Reads GC programs op by op. `left` counts the bytes that may still be read. */
struct prog_reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static unsigned prog_byte(struct prog_reader *r)
{
    if (r->left == 0) {
        r->bad = true;
        return 0;
    }
    r->left--;
    return *r->at++;
}

static size_t prog_varint(struct prog_reader *r)
{
    size_t n = 0;
    for (unsigned shift = 0; shift < 8 * sizeof n; shift += 7) {
        unsigned byte = prog_byte(r);
        n |= (size_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return n;
    }
    r->bad = true;
    return 0;
}

struct prog_op {
    enum { PROG_STOP, PROG_EMIT, PROG_REPEAT } what;
    size_t n, count;
    const uint8_t *bits; /* PROG_EMIT */
};

static struct prog_op prog_next(struct prog_reader *r)
{
    unsigned byte = prog_byte(r);
    struct prog_op op = {PROG_STOP, byte & 0x7f, 0, NULL};
    if (byte == 0)
        return op;
    if (!(byte & 0x80)) {
        op.what = PROG_EMIT;
        op.bits = r->at;
        for (size_t i = 0; i < divide_up(op.n, 8); i++)
            prog_byte(r);
        return op;
    }
    op.what = PROG_REPEAT;
    if (op.n == 0)
        op.n = prog_varint(r);
    op.count = prog_varint(r);
    return op;
}

static word prog_bits(const uint8_t *bytes, size_t from, size_t n)
{
    word bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= (word)(bytes[(from + i) / 8] >> ((from + i) % 8) & 1) << i;
    return bits;
}

static bool extent_of_program(struct extent *extent, const uint8_t *program, size_t length,
                              size_t limit)
{
    struct prog_reader r = {program, length, false};
    for (;;) {
        struct prog_op op = prog_next(&r);
        if (r.bad)
            return type_refuse("GC program has no end");
        if (op.what == PROG_STOP)
            return true;
        if (op.what == PROG_REPEAT) {
            if (!extent_repeat(extent, op.n, op.count, limit))
                return false;
            continue;
        }
        if (op.n > limit - extent->bits)
            return type_refuse("GC program writes past the size");
        for (size_t done = 0; done < op.n; done += WORD_BITS / 2) {
            size_t n = MIN_OF(op.n - done, WORD_BITS / 2);
            extent_add_mask(extent, prog_bits(op.bits, done, n), n);
        }
    }
}

static void run_program(const uint8_t *program, struct heapbits_sink *sink)
{
    struct prog_reader r = {program, SIZE_MAX, false};
    for (;;) {
        struct prog_op op = prog_next(&r);
        if (op.what == PROG_STOP)
            return;
        if (op.what == PROG_REPEAT) {
            heapbits_repeat(sink, op.n, op.count);
            continue;
        }
        for (size_t done = 0; done < op.n; done += WORD_BITS / 2) {
            size_t n = MIN_OF(op.n - done, WORD_BITS / 2);
            heapbits_emit(sink, prog_bits(op.bits, done, n), n);
        }
    }
}

/* ---- Registration ---- */

bool type_mask_bit(const uint64_t *mask, size_t i)
{
    return mask[i / 64] >> (i % 64) & 1;
}

/* The mask of a type without a program, and how many bits of it count. */
static const uint64_t *type_mask(const gc_type *type, size_t *bits)
{
    size_t words = type->size / WORD_SIZE;
    if (type->gcdata) {
        *bits = words;
        return type->gcdata;
    }
    *bits = MIN_OF(words, (size_t)GC_MASK_WORDS * 64);
    return type->inline_mask;
}

static bool inline_mask_fits(const gc_type *type)
{
    for (size_t i = type->size / WORD_SIZE; i < (size_t)GC_MASK_WORDS * 64; i++) {
        if (type_mask_bit(type->inline_mask, i))
            return false;
    }
    return true;
}

static bool extent_of_type(const gc_type *type, struct extent *extent)
{
    if (type->kind & GC_KIND_GCPROG) {
        if (!type->gcdata)
            return type_refuse("a GC program kind without a program");
        return extent_of_program(extent, type->gcdata, SIZE_MAX, type->size / WORD_SIZE);
    }
    size_t bits;
    const uint64_t *mask = type_mask(type, &bits);
    for (size_t i = bits; i > 0 && extent->last == 0; i--) {
        if (type_mask_bit(mask, i - 1))
            extent->last = i;
    }
    extent->bits = bits;
    return type->gcdata || inline_mask_fits(type) ? true
                                                  : type_refuse("a mask bit lies beyond the size");
}

static bool align_is_valid(unsigned align)
{
    return align == 0 || (is_power_of_two(align) && align <= GC_ALIGN_MAX);
}

/* The words of a mask that is no longer. */
#define TAGGED_WORDS_MAX 64

static bool one_tagged_is_valid(const gc_type *type, size_t i)
{
    const struct gc_tagged *where = &type->tagged[i];
    size_t bits;
    const uint64_t *mask = type_mask(type, &bits);
    if (where->word >= bits || !type_mask_bit(mask, where->word))
        return type_refuse("a tagged word is not in the mask");
    if (where->byte >= type->size)
        return type_refuse("a tag lies beyond the size");
    if (where->byte / WORD_SIZE == where->word)
        return type_refuse("a tag lies in its tagged word");
    if (where->match & ~where->mask)
        return type_refuse("a tag never matches: `match` has a bit that `mask` has not");
    for (size_t j = 0; j < i; j++) {
        if (type->tagged[j].word == where->word)
            return type_refuse("a word is tagged twice");
    }
    return true;
}

static bool tagged_are_valid(const gc_type *type)
{
    if (type->ntagged == 0)
        return true;
    if (!type->tagged)
        return type_refuse("ntagged without tagged words");
    if (type->kind & GC_KIND_GCPROG)
        return type_refuse("a GC program with tagged words");
    if (type->size > TAGGED_WORDS_MAX * WORD_SIZE)
        return type_refuse("a type with tagged words is larger than 64 words");
    for (size_t i = 0; i < type->ntagged; i++) {
        if (!one_tagged_is_valid(type, i))
            return false;
    }
    return true;
}

static bool validate(const gc_type *type, struct extent *extent)
{
    if (!align_is_valid(type->align) || !align_is_valid(type->field_align))
        return type_refuse("the alignment is no power of two up to 8192");
    if (type->ptrdata > type->size)
        return type_refuse("ptrdata is larger than the size");
    if (type->size > SIZE_MAX / 2)
        return type_refuse("the size is absurd");
    if (!extent_of_type(type, extent))
        return false;
    if (extent->last > 0 && type->align % WORD_SIZE != 0)
        return type_refuse("references need the alignment of a word");
    if (type->ptrdata != 0 && type->ptrdata < extent->last * WORD_SIZE)
        return type_refuse("a mask bit lies beyond ptrdata");
    if (type->ptrdata > extent->last * WORD_SIZE)
        return type_refuse("ptrdata lies behind the last reference");
    if (type->size == 0 && type->trace)
        return type_refuse("a traced type needs a size");
    if (type->fill && extent->last == 0)
        return type_refuse("a fill without references");
    if (type->fill && type->ntagged > 0)
        return type_refuse("a fill with tagged words");
    return tagged_are_valid(type);
}

uint64_t type_hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15u ^ h >> 29;
}

static uint32_t hash_type(const gc_type *type, const struct type_info *info)
{
    const struct cell_bits *bits = &info->bits;
    uint64_t h = type_hash_bytes(&type->size, sizeof type->size, bits->ptr_words);
    if (type->name)
        h = type_hash_bytes(type->name, strlen(type->name), h);
    if (type->fill)
        h = type_hash_bytes(&type->fill, sizeof type->fill, h);
    if (bits->mask)
        h = type_hash_bytes(bits->mask, divide_up(bits->ptr_words, WORD_BITS) * sizeof(word), h);
    return (uint32_t)(h >> 16) | 1;
}

static void copy_mask(word *to, const uint64_t *from, size_t bits)
{
    for (size_t i = 0; i < bits; i++) {
        if (type_mask_bit(from, i))
            to[i / WORD_BITS] |= (word)1 << (i % WORD_BITS);
    }
}

static struct type_info *make_info(gc_type *type, const struct extent *extent)
{
    bool program = type->kind & GC_KIND_GCPROG, traced = type->trace || type->ntagged > 0;
    size_t mask_words = program ? 0 : divide_up(extent->last, WORD_BITS);
    struct type_info *info = calloc(1, sizeof *info + mask_words * sizeof(word));
    if (!info)
        return NULL;
    info->type = type;
    info->released = NOT_RELEASED;
    info->noscan = extent->last == 0 && !type->trace;
    info->words = divide_up(type->size, WORD_SIZE);
    info->bits.ptr_words = extent->last;
    info->bits.traced = traced ? type : NULL;
    info->bits.fill = (struct cell_fill){.head = type->fill, .rest = type->fill};
    info->spare = type->tflag & GC_TFLAG_ENDS && type->size > 0;
    info->size = traced ? align_up(type->size, WORD_SIZE) + WORD_SIZE : type->size + info->spare;
    info->align = type->align ? type->align : (unsigned)WORD_SIZE;
    info->sizeclass = info->size ? sizeclass_of_aligned(info->size, info->align) : 0;
    info->spanclass = traced ? spanclass_make_traced(info->sizeclass)
                             : spanclass_make(info->sizeclass, info->noscan);
    if (program) {
        info->bits.program = type->gcdata;
    } else if (mask_words) {
        size_t bits;
        const uint64_t *mask = type_mask(type, &bits);
        copy_mask((word *)(info + 1), mask, extent->last);
        info->bits.mask = (word *)(info + 1);
    }
    return info;
}

static unsigned cell_words(const struct type_info *info)
{
    return sizeclass_table[info->sizeclass].words;
}

static void make_pattern(struct type_info *info)
{
    struct cell_bits *bits = &info->bits;
    if (info->sizeclass && bits->mask && cell_words(info) <= WORD_BITS)
        heapbits_pattern(bits->pattern, bits->mask[0], cell_words(info));
}

/* A run index has no two types at a time: a heap that has runs for it does not outlive its type. */
static uint32_t assign_run_locked(struct type_info *info)
{
    LOCK_ASSERT_HELD(&registry.lock);
    if (info->sizeclass == 0)
        return 0;
    return info->noscan ? RUN_NOSCAN + info->sizeclass : runindex_take(info->spanclass);
}

/* Whether the size of an object with such elements tells its class and overflows nowhere, given
 * that there are GC_INLINE_BYTES_MAX elements at most. There is no spare byte then. */
static bool is_simple(const struct type_info *info)
{
    return info->type->size <= GC_INLINE_BYTES_MAX && info->align <= 8 && !info->spare;
}

static void publish_arrays(struct type_info *info, uint32_t runs)
{
    if (is_simple(info))
        u32_store_relaxed(&info->type->arrays, runs);
}

static word new_id_locked(void)
{
    LOCK_ASSERT_HELD(&registry.lock);
    if (registry.last_id > UINTPTR_MAX - 2 * (word)GC_RUNS_MAX)
        return 0;
    return registry.last_id += GC_RUNS_MAX;
}

static void publish_locked(gc_type *type, struct type_info *info)
{
    LOCK_ASSERT_HELD(&registry.lock);
    if (type->ptrdata == 0)
        type->ptrdata = info->bits.ptr_words * WORD_SIZE;
    if (type->hash == 0)
        type->hash = hash_type(type, info);
    info->id = new_id_locked();
    info->run = assign_run_locked(info);
    word_store_relaxed(&type->id, info->id);
    ptr_store_release((struct type_info **)&type->info, info);
    u32_store_relaxed(&type->run, info->run);
    if (info->noscan)
        publish_arrays(info, RUN_NOSCAN);
}

static struct type_info *register_locked(gc_type *type)
{
    struct extent extent = {0, 0};
    if (!validate(type, &extent))
        return NULL;
    struct type_info *info = make_info(type, &extent);
    if (!info) {
        errno = ENOMEM;
        return NULL;
    }
    make_pattern(info);
    publish_locked(type, info);
    return info;
}

/* All under the lock: one thread would fill in what another is validating. */
struct type_info *type_info_slow(gc_type *type)
{
    if (!type) {
        type_refuse("the type is NULL");
        return NULL;
    }
    lock_acquire(&registry.lock);
    struct type_info *info = type->info;
    if (!info)
        info = register_locked(type);
    lock_release(&registry.lock);
    return info;
}

/* ---- Shapes of objects that end in elements ---- */

size_t type_tail_offset(const struct type_info *head, const struct type_info *element)
{
    return align_up(head->type->size, element->align);
}

struct cell_fill type_fill(const struct type_info *head, const struct type_info *element)
{
    if (!head || !element)
        return head ? head->bits.fill : element->bits.fill;
    struct cell_fill fill = {.head = head->bits.fill.rest, .rest = element->bits.fill.rest};
    if (fill.head != fill.rest)
        fill.head_words = type_tail_offset(head, element) / WORD_SIZE;
    return fill;
}

static bool is_full(const word *mask)
{
    for (size_t i = 0; i < SHAPE_WORDS / WORD_BITS; i++) {
        if (mask[i] != ~(word)0)
            return false;
    }
    return true;
}

/* Adds the slots of an object of this type, as far as they are among the first SHAPE_WORDS words.
 */
static void add_slots(word *mask, const struct cell_bits *bits, size_t at)
{
    for (size_t i = 0; i < bits->ptr_words && at + i < SHAPE_WORDS; i++)
        mask[(at + i) / WORD_BITS] |= (word)bits_test(bits->mask, i) << (at + i) % WORD_BITS;
}

/* `head` may be NULL: an array. */
static struct cell_shape *take_shape(const struct type_info *head, const struct type_info *element)
{
    word mask[SHAPE_WORDS / WORD_BITS] = {0};
    size_t at = head ? type_tail_offset(head, element) / WORD_SIZE : 0;
    if ((head && (head->bits.program || head->bits.traced)) || element->bits.program ||
        element->bits.traced)
        return NULL;
    if (head)
        add_slots(mask, &head->bits, 0);
    for (; !element->noscan && at < SHAPE_WORDS; at += element->words)
        add_slots(mask, &element->bits, at);
    struct cell_fill fill = type_fill(head, element);
    fill.all = fill.rest && fill.head_words == 0 && is_full(mask);
    return shape_take(mask, fill);
}

static void find_array_shape_locked(struct type_info *info)
{
    LOCK_ASSERT_HELD(&registry.lock);
    if (info->array_known)
        return;
    info->array = take_shape(NULL, info);
    u32_store_release(&info->array_known, 1);
    if (info->array)
        publish_arrays(info, info->array->runs);
}

const struct cell_shape *type_array_shape(struct type_info *info)
{
    if (!u32_load_acquire(&info->array_known)) {
        lock_acquire(&registry.lock);
        find_array_shape_locked(info);
        lock_release(&registry.lock);
    }
    return info->array;
}

/* The tail of this element type; without one, a free tail, or NULL. Any thread that makes such
 * objects: while it does, the element type is not freed, and the tail stays. */
static struct tail_shape *find_tail(struct type_info *head, const struct type_info *element)
{
    struct tail_shape *tail = head->tails, *end = tail + TYPE_TAILS, *unused = NULL;
    for (; tail < end; tail++) {
        word of = word_load_relaxed(&tail->of);
        if (of == element->id)
            return tail;
        if (!of)
            unused = tail;
    }
    return unused;
}

/* The inline path knows of one element type of a head, as long as that type is not freed. */
static void publish_tail(struct type_info *head, const struct type_info *element, uint32_t runs)
{
    gc_type *type = head->type;
    for (int i = 0; i < TYPE_TAILS; i++) {
        if (type->tail && head->tails[i].of == type->tail / GC_RUNS_MAX * GC_RUNS_MAX)
            return;
    }
    if (is_simple(head) && is_simple(element) && type_tail_offset(head, element) == type->size)
        word_store_relaxed(&type->tail, element->id + runs);
}

static void note_head_locked(struct type_info *head)
{
    LOCK_ASSERT_HELD(&registry.lock);
    if (head->head_link)
        return;
    head->next_head = registry.heads;
    head->head_link = &registry.heads;
    if (registry.heads)
        registry.heads->head_link = &head->next_head;
    registry.heads = head;
}

static struct tail_shape *find_tail_shape_locked(struct type_info *head,
                                                 const struct type_info *element)
{
    LOCK_ASSERT_HELD(&registry.lock);
    struct tail_shape *tail = element->id ? find_tail(head, element) : NULL;
    if (!tail || tail->of)
        return tail;
    bool noscan = head->noscan && element->noscan;
    tail->shape = noscan ? NULL : take_shape(head, element);
    if (noscan || tail->shape)
        publish_tail(head, element, noscan ? RUN_NOSCAN : tail->shape->runs);
    word_store_release(&tail->of, element->id);
    note_head_locked(head);
    return tail;
}

const struct cell_shape *type_tail_shape(struct type_info *head, struct type_info *element)
{
    struct tail_shape *tail = find_tail(head, element);
    stress(STRESS_TAIL_FOUND);
    /* Another thread may take a tail that was free, for another type. */
    if (tail && word_load_acquire(&tail->of) != element->id) {
        lock_acquire(&registry.lock);
        tail = find_tail_shape_locked(head, element);
        lock_release(&registry.lock);
    }
    return tail ? tail->shape : NULL;
}

/* The type is about to be freed. */
static void drop_shapes_locked(struct type_info *info)
{
    LOCK_ASSERT_HELD(&registry.lock);
    shape_drop(info->array);
    for (int i = 0; i < TYPE_TAILS; i++)
        shape_drop(info->tails[i].shape);
    if (info->head_link)
        *info->head_link = info->next_head;
    if (info->next_head)
        info->next_head->head_link = info->head_link;
    for (struct type_info *head = registry.heads; head; head = head->next_head) {
        struct tail_shape *tail = find_tail(head, info);
        if (!tail || !tail->of)
            continue;
        shape_drop(tail->shape);
        tail->shape = NULL;
        word_store_relaxed(&tail->of, 0);
    }
}

/* ---- Heap bits ---- */

void type_write_bits(const struct cell_bits *bits, struct heapbits_sink *sink)
{
    if (bits->program)
        run_program(bits->program, sink);
    else if (bits->mask)
        heapbits_emit_mask(sink, bits->mask, bits->ptr_words);
}

void type_write_array(const struct type_info *info, struct heapbits_sink *sink, size_t n)
{
    uintptr_t begin = sink->at;
    type_write_bits(&info->bits, sink);
    heapbits_emit_zeros(sink, info->words - ((sink->at - begin) >> WORD_SHIFT));
    heapbits_repeat(sink, info->words, n - 1);
}

/* ---- Names of fields ---- */

const char *type_field(const gc_type *type, size_t word_number, size_t *length)
{
    const char *name = type->fields;
    for (size_t i = 0; name && *name && i < GC_FIELDS_MAX; i++) {
        *length = strcspn(name, ";");
        if (type->field_words[i] == word_number)
            return name;
        name += *length + (name[*length] == ';');
    }
    return NULL;
}

/* ---- Types made at run time ---- */

static bool spec_is_valid(const struct gc_type_spec *spec)
{
    if (spec->align > GC_ALIGN_MAX || (spec->align && !is_power_of_two(spec->align)))
        return type_refuse("the alignment is no power of two up to 8192");
    if (spec->mask && spec->program)
        return type_refuse("a mask and a program at once");
    if (spec->mask_bits > spec->size / WORD_SIZE)
        return type_refuse(spec->size ? "a mask longer than the size"
                                      : "references in a type of size 0");
    if (spec->program && spec->ptrdata == 0)
        return type_refuse("a program needs ptrdata");
    if (spec->ptrdata > spec->size)
        return type_refuse("ptrdata is larger than the size");
    if (spec->ntagged > spec->mask_bits || (spec->ntagged > 0 && !spec->tagged))
        return type_refuse("more tagged words than words in the mask");
    struct extent extent = {0, 0};
    return !spec->program ||
           extent_of_program(&extent, spec->program, spec->program_size, spec->size / WORD_SIZE);
}

static char *copy_string(char *to, const char *from)
{
    size_t n = strlen(from) + 1;
    memcpy(to, from, n);
    return to;
}

/* Copies the tagged words to `to`, behind the mask. Returns where the copy ends. */
static char *copy_tagged(gc_type *type, const struct gc_type_spec *spec, char *to)
{
    if (spec->ntagged == 0)
        return to;
    memcpy(to, spec->tagged, spec->ntagged * sizeof *spec->tagged);
    type->tagged = (const struct gc_tagged *)(void *)to;
    type->ntagged = spec->ntagged;
    return to + spec->ntagged * sizeof *spec->tagged;
}

/* The words of the references, in the order of their offsets. Those of a program are not named. */
static void number_fields(gc_type *type, const struct gc_type_spec *spec)
{
    size_t n = 0;
    for (size_t i = 0; i < spec->mask_bits && n < GC_FIELDS_MAX; i++) {
        if (type_mask_bit(spec->mask, i) && i <= UINT16_MAX)
            type->field_words[n++] = (uint16_t)i;
    }
}

gc_type *type_create(const struct gc_type_spec *spec)
{
    if (!spec_is_valid(spec))
        return NULL;
    const char *name = spec->name ? spec->name : "", *fields = spec->fields ? spec->fields : "";
    size_t mask_size = divide_up(spec->size / WORD_SIZE, 64) * sizeof(uint64_t);
    size_t data = spec->program ? spec->program_size : mask_size;
    size_t tagged_size = spec->ntagged * sizeof *spec->tagged;
    gc_type *type =
        calloc(1, sizeof *type + data + tagged_size + strlen(name) + strlen(fields) + 2);
    if (!type)
        return NULL;
    uint64_t *gcdata = (uint64_t *)(type + 1);
    char *strings = copy_tagged(type, spec, (char *)gcdata + data);
    if (spec->program) {
        memcpy(gcdata, spec->program, spec->program_size);
    } else {
        for (size_t i = 0; i < spec->mask_bits; i++)
            gcdata[i / 64] |= (uint64_t)type_mask_bit(spec->mask, i) << (i % 64);
    }
    type->gcdata = gcdata;
    type->name = copy_string(strings, name);
    if (spec->fields && spec->mask)
        type->fields = copy_string(strings + strlen(name) + 1, fields);
    number_fields(type, spec);
    type->size = spec->size;
    type->ptrdata = spec->ptrdata;
    type->align = (uint16_t)(spec->align ? spec->align : WORD_SIZE);
    type->field_align = type->align;
    type->tflag = (uint8_t)(spec->tflag | (spec->name ? GC_TFLAG_NAMED : 0));
    type->kind = (uint8_t)((spec->kind ? spec->kind & GC_KIND_MASK : GC_KIND_STRUCT) |
                           (spec->program ? GC_KIND_GCPROG : 0));
    type->equal = spec->equal;
    type->hash_object = spec->hash_object;
    type->trace = spec->trace;
    type->user = spec->user;
    type->fill = spec->fill;
    struct type_info *info = type_info(type);
    if (!info) {
        free(type);
        return NULL;
    }
    info->owned = true;
    return type;
}

static void free_type_locked(struct type_info *info)
{
    LOCK_ASSERT_HELD(&registry.lock);
    if (info->run >= RUN_TYPES)
        runindex_give(info->run);
    drop_shapes_locked(info);
    if (info->owned)
        free(info->type);
    free(info);
}

/* Frees the released types of which no living heap can hold objects. */
static void free_released_locked(void)
{
    LOCK_ASSERT_HELD(&registry.lock);
    struct type_info *info;
    while ((info = registry.released) &&
           (!registry.oldest || registry.oldest->since > info->released)) {
        registry.released = info->next;
        if (!registry.released)
            registry.last_released = &registry.released;
        free_type_locked(info);
    }
}

/* The next use of the type registers it anew. */
static void reset_static_locked(gc_type *type)
{
    LOCK_ASSERT_HELD(&registry.lock);
    u32_store_relaxed(&type->run, 0);
    u32_store_relaxed(&type->arrays, 0);
    word_store_relaxed(&type->tail, 0);
    word_store_relaxed(&type->id, 0);
    ptr_store_relaxed((struct type_info **)&type->info, NULL);
}

static int release_locked(gc_type *type)
{
    LOCK_ASSERT_HELD(&registry.lock);
    struct type_info *info = type->info;
    if (!info)
        return 0;
    if (info->released != NOT_RELEASED)
        return -EINVAL;
    if (!info->owned)
        reset_static_locked(type);
    info->released = registry.clock;
    *registry.last_released = info;
    registry.last_released = &info->next;
    free_released_locked();
    return 0;
}

int type_release(gc_type *type)
{
    lock_acquire(&registry.lock);
    int result = release_locked(type);
    lock_release(&registry.lock);
    return result;
}

void type_heap_created(struct type_user *heap)
{
    lock_acquire(&registry.lock);
    *heap = (struct type_user){++registry.clock, NULL, registry.newest_link};
    *registry.newest_link = heap;
    registry.newest_link = &heap->next;
    lock_release(&registry.lock);
}

void type_heap_destroyed(struct type_user *heap)
{
    lock_acquire(&registry.lock);
    *heap->link = heap->next;
    if (heap->next)
        heap->next->link = heap->link;
    else
        registry.newest_link = heap->link;
    free_released_locked();
    lock_release(&registry.lock);
}

/* ---- Fork ---- */

static void seize(gc_heap *none)
{
    (void)none;
    lock_seize(&registry.lock);
}

static void release(gc_heap *none)
{
    (void)none;
    lock_free(&registry.lock);
}

const struct fork_part type_fork = {TYPE_FORK_RANKS, .of_process = true, .seize = seize,
                                    .release = release};
