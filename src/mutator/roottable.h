/* The rooted globals: a table by address that grows and shrinks by one step an operation, and that
 * is visited in steps while it changes. The caller holds one lock around every call.
 *
 * Linear hashing. Place i is both an entry and a bucket: with the nth entry comes bucket n, which
 * takes its share out of an older one, and with it goes. Entries lie without gaps: the last one
 * moves to where one is taken out. */
#ifndef GC_ROOTTABLE_H
#define GC_ROOTTABLE_H

#include "base/base.h"

struct root_place {
    slot_word *base; /* the entry: slots [base, base + n) are roots */
    size_t n;
    uint32_t next;  /* of the same bucket: its place + 1; 0: none */
    uint32_t first; /* the bucket: place + 1 of its first entry; 0: none */
};

struct roottable {
    struct root_place **chunks; /* the first nchunks are there; room for `capacity` */
    size_t nchunks, capacity;
    uint32_t count; /* entries */
    size_t slots;   /* of all entries */
    /* The visit (I23): entries below `unvisited` are still to come, from the last one down, and of
     * that one `done` slots are visited. */
    uint32_t unvisited;
    size_t done;
};

/* A zeroed table is empty. */
void roottable_free(struct roottable *t);
/* 0, -EEXIST, -ENOMEM. */
int roottable_add(struct roottable *t, slot_word *base, size_t n);
/* How many slots are rooted at `base`; 0: it is not rooted. */
size_t roottable_find(const struct roottable *t, const slot_word *base);
bool roottable_remove(struct roottable *t, const slot_word *base);

void roottable_begin_visit(struct roottable *t);
/* The next slots to visit, `most` at most; *base: the first. 0: the visit is over. */
size_t roottable_visit_next(struct roottable *t, size_t most, slot_word **base);

#endif
