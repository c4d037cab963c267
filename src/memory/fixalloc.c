#include "memory/fixalloc.h"

void fixalloc_init(struct fixalloc *f, size_t size, struct persistent *memory)
{
    *f = (struct fixalloc){.size = align_up(size, WORD_SIZE), .memory = memory};
}

/* The largest power of two that divides the size, but CACHE_PAD at most. A C type of that size
 * needs no larger alignment. */
static size_t align_of(size_t size)
{
    size_t natural = size & (~size + 1);
    return MIN_OF(natural, (size_t)CACHE_PAD);
}

void *fixalloc_alloc(struct fixalloc *f)
{
    void *p = f->free;
    if (p) {
        f->free = ptr_load_relaxed((void **)p);
        f->kept--;
    } else {
        p = persistent_alloc(f->memory, f->size, align_of(f->size));
    }
    f->inuse += p != NULL;
    return p;
}

/* The link is stored atomically, because a late reader may still look at the object. */
void fixalloc_free(struct fixalloc *f, void *p)
{
    ptr_store_relaxed((void **)p, f->free);
    f->free = p;
    f->inuse--;
    f->kept++;
}
