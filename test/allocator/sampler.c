/* Which allocations are samples (I44): each object with probability 1 - e^(-size/mean), whatever is
 * allocated beside it. All is decided by a seed, so each test has one outcome. */
#include "allocator/sampler.h"
#include <math.h>
#include "random.h"
#include "tap.h"

/* ---- A P that allocates ---- */

/* A run: how many cells are left in it. The library gives up to a page of cells at once. */
struct run {
    size_t size, left;
    bool due; /* its only cell is a sample */
    double objects, samples;
};

static struct sampler sampler;
static struct sampling sampling;

static void set_up(uint64_t seed, size_t mean)
{
    memset(&sampler, 0, sizeof sampler);
    sampling = (struct sampling){1, mean, seed};
}

static void allocate(struct run *runs, size_t i)
{
    struct run *r = &runs[i];
    if (r->left == 0) {
        r->left = sampler_cut(&sampler, &sampling, (unsigned)i, r->size, 8192 / r->size);
        CHECK(r->left >= 1 && r->left <= 8192 / r->size);
        r->due = sampler.taken;
        sampler.taken = false;
    }
    r->left--;
    r->objects++;
    r->samples += r->due;
    r->due = false;
}

static void give_up(struct run *runs, size_t n)
{
    sampler_forget_runs(&sampler);
    for (size_t i = 0; i < n; i++)
        runs[i].left = 0;
}

/* How far the number of samples is from what is expected, in standard deviations. */
static double deviation(const struct run *r)
{
    double p = -expm1(-(double)r->size / (double)sampling.mean);
    double expected = r->objects * p;
    return (r->samples - expected) / sqrt(expected * (1 - p));
}

static void check_unbiased(const struct run *runs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        diag("%zu bytes: %.0f of %.0f, off by %.2f", runs[i].size, runs[i].samples, runs[i].objects,
             deviation(&runs[i]));
        CHECK(runs[i].samples > 300 && fabs(deviation(&runs[i])) < 4);
    }
}

/* ---- Tests ---- */

TEST(one_size)
{
    struct run r[] = {{.size = 64}};
    set_up(1, 64 << 10);
    for (int i = 0; i < 4000000; i++)
        allocate(r, 0);
    check_unbiased(r, 1);
}

/* The run of a small class lasts for many refills of a large one. The sample that lies in it must
 * not go to the other. */
TEST(sizes_beside_each_other)
{
    struct run r[] = {{.size = 16}, {.size = 1024}, {.size = 8192}, {.size = 48}};
    set_up(2, 64 << 10);
    for (int i = 0; i < 4000000; i++) {
        allocate(r, 0);
        if (i % 8 == 0)
            allocate(r, 1);
        if (i % 64 == 0)
            allocate(r, 2);
        if (i % 2 == 0)
            allocate(r, 3);
    }
    check_unbiased(r, 4);
}

/* Bytes that were in runs and were not handed out are no samples, and take none from others. */
TEST(runs_that_are_given_up)
{
    struct run r[] = {{.size = 32}, {.size = 512}};
    set_up(3, 64 << 10);
    for (int i = 0; i < 6000000; i++) {
        allocate(r, 0);
        if (i % 32 == 0)
            allocate(r, 1);
        if (i % 700 == 0)
            give_up(r, 2);
    }
    check_unbiased(r, 2);
}

/* The sizes come at random, too. */
TEST(sizes_at_random)
{
    struct run r[] = {{.size = 16}, {.size = 128}, {.size = 4096}};
    uint64_t state = 4;
    set_up(4, 32 << 10);
    for (int i = 0; i < 2000000; i++) {
        uint64_t n = random_next(&state) % 20;
        allocate(r, n < 15 ? 0 : n < 19 ? 1 : 2);
    }
    check_unbiased(r, 3);
}

TEST(large_objects)
{
    struct run r[] = {{.size = 40960}, {.size = 1 << 20}};
    set_up(5, 512 << 10);
    for (int i = 0; i < 100000; i++) {
        for (int k = 0; k < 2; k++) {
            sampler_large(&sampler, &sampling, r[k].size);
            r[k].objects++;
            r[k].samples += sampler.taken;
            sampler.taken = false;
        }
    }
    check_unbiased(r, 2);
}

/* The distances have the mean and the spread of an exponential distribution. */
TEST(distances)
{
    double sum = 0, squares = 0, below = 0;
    enum { N = 200000 };
    set_up(6, 1000000);
    for (int i = 0; i < N; i++) {
        sampler.number = 0;
        sampling.seed = (uint64_t)i;
        sampler_large(&sampler, &sampling, 1);
        double x = (double)(sampler.rest + 1) / 1e6;
        sum += x;
        squares += x * x;
        below += x < 0.5;
    }
    CHECK(fabs(sum / N - 1) < 0.01);
    CHECK(fabs(squares / N - 2) < 0.05);
    CHECK(fabs(below / N + expm1(-0.5)) < 0.005);
}

TEST(nothing_is_recorded)
{
    set_up(7, 1);
    sampling.number = 0;
    CHECK_EQ(sampler_cut(&sampler, &sampling, 1, 16, 512), 512);
    sampler_large(&sampler, &sampling, 1 << 20);
    CHECK(!sampler.taken);
}

/* With a mean of 1 byte nearly all objects are samples. */
TEST(a_mean_of_one_byte)
{
    struct run r[] = {{.size = 16}};
    set_up(8, 1);
    for (int i = 0; i < 1000; i++)
        allocate(r, 0);
    CHECK(r->samples == 1000);
}

/* A new profile is not bound by the distance that the last one drew. */
TEST(another_profile)
{
    set_up(9, (size_t)1 << (WORD_BITS == 64 ? 40 : 30));
    CHECK_EQ(sampler_cut(&sampler, &sampling, 1, 16, 512), 512);
    sampling.mean = 1;
    sampling.number = 2;
    CHECK_EQ(sampler_cut(&sampler, &sampling, 1, 16, 512), 1);
    CHECK(sampler.taken);
}

TAP_MAIN
