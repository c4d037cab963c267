/* The profile of a heap: who has allocated its samples (sampler.h), and how many of these have
 * died.
 *
 * Samples of one size and one stack are counted together. The counts are raw: how many objects a
 * sample stands for follows from its size and the mean distance of samples, which are written
 * beside it. */
#ifndef GC_PROFILE_H
#define GC_PROFILE_H

#include "base/output.h"
#include "base/place.h"
#include "mutator/heap.h"

#define PROFILE_CHAINS 4096
#define PROFILE_NATIVE 64 /* frames */
#define PROFILE_TOLD 64
#define PROFILE_TEXT 2048 /* bytes of the told frames' strings */

struct profile_site;

struct profile {
    struct lock lock;                            /* LOCK_NOTES: chains, options */
    struct gc_profile_options options;           /* under lock */
    u64 lost;                                    /* samples that there was no memory for; atomic */
    struct profile_site *chains[PROFILE_CHAINS]; /* by hash; read without the lock: sites are put in
                                                    front, and stay */
};

/* Records from now on. Returns 0 or -ENOMEM. */
int profile_record(gc_heap *heap, const struct gc_profile_options *options);
/* Records no more. */
void profile_end(gc_heap *heap);
/* An allocation by the thread has made a sample. Called before the thread's next safepoint. `sp` is
 * an address in the frame of the public call. */
void profile_sampled(gc_thread *t, void *object, uintptr_t sp);
void profile_print(const struct profile *profile, struct output *o);
/* No thread uses the heap any more, and its specials are gone. */
void profile_destroy(gc_heap *heap);

#endif
