/* Huge pages under arenas that want them. A region of 2 MiB is taken out of huge pages while a part
 * of it is in use and another part is given back: otherwise the kernel (Linux: khugepaged) would
 * back again what was given back. The kernel leaves a region alone that is given back wholly, and
 * gives it a huge page at once when it is used again. */
#ifndef GC_HUGEPAGE_H
#define GC_HUGEPAGE_H

#include "allocator/mheap.h"

/* New arenas, before others know them. */
void hugepage_want(const struct arena_growth *growth);
/* Pages that are about to be given back; nobody else has them. The scavenge lock is held. */
void hugepage_note_release(struct mheap *h, uintptr_t base, size_t npages);
/* Pages that were given back are about to be used. No lock is held. */
void hugepage_note_use(struct mheap *h, uintptr_t base, size_t npages);

#endif
