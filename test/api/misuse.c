/* Every misuse that docs/reference.md calls caught, and its result. */
#include <setjmp.h>
#include "heaps.h"
#include "log.h"

struct cell {
    struct cell *next;
    long number;
};
static GC_TYPE(cell_type, struct cell, next);
static GC_TYPE_NOPTR(plain_type, double);

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}

static gc_heap *logging_heap(void)
{
    static gc_options options;
    options.log = keep_line;
    gc_heap *heap = gc_heap_create(&options);
    CHECK(heap);
    return heap;
}

static bool each_nothing(void *arg, const struct gc_object *object)
{
    (void)arg, (void)object;
    return false;
}

static void visit_nothing(void *arg, gc_tracer *tracer)
{
    (void)arg, (void)tracer;
}

static gc_fiber *some_fiber; /* of a heap that is not current */

/* Every call that needs a current heap. */
static void check_all_refused(void)
{
    static void *slots[2], **top = slots;
    struct gc_statistics stats;
    struct gc_census rows[1];
    CHECK_REFUSED(gc_new(&cell_type), EPERM);
    CHECK_REFUSED(gc_new(&plain_type), EPERM);
    CHECK_REFUSED(gc_new_array(&cell_type, 3), EPERM);
    CHECK_REFUSED(gc_new_flex(&cell_type, &gc_pointer_type, 3), EPERM);
    CHECK_REFUSED(gc_new_bytes(0), EPERM);
    CHECK_REFUSED(gc_new_bytes(7), EPERM);
    CHECK_REFUSED(gc_new_bytes(100), EPERM);
    CHECK_REFUSED(gc_new_bytes(100000), EPERM);
    CHECK_EQ(gc_root(slots), -EPERM);
    CHECK_EQ(gc_unroot(slots), -EPERM);
    CHECK_EQ(gc_root_range(slots, 2), -EPERM);
    CHECK_EQ(gc_thread_range(slots, &top), -EPERM);
    CHECK_EQ(gc_thread_range_remove(slots), -EPERM);
    CHECK_EQ(gc_thread_local_range(slots, sizeof slots), -EPERM);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_nothing, NULL), -EPERM);
    CHECK_EQ(gc_root_callback_remove(visit_nothing, NULL), -EPERM);
    CHECK_REFUSED(gc_handle_new(NULL), EPERM);
    CHECK_EQ(gc_collect(), -EPERM);
    CHECK_EQ(gc_collect_start(), -EPERM);
    CHECK_EQ(gc_release_memory(), -EPERM);
    CHECK_EQ(gc_set_percent(100), -EPERM);
    CHECK_EQ(gc_set_limit(1), 0);
    CHECK_EQ(gc_set_hard_limit(1), 0);
    CHECK_EQ(gc_stats(&stats), -EPERM);
    CHECK_EQ(gc_thread_scan_stack(true), -EPERM);
    CHECK_REFUSED(gc_fiber_create(), EPERM);
    CHECK_REFUSED(gc_fiber_create_for(NULL), EPERM);
    CHECK_REFUSED(gc_fiber_switch(NULL), EPERM);
    CHECK_REFUSED(gc_fiber_switch(some_fiber), EPERM);
    CHECK_REFUSED(gc_fiber_current(), EPERM);
    CHECK_EQ(gc_fiber_destroy(some_fiber), -EPERM);
    CHECK_EQ(gc_fiber_stack(some_fiber, NULL, NULL), -EPERM);
    CHECK_REFUSED(gc_object_base(slots), EPERM);
    CHECK_EQ(gc_object_size(slots), 0);
    CHECK(!gc_is_object(slots));
    CHECK_EQ(gc_heap_each(each_nothing, NULL), -EPERM);
    CHECK_EQ(gc_heap_census(rows, 1), -EPERM);
    CHECK_EQ(gc_heap_verify(), -EPERM);
}

TEST(no_heap)
{
    static void *slot;
    check_all_refused();
    CHECK_EQ(gc_thread_detach(), -EPERM);
    CHECK_EQ(gc_thread_name("x"), -EPERM);
    CHECK_EQ(gc_blocking_begin(), -EPERM);
    CHECK_EQ(gc_blocking_end(), -EPERM);
    CHECK(!gc_heap_current());
    /* What is harmless does what it would. */
    gc_safepoint();
    gc_store(&slot, &slot);
    CHECK(gc_load(&slot) == &slot);
    gc_handle_free(NULL);
}

TEST(blocking_region)
{
    gc_heap *heap = logging_heap();
    CHECK_EQ(gc_blocking_begin(), 0);
    check_all_refused();
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(gc_thread_detach(), -EBUSY);
    CHECK_EQ(gc_blocking_end(), 0);
    check_all_refused();
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_blocking_end(), -EPERM);
    CHECK(gc_new(&cell_type));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(other_current_heap)
{
    gc_heap *first = logging_heap(), *second = logging_heap();
    CHECK(gc_heap_current() == second);
    some_fiber = gc_fiber_create();
    CHECK_EQ(gc_thread_switch(NULL), 0);
    check_all_refused();
    CHECK_EQ(gc_thread_switch(first), 0);
    CHECK(gc_new(&cell_type));
    CHECK_EQ(gc_thread_attach(second), -EEXIST);
    CHECK_EQ(gc_thread_attach(NULL), -EINVAL);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_switch(first), -ENOENT);
    CHECK_EQ(gc_heap_destroy(first), 0);
    CHECK_EQ(gc_heap_destroy(second), 0);
    CHECK_EQ(gc_heap_destroy(NULL), -EINVAL);
}

TEST(options)
{
    static const gc_options wrong[] = {
        {.flags = 1u << 31},
        {.flags = GC_HUGE_PAGES | GC_NO_HUGE_PAGES},
        {.percent = -2},
        {.max_procs = 257},
        {.mark_workers = 257},
        {.format = {.match = 1}},
        {.format = {.mask = 7, .match = 8, .payload = 1}},
        {.format = {.mask = 7}},
        {.reserve = SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_REFUSED(gc_heap_create(&wrong[i]), EINVAL);
    gc_options unknown = {.debug = "poison,nonsense=3", .log = keep_line};
    gc_heap *heap = gc_heap_create(&unknown);
    CHECK(heap);
    CHECK(has_logged("nonsense"));
    CHECK_EQ(gc_set_percent(-2), -EINVAL);
    CHECK_EQ(gc_set_percent(GC_PERCENT_OFF), 100);
    CHECK_EQ(gc_set_percent(50), GC_PERCENT_OFF);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static pthread_barrier_t barrier;

#if defined(GC_DEBUG) && GC_DEBUG
#define TELLS_OF_THREADS_THAT_END_ATTACHED true
#else
#define TELLS_OF_THREADS_THAT_END_ATTACHED false
#endif

static void *stay_attached(void *heap)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_blocking_begin(), 0);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    CHECK_EQ(gc_blocking_end(), 0);
    return NULL; /* without gc_thread_detach */
}

TEST(destroy_while_attached)
{
    gc_heap *heap = logging_heap();
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_t thread = start_thread(stay_attached, heap);
    wait_at(&barrier);
    CHECK_EQ(gc_heap_destroy(heap), -EBUSY);
    CHECK(gc_heap_current() == heap);
    CHECK(gc_new(&cell_type));
    wait_at(&barrier);
    join_thread(thread);
    CHECK(has_logged("ended without gc_thread_detach()") == TELLS_OF_THREADS_THAT_END_ATTACHED);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(detach_with_open_frame)
{
    gc_heap *heap = logging_heap();
    {
        struct cell *cell = gc_new(&cell_type);
        GC_FRAME(cell);
        CHECK_EQ(gc_thread_detach(), -EBUSY);
        CHECK(gc_heap_current() == heap);
    }
    gc_fiber *fiber = gc_fiber_create();
    CHECK(!gc_fiber_switch(fiber));
    CHECK_EQ(gc_thread_detach(), -EBUSY);
    CHECK_EQ(gc_fiber_destroy(fiber), -EBUSY);
    CHECK(gc_fiber_switch(NULL) == fiber);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    CHECK_EQ(gc_fiber_destroy(NULL), -EINVAL);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* The first program of the README does this. */
TEST(destroy_with_open_frame)
{
    for (int i = 0; i < 2; i++) {
        struct cell *cell = NULL;
        gc_heap *heap = logging_heap();
        GC_FRAME(cell);
        cell = gc_new(&cell_type);
        CHECK_EQ(gc_heap_destroy(heap), 0);
    }
    CHECK(!gc_heap_current());
    CHECK(gc_frame_mark() == NULL);
}

static void *run_fiber(void *arg)
{
    void **both = arg;
    CHECK_EQ(gc_thread_attach(both[0]), 0);
    errno = 0;
    gc_fiber_switch(both[1]);
    both[2] = errno == EBUSY && !gc_fiber_current() ? both[0] : NULL;
    CHECK_EQ(gc_fiber_stack(both[1], NULL, NULL), -EBUSY);
    CHECK_EQ(gc_fiber_destroy(both[1]), -EBUSY);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

TEST(fiber_of_another_thread)
{
    gc_heap *heap = logging_heap();
    gc_fiber *fiber = gc_fiber_create();
    void *both[] = {heap, fiber, NULL};
    gc_fiber_switch(fiber);
    run_thread(run_fiber, both);
    CHECK(both[2]);
    gc_fiber_switch(NULL);
    CHECK_EQ(gc_fiber_stack(NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(gc_fiber_stack(fiber, both + 1, both), -EINVAL);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(fiber_of_another_heap)
{
    gc_heap *first = logging_heap();
    gc_fiber *fiber = gc_fiber_create(), *own;
    gc_heap *second = logging_heap();
    CHECK_REFUSED(gc_fiber_switch(fiber), EINVAL);
    CHECK_EQ(gc_fiber_destroy(fiber), -EINVAL);
    CHECK_EQ(gc_fiber_stack(fiber, NULL, NULL), -EINVAL);
    CHECK((own = gc_fiber_create()));
    CHECK_REFUSED(gc_fiber_switch(own), 0);
    errno = 0;
    CHECK(gc_fiber_switch(fiber) == own && errno == EINVAL); /* no switch */
    CHECK(gc_fiber_current() == own);
    CHECK(gc_fiber_switch(NULL) == own);
    CHECK_EQ(gc_thread_switch(first), 0);
    CHECK_REFUSED(gc_fiber_switch(own), EINVAL);
    CHECK_REFUSED(gc_fiber_switch(fiber), 0);
    CHECK(gc_fiber_current() == fiber);
    CHECK(gc_fiber_switch(NULL) == fiber);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    CHECK_EQ(gc_heap_destroy(first), 0);
    CHECK_EQ(gc_heap_destroy(second), 0);
}

#define WORD sizeof(void *)

static const struct {
    const char *why;
    struct gc_type_spec spec;
} wrong_specs[] = {
    {"no power of two", {.size = 8, .align = 3}},
    {"no power of two", {.size = 8, .align = 16384}},
    {"size 0", {.size = 0, .mask = (const uint64_t[]){1}, .mask_bits = 1}},
    {"mask", {.size = 2 * WORD, .mask = (const uint64_t[]){7}, .mask_bits = 3}},
    {"ptrdata",
     {.size = 2 * WORD, .mask = (const uint64_t[]){1}, .mask_bits = 2, .ptrdata = 3 * WORD}},
    {"ptrdata",
     {.size = 2 * WORD, .mask = (const uint64_t[]){1}, .mask_bits = 2, .ptrdata = 2 * WORD}},
    {"ptrdata", {.size = 2 * WORD, .mask = (const uint64_t[]){2}, .mask_bits = 2, .ptrdata = WORD}},
    {"mask and a program",
     {.size = 2 * WORD,
      .ptrdata = WORD,
      .mask = (const uint64_t[]){1},
      .mask_bits = 1,
      .program = (const uint8_t[]){1, 1, 0},
      .program_size = 3}},
    {"ptrdata", {.size = 2 * WORD, .program = (const uint8_t[]){1, 1, 0}, .program_size = 3}},
    {"no end",
     {.size = 2 * WORD, .ptrdata = WORD, .program = (const uint8_t[]){1, 1}, .program_size = 2}},
    {"past the size",
     {.size = 2 * WORD, .ptrdata = WORD, .program = (const uint8_t[]){3, 7, 0}, .program_size = 3}},
    {"than it has made",
     {.size = 2 * WORD,
      .ptrdata = WORD,
      .program = (const uint8_t[]){0x82, 1, 0},
      .program_size = 3}},
};

/* Types that the embedder fills in itself, in static memory. */
static struct {
    const char *why;
    gc_type type;
} wrong_types[] = {
    {"ptrdata is larger", {.size = 2 * WORD, .ptrdata = 3 * WORD}},
    {"absurd", {.size = SIZE_MAX - 7}},
    {"beyond the size", {.size = 2 * WORD, .inline_mask = {4}}},
    {"without a program", {.size = 2 * WORD, .kind = GC_KIND_GCPROG}},
    {"past the size", {.size = 2 * WORD, .kind = GC_KIND_GCPROG, .gcdata = "\1\1\x81\7"}},
    {"needs a size", {.size = 0, .trace = trace_nothing}},
};

TEST(types_filled_in_by_hand)
{
    gc_heap *heap = logging_heap();
    for (size_t i = 0; i < sizeof wrong_types / sizeof wrong_types[0]; i++) {
        errno = 0;
        void *object = gc_new(&wrong_types[i].type);
        ok(!object && errno == EINVAL && strstr(gc_type_error(), wrong_types[i].why),
           "type %zu is refused: %s", i, gc_type_error());
    }
    CHECK_EQ(gc_type_register(NULL), -EINVAL);
    CHECK(strstr(gc_type_error(), "NULL"));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(types)
{
    for (size_t i = 0; i < sizeof wrong_specs / sizeof wrong_specs[0]; i++) {
        errno = 0;
        gc_type *type = gc_type_create(&wrong_specs[i].spec);
        ok(!type && errno == EINVAL && strstr(gc_type_error(), wrong_specs[i].why),
           "type %zu is refused: %s", i, gc_type_error());
    }
    CHECK_REFUSED(gc_type_create(NULL), EINVAL);
    CHECK_EQ(gc_type_release(&gc_pointer_type), -EINVAL);
    CHECK_EQ(gc_type_release(&gc_word_type), -EINVAL);
    CHECK_EQ(gc_type_release(NULL), -EINVAL);

    gc_heap *heap = logging_heap();
    static const char bytes[16];
    gc_type wrong = cell_type;
    wrong.info = NULL;
    wrong.run = 0;
    wrong.align = 3;
    CHECK_REFUSED(gc_new(&wrong), EINVAL);
    CHECK_REFUSED(gc_new_array(&wrong, 2), EINVAL);
    CHECK_REFUSED(gc_new_flex(&wrong, &gc_pointer_type, 2), EINVAL);
    CHECK_REFUSED(gc_new_flex(&cell_type, &wrong, 2), EINVAL);
    CHECK_EQ(gc_type_register(&wrong), -EINVAL);
    CHECK(strstr(gc_type_error(), "power of two"));
    CHECK_REFUSED(gc_new_array(NULL, 2), EINVAL);
    CHECK(strstr(gc_type_error(), "NULL"));
    CHECK_REFUSED(gc_new_array(NULL, 0), EINVAL);
    CHECK_REFUSED(gc_new_flex(NULL, &gc_pointer_type, 2), EINVAL);
    CHECK_REFUSED(gc_new_flex(&cell_type, NULL, 2), EINVAL);
    CHECK_REFUSED(gc_new_flex(&cell_type, NULL, 0), EINVAL);
    CHECK(!gc_type_equal(NULL, bytes, bytes + 8));
    CHECK(!gc_type_equal(NULL, bytes, bytes));
    CHECK_EQ(gc_type_hash(NULL, bytes, 1), 0);

    gc_type *traced = gc_type_create(
        &(struct gc_type_spec){.name = "traced", .size = 16, .trace = trace_nothing});
    CHECK(traced);
    CHECK_REFUSED(gc_new_array(traced, 2), EINVAL);
    CHECK_REFUSED(gc_new_flex(&cell_type, traced, 2), EINVAL);
    CHECK(gc_new_flex(traced, &gc_pointer_type, 2));
    CHECK_EQ(gc_type_release(traced), 0);
    CHECK_EQ(gc_type_release(traced), -EINVAL); /* it is kept as long as the heap */
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(programs)
{
    uint8_t bytes[4];
    uint64_t bits = 5;
    struct gc_prog prog;
    gc_prog_begin(&prog, bytes, sizeof bytes);
    gc_prog_emit(&prog, &bits, 3);
    gc_prog_repeat(&prog, 3, 1000);
    gc_prog_emit(&prog, &bits, 3);
    CHECK_EQ(gc_prog_end(&prog), -ENOSPC);
    CHECK_EQ(prog.error, -ENOSPC);
    gc_prog_begin(&prog, NULL, sizeof bytes);
    gc_prog_emit(&prog, &bits, 3);
    CHECK_EQ(gc_prog_end(&prog), -EINVAL);
}

TEST(sizes)
{
    gc_heap *heap = logging_heap();
    CHECK_REFUSED(gc_new_array(&cell_type, SIZE_MAX / 2), ENOMEM);
    CHECK_REFUSED(gc_new_array(&cell_type, SIZE_MAX / sizeof(struct cell)), ENOMEM);
    CHECK_REFUSED(gc_new_flex(&cell_type, &gc_pointer_type, SIZE_MAX / 8), ENOMEM);
    CHECK_REFUSED(gc_new_flex(&cell_type, &gc_pointer_type, SIZE_MAX / 4), ENOMEM);
    CHECK_REFUSED(gc_new_bytes(SIZE_MAX), ENOMEM);
    CHECK_REFUSED(gc_new_bytes(SIZE_MAX - 8), ENOMEM);
    CHECK_REFUSED(gc_new_bytes(SIZE_MAX / 4), ENOMEM);
    CHECK(gc_new(&cell_type));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(roots)
{
    static void *slots[4], **top = slots;
    void *misaligned = (char *)slots + 1;
    gc_heap *heap = logging_heap();
    CHECK_EQ(gc_root(NULL), -EINVAL);
    CHECK_EQ(gc_root(misaligned), -EINVAL);
    CHECK_EQ(gc_root_range(slots, 0), -EINVAL);
    CHECK_EQ(gc_root_range(slots, SIZE_MAX), -EINVAL);
    CHECK_EQ(gc_root(slots), 0);
    CHECK_EQ(gc_root(slots), -EEXIST);
    CHECK_EQ(gc_root_range(slots, 2), -EEXIST);
    CHECK_EQ(gc_unroot(slots), 0);
    CHECK_EQ(gc_unroot(slots), -ENOENT);

    CHECK_EQ(gc_thread_range(NULL, &top), -EINVAL);
    CHECK_EQ(gc_thread_range(slots, NULL), -EINVAL);
    CHECK_EQ(gc_thread_range(misaligned, &top), -EINVAL);
    CHECK_EQ(gc_thread_range(slots, &top), 0);
    CHECK_EQ(gc_thread_range(slots, &top), -EEXIST);
    CHECK_EQ(gc_thread_range_remove(slots), 0);
    CHECK_EQ(gc_thread_range_remove(slots), -ENOENT);
    CHECK_EQ(gc_thread_local_range(slots, 1), -EINVAL);
    CHECK_EQ(gc_thread_local_range(misaligned, 8), -EINVAL);

    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, NULL, NULL), -EINVAL);
    CHECK_EQ(gc_root_callback((enum gc_root_scope)7, visit_nothing, NULL), -EINVAL);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_nothing, slots), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_nothing, slots), -EEXIST);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit_nothing, NULL), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit_nothing, NULL), -EEXIST);
    CHECK_EQ(gc_root_callback_remove(visit_nothing, slots), 0);
    CHECK_EQ(gc_root_callback_remove(visit_nothing, NULL), 0);
    CHECK_EQ(gc_root_callback_remove(visit_nothing, NULL), -ENOENT);
    gc_handle_free(NULL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A longjmp past a frame, from a function that stays in the block of an older one. */
static jmp_buf landing;
static void jump(void)
{
    struct cell *cell = NULL;
    GC_FRAME(cell);
    longjmp(landing, 1);
}

static void jump_without_reset(void)
{
    gc_heap *heap = logging_heap();
    {
        struct cell *cell = NULL;
        GC_FRAME(cell);
        if (!setjmp(landing))
            jump();
    }
    CHECK(has_logged("longjmp"));
    CHECK(has_logged("  found by thread ") && has_logged(", in jump_without_reset+0x"));
    CHECK(gc_frame_mark() == NULL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(longjmp_past_a_frame)
{
#if defined(GC_DEBUG) && GC_DEBUG
    EXPECT_ABORT("frame", jump_without_reset());
#else
    jump_without_reset();
#endif
}

/* ---- Frames whose blocks were left, and a collection ---- */

static void ignore_two(void *object, void *arg)
{
    (void)object, (void)arg;
}

/* What the stack below is used for next. */
static __attribute__((noinline)) void fill_stack(int value)
{
    volatile char bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)value;
}

static volatile bool jumps = true;
static __attribute__((noinline)) void jump_from_deep(int depth)
{
    struct cell *cell = NULL;
    GC_FRAME(cell);
    if (depth > 0)
        jump_from_deep(depth - 1);
    else if (jumps)
        longjmp(landing, 1);
}

static __attribute__((noinline)) void jump_and_fill(int value)
{
    if (!setjmp(landing))
        jump_from_deep(5);
    fill_stack(value);
}

static void jump_and_collect(int value)
{
    logging_heap();
    CHECK_EQ(gc_thread_name("jumper"), 0);
    struct cell *cell = gc_new(&cell_type);
    GC_FRAME(cell);
    jump_and_fill(value);
    gc_collect();
}

/* The stack grows over the dead frames before anybody looks. */
static __attribute__((noinline)) void collect_deeper(int depth)
{
    struct cell *cell = gc_new(&cell_type);
    GC_FRAME(cell);
    if (depth > 0)
        collect_deeper(depth - 1);
    else
        gc_collect();
}

static void jump_and_grow(int value)
{
    logging_heap();
    jump_and_fill(value);
    collect_deeper(3);
}

static void jump_and_block(void)
{
    logging_heap();
    jump_and_fill(0);
    gc_blocking_begin();
}

TEST(longjmp_then_a_collection)
{
    EXPECT_ABORT("jumper: a GC_FRAME is open", jump_and_collect(0));
    EXPECT_ABORT("jumper, whose last call was gc_collect, in jump_and_collect+0x",
                 jump_and_collect(0));
    EXPECT_ABORT("gc_frame_reset", jump_and_collect(0x11));
    EXPECT_ABORT("a GC_FRAME is open", jump_and_collect(-1));
    EXPECT_ABORT("a GC_FRAME is open", jump_and_block());
    EXPECT_ABORT("a GC_FRAME was left", jump_and_grow(0x11));
    EXPECT_ABORT("a GC_FRAME was left", jump_and_grow(-1));
}

/* A heap in which a finalizer waits to be run. */
static gc_heap *heap_with_a_finalizer_due(void)
{
    gc_heap *heap = logging_heap();
    CHECK_EQ(gc_finalizer_set(gc_new(&cell_type), ignore_two, NULL), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_pending(), 1);
    return heap;
}

static void jump_and_run_finalizers(int value)
{
    heap_with_a_finalizer_due();
    jump_and_fill(value);
    gc_finalizers_run(0);
}

/* As a computed goto back to before a GC_FRAME leaves the chain. */
static void make_ring(void)
{
    gc_frame_mark()->prev = gc_frame_mark();
}

static void run_finalizers_in_ring(void)
{
    heap_with_a_finalizer_due();
    struct cell *cell = NULL;
    GC_FRAME(cell);
    make_ring();
    gc_finalizers_run(0);
}

static void run_finalizers_in_fiber(void)
{
    heap_with_a_finalizer_due();
    gc_fiber *fiber = gc_fiber_create();
    struct cell *cell = NULL;
    GC_FRAME(cell);
    make_ring();
    gc_fiber_switch(fiber);
    gc_finalizers_run(0);
}

static void destroy_in_ring(void)
{
    gc_heap *heap = logging_heap();
    struct cell *cell = NULL;
    GC_FRAME(cell);
    make_ring();
    gc_heap_destroy(heap);
}

TEST(frames_that_were_left_and_finalizers)
{
    EXPECT_ABORT("a GC_FRAME is open", jump_and_run_finalizers(0));
    EXPECT_ABORT("a GC_FRAME is open", jump_and_run_finalizers(-1));
    EXPECT_ABORT("entered again", run_finalizers_in_ring());
    EXPECT_ABORT("entered again", run_finalizers_in_fiber());
    EXPECT_ABORT("entered again", destroy_in_ring());
}

/* clang compiles none of this. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
static void run_operations(const unsigned char *code)
{
    static const void *const operations[] = {&&push, &&swap, &&halt};
    struct cell *list = NULL;
    GC_FRAME(list);
    goto *operations[*code++];
push : {
    struct cell *cell = gc_new(&cell_type);
    GC_FRAME(cell);
    cell->next = list;
    list = cell;
    goto *operations[*code++];
}
swap : {
    struct cell *one = list, *two = list;
    GC_FRAME(one, two);
    list = two;
    goto *operations[*code++];
}
halt:
    gc_collect();
}

static void run_in_heap(const unsigned char *code)
{
    logging_heap();
    run_operations(code);
}

TEST(computed_goto)
{
    EXPECT_ABORT("entered again", run_in_heap((const unsigned char[]){0, 0, 2}));
    EXPECT_ABORT("entered again", run_in_heap((const unsigned char[]){0, 1, 0, 1, 2}));
}

static __attribute__((noinline)) int go_past(int how)
{
    if (how)
        goto out;
    struct cell *cell = gc_new(&cell_type);
    GC_FRAME(cell);
    cell->number = 1;
out:
    return how;
}

static __attribute__((noinline)) int choose_past(int how)
{
    switch (how) {
    case 0:;
        struct cell *cell = gc_new(&cell_type);
        GC_FRAME(cell);
        cell->number = 1;
        break;
    default:
        return how;
    }
    return 0;
}

/* Whatever the frame that was never entered holds, nothing becomes of the others. */
static void enter_past_a_frame(void)
{
    gc_heap *heap = logging_heap();
    {
        struct cell *cell = gc_new(&cell_type);
        GC_FRAME(cell);
        cell->number = 7;
        for (int value = -1; value < 3; value++) {
            fill_stack(value);
            CHECK_EQ(go_past(1), 1);
            CHECK(has_logged("-Wjump-misses-init"));
            forget_log();
            fill_stack(value);
            CHECK_EQ(choose_past(1), 1);
            CHECK(has_logged("-Wjump-misses-init"));
            forget_log();
            CHECK_EQ(go_past(0) + choose_past(0), 0);
            CHECK_EQ(gc_collect(), 0);
            CHECK_EQ(cell->number, 7);
        }
        CHECK(!has_logged(""));
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(jumps_past_a_frame)
{
#if defined(GC_DEBUG) && GC_DEBUG
    EXPECT_ABORT("GC_FRAME", enter_past_a_frame());
#else
    enter_past_a_frame();
#endif
}
#pragma GCC diagnostic pop
#endif

TEST(longjmp_with_reset)
{
    gc_heap *heap = logging_heap();
    {
        struct cell *cell = NULL;
        GC_FRAME(cell);
        struct gc_frame *mark = gc_frame_mark();
        if (!setjmp(landing))
            jump();
        gc_frame_reset(mark);
        cell = gc_new(&cell_type);
    }
    CHECK(!has_logged(""));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static uint64_t hash_nothing(const void *key, size_t size)
{
    (void)key;
    return size;
}
static bool equal_never(const void *object, const void *key, size_t size)
{
    (void)object, (void)key, (void)size;
    return false;
}
static void ignore_one(void *arg)
{
    (void)arg;
}
TEST(weak)
{
    static int no_object;
    struct gc_intern_ops ops = {hash_nothing, equal_never, NULL};
    gc_heap *first = logging_heap();
    gc_weak *weak = gc_weak_new(gc_new(&cell_type));
    gc_weakmap *map = gc_weakmap_new();
    gc_intern *table = gc_intern_new(&ops);
    CHECK(weak && map && table);
    CHECK_REFUSED(gc_weak_new(NULL), EINVAL);
    CHECK_REFUSED(gc_weak_new(&no_object), EINVAL);
    CHECK_REFUSED(gc_weak_new(gc_new_bytes(0)), EINVAL);
    CHECK_REFUSED(gc_weak_get(NULL), EINVAL);
    CHECK_EQ(gc_weakmap_set(map, NULL, NULL), -EINVAL);
    CHECK_EQ(gc_weakmap_set(NULL, gc_new(&cell_type), NULL), -EINVAL);
    CHECK_REFUSED(gc_weakmap_get(NULL, &no_object), EINVAL);
    CHECK(!gc_weakmap_get(map, &no_object) && !gc_weakmap_has(map, &no_object));
    CHECK(!gc_weakmap_delete(map, &no_object));
    CHECK_REFUSED(gc_intern_new(NULL), EINVAL);
    CHECK_REFUSED(gc_intern_new(&(struct gc_intern_ops){hash_nothing, NULL, NULL}), EINVAL);
    CHECK_REFUSED(gc_intern_new(&(struct gc_intern_ops){NULL, equal_never, NULL}), EINVAL);
    CHECK_REFUSED(gc_intern_get(NULL, "x", 1, NULL), EINVAL);
    CHECK_REFUSED(gc_intern_get(table, "x", 1, NULL), 0);
    gc_weak_free(NULL);
    gc_weakmap_free(NULL);
    gc_intern_free(NULL);

    gc_heap *second = logging_heap();
    CHECK_REFUSED(gc_weak_get(weak), EINVAL);
    CHECK_EQ(gc_weakmap_set(map, gc_new(&cell_type), NULL), -EINVAL);
    CHECK_REFUSED(gc_intern_get(table, "x", 1, NULL), EINVAL);
    CHECK_EQ(gc_thread_switch(NULL), 0);
    CHECK_REFUSED(gc_weak_new(&no_object), EPERM);
    CHECK_REFUSED(gc_weak_get(weak), EPERM);
    CHECK_REFUSED(gc_weakmap_new(), EPERM);
    CHECK_EQ(gc_weakmap_set(map, &no_object, NULL), -EPERM);
    CHECK_REFUSED(gc_intern_new(&ops), EPERM);
    CHECK_REFUSED(gc_intern_get(table, "x", 1, NULL), EPERM);
    gc_weak_free(weak);
    gc_weakmap_free(map);
    gc_intern_free(table);
    CHECK_EQ(gc_heap_destroy(first), 0);
    CHECK_EQ(gc_heap_destroy(second), 0);
}

static uint64_t hash_that_allocates(const void *key, size_t size)
{
    CHECK_REFUSED(gc_new(&cell_type), EPERM);
    return hash_nothing(key, size);
}

TEST(heap_in_the_hash_function_of_an_intern_table)
{
    gc_heap *heap = logging_heap();
    gc_intern *table =
        gc_intern_new(&(struct gc_intern_ops){hash_that_allocates, equal_never, NULL});
    CHECK_REFUSED(gc_intern_get(table, "x", 1, NULL), 0);
    CHECK(has_logged("gc_new is refused (EPERM): a function that the collector calls"));
    CHECK(gc_new(&cell_type));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void end_this_thread(void *arg, gc_tracer *tracer)
{
    (void)arg, (void)tracer;
    pthread_exit(NULL);
}

static void end_the_librarys_thread(void)
{
    gc_heap_create(NULL);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, end_this_thread, NULL), 0);
    CHECK_EQ(gc_collect_start(), 0);
    CHECK_EQ(gc_blocking_begin(), 0);
    for (;;)
        pause();
}

TEST(callback_that_ends_a_thread_of_the_librarys)
{
    EXPECT_ABORT("a callback has ended a thread of the library's", end_the_librarys_thread());
}

TEST(finalizers)
{
    static int no_object;
    CHECK_EQ(gc_finalizer_set(&no_object, ignore_two, NULL), -EPERM);
    CHECK_EQ(gc_cleanup_add(&no_object, ignore_one, NULL), -EPERM);
    CHECK_EQ(gc_cleanup_cancel(&no_object, 1), -EPERM);
    CHECK_EQ(gc_external_add(&no_object, 1), -EPERM);
    CHECK_EQ(gc_finalizers_notify(NULL, NULL), -EPERM);
    CHECK_EQ(gc_finalizers_run(0), 0);
    CHECK_EQ(gc_finalizers_pending(), 0);

    gc_heap *heap = logging_heap();
    {
        struct cell *cell = gc_new(&cell_type);
        GC_FRAME(cell);
        CHECK_EQ(gc_finalizer_set(&no_object, ignore_two, NULL), -EINVAL);
        CHECK_EQ(gc_finalizer_set(NULL, ignore_two, NULL), -EINVAL);
        CHECK_EQ(gc_finalizer_set((char *)cell + 1, ignore_two, NULL), -EINVAL);
        CHECK_EQ(gc_finalizer_set(cell, NULL, NULL), -ENOENT);
        CHECK_EQ(gc_finalizer_set(cell, ignore_two, NULL), 0);
        CHECK_EQ(gc_finalizer_set(cell, ignore_two, NULL), -EEXIST);
        CHECK_EQ(gc_finalizer_set(cell, NULL, NULL), 0);

        CHECK_EQ(gc_cleanup_add(&no_object, ignore_one, NULL), -EINVAL);
        CHECK_EQ(gc_cleanup_add(cell, NULL, NULL), -EINVAL);
        int64_t id = gc_cleanup_add(cell, ignore_one, NULL);
        CHECK(id > 0);
        CHECK_EQ(gc_cleanup_cancel(cell, id + 1), -ENOENT);
        CHECK_EQ(gc_cleanup_cancel(&no_object, id), -EINVAL);
        CHECK_EQ(gc_cleanup_cancel(cell, id), 0);
        CHECK_EQ(gc_cleanup_cancel(cell, id), -ENOENT);

        CHECK_EQ(gc_external_add(&no_object, 1), -EINVAL);
        CHECK_EQ(gc_external_add(cell, -1), -EINVAL);
        CHECK_EQ(gc_external_add(cell, 10), 0);
        CHECK_EQ(gc_external_add(cell, -11), -EINVAL);
        CHECK_EQ(gc_external_add(cell, PTRDIFF_MAX), -EINVAL);
        CHECK_EQ(gc_external_add(cell, -10), 0);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void destroy_heap(void *arg)
{
    int *result = arg;
    __atomic_store_n(result, gc_heap_destroy(gc_heap_current()), __ATOMIC_RELEASE);
}

TEST(destroy_in_a_finalizer)
{
    int result = 1;
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = GC_FINALIZER_THREAD});
    CHECK(heap);
    CHECK(gc_cleanup_add(gc_new(&cell_type), destroy_heap, &result) > 0);
    gc_collect();
    BLOCK_UNTIL(__atomic_load_n(&result, __ATOMIC_ACQUIRE) != 1);
    CHECK_EQ(result, -EBUSY);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(looking_in)
{
    gc_heap *heap = logging_heap();
    int local;
    CHECK(!gc_object_base(NULL));
    CHECK(!gc_object_base(&local));
    CHECK_EQ(gc_object_size(&local), 0);
    CHECK(!gc_is_object(&local));
    CHECK(!gc_heap_contains(heap, &local));
    CHECK(!gc_heap_contains(NULL, &local));
    CHECK_EQ(gc_heap_each(NULL, NULL), -EINVAL);
    CHECK_EQ(gc_heap_census(NULL, 1), -EINVAL);
    CHECK_EQ(gc_heap_stats(heap, NULL), -EINVAL);
    CHECK_EQ(gc_heap_stats(NULL, NULL), -EINVAL);
    CHECK_EQ(gc_thread_name(NULL), -EINVAL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Whether an object of so many bytes is there after a collection if all that is left of it is the
 * address so many bytes after its start: in a rooted slot, or on a suspended fiber's C stack. */
static bool is_kept(size_t size, size_t offset, bool on_stack)
{
    static char *slots[2];
    gc_fiber *fiber = gc_fiber_create();
    CHECK_EQ(gc_root(slots), 0);
    CHECK_EQ(gc_fiber_stack(fiber, on_stack ? slots + 1 : NULL, on_stack ? slots + 2 : NULL), 0);
    gc_store(slots, gc_new_bytes(size));
    gc_weak *weak = gc_weak_new(slots[0]);
    if (offset == SIZE_MAX)
        offset = gc_object_size(slots[0]);
    slots[1] = slots[0] + offset;
    gc_store(slots, on_stack ? NULL : slots[1]);
    CHECK_EQ(gc_collect(), 0);
    bool kept = gc_weak_get(weak) != NULL;
    gc_weak_free(weak);
    CHECK_EQ(gc_unroot(slots), 0);
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    return kept;
}

TEST(one_past_the_end)
{
    static const size_t sizes[] = {16, 24, 48, 100, 1024, 8192, 32768, 32769, 100000};
    gc_heap *heap = logging_heap();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *object = gc_new_bytes(sizes[i]);
        GC_FRAME(object);
        size_t bytes = gc_object_size(object);
        CHECK(bytes >= sizes[i]);
        CHECK(gc_object_base(object + bytes - 1) == object);
        CHECK(gc_object_base(object + bytes) != object);
        for (int on_stack = 0; on_stack < 2; on_stack++) {
            CHECK(is_kept(sizes[i], 0, on_stack));
            CHECK(is_kept(sizes[i], sizes[i] - 1, on_stack));
            CHECK(!is_kept(sizes[i], SIZE_MAX, on_stack));
        }
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(handle_of_another_heap)
{
    gc_heap *first = logging_heap();
    gc_handle *handle = gc_handle_new(gc_new(&cell_type));
    gc_heap *second = logging_heap();
    forget_log();
    CHECK_EQ(gc_handle_set(NULL, NULL), -EINVAL);
    CHECK_REFUSED(gc_handle_get(NULL), EINVAL);
    CHECK(!has_logged(""));
    CHECK_REFUSED(gc_handle_get(handle), EINVAL);
    CHECK(has_logged(
        "gc_handle_get is refused (EINVAL): nothing was done with a handle of another heap"));
    CHECK_EQ(gc_handle_set(handle, NULL), -EINVAL);
    errno = 0;
    gc_handle_free(handle);
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(gc_thread_switch(first), 0);
    CHECK(gc_is_object(gc_handle_get(handle)));
    gc_handle_free(handle);
    CHECK_EQ(gc_heap_destroy(first), 0);
    CHECK_EQ(gc_heap_destroy(second), 0);
}

TEST(handle_that_was_freed)
{
    gc_heap *heap = logging_heap();
    gc_handle *kept = gc_handle_new(gc_new(&cell_type)), *freed = gc_handle_new(NULL);
    gc_handle_free(freed);
    forget_log();
    CHECK_REFUSED(gc_handle_get(freed), EINVAL);
    CHECK(has_logged("gc_handle_get is refused (EINVAL): the handle was freed before"));
    CHECK_EQ(gc_handle_set(freed, gc_handle_get(kept)), -EINVAL);
    errno = 0;
    gc_handle_free(freed);
    CHECK_EQ(errno, EINVAL);
    gc_handle *one = gc_handle_new(NULL), *two = gc_handle_new(NULL);
    CHECK(one != two && one != kept && two != kept);
    CHECK(gc_is_object(gc_handle_get(kept)));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Stores and frames where the collector does not see them ---- */

static struct cell *global;

static void store_in_a_region(void)
{
    logging_heap();
    CHECK_EQ(gc_root(&global), 0);
    struct cell *cell = gc_new(&cell_type);
    CHECK_EQ(gc_blocking_begin(), 0);
    gc_store(&global, NULL);
    CHECK(!has_logged("")); /* nothing is lost by that */
    gc_store(&global, cell);
    gc_store(&global, NULL);
    CHECK(has_logged("gc_store stores what the collector does not see: this thread is in a "
                     "blocking region"));
    forget_log();
    gc_store(&global, cell); /* told once */
    CHECK_EQ(gc_blocking_end(), 0);
    gc_store(&global, cell);
    CHECK(!has_logged(""));
}

/* Whatever the handshakes of a cycle make of the barrier meanwhile. */
static void *begin_a_cycle(void *heap)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

TEST(store_in_a_blocking_region)
{
    store_in_a_region();
}

TEST(store_in_a_blocking_region_after_a_cycle)
{
    pthread_t thread;
    gc_heap *heap = logging_heap();
    CHECK_EQ(gc_root(&global), 0);
    struct cell *cell = gc_new(&cell_type);
    gc_store(&global, cell);
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(pthread_create(&thread, NULL, begin_a_cycle, heap), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(gc_cas(&global, cell, NULL) && !global);
    CHECK(has_logged("gc_cas stores what the collector does not see"));
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(frame_over_the_end_of_a_blocking_region)
{
    gc_heap *heap = logging_heap();
    {
        struct cell *cell = NULL;
        CHECK_EQ(gc_blocking_begin(), 0);
        {
            GC_FRAME(cell);
        }
        CHECK_EQ(gc_blocking_end(), 0);
        CHECK(!has_logged(""));
        CHECK_EQ(gc_blocking_begin(), 0);
        GC_FRAME(cell);
        CHECK_EQ(gc_blocking_end(), 0);
        CHECK(has_logged("a GC_FRAME began or ended in the blocking region"));
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* What a thread without a heap does wrong is told on standard error. */
static void *(*wrong)(void);
static void *be_wrong(void *unused)
{
    (void)unused;
    return wrong();
}
static void *allocate_outside(void)
{
    CHECK(!gc_new(&cell_type) && !gc_new(&cell_type));
    return NULL;
}
static void *store_outside(void)
{
    gc_store(&global, NULL);
    gc_store(&global, NULL);
    return NULL;
}
static void *frame_outside(void)
{
    struct cell *cell = global;
    GC_FRAME(cell);
    gc_safepoint();
    gc_safepoint();
    return NULL;
}
static void *harmless_outside(void)
{
    static void *slot;
    gc_store(&slot, &slot);
    gc_safepoint();
    gc_blocking_begin();
    gc_blocking_end();
    CHECK(!gc_heap_current());
    return NULL;
}

/* How often `text` is said by a thread that has no heap while another one has. */
static unsigned says_outside(void *(*act)(void), const char *text)
{
    char said[4096];
    unsigned n = 0;
    wrong = act;
    struct tap_child child = tap_fork();
    if (child.pid == 0) {
        pthread_t thread;
        CHECK(gc_heap_create(NULL));
        CHECK_EQ(gc_root(&global), 0);
        gc_store(&global, gc_new(&cell_type));
        CHECK_EQ(pthread_create(&thread, NULL, be_wrong, NULL), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        exit(0);
    }
    CHECK_EQ(tap_reap(&child, said, sizeof said), 0);
    for (const char *at = said; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

TEST(threads_without_a_heap)
{
    CHECK_EQ(says_outside(allocate_outside, "gcheap: gc_new is refused (EPERM): this thread has no "
                                            "current heap; call gc_thread_attach()"),
             1);
    CHECK_EQ(says_outside(allocate_outside, ", in allocate_outside+0x"), 1);
    CHECK_EQ(says_outside(store_outside, ", in store_outside+0x"), 1);
    CHECK_EQ(says_outside(frame_outside, ", in frame_outside+0x"), 1);
    CHECK_EQ(says_outside(store_outside, "gcheap: gc_store stores what the collector does not "
                                         "see: this thread has no current heap"),
             1);
    CHECK_EQ(says_outside(frame_outside, "gcheap: GC_FRAME keeps nothing alive: this thread has no "
                                         "current heap"),
             1);
    CHECK_EQ(says_outside(harmless_outside, "gcheap:"), 0);
}

TAP_MAIN
