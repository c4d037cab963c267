/* Small objects with a stamp in their first two words, an id and a check of that id: it shows when
 * an object was swept while it was wanted, or was written to by somebody else. */
#ifndef SHAPES_H
#define SHAPES_H

#include "gcheap.h"
#include "random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ids stay below 2^36, where no arena lies on a 64-bit host: they may stand in a slot and are no
 * reference. So may other numbers that are made plain; on a 32-bit host they are below 2^27. */
static inline uintptr_t shape_plain(uint64_t number)
{
    return (uintptr_t)(sizeof(void *) == sizeof number ? number : number & 0x7ffffff);
}
static inline uintptr_t shape_check_of(uint64_t id)
{
    return shape_plain(id * 0x9e3779b97f4a7c15u >> 34) | 1;
}

#define SHAPE_TYPE static __attribute__((unused))

struct shape_pair {
    uintptr_t id, check;
    void *a, *b;
};
SHAPE_TYPE GC_TYPE(shape_pair_type, struct shape_pair, a, b);

struct shape_triple {
    uintptr_t x;
    void *a, *b;
};
SHAPE_TYPE GC_TYPE(shape_triple_type, struct shape_triple, a, b);

struct shape_head {
    uintptr_t id, check;
    void *a;
};
SHAPE_TYPE GC_TYPE(shape_head_type, struct shape_head, a);
SHAPE_TYPE GC_TYPE_NOPTR(shape_byte_type, unsigned char);

#endif
