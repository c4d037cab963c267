/* The heap bitmap: one bit per word, set where a slot may hold a reference. The only file that
 * knows its encoding. Writers own the span (see arena.h); readers are markers.
 *
 * A sink writes bits one after another, from the start of an object, across words and arenas; it
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
    word pending;    /* bits of the present map word below `at`; kept from neighbours too */
    uintptr_t last;  /* behind the last word whose bit was set; start if none */
};

void heapbits_begin(struct heapbits_sink *sink, const struct arena_index *index, uintptr_t object);
/* n bits (0…WORD_BITS), lowest first. */
void heapbits_emit(struct heapbits_sink *sink, word bits, size_t n);
void heapbits_emit_mask(struct heapbits_sink *sink, const word *mask, size_t n);
void heapbits_emit_zeros(struct heapbits_sink *sink, size_t n);
/* The n bits written last, count times more. */
void heapbits_repeat(struct heapbits_sink *sink, size_t n, size_t count);
/* Writes what is pending. Returns the end of the last reference word. */
uintptr_t heapbits_end(struct heapbits_sink *sink);

/* For slots of `words` words each of which has this mask: bit i of pattern[0] : pattern[1] is bit
 * i % words of the mask. Needs words <= WORD_BITS. */
void heapbits_pattern(word pattern[2], word mask, unsigned words);
/* Writes [from, from + words_total) with the pattern, in phase at `from`; inside one arena. */
void heapbits_fill(struct arena *a, uintptr_t from, size_t words_total, const word pattern[2],
                   unsigned words);

/* Copies the bits of one object to `count` more behind it. Objects of `words` words, a multiple of
 * WORD_BITS, which begin at a map word; inside one arena. */
void heapbits_copy(struct arena *a, uintptr_t object, size_t words, size_t count);

/* The up to WORD_BITS bits for the words at `address`, all in its arena. Any thread. */
INLINE word heapbits_load(const struct arena *a, uintptr_t address, size_t n)
{
    return bits_extract(a->heap, arena_bit(address), n);
}

#endif
