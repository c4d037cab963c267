/* Types: ready-made ones, registration, equality, hashing, and programs that describe layouts. */
#include "memory/type.h"
#include <errno.h>

gc_type gc_pointer_type = {.size = sizeof(void *),
                           .tflag = GC_TFLAG_NAMED | GC_TFLAG_REGULAR_MEMORY,
                           .kind = GC_KIND_PTR | GC_KIND_DIRECT_IFACE,
                           .align = sizeof(void *),
                           .field_align = sizeof(void *),
                           .name = "pointer",
                           .inline_mask = {1}};
gc_type gc_word_type = {.size = sizeof(uint64_t),
                        .tflag = GC_TFLAG_NAMED | GC_TFLAG_REGULAR_MEMORY,
                        .kind = GC_KIND_UINT64,
                        .align = sizeof(uint64_t),
                        .field_align = sizeof(uint64_t),
                        .name = "word",
                        .inline_mask = {1}};

/* ---- Making, registering, giving up ---- */

const char *gc_type_error(void)
{
    return type_error();
}

int gc_type_register(gc_type *type)
{
    return type_info(type) ? 0 : -errno;
}

gc_type *gc_type_create(const struct gc_type_spec *spec)
{
    if (spec)
        return type_create(spec);
    type_refuse("the specification is NULL");
    return NULL;
}

int gc_type_release(gc_type *type)
{
    bool own = type == &gc_pointer_type || type == &gc_word_type;
    return type && !own ? type_release(type) : -EINVAL;
}

/* ---- Equality and hashing ---- */

bool gc_type_equal(const gc_type *type, const void *a, const void *b)
{
    if (!type)
        return false;
    if (a == b)
        return true;
    if (!a || !b)
        return false;
    if (type->equal)
        return type->equal(a, b);
    return (type->tflag & GC_TFLAG_REGULAR_MEMORY) && memcmp(a, b, type->size) == 0;
}

uint64_t gc_type_hash(const gc_type *type, const void *object, uint64_t seed)
{
    if (!type)
        return 0;
    if (type->hash_object)
        return type->hash_object(object, seed);
    return type->tflag & GC_TFLAG_REGULAR_MEMORY ? type_hash_bytes(object, type->size, seed) : 0;
}

/* ---- Building programs ---- */

void gc_prog_begin(struct gc_prog *prog, void *buffer, size_t capacity)
{
    *prog = (struct gc_prog){buffer, 0, capacity, buffer ? 0 : -EINVAL};
}

static void prog_put(struct gc_prog *prog, size_t byte)
{
    if (prog->error)
        return;
    if (prog->size == prog->capacity)
        prog->error = -ENOSPC;
    else
        prog->bytes[prog->size++] = (uint8_t)byte;
}

static void prog_put_varint(struct gc_prog *prog, size_t n)
{
    for (; n >= 0x80; n >>= 7)
        prog_put(prog, (n & 0x7f) | 0x80);
    prog_put(prog, n);
}

void gc_prog_emit(struct gc_prog *prog, const uint64_t *bits, size_t n)
{
    for (size_t done = 0; done < n; done += 120) {
        size_t part = MIN_OF(n - done, (size_t)120);
        prog_put(prog, part);
        for (size_t i = 0; i < part; i += 8) {
            unsigned byte = 0;
            for (size_t j = i; j < MIN_OF(i + 8, part); j++)
                byte |= (unsigned)type_mask_bit(bits, done + j) << (j - i);
            prog_put(prog, byte);
        }
    }
}

void gc_prog_repeat(struct gc_prog *prog, size_t n, size_t count)
{
    if (n == 0 && !prog->error)
        prog->error = -EINVAL;
    if (n < 0x80) {
        prog_put(prog, n | 0x80);
    } else {
        prog_put(prog, 0x80);
        prog_put_varint(prog, n);
    }
    prog_put_varint(prog, count);
}

int gc_prog_end(struct gc_prog *prog)
{
    prog_put(prog, 0);
    return prog->error;
}
