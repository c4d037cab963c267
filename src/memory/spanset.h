/* A set of spans to push to and pop from, by any thread (Go: mspanset.go). Not intrusive: a span
 * may be left in a set that no longer concerns it, and whoever pops it finds that out by its sweep
 * generation. */
#ifndef GC_SPANSET_H
#define GC_SPANSET_H

#include "memory/fixalloc.h"

struct gc_span;

#define SPANSET_BLOCK_SPANS 254

struct spanset_block {
    struct spanset_block *next;
    size_t n;
    struct gc_span *spans[SPANSET_BLOCK_SPANS];
};

struct spanset {
    struct lock lock;
    uint32_t count;              /* written under lock; read by anyone as a hint */
    struct spanset_block *top;   /* under lock; not empty, and alone in being perhaps not full */
    struct spanset_block *spare; /* one empty block kept; under lock */
};

/* Blocks for all sets of a heap. Its lock ranks above the sets'. */
struct spanset_pool {
    struct lock lock;
    struct fixalloc blocks;
};

void spanset_pool_init(struct spanset_pool *pool, struct persistent *memory);
void spanset_init(struct spanset *s);
/* false: no memory for a block; the set is as it was. */
bool spanset_push(struct spanset *s, struct spanset_pool *pool, struct gc_span *span);
/* NULL when empty. */
struct gc_span *spanset_pop(struct spanset *s, struct spanset_pool *pool);
INLINE size_t spanset_count(const struct spanset *s)
{
    return u32_load_relaxed(&s->count);
}

#endif
