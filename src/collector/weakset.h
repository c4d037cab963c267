/* Weak sets: what weak maps and intern tables have in common, and the collector's walks through all
 * of them. */
#ifndef GC_WEAKSET_H
#define GC_WEAKSET_H

#include "collector/mark.h"
#include "collector/weaktable.h"

/* A node with a value. */
struct weakentry {
    struct weaknode node; /* first */
    word value;
};

INLINE const struct weakentry *weakentry_of(const struct weaknode *node)
{
    return (const struct weakentry *)(const void *)node;
}

struct weakset;

/* What the collector does with a set. It takes the locks of the set's tables. */
struct weakset_kind {
    /* Marks all keys and values. */
    void (*mark)(struct weakset *set, struct marker *m);
    /* Takes out what is dead. */
    void (*clear)(struct weakset *set);
    /* How many keys there are. */
    size_t (*count)(const struct weakset *set);
    /* Frees the tables. No thread uses them. */
    void (*destroy)(struct weakset *set);
};

struct weakset {
    gc_heap *heap;
    const struct weakset_kind *kind;
    struct weaktable *entries;   /* of a weak map: weakentries; NULL: no weak map */
    struct weakset *next, *prev; /* in the heap's list; see struct weaksets */
    struct weakset *next_retired;
};

/* The beginning of memory that os_aligned_alloc() returned. It was replaced, and a thread may still
 * be reading it without a lock. */
struct discarded {
    struct discarded *next;
};

/* The collector walks the list without the lock. Meanwhile sets are put in front of the first, but
 * none is taken out: a set that is to be freed goes to `retired`, and is freed at the end of the
 * walk. */
struct weaksets {
    struct lock lock;        /* LOCK_WEAK */
    struct weakset *first;   /* under lock */
    bool walking;            /* under lock */
    struct weakset *retired; /* to be freed after the walk; under lock */
    /* I29: what was discarded, and of that what is freed when FLIP is complete. The first is pushed
     * to by any thread, the second belongs to the cycle's driver. */
    struct discarded *discarded, *doomed;
};

void weaksets_init(gc_heap *heap);
/* Frees all sets. */
void weaksets_destroy(gc_heap *heap);

/* Makes a set that is the beginning of a struct of `size` bytes, a multiple of CACHE_PAD. The rest
 * is zero. No walk meets it before weakset_publish(). NULL: no memory. */
struct weakset *weakset_new(gc_heap *heap, size_t size, const struct weakset_kind *kind);
void weakset_publish(struct weakset *set);
/* Any thread. No other thread uses the set any more, except the collector. */
void weakset_free(struct weakset *set);

/* Whether all sets together have so few keys, at most, where a set counts as one more. */
bool weaksets_are_small(gc_heap *heap, size_t few);
/* Calls fn for each set that exists when the walk begins. Collector; no lock is held. */
void weaksets_walk(gc_heap *heap, void (*fn)(struct weakset *set, void *arg), void *arg);
/* Marks all keys and values. */
void weaksets_mark(gc_heap *heap, struct marker *m);
/* Whether a key is marked or, as it lies outside the heap, lives for ever. After the cut, before
 * DISARM. */
bool weaksets_key_lives(const gc_heap *heap, uintptr_t key);
/* Takes out all keys that are dead. After the cut, before DISARM. */
void weaksets_clear(gc_heap *heap);

/* Discards memory that no thread can find any more. It is freed when all threads have answered
 * DISARM and FLIP. */
void weaksets_discard(gc_heap *heap, struct discarded *memory);
/* Called when FLIP is complete. */
void weaksets_flipped(gc_heap *heap);

#define WEAKSET_FORK_RANKS LOCK_BIT(LOCK_WEAK)
extern const struct fork_part weakset_fork;

#endif
