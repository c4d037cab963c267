/* Why an object is alive: what refers to it, and the shortest path to it from a root. World held,
 * everything swept, mcaches flushed. */
#ifndef GC_PATH_H
#define GC_PATH_H

#include "introspect/edges.h"

/* Receives edges until it returns false. */
typedef bool path_fn(void *arg, const struct gc_edge *edge);

/* Passes each edge that leads to the object: of roots first, then of objects by their addresses.
 * Returns how many there are. */
size_t path_holders(gc_heap *heap, uintptr_t object, path_fn *fn, void *arg);
/* Passes the edges of a shortest path: a root's first, the one that leads to the object last.
 * Returns how many they are; 0: no root leads to it; -ENOMEM. If only roots of the thread with this
 * number (0: of none) refer to the object itself, that counts; else such a root is passed over, as
 * who asks holds the object to be able to ask. */
int path_find(gc_heap *heap, uintptr_t object, uint64_t asker, path_fn *fn, void *arg);

#endif
