/* Allocation behind the inline fast paths: sizes, shapes and bits. Each call takes the cache of the
 * P that the calling thread holds, returns zeroed memory (but for malloc_bytes_raw), and is no
 * safepoint itself (the door makes it one before it calls). NULL: no memory, with nothing changed
 * but what was cached.
 *
 * An object that is long to zero is left to the caller, if it has no references: then the cache's
 * `unzeroed` says how many bytes.
 */
#ifndef GC_MALLOC_H
#define GC_MALLOC_H

#include "allocator/mcache.h"

/* As much is zeroed between two safepoints at most. */
#define MALLOC_ZERO_PIECE ((size_t)256 << 10)

/* The address of every object of size 0; never freed, not in any arena. */
extern const uint64_t malloc_zero_object;

/* One object of a type. */
void *malloc_typed(struct mcache *c, struct type_info *info);
/* n >= 1 adjacent objects; n * size does not overflow. */
void *malloc_array(struct mcache *c, struct type_info *info, size_t n);
/* Offset of the tail of a flexible object; see gc_new_flex. */
size_t malloc_flex_offset(const struct type_info *head, const struct type_info *element);
void *malloc_flex(struct mcache *c, struct type_info *head, struct type_info *element, size_t n);
/* Pointer-free memory of at least 1 byte. */
void *malloc_bytes(struct mcache *c, size_t size);
/* The same, not zeroed. */
void *malloc_bytes_raw(struct mcache *c, size_t size);

#endif
