#include "memory/sizeclass.h"
#include "sizeclass_table.h"
#include "gcheap.h"

const struct sizeclass sizeclass_table[SIZECLASS_COUNT] = {SIZECLASS_TABLE};
const uint8_t sizeclass_by_8[] = {0, 1, SIZECLASS_TABLE_BY_8_FROM_16};
const uint8_t sizeclass_by_128[] = {SIZECLASS_TABLE_BY_128_FROM_1024};
_Static_assert(sizeof sizeclass_by_8 == SIZECLASS_BY_8_MAX / 8 + 1 &&
                   sizeof sizeclass_by_128 == (SIZECLASS_MAX_SIZE - SIZECLASS_BY_8_MAX) / 128 + 1,
               "mksizeclass.c prints an entry for each step");

#define PLAIN(words, traced) ((words) > 0 && (words) <= BITS_PEEK && !(traced))
#define EDGE(words, noscan, traced)                                                                \
    ((noscan) ? EDGE_NOSCAN : PLAIN(words, traced) && (words) >= 2 ? EDGE_BY_PAGE : 0)
#define PAGE_CLASS(size, magic, noscan, traced)                                                    \
    {                                                                                              \
        size, magic, (size) / WORD_SIZE, noscan, traced, (size) == 0,                              \
            EDGE((size) / WORD_SIZE, noscan, traced),                                              \
            PLAIN((size) / WORD_SIZE, traced)                                                      \
                ? ~(word)0 >> (WORD_BITS - (size) / WORD_SIZE) % WORD_BITS                         \
                : 0                                                                                \
    }
const struct page_class_info page_class_info[SPANCLASS_COUNT + 1] = {PAGE_CLASS_TABLE};

const uint8_t gc_class_by_8[] = {0, 1, SIZECLASS_TABLE_BY_8_FROM_16};
_Static_assert(GC_INLINE_BYTES_MAX == SIZECLASS_BY_8_MAX && SIZECLASS_COUNT - 1 <= UINT8_MAX,
               "gcheap.h: the same table");

/* Spans begin at pages, so each cell is aligned to every power of two that divides the size. */
unsigned sizeclass_of_aligned(size_t size, size_t align)
{
    if (size > SIZECLASS_MAX_SIZE || align > PAGE_SIZE)
        return 0;
    unsigned c = sizeclass_of(MAX_OF(size, (size_t)1));
    while (c < SIZECLASS_COUNT && (sizeclass_table[c].size & (align - 1)) != 0)
        c++;
    return c < SIZECLASS_COUNT ? c : 0;
}
