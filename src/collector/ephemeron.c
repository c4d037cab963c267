#include "collector/ephemeron.h"
#include "collector/special.h"
#include "collector/weakslot.h"
#include "mutator/fiber.h"

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

/* What waited for a key is marked, with what waits for that, and so on. The tracer gets the
 * values. */
struct resolution {
    struct gc_tracer tracer;
    struct marker *m;
    uint32_t todo;
    bool any; /* anything was marked */
};

static void resolve_value(struct gc_tracer *tracer, word value)
{
    struct resolution *r = CONTAINER_OF(tracer, struct resolution, tracer);
    uintptr_t base;
    if (!marker_mark(r->m, value_address(&tracer->heap->options.format, value), &base))
        return;
    r->any = true;
    r->todo = take_waiting(ephemerons_of(tracer->heap), base, r->todo);
}

static void resolve_stale(struct gc_tracer *tracer, word value)
{
    gc_heap *heap = tracer->heap;
    if (barrier_may_be_object(&heap->mem, value_address(&heap->options.format, value)))
        resolve_value(tracer, value);
}

/* Called for a marked key. Returns whether anything was marked. */
static bool resolve_key(struct marker *m, uintptr_t key)
{
    const struct ephemerons *e = ephemerons_of(m->heap);
    struct resolution r = {
        .tracer = {.value = resolve_value, .stale = resolve_stale, .heap = m->heap},
        .m = m,
        .todo = take_waiting(ephemerons_of(m->heap), key, NONE)};
    while (r.todo != NONE) {
        const struct waiting *w = &e->items[r.todo];
        r.todo = w->then;
        if (w->is_fiber)
            fiber_scan((gc_fiber *)w->value, &r.tracer);
        else
            resolve_value(&r.tracer, w->value);
    }
    return r.any;
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
    struct ephemerons *e; /* where entries wait for their keys; NULL: nowhere */
    bool any;             /* anything was marked */
};

static void wait_for_key(struct ephemerons *e, uintptr_t key, word value, bool is_fiber)
{
    if (make_room(e))
        e->items[e->count++] = (struct waiting){key, value, is_fiber, NONE, NONE, 0};
    else
        e->incomplete = true;
}

/* Marks the value if its key is marked or, as it lies outside the heap, lives for ever. Else it
 * waits for the key. */
static void visit_entry(struct visit *v, uintptr_t key, word value)
{
    const gc_heap *heap = v->m->heap;
    struct target k, t;
    uintptr_t address = value_address(&heap->options.format, value);
    if (!address || !target_resolve(&heap->mem, address, &t) || target_is_marked(&t))
        return;
    if (!target_resolve(&heap->mem, key, &k) || target_is_marked(&k)) {
        marker_edge(v->m, address);
        v->any = true;
    } else if (v->e) {
        wait_for_key(v->e, k.base, value, false);
    }
}

static bool visit_node(void *arg, const struct weaknode *node)
{
    visit_entry(arg, node->key, weakentry_of(node)->value);
    return true;
}

static void visit_set(struct weakset *set, void *visit)
{
    uintptr_t at = 0;
    while (set->entries && weaktable_walk(set->entries, &at, visit_node, visit))
        ;
}

/* ---- Pairs in objects ---- */

/* The two words may be of two pairs, one after the other. Then one of them was stored by a thread
 * that is past its ROOTS, or shaded by the store. So it is marked when nothing is grey (I48). */
static void visit_pairs(void *visit, const struct weak_slots *s)
{
    struct visit *v = visit;
    for (size_t i = 0; s->pairs && i < s->n; i++) {
        const slot_word *key = weak_slot(s, i);
        word value = slot_load_acquire(key + 1), k = slot_load_acquire(key);
        visit_entry(v, value_address(&v->m->heap->options.format, k), value);
    }
}

/* A marker finds pairs after the walk has begun. Most keys are marked by then. So in a chain of
 * tables, each reached over a value of the one before, not each needs a look of its own. */
static void resolve_found(struct gc_tracer *tracer, const struct weak_slots *s)
{
    struct visit v = {CONTAINER_OF(tracer, struct marker, tracer), NULL, false};
    visit_pairs(&v, s);
}

/* ---- Fibers ---- */

/* I57: all threads are black, so a fiber that is made, or left by a thread, from here on is
 * scanned. One whose owner was found dead is never scanned again. */
static void visit_fiber(void *visit, gc_fiber *f)
{
    struct visit *v = visit;
    uintptr_t owner = special_weak_object(f->owner);
    if (!owner || fiber_is_scanned(f))
        return;
    if (target_marked_at(&v->m->heap->mem, owner))
        v->any |= fiber_scan(f, &v->m->tracer);
    else
        wait_for_key(v->e, owner, (word)f, true);
}

/* ---- All of them ---- */

/* From now on every marker that takes work looks into the index. Keys that were marked meanwhile
 * are found by a look through the index. */
static bool publish(struct marker *m)
{
    m->on_mark = on_mark;
    ptr_store_release(&m->heap->marking->on_mark, on_mark);
    return resolve_waiting(m);
}

/* Invariant: only entries that the walk meets have to wait for their keys (I19), and those of
 * objects that are reached later. If there is no memory for an index, each call walks through
 * all. */
static bool walk_all(struct marker *m)
{
    struct visit v = {m, ephemerons_of(m->heap), false};
    v.e->count = 0;
    v.e->incomplete = false;
    if (!weakslots_are_kept(m->heap))
        ptr_store_relaxed(&m->heap->marking->on_weak, resolve_found);
    weaksets_walk(m->heap, visit_set, &v);
    fibers_each_owned(m->heap, visit_fiber, &v);
    weakslots_take(m->heap); /* what is found from here on stays new (I48) */
    weakslots_each_taken(m->heap, visit_pairs, &v);
    stress(STRESS_WEAK_WALKED);
    if (v.e->count > 0 && !v.e->incomplete && build_heads(v.e))
        v.any |= publish(m);
    return v.any;
}

/* With an index: what waits there, and what was found later. */
static bool look_again(struct marker *m)
{
    struct visit v = {m, NULL, resolve_waiting(m)};
    weakslots_each_new(m->heap, visit_pairs, &v);
    return v.any;
}

bool ephemerons_resolve(gc_heap *heap, struct marker *m)
{
    stress(STRESS_WEAK_LOOK);
    bool any = ephemerons_of(heap)->heads ? look_again(m) : walk_all(m);
    if (any)
        marker_activate(m);
    return any;
}

void ephemerons_end(gc_heap *heap)
{
    struct ephemerons *e = ephemerons_of(heap);
    ptr_store_relaxed(&heap->marking->on_mark, NULL);
    free(e->items);
    free(e->heads);
    *e = (struct ephemerons){0};
    fibers_forgotten(heap);
}
