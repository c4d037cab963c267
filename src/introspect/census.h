/* How many objects there are, by size class and, where it is known, by type. */
#ifndef GC_CENSUS_H
#define GC_CENSUS_H

#include "introspect/site.h"
#include "introspect/verify.h"

struct census {
    const gc_heap *heap;
    struct gc_census *rows; /* `room` of them, a power of two; those without objects are free */
    size_t n, room;
    bool no_memory;
};

/* Counts the whole heap's objects. The rows are sorted by size, then those without references
 * before those with, then by type. World held, everything swept. The caller frees the rows. */
void census_take(gc_heap *heap, struct census *c);

#endif
