#include "allocator/sampler.h"

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

/* Exponential with mean 1, by von Neumann's method, which compares uniform numbers and needs no
 * logarithm. If x is the first of a falling sequence, the sequence has an even length, with the
 * number that breaks it, with probability e^-x. Otherwise another sequence begins 1 further. */
static double exponential(uint64_t *state)
{
    for (unsigned whole = 0;; whole++) {
        double first = uniform(state), last = first, next = uniform(state);
        unsigned length = 2;
        for (; next < last; length++) {
            last = next;
            next = uniform(state);
        }
        if (length % 2 == 0)
            return whole + first;
    }
}

static void draw(struct sampler *s, word mean)
{
    s->rest = (uint64_t)(exponential(&s->random) * (double)mean);
}

static bool is_recorded(struct sampler *s, const struct sampling *by)
{
    uint32_t number = u32_load_acquire(&by->number);
    if (number && number != s->number) {
        s->number = number;
        s->random = u64_load_relaxed(&by->seed) + s->id;
        sampler_forget_runs(s);
        draw(s, word_load_relaxed(&by->mean));
    }
    return number != 0;
}

/* I44. */
size_t sampler_cut(struct sampler *s, const struct sampling *by, unsigned run, size_t size,
                   size_t n)
{
    if (!is_recorded(s, by))
        return n;
    if (bits_test(s->due, run)) {
        bits_clear(s->due, run);
        s->taken = true;
        return 1;
    }
    uint64_t before = s->rest / size;
    if (before >= n) {
        s->rest -= n * size;
        return n;
    }
    draw(s, word_load_relaxed(&by->mean));
    if (before > 0) {
        bits_set(s->due, run);
        return (size_t)before;
    }
    s->taken = true;
    return 1;
}

void sampler_large(struct sampler *s, const struct sampling *by, size_t size)
{
    if (!is_recorded(s, by))
        return;
    s->taken = s->rest < size;
    if (s->taken)
        draw(s, word_load_relaxed(&by->mean));
    else
        s->rest -= size;
}

void sampler_forget_runs(struct sampler *s)
{
    memset(s->due, 0, sizeof s->due);
}
