/* Functions of the embedder's that the library calls, and what they leave undone or must not do:
 * finalizers and cleanups, options.log. */
#include "cells.h"
#include "log.h"

static gc_heap *heap, *other;
static atomic_uint ran;

/* A debug build tells of each thread that ends attached. */
static void keep(void *user, enum gc_log_level level, const char *line)
{
    if (!strstr(line, "without gc_thread_detach()"))
        keep_line(user, level, line);
}

static void make_heap(unsigned flags)
{
    gc_options o = {.flags = flags, .log = keep};
    CHECK((other = gc_heap_create(&o)));
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK((heap = gc_heap_create(&o)));
}

/* ---- Finalizers that leave the thread otherwise than they found it ---- */

static int said; /* what a call has answered */
static gc_fiber *found;
static struct gc_frame *open_frame;

static void detach(void)
{
    said = gc_thread_detach();
}
static void destroy(void)
{
    said = gc_heap_destroy(heap);
}
static void block(void)
{
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(gc_blocking_begin(), 0);
}
static void go_nowhere(void)
{
    CHECK_EQ(gc_thread_switch(NULL), 0);
}
static void block_and_go(void)
{
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(gc_thread_switch(NULL), 0);
}
static void go_elsewhere(void)
{
    CHECK_EQ(gc_thread_attach(other), 0);
    CHECK(gc_new_bytes(64));
    said = gc_heap_destroy(heap);
}
static void change_fiber(void)
{
    found = gc_fiber_create();
    gc_fiber_switch(found);
}
static void open_a_frame(void)
{
    static void *slot;
    static struct gc_frame_array frame = {{NULL}, GC_FRAME_SIZE(1), &slot};
    frame.head.prev = gc_self->frames;
    open_frame = gc_self->frames = &frame.head;
}

static const struct careless {
    const char *name;
    void (*act)(void);
    int says;
    const char *remedy; /* NULL: there is nothing to tell */
} careless[] = {
    {"detach", detach, -EBUSY, NULL},
    {"destroy", destroy, -EBUSY, NULL},
    {"block", block, 0, "gc_blocking_end()"},
    {"go nowhere", go_nowhere, 0, "gc_thread_switch()"},
    {"block and go", block_and_go, 0, "gc_blocking_end()"},
    {"go elsewhere", go_elsewhere, -EBUSY, "gc_thread_switch()"},
    {"change fiber", change_fiber, 0, "gc_fiber_switch()"},
    {"open a frame", open_a_frame, 0, "gc_frame_reset()"},
};

static void act(const struct careless *c)
{
    said = 0;
    c->act();
    ran++;
}
static void careless_finalizer(void *object, void *arg)
{
    CHECK(is_cell(object, 1));
    act(arg);
}
static void careless_cleanup(void *arg)
{
    act(arg);
}

/* One of them and then another finalizer, which finds the thread as it should be. */
static void works_on(void *object, void *unused)
{
    (void)unused;
    CHECK(gc_heap_current() == heap && !gc_fiber_current());
    CHECK(is_cell(object, 2) && is_cell(new_cell(3), 3));
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_blocking_end(), -EPERM);
    CHECK(is_cell(object, 2));
    ran++;
}

static void make_garbage(const struct careless *c, bool cleanup)
{
    void *arg = (void *)(uintptr_t)c;
    struct cell *first = new_cell(1);
    if (cleanup)
        CHECK(gc_cleanup_add(first, careless_cleanup, arg) > 0);
    else
        CHECK_EQ(gc_finalizer_set(first, careless_finalizer, arg), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizer_set(new_cell(2), works_on, NULL), 0);
    CHECK_EQ(gc_collect(), 0);
}

static void check_told(const struct careless *c, bool cleanup)
{
    diag("%s in a %s: %s", c->name, cleanup ? "cleanup" : "finalizer", logged.line);
    CHECK_EQ(said, c->says);
    CHECK(c->remedy ? has_logged(c->remedy) : !has_logged(""));
    CHECK(!c->remedy || has_logged(cleanup ? "cleanup at" : "finalizer at"));
    forget_log();
}

static void undo(void)
{
    if (found)
        CHECK_EQ(gc_fiber_destroy(found), 0);
    found = NULL;
    if (gc_thread_switch(other) == 0)
        CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_switch(heap), 0);
}

TEST(what_finalizers_leave_open_is_closed)
{
    make_heap(0);
    struct cell *mine = new_cell(4);
    GC_FRAME(mine);
    struct gc_frame *frames = gc_frame_mark();
    for (size_t i = 0; i < 2 * ARRAY_LEN(careless); i++) {
        const struct careless *c = &careless[i / 2];
        make_garbage(c, i % 2);
        ran = 0;
        CHECK_EQ(gc_finalizers_run(0), 2);
        CHECK_EQ(ran, 2);
        CHECK(gc_heap_current() == heap && gc_frame_mark() == frames && is_cell(mine, 4));
        check_told(c, i % 2);
        undo();
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(and_on_the_librarys_thread)
{
    make_heap(GC_FINALIZER_THREAD);
    for (size_t i = 0; i < 2 * ARRAY_LEN(careless); i++) {
        const struct careless *c = &careless[i / 2];
        ran = 0;
        make_garbage(c, i % 2);
        BLOCK_UNTIL(ran == 2);
        BLOCK_UNTIL(stats_of(heap).threads == 1);
        check_told(c, i % 2);
        undo();
    }
    BLOCK_UNTIL(stats_of(other).threads == 0);
    CHECK_EQ(gc_heap_destroy(other), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}
static void block_once(void *object, void *unused)
{
    (void)object, (void)unused;
    CHECK_EQ(gc_blocking_begin(), 0);
}

TEST(the_type_is_named_where_it_is_known)
{
    make_heap(0);
    gc_type *type = gc_type_create(
        &(struct gc_type_spec){.name = "socket", .size = 32, .trace = trace_nothing});
    CHECK_EQ(gc_finalizer_set(gc_new(type), block_once, NULL), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK(has_logged("of a socket has returned in a blocking region"));
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(gc_type_release(type), 0);
}

/* ---- Finalizers that run the queue ---- */

static unsigned depth, deepest;

static void run_queue(void *object, void *unused)
{
    (void)object, (void)unused;
    depth++;
    deepest = MAX_OF(deepest, depth);
    gc_finalizers_run(0);
    depth--;
    ran++;
}

TEST(finalizers_that_run_the_queue_do_not_use_up_the_stack)
{
    enum { N = 100000 };
    make_heap(0);
    for (int i = 0; i < N; i++)
        CHECK_EQ(gc_finalizer_set(new_cell(1), run_queue, NULL), 0);
    CHECK_EQ(gc_collect(), 0);
    gc_finalizers_run(0);
    CHECK_EQ(ran, N);
    CHECK(deepest > 10 && deepest < 100);
    CHECK_EQ(gc_finalizers_pending(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Finalizers that end their thread ---- */

static void end_thread(void *object, void *unused)
{
    CHECK(is_cell(object, 1));
    GC_FRAME(object);
    ran++;
    pthread_exit(unused);
}
static void end_thread_blocked(void *unused)
{
    CHECK_EQ(gc_blocking_begin(), 0);
    ran++;
    pthread_exit(unused);
}

static void make_endings(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CHECK_EQ(gc_finalizer_set(new_cell(1), end_thread, NULL), 0);
        CHECK(gc_cleanup_add(new_cell(1), end_thread_blocked, NULL) > 0);
    }
    CHECK_EQ(gc_collect(), 0);
}

/* Each has a thread of its own. */
TEST(the_librarys_thread_is_replaced)
{
    enum { N = 20 };
    make_heap(GC_FINALIZER_THREAD);
    make_endings(N);
    BLOCK_UNTIL(ran == 2 * N);
    CHECK(has_logged("pthread_exit"));
    BLOCK_UNTIL(stats_of(heap).threads == 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_verify(), 0);
    make_endings(1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* And cannot be: that is tried again when there is work. */
TEST(no_thread_to_be_had_for_the_replacement)
{
    make_heap(GC_FINALIZER_THREAD);
    make_endings(1);
    BLOCK_UNTIL(ran == 2);
    BLOCK_UNTIL(stats_of(heap).threads == 1);
    CHECK_EQ(gc_finalizer_set(new_cell(1), end_thread, NULL), 0);
    os_fail_nth(1, 1000000);
    CHECK_EQ(gc_collect(), 0);
    BLOCK_UNTIL(ran == 3);
    BLOCK_UNTIL(stats_of(heap).threads == 1);
    os_fail_nth(0, 0);
    make_endings(1);
    BLOCK_UNTIL(ran == 5);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void *run_and_end(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    gc_finalizers_run(0);
    FAIL("a finalizer that ends the thread has returned");
    return unused;
}

TEST(a_thread_of_the_embedders_ends_in_a_finalizer)
{
    make_heap(0);
    make_endings(3);
    for (unsigned i = 1; i <= 6; i++) {
        run_thread(run_and_end, NULL);
        CHECK_EQ(ran, i);
        CHECK_EQ(stats_now().threads, 1);
        CHECK_EQ(gc_collect(), 0);
    }
    CHECK_EQ(gc_finalizers_run(0), 0);
    CHECK_EQ(records(heap), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- A log function that would use a heap ---- */

static atomic_uint lines;
static int first_user;

static void check_barred(void)
{
    CHECK_REFUSED(gc_new(&cell_type), EPERM);
    CHECK_REFUSED(gc_new_bytes(100), EPERM);
    CHECK_EQ(gc_collect(), -EPERM);
    CHECK_EQ(gc_blocking_begin(), -EPERM);
    CHECK_EQ(gc_blocking_end(), -EPERM);
    CHECK_EQ(gc_finalizers_run(0), 0);
    CHECK_EQ(gc_thread_attach(heap), -EPERM);
    CHECK_EQ(gc_thread_attach(other), -EPERM);
    CHECK_EQ(gc_thread_switch(other), -EPERM);
    CHECK_EQ(gc_thread_switch(NULL), -EPERM);
    CHECK_EQ(gc_thread_detach(), -EPERM);
    CHECK_EQ(gc_heap_destroy(other), -EPERM);
    CHECK_REFUSED(gc_heap_create(NULL), EPERM);
    gc_safepoint();
}

static void use_heaps(void *user, enum gc_log_level level, const char *line)
{
    CHECK(user == &first_user);
    CHECK(level == GC_LOG_TRACE && strstr(line, "objects marked"));
    check_barred();
    CHECK_EQ(gc_heap_stats(heap, &(struct gc_statistics){.threads = 0}), -EPERM);
    free(malloc(100));
    errno = EBADF;
    lines++;
}

static void log_uses_heaps(unsigned flags)
{
    CHECK_EQ(setenv("GCHEAP_TRACE", "1", 1), 0);
    CHECK((other = gc_heap_create(&(gc_options){.log = keep_no_line})));
    heap = gc_heap_create(&(gc_options){.flags = flags, .log = use_heaps, .user = &first_user});
    CHECK(heap);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    errno = 0;
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(errno, 0);
    CHECK_EQ(lines, 1);
    CHECK(gc_heap_current() == heap && is_cell(c, 1));
    for (unsigned before = lines; lines < before + 3;)
        CHECK(new_cell(2));
    CHECK(is_cell(c, 1));
    end_heap(heap);
    CHECK_EQ(gc_thread_switch(other), 0);
    CHECK_EQ(gc_heap_destroy(other), 0);
}
TEST_EACH_WAY(log_uses_heaps)

TAP_MAIN
