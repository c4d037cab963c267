/* Run indexes: which of a P's runs an allocation takes its cell from. All heaps share the numbers.
 * An index belongs to one span class for ever. */
#ifndef GC_RUNINDEX_H
#define GC_RUNINDEX_H

#include "gcheap.h"
#include "memory/sizeclass.h"

/* The classes whose objects the inline paths make: sizes up to GC_INLINE_BYTES_MAX. With class 0,
 * of which there are no cells. */
#define RUN_INLINE_CLASSES GC_INLINE_CLASSES

/* The first indexes are always empty. They are what an inline path finds that knows no index yet:
 * index 0, or the index of a class in a block of indexes that begins at 0. Each of the following
 * has one index per size class, in this order: noscan types, noscan ones that are not zeroed, types
 * of variable shape, traced types. Behind them come one index for each registered type with
 * references, and up to RUN_BLOCKS blocks, one for each shape (see shape.h), while there are
 * indexes left. Blocks leave at least half of the indexes to types. */
#define RUN_NOSCAN RUN_INLINE_CLASSES
#define RUN_RAW (RUN_NOSCAN + SIZECLASS_COUNT)
#define RUN_VARIABLE (RUN_RAW + SIZECLASS_COUNT)
#define RUN_TRACED (RUN_VARIABLE + SIZECLASS_COUNT)
#define RUN_TYPES (RUN_TRACED + SIZECLASS_COUNT)
#define RUN_INDEXES 4096
#define RUN_BLOCKS 56
_Static_assert(RUN_TYPES < RUN_INDEXES && RUN_INDEXES - 1 <= UINT16_MAX, "lists of run indexes");
_Static_assert(RUN_BLOCKS *RUN_INLINE_CLASSES <= (RUN_INDEXES - RUN_TYPES) / 2, "half of them");
/* What the inline paths of gcheap.h know of them. */
_Static_assert(GC_RUNS_BYTES == RUN_NOSCAN && GC_RUNS_RAW == RUN_RAW, "gc_new_bytes");
_Static_assert(GC_RUNS_MAX == RUN_INDEXES, "gc_type.tail");

/* The first and the next of the run indexes of a span class; 0: no more. Any thread, as an index
 * never leaves the list. */
unsigned runindex_first(unsigned spanclass);
unsigned runindex_next(unsigned run);
/* Whether objects of several types come from the same run. Any thread that knows the index. */
bool runindex_is_shared(unsigned run);

/* Takes an index of that span class for one type; 0: there are no more. Under LOCK_TYPES, as are
 * the next two. */
unsigned runindex_take(unsigned spanclass);
/* Gives it back. No heap has runs for it any more. */
void runindex_give(unsigned run);
/* Takes a block for ever: index `block` + c belongs to size class c, for objects with references.
 * 0: there are no more. */
unsigned runindex_take_block(void);

#endif
