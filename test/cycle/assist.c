/* What keeps an allocating thread: cycles that are late, left or slow, and those who do not answer;
 * and what does not. */
#include "collector/pacing.h"
#include "cycle/assist.h"
#include "cycle/background.h"
#include "build.h"
#include "moment.h"

static gc_heap *heap;

static struct cycle *cycle(void)
{
    return heap->cycle;
}

static bool is_at_rest(void)
{
    const struct cycle *c = cycle();
    return u32_load_acquire(&c->flipped) == u32_load_acquire(&c->started);
}

/* ---- Heap callbacks that wait for a lock of the thread that allocates ---- */

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct cell *guarded[8];
static pthread_t mutator;
static atomic_uint visits, visits_here;

static void visit_guarded(void *unused, gc_tracer *tracer)
{
    (void)unused;
    visits_here += pthread_equal(pthread_self(), mutator) != 0;
    visits++;
    pthread_mutex_lock(&guard);
    gc_trace_slots(tracer, guarded, 8);
    pthread_mutex_unlock(&guard);
}

static void make_guarded_heap(const gc_options *options)
{
    CHECK((heap = gc_heap_create(options)));
    mutator = pthread_self();
    memset(guarded, 0, sizeof guarded);
    visits = visits_here = 0;
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_guarded, NULL), 0);
}

static void drop_guarded_heap(void)
{
    diag("%u visits", visits);
    CHECK(visits > 0);
    CHECK_EQ(visits_here, 0);
    CHECK_EQ(gc_root_callback_remove(visit_guarded, NULL), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A cycle is wanted, and the background has not been told: it is late. */
static void be_late(void)
{
    u32_store_release(&heap->background->wanted, u32_load_acquire(&cycle()->started) + 1);
}

static void *slot;

/* Goes on while the callback waits for the lock, and so may do all that takes no cycle. */
static void allocate_under_the_lock(uint64_t id)
{
    unsigned before = visits;
    pthread_mutex_lock(&guard);
    gc_store(&guarded[id % 8], new_cell(id));
    be_late();
    while (visits == before)
        CHECK(gc_new_bytes(512));
    for (int i = 0; i < 10000; i++)
        CHECK(gc_new_bytes(512));
    CHECK_EQ(gc_root(&slot), 0);
    CHECK_EQ(gc_unroot(&slot), 0);
    pthread_mutex_unlock(&guard);
}

TEST(callbacks_wait_for_a_lock_of_who_allocates)
{
    make_guarded_heap(&(gc_options){.min_heap = 1 << 17, .debug = "poison=2"});
    for (uint64_t round = 0; round < 30; round++) {
        allocate_under_the_lock(round);
        for (uint64_t i = 0; i < 8; i++)
            CHECK(i > round || is_cell(guarded[i], round - (round - i) % 8));
        POLL_UNTIL(is_at_rest());
    }
    drop_guarded_heap();
}

/* It does not stay for safepoints: those of the thread that waits do not come. */
TEST(a_cycle_for_which_a_thread_waits)
{
    make_guarded_heap(&(gc_options){.debug = "stay=1000"});
    for (int i = 0; i < 3; i++)
        assist_collect(heap, thread_self(), GC_CAUSE_MEMORY);
    CHECK_EQ(stats_of(heap).cycles, 3);
    drop_guarded_heap();
}

/* The limit is reached under the lock: allocation fails, and does not wait for itself. */
TEST(memory_refused_to_who_has_the_lock)
{
    make_guarded_heap(&(gc_options){.min_heap = 1 << 20, .hard_limit = 16 << 20});
    struct cell *c = NULL;
    GC_FRAME(c);
    pthread_mutex_lock(&guard);
    for (errno = 0; (c = gc_new_array(&gc_pointer_type, 10000)) != NULL;) {
        gc_store(&c->next, guarded[0]);
        gc_store(&guarded[0], c);
    }
    CHECK_EQ(errno, ENOMEM);
    gc_store(&guarded[0], NULL);
    pthread_mutex_unlock(&guard);
    CHECK_EQ(visits_here, 0);
    CHECK_EQ(gc_collect(), 0); /* a cycle that a thread asks for may run there */
    visits_here = 0;
    CHECK(gc_new_array(&gc_pointer_type, 10000));
    drop_guarded_heap();
}

/* Without a thread that waits for nobody there is no callback. */
TEST(no_thread_for_callbacks)
{
    CHECK((heap = gc_heap_create(NULL)));
    os_fail_nth(1, 1);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_guarded, NULL), -EAGAIN);
    CHECK_EQ(gc_root_callback_remove(visit_guarded, NULL), -ENOENT);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_guarded, NULL), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* One callback goes, and another comes, while a third runs: none of the others is missed. */
static atomic_uint called[4];
static atomic_bool is_inside, may_leave;

static void count_call(void *n, gc_tracer *tracer)
{
    (void)tracer;
    called[(uintptr_t)n]++;
    if ((uintptr_t)n != 1)
        return;
    is_inside = true;
    WAIT_UNTIL(may_leave);
}

TEST(callbacks_change_while_one_runs)
{
    heap = new_heap(0);
    for (uintptr_t i = 0; i < 3; i++)
        CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, count_call, (void *)i), 0);
    begin_cycle();
    POLL_UNTIL(is_inside);
    CHECK_EQ(gc_root_callback_remove(count_call, (void *)0), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, count_call, (void *)3), 0);
    unsigned before = called[2];
    may_leave = true;
    end_cycle();
    CHECK_EQ(called[2], before + 1);
    CHECK_EQ(called[3], 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Threads that do not answer ---- */

static struct {
    pthread_t thread;
    atomic_bool is_silent, may_answer, is_blocked, may_go;
} silent;

/* Runs, and comes to no safepoint until it may; then it waits in a blocking region. */
static void *be_silent(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    struct cell *c = new_cell(7);
    {
        GC_FRAME(c);
        silent.is_silent = true;
        WAIT_UNTIL(silent.may_answer);
        CHECK_EQ(gc_blocking_begin(), 0);
        silent.is_blocked = true;
        WAIT_UNTIL(silent.may_go);
        CHECK_EQ(gc_blocking_end(), 0);
        CHECK(is_cell(c, 7));
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void begin_silence(void)
{
    silent.is_silent = silent.may_answer = silent.is_blocked = silent.may_go = false;
    silent.thread = start_thread(be_silent, NULL);
    POLL_UNTIL(silent.is_silent);
}

static void answer(void)
{
    silent.may_answer = true;
    WAIT_UNTIL(silent.is_blocked);
}

static void end_silence(void)
{
    silent.may_answer = silent.may_go = true;
    join_thread(silent.thread);
}

static void grow(struct cell **list, uint64_t n)
{
    for (; n > 0; n--) {
        push_cell(list, new_cell(list_length(*list) + 1));
        CHECK(gc_new_bytes(512));
    }
}

static void make_lonely_heap(unsigned flags)
{
    gc_options o = {.flags = GC_NO_BACKGROUND | flags,
                    .min_heap = 1 << 17,
                    .max_procs = 4,
                    .watchdog_ms = GC_WATCHDOG_OFF,
                    .debug = "poison=2"};
    CHECK((heap = gc_heap_create(&o)));
}

/* A cycle begins and is left, for the sake of a thread that is silent until the end of this. */
static void leave_a_cycle(struct cell **list)
{
    begin_silence();
    while (!cycle_is_left(cycle()))
        grow(list, 100);
    grow(list, 5000);
    CHECK(cycle_is_left(cycle()));
    answer();
}

/* Nobody waits for it; the cycle does, and once it has answered whoever allocates goes on. */
TEST(without_background_nobody_waits_for_a_silent_thread)
{
    make_lonely_heap(0);
    struct cell *list = NULL;
    GC_FRAME(list);
    begin_silence();
    uint64_t cycles = stats_now().cycles;
    for (int i = 0; i < 10; i++) {
        grow(&list, 4000);
        check_list(list);
    }
    CHECK(stats_now().cycles <= cycles + 1);
    CHECK(cycle_is_left(cycle()));
    answer();
    while (stats_now().cycles < cycles + 3) {
        grow(&list, 100);
        if (list->id > 100000)
            list = NULL;
    }
    check_list(list);
    end_silence();
    end_heap(heap);
}

/* What needs the cycle's lock finishes the cycle that was left. */
TEST(without_background_a_left_cycle_is_finished)
{
    make_lonely_heap(0);
    struct cell *list = NULL;
    GC_FRAME(list);
    for (int round = 0; round < 6; round++) {
        struct gc_census rows[4];
        uint64_t cycles = stats_now().cycles;
        leave_a_cycle(&list);
        if (round % 3 == 0)
            CHECK_EQ(gc_collect(), 0);
        else if (round % 3 == 1)
            CHECK(gc_heap_census(rows, 4) > 0);
        else
            CHECK_EQ(gc_heap_verify(), 0);
        CHECK(!cycle_is_left(cycle()));
        CHECK(stats_now().cycles > cycles);
        check_list(list);
        end_silence();
        if (round % 2)
            list = NULL;
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(without_background_a_heap_goes_with_a_left_cycle)
{
    for (int round = 0; round < 4; round++) {
        make_lonely_heap(0);
        {
            struct cell *list = NULL;
            GC_FRAME(list);
            gc_weak *weak = gc_weak_new(new_cell(1));
            leave_a_cycle(&list);
            if (round % 2)
                gc_weak_free(weak);
        }
        silent.may_go = true;
        join_thread(silent.thread);
        CHECK(cycle_is_left(cycle()));
        CHECK_EQ(gc_heap_destroy(heap), 0);
    }
}

static void in_the_child(struct cell **list)
{
    check_list(*list);
    grow(list, 20000);
    CHECK_EQ(gc_collect(), 0);
    check_list(*list);
    CHECK_EQ(gc_heap_verify(), 0);
    _exit(0);
}

TEST(without_background_a_fork_finishes_a_left_cycle)
{
    if (SLOW)
        SKIP("a child of a program with threads, in a sanitizer");
    make_lonely_heap(GC_FORK_SAFE);
    struct cell *list = NULL;
    GC_FRAME(list);
    leave_a_cycle(&list);
    pid_t child = fork();
    if (child == 0)
        in_the_child(&list);
    CHECK(!cycle_is_left(cycle()));
    join_child(child);
    check_list(list);
    end_silence();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Several threads, none of them silent: they leave cycles to each other. */
static void grow_and_check(void)
{
    struct cell *list = NULL;
    GC_FRAME(list);
    for (int round = 0; round < 20; round++) {
        grow(&list, SLOW ? 500 : 3000);
        check_list(list);
        if (round % 5 == 4)
            list = NULL;
    }
}

TEST(without_background_cycles_change_hands)
{
    for (unsigned seed = 0; seed < 3; seed++) {
        char debug[64];
        snprintf(debug, sizeof debug, "poison=2,delay=%u", seed);
        gc_options o = {
            .flags = GC_NO_BACKGROUND, .min_heap = 1 << 17, .max_procs = 3, .debug = debug};
        CHECK((heap = crowd.heap = gc_heap_create(&o)));
        crowd.attached = 0;
        crowd_start(5, grow_and_check);
        crowd_join();
        CHECK(stats_now().cycles > 0);
        end_heap(heap);
    }
}

/* ---- Small heaps ---- */

/* What counts is what a cycle looks at: the pages of small objects, or the spans. */
TEST(a_few_large_objects_are_a_small_heap)
{
    enum { LARGE = CYCLE_SMALL_SPANS / 2, SMALL = 2 * CYCLE_SMALL_SPANS };
    static void *kept[LARGE + SMALL];
    CHECK((heap = gc_heap_create(&(gc_options){.percent = GC_PERCENT_OFF})));
    CHECK_EQ(gc_root_range(kept, LARGE + SMALL), 0);
    for (size_t i = 0; i < LARGE; i++)
        gc_store(&kept[i], gc_new_bytes_raw(1 << 20));
    CHECK(heap->mem.counts.pages_inuse > CYCLE_SMALL_PAGES && cycle_heap_is_small(heap));
    for (size_t i = LARGE; i < LARGE + SMALL; i++)
        gc_store(&kept[i], gc_new_bytes_raw(SIZECLASS_MAX_SIZE));
    CHECK(!cycle_heap_is_small(heap));
    for (size_t i = 0; i < LARGE + SMALL; i++)
        gc_store(&kept[i], NULL);
    CHECK_EQ(gc_collect(), 0);
    CHECK(cycle_heap_is_small(heap));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Far beyond the goal ---- */

static atomic_bool is_marking, may_go_on;

/* The marker, which is on a thread of the collector's, takes its time. */
static void take_time(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
    is_marking = true;
    WAIT_UNTIL(may_go_on);
}

static void visit_nothing(void *unused, gc_tracer *tracer)
{
    (void)unused, (void)tracer;
}

static bool is_far_beyond(void)
{
    return pacing_heap_live(heap) / 5 * 4 > u64_load_relaxed(&heap->pacing->goal);
}

static uint64_t times_held_back(void)
{
    return stats_now().held_back.count;
}

/* While the cycle is under way each allocation far beyond the goal waits once, and goes on. */
TEST(allocation_waits_for_a_cycle_that_gets_on)
{
    enum { LARGE = 256 << 10, WAITS = 3 };
    struct gc_type_spec spec = {.name = "takes_time", .size = 16, .trace = take_time};
    gc_type *type = gc_type_create(&spec);
    CHECK((heap = gc_heap_create(&(gc_options){.min_heap = 1 << 20})));
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_nothing, NULL), 0); /* no cycle is run here */
    void *object = gc_new(type);
    GC_FRAME(object);
    CHECK_EQ(gc_collect_start(), 0);
    POLL_UNTIL(is_marking);
    while (!is_far_beyond())
        CHECK(gc_new_bytes(LARGE));
    uint64_t before = times_held_back();
    for (int i = 0; i < WAITS; i++)
        CHECK(gc_new_bytes(LARGE));
    CHECK_EQ(times_held_back(), before + WAITS);
    may_go_on = true;
    while (stats_now().cycles < 3)
        CHECK(gc_new_bytes(LARGE));
    object = NULL;
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(gc_type_release(type), 0);
}

static uint32_t hindrance(void)
{
    return u32_load_acquire(&heap->mutators.hindrance);
}

/* Beside a silent thread it does not: once that is known to be silent, nobody waits. */
static void allocate_beside_silence(size_t size)
{
    CHECK((heap = gc_heap_create(&(gc_options){
               .min_heap = 1 << 20, .max_procs = 4, .watchdog_ms = GC_WATCHDOG_OFF})));
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_nothing, NULL), 0);
    begin_silence();
    CHECK_EQ(gc_collect_start(), 0);
    POLL_UNTIL(hindrance() == HINDRANCE_SILENCE);
    uint64_t before = times_held_back();
    for (size_t done = 0; done < 64 << 20; done += size)
        CHECK(gc_new_bytes(size));
    CHECK(is_far_beyond());
    CHECK_EQ(times_held_back(), before);
    end_silence();
    POLL_UNTIL(is_at_rest());
    CHECK_EQ(hindrance(), HINDRANCE_NONE);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(allocation_does_not_wait_beside_a_silent_thread)
{
    allocate_beside_silence(4096);
    allocate_beside_silence(1 << 20);
}

/* Allocates a large object. Whether the thread waited for a cycle, or drove it, and gave up before
 * it was over: the machine had no processor for the collector. */
static void *make_large(size_t size, bool *gave_up)
{
    uint32_t flipped = u32_load_acquire(&cycle()->flipped);
    uint64_t waits = times_held_back();
    void *object = gc_new_bytes_raw(size);
    CHECK(object);
    *gave_up = u32_load_acquire(&cycle()->flipped) == flipped &&
               (times_held_back() > waits || cycle_is_left(cycle()));
    return object;
}

/* A vector that grows and is copied. Memory stays in proportion to what is alive; but where a
 * thread gave up, it may be more until it has come down. */
static void outgrow(unsigned flags, size_t limit)
{
    enum { STEP = 8192, STEPS = 600 };
    const uint64_t least = 8 << 20; /* two heaps of the least size */
    CHECK((heap = gc_heap_create(&(gc_options){.flags = flags, .limit = limit})));
    bool excused = false, gave_up;
    unsigned given_up = 0;
    uint64_t most = 0;
    char *array = NULL;
    GC_FRAME(array);
    for (size_t n = 1; n <= STEPS; n++) {
        array = make_large(n * STEP, &gave_up);
        uint64_t now = stats_now().heap_inuse;
        bool much = now > 4 * n * STEP + least;
        given_up += gave_up;
        excused = gave_up || (excused && much);
        CHECK(!much || excused);
        most = now > most ? now : most;
    }
    diag("%" PRIu64 " cycles, %" PRIu64 " waits, %u given up, at most %" PRIu64 " KiB",
         stats_now().cycles, times_held_back(), given_up, most >> 10);
    CHECK(stats_now().cycles > 10);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(large_objects_do_not_outrun_the_collector)
{
    outgrow(0, 0);
    outgrow(0, 16 << 20);
    outgrow(GC_NO_BACKGROUND, 0);
    outgrow(GC_STOP_WORLD, 0);
}

/* Without a background thread, nobody else serves a wish for a cycle. */
TEST(a_wish_is_served_by_the_next_allocation_that_assists)
{
    CHECK((heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND})));
    CHECK_EQ(gc_collect_start(), 0);
    CHECK(gc_new_bytes(16 << 20));
    CHECK_EQ(stats_now().cycles, 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
