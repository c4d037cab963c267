#include "introspect/edges.h"
#include "allocator/object.h"
#include "collector/special.h"
#include "collector/weakset.h"
#include "memory/tagged.h"
#include "mutator/fiber.h"
#include "mutator/frame.h"
#include "mutator/thread.h"

/* ---- Visits ---- */

static void visit_trace_function(const struct gc_span *s, const struct parts *p,
                                 struct gc_tracer *tracer)
{
    if (!spanclass_traced(s->spanclass) || !p->head || !p->head->trace)
        return;
    tracer->source.slot = NULL;
    tracer_object(tracer, p->object, p->head);
}

static void visit_slots_of(gc_heap *heap, const struct gc_span *s, uintptr_t object,
                           struct gc_tracer *tracer)
{
    if (span_noscan(s))
        return;
    const struct parts p = parts_of(s, object);
    uintptr_t end = span_is_large(s) ? s->scan_limit : object + (uintptr_t)s->words * WORD_SIZE;
    for (uintptr_t at = object; at < end; at += WORD_SIZE) {
        if (heapbits_load(arena_of(&heap->mem.arenas, at), at, 1) && parts_refer(&p, at))
            tracer_slot(tracer, (const slot_word *)at);
    }
    visit_trace_function(s, &p, tracer);
}

void edges_visit_object(gc_heap *heap, const struct gc_span *s, uintptr_t object,
                        struct gc_tracer *tracer)
{
    tracer_enter(tracer, GC_IN_OBJECT, (const void *)object);
    tracer->source.thread = NULL;
    visit_slots_of(heap, s, object, tracer);
}

/* The object of a queued finalizer is a root. Before that, what the object refers to is. */
static void visit_finalizer(struct gc_span *s, uintptr_t object, bool queued, void *tracer)
{
    struct gc_tracer *t = tracer;
    tracer_enter(t, GC_IN_FINALIZER, (const void *)object);
    if (queued)
        tracer_word(t, object);
    else
        visit_slots_of(t->heap, s, object, t);
}

void edges_visit_roots(gc_heap *heap, struct gc_tracer *tracer)
{
    for (gc_thread *t = heap->mutators.list; t; t = t->next)
        thread_visit_roots(t, tracer);
    for (gc_fiber *f = heap->fibers; f; f = f->next) {
        if (f->state == FIBER_SUSPENDED)
            fiber_visit(f, tracer);
    }
    roots_visit(&heap->roots, tracer);
    special_each_finalizer(heap, visit_finalizer, tracer);
}

/* The owner of a suspended fiber; 0: it is dead, or a thread runs the fiber. */
static uintptr_t owner_of_suspended(const gc_fiber *f)
{
    bool suspended = u32_load_relaxed(&f->state) == FIBER_SUSPENDED;
    return suspended ? special_weak_object(f->owner) : 0;
}

void edges_visit_owned(gc_heap *heap, bool (*is_alive)(const gc_heap *heap, uintptr_t owner),
                       struct gc_tracer *tracer)
{
    for (gc_fiber *f = heap->owned_fibers; f; f = f->next) {
        uintptr_t owner = owner_of_suspended(f);
        if (owner && is_alive(heap, owner))
            fiber_visit(f, tracer);
    }
}

/* ---- Edges ---- */

struct edge_visit {
    struct gc_tracer tracer;
    edge_fn *fn;
    void *arg;
};

struct gc_edge edge_of_source(const struct gc_tracer *tracer, uintptr_t to)
{
    const struct root_source *s = &tracer->source;
    return (struct gc_edge){.by = s->by,
                            .from = s->from,
                            .slot = s->slot,
                            .to = (void *)to,
                            .thread = s->thread ? s->thread->os_id : 0};
}

static void pass_on(struct gc_tracer *tracer, word value)
{
    const struct edge_visit *v = CONTAINER_OF(tracer, struct edge_visit, tracer);
    const gc_heap *heap = tracer->heap;
    uintptr_t to = object_cell(&heap->mem, value_address(&heap->options.format, value));
    if (!to)
        return;
    const struct gc_edge edge = edge_of_source(tracer, to);
    v->fn(v->arg, &edge);
}

static struct edge_visit visit_for(gc_heap *heap, edge_fn *fn, void *arg)
{
    return (struct edge_visit){
        {.value = pass_on, .stale = pass_on, .heap = heap, .source = {.by = GC_IN_OBJECT}},
        fn,
        arg};
}

void edges_of_object(gc_heap *heap, const struct gc_span *s, uintptr_t object, edge_fn *fn,
                     void *arg)
{
    struct edge_visit v = visit_for(heap, fn, arg);
    edges_visit_object(heap, s, object, &v.tracer);
}

void edges_of_roots(gc_heap *heap, edge_fn *fn, void *arg)
{
    struct edge_visit v = visit_for(heap, fn, arg);
    edges_visit_roots(heap, &v.tracer);
}

static bool visit_entry(void *visit, const struct weaknode *node)
{
    struct edge_visit *v = visit;
    const struct weakentry *entry = weakentry_of(node);
    tracer_enter(&v->tracer, GC_IN_WEAKMAP, (const void *)node->key);
    tracer_word(&v->tracer, entry->value);
    return true;
}

static void visit_map(struct weakset *set, void *visit)
{
    uintptr_t at = 0;
    while (set->entries && weaktable_walk(set->entries, &at, visit_entry, visit))
        ;
}

/* An edge of a fiber's root set becomes one of the fiber's owner. */
struct owned_visit {
    struct edge_visit edges;
    uintptr_t owner;
};

static void pass_on_owned(void *visit, const struct gc_edge *edge)
{
    struct owned_visit *v = visit;
    struct gc_edge owned = *edge;
    owned.by = GC_IN_FIBER;
    owned.from = (const void *)v->owner;
    v->edges.fn(v->edges.arg, &owned);
}

static void visit_owned(struct owned_visit *v, const gc_fiber *f)
{
    struct edge_visit of_fiber = visit_for(v->edges.tracer.heap, pass_on_owned, v);
    v->owner = owner_of_suspended(f);
    if (v->owner)
        fiber_visit(f, &of_fiber.tracer);
}

void edges_of_keys(gc_heap *heap, edge_fn *fn, void *arg)
{
    struct owned_visit v = {visit_for(heap, fn, arg), 0};
    weaksets_walk(heap, visit_map, &v.edges);
    for (const gc_fiber *f = heap->owned_fibers; f; f = f->next)
        visit_owned(&v, f);
}

void edges_name_frames(gc_heap *heap, bool on)
{
    u32_fetch_add_relaxed(&heap->names_frames, on ? 1 : UINT32_MAX);
}

/* ---- Texts ---- */

static bool is_from_object(const struct gc_edge *edge)
{
    return edge->by == GC_IN_OBJECT || edge->by == GC_IN_FINALIZER;
}

const gc_type *edge_type(const gc_heap *heap, const struct gc_edge *edge)
{
    const uintptr_t from = (uintptr_t)edge->from;
    struct site_type known;
    bool is_known =
        is_from_object(edge) && site_type_of(heap, mheap_span_of(&heap->mem, from), from, &known);
    return is_known ? known.type : NULL;
}

const char *edge_field(const gc_heap *heap, const struct gc_edge *edge, char *text, size_t room)
{
    const uintptr_t from = (uintptr_t)edge->from, at = (uintptr_t)edge->slot;
    if (!is_from_object(edge) || !at || object_cell(&heap->mem, at) != from)
        return NULL;
    return site_field_text(heap, from, at, text, room);
}

static const gc_thread *thread_of(const gc_heap *heap, uint64_t id)
{
    const gc_thread *t = heap->mutators.list;
    while (t && (!id || t->os_id != id))
        t = t->next;
    return t;
}

/* "in build(), thread 4711 main". */
static void owner_text(const gc_thread *t, const void *at, char *text, size_t room)
{
    char name[60];
    size_t n = 0;
    if (!t) {
        snprintf(text, room, "of a suspended fiber");
        return;
    }
    if (at && site_function_text(t, (uintptr_t)at, name, sizeof name))
        n = (size_t)snprintf(text, room, "in %s(), ", name);
    if (n < room)
        snprintf(text + n, room - n, "thread %llu%s%s", (unsigned long long)t->os_id,
                 t->name[0] ? " " : "", t->name);
}

static void object_edge_text(const gc_heap *heap, const struct gc_edge *edge, char *text,
                             size_t room)
{
    uintptr_t from = (uintptr_t)edge->from, at = (uintptr_t)edge->slot;
    char name[160];
    if (at && object_cell(&heap->mem, at) == from)
        site_word_text(heap, from, at, name, sizeof name);
    else
        site_object_text(heap, from, name, sizeof name);
    snprintf(text, room, "%s at 0x%zx", name, (size_t)from);
}

static void finalizer_edge_text(const gc_heap *heap, const struct gc_edge *edge, char *text,
                                size_t room)
{
    char object[200];
    object_edge_text(heap, edge, object, sizeof object);
    snprintf(text, room, "%s, %s", object,
             edge->slot ? "which has a finalizer" : "whose finalizer is queued");
}

static void key_edge_text(const gc_heap *heap, const struct gc_edge *edge, const char *what,
                          char *text, size_t room)
{
    char key[120];
    snprintf(text, room, "%s %s at 0x%zx", what,
             site_object_text(heap, (uintptr_t)edge->from, key, sizeof key), (size_t)edge->from);
}

static void global_edge_text(const struct gc_edge *edge, char *text, size_t room)
{
    char name[80];
    if (place_variable((uintptr_t)edge->slot, name, sizeof name))
        snprintf(text, room, "the global %s", name);
    else
        snprintf(text, room, "the rooted slot at 0x%zx", (size_t)edge->slot);
}

/* Roots of threads and fibers. */
static void owned_edge_text(const gc_thread *t, const struct gc_edge *edge, char *text, size_t room)
{
    char owner[160], name[60];
    owner_text(t,
               edge->by == GC_IN_FRAME   ? edge->from
               : edge->by == GC_IN_STACK ? edge->slot
                                         : NULL,
               owner, sizeof owner);
    if (edge->by == GC_IN_FRAME)
        snprintf(text, room, "local %zu of the GC_FRAME %s",
                 frame_slot_number(edge->from, edge->slot) + 1, owner);
    else if (edge->by == GC_IN_RANGE)
        snprintf(text, room, "[%zu] of the range at 0x%zx, %s",
                 (size_t)((const slot_word *)edge->slot - (const slot_word *)edge->from),
                 (size_t)edge->from, owner);
    else if (edge->by == GC_IN_STACK)
        snprintf(text, room, "the C stack %s", owner);
    else if (edge->by == GC_IN_FIBER)
        snprintf(text, room, "the fiber that is run by %s", owner);
    else
        snprintf(text, room, "the root callback %s()%s%s",
                 place_function((uintptr_t)edge->from + 1, name, sizeof name), t ? ", " : "",
                 t ? owner : "");
}

const char *edge_text(const gc_heap *heap, const struct gc_edge *edge, char *text, size_t room)
{
    if (edge->by == GC_IN_OBJECT)
        object_edge_text(heap, edge, text, room);
    else if (edge->by == GC_IN_FINALIZER)
        finalizer_edge_text(heap, edge, text, room);
    else if (edge->by == GC_IN_GLOBAL)
        global_edge_text(edge, text, room);
    else if (edge->by == GC_IN_HANDLE)
        snprintf(text, room, "the handle at 0x%zx", (size_t)edge->slot);
    else if (edge->by == GC_IN_WEAKMAP)
        key_edge_text(heap, edge, "a weak map, with the key", text, room);
    else if (edge->by == GC_IN_FIBER && edge->from)
        key_edge_text(heap, edge, "a suspended fiber of the", text, room);
    else
        owned_edge_text(thread_of(heap, edge->thread), edge, text, room);
    return text;
}
