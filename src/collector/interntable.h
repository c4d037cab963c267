/* Hash tables for intern tables: open addressing, read without a lock, changed under one.
 *
 * The highest bits of a hash lead through a directory to a *leaf*, an array of entries. There the
 * lowest bits say where the search begins, and it goes on from entry to entry. A leaf that is full
 * is replaced: by a larger one at first, then by two leaves, each for half of the hashes
 * (extendible hashing: Fagin, Nievergelt, Pippenger, Strong 1979). So no change takes longer than a
 * leaf takes, however large the table is.
 *
 * Readers: see I29. A leaf or a directory that was replaced is not written any more, and is freed
 * when no thread can still be reading it.
 */
#ifndef GC_INTERNTABLE_H
#define GC_INTERNTABLE_H

#include "collector/weakset.h"

/* `object` is an address, or one of these two. A search ends at INTERN_FREE. */
#define INTERN_FREE ((uintptr_t)0)
#define INTERN_GONE ((uintptr_t)1) /* the object was taken out */

struct internentry {
    uintptr_t hash, object; /* atomic: `hash` is stored first, then `object` with release */
};

struct internleaf {
    struct discarded discarded; /* first */
    uintptr_t mask;             /* number of entries - 1 */
    unsigned depth;             /* so many of the highest bits are the same for all its hashes */
    /* All under the lock. */
    size_t live, used; /* entries with an object; these and those that had one */
    size_t peak;       /* `live` when the last walk came by; a new leaf: as many as it can have */
    struct internentry entries[] __attribute__((aligned(CACHE_LINE)));
};

struct interndirectory {
    struct discarded discarded; /* first */
    unsigned bits;              /* log2 of the number of its leaves; not 0 */
    unsigned shift;             /* WORD_BITS - bits */
    struct internleaf *leaves[];
};

/* `directory`, its leaves and `count` are atomic, and written under the lock. */
struct interntable {
    struct interndirectory *directory CACHE_ALIGNED; /* NULL: nothing was ever added */
    gc_heap *heap;
    struct lock lock CACHE_ALIGNED; /* LOCK_WEAKTABLE */
    size_t nleaves;                 /* under the lock */
    size_t count;                   /* objects */
};

void interntable_init(struct interntable *t, gc_heap *heap);
/* No other thread uses the table. */
void interntable_destroy(struct interntable *t);

/* The leaf for a hash; NULL: the table has none. The calling thread may read it until its next
 * safepoint. */
INLINE const struct internleaf *interntable_leaf(const struct interntable *t, uintptr_t hash)
{
    const struct interndirectory *d = ptr_load_acquire(&t->directory);
    return d ? ptr_load_acquire(&d->leaves[hash >> d->shift]) : NULL;
}

/* The i-th entry of the search for a hash. */
INLINE const struct internentry *internleaf_entry(const struct internleaf *leaf, uintptr_t hash,
                                                  size_t i)
{
    return &leaf->entries[(hash + i) & leaf->mask];
}

/* Adds an object. false: no memory. */
bool interntable_add_locked(struct interntable *t, uintptr_t hash, uintptr_t object);

/* One step of a walk in the order of hashes: calls `fn` for the objects of the leaf of *at, and
 * moves *at behind its hashes. An object for which fn returns false is taken out. What is added,
 * taken out or replaced between two steps does not make the walk miss an object that stays. false:
 * the walk is at its end. Takes the lock. */
bool interntable_walk(struct interntable *t, uintptr_t *at, bool (*fn)(void *arg, uintptr_t object),
                      void *arg);

#endif
