/* The walks of the heap against the shadow. */
#include "shadow.h"

#define LARGEST_SMALL 32768

struct heap_walk {
    size_t n, limit;
    uint64_t bytes;
    const char *wrong; /* about the object at `address` */
    uintptr_t address;
};

static const char *wrong_with(const struct gc_object *o, struct live *live)
{
    if (!live)
        return w.setup.mode == CONSERVATIVE ? NULL : "is not reachable";
    const struct shape *s = &live->node->shape;
    if (live->seen)
        return "comes twice";
    live->seen = true;
    if (o->size != live->size)
        return "has another size";
    if (o->has_pointers != shape_is_scanned(s))
        return "is, or is not, to have references";
    return o->type && o->type != s->layout->type ? "has another type" : NULL;
}

/* The world is held: nothing of the heap may be used. */
static bool come_by(void *arg, const struct gc_object *o)
{
    struct heap_walk *walk = arg;
    const char *wrong = wrong_with(o, find_live((uintptr_t)o->address));
    if (wrong && !walk->wrong) {
        walk->wrong = wrong;
        walk->address = (uintptr_t)o->address;
    }
    walk->bytes += o->size;
    return ++walk->n != walk->limit;
}

static struct heap_walk walk_heap(size_t limit)
{
    struct heap_walk walk = {.limit = limit};
    for (size_t i = 0; i < w.nlive; i++)
        w.live[i].seen = false;
    if (gc_heap_each(come_by, &walk) != 0)
        BAD("gc_heap_each fails");
    if (walk.wrong)
        BAD("gc_heap_each: the object at %p %s", (void *)walk.address, walk.wrong);
    return walk;
}

/* The walk comes by every object, and ends when it is told to. */
static void compare_walk(void)
{
    struct heap_walk walk = walk_heap(0);
    size_t limit = w.nlive / 2;
    if (w.setup.mode != CONSERVATIVE && walk.n != w.nlive)
        BAD("gc_heap_each finds %zu objects instead of %zu", walk.n, w.nlive);
    for (size_t i = 0; i < w.nlive; i++) {
        if (!w.live[i].seen)
            describe(w.live[i].node, "is not found by gc_heap_each");
    }
    if (limit && (walk = walk_heap(limit)).n != limit)
        BAD("gc_heap_each goes on to %zu objects, not %zu", walk.n, limit);
}

/* What there is in the class of the row, as far as the shadow knows. */
static struct gc_census expected_row(const struct gc_census *row)
{
    struct gc_census sum = {row->size, row->has_pointers, 0, 0, NULL};
    for (size_t i = 0; i < w.nlive; i++) {
        const struct live *live = &w.live[i];
        size_t class = live->size > LARGEST_SMALL ? 0 : live->size;
        if (class != row->size || shape_is_scanned(&live->node->shape) != row->has_pointers)
            continue;
        sum.objects++;
        sum.bytes += live->size;
    }
    return sum;
}

/* The shadow does not go by types. */
static size_t merge_rows(struct gc_census *rows, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0, j; i < n; i++) {
        for (j = 0; j < kept; j++) {
            if (rows[j].size == rows[i].size && rows[j].has_pointers == rows[i].has_pointers)
                break;
        }
        if (j == kept) {
            rows[kept++] = rows[i];
        } else {
            rows[j].objects += rows[i].objects;
            rows[j].bytes += rows[i].bytes;
        }
    }
    return kept;
}

static void compare_census(void)
{
    static struct gc_census rows[8192];
    int found = gc_heap_census(rows, sizeof rows / sizeof rows[0]);
    if (found < 0)
        BAD("gc_heap_census fails");
    size_t n = merge_rows(rows, (size_t)found), objects = 0;
    for (size_t i = 0; i < n; i++) {
        struct gc_census expected = expected_row(&rows[i]);
        bool more = rows[i].objects > expected.objects || rows[i].bytes > expected.bytes;
        bool fewer = rows[i].objects < expected.objects || rows[i].bytes < expected.bytes;
        if (fewer || (more && w.setup.mode != CONSERVATIVE))
            BAD("gc_heap_census: %llu objects of size %zu with %llu bytes instead of %llu, %llu",
                (unsigned long long)rows[i].objects, rows[i].size,
                (unsigned long long)rows[i].bytes, (unsigned long long)expected.objects,
                (unsigned long long)expected.bytes);
        objects += (size_t)expected.objects;
    }
    if (objects != w.nlive)
        BAD("gc_heap_census leaves out %zu objects", w.nlive - objects);
}

void compare_walks(void)
{
    if (w.rest % 3 == 0)
        compare_census();
    if (w.rest % 3 == 1)
        compare_walk();
}
