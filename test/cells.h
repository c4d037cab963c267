/* Small objects that tell when they were lost: a link, a magic number and an id. */
#ifndef CELLS_H
#define CELLS_H

#include "collector/special.h"
#include "heaps.h"

struct cell {
    struct cell *next;
    uint64_t magic;
    uint64_t id;
};
static GC_TYPE(cell_type, struct cell, next);
#define MAGIC UINT64_C(0x6d61676963)

static inline struct cell *new_cell(uint64_t id)
{
    struct cell *c = gc_new(&cell_type);
    CHECK(c);
    c->magic = MAGIC;
    c->id = id;
    return c;
}

static inline bool is_cell(const struct cell *c, uint64_t id)
{
    return c && c->magic == MAGIC && c->id == id;
}

/* Records of specials in use. */
static inline size_t records(const gc_heap *heap)
{
    return heap->specials->records.inuse;
}

#endif
