/* What is reachable in the shadow. */
#include "shadow.h"

static void reach(struct node *n)
{
    if (!n || n->reached == w.rest)
        return;
    n->reached = w.rest;
    n->via = w.via;
    n->via_root = w.via_root;
    if (atomic_get(&n->weak_cleared) && !atomic_get(&n->weak_finalized))
        describe(n, "is reachable though its weak reference was cleared");
    if (w.nwork == w.work_capacity) {
        w.work_capacity = w.work_capacity ? w.work_capacity * 2 : 4096;
        w.work = must(realloc(w.work, w.work_capacity * sizeof(struct node *)));
    }
    w.work[w.nwork++] = n;
}

static void reach_slot(const shape_word *slot, const struct shadow *shadow, const struct node *n)
{
    uint64_t word = load(slot);
    if (word != shadow->word) {
        diag("%llx instead of %llx", (unsigned long long)word, (unsigned long long)shadow->word);
        if (n)
            describe(n, "does not hold what its only writer wrote");
        BAD("a root slot does not hold what was put there");
    }
    reach(shadow->to);
}

static void reach_racy(const shape_word *slot)
{
    reach(node_of_word(load(slot)));
}

/* A live object's value in a weak map is alive, and what the shadow says; and it is still the one
 * of its key in the intern table. */
static void reach_weak(const struct node *n)
{
    for (int i = 0; n->mapped && i < MAPS; i++) {
        const struct shadow *value = &n->mapped[i];
        if (!w.maps[i])
            continue;
        if ((uint64_t)(uintptr_t)gc_weakmap_get(w.maps[i], n->address) != value->word)
            describe(n, "does not have the value in a weak map that its only writer gave it");
        reach(value->to);
    }
    if (atomic_get(&n->interned) && w.intern) {
        uint32_t key = n->intern_key - 1;
        if (gc_intern_get(w.intern, &key, sizeof key, NULL) != n->address)
            describe(n, "is not the interned object of its key any more");
    }
}

static void check_cleanups(const struct node *n)
{
    for (struct cleanup *c = n->cleanups; c; c = c->next) {
        if (atomic_get(&c->state) == CLEANUP_RAN)
            describe(n, "is reachable though its cleanup ran");
    }
}

/* What it refers to; the object itself need not be reachable. */
static void reach_from(struct node *n)
{
    if (!gc_is_object(n->address))
        describe(n, "is gone though it is reachable");
    if (gc_object_size(n->address) < n->shape.size)
        describe(n, "is in a slot too small for it");
    check_intact(n);
    check_cleanups(n);
    for (unsigned i = 0; i < n->used; i++) {
        if (n->racy)
            reach_racy(used_slot(n, i));
        else
            reach_slot(used_slot(n, i), &n->slots[i], n);
    }
}

static void reach_slots(const shape_word *slots, const struct shadow *shadows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        reach_slot(&slots[i], &shadows[i], NULL);
}

static void reach_space(const struct space *s)
{
    reach_slots(s->slots, s->shadows, space_size(s));
}

static void reach_pool(void)
{
    unsigned n = 0;
    for (const struct pooled *p = w.pool; p < w.pool + POOL; p++) {
        if (!p->fiber)
            continue;
        w.via_root = "a range of a pooled fiber";
        reach_space(&p->stack_space);
        w.via_root = "a frame of a pooled fiber";
        reach_space(&p->local_space);
        w.via_root = "the C stack of a pooled fiber";
        reach_slots(p->words, p->word_shadows, POOL_WORDS);
        w.via_root = "the owner of a pooled fiber";
        if (p->owner)
            reach_slots((shape_word *)(void *)p->owner, &p->owner_shadow, 1);
        n++;
    }
    w.most_fibers = n > w.most_fibers ? n : w.most_fibers;
}

static void reach_roots(void)
{
    static const char *const kinds[] = {"a frame or range", "a global or handle", "a stack"};
    w.via = NULL;
    for (unsigned t = 0; t < w.setup.threads; t++) {
        struct mutator *m = &w.mutators[t];
        for (unsigned i = 0; i < m->nspaces; i++) {
            w.via_root = kinds[m->spaces[i]->kind];
            reach_space(m->spaces[i]);
        }
        w.via_root = "a frame of a suspended fiber";
        reach_space(&m->fiber_space);
    }
    w.via_root = "a shared fiber";
    for (int i = 0; i < SHARED_FIBERS; i++)
        reach_slots(w.fibers[i].slots, w.fibers[i].shadows, FIBER_SLOTS);
    reach_pool();
    w.via_root = "a racy root";
    for (int i = 0; i < RACY_GLOBALS; i++)
        reach_racy(&w.globals[i]);
    for (int i = 0; i < RACY_HANDLES; i++)
        reach_racy((shape_word *)(void *)w.handles[i]);
    for (int i = 0; i < RACY_VISITED; i++)
        reach_racy(&w.visited[i]);
}

static void reach_closure(size_t from)
{
    for (size_t i = from; i < w.nwork; i++) {
        w.via = w.work[i];
        reach_from(w.work[i]);
        if (w.work[i]->queued != w.rest)
            reach_weak(w.work[i]);
    }
}

void each_node(void (*fn)(struct node *))
{
    for (unsigned t = 0; t < w.setup.threads; t++) {
        for (size_t i = 0; i < w.mutators[t].count; i++)
            fn(w.mutators[t].nodes[i]);
    }
}

/* What an object with a finalizer refers to lives, whether the object itself is reachable or not.
 */
static void reach_finalizable(struct node *n)
{
    if (atomic_get(&n->final) != FINAL_SET)
        return;
    size_t from = w.nwork;
    w.via = NULL;
    w.via_root = "an object with a finalizer";
    reach_from(n);
    reach_closure(from);
}

/* With what is in w.queue. */
void reach_all(void)
{
    w.rest++;
    w.nwork = 0;
    w.via = NULL;
    w.via_root = "the finalizer queue";
    for (size_t i = 0; i < w.nqueue; i++) {
        w.queue[i]->queued = w.rest;
        reach(w.queue[i]);
    }
    reach_roots();
    reach_closure(0);
    each_node(reach_finalizable);
    w.checked += w.nwork;
}
