/* Functions of the embedder's that the library called and that do not return: left by longjmp, or
 * by the end of the process; and processes that end while a heap is in use. */
#include <errno.h>
#include <gcheap.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "tap.h"

struct cell {
    struct cell *next;
    long number;
};
static GC_TYPE(cell_type, struct cell, next);
enum { DONE = 7 }; /* exit status */

static gc_heap *heap;
static struct cell *kept;

static void make_heap(const gc_options *options)
{
    CHECK((heap = gc_heap_create(options)));
    CHECK_EQ(gc_root(&kept), 0);
    gc_store(&kept, gc_new(&cell_type));
    kept->number = 4711;
}

static void check_heap(void)
{
    CHECK(gc_new(&cell_type));
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(kept->number, 4711);
    CHECK_EQ(gc_heap_verify(), 0);
}

/* ---- Out of memory ---- */

static jmp_buf landing;
static unsigned asked;

static bool jump(void *user, size_t size)
{
    (void)user;
    CHECK(size >= (size_t)100 << 20);
    asked++;
    longjmp(landing, 1);
}

static void ask_for_too_much(void)
{
    struct cell *local = NULL;
    GC_FRAME(local);
    gc_new_bytes((size_t)100 << 20);
    FAIL("it was left by longjmp");
}

TEST(out_of_memory_left_by_longjmp)
{
    make_heap(&(gc_options){.hard_limit = 16 << 20, .out_of_memory = jump});
    struct gc_frame *mark = gc_frame_mark();
    for (volatile unsigned i = 0; i < 100; i++) {
        if (!setjmp(landing))
            ask_for_too_much();
        gc_frame_reset(mark);
        CHECK_EQ(asked, i + 1);
        check_heap();
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* What the function may do besides: it lets go of what it can do without, and collects. */
static void *cache;
static bool drop_the_cache(void *user, size_t size)
{
    (void)user, (void)size;
    asked++;
    if (!cache)
        return false;
    gc_store(&cache, NULL);
    CHECK_EQ(gc_collect(), 0);
    return true;
}

TEST(out_of_memory_that_uses_the_heap)
{
    make_heap(&(gc_options){.hard_limit = 16 << 20, .out_of_memory = drop_the_cache});
    CHECK_EQ(gc_root(&cache), 0);
    gc_store(&cache, gc_new_bytes((size_t)10 << 20));
    CHECK(cache && gc_new_bytes((size_t)12 << 20));
    CHECK(!cache);
    CHECK_EQ(asked, 1);
    CHECK_REFUSED(gc_new_bytes((size_t)100 << 20), ENOMEM);
    CHECK_EQ(asked, 2);
    check_heap();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* What it drops goes with a collection that comes before it is called again. */
static bool only_drop(void *user, size_t size)
{
    bool there = gc_load(&cache);
    (void)user, (void)size;
    asked++;
    gc_store(&cache, NULL);
    return there;
}

static void out_of_memory_that_drops(unsigned flags)
{
    make_heap(&(gc_options){.flags = flags, .hard_limit = 16 << 20, .out_of_memory = only_drop});
    CHECK_EQ(gc_root(&cache), 0);
    for (unsigned i = 1; i <= 5; i++) {
        gc_store(&cache, gc_new_bytes((size_t)10 << 20));
        CHECK(cache && gc_new_bytes((size_t)12 << 20));
        CHECK(!cache);
        CHECK_EQ(asked, i);
    }
    check_heap();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(out_of_memory_that_drops_objects)
{
    out_of_memory_that_drops(0);
}
TEST(out_of_memory_that_drops_objects_and_a_stopped_world)
{
    out_of_memory_that_drops(GC_STOP_WORLD);
}

/* ---- A walk ---- */

static bool jump_out_of_a_walk(void *arg, const struct gc_object *object)
{
    (void)arg, (void)object;
    longjmp(landing, 1);
}

/* The world stays held; the thread is told so by each call. */
static void leave_a_walk(void)
{
    make_heap(NULL);
    if (!setjmp(landing))
        gc_heap_each(jump_out_of_a_walk, NULL);
    CHECK_REFUSED(gc_new(&cell_type), EPERM);
    CHECK_EQ(gc_collect(), -EPERM);
    CHECK_EQ(gc_thread_detach(), -EPERM);
    CHECK_EQ(gc_heap_destroy(heap), -EPERM);
    _exit(DONE);
}

TEST(walk_left_by_longjmp)
{
    EXPECT_EXIT(DONE, leave_a_walk());
}

/* Fields may be read, and references followed: nothing changes meanwhile. */
static bool add_number(void *sum, const struct gc_object *object)
{
    const struct cell *c = object->address;
    CHECK(object->has_pointers && (!c->next || !c->next->next));
    *(long *)sum += c->number;
    return true;
}

static atomic_bool stop;
static atomic_ulong steps;
static void *change_numbers(void *unused)
{
    (void)unused;
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!stop) {
        kept->number++;
        kept->next->number--;
        steps++;
        gc_safepoint();
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

TEST(walk_that_reads_fields_while_another_thread_is_held)
{
    pthread_t thread;
    make_heap(NULL);
    gc_store(&kept->next, gc_new(&cell_type));
    CHECK_EQ(pthread_create(&thread, NULL, change_numbers, NULL), 0);
    while (steps == 0)
        gc_safepoint();
    for (int i = 0; i < 20; i++) {
        long sum = 0;
        CHECK_EQ(gc_heap_each(add_number, &sum), 0);
        CHECK_EQ(sum, 4711); /* the other thread is held between two steps */
    }
    stop = true;
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(kept->number + kept->next->number, 4711);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- The end of the process ---- */

/* A handler of atexit() that uses the heap where it may, and is told where it may not. */
static void destroy_at_exit(void)
{
    _exit(gc_heap_destroy(heap) == 0 && !gc_heap_current() ? DONE : 1);
}
static void be_refused_at_exit(void)
{
    _exit(gc_heap_destroy(heap) == -EPERM && !gc_new(&cell_type) && errno == EPERM ? DONE : 1);
}
static void be_busy_at_exit(void)
{
    bool works = !gc_heap_current() || (gc_new(&cell_type) && kept->number == 4711);
    _exit(works && gc_heap_destroy(heap) == -EBUSY ? DONE : 1);
}

static bool exit_out_of_memory(void *user, size_t size)
{
    (void)user, (void)size;
    exit(1);
}
static void exit_visit(void *arg, gc_tracer *tracer)
{
    (void)arg, (void)tracer;
    exit(1);
}
static bool exit_each(void *arg, const struct gc_object *object)
{
    (void)arg, (void)object;
    exit(1);
}
static void exit_cleanup(void *arg)
{
    (void)arg;
    exit(1);
}

static void run_out_of_memory(void (*handler)(void))
{
    make_heap(&(gc_options){.hard_limit = 16 << 20, .out_of_memory = exit_out_of_memory});
    atexit(handler);
    gc_new_bytes((size_t)100 << 20);
}
static void run_callback(enum gc_root_scope scope, void (*handler)(void))
{
    make_heap(NULL);
    atexit(handler);
    gc_root_callback(scope, exit_visit, NULL);
    gc_collect_start();
    for (;;)
        gc_safepoint();
}
static void run_walk(void (*handler)(void))
{
    make_heap(NULL);
    atexit(handler);
    gc_heap_each(exit_each, NULL);
}
static void run_cleanup(unsigned flags, void (*handler)(void))
{
    make_heap(&(gc_options){.flags = flags});
    atexit(handler);
    CHECK(gc_cleanup_add(gc_new(&cell_type), exit_cleanup, NULL) > 0);
    for (;;) {
        gc_collect();
        gc_finalizers_run(flags ? 1 : 0);
    }
}

TEST(exit_in_a_function_that_the_library_calls)
{
    EXPECT_EXIT(DONE, run_out_of_memory(destroy_at_exit));
    EXPECT_EXIT(DONE, run_callback(GC_ROOT_THREAD, be_refused_at_exit));
    EXPECT_EXIT(DONE, run_callback(GC_ROOT_HEAP, be_refused_at_exit));
    EXPECT_EXIT(DONE, run_walk(be_refused_at_exit));
    EXPECT_EXIT(DONE, run_cleanup(0, be_busy_at_exit));
    EXPECT_EXIT(DONE, run_cleanup(GC_FINALIZER_THREAD, be_busy_at_exit));
}

static void *make_garbage(void *unused)
{
    (void)unused;
    CHECK_EQ(gc_thread_attach(heap), 0);
    for (;; steps++)
        CHECK(gc_new_array(&gc_pointer_type, 1 + steps % 100));
    return NULL;
}

/* main() returns, or somebody calls exit(), quick_exit() or _exit(), in the middle of all that. */
static void end_amid_work(void (*handler)(void), void (*end)(int))
{
    pthread_t thread;
    make_heap(NULL);
    atexit(handler);
    at_quick_exit(handler);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&thread, NULL, make_garbage, NULL), 0);
    gc_blocking_begin();
    while (steps < 100000)
        sched_yield();
    gc_blocking_end();
    end(DONE);
}

TEST(exit_while_other_threads_run)
{
    for (int i = 0; i < 5; i++) {
        EXPECT_EXIT(DONE, end_amid_work(be_busy_at_exit, exit));
        EXPECT_EXIT(DONE, end_amid_work(be_busy_at_exit, quick_exit));
        EXPECT_EXIT(DONE, end_amid_work(be_busy_at_exit, _exit));
    }
}

TAP_MAIN
