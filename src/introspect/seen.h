/* A set of objects: a bit for each cell, beside the arenas' own bitmaps. For one walk at a time,
 * while the world is held. */
#ifndef GC_SEEN_H
#define GC_SEEN_H

#include "mutator/barrier.h"

enum seen { SEEN_NEW, SEEN_BEFORE, SEEN_NO_MEMORY };
/* Adds an object. */
enum seen seen_add(const struct target *object);
/* Forgets all objects. */
void seen_drop(gc_heap *heap);

#endif
