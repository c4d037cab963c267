/* Objects: their types, and how they are made; strings, lists, buffers, classes. */
#include "vm.h"

#include <stdio.h>
#include <stdlib.h>

GC_TYPE(box_type, struct box, content);
GC_TYPE(list_type, struct list, items);
GC_TYPE(map_type, struct map, table);
GC_TYPE_NOPTR(range_type, struct range);
GC_TYPE(buffer_type, struct buffer, bytes);
GC_TYPE(bound_type, struct bound, receiver, method);
GC_TYPE(native_type, struct native, name);
GC_TYPE(class_type, struct class, name, super, meta, members, methods, init);
GC_TYPE(function_type, struct function, name, module, code, lines, constants, caches, handlers);
GC_TYPE(module_type, struct module, name, path, variables);
GC_TYPE(coroutine_type, struct coroutine, function, resumer);
GC_TYPE(weakmap_type, struct weakmap, table);
GC_TYPE(weakset_type, struct weakset, slots);
GC_TYPE(file_type, struct file, path);
GC_TYPE_NOPTR(record_head, struct object);
static GC_TYPE_NOPTR(block_head, struct block);

void *new_object_failed(struct thread *t)
{
    throw_memory(t);
}

/* ---- Strings ------------------------------------------------------------------------------- */

static gc_intern *string_table;

uint32_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t h = length * 0x9E3779B97F4A7C15u, word;
    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, bytes, length);
    h = (h ^ word) * 0xFF51AFD7ED558CCDu;
    h ^= h >> 32;
    return (uint32_t)h ? (uint32_t)h : 1;
}

/* A string of that length whose bytes are still to come; NULL if memory is exhausted. */
static struct string *allocate_string(size_t length)
{
    struct string *s = gc_new_bytes(sizeof *s + length + 1);
    if (!s)
        return NULL;
    s->head = (struct object){KIND_STRING, KIND_STRING};
    s->length = (uint32_t)length;
    return s;
}

/* What is looked up: bytes, their hash, and the string that holds them already, if there is one. */
struct text {
    const char *bytes;
    uint32_t hash;
    struct string *string;
};

static uint64_t intern_hash(const void *key, size_t size)
{
    (void)size;
    return ((const struct text *)key)->hash;
}

static bool intern_equal(const void *object, const void *key, size_t size)
{
    const struct string *s = object;
    return s->length == size && memcmp(s->bytes, ((const struct text *)key)->bytes, size) == 0;
}

static void *intern_make(const void *key, size_t size, void *arg)
{
    const struct text *text = key;
    struct string *s = text->string ? text->string : allocate_string(size);
    (void)arg;
    if (s && !text->string)
        memcpy(s->bytes, text->bytes, size);
    if (s)
        s->hash = text->hash;
    return s;
}

int string_table_open(void)
{
    static const struct gc_intern_ops ops = {intern_hash, intern_equal, intern_make};
    string_table = gc_intern_new(&ops);
    return string_table ? 0 : -1;
}

void string_table_close(void)
{
    gc_intern_free(string_table);
}

struct string *intern(struct thread *t, const char *bytes, size_t length)
{
    struct text text = {bytes, hash_bytes(bytes, length), NULL};
    return check_memory(t, gc_intern_get(string_table, &text, length, NULL));
}

static struct string *checked_string(struct thread *t, size_t length)
{
    if (length > (size_t)UINT32_MAX - 64)
        throw_error(t, ERROR_MemoryError, "a string has more than 4 GiB");
    return check_memory(t, allocate_string(length));
}

struct string *string_begin(struct thread *t, size_t length)
{
    return checked_string(t, length);
}

struct string *string_finish(struct thread *t, struct string *raw)
{
    if (raw->length > INTERN_MAX)
        return raw;
    GC_FRAME(raw);
    struct text text = {raw->bytes, hash_bytes(raw->bytes, raw->length), raw};
    return check_memory(t, gc_intern_get(string_table, &text, raw->length, NULL));
}

struct string *new_string(struct thread *t, const char *bytes, size_t length)
{
    if (length == 1)
        return string_byte(t, (uint8_t)bytes[0]);
    if (length <= INTERN_MAX)
        return intern(t, bytes, length);
    struct string *s = checked_string(t, length);
    memcpy(s->bytes, bytes, length);
    return s;
}

struct string *new_string_z(struct thread *t, const char *text)
{
    return new_string(t, text, strlen(text));
}

struct string *string_byte(struct thread *t, uint8_t byte)
{
    struct string *s = gc_load(&vm.bytes[byte]);
    if (s)
        return s;
    char text[1] = {(char)byte};
    s = intern(t, text, 1);
    gc_store(&vm.bytes[byte], s);
    return s;
}

uint32_t string_hash(const struct string *s)
{
    uint32_t *slot = (uint32_t *)(uintptr_t)&s->hash;
    uint32_t hash = __atomic_load_n(slot, __ATOMIC_RELAXED);
    if (!hash) {
        hash = hash_bytes(s->bytes, s->length);
        __atomic_store_n(slot, hash, __ATOMIC_RELAXED);
    }
    return hash;
}

bool string_equal(const struct string *a, const struct string *b)
{
    if (a == b)
        return true;
    return a->length == b->length && a->length > INTERN_MAX && string_hash(a) == string_hash(b) &&
           memcmp(a->bytes, b->bytes, a->length) == 0;
}

struct string *string_concat(struct thread *t, struct string *a, struct string *b)
{
    size_t length = (size_t)a->length + b->length;
    if (length <= INTERN_MAX) {
        char text[INTERN_MAX];
        memcpy(text, a->bytes, a->length);
        memcpy(text + a->length, b->bytes, b->length);
        return new_string(t, text, length);
    }
    GC_FRAME(a, b);
    struct string *s = checked_string(t, length);
    memcpy(s->bytes, a->bytes, a->length);
    memcpy(s->bytes + a->length, b->bytes, b->length);
    return s;
}

size_t utf8_length(const struct string *s, size_t at)
{
    unsigned char lead = (unsigned char)s->bytes[at];
    size_t n = lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1;
    if (n > s->length - at)
        return 1;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s->bytes[at + i] & 0xC0) != 0x80)
            return 1;
    return n;
}

int format_number(char text[NUMBER_TEXT], double d)
{
    if (d != d)
        return snprintf(text, NUMBER_TEXT, "nan");
    if (isinf(d))
        return snprintf(text, NUMBER_TEXT, d < 0 ? "-inf" : "inf");
    if (fabs(d) < 1e15 && d == floor(d))
        return snprintf(text, NUMBER_TEXT, "%.0f", d == 0 ? 0 : d);
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, NUMBER_TEXT, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    return n;
}

/* ---- Lists --------------------------------------------------------------------------------- */

struct block *new_block(struct thread *t, uint32_t capacity)
{
    struct block *block = check_memory(t, gc_new_flex(&block_head, &gc_word_type, capacity));
    block->capacity = capacity;
    return block;
}

struct list *new_list(struct thread *t, uint32_t capacity)
{
    struct list *list = NEW(t, &list_type, KIND_LIST);
    if (capacity) {
        GC_FRAME(list);
        gc_store(&list->items, new_block(t, capacity));
    }
    return list;
}

/* Not gc_copy(): each value is handed on like any other, so that whoever reads it sees its object.
 */
void move_values(value *to, const value *from, uint32_t n)
{
    if (to <= from)
        for (uint32_t i = 0; i < n; i++)
            gc_store_value(&to[i], gc_load_value(&from[i]));
    else
        for (uint32_t i = n; i-- > 0;)
            gc_store_value(&to[i], gc_load_value(&from[i]));
}

/* Another thread may change the list meanwhile; then one of the two changes is lost. */
void list_grow(struct thread *t, struct list *list, uint32_t capacity)
{
    GC_FRAME(list);
    struct block *grown = new_block(t, capacity);
    uint32_t n;
    struct block *items = list_items(list, &n);
    if (n > capacity)
        n = capacity;
    if (n)
        move_values(grown->v, items->v, n);
    grown->count = n;
    gc_store(&list->items, grown);
}

void list_push_slow(struct thread *t, struct list *list, value v)
{
    uint32_t n;
    list_items(list, &n);
    if (n >= UINT32_MAX / 4)
        throw_error(t, ERROR_MemoryError, "a list has more than 2^30 elements");
    list_grow(t, list, n < 4 ? 4 : n + n / 2);
    struct block *items = list_items(list, &n);
    if (!items || n == items->capacity)
        return; /* lost in a race */
    gc_store_value(&items->v[n], v);
    __atomic_store_n(&items->count, n + 1, __ATOMIC_RELEASE);
}

/* ---- Buffers ------------------------------------------------------------------------------- */

struct buffer *new_buffer(struct thread *t)
{
    return NEW(t, &buffer_type, KIND_BUFFER);
}

struct bytes *buffer_content(const struct buffer *buffer, uint32_t *count)
{
    struct bytes *bytes = gc_load(&buffer->bytes);
    *count = bytes ? __atomic_load_n(&bytes->count, __ATOMIC_ACQUIRE) : 0;
    return bytes;
}

static struct bytes *buffer_grow(struct thread *t, struct buffer *buffer, size_t least)
{
    size_t capacity = 64;
    while (capacity < least)
        capacity += capacity / 2;
    if (capacity > (size_t)UINT32_MAX - 64)
        throw_error(t, ERROR_MemoryError, "a buffer has more than 4 GiB");
    GC_FRAME(buffer);
    struct bytes *grown = new_bytes(t, sizeof *grown + capacity);
    uint32_t n;
    struct bytes *old = buffer_content(buffer, &n);
    if (n > capacity)
        n = (uint32_t)capacity;
    if (n)
        memcpy(grown->data, old->data, n);
    grown->capacity = (uint32_t)capacity;
    grown->count = n;
    gc_store(&buffer->bytes, grown);
    return grown;
}

void buffer_append(struct thread *t, struct buffer *buffer, const char *from, size_t length)
{
    uint32_t n;
    struct bytes *bytes = buffer_content(buffer, &n);
    if (!bytes || length > bytes->capacity - n) {
        bytes = buffer_grow(t, buffer, n + length);
        n = bytes->count;
        if (length > bytes->capacity - n)
            return; /* lost in a race */
    }
    memcpy(bytes->data + n, from, length);
    __atomic_store_n(&bytes->count, n + (uint32_t)length, __ATOMIC_RELEASE);
}

void buffer_append_value(struct thread *t, struct buffer *buffer, value v)
{
    char text[NUMBER_TEXT];
    if (is_number(v)) {
        buffer_append(t, buffer, text, (size_t)format_number(text, as_number(v)));
        return;
    }
    struct string *s = value_to_string(t, v);
    GC_FRAME(s);
    buffer_append(t, buffer, s->bytes, s->length);
}

/* ---- Small objects ------------------------------------------------------------------------- */

struct range *new_range(struct thread *t, double from, double to, bool inclusive)
{
    struct range *range = NEW(t, &range_type, KIND_RANGE);
    range->from = from;
    range->to = to;
    range->step = 1;
    range->inclusive = inclusive;
    return range;
}

struct bound *new_bound(struct thread *t, value receiver, value method)
{
    GC_FRAME(receiver, method);
    struct bound *bound = NEW(t, &bound_type, KIND_BOUND);
    bound->receiver = receiver;
    bound->method = method;
    return bound;
}

/* ---- Classes ------------------------------------------------------------------------------- */

uint32_t class_ids(uint32_t n)
{
    return __atomic_fetch_add(&vm.next_class, n, __ATOMIC_RELAXED);
}

static void inherit(struct thread *t, struct class *class, struct class *super)
{
    GC_FRAME(class, super);
    uint32_t position = 0, n = super->methods->count;
    value name = NIL, number = NIL;
    GC_FRAME(name);
    while (map_next(super->members, &position, &name, &number))
        map_set(t, class->members, name, number);
    gc_store(&class->methods, new_block(t, n + 4));
    gc_copy(class->methods->v, super->methods->v, n * sizeof(value));
    class->methods->count = n;
    gc_store_value(&class->init, super->init);
    class->nfields = super->nfields;
}

/* `meta` NULL: the class is a metaclass itself. */
static struct class *make_class(struct thread *t, struct string *name, struct class *super,
                                struct class *meta)
{
    struct class *class = NEW(t, &class_type, KIND_CLASS);
    GC_FRAME(class, name, super, meta);
    class->name = name;
    class->super = super;
    class->meta = meta;
    class->instance_kind = KIND_INSTANCE;
    class->head.class_id = meta ? meta->id : KIND_CLASS;
    class->id = class_ids(1);
    gc_store(&class->members, new_map(t));
    if (super)
        inherit(t, class, super);
    else
        gc_store(&class->methods, new_block(t, 4));
    return class;
}

struct class *new_class(struct thread *t, struct string *name, struct class *super)
{
    struct class *meta = make_class(t, name, super ? super->meta : vm.classes[KIND_CLASS], NULL);
    GC_FRAME(meta);
    return make_class(t, name, super, meta);
}

bool class_member(const struct class *class, struct string *name, int64_t *number)
{
    bool found;
    value v = map_get(class->members, from_object(name), &found);
    if (found)
        *number = (int64_t)as_number(v);
    return found;
}

void class_add_field(struct thread *t, struct class *class, struct string *name)
{
    int64_t number;
    if (class_member(class, name, &number))
        throw_error(t, ERROR_NameError, "class %s has two members '%s'", class->name->bytes,
                    name->bytes);
    if (class->nfields == FIELDS_MAX)
        throw_error(t, ERROR_NameError, "class %s has too many fields", class->name->bytes);
    map_set(t, class->members, from_object(name), from_int(class->nfields));
    class->nfields++;
}

static void append_method(struct thread *t, struct class *class, value method)
{
    struct block *methods = class->methods;
    uint32_t n = methods->count;
    if (n == methods->capacity) {
        GC_FRAME(methods);
        struct block *grown = new_block(t, 2 * n);
        gc_copy(grown->v, methods->v, n * sizeof(value));
        gc_store(&class->methods, grown);
        methods = grown;
    }
    gc_store_value(&methods->v[n], method);
    methods->count = n + 1;
}

void class_add_method(struct thread *t, struct class *class, struct string *name, value method)
{
    int64_t number;
    GC_FRAME(class, name, method);
    if (class_member(class, name, &number)) {
        if (number >= 0)
            throw_error(t, ERROR_NameError, "class %s has two members '%s'", class->name->bytes,
                        name->bytes);
        gc_store_value(&class->methods->v[-1 - number], method);
    } else {
        append_method(t, class, method);
        map_set(t, class->members, from_object(name), from_int(-(int64_t) class->methods->count));
    }
    if (name == vm.symbols[SYMBOL_INIT] && class->instance_kind == KIND_INSTANCE)
        gc_store_value(&class->init, method);
}

value class_method(const struct class *class, struct string *name)
{
    int64_t number;
    if (!class_member(class, name, &number) || number >= 0)
        return UNDEFINED;
    return gc_load_value(&class->methods->v[-1 - number]);
}

enum kind value_kind(value v)
{
    if (is_number(v))
        return KIND_NUMBER;
    if (is_object(v))
        return (enum kind)((struct object *)as_object(v))->kind;
    if (v == NIL)
        return KIND_NIL;
    return v == DONE ? KIND_DONE : KIND_BOOL;
}

struct class *class_of(value v)
{
    enum kind kind = value_kind(v);
    if (kind == KIND_INSTANCE)
        return gc_load(&((struct instance *)as_object(v))->class);
    if (kind == KIND_CLASS) {
        struct class *class = as_object(v);
        return class->meta ? class->meta : vm.classes[KIND_CLASS];
    }
    return vm.classes[kind];
}

bool is_subclass(const struct class *class, const struct class *ancestor)
{
    while (class && class != ancestor)
        class = class->super;
    return class != NULL;
}

/* ---- Text of values ------------------------------------------------------------------------ */

static struct string *named_text(struct thread *t, const char *format, const struct string *name)
{
    char text[128];
    int n = snprintf(text, sizeof text, format, name->bytes);
    return new_string(t, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

static struct string *number_text(struct thread *t, double d)
{
    char text[NUMBER_TEXT];
    return new_string(t, text, (size_t)format_number(text, d));
}

static struct string *range_text(struct thread *t, const struct range *range)
{
    char text[2 * NUMBER_TEXT + 8];
    int n = format_number(text, range->from);
    n += snprintf(text + n, 8, range->inclusive ? "..=" : "..");
    n += format_number(text + n, range->to);
    return new_string(t, text, (size_t)n);
}

struct string *value_to_string(struct thread *t, value v)
{
    void *object = as_object(v);
    switch (value_kind(v)) {
    case KIND_NIL:
        return new_string_z(t, "nil");
    case KIND_BOOL:
        return new_string_z(t, v == TRUE ? "true" : "false");
    case KIND_DONE:
        return new_string_z(t, "done");
    case KIND_NUMBER:
        return number_text(t, as_number(v));
    case KIND_STRING:
        return object;
    case KIND_RANGE:
        return range_text(t, object);
    case KIND_CLOSURE:
        return named_text(t, "<fn %s>", ((struct closure *)object)->fn->name);
    case KIND_NATIVE:
        return named_text(t, "<fn %s>", ((struct native *)object)->name);
    case KIND_CLASS:
        return named_text(t, "<class %s>", ((struct class *)object)->name);
    case KIND_MODULE:
        return named_text(t, "<module %s>", ((struct module *)object)->name);
    default:
        return named_text(t, "<%s>", class_of(v)->name);
    }
}
