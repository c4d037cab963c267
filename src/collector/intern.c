#include "collector/intern.h"
#include "collector/weak.h"
#include "mutator/self.h"
#include <errno.h>

/* ---- What the collector does ---- */

static void walk(struct weakset *set, bool (*fn)(void *arg, uintptr_t object), void *arg)
{
    gc_intern *in = (gc_intern *)set;
    for (unsigned i = 0; i < INTERN_TABLES; i++) {
        uintptr_t at = 0;
        while (interntable_walk(&in->tables[i], &at, fn, arg))
            ;
    }
}

static bool mark_object(void *m, uintptr_t object)
{
    marker_edge(m, object);
    return true;
}

static void mark(struct weakset *set, struct marker *m)
{
    walk(set, mark_object, m);
}

static bool object_lives(void *heap, uintptr_t object)
{
    return weaksets_key_lives(heap, object);
}

static void clear(struct weakset *set)
{
    walk(set, object_lives, set->heap);
}

static size_t count(const struct weakset *set)
{
    return intern_count((const gc_intern *)set);
}

static void destroy(struct weakset *set)
{
    gc_intern *in = (gc_intern *)set;
    for (unsigned i = 0; i < INTERN_TABLES; i++)
        interntable_destroy(&in->tables[i]);
}

static const struct weakset_kind kind = {mark, clear, count, destroy};

gc_intern *intern_new(gc_heap *heap, const struct gc_intern_ops *ops)
{
    gc_intern *in = (gc_intern *)weakset_new(heap, sizeof *in, &kind);
    if (!in)
        return NULL;
    in->ops = *ops;
    for (unsigned i = 0; i < INTERN_TABLES; i++)
        interntable_init(&in->tables[i], heap);
    weakset_publish(&in->set);
    return in;
}

size_t intern_count(const gc_intern *in)
{
    size_t n = 0;
    for (unsigned i = 0; i < INTERN_TABLES; i++)
        n += word_load_relaxed(&in->tables[i].count);
    return n;
}

/* ---- What threads do ---- */

/* The embedder's hash may be poor in some of its bits. The middle ones choose the table, the
 * highest the leaf, the lowest the entry. */
static uintptr_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15u;
    return (uintptr_t)(hash ^ hash >> 32);
}

static struct interntable *table_of(gc_intern *in, uintptr_t hash)
{
    return &in->tables[hash >> WORD_BITS / 2 & (INTERN_TABLES - 1)];
}

/* What a thread looks for. */
struct request {
    gc_intern *in;
    uintptr_t hash;
    const void *key;
    size_t size;
};

INLINE bool holds(gc_thread *t, const struct request *r, uintptr_t object)
{
    return object != INTERN_GONE && r->in->ops.equal((const void *)object, r->key, r->size) &&
           weak_hold(t, object);
}

/* 0: there is none. I29: no lock. An object that was found may be dead, and may even have been
 * taken out, but its content is as it was: this thread has not answered DISARM. */
INLINE uintptr_t find(gc_thread *t, const struct request *r)
{
    const struct internleaf *leaf = interntable_leaf(table_of(r->in, r->hash), r->hash);
    for (size_t i = 0; leaf; i++) {
        const struct internentry *e = internleaf_entry(leaf, r->hash, i);
        uintptr_t object = word_load_acquire(&e->object);
        if (object == INTERN_FREE)
            break;
        if (word_load_relaxed(&e->hash) == r->hash && holds(t, r, object))
            return object;
    }
    return 0;
}

/* Adds the object. If another thread was faster, returns that thread's object, which is the
 * canonical one. There was no safepoint since the object was made, or the caller holds it. */
static void *add(gc_thread *t, const struct request *r, void *object)
{
    struct interntable *table = table_of(r->in, r->hash);
    lock_acquire(&table->lock);
    self_thread_calls_back(t);
    uintptr_t there = find(t, r);
    self_called_back(t);
    bool added = !there && interntable_add_locked(table, r->hash, (uintptr_t)object);
    lock_release(&table->lock);
    return added ? object : (void *)there;
}

static NOINLINE void *make(gc_thread *t, struct request r, void *arg)
{
    int before = errno;
    errno = 0; /* the errno of `make` is passed on */
    if (!r.in->ops.make)
        return NULL;
    void *object = r.in->ops.make(r.key, r.size, arg);
    if (object)
        object = add(t, &r, object);
    if (object)
        errno = before;
    else if (errno == 0)
        errno = ENOMEM;
    return object;
}

void *intern_get(gc_thread *t, gc_intern *in, const void *key, size_t size, void *arg)
{
    self_thread_calls_back(t);
    struct request r = {in, mix(in->ops.hash(key, size)), key, size};
    uintptr_t object = find(t, &r);
    self_called_back(t);
    return object ? (void *)object : make(t, r, arg);
}
