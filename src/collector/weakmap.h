/* Weak maps: from objects, by identity, to references. The hash is a permutation of the addresses,
 * so no two keys have the same hash. */
#ifndef GC_WEAKMAP_H
#define GC_WEAKMAP_H

#include "collector/weakset.h"

struct gc_weakmap {
    struct weakset set; /* first */
    struct weaktable table;
};

/* NULL: no memory. */
gc_weakmap *weakmap_new(gc_heap *heap);
/* Returns 0 or -ENOMEM. The caller holds key and value. */
int weakmap_set(gc_weakmap *map, uintptr_t key, word value);
/* Whether the key is there, and its value. The caller holds the key. */
bool weakmap_get(gc_thread *t, gc_weakmap *map, uintptr_t key, word *value);
bool weakmap_delete(gc_weakmap *map, uintptr_t key);
size_t weakmap_count(const gc_weakmap *map);
/* Finds the first entry at *position or behind it. */
bool weakmap_next(gc_thread *t, gc_weakmap *map, size_t *position, uintptr_t *key, word *value);

#endif
