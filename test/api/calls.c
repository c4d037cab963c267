/* Who may make which call: each public call on a thread without a heap, in a blocking region, in a
 * fiber, in a finalizer, in each function that the collector calls back; and whether it is a
 * safepoint. `calls --table` prints what is expected as the reference has it (test/docs.sh compares
 * the two). */
#include <errno.h>
#include <gcheap.h>
#include <pthread.h>
#include "tap.h"

struct cell {
    struct cell *next;
    long number;
};
static GC_TYPE(cell_type, struct cell, next);

/* ---- What the calls are given ---- */

static gc_heap *heap, *other;
static struct cell *cell; /* rooted */
static void *slot, *weak_slot, *range[2], **top = range;
static uint64_t value_slot;
static struct {
    void *object;
    uint8_t tag;
} tagged;
static const struct gc_tagged tagged_where[] = {{0, sizeof(void *), 1, 1}};
static gc_weak *weak;
static gc_weakmap *map;
static gc_intern *table;
static gc_handle *handle;
static gc_fiber *fiber;
static gc_tracer *tracer; /* in a callback that has one */

static void no_marked(void *arg, gc_tracer *given, bool decided)
{
    (void)arg, (void)given, (void)decided;
}
static void no_visit(void *arg, gc_tracer *t)
{
    (void)arg, (void)t;
}
static void no_finalizer(void *object, void *arg)
{
    (void)object, (void)arg;
}
static void no_cleanup(void *arg)
{
    (void)arg;
}
static void no_notice(void *arg)
{
    (void)arg;
}
static bool no_each(void *arg, const struct gc_object *object)
{
    (void)arg, (void)object;
    return false;
}

static bool no_edge(void *arg, const struct gc_edge *edge)
{
    (void)arg, (void)edge;
    return false;
}

static void (*in_equal)(void);
static uint64_t hash_size(const void *key, size_t size)
{
    (void)key;
    return size;
}
static bool equal_number(const void *object, const void *key, size_t size)
{
    (void)size;
    if (in_equal)
        in_equal();
    return ((const struct cell *)object)->number == *(const long *)key;
}
static void *make_cell(const void *key, size_t size, void *arg)
{
    (void)size, (void)arg;
    struct cell *c = gc_new(&cell_type);
    if (c)
        c->number = *(const long *)key;
    return c;
}
static const struct gc_intern_ops interning = {hash_size, equal_number, make_cell};

/* ---- The calls ---- */

/* The outcome of a call: 0, or a positive errno. With `armed`, `polled` tells afterwards whether
 * the call was a safepoint of the thread that made it. */
static _Thread_local bool armed, polled;
static _Thread_local struct gc_fast *self;

static void arm(void)
{
    self = gc_self;
    if (armed)
        __atomic_store_n(&self->poll, 1, __ATOMIC_RELAXED);
    errno = 0;
}
static int outcome(int error)
{
    int before = errno;
    polled = armed && !__atomic_load_n(&self->poll, __ATOMIC_RELAXED);
    errno = before;
    return error;
}

/* Calls that return 0 or a negative errno; a pointer, or nothing; or cannot fail. */
#define RESULT(call) (arm(), outcome(-(int)(call)))
#define POINTER(call) (arm(), outcome((call) ? 0 : errno))
#define ERRNO(call) (arm(), (void)(call), outcome(errno))

#define CALL(name, expression)                                                                     \
    static int call_##name(void)                                                                   \
    {                                                                                              \
        return (expression);                                                                       \
    }

CALL(version, ERRNO(gc_version()))
CALL(heap_current, ERRNO(gc_heap_current()))
CALL(heap_options, ERRNO(gc_heap_options(heap)))
CALL(thread_name, RESULT(gc_thread_name("x")))
CALL(thread_scan_stack, RESULT(gc_thread_scan_stack(false)))
CALL(safepoint, ERRNO(gc_safepoint()))
CALL(safepoint_due, ERRNO(gc_safepoint_due()))
CALL(new, POINTER(gc_new(&cell_type)))
CALL(new_array, POINTER(gc_new_array(&cell_type, 3)))
static size_t capacity;
CALL(array_grow, POINTER(gc_array_grow(&cell_type, NULL, 0, &capacity)))
/* Of a fresh array, so that there is a smaller one. */
static int call_array_shrink(void)
{
    size_t room = 64;
    void *array = gc_new_array(&cell_type, room);
    return POINTER(gc_array_shrink(&cell_type, array, 1, &room));
}
CALL(new_flex, POINTER(gc_new_flex(&cell_type, &gc_pointer_type, 3)))
CALL(new_bytes, POINTER(gc_new_bytes(100)))
CALL(new_bytes_raw, POINTER(gc_new_bytes_raw(100)))
CALL(size_class, POINTER(gc_size_class(100)))
CALL(external_add, RESULT(gc_external_add(cell, 1)))
CALL(store, ERRNO(gc_store(&slot, cell)))
CALL(store_value, ERRNO(gc_store_value(&value_slot, (uint64_t)(uintptr_t)cell)))
CALL(load, ERRNO(gc_load(&slot)))
CALL(load_value, ERRNO(gc_load_value(&value_slot)))
CALL(cas, ERRNO(gc_cas(&slot, slot, cell)))
CALL(cas_value, ERRNO(gc_cas_value(&value_slot, value_slot, (uint64_t)(uintptr_t)cell)))
CALL(copy, ERRNO(gc_copy(&slot, &cell, sizeof slot)))
CALL(clear, (slot = cell, ERRNO(gc_clear(&slot, sizeof slot))))
CALL(before_write, ERRNO(gc_before_write(cell)))
CALL(before_write_range, ERRNO(gc_before_write_range(cell, sizeof *cell)))
CALL(shade, ERRNO(gc_shade(cell)))
CALL(is_marking, ERRNO(gc_is_marking()))
CALL(barrier_store, ERRNO((gc_barrier_store(&slot, cell), gc_barrier_store_value(&value_slot, 0))))
CALL(keep_alive, ERRNO(gc_keep_alive(cell)))
CALL(frame_mark, ERRNO(gc_frame_reset(gc_frame_mark())))
CALL(trace_slot, ERRNO(gc_trace_slot(tracer, &slot)))
CALL(trace_slots, ERRNO(gc_trace_slots(tracer, &slot, 1)))
CALL(trace_ref, ERRNO(gc_trace_ref(tracer, cell)))
CALL(trace_weak, ERRNO(gc_trace_weak(tracer, &slot, 1, sizeof slot, NULL)))
CALL(trace_ephemerons, ERRNO(gc_trace_ephemerons(tracer, range, 1, sizeof range, NULL)))
CALL(trace_tagged, ERRNO(gc_trace_tagged(tracer, &tagged, 1, sizeof tagged, tagged_where)))
CALL(store_tagged, ERRNO((gc_store_tagged(&tagged, tagged_where, cell, 1),
                          gc_barrier_store_tagged(&tagged, tagged_where, NULL, 0))))
CALL(is_marked, ERRNO(gc_is_marked(tracer, cell)))
CALL(trace_user, ERRNO(gc_trace_user(tracer)))
CALL(load_weak, ERRNO(gc_load_weak(&slot)))
CALL(store_weak, ERRNO(gc_store_weak(&weak_slot, cell)))
CALL(handle_get, ERRNO(gc_handle_get(handle)))
CALL(handle_set, RESULT(gc_handle_set(handle, cell)))
CALL(collect, RESULT(gc_collect()))
CALL(collect_start, RESULT(gc_collect_start()))
CALL(set_percent, ERRNO(gc_set_percent(GC_PERCENT_OFF)))
CALL(set_limit, ERRNO(gc_set_limit(0)))
CALL(set_hard_limit, ERRNO(gc_set_hard_limit(0)))
CALL(release_memory, RESULT(gc_release_memory()))
CALL(weak_new, POINTER(gc_weak_new(cell)))
CALL(weak_get, POINTER(gc_weak_get(weak)))
CALL(weakmap_set, RESULT(gc_weakmap_set(map, cell, cell)))
CALL(weakmap_get, ERRNO(gc_weakmap_get(map, cell)))
CALL(weakmap_has, ERRNO(gc_weakmap_has(map, cell)))
CALL(weakmap_delete, ERRNO(gc_weakmap_delete(map, cell)))
CALL(weakmap_count, ERRNO(gc_weakmap_count(map)))
CALL(intern_count, ERRNO(gc_intern_count(table)))
CALL(finalizers_run, ERRNO(gc_finalizers_run(1)))
CALL(finalizers_queue_all, ERRNO(gc_finalizers_queue_all()))
CALL(finalizers_pending, ERRNO(gc_finalizers_pending()))
CALL(finalizers_notify, RESULT(gc_finalizers_notify(no_notice, NULL)))
CALL(fiber_current, ERRNO(gc_fiber_current()))
CALL(fiber_stack, RESULT(gc_fiber_stack(fiber, NULL, NULL)))
CALL(object_base, POINTER(gc_object_base(cell)))
CALL(object_size, POINTER(gc_object_size(cell)))
CALL(is_object, POINTER(gc_is_object(cell)))
CALL(heap_contains, POINTER(gc_heap_contains(heap, cell)))
CALL(heap_each, RESULT(gc_heap_each(no_each, NULL)))
CALL(heap_verify, RESULT(gc_heap_verify()))
CALL(heap_roots, RESULT(gc_heap_roots(no_edge, NULL) < 0 ? -EPERM : 0))
CALL(who, RESULT(gc_who(cell, no_edge, NULL) < 0 ? -EPERM : 0))
CALL(path, RESULT(gc_path(cell, no_edge, NULL) < 0 ? -EPERM : 0))
CALL(heap_dump, RESULT(gc_heap_dump("/dev/null")))

static int call_heap_stats(void)
{
    struct gc_statistics stats;
    return RESULT(gc_heap_stats(heap, &stats));
}
static int write_nothing(void *arg, const char *text, size_t size)
{
    (void)arg, (void)text, (void)size;
    return 0;
}
CALL(heap_stats_write, RESULT(gc_heap_stats_write(heap, write_nothing, NULL)))
static const struct gc_profile_options profiling;
CALL(profile_record, RESULT(gc_profile_record(&profiling)))
CALL(profile_write, RESULT(gc_profile_write(write_nothing, NULL)))
CALL(events_record, RESULT(gc_events_record(true)))
CALL(events_write, RESULT(gc_events_write(write_nothing, NULL)))
static int call_stats(void)
{
    struct gc_statistics stats;
    return RESULT(gc_stats(&stats));
}
static int call_heap_census(void)
{
    struct gc_census rows[1];
    return RESULT(gc_heap_census(rows, 1) < 0 ? -EPERM : 0);
}
static int call_weakmap_next(void)
{
    size_t position = 0;
    void *key, *value;
    return ERRNO(gc_weakmap_next(map, &position, &key, &value));
}
static int call_frame(void)
{
    arm();
    {
        GC_FRAME(cell);
    }
    return outcome(0);
}
/* Each time another key: the object is made, unless the call is refused. */
static int call_intern_get(void)
{
    static long key = 100;
    key++;
    return POINTER(gc_intern_get(table, &key, sizeof key, NULL));
}

/* Pairs: what the first half made is undone, what the second undoes is made. */
static gc_heap *current_before;
static void go_back(void)
{
    if (gc_heap_current() != current_before)
        gc_thread_switch(current_before);
}
static int call_heap_create(void)
{
    gc_heap *made;
    current_before = gc_heap_current();
    int error = POINTER(made = gc_heap_create(NULL));
    if (made)
        gc_heap_destroy(made);
    go_back();
    return error;
}
static int call_heap_destroy(void)
{
    current_before = gc_heap_current();
    gc_heap *made = gc_heap_create(NULL);
    go_back();
    return RESULT(gc_heap_destroy(made ? made : other));
}
static int call_thread_attach(void)
{
    current_before = gc_heap_current();
    int error = RESULT(gc_thread_attach(other));
    if (!error)
        gc_thread_detach();
    go_back();
    return error;
}
static int call_thread_switch(void)
{
    current_before = gc_heap_current();
    int error = RESULT(gc_thread_switch(NULL));
    go_back();
    return error;
}
static int call_thread_detach(void)
{
    int error = RESULT(gc_thread_detach());
    if (!error)
        gc_thread_attach(heap);
    return error;
}
static int call_blocking_begin(void)
{
    int error = RESULT(gc_blocking_begin());
    if (!error)
        gc_blocking_end();
    return error;
}
static int call_blocking_end(void)
{
    gc_blocking_begin();
    return RESULT(gc_blocking_end());
}
static int call_quiet_begin(void)
{
    int error = RESULT(gc_quiet_begin(0));
    if (!error)
        gc_quiet_end();
    return error;
}
static int call_quiet_end(void)
{
    gc_quiet_begin(0);
    return RESULT(gc_quiet_end());
}
static int call_root(void)
{
    static void *own;
    int error = RESULT(gc_root(&own));
    if (!error)
        gc_unroot(&own);
    return error;
}
static int call_root_range(void)
{
    static void *own[2];
    int error = RESULT(gc_root_range(own, 2));
    if (!error)
        gc_unroot(own);
    return error;
}
static int call_unroot(void)
{
    static void *own;
    gc_root(&own);
    return RESULT(gc_unroot(&own));
}
static int call_thread_range(void)
{
    int error = RESULT(gc_thread_range(range, &top));
    if (!error)
        gc_thread_range_remove(range);
    return error;
}
static int call_thread_range_remove(void)
{
    gc_thread_range(range, &top);
    return RESULT(gc_thread_range_remove(range));
}
/* It goes with the thread's attachment only: the second time it is there. */
static int call_thread_local_range(void)
{
    int error = RESULT(gc_thread_local_range(range, sizeof range));
    return error == EEXIST ? 0 : error;
}
static int call_root_callback(void)
{
    int error = RESULT(gc_root_callback(GC_ROOT_HEAP, no_visit, NULL));
    if (!error)
        gc_root_callback_remove(no_visit, NULL);
    return error;
}
static int call_root_callback_remove(void)
{
    gc_root_callback(GC_ROOT_HEAP, no_visit, NULL);
    return RESULT(gc_root_callback_remove(no_visit, NULL));
}
static int call_marked_callback(void)
{
    int error = RESULT(gc_marked_callback(no_marked, NULL));
    if (!error)
        gc_marked_callback_remove(no_marked, NULL);
    return error;
}
static int call_marked_callback_remove(void)
{
    gc_marked_callback(no_marked, NULL);
    return RESULT(gc_marked_callback_remove(no_marked, NULL));
}
static int call_handle_new(void)
{
    gc_handle *made;
    int error = POINTER(made = gc_handle_new(NULL));
    gc_handle_free(made);
    return error;
}
static int call_handle_free(void)
{
    gc_handle *made = gc_handle_new(NULL);
    return ERRNO(gc_handle_free(made ? made : handle));
}
static int call_weak_free(void)
{
    gc_weak *made = gc_weak_new(cell);
    return ERRNO(gc_weak_free(made ? made : weak));
}
static int call_weakmap_new(void)
{
    gc_weakmap *made;
    int error = POINTER(made = gc_weakmap_new());
    gc_weakmap_free(made);
    return error;
}
static int call_intern_new(void)
{
    gc_intern *made;
    int error = POINTER(made = gc_intern_new(&interning));
    gc_intern_free(made);
    return error;
}
/* Where none can be made the one that is there is given: it must go once only. */
static int call_weakmap_free(void)
{
    gc_weakmap *made = gc_weakmap_new();
    int error = ERRNO(gc_weakmap_free(made ? made : map));
    if (!made && !error)
        map = NULL;
    return error;
}
static int call_intern_free(void)
{
    gc_intern *made = gc_intern_new(&interning);
    int error = ERRNO(gc_intern_free(made ? made : table));
    if (!made && !error)
        table = NULL;
    return error;
}
static int call_finalizer_set(void)
{
    int error = RESULT(gc_finalizer_set(cell, no_finalizer, NULL));
    if (!error)
        gc_finalizer_set(cell, NULL, NULL);
    return error;
}
static int call_cleanup_add(void)
{
    arm();
    int64_t id = gc_cleanup_add(cell, no_cleanup, NULL);
    int error = outcome(id > 0 ? 0 : (int)-id);
    if (!error)
        gc_cleanup_cancel(cell, id);
    return error;
}
static int call_cleanup_cancel(void)
{
    int64_t id = gc_cleanup_add(cell, no_cleanup, NULL);
    return RESULT(gc_cleanup_cancel(cell, id));
}
static int call_fiber_create(void)
{
    gc_fiber *made;
    int error = POINTER(made = gc_fiber_create());
    if (!error)
        gc_fiber_destroy(made);
    return error;
}
static int call_fiber_create_for(void)
{
    gc_fiber *made;
    int error = POINTER(made = gc_fiber_create_for(cell));
    if (made)
        gc_fiber_destroy(made);
    return error;
}
static int call_fiber_destroy(void)
{
    gc_fiber *made = gc_fiber_create();
    return RESULT(gc_fiber_destroy(made ? made : fiber));
}
static int call_fiber_switch(void)
{
    gc_fiber *before;
    arm();
    before = gc_fiber_switch(fiber);
    int error = outcome(errno);
    if (!error)
        gc_fiber_switch(before);
    return error;
}
static const gc_type *const type = &cell_type;
CALL(type_equal, ERRNO(gc_type_equal(type, cell, cell)))
CALL(type_hash, ERRNO(gc_type_hash(type, cell, 0)))
CALL(type_error, POINTER(gc_type_error()))
CALL(type_register, RESULT(gc_type_register(&cell_type)))
static int call_type_create(void)
{
    gc_type *made;
    int error = POINTER(made = gc_type_create(&(struct gc_type_spec){.name = "x", .size = 8}));
    gc_type_release(made);
    return error;
}
static int call_type_release(void)
{
    gc_type *made = gc_type_create(&(struct gc_type_spec){.name = "x", .size = 8});
    return RESULT(gc_type_release(made));
}
static int call_prog(void)
{
    uint8_t bytes[8];
    uint64_t bits = 1;
    struct gc_prog prog;
    arm();
    gc_prog_begin(&prog, bytes, sizeof bytes);
    gc_prog_emit(&prog, &bits, 1);
    gc_prog_repeat(&prog, 1, 3);
    return outcome(-gc_prog_end(&prog));
}

/* ---- What is expected ---- */

enum place { OUTSIDE, REGION, FIBER, FINALIZER, CALLBACK, PLACES };

/* One letter for each place:
 *   y  it works        p  EPERM, nothing is done      b  EBUSY, nothing is done
 *   -  it does nothing, errno stays                   t  done without its barrier, and told
 *   u  undefined: not tried */
struct row {
    const char *names, *places, *safepoint;
    int (*call)(void);
};

static const struct row rows[] = {
#define Y "yes"
#define N "no"
    {"gc_version", "yyyyy", N, call_version},
    {"gc_type_create", "yyyyu", N, call_type_create},
    {"gc_type_release", "yyyyu", N, call_type_release},
    {"gc_type_register", "yyyyu", N, call_type_register},
    {"gc_type_error", "yyyyy", N, call_type_error},
    {"gc_type_equal", "yyyyy", N, call_type_equal},
    {"gc_type_hash", "yyyyy", N, call_type_hash},
    {"gc_prog_begin, gc_prog_emit, gc_prog_repeat, gc_prog_end", "yyyyy", N, call_prog},
    {"gc_heap_create", "yyyyp", Y, call_heap_create},
    {"gc_heap_destroy", "yyyyp", Y, call_heap_destroy},
    {"gc_heap_current", "yyyyy", N, call_heap_current},
    {"gc_heap_options", "yyyyy", N, call_heap_options},
    {"gc_thread_attach", "yyyyp", Y, call_thread_attach},
    {"gc_thread_detach", "pbbbp", N, call_thread_detach},
    {"gc_thread_switch", "yyyyp", Y, call_thread_switch},
    {"gc_thread_name", "pyyyp", N, call_thread_name},
    {"gc_thread_scan_stack", "ppyyp", N, call_thread_scan_stack},
    {"gc_safepoint", "--yy-", Y, call_safepoint},
    {"gc_safepoint_due", "yyyyy", N, call_safepoint_due},
    {"gc_quiet_begin", "ppyyp", N, call_quiet_begin},
    {"gc_quiet_end", "ppyyp", N, call_quiet_end},
    {"gc_blocking_begin", "pyyyp", Y, call_blocking_begin},
    {"gc_blocking_end", "pyyyp", Y, call_blocking_end},
    {"gc_new", "ppyyp", Y, call_new},
    {"gc_new_array", "ppyyp", Y, call_new_array},
    {"gc_array_grow", "ppyyp", Y, call_array_grow},
    {"gc_array_shrink", "ppyyp", "if it makes an array", call_array_shrink},
    {"gc_new_flex", "ppyyp", Y, call_new_flex},
    {"gc_new_bytes", "ppyyp", Y, call_new_bytes},
    {"gc_new_bytes_raw", "ppyyp", Y, call_new_bytes_raw},
    {"gc_size_class", "yyyyy", N, call_size_class},
    {"gc_external_add", "ppyyp", "if bytes > 0", call_external_add},
    {"gc_store", "ttyyu", N, call_store},
    {"gc_store_value", "ttyyu", N, call_store_value},
    {"gc_load", "yyyyy", N, call_load},
    {"gc_load_value", "yyyyy", N, call_load_value},
    {"gc_store_tagged, gc_barrier_store_tagged", "uuyyu", N, call_store_tagged},
    {"gc_cas", "ttyyu", N, call_cas},
    {"gc_cas_value", "ttyyu", N, call_cas_value},
    {"gc_copy", "ttyyu", N, call_copy},
    {"gc_clear", "ttyyu", N, call_clear},
    {"gc_before_write", "ppyyu", N, call_before_write},
    {"gc_before_write_range", "ppyyu", N, call_before_write_range},
    {"gc_is_marking", "yyyyy", N, call_is_marking},
    {"gc_shade", "ppyyu", N, call_shade},
    {"gc_barrier_store, gc_barrier_store_value", "uuyyu", N, call_barrier_store},
    {"gc_keep_alive", "yyyyy", N, call_keep_alive},
    {"GC_FRAME, GC_FRAME_ARRAY", "uuyyu", N, call_frame},
    {"gc_frame_mark, gc_frame_reset", "yyyyy", N, call_frame_mark},
    {"gc_root", "ppyyp", N, call_root},
    {"gc_unroot", "ppyyp", N, call_unroot},
    {"gc_root_range", "ppyyp", N, call_root_range},
    {"gc_thread_range", "ppyyp", N, call_thread_range},
    {"gc_thread_range_remove", "ppyyp", N, call_thread_range_remove},
    {"gc_thread_local_range", "ppyyp", N, call_thread_local_range},
    {"gc_root_callback", "ppyyp", N, call_root_callback},
    {"gc_root_callback_remove", "ppyyp", N, call_root_callback_remove},
    {"gc_trace_slot", "uuuuy", N, call_trace_slot},
    {"gc_trace_slots", "uuuuy", N, call_trace_slots},
    {"gc_trace_ref", "uuuuy", N, call_trace_ref},
    {"gc_trace_tagged", "uuuuy", N, call_trace_tagged},
    {"gc_trace_user", "uuuuy", N, call_trace_user},
    {"gc_handle_new", "ppyyp", N, call_handle_new},
    {"gc_handle_get", "ppyyp", N, call_handle_get},
    {"gc_handle_set", "ppyyp", N, call_handle_set},
    {"gc_handle_free", "ppyyp", N, call_handle_free},
    {"gc_collect", "ppyyp", Y, call_collect},
    {"gc_collect_start", "ppyyp", N, call_collect_start},
    {"gc_set_percent", "ppyyp", N, call_set_percent},
    {"gc_set_limit", "ppyyp", N, call_set_limit},
    {"gc_set_hard_limit", "ppyyp", N, call_set_hard_limit},
    {"gc_release_memory", "ppyyp", Y, call_release_memory},
    {"gc_heap_stats", "yyyyp", N, call_heap_stats},
    {"gc_stats", "ppyyp", N, call_stats},
    {"gc_heap_stats_write", "yyyyp", Y, call_heap_stats_write},
    {"gc_weak_new", "ppyyp", N, call_weak_new},
    {"gc_weak_get", "ppyyp", N, call_weak_get},
    {"gc_weak_free", "yyyyp", N, call_weak_free},
    {"gc_weakmap_new", "ppyyp", N, call_weakmap_new},
    {"gc_weakmap_set", "ppyyp", N, call_weakmap_set},
    {"gc_weakmap_get", "ppyyp", N, call_weakmap_get},
    {"gc_weakmap_has", "ppyyp", N, call_weakmap_has},
    {"gc_weakmap_delete", "ppyyp", N, call_weakmap_delete},
    {"gc_weakmap_count", "ppyyp", N, call_weakmap_count},
    {"gc_weakmap_next", "ppyyp", N, call_weakmap_next},
    {"gc_weakmap_free", "yyyyp", N, call_weakmap_free},
    {"gc_trace_weak", "uuuuy", N, call_trace_weak},
    {"gc_trace_ephemerons", "uuuuy", N, call_trace_ephemerons},
    {"gc_marked_callback", "ppyyp", N, call_marked_callback},
    {"gc_marked_callback_remove", "ppyyp", N, call_marked_callback_remove},
    {"gc_is_marked", "uuuuy", N, call_is_marked},
    {"gc_load_weak", "ppyyu", N, call_load_weak},
    {"gc_store_weak", "ttyyu", N, call_store_weak},
    {"gc_intern_new", "ppyyp", N, call_intern_new},
    {"gc_intern_get", "ppyyp", "if it makes", call_intern_get},
    {"gc_intern_count", "ppyyp", N, call_intern_count},
    {"gc_intern_free", "yyyyp", N, call_intern_free},
    {"gc_finalizer_set", "ppyyp", N, call_finalizer_set},
    {"gc_cleanup_add", "ppyyp", N, call_cleanup_add},
    {"gc_cleanup_cancel", "ppyyp", N, call_cleanup_cancel},
    {"gc_finalizers_run", "ppyyp", "as what it runs", call_finalizers_run},
    {"gc_finalizers_queue_all", "ppyyp", Y, call_finalizers_queue_all},
    {"gc_finalizers_pending", "ppyyp", N, call_finalizers_pending},
    {"gc_finalizers_notify", "ppyyp", N, call_finalizers_notify},
    {"gc_fiber_create", "ppyyp", N, call_fiber_create},
    {"gc_fiber_create_for", "ppyyp", N, call_fiber_create_for},
    {"gc_fiber_switch", "ppyyp", N, call_fiber_switch},
    {"gc_fiber_current", "ppyyp", N, call_fiber_current},
    {"gc_fiber_destroy", "ppyyp", N, call_fiber_destroy},
    {"gc_fiber_stack", "ppyyp", N, call_fiber_stack},
    {"gc_object_base", "ppyyp", N, call_object_base},
    {"gc_object_size", "ppyyp", N, call_object_size},
    {"gc_is_object", "ppyyp", N, call_is_object},
    {"gc_heap_contains", "yyyyy", N, call_heap_contains},
    {"gc_heap_each", "ppyyp", Y, call_heap_each},
    {"gc_heap_census", "ppyyp", Y, call_heap_census},
    {"gc_heap_dump", "ppyyp", Y, call_heap_dump},
    {"gc_heap_verify", "ppyyp", Y, call_heap_verify},
    {"gc_heap_roots", "ppyyp", Y, call_heap_roots},
    {"gc_who", "ppyyp", Y, call_who},
    {"gc_path", "ppyyp", Y, call_path},
    {"gc_profile_record", "ppyyp", N, call_profile_record},
    {"gc_profile_write", "ppyyp", Y, call_profile_write},
    {"gc_events_record", "yyyyp", N, call_events_record},
    {"gc_events_write", "yyyyp", Y, call_events_write},
#undef Y
#undef N
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int expected(char letter)
{
    return letter == 'p' ? EPERM : letter == 'b' ? EBUSY : 0;
}

/* One test for each row. What is wrong in functions that must not fail is noted, for the end. */
static int outcomes[ROWS][PLACES];
static void try_all(enum place place)
{
    for (size_t i = 0; i < ROWS; i++) {
        outcomes[i][place] = -1;
        if (rows[i].places[place] != 'u')
            outcomes[i][place] = rows[i].call();
    }
}
static void judge(enum place place, const char *where)
{
    for (size_t i = 0; i < ROWS; i++) {
        char letter = rows[i].places[place];
        if (letter != 'u')
            ok(outcomes[i][place] == expected(letter), "%s %s: %d", rows[i].names, where,
               outcomes[i][place]);
        outcomes[i][place] = -1;
    }
}

/* ---- Places ---- */

static void set_up(const gc_options *options)
{
    CHECK((other = gc_heap_create(NULL)));
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK((heap = gc_heap_create(options)));
    gc_set_percent(GC_PERCENT_OFF);
    CHECK_EQ(gc_root(&cell), 0);
    gc_store(&cell, gc_new(&cell_type));
    CHECK_EQ(gc_root(&slot), 0);
    CHECK((weak = gc_weak_new(cell)));
    CHECK((map = gc_weakmap_new()));
    CHECK((table = gc_intern_new(&interning)));
    CHECK((handle = gc_handle_new(cell)));
    CHECK((fiber = gc_fiber_create()));
}

/* Finalizers that a test has left in the queue are dropped. */
static void tear_down(void)
{
    CHECK_EQ(gc_thread_switch(heap), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(gc_heap_destroy(other), 0);
}

TEST(without_a_heap)
{
    set_up(NULL);
    CHECK_EQ(gc_thread_switch(NULL), 0);
    try_all(OUTSIDE);
    judge(OUTSIDE, "on a thread without a heap");
    CHECK(cell && gc_load(&slot) == NULL); /* what stores were told to do they did: gc_clear last */
    tear_down();
}

TEST(blocking_region)
{
    set_up(NULL);
    CHECK_EQ(gc_blocking_begin(), 0);
    try_all(REGION);
    CHECK_EQ(gc_blocking_end(), 0);
    judge(REGION, "in a blocking region");
    CHECK(gc_new(&cell_type));
    CHECK_EQ(gc_heap_verify(), 0);
    tear_down();
}

TEST(in_a_fiber)
{
    set_up(NULL);
    gc_fiber *own = gc_fiber_create();
    gc_fiber_switch(own);
    try_all(FIBER);
    CHECK(gc_fiber_current() == own);
    gc_fiber_switch(NULL);
    judge(FIBER, "in a fiber");
    tear_down();
}

static void finalize(void *arg)
{
    (void)arg;
    try_all(FINALIZER);
}

TEST(in_a_finalizer)
{
    set_up(NULL);
    CHECK(gc_cleanup_add(gc_new(&cell_type), finalize, NULL) > 0);
    gc_collect();
    CHECK_EQ(gc_finalizers_run(1), 1);
    judge(FINALIZER, "in a cleanup");
    CHECK_EQ(gc_heap_verify(), 0);
    tear_down();
}

/* ---- Functions that the collector calls ---- */

static bool needs_tracer(const struct row *row)
{
    return strstr(row->names, "gc_trace_") || strstr(row->names, "gc_is_marked");
}

static void try_callbacks(gc_tracer *given)
{
    tracer = given;
    for (size_t i = 0; i < ROWS; i++) {
        /* Without a tracer nothing can be traced. */
        if (rows[i].places[CALLBACK] != 'u' && (given || !needs_tracer(&rows[i])))
            outcomes[i][CALLBACK] = rows[i].call();
        else
            outcomes[i][CALLBACK] = expected(rows[i].places[CALLBACK]);
    }
}
static void check_afterwards(const char *where)
{
    judge(CALLBACK, where);
    CHECK(gc_new(&cell_type));
    CHECK_EQ(gc_heap_verify(), 0);
    tear_down();
}

static int visits;
static void visit(void *arg, gc_tracer *given)
{
    (void)arg;
    if (__atomic_fetch_add(&visits, 1, __ATOMIC_ACQ_REL) == 0) {
        try_callbacks(given);
        __atomic_store_n(&visits, 2, __ATOMIC_RELEASE);
    }
}
static bool is_visited(void)
{
    return __atomic_load_n(&visits, __ATOMIC_ACQUIRE) >= 2;
}

TEST(in_a_thread_callback_of_a_running_thread)
{
    set_up(NULL);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit, NULL), 0);
    gc_collect_start();
    while (!is_visited())
        gc_safepoint();
    check_afterwards("in a thread's root callback");
}

TEST(in_a_thread_callback_of_a_thread_that_collects)
{
    set_up(&(gc_options){.flags = GC_NO_BACKGROUND});
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit, NULL), 0);
    gc_collect();
    CHECK(is_visited());
    check_afterwards("in a thread's root callback, called by gc_collect");
}

TEST(in_a_heap_callback_on_a_thread_of_the_collectors)
{
    set_up(NULL);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit, NULL), 0);
    gc_collect_start();
    while (!is_visited())
        gc_safepoint();
    check_afterwards("in a heap's root callback");
}

static void mind(void *arg, gc_tracer *given, bool decided)
{
    if (!decided)
        visit(arg, given);
}

TEST(in_a_marked_callback)
{
    set_up(NULL);
    CHECK_EQ(gc_marked_callback(mind, NULL), 0);
    gc_collect();
    CHECK(is_visited());
    check_afterwards("in a marked callback");
}

static void trace(void *object, gc_tracer *given)
{
    visit(object, given);
}

TEST(in_a_trace_function)
{
    set_up(NULL);
    gc_type *traced =
        gc_type_create(&(struct gc_type_spec){.name = "traced", .size = 16, .trace = trace});
    gc_store(&cell->next, gc_new(traced));
    gc_collect();
    CHECK(is_visited());
    check_afterwards("in a trace function");
    CHECK_EQ(gc_type_release(traced), 0);
}

static bool each(void *arg, const struct gc_object *object)
{
    (void)arg, (void)object;
    try_callbacks(NULL);
    return false;
}

TEST(in_a_walk)
{
    set_up(NULL);
    CHECK_EQ(gc_heap_each(each, NULL), 0);
    check_afterwards("in the function of gc_heap_each");
}

static bool notified;
static void notice(void *arg)
{
    (void)arg;
    if (!__atomic_load_n(&notified, __ATOMIC_ACQUIRE)) {
        try_callbacks(NULL);
        __atomic_store_n(&notified, true, __ATOMIC_RELEASE);
    }
}

TEST(in_the_function_of_notify)
{
    set_up(&(gc_options){.flags = GC_NO_BACKGROUND});
    CHECK_EQ(gc_finalizers_notify(notice, NULL), 0);
    CHECK(gc_cleanup_add(gc_new(&cell_type), no_cleanup, NULL) > 0);
    gc_collect();
    CHECK(notified);
    check_afterwards("in the function of gc_finalizers_notify");
}

static void compare(void)
{
    in_equal = NULL;
    try_callbacks(NULL);
}

TEST(in_the_equal_function_of_an_intern_table)
{
    static const long key = 1;
    set_up(NULL);
    void *object = gc_intern_get(table, &key, sizeof key, NULL);
    CHECK(object);
    in_equal = compare;
    CHECK(gc_intern_get(table, &key, sizeof key, NULL) == object);
    CHECK(!in_equal);
    check_afterwards("in an intern table's equal");
}

/* ---- Safepoints ---- */

/* With nth each allocation takes the slow path; and no other thread asks this one to poll. */
TEST(safepoints)
{
    set_up(&(gc_options){.flags = GC_NO_BACKGROUND, .debug = "nth=1000000"});
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].places[FIBER] == 'u' || rows[i].safepoint[0] == 'a')
            continue;
        armed = true;
        rows[i].call();
        armed = false;
        ok(polled == (rows[i].safepoint[0] != 'n'), "%s is a safepoint: %s", rows[i].names,
           rows[i].safepoint);
    }
    tear_down();
}

/* ---- The table ---- */

static const char *cell_text(char letter)
{
    switch (letter) {
    case 'y':
        return "yes";
    case 'p':
        return "`EPERM`";
    case 'b':
        return "`EBUSY`";
    case '-':
        return "nothing";
    case 't':
        return "no barrier";
    default:
        return "undefined";
    }
}

static int print_table(void)
{
    printf("| call | no heap | blocking region | fiber | finalizer | callback | safepoint |\n"
           "| --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < ROWS; i++) {
        char names[200];
        snprintf(names, sizeof names, "%s", rows[i].names);
        printf("| ");
        for (char *rest = names, *name; (name = strsep(&rest, ",")) != NULL;)
            printf("`%s`%s", name + (name[0] == ' '), rest ? ", " : "");
        for (int place = 0; place < PLACES; place++)
            printf(" | %s", cell_text(rows[i].places[place]));
        printf(" | %s |\n", rows[i].safepoint);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--table") == 0)
        return print_table();
    return tap_main(argc > 1 ? argv[1] : "");
}
