/* Hash tables for weak maps. They are chained, and resized a few buckets at a time, so that no call
 * holds the lock for long, however large the table is.
 *
 * The nodes are ordered by their hash: a bucket is a range of hashes, and its chain is sorted. So a
 * walk that remembers up to which hash it has come misses nothing and sees nothing twice, whatever
 * is added, removed or resized between two of its steps.
 */
#ifndef GC_WEAKTABLE_H
#define GC_WEAKTABLE_H

#include "base/lock.h"

struct weaknode {
    struct weaknode *next;
    uintptr_t hash;
    uintptr_t key; /* address of an object */
};

/* All fields are under the lock, except `count`, which any thread may read. */
struct weaktable {
    struct lock lock CACHE_ALIGNED; /* LOCK_WEAKTABLE */
    unsigned bits, old_bits;        /* log2 of the numbers of buckets */
    struct weaknode **buckets;      /* NULL: nothing was ever added */
    struct weaknode **old;          /* being replaced by `buckets`; NULL: none */
    size_t moved;                   /* the old buckets before it are empty */
    struct weaknode **retired;      /* an old array to free when the lock is released */
    unsigned retired_bits;
    size_t count; /* atomic */
};

void weaktable_init(struct weaktable *t);
/* Frees the nodes too. No other thread uses the table. */
void weaktable_destroy(struct weaktable *t);

INLINE void weaktable_lock(struct weaktable *t)
{
    lock_acquire(&t->lock);
}
void weaktable_unlock(struct weaktable *t);

/* The first node whose hash is `hash` or more, in the bucket where `hash` belongs; the others
 * follow it. NULL: the bucket has none. */
struct weaknode *weaktable_find_locked(const struct weaktable *t, uintptr_t hash);
/* Adds the node before those of the same hash. false: no memory for the first buckets. */
bool weaktable_insert_locked(struct weaktable *t, struct weaknode *node);
/* Takes out a node, which then belongs to the caller. */
void weaktable_remove_locked(struct weaktable *t, struct weaknode *node);

/* One step of a walk in the order of hashes. Calls `fn` for the nodes of some buckets, beginning
 * with that of *at, and moves *at behind them. A node for which fn returns false is taken out and
 * freed. false: the walk is at its end. Takes the lock. */
bool weaktable_walk(struct weaktable *t, uintptr_t *at,
                    bool (*fn)(void *arg, const struct weaknode *node), void *arg);

/* The first node whose hash is *at or more. NULL: the buckets that were visited have none. Then *at
 * lies behind them, or it is UINTPTR_MAX if there are no more buckets. */
struct weaknode *weaktable_next_locked(const struct weaktable *t, uintptr_t *at);

/* One step of a resizing that is under way or due. false: there is none. Takes the lock. */
bool weaktable_settle(struct weaktable *t);

#endif
