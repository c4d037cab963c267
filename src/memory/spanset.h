/* A set of spans. Any thread pushes and pops (Go: mspanset.go). The set is not intrusive: a span
 * may be left in a set to which it does not belong any more. A thread that pops it sees that by its
 * sweep generation. */
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
    uint32_t count;              /* written under lock; any thread reads it as a hint */
    struct spanset_block *top;   /* under lock; not empty; no other block may be partly full */
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
/* NULL: the set is empty. */
struct gc_span *spanset_pop(struct spanset *s, struct spanset_pool *pool);
INLINE size_t spanset_count(const struct spanset *s)
{
    return u32_load_relaxed(&s->count);
}

#endif
