/* Questions about objects, and walks of the whole heap. */
#include "api/entry.h"
#include "allocator/object.h"
#include "cycle/cycle.h"
#include "introspect/census.h"
#include <limits.h>

void *gc_object_base(const void *address)
{
    gc_thread *t = ENTER();
    return t ? (void *)object_base(&t->heap->mem, (uintptr_t)address) : NULL;
}

size_t gc_object_size(const void *object)
{
    gc_thread *t = ENTER();
    if (!t || !object_base(&t->heap->mem, (uintptr_t)object))
        return 0;
    const struct gc_span *s = mheap_span_of(&t->heap->mem, (uintptr_t)object);
    return span_object_bytes(s);
}

bool gc_is_object(const void *address)
{
    return address && gc_object_base(address) == address;
}

bool gc_heap_contains(const gc_heap *heap, const void *address)
{
    return heap && arena_of(&heap->mem.arenas, (uintptr_t)address) != NULL;
}

static void verify_held(gc_heap *heap, void *faults)
{
    *(unsigned *)faults = verify_heap(heap);
}

int gc_heap_verify(void)
{
    gc_thread *t = ENTER();
    unsigned faults = 0;
    if (!t)
        return -EPERM;
    cycle_collect_verified(t->heap, t, &faults);
    if (faults == 0)
        cycle_with_world_held(t->heap, t, verify_held, &faults);
    return faults ? -EIO : 0;
}

struct each_object {
    bool (*fn)(void *arg, const struct gc_object *object);
    void *arg;
};

static bool each_one(void *arg, struct gc_span *s, uintptr_t object)
{
    const struct each_object *each = arg;
    struct gc_object o = {(void *)object, span_object_bytes(s), span_type_of(s, object),
                          !span_noscan(s)};
    return each->fn(each->arg, &o);
}

static void each_held(gc_heap *heap, void *arg)
{
    verify_flush_caches(heap);
    verify_each_object(heap, each_one, arg);
}

int gc_heap_each(bool (*fn)(void *arg, const struct gc_object *object), void *arg)
{
    gc_thread *t = ENTER();
    struct each_object each = {fn, arg};
    if (!t)
        return -EPERM;
    if (!fn)
        return -EINVAL;
    cycle_collect(t->heap, t);
    cycle_with_world_held(t->heap, t, each_held, &each);
    return 0;
}

static void census_held(gc_heap *heap, void *census)
{
    census_take(heap, census);
}

int gc_heap_census(struct gc_census *rows, size_t n)
{
    gc_thread *t = ENTER();
    struct census census;
    if (!t)
        return -EPERM;
    if (!rows && n > 0)
        return -EINVAL;
    cycle_with_world_held(t->heap, t, census_held, &census);
    n = MIN_OF(MIN_OF(n, census.n), (size_t)INT_MAX);
    if (n > 0)
        memcpy(rows, census.rows, n * sizeof *rows);
    free(census.rows);
    return census.no_memory ? -ENOMEM : (int)n;
}
