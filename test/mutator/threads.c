/* Threads: attaching, blocking, taking turns on few Ps, leaving, and heaps that go at any moment.
 */
#include "build.h"
#include "mutator/self.h"
#include "mutator/handshake.h"
#include "heaps.h"
#include "log.h"
#include "shapes.h"

static gc_heap *heap;
static pthread_barrier_t barrier;
static atomic_bool over;

static void make_heap(const gc_options *options)
{
    heap = gc_heap_create(options);
    CHECK(heap);
}

static void destroy_heap(void)
{
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static struct shape_pair *new_pair(uint64_t id)
{
    struct shape_pair *p = gc_new(&shape_pair_type);
    CHECK(p);
    p->id = (uintptr_t)id;
    p->check = shape_check_of(id);
    return p;
}

static void check_pair(const struct shape_pair *p, uint64_t id)
{
    CHECK_EQ(p->id, id);
    CHECK_EQ(p->check, shape_check_of(id));
}

/* A list of n pairs, made, checked and dropped. */
static void use_list(uint64_t n)
{
    struct shape_pair *list = NULL;
    GC_FRAME(list);
    for (uint64_t i = 0; i < n; i++) {
        struct shape_pair *p = new_pair(i);
        p->a = list;
        list = p;
    }
    for (uint64_t i = n; i-- > 0; list = gc_load(&list->a))
        check_pair(list, i);
    CHECK(!list);
}

/* ---- Many at once ---- */

static void *attach_use_detach(void *arg)
{
    wait_at(&barrier);
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK(gc_heap_current() == heap);
    use_list(500);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK(!gc_heap_current());
    return arg;
}

TEST(many_attach_at_once)
{
    enum { N = 64 };
    pthread_t threads[N];
    make_heap(NULL);
    pthread_barrier_init(&barrier, NULL, N);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            threads[i] = start_thread(attach_use_detach, NULL);
        join_threads(threads, N);
        CHECK_EQ(stats_now().threads, 1);
        CHECK_EQ(gc_heap_verify(), 0);
    }
    destroy_heap();
}

#define BLOCKED (SLOW ? 200 : 1000)

/* Threads that are in their blocking region. */
static atomic_uint blocked;

static void *block_with_object(void *arg)
{
    uint64_t id = (uint64_t)(uintptr_t)arg;
    CHECK_EQ(gc_thread_attach(heap), 0);
    {
        struct shape_pair *p = new_pair(id);
        GC_FRAME(p);
        p->a = new_pair(id + 100000);
        CHECK_EQ(gc_blocking_begin(), 0);
        blocked++;
        pthread_barrier_wait(&barrier);
        CHECK_EQ(gc_blocking_end(), 0);
        check_pair(p, id);
        check_pair(p->a, id + 100000);
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

TEST(blocked_threads_keep_no_cache)
{
    static pthread_t threads[BLOCKED];
    gc_options o = {.max_procs = 3};
    make_heap(&o);
    pthread_barrier_init(&barrier, NULL, BLOCKED + 1);
    for (uintptr_t i = 0; i < BLOCKED; i++)
        threads[i] = start_thread(block_with_object, (void *)i);
    POLL_UNTIL(blocked == BLOCKED);
    struct gc_statistics s = stats_now();
    diag("%llu threads, %llu blocked, %llu Ps", (unsigned long long)s.threads,
         (unsigned long long)s.threads_blocked, (unsigned long long)s.procs);
    CHECK_EQ(s.threads, BLOCKED + 1);
    CHECK_EQ(s.threads_blocked, BLOCKED);
    CHECK(s.procs <= 3);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(gc_collect(), 0);
    s = stats_now();
    CHECK_EQ(s.objects_marked, 2 * BLOCKED);
    wait_at(&barrier);
    join_threads(threads, BLOCKED);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(stats_now().heap_live, 0);
    destroy_heap();
}

/* ---- Turns ---- */

enum { TURNERS = 8, ENOUGH_TURNS = 4 };

/* One more thread has had its turns. */
static atomic_uint satisfied;

/* A turn begins as the thread is given a P: then its time slice begins anew. */
static void *take_turns(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    unsigned turns = 0;
    uint64_t slice = 0;
    for (unsigned step = 0; !atomic_load(&over); step++) {
        if (step % 16 == 0)
            use_list(8);
        gc_safepoint();
        if (slice != 0 && thread_self()->slice_start != slice && ++turns == ENOUGH_TURNS)
            satisfied++;
        slice = thread_self()->slice_start;
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

/* Every thread has its turns, though none blocks. (Their order: test proc.) */
static void share_procs(unsigned procs, unsigned flags)
{
    pthread_t threads[TURNERS];
    gc_options o = {.max_procs = procs, .min_heap = 1 << 20, .flags = flags};
    make_heap(&o);
    for (int i = 0; i < TURNERS; i++)
        threads[i] = start_thread(take_turns, NULL);
    BLOCK_UNTIL(satisfied == TURNERS);
    atomic_store(&over, true);
    join_threads(threads, TURNERS);
    CHECK(stats_now().procs <= procs);
    destroy_heap();
}

TEST(one_proc_for_eight_threads)
{
    share_procs(1, 0);
}
TEST(two_procs_for_eight_threads)
{
    share_procs(2, 0);
}
TEST(one_proc_stopped)
{
    share_procs(1, GC_STOP_WORLD);
}
TEST(one_proc_alone)
{
    share_procs(1, GC_NO_BACKGROUND);
}

/* ---- Blocking and churn under collections ---- */

static void *block_and_unblock(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    CHECK_EQ(gc_thread_attach(heap), 0);
    {
        struct shape_pair *p = NULL, *q = NULL;
        GC_FRAME(p, q);
        for (uint64_t id = 0; !atomic_load(&over); id++) {
            p = new_pair(id);
            gc_store(&p->a, q);
            CHECK_EQ(gc_blocking_begin(), 0);
            if (random_one_in(&random, 3))
                sched_yield();
            CHECK_EQ(gc_blocking_end(), 0);
            check_pair(p, id);
            if (q)
                check_pair(q, id - 1);
            q = random_one_in(&random, 10) ? NULL : p;
            if (!q) {
                p = new_pair(++id);
                q = p;
            }
        }
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

static void among_collections(void *(*run)(void *), unsigned flags)
{
    enum { N = 12 };
    pthread_t threads[N];
    uint64_t random = random_seed();
    gc_options o = {.flags = flags};
    make_heap(&o);
    for (int i = 0; i < N; i++)
        threads[i] = start_thread(run, (void *)(uintptr_t)random_next(&random));
    for (int i = 0; i < 150; i++)
        CHECK_EQ(gc_collect(), 0);
    atomic_store(&over, true);
    join_threads(threads, N);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(stats_now().heap_live, 0);
    CHECK_EQ(stats_now().threads, 1);
    destroy_heap();
}

TEST(blocking_among_collections)
{
    among_collections(block_and_unblock, 0);
}
TEST(blocking_among_collections_stopped)
{
    among_collections(block_and_unblock, GC_STOP_WORLD);
}

static void *come_and_go(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    while (!atomic_load(&over)) {
        CHECK_EQ(gc_thread_attach(heap), 0);
        use_list(random_below(&random, 30));
        if (random_one_in(&random, 4))
            gc_collect_start();
        if (random_one_in(&random, 7)) {
            CHECK_EQ(gc_blocking_begin(), 0);
            CHECK_EQ(gc_blocking_end(), 0);
        }
        CHECK_EQ(gc_thread_detach(), 0);
    }
    return NULL;
}

TEST(churn_among_collections)
{
    among_collections(come_and_go, 0);
}
TEST(churn_among_collections_stopped)
{
    among_collections(come_and_go, GC_STOP_WORLD);
}

/* Nothing is asked of the system once it has been done before. */
TEST(cost_of_attaching)
{
    enum { N = 20000 };
    make_heap(NULL);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_attach(heap), 0);
    uint64_t calls = os_fallible_calls();
    for (int i = 0; i < N; i++) {
        CHECK_EQ(gc_thread_detach(), 0);
        CHECK_EQ(gc_thread_attach(heap), 0);
    }
    for (int i = 0; i < N; i++) {
        CHECK_EQ(gc_blocking_begin(), 0);
        CHECK_EQ(gc_blocking_end(), 0);
    }
    CHECK_EQ(os_fallible_calls(), calls);
    destroy_heap();
}

/* ---- Who does not poll ---- */

static void *do_not_poll(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_name("sleepy-with-a-name-of-more-than-31-bytes"), 0);
    use_list(10);
    pthread_barrier_wait(&barrier); /* not in a blocking region: that is the point */
    while (!atomic_load(&over)) {}
    gc_safepoint();
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

static void *collect_once(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

/* Allocation goes on far beyond the goal, though no cycle can pass the first handshake; until all
 * is allocated and the watchdog has spoken. */
static void allocate_meanwhile(uint64_t room)
{
    for (uint64_t allocated = 0; allocated < room; allocated += 4096)
        CHECK(gc_new_bytes(4096));
    POLL_UNTIL(atomic_load(&logged.warnings) > 0);
}

/* A cycle waits for the thread, and so does who asked for that cycle; nobody else waits for either.
 * The watchdog names it. */
TEST(a_thread_that_does_not_poll)
{
    enum { LIMIT = 48 << 20 };
    gc_options o = {.log = keep_line,
                    .watchdog_ms = 100,
                    .min_heap = 1 << 20,
                    .hard_limit = LIMIT,
                    .max_procs = 4};
    pthread_t threads[2];
    make_heap(&o);
    pthread_barrier_init(&barrier, NULL, 2);
    threads[0] = start_thread(do_not_poll, NULL);
    wait_at(&barrier);
    uint64_t begin = os_now_ns();
    threads[1] = start_thread(collect_once, NULL);
    allocate_meanwhile(LIMIT / 4 * 3);
    uint64_t cycles = stats_now().cycles;
    CHECK(has_logged("sleepy-with-a-name"));
    CHECK(has_logged("safepoint"));
    CHECK(has_logged("gc_new"));
    CHECK(os_now_ns() - begin >= o.watchdog_ms * 1000000);
    CHECK(cycles <= 1);
    atomic_store(&over, true);
    join_threads(threads, 2);
    /* Then cycles go on, and the limit does not matter any more. */
    for (int i = 0; i < 100 * 1000; i++)
        CHECK(gc_new_bytes(4096));
    CHECK(stats_now().cycles > cycles);
    CHECK_EQ(atomic_load(&logged.warnings), 2); /* and when it came to a safepoint */
    destroy_heap();
}

/* ---- Who does not poll while a mutator runs a cycle ---- */

/* A thread in a blocking region is called out of it in the middle of the cycle, by the marker. It
 * does not poll before the other has allocated so often. */
enum { CALLS = 4, MEANWHILE = 400 };
static struct caller {
    pthread_t thread; /* that allocates */
    atomic_bool call, is_out;
    atomic_uint calls, allocated;
} caller;

static void call_out(void *object, gc_tracer *tracer)
{
    (void)object;
    (void)tracer;
    if (!pthread_equal(pthread_self(), caller.thread) || atomic_load(&caller.is_out))
        return;
    atomic_store(&caller.call, true);
    for (unsigned turns = 0; !atomic_load(&caller.is_out) && turns < 10000;)
        let_run(&turns);
}

static void *come_out_and_do_not_poll(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_blocking_begin(), 0);
    while (!atomic_load(&over)) {
        if (!atomic_exchange(&caller.call, false)) {
            os_sleep_ns(20 * 1000);
            continue;
        }
        CHECK_EQ(gc_blocking_end(), 0);
        unsigned end = atomic_load(&caller.allocated) + MEANWHILE;
        atomic_store(&caller.is_out, true);
        WAIT_UNTIL((int)(atomic_load(&caller.allocated) - end) >= 0 || atomic_load(&over));
        CHECK_EQ(gc_blocking_begin(), 0);
        atomic_fetch_add(&caller.calls, 1);
        atomic_store(&caller.is_out, false);
    }
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

static void allocate_small(void)
{
    CHECK(gc_new_bytes(512));
    atomic_fetch_add(&caller.allocated, 1);
}

/* Who drives the cycle does not wait for the one who came out, who waits for it; the cycle does,
 * and then cycles go on. */
TEST(a_thread_that_comes_out_and_does_not_poll)
{
    struct gc_type_spec spec = {.name = "calls_out", .size = 16, .trace = call_out};
    gc_type *type = gc_type_create(&spec);
    gc_options o = {.min_heap = 1 << 20, .max_procs = 4, .watchdog_ms = 20000};
    CHECK(type);
    make_heap(&o);
    caller.thread = pthread_self();
    pthread_t thread = start_thread(come_out_and_do_not_poll, NULL);
    {
        void *keep = gc_new(type);
        GC_FRAME(keep);
        while (atomic_load(&caller.calls) < CALLS)
            allocate_small();
        uint64_t cycles = stats_now().cycles;
        atomic_store(&over, true);
        join_threads(&thread, 1);
        while (stats_now().cycles < cycles + 3)
            allocate_small();
    }
    destroy_heap();
    CHECK_EQ(gc_type_release(type), 0);
}

/* ---- Threads that end attached ---- */

static void *end_attached(void *how)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK(new_pair(1));
    if ((uintptr_t)how % 2)
        CHECK_EQ(gc_blocking_begin(), 0);
    return NULL;
}

TEST(ends_without_detaching)
{
    enum { N = 16 };
    pthread_t threads[N];
    make_heap(NULL);
    for (uintptr_t i = 0; i < N; i++)
        threads[i] = start_thread(end_attached, (void *)i);
    join_threads(threads, N);
    CHECK_EQ(stats_now().threads, 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(stats_now().heap_live, 0);
    destroy_heap();
}

/* ---- Heaps that go ---- */

static void *use_briefly(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    for (uint64_t i = 0; i < 1000; i++)
        new_pair(i);
    gc_collect_start();
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

/* Once the others have left a heap may go, whatever its collector does. */
TEST(destroy_when_joined)
{
    enum { N = 3 };
    pthread_t threads[N];
    gc_options o = {.min_heap = 64 << 10};
    for (int i = 0; i < 200; i++) {
        make_heap(&o);
        for (int j = 0; j < N; j++)
            threads[j] = start_thread(use_briefly, NULL);
        if (i % 2)
            gc_collect_start();
        join_threads(threads, N);
        destroy_heap();
    }
}

static void *hold_open(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    pthread_barrier_wait(&barrier);
    CHECK_EQ(gc_blocking_begin(), 0);
    WAIT_UNTIL(atomic_load(&over));
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

TEST(destroy_busy)
{
    make_heap(NULL);
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_t thread = start_thread(hold_open, NULL);
    wait_at(&barrier);
    CHECK_EQ(gc_heap_destroy(heap), -EBUSY);
    CHECK(new_pair(1));
    CHECK_EQ(gc_collect(), 0);
    atomic_store(&over, true);
    join_threads(&thread, 1);
    destroy_heap();
}

static void *leave_soon(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    CHECK_EQ(gc_thread_attach(heap), 0);
    wait_at(&barrier);
    use_list(random_below(&random, 200));
    if (random_one_in(&random, 2))
        gc_collect_start();
    if (random_one_in(&random, 3))
        return NULL; /* attached */
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

/* The heap goes as soon as it says that nobody else is attached. */
static void destroy_as_the_last_leaves(const char *debug, int rounds)
{
    enum { N = 3 };
    pthread_t threads[N];
    uint64_t random = random_seed();
    gc_options o = {.log = keep_line, .watchdog_ms = 20000, .debug = debug};
    pthread_barrier_init(&barrier, NULL, N + 1);
    for (int round = 0; round < rounds; round++) {
        unsigned busy = 0;
        make_heap(&o);
        for (int i = 0; i < N; i++)
            threads[i] = start_thread(leave_soon, (void *)(uintptr_t)random_next(&random));
        wait_at(&barrier);
        if (random_one_in(&random, 2))
            CHECK_EQ(gc_thread_detach(), 0);
        for (int error; (error = gc_heap_destroy(heap)) != 0; busy++) {
            CHECK_EQ(error, -EBUSY);
            if (busy % 16 == 15)
                sched_yield();
            gc_safepoint();
        }
        CHECK(!gc_heap_current());
        join_threads(threads, N);
    }
}

TEST(destroy_when_the_last_leaves)
{
    destroy_as_the_last_leaves(NULL, SLOW ? 100 : 400);
}
TEST(destroy_when_the_last_leaves_slowly)
{
    destroy_as_the_last_leaves("delay=3", SLOW ? 100 : 300);
}

static void ignore_object(void *object, void *arg)
{
    (void)object;
    (void)arg;
}

/* While the background thread is anywhere in a cycle. */
static void destroy_in_a_cycle(const char *debug, int rounds)
{
    uint64_t random = random_seed();
    for (int round = 0; round < rounds; round++) {
        gc_options o = {.debug = debug, .min_heap = 1 << 18, .mark_workers = 3};
        make_heap(&o);
        {
            void *keep[64] = {NULL};
            GC_FRAME_ARRAY(keep, 64);
            for (int i = 0; i < 2000; i++) {
                struct shape_pair *p = new_pair((uint64_t)i);
                gc_store(&p->a, keep[i % 64]);
                keep[i % 64] = p;
            }
            gc_collect_start();
            for (size_t i = random_below(&random, 3000); i > 0; i--)
                gc_safepoint();
        }
        if (random_one_in(&random, 2))
            CHECK_EQ(gc_thread_detach(), 0);
        destroy_heap();
    }
}

TEST(destroy_in_any_phase)
{
    destroy_in_a_cycle(NULL, SLOW ? 100 : 400);
}
TEST(destroy_in_any_phase_of_slow_cycles)
{
    destroy_in_a_cycle("delay=7", SLOW ? 20 : 60);
}

/* While threads of the library's are about to fall asleep: those that mark, and the one that runs
 * finalizers. None may sleep through the call to end. */
TEST(destroy_as_threads_fall_asleep)
{
    for (int round = 0; round < (SLOW ? 100 : 400); round++) {
        gc_options o = {.flags = GC_FINALIZER_THREAD,
                        .debug = "delay=11",
                        .mark_workers = 2 + (unsigned)round % 3};
        make_heap(&o);
        CHECK_EQ(gc_finalizer_set(new_pair(1), ignore_object, NULL), 0);
        if (round % 2) {
            void *large = gc_new_bytes(3 << 20); /* enough for helpers to be started */
            GC_FRAME(large);
            gc_collect();
        }
        destroy_heap();
    }
}

/* ---- Several heaps, one thread in each ---- */

static gc_heap *heaps[3];

static void *go_round(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    void *slots[3] = {NULL};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gc_thread_attach(heaps[i]), 0);
        CHECK_EQ(gc_thread_local_range(&slots[i], sizeof slots[i]), 0);
    }
    for (uint64_t id = 0; !atomic_load(&over); id++) {
        size_t i = random_below(&random, 3);
        CHECK_EQ(gc_thread_switch(heaps[i]), 0);
        CHECK(gc_heap_current() == heaps[i]);
        if (slots[i])
            check_pair(slots[i], ((struct shape_pair *)slots[i])->id);
        slots[i] = new_pair(id);
        CHECK(gc_heap_contains(heaps[i], slots[i]));
        CHECK(!gc_heap_contains(heaps[(i + 1) % 3], slots[i]));
        use_list(random_below(&random, 40));
        if (random_one_in(&random, 20)) {
            CHECK_EQ(gc_thread_switch(NULL), 0);
            sched_yield();
        }
        if (random_one_in(&random, 200))
            gc_collect();
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gc_thread_switch(heaps[i]), 0);
        CHECK_EQ(gc_thread_detach(), 0);
    }
    return NULL;
}

TEST(threads_of_several_heaps)
{
    enum { N = 6 };
    static const unsigned flags[3] = {0, GC_STOP_WORLD, GC_NO_BACKGROUND};
    pthread_t threads[N];
    uint64_t random = random_seed();
    for (unsigned i = 0; i < 3; i++) {
        gc_options o = {.flags = flags[i], .max_procs = i + 1, .min_heap = 1 << 18};
        heaps[i] = gc_heap_create(&o);
        CHECK(heaps[i]);
    }
    CHECK_EQ(gc_thread_switch(NULL), 0);
    for (int i = 0; i < N; i++)
        threads[i] = start_thread(go_round, (void *)(uintptr_t)random_next(&random));
    for (int i = 0; i < 3; i++)
        WAIT_UNTIL(stats_of(heaps[i]).cycles >= 100);
    atomic_store(&over, true);
    join_threads(threads, N);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gc_thread_switch(heaps[i]), 0);
        CHECK_EQ(gc_collect(), 0);
        heap = heaps[i];
        struct gc_statistics s = stats_now();
        CHECK_EQ(s.heap_live, 0);
        CHECK_EQ(s.threads, 1);
        diag("heap %d: %llu cycles", i, (unsigned long long)s.cycles);
        CHECK(s.cycles > 1);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(gc_heap_destroy(heaps[i]), 0);
}

/* ---- Long calls ---- */

static void *collects_until_over(void *arg)
{
    (void)arg;
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!atomic_load(&over))
        CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

static bool is_zero(const char *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Cycles that begin and end while memory that was used before is made zero. */
static uint64_t cycles_in_long_call(size_t size)
{
    uint64_t before = stats_now().cycles;
    char *p = gc_new_bytes(size);
    uint64_t cycles = stats_now().cycles - before;
    CHECK(p);
    CHECK(is_zero(p, size));
    memset(p, 0xaa, size);
    return cycles;
}

/* More than the one under way at its start, and the one that waits for the call's end. */
TEST(collections_go_on_while_memory_is_zeroed)
{
    make_heap(NULL);
    atomic_store(&over, false);
    pthread_t other = start_thread(collects_until_over, NULL);
    size_t size = (size_t)32 << 20;
    for (int i = 1; cycles_in_long_call(size) < 3; i++) {
        if (i % 10 == 0 && size < (size_t)256 << 20)
            size *= 2;
    }
    atomic_store(&over, true);
    join_thread(other);
    destroy_heap();
}

/* Who gives up its P after little has been allocated starts cycles all the same. */
TEST(cycles_start_though_the_thread_blocks_often)
{
    make_heap(NULL);
    for (int i = 0; i < 20000; i++) {
        CHECK_EQ(gc_blocking_begin(), 0);
        CHECK_EQ(gc_blocking_end(), 0);
        CHECK(gc_new_bytes(4096));
    }
    struct gc_statistics s = stats_now();
    ok(s.cycles > 0 && s.heap_live < 40 << 20, "%llu cycles, %llu bytes",
       (unsigned long long)s.cycles, (unsigned long long)s.heap_live);
    destroy_heap();
}

/* Settings are read by the library's thread while it gives memory back. */
TEST(settings_change_while_memory_goes_back)
{
    make_heap(NULL);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 16; i++)
            CHECK(gc_new_bytes((size_t)1 << 20));
        CHECK_EQ(gc_collect(), 0);
        gc_set_limit((size_t)(32 + round) << 20);
        CHECK(gc_set_percent(50 + round) >= 0);
        os_sleep_ns(10 * 1000 * 1000);
    }
    destroy_heap();
}

/* ---- What is told of handshakes ---- */

TEST(handshakes_are_counted)
{
    make_heap(NULL);
    struct gc_statistics before = stats_now();
    for (int i = 0; i < 10; i++)
        CHECK_EQ(gc_collect(), 0);
    struct gc_statistics s = stats_now();
    CHECK_EQ(s.cycles - before.cycles, 10);
    CHECK_EQ(s.forced_cycles - before.forced_cycles, 10);
    CHECK(s.handshakes - before.handshakes >= 50);
    CHECK(s.flush_waves >= 1);
    CHECK(s.mark_ns > 0);
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof s.handshake_wall.buckets / sizeof s.handshake_wall.buckets[0];
         i++)
        sum += s.handshake_wall.buckets[i];
    CHECK_EQ(sum, s.handshake_wall.count);
    CHECK(s.handshake_wall.max <= s.handshake_wall.sum);
    destroy_heap();
}

TAP_MAIN
