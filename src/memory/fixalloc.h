/* Off-heap objects of one fixed size, on a free list (Go: mfixalloc.go). The caller holds a lock
 * of its own around every call. Memory comes from a persistent allocator and goes back with it;
 * freed objects are kept for reuse and their content stays readable, so that a late reader finds
 * an old object rather than a fault. */
#ifndef GC_FIXALLOC_H
#define GC_FIXALLOC_H

#include "memory/persistent.h"

struct fixalloc {
    size_t size;
    struct persistent *memory;
    void *free;   /* singly linked through the first word */
    size_t inuse; /* objects handed out */
    size_t kept;  /* objects on the free list */
};

void fixalloc_init(struct fixalloc *f, size_t size, struct persistent *memory);
/* Aligned to the largest power of two that divides `size`, at most CACHE_PAD. Zeroed when it is
 * new, as it was left (but for the first word) when it is reused. NULL: out of memory. */
void *fixalloc_alloc(struct fixalloc *f);
void fixalloc_free(struct fixalloc *f, void *p);

#endif
