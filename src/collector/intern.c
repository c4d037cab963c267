#include "collector/intern.h"
#include "collector/weak.h"
#include "mutator/self.h"
#include <errno.h>

#define TABLES 16

gc_intern *intern_new(gc_heap *heap, const struct gc_intern_ops *ops)
{
    gc_intern *in = (gc_intern *)weakset_new(heap, sizeof *in, TABLES, false);
    if (in)
        in->ops = *ops;
    return in;
}

/* The embedder's hash may be poor in some of its bits. The lowest ones choose the table, the
 * highest the bucket. */
static uintptr_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15u;
    return (uintptr_t)(hash ^ hash >> 32);
}

/* What a thread looks for. */
struct request {
    gc_intern *in;
    struct weaktable *table;
    uintptr_t hash;
    const void *key;
    size_t size;
};

static bool is_equal(const struct request *r, uintptr_t object)
{
    gc_thread *self = self_calls_back();
    bool yes = r->in->ops.equal((const void *)object, r->key, r->size);
    self_called_back(self);
    return yes;
}

/* 0: there is none. The object of a node may be dead, but its content is as it was: nodes are taken
 * out before the sweep. */
static uintptr_t find_locked(gc_thread *t, const struct request *r)
{
    LOCK_ASSERT_HELD(&r->table->lock);
    const struct weaknode *node = weaktable_find_locked(r->table, r->hash);
    for (; node && node->hash == r->hash; node = node->next) {
        if (is_equal(r, node->key) && weak_hold(t, node->key))
            return node->key;
    }
    return 0;
}

static void *find(gc_thread *t, const struct request *r)
{
    weaktable_lock(r->table);
    uintptr_t object = find_locked(t, r);
    weaktable_unlock(r->table);
    return (void *)object;
}

/* Adds the object. If another thread was faster, returns that thread's object, which is the
 * canonical one. There was no safepoint since the object was made. */
static void *add(gc_thread *t, const struct request *r, void *object)
{
    struct weaknode *node = malloc(sizeof *node);
    if (!node)
        return NULL;
    node->hash = r->hash;
    node->key = (uintptr_t)object;
    weaktable_lock(r->table);
    uintptr_t there = find_locked(t, r);
    bool added = !there && weaktable_insert_locked(r->table, node);
    weaktable_unlock(r->table);
    if (!added)
        free(node);
    return added ? object : (void *)there;
}

static void *make(gc_thread *t, const struct request *r, void *arg)
{
    int before = errno;
    errno = 0; /* the errno of `make` is passed on */
    if (!r->in->ops.make)
        return NULL;
    void *object = r->in->ops.make(r->key, r->size, arg);
    if (object)
        object = add(t, r, object);
    if (object)
        errno = before;
    else if (errno == 0)
        errno = ENOMEM;
    return object;
}

static uint64_t hash_of(const gc_intern *in, const void *key, size_t size)
{
    gc_thread *self = self_calls_back();
    uint64_t hash = in->ops.hash(key, size);
    self_called_back(self);
    return hash;
}

void *intern_get(gc_thread *t, gc_intern *in, const void *key, size_t size, void *arg)
{
    uintptr_t hash = mix(hash_of(in, key, size));
    struct request r = {in, &in->set.tables[hash % TABLES], hash, key, size};
    void *object = find(t, &r);
    return object ? object : make(t, &r, arg);
}

size_t intern_count(const gc_intern *in)
{
    size_t n = 0;
    for (unsigned i = 0; i < TABLES; i++)
        n += word_load_relaxed(&in->set.tables[i].count);
    return n;
}
