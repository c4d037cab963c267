/* Sets of weak tables, of which weak maps and intern tables are made, and the collector's walks
 * through all of them. */
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

struct weakset {
    gc_heap *heap;
    struct weakset *next, *prev; /* in the heap's list; see struct weaksets */
    bool ephemerons;             /* nodes are weakentries; values are kept while their keys live */
    struct weakset *next_retired;
    unsigned ntables;
    struct weaktable *tables; /* they lie behind the struct that begins with this one */
};

/* The collector walks the list without the lock. Meanwhile sets are put in front of the first, but
 * none is taken out: a set that is to be freed goes to `retired`, and is freed at the end of the
 * walk. */
struct weaksets {
    struct lock lock;        /* LOCK_WEAK */
    struct weakset *first;   /* under lock */
    bool walking;            /* under lock */
    struct weakset *retired; /* to be freed after the walk; under lock */
};

void weaksets_init(gc_heap *heap);
/* Frees all sets. */
void weaksets_destroy(gc_heap *heap);

/* Makes a set that is the beginning of a struct of `size` bytes. The rest is zero. NULL: no
 * memory. */
struct weakset *weakset_new(gc_heap *heap, size_t size, unsigned ntables, bool ephemerons);
/* Any thread. No other thread uses the set any more, except the collector. */
void weakset_free(struct weakset *set);

/* Whether all sets together have so few nodes, at most. */
bool weaksets_are_small(gc_heap *heap, size_t few);
/* Calls fn for each set that exists when the walk begins. Collector; no lock is held. */
void weaksets_walk(gc_heap *heap, void (*fn)(struct weakset *set, void *arg), void *arg);
/* Marks all keys and values. */
void weaksets_mark(gc_heap *heap, struct marker *m);
/* Takes out all nodes whose keys are dead. After the cut, before DISARM. */
void weaksets_clear(gc_heap *heap);

#define WEAKSET_FORK_RANKS LOCK_BIT(LOCK_WEAK)
extern const struct fork_part weakset_fork;

#endif
