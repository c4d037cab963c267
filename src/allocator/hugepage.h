/* Huge pages for arenas. A region of 2 MiB is taken out of huge pages while a part of it is in use
 * and another part is given back. Otherwise the kernel (Linux: khugepaged) would back again what
 * was given back. If a region is given back wholly, the kernel leaves it alone, and gives it a huge
 * page when it is used again. */
#ifndef GC_HUGEPAGE_H
#define GC_HUGEPAGE_H

#include "base/lock.h"
#include "memory/arena.h"
#include "memory/pagealloc.h"

#define HUGEPAGE_SIZE ((size_t)2 << 20)

/* The huge pages of a heap, with references to its arenas and pages. */
struct hugepages {
    const struct arena_index *arenas;
    const struct pagealloc *pages;
    struct lock *pages_lock;
    struct lock scavenge_lock; /* LOCK_SCAVENGE: held while pages are taken to be released */
    size_t small_regions;      /* regions taken out; under scavenge_lock */
};

void hugepages_init(struct hugepages *h, const struct arena_index *arenas,
                    const struct pagealloc *pages, struct lock *pages_lock);
/* Asks for huge pages for new arenas, before they are published. */
void hugepages_want(const struct arena_growth *growth);
/* Called for pages that are about to be given back. No other thread has them. The scavenge lock is
 * held. */
void hugepages_note_release(struct hugepages *h, uintptr_t base, size_t npages);
/* Called when pages that were given back are about to be used. No lock is held. */
void hugepages_note_use(struct hugepages *h, uintptr_t base, size_t npages);

#endif
