/* C stacks that are scanned: where a thread's code stands, on which stack, and what it left in
 * registers. */
#define GC_SELF_CALL /* coroutines change threads */
#include "mutator/attach.h"
#include "mutator/log.h"
#include "build.h"
#include "crew.h"
#include "log.h"
#include "moment.h"
#include "registers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

static gc_heap *heap;

static void make_heap(unsigned flags, const char *debug)
{
    gc_options o = {.flags = flags, .debug = debug, .max_procs = 4, .log = keep_line};
    CHECK((heap = gc_heap_create(&o)));
}

/* Makes what stood on the stack below disappear. */
static __attribute__((noinline)) void wipe(void)
{
    volatile char bytes[2048];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 0;
}

static void *collect_once(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void collect_elsewhere(void *unused)
{
    (void)unused;
    wipe();
    run_thread(collect_once, NULL);
}

/* ---- Memory for stacks ---- */

enum { SMALL = SLOW ? 128 << 10 : 16 << 10, MEDIUM = 128 << 10, LARGE = 1 << 20 };

static char *map_stack(size_t size)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* ---- Coroutines ---- */

/* The contexts are no memory that is scanned. */
struct coroutine {
    gc_fiber *fiber, *before; /* before: the one that resumed it */
    ucontext_t *context, *resumer;
    void (*body)(struct coroutine *c);
    char *stack;
    size_t size;
    uint64_t id, found; /* found: sum of the ids that it still has */
    bool over;
    void *sanitizer, *resumer_sanitizer;
};

#if THREAD_SANITIZER
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#else
#define __tsan_get_current_fiber() NULL
#define __tsan_create_fiber(flags) NULL
#define __tsan_destroy_fiber(fiber) (void)(fiber)
#define __tsan_switch_to_fiber(fiber, flags) (void)(fiber)
#endif

static void swap_to(struct coroutine *c)
{
    c->resumer_sanitizer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(c->sanitizer, 0);
    swapcontext(c->resumer, c->context);
}

static void swap_back(struct coroutine *c)
{
    __tsan_switch_to_fiber(c->resumer_sanitizer, 0);
    swapcontext(c->context, c->resumer);
}

static void resume(struct coroutine *c)
{
    c->before = gc_fiber_switch(c->fiber);
    CHECK_EQ(errno, 0);
    swap_to(c);
}

static void yield(struct coroutine *c)
{
    CHECK(gc_fiber_switch(c->before) == c->fiber);
    swap_back(c);
}

static void coroutine_main(unsigned high, unsigned low)
{
    struct coroutine *c = (struct coroutine *)(uintptr_t)((uint64_t)high << 32 | low);
    c->body(c);
    c->over = true;
    yield(c);
    CHECK(false && "resumed after its end");
}

static void start(struct coroutine *c, char *stack, size_t size, uint64_t id,
                  void (*body)(struct coroutine *c))
{
    *c = (struct coroutine){.body = body, .stack = stack, .size = size, .id = id};
    CHECK((c->context = calloc(2, sizeof *c->context)));
    c->resumer = c->context + 1;
    CHECK_EQ(getcontext(c->context), 0);
    c->context->uc_stack.ss_sp = stack;
    c->context->uc_stack.ss_size = size;
    makecontext(c->context, (void (*)(void))coroutine_main, 2,
                (unsigned)((uint64_t)(uintptr_t)c >> 32), (unsigned)(uintptr_t)c);
    c->sanitizer = __tsan_create_fiber(0);
    CHECK((c->fiber = gc_fiber_create()));
    CHECK_EQ(gc_fiber_stack(c->fiber, stack, stack + size), 0);
}

static void finish(struct coroutine *c)
{
    CHECK_EQ(gc_fiber_destroy(c->fiber), 0);
    __tsan_destroy_fiber(c->sanitizer);
    free(c->context);
}

enum { HELD = 7 };

/* Holds objects in locals while it yields. */
static __attribute__((noinline)) void hold_some(struct coroutine *c)
{
    struct cell *a = new_cell(c->id), *b = new_cell(c->id + 1), *d = new_cell(c->id + 2);
    struct cell *more[HELD - 3];
    for (unsigned i = 0; i < HELD - 3; i++)
        more[i] = new_cell(c->id + 3 + i);
    for (int turn = 0; turn < 3; turn++) {
        yield(c);
        wipe();
        new_cell(0);
        CHECK(is_cell(a, c->id) && is_cell(b, c->id + 1) && is_cell(d, c->id + 2));
        for (unsigned i = 0; i < HELD - 3; i++)
            CHECK(is_cell(more[i], c->id + 3 + i));
        CHECK_EQ(gc_collect(), 0);
        c->found += a->id;
    }
}

/* ---- Coroutines that belong to objects ---- */

static gc_weak *owner;

static __attribute__((noinline)) void hold_owner(struct coroutine *c)
{
    struct cell *self = gc_weak_get(owner), *other = new_cell(7);
    for (;;) {
        yield(c);
        wipe();
        CHECK(is_cell(self, 1) && is_cell(other, 7));
    }
}

static gc_handle *start_for_owner(struct coroutine *c, char *stack)
{
    struct cell *object = new_cell(1);
    GC_FRAME(object);
    start(c, stack, SMALL, 0, hold_owner);
    CHECK_EQ(gc_fiber_destroy(c->fiber), 0);
    CHECK((c->fiber = gc_fiber_create_for(object)));
    CHECK_EQ(gc_fiber_stack(c->fiber, stack, stack + SMALL), 0);
    CHECK((owner = gc_weak_new(object)));
    return gc_handle_new(object);
}

/* A coroutine whose own stack refers to its object, and nothing else does, dies with its stack. */
TEST(a_coroutine_that_holds_itself)
{
    static struct coroutine c;
    char *stack = map_stack(SMALL);
    make_heap(GC_STACK_CONSERVATIVE, "poison=2");
    CHECK_EQ(gc_thread_scan_stack(false), 0);
    gc_handle *handle = start_for_owner(&c, stack);
    for (int turn = 0; turn < 4; turn++) {
        resume(&c);
        collect_elsewhere(NULL);
        CHECK(gc_weak_get(owner));
    }
    gc_handle_free(handle);
    collect_elsewhere(NULL);
    CHECK(!gc_weak_get(owner));
    CHECK(!gc_fiber_switch(c.fiber) && errno == EINVAL);
    CHECK_EQ(munmap(stack, SMALL), 0);
    CHECK_EQ(gc_collect(), 0);
    finish(&c);
    gc_weak_free(owner);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

enum { CROWD_OF = 12 };

/* Coroutines in turns, each with a stack of so much, while cycles go by at every allocation; what
 * the resumer holds stays as well. */
static void turns(char *stacks, size_t size)
{
    static struct coroutine all[CROWD_OF];
    struct cell *mine = new_cell(12345);
    for (size_t i = 0; i < CROWD_OF; i++)
        start(&all[i], stacks + i * size, size, i * 100, hold_some);
    for (int turn = 0; turn < 4; turn++) {
        for (size_t i = 0; i < CROWD_OF; i++) {
            resume(&all[i]);
            CHECK(!gc_fiber_current());
            CHECK(is_cell(mine, 12345));
        }
        collect_elsewhere(NULL);
    }
    for (size_t i = 0; i < CROWD_OF; i++) {
        CHECK(all[i].over && all[i].found == 3 * i * 100);
        finish(&all[i]);
    }
}

static void turns_with(unsigned flags, size_t size)
{
    char *stacks = map_stack(CROWD_OF * size);
    make_heap(flags | GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    turns(stacks, size);
    CHECK(!has_logged(""));
    end_heap(heap);
}

/* Each word of the frame from which a fiber is left is the only reference to an object. */
static __attribute__((noinline)) void hold_many(struct coroutine *c)
{
    enum { MANY = 1000 };
    struct cell *volatile cells[MANY];
    for (unsigned i = 0; i < MANY; i++)
        cells[i] = new_cell(i);
    yield(c);
    for (unsigned i = 0; i < MANY; i++)
        CHECK(is_cell(cells[i], i));
}

TEST(all_of_a_suspended_frame)
{
    static struct coroutine c;
    char *stack = map_stack(MEDIUM);
    make_heap(GC_STACK_CONSERVATIVE, "poison=2");
    start(&c, stack, MEDIUM, 0, hold_many);
    resume(&c);
    collect_elsewhere(NULL);
    CHECK_EQ(gc_collect(), 0);
    resume(&c);
    CHECK(c.over);
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(coroutines_in_turns)
{
    turns_with(0, MEDIUM);
}
TEST(coroutines_on_small_stacks)
{
    turns_with(0, SMALL);
}
TEST(coroutines_stop_world)
{
    turns_with(GC_STOP_WORLD, MEDIUM);
}
TEST(coroutines_without_background)
{
    turns_with(GC_NO_BACKGROUND, MEDIUM);
}

/* The heap asks nobody to scan; the fibers' stacks are scanned all the same, suspended or not. */
static void *hold_frames(void *stacks)
{
    make_heap(0, "nth=1,poison=2");
    struct coroutine c;
    start(&c, stacks, MEDIUM, 1, hold_some);
    while (!c.over)
        resume(&c);
    CHECK_EQ(c.found, 3);
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    return NULL;
}

TEST(a_fibers_stack_in_a_precise_heap)
{
    hold_frames(map_stack(MEDIUM));
}

/* A thread whose stack lies below or above those of its coroutines. */
static void *run_beside(void *stacks)
{
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    turns(stacks, MEDIUM);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    return NULL;
}

static void run_on(char *own, char *stacks)
{
    pthread_t thread;
    pthread_attr_t attr;
    CHECK_EQ(pthread_attr_init(&attr), 0);
    CHECK_EQ(pthread_attr_setstack(&attr, own, LARGE), 0);
    CHECK_EQ(pthread_create(&thread, &attr, run_beside, stacks), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(coroutines_above_the_threads_stack)
{
    char *all = map_stack(LARGE + CROWD_OF * MEDIUM);
    run_on(all, all + LARGE);
}

TEST(coroutines_below_the_threads_stack)
{
    char *all = map_stack(CROWD_OF * MEDIUM + LARGE);
    run_on(all + CROWD_OF * MEDIUM, all);
}

/* With nothing in between that could be read. */
TEST(coroutines_with_holes_between)
{
    char *all = map_stack(2 * LARGE + CROWD_OF * MEDIUM);
    CHECK_EQ(mprotect(all + CROWD_OF * MEDIUM, LARGE, PROT_NONE), 0);
    run_on(all + CROWD_OF * MEDIUM + LARGE, all);
}

/* An array of the thread's. */
TEST(coroutines_within_the_threads_stack)
{
    char stacks[CROWD_OF * MEDIUM];
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    turns(stacks, MEDIUM);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- From one coroutine into the next ---- */

enum { DEPTH = 6 };
static struct coroutine nest[DEPTH];

static __attribute__((noinline)) void go_deeper(struct coroutine *c)
{
    struct cell *before = new_cell(c->id);
    struct coroutine *inner = c + 1;
    if (inner < nest + DEPTH) {
        start(inner, map_stack(MEDIUM), MEDIUM, c->id + 1, go_deeper);
        while (!inner->over) {
            resume(inner);
            CHECK(gc_fiber_current() == c->fiber);
            CHECK(is_cell(before, c->id));
            yield(c);
        }
        finish(inner);
    }
    collect_elsewhere(NULL);
    yield(c);
    CHECK_EQ(gc_collect(), 0);
    CHECK(is_cell(before, c->id));
}

TEST(coroutines_that_resume_others)
{
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    start(nest, map_stack(MEDIUM), MEDIUM, 1, go_deeper);
    struct cell *mine = new_cell(99);
    while (!nest->over) {
        resume(nest);
        CHECK(is_cell(mine, 99));
    }
    finish(nest);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- From thread to thread ---- */

enum { THREADS = 4, SHARED = 16, TURNS = SLOW ? 40 : 200 };

static struct {
    pthread_mutex_t lock;
    struct coroutine *free[SHARED];
    unsigned n;
    atomic_uint turns;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct coroutine *take_shared(void)
{
    pthread_mutex_lock(&shared.lock);
    struct coroutine *c = shared.n ? shared.free[--shared.n] : NULL;
    pthread_mutex_unlock(&shared.lock);
    return c;
}

/* The last one taken comes last: threads take turns with it. */
static void give_shared(struct coroutine *c)
{
    pthread_mutex_lock(&shared.lock);
    memmove(shared.free + 1, shared.free, shared.n++ * sizeof shared.free[0]);
    shared.free[0] = c;
    pthread_mutex_unlock(&shared.lock);
}

static __attribute__((noinline)) void wander(struct coroutine *c)
{
    struct cell *list = NULL;
    for (uint64_t n = 1;; n++) {
        struct cell *cell = new_cell(c->id + n);
        cell->next = list;
        list = cell;
        yield(c);
        uint64_t left = n;
        for (struct cell *at = list; at; at = at->next)
            CHECK(is_cell(at, c->id + left--));
        CHECK_EQ(left, 0);
        if (n == 20) {
            list = NULL;
            n = 0;
        }
    }
}

static void *run_shared(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    struct cell *mine = new_cell(5);
    while (shared.turns++ < TURNS * SHARED) {
        struct coroutine *c = take_shared();
        if (!c) {
            os_yield();
            continue;
        }
        resume(c);
        give_shared(c);
        CHECK(is_cell(mine, 5));
        if (shared.turns % 50 == 0)
            gc_collect();
        gc_safepoint();
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(coroutines_that_wander)
{
    static struct coroutine all[SHARED];
    pthread_t threads[THREADS];
    make_heap(GC_STACK_CONSERVATIVE, "poison=2,delay=7");
    for (unsigned i = 0; i < SHARED; i++) {
        start(&all[i], map_stack(MEDIUM), MEDIUM, i * 1000, wander);
        give_shared(&all[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = start_thread(run_shared, NULL);
    join_threads(threads, THREADS);
    CHECK_EQ(gc_heap_verify(), 0);
    for (unsigned i = 0; i < SHARED; i++)
        finish(&all[i]);
    CHECK(!has_logged(""));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A thread that ends in a coroutine: another one goes on with it. */
static __attribute__((noinline)) void outlive(struct coroutine *c)
{
    struct cell *cell = new_cell(c->id);
    GC_FRAME(cell);
    yield(c);
    if (c->found == 0) {
        c->found = 1;
        yield(c);
    }
    CHECK(is_cell(cell, c->id));
}

static void *leave_running(void *arg)
{
    struct coroutine *c = arg;
    CHECK_EQ(gc_thread_attach(heap), 0);
    resume(c);
    gc_fiber_switch(c->fiber);
    return NULL; /* with the fiber on */
}

TEST(a_thread_that_ends_with_a_fiber_on)
{
    struct coroutine c;
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    start(&c, map_stack(MEDIUM), MEDIUM, 3, outlive);
    run_thread(leave_running, &c);
    collect_elsewhere(NULL);
    while (!c.over)
        resume(&c);
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Between the two switches ---- */

static __attribute__((noinline)) void hold_until_resumed(struct coroutine *c)
{
    struct cell *cell = new_cell(c->id);
    yield(c);
    CHECK(is_cell(cell, c->id));
    /* In the thread's set, on the fiber's stack. */
    CHECK(gc_fiber_switch(c->before) == c->fiber);
    CHECK_EQ(gc_collect(), 0);
    collect_elsewhere(NULL);
    swap_back(c);
    CHECK(is_cell(cell, c->id));
}

TEST(a_collection_between_the_switches)
{
    struct coroutine c;
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    struct cell *mine = new_cell(7);
    start(&c, map_stack(MEDIUM), MEDIUM, 8, hold_until_resumed);
    while (!c.over) {
        /* In the fiber, on the thread's stack. */
        c.before = gc_fiber_switch(c.fiber);
        CHECK_EQ(gc_collect(), 0);
        collect_elsewhere(NULL);
        swap_to(&c);
        CHECK(is_cell(mine, 7));
    }
    CHECK(!has_logged(""));
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Stacks first, fibers after ---- */

/* What is saved outside of the stacks must lie where all is scanned: in the fiber's memory. */
static __attribute__((noinline)) void be_switched_late(struct coroutine *c)
{
    gc_fiber_switch(c->fiber);
    struct cell *cell = new_cell(c->id);
    for (int i = 0; i < 3; i++) {
        swap_back(c);
        gc_fiber_switch(c->fiber);
        CHECK_EQ(gc_collect(), 0);
        CHECK(is_cell(cell, c->id));
    }
}

TEST(stacks_switched_before_fibers)
{
    struct coroutine c;
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    char *stack = map_stack(MEDIUM);
    start(&c, stack, MEDIUM, 11, be_switched_late);
    ucontext_t *outside = c.context, *inside = (ucontext_t *)(void *)stack;
    memcpy(inside, outside, 2 * sizeof *inside);
    CHECK_EQ(getcontext(inside), 0);
    inside->uc_stack = outside->uc_stack;
    makecontext(inside, (void (*)(void))coroutine_main, 2,
                (unsigned)((uint64_t)(uintptr_t)&c >> 32), (unsigned)(uintptr_t)&c);
    c.context = inside;
    c.resumer = inside + 1;
    struct cell *mine = new_cell(12);
    while (!c.over) {
        swap_to(&c);
        gc_fiber_switch(NULL);
        CHECK_EQ(gc_collect(), 0);
        collect_elsewhere(NULL);
        CHECK(is_cell(mine, 12));
    }
    c.context = outside;
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- What nobody has told ---- */

/* It is said, and as far as the OS can tell nothing is lost. */
TEST(a_stack_that_is_not_told)
{
    struct coroutine c;
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    CHECK_EQ(gc_thread_name("stray"), 0);
    struct cell *mine = new_cell(13);
    start(&c, map_stack(MEDIUM), MEDIUM, 14, hold_some);
    CHECK_EQ(gc_fiber_stack(c.fiber, NULL, NULL), 0);
    while (!c.over) {
        c.before = gc_fiber_switch(c.fiber);
        swap_to(&c);
        CHECK_EQ(gc_fiber_stack(c.fiber, c.stack, c.stack + c.size), 0);
        collect_elsewhere(NULL);
        CHECK(is_cell(mine, 13));
        CHECK_EQ(gc_fiber_stack(c.fiber, NULL, NULL), 0);
    }
    CHECK(has_logged("stray") && has_logged("gc_fiber_stack"));
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Without a fiber either: the coroutine's frames and the thread's are one chain. */
static __attribute__((noinline)) void be_no_fiber(struct coroutine *c)
{
    struct cell *cell = new_cell(c->id);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gc_collect(), 0);
        collect_elsewhere(NULL);
        CHECK(is_cell(cell, c->id));
    }
    swap_back(c);
}

TEST(a_coroutine_without_a_fiber)
{
    struct coroutine c;
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison=2");
    struct cell *mine = new_cell(15);
    start(&c, map_stack(MEDIUM), MEDIUM, 16, be_no_fiber);
    swap_to(&c);
    CHECK(is_cell(mine, 15) && has_logged("gc_fiber_stack"));
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Behind it lies the mapping of a file, longer than the file. */
TEST(a_stack_that_is_not_told_before_a_file)
{
    struct coroutine c;
    FILE *file = tmpfile();
    char *stack = map_stack(2 * (size_t)MEDIUM);
    CHECK(file && mmap(stack + MEDIUM, MEDIUM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                       fileno(file), 0) == stack + MEDIUM);
    make_heap(GC_STACK_CONSERVATIVE, "nth=1,poison");
    start(&c, stack, MEDIUM, 16, be_no_fiber);
    swap_to(&c);
    CHECK(has_logged("gc_fiber_stack"));
    finish(&c);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(munmap(stack + MEDIUM, MEDIUM), 0);
    CHECK_EQ(fclose(file), 0);
}

/* The bounds of the first thread's stack are in a file of the system's. */
TEST(bounds_that_cannot_be_found)
{
    struct rlimit files;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    struct rlimit few = {0, files.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    CHECK_REFUSED(gc_heap_create(&(gc_options){.flags = GC_STACK_CONSERVATIVE}), ENOTSUP);
    CHECK((heap = gc_heap_create(NULL)));
    CHECK_EQ(gc_thread_scan_stack(true), -ENOTSUP);
    CHECK_EQ(gc_thread_scan_stack(false), 0);
    CHECK(gc_new(&cell_type) && gc_collect() == 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    make_heap(GC_STACK_CONSERVATIVE, NULL);
    CHECK_EQ(gc_thread_scan_stack(true), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A local holds an object while the stack is scanned, and not after that. */
TEST(a_stack_that_is_not_scanned_again)
{
    make_heap(0, NULL);
    if (gc_thread_scan_stack(true) == -ENOTSUP)
        SKIP("the bounds of the stack are not known");
    struct cell *volatile local = new_cell(1);
    gc_weak *weak = gc_weak_new(local);
    CHECK_EQ(gc_collect(), 0);
    CHECK(gc_weak_get(weak) && is_cell(local, 1));
    CHECK_EQ(gc_thread_scan_stack(false), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK(!gc_weak_get(weak));
    gc_weak_free(weak);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- How much of a C stack calls take ---- */

#if !SLOW && !UNDEFINED_SANITIZER && !defined(__OPTIMIZE_SIZE__) && defined(__OPTIMIZE__) &&       \
    !(defined(GC_DEBUG) && GC_DEBUG)

enum { PAINTED = 256 << 10, PAINT = 0x5a };

static char *painted;
static uintptr_t stands; /* where the calls are made */

static size_t taken(void)
{
    size_t i = 0;
    while (i < PAINTED && painted[i] == PAINT)
        i++;
    return stands - (uintptr_t)(painted + i);
}

static __attribute__((noinline)) void make_many(size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++)
        CHECK(size ? gc_new_bytes(size) : gc_new(&cell_type));
}

static __attribute__((noinline)) void call_all(void)
{
    struct gc_census rows[2];
    struct cell *cell = new_cell(1);
    GC_FRAME(cell);
    make_many(300000, 0);
    make_many(300, 100000);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK(gc_heap_census(rows, 2) > 0);
    CHECK_EQ(gc_release_memory(), 0);
    gc_weakmap *map = gc_weakmap_new();
    for (int i = 0; i < 3000; i++)
        CHECK_EQ(gc_weakmap_set(map, new_cell(1), cell), 0);
    gc_weakmap_free(map);
    gc_fiber *fiber = gc_fiber_create();
    gc_fiber_switch(fiber);
    gc_fiber_switch(NULL);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    log_write(heap, GC_LOG_INFO, "%d %s", 1, "line");
}

static void *attach_and_call_all(void *flags)
{
    stands = (uintptr_t)__builtin_frame_address(0);
    CHECK_EQ(gc_thread_attach(heap), 0);
    if (flags)
        CHECK_EQ(gc_thread_scan_stack(true), 0);
    call_all();
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

static void run_painted(unsigned flags)
{
    pthread_t thread;
    pthread_attr_t attr;
    CHECK((heap = gc_heap_create(&(gc_options){.flags = flags, .min_heap = 1 << 20})));
    painted = map_stack(PAINTED);
    memset(painted, PAINT, PAINTED);
    CHECK_EQ(pthread_attr_init(&attr), 0);
    CHECK_EQ(pthread_attr_setstack(&attr, painted, PAINTED), 0);
    CHECK_EQ(pthread_create(&thread, &attr, attach_and_call_all, flags ? painted : NULL), 0);
    join_thread(thread);
    ok(taken() <= ATTACH_STACK_NEEDED, "calls take %zu bytes of the C stack", taken());
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(what_calls_take_of_a_stack)
{
    setenv("GCHEAP_TRACE", "1", 1);
    run_painted(0);
    run_painted(GC_NO_BACKGROUND);
    run_painted(GC_STOP_WORLD);
    run_painted(GC_STACK_CONSERVATIVE);
}

static void *attach_with_little(void *unused)
{
    char bytes[8192];
    memset(bytes, 1, sizeof bytes);
    CHECK_EQ(gc_thread_attach(heap), -EINVAL);
    CHECK(has_logged("C stack") && !gc_heap_current());
    gc_keep_alive(bytes);
    return unused;
}

/* The smallest stack that a thread can have, of which the C library takes a part, is refused or
 * enough; a little more is enough. */
static void *attach_if_let(void *arg)
{
    int error = gc_thread_attach(heap);
    if (error == 0)
        CHECK_EQ(gc_thread_detach(), 0);
    else
        CHECK(error == -EINVAL && has_logged("C stack"));
    return error ? NULL : attach_and_call_all(arg);
}

static void run_with(size_t size, void *(*run)(void *))
{
    pthread_t thread;
    pthread_attr_t attr;
    CHECK_EQ(pthread_attr_init(&attr), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attr, size), 0);
    CHECK_EQ(pthread_create(&thread, &attr, run, NULL), 0);
    join_thread(thread);
}

static bool may_have(size_t size)
{
    pthread_attr_t attr;
    CHECK_EQ(pthread_attr_init(&attr), 0);
    return pthread_attr_setstacksize(&attr, size) == 0;
}

TEST(the_smallest_threads)
{
    if (!may_have(16 << 10))
        SKIP("the C library gives each thread a larger stack");
    make_heap(0, NULL);
    run_with(16 << 10, attach_if_let);
    run_with(24 << 10, attach_with_little);
    run_with(32 << 10, attach_and_call_all);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

#endif

/* ---- Registers ---- */

#ifdef REGISTERS

static uintptr_t hidden[REGISTERS];
static gc_weak *watched[REGISTERS];

static __attribute__((noinline)) void make_hidden(void)
{
    for (int i = 0; i < REGISTERS; i++) {
        struct cell *cell = new_cell((uint64_t)i);
        CHECK((watched[i] = gc_weak_new(cell)));
        hidden[i] = ~(uintptr_t)cell;
    }
}

static void check_steps(const char *what, struct stack_step first, struct stack_step second,
                        struct stack_step third)
{
    struct stack_step steps[] = {first, second, third};
    make_hidden();
    wipe();
    hold_in_registers(hidden, steps);
    for (int i = 0; i < REGISTERS; i++) {
        CHECK(gc_weak_get(watched[i]) || (diag("%s: register %d", what, i), false));
        gc_weak_free(watched[i]);
    }
}

static void idle(void *unused)
{
    (void)unused;
    wipe();
}
static void answer_to_roots(void *unused)
{
    (void)unused;
    begin_cycle();
    answer_until(STEP_ROOTS);
    wipe();
}
static void end_the_cycle(void *unused)
{
    (void)unused;
    end_cycle();
}
/* Saves its caller's registers, and has given them back before the collector comes. */
static __attribute__((noinline)) void begin_blocking_in_a_helper(void *unused)
{
    (void)unused;
    gc_blocking_begin();
    USES_ALL_REGISTERS();
}
static __attribute__((noinline)) void switch_fiber_in_a_helper(void *fiber)
{
    gc_fiber_switch(fiber);
    USES_ALL_REGISTERS();
}
static void destroy_the_new_one(void *unused)
{
    (void)unused;
    CHECK_EQ(gc_heap_destroy(gc_heap_current()), 0);
    CHECK_EQ(gc_thread_switch(heap), 0);
}
static void swap_there_and_back(void *c)
{
    swap_to(c);
}

static __attribute__((noinline)) void collect_inside(struct coroutine *c)
{
    for (;;) {
        wipe();
        CHECK_EQ(gc_collect(), 0);
        collect_elsewhere(NULL);
        yield(c);
    }
}

/* Calls of one pointer, or of none, whose results are not looked at. */
#define STEP(function, arg)                                                                        \
    (struct stack_step)                                                                            \
    {                                                                                              \
        (void (*)(void *))(void (*)(void))(function), (arg)                                        \
    }
#define IDLE STEP(idle, NULL)

TEST(callee_saved_registers)
{
    struct coroutine c;
    make_heap(GC_STACK_CONSERVATIVE, NULL);
    gc_heap *other = heap;
    make_heap(GC_STACK_CONSERVATIVE, NULL);
    for (int round = 0; round < 3; round++) {
        check_steps("collect", STEP(gc_collect, NULL), IDLE, IDLE);
        check_steps("verify", STEP(gc_heap_verify, NULL), IDLE, IDLE);
        check_steps("safepoint", STEP(answer_to_roots, NULL), STEP(gc_safepoint_slow, NULL),
                    STEP(end_the_cycle, NULL));
        check_steps("blocking", STEP(gc_blocking_begin, NULL), STEP(collect_elsewhere, NULL),
                    STEP(gc_blocking_end, NULL));
        check_steps("helper", STEP(begin_blocking_in_a_helper, NULL), STEP(collect_elsewhere, NULL),
                    STEP(gc_blocking_end, NULL));
        check_steps("no heap", STEP(gc_thread_switch, NULL), STEP(collect_elsewhere, NULL),
                    STEP(gc_thread_switch, heap));
        check_steps("another heap", STEP(gc_thread_switch, other), STEP(collect_elsewhere, NULL),
                    STEP(gc_thread_switch, heap));
        start(&c, map_stack(MEDIUM), MEDIUM, 0, collect_inside);
        check_steps("first switch", STEP(gc_fiber_switch, c.fiber), STEP(swap_there_and_back, &c),
                    IDLE);
        check_steps("second switch", STEP(gc_fiber_switch, c.fiber), STEP(swap_there_and_back, &c),
                    STEP(collect_elsewhere, NULL));
        check_steps("helper's switch", STEP(switch_fiber_in_a_helper, c.fiber),
                    STEP(swap_there_and_back, &c), IDLE);
        finish(&c);
        check_steps("a new heap", STEP(gc_heap_create, NULL), STEP(collect_elsewhere, NULL),
                    STEP(destroy_the_new_one, NULL));
    }
    CHECK_EQ(gc_thread_switch(other), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_heap_destroy(other), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

#endif

TAP_MAIN
