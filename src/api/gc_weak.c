/* Weak references, weak maps, weak slots, intern tables. */
#include "api/entry.h"
#include "allocator/malloc.h"
#include "collector/intern.h"
#include "collector/weak.h"
#include "collector/weakmap.h"
#include "collector/weakslot.h"
#include "introspect/strays.h"
#include "mutator/heaps.h"
#include "mutator/log.h"

static COLD void *refuse(int error)
{
    errno = error;
    return NULL;
}

/* The program gets what may not be kept by anything. */
INLINE word give(const gc_heap *heap, word value)
{
    if (UNLIKELY(heap->strays != NULL))
        strays_excuse(heap, value);
    return value;
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
    return (void *)give(t->heap, (word)weak_get(t, cell));
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

/* Whether it leads into no heap: then it lives for ever. All objects of no bytes have one
 * address. */
static bool is_outside(const gc_heap *heap, const void *key)
{
    uintptr_t address = value_address(&heap->options.format, (word)key);
    return key && key != &malloc_zero_object && !arena_of(&heap->mem.arenas, (uintptr_t)key) &&
           !arena_of(&heap->mem.arenas, address) && !heaps_any_contains((word)key);
}

int gc_weakmap_set(gc_weakmap *map, void *key, void *value)
{
    gc_thread *t = ENTER_MAP(map);
    if (!t)
        return -errno;
    if (!special_is_object(t->heap, key) && !is_outside(t->heap, key))
        return -EINVAL;
    return weakmap_set(map, (uintptr_t)key, (word)value);
}

void *gc_weakmap_get(gc_weakmap *map, void *key)
{
    gc_thread *t = ENTER_MAP(map);
    word value = 0;
    if (!t)
        return NULL;
    weakmap_get(t, map, (uintptr_t)key, &value);
    return (void *)give(t->heap, value);
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
    *key = (void *)give(t->heap, k);
    *value = (void *)give(t->heap, v);
    return true;
}

/* ---- Weak slots ---- */

enum flaw { OUTSIDE_TRACING, OUTSIDE_OBJECT };
static const char *const flaws[] = {
    [OUTSIDE_TRACING] = "it is called by no trace function; use it in that of the object's type",
    [OUTSIDE_OBJECT] =
        "they are no aligned words of the object; keep weak slots in the object itself",
};

/* Whether the slots lie in the object that is traced. Another object that holds them may be reached
 * without this one, and nobody would know of its weak slots (I46). */
static bool are_in_object(const gc_tracer *tracer, const struct weak_slots *s)
{
    struct target t;
    size_t rest = (1 + s->pairs) * WORD_SIZE, span;
    if ((s->first | s->size) % WORD_SIZE ||
        !target_resolve(&tracer->heap->mem, tracer->object, &t) ||
        __builtin_mul_overflow(s->n - 1, s->size, &span))
        return false;
    size_t bytes = target_bytes(&t), at = s->first - t.base;
    return at < bytes && span <= bytes - at && rest <= bytes - at - span;
}

/* Nothing is lost: what is there stays alive. */
static COLD void refuse_slots(gc_tracer *tracer, const struct weak_slots *s, const char *call,
                              enum flaw flaw)
{
    if (!u8_exchange_relaxed(&tracer->heap->weakslots->told, 1))
        log_write(tracer->heap, GC_LOG_ERROR,
                  "%s in the tracing of a %s takes %zu slots at 0x%zx "
                  "as strong: %s",
                  call, tracer->object && tracer->type->name ? tracer->type->name : "root", s->n,
                  (size_t)s->first, flaws[flaw]);
    marker_keep_weak(tracer, s);
}

static void trace_weak(gc_tracer *tracer, const struct weak_slots *s, const char *call)
{
    if (s->n == 0)
        return;
    if (UNLIKELY(!tracer->object))
        refuse_slots(tracer, s, call, OUTSIDE_TRACING);
    else if (UNLIKELY(!are_in_object(tracer, s)))
        refuse_slots(tracer, s, call, OUTSIDE_OBJECT);
    else if (tracer->weak)
        tracer->weak(tracer, s);
}

void gc_trace_weak(gc_tracer *tracer, void *slots, size_t n, size_t size, void *dead)
{
    struct weak_slots s = {(uintptr_t)slots, n, size, (word)dead, false};
    trace_weak(tracer, &s, __func__);
}

void gc_trace_ephemerons(gc_tracer *tracer, void *pairs, size_t n, size_t size, void *dead)
{
    struct weak_slots s = {(uintptr_t)pairs, n, size, (word)dead, true};
    trace_weak(tracer, &s, __func__);
}

/* Called if the thread's barrier is on, or has a flag. */
void *gc_barrier_load_weak(const void *slot)
{
    gc_thread *t = entry_enter("gc_load_weak");
    return t ? (void *)give(t->heap, weak_load(t, slot)) : NULL;
}

/* I47: the old value is not shaded, as a weak slot is no tracked edge; it may be dead. */
void gc_barrier_store_weak(void *slot, void *value)
{
    gc_thread *t = thread_self();
    (void)slot;
    if (gc_self->barrier & BARRIER_SHUT)
        entry_refuse_store("gc_store_weak", 0, (word)value, (uintptr_t)__builtin_frame_address(0));
    else if (thread_shades(t))
        barrier_write(t, 0, (word)value);
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
    return t ? (void *)give(t->heap, (word)intern_get(t, table, key, size, arg)) : NULL;
}

size_t gc_intern_count(gc_intern *table)
{
    return ENTER_MAP(table) ? intern_count(table) : 0;
}
