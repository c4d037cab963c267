/* Barriers, shading and termination: cycles in which each thread does one thing at one moment, so
 * that an object is lost if a single line of them is missing. */
#include "actors.h"

static struct cell *at(struct cell *chain, uint64_t id)
{
    while (chain && chain->id < id)
        chain = chain->next;
    return chain;
}

/* ---- Roots that go while the collector is on its way ---- */

static struct cell *root; /* a root, or what one refers to */
static gc_handle *handle;

static void visit_root(void *unused, gc_tracer *tracer)
{
    (void)unused;
    gc_trace_slot(tracer, &root);
}

static void make_root(void)
{
    CHECK_EQ(gc_root(&root), 0);
}
static void remove_root(void)
{
    CHECK_EQ(gc_unroot(&root), 0);
}
static void make_callback(void)
{
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_root, NULL), 0);
}
static void remove_callback(void)
{
    CHECK_EQ(gc_root_callback_remove(visit_root, NULL), 0);
}
static void make_handle(void)
{
    CHECK((handle = gc_handle_new(root)));
}
static void free_handle(void)
{
    gc_handle_free(handle);
}
static void set_handle(void)
{
    gc_handle_set(handle, NULL);
}
static void overwrite_root(void)
{
    gc_store(&root, NULL);
}
static void clear_root(void)
{
    gc_clear(&root, sizeof root);
}
static void copy_over_root(void)
{
    void *const nothing = NULL;
    gc_copy(&root, &nothing, sizeof root);
}
static void exchange_root(void)
{
    CHECK(gc_cas(&root, root, NULL));
}

static void load_root(struct actor *a)
{
    a->held[0] = gc_load(&root);
}

/* A thread past its ROOTS has loaded what a root refers to, and is not looked at any more; the root
 * goes before the collector comes by. */
static void root_goes(void (*make)(void), void (*go)(void))
{
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    root = new_chain(2);
    make();
    go_past_roots(&reader, 1);
    actor_do(&reader, load_root);
    go();
    root = NULL;
    all_answer_and_end(&reader, 1);
    end_with_pair(&reader, 1, &reader);
}

TEST(a_root_that_is_removed)
{
    root_goes(make_root, remove_root);
}
TEST(a_callback_that_is_removed)
{
    root_goes(make_callback, remove_callback);
}
TEST(a_handle_that_is_freed)
{
    root_goes(make_handle, free_handle);
}
TEST(a_handle_that_is_set)
{
    root_goes(make_handle, set_handle);
}
TEST(a_root_that_is_overwritten)
{
    root_goes(make_root, overwrite_root);
}
TEST(a_root_that_is_cleared)
{
    root_goes(make_root, clear_root);
}
TEST(a_root_that_is_copied_over)
{
    root_goes(make_root, copy_over_root);
}
TEST(a_root_that_is_exchanged)
{
    root_goes(make_root, exchange_root);
}

/* A root that comes: a thread past its ROOTS must not find something white there. */
static void add_root(struct actor *a)
{
    root = a->held[1];
    CHECK_EQ(gc_root(&root), 0);
    a->held[1] = NULL;
}

TEST(a_root_that_is_added)
{
    struct actor actors[2], *reader = &actors[0], *owner = &actors[1];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    owner->held[1] = new_chain(2);
    go_to_roots(actors, 2);
    actor_do(reader, answer);
    actor_do(owner, add_root);
    actor_do(reader, load_root);
    remove_root();
    root = NULL;
    actor_do(owner, answer);
    all_answer_and_end(actors, 2);
    end_with_pair(actors, 2, reader);
}

/* ---- Finalizers ---- */

static void keep_object(void *object, void *actor)
{
    ((struct actor *)actor)->held[0] = object;
}
static void run_finalizers(struct actor *a)
{
    (void)a;
    CHECK_EQ(gc_finalizers_run(0), 1);
}

/* A record in the queue is a root; it goes when the finalizer runs, in a thread past its ROOTS. */
TEST(a_finalizer_that_runs_while_marking)
{
    struct actor runner;
    stage_set(0, "poison=2");
    CHECK_EQ(gc_finalizer_set(new_chain(2), keep_object, &runner), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_pending(), 1);
    actor_start(&runner);
    go_past_roots(&runner, 1);
    actor_do(&runner, run_finalizers);
    all_answer_and_end(&runner, 1);
    end_with_pair(&runner, 1, &runner);
}

/* ---- The barrier ---- */

static void make_black(struct actor *a)
{
    a->held[0] = root = new_cell(1);
}

/* Into an object that is born black a thread stores what only it holds, and forgets it before its
 * own ROOTS. */
TEST(what_a_grey_thread_stores)
{
    struct actor maker;
    struct cell *only = NULL;
    stage_set(0, "poison=2");
    actor_start(&maker);
    {
        GC_FRAME(only);
        only = new_cell(2);
        go_past_roots(&maker, 1);
        actor_do(&maker, make_black);
        gc_store(&root->next, only);
        only = NULL;
        all_answer_and_end(&maker, 1);
        actor_do(&maker, check_pair);
    }
    actor_end(&maker);
    end_heap(heap);
}

static void cut_root(struct actor *a)
{
    gc_store(&root->next, NULL);
    (void)a;
}
static void hold_next(struct actor *a)
{
    a->held[0] = gc_load(&root->next);
}
static void check_second(struct actor *a)
{
    CHECK(is_cell(a->held[0], 2));
    CHECK(is_cell(a->held[0]->next, 3));
}

/* The only edge to what a black thread has loaded goes, before the object that had it is scanned.
 * `cutter`: who does that. */
static void edge_goes(struct actor *actors, size_t n, struct actor *cutter)
{
    struct actor *reader = &actors[0];
    actor_do(reader, hold_next);
    actor_do(cutter, cut_root);
    all_answer_and_end(actors, n);
    actor_do(reader, check_second);
    actors_end(actors, n);
    end_heap(heap);
}

static void begin_with_chain(struct actor *actors, size_t n)
{
    stage_set(0, "poison=2");
    actors_start(actors, n);
    root = new_chain(3);
    make_root();
    go_past_roots(actors, n);
}

TEST(what_a_black_thread_overwrites)
{
    struct actor reader;
    begin_with_chain(&reader, 1);
    edge_goes(&reader, 1, &reader);
}

/* Who attaches has nothing to scan, and a barrier like all others. */
TEST(what_a_newcomer_overwrites)
{
    struct actor actors[2];
    begin_with_chain(actors, 1);
    actor_start(&actors[1]);
    edge_goes(actors, 2, &actors[1]);
}

/* One that is blocked is answered for: it comes back with a barrier. */
TEST(what_one_that_was_blocked_overwrites)
{
    struct actor actors[2];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    actor_do(&actors[1], begin_blocking);
    root = new_chain(3);
    make_root();
    go_to_roots(actors, 1);
    actor_do(&actors[0], answer);
    actor_do(&actors[1], end_blocking);
    CHECK_EQ(actors[1].self->phase, PHASE_MARK);
    edge_goes(actors, 2, &actors[1]);
}

static struct gate gate;

static void overwrite_slowly(struct actor *a)
{
    (void)a;
    stop_me(STRESS_BARRIER_SHADED, &gate);
    gc_store(&root->next, NULL);
}

static void store_without_barrier(struct actor *a)
{
    CHECK_EQ(thread_self()->fast.barrier, BARRIER_OFF);
    gc_store(&root->next, a->held[1]);
    a->held[1] = NULL;
}

static void answer_one(struct actor *a)
{
    while (asked() == ASKED_NOTHING)
        sched_yield();
    answer(a);
}

/* A store is under way, and has looked at the old value, when another thread, without a barrier
 * yet, puts another value into the slot. */
TEST(a_store_from_before_the_end_of_arm)
{
    struct actor actors[2], *slow = &actors[0], *late = &actors[1];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    root = new_chain(2);
    make_root();
    late->held[1] = new_chain(3)->next;
    begin_cycle();
    await_question(STEP_ARM);
    actor_do(slow, answer);
    answer(NULL);
    actor_tell(slow, overwrite_slowly);
    gate_await(&gate);
    actor_do(late, store_without_barrier);
    actor_do(late, answer);
    actor_do(late, answer_one);
    actor_do(late, hold_next);
    gate_open(&gate);
    actor_await(slow);
    all_end(actors, 2);
    actor_do(late, check_second);
    actors_end(actors, 2);
    end_heap(heap);
}

/* ---- Born while marking ---- */

static void bear(struct actor *a)
{
    a->held[1] = new_cell(2);
    a->held[0] = new_cell(1);
    a->held[0]->next = a->held[1]; /* fresh: no safepoint since */
    a->held[1] = NULL;
}
static void bear_large(struct actor *a)
{
    a->held[0] = gc_new_bytes(100000);
    a->held[0]->magic = MAGIC;
}
static void bear_small(struct actor *a)
{
    char *small = gc_new_bytes(5);
    memcpy(small, "tiny", 5);
    a->held[0] = (void *)small;
}
static void check_large(struct actor *a)
{
    CHECK(gc_is_object(a->held[0]) && a->held[0]->magic == MAGIC);
}
static void check_small(struct actor *a)
{
    CHECK(memcmp(a->held[0], "tiny", 5) == 0);
}

/* What a thread past its ROOTS makes is not looked for: it is black. */
static void born_black(void (*before)(struct actor *), void (*make)(struct actor *),
                       void (*check)(struct actor *), uint32_t run_limit)
{
    struct actor maker;
    stage_set(0, "poison=2");
    heap->mem.run_limit = run_limit;
    actor_start(&maker);
    actor_do(&maker, before);
    go_to_roots(&maker, 1);
    maker.held[0] = NULL;
    actor_do(&maker, answer);
    actor_do(&maker, make);
    all_answer_and_end(&maker, 1);
    actor_do(&maker, check);
    actor_end(&maker);
    end_heap(heap);
}

TEST(born_in_a_run_that_was_open)
{
    born_black(bear, bear, check_pair, 0);
}
TEST(born_in_a_run_that_opens)
{
    born_black(bear, bear, check_pair, 1);
}
TEST(born_large)
{
    born_black(bear, bear_large, check_large, 0);
}
TEST(born_small)
{
    born_black(bear_small, bear_small, check_small, 0);
}

/* ---- Ends of objects (I37) ---- */

static void bear_one(struct actor *a)
{
    a->held[0] = new_cell(1);
}

static struct cell *end; /* one past an object */

static void bear_at_end(struct actor *a)
{
    a->held[0] = new_cell(1);
    CHECK(a->held[0] == end);
    a->held[0]->next = new_cell(2); /* fresh: no safepoint since */
}

/* A root of a thread past its ROOTS is the end of an object, and leads to what another thread makes
 * before its own ROOTS. */
TEST(what_is_made_where_an_end_leads_to)
{
    struct actor actors[2], *maker = &actors[0], *reader = &actors[1];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    actor_do(maker, bear_one);
    reader->held[0] = end = maker->held[0] + 1;
    go_to_roots(actors, 2);
    actor_do(reader, answer);
    mark_what_is_queued();
    actor_do(maker, bear_at_end);
    actor_do(maker, answer);
    all_answer_and_end(actors, 2);
    end_with_pair(actors, 2, maker);
}

static gc_type *traced;
static void *unmade; /* what is no object */
static unsigned unmade_traced;

static void trace_made(void *object, gc_tracer *tracer)
{
    (void)tracer;
    unmade_traced += object == unmade;
}

static void make_traced(struct actor *a)
{
    a->held[0] = gc_new(traced);
    unmade = gc_new(traced);
}

static void shade_then_make_traced(struct actor *a)
{
    root = unmade;
    gc_store(&root, NULL);
    for (int i = 0; i < 3; i++)
        CHECK((a->held[1] = gc_new(traced)) && (void *)a->held[1] != unmade);
}

/* A reference leads to a free cell, which a marker will come to while the next object is filled. */
TEST(a_free_cell_is_not_traced)
{
    struct actor maker;
    stage_set(0, NULL);
    traced = gc_type_create(&(struct gc_type_spec){.size = 24, .trace = trace_made});
    CHECK(traced);
    actor_start(&maker);
    actor_do(&maker, make_traced);
    begin_cycle();
    all_end(&maker, 1);
    unmade_traced = 0;
    go_past_roots(&maker, 1);
    actor_do(&maker, shade_then_make_traced);
    all_answer_and_end(&maker, 1);
    CHECK_EQ(unmade_traced, 0);
    actor_end(&maker);
    end_heap(heap);
    CHECK_EQ(gc_type_release(traced), 0);
}

static void make_large_slowly(struct actor *a)
{
    stop_me(STRESS_LARGE, &gate);
    CHECK((a->held[0] = gc_new_array(&gc_pointer_type, 1 << 16)));
    unmade = a->held[0];
}

static void shade_unmade(struct actor *a)
{
    (void)a;
    root = unmade;
    gc_store(&root, NULL);
}

/* A reference leads to a large object that is not there yet. */
TEST(a_large_object_that_is_not_made_yet)
{
    struct actor actors[2], *maker = &actors[0], *reader = &actors[1];
    stage_set(0, NULL);
    actors_start(actors, 2);
    actor_tell(maker, make_large_slowly);
    gate_await(&gate);
    gate_open(&gate);
    actor_await(maker);
    maker->held[0] = NULL;
    begin_cycle();
    all_end(actors, 2);
    go_past_roots(actors, 2);
    gate.state = GATE_FREE;
    actor_tell(maker, make_large_slowly);
    gate_await(&gate);
    CHECK(mheap_span_of(&heap->mem, (uintptr_t)unmade));
    actor_do(reader, shade_unmade);
    CHECK(!reader->self->grey || reader->self->grey->n == 0);
    gate_open(&gate);
    actor_await(maker);
    CHECK(maker->held[0] == unmade);
    all_answer_and_end(actors, 2);
    CHECK(gc_is_object(maker->held[0]));
    actors_end(actors, 2);
    end_heap(heap);
}

static void make_two(struct actor *a)
{
    a->held[0] = new_cell(1);
    CHECK(new_cell(2) == a->held[0] + 1);
}

static void store_end(struct actor *a)
{
    gc_store(&a->held[0]->next, a->held[0] + 1);
}

/* An end, behind which a free cell lies, is stored in an object that is black. The second marking
 * does not miss the cell. */
TEST(an_end_that_is_stored_while_marking)
{
    struct actor maker;
    stage_set(0, "checkmark");
    actor_start(&maker);
    actor_do(&maker, make_two);
    begin_cycle();
    all_end(&maker, 1);
    go_to_flush(&maker, 1);
    actor_do(&maker, store_end);
    all_answer_and_end(&maker, 1);
    maker.held[0]->next = NULL; /* the heap check would take it for a reference to a lost object */
    actor_end(&maker);
    end_heap(heap);
}

/* ---- Fibers ---- */

static gc_fiber *fiber;
static void *slots[1], **top;

static void enter_fiber(struct actor *a)
{
    (void)a;
    gc_fiber_switch(fiber);
}
static void leave_fiber(struct actor *a)
{
    (void)a;
    gc_fiber_switch(NULL);
}
static void fill_fiber(struct actor *a)
{
    gc_fiber_switch(fiber);
    top = slots;
    CHECK_EQ(gc_thread_range(slots, &top), 0);
    *top++ = a->held[0];
    a->held[0] = NULL;
}
static void take_out_of_fiber(struct actor *a)
{
    gc_fiber_switch(fiber);
    void *taken = slots[0];
    slots[0] = NULL;
    gc_fiber_switch(NULL);
    a->held[0] = taken;
}

static void begin_with_fiber(struct actor *a)
{
    stage_set(0, "poison=2");
    CHECK((fiber = gc_fiber_create()));
    actor_start(a);
    a->held[0] = new_chain(2);
    actor_do(a, fill_fiber);
}

static void end_with_fiber(struct actor *a)
{
    actor_do(a, check_pair);
    actor_end(a);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    end_heap(heap);
}

/* A thread past its ROOTS resumes a fiber that the collector has still to come to (I10). */
TEST(a_fiber_resumed_before_it_is_scanned)
{
    struct actor runner;
    begin_with_fiber(&runner);
    actor_do(&runner, leave_fiber);
    go_past_roots(&runner, 1);
    actor_do(&runner, take_out_of_fiber);
    all_answer_and_end(&runner, 1);
    end_with_fiber(&runner);
}

/* One that is suspended before its thread's ROOTS is left to the collector (I10). */
TEST(a_fiber_suspended_before_roots)
{
    struct actor runner;
    begin_with_fiber(&runner);
    begin_cycle();
    all_answer(&runner, 1, STEP_ARM);
    actor_do(&runner, leave_fiber);
    all_end(&runner, 1);
    actor_do(&runner, take_out_of_fiber);
    end_with_fiber(&runner);
}

/* One that runs is a root of its thread. */
TEST(a_fiber_that_runs)
{
    struct actor runner;
    begin_with_fiber(&runner);
    begin_cycle();
    all_answer(&runner, 1, STEP_ARM);
    all_end(&runner, 1);
    actor_do(&runner, leave_fiber);
    actor_do(&runner, take_out_of_fiber);
    end_with_fiber(&runner);
}

/* And so is its thread's own root set, which waits. */
TEST(a_thread_whose_fiber_runs)
{
    struct actor runner;
    begin_with_fiber(&runner);
    actor_do(&runner, leave_fiber);
    actor_do(&runner, take_out_of_fiber);
    actor_do(&runner, enter_fiber);
    begin_cycle();
    all_answer(&runner, 1, STEP_ARM);
    all_end(&runner, 1);
    actor_do(&runner, leave_fiber);
    end_with_fiber(&runner);
}

/* ---- Waves ---- */

/* A chain whose first cell is rooted. A thread past its ROOTS cuts it off there before it is
 * scanned: the second is grey then, and in that thread's buffer alone. Of the cells behind it each
 * one is reachable over the one before. */
static struct cell *chain, *second, *third;
static struct gate *driver_gate; /* at which the driver stops after draining, if at any */
static struct actor waves[2], *const owner = &waves[0], *const other = &waves[1];

static void cut_chain(struct actor *a)
{
    (void)a;
    gc_store(&chain->next, NULL);
}
static void cut_second(struct actor *a)
{
    a->held[0] = gc_load(&second->next);
    gc_store(&second->next, NULL);
}
static void cut_third(struct actor *a)
{
    a->held[0] = gc_load(&third->next);
    gc_store(&third->next, NULL);
}

static void begin_waves(const char *debug)
{
    stage_set(0, debug);
    actors_start(waves, 2);
    chain = new_chain(6);
    CHECK_EQ(gc_root(&chain), 0);
    root = new_cell(0);
    make_root();
    second = at(chain, 2);
    third = at(chain, 3);
    if (driver_gate)
        begin_cycle_and_stop(STRESS_DRAINED, driver_gate);
    else
        begin_cycle();
    answer_up_to_roots(waves, 2);
    actor_do(owner, answer);
    actor_do(owner, cut_chain);
    actor_do(other, answer);
}

static void end_waves(uint64_t kept)
{
    size_t n = owner->todo ? 2 : 1; /* has it left? */
    all_end(&waves[2 - n], n);
    CHECK(is_cell(other->held[0], kept));
    CHECK(is_cell(other->held[0]->next, kept + 1));
    CHECK(is_cell(at(other->held[0], 6), 6));
    if (n == 2)
        actor_end(owner);
    else
        CHECK_EQ(pthread_join(owner->thread, NULL), 0);
    actor_end(other);
    CHECK_EQ(gc_unroot(&chain), 0);
    remove_root();
    end_heap(heap);
}

/* In the wave the owner hands over what it has, which is marked to its end before the wave is over;
 * and in between one that had answered already has become grey. */
TEST(grey_that_is_handed_over_in_a_wave)
{
    begin_waves("poison=2");
    answer(NULL);
    await_question(STEP_FLUSH);
    actor_do(other, answer);
    actor_do(other, cut_second);
    actor_do(owner, answer);
    mark_what_is_queued();
    answer(NULL);
    end_waves(3);
}

/* The same, of one that leaves the heap between the end of the draining and the wave. */
TEST(grey_of_one_that_detaches)
{
    driver_gate = &gate;
    begin_waves("poison=2");
    answer(NULL);
    gate_await(&gate);
    actor_leave(owner);
    gate_open(&gate);
    await_question(STEP_FLUSH);
    actor_do(other, answer);
    actor_do(other, cut_second);
    mark_what_is_queued();
    answer(NULL);
    end_waves(3);
}

/* What it hands over is scanned. */
TEST(grey_of_one_that_detaches_is_scanned)
{
    driver_gate = &gate;
    begin_waves("poison=2");
    answer(NULL);
    gate_await(&gate);
    other->held[0] = third;
    actor_leave(owner);
    gate_open(&gate);
    end_waves(3);
}

/* A buffer of two is full, and given away before the wave comes to its owner. */
TEST(grey_that_overflows)
{
    begin_waves("poison=2,buffers=2");
    answer(NULL);
    await_question(STEP_FLUSH);
    actor_do(other, answer);
    actor_do(owner, cut_second);
    actor_do(other, cut_third);
    mark_what_is_queued();
    actor_do(owner, answer);
    answer(NULL);
    end_waves(4);
}

static void overwrite_spare(struct actor *a)
{
    (void)a;
    gc_store(&root, NULL);
}

/* What did not fit the buffer is scanned. */
TEST(grey_that_was_given_away)
{
    begin_waves("poison=2,buffers=1");
    other->held[0] = third;
    actor_do(owner, overwrite_spare);
    answer(NULL);
    end_waves(3);
}

static uint64_t waves_of_last_cycle(void)
{
    struct gc_statistics s;
    CHECK_EQ(gc_stats(&s), 0);
    return s.flush_waves;
}

/* What was shaded before ROOTS is handed over with the roots: it costs no wave. */
TEST(grey_from_before_roots)
{
    struct actor a;
    stage_set(0, "poison=2");
    actor_start(&a);
    root = new_chain(3);
    make_root();
    begin_cycle();
    all_answer(&a, 1, STEP_ARM);
    actor_do(&a, cut_root);
    all_answer(&a, 1, STEP_SETTLE);
    all_answer(&a, 1, STEP_ROOTS);
    all_end(&a, 1);
    CHECK_EQ(waves_of_last_cycle(), 1);
    actor_end(&a);
    end_heap(heap);
}

/* And a wave that finds something is followed by another one. */
TEST(one_wave_more_than_finds_something)
{
    struct actor a;
    stage_set(0, "poison=2");
    actor_start(&a);
    root = new_chain(3);
    make_root();
    go_past_roots(&a, 1);
    actor_do(&a, cut_root);
    all_answer_and_end(&a, 1);
    CHECK_EQ(waves_of_last_cycle(), 2);
    actor_end(&a);
    end_heap(heap);
}

TAP_MAIN
