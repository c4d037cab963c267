/* Bit arithmetic over words: no heap state. Bit i of a map is bit i % WORD_BITS of its word
 * i / WORD_BITS. Maps that several threads write are changed with the atomic forms only. */
#ifndef GC_BITS_H
#define GC_BITS_H

#include "base/atomics.h"

/* Not where a long has 32 bits and a word 64. */
#define WORD_IS_LONG (ULONG_MAX == UINTPTR_MAX)

INLINE unsigned bits_trailing_zeros(word w)
{
    return WORD_IS_LONG ? (unsigned)__builtin_ctzl((unsigned long)w) : (unsigned)__builtin_ctzll(w);
}
INLINE unsigned bits_leading_zeros(word w)
{
    return WORD_IS_LONG ? (unsigned)__builtin_clzl((unsigned long)w) : (unsigned)__builtin_clzll(w);
}
/* Counted in line, as some of the processors that the library is compiled for have no
 * instruction. */
INLINE unsigned bits_count(word w)
{
    const word ones = ~(word)0;
    w -= w >> 1 & ones / 3;
    w = (w & ones / 5) + (w >> 2 & ones / 5);
    w = (w + (w >> 4)) & ones / 17;
    return (unsigned)(w * (ones / 255) >> (WORD_BITS - 8));
}

/* Bits [from, to) of a word; 0 <= from <= to <= WORD_BITS, from < WORD_BITS. */
INLINE word bits_mask(size_t from, size_t to)
{
    return to == from ? 0 : (~(word)0 >> (WORD_BITS - (to - from))) << from;
}

INLINE bool bits_test(const word *map, size_t i)
{
    return word_load_relaxed(&map[i / WORD_BITS]) >> (i % WORD_BITS) & 1;
}
/* One thread writes the map word; others may read it meanwhile. */
INLINE void bits_set(word *map, size_t i)
{
    word *w = &map[i / WORD_BITS];
    word_store_relaxed(w, *w | (word)1 << (i % WORD_BITS));
}
INLINE void bits_clear(word *map, size_t i)
{
    word *w = &map[i / WORD_BITS];
    word_store_relaxed(w, *w & ~((word)1 << (i % WORD_BITS)));
}

/* The word of `count` (1…WORD_BITS) bits that begins at bit i. Relaxed. Map word i / WORD_BITS + 1
 * is read only if the range reaches it. */
INLINE word bits_extract(const word *map, size_t i, size_t count)
{
    size_t w = i / WORD_BITS, shift = i % WORD_BITS;
    word low = word_load_relaxed(&map[w]) >> shift;
    if (shift + count > WORD_BITS)
        low |= word_load_relaxed(&map[w + 1]) << (WORD_BITS - shift);
    return count == WORD_BITS ? low : low & (((word)1 << count) - 1);
}

/* At least BITS_PEEK bits from bit i on; the higher bits of the result are undefined. Other threads
 * may write neighbouring bits at the same time. The fast form is one load that may straddle two map
 * words; sanitizers would report it. */
#define BITS_PEEK (WORD_BITS - 7)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && !defined(GC_ATOMICS_C11)
INLINE word bits_peek(const word *map, size_t i)
{
    word bits;
    memcpy(&bits, (const char *)map + i / 8, sizeof bits);
    return bits >> i % 8;
}
#else
INLINE word bits_peek(const word *map, size_t i)
{
    return bits_extract(map, i, BITS_PEEK);
}
#endif

/* For ranges [from, to) of a map that only the caller writes; no atomic operations. */
void bits_set_range(word *map, size_t from, size_t to);
void bits_clear_range(word *map, size_t from, size_t to);
size_t bits_count_range(const word *map, size_t from, size_t to);
/* The first bit in [from, to) that is set (or clear); `to` if there is none. */
size_t bits_find_set(const word *map, size_t from, size_t to);
size_t bits_find_clear(const word *map, size_t from, size_t to);

#endif
