/* Tells any thread whether an address is that of an object, while other threads allocate. */
#ifndef GC_OBJECT_H
#define GC_OBJECT_H

#include "allocator/mcache.h"

/* The start of the cell that contains `address`, or 0 if its alloc bit is not set, or if it is in
 * quarantine. Cells of open runs count too, even if they were not handed out. */
uintptr_t object_cell(const struct mheap *h, uintptr_t address);
/* The start of the cell that ends at `address`, by the same rules. */
uintptr_t object_ending_at(const struct mheap *h, uintptr_t address);
/* The start of the object that contains `address`, or 0 if there is none (I24). */
uintptr_t object_base(const struct mheap *h, uintptr_t address);

#endif
