/* Which allocations a profile samples: as if a point lay at random every `mean` bytes (a Poisson
 * process), and an object with a point in its cell were a sample. So each object is a sample with
 * probability 1 - e^(-size/mean), whatever is allocated beside it (I44).
 *
 * Each P has a sampler, of its cache's owner. A run ends before the cell that is to be a sample, so
 * that its allocation takes the slow path; no other allocation knows of samples. */
#ifndef GC_SAMPLER_H
#define GC_SAMPLER_H

#include "base/bits.h"
#include "memory/runindex.h"

/* What a heap's samplers go by. Atomic. */
struct sampling {
    uint32_t number; /* of the profile; 0: none is recorded */
    word mean;       /* bytes */
    u64 seed;
};

struct sampler {
    unsigned id;     /* of the P */
    uint32_t number; /* the profile for which the rest is good */
    uint64_t random;
    uint64_t rest; /* bytes to the next point, counted in cells that went into runs */
    bool taken;    /* the newest object is a sample. Its maker clears it */
    word due[RUN_INDEXES / WORD_BITS]; /* runs whose next cell is a sample; in words */
};

/* How many of n cells of `size` bytes the run of that index gets, at least 1. If the first is a
 * sample, it is the only one. */
size_t sampler_cut(struct sampler *s, const struct sampling *by, unsigned run, size_t size,
                   size_t n);
/* The same for an object that has a span of its own. */
void sampler_large(struct sampler *s, const struct sampling *by, size_t size);
/* All runs were given up. */
void sampler_forget_runs(struct sampler *s);

#endif
