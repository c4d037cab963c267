#include "collector/weakmap.h"
#include "collector/weak.h"
#include <errno.h>

/* ---- What the collector does ---- */

static bool mark_entry(void *arg, const struct weaknode *node)
{
    struct marker *m = arg;
    uintptr_t value = value_address(&m->heap->options.format, weakentry_of(node)->value);
    marker_edge(m, node->key);
    if (value)
        marker_edge(m, value);
    return true;
}

static void mark(struct weakset *set, struct marker *m)
{
    uintptr_t at = 0;
    while (weaktable_walk(set->entries, &at, mark_entry, m))
        ;
}

static bool key_lives(void *heap, const struct weaknode *node)
{
    return weaksets_key_lives(heap, node->key);
}

static void clear(struct weakset *set)
{
    uintptr_t at = 0;
    while (weaktable_walk(set->entries, &at, key_lives, set->heap))
        ;
    while (weaktable_settle(set->entries))
        ;
}

static size_t count(const struct weakset *set)
{
    return word_load_relaxed(&set->entries->count);
}

static void destroy(struct weakset *set)
{
    weaktable_destroy(set->entries);
}

static const struct weakset_kind kind = {mark, clear, count, destroy};

gc_weakmap *weakmap_new(gc_heap *heap)
{
    gc_weakmap *map = (gc_weakmap *)weakset_new(heap, sizeof *map, &kind);
    if (!map)
        return NULL;
    weaktable_init(&map->table);
    map->set.entries = &map->table;
    weakset_publish(&map->set);
    return map;
}

size_t weakmap_count(const gc_weakmap *map)
{
    return count(&map->set);
}

/* ---- What threads do ---- */

/* Multiplication by an odd number permutes the words. Every bit of the address has an effect on the
 * highest bits, which choose the bucket. */
static uintptr_t hash_of(uintptr_t key)
{
    return key * (uintptr_t)0x9e3779b97f4a7c15u;
}

static struct weakentry *find_locked(const struct weaktable *t, uintptr_t key)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct weaknode *node = weaktable_find_locked(t, hash_of(key));
    return node && node->key == key ? CONTAINER_OF(node, struct weakentry, node) : NULL;
}

/* If the key is not in the table, `fresh` is put there and set to NULL. */
static bool set_locked(struct weaktable *t, uintptr_t key, word value, struct weakentry **fresh)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct weakentry *e = find_locked(t, key);
    if (e) {
        e->value = value;
        return true;
    }
    e = *fresh;
    *e = (struct weakentry){{NULL, hash_of(key), key}, value};
    if (!weaktable_insert_locked(t, &e->node))
        return false;
    *fresh = NULL;
    return true;
}

/* No barrier: see I19. */
int weakmap_set(gc_weakmap *map, uintptr_t key, word value)
{
    struct weaktable *table = &map->table;
    struct weakentry *fresh = malloc(sizeof *fresh);
    if (!fresh)
        return -ENOMEM;
    weaktable_lock(table);
    bool done = set_locked(table, key, value, &fresh);
    weaktable_unlock(table);
    free(fresh);
    return done ? 0 : -ENOMEM;
}

/* Whether the thread may keep a value, which perhaps only its entry holds. */
static bool hold_value(gc_thread *t, word value)
{
    uintptr_t address = value_address(&t->heap->options.format, value);
    return !address || weak_hold(t, address);
}

bool weakmap_get(gc_thread *t, gc_weakmap *map, uintptr_t key, word *value)
{
    struct weaktable *table = &map->table;
    weaktable_lock(table);
    const struct weakentry *e = find_locked(table, key);
    bool found = e && hold_value(t, e->value);
    *value = found ? e->value : 0;
    weaktable_unlock(table);
    return found;
}

bool weakmap_delete(gc_weakmap *map, uintptr_t key)
{
    struct weaktable *table = &map->table;
    weaktable_lock(table);
    struct weakentry *e = find_locked(table, key);
    if (e)
        weaktable_remove_locked(table, &e->node);
    weaktable_unlock(table);
    free(e);
    return e != NULL;
}

/* One step; *position is UINTPTR_MAX when there is no more. */
static bool next_locked(gc_thread *t, const struct weaktable *table, uintptr_t *position,
                        uintptr_t *key, word *value)
{
    LOCK_ASSERT_HELD(&table->lock);
    const struct weaknode *node = weaktable_next_locked(table, position);
    if (!node)
        return false;
    *position = node->hash + (node->hash != UINTPTR_MAX);
    *key = node->key;
    *value = weakentry_of(node)->value;
    return weak_hold(t, node->key) && hold_value(t, *value);
}

bool weakmap_next(gc_thread *t, gc_weakmap *map, size_t *position, uintptr_t *key, word *value)
{
    struct weaktable *table = &map->table;
    uintptr_t at = *position;
    bool found = false;
    while (!found && at != UINTPTR_MAX) {
        weaktable_lock(table);
        found = next_locked(t, table, &at, key, value);
        weaktable_unlock(table);
    }
    *position = at;
    return found;
}
