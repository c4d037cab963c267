#include "collector/ephemeron.h"

#define NONE UINT32_MAX

static struct ephemerons *ephemerons_of(const gc_heap *heap)
{
    return heap->ephemerons;
}

/* ---- The index ---- */

static bool make_room(struct ephemerons *e)
{
    if (e->count < e->capacity)
        return true;
    size_t capacity = e->capacity ? e->capacity * 2 : 256;
    struct waiting *items = NULL;
    if (capacity < NONE)
        items = realloc(e->items, capacity * sizeof *items);
    if (!items)
        return false;
    e->items = items;
    e->capacity = capacity;
    return true;
}

static uint32_t *head_of(const struct ephemerons *e, uintptr_t key)
{
    return &e->heads[(uint64_t)key * 0x9e3779b97f4a7c15u >> (64 - e->bits)];
}

static bool build_heads(struct ephemerons *e)
{
    e->bits = 1;
    while ((size_t)1 << e->bits < e->count)
        e->bits++;
    e->heads = malloc(((size_t)1 << e->bits) * sizeof *e->heads);
    if (!e->heads)
        return false;
    memset(e->heads, 0xff, ((size_t)1 << e->bits) * sizeof *e->heads);
    for (uint32_t i = 0; i < e->count; i++) {
        uint32_t *head = head_of(e, e->items[i].key);
        e->items[i].next = *head;
        *head = i;
    }
    return true;
}

/* ---- Resolving ---- */

/* Takes the entries that wait for a key and that no other thread has taken, and puts them in front
 * of `todo`. */
static uint32_t take_waiting(struct ephemerons *e, uintptr_t key, uint32_t todo)
{
    for (uint32_t i = *head_of(e, key); i != NONE; i = e->items[i].next) {
        struct waiting *w = &e->items[i];
        if (w->key == key && u32_cas_relaxed(&w->resolved, 0, 1)) {
            w->then = todo;
            todo = i;
        }
    }
    return todo;
}

/* Called for a marked key. Marks the values that wait for it; if such a value is itself a key,
 * marks what waits for that, and so on. Returns whether anything was marked. */
static bool resolve_key(struct marker *m, uintptr_t key)
{
    struct ephemerons *e = ephemerons_of(m->heap);
    uint32_t todo = take_waiting(e, key, NONE);
    bool any = false;
    while (todo != NONE) {
        const struct waiting *w = &e->items[todo];
        uintptr_t base;
        todo = w->then;
        if (!marker_mark(m, value_address(&m->heap->options.format, w->value), &base))
            continue;
        any = true;
        todo = take_waiting(e, base, todo);
    }
    return any;
}

static void on_mark(struct marker *m, uintptr_t object)
{
    resolve_key(m, object);
}

/* Looks through the index for keys that were marked by a thread that does not look there. */
static bool resolve_waiting(struct marker *m)
{
    struct ephemerons *e = ephemerons_of(m->heap);
    bool any = false;
    for (size_t i = 0; i < e->count; i++) {
        const struct waiting *w = &e->items[i];
        if (!u32_load_relaxed(&w->resolved) && target_marked_at(&m->heap->mem, w->key))
            any |= resolve_key(m, w->key);
    }
    return any;
}

/* ---- The maps ---- */

struct visit {
    struct marker *m;
    struct ephemerons *e;
    bool any; /* anything was marked */
};

static void wait_for_key(struct ephemerons *e, uintptr_t key, word value)
{
    if (make_room(e))
        e->items[e->count++] = (struct waiting){key, value, NONE, NONE, 0};
    else
        e->incomplete = true;
}

static bool visit_node(void *arg, const struct weaknode *node)
{
    struct visit *v = arg;
    const gc_heap *heap = v->m->heap;
    word referred = weakentry_of(node)->value;
    struct target key, value;
    uintptr_t address = value_address(&heap->options.format, referred), base;
    if (!address || !target_resolve(&heap->mem, address, &value) || target_is_marked(&value) ||
        !target_resolve(&heap->mem, node->key, &key))
        return true;
    if (target_is_marked(&key))
        v->any |= marker_mark(v->m, address, &base);
    else
        wait_for_key(v->e, key.base, referred);
    return true;
}

static void visit_set(struct weakset *set, void *visit)
{
    uintptr_t at = 0;
    while (set->entries && weaktable_walk(set->entries, &at, visit_node, visit))
        ;
}

/* From now on every marker looks into the index. None is at work at this moment, as nothing is
 * grey. Keys that were marked during the walk are found by a look through the index. */
static bool publish(struct marker *m)
{
    m->on_mark = on_mark;
    ptr_store_release(&m->heap->marking->on_mark, on_mark);
    return resolve_waiting(m);
}

/* Invariant: only entries that the walk meets have to wait for their keys (I19). If there is no
 * memory for an index, each call walks through all maps. */
static bool walk_maps(struct marker *m)
{
    struct visit v = {m, ephemerons_of(m->heap), false};
    v.e->count = 0;
    v.e->incomplete = false;
    weaksets_walk(m->heap, visit_set, &v);
    if (v.e->count > 0 && !v.e->incomplete && build_heads(v.e))
        v.any |= publish(m);
    return v.any;
}

bool ephemerons_resolve(gc_heap *heap, struct marker *m)
{
    bool any = ephemerons_of(heap)->heads ? resolve_waiting(m) : walk_maps(m);
    if (any && !m->active) {
        workqueue_activate(&heap->work);
        m->active = true;
    }
    return any;
}

void ephemerons_end(gc_heap *heap)
{
    struct ephemerons *e = ephemerons_of(heap);
    ptr_store_relaxed(&heap->marking->on_mark, NULL);
    free(e->items);
    free(e->heads);
    *e = (struct ephemerons){0};
}
