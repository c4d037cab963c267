/* Small objects that tell when they were lost: a link, a magic number and an id. */
#ifndef CELLS_H
#define CELLS_H

#include "collector/special.h"
#include "heaps.h"

struct cell {
    _Alignas(8) struct cell *next; /* so a cell has 24 bytes on every host */
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

/* Puts a fresh cell, with no safepoint since, in front of a list. */
static inline void push_cell(struct cell **list, struct cell *fresh)
{
    fresh->next = *list;
    *list = fresh;
}

/* Cells 1, 2, …, n. */
static inline struct cell *new_chain(uint64_t n)
{
    struct cell *first = NULL;
    GC_FRAME(first);
    for (uint64_t id = n; id > 0; id--)
        push_cell(&first, new_cell(id));
    return first;
}

static inline void check_chain(const struct cell *at, uint64_t n)
{
    for (uint64_t id = 1; id <= n; id++, at = gc_load(&at->next))
        CHECK(is_cell(at, id));
    CHECK(!at);
}

/* A list that grows in front: its cells are n, …, 2, 1. */
static inline uint64_t list_length(const struct cell *list)
{
    return list ? list->id : 0;
}

static inline void check_list(const struct cell *list)
{
    uint64_t id = list_length(list);
    for (; list; list = gc_load(&list->next))
        CHECK(is_cell(list, id--));
    CHECK_EQ(id, 0);
}

/* Records of specials in use. */
static inline size_t records(const gc_heap *heap)
{
    return heap->specials->records.inuse;
}

#endif
