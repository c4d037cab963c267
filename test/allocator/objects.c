/* Which addresses are objects (I24): what was handed out, and nothing else, on whatever P. */
#include "allocator/object.h"
#include "actors.h"
#include "build.h"

/* ---- Making one object of each kind ---- */

struct traced {
    uint64_t words[3];
};

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}

static gc_type traced_type = {
    .size = sizeof(struct traced), .align = 8, .name = "traced", .trace = trace_nothing};
static gc_type bytes_type = {.size = 40, .align = 8, .name = "bytes"};

static void *make_cell(void)
{
    return gc_new(&cell_type);
}
static void *make_traced(void)
{
    return gc_new(&traced_type);
}
static void *make_bytes_type(void)
{
    return gc_new(&bytes_type);
}
static void *make_pointer(void)
{
    return gc_new(&gc_pointer_type);
}
static void *make_array(void)
{
    return gc_new_array(&gc_pointer_type, 5);
}
static void *make_flexible(void)
{
    return gc_new_flex(&cell_type, &gc_pointer_type, 3);
}
static void *make_character(void)
{
    return gc_new_bytes(1);
}
static void *make_word(void)
{
    return gc_new_bytes(8);
}
static void *make_small(void)
{
    return gc_new_bytes(16);
}
static void *make_raw(void)
{
    return gc_new_bytes_raw(100);
}
static void *make_kilobytes(void)
{
    return gc_new_bytes(3000);
}
static void *make_big(void)
{
    return gc_new_array(&cell_type, 1000);
}
static void *make_large(void)
{
    return gc_new_bytes(100000);
}

static void *(*const makers[])(void) = {make_cell,  make_traced,   make_bytes_type, make_pointer,
                                        make_array, make_flexible, make_character,  make_word,
                                        make_small, make_raw,      make_kilobytes,  make_big,
                                        make_large};
enum { MAKERS = sizeof makers / sizeof *makers };

/* ---- All cells of a span against what was handed out ---- */

enum { MADE = 400 };
static void *made[MADE];
static size_t nmade;

static void *make_one(size_t i)
{
    void *p = makers[i % MAKERS]();
    CHECK(p && nmade < MADE);
    return made[nmade++] = p;
}

static bool was_made(uintptr_t address)
{
    for (size_t i = 0; i < nmade; i++) {
        if ((uintptr_t)made[i] == address)
            return true;
    }
    return false;
}

static void finalize_nothing(void *object, void *arg)
{
    (void)object, (void)arg;
}
static void clean_nothing(void *arg)
{
    (void)arg;
}

/* Every call that asks whether an address is an object says no. */
static void check_no_object(void *p)
{
    static gc_weakmap *map;
    map = map ? map : gc_weakmap_new();
    CHECK(!gc_is_object(p) && !gc_object_base(p) && !gc_object_base((char *)p + 1));
    CHECK_EQ(gc_object_size(p), 0);
    CHECK_REFUSED(gc_weak_new(p), EINVAL);
    CHECK_EQ(gc_weakmap_set(map, p, p), -EINVAL);
    CHECK(!gc_weakmap_has(map, p));
    CHECK_EQ(gc_finalizer_set(p, finalize_nothing, NULL), -EINVAL);
    CHECK_EQ(gc_cleanup_add(p, clean_nothing, NULL), -EINVAL);
    CHECK_EQ(gc_cleanup_cancel(p, 1), -EINVAL);
    CHECK_EQ(gc_external_add(p, 1), -EINVAL);
    CHECK_EQ(records(gc_heap_current()), 0);
}

static void check_object(uintptr_t slot, size_t size)
{
    CHECK(gc_is_object((void *)slot) && !gc_is_object((void *)(slot + 1)));
    CHECK(gc_object_base((void *)(slot + size - 1)) == (void *)slot);
    CHECK_EQ(gc_object_size((void *)slot), size);
}

static void check_span(const struct gc_span *s, bool every_call)
{
    for (size_t i = 0; i < s->ncells; i++) {
        uintptr_t slot = s->base + i * s->size;
        if (was_made(slot))
            check_object(slot, span_object_bytes(s));
        else if (every_call)
            check_no_object((void *)slot);
        else
            CHECK(!gc_is_object((void *)slot));
    }
}

/* The spans of everything that was made. */
static void check_made(bool every_call)
{
    const struct gc_span *last = NULL;
    for (size_t i = 0; i < nmade; i++) {
        const struct gc_span *s = mheap_span_of(&gc_heap_current()->mem, (uintptr_t)made[i]);
        if (s != last)
            check_span(s, every_call);
        last = s;
    }
}

/* ---- One thread ---- */

static void the_rest_of_a_run(unsigned flags)
{
    heap = new_heap(flags);
    GC_FRAME_ARRAY(made, MADE);
    for (size_t i = 0; i < 3 * MAKERS; i++)
        make_one(i);
    check_made(true);
    gc_collect();
    check_made(true);
    for (size_t i = 0; i < 3 * MAKERS; i++)
        make_one(i);
    check_made(true);
    gc_blocking_begin();
    gc_blocking_end();
    check_made(false);
    CHECK_EQ(gc_heap_verify(), 0);
    gc_heap_destroy(heap);
}

TEST_EACH_WAY(the_rest_of_a_run)

/* What was refused before the object was there has left nothing for it. */
TEST(the_next_object_is_a_fresh_one)
{
    heap = new_heap(0);
    for (size_t i = 0; i < MAKERS - 1; i++) {
        char *first = makers[i](), *next = first + gc_object_size(first);
        GC_FRAME(first);
        CHECK_REFUSED(gc_weak_new(next), EINVAL);
        CHECK_EQ(gc_finalizer_set(next, finalize_nothing, NULL), -EINVAL);
        char *second = makers[i]();
        if (second != next)
            continue;
        CHECK(gc_is_object(second));
        CHECK_EQ(gc_finalizer_set(second, NULL, NULL), -ENOENT);
        CHECK_EQ(gc_external_add(second, -1), -EINVAL);
    }
    gc_heap_destroy(heap);
}

TEST(small_bytes_are_objects_of_their_own)
{
    heap = new_heap(0);
    char *p[16];
    gc_weak *weak[16];
    GC_FRAME_ARRAY(p, 16);
    for (size_t size = 0; size < 16; size++) {
        p[size] = gc_new_bytes(size + 1);
        memset(p[size], (int)size, size + 1);
        CHECK_EQ((uintptr_t)p[size] % 8, 0);
        weak[size] = gc_weak_new(p[size]);
        for (size_t i = 1; i <= size; i++)
            CHECK_REFUSED(gc_weak_new(p[size] + i), EINVAL);
    }
    for (size_t size = 0; size < 16; size += 2)
        p[size] = NULL;
    gc_collect();
    for (size_t size = 0; size < 16; size++) {
        CHECK(gc_weak_get(weak[size]) == p[size]);
        for (size_t i = 0; p[size] && i <= size; i++)
            CHECK_EQ(p[size][i], (char)size);
    }
    gc_heap_destroy(heap);
}

/* Whatever the collector has asked for and got: runs become black, are given up, are taken anew. */
TEST(at_every_moment_of_a_cycle)
{
    static const enum step moments[] = {STEP_ARM,   STEP_SETTLE, STEP_ROOTS,
                                        STEP_FLUSH, STEP_DISARM, STEP_FLIP};
    heap = gc_heap_create(&(gc_options){.max_procs = 4, .debug = "poison=2"});
    CHECK(heap);
    GC_FRAME_ARRAY(made, MADE);
    for (size_t i = 0; i < MAKERS; i++)
        make_one(i);
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        begin_cycle();
        answer_until(moments[i]);
        check_made(false);
        gc_safepoint();
        check_made(false);
        for (size_t k = 0; k < MAKERS; k++)
            make_one(k);
        check_made(false);
        end_cycle();
        check_made(false);
    }
    gc_heap_destroy(heap);
}

/* ---- Other threads' runs ---- */

static atomic_int stage;

/* Makes objects, shows them, and stops as the test says: while it runs, then blocked, and gone. */
static void *make_some(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    {
        GC_FRAME_ARRAY(made, MADE);
        for (size_t i = 0; i < 2 * MAKERS; i++)
            make_one(i);
        stage = 1;
        WAIT_UNTIL(stage == 2);
        for (size_t i = 0; i < 2 * MAKERS; i++)
            make_one(i);
        stage = 3;
        BLOCK_UNTIL(stage == 4);
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(runs_of_another_thread)
{
    heap = gc_heap_create(&(gc_options){.max_procs = 4});
    static gc_type *type;
    type = &cell_type;
    CHECK(gc_new(type));
    pthread_t thread = start_thread(make_some, NULL);
    WAIT_UNTIL(stage == 1);
    check_made(true);
    stage = 2;
    WAIT_UNTIL(stage == 3);
    check_made(true);
    gc_collect();
    check_made(false);
    stage = 4;
    join_thread(thread);
    gc_heap_destroy(heap);
}

/* Objects come over in a slot, one after the other, while runs are used up, closed and opened: each
 * that was shown is an object. */
static void *shown;
static atomic_bool over;

static gc_type shown_types[64];

static void *show(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    for (uint64_t i = 0; !over; i++) {
        void *p = i % 3 ? gc_new(&shown_types[i * 7 % 64]) : makers[i % (MAKERS - 1)]();
        CHECK(p);
        gc_store(&shown, p);
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void check_shown(size_t rounds)
{
    void *p = NULL, *seen[32] = {NULL};
    GC_FRAME(p);
    GC_FRAME_ARRAY(seen, 32);
    for (size_t i = 0; i < rounds; i++) {
        p = gc_load(&shown);
        CHECK(gc_is_object(p) && gc_object_base((char *)p + 7) == p);
        void *old = seen[i % 32];
        CHECK(!old || (gc_is_object(old) && gc_object_size(old) >= 8));
        if (i % 16 == 0) {
            gc_weak *weak = gc_weak_new(p);
            CHECK(weak && gc_weak_get(weak) == p);
            gc_weak_free(weak);
        }
        seen[i % 32] = p;
        if (i % (rounds / 16) == 0)
            gc_collect();
        gc_safepoint();
    }
}

static void what_is_shown(const char *debug, size_t rounds)
{
    heap = gc_heap_create(&(gc_options){.max_procs = 4, .debug = debug});
    CHECK_EQ(gc_root(&shown), 0);
    for (size_t i = 0; i < 64; i++)
        shown_types[i] = (gc_type){.size = 8 + i % 16 * 8, .name = "shown", .inline_mask = {1}};
    pthread_t threads[2] = {start_thread(show, NULL), start_thread(show, NULL)};
    POLL_UNTIL(gc_load(&shown));
    check_shown(rounds);
    over = true;
    join_threads(threads, 2);
    CHECK_EQ(gc_unroot(&shown), 0);
    gc_heap_destroy(heap);
}

TEST(what_is_shown_is_an_object)
{
    what_is_shown("poison=2", SLOW ? 5000 : 40000);
}

TEST(what_is_shown_is_an_object_with_delays)
{
    what_is_shown("poison=2,delay=5", SLOW ? 5000 : 20000);
}

/* ---- Between two looks ---- */

enum { SLOT = 64 };
static gc_type first_type = {.size = SLOT, .name = "first", .inline_mask = {1}};
static gc_type second_type = {.size = SLOT, .name = "second", .inline_mask = {1}};
static struct gate gate, other_gate;
static bool is_one;

static const struct gc_span *span_of(const void *p)
{
    return mheap_span_of(&heap->mem, (uintptr_t)p);
}

/* held[0] is of the run of an array's shape, which is looked at second, as it was made last; the
 * class's own run is looked at first. All cells of its span go, and held[1] is the first of the
 * next span; then that one's go. */
static void fill_two_spans(struct actor *a)
{
    CHECK(gc_new(&first_type) && gc_new(&second_type));
    a->held[0] = gc_new_array(&gc_pointer_type, SLOT / sizeof(void *));
    do
        a->held[1] = gc_new(&first_type);
    while (span_of(a->held[1]) == span_of(a->held[0]));
    do
        a->held[2] = gc_new(&second_type);
    while (span_of(a->held[2]) == span_of(a->held[0]) ||
           span_of(a->held[2]) == span_of(a->held[1]));
}

/* The maker does that, and the asker knows held[1]. */
static void begin_with_two_spans(struct actor actors[2])
{
    stage_set(0, NULL);
    actors_start(actors, 2);
    actor_do(&actors[0], fill_two_spans);
    actors[1].held[1] = actors[0].held[1];
}

/* The shape's run is used up and taken anew, in the third span. */
static void go_on_in_the_third(struct actor *a)
{
    do
        a->held[3] = gc_new_array(&gc_pointer_type, SLOT / sizeof(void *));
    while (span_of(a->held[3]) == span_of(a->held[0]));
}

static bool the_second_time(void)
{
    static unsigned times;
    return ++times == 2;
}

static void ask_slowly(struct actor *a)
{
    my_stop = (struct stop){&gate, STRESS_RUN_READ, false, the_second_time};
    is_one = gc_is_object(a->held[1]);
}

/* Who asks has read the cursor of a run in the first span, and goes on when that run is in the
 * third: the object lies between. */
TEST(a_run_that_moves_while_somebody_looks)
{
    struct actor actors[2], *maker = &actors[0], *asker = &actors[1];
    begin_with_two_spans(actors);
    actor_tell(asker, ask_slowly);
    gate_await(&gate);
    actor_do(maker, go_on_in_the_third);
    CHECK(maker->held[0] < maker->held[1] && maker->held[1] < maker->held[3]);
    gate_open(&gate);
    actor_await(asker);
    CHECK(is_one);
    actors_end(actors, 2);
    end_heap(heap);
}

/* The shape's run goes on in a third span, and stops before its cursor is there. */
static void go_on_slowly(struct actor *a)
{
    stop_me(STRESS_RUN_LIMIT, &gate);
    go_on_in_the_third(a);
}

static void ask(struct actor *a)
{
    is_one = gc_is_object(a->held[1]);
}

/* The object lies below the limit of a run whose cursor is not there yet. */
TEST(a_run_that_is_half_there)
{
    struct actor actors[2], *maker = &actors[0], *asker = &actors[1];
    begin_with_two_spans(actors);
    actor_tell(maker, go_on_slowly);
    gate_await(&gate);
    actor_do(asker, ask);
    CHECK(is_one);
    gate_open(&gate);
    actor_await(maker);
    CHECK(maker->held[1] < maker->held[3]);
    actors_end(actors, 2);
    end_heap(heap);
}

/* ---- Between a look and a run that is given back ---- */

static void answer_until_flip(struct actor *a)
{
    (void)a;
    answer_until(STEP_FLIP);
}

static void make_the_first_of_a_run(struct actor *a)
{
    a->held[0] = gc_new(&first_type);
}

/* Whoever asks has found the alloc bit of a slot in the rest of a run, and goes on when the rest is
 * given back, and the span is nobody's. */
static void ask_about_the_next(struct actor *a)
{
    stop_me(STRESS_CELL_FOUND, &other_gate);
    is_one = gc_is_object((char *)a->held[0] + SLOT);
}

TEST(a_rest_that_is_given_back_while_somebody_looks)
{
    struct actor actors[2], *maker = &actors[0], *asker = &actors[1];
    stage_set(0, NULL);
    actors_start(actors, 2);
    actor_do(maker, make_the_first_of_a_run);
    asker->held[0] = maker->held[0];
    const struct gc_span *s = span_of(maker->held[0]);
    CHECK(object_cell(&heap->mem, (uintptr_t)maker->held[0] + SLOT));
    begin_cycle();
    actor_tell(maker, answer_until_flip);
    actor_tell(asker, answer_until_flip);
    answer_until(STEP_FLIP);
    actor_await(maker);
    actor_tell(asker, ask_about_the_next);
    gate_await(&other_gate);
    actor_do(maker, answer);
    CHECK(!ptr_load_relaxed(&s->cache));
    gate_open(&other_gate);
    actor_await(asker);
    CHECK(!is_one);
    all_end(actors, 2);
    actors_end(actors, 2);
    end_heap(heap);
}

/* ---- Walks ---- */

static bool count_one(void *count, const struct gc_object *object)
{
    ++*(size_t *)count;
    return gc_heap_contains(gc_heap_current(), object->address) && object->size > 0;
}

TEST(walks_find_what_was_made)
{
    heap = new_heap(0);
    struct gc_census rows[100];
    size_t n = 0, counted = 0;
    GC_FRAME_ARRAY(made, MADE);
    for (size_t i = 0; i < 5 * MAKERS; i++)
        make_one(i);
    int nrows = gc_heap_census(rows, 100);
    for (int i = 0; i < nrows; i++)
        counted += (size_t)rows[i].objects;
    CHECK_EQ(counted, nmade);
    CHECK_EQ(gc_heap_each(count_one, &n), 0);
    CHECK_EQ(n, nmade);
    gc_heap_destroy(heap);
}

TAP_MAIN
