#include "introspect/census.h"
#include <stdlib.h>

#define ROOM_AT_FIRST 512

static size_t hash_row(const struct gc_census *row)
{
    uint64_t key = (uint64_t)(uintptr_t)row->type ^ (uint64_t)row->size << 1 ^ row->has_pointers;
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static bool is_same(const struct gc_census *a, const struct gc_census *b)
{
    return a->size == b->size && a->has_pointers == b->has_pointers && a->type == b->type;
}

/* The row of objects like `key`, or the free row where it belongs. */
static struct gc_census *find_row(const struct census *c, const struct gc_census *key)
{
    size_t i = hash_row(key) & (c->room - 1);
    while (c->rows[i].objects > 0 && !is_same(&c->rows[i], key))
        i = (i + 1) & (c->room - 1);
    return &c->rows[i];
}

static bool make_room(struct census *c)
{
    struct census larger = {c->heap, NULL, c->n, c->room ? 2 * c->room : ROOM_AT_FIRST, false};
    larger.rows = calloc(larger.room, sizeof *larger.rows);
    if (!larger.rows)
        return false;
    for (size_t i = 0; i < c->room; i++) {
        if (c->rows[i].objects > 0)
            *find_row(&larger, &c->rows[i]) = c->rows[i];
    }
    free(c->rows);
    *c = larger;
    return true;
}

static bool count_object(void *arg, struct gc_span *s, uintptr_t object)
{
    struct census *c = arg;
    struct site_type known;
    bool is_known = site_type_of(c->heap, s, object, &known);
    struct gc_census key = {s->size, !span_noscan(s), 0, 0, is_known ? known.type : NULL};
    if (2 * c->n >= c->room && !make_room(c)) {
        c->no_memory = true;
        return false;
    }
    struct gc_census *row = find_row(c, &key);
    if (row->objects == 0) {
        *row = key;
        c->n++;
    }
    row->objects++;
    row->bytes += span_object_bytes(s);
    return true;
}

static int compare_rows(const void *left, const void *right)
{
    const struct gc_census *a = left, *b = right;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    if (a->has_pointers != b->has_pointers)
        return a->has_pointers ? 1 : -1;
    return a->type == b->type ? 0 : (uintptr_t)a->type < (uintptr_t)b->type ? -1 : 1;
}

/* Moves the used rows to the front and sorts them. */
static void gather_rows(struct census *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->room; i++) {
        if (c->rows[i].objects > 0)
            c->rows[n++] = c->rows[i];
    }
    if (n > 0)
        qsort(c->rows, n, sizeof *c->rows, compare_rows);
}

void census_take(gc_heap *heap, struct census *c)
{
    *c = (struct census){.heap = heap};
    verify_flush_caches(heap);
    verify_each_object(heap, count_object, c);
    gather_rows(c);
}
