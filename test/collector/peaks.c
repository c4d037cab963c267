/* What many once took up does not burden the few that are left: tables are as large as what is in
 * them, and what a collection goes through is what is there. Handles: handles.c; rooted globals:
 * roottable.c. */
#include "cells.h"
#include "mutator/self.h"
#include "collector/ephemeron.h"
#include "collector/intern.h"
#include "collector/weakmap.h"

enum { MANY = 100 * 1000, EACH = 1000, FEW = MANY / EACH };

static void *objects[MANY];
static gc_heap *heap;

static void make_heap(void)
{
    heap = new_heap(0);
    CHECK_EQ(gc_root_range(objects, MANY), 0);
    for (size_t i = 0; i < MANY; i++)
        gc_store(&objects[i], new_cell(i));
}

static void drop_all_but_few(void)
{
    for (size_t i = 0; i < MANY; i++) {
        if (i % EACH)
            gc_store(&objects[i], NULL);
    }
}

/* ---- Records of objects ---- */

/* What a visit of all records comes by. */
struct tables {
    size_t spans, chains, records;
};

static void count_span(struct tables *n, const struct gc_span *s)
{
    size_t records = 0;
    CHECK(s && s->specials && s->specials->count > 0);
    for (size_t i = 0; i < s->specials->size; i++) {
        for (const struct special *r = s->specials->chains[i]; r; r = r->next)
            records++;
    }
    CHECK_EQ(records, s->specials->count);
    n->spans++;
    n->chains += s->specials->size;
    n->records += records;
}

static struct tables tables(void)
{
    struct tables n = {0, 0, 0};
    for (const struct arena *a = heap->mem.arenas.newest; a; a = a->older) {
        for (size_t i = 0; i < ARENA_PAGES; i++) {
            if (bits_test(a->page_specials, i))
                count_span(&n, a->spans[i]);
        }
    }
    CHECK_EQ(n.records, records(heap));
    diag("%zu records in %zu chains of %zu spans", n.records, n.chains, n.spans);
    return n;
}

/* The objects stay, and so do their spans. */
static void check_few_records(void)
{
    struct tables n = tables();
    CHECK_EQ(n.records, FEW);
    CHECK(n.spans <= FEW);
    CHECK(n.chains <= 8 * n.records);
}

static void check_no_records(void)
{
    struct tables n = tables();
    CHECK_EQ(n.spans, 0);
    CHECK_EQ(n.records, 0);
}

static void check_many_records(void)
{
    struct tables n = tables();
    CHECK_EQ(n.records, MANY);
    CHECK(n.chains <= 2 * n.records && n.chains >= n.records / 4);
}

TEST(weak_references)
{
    static gc_weak *weak[MANY];
    make_heap();
    for (size_t i = 0; i < MANY; i++)
        CHECK((weak[i] = gc_weak_new(objects[i])));
    CHECK_EQ(gc_collect(), 0);
    check_many_records();
    for (size_t i = 0; i < MANY; i++) {
        if (i % EACH)
            gc_weak_free(weak[i]);
    }
    CHECK_EQ(gc_collect(), 0);
    check_few_records();
    for (size_t i = 0; i < MANY; i += EACH) {
        CHECK(gc_weak_get(weak[i]) == objects[i]);
        gc_weak_free(weak[i]);
    }
    CHECK_EQ(gc_collect(), 0);
    check_no_records();
    end_heap(heap);
}

static void do_nothing(void *object, void *arg)
{
    (void)object, (void)arg;
}

TEST(finalizers)
{
    make_heap();
    for (size_t i = 0; i < MANY; i++)
        CHECK_EQ(gc_finalizer_set(objects[i], do_nothing, NULL), 0);
    CHECK_EQ(gc_collect(), 0);
    check_many_records();
    for (size_t i = 0; i < MANY; i++) {
        if (i % EACH)
            CHECK_EQ(gc_finalizer_set(objects[i], NULL, NULL), 0);
    }
    CHECK_EQ(gc_collect(), 0);
    check_few_records();
    CHECK_EQ(heap->specials->finalizers, FEW);
    memset(objects, 0, sizeof objects);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_run(0), FEW);
    check_no_records();
    CHECK_EQ(heap->specials->finalizers, 0);
    end_heap(heap);
}

/* Of an object's cleanups the last one that was added runs first, in whatever table. */
static size_t runs, last_run[FEW];

static void count_run(void *number)
{
    size_t i = (uintptr_t)number / 4, nth = (uintptr_t)number % 4;
    CHECK_EQ(nth, 2 - last_run[i]);
    last_run[i]++;
    runs++;
}

TEST(cleanups)
{
    static int64_t ids[MANY];
    make_heap();
    for (size_t i = 0; i < MANY; i++)
        CHECK((ids[i] = gc_cleanup_add(objects[i], count_run, NULL)) > 0);
    for (uintptr_t i = 0; i < FEW; i++) {
        for (uintptr_t nth = 0; nth < 3; nth++)
            CHECK(gc_cleanup_add(objects[i * EACH], count_run, (void *)(4 * i + nth)) > 0);
    }
    for (size_t i = 0; i < MANY; i++)
        CHECK_EQ(gc_cleanup_cancel(objects[i], ids[i]), 0);
    CHECK_EQ(gc_collect(), 0);
    struct tables n = tables();
    CHECK_EQ(n.records, 3 * FEW);
    CHECK(n.chains <= 8 * n.records);
    memset(objects, 0, sizeof objects);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_run(0), 3 * FEW);
    CHECK_EQ(runs, 3 * FEW);
    check_no_records();
    end_heap(heap);
}

/* ---- Weak tables ---- */

/* Buckets, which a walk goes through, of all maps. */
static size_t buckets(void)
{
    size_t n = 0;
    for (const struct weakset *set = heap->weaksets->first; set; set = set->next) {
        const struct weaktable *t = set->entries;
        CHECK(t && !t->old && !t->retired);
        n += t->buckets ? (size_t)1 << t->bits : 0;
    }
    diag("%zu buckets", n);
    return n;
}

/* Entries, likewise, of an intern table. */
static size_t entries(const gc_intern *table)
{
    size_t n = 0;
    for (unsigned i = 0; i < INTERN_TABLES; i++) {
        const struct interndirectory *d = table->tables[i].directory;
        for (size_t k = 0; d && k < (size_t)1 << d->bits;) {
            n += d->leaves[k]->mask + 1;
            k += (size_t)1 << (d->bits - d->leaves[k]->depth);
        }
    }
    diag("%zu entries", n);
    return n;
}

TEST(weak_maps)
{
    make_heap();
    gc_weakmap *map = gc_weakmap_new();
    for (size_t i = 0; i < MANY; i++)
        CHECK_EQ(gc_weakmap_set(map, objects[i], objects[i]), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK(buckets() >= MANY / 2);
    drop_all_but_few();
    CHECK_EQ(gc_collect(), 0);
    CHECK(buckets() <= 16 * FEW);
    CHECK(!heap->ephemerons->items && !heap->ephemerons->heads);
    for (size_t i = 0; i < MANY; i += EACH)
        CHECK(gc_weakmap_get(map, objects[i]) == objects[i]);
    gc_weakmap_free(map);
    CHECK_EQ(buckets(), 0);
    end_heap(heap);
}

/* Of many maps those are visited that are there. */
TEST(many_maps)
{
    static gc_weakmap *maps[EACH];
    make_heap();
    for (size_t i = 0; i < EACH; i++) {
        CHECK((maps[i] = gc_weakmap_new()));
        CHECK_EQ(gc_weakmap_set(maps[i], objects[i], objects[0]), 0);
    }
    CHECK_EQ(gc_collect(), 0);
    for (size_t i = 1; i < EACH; i++)
        gc_weakmap_free(maps[i]);
    const struct weakset *first = heap->weaksets->first;
    CHECK(first && !first->next && !first->prev);
    gc_weakmap_free(maps[0]);
    CHECK(!heap->weaksets->first);
    end_heap(heap);
}

static uint64_t hash_number(const void *key, size_t size)
{
    (void)size;
    return *(const uint64_t *)key;
}

static bool is_number(const void *object, const void *key, size_t size)
{
    (void)size;
    return ((const struct cell *)object)->id == *(const uint64_t *)key;
}

static void *make_number(const void *key, size_t size, void *arg)
{
    (void)size, (void)arg;
    return new_cell(*(const uint64_t *)key);
}

TEST(intern_tables)
{
    make_heap();
    gc_intern *table = gc_intern_new(&(struct gc_intern_ops){hash_number, is_number, make_number});
    for (uint64_t i = 0; i < MANY; i++)
        gc_store(&objects[i], gc_intern_get(table, &i, sizeof i, NULL));
    CHECK_EQ(gc_collect(), 0);
    CHECK(entries(table) >= MANY);
    drop_all_but_few();
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(intern_count(table), FEW);
    CHECK_EQ(gc_collect(), 0); /* the first cycle that had few from its beginning on */
    CHECK_EQ(intern_count(table), FEW);
    CHECK(entries(table) <= 16 * FEW + 16 * INTERN_TABLES);
    gc_intern_free(table);
    CHECK(!heap->weaksets->first);
    end_heap(heap);
}

/* ---- Roots ---- */

static size_t fibers(void)
{
    size_t n = 0;
    for (const gc_fiber *f = heap->fibers; f; f = f->next) {
        CHECK(!f->next || f->next->prev == f);
        n++;
    }
    return n;
}

TEST(fibers_that_end)
{
    static gc_fiber *all[MANY / 10];
    heap = new_heap(0);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        CHECK((all[i] = gc_fiber_create()));
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(fibers(), ARRAY_LEN(all));
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (i % EACH)
            CHECK_EQ(gc_fiber_destroy(all[i]), 0);
    }
    CHECK_EQ(fibers(), ARRAY_LEN(all) / EACH);
    end_heap(heap);
}

static void *attach_once(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    new_cell(1);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

/* One after the other they use one struct; the registry, which handshakes go through, is empty. */
TEST(threads_that_end)
{
    heap = new_heap(0);
    for (int i = 0; i < 500; i++)
        run_thread(attach_once, NULL);
    const struct mutators *m = &heap->mutators;
    CHECK_EQ(m->count, 1);
    CHECK(m->list && !m->list->next);
    CHECK(m->spare && !m->spare->next);
    end_heap(heap);
}

enum { RANGES = 2000 };

static struct {
    void *slots[1], **top;
} ranges[RANGES];

TEST(ranges_of_a_thread)
{
    heap = new_heap(0);
    const struct root_ranges *r = &thread_self()->roots.ranges;
    for (size_t i = 0; i < RANGES; i++) {
        ranges[i].top = (void *)(ranges[i].slots + 1);
        ranges[i].slots[0] = new_cell(i);
        CHECK_EQ(gc_thread_range(ranges[i].slots, &ranges[i].top), 0);
    }
    CHECK_EQ(r->n, RANGES);
    for (size_t i = 10; i < RANGES; i++)
        CHECK_EQ(gc_thread_range_remove(ranges[i].slots), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(r->n, 10);
    CHECK(r->capacity <= 4 * r->n);
    for (size_t i = 0; i < 10; i++)
        CHECK(is_cell(ranges[i].slots[0], i));
    for (size_t i = 0; i < 10; i++)
        CHECK_EQ(gc_thread_range_remove(ranges[i].slots), 0);
    CHECK(r->capacity <= 4);
    end_heap(heap);
}

static void visit_nothing(void *number, gc_tracer *tracer)
{
    (void)number, (void)tracer;
}

static void check_callbacks(enum gc_root_scope scope, const struct root_callbacks *list)
{
    for (uintptr_t i = 0; i < EACH; i++)
        CHECK_EQ(gc_root_callback(scope, visit_nothing, (void *)i), 0);
    CHECK_EQ(list->n, EACH);
    for (uintptr_t i = 3; i < EACH; i++)
        CHECK_EQ(gc_root_callback_remove(visit_nothing, (void *)i), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(list->n, 3);
    CHECK(list->capacity <= 16);
    for (uintptr_t i = 0; i < 3; i++)
        CHECK_EQ(gc_root_callback_remove(visit_nothing, (void *)i), 0);
}

TEST(callbacks)
{
    heap = new_heap(0);
    check_callbacks(GC_ROOT_THREAD, &thread_self()->roots.callbacks);
    check_callbacks(GC_ROOT_HEAP, &heap->roots.callbacks);
    end_heap(heap);
}

/* ---- Grey ---- */

/* They go with the memory that is given back. */
TEST(grey_buffers)
{
    static struct workbuf *taken[EACH];
    heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    CHECK(heap);
    struct workqueue *work = &heap->work;
    for (size_t i = 0; i < EACH; i++)
        taken[i] = workbuf_get(work);
    size_t most = work->made;
    CHECK(most >= EACH);
    CHECK_EQ(gc_release_memory(), 0);
    CHECK_EQ(work->made, most);
    for (size_t i = 0; i < EACH; i++)
        workbuf_put_empty(work, taken[i]);
    CHECK_EQ(gc_release_memory(), 0);
    CHECK(work->made <= 32 && work->nfree == work->made);
    CHECK(work->batches && !work->batches->next);
    end_heap(heap);
}

TAP_MAIN
