#include "base/bits.h"

/* Calls `body` for each map word w that [from, to) touches; `mask` has the bits of the range in
 * w. */
#define FOR_RANGE(from, to, w, mask, body)                                                         \
    for (size_t i_ = (from), to_ = (to); i_ < to_;) {                                              \
        size_t w = i_ / WORD_BITS, lo_ = i_ % WORD_BITS;                                           \
        size_t hi_ = MIN_OF(WORD_BITS, lo_ + (to_ - i_));                                          \
        word mask = bits_mask(lo_, hi_);                                                           \
        body;                                                                                      \
        i_ += hi_ - lo_;                                                                           \
    }

void bits_set_range(word *map, size_t from, size_t to)
{
    FOR_RANGE(from, to, w, mask, word_store_relaxed(&map[w], map[w] | mask))
}

void bits_clear_range(word *map, size_t from, size_t to){
    FOR_RANGE(from, to, w, mask, word_store_relaxed(&map[w], map[w] & ~mask))}

size_t bits_count_range(const word *map, size_t from, size_t to)
{
    size_t n = 0;
    FOR_RANGE(from, to, w, mask, n += bits_count(word_load_relaxed(&map[w]) & mask))
    return n;
}

/* First bit in [from, to) of map ^ flip that is set. */
static size_t find(const word *map, size_t from, size_t to, word flip)
{
    FOR_RANGE(from, to, w, mask, {
        word found = (word_load_relaxed(&map[w]) ^ flip) & mask;
        if (found)
            return w * WORD_BITS + bits_trailing_zeros(found);
    })
    return to;
}

size_t bits_find_set(const word *map, size_t from, size_t to)
{
    return find(map, from, to, 0);
}
size_t bits_find_clear(const word *map, size_t from, size_t to)
{
    return find(map, from, to, ~(word)0);
}
