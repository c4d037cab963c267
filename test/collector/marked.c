/* Marked callbacks: weak tables of the program's own. */
#include "actors.h"
#include "build.h"
#include "collector/weak.h"
#include "log.h"

/* ---- A weak table outside the heap ---- */

enum { ENTRIES = 64 };
static struct entry {
    struct cell *key, *value;
} table[ENTRIES];
static unsigned calls, decided; /* calls before the decision, and after it */

static void begin_table(void)
{
    memset(table, 0, sizeof table);
    calls = decided = 0;
}

/* The values of live keys live (ephemerons); dead keys are taken out. */
static void mind_table(void *arg, gc_tracer *tracer, bool is_decided)
{
    (void)arg;
    CHECK_EQ(u32_load_relaxed(&heap->mutators.held), 1);
    *(is_decided ? &decided : &calls) += 1;
    CHECK(gc_is_marked(tracer, NULL) && gc_is_marked(tracer, &table));
    for (struct entry *e = table; e < table + ENTRIES; e++) {
        if (!is_decided && e->key && gc_is_marked(tracer, e->key))
            gc_trace_ref(tracer, e->value);
        else if (is_decided && !gc_is_marked(tracer, e->key))
            *e = (struct entry){NULL, NULL};
    }
}

static size_t table_count(void)
{
    size_t n = 0;
    for (size_t i = 0; i < ENTRIES; i++)
        n += table[i].key != NULL;
    return n;
}

static void mind(gc_marked_fn fn)
{
    begin_table();
    CHECK_EQ(gc_marked_callback(fn, NULL), 0);
}

/* ---- One thread ---- */

static void keys_live_and_die(unsigned flags)
{
    heap = new_heap(flags);
    struct cell *k = new_cell(0);
    GC_FRAME(k);
    mind(mind_table);
    for (uint64_t i = 0; i < ENTRIES; i++)
        table[i].key = i ? new_cell(i) : k; /* no safepoint keeps what is only here */
    gc_collect();
    CHECK(table_count() == 1 && table[0].key == k && is_cell(k, 0));
    CHECK(calls > 0 && decided == 1);
    k = NULL;
    gc_collect();
    CHECK_EQ(table_count(), 0);
    CHECK_EQ(decided, 2);
    CHECK_EQ(gc_marked_callback_remove(mind_table, NULL), 0);
    gc_collect();
    CHECK_EQ(decided, 2);
    end_heap(heap);
}

TEST_EACH_WAY(keys_live_and_die)

/* Each value is the key of the entry before, so that a call finds one of them, with more behind it
 * than is marked while the world is held. So there are more waves than a cycle has that readers
 * disturb, and weak references still die. */
static void a_long_chain(unsigned flags)
{
    enum { LINKS = WEAK_PATIENCE + 8, BEHIND = 3000 };
    heap = new_heap(flags);
    struct cell *all[LINKS + 1] = {0}, *garbage = new_cell(1);
    {
        GC_FRAME_ARRAY(all, LINKS + 1);
        GC_FRAME(garbage);
        for (uint64_t i = 0; i <= LINKS; i++) {
            all[i] = new_cell(1);
            struct cell *behind = new_chain(BEHIND);
            gc_store(&all[i]->next, behind);
        }
        mind(mind_table);
        for (size_t i = 0; i < LINKS; i++)
            table[LINKS - 1 - i] = (struct entry){all[i], all[i + 1]};
        gc_weak *probe = gc_weak_new(garbage);
        memset(all + 1, 0, sizeof all - sizeof *all);
        garbage = NULL;
        gc_collect();
        CHECK(!gc_weak_get(probe));
        CHECK_EQ(table_count(), LINKS);
        CHECK(flags & GC_STOP_WORLD || calls > WEAK_PATIENCE);
        for (size_t i = 0; i < LINKS; i++) {
            CHECK(is_cell(table[i].value, 1));
            check_chain(table[i].value->next, BEHIND);
        }
        all[0] = NULL;
        gc_collect();
        CHECK_EQ(table_count(), 0);
    }
    end_heap(heap);
}

TEST_EACH_WAY(a_long_chain)

/* The callback sees what weak maps keep, and weak maps see what the callback traces. */
static void beside_weak_maps(unsigned flags)
{
    heap = new_heap(flags);
    gc_weakmap *map = gc_weakmap_new();
    struct cell *k = new_cell(1), *traced = new_cell(3);
    GC_FRAME(k, traced);
    mind(mind_table);
    CHECK_EQ(gc_weakmap_set(map, k, new_cell(2)), 0);
    table[0] = (struct entry){gc_weakmap_get(map, k), traced};
    CHECK_EQ(gc_weakmap_set(map, traced, new_cell(4)), 0);
    table[1] = (struct entry){gc_weakmap_get(map, traced), k};
    traced = NULL;
    gc_collect();
    CHECK(table_count() == 2 && is_cell(table[0].key, 2) && is_cell(table[0].value, 3));
    CHECK(is_cell(table[1].key, 4) && gc_weakmap_get(map, table[0].value) == table[1].key);
    k = NULL;
    gc_collect();
    CHECK(table_count() == 0 && gc_weakmap_count(map) == 0);
    end_heap(heap);
}

TEST_EACH_WAY(beside_weak_maps)

static void do_nothing(void *object, void *arg)
{
    (void)object, (void)arg;
}

/* What finalizers need lives, so it is marked when the callback is asked. */
static void dying_objects_are_marked(unsigned flags)
{
    heap = new_heap(flags | GC_FINALIZE_ALL);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    mind(mind_table);
    CHECK_EQ(gc_finalizer_set(c, do_nothing, NULL), 0);
    c->next = new_cell(2);
    table[0].key = c;
    table[1].key = c->next;
    c = NULL;
    gc_collect();
    CHECK(table_count() == 2 && is_cell(table[1].key, 2));
    CHECK_EQ(gc_finalizers_run(0), 1);
    gc_collect();
    CHECK_EQ(table_count(), 0);
    end_heap(heap);
}

TEST_EACH_WAY(dying_objects_are_marked)

/* The value of a live key is alive, though nothing but the table leads to it. */
static void what_is_traced_is_not_finalized(unsigned flags)
{
    heap = new_heap(flags | GC_FINALIZE_ALL);
    struct cell *k = new_cell(1);
    GC_FRAME(k);
    mind(mind_table);
    table[0] = (struct entry){k, new_cell(2)};
    CHECK_EQ(gc_finalizer_set(table[0].value, do_nothing, NULL), 0);
    gc_weak *value = gc_weak_new(table[0].value);
    gc_collect();
    CHECK_EQ(gc_finalizers_pending(), 0);
    CHECK(is_cell(table[0].value, 2) && gc_weak_get(value) == table[0].value);
    k = NULL;
    gc_collect();
    CHECK_EQ(gc_finalizers_run(0), 1);
    CHECK(table_count() == 0 && !gc_weak_get(value));
    end_heap(heap);
}

TEST_EACH_WAY(what_is_traced_is_not_finalized)

static void see_value(void *object, void *arg)
{
    CHECK(is_cell(object, 7));
    check_chain(arg, 1000);
    CHECK(table[0].key == object && table[0].value == arg);
}

/* A finalizer still finds them in the table, each with what it leads to. A weak reference to such a
 * value is cleared with those to all that died. */
static void values_of_dying_keys(unsigned flags)
{
    heap = new_heap(flags | GC_FINALIZE_ALL);
    struct cell *k = new_cell(7);
    GC_FRAME(k);
    mind(mind_table);
    table[0] = (struct entry){k, new_chain(1000)};
    gc_weak *value = gc_weak_new(table[0].value);
    CHECK_EQ(gc_finalizer_set(k, see_value, table[0].value), 0);
    k = NULL;
    gc_collect();
    CHECK(table_count() == 1 && !gc_weak_get(value));
    CHECK_EQ(gc_finalizers_run(0), 1);
    gc_collect();
    CHECK_EQ(table_count(), 0);
    end_heap(heap);
}

TEST_EACH_WAY(values_of_dying_keys)

/* An object without references, a large one, and an address inside of it. */
static void trace_all(void *arg, gc_tracer *tracer, bool is_decided)
{
    void **what = arg;
    calls += !is_decided;
    for (size_t i = 0; i < 3; i++) {
        if (!is_decided)
            gc_trace_ref(tracer, what[i]);
        CHECK(gc_is_marked(tracer, what[i]));
    }
}

TEST(what_is_traced_is_marked)
{
    heap = new_heap(0);
    static void *what[3];
    what[0] = gc_new_bytes(40);
    what[1] = gc_new_array(&gc_pointer_type, 100000);
    what[2] = &new_cell(3)->magic;
    begin_table();
    CHECK_EQ(gc_marked_callback(trace_all, what), 0);
    for (int i = 0; i < 3; i++) {
        calls = 0;
        gc_collect();
        CHECK_EQ(calls, 2);
        CHECK(gc_is_object(what[0]) && gc_is_object(what[1]) && gc_object_base(what[2]));
    }
    end_heap(heap);
}

/* ---- Mistakes ---- */

static void trace_late(void *arg, gc_tracer *tracer, bool is_decided)
{
    (void)arg;
    if (is_decided) {
        gc_trace_ref(tracer, table[0].key);
        CHECK(!gc_is_marked(tracer, table[0].key));
        table[0].key = NULL;
    }
}

static void ask_early(void *arg, gc_tracer *tracer)
{
    CHECK(gc_is_marked(tracer, arg));
}

TEST(mistakes)
{
    heap = gc_heap_create(&(gc_options){.log = keep_line});
    CHECK_EQ(gc_marked_callback(NULL, NULL), -EINVAL);
    mind(trace_late);
    CHECK_EQ(gc_marked_callback(trace_late, NULL), -EEXIST);
    CHECK_EQ(gc_marked_callback(trace_late, table), 0);
    CHECK_EQ(gc_marked_callback_remove(trace_late, table), 0);
    CHECK_EQ(gc_marked_callback_remove(trace_late, table), -ENOENT);
    table[0].key = new_cell(1);
    gc_collect();
    CHECK(has_logged("traces an object after the deaths were decided"));
    CHECK_EQ(gc_marked_callback_remove(trace_late, NULL), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, ask_early, new_cell(2)), 0);
    gc_collect();
    CHECK(has_logged("gc_is_marked is asked while objects are still being marked"));
    end_heap(heap);
}

/* ---- Threads ---- */

/* Reads from the table, as a program's thread does. */
static void read_table(struct actor *a)
{
    CHECK(gc_is_marking());
    gc_shade(table[0].key);
    a->held[0] = table[0].key;
}

/* A thread has answered the wave when it takes an object out of the table, and holds what is grey
 * when the deaths are to be decided. */
TEST(read_after_the_wave)
{
    static struct actor a;
    stage_set(0, "poison=2");
    actor_start(&a);
    mind(mind_table);
    table[0].key = new_cell(1);
    table[0].key->next = new_cell(2);
    go_to_flush(&a, 1);
    actor_do(&a, answer);
    actor_do(&a, read_table);
    u32_store_release(&cycle_is_over, 0);
    actor_tell(&a, answer_the_rest); /* before this thread answers, and is held */
    answer(NULL);
    end_cycle();
    u32_store_release(&cycle_is_over, 1);
    CHECK(table_count() == 1 && decided == 1);
    end_with_pair(&a, 1, &a);
}

/* The deaths are decided, and the tables cleared, before any thread goes on. */
TEST(read_after_the_cut)
{
    static struct actor a;
    static struct gate gate;
    stage_set(0, "poison=2");
    actor_start(&a);
    mind(mind_table);
    table[0].key = new_cell(1);
    actor_do(&a, begin_blocking);
    CHECK_EQ(gc_blocking_begin(), 0);
    begin_cycle_and_stop(STRESS_WEAK_CLEAR, &gate);
    gate_await(&gate);
    CHECK(decided == 1 && !table[0].key && !u32_load_relaxed(&heap->mutators.held));
    gate_open(&gate);
    end_cycle();
    CHECK_EQ(gc_blocking_end(), 0);
    actor_do(&a, end_blocking);
    actors_end(&a, 1);
    end_heap(heap);
}

static void answer_if_asked(struct actor *unused)
{
    (void)unused;
    if (asked() != ASKED_NOTHING)
        thread_safepoint(thread_self());
}

/* A thread that allocates does not wait for one that does not come. */
TEST(an_allocation_does_not_wait)
{
    static struct actor a;
    heap = gc_heap_create(
        &(gc_options){.flags = GC_NO_BACKGROUND, .min_heap = 1 << 20, .max_procs = 8});
    CHECK(heap);
    actor_start(&a);
    mind(mind_table);
    table[0].key = new_cell(1);
    for (int i = 0; i < 60000; i++) {
        new_cell(2);
        if (i % 1000 == 0) {
            unsigned before = decided;
            actor_do(&a, answer_if_asked);
            CHECK_EQ(decided, before);
        }
    }
    CHECK(calls == 0 && decided == 0 && cycle_is_left(heap->cycle));
    actor_do(&a, begin_blocking);
    for (int i = 0; i < 200000 && decided == 0; i++)
        new_cell(3);
    CHECK(decided > 0 && table_count() == 0);
    actor_do(&a, end_blocking);
    actors_end(&a, 1);
    end_heap(heap);
}

TAP_MAIN
