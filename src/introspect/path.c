#include "introspect/path.h"
#include "introspect/maplist.h"
#include "introspect/seen.h"
#include "introspect/verify.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* ---- Holders ---- */

struct holders {
    uintptr_t object;
    path_fn *fn;
    void *arg;
    size_t n;
    bool over;
};

static void note_holder(void *holders, const struct gc_edge *edge)
{
    struct holders *h = holders;
    if ((uintptr_t)edge->to != h->object)
        return;
    h->n++;
    h->over = h->over || !h->fn(h->arg, edge);
}

struct walk_of_holders {
    gc_heap *heap;
    struct holders *holders;
};

static bool look_for_holders(void *walk, struct gc_span *s, uintptr_t object)
{
    struct walk_of_holders *w = walk;
    edges_of_object(w->heap, s, object, note_holder, w->holders);
    return true;
}

size_t path_holders(gc_heap *heap, uintptr_t object, path_fn *fn, void *arg)
{
    struct holders h = {object, fn, arg, 0, false};
    struct walk_of_holders w = {heap, &h};
    edges_of_roots(heap, note_holder, &h);
    edges_of_keys(heap, note_holder, &h);
    verify_each_object(heap, look_for_holders, &w);
    return h.n;
}

/* ---- The search ---- */

/* An object that was reached, and from where: the number of that hop plus 1; 0: from a root. */
struct hop {
    uintptr_t object;
    size_t from;
};

/* The value of a weak map's entry is reached when its key is; what a fiber holds, when its owner
 * is. */
struct key_value {
    uintptr_t key;
    struct gc_edge edge;
};

struct path_search {
    gc_heap *heap;
    uintptr_t goal;
    uint64_t asker;
    struct maplist hops, values;
    size_t from;             /* of the hops that are added */
    struct gc_edge by_asker; /* a root of who asks that refers to the goal; to NULL: none */
    bool found, no_memory;
};

static struct hop *hop_at(const struct path_search *s, size_t i)
{
    return &((struct hop *)s->hops.items)[i];
}
static struct key_value *value_at(const struct path_search *s, size_t i)
{
    return &((struct key_value *)s->values.items)[i];
}

static void reach(struct path_search *s, uintptr_t object)
{
    struct target target;
    if (s->found || !target_resolve(&s->heap->mem, object, &target))
        return;
    enum seen seen = seen_add(&target);
    if (seen == SEEN_BEFORE)
        return;
    struct hop *hop = seen == SEEN_NEW ? maplist_add(&s->hops) : NULL;
    if (!hop) {
        s->no_memory = true;
        return;
    }
    *hop = (struct hop){target.base, s->from};
    s->found = target.base == s->goal;
}

static void reach_edge(void *search, const struct gc_edge *edge)
{
    reach(search, (uintptr_t)edge->to);
}

static bool is_askers(const struct path_search *s, const struct gc_edge *edge)
{
    return (uintptr_t)edge->to == s->goal && edge->thread && edge->thread == s->asker;
}

static void reach_root(void *search, const struct gc_edge *edge)
{
    struct path_search *s = search;
    if (is_askers(s, edge))
        s->by_asker = *edge;
    else
        reach_edge(s, edge);
}

/* A key outside of the heap lives always. */
static void note_value(void *search, const struct gc_edge *edge)
{
    struct path_search *s = search;
    uintptr_t key = (uintptr_t)edge->from;
    if (!arena_of(&s->heap->mem.arenas, key)) {
        reach_edge(s, edge);
        return;
    }
    struct key_value *value = maplist_add(&s->values);
    if (value)
        *value = (struct key_value){key, *edge};
    else
        s->no_memory = true;
}

static int compare_values(const void *left, const void *right)
{
    const struct key_value *a = left, *b = right;
    return a->key == b->key ? 0 : a->key < b->key ? -1 : 1;
}

static void sort_values(struct path_search *s)
{
    if (s->values.n > 0)
        qsort(s->values.items, s->values.n, s->values.item, compare_values);
}

/* The first value whose key is not below this one. */
static size_t find_value(const struct path_search *s, uintptr_t key)
{
    size_t low = 0, high = s->values.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (value_at(s, middle)->key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* All edges that are followed once the object is reached. */
static void follow(struct path_search *s, uintptr_t object, edge_fn *fn, void *arg)
{
    edges_of_object(s->heap, mheap_span_of(&s->heap->mem, object), object, fn, arg);
    for (size_t i = find_value(s, object); i < s->values.n && value_at(s, i)->key == object; i++)
        fn(arg, &value_at(s, i)->edge);
}

/* In the order of the number of hops. */
static void search_all(struct path_search *s)
{
    edges_of_roots(s->heap, reach_root, s);
    edges_of_keys(s->heap, note_value, s);
    sort_values(s);
    for (size_t i = 0; i < s->hops.n && !s->found; i++) {
        s->from = i + 1;
        follow(s, hop_at(s, i)->object, reach_edge, s);
    }
    seen_drop(s->heap);
}

/* ---- The path ---- */

/* The first edge of those that are passed which leads to an object, and may be taken. */
struct choice {
    const struct path_search *search;
    uintptr_t to;
    struct gc_edge edge; /* to NULL: none yet */
    bool of_root;
};

static void choose(void *choice, const struct gc_edge *edge)
{
    struct choice *c = choice;
    bool key_in_heap =
        edge_is_of_key(edge) && arena_of(&c->search->heap->mem.arenas, (uintptr_t)edge->from);
    if (c->edge.to || (uintptr_t)edge->to != c->to)
        return;
    if (c->of_root && (key_in_heap || is_askers(c->search, edge)))
        return;
    c->edge = *edge;
}

/* The edge by which a hop was reached. */
static struct gc_edge edge_to(struct path_search *s, const struct hop *hop)
{
    struct choice c = {.search = s, .to = hop->object, .of_root = hop->from == 0};
    if (hop->from) {
        follow(s, hop_at(s, hop->from - 1)->object, choose, &c);
    } else {
        edges_of_roots(s->heap, choose, &c);
        edges_of_keys(s->heap, choose, &c);
    }
    return c.edge;
}

/* Turns the links from the goal back to the root around: from now on `from` leads on. Returns the
 * number of the first hop plus 1. */
static size_t turn_around(struct path_search *s)
{
    size_t at = s->hops.n, next = 0;
    while (at) {
        size_t from = hop_at(s, at - 1)->from;
        hop_at(s, at - 1)->from = next;
        next = at;
        at = from;
    }
    return next;
}

static int tell_path(struct path_search *s, path_fn *fn, void *arg)
{
    int n = 0;
    bool more = true;
    size_t before = 0;
    for (size_t at = turn_around(s), next; at; before = at, at = next, n += n < INT_MAX) {
        const struct hop hop = {hop_at(s, at - 1)->object, before};
        next = hop_at(s, at - 1)->from;
        if (!more)
            continue;
        const struct gc_edge edge = edge_to(s, &hop);
        more = fn(arg, &edge);
    }
    return n;
}

int path_find(gc_heap *heap, uintptr_t object, uint64_t asker, path_fn *fn, void *arg)
{
    struct path_search s = {.heap = heap,
                            .goal = object,
                            .asker = asker,
                            .hops = {.item = sizeof(struct hop)},
                            .values = {.item = sizeof(struct key_value)}};
    int n = 0;
    search_all(&s);
    if (s.found) {
        n = tell_path(&s, fn, arg);
    } else if (s.no_memory) {
        n = -ENOMEM;
    } else if (s.by_asker.to) {
        fn(arg, &s.by_asker);
        n = 1;
    }
    maplist_free(&s.hops);
    maplist_free(&s.values);
    return n;
}
