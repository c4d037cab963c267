/* Shapes of objects that end in elements: arrays, and flexible objects. A shape says which of the
 * first SHAPE_WORDS words are slots if there are elements up to the end, and what these hold at
 * first. So all objects of one shape and size class have the same heap bits, however many elements
 * they have, and come from the same run; no word behind their elements is a reference (I30). Types
 * share a shape if their slots, and what these hold, are the same.
 *
 * All heaps share the shapes. Every call is made under LOCK_TYPES. */
#ifndef GC_SHAPE_H
#define GC_SHAPE_H

#include "base/bits.h"
#include "memory/runindex.h"

#define SHAPE_WORDS (GC_INLINE_BYTES_MAX / WORD_SIZE)

/* What the slots of a fresh object hold: see gc_type.fill. */
struct cell_fill {
    word head, rest; /* the first `head_words` words, and the others */
    size_t head_words;
    bool all; /* every word of the cell is a slot, and holds `rest`: it need not be zeroed before */
};
INLINE bool cell_fill_is_zero(const struct cell_fill *fill)
{
    return (fill->head | fill->rest) == 0;
}

struct cell_shape {
    word mask[SHAPE_WORDS / WORD_BITS]; /* which words are slots */
    struct cell_fill fill;
    unsigned runs;  /* the run index of size class c is runs + c */
    unsigned users; /* types, and pairs of types, that have this shape */
};

/* The shape with this mask and fill, which gets one more user; NULL: there are no run indexes
 * left. */
struct cell_shape *shape_take(const word *mask, struct cell_fill fill);
/* A user less. A shape without users becomes another one when one is needed: no heap can have runs
 * for it. NULL is ignored. */
void shape_drop(struct cell_shape *shape);

#endif
