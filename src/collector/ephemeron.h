/* Ephemerons: a value is marked if its key is. When nothing grey is left, the entries whose keys
 * are unmarked are put into an index by key. From then on, a marker that marks a key finds the
 * values that wait for it. So the work is in proportion to the number of entries, however they
 * depend on each other. Entries are those of weak maps, pairs in objects, and suspended fibers,
 * whose keys are their owners (I57).
 *
 * A mutator that marks a key (in a weak read) does not look into the index. So the index is looked
 * through again each time when marking comes to an end.
 */
#ifndef GC_EPHEMERON_H
#define GC_EPHEMERON_H

#include "collector/weakset.h"

/* An entry of a map, as it was when it was put here. If the entry is changed or removed later, the
 * old value may live until the next cycle; the new one is marked in any case. */
struct waiting {
    uintptr_t key; /* start of the object */
    word value;    /* or the address of a fiber */
    bool is_fiber;
    uint32_t next;     /* the next with its hash */
    uint32_t then;     /* the next of those that are being resolved */
    uint32_t resolved; /* atomic; set once, by the thread that marks the value */
};

/* The entries whose keys were unmarked. The cycle's driver writes them; while there are `heads`,
 * every marker reads them. */
struct ephemerons {
    struct waiting *items;
    size_t count, capacity;
    uint32_t *heads; /* by hash of the key; NULL: no index */
    unsigned bits;   /* log2 of their number */
    bool incomplete; /* there was no memory for all */
};

/* Called when nothing grey is left. Marks the unmarked values of marked keys; false: there were
 * none. The cycle's driver, with its marker. */
bool ephemerons_resolve(gc_heap *heap, struct marker *m);
/* Called when the cut was made. */
void ephemerons_end(gc_heap *heap);

#endif
