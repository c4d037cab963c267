/* Questions about objects, and walks of the whole heap. */
#include "api/entry.h"
#include "allocator/object.h"
#include "cycle/cycle.h"
#include "introspect/census.h"
#include "introspect/dump.h"
#include "introspect/edges.h"
#include "introspect/path.h"
#include "mutator/log.h"
#include <limits.h>

void *gc_object_base(const void *address)
{
    gc_thread *t = ENTER();
    return t ? (void *)object_base(&t->heap->mem, (uintptr_t)address) : NULL;
}

size_t gc_object_size(const void *object)
{
    gc_thread *t = ENTER();
    if (!t || !object_base(&t->heap->mem, (uintptr_t)object))
        return 0;
    const struct gc_span *s = mheap_span_of(&t->heap->mem, (uintptr_t)object);
    return span_object_bytes(s);
}

bool gc_is_object(const void *address)
{
    return address && gc_object_base(address) == address;
}

bool gc_heap_contains(const gc_heap *heap, const void *address)
{
    return heap && arena_of(&heap->mem.arenas, (uintptr_t)address) != NULL;
}

static void verify_held(gc_heap *heap, void *faults)
{
    *(unsigned *)faults = verify_heap(heap);
}

int gc_heap_verify(void)
{
    gc_thread *t = ENTER();
    unsigned faults = 0;
    if (!t)
        return -EPERM;
    cycle_collect_verified(t->heap, t, &faults);
    if (faults == 0)
        cycle_with_world_held(t->heap, t, verify_held, &faults);
    return faults ? -EIO : 0;
}

int gc_heap_dump(const char *path)
{
    gc_thread *t = ENTER();
    struct dump_request request = {path, 0};
    int before = errno;
    if (!t)
        return -EPERM;
    if (!path)
        return -EINVAL;
    cycle_collect(t->heap, t, GC_CAUSE_COLLECT);
    edges_name_frames(t->heap, true);
    cycle_with_world_held(t->heap, t, dump_write, &request);
    edges_name_frames(t->heap, false);
    if (!request.error)
        errno = before;
    return request.error;
}

struct each_object {
    const gc_heap *heap;
    bool (*fn)(void *arg, const struct gc_object *object);
    void *arg;
};

static bool each_one(void *arg, struct gc_span *s, uintptr_t object)
{
    const struct each_object *each = arg;
    struct site_type known;
    bool is_known = site_type_of(each->heap, s, object, &known);
    struct gc_object o = {(void *)object, span_object_bytes(s), is_known ? known.type : NULL,
                          !span_noscan(s)};
    return each->fn(each->arg, &o);
}

static void each_held(gc_heap *heap, void *arg)
{
    verify_flush_caches(heap);
    verify_each_object(heap, each_one, arg);
}

int gc_heap_each(bool (*fn)(void *arg, const struct gc_object *object), void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    struct each_object each = {t->heap, fn, arg};
    if (!fn)
        return -EINVAL;
    cycle_collect(t->heap, t, GC_CAUSE_COLLECT);
    cycle_with_world_held(t->heap, t, each_held, &each);
    return 0;
}

static void census_held(gc_heap *heap, void *census)
{
    census_take(heap, census);
}

int gc_heap_census(struct gc_census *rows, size_t n)
{
    gc_thread *t = ENTER();
    struct census census;
    if (!t)
        return -EPERM;
    if (!rows && n > 0)
        return -EINVAL;
    cycle_with_world_held(t->heap, t, census_held, &census);
    n = MIN_OF(MIN_OF(n, census.n), (size_t)INT_MAX);
    if (n > 0)
        memcpy(rows, census.rows, n * sizeof *rows);
    free(census.rows);
    return census.no_memory ? -ENOMEM : (int)n;
}

/* ---- Who keeps an object alive ---- */

/* What is asked, and who hears the answer. */
struct question {
    gc_heap *heap;
    uintptr_t address;
    uint64_t asker;
    gc_edge_fn fn;
    void *arg;
    int answer;
    bool over;
};

/* Fills in what only an answer needs. */
static bool pass_answer(void *question, const struct gc_edge *edge)
{
    const struct question *q = question;
    struct gc_edge whole = *edge;
    char text[320], field[80];
    whole.type = edge_type(q->heap, edge);
    whole.field = edge_field(q->heap, edge, field, sizeof field);
    whole.text = edge_text(q->heap, edge, text, sizeof text);
    if (q->fn)
        return q->fn(q->arg, &whole);
    log_write(q->heap, GC_LOG_INFO, "  %s", text);
    return true;
}

static void count_root(void *question, const struct gc_edge *edge)
{
    struct question *q = question;
    q->answer += q->answer < INT_MAX;
    q->over = q->over || !pass_answer(q, edge);
}

static void answer_roots(gc_heap *heap, void *question)
{
    verify_flush_caches(heap);
    edges_of_roots(heap, count_root, question);
}

/* The object that is asked about, which the log names; 0: there is none. */
static uintptr_t asked_about(struct question *q, const char *what)
{
    verify_flush_caches(q->heap);
    uintptr_t object = object_cell(&q->heap->mem, q->address);
    char name[160];
    if (!object)
        q->answer = -EINVAL;
    else if (!q->fn)
        log_write(q->heap, GC_LOG_INFO, "%s %s at 0x%zx:", what,
                  site_object_text(q->heap, object, name, sizeof name), (size_t)object);
    return object;
}

static void answer_who(gc_heap *heap, void *question)
{
    struct question *q = question;
    uintptr_t object = asked_about(q, "references to");
    size_t n = object ? path_holders(heap, object, pass_answer, q) : 0;
    if (object)
        q->answer = (int)MIN_OF(n, (size_t)INT_MAX);
}

static void answer_path(gc_heap *heap, void *question)
{
    struct question *q = question;
    uintptr_t object = asked_about(q, "path to");
    if (object)
        q->answer = path_find(heap, object, q->asker, pass_answer, q);
}

static int ask(gc_thread *t, struct question q, void (*held)(gc_heap *, void *))
{
    if (!t)
        return -EPERM;
    q.heap = t->heap;
    q.asker = t->os_id;
    edges_name_frames(t->heap, true);
    cycle_with_world_held(t->heap, t, held, &q);
    edges_name_frames(t->heap, false);
    return q.answer;
}

int gc_heap_roots(gc_edge_fn fn, void *arg)
{
    return ask(ENTER(), (struct question){.fn = fn, .arg = arg}, answer_roots);
}

int gc_who(const void *object, gc_edge_fn fn, void *arg)
{
    return ask(ENTER(), (struct question){.address = (uintptr_t)object, .fn = fn, .arg = arg},
               answer_who);
}

int gc_path(const void *object, gc_edge_fn fn, void *arg)
{
    return ask(ENTER(), (struct question){.address = (uintptr_t)object, .fn = fn, .arg = arg},
               answer_path);
}
