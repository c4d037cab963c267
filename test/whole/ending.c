/* Threads that end, in whatever way, while they are attached. */
#include "base/atomics.h"
#include "build.h"
#include "crew.h"
#include "heaps.h"
#include "log.h"
#include "moment.h"

#include <limits.h>

static gc_heap *heap;

/* A debug build tells of each thread that ends attached. */
static void keep(void *user, enum gc_log_level level, const char *line)
{
    if (!strstr(line, "without gc_thread_detach()"))
        keep_line(user, level, line);
}

/* There is a P for the tested thread and one for this one, however few processors there are. */
static void make_heap(unsigned flags)
{
    CHECK((heap = gc_heap_create(&(gc_options){.flags = flags, .log = keep, .max_procs = 2})));
}

/* Nobody is left whom a cycle waits for. */
static void check_only_this_thread(void)
{
    CHECK_EQ(stats_now().threads, 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_verify(), 0);
}

/* ---- Destructors of thread keys ---- */

/* What a thread and the destructor of a key of its own do. */
static struct {
    pthread_key_t key;
    int rounds;    /* in which the destructor runs */
    bool attached; /* when it begins to end */
    bool stay;     /* the destructor leaves the thread attached */
    int last;      /* what gc_thread_attach said in the last round */
    int ran;
} ending;

static void use_heap(void *arg)
{
    if (gc_heap_current() != heap)
        ending.last = gc_thread_attach(heap);
    CHECK(!gc_new_bytes(64) == (ending.last != 0));
    if (ending.last == 0 && !ending.stay)
        CHECK_EQ(gc_thread_detach(), 0);
    if (++ending.ran < ending.rounds)
        CHECK_EQ(pthread_setspecific(ending.key, arg), 0);
}

static void *end_with_key(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(pthread_setspecific(ending.key, arg), 0);
    if (!ending.attached)
        CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

static void run_with_key(int rounds, bool attached, bool stay)
{
    ending.rounds = rounds;
    ending.attached = attached;
    ending.stay = stay;
    ending.ran = ending.last = 0;
    run_thread(end_with_key, &ending);
    CHECK_EQ(ending.ran, rounds);
    check_only_this_thread();
}

/* A sanitizer forgets the thread before the last round. */
#define ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - THREAD_SANITIZER)

static void run_all_with_key(int served)
{
    for (int rounds = 1; rounds <= ROUNDS; rounds++) {
        for (int how = 0; how < 4; how++) {
            run_with_key(rounds, how & 1, how & 2);
            CHECK_EQ(ending.last, rounds <= served ? 0 : -EPERM);
            CHECK_EQ(has_logged("last rounds"), ending.last != 0);
            forget_log();
        }
    }
}

/* The library's destructor runs after this one in each round. */
TEST(a_key_made_before_the_heap)
{
    CHECK_EQ(pthread_key_create(&ending.key, use_heap), 0);
    make_heap(0);
    run_all_with_key(PTHREAD_DESTRUCTOR_ITERATIONS - 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* And here before it: in the last rounds nobody would come after. */
TEST(a_key_made_after_the_heap)
{
    make_heap(0);
    CHECK_EQ(pthread_key_create(&ending.key, use_heap), 0);
    run_all_with_key(PTHREAD_DESTRUCTOR_ITERATIONS - 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Threads that nobody detaches ---- */

/* What a thread does that attaches for the first time when it is too late: in the last round of the
 * destructors. `stack` is gone when the thread is. */
static struct {
    pthread_key_t key;
    pthread_t thread;
    int round;
    void (*act)(void);
    void *stack;
} late;
enum { LATE_STACK = 1 << 18 };

static void attach_late(void *arg)
{
    if (++late.round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        CHECK_EQ(pthread_setspecific(late.key, arg), 0);
        return;
    }
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_name("late"), 0);
    late.act();
}

static void *end_late(void *arg)
{
    CHECK_EQ(pthread_setspecific(late.key, arg), 0);
    return NULL;
}

static void start_late(void (*act)(void))
{
    if (THREAD_SANITIZER)
        SKIP("the sanitizer forgets the thread before the last round");
    pthread_attr_t attr;
    late.round = 0;
    late.act = act;
    late.stack = os_map(LATE_STACK);
    CHECK(late.stack);
    CHECK_EQ(pthread_attr_init(&attr), 0);
    CHECK_EQ(pthread_attr_setstack(&attr, late.stack, LATE_STACK), 0);
    CHECK_EQ(pthread_key_create(&late.key, attach_late), 0);
    CHECK_EQ(pthread_create(&late.thread, &attr, end_late, &late), 0);
    CHECK_EQ(pthread_attr_destroy(&attr), 0);
}

/* The heap has the thread when this returns. */
static void join_late(void)
{
    CHECK_EQ(pthread_join(late.thread, NULL), 0);
    CHECK_EQ(late.round, PTHREAD_DESTRUCTOR_ITERATIONS);
    os_unmap(late.stack, LATE_STACK);
    CHECK_EQ(pthread_key_delete(late.key), 0);
}

/* This thread has no P while that one ends. */
static void run_late(void (*act)(void))
{
    start_late(act);
    CHECK_EQ(gc_blocking_begin(), 0);
    join_late();
}

static void check_told(void)
{
    check_only_this_thread();
    CHECK(has_logged("late has ended while it was attached"));
    CHECK_EQ(gc_heap_destroy(heap), 0);
    forget_log();
}

static void allocate_late(void)
{
    for (int i = 0; i < 100; i++)
        CHECK(gc_new_bytes(64));
}

static void switch_away(void)
{
    allocate_late();
    CHECK_EQ(gc_thread_switch(NULL), 0);
}

static const unsigned ways[] = {0, GC_STOP_WORLD, GC_NO_BACKGROUND, GC_STACK_CONSERVATIVE,
                                GC_STACK_CONSERVATIVE | GC_STOP_WORLD};

static void ends_late(void (*act)(void))
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        make_heap(ways[i]);
        run_late(act);
        CHECK_EQ(gc_blocking_end(), 0);
        CHECK_EQ(stats_now().threads, 2);
        CHECK_EQ(gc_collect(), 0);
        check_told();
    }
}

TEST(a_thread_that_runs_when_it_has_ended)
{
    ends_late(allocate_late);
}

TEST(a_thread_that_is_blocked_when_it_has_ended)
{
    ends_late(switch_away);
}

static _Atomic(gc_thread *) late_thread;
static atomic_bool late_ends;

static void block_until_told(void)
{
    gc_thread *t = thread_self();
    CHECK_EQ(gc_thread_switch(NULL), 0);
    late_thread = t;
    WAIT_UNTIL(late_ends);
}

/* The collector has claimed the thread, and waits for this one, which does not answer. */
TEST(a_thread_that_ends_while_the_world_is_being_held)
{
    unsigned flags = GC_STOP_WORLD | GC_STACK_CONSERVATIVE;
    CHECK((heap = gc_heap_create(&(gc_options){.flags = flags, .log = keep, .max_procs = 3})));
    start_late(block_until_told);
    WAIT_UNTIL(late_thread);
    begin_cycle();
    WAIT_UNTIL(state_of(u32_load_acquire(&late_thread->st)) == THREAD_CLAIMED);
    late_ends = true;
    join_late();
    CHECK(!has_logged("late has ended"));
    gc_safepoint();
    end_cycle();
    check_told();
}

/* Nobody asks for a collection. */
TEST(cycles_that_allocation_drives_get_by_a_thread_that_has_ended)
{
    make_heap(GC_NO_BACKGROUND);
    run_late(allocate_late);
    CHECK_EQ(gc_blocking_end(), 0);
    while (stats_now().cycles < 3)
        CHECK(gc_new_bytes(10000));
    check_told();
}

TEST(the_p_of_a_thread_that_has_ended)
{
    CHECK((heap = gc_heap_create(&(gc_options){.log = keep, .max_procs = 1})));
    run_late(allocate_late);
    CHECK_EQ(gc_blocking_end(), 0);
    check_told();
}

TEST(a_heap_that_is_destroyed_after_its_thread_has_ended)
{
    make_heap(0);
    run_late(allocate_late);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK(has_logged("late has ended while it was attached"));
}

static struct {
    gc_fiber *fiber;
    void *own, *of_fiber, *top;
    gc_weak *weak[2];
} left;

/* Its own roots go with it; those of a fiber stay. */
static void end_in_a_fiber(void)
{
    CHECK((left.own = gc_new_bytes(100)) && (left.weak[0] = gc_weak_new(left.own)));
    CHECK_EQ(gc_thread_local_range(&left.own, sizeof left.own), 0);
    CHECK((left.fiber = gc_fiber_create()) && !gc_fiber_switch(left.fiber));
    CHECK((left.of_fiber = gc_new_bytes(100)) && (left.weak[1] = gc_weak_new(left.of_fiber)));
    left.top = &left.top;
    CHECK_EQ(gc_thread_range(&left.of_fiber, &left.top), 0);
}

static void *attach_and_collect(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(a_thread_that_has_ended_in_a_fiber)
{
    make_heap(0);
    run_late(end_in_a_fiber);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK(!gc_weak_get(left.weak[0]));
    CHECK(gc_weak_get(left.weak[1]) == left.of_fiber);
    CHECK_EQ(gc_fiber_destroy(left.fiber), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK(!gc_weak_get(left.weak[1]));
    /* Nor does the next thread get its roots. */
    CHECK((left.own = gc_new_bytes(100)) && (left.weak[0] = gc_weak_new(left.own)));
    run_thread(attach_and_collect, NULL);
    CHECK(!gc_weak_get(left.weak[0]));
    check_told();
}

/* ---- Cancellation ---- */

/* The sanitizer for addresses takes the stack that a cancelled thread has left for one in use; that
 * for threads takes the thread to be still in the C library's call, where it looks at nothing. */
static void skip_if_unknown(void)
{
    if (ADDRESS_SANITIZER)
        SKIP("the sanitizer does not know of cancellation");
}

/* The calling thread is cancelled, and this is where it would end. */
static void cancel_here(void)
{
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    pthread_testcancel();
}

static void run_cancelled(void *(*run)(void *), void *arg)
{
    void *end;
    pthread_t thread = start_thread(run, arg);
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(pthread_join(thread, &end), 0);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK(end == PTHREAD_CANCELED);
    check_only_this_thread();
}

/* Functions that the library calls in the middle of something. */
static _Thread_local bool to_be_cancelled;
static void cancel_once(void)
{
    if (to_be_cancelled) {
        to_be_cancelled = false;
        cancel_here();
    }
}
static void cancel_in_log(void *user, enum gc_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
    cancel_once();
}
static void cancel_in_root(void *arg, gc_tracer *tracer)
{
    (void)arg, (void)tracer;
    cancel_once();
}
static void cancel_in_trace(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
    cancel_once();
}
static bool cancel_in_walk(void *arg, const struct gc_object *object)
{
    (void)arg, (void)object;
    cancel_once();
    return true;
}
static void cancel_in_notify(void *arg)
{
    (void)arg;
    cancel_once();
}
static void do_nothing(void *arg)
{
    (void)arg;
}

static gc_type *traced;
static atomic_int returned;

static void *collect_cancelled(void *root_scope)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    void *object = gc_new(traced);
    GC_FRAME(object);
    if (root_scope)
        CHECK_EQ(gc_root_callback(*(enum gc_root_scope *)root_scope, cancel_in_root, NULL), 0);
    to_be_cancelled = true;
    gc_collect();
    FAIL("gc_collect is no cancellation point");
    return NULL;
}

static void *walk_cancelled(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    {
        void *object = gc_new_bytes(64);
        GC_FRAME(object);
        to_be_cancelled = true;
        CHECK_EQ(gc_heap_each(cancel_in_walk, NULL), 0);
        CHECK(!to_be_cancelled);
    }
    returned++;
    pthread_testcancel();
    return unused;
}

static void *safepoint_cancelled(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, cancel_in_root, NULL), 0);
    to_be_cancelled = true;
    POLL_UNTIL(!to_be_cancelled);
    returned++;
    pthread_testcancel();
    return unused;
}

static void *sweep_cancelled(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK(gc_cleanup_add(gc_new_bytes(64), do_nothing, NULL) > 0);
    CHECK_EQ(gc_finalizers_notify(cancel_in_notify, NULL), 0);
    to_be_cancelled = true;
    CHECK_EQ(gc_release_memory(), 0);
    CHECK(!to_be_cancelled);
    returned++;
    pthread_testcancel();
    return unused;
}

static void cancelled_in_a_callback(unsigned flags)
{
    enum gc_root_scope scopes[] = {GC_ROOT_THREAD, GC_ROOT_HEAP};
    CHECK_EQ(setenv("GCHEAP_TRACE", "1", 1), 0);
    gc_options o = {.flags = flags, .log = cancel_in_log};
    CHECK((heap = gc_heap_create(&o)));
    run_cancelled(collect_cancelled, NULL);
    CHECK_EQ(gc_heap_destroy(heap), 0);

    CHECK_EQ(unsetenv("GCHEAP_TRACE"), 0);
    CHECK((heap = gc_heap_create(&o)));
    run_cancelled(collect_cancelled, &scopes[0]);
    run_cancelled(collect_cancelled, &scopes[1]);
    CHECK_EQ(gc_root_callback_remove(cancel_in_root, NULL), 0);
    run_cancelled(collect_cancelled, NULL);
    run_cancelled(walk_cancelled, NULL);
    run_cancelled(sweep_cancelled, NULL);
    CHECK_EQ(returned, 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void make_traced_type(void)
{
    traced = gc_type_create(&(struct gc_type_spec){.size = 32, .trace = cancel_in_trace});
    CHECK(traced);
}

static void cancelled_while_it_collects(unsigned flags)
{
    skip_if_unknown();
    make_traced_type();
    cancelled_in_a_callback(flags);
}
TEST_EACH_WAY(cancelled_while_it_collects)

/* By another thread's collection. */
TEST(cancelled_in_a_handshake)
{
    skip_if_unknown();
    make_heap(0);
    pthread_t thread = start_thread(safepoint_cancelled, NULL);
    for (unsigned turns = 0; !returned; let_run(&turns))
        CHECK_EQ(gc_collect(), 0);
    join_thread(thread);
    check_only_this_thread();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* In a blocking region it ends at once. */

static atomic_bool blocked;

static void wait_to_be_cancelled(void)
{
    blocked = true;
    for (;;) {
        if (THREAD_SANITIZER)
            pthread_testcancel();
        else
            pause();
    }
}

static void *wait_deferred(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK(gc_new_bytes(64));
    CHECK_EQ(gc_blocking_begin(), 0);
    wait_to_be_cancelled();
    return unused;
}

static void *wait_asynchronous(void *unused)
{
    int before;
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK(gc_new_bytes(64));
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before), 0);
    for (blocked = true;;)
        cpu_relax();
    return unused;
}

static void end_region(void *unused)
{
    (void)unused;
    CHECK_EQ(gc_blocking_end(), 0);
}

/* Its frames are roots until its handler has run. */
static void *wait_with_a_frame(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    void *object = gc_new_bytes(64);
    GC_FRAME(object);
    pthread_cleanup_push(end_region, NULL);
    CHECK_EQ(gc_blocking_begin(), 0);
    wait_to_be_cancelled();
    pthread_cleanup_pop(1);
    return unused;
}

TEST(cancelled_in_a_blocking_region)
{
    void *(*const waits[])(void *) = {wait_deferred, wait_asynchronous, wait_with_a_frame};
    skip_if_unknown();
    make_heap(0);
    for (size_t i = 0; i < 3 * ARRAY_LEN(waits); i++) {
        blocked = false;
        pthread_t thread = start_thread(waits[i % ARRAY_LEN(waits)], NULL);
        BLOCK_UNTIL(blocked);
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(stats_now().threads, 2);
        CHECK_EQ(pthread_cancel(thread), 0);
        join_thread(thread);
        check_only_this_thread();
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
