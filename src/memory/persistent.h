/* Off-heap memory that lives as long as its heap: a linear (bump) allocator over chunks from the OS
 * (Go: persistentalloc). Any thread may call; the lock has rank LOCK_PERSISTENT. */
#ifndef GC_PERSISTENT_H
#define GC_PERSISTENT_H

#include "base/lock.h"

struct persistent_chunk;

struct persistent {
    struct lock lock;
    struct persistent_chunk *chunks; /* all of them, to be unmapped; under lock */
    char *cursor, *limit;            /* free part of the newest shared chunk; under lock */
    size_t bytes;                    /* mapped; written under lock, read by any thread */
};

void persistent_init(struct persistent *p);
/* Unmaps all. No other thread may use the allocator any more. */
void persistent_destroy(struct persistent *p);
/* Bytes mapped. */
INLINE size_t persistent_bytes(const struct persistent *p)
{
    return word_load_relaxed(&p->bytes);
}
/* Zeroed memory, aligned to `align` (a power of two, at most a page). NULL: out of memory. */
void *persistent_alloc(struct persistent *p, size_t size, size_t align);

#endif
