#include "memory/heapbits.h"

static size_t sink_shift(const struct heapbits_sink *sink)
{
    return arena_bit(sink->at) % WORD_BITS;
}

static word *sink_word(const struct heapbits_sink *sink)
{
    return &sink->arena->heap[arena_bit(sink->at) / WORD_BITS];
}

void heapbits_begin(struct heapbits_sink *sink, const struct arena_index *index, uintptr_t object)
{
    *sink = (struct heapbits_sink){index, arena_of(index, object), object, object, 0, object};
    size_t shift = sink_shift(sink);
    sink->pending = shift ? *sink_word(sink) & bits_mask(0, shift) : 0;
}

/* Called when `at` has reached a new map word, perhaps of the next arena. */
static void sink_next_word(struct heapbits_sink *sink)
{
    sink->pending = 0;
    if (arena_bit(sink->at) == 0)
        sink->arena = arena_of(sink->index, sink->at);
}

void heapbits_emit(struct heapbits_sink *sink, word bits, size_t n)
{
    if (n == 0)
        return;
    bits &= bits_mask(0, n);
    if (bits)
        sink->last = sink->at + ((WORD_BITS - bits_leading_zeros(bits)) << WORD_SHIFT);
    size_t shift = sink_shift(sink), room = WORD_BITS - shift;
    sink->pending |= bits << shift;
    if (n < room) {
        sink->at += n << WORD_SHIFT;
        return;
    }
    word_store_relaxed(sink_word(sink), sink->pending);
    sink->at += room << WORD_SHIFT;
    sink_next_word(sink);
    if (n == room)
        return;
    sink->pending = bits >> room % WORD_BITS; /* room < n <= WORD_BITS */
    sink->at += (n - room) << WORD_SHIFT;
}

void heapbits_emit_mask(struct heapbits_sink *sink, const word *mask, size_t n)
{
    for (; n >= WORD_BITS; n -= WORD_BITS)
        heapbits_emit(sink, *mask++, WORD_BITS);
    if (n)
        heapbits_emit(sink, *mask, n);
}

void heapbits_emit_zeros(struct heapbits_sink *sink, size_t n)
{
    for (; n >= WORD_BITS; n -= WORD_BITS)
        heapbits_emit(sink, 0, WORD_BITS);
    heapbits_emit(sink, 0, n);
}

/* The n (1…WORD_BITS) bits that were written `back` bits ago. */
static word sink_read_back(const struct heapbits_sink *sink, size_t back, size_t n)
{
    uintptr_t from = sink->at - (back << WORD_SHIFT);
    word bits = 0;
    for (size_t done = 0; done < n;) {
        uintptr_t at = from + (done << WORD_SHIFT);
        size_t shift = arena_bit(at) % WORD_BITS;
        size_t take = MIN_OF(n - done, WORD_BITS - shift);
        uintptr_t map_word_start = at - (shift << WORD_SHIFT);
        bool is_pending = sink->at - map_word_start < WORD_BITS << WORD_SHIFT;
        const struct arena *a = arena_of(sink->index, at);
        word source = is_pending ? sink->pending : a->heap[arena_bit(at) / WORD_BITS];
        bits |= (source >> shift & bits_mask(0, take)) << done;
        done += take;
    }
    return bits;
}

/* A short period: widen it to as many whole periods as a word holds, then emit words. */
static void repeat_short(struct heapbits_sink *sink, size_t n, size_t total)
{
    word unit = sink_read_back(sink, n, n);
    size_t have = n;
    while (have * 2 <= WORD_BITS) {
        unit |= unit << have;
        have *= 2;
    }
    for (; total >= have; total -= have)
        heapbits_emit(sink, unit, have);
    heapbits_emit(sink, unit, total);
}

void heapbits_repeat(struct heapbits_sink *sink, size_t n, size_t count)
{
    size_t total = n * count;
    if (n == 0 || total == 0)
        return;
    if (n <= WORD_BITS) {
        repeat_short(sink, n, total);
        return;
    }
    while (total > 0) {
        size_t take = MIN_OF(total, WORD_BITS);
        heapbits_emit(sink, sink_read_back(sink, n, take), take);
        total -= take;
    }
}

uintptr_t heapbits_end(struct heapbits_sink *sink)
{
    size_t shift = sink_shift(sink);
    if (shift) {
        word *map = sink_word(sink);
        word_store_relaxed(map, sink->pending | (*map & ~bits_mask(0, shift)));
    }
    return sink->last;
}

void heapbits_pattern(word pattern[2], word mask, unsigned words)
{
    word low = mask & bits_mask(0, words);
    for (unsigned have = words; have < WORD_BITS; have += have)
        low |= low << have;
    unsigned phase = WORD_BITS % words; /* of the second word */
    word high = low >> phase;
    pattern[0] = low;
    pattern[1] = phase ? high | high << (WORD_BITS - phase) : low;
}

static void store_bits(word *map, size_t shift, size_t n, word bits)
{
    word mask = bits_mask(shift, shift + n);
    word_store_relaxed(map, (*map & ~mask) | (bits << shift & mask));
}

/* The pattern from bit `phase` on. */
static word phased(const word pattern[2], unsigned phase)
{
    return phase ? pattern[0] >> phase | pattern[1] << (WORD_BITS - phase) : pattern[0];
}

void heapbits_fill(struct arena *a, uintptr_t from, size_t words_total, const word pattern[2],
                   unsigned words)
{
    size_t bit = arena_bit(from), shift = bit % WORD_BITS, left = words_total;
    word *map = &a->heap[bit / WORD_BITS];
    unsigned phase = 0, step = WORD_BITS % words;
    if (shift) {
        size_t n = MIN_OF(left, WORD_BITS - shift);
        store_bits(map++, shift, n, pattern[0]);
        phase = (unsigned)n % words;
        left -= n;
    }
    for (; left >= WORD_BITS; left -= WORD_BITS) {
        word_store_relaxed(map++, phased(pattern, phase));
        phase += step;
        phase -= phase >= words ? words : 0;
    }
    if (left)
        store_bits(map, 0, left, phased(pattern, phase));
}

void heapbits_copy(struct arena *a, uintptr_t object, size_t words, size_t count)
{
    ASSERT(words % WORD_BITS == 0 && arena_bit(object) % WORD_BITS == 0);
    size_t period = words / WORD_BITS;
    word *map = &a->heap[arena_bit(object) / WORD_BITS];
    for (size_t i = 0; i < period * count; i++)
        word_store_relaxed(&map[period + i], map[i]);
}

static void store_to_slots(word *p, word slots, word value)
{
    if (slots == ~(word)0) {
        for (size_t i = 0; i < WORD_BITS; i++)
            p[i] = value;
        return;
    }
    for (; slots; slots &= slots - 1)
        p[bits_trailing_zeros(slots)] = value;
}

void heapbits_store(const struct arena_index *index, uintptr_t from, uintptr_t end, word value)
{
    for (size_t n; from < end; from += n << WORD_SHIFT) {
        n = MIN_OF(WORD_BITS - arena_bit(from) % WORD_BITS, (end - from) >> WORD_SHIFT);
        store_to_slots((word *)from, heapbits_load(arena_of(index, from), from, n), value);
    }
}
