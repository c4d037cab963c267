/* Two threads that meet between two lines: readers of weak references, who opens a run while
 * another looks for it, makers of Ps, sweepers, a fork; and cycles whose driver has no time, and
 * leaves them at every step. */
#include "collector/weak.h"
#include "cycle/background.h"
#include "mutator/thread.h"
#include "collector/weakset.h"
#include "actors.h"
#include "build.h"

static struct gate gate, second_gate;

/* ---- Weak references ---- */

static gc_weak *weak, *other_weak;

static void get(struct actor *a)
{
    a->held[0] = gc_weak_get(weak);
}
static void get_slowly(struct actor *a)
{
    stop_me(STRESS_WEAK_GET, &gate);
    get(a);
}
static void get_when_it_is_late(struct actor *a)
{
    stop_me(STRESS_WEAK_UNMARKED, &second_gate);
    get(a);
}

/* A thread past its ROOTS revives what nobody else refers to, with all that it leads to. */
TEST(revived_while_marking)
{
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    weak = gc_weak_new(new_chain(2));
    go_to_flush(&reader, 1);
    actor_do(&reader, get);
    all_end(&reader, 1);
    actor_do(&reader, check_pair);
    gc_weak_free(weak);
    actor_end(&reader);
    end_heap(heap);
}

/* One thread revives an object without references before it acknowledges the last wave, another one
 * has seen it white after it had, and goes on when the cut is made: both read the same (I16). */
TEST(revived_in_the_last_wave)
{
    struct actor actors[2], *slow = &actors[0], *late = &actors[1];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    weak = gc_weak_new(gc_new_bytes(64));
    other_weak = gc_weak_new(gc_new_bytes(64));
    go_to_flush(actors, 2);
    CHECK(gc_weak_get(other_weak)); /* marking is to be repeated */
    actor_do(slow, answer);
    actor_do(late, answer);
    actor_tell(slow, get_slowly);
    gate_await(&gate);
    answer(NULL);
    await_question(STEP_FLUSH);
    actor_do(late, answer);
    actor_tell(late, get_when_it_is_late);
    gate_await(&second_gate);
    gate_open(&gate);
    actor_do(slow, answer);
    answer(NULL);
    await_question(STEP_DISARM);
    gate_open(&second_gate);
    actor_await(late);
    CHECK(slow->held[0]);
    CHECK_EQ(late->held[0], slow->held[0]);
    all_end(actors, 2);
    CHECK_EQ(gc_weak_get(weak), slow->held[0]);
    actors_end(actors, 2);
    end_heap(heap);
}

static gc_weakmap *map;
static gc_intern *table;
static struct cell *key;

static void get_from_map(struct actor *a)
{
    a->held[0] = gc_weakmap_get(map, key);
}
static void get_from_table(struct actor *a)
{
    a->held[0] = gc_intern_get(table, "1", 1, NULL);
}

/* A thread past its ROOTS reads what only a map or a table has, before marking begins. Then the key
 * goes. */
static void read_while_marking(void (*read)(struct actor *))
{
    struct actor reader;
    actor_start(&reader);
    go_past_roots(&reader, 1);
    actor_do(&reader, read);
    key = NULL;
    CHECK_EQ(gc_unroot(&key), 0);
    all_answer_and_end(&reader, 1);
    end_with_pair(&reader, 1, &reader);
}

TEST(read_from_a_map_while_marking)
{
    stage_set(0, "poison=2");
    CHECK_EQ(gc_root(&key), 0);
    key = new_cell(3);
    CHECK((map = gc_weakmap_new()));
    CHECK_EQ(gc_weakmap_set(map, key, new_chain(2)), 0);
    read_while_marking(get_from_map);
}

static uint64_t hash_nothing(const void *text, size_t size)
{
    (void)text, (void)size;
    return 1;
}
static bool equal_always(const void *object, const void *text, size_t size)
{
    (void)object, (void)text, (void)size;
    return true;
}
static void *make_pair(const void *text, size_t size, void *arg)
{
    (void)text, (void)size, (void)arg;
    return new_chain(2);
}

TEST(found_in_a_table_while_marking)
{
    stage_set(0, "poison=2");
    CHECK_EQ(gc_root(&key), 0);
    CHECK((table = gc_intern_new(&(struct gc_intern_ops){hash_nothing, equal_always, make_pair})));
    CHECK(gc_intern_get(table, "1", 1, NULL));
    read_while_marking(get_from_table);
}

/* Names are numbers. The first is an object of the heap, the others are none and live for ever. */
enum { NAMES = 3000 };
static struct cell names[NAMES];
static _Thread_local struct gate *gate_in_equal;

static uint64_t hash_number(const void *number, size_t size)
{
    (void)size;
    return *(const size_t *)number;
}
static bool is_number(const void *object, const void *number, size_t size)
{
    struct gate *stands = gate_in_equal;
    (void)size;
    gate_in_equal = NULL;
    if (stands)
        gate_stand(stands);
    return ((const struct cell *)object)->id == *(const size_t *)number;
}
static void *make_number(const void *number, size_t size, void *may)
{
    size_t n = *(const size_t *)number;
    (void)size;
    names[n].id = n;
    return n > 0 ? &names[n] : may ? new_cell(n) : NULL;
}
static void look_for_the_first_slowly(struct actor *a)
{
    gate_in_equal = &gate;
    a->held[0] = gc_intern_get(table, &(size_t){0}, sizeof(size_t), NULL);
}

/* A reader has found an object, and looks at it. Meanwhile others add so much that all leaves are
 * replaced: it holds no lock. The object dies, and is taken out; the reader goes on in memory that
 * nobody else finds any more, and learns that the object is dead (I29). */
TEST(a_name_dies_while_a_reader_looks_at_it)
{
    struct actor reader;
    stage_set(0, "poison");
    actor_start(&reader);
    CHECK((table = gc_intern_new(&(struct gc_intern_ops){hash_number, is_number, make_number})));
    CHECK(gc_intern_get(table, &(size_t){0}, sizeof(size_t), table));
    go_to_flush(&reader, 1);
    actor_do(&reader, answer);
    actor_tell(&reader, look_for_the_first_slowly);
    gate_await(&gate);
    for (size_t i = 1; i < NAMES; i++)
        CHECK_EQ(gc_intern_get(table, &i, sizeof i, NULL), &names[i]);
    CHECK(heap->weaksets->discarded);
    answer(NULL);
    await_question(STEP_DISARM);
    CHECK_EQ(gc_intern_count(table), NAMES - 1);
    CHECK(heap->weaksets->doomed && !heap->weaksets->discarded);
    gate_open(&gate);
    actor_await(&reader);
    CHECK(!reader.held[0]);
    all_end(&reader, 1);
    CHECK(!heap->weaksets->doomed);
    actor_end(&reader);
    end_heap(heap);
}

static gc_weak *unheld[WEAK_PATIENCE];
static size_t next_read;

static void get_next(struct actor *a)
{
    CHECK((a->held[0] = gc_weak_get(unheld[next_read++])));
}

static void check_entry(void)
{
    struct cell *k = NULL, *v = NULL;
    size_t at = 0;
    GC_FRAME(k, v);
    CHECK(gc_weakmap_next(map, &at, (void **)&k, (void **)&v));
    CHECK(is_cell(k, 3));
    check_chain(v, 2);
}

/* A read before each wave: in the end the cycle keeps all that maps have, though nobody holds the
 * key. The next one does not. */
TEST(a_map_is_kept_if_reads_do_not_end)
{
    struct actor reader;
    stage_set(0, "poison");
    actor_start(&reader);
    CHECK_EQ(gc_root(&key), 0);
    key = new_cell(3);
    CHECK((map = gc_weakmap_new()));
    CHECK_EQ(gc_weakmap_set(map, key, new_chain(2)), 0);
    key = NULL;
    for (uint64_t i = 0; i < WEAK_PATIENCE; i++)
        CHECK((unheld[i] = gc_weak_new(new_cell(i))));
    go_to_flush(&reader, 1);
    while (next_read < WEAK_PATIENCE) {
        actor_do(&reader, get_next);
        all_answer(&reader, 1, STEP_FLUSH);
    }
    all_end(&reader, 1);
    CHECK_EQ(gc_weakmap_count(map), 1);
    check_entry();
    begin_cycle();
    all_end(&reader, 1);
    CHECK_EQ(gc_weakmap_count(map), 0);
    for (size_t i = 0; i < WEAK_PATIENCE; i++)
        gc_weak_free(unheld[i]);
    gc_weakmap_free(map);
    actor_end(&reader);
    end_heap(heap);
}

/* ---- A run that opens ---- */

static gc_type *traced_type;
static atomic_uint traced;

static void count_traced(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
    traced++;
}

static void make_traced(struct actor *a)
{
    a->held[1] = a->held[0];
    a->held[0] = gc_new(traced_type);
}
static void make_traced_slowly(struct actor *a)
{
    stop_me(STRESS_RUN_MARKED, &gate);
    make_traced(a);
}
static void let_the_maker_come_first(void *unused, gc_tracer *tracer)
{
    (void)unused, (void)tracer;
    gate_await(&gate);
}

/* The collector looks for a slot, by a stale word, while its run opens: it takes it for an object
 * only when it is marked (I15). */
TEST(a_slot_is_marked_before_it_counts)
{
    enum { WORDS = 4 };
    static uintptr_t words[WORDS];
    struct actor maker;
    stage_set(0, NULL);
    heap->mem.run_limit = 1; /* each object opens a run */
    traced_type = gc_type_create(&(struct gc_type_spec){.size = 24, .trace = count_traced});
    CHECK(traced_type);
    actor_start(&maker);
    actor_do(&maker, make_traced);
    for (size_t i = 0; i < WORDS; i++)
        words[i] = (uintptr_t)maker.held[0] + (i + 1) * 32;
    gc_fiber *fiber = gc_fiber_create();
    CHECK_EQ(gc_fiber_stack(fiber, words, words + WORDS), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, let_the_maker_come_first, NULL), 0);
    go_past_roots(&maker, 1);
    answer(NULL);
    actor_tell(&maker, make_traced_slowly);
    await_question(STEP_FLUSH);
    CHECK_EQ(traced, 1);
    gate_open(&gate);
    actor_await(&maker);
    CHECK_EQ((uintptr_t)maker.held[0], words[0]);
    all_end(&maker, 1);
    actor_end(&maker);
    end_heap(heap);
}

/* ---- Ps ---- */

static void *attach_slowly(void *unused)
{
    stop_me(STRESS_PROC_MADE, &gate);
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}
static void *attach(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

/* Two threads make the last P at once. */
TEST(no_more_procs_than_allowed)
{
    stress_stop_set(stop_here);
    CHECK((heap = gc_heap_create(&(gc_options){.max_procs = 2})));
    pthread_t slow = start_thread(attach_slowly, NULL);
    gate_await(&gate);
    pthread_t quick = start_thread(attach, NULL); /* this thread keeps its P meanwhile */
    CHECK_EQ(pthread_join(quick, NULL), 0);
    CHECK_EQ(heap->procs.count, 2);
    gate_open(&gate);
    join_thread(slow);
    CHECK_EQ(heap->procs.count, 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Driving ---- */

/* The calling thread drives as far as it comes without waiting for anybody. Whether the cycle is
 * over. */
NOINLINE static bool push_on(void)
{
    gc_thread *t = thread_self();
    thread_enter_blocked(t, STACK_CALLER());
    bool over = cycle_drive(heap, (struct cycle_patience){1, HANDSHAKE_NOW});
    thread_leave_blocked(t);
    return over;
}

/* From now on no other thread drives. */
NOINLINE static void seize_cycle(void)
{
    gc_thread *t = thread_self();
    thread_enter_blocked(t, STACK_CALLER());
    lock_acquire(&heap->cycle->lock);
    thread_leave_blocked(t);
}

static void give_cycle_back(void)
{
    lock_release(&heap->cycle->lock);
}

/* How often it had to begin anew. */
static unsigned push_to_the_end(void)
{
    unsigned times = 1;
    while (!push_on()) {
        gc_safepoint();
        CHECK(++times < 100000);
    }
    return times;
}

/* ---- Claims ---- */

static struct actor blocked;

static bool it_is_claimed(void)
{
    return state_of(u32_load_acquire(&blocked.self->st)) == THREAD_CLAIMED;
}

/* The collector scans the roots of a thread that is blocked. Until it is done the thread does not
 * come back (I3). */
TEST(a_claim_is_waited_for)
{
    stage_set(0, "poison=2");
    actor_start(&blocked);
    blocked.held[0] = new_chain(2);
    actor_do(&blocked, begin_blocking);
    driver_stops_when = it_is_claimed;
    begin_cycle_and_stop(STRESS_CLAIMED, &gate);
    gate_await(&gate);
    actor_tell(&blocked, end_blocking);
    WAIT_UNTIL(u32_load_acquire(&blocked.self->waits) || !u32_load_acquire(&blocked.busy));
    CHECK(u32_load_acquire(&blocked.busy));
    gate_open(&gate);
    actor_await(&blocked);
    all_end(&blocked, 1);
    end_with_pair(&blocked, 1, &blocked);
}

/* ---- Sweepers ---- */

static void *sweep_one_slowly(void *unused)
{
    stop_me(STRESS_SWEEP_SPAN, &gate);
    CHECK(sweep_one(heap) > 0);
    return unused;
}

static struct cell *list;

/* All is swept when nobody has a span in hand. */
TEST(sweeping_is_not_done_while_somebody_sweeps)
{
    struct actor actor;
    stage_set(GC_NO_BACKGROUND, "poison=2");
    actor_start(&actor);
    list = new_chain(2);
    CHECK_EQ(gc_root(&list), 0);
    seize_cycle();
    while (!push_on()) {
        if (heap->mutators.epoch != actor.self->epoch)
            actor_do(&actor, answer);
    }
    pthread_t sweeper = start_thread(sweep_one_slowly, NULL);
    gate_await(&gate);
    while (sweep_one(heap) > 0) {}
    CHECK(!sweep_is_done(heap));
    gate_open(&gate);
    join_thread(sweeper);
    CHECK(sweep_is_done(heap));
    give_cycle_back();
    actor_end(&actor);
    end_heap(heap);
}

/* Between the two views of which spans are swept nobody sweeps (I13). */
TEST(nobody_sweeps_during_flip)
{
    struct actor actor;
    stage_set(GC_NO_BACKGROUND, "poison=2");
    list = new_chain(2);
    CHECK_EQ(gc_root(&list), 0);
    CHECK_EQ(gc_collect(), 0);
    actor_start(&actor);
    actor.held[0] = new_chain(2);
    seize_cycle();
    while (heap->cycle->step != STEP_FLIP) {
        CHECK(!push_on());
        if (heap->mutators.epoch != actor.self->epoch && heap->mutators.step != STEP_FLIP)
            actor_do(&actor, answer);
    }
    CHECK_EQ(sweep_one(heap), 0);
    CHECK(!sweep_is_done(heap));
    actor_do(&actor, answer);
    CHECK(push_on());
    give_cycle_back();
    CHECK(sweep_one(heap) > 0);
    end_with_pair(&actor, 1, &actor);
}

/* ---- Weak references that are read while spans are swept ---- */

/* Both in one span: one that is held, and one that nobody holds. */
static struct cell *alive;
static struct actor other;
static gc_weak *weak_dead;
static uintptr_t weak_dead_object;

/* A cycle, and nothing is swept. */
static void collect_without_sweep(void)
{
    stage_set(GC_NO_BACKGROUND, "poison=2");
    actor_start(&other);
    CHECK_EQ(gc_root(&alive), 0);
    gc_store(&alive, new_cell(1));
    weak = gc_weak_new(alive);
    weak_dead = gc_weak_new(new_cell(2));
    seize_cycle();
    while (!push_on()) {
        if (heap->mutators.epoch != other.self->epoch)
            actor_do(&other, answer);
    }
    CHECK(!sweep_is_done(heap));
}

static void check_swept(void)
{
    while (sweep_one(heap) > 0) {}
    CHECK(sweep_is_done(heap));
    CHECK(!gc_weak_get(weak_dead));
    CHECK(gc_weak_get(weak) == alive && is_cell(alive, 1));
    give_cycle_back();
    CHECK_EQ(gc_unroot(&alive), 0);
    gc_weak_free(weak);
    gc_weak_free(weak_dead);
    actor_end(&other);
    end_heap(heap);
}

static unsigned times_asked;
static bool asks_again(void)
{
    return ++times_asked > 1;
}

/* The span is in a sweeper's hands, which go on when the reader has asked twice. */
static void read_while_swept(gc_weak **read, bool lives)
{
    collect_without_sweep();
    pthread_t sweeper = start_thread(sweep_one_slowly, NULL);
    gate_await(&gate);
    my_stop = (struct stop){&gate, STRESS_WEAK_AGAIN, true, asks_again};
    const struct cell *found = gc_weak_get(*read);
    CHECK(found == (lives ? alive : NULL));
    CHECK_EQ(gate.state, GATE_OPEN);
    join_thread(sweeper);
    check_swept();
}

TEST(a_dead_object_is_read_while_its_span_is_swept)
{
    read_while_swept(&weak_dead, false);
}
TEST(a_live_object_is_read_while_its_span_is_swept)
{
    read_while_swept(&weak, true);
}

static void *sweep_all_at_the_gate(void *unused)
{
    gate_await(&gate);
    while (sweep_one(heap) > 0) {}
    gate_open(&gate);
    return unused;
}

/* Between the generation of its span and its mark, which the sweep clears. */
TEST(a_span_is_swept_while_a_reader_looks_for_the_mark)
{
    collect_without_sweep();
    pthread_t sweeper = start_thread(sweep_all_at_the_gate, NULL);
    stop_me(STRESS_WEAK_MARK, &gate);
    const struct cell *found = gc_weak_get(weak);
    CHECK(found == alive);
    CHECK_EQ(gate.state, GATE_OPEN);
    join_thread(sweeper);
    check_swept();
}

/* Makes cells until one lies where the dead one was. */
static void reuse_the_cell(struct actor *a)
{
    const void *was = (void *)weak_dead_object;
    for (int i = 0; i < 10000 && a->held[0] != was; i++)
        a->held[0] = new_cell(3);
    CHECK(a->held[0] == was);
}

static void *sweep_and_reuse(void *unused)
{
    gate_await(&gate);
    while (sweep_one(heap) > 0) {}
    actor_do(&other, reuse_the_cell);
    gate_open(&gate);
    return unused;
}

/* Between the reading of a reference and the verdict about its object there is another one in its
 * place, which is alive. */
TEST(a_cell_is_used_again_while_a_reader_looks)
{
    collect_without_sweep();
    weak_dead_object = ((struct special *)weak_dead)->weak.object;
    pthread_t sweeper = start_thread(sweep_and_reuse, NULL);
    stop_me(STRESS_WEAK_LOADED, &gate);
    CHECK(!gc_weak_get(weak_dead));
    CHECK_EQ(gate.state, GATE_OPEN);
    join_thread(sweeper);
    check_swept();
}

/* And there is no span any more. */
TEST(a_span_is_freed_while_a_reader_looks)
{
    gc_weak *large;
    stage_set(GC_NO_BACKGROUND, "poison=2");
    large = gc_weak_new(gc_new_bytes(1 << 20));
    seize_cycle();
    while (!push_on()) {}
    pthread_t sweeper = start_thread(sweep_all_at_the_gate, NULL);
    stop_me(STRESS_WEAK_LOADED, &gate);
    CHECK(!gc_weak_get(large));
    CHECK_EQ(gate.state, GATE_OPEN);
    join_thread(sweeper);
    give_cycle_back();
    gc_weak_free(large);
    end_heap(heap);
}

/* FLIP begins between the reading of the generation and of the mark: no mark goes before the reader
 * has done it too. */
static void *flip_at_the_gate(void *unused)
{
    gate_await(&gate);
    WAIT_UNTIL(u32_load_acquire(&heap->mutators.step) == STEP_FLIP);
    gate_open(&gate);
    return unused;
}

static void read_while_flipped(struct actor *a)
{
    stop_me(STRESS_WEAK_MARK, &gate);
    a->held[0] = gc_weak_get(weak);
}

TEST(flip_begins_while_a_reader_looks_for_the_mark)
{
    struct actor reader;
    stage_set(GC_NO_BACKGROUND, "poison=2");
    actor_start(&reader);
    CHECK_EQ(gc_root(&alive), 0);
    gc_store(&alive, new_cell(1));
    weak = gc_weak_new(alive);
    seize_cycle();
    while (reader.self->phase != PHASE_DONE) {
        CHECK(!push_on());
        if (heap->mutators.epoch != reader.self->epoch && heap->mutators.step != STEP_FLIP)
            actor_do(&reader, answer);
    }
    pthread_t opener = start_thread(flip_at_the_gate, NULL);
    CHECK(heap->mutators.step != STEP_FLIP);
    actor_tell(&reader, read_while_flipped);
    gate_await(&gate);
    while (heap->mutators.step != STEP_FLIP)
        CHECK(!push_on());
    join_thread(opener);
    actor_await(&reader);
    CHECK(reader.held[0] == alive);
    actor_do(&reader, answer);
    CHECK(push_on());
    give_cycle_back();
    CHECK_EQ(gc_unroot(&alive), 0);
    gc_weak_free(weak);
    actor_end(&reader);
    end_heap(heap);
}

/* ---- Root callbacks that are removed while the collector calls them ---- */

static unsigned called[3]; /* atomic */
static bool has_returned;

static void visit_and_count(void *number, gc_tracer *tracer)
{
    u32_fetch_add_seq_cst(&called[(uintptr_t)number], 1);
    gc_trace_slot(tracer, &list);
}

/* The collector's call stands at the gate. */
static void visit_slowly(void *number, gc_tracer *tracer)
{
    visit_and_count(number, tracer);
    if (of_the_test)
        return;
    gate_stand(&gate);
    has_returned = true;
}

/* Whoever removes a callback that runs waits until it has returned: then nothing of it is in use.
 */
TEST(a_callback_is_removed_while_it_runs)
{
    stage_set(0, "poison=2");
    list = new_chain(2);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_slowly, NULL), 0);
    begin_cycle();
    POLL_UNTIL(u32_load_acquire(&gate.state) == GATE_TAKEN);
    open_when_i_come(STRESS_CALLBACK_AWAITED, &gate);
    CHECK_EQ(gc_root_callback_remove(visit_slowly, NULL), 0);
    CHECK_EQ(gate.state, GATE_OPEN);
    CHECK(has_returned);
    CHECK_EQ(gc_root_callback_remove(visit_slowly, NULL), -ENOENT);
    end_cycle();
    end_heap(heap);
}

/* An earlier one goes while a later one runs: those behind it are called all the same. */
TEST(a_callback_is_removed_while_another_runs)
{
    stage_set(0, "poison=2");
    list = new_chain(2);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_and_count, (void *)0), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_slowly, (void *)1), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_and_count, (void *)2), 0);
    begin_cycle();
    POLL_UNTIL(u32_load_acquire(&gate.state) == GATE_TAKEN);
    CHECK_EQ(u32_load_acquire(&called[2]), 0);
    CHECK_EQ(gc_root_callback_remove(visit_and_count, (void *)0), 0);
    gate_open(&gate);
    end_cycle();
    CHECK_EQ(u32_load_acquire(&called[2]), 1);
    CHECK(is_cell(list, 1));
    end_heap(heap);
}

/* ---- Cycles whose driver has no time ---- */

static void cut_list(struct actor *a)
{
    a->held[0] = gc_load(&list->next);
    gc_store(&list->next, NULL);
}

/* It leaves in the first draining, and in one that comes after a wave. */
TEST(a_driver_that_leaves_while_it_drains)
{
    enum { N = 40000 };
    struct actor cutter;
    stage_set(GC_NO_BACKGROUND, "poison=2");
    actor_start(&cutter);
    struct cell *stays = new_chain(N);
    GC_FRAME(stays);
    list = new_chain(N);
    CHECK_EQ(gc_root(&list), 0);
    seize_cycle();
    CHECK(!push_on());
    actor_do(&cutter, answer);
    CHECK(!push_on());
    actor_do(&cutter, answer);
    CHECK(!push_on());
    actor_do(&cutter, answer);
    actor_do(&cutter, cut_list);
    unsigned times = 0, flushed = 0;
    for (; !push_on(); times++) {
        CHECK(times < 100000);
        gc_safepoint();
        if (heap->mutators.epoch != cutter.self->epoch) {
            flushed += heap->mutators.step == STEP_FLUSH;
            actor_do(&cutter, answer);
        }
    }
    give_cycle_back();
    CHECK(times > 20);
    CHECK_EQ(flushed, 2);
    check_chain(stays, N);
    CHECK(is_cell(cutter.held[0], 2) && is_cell(cutter.held[0]->next, 3));
    cutter.held[1] = cutter.held[0];
    for (uint64_t id = 2; id <= N; id++, cutter.held[1] = cutter.held[1]->next)
        CHECK(is_cell(cutter.held[1], id));
    actor_end(&cutter);
    end_heap(heap);
}

/* What a weak map marks is grey in the hands of the driver, which has no time to scan it (I20). */
TEST(a_driver_that_leaves_after_a_weak_map)
{
    stage_set(GC_NO_BACKGROUND, "poison=2");
    struct cell *dies_not = new_cell(7);
    GC_FRAME(dies_not);
    gc_weakmap *values = gc_weakmap_new();
    CHECK_EQ(gc_weakmap_set(values, dies_not, new_chain(100)), 0);
    seize_cycle();
    push_to_the_end();
    give_cycle_back();
    sweep_finish(heap);
    check_chain(gc_weakmap_get(values, dies_not), 100);
    gc_weakmap_free(values);
    end_heap(heap);
}

/* A sweeper counts itself, and then looks whether sweeping is open: until it has looked no FLIP is
 * prepared (I13). */
static void *sweep_slowly(void *unused)
{
    stop_me(STRESS_SWEEP_ENTER, &gate);
    CHECK_EQ(sweep_one(heap), 0);
    return unused;
}

TEST(a_driver_that_leaves_for_a_sweeper)
{
    stage_set(GC_NO_BACKGROUND, "poison=2");
    list = new_chain(100);
    CHECK_EQ(gc_root(&list), 0);
    CHECK_EQ(gc_collect(), 0);
    seize_cycle();
    pthread_t sweeper = start_thread(sweep_slowly, NULL);
    gate_await(&gate);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(!push_on());
        gc_safepoint();
    }
    CHECK_EQ(heap->cycle->step, STEP_DISARM);
    gate_open(&gate);
    join_thread(sweeper);
    push_to_the_end();
    give_cycle_back();
    sweep_finish(heap);
    check_chain(list, 100);
    end_heap(heap);
}

/* One that is patient waits for the sweeper, which goes on when it does. */
TEST(a_patient_driver_waits_for_a_sweeper)
{
    stage_set(GC_NO_BACKGROUND, "poison");
    list = new_chain(100);
    CHECK_EQ(gc_root(&list), 0);
    CHECK_EQ(gc_collect(), 0);
    pthread_t sweeper = start_thread(sweep_slowly, NULL);
    gate_await(&gate);
    open_when_i_come(STRESS_SWEEP_AWAITED, &gate);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gate.state, GATE_OPEN);
    join_thread(sweeper);
    sweep_finish(heap);
    check_chain(list, 100);
    end_heap(heap);
}

static _Thread_local bool allocates;
static unsigned drives, disarms;
static pthread_t slow_sweeper;

/* When the first cycle is over, another one is late, and a sweeper will be in its way. */
static void meet_a_sweeper(enum stress_point point)
{
    stop_here(point);
    if (!allocates)
        return;
    if (point == STRESS_CYCLE_LEFT && drives++ == 0) {
        sweep_finish(heap);
        slow_sweeper = start_thread(sweep_slowly, NULL);
        gate_await(&gate);
        u32_store_release(&heap->background->wanted, heap->cycle->started + 1);
    } else if (point == STRESS_DISARMED) {
        CHECK(++disarms <= 2);
    } else if (point == STRESS_SWEEP_AWAITED) {
        gate_open(&gate);
    }
}

/* A thread that is far beyond the goal drives a cycle that is late. It is patient if it holds the
 * world: else nobody could go on. */
TEST(a_held_cycle_is_not_left)
{
    stage_set(GC_STOP_WORLD | GC_NO_BACKGROUND, "poison");
    stress_stop_set(meet_a_sweeper);
    list = new_chain(100);
    CHECK_EQ(gc_root(&list), 0);
    allocates = true;
    CHECK(gc_new_bytes((size_t)32 << 20));
    allocates = false;
    CHECK_EQ(gate.state, GATE_OPEN);
    join_thread(slow_sweeper);
    CHECK_EQ(drives, 2);
    CHECK(!cycle_is_left(heap->cycle));
    check_chain(list, 100);
    end_heap(heap);
}

/* ---- Forks ---- */

/* The background sweeps a span when the process forks. In the child it is swept. */
TEST(a_fork_in_the_middle_of_a_sweep)
{
    if (SLOW)
        SKIP("a child of a program with threads, in a sanitizer");
    stage_set(GC_FORK_SAFE, "poison=2");
    list = new_chain(10);
    CHECK_EQ(gc_root(&list), 0);
    weak = gc_weak_new(list); /* so that the background sweeps at once */
    stop_library(STRESS_SWEEP_SPAN, &gate);
    CHECK_EQ(gc_collect_start(), 0);
    POLL_UNTIL(u32_load_acquire(&gate.state) == GATE_TAKEN);
    open_when_i_come(STRESS_SWEEP_ENTER, &gate);
    pid_t child = fork();
    if (child == 0) {
        my_stop.gate = NULL;
        struct cell *last = list;
        while (last->next)
            last = last->next;
        gc_store(&last->next, new_cell(11));
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(gc_collect(), 0);
        check_chain(list, 11);
        CHECK_EQ(gc_heap_verify(), 0);
        _exit(0);
    }
    gate_open(&gate);
    join_child(child);
    gc_weak_free(weak);
    end_heap(heap);
}

static gc_fiber *fiber;
static void *slots[2], **top;

static void run_fiber(struct actor *a)
{
    CHECK((fiber = gc_fiber_create()));
    gc_fiber_switch(fiber);
    top = slots;
    CHECK_EQ(gc_thread_range(slots, &top), 0);
    *top++ = a->held[0];
    a->held[0] = NULL;
}
static void leave_fiber(struct actor *a)
{
    (void)a;
    gc_fiber_switch(NULL);
}

static void go_on_with_fiber(void)
{
    CHECK_EQ(gc_collect(), 0);
    errno = 0;
    gc_fiber_switch(fiber);
    CHECK_EQ(errno, 0);
    CHECK(is_cell(slots[0], 1));
    CHECK_EQ(gc_collect(), 0);
    CHECK(is_cell(((struct cell *)slots[0])->next, 2));
    gc_fiber_switch(NULL);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    CHECK_EQ(gc_heap_verify(), 0);
}

/* In the child the thread that ran a fiber is gone: the fiber is suspended, with what it has
 * rooted. */
TEST(a_fork_while_another_thread_runs_a_fiber)
{
    if (SLOW)
        SKIP("a child of a program with threads, in a sanitizer");
    struct actor runner;
    stage_set(GC_FORK_SAFE | GC_NO_BACKGROUND, "poison=2");
    actor_start(&runner);
    runner.held[0] = new_chain(2);
    actor_do(&runner, run_fiber);
    actor_tell(&runner, begin_blocking);
    pid_t child = fork();
    if (child == 0) {
        go_on_with_fiber();
        _exit(0);
    }
    join_child(child);
    actor_do(&runner, end_blocking);
    actor_do(&runner, leave_fiber);
    actor_end(&runner);
    go_on_with_fiber();
    end_heap(heap);
}

/* ---- Checks ---- */

/* A thread makes an object before its ROOTS and is then blocked by a call that is no safepoint. The
 * object dies, and its memory is no object's when the next cycle begins with a look. */
TEST(a_fresh_object_dies_before_the_next_look)
{
    static struct gate armed;
    static struct cell *kept;
    stage_set(0, "stores");
    CHECK_EQ(gc_root(&kept), 0);
    gc_store(&kept, new_chain(2000)); /* so that the next look is not due at once */
    stop_library(STRESS_PUBLISHED, &armed);
    CHECK_EQ(gc_blocking_begin(), 0);
    begin_cycle();
    gate_await(&armed);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK(gc_new_array(&gc_pointer_type, 10000));
    CHECK_EQ(gc_thread_switch(NULL), 0);
    gate_open(&armed);
    end_cycle();
    join_thread(start_thread(drive, heap));
    CHECK_EQ(gc_thread_switch(heap), 0);
    check_chain(kept, 2000);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
