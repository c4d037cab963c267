/* Weak slots and ephemerons in objects. */
#include "collector/weak.h"
#include "collector/weakslot.h"
#include "actors.h"
#include "build.h"
#include "log.h"
#include "random.h"
#include "refuse.h"

/* What a dead slot becomes. */
#define DEAD ((void *)(uintptr_t)-8)

enum mode { STRONG, WEAK, PAIRS };
struct table {
    size_t n; /* words */
    enum mode mode;
    void *slots[];
};

static void trace_table(void *object, gc_tracer *tracer)
{
    struct table *t = object;
    if (t->mode == STRONG)
        gc_trace_slots(tracer, t->slots, t->n);
    else if (t->mode == WEAK)
        gc_trace_weak(tracer, t->slots, t->n, sizeof(void *), DEAD);
    else
        gc_trace_ephemerons(tracer, t->slots, t->n / 2, 2 * sizeof(void *), DEAD);
}

static gc_type table_type = {
    .size = sizeof(struct table), .name = "table", .trace = trace_table, .align = sizeof(void *)};
static GC_TYPE_NOPTR(word_type, uintptr_t);

static struct table *new_table(enum mode mode, size_t n)
{
    struct table *t = gc_new_flex(&table_type, &word_type, n);
    CHECK(t);
    t->n = n;
    t->mode = mode;
    return t;
}

/* ---- One thread ---- */

static void slots_live_and_die(unsigned flags)
{
    heap = new_heap(flags);
    struct table *t = new_table(WEAK, 3);
    struct cell *c = new_cell(1);
    GC_FRAME(t, c);
    gc_store_weak(&t->slots[0], c);
    gc_store_weak(&t->slots[1], new_cell(2));
    gc_store_weak(&t->slots[2], &heap);
    for (int i = 0; i < 3; i++) {
        gc_collect();
        CHECK(gc_load_weak(&t->slots[0]) == c && is_cell(c, 1));
        CHECK(gc_load_weak(&t->slots[1]) == DEAD && gc_load_weak(&t->slots[2]) == &heap);
    }
    c = NULL;
    gc_collect();
    CHECK(gc_load_weak(&t->slots[0]) == DEAD);
    end_heap(heap);
}

TEST_EACH_WAY(slots_live_and_die)

/* A garbage table whose values lead to it, with a key that lives. */
static void a_table_in_a_circle(unsigned flags)
{
    heap = new_heap(flags);
    struct table *t = new_table(PAIRS, 2), *v = NULL;
    struct cell *k = new_cell(1);
    GC_FRAME(t, k, v);
    gc_weak *probe = gc_weak_new(t);
    v = new_table(STRONG, 1);
    gc_store(&v->slots[0], t);
    gc_store_weak(&t->slots[1], v);
    gc_store_weak(&t->slots[0], k);
    v = NULL;
    gc_collect();
    CHECK(gc_load_weak(&t->slots[0]) == k);
    v = gc_load_weak(&t->slots[1]);
    CHECK(v && v->slots[0] == t);
    v = t = NULL;
    gc_collect();
    CHECK(!gc_weak_get(probe) && is_cell(k, 1));
    end_heap(heap);
}

TEST_EACH_WAY(a_table_in_a_circle)

/* A value that leads to its key does not keep it; a key outside the heap lives for ever. */
static void values_live_with_their_keys(unsigned flags)
{
    heap = new_heap(flags);
    struct table *t = new_table(PAIRS, 6);
    struct cell *k = new_cell(1), *v = new_cell(2);
    GC_FRAME(t, k, v);
    gc_store(&v->next, k);
    gc_store_weak(&t->slots[1], v);
    gc_store_weak(&t->slots[0], k);
    gc_store_weak(&t->slots[3], new_cell(3));
    gc_store_weak(&t->slots[2], &heap);
    gc_store_weak(&t->slots[5], new_cell(4));
    gc_store_weak(&t->slots[4], new_cell(5));
    v = NULL;
    gc_collect();
    CHECK(gc_load_weak(&t->slots[0]) == k && is_cell(gc_load_weak(&t->slots[1]), 2));
    CHECK(gc_load_weak(&t->slots[2]) == &heap && is_cell(gc_load_weak(&t->slots[3]), 3));
    CHECK(gc_load_weak(&t->slots[4]) == DEAD && !gc_load_weak(&t->slots[5]));
    k = NULL;
    gc_collect();
    CHECK(gc_load_weak(&t->slots[0]) == DEAD && !gc_load_weak(&t->slots[1]));
    CHECK(is_cell(gc_load_weak(&t->slots[3]), 3));
    end_heap(heap);
}

TEST_EACH_WAY(values_live_with_their_keys)

/* A thread may delete a pair and leave the value where it is. */
TEST(a_value_that_was_left_behind)
{
    heap = new_heap(0);
    struct table *t = new_table(PAIRS, 2);
    struct cell *k = new_cell(1);
    GC_FRAME(t, k);
    gc_store_weak(&t->slots[1], new_cell(2));
    gc_store_weak(&t->slots[0], k);
    gc_collect();
    gc_store_weak(&t->slots[0], NULL);
    gc_collect();
    CHECK(is_cell(gc_load_weak(&t->slots[1]), 2));
    end_heap(heap);
}

static void shuffle(struct cell **a, size_t n)
{
    static uint64_t seed = 1;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random_below(&seed, i);
        struct cell *other = a[j];
        gc_store(&a[j], a[i - 1]);
        gc_store(&a[i - 1], other);
    }
}

/* Each value is the key of another pair, in an order that no walk follows; over several tables. */
static void chain(size_t n, size_t ntables, unsigned flags)
{
    heap = new_heap(flags);
    struct table *tables[16] = {NULL};
    struct cell **keys = gc_new_array(&gc_pointer_type, n), *first = NULL;
    GC_FRAME(keys, first);
    GC_FRAME_ARRAY(tables, 16);
    for (size_t i = 0; i < n; i++)
        gc_store(&keys[i], new_cell(i));
    shuffle(keys, n);
    for (size_t i = 0; i < ntables; i++)
        tables[i] = new_table(PAIRS, 2 * n);
    for (size_t i = 0; i + 1 < n; i++) {
        struct table *t = tables[i % ntables];
        size_t at = (i * 7919 % n) * 2;
        gc_store_weak(&t->slots[at + 1], keys[i + 1]);
        gc_store_weak(&t->slots[at], keys[i]);
    }
    first = keys[0];
    keys = NULL;
    for (int live = 1; live >= 0; live--) {
        gc_collect();
        size_t count = 0;
        for (size_t i = 0; i < ntables * n; i++) {
            void *k = tables[i / n]->slots[2 * (i % n)];
            count += k && k != DEAD;
        }
        CHECK_EQ(count, live ? n - 1 : 0);
        first = NULL;
    }
    end_heap(heap);
}

TEST(chains)
{
    chain(10007, 1, 0);
}
TEST(chains_over_tables)
{
    chain(10007, 16, 0);
}
TEST(chains_stop_world)
{
    chain(10007, 3, GC_STOP_WORLD);
}
TEST(chains_without_background)
{
    chain(10007, 3, GC_NO_BACKGROUND);
}

static unsigned looks;
static void count_looks(enum stress_point point)
{
    looks += point == STRESS_WEAK_LOOK;
}

/* Each table is reached over a value of the one before. What waits for a key that is dead has the
 * collector make an index, in which the tables that are reached later are not. */
TEST(tables_that_are_found_late)
{
    enum { N = 300 };
    stress_stop_set(count_looks);
    heap = new_heap(0);
    struct table *first = NULL, *t = NULL;
    struct cell *k = new_cell(0);
    GC_FRAME(first, t, k);
    first = t = new_table(PAIRS, 6);
    gc_store_weak(&t->slots[5], new_cell(1));
    gc_store_weak(&t->slots[4], new_cell(2));
    for (int i = 0; i < N; i++) {
        struct table *next = new_table(PAIRS, 4);
        gc_store_weak(&t->slots[1], next);
        gc_store_weak(&t->slots[0], k);
        gc_store_weak(&t->slots[3], new_cell(9));
        gc_store_weak(&t->slots[2], next);
        t = next;
    }
    looks = 0;
    gc_collect();
    CHECK(looks < 10);
    size_t n = 0;
    for (t = first; t->slots[0]; t = gc_load_weak(&t->slots[1]), n++)
        CHECK(gc_load_weak(&t->slots[0]) == k && is_cell(gc_load_weak(&t->slots[3]), 9));
    CHECK_EQ(n, N);
    CHECK(gc_load_weak(&first->slots[4]) == DEAD);
    end_heap(heap);
}

TEST(tables_by_the_thousand)
{
    enum { N = 100000 / SCALE };
    heap = new_heap(0);
    struct table **all = gc_new_array(&gc_pointer_type, N);
    GC_FRAME(all);
    for (size_t i = 0; i < N; i++) {
        struct table *t = new_table(i % 2 ? WEAK : PAIRS, 2);
        GC_FRAME(t);
        gc_store_weak(&t->slots[1], t);
        gc_store_weak(&t->slots[0], i % 3 ? (void *)new_cell(i) : t);
        if (i % 4 == 0)
            gc_store(&all[i], t);
    }
    gc_collect();
    for (size_t i = 0; i < N; i += 4)
        CHECK(all[i]->slots[0] == (i % 3 ? DEAD : all[i]));
    uint64_t live = stats_now().heap_live;
    all = NULL;
    gc_collect();
    CHECK(stats_now().heap_live < live / 4);
    end_heap(heap);
}

TEST(large_tables)
{
    enum { N = 200000 / SCALE };
    heap = new_heap(0);
    struct table *t = new_table(WEAK, N);
    struct cell **held = gc_new_array(&gc_pointer_type, N);
    GC_FRAME(t, held);
    for (size_t i = 0; i < N; i++) {
        struct cell *c = new_cell(i);
        gc_store_weak(&t->slots[i], c);
        if (i % 2)
            gc_store(&held[i], c);
    }
    gc_collect();
    for (size_t i = 0; i < N; i++)
        CHECK(t->slots[i] == (i % 2 ? (void *)held[i] : DEAD));
    end_heap(heap);
}

/* Values in a format: both ways to hold a reference, and numbers. */
TEST(words_of_a_value_format)
{
    if (UINTPTR_MAX == UINT32_MAX)
        SKIP("value formats are for 64-bit hosts");
    const uintptr_t box = (uintptr_t)0xfffc000000000000u;
    gc_options o = {.format = {0xffff000000000000u, box, 0xffffffffffffu}};
    heap = gc_heap_create(&o);
    struct table *t = new_table(WEAK, 4), *p = new_table(PAIRS, 4);
    struct cell *c = new_cell(1);
    GC_FRAME(t, p, c);
    gc_store_weak(&t->slots[0], (void *)((uintptr_t)c | box));
    gc_store_weak(&t->slots[1], (void *)((uintptr_t)new_cell(2) | box));
    gc_store_weak(&t->slots[2], (void *)0x400921fb54442d18u);
    gc_store_weak(&t->slots[3], c);
    gc_store_weak(&p->slots[1], (void *)((uintptr_t)new_cell(3) | box));
    gc_store_weak(&p->slots[0], (void *)((uintptr_t)c | box));
    gc_store_weak(&p->slots[3], (void *)((uintptr_t)new_cell(4) | box));
    gc_collect();
    CHECK(gc_load_weak(&t->slots[0]) == (void *)((uintptr_t)c | box));
    CHECK(gc_load_weak(&t->slots[1]) == DEAD);
    CHECK(gc_load_weak(&t->slots[2]) == (void *)0x400921fb54442d18u);
    CHECK(gc_load_weak(&t->slots[3]) == c);
    CHECK(is_cell((void *)((uintptr_t)p->slots[1] & ~box), 3));
    CHECK(is_cell((void *)((uintptr_t)p->slots[3] & ~box), 4)); /* its key is the number 0.0 */
    gc_heap_destroy(heap);
}

static void do_nothing(void *object, void *arg)
{
    (void)object, (void)arg;
}

/* Weak slots of an object whose finalizer is queued hold nothing dead either. */
TEST(weak_slots_and_finalizers)
{
    heap = new_heap(0);
    struct table *t = new_table(WEAK, 2);
    struct cell *c = new_cell(1);
    GC_FRAME(t, c);
    gc_store_weak(&t->slots[0], t);
    gc_store_weak(&t->slots[1], c);
    CHECK_EQ(gc_finalizer_set(t, do_nothing, NULL), 0);
    gc_weak *w = gc_weak_new(c);
    t = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 1);
    CHECK(gc_weak_get(w) == c);
    CHECK_EQ(gc_heap_verify(), 0);
    gc_finalizers_run(0);
    end_heap(heap);
}

/* ---- Mistakes ---- */

static struct table *other_table;

static void trace_wrongly(void *object, gc_tracer *tracer)
{
    struct table *t = object;
    if (t->mode == WEAK) /* one word too many; of another object; misaligned */
        gc_trace_weak(tracer, t->slots, t->n + 100, sizeof(void *), NULL);
    else if (t->mode == PAIRS)
        gc_trace_ephemerons(tracer, other_table->slots, 1, 2 * sizeof(void *), NULL);
    else
        gc_trace_weak(tracer, t->slots, t->n, sizeof(void *), NULL);
}

static gc_type wrong_type = {
    .size = sizeof(struct table), .name = "wrong", .trace = trace_wrongly, .align = sizeof(void *)};

/* They count as strong. */
static void trace_other_table(void *unused, gc_tracer *tracer)
{
    (void)unused;
    gc_trace_weak(tracer, other_table->slots, 2, sizeof(void *), NULL);
}

TEST(slots_outside_of_the_object)
{
    heap = gc_heap_create(&(gc_options){.log = keep_line});
    struct table *t = gc_new_flex(&wrong_type, &word_type, 1);
    GC_FRAME(t);
    t->mode = PAIRS;
    other_table = new_table(STRONG, 2);
    CHECK_EQ(gc_root(&other_table), 0);
    gc_store(&other_table->slots[0], new_cell(1));
    gc_collect();
    CHECK(has_logged("in the tracing of a wrong takes 1 slots"));
    CHECK(has_logged("keep weak slots in the object itself"));
    CHECK(is_cell(other_table->slots[0], 1));
    CHECK_EQ(gc_unroot(&other_table), 0);
    gc_heap_destroy(heap);
}

TEST(slots_named_by_a_root_callback)
{
    heap = gc_heap_create(&(gc_options){.log = keep_line});
    other_table = new_table(WEAK, 2);
    GC_FRAME(other_table);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, trace_other_table, NULL), 0);
    gc_store_weak(&other_table->slots[0], new_cell(1));
    gc_collect();
    CHECK(has_logged("gc_trace_weak in the tracing of a root takes 2 slots"));
    CHECK(has_logged("use it in that of the object's type"));
    CHECK(is_cell(other_table->slots[0], 1));
    CHECK_EQ(gc_root_callback_remove(trace_other_table, NULL), 0);
    gc_heap_destroy(heap);
}

TEST(without_a_heap)
{
    heap = new_heap(0);
    struct table *t = new_table(WEAK, 1);
    GC_FRAME(t);
    gc_store_weak(&t->slots[0], t);
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_REFUSED(gc_load_weak(&t->slots[0]), EPERM);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK(gc_load_weak(&t->slots[0]) == t);
    gc_heap_destroy(heap);
}

/* ---- Threads ---- */

static struct table *table; /* a rooted global */
static struct gate gate, second_gate;

static void get(struct actor *a)
{
    a->held[0] = gc_load_weak(&table->slots[0]);
}
static void put(struct actor *a)
{
    gc_store_weak(&table->slots[0], a->held[0]);
}
static void drop(struct actor *a)
{
    a->held[0] = NULL;
}
static void make_table(struct actor *unused)
{
    (void)unused;
    gc_store(&table, new_table(WEAK, 1));
}
static void make_chain(struct actor *a)
{
    a->held[0] = new_chain(2);
}
static void get_slowly(struct actor *a)
{
    stop_me(STRESS_WEAK_UNMARKED, &gate);
    get(a);
}

static void set_table(enum mode mode, size_t n)
{
    CHECK_EQ(gc_root(&table), 0);
    gc_store(&table, new_table(mode, n));
}

/* A thread past its ROOTS revives what only a weak slot refers to, with all that it leads to. */
TEST(revived_while_marking)
{
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    set_table(WEAK, 1);
    gc_store_weak(&table->slots[0], new_chain(2));
    go_to_flush(&reader, 1);
    actor_do(&reader, get);
    all_end(&reader, 1);
    CHECK(table->slots[0] == reader.held[0]);
    end_with_pair(&reader, 1, &reader);
}

/* A black thread makes a table, which is black. A grey thread puts into it what it then drops
 * (I47).
 */
TEST(stored_by_a_grey_thread)
{
    struct actor actors[2], *black = &actors[0], *grey = &actors[1];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    CHECK_EQ(gc_root(&table), 0);
    actor_do(grey, make_chain);
    go_to_roots(actors, 2);
    actor_do(black, answer);
    actor_do(black, make_table);
    actor_do(grey, put);
    actor_do(grey, drop);
    actor_do(grey, answer);
    all_answer_and_end(actors, 2);
    actor_do(black, get);
    end_with_pair(actors, 2, black);
}

/* A reader has found the object white; then the deaths are decided. */
TEST(read_when_it_is_dead)
{
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    set_table(WEAK, 1);
    gc_store_weak(&table->slots[0], new_cell(1));
    go_to_flush(&reader, 1);
    actor_do(&reader, answer);
    actor_tell(&reader, get_slowly);
    gate_await(&gate);
    answer(NULL);
    await_question(STEP_DISARM);
    gate_open(&gate);
    actor_await(&reader);
    CHECK(!reader.held[0]);
    all_end(&reader, 1);
    CHECK(table->slots[0] == DEAD);
    actors_end(&reader, 1);
    end_heap(heap);
}

/* A thread stores into a slot that the collector has found dead. */
TEST(a_slot_is_overwritten_while_it_is_cleared)
{
    struct actor writer;
    stage_set(0, "poison=2");
    actor_start(&writer);
    set_table(WEAK, 1);
    gc_store_weak(&table->slots[0], new_cell(3));
    actor_do(&writer, make_chain);
    begin_cycle_and_stop(STRESS_WEAK_SLOT, &second_gate);
    answer_up_to_roots(&writer, 1);
    actors_answer(&writer, 1);
    answer(NULL);
    all_answer(&writer, 1, STEP_FLUSH);
    gate_await(&second_gate);
    actor_do(&writer, put);
    gate_open(&second_gate);
    all_end(&writer, 1);
    actor_do(&writer, get);
    end_with_pair(&writer, 1, &writer);
}

static struct table *found; /* a rooted global */

static void find(struct actor *unused)
{
    (void)unused;
    gc_store(&found, gc_load_weak(&table->slots[0]));
}

/* A table with one pair, to which only a weak slot leads, as another does to its key; and a pair
 * that waits for its dead key, so that there is an index. */
static void set_pair_to_find(struct table *waiting)
{
    struct table *t = NULL;
    struct cell *k = NULL;
    GC_FRAME(t, k, waiting);
    set_table(WEAK, 2);
    CHECK_EQ(gc_root(&found), 0);
    t = new_table(PAIRS, 2);
    k = new_cell(1);
    gc_store_weak(&t->slots[1], new_chain(2));
    gc_store_weak(&t->slots[0], k);
    gc_store_weak(&table->slots[0], t);
    gc_store_weak(&table->slots[1], k);
    gc_store_weak(&waiting->slots[1], new_cell(3));
    gc_store_weak(&waiting->slots[0], new_cell(4));
}

/* The reader finds the table and leaves, so that others scan the table. Then the key is found. */
static void find_both(struct actor *reader, struct cell **k)
{
    actor_do(reader, find);
    actor_leave(reader);
    mark_what_is_queued();
    *k = gc_load_weak(&table->slots[1]);
    CHECK(is_cell(*k, 1));
}

static void end_with_the_pair_found(const struct actor *reader, const struct cell *k,
                                    const struct table *waiting)
{
    all_end(NULL, 0);
    join_thread(reader->thread);
    CHECK(found->slots[0] == k);
    check_chain(found->slots[1], 2);
    CHECK(waiting->slots[0] == DEAD);
    end_heap(heap);
}

TEST(a_table_is_found_during_the_walk)
{
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    struct table *waiting = new_table(PAIRS, 2);
    struct cell *k = NULL;
    GC_FRAME(waiting, k);
    set_pair_to_find(waiting);
    begin_cycle_and_stop(STRESS_WEAK_WALKED, &gate);
    answer_up_to_roots(&reader, 1);
    actors_answer(&reader, 1);
    answer(NULL);
    gate_await(&gate);
    find_both(&reader, &k);
    gate_open(&gate);
    end_with_the_pair_found(&reader, k, waiting);
}

TEST(a_key_is_marked_after_its_table)
{
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    struct table *waiting = new_table(PAIRS, 2);
    struct cell *k = NULL;
    GC_FRAME(waiting, k);
    set_pair_to_find(waiting);
    go_to_flush(&reader, 1);
    find_both(&reader, &k);
    end_with_the_pair_found(&reader, k, waiting);
}

/* ---- A cycle that readers keep from its end ---- */

static void get_and_drop(struct actor *a)
{
    get(a);
    drop(a);
}

/* In each wave another object is read. In the end all are kept. */
TEST(slots_are_kept_if_reads_do_not_end)
{
    enum { N = 64 };
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    set_table(WEAK, 1);
    struct table *many = new_table(WEAK, N);
    GC_FRAME(many);
    for (size_t i = 0; i < N; i++)
        gc_store_weak(&many->slots[i], new_chain(2));
    go_to_flush(&reader, 1);
    unsigned waves = 0;
    for (; asked() == STEP_FLUSH; waves++) {
        CHECK(waves < N);
        gc_store_weak(&table->slots[0], many->slots[waves]);
        actor_do(&reader, get_and_drop);
        actor_do(&reader, answer);
        answer(NULL);
        WAIT_UNTIL(asked() != ASKED_NOTHING);
    }
    CHECK(waves <= WEAK_PATIENCE + 4);
    all_end(&reader, 1);
    for (size_t i = 0; i < N; i++)
        check_chain(many->slots[i], 2);
    actors_end(&reader, 1);
    end_heap(heap);
}

static void get_next_table(struct actor *a)
{
    struct table *t = (struct table *)(void *)a->held[0];
    a->held[0] = gc_load_weak(&t->slots[0]);
}

/* Each object that is read leads weakly to the next one, which marking meets only then. */
TEST(slots_found_when_all_are_kept)
{
    enum { N = 64 };
    struct actor reader;
    stage_set(0, "poison=2");
    actor_start(&reader);
    struct table *t = NULL;
    GC_FRAME(t);
    t = new_table(WEAK, 1);
    for (size_t i = 0; i < N; i++) {
        struct table *before = new_table(WEAK, 1);
        gc_store_weak(&before->slots[0], t);
        t = before;
    }
    CHECK_EQ(gc_root(&table), 0);
    gc_store(&table, t);
    t = NULL;
    go_to_flush(&reader, 1);
    reader.held[0] = (struct cell *)(void *)table;
    unsigned waves = 0;
    for (; asked() == STEP_FLUSH; waves++) {
        CHECK(waves < N);
        actor_do(&reader, get_next_table);
        actor_do(&reader, answer);
        answer(NULL);
        WAIT_UNTIL(asked() != ASKED_NOTHING);
    }
    CHECK(waves <= WEAK_PATIENCE + 4);
    all_end(&reader, 1);
    size_t length = 0;
    for (t = table; t->slots[0]; t = t->slots[0])
        length++;
    CHECK_EQ(length, N);
    actors_end(&reader, 1);
    end_heap(heap);
}

/* ---- A crowd ---- */

enum { CROWD_SLOTS = 512, CROWD_PAIRS = 256 };
static struct table *crowd_table, *crowd_pairs;

static void crowd_step(uint64_t *random, struct cell **held)
{
    size_t i = random_below(random, CROWD_SLOTS);
    struct cell *c = gc_load_weak(&crowd_table->slots[i]);
    if (c && (void *)c != DEAD) {
        CHECK(c->magic == MAGIC && is_cell(gc_load(&c->next), c->id));
        *held = c;
    } else if (random_one_in(random, 4)) {
        c = new_cell(i);
        GC_FRAME(c);
        gc_store(&c->next, new_cell(i));
        gc_store_weak(&crowd_table->slots[i], c);
    }
    /* Each thread writes pairs of its own, and reads all. */
    i = (size_t)(random_below(random, CROWD_PAIRS / CROWD) * CROWD + crowd_number);
    void **pair = &crowd_pairs->slots[2 * i];
    void *k = gc_load(&pair[0]);
    if ((!k || k == DEAD) && *held) {
        gc_store_weak(&pair[1], gc_load(&(*held)->next));
        gc_store_weak(&pair[0], *held);
    }
    i = random_below(random, CROWD_PAIRS);
    c = gc_load_weak(&crowd_pairs->slots[2 * i]);
    if (c && (void *)c != DEAD)
        CHECK(c->magic == MAGIC);
    if (c && c == *held) {
        struct cell *v = gc_load_weak(&crowd_pairs->slots[2 * i + 1]);
        CHECK(is_cell(v, c->id));
    }
    if (random_one_in(random, 8))
        *held = NULL;
}

static void read_and_write(void)
{
    struct cell *held = NULL;
    GC_FRAME(held);
    uint64_t random = crowd_number + 1;
    while (!crowd.stop) {
        if (crowd_may_step())
            crowd_step(&random, &held);
    }
}

TEST(a_crowd)
{
    crowd_heap("poison=2,verify,checkmark", 0, CROWD);
    CHECK(gc_root(&crowd_table) == 0 && gc_root(&crowd_pairs) == 0);
    gc_store(&crowd_table, new_table(WEAK, CROWD_SLOTS));
    gc_store(&crowd_pairs, new_table(PAIRS, 2 * CROWD_PAIRS));
    crowd_start(4, read_and_write);
    crowd_collect(200 / SCALE, 4000);
    crowd_stop();
    end_heap(crowd.heap);
}
TAP_MAIN
