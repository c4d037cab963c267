/* Shapes of objects that end in elements: arrays, and flexible objects. A shape says which of the
 * first SHAPE_WORDS words are slots if there are elements up to the end. So all objects of one
 * shape and size class have the same heap bits, however many elements they have, and come from the
 * same run; the words behind their elements are 0 (I30). Types share a shape if their slots are the
 * same.
 *
 * All heaps share the shapes. Every call is made under LOCK_TYPES. */
#ifndef GC_SHAPE_H
#define GC_SHAPE_H

#include "base/bits.h"
#include "memory/runindex.h"

#define SHAPE_WORDS (GC_INLINE_BYTES_MAX / WORD_SIZE)

struct cell_shape {
    word mask[SHAPE_WORDS / WORD_BITS]; /* which words are slots */
    unsigned runs;                      /* the run index of size class c is runs + c */
    unsigned users;                     /* types, and pairs of types, that have this shape */
};

/* The shape with this mask, which gets one more user; NULL: there are no run indexes left. */
struct cell_shape *shape_take(const word *mask);
/* A user less. A shape without users becomes another one when one is needed: no heap can have runs
 * for it. NULL is ignored. */
void shape_drop(struct cell_shape *shape);

#endif
