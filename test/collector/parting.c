/* GC_FINALIZE_ALL: all that dies in a cycle is finalized in it. And finalizers at the end of a VM.
 */
#include "actors.h"
#include "build.h"
#include "collector/weak.h"
#include "random.h"

/* The ids of what was finalized, in order. */
enum { RAN = 1000 };
static uint64_t ran[RAN];
static size_t nran;

static void note(void *object, void *arg)
{
    struct cell *c = object;
    (void)arg;
    CHECK(c->magic == MAGIC);
    if (c->next) /* what it refers to is intact */
        CHECK(c->next->magic == MAGIC);
    CHECK(nran < RAN);
    ran[nran++] = c->id;
}

static void let_it_run(void (*fn)(void *, void *), struct cell *c)
{
    CHECK_EQ(gc_finalizer_set(c, fn, NULL), 0);
}

/* ---- Chains and circles ---- */

/* Of every other cell the finalizer is set; all are in a circle. */
static void a_circle(unsigned flags)
{
    enum { N = 100 };
    heap = new_heap(flags | GC_FINALIZE_ALL);
    struct cell *first = NULL, *last = NULL;
    GC_FRAME(first, last);
    first = new_chain(N);
    for (last = first;; last = last->next) {
        if (last->id % 2)
            let_it_run(note, last);
        if (!last->next)
            break;
    }
    gc_store(&last->next, first);
    nran = 0;
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 0);
    first = last = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), N / 2);
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), N / 2);
    for (size_t i = 0; i < N / 2; i++)
        CHECK_EQ(ran[i], N - 1 - 2 * i);
    size_t live = stats_now().heap_live;
    gc_collect();
    CHECK(stats_now().heap_live <= live && gc_finalizers_pending() == 0);
    CHECK_EQ(records(heap), 0);
    end_heap(heap);
}

TEST_EACH_WAY(a_circle)

/* Set in disorder, on many spans: what was set last comes first. */
TEST(many_in_order)
{
    enum { N = 900 };
    heap = new_heap(GC_FINALIZE_ALL);
    struct cell **all = gc_new_array(&gc_pointer_type, N);
    uint64_t random = 1, expected[N];
    GC_FRAME(all);
    for (size_t i = 0; i < N; i++)
        gc_store(&all[i], new_cell(i));
    for (size_t i = N; i > 0; i--) {
        size_t j = (size_t)random_below(&random, i);
        struct cell *c = all[j];
        gc_store(&all[j], all[i - 1]);
        gc_store(&all[i - 1], c);
        let_it_run(note, c);
        expected[i - 1] = c->id;
    }
    all = NULL;
    nran = 0;
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), N);
    for (size_t i = 0; i < N; i++)
        CHECK_EQ(ran[i], expected[i]);
    end_heap(heap);
}

/* ---- Coming back ---- */

static struct cell *back; /* rooted */

static void come_back(void *object, void *arg)
{
    note(object, arg);
    gc_store(&back, object);
}

static void resurrection(unsigned flags)
{
    heap = new_heap(flags | GC_FINALIZE_ALL);
    CHECK_EQ(gc_root(&back), 0);
    nran = 0;
    for (int times = 1; times <= 3; times++) {
        if (times == 1)
            gc_store(&back, new_chain(3));
        let_it_run(come_back, back);
        gc_store(&back, NULL);
        gc_collect();
        CHECK_EQ(gc_finalizers_run(0), 1);
        gc_collect();
        check_chain(back, 3);
    }
    gc_weak *weak = gc_weak_new(back);
    gc_store(&back, NULL);
    gc_collect();
    CHECK(!gc_weak_get(weak) && gc_finalizers_pending() == 0);
    gc_weak_free(weak);
    end_heap(heap);
}

TEST_EACH_WAY(resurrection)

/* ---- Weak references ---- */

static gc_weak *weak, *weak_next, *weak_again;
static gc_weakmap *map;
static gc_intern *table;

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
static void *make_cell(const void *text, size_t size, void *arg)
{
    (void)text, (void)size, (void)arg;
    return new_cell(7);
}

static void look_around(void *object, void *arg)
{
    struct cell *c = object;
    CHECK(!gc_weak_get(weak) && !gc_weak_get(weak_next));
    CHECK(is_cell(gc_weakmap_get(map, c->next), 3));
    CHECK(gc_intern_get(table, "", 0, NULL) == c->next);
    CHECK((weak_again = gc_weak_new(c)) && gc_weak_get(weak_again) == c);
    come_back(object, arg);
}

/* Weak references are gone before a finalizer runs. What it reaches is still the one of its
 * content, and has its entries in maps. */
static void weak_references(unsigned flags)
{
    heap = new_heap(flags | GC_FINALIZE_ALL);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    CHECK_EQ(gc_root(&back), 0);
    map = gc_weakmap_new();
    table = gc_intern_new(&(struct gc_intern_ops){hash_nothing, equal_always, make_cell});
    gc_store(&c->next, gc_intern_get(table, "", 0, NULL));
    weak = gc_weak_new(c);
    weak_next = gc_weak_new(c->next);
    CHECK_EQ(gc_weakmap_set(map, c->next, new_cell(3)), 0);
    let_it_run(look_around, c);
    c = NULL;
    nran = 0;
    gc_collect();
    gc_finalizers_run(0);
    CHECK_EQ(nran, 1);
    gc_collect();
    CHECK(is_cell(back, 1) && gc_weak_get(weak_again) == back);
    gc_store(&back, NULL);
    gc_collect();
    CHECK(!gc_weak_get(weak_again));
    CHECK(gc_weakmap_count(map) == 0 && gc_intern_count(table) == 0);
    end_heap(heap);
}

TEST_EACH_WAY(weak_references)

/* ---- The end of a VM ---- */

TEST(queue_all)
{
    heap = new_heap(0);
    struct cell *list = new_chain(5);
    GC_FRAME(list);
    for (struct cell *c = list; c; c = c->next)
        let_it_run(note, c);
    CHECK_EQ(gc_finalizer_set(list->next, NULL, NULL), 0);
    nran = 0;
    CHECK_EQ(gc_finalizers_queue_all(), 4);
    CHECK_EQ(gc_finalizers_queue_all(), 0);
    CHECK_EQ(gc_finalizers_pending(), 4);
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 4);
    CHECK(ran[0] == 5 && ran[1] == 4 && ran[2] == 3 && ran[3] == 1);
    check_chain(list, 5);
    end_heap(heap);
}

/* ---- Threads ---- */

static struct gate gate, second_gate;

static void get(struct actor *a)
{
    a->held[0] = gc_weak_get(weak);
}
static void get_and_open(struct actor *a)
{
    open_when_i_come(STRESS_WEAK_PARTING, &gate);
    get(a);
}
static void get_slowly(struct actor *a)
{
    stop_me(STRESS_WEAK_UNMARKED, &second_gate);
    get(a);
}

/* Up to the wave after which the dead are found. */
static void go_to_parting(struct actor *reader)
{
    nran = 0;
    stage_set(GC_FINALIZE_ALL, "poison=2");
    actor_start(reader);
    weak = gc_weak_new(new_cell(1));
    let_it_run(note, gc_weak_get(weak));
}

static void end_with_one_dead(struct actor *reader)
{
    all_end(reader, 1);
    CHECK(!reader->held[0] && !gc_weak_get(weak));
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK_EQ(nran, 1);
    actor_end(reader);
    end_heap(heap);
}

/* A reader waits while they are found. */
TEST(read_while_the_dead_are_found)
{
    struct actor reader;
    go_to_parting(&reader);
    begin_cycle_and_stop(STRESS_WEAK_PARTED, &gate);
    answer_up_to_roots(&reader, 1);
    actors_answer(&reader, 1);
    answer(NULL);
    all_answer(&reader, 1, STEP_FLUSH);
    gate_await(&gate);
    actor_do(&reader, get_and_open);
    end_with_one_dead(&reader);
}

/* It has found the object unmarked before, and sees it marked afterwards. */
TEST(read_across)
{
    struct actor reader;
    go_to_parting(&reader);
    begin_cycle();
    answer_up_to_roots(&reader, 1);
    actors_answer(&reader, 1);
    answer(NULL);
    await_question(STEP_FLUSH);
    actor_do(&reader, answer);
    actor_tell(&reader, get_slowly);
    gate_await(&second_gate);
    answer(NULL);
    await_question(STEP_FLUSH);
    gate_open(&second_gate);
    actor_await(&reader);
    end_with_one_dead(&reader);
}

/* The same with a weak slot. */
struct ref {
    void *slot;
};
static void trace_ref(void *object, gc_tracer *tracer)
{
    gc_trace_weak(tracer, object, 1, sizeof(void *), NULL);
}
static gc_type ref_type = {.size = sizeof(struct ref), .name = "ref", .trace = trace_ref};
static struct ref *ref; /* rooted */

static void load_slowly(struct actor *a)
{
    stop_me(STRESS_WEAK_UNMARKED, &second_gate);
    a->held[0] = gc_load_weak(&ref->slot);
}

TEST(slot_read_across)
{
    struct actor reader;
    go_to_parting(&reader);
    CHECK_EQ(gc_root(&ref), 0);
    gc_store(&ref, gc_new(&ref_type));
    gc_store_weak(&ref->slot, gc_weak_get(weak));
    begin_cycle();
    answer_up_to_roots(&reader, 1);
    actors_answer(&reader, 1);
    answer(NULL);
    await_question(STEP_FLUSH);
    actor_do(&reader, answer);
    actor_tell(&reader, load_slowly);
    gate_await(&second_gate);
    answer(NULL);
    await_question(STEP_FLUSH);
    gate_open(&second_gate);
    actor_await(&reader);
    CHECK(!ref->slot);
    end_with_one_dead(&reader);
}

/* ---- A crowd ---- */

static atomic_size_t set, finalized;

static void count(void *object, void *arg)
{
    const struct cell *c = object;
    (void)arg;
    CHECK(c->magic == MAGIC);
    for (unsigned i = 0; i < 20 && (c = gc_load(&c->next)); i++)
        CHECK(c->magic == MAGIC);
    finalized++;
}

/* Chains and circles of up to eight, some of whose cells have finalizers. */
static void make_some(uint64_t *random)
{
    struct cell *first = NULL, *last = NULL, *c = NULL;
    GC_FRAME(first, last, c);
    for (size_t n = 1 + random_below(random, 8); n > 0; n--) {
        c = new_cell(n);
        push_cell(&first, c);
        if (!last)
            last = c;
        if (random_one_in(random, 2)) {
            let_it_run(count, c);
            set++;
        }
    }
    if (random_one_in(random, 2))
        gc_store(&last->next, first);
    gc_weak *w = gc_weak_new(first);
    first = NULL;
    c = gc_weak_get(w);
    if (c)
        CHECK(c->magic == MAGIC);
    gc_weak_free(w);
}

static void make_and_run(void)
{
    uint64_t random = crowd_number + 1;
    while (!crowd.stop) {
        if (crowd_may_step()) {
            make_some(&random);
            gc_finalizers_run(3);
        }
    }
}

static void a_crowd(unsigned flags)
{
    crowd_heap("poison=2,verify,checkmark", flags | GC_FINALIZE_ALL, CROWD);
    crowd_start(4, make_and_run);
    crowd_collect(100 / SCALE, 1000);
    crowd_stop();
    for (int i = 0; i < 3; i++) {
        gc_collect();
        gc_finalizers_run(0);
    }
    CHECK_EQ(finalized, set);
    CHECK(finalized > 0);
    end_heap(crowd.heap);
}

TEST_EACH_WAY(a_crowd)

TAP_MAIN
