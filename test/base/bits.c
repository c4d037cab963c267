/* Bit arithmetic against one bit at a time. */
#include "base/bits.h"
#undef CHECK
#include "tap.h"

#define WORDS 5
#define BITS (WORDS * WORD_BITS)

static uint64_t state = 88172645463325252u;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static size_t random_below(size_t n)
{
    return (size_t)(random_bits() % n);
}

/* Sparse, dense, full and empty words. */
static word random_word(void)
{
    word a = (word)random_bits(), b = (word)random_bits();
    switch (random_below(6)) {
    case 0:
        return 0;
    case 1:
        return ~(word)0;
    case 2:
        return a & b & (word)random_bits();
    case 3:
        return a | b | (word)random_bits();
    default:
        return a;
    }
}

static void random_map(word *map)
{
    for (size_t i = 0; i < WORDS; i++)
        map[i] = random_word();
}

static bool naive_test(const word *map, size_t i)
{
    return map[i / WORD_BITS] >> i % WORD_BITS & 1;
}

static size_t naive_find(const word *map, size_t from, size_t to, bool value)
{
    while (from < to && naive_test(map, from) != value)
        from++;
    return from;
}

static size_t naive_count(const word *map, size_t from, size_t to)
{
    size_t n = 0;
    for (; from < to; from++)
        n += naive_test(map, from);
    return n;
}

TEST(single_words)
{
    for (int i = 0; i < 100000; i++) {
        word w = random_word();
        CHECK_EQ(bits_count(w), naive_count(&w, 0, WORD_BITS));
        if (w == 0)
            continue;
        CHECK_EQ(bits_trailing_zeros(w), naive_find(&w, 0, WORD_BITS, true));
        size_t high = WORD_BITS - 1;
        while (!naive_test(&w, high))
            high--;
        CHECK_EQ(bits_leading_zeros(w), WORD_BITS - 1 - high);
    }
}

TEST(masks)
{
    for (size_t from = 0; from < WORD_BITS; from++)
        for (size_t to = from; to <= WORD_BITS; to++) {
            word mask = bits_mask(from, to);
            for (size_t i = 0; i < WORD_BITS; i++)
                CHECK_EQ(mask >> i & 1, i >= from && i < to);
        }
}

TEST(test_set_clear)
{
    word map[WORDS], old[WORDS];
    random_map(map);
    for (int i = 0; i < 100000; i++) {
        size_t bit = random_below(BITS);
        memcpy(old, map, sizeof map);
        CHECK_EQ(bits_test(map, bit), naive_test(map, bit));
        bool set = random_below(2);
        (set ? bits_set : bits_clear)(map, bit);
        CHECK_EQ(bits_test(map, bit), set);
        old[bit / WORD_BITS] ^= map[bit / WORD_BITS];
        CHECK((old[bit / WORD_BITS] & ~((word)1 << bit % WORD_BITS)) == 0);
    }
}

TEST(extract_reads_no_further_than_it_must)
{
    for (int i = 0; i < 100000; i++) {
        word map[WORDS];
        random_map(map);
        size_t count = 1 + random_below(WORD_BITS), from = random_below(BITS - count + 1);
        size_t words = divide_up(from + count, WORD_BITS);
        word *exact = malloc(words * sizeof(word)); /* so that a sanitizer sees a word too many */
        memcpy(exact, map, words * sizeof(word));
        word got = bits_extract(exact, from, count);
        free(exact);
        for (size_t j = 0; j < WORD_BITS; j++)
            CHECK_EQ(got >> j & 1, j < count && naive_test(map, from + j));
    }
}

TEST(find_and_count_in_ranges)
{
    for (int i = 0; i < 200000; i++) {
        word map[WORDS];
        random_map(map);
        size_t from = random_below(BITS + 1), to = from + random_below(BITS - from + 1);
        CHECK_EQ(bits_find_set(map, from, to), naive_find(map, from, to, true));
        CHECK_EQ(bits_find_clear(map, from, to), naive_find(map, from, to, false));
        CHECK_EQ(bits_count_range(map, from, to), naive_count(map, from, to));
    }
}

TEST(set_and_clear_ranges)
{
    for (int i = 0; i < 50000; i++) {
        word map[WORDS], old[WORDS];
        random_map(map);
        memcpy(old, map, sizeof map);
        size_t from = random_below(BITS + 1), to = from + random_below(BITS - from + 1);
        bool set = random_below(2);
        (set ? bits_set_range : bits_clear_range)(map, from, to);
        for (size_t j = 0; j < BITS; j++)
            CHECK_EQ(naive_test(map, j), j >= from && j < to ? set : naive_test(old, j));
    }
}

TAP_MAIN
