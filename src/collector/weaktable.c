#include "collector/weaktable.h"
#include "base/os.h"

#define MIN_BITS 4
/* How many old buckets each insertion and removal moves. All are moved long before the next
 * resizing, which comes after as many insertions as there were buckets. */
#define MOVES_PER_CHANGE 8
/* The most buckets that are visited while the lock is held. */
#define BUCKETS_PER_STEP 256

void weaktable_init(struct weaktable *t)
{
    memset(t, 0, sizeof *t);
    lock_init(&t->lock, LOCK_WEAKTABLE);
}

static void free_chain(struct weaknode *node)
{
    while (node) {
        struct weaknode *next = node->next;
        free(node);
        node = next;
    }
}

/* Arrays of so many bits or more are mapped, so the OS makes them zero. calloc might have to clear
 * them while the lock is held. */
#define MAPPED_BITS 13

static size_t mapped_size(unsigned bits)
{
    return align_up(sizeof(struct weaknode *) << bits, os_page_size());
}

static struct weaknode **make_array(unsigned bits)
{
    return bits < MAPPED_BITS ? calloc((size_t)1 << bits, sizeof(struct weaknode *))
                              : os_map(mapped_size(bits));
}

static void free_array(struct weaknode **array, unsigned bits)
{
    if (bits < MAPPED_BITS)
        free(array);
    else if (array)
        os_unmap(array, mapped_size(bits));
}

static void free_all(struct weaknode **array, unsigned bits)
{
    for (size_t i = 0; array && i < (size_t)1 << bits; i++)
        free_chain(array[i]);
    free_array(array, bits);
}

void weaktable_destroy(struct weaktable *t)
{
    free_all(t->buckets, t->bits);
    free_all(t->old, t->old_bits);
}

/* The array is freed after the lock is released, as it may take the OS a while. */
void weaktable_unlock(struct weaktable *t)
{
    struct weaknode **retired = t->retired;
    unsigned bits = t->retired_bits;
    t->retired = NULL;
    lock_release(&t->lock);
    free_array(retired, bits);
}

/* ---- Buckets ---- */

static unsigned shift_of(unsigned bits)
{
    return (unsigned)WORD_BITS - bits;
}

/* The bucket to which `hash` belongs at present. *last: the last hash for which that is so. */
static struct weaknode **bucket_of(const struct weaktable *t, uintptr_t hash, uintptr_t *last)
{
    uintptr_t range = ((uintptr_t)1 << shift_of(t->bits)) - 1;
    *last = hash | range;
    if (t->old) {
        unsigned shift = shift_of(t->old_bits);
        size_t i = hash >> shift;
        uintptr_t boundary = (uintptr_t)t->moved << shift;
        if (i >= t->moved) {
            *last = hash | (((uintptr_t)1 << shift) - 1);
            return &t->old[i];
        }
        *last = MIN_OF(*last, boundary - 1);
    }
    return &t->buckets[hash >> shift_of(t->bits)];
}

static struct weaknode **find_link(struct weaknode **link, uintptr_t hash)
{
    while (*link && (*link)->hash < hash)
        link = &(*link)->next;
    return link;
}

static void link_node(struct weaknode **link, struct weaknode *node)
{
    node->next = *link;
    *link = node;
}

/* ---- Resizing ---- */

static void move_bucket_locked(struct weaktable *t)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct weaknode *node = t->old[t->moved], *next;
    t->old[t->moved++] = NULL;
    for (; node; node = next) {
        next = node->next;
        link_node(find_link(&t->buckets[node->hash >> shift_of(t->bits)], node->hash), node);
    }
}

static void move_some_locked(struct weaktable *t, unsigned n)
{
    LOCK_ASSERT_HELD(&t->lock);
    size_t end = (size_t)1 << t->old_bits;
    while (n-- > 0 && t->moved < end)
        move_bucket_locked(t);
    if (t->moved < end)
        return;
    ASSERT(!t->retired);
    t->retired = t->old;
    t->retired_bits = t->old_bits;
    t->old = NULL;
}

static bool resize_locked(struct weaktable *t, unsigned bits)
{
    LOCK_ASSERT_HELD(&t->lock);
    struct weaknode **array = make_array(bits);
    if (!array)
        return false;
    t->old = t->buckets;
    t->old_bits = t->bits;
    t->moved = 0;
    t->buckets = array;
    t->bits = bits;
    return true;
}

/* If there is no memory for another size, the table keeps this one. */
static void maintain_locked(struct weaktable *t, unsigned moves)
{
    LOCK_ASSERT_HELD(&t->lock);
    if (t->old)
        move_some_locked(t, moves);
    else if (t->count > (size_t)1 << t->bits)
        resize_locked(t, t->bits + 1);
    else if (t->bits > MIN_BITS && t->count < (size_t)1 << t->bits >> 3)
        resize_locked(t, t->bits - 1);
}

bool weaktable_settle(struct weaktable *t)
{
    weaktable_lock(t);
    if (t->buckets)
        maintain_locked(t, BUCKETS_PER_STEP);
    if (t->buckets && !t->old)
        maintain_locked(t, 0); /* begins the next resizing if one is due */
    bool more = t->old != NULL;
    weaktable_unlock(t);
    return more;
}

/* ---- Nodes ---- */

struct weaknode *weaktable_find_locked(const struct weaktable *t, uintptr_t hash)
{
    uintptr_t last;
    LOCK_ASSERT_HELD(&t->lock);
    return t->buckets ? *find_link(bucket_of(t, hash, &last), hash) : NULL;
}

bool weaktable_insert_locked(struct weaktable *t, struct weaknode *node)
{
    uintptr_t last;
    LOCK_ASSERT_HELD(&t->lock);
    if (!t->buckets && !resize_locked(t, MIN_BITS))
        return false;
    link_node(find_link(bucket_of(t, node->hash, &last), node->hash), node);
    word_store_relaxed(&t->count, t->count + 1);
    maintain_locked(t, MOVES_PER_CHANGE);
    return true;
}

void weaktable_remove_locked(struct weaktable *t, struct weaknode *node)
{
    uintptr_t last;
    LOCK_ASSERT_HELD(&t->lock);
    struct weaknode **link = find_link(bucket_of(t, node->hash, &last), node->hash);
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    word_store_relaxed(&t->count, t->count - 1);
    maintain_locked(t, MOVES_PER_CHANGE);
}

/* ---- Walks ---- */

/* Walks through one bucket. The nodes that are taken out are put in front of `removed`. */
static struct weaknode *walk_bucket_locked(struct weaktable *t, struct weaknode **link,
                                           bool (*fn)(void *, const struct weaknode *), void *arg,
                                           struct weaknode *removed)
{
    LOCK_ASSERT_HELD(&t->lock);
    while (*link) {
        struct weaknode *node = *link;
        if (fn(arg, node)) {
            link = &node->next;
            continue;
        }
        *link = node->next;
        link_node(&removed, node);
        word_store_relaxed(&t->count, t->count - 1);
    }
    return removed;
}

bool weaktable_walk(struct weaktable *t, uintptr_t *at,
                    bool (*fn)(void *arg, const struct weaknode *node), void *arg)
{
    struct weaknode *removed = NULL;
    uintptr_t last = UINTPTR_MAX;
    weaktable_lock(t);
    for (unsigned i = 0; t->buckets && i < BUCKETS_PER_STEP; i++) {
        struct weaknode **bucket = bucket_of(t, *at, &last);
        removed = walk_bucket_locked(t, bucket, fn, arg, removed);
        if (last == UINTPTR_MAX)
            break;
        *at = last + 1;
    }
    if (removed)
        maintain_locked(t, BUCKETS_PER_STEP);
    weaktable_unlock(t);
    free_chain(removed);
    return last != UINTPTR_MAX;
}

struct weaknode *weaktable_next_locked(const struct weaktable *t, uintptr_t *at)
{
    LOCK_ASSERT_HELD(&t->lock);
    for (unsigned i = 0; t->buckets && i < BUCKETS_PER_STEP; i++) {
        uintptr_t last;
        struct weaknode *node = *find_link(bucket_of(t, *at, &last), *at);
        if (node)
            return node;
        if (last == UINTPTR_MAX)
            break;
        *at = last + 1;
        if (i + 1 == BUCKETS_PER_STEP)
            return NULL;
    }
    *at = UINTPTR_MAX;
    return NULL;
}
