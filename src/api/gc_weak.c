/* Weak references, weak maps, intern tables. */
#include "api/entry.h"
#include "collector/intern.h"
#include "collector/weak.h"
#include "collector/weakmap.h"

static COLD void *refuse(int error)
{
    errno = error;
    return NULL;
}

/* ---- Weak references ---- */

gc_weak *gc_weak_new(void *object)
{
    gc_thread *t = ENTER();
    return t ? (gc_weak *)weak_new(t->heap, object) : NULL;
}

void *gc_weak_get(gc_weak *weak)
{
    gc_thread *t = ENTER();
    struct special *cell = (struct special *)weak;
    if (!t)
        return NULL;
    if (!cell || cell->weak.heap != t->heap)
        return refuse(EINVAL);
    return weak_get(t, cell);
}

void gc_weak_free(gc_weak *weak)
{
    if (weak && MAY_PASS())
        weak_free((struct special *)weak);
}

/* ---- Weak maps ---- */

gc_weakmap *gc_weakmap_new(void)
{
    gc_thread *t = ENTER();
    return t ? weakmap_new(t->heap) : NULL;
}

void gc_weakmap_free(gc_weakmap *map)
{
    if (map && MAY_PASS())
        weakset_free(&map->set);
}

/* The calling thread, if it may use this set now. NULL with errno. */
INLINE gc_thread *enter_set(const char *call, const struct weakset *set)
{
    gc_thread *t = entry_enter(call);
    if (t && (!set || set->heap != t->heap)) {
        refuse(EINVAL);
        return NULL;
    }
    return t;
}
#define ENTER_MAP(map) enter_set(__func__, map ? &map->set : NULL)

int gc_weakmap_set(gc_weakmap *map, void *key, void *value)
{
    gc_thread *t = ENTER_MAP(map);
    if (!t)
        return -errno;
    if (!special_is_object(t->heap, key))
        return -EINVAL;
    return weakmap_set(map, (uintptr_t)key, (word)value);
}

void *gc_weakmap_get(gc_weakmap *map, void *key)
{
    gc_thread *t = ENTER_MAP(map);
    word value = 0;
    if (t)
        weakmap_get(t, map, (uintptr_t)key, &value);
    return (void *)value;
}

bool gc_weakmap_has(gc_weakmap *map, void *key)
{
    gc_thread *t = ENTER_MAP(map);
    word value;
    return t && weakmap_get(t, map, (uintptr_t)key, &value);
}

bool gc_weakmap_delete(gc_weakmap *map, void *key)
{
    return ENTER_MAP(map) && weakmap_delete(map, (uintptr_t)key);
}

size_t gc_weakmap_count(gc_weakmap *map)
{
    return ENTER_MAP(map) ? weakmap_count(map) : 0;
}

bool gc_weakmap_next(gc_weakmap *map, size_t *position, void **key, void **value)
{
    gc_thread *t = ENTER_MAP(map);
    uintptr_t k;
    word v;
    if (!t)
        return false;
    if (!position || !key || !value)
        return refuse(EINVAL) != NULL;
    if (!weakmap_next(t, map, position, &k, &v))
        return false;
    *key = (void *)k;
    *value = (void *)v;
    return true;
}

/* ---- Intern tables ---- */

gc_intern *gc_intern_new(const struct gc_intern_ops *ops)
{
    gc_thread *t = ENTER();
    if (!t)
        return NULL;
    if (!ops || !ops->hash || !ops->equal)
        return refuse(EINVAL);
    return intern_new(t->heap, ops);
}

void gc_intern_free(gc_intern *table)
{
    if (table && MAY_PASS())
        weakset_free(&table->set);
}

void *gc_intern_get(gc_intern *table, const void *key, size_t size, void *arg)
{
    gc_thread *t = ENTER_MAP(table);
    return t ? intern_get(t, table, key, size, arg) : NULL;
}

size_t gc_intern_count(gc_intern *table)
{
    return ENTER_MAP(table) ? intern_count(table) : 0;
}
