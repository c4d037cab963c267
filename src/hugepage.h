/* Huge pages under arenas that want them. A region of 2 MiB of which a part is in use and a part is
 * given back is taken out for so long: otherwise the kernel (Linux: khugepaged) would fill in by
 * and by what was given back. One that is given back wholly is not touched by it, and gets a huge
 * page at once when it is used again. */
#ifndef GC_HUGEPAGE_H
#define GC_HUGEPAGE_H

#include "mheap.h"

/* New arenas. */
void hugepage_want(struct mheap *h, uintptr_t base, size_t size);
/* Pages that are about to be given back; nobody else has them. The scavenge lock is held. */
void hugepage_note_release(struct mheap *h, uintptr_t base, size_t npages);
/* Pages that were given back are about to be used. No lock is held. */
void hugepage_note_use(struct mheap *h, uintptr_t base, size_t npages);

#endif
