#include "mutator/roottable.h"
#include <errno.h>

#define CHUNK_SHIFT 8
#define CHUNK_PLACES ((size_t)1 << CHUNK_SHIFT)

static struct root_place *place(const struct roottable *t, uint32_t i)
{
    return &t->chunks[i >> CHUNK_SHIFT][i & (CHUNK_PLACES - 1)];
}

/* ---- Buckets ---- */

/* The smallest 2^k - 1 that is not below i. */
static uint32_t mask_for(uint32_t i)
{
    return i ? UINT32_MAX >> __builtin_clz(i) : 0;
}

static uint32_t bucket_of(const struct roottable *t, const slot_word *base)
{
    uint32_t hash = (uint32_t)((uint64_t)(uintptr_t)base * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    uint32_t mask = mask_for(t->count - 1), bucket = hash & mask;
    return bucket < t->count ? bucket : hash & mask >> 1;
}

static void enter_bucket(struct roottable *t, uint32_t i)
{
    uint32_t *first = &place(t, bucket_of(t, place(t, i)->base))->first;
    place(t, i)->next = *first;
    *first = i + 1;
}

/* The link to entry i, which is in its bucket. */
static uint32_t *link_to(const struct roottable *t, uint32_t i)
{
    uint32_t *link = &place(t, bucket_of(t, place(t, i)->base))->first;
    while (*link != i + 1)
        link = &place(t, *link - 1)->next;
    return link;
}

/* Distributes the entries of a bucket anew, by the present count. */
static void distribute(struct roottable *t, uint32_t bucket)
{
    uint32_t at = place(t, bucket)->first, next;
    place(t, bucket)->first = 0;
    for (; at; at = next) {
        next = place(t, at - 1)->next;
        enter_bucket(t, at - 1);
    }
}

static uint32_t parent(uint32_t bucket)
{
    return bucket & mask_for(bucket) >> 1;
}

/* ---- Room ---- */

static bool widen(struct roottable *t)
{
    size_t wanted = t->capacity ? 2 * t->capacity : 4;
    struct root_place **more = realloc(t->chunks, wanted * sizeof(struct root_place *));
    if (!more)
        return false;
    t->chunks = more;
    t->capacity = wanted;
    return true;
}

static bool make_room(struct roottable *t)
{
    if (t->count >> CHUNK_SHIFT < t->nchunks)
        return true;
    if (t->count == UINT32_MAX || (t->nchunks == t->capacity && !widen(t)))
        return false;
    struct root_place *chunk = calloc(CHUNK_PLACES, sizeof *chunk);
    if (!chunk)
        return false;
    t->chunks[t->nchunks++] = chunk;
    return true;
}

/* The table keeps one empty chunk, so that it leaves malloc alone when its size moves around a
 * chunk's edge. */
static void drop_room(struct roottable *t)
{
    while ((t->nchunks - 1) << CHUNK_SHIFT >= t->count + CHUNK_PLACES)
        free(t->chunks[--t->nchunks]);
}

void roottable_free(struct roottable *t)
{
    while (t->nchunks > 0)
        free(t->chunks[--t->nchunks]);
    free(t->chunks);
    *t = (struct roottable){0};
}

/* ---- Entries ---- */

/* The number of the entry's place + 1; 0: there is none. */
static uint32_t find(const struct roottable *t, const slot_word *base)
{
    uint32_t at = t->count ? place(t, bucket_of(t, base))->first : 0;
    while (at && place(t, at - 1)->base != base)
        at = place(t, at - 1)->next;
    return at;
}

size_t roottable_find(const struct roottable *t, const slot_word *base)
{
    uint32_t at = find(t, base);
    return at ? place(t, at - 1)->n : 0;
}

int roottable_add(struct roottable *t, slot_word *base, size_t n)
{
    if (find(t, base))
        return -EEXIST;
    if (!make_room(t))
        return -ENOMEM;
    uint32_t i = t->count++;
    *place(t, i) = (struct root_place){base, n, 0, 0};
    if (i > 0)
        distribute(t, parent(i));
    enter_bucket(t, i);
    t->slots += n;
    return 0;
}

/* Moves the entry at `from`, which is in its bucket, to `to`, which is in none. */
static void move_entry(struct roottable *t, uint32_t from, uint32_t to)
{
    *link_to(t, from) = to + 1;
    place(t, to)->base = place(t, from)->base;
    place(t, to)->n = place(t, from)->n;
    place(t, to)->next = place(t, from)->next;
}

/* Entry i was taken out, and another one may have moved there (I23). */
static void note_removal(struct roottable *t, uint32_t i)
{
    if (i + 1 == t->unvisited)
        t->done = 0;
    if (t->unvisited > t->count) {
        t->unvisited = t->count;
        t->done = 0;
    }
}

bool roottable_remove(struct roottable *t, const slot_word *base)
{
    uint32_t at = find(t, base), last = t->count - 1;
    if (!at)
        return false;
    t->slots -= place(t, at - 1)->n;
    *link_to(t, at - 1) = place(t, at - 1)->next;
    if (at - 1 != last)
        move_entry(t, last, at - 1);
    t->count--;
    if (last > 0)
        distribute(t, last);
    note_removal(t, at - 1);
    drop_room(t);
    return true;
}

void roottable_each(const struct roottable *t,
                    void (*fn)(void *arg, const slot_word *base, size_t n), void *arg)
{
    for (uint32_t i = 0; i < t->count; i++)
        fn(arg, place(t, i)->base, place(t, i)->n);
}

/* ---- Visits ---- */

void roottable_begin_visit(struct roottable *t)
{
    t->unvisited = t->count;
    t->done = 0;
}

size_t roottable_visit_next(struct roottable *t, size_t most, slot_word **base)
{
    if (t->unvisited == 0)
        return 0;
    const struct root_place *last = place(t, t->unvisited - 1);
    size_t n = MIN_OF(last->n - t->done, most);
    *base = last->base + t->done;
    t->done += n;
    if (t->done == last->n) {
        t->unvisited--;
        t->done = 0;
    }
    return n;
}
