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

/* Ids stay below 2^36, where no arena lies: they may stand in a slot and are no reference. */
static inline uint64_t shape_check_of(uint64_t id)
{
    return (id * 0x9e3779b97f4a7c15u >> 34) | 1;
}

#define SHAPE_TYPE static __attribute__((unused))

struct shape_pair {
    uint64_t id, check;
    void *a, *b;
};
SHAPE_TYPE GC_TYPE(shape_pair_type, struct shape_pair, a, b);

struct shape_triple {
    uint64_t x;
    void *a, *b;
};
SHAPE_TYPE GC_TYPE(shape_triple_type, struct shape_triple, a, b);

struct shape_head {
    uint64_t id, check;
    void *a;
};
SHAPE_TYPE GC_TYPE(shape_head_type, struct shape_head, a);
SHAPE_TYPE GC_TYPE_NOPTR(shape_byte_type, unsigned char);

#endif
