#include "collector/interntable.h"
#include "base/os.h"

#define LEAF_MIN 16
/* A larger leaf is made only for hashes that do not differ in their highest bits. */
#define LEAF_MAX 1024

void interntable_init(struct interntable *t, gc_heap *heap)
{
    memset(t, 0, sizeof *t);
    lock_init(&t->lock, LOCK_WEAKTABLE);
    t->heap = heap;
}

/* ---- Leaves ---- */

/* Entries and hashes of the two halves of a leaf differ in this bit. */
static uintptr_t bit_below(unsigned depth)
{
    return (uintptr_t)1 << (WORD_BITS - 1 - depth);
}

/* The last hash that belongs to the leaf of `hash`. */
static uintptr_t last_of(const struct internleaf *leaf, uintptr_t hash)
{
    return leaf->depth ? hash | (((uintptr_t)1 << (WORD_BITS - leaf->depth)) - 1) : UINTPTR_MAX;
}

/* So many entries that n objects, and some more, take a quarter to a half of them. */
static size_t fitting(size_t n)
{
    size_t size = LEAF_MIN;
    while (size <= 2 * n)
        size *= 2;
    return size;
}

/* NULL: no memory. */
static struct internleaf *leaf_make(size_t size, unsigned depth)
{
    struct internleaf *leaf;
    size_t bytes = sizeof *leaf + size * sizeof leaf->entries[0];
    leaf = os_aligned_alloc(CACHE_LINE, align_up(bytes, CACHE_LINE));
    if (!leaf)
        return NULL;
    memset(leaf, 0, bytes);
    leaf->mask = leaf->peak = size - 1;
    leaf->depth = depth;
    return leaf;
}

/* There is room. */
static void leaf_put(struct internleaf *leaf, uintptr_t hash, uintptr_t object)
{
    struct internentry *e = &leaf->entries[hash & leaf->mask];
    while (word_load_relaxed(&e->object) > INTERN_GONE)
        e = &leaf->entries[(size_t)(e - leaf->entries + 1) & leaf->mask];
    leaf->used += word_load_relaxed(&e->object) == INTERN_FREE;
    leaf->live++;
    word_store_relaxed(&e->hash, hash);
    word_store_release(&e->object, object);
}

/* Puts the objects of `from` into `to`; those whose hash has the bit, if there is one, into
 * `other`. */
static void leaf_copy(const struct internleaf *from, struct internleaf *to,
                      struct internleaf *other, uintptr_t bit)
{
    for (size_t i = 0; i <= from->mask; i++) {
        const struct internentry *e = &from->entries[i];
        if (e->object > INTERN_GONE)
            leaf_put(e->hash & bit ? other : to, e->hash, e->object);
    }
}

static bool leaf_is_full(const struct internleaf *leaf)
{
    return leaf->used > leaf->mask / 4 * 3;
}

/* ---- The directory ---- */

static struct internleaf *leaf_of_locked(const struct interntable *t, uintptr_t hash)
{
    LOCK_ASSERT_HELD(&t->lock);
    const struct interndirectory *d = t->directory;
    return d->leaves[hash >> d->shift];
}

static struct interndirectory *directory_make(unsigned bits)
{
    struct interndirectory *d;
    d = os_aligned_alloc(CACHE_LINE, align_up(sizeof *d + (WORD_SIZE << bits), CACHE_LINE));
    if (d) {
        d->bits = bits;
        d->shift = (unsigned)WORD_BITS - bits;
    }
    return d;
}

static bool begin_locked(struct interntable *t)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct interndirectory *d = directory_make(1);
    struct internleaf *leaf = d ? leaf_make(LEAF_MIN, 0) : NULL;
    if (!leaf) {
        os_aligned_free(d);
        return false;
    }
    d->leaves[0] = d->leaves[1] = leaf;
    t->nleaves = 1;
    ptr_store_release(&t->directory, d);
    return true;
}

static bool double_directory_locked(struct interntable *t)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct interndirectory *old = t->directory, *d = directory_make(old->bits + 1);
    if (!d)
        return false;
    for (size_t i = 0; i < (size_t)1 << old->bits; i++)
        d->leaves[2 * i] = d->leaves[2 * i + 1] = old->leaves[i];
    ptr_store_release(&t->directory, d);
    weaksets_discard(t->heap, &old->discarded);
    return true;
}

/* Lets all hashes that belong to a leaf of this depth together with `hash` lead to `leaf`. */
static void publish_locked(struct interntable *t, uintptr_t hash, struct internleaf *leaf)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct interndirectory *d = t->directory;
    size_t n = (size_t)1 << (d->bits - leaf->depth);
    size_t first = (size_t)(hash >> d->shift) & ~(n - 1);
    for (size_t i = 0; i < n; i++)
        ptr_store_release(&d->leaves[first + i], leaf);
}

/* ---- Replacing leaves ---- */

/* The copy leaves out what is gone. false: no memory. */
static bool resize_locked(struct interntable *t, struct internleaf *leaf, uintptr_t hash,
                          size_t size)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct internleaf *copy = leaf_make(size, leaf->depth);
    if (!copy)
        return false;
    leaf_copy(leaf, copy, NULL, 0);
    publish_locked(t, hash, copy);
    weaksets_discard(t->heap, &leaf->discarded);
    return true;
}

static size_t count_with_bit(const struct internleaf *leaf, uintptr_t bit)
{
    size_t n = 0;
    for (size_t i = 0; i <= leaf->mask; i++)
        n += leaf->entries[i].object > INTERN_GONE && leaf->entries[i].hash & bit;
    return n;
}

static bool split_locked(struct interntable *t, struct internleaf *leaf, uintptr_t hash)
{
    LOCK_ASSERT_HELD(&t->lock);
    uintptr_t bit = bit_below(leaf->depth);
    size_t nhigh = count_with_bit(leaf, bit), nlow = leaf->live - nhigh;
    if (leaf->depth == t->directory->bits && !double_directory_locked(t))
        return false;
    struct internleaf *low = leaf_make(fitting(nlow), leaf->depth + 1);
    struct internleaf *high = low ? leaf_make(fitting(nhigh), leaf->depth + 1) : NULL;
    if (!high) {
        os_aligned_free(low);
        return false;
    }
    leaf_copy(leaf, low, high, bit);
    publish_locked(t, hash & ~bit, low);
    publish_locked(t, hash | bit, high);
    t->nleaves++;
    weaksets_discard(t->heap, &leaf->discarded);
    return true;
}

/* Hashes that are the same in many of their highest bits would make the directory large, and its
 * leaves no smaller. */
static bool may_split(const struct interntable *t, const struct internleaf *leaf)
{
    return leaf->depth < t->directory->bits || (size_t)1 << leaf->depth <= 16 * t->nleaves;
}

/* Replaces a leaf that is full. false: no memory. */
static bool make_room_locked(struct interntable *t, struct internleaf *leaf, uintptr_t hash)
{
    LOCK_ASSERT_HELD(&t->lock);
    size_t size = fitting(leaf->live + 1);
    return size > LEAF_MAX && may_split(t, leaf) ? split_locked(t, leaf, hash)
                                                 : resize_locked(t, leaf, hash, size);
}

/* If there is no memory to replace a full leaf, it takes more, but keeps one free entry. */
bool interntable_add_locked(struct interntable *t, uintptr_t hash, uintptr_t object)
{
    LOCK_ASSERT_HELD(&t->lock);
    if (!t->directory && !begin_locked(t))
        return false;
    struct internleaf *leaf = leaf_of_locked(t, hash);
    while (leaf_is_full(leaf) && make_room_locked(t, leaf, hash))
        leaf = leaf_of_locked(t, hash);
    if (leaf->used == leaf->mask)
        return false;
    leaf_put(leaf, hash, object);
    word_store_relaxed(&t->count, t->count + 1);
    return true;
}

/* ---- Walks ---- */

/* Takes out an entry. If no search goes on behind it, its place is free again. */
static void leaf_take_out(struct internleaf *leaf, size_t i)
{
    const struct internentry *next = &leaf->entries[(i + 1) & leaf->mask];
    bool last = word_load_relaxed(&next->object) == INTERN_FREE;
    leaf->used -= last;
    word_store_relaxed(&leaf->entries[i].object, last ? INTERN_FREE : INTERN_GONE);
}

/* From the last entry to the first, so that the places of neighbours become free together. */
static void leaf_walk(struct internleaf *leaf, bool (*fn)(void *, uintptr_t), void *arg)
{
    for (size_t i = leaf->mask + 1; i-- > 0;) {
        uintptr_t object = leaf->entries[i].object;
        if (object == INTERN_FREE || (object != INTERN_GONE && fn(arg, object)))
            continue;
        leaf->live -= object != INTERN_GONE;
        leaf_take_out(leaf, i);
    }
}

/* Joins the leaf with the other half, if both together held little. */
static bool merge_locked(struct interntable *t, uintptr_t hash)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct internleaf *leaf = leaf_of_locked(t, hash);
    if (leaf->depth == 0)
        return false;
    struct internleaf *other = leaf_of_locked(t, hash ^ bit_below(leaf->depth - 1));
    if (other->depth != leaf->depth || leaf->peak + other->peak > LEAF_MAX / 4)
        return false;
    struct internleaf *both = leaf_make(fitting(leaf->live + other->live), leaf->depth - 1);
    if (!both)
        return false;
    leaf_copy(leaf, both, NULL, 0);
    leaf_copy(other, both, NULL, 0);
    both->peak = leaf->peak + other->peak;
    publish_locked(t, hash, both);
    t->nleaves--;
    weaksets_discard(t->heap, &leaf->discarded);
    weaksets_discard(t->heap, &other->discarded);
    return true;
}

/* A leaf that was full when the walk came by stays as large: after a cycle it fills again. Without
 * memory for a smaller leaf this one stays, too. */
static void shrink_locked(struct interntable *t, struct internleaf *leaf, uintptr_t hash)
{
    LOCK_ASSERT_HELD(&t->lock);
    size_t size = fitting(leaf->peak);
    if (size <= leaf->mask / 2 && resize_locked(t, leaf, hash, size))
        leaf_of_locked(t, hash)->peak = leaf->peak;
    while (merge_locked(t, hash))
        ;
}

bool interntable_walk(struct interntable *t, uintptr_t *at, bool (*fn)(void *, uintptr_t),
                      void *arg)
{
    uintptr_t last = UINTPTR_MAX;
    lock_acquire(&t->lock);
    if (t->directory) {
        struct internleaf *leaf = leaf_of_locked(t, *at);
        last = last_of(leaf, *at);
        leaf->peak = leaf->live;
        leaf_walk(leaf, fn, arg);
        word_store_relaxed(&t->count, t->count - (leaf->peak - leaf->live));
        shrink_locked(t, leaf, *at);
    }
    lock_release(&t->lock);
    *at = last + 1;
    return last != UINTPTR_MAX;
}

/* ---- The end ---- */

void interntable_destroy(struct interntable *t)
{
    struct interndirectory *d = t->directory;
    for (size_t i = 0; d && i < (size_t)1 << d->bits;) {
        struct internleaf *leaf = d->leaves[i];
        i += (size_t)1 << (d->bits - leaf->depth);
        os_aligned_free(leaf);
    }
    os_aligned_free(d);
}
