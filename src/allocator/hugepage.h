/* Huge pages for arenas. A region of 2 MiB is taken out of huge pages while a part of it is in use
 * and another part is given back. Otherwise the kernel (Linux: khugepaged) would back again what
 * was given back. If a region is given back wholly, the kernel leaves it alone, and gives it a huge
 * page when it is used again. */
#ifndef GC_HUGEPAGE_H
#define GC_HUGEPAGE_H

#include "allocator/mheap.h"

/* Asks for huge pages for new arenas, before they are published. */
void hugepage_want(const struct arena_growth *growth);
/* Called for pages that are about to be given back. No other thread has them. The scavenge lock is
 * held. */
void hugepage_note_release(struct mheap *h, uintptr_t base, size_t npages);
/* Called when pages that were given back are about to be used. No lock is held. */
void hugepage_note_use(struct mheap *h, uintptr_t base, size_t npages);

#endif
