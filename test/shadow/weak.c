/* Weak references, weak maps, interned objects. */
#include "shadow.h"

static void get_weak(struct mutator *m, struct node *n)
{
    bool cleared = atomic_get(&n->weak_cleared);
    void *p = gc_weak_get(n->weak);
    if (!p) {
        atomic_set(&n->weak_cleared, 1);
    } else if (cleared) {
        describe(n, "came back from a weak reference that was cleared");
    } else if (p != n->address) {
        describe(n, "is not what its weak reference says");
    } else {
        check_intact(n);
        hold(any_place(m), n, (uint64_t)(uintptr_t)p);
    }
}

/* A weak reference is given to an object that has none, or got: of an own object, or of one of
 * those that all threads know. */
void op_weak(struct mutator *m)
{
    struct node *n = any_own(m);
    if (n && !n->weak && !is_small(n)) {
        atomic_set(&n->weak, gc_weak_new(n->address));
        m->refused += !n->weak;
        if (n->weak)
            atomic_set(&w.known[random_below(&m->random, KNOWN)], n);
    }
    if (!m->count)
        return;
    n = random_one_in(&m->random, 2) ? m->nodes[random_below(&m->random, m->count)]
                                     : atomic_get(&w.known[random_below(&m->random, KNOWN)]);
    if (n && atomic_get(&n->weak))
        get_weak(m, n);
}

static void op_map_set(struct mutator *m, unsigned map)
{
    struct node *n = any_own(m), *to = random_one_in(&m->random, 8) ? NULL : any_held(m, false);
    if (!n || is_small(n))
        return;
    if (!n->mapped)
        n->mapped = must(calloc(MAPS, sizeof *n->mapped));
    struct shadow *value = &n->mapped[map];
    if (random_one_in(&m->random, 3)) {
        if (gc_weakmap_delete(w.maps[map], n->address) != (value->word != 0))
            describe(n, "was, or was not, in a weak map");
        *value = (struct shadow){0, NULL};
        return;
    }
    uint64_t word = to ? reference(m, to) : immediate(m) | 8;
    int error = gc_weakmap_set(w.maps[map], n->address, (void *)(uintptr_t)word);
    if (error && error != -ENOMEM)
        BAD("gc_weakmap_set fails with %d", error);
    m->refused += error != 0;
    if (!error)
        *value = (struct shadow){word, to};
}

static void hold_value(struct mutator *m, uint64_t word)
{
    struct node *n = word ? node_of_word(word) : NULL;
    if (!n)
        return;
    check_intact(n);
    hold(any_place(m), n, word);
}

/* Of whatever object: its owner may be setting it. */
static void op_map_get(struct mutator *m, unsigned map)
{
    struct node *n = any_held(m, false);
    if (!n)
        return;
    uint64_t word = (uint64_t)(uintptr_t)gc_weakmap_get(w.maps[map], n->address);
    if (n->owner == m->index && word != (n->mapped ? n->mapped[map].word : 0))
        describe(n, "does not have the value in a weak map that its only writer gave it");
    hold_value(m, word);
}

static void op_map_walk(struct mutator *m, unsigned map)
{
    void *key = NULL, *value = NULL;
    GC_FRAME(key, value);
    for (size_t i = random_below(&m->random, 8); i > 0; i--) {
        if (!gc_weakmap_next(w.maps[map], &m->positions[map], &key, &value)) {
            m->positions[map] = 0;
            break;
        }
        struct node *n = node_of_word((uint64_t)(uintptr_t)key);
        if (!n || n->address != key)
            BAD("a weak map has the key %p, which is no object's address", key);
        check_intact(n);
        hold_value(m, (uint64_t)(uintptr_t)value);
        hold(any_place(m), n, (uint64_t)(uintptr_t)key);
    }
}

void op_map(struct mutator *m)
{
    unsigned map = (unsigned)random_below(&m->random, MAPS);
    size_t what = random_below(&m->random, 8);
    if (what < 4)
        op_map_set(m, map);
    else if (what < 7)
        op_map_get(m, map);
    else
        op_map_walk(m, map);
}

static uint64_t intern_hash(const void *key, size_t size)
{
    uint32_t k;
    memcpy(&k, key, size);
    return k * 0x9e3779b97f4a7c15u;
}

/* An object that has died may be nobody any more. */
static bool intern_equal(const void *object, const void *key, size_t size)
{
    uint32_t k;
    memcpy(&k, key, size);
    const struct node *n = node_of_id(*(const shape_word *)object);
    return n && n->address == object && n->intern_key == k + 1;
}

static void *intern_make(const void *key, size_t size, void *arg)
{
    uint32_t k;
    memcpy(&k, key, size);
    struct node *n = arg ? new_node_of(arg, &layouts[LAYOUT_PAIR]) : NULL;
    if (!n)
        return NULL;
    n->intern_key = k + 1;
    return n->address;
}

const struct gc_intern_ops intern_ops = {intern_hash, intern_equal, intern_make};

void op_intern(struct mutator *m)
{
    uint32_t key = (uint32_t)random_below(&m->random, INTERN_KEYS);
    errno = 0;
    void *p = gc_intern_get(w.intern, &key, sizeof key, m);
    if (!p) {
        if (errno != ENOMEM)
            BAD("gc_intern_get fails with errno %d", errno);
        return;
    }
    struct node *n = node_of_word((uint64_t)(uintptr_t)p);
    if (!n || n->intern_key != key + 1)
        BAD("%p is not the object of key %u", p, (unsigned)key);
    check_intact(n);
    atomic_set(&n->interned, 1);
    hold(any_place(m), n, (uint64_t)(uintptr_t)p);
}
