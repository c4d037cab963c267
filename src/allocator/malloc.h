/* Allocation behind the inline fast paths: sizes, shapes and bits. Each call gets the cache of the
 * P that the calling thread holds, and returns zeroed memory (except malloc_bytes_raw). It is not a
 * safepoint; its caller in src/api answers the collector before it calls. NULL: no memory; nothing
 * has changed except what is cached.
 *
 * A long object without references may be left dirty. Then the cache's `unzeroed` says how many
 * bytes the caller has to zero.
 */
#ifndef GC_MALLOC_H
#define GC_MALLOC_H

#include "allocator/mcache.h"

/* The most that is zeroed between two safepoints. */
#define MALLOC_ZERO_PIECE ((size_t)256 << 10)

/* The address of every object of size 0; never freed, not in any arena. */
extern const uint64_t malloc_zero_object;

/* One object of a type. */
void *malloc_typed(struct mcache *c, struct type_info *info);
/* n >= 1 adjacent objects; n * size does not overflow. */
void *malloc_array(struct mcache *c, struct type_info *info, size_t n);
/* The cell that such an array gets: its size, and how many elements it has room for. Their size is
 * not 0. */
struct array_cell {
    size_t bytes, room;
};
struct array_cell malloc_array_cell(struct type_info *info, size_t n);
void *malloc_flex(struct mcache *c, struct type_info *head, struct type_info *element, size_t n);
/* Memory without references; size >= 1. */
void *malloc_bytes(struct mcache *c, size_t size);
/* The same, not zeroed. */
void *malloc_bytes_raw(struct mcache *c, size_t size);

#endif
