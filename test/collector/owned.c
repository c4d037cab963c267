/* Fibers that belong to objects: coroutines that die when nobody can reach them (I57). */
#include "actors.h"
#include "build.h"
#include "collector/ephemeron.h"
#include "log.h"

/* ---- Coroutines, as a VM has them ---- */

struct state {
    gc_fiber *fiber;
    void *slots[2], **top; /* its roots */
};
struct routine {
    struct routine *next;
    struct state *state; /* its own, off the heap */
};
static GC_TYPE(routine_type, struct routine, next);

static size_t ended;            /* whose cleanups have run */
static struct state *last_made; /* reachable for LeakSanitizer if its cleanup never runs */

/* Nobody can go on in a dead coroutine. */
static void end_state(void *arg)
{
    struct state *s = arg;
    gc_fiber *before = gc_fiber_current();
    CHECK(gc_fiber_switch(s->fiber) == before);
    CHECK_EQ(errno, EINVAL);
    CHECK(gc_fiber_current() == before);
    CHECK_EQ(gc_fiber_destroy(s->fiber), 0);
    free(s);
    ended++;
}

static void resume(const struct routine *r)
{
    gc_fiber_switch(r->state->fiber);
    CHECK_EQ(errno, 0);
}
static void yield(void)
{
    gc_fiber_switch(NULL);
    CHECK_EQ(errno, 0);
}

static struct routine *new_routine(void)
{
    struct routine *r = gc_new(&routine_type);
    GC_FRAME(r);
    struct state *s = calloc(1, sizeof *s);
    CHECK(r && s);
    r->state = last_made = s;
    s->top = s->slots;
    CHECK((s->fiber = gc_fiber_create_for(r)));
    CHECK(gc_cleanup_add(r, end_state, s) > 0);
    resume(r);
    CHECK_EQ(gc_thread_range(s->slots, &s->top), 0);
    *s->top++ = NULL;
    *s->top++ = NULL;
    yield();
    return r;
}

/* It has the reference in its roots from now on. */
static void put(const struct routine *r, void *value)
{
    struct state *s = r->state;
    resume(r);
    s->slots[0] = value;
    yield();
}
static void *take(const struct routine *r)
{
    struct state *s = r->state;
    resume(r);
    void *value = s->slots[0];
    s->slots[0] = NULL;
    yield();
    return value;
}

static size_t collect_and_count(void)
{
    ended = 0;
    CHECK_EQ(gc_collect(), 0);
    gc_finalizers_run(0);
    return ended;
}

static void make(unsigned flags)
{
    stage_set(flags, "poison=2,checkmark,verify");
}

/* For a cycle that waits for threads. */
static void make_stage(void)
{
    stage_set(0, "poison=2");
}

static struct routine *routine; /* a global that is rooted, or a hint */

/* ---- Who lives, who dies ---- */

static void reachable(unsigned flags)
{
    make(flags);
    struct routine *r = new_routine();
    GC_FRAME(r);
    put(r, new_chain(3));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(collect_and_count(), 0);
        check_chain(r->state->slots[0], 3);
    }
    check_chain(take(r), 3);
    r = NULL;
    CHECK_EQ(collect_and_count(), 1);
    end_heap(heap);
}
TEST_EACH_WAY(reachable)

static void unreachable(unsigned flags)
{
    make(flags);
    struct routine *r = new_routine();
    struct cell *c = new_cell(1);
    GC_FRAME(r, c);
    gc_weak *weak = gc_weak_new(c);
    put(r, c);
    c = NULL;
    CHECK_EQ(collect_and_count(), 0);
    CHECK(gc_weak_get(weak));
    r = NULL;
    CHECK_EQ(collect_and_count(), 1);
    CHECK(!gc_weak_get(weak));
    gc_weak_free(weak);
    end_heap(heap);
}
TEST_EACH_WAY(unreachable)

static void refers_to_itself(unsigned flags)
{
    make(flags);
    struct routine *r = new_routine();
    GC_FRAME(r);
    put(r, r);
    CHECK_EQ(collect_and_count(), 0);
    CHECK(take(r) == r);
    put(r, r);
    r = NULL;
    CHECK_EQ(collect_and_count(), 1);
    end_heap(heap);
}
TEST_EACH_WAY(refers_to_itself)
TEST(refers_to_itself_among_all)
{
    refers_to_itself(GC_FINALIZE_ALL);
}

/* Each is held by the one before, in its roots alone. The first is held by the last, too. */
static void chain(unsigned flags)
{
    enum { N = 1000 };
    make(flags);
    struct routine *first = new_routine(), *last = NULL, *r = NULL;
    GC_FRAME(first, last, r);
    last = first;
    for (int i = 1; i < N; i++) {
        r = new_routine();
        put(last, r);
        last = r;
    }
    put(last, first);
    last = r = NULL;
    CHECK_EQ(collect_and_count(), 0);
    int n = 1;
    for (r = first->state->slots[0]; r != first; r = r->state->slots[0])
        n++;
    CHECK_EQ(n, N);
    r = first->state->slots[0];
    first = NULL;
    CHECK_EQ(collect_and_count(), 0);
    r = NULL;
    CHECK_EQ(collect_and_count(), N);
    end_heap(heap);
}
TEST_EACH_WAY(chain)

/* Some of many on one thread are dropped. Those whose fibers are destroyed before are no coroutines
 * any more when they die. */
static void many(unsigned flags)
{
    enum { N = 3000 };
    make(flags);
    struct routine *all = NULL, *r = NULL;
    GC_FRAME(all, r);
    for (uint64_t i = 0; i < N; i++) {
        r = new_routine();
        put(r, new_cell(i));
        if (i % 3 == 0)
            put(r, r);
        if (i % 3 == 1)
            gc_store(&r->next, all);
        if (i % 3 == 1)
            all = r;
    }
    r = NULL;
    CHECK_EQ(collect_and_count(), N / 3 * 2);
    uint64_t i = N - 2;
    for (r = all; r; r = r->next, i -= 3)
        CHECK(is_cell(r->state->slots[0], i));
    all = NULL;
    CHECK_EQ(collect_and_count(), N / 3);
    end_heap(heap);
}
TEST_EACH_WAY(many)

/* A thread keeps the owner of the fiber that it runs. */
static void running(unsigned flags)
{
    make(flags);
    struct routine *r = new_routine();
    GC_FRAME(r);
    gc_weak *weak = gc_weak_new(r);
    struct state *s = r->state;
    r = NULL;
    gc_fiber_switch(s->fiber);
    s->slots[0] = new_chain(2);
    CHECK_EQ(collect_and_count(), 0);
    CHECK(gc_weak_get(weak));
    check_chain(s->slots[0], 2);
    CHECK_EQ(gc_fiber_destroy(s->fiber), -EBUSY);
    yield();
    CHECK_EQ(collect_and_count(), 1);
    CHECK(!gc_weak_get(weak));
    gc_weak_free(weak);
    end_heap(heap);
}
TEST_EACH_WAY(running)
TEST(running_among_all)
{
    running(GC_FINALIZE_ALL);
}

/* Words of its C stack count, too. */
static void with_a_stack(unsigned flags)
{
    make(flags | GC_STACK_CONSERVATIVE);
    gc_thread_scan_stack(false);
    void **stack = calloc(100, sizeof *stack);
    struct routine *r = new_routine();
    GC_FRAME(r);
    CHECK_EQ(gc_fiber_stack(r->state->fiber, stack, stack + 100), 0);
    stack[50] = new_chain(2);
    stack[51] = r;
    CHECK_EQ(collect_and_count(), 0);
    check_chain(stack[50], 2);
    r = NULL;
    CHECK_EQ(collect_and_count(), 1);
    memset(stack, 0, 100 * sizeof *stack);
    free(stack);
    end_heap(heap);
}
TEST_EACH_WAY(with_a_stack)

/* The coroutine is dead before the finalizer of its owner is queued. */
static struct state *finalized;
static void finalize(void *object, void *unused)
{
    struct routine *r = object;
    (void)unused;
    finalized = r->state;
    gc_fiber_switch(finalized->fiber);
    CHECK_EQ(errno, EINVAL);
    gc_store(&routine, r);
}

static void owner_with_a_finalizer(unsigned flags)
{
    make(flags);
    CHECK_EQ(gc_root(&routine), 0);
    struct routine *r = new_routine();
    GC_FRAME(r);
    CHECK_EQ(gc_finalizer_set(r, finalize, NULL), 0);
    put(r, r);
    r = NULL;
    CHECK_EQ(collect_and_count(), 0);
    CHECK(finalized && routine && routine->state == finalized);
    CHECK_EQ(collect_and_count(), 0);
    gc_store(&routine, NULL);
    CHECK_EQ(collect_and_count(), 1);
    end_heap(heap);
}
TEST_EACH_WAY(owner_with_a_finalizer)
TEST(owner_with_a_finalizer_among_all)
{
    owner_with_a_finalizer(GC_FINALIZE_ALL);
}

static void destroyed_early(unsigned flags)
{
    make(flags);
    struct routine *r = gc_new(&routine_type);
    struct cell *c = NULL;
    GC_FRAME(r, c);
    gc_fiber *fiber = gc_fiber_create_for(r), *other = gc_fiber_create_for(r);
    CHECK(fiber && other);
    c = new_cell(1);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK(!gc_fiber_switch(other) && !errno);
    CHECK(gc_fiber_switch(NULL) == other);
    CHECK_EQ(gc_fiber_destroy(other), 0);
    end_heap(heap);
}
TEST_EACH_WAY(destroyed_early)

/* The heap ends with coroutines of all kinds. */
static void heap_destroyed(unsigned flags)
{
    make(flags);
    struct state *states[3];
    struct routine *r = new_routine();
    GC_FRAME(r);
    put(r, r);
    states[0] = r->state;
    states[1] = new_routine()->state; /* it is found dead, but not destroyed */
    CHECK_EQ(gc_collect(), 0);
    states[2] = new_routine()->state;
    resume(r);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        free(states[i]);
}
TEST_EACH_WAY(heap_destroyed)

/* A finalizer is not back in the fiber in which it was called, and nobody can go on in that one:
 * who waits must be reachable. There is no way back to the code that called it. */
static void leave_for_good(void *object, void *arg)
{
    (void)object, (void)arg;
    yield();
    CHECK_EQ(gc_collect(), 0);
}

/* The cleanup of the owner destroys the fiber. */
static void leave_and_clean_up(void *object, void *arg)
{
    leave_for_good(object, arg);
    CHECK(gc_finalizers_run(0) > 0);
}

/* A new fiber gets the place of the old one, if malloc() plays along, but not its frames. The first
 * ones that are freed fill a cache from which calloc() takes nothing. */
static void replace_fiber(void *object, void *arg)
{
    gc_fiber *spare[16], *fiber = gc_fiber_switch(NULL), *fresh = NULL;
    (void)object, (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(spare); i++)
        spare[i] = gc_fiber_create();
    for (size_t i = 0; i < ARRAY_LEN(spare); i++)
        CHECK_EQ(gc_fiber_destroy(spare[i]), 0);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    for (int i = 0; i < 100 && fresh != fiber; i++)
        fresh = gc_fiber_create();
    gc_fiber_switch(fresh);
}

static gc_fiber *handed_over;
static atomic_bool is_taken;

static void *take_fiber(void *unused)
{
    (void)unused;
    CHECK_EQ(gc_thread_attach(heap), 0);
    gc_fiber_switch(handed_over);
    is_taken = true;
    for (;;)
        pause();
    return NULL;
}

static void hand_fiber_over(void *object, void *arg)
{
    pthread_t thread;
    (void)object, (void)arg;
    handed_over = gc_fiber_switch(NULL);
    CHECK_EQ(pthread_create(&thread, NULL, take_fiber, NULL), 0);
    while (!is_taken)
        gc_safepoint();
}

static void make_with_finalizer(gc_finalizer_fn fn)
{
    heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND, .log = keep_line});
    CHECK(heap);
    CHECK_EQ(gc_finalizer_set(gc_new(&routine_type), fn, NULL), 0);
}

static void finalize_in_a_routine(gc_finalizer_fn fn)
{
    make_with_finalizer(fn);
    resume(new_routine());
    CHECK_EQ(gc_collect(), 0);
    gc_finalizers_run(0);
}

static void finalize_in_a_fiber(gc_finalizer_fn fn)
{
    make_with_finalizer(fn);
    CHECK_EQ(gc_collect(), 0);
    gc_fiber_switch(gc_fiber_create());
    gc_finalizers_run(0);
}

TEST(a_finalizer_whose_fiber_is_gone)
{
    EXPECT_ABORT("has returned in another fiber", finalize_in_a_routine(leave_for_good));
    EXPECT_ABORT("cannot be resumed: its owner is dead", finalize_in_a_routine(leave_for_good));
    EXPECT_ABORT("keep its owner in a root", finalize_in_a_routine(leave_for_good));
    EXPECT_ABORT("cannot be resumed: it was destroyed", finalize_in_a_routine(leave_and_clean_up));
    EXPECT_ABORT("cannot be resumed: it was destroyed", finalize_in_a_fiber(replace_fiber));
    EXPECT_ABORT("cannot be resumed: another thread runs it", finalize_in_a_fiber(hand_fiber_over));
}

TEST(refused)
{
    static long outside;
    make(0);
    CHECK_REFUSED(gc_fiber_create_for(NULL), EINVAL);
    CHECK_REFUSED(gc_fiber_create_for(&outside), EINVAL);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    CHECK_REFUSED(gc_fiber_create_for(&c->id), EINVAL);
    size_t before = records(heap);
    gc_fiber *fiber = gc_fiber_create_for(c);
    CHECK(fiber);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(records(heap), before);
    end_heap(heap);
}

TEST(forked)
{
    if (SLOW)
        SKIP("a child of a program with threads, in a sanitizer");
    make(GC_FORK_SAFE);
    struct routine *r = new_routine();
    GC_FRAME(r);
    put(r, new_chain(3));
    put(new_routine(), r);
    pid_t child = fork();
    CHECK_EQ(collect_and_count(), 1);
    check_chain(take(r), 3);
    put(r, r);
    r = NULL;
    CHECK_EQ(collect_and_count(), 1);
    CHECK_EQ(gc_heap_verify(), 0);
    if (child == 0)
        _exit(0);
    join_child(child);
    end_heap(heap);
}

/* ---- Resumed while the collector is on its way ---- */

static void make_holder(struct actor *a)
{
    struct routine *r = new_routine();
    put(r, a->held[0]);
    a->held[0] = (void *)r;
}
static void take_all(struct actor *a)
{
    a->held[0] = take((void *)a->held[0]);
}
static void take_and_put(struct actor *a)
{
    const struct routine *r = (void *)a->held[0];
    put(r, take(r));
}

/* The actor holds a coroutine, and the coroutine cells 1 and 2. */
static void begin_with_holder(struct actor *a)
{
    make_stage();
    actor_start(a);
    a->held[0] = new_chain(2);
    actor_do(a, make_holder);
}

/* In each phase of the thread, a reference is taken out and put back; and in the next cycle. */
TEST(resumed_in_each_phase)
{
    static const enum step steps[] = {STEP_ARM,   STEP_SETTLE, STEP_ROOTS,
                                      STEP_FLUSH, STEP_DISARM, STEP_FLIP};
    make_stage();
    struct routine *r = new_routine();
    GC_FRAME(r);
    put(r, new_chain(3));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        begin_cycle();
        answer_until(steps[i]);
        put(r, take(r));
        gc_safepoint();
        put(r, take(r));
        end_cycle();
        CHECK_EQ(collect_and_count(), 0);
        check_chain(r->state->slots[0], 3);
    }
    r = NULL;
    CHECK_EQ(collect_and_count(), 1);
    end_heap(heap);
}

/* A thread past its ROOTS takes out what nobody has scanned. */
TEST(resumed_before_it_is_scanned)
{
    struct actor runner;
    begin_with_holder(&runner);
    go_past_roots(&runner, 1);
    actor_do(&runner, take_all);
    all_answer_and_end(&runner, 1);
    end_with_pair(&runner, 1, &runner);
}

/* A thread before its ROOTS suspends it, whoever has scanned it before. */
TEST(suspended_before_roots)
{
    struct actor actors[2], *black = &actors[0], *grey = &actors[1];
    begin_with_holder(grey);
    actor_start(black);
    go_to_roots(actors, 2);
    black->held[0] = grey->held[0];
    actor_do(black, answer);
    actor_do(black, take_and_put);
    actor_do(grey, take_and_put);
    actor_do(grey, answer);
    all_answer_and_end(actors, 2);
    actor_do(grey, take_all);
    black->held[0] = NULL;
    end_with_pair(actors, 2, grey);
}

/* The owner was born black, so nobody comes to it; a thread before its ROOTS puts into its roots
 * what nothing else holds. */
static void make_routine(struct actor *a)
{
    a->held[0] = (void *)new_routine();
}
static void put_pair(struct actor *a)
{
    put((void *)a->held[0], a->held[1]);
    a->held[1] = NULL;
}

TEST(filled_before_roots_of_a_black_owner)
{
    struct actor actors[2], *black = &actors[0], *grey = &actors[1];
    make_stage();
    actors_start(actors, 2);
    grey->held[1] = new_chain(2);
    go_to_roots(actors, 2);
    actor_do(black, answer);
    actor_do(black, make_routine);
    grey->held[0] = black->held[0];
    actor_do(grey, put_pair);
    grey->held[0] = NULL;
    actor_do(grey, answer);
    all_answer_and_end(actors, 2);
    actor_do(black, take_all);
    end_with_pair(actors, 2, black);
}

/* ---- Owners that only weak references lead to ---- */

static gc_weak *weak, *other_weak;
static struct gate gate, next_gate;

static void get_weak(struct actor *a)
{
    a->held[1] = gc_weak_get(weak);
    CHECK(a->held[1]);
}

static void forget_routine(struct actor *a)
{
    CHECK((weak = gc_weak_new(a->held[0])));
    a->held[0] = NULL;
}

static void take_from_revived(struct actor *a)
{
    a->held[0] = take((void *)a->held[1]);
}

/* A weak read revives an owner when all else is marked. Its coroutine's roots wait for it in the
 * index, with an entry of a weak map. */
TEST(revived_in_the_last_wave)
{
    struct actor reader;
    begin_with_holder(&reader);
    gc_weakmap *map = gc_weakmap_new();
    {
        struct cell *key = new_cell(3);
        GC_FRAME(key);
        CHECK_EQ(gc_weakmap_set(map, key, new_cell(4)), 0);
    }
    actor_do(&reader, forget_routine);
    go_to_flush(&reader, 1);
    actor_do(&reader, get_weak);
    all_answer_and_end(&reader, 1);
    actor_do(&reader, take_from_revived);
    CHECK_EQ(gc_weakmap_count(map), 0);
    gc_weakmap_free(map);
    gc_weak_free(weak);
    end_with_pair(&reader, 1, &reader);
}

/* … or it is resumed at once, without a reference to its owner: that is a weak read, too. */
static struct state *state;
static void note_state(struct actor *a)
{
    state = ((struct routine *)(void *)a->held[0])->state;
    a->held[0] = NULL;
}
static void take_from_state(struct actor *a)
{
    gc_fiber_switch(state->fiber);
    CHECK_EQ(errno, 0);
    void *value = state->slots[0];
    state->slots[0] = NULL;
    yield();
    a->held[0] = value;
}
TEST(resumed_in_the_last_wave)
{
    struct actor runner;
    begin_with_holder(&runner);
    actor_do(&runner, note_state);
    go_to_flush(&runner, 1);
    actor_do(&runner, take_from_state);
    all_answer_and_end(&runner, 1);
    end_with_pair(&runner, 1, &runner);
}

static void fail_to_resume(struct actor *a)
{
    (void)a;
    CHECK(!gc_fiber_switch(state->fiber));
    CHECK_EQ(errno, EINVAL);
}

/* Everybody has answered all, up to the question for DISARM. */
static void go_to_disarm(struct actor *a)
{
    begin_cycle();
    for (enum step step = STEP_ARM; step != STEP_DISARM; step = asked()) {
        all_answer(a, 1, step);
        WAIT_UNTIL(asked() != ASKED_NOTHING);
    }
}

/* After the cut the owner is dead, before and after its span is swept. */
TEST(resumed_after_the_cut)
{
    struct actor runner;
    begin_with_holder(&runner);
    actor_do(&runner, note_state);
    go_to_disarm(&runner);
    actor_do(&runner, fail_to_resume);
    all_answer(&runner, 1, STEP_DISARM);
    await_question(STEP_FLIP);
    actor_do(&runner, fail_to_resume);
    all_answer_and_end(&runner, 1);
    actor_do(&runner, fail_to_resume);
    gc_finalizers_run(0);
    CHECK_EQ(ended, 1);
    actor_end(&runner);
    end_heap(heap);
}

/* Of a dead owner the fiber is destroyed; what it held is not revived. */
static void destroy_fiber(struct actor *a)
{
    (void)a;
    CHECK_EQ(gc_fiber_destroy(state->fiber), 0);
}
static void make_bare_holder(struct actor *a)
{
    struct routine *r = gc_new(&routine_type);
    GC_FRAME(r);
    CHECK((state = calloc(1, sizeof *state)));
    state->top = state->slots;
    CHECK((state->fiber = gc_fiber_create_for(r)));
    gc_fiber_switch(state->fiber);
    CHECK_EQ(gc_thread_range(state->slots, &state->top), 0);
    *state->top++ = new_cell(1);
    yield();
    a->held[0] = (void *)r;
}
TEST(destroyed_after_the_cut)
{
    struct actor runner;
    make_stage();
    actor_start(&runner);
    actor_do(&runner, make_bare_holder);
    gc_weak *content = gc_weak_new(state->slots[0]);
    runner.held[0] = NULL;
    go_to_disarm(&runner);
    actor_do(&runner, destroy_fiber);
    all_answer_and_end(&runner, 1);
    CHECK(!gc_weak_get(content));
    gc_weak_free(content);
    free(state);
    actor_end(&runner);
    end_heap(heap);
}

/* A fiber is destroyed while its owner, which is unmarked, has it in the index of what waits; then
 * the owner is marked. */
static void destroy_weakly_held(struct actor *a)
{
    a->held[1] = gc_weak_get(weak);
    CHECK_EQ(gc_fiber_destroy(state->fiber), 0);
}
TEST(destroyed_while_its_owner_waits)
{
    struct actor reader;
    make_stage();
    actor_start(&reader);
    actor_do(&reader, make_bare_holder);
    actor_do(&reader, forget_routine);
    go_to_flush(&reader, 1);
    CHECK(heap->ephemerons->heads);
    actor_do(&reader, destroy_weakly_held);
    CHECK(heap->dead_fibers == state->fiber);
    all_answer_and_end(&reader, 1);
    CHECK(!heap->dead_fibers);
    gc_weak_free(weak);
    free(state);
    actor_end(&reader);
    end_heap(heap);
}

/* An owner without references is marked in a wave that is clean even so: by a thread that found
 * that another had announced a weak read. Then a thread takes the fiber, before the collector looks
 * whether the owner is marked. The deaths must not be decided before that thread has scanned the
 * fiber. */
static GC_TYPE_NOPTR(leaf_type, long);

static void make_leaves(struct actor *a)
{
    void *owner = gc_new(&leaf_type), *other = gc_new(&leaf_type);
    GC_FRAME(owner, other);
    CHECK((weak = gc_weak_new(owner)) && (other_weak = gc_weak_new(other)));
    CHECK((state = calloc(1, sizeof *state)));
    state->top = state->slots;
    CHECK((state->fiber = gc_fiber_create_for(owner)));
    gc_fiber_switch(state->fiber);
    CHECK_EQ(gc_thread_range(state->slots, &state->top), 0);
    *state->top++ = a->held[0];
    yield();
    a->held[0] = NULL;
}
static void get_other(struct actor *a)
{
    a->held[2] = gc_weak_get(other_weak);
}
static void get_slowly(struct actor *a)
{
    stop_me(STRESS_WEAK_GET, &gate);
    get_weak(a);
}
static void take_slowly(struct actor *a)
{
    stop_me(STRESS_FIBER_TAKEN, &next_gate);
    take_from_state(a);
}

TEST(taken_before_the_cut)
{
    struct actor actors[2], *reader = &actors[0], *other = &actors[1];
    make_stage();
    actors_start(actors, 2);
    reader->held[0] = new_chain(2);
    actor_do(reader, make_leaves);
    go_to_flush(actors, 2);
    actors_answer(actors, 2);
    actor_do(other, get_other);
    actor_tell(reader, get_slowly);
    gate_await(&gate);
    answer(NULL); /* the cut fails, as a read was announced */
    await_question(STEP_FLUSH);
    gate_open(&gate);
    actors_answer(actors, 2);
    actor_tell(reader, take_slowly);
    gate_await(&next_gate);
    answer(NULL);
    WAIT_UNTIL(asked() != ASKED_NOTHING);
    CHECK_EQ(asked(), STEP_FLUSH);
    gate_open(&next_gate);
    actor_await(reader);
    all_answer_and_end(actors, 2);
    CHECK_EQ(gc_fiber_destroy(state->fiber), 0);
    gc_weak_free(weak);
    gc_weak_free(other_weak);
    free(state);
    end_with_pair(actors, 2, reader);
}

TAP_MAIN
