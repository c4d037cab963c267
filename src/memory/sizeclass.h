/* Size classes: 0 is "large"; 1… are the cell sizes of small objects, in rising order. The tables
 * are computed at build time by mksizeclass.c (Go: mksizeclasses.go). */
#ifndef GC_SIZECLASS_H
#define GC_SIZECLASS_H

#include "base/bits.h"

#define SIZECLASS_COUNT 68 /* with class 0 */
#define SIZECLASS_MAX_SIZE 32768
#define SIZECLASS_MAX_PAGES 16 /* of a small span */

struct sizeclass {
    uint32_t size;   /* of a cell */
    uint32_t npages; /* of a span */
    uint32_t ncells; /* in a span */
    uint32_t magic;  /* offset * magic >> 32 == offset / size for all offsets in a span */
    uint16_t words;  /* of a cell, rounded down to whole words of the host */
};
extern const struct sizeclass sizeclass_table[SIZECLASS_COUNT];

/* Classes by size: index (size + 7) / 8 up to 1024 bytes, then 129 + (size - 1024 + 127) / 128. */
#define SIZECLASS_BY_8_MAX 1024
extern const uint8_t sizeclass_by_8[SIZECLASS_BY_8_MAX / 8 + 1];
extern const uint8_t sizeclass_by_128[(SIZECLASS_MAX_SIZE - SIZECLASS_BY_8_MAX) / 128 + 1];

/* 1 <= size <= SIZECLASS_MAX_SIZE. */
INLINE unsigned sizeclass_of(size_t size)
{
    return size <= SIZECLASS_BY_8_MAX ? sizeclass_by_8[(size + 7) / 8]
                                      : sizeclass_by_128[(size - SIZECLASS_BY_8_MAX + 127) / 128];
}

/* The smallest class whose cells hold `size` bytes and are aligned to `align` (a power of two, at
 * most a page); 0: only a large span will do. */
unsigned sizeclass_of_aligned(size_t size, size_t align);

/* A span class says what a span is for. It is size class << 1 | noscan. A third of the numbers, one
 * for each size class, is for traced objects: their type has a trace callback, and the last word of
 * the cell refers to the type. */
#define SPANCLASS_TRACED (SIZECLASS_COUNT * 2)
#define SPANCLASS_COUNT (SIZECLASS_COUNT * 3)
INLINE unsigned spanclass_make(unsigned sizeclass, bool noscan)
{
    return sizeclass << 1 | (unsigned)noscan;
}
INLINE unsigned spanclass_make_traced(unsigned sizeclass)
{
    return SPANCLASS_TRACED + sizeclass;
}
INLINE bool spanclass_traced(unsigned spanclass)
{
    return spanclass >= SPANCLASS_TRACED;
}
INLINE unsigned spanclass_size(unsigned spanclass)
{
    return spanclass_traced(spanclass) ? spanclass - SPANCLASS_TRACED : spanclass >> 1;
}
INLINE bool spanclass_noscan(unsigned spanclass)
{
    return (spanclass & 1) && !spanclass_traced(spanclass);
}

/* A page's class: PAGE_CLASS_FREE if no span in use lies there, else spanclass + 1. So zeroed
 * metadata reads as "free". page_class_info has the properties of each class. */
#define PAGE_CLASS_FREE 0
#define PAGE_CLASS_BITS 8
_Static_assert(SPANCLASS_COUNT < 1 << PAGE_CLASS_BITS,
               "a page class, 0 included, fits in its bits");
INLINE uint8_t page_class_of_span(unsigned spanclass)
{
    return (uint8_t)(spanclass + 1);
}
INLINE unsigned page_class_spanclass(unsigned page_class)
{
    return page_class - 1;
}

#define EDGE_NOSCAN 1  /* it holds no references */
#define EDGE_BY_PAGE 2 /* it may wait for its page to be scanned (I35) */
#define EDGE_KIND 3
struct page_class_info {
    uint32_t size;  /* of a cell; 0: large, or free */
    uint32_t magic; /* offset * magic >> 32 is the cell's number */
    uint16_t words;
    bool noscan, traced, large;
    uint8_t edge;    /* the low bits of an edge to a cell: EDGE_NOSCAN, EDGE_BY_PAGE */
    word plain_mask; /* one bit per word, for cells of up to BITS_PEEK words that are not traced;
                        else 0 */
};
extern const struct page_class_info page_class_info[SPANCLASS_COUNT + 1];

#endif
