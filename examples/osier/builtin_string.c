/* Strings and buffers. */
#include "vm.h"

#include <ctype.h>
#include <stdlib.h>

#define SELF ((struct string *)as_object(args[0]))

/* ---- Looking in ---------------------------------------------------------------------------- */

static value string_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_int(SELF->length);
}

static value string_byte_at(struct thread *t, value *args, int n)
{
    (void)n;
    int64_t i = arg_int(t, args, 1);
    if (i < 0 || i >= SELF->length)
        throw_error(t, ERROR_IndexError, "index %lld is not in 0..%u", (long long)i, SELF->length);
    return from_int((unsigned char)SELF->bytes[i]);
}

/* What takes long is done while this thread is blocked: strings do not change or move, and this one
 * is rooted. */
#define LONG (1 << 16)

static const char *find(const struct string *s, const struct string *part, size_t from)
{
    bool is_long = s->length - from > LONG;
    if (is_long)
        gc_blocking_begin();
    const char *at = memmem(s->bytes + from, s->length - from, part->bytes, part->length);
    if (is_long)
        gc_blocking_end();
    return at;
}

static value string_find(struct thread *t, value *args, int n)
{
    struct string *part = arg_string(t, args, 1);
    size_t from = n > 1 ? (size_t)arg_int_in(t, args, 2, 0, SELF->length) : 0;
    const char *at = find(SELF, part, from);
    return at ? from_int(at - SELF->bytes) : NIL;
}

static value string_has(struct thread *t, value *args, int n)
{
    (void)n;
    return from_bool(find(SELF, arg_string(t, args, 1), 0) != NULL);
}

static value string_count(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *part = arg_string(t, args, 1);
    if (!part->length)
        throw_error(t, ERROR_ValueError, "the empty string cannot be counted");
    int64_t count = 0;
    for (const char *at = SELF->bytes; (at = find(SELF, part, (size_t)(at - SELF->bytes)));
         at += part->length)
        count++;
    return from_int(count);
}

static value string_starts_with(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *part = arg_string(t, args, 1);
    return from_bool(part->length <= SELF->length &&
                     memcmp(SELF->bytes, part->bytes, part->length) == 0);
}

static value string_ends_with(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *part = arg_string(t, args, 1);
    return from_bool(part->length <= SELF->length &&
                     memcmp(SELF->bytes + SELF->length - part->length, part->bytes, part->length) ==
                         0);
}

static value string_hash_method(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_int(string_hash(SELF));
}

/* The number that the string spells, or nil. */
static value string_to_number(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    const char *start = SELF->bytes, *end_of_text = start + SELF->length;
    char *end;
    if (!SELF->length || isspace((unsigned char)*start) || strpbrk(start, "xXnN"))
        return NIL;
    double d = strtod(start, &end);
    return end == end_of_text ? from_number(d) : NIL;
}

/* ---- Making others ------------------------------------------------------------------------- */

static value string_trim(struct thread *t, value *args, int n)
{
    (void)n;
    size_t from = 0, to = SELF->length;
    while (from < to && isspace((unsigned char)SELF->bytes[from]))
        from++;
    while (to > from && isspace((unsigned char)SELF->bytes[to - 1]))
        to--;
    return from_object(new_string(t, SELF->bytes + from, to - from));
}

static value map_bytes(struct thread *t, value *args, int (*f)(int))
{
    struct string *s = string_begin(t, SELF->length);
    for (uint32_t i = 0; i < s->length; i++)
        s->bytes[i] = (char)f((unsigned char)SELF->bytes[i]);
    return from_object(string_finish(t, s));
}

static value string_upper(struct thread *t, value *args, int n)
{
    (void)n;
    return map_bytes(t, args, toupper);
}

static value string_lower(struct thread *t, value *args, int n)
{
    (void)n;
    return map_bytes(t, args, tolower);
}

#define FILL_PIECE ((size_t)256 << 10)

/* Repeats the first `unit` bytes: twice as many each time, up to a piece, with a safepoint after
 * each, so that no collection waits for the whole. */
static void fill_with_first(struct string *s, size_t unit)
{
    GC_FRAME(s);
    for (size_t filled = unit, step; filled < s->length; filled += step) {
        size_t from = filled % unit, left = s->length - filled;
        step = filled - from < left ? filled - from : left;
        step = step < FILL_PIECE ? step : FILL_PIECE;
        memcpy(s->bytes + filled, s->bytes + from, step);
        gc_safepoint();
    }
}

static value string_repeat(struct thread *t, value *args, int n)
{
    (void)n;
    int64_t times = arg_int_in(t, args, 1, 0, 1 << 30);
    struct string *s = string_begin(t, SELF->length * (size_t)times);
    memcpy(s->bytes, SELF->bytes, times ? SELF->length : 0);
    fill_with_first(s, SELF->length);
    return from_object(string_finish(t, s));
}

static value string_replace(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *from = arg_string(t, args, 1), *to = arg_string(t, args, 2);
    if (!from->length)
        throw_error(t, ERROR_ValueError, "the empty string cannot be replaced");
    struct buffer *buffer = new_buffer(t);
    GC_FRAME(buffer);
    size_t at = 0;
    for (const char *found; (found = find(SELF, from, at));) {
        size_t found_at = (size_t)(found - SELF->bytes);
        buffer_append(t, buffer, SELF->bytes + at, found_at - at);
        buffer_append(t, buffer, to->bytes, to->length);
        at = found_at + from->length;
    }
    buffer_append(t, buffer, SELF->bytes + at, SELF->length - at);
    uint32_t count;
    struct bytes *bytes = buffer_content(buffer, &count);
    return from_object(new_string(t, bytes->data, count));
}

static void push_part(struct thread *t, struct list *list, const char *bytes, size_t length)
{
    struct string *part = new_string(t, bytes, length);
    GC_FRAME(part);
    list_push(t, list, from_object(part));
}

static value string_split(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *by = arg_string(t, args, 1);
    if (!by->length)
        throw_error(t, ERROR_ValueError, "a string cannot be split by the empty string");
    struct list *list = new_list(t, 4);
    GC_FRAME(list);
    size_t at = 0;
    for (const char *found; (found = find(SELF, by, at));) {
        size_t found_at = (size_t)(found - SELF->bytes);
        push_part(t, list, SELF->bytes + at, found_at - at);
        at = found_at + by->length;
    }
    push_part(t, list, SELF->bytes + at, SELF->length - at);
    return from_object(list);
}

static value string_chars(struct thread *t, value *args, int n)
{
    (void)n;
    struct list *list = new_list(t, SELF->length);
    GC_FRAME(list);
    for (size_t at = 0, length; at < SELF->length; at += length) {
        length = utf8_length(SELF, at);
        push_part(t, list, SELF->bytes + at, length);
    }
    return from_object(list);
}

static value pad(struct thread *t, value *args, int n, bool left)
{
    size_t width = (size_t)arg_int_in(t, args, 1, 0, 1 << 20);
    const char *with = n > 1 ? arg_string(t, args, 2)->bytes : " ";
    if (n > 1 && strlen(with) != 1)
        throw_error(t, ERROR_ValueError, "padding must be one byte");
    if (width <= SELF->length)
        return args[0];
    size_t missing = width - SELF->length;
    struct string *s = string_begin(t, width);
    memset(s->bytes + (left ? 0 : SELF->length), *with, missing);
    memcpy(s->bytes + (left ? missing : 0), SELF->bytes, SELF->length);
    return from_object(string_finish(t, s));
}

static value string_pad_left(struct thread *t, value *args, int n)
{
    return pad(t, args, n, true);
}

static value string_pad_right(struct thread *t, value *args, int n)
{
    return pad(t, args, n, false);
}

static value string_from_byte(struct thread *t, value *args, int n)
{
    (void)n;
    return from_object(string_byte(t, (uint8_t)arg_int_in(t, args, 1, 0, 255)));
}

/* ---- Buffers ------------------------------------------------------------------------------- */

#define BUFFER ((struct buffer *)as_object(args[0]))

static value buffer_new(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    return from_object(new_buffer(t));
}

static value buffer_add(struct thread *t, value *args, int n)
{
    for (int i = 1; i <= n; i++) {
        enum kind kind = value_kind(args[i]);
        if (kind > KIND_STRING)
            throw_error(t, ERROR_TypeError, "a buffer takes strings and numbers, not %s",
                        class_name_of(args[i]));
        buffer_append_value(t, BUFFER, args[i]);
    }
    return args[0];
}

static value buffer_add_byte(struct thread *t, value *args, int n)
{
    (void)n;
    char byte = (char)arg_int_in(t, args, 1, 0, 255);
    buffer_append(t, BUFFER, &byte, 1);
    return args[0];
}

static value buffer_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    uint32_t count;
    buffer_content(BUFFER, &count);
    return from_int(count);
}

static value buffer_byte(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t count;
    struct bytes *bytes = buffer_content(BUFFER, &count);
    int64_t i = arg_int(t, args, 1);
    if (i < 0 || i >= count)
        throw_error(t, ERROR_IndexError, "index %lld is not in 0..%u", (long long)i, count);
    return from_int((unsigned char)bytes->data[i]);
}

static value buffer_str(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t count;
    struct bytes *bytes = buffer_content(BUFFER, &count);
    GC_FRAME(bytes);
    return from_object(new_string(t, bytes ? bytes->data : "", count));
}

static value buffer_clear(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    gc_store(&BUFFER->bytes, NULL);
    return args[0];
}

void builtin_string_open(struct thread *t)
{
    static const struct native_def strings[] = {{"len", string_len, 0, 0, false},
                                                {"byte", string_byte_at, 1, 1, false},
                                                {"find", string_find, 1, 2, false},
                                                {"has", string_has, 1, 1, false},
                                                {"count", string_count, 1, 1, false},
                                                {"starts_with", string_starts_with, 1, 1, false},
                                                {"ends_with", string_ends_with, 1, 1, false},
                                                {"hash", string_hash_method, 0, 0, false},
                                                {"to_number", string_to_number, 0, 0, false},
                                                {"trim", string_trim, 0, 0, false},
                                                {"upper", string_upper, 0, 0, false},
                                                {"lower", string_lower, 0, 0, false},
                                                {"repeat", string_repeat, 1, 1, false},
                                                {"replace", string_replace, 2, 2, false},
                                                {"split", string_split, 1, 1, false},
                                                {"chars", string_chars, 0, 0, false},
                                                {"pad_left", string_pad_left, 1, 2, false},
                                                {"pad_right", string_pad_right, 1, 2, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def statics[] = {{"from_byte", string_from_byte, 1, 1, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def buffers[] = {
        {"add", buffer_add, 1, -1, false}, {"add_byte", buffer_add_byte, 1, 1, false},
        {"len", buffer_len, 0, 0, false},  {"byte", buffer_byte, 1, 1, false},
        {"str", buffer_str, 0, 0, false},  {"clear", buffer_clear, 0, 0, false},
        {NULL, NULL, 0, 0, false}};
    define_natives(t, vm.classes[KIND_STRING], strings);
    define_natives(t, vm.classes[KIND_STRING]->meta, statics);
    define_natives(t, vm.classes[KIND_BUFFER], buffers);
    define_constructor(t, KIND_BUFFER, buffer_new, 0, 0);
}
