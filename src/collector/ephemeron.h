/* Ephemerons: a value is marked if its key is. What is left of them when nothing grey remains is
 * put into an index by key, and from then on whoever marks a key finds the values that wait for it.
 * So all work on them is in proportion to their number, however they hang on each other.
 *
 * Keys that mutators mark (a weak read does) pass the index by: it is looked through again each
 * time marking comes to an end.
 */
#ifndef GC_EPHEMERON_H
#define GC_EPHEMERON_H

#include "collector/weakset.h"

/* An entry of a map as it was when it was put here. If it is changed or removed meanwhile, the old
 * value may live until the next cycle; the new one is marked in any case. */
struct waiting {
    uintptr_t key; /* start of the object */
    word value;
    uint32_t next;     /* of those with its hash */
    uint32_t then;     /* while it is being resolved: another one that is */
    uint32_t resolved; /* atomic; set once, by whoever marks the value */
};

/* Those whose keys nobody has marked yet. The cycle's driver's; while `heads` are there every
 * marker reads it. */
struct ephemerons {
    struct waiting *items;
    size_t count, capacity;
    uint32_t *heads; /* by hash of the key; NULL: no index */
    unsigned bits;   /* log2 of their number */
    bool incomplete; /* there was no memory for all */
};

/* Nothing grey is left: marks the values of marked keys, if they are not. false: all are. The
 * cycle's driver, with its marker. */
bool ephemerons_resolve(gc_heap *heap, struct marker *m);
/* The cut was made. */
void ephemerons_end(gc_heap *heap);

#endif
