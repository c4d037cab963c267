/* The heap bitmap: one bit per word, set where the word may hold a reference. No other file knows
 * its encoding. Only the owner of a span writes its bits (see arena.h); markers read them.
 *
 * A sink writes bits one after another, from the start of an object, across words and arenas. It
 * can repeat what it has written, which is all that arrays, repeated types and GC programs need.
 */
#ifndef GC_HEAPBITS_H
#define GC_HEAPBITS_H

#include "memory/arena.h"

struct heapbits_sink {
    const struct arena_index *index;
    struct arena *arena;
    uintptr_t start; /* the object */
    uintptr_t at;    /* the word that the next bit stands for */
    word pending;    /* bits of the current map word below `at`, those of neighbours included */
    uintptr_t last;  /* end of the last word whose bit was set; start: there is none */
};

void heapbits_begin(struct heapbits_sink *sink, const struct arena_index *index, uintptr_t object);
/* n bits (0…WORD_BITS), lowest first. */
void heapbits_emit(struct heapbits_sink *sink, word bits, size_t n);
void heapbits_emit_mask(struct heapbits_sink *sink, const word *mask, size_t n);
void heapbits_emit_zeros(struct heapbits_sink *sink, size_t n);
/* Repeats the n bits that were written last, `count` times. */
void heapbits_repeat(struct heapbits_sink *sink, size_t n, size_t count);
/* Writes what is pending. Returns the end of the last reference word. */
uintptr_t heapbits_end(struct heapbits_sink *sink);

/* Makes the pattern for cells of `words` words that all have this mask: bit i of pattern[0] :
 * pattern[1] is bit i % words of the mask. words <= WORD_BITS. */
void heapbits_pattern(word pattern[2], word mask, unsigned words);
/* Writes the bits of [from, from + words_total) by the pattern, which begins at `from`. The range
 * lies in one arena. */
void heapbits_fill(struct arena *a, uintptr_t from, size_t words_total, const word pattern[2],
                   unsigned words);

/* Stores the value to each word of [from, end) whose bit is set. The memory is the caller's. */
void heapbits_store(const struct arena_index *index, uintptr_t from, uintptr_t end, word value);

/* Copies the bits of one object to the `count` objects behind it. Each has `words` words, a
 * multiple of WORD_BITS, and begins at a map word. All lie in one arena. */
void heapbits_copy(struct arena *a, uintptr_t object, size_t words, size_t count);

/* The bits of the n (up to WORD_BITS) words at `address`, which lie in one arena. Any thread. */
INLINE word heapbits_load(const struct arena *a, uintptr_t address, size_t n)
{
    return bits_extract(a->heap, arena_bit(address), n);
}

#endif
