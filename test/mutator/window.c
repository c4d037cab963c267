/* Windows: stores without the barrier after gc_before_write(). Each test loses an object if a
 * single line of what belongs to them is missing. */
#include "actors.h"
#include "build.h"
#include "log.h"

#include <sys/syscall.h>
#include <unistd.h>

static struct cell *root; /* a root */

static void begin(struct actor *actors, size_t n)
{
    stage_set(0, "poison=2");
    actors_start(actors, n);
    CHECK_EQ(gc_root(&root), 0);
}

static void end(struct actor *actors, size_t n)
{
    actors_end(actors, n);
    CHECK_EQ(gc_unroot(&root), 0);
    end_heap(heap);
}

/* The collector's reads are atomic, so these stores are: ThreadSanitizer sees them. */
static void write_plainly(struct cell **slot, struct cell *value)
{
    __atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

static void hold_next(struct actor *a)
{
    a->held[0] = gc_load(&root->next);
}
static void cut_in_window(struct actor *a)
{
    (void)a;
    gc_before_write(root);
    write_plainly(&root->next, NULL);
}
static void put_in_window(struct actor *a)
{
    gc_before_write(root);
    write_plainly(&root->next, a->held[1]);
    a->held[1] = NULL;
}
static void open_window(struct actor *a)
{
    (void)a;
    gc_before_write(root);
}
static void check_second(struct actor *a)
{
    CHECK(is_cell(a->held[0], 2));
    CHECK(is_cell(a->held[0]->next, 3));
}

/* ---- What is overwritten ---- */

/* A black thread holds what it cuts off. */
static void overwritten_by_black(void (*cut)(struct actor *))
{
    struct actor reader;
    begin(&reader, 1);
    root = new_chain(3);
    go_past_roots(&reader, 1);
    actor_do(&reader, hold_next);
    actor_do(&reader, cut);
    all_answer_and_end(&reader, 1);
    actor_do(&reader, check_second);
    end(&reader, 1);
}

TEST(what_a_window_overwrites)
{
    overwritten_by_black(cut_in_window);
}

/* Before its ROOTS a thread has the barrier as well. */
TEST(what_a_grey_thread_overwrites)
{
    struct actor reader;
    begin(&reader, 1);
    root = new_chain(3);
    go_past_roots(&reader, 1);
    actor_do(&reader, hold_next);
    cut_in_window(NULL);
    all_answer_and_end(&reader, 1);
    actor_do(&reader, check_second);
    end(&reader, 1);
}

/* An array of more than one arena's map word, piece and strand; its last element is all that
 * matters. */
enum { LARGE = 100000 };
static struct cell **array;

static void hold_last(struct actor *a)
{
    a->held[0] = gc_load(&array[LARGE - 1]);
}
static void cut_last(struct actor *a)
{
    (void)a;
    gc_before_write(array);
    write_plainly(&array[LARGE - 1], NULL);
}
static void cut_last_by_range(struct actor *a)
{
    (void)a;
    gc_before_write_range(&array[LARGE - 1], sizeof *array);
    write_plainly(&array[LARGE - 1], NULL);
}

static void overwritten_in_array(void (*cut)(struct actor *))
{
    struct actor reader;
    begin(&reader, 1);
    CHECK_EQ(gc_root(&array), 0);
    array = gc_new_array(&gc_pointer_type, LARGE);
    gc_store(&array[LARGE - 1], new_chain(2));
    go_past_roots(&reader, 1);
    actor_do(&reader, hold_last);
    actor_do(&reader, cut);
    all_answer_and_end(&reader, 1);
    actor_do(&reader, check_pair);
    CHECK_EQ(gc_unroot(&array), 0);
    end(&reader, 1);
}

TEST(what_is_overwritten_in_a_large_array)
{
    overwritten_in_array(cut_last);
}
TEST(what_is_overwritten_in_a_range)
{
    overwritten_in_array(cut_last_by_range);
}

static struct cell *globals[2];

static void hold_global(struct actor *a)
{
    a->held[0] = gc_load(&globals[1]);
}
static void cut_global(struct actor *a)
{
    (void)a;
    gc_before_write_range(globals, sizeof globals);
    write_plainly(&globals[1], NULL);
}

TEST(what_is_overwritten_in_a_rooted_range)
{
    struct actor reader;
    begin(&reader, 1);
    CHECK_EQ(gc_root_range(globals, 2), 0);
    gc_store(&globals[1], new_chain(2));
    go_past_roots(&reader, 1);
    actor_do(&reader, hold_global);
    actor_do(&reader, cut_global);
    all_answer_and_end(&reader, 1);
    actor_do(&reader, check_pair);
    CHECK_EQ(gc_unroot(globals), 0);
    end(&reader, 1);
}

/* ---- What a grey thread puts there ---- */

static void make_black(struct actor *a)
{
    a->held[0] = root = new_cell(1);
}

/* Into an object that is black already a thread puts what only it holds, and forgets it before its
 * own ROOTS. */
TEST(what_a_grey_thread_puts_there)
{
    struct actor maker;
    struct cell *only = NULL;
    begin(&maker, 1);
    {
        GC_FRAME(only);
        only = new_cell(2);
        go_past_roots(&maker, 1);
        actor_do(&maker, make_black);
        gc_before_write(root);
        write_plainly(&root->next, only);
        only = NULL;
        all_answer_and_end(&maker, 1);
        actor_do(&maker, check_pair);
    }
    end(&maker, 1);
}

static void make_black_array(struct actor *a)
{
    a->held[0] = (void *)(array = gc_new_array(&gc_pointer_type, LARGE));
}

/* Each of these elements gets what only the caller holds. */
static void put_into_array(const size_t *places, size_t n)
{
    struct actor maker;
    struct cell *only[2] = {NULL};
    begin(&maker, 1);
    {
        GC_FRAME_ARRAY(only, 2);
        for (size_t i = 0; i < n; i++)
            only[i] = new_cell(i);
        go_past_roots(&maker, 1);
        actor_do(&maker, make_black_array);
        for (size_t i = 0; i < n; i++) {
            gc_before_write_range(&array[places[i]], sizeof *array);
            write_plainly(&array[places[i]], only[i]);
        }
        memset(only, 0, sizeof only);
        all_answer_and_end(&maker, 1);
    }
    for (size_t i = 0; i < n; i++)
        CHECK(is_cell(array[places[i]], i));
    end(&maker, 1);
}

TEST(what_a_grey_thread_puts_into_the_first_strand)
{
    put_into_array((size_t[]){1}, 1);
    put_into_array((size_t[]){MARK_STRAND / WORD_SIZE - 1}, 1);
}
/* Upwards and downwards: what is scanned from the higher place on does not reach the lower one. */
TEST(what_a_grey_thread_puts_into_other_strands)
{
    put_into_array((size_t[]){LARGE / 2, LARGE - 1}, 2);
    put_into_array((size_t[]){MARK_STRAND / WORD_SIZE + 1, 2 * MARK_STRAND / WORD_SIZE - 1}, 2);
    put_into_array((size_t[]){2 * MARK_STRAND / WORD_SIZE - 1, MARK_STRAND / WORD_SIZE + 1}, 2);
}

/* More windows than a buffer has room for: each cell of a black chain gets what only the caller
 * holds. */
enum { MANY = 3 };
static void make_black_chain(struct actor *a)
{
    for (size_t i = 0; i < MANY; i++) {
        struct cell *c = new_cell(i);
        c->next = a->held[0];
        a->held[0] = c;
    }
}
static void check_many(struct actor *a)
{
    CHECK(is_cell(a->held[0], MANY - 1));
    CHECK(is_cell(a->held[0]->next, 100));
    CHECK(is_cell(a->held[0]->next->next, 101));
    CHECK(is_cell(a->held[1], 7));
    CHECK(is_cell(a->held[1]->next, 102));
}

TEST(more_windows_than_a_buffer_holds)
{
    struct actor maker;
    struct cell *only[3] = {NULL};
    stage_set(0, "poison=2,buffers=2");
    actor_start(&maker);
    CHECK_EQ(gc_root(&root), 0);
    {
        GC_FRAME_ARRAY(only, 3);
        for (size_t i = 0; i < 3; i++)
            only[i] = new_cell(100 + i);
        go_past_roots(&maker, 1);
        actor_do(&maker, make_black_chain);
        maker.held[1] = maker.held[0]->next;
        gc_before_write(maker.held[0]);
        write_plainly(&maker.held[0]->next, only[0]);
        gc_before_write(only[0]);
        write_plainly(&only[0]->next, only[1]);
        maker.held[1]->id = 7;
        gc_before_write(maker.held[1]);
        write_plainly(&maker.held[1]->next, only[2]);
        memset(only, 0, sizeof only);
        all_answer_and_end(&maker, 1);
        actor_do(&maker, check_many);
    }
    end(&maker, 1);
}

/* The object was scanned when the thread put something there. */
static void put_where_it_was_scanned(struct actor *holder)
{
    struct cell *only = NULL;
    GC_FRAME(only);
    only = new_cell(2);
    go_past_roots(holder, 1);
    mark_what_is_queued();
    gc_before_write(root);
    write_plainly(&root->next, only);
    only = NULL;
    all_answer_and_end(holder, 1);
}

TEST(what_a_grey_thread_puts_where_it_was_scanned)
{
    struct actor holder;
    begin(&holder, 1);
    holder.held[0] = root = new_cell(1);
    put_where_it_was_scanned(&holder);
    actor_do(&holder, check_pair);
    end(&holder, 1);
}

/* What was noted in a cycle counts for nothing in the next one. */
TEST(windows_of_two_cycles)
{
    struct actor holder;
    begin(&holder, 1);
    holder.held[0] = root = new_cell(1);
    go_to_flush(&holder, 1);
    open_window(NULL);
    CHECK(thread_self()->windows.noted);
    all_answer_and_end(&holder, 1);
    CHECK(!thread_self()->windows.noted);
    put_where_it_was_scanned(&holder);
    actor_do(&holder, check_pair);
    end(&holder, 1);
}

static void vanish_from_window(struct actor *a)
{
    put_in_window(a);
    syscall(SYS_exit, 0);
}

/* What a thread wrote to that ends attached, before its ROOTS, is handed over for it. */
TEST(the_window_of_one_that_has_ended)
{
    struct actor actors[2], *leaver = &actors[0], *holder = &actors[1];
    if (THREAD_SANITIZER)
        SKIP("the sanitizer must see threads end");
    begin(actors, 2);
    leaver->held[1] = new_cell(2);
    go_to_roots(actors, 2);
    actor_do(holder, answer);
    actor_do(holder, make_black); /* nothing else would scan it */
    actor_tell(leaver, vanish_from_window);
    WAIT_UNTIL(stats_of(heap).threads == 3); /* this one, the holder, the driver */
    all_answer_and_end(holder, 1);
    actor_do(holder, check_pair);
    end(holder, 1);
}

/* ---- Once in a cycle ---- */

/* A black thread has opened a window while others are grey. One of those puts something there,
 * which the black thread takes, and overwrites in a new window. */
static void window_again(struct actor *actors, void (*first)(struct actor *))
{
    struct actor *black = &actors[0];
    struct cell *only = NULL;
    {
        GC_FRAME(only);
        only = new_chain(2);
        begin_cycle();
        answer_up_to_roots(actors, 1);
        first(black);
        gc_before_write(root);
        write_plainly(&root->next, only);
        only = NULL;
        actor_do(black, hold_next);
        actor_do(black, cut_in_window);
        all_answer_and_end(actors, 1);
    }
    actor_do(black, check_pair);
    end(actors, 1);
}

static void answer_then_open(struct actor *a)
{
    actor_do(a, answer);
    actor_do(a, open_window);
}
static void open_then_answer(struct actor *a)
{
    actor_do(a, open_window);
    actor_do(a, answer);
}

TEST(a_window_before_all_are_black_is_not_noted)
{
    struct actor black;
    begin(&black, 1);
    root = new_cell(9);
    window_again(&black, answer_then_open);
}

TEST(a_window_before_all_are_black_in_a_later_cycle)
{
    struct actor black;
    begin(&black, 1);
    root = new_cell(9);
    begin_cycle();
    all_end(&black, 1);
    window_again(&black, answer_then_open);
}

TEST(a_window_before_roots_is_forgotten)
{
    struct actor black;
    begin(&black, 1);
    root = new_cell(9);
    window_again(&black, open_then_answer);
}

/* The struct of a thread that has left is another's in the next cycle. */
TEST(a_thread_that_attaches_has_no_windows)
{
    struct actor actors[2], *leaver = &actors[0], *black = &actors[1];
    begin(leaver, 1);
    root = new_chain(3);
    go_to_flush(leaver, 1);
    actor_do(leaver, open_window);
    actor_leave(leaver);
    all_answer_and_end(NULL, 0);
    go_to_roots(NULL, 0);
    actor_start(black);
    CHECK(black->self == leaver->self);
    actor_do(black, hold_next);
    actor_do(black, cut_in_window);
    all_answer_and_end(black, 1);
    actor_do(black, check_second);
    end(actors, 2);
}

/* Once all are black, what an object refers to is looked at once. */
static void count_trace(void *object, gc_tracer *tracer);
struct counted {
    struct cell *hidden; /* to the trace function alone */
    uint64_t traces;
};
static gc_type counted_type = {
    .size = sizeof(struct counted), .align = 8, .name = "struct counted", .trace = count_trace};

static void count_trace(void *object, gc_tracer *tracer)
{
    struct counted *c = object;
    __atomic_fetch_add(&c->traces, 1, __ATOMIC_RELAXED);
    gc_trace_slot(tracer, &c->hidden);
}

static struct counted *counted;

static uint64_t traces(void)
{
    return __atomic_load_n(&counted->traces, __ATOMIC_RELAXED);
}

TEST(once_in_a_cycle)
{
    struct actor other;
    begin(&other, 1);
    CHECK_EQ(gc_root(&counted), 0);
    counted = gc_new(&counted_type);
    CHECK(!gc_is_marking());
    gc_before_write(counted);
    gc_shade(counted);
    CHECK_EQ(traces(), 0);
    go_to_flush(&other, 1);
    uint64_t before = traces();
    for (int i = 0; i < 10; i++)
        gc_before_write(counted);
    CHECK_EQ(traces(), before + 1);
    all_answer_and_end(&other, 1);
    CHECK(!gc_is_marking());
    before = traces();
    gc_before_write(counted);
    CHECK_EQ(traces(), before);
    CHECK_EQ(gc_unroot(&counted), 0);
    end(&other, 1);
}

static void hold_hidden(struct actor *a)
{
    a->held[0] = gc_load(&counted->hidden);
}
static void cut_hidden(struct actor *a)
{
    (void)a;
    gc_before_write(counted);
    write_plainly(&counted->hidden, NULL);
}

TEST(what_is_overwritten_in_a_traced_object)
{
    struct actor reader;
    begin(&reader, 1);
    CHECK_EQ(gc_root(&counted), 0);
    counted = gc_new(&counted_type);
    counted->hidden = new_chain(2);
    go_past_roots(&reader, 1);
    actor_do(&reader, hold_hidden);
    actor_do(&reader, cut_hidden);
    all_answer_and_end(&reader, 1);
    actor_do(&reader, check_pair);
    CHECK_EQ(gc_unroot(&counted), 0);
    end(&reader, 1);
}

/* ---- gc_shade ---- */

static void cut_by_hand(struct actor *a)
{
    (void)a;
    CHECK(gc_is_marking());
    gc_shade(root->next);
    write_plainly(&root->next, NULL);
}

TEST(what_is_shaded_by_hand)
{
    overwritten_by_black(cut_by_hand);
}

static void cut_by_barrier_store(struct actor *a)
{
    (void)a;
    if (gc_is_marking())
        gc_barrier_store(&root->next, NULL);
    __atomic_store_n(&root->next, NULL, __ATOMIC_RELEASE);
}

TEST(what_the_barrier_of_compiled_code_shades)
{
    overwritten_by_black(cut_by_barrier_store);
}

/* ---- Elsewhere ---- */

TEST(windows_in_a_heap_that_stops_the_world)
{
    stage_set(GC_STOP_WORLD, "poison=2");
    CHECK_EQ(gc_root(&root), 0);
    root = new_chain(1000);
    CHECK(!gc_is_marking());
    gc_before_write(root);
    root->next = NULL;
    gc_before_write_range(root, sizeof *root);
    root->next = new_chain(2);
    gc_shade(root);
    CHECK_EQ(gc_collect(), 0);
    CHECK(is_cell(root->next, 1) && is_cell(root->next->next, 2));
    CHECK_EQ(gc_unroot(&root), 0);
    end_heap(heap);
}

/* What is no object, and no memory. */
TEST(no_objects)
{
    static struct cell outside;
    gc_options o = {.log = keep_line};
    CHECK((heap = gc_heap_create(&o)));
    CHECK_EQ(gc_root(&root), 0);
    begin_cycle();
    answer_until(STEP_FLUSH);
    CHECK(gc_is_marking());
    gc_before_write(NULL);
    gc_before_write_range(NULL, 0);
    gc_shade(NULL);
    gc_shade(&outside);
    gc_before_write(gc_new_bytes(100));
    CHECK(!has_logged(""));
    gc_before_write(&outside);
    CHECK(has_logged("gc_before_write: the address lies in no object"));
    forget_log();
    gc_before_write(&outside);
    CHECK(!has_logged(""));
    CHECK_EQ(gc_blocking_begin(), 0);
    end_cycle();
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_unroot(&root), 0);
    end_heap(heap);
}

TAP_MAIN
