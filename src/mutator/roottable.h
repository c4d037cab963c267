/* The rooted globals: a table by address. Each operation makes it grow or shrink by one step, and
 * it is visited in steps while it changes. The caller holds one lock around every call.
 *
 * It is a linear hash table. Place i is both an entry and a bucket. The nth entry brings bucket n,
 * which takes its share out of an older bucket, and gives it back when the nth entry goes. Entries
 * lie without gaps: if one is taken out, the last one moves to its place. */
#ifndef GC_ROOTTABLE_H
#define GC_ROOTTABLE_H

#include "base/base.h"

struct root_place {
    slot_word *base; /* the entry: slots [base, base + n) are roots */
    size_t n;
    uint32_t next;  /* next entry of the same bucket: its place + 1; 0: none */
    uint32_t first; /* the bucket: place + 1 of its first entry; 0: none */
};

struct roottable {
    struct root_place **chunks; /* the first nchunks of `capacity` are in use */
    size_t nchunks, capacity;
    uint32_t count; /* entries */
    size_t slots;   /* slots of all entries */
    /* The visit (I23) goes from the last entry down. Entries below `unvisited` are still to be
     * visited; of the last of them, `done` slots are visited. */
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
/* All entries, while none comes or goes. */
void roottable_each(const struct roottable *t,
                    void (*fn)(void *arg, const slot_word *base, size_t n), void *arg);

void roottable_begin_visit(struct roottable *t);
/* Returns how many slots to visit next, `most` at most; *base is the first. 0: the visit is
 * over. */
size_t roottable_visit_next(struct roottable *t, size_t most, slot_word **base);

#endif
