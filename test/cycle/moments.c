/* Moments of a cycle: what a thread does just there. A thread knows what the collector asks of it,
 * and keeps it waiting as long as it likes. */
#include <errno.h>
#include "cycle/background.h"
#include "build.h"
#include "log.h"
#include "moment.h"
#include "random.h"

static gc_heap *heap;

static void make_heap(const char *debug)
{
    gc_options o = {.debug = debug, .max_procs = 4};
    CHECK((heap = gc_heap_create(&o)));
}

/* ---- Roots ---- */

static struct cell *visited; /* by a callback */
static atomic_bool loaded;

static void visit(void *unused, gc_tracer *tracer)
{
    (void)unused;
    gc_trace_slot(tracer, &visited);
}

/* Past its ROOTS, loads what the callback visits: its roots are not looked at any more. */
static void *load_visited(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    struct cell *c = NULL;
    {
        GC_FRAME(c);
        POLL_UNTIL(thread_self()->phase == PHASE_MARK);
        c = gc_load(&visited);
        loaded = true;
        POLL_UNTIL(thread_self()->phase == PHASE_IDLE);
        gc_collect();
        CHECK(is_cell(c, 1) && is_cell(c->next, 2));
    }
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* Roots that go before the collector has come by, while somebody has loaded what they refer to. */
TEST(a_callback_removed_while_roots_are_scanned)
{
    make_heap("poison=2");
    CHECK(gc_root_callback(GC_ROOT_HEAP, visit, NULL) == 0);
    gc_store(&visited, new_cell(1));
    gc_store(&visited->next, new_cell(2));
    pthread_t loader = start_thread(load_visited, NULL);
    begin_cycle();
    answer_until(STEP_ROOTS);
    WAIT_UNTIL(loaded);
    CHECK(gc_root_callback_remove(visit, NULL) == 0);
    end_cycle();
    join_thread(loader);
    CHECK(gc_heap_destroy(heap) == 0);
}

/* ---- Fibers ---- */

/* A word left on a stack, which was an object's address, is found by a conservative scan: but not
 * once the object is dead. */
TEST(a_fresh_fiber_after_the_cut)
{
    make_heap("poison=2");
    static uintptr_t stack[4];
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_store(&c->next, new_cell(2));
    gc_weak *weak = gc_weak_new(c);
    stack[1] = (uintptr_t)c;
    c = NULL;
    begin_cycle();
    answer_until(STEP_DISARM);
    CHECK(!gc_weak_get(weak));
    gc_fiber *fiber = gc_fiber_create();
    CHECK(gc_fiber_stack(fiber, stack, stack + 4) == 0);
    gc_fiber_switch(fiber);
    gc_fiber_switch(NULL);
    CHECK(gc_fiber_destroy(fiber) == 0);
    CHECK(!gc_weak_get(weak));
    end_cycle();
    CHECK(!gc_weak_get(weak));
    gc_collect();
    CHECK(gc_heap_destroy(heap) == 0);
}

/* Fibers whose stacks are set while the collector goes by keep what they hold. */
enum { FIBERS = 200 };
static struct fiber {
    gc_fiber *fiber;
    void *slots[1], **top;
} fibers[FIBERS];
static atomic_bool over;

static void *set_stacks(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    for (unsigned i = 0; !over; i = (i + 1) % FIBERS) {
        int error = gc_fiber_stack(fibers[i].fiber, NULL, NULL);
        CHECK(error == 0 || error == -EBUSY);
        gc_safepoint();
    }
    CHECK(gc_thread_detach() == 0);
    return unused;
}

TEST(fibers_whose_stacks_are_set)
{
    make_heap("poison=2,delay=3");
    for (unsigned i = 0; i < FIBERS; i++) {
        struct fiber *f = &fibers[i];
        CHECK((f->fiber = gc_fiber_create()));
        f->top = f->slots;
        gc_fiber_switch(f->fiber);
        CHECK(gc_thread_range(f->slots, &f->top) == 0);
        *f->top++ = new_cell(i);
        gc_fiber_switch(NULL);
    }
    pthread_t setter = start_thread(set_stacks, NULL);
    for (unsigned round = 0; round < (SLOW ? 30 : 100); round++) {
        gc_collect();
        for (unsigned i = 0; i < FIBERS; i++) {
            gc_fiber_switch(fibers[i].fiber);
            CHECK(is_cell(fibers[i].slots[0], i));
            gc_fiber_switch(NULL);
        }
    }
    over = true;
    join_thread(setter);
    for (unsigned i = 0; i < FIBERS; i++)
        CHECK(gc_fiber_destroy(fibers[i].fiber) == 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

/* ---- Stale words ---- */

struct pair {
    uint64_t first, second;
    void *reference;
};

static atomic_uint torn, traced;

static void trace_pair(void *object, gc_tracer *tracer)
{
    struct pair *p = object;
    torn += p->first != p->second;
    traced++;
    gc_trace_slot(tracer, &p->reference);
}

static _Atomic(uintptr_t) made;
static _Atomic(gc_thread *) guesser;

/* Has addresses on its stack of what another thread has made, and is going to make. */
static void *guess(void *unused)
{
    enum { WORDS = 50 };
    CHECK(gc_thread_attach(heap) == 0);
    volatile uintptr_t words[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        words[i] = made + i * 32;
    CHECK(gc_blocking_begin() == 0);
    guesser = thread_self();
    WAIT_UNTIL(over);
    CHECK(gc_blocking_end() == 0);
    CHECK(words[0] == made);
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* A word on a stack is the address of a slot that its owner has not been given yet, and fills in
 * later: the collector leaves that alone. */
TEST(a_stale_word_of_what_is_made_next)
{
    gc_options o = {.flags = GC_STACK_CONSERVATIVE, .max_procs = 4};
    CHECK((heap = gc_heap_create(&o)));
    gc_type *type =
        gc_type_create(&(struct gc_type_spec){.size = sizeof(struct pair), .trace = trace_pair});
    CHECK(type);
    made = (uintptr_t)gc_new(type);
    pthread_t thread = start_thread(guess, NULL);
    WAIT_UNTIL(guesser);
    begin_cycle();
    answer_until(STEP_ROOTS);
    await_answer_of(guesser);
    gc_safepoint();
    struct pair *p = gc_new(type);
    CHECK_EQ((uintptr_t)p - made, gc_object_size(p));
    p->first = 1;
    WAIT_UNTIL(asked() == STEP_FLUSH);
    p->second = 1;
    CHECK(traced == 1 && torn == 0);
    end_cycle();
    over = true;
    join_thread(thread);
    CHECK(gc_heap_destroy(heap) == 0);
    CHECK_EQ(gc_type_release(type), 0);
}

/* ---- Cycles that a mutator begins itself ---- */

static void make_small_heap(unsigned flags, const char *debug)
{
    gc_options o = {.flags = flags, .debug = debug, .max_procs = 4, .min_heap = 1 << 17};
    CHECK((heap = gc_heap_create(&o)));
}

static struct {
    unsigned begun, left; /* by the thread that counts */
} quick;

/* An allocation, after which it is looked whether it began a cycle that nobody had asked for. What
 * earlier ones cost is forgotten: the next one may be begun so too. */
static struct cell *count_new_cell(uint64_t id)
{
    struct cycle *c = heap->cycle;
    uint32_t before = u32_load_acquire(&c->started);
    u32_store_release(&c->quick_from, before);
    struct cell *cell = new_cell(id);
    uint32_t now = u32_load_acquire(&c->started);
    if (now != before && (int32_t)(background_wanted(heap) - now) < 0) {
        quick.begun++;
        quick.left += u32_load_acquire(&c->flipped) != now;
    }
    return cell;
}

/* n more cells in front of the list, whose length is their number, and as many that die. */
static void grow(struct cell **list, uint64_t n)
{
    for (; n > 0; n--) {
        push_cell(list, count_new_cell(list_length(*list) + 1));
        count_new_cell(0);
    }
}

/* The cycle that is under way ends, and another one comes. */
static void await_cycles(void)
{
    const struct cycle *c = heap->cycle;
    uint32_t next = u32_load_acquire(&c->started) + 1;
    while ((int32_t)(u32_load_acquire(&c->flipped) - next) < 0) {
        count_new_cell(0);
        if (!cycle_is_idle(c))
            sched_yield();
    }
}

/* More is alive than at the cycle before: it takes longer than the mutator is to have. */
TEST(a_cycle_begun_quickly_and_left)
{
    make_small_heap(0, "poison=2");
    struct cell *list = NULL;
    GC_FRAME(list);
    for (; quick.left < 3; list = NULL) {
        for (int i = 0; i < 40; i++) {
            grow(&list, 2000);
            check_list(list);
        }
        await_cycles();
        check_list(list);
    }
    diag("%u cycles were begun by the mutator, %u left", quick.begun, quick.left);
    for (int i = 0; i < 10; i++)
        await_cycles();
    list = NULL;
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_collect(), 0);
    struct gc_statistics s;
    CHECK_EQ(gc_stats(&s), 0);
    CHECK_EQ(s.heap_live, 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Grows the list until a cycle is left. */
static void leave_a_cycle(struct cell **list)
{
    unsigned before = quick.left;
    while (quick.left == before) {
        grow(list, 100);
        if (*list && (*list)->id > 50000)
            *list = NULL;
    }
    check_list(*list);
}

static void make_delayed_heap(unsigned flags, unsigned seed)
{
    char debug[64];
    snprintf(debug, sizeof debug, "poison=2,delay=%u", seed);
    make_small_heap(flags, debug);
}

/* The background has a cycle to drive to its end, and no mutator is attached any more. */
TEST(heaps_that_go_with_a_cycle_left)
{
    for (unsigned round = 1; round <= 30; round++) {
        make_delayed_heap(0, round);
        {
            struct cell *list = NULL;
            GC_FRAME(list);
            gc_weak *weak = gc_weak_new(new_cell(1));
            leave_a_cycle(&list);
            gc_weak_free(weak);
        }
        if (round % 2)
            CHECK_EQ(gc_thread_detach(), 0);
        CHECK_EQ(gc_heap_destroy(heap), 0);
    }
}

static bool count_object(void *n, const struct gc_object *o)
{
    ++*(size_t *)n;
    return o->size > 0;
}

static void ask_for_something(uint64_t *random)
{
    size_t n = 0;
    struct gc_census rows[4];
    switch (random_below(random, 8)) {
    case 0:
        CHECK_EQ(gc_heap_verify(), 0);
        break;
    case 1:
        CHECK_EQ(gc_heap_each(count_object, &n), 0);
        break;
    case 2:
        CHECK(gc_heap_census(rows, 4) >= 0);
        break;
    case 3:
    case 4:
        CHECK_EQ(gc_collect(), 0);
        break;
    default:
        CHECK_EQ(gc_collect_start(), 0);
    }
}

enum { ASKED_FOR = 40 };
static atomic_uint asked_things;

static void *ask_and_rest(void *unused)
{
    uint64_t random = 1;
    CHECK(gc_thread_attach(heap) == 0);
    while (!over) {
        gc_blocking_begin();
        os_sleep_ns(random_below(&random, 2000000));
        gc_blocking_end();
        ask_for_something(&random);
        asked_things++;
    }
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* One thread goes on as if it were alone, another asks for all that needs the cycle's lock. */
static void among_those_who_ask(unsigned seed)
{
    make_delayed_heap(0, seed);
    over = false;
    asked_things = 0;
    pthread_t asker = start_thread(ask_and_rest, NULL);
    {
        struct cell *list = NULL;
        GC_FRAME(list);
        while (asked_things < ASKED_FOR) {
            grow(&list, 500);
            check_list(list);
            if (list->id > 20000)
                list = NULL;
        }
        await_cycles();
        check_list(list);
        over = true;
        join_thread(asker);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(cycles_left_among_others_who_ask_for_them)
{
    for (unsigned seed = 1; seed <= 12 || quick.left == 0; seed++)
        among_those_who_ask(seed);
    diag("%u cycles were begun by the mutator, %u left", quick.begun, quick.left);
}

static pthread_t mutator;

/* Heap callbacks may wait for a lock that an allocating thread holds: they run elsewhere. */
static atomic_uint visits, visits_here;

static void note_visit(void *unused, gc_tracer *tracer)
{
    (void)unused;
    (void)tracer;
    visits++;
    visits_here += pthread_equal(pthread_self(), mutator) != 0;
}

TEST(callbacks_run_on_the_collectors_threads)
{
    make_small_heap(0, NULL);
    mutator = pthread_self();
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, note_visit, NULL), 0);
    for (int i = 0; i < 40; i++)
        await_cycles();
    diag("%u of %u visits by the mutator", visits_here, visits);
    CHECK(visits >= 40 && visits_here == 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Asks for a cycle in the middle of one that the mutator drives, and lets the background wait. */
static unsigned asked_for;

static void ask_within(void *unused, gc_tracer *tracer)
{
    (void)unused;
    (void)tracer;
    if (!pthread_equal(pthread_self(), mutator) || u32_load_acquire(&heap->cycle->left))
        return;
    background_request_cycle(heap, GC_CAUSE_GOAL);
    for (unsigned turns = 0; u32_load_relaxed(&heap->cycle->lock.state) != 2 && turns < 1000;)
        let_run(&turns);
    asked_for++;
}

TEST(a_cycle_left_while_the_background_wants_one)
{
    struct gc_type_spec spec = {.name = "asks", .size = 16, .trace = ask_within};
    gc_type *type = gc_type_create(&spec);
    CHECK(type);
    make_small_heap(0, NULL);
    void *asks = NULL;
    struct cell *list = NULL;
    GC_FRAME(list, asks);
    mutator = pthread_self();
    asks = gc_new(type);
    for (int round = 0; round < 30 || asked_for == 0; round++) {
        grow(&list, 3000);
        await_cycles();
        check_list(list);
        if (round % 10 == 9)
            list = NULL;
    }
    diag("%u cycles were asked for within one", asked_for);
    asks = list = NULL;
    end_heap(heap);
    CHECK_EQ(gc_type_release(type), 0);
}

static void in_the_child(struct cell **list)
{
    check_list(*list);
    grow(list, 5000);
    await_cycles();
    CHECK_EQ(gc_collect(), 0);
    check_list(*list);
    CHECK_EQ(gc_heap_verify(), 0);
    _exit(0);
}

TEST(forks_while_a_cycle_is_left)
{
    if (SLOW)
        SKIP("a child of a program with threads, in a sanitizer");
    make_delayed_heap(GC_FORK_SAFE, 3);
    struct cell *list = NULL;
    GC_FRAME(list);
    for (int round = 0; round < 15; round++) {
        leave_a_cycle(&list);
        pid_t child = fork();
        if (child == 0)
            in_the_child(&list);
        join_child(child);
        check_list(list);
    }
}

TAP_MAIN
/* ---- What the checks find ---- */

static void make_checked_heap(const char *debug)
{
    gc_options o = {.debug = debug, .max_procs = 4, .log = keep_line};
    CHECK((heap = gc_heap_create(&o)));
}

static int verified;
static void *verify(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    verified = gc_heap_verify();
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* As long as a thread has not scanned its roots, nothing is marked but what roots refer to. */
static atomic_bool attached, planted;
static void *hold_up_marking(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    attached = true;
    answer_until(STEP_ROOTS);
    WAIT_UNTIL(planted);
    CHECK(gc_thread_detach() == 0);
    return unused;
}

static void store_plainly(struct cell **slot, struct cell *value)
{
    *slot = value;
}
static void store_well(struct cell **slot, struct cell *value)
{
    gc_store(slot, value);
}

/* The only reference to an object goes from where it is still to be marked to where it is not: into
 * an object born black. That it is deleted must be told, by the store over it. */
static void move_reference(void *(*collect)(void *), void (*store)(struct cell **, struct cell *))
{
    struct cell *from = new_cell(1), *to = NULL;
    GC_FRAME(from, to);
    gc_store(&from->next, new_cell(2));
    pthread_t other = start_thread(hold_up_marking, NULL);
    WAIT_UNTIL(attached);
    driver = start_thread(collect, heap);
    POLL_UNTIL(thread_self()->phase == PHASE_MARK);
    to = new_cell(3);
    to->next = gc_load(&from->next); /* fresh: a plain store will do */
    store(&from->next, NULL);
    planted = true;
    end_cycle();
    join_thread(other);
    CHECK(gc_is_object(to->next) == (store == store_well));
}

static void move_and_collect(void (*store)(struct cell **, struct cell *))
{
    make_checked_heap("poison=2,checkmark");
    move_reference(drive, store);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(the_second_marking_finds_a_missing_barrier)
{
    EXPECT_ABORT("marking missed the object", move_and_collect(store_plainly));
    EXPECT_EXIT(0, move_and_collect(store_well));
}

static void move_and_verify(void (*store)(struct cell **, struct cell *))
{
    make_checked_heap("poison=2");
    move_reference(verify, store);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(gc_heap_verify_finds_a_missing_barrier)
{
    move_and_verify(store_plainly);
    CHECK_EQ(verified, -EIO);
    CHECK(has_logged("marking missed the object"));
}

TEST(gc_heap_verify_finds_no_missing_barrier)
{
    move_and_verify(store_well);
    CHECK_EQ(verified, 0);
    CHECK(!has_logged(""));
}

/* Ways to break what is right, and to repair it. */
static struct cell **large;

static void break_a_page_tag(void)
{
    uintptr_t inside = (uintptr_t)large + PAGE_SIZE;
    arena_of(&heap->mem.arenas, inside)->page_tag[arena_page(inside)] ^= 1;
}

static void break_a_page_table(void)
{
    static struct gc_span none, *aside = &none;
    uintptr_t inside = (uintptr_t)large + PAGE_SIZE;
    struct gc_span **entry = &arena_of(&heap->mem.arenas, inside)->spans[arena_page(inside)];
    struct gc_span *was = *entry;
    *entry = aside;
    aside = was;
}

static void break_a_count(void)
{
    heap->mem.counts.spans_inuse ^= 1;
}

/* A reference to where an object was, on pages that are free now. */
static void break_a_reference(void)
{
    if (large[1]) {
        gc_clear(&large[1], sizeof large[1]);
        return;
    }
    uintptr_t was = (uintptr_t)gc_new_bytes(1 << 20);
    CHECK(gc_collect() == 0);
    CHECK(gc_collect() == 0);
    CHECK(!gc_is_object((void *)was));
    large[1] = (void *)was;
}

static const struct {
    void (*damage)(void);
    const char *told;
} faults[] = {
    {break_a_page_tag, "page_tag"},
    {break_a_page_table, "a->spans[page] == s"},
    {break_a_count, "spans_inuse"},
    {break_a_reference, "a reference leads to no object"},
};

TEST(gc_heap_verify_finds_what_is_broken)
{
    make_checked_heap("poison=2");
    GC_FRAME(large);
    large = gc_new_array(&gc_pointer_type, 100000);
    CHECK_EQ(gc_heap_verify(), 0);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        forget_log();
        faults[i].damage();
        CHECK_EQ(gc_heap_verify(), -EIO);
        ok(has_logged("heap check: ") && has_logged(faults[i].told), "it says: %s", logged.line);
        faults[i].damage();
        CHECK_EQ(gc_heap_verify(), 0);
    }
    CHECK(gc_heap_destroy(heap) == 0);
}

static void break_and_collect(void (*damage)(void))
{
    make_checked_heap("poison=2,verify");
    GC_FRAME(large);
    large = gc_new_array(&gc_pointer_type, 100000);
    CHECK(gc_collect() == 0);
    damage();
    CHECK(gc_collect() == 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

static void break_nothing(void) {}

TEST(the_switch_finds_what_is_broken)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        EXPECT_ABORT(faults[i].told, break_and_collect(faults[i].damage));
    EXPECT_EXIT(0, break_and_collect(break_nothing));
}
