/* Off-heap objects of one fixed size, with a free list (Go: mfixalloc.go). The caller holds a lock
 * of its own around every call. The memory comes from a persistent allocator and is unmapped with
 * it. A freed object is kept for reuse and stays readable, so that a late reader finds an old
 * object and does not fault. */
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
/* Aligned to the largest power of two that divides `size`, at most CACHE_PAD. New memory is zero. A
 * reused object has its old content, except for its first word. NULL: out of memory. */
void *fixalloc_alloc(struct fixalloc *f);
void fixalloc_free(struct fixalloc *f, void *p);

#endif
