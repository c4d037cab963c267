/* What fails, and how: memory that the OS, malloc or a limit refuses at every place in turn,
 * threads that end as they should not, descriptors made of random bytes. Misuse that the reference
 * calls caught is tested by misuse.c. */
#include "build.h"
#include "mutator/heap.h"
#include "heaps.h"
#include "log.h"
#include "refuse.h"
#include "shapes.h"

#include <pthread.h>
#include <sys/resource.h>

/* ---- Refusals ---- */

/* An allocation: an object, or NULL with ENOMEM. */
static void *allowed(void *p)
{
    if (!p && errno != ENOMEM)
        FAIL("refused with errno %d", errno);
    return p;
}
static bool allowed_error(int error)
{
    if (error && error != -ENOMEM)
        FAIL("refused with %d", error);
    return error == 0;
}

static size_t count_maps(void)
{
    size_t lines = 0;
    FILE *in = fopen("/proc/self/maps", "r");
    for (int c; in && (c = getc(in)) != EOF;)
        lines += c == '\n';
    if (in)
        fclose(in);
    return lines;
}

/* Mappings that malloc and the C library may add; a sanitizer's are many. */
static size_t slack_of_maps(void)
{
    return malloc_is_ours() ? 4 : 40;
}

/* ---- Creation ---- */

static void check_heap_works(void)
{
    struct shape_pair *last = NULL, *pair = NULL;
    GC_FRAME(last, pair);
    for (int i = 0; i < 1000; i++) {
        pair = gc_new(&shape_pair_type);
        CHECK(pair);
        pair->id = (uintptr_t)i;
        gc_store(&pair->a, last);
        last = pair;
    }
    CHECK(gc_new_bytes(1 << 20));
    CHECK_EQ(gc_collect(), 0);
    for (int i = 1000; i-- > 0; last = gc_load(&last->a))
        CHECK_EQ(last->id, i);
    CHECK(!last);
}

/* Fails the nth call of the OS (or of malloc), until the heap is made without meeting it. */
static void create_with_failures(const gc_options *options, void (*fail)(uint64_t))
{
    unsigned refused = 0;
    size_t maps = 0;
    gc_heap *first = gc_heap_create(options);
    CHECK(first);
    CHECK_EQ(gc_heap_destroy(first), 0);
    for (uint64_t n = 1;; n++) {
        errno = 0;
        fail(n);
        gc_heap *heap = gc_heap_create(options);
        fail(0);
        if (!heap) {
            CHECK(errno == ENOMEM || errno == EAGAIN);
            CHECK(!gc_heap_current());
            refused++;
        } else {
            check_heap_works();
            CHECK_EQ(gc_heap_destroy(heap), 0);
        }
        if (n == 2)
            maps = count_maps();
        if (n > refused + 2)
            break; /* the last ones were not met */
    }
    diag("%u calls can fail", refused);
    CHECK(refused > 0);
    diag("%zu mappings before, %zu behind", maps, count_maps());
    CHECK(count_maps() <= maps + slack_of_maps());
}

static void fail_os_once(uint64_t n)
{
    os_fail_nth(n, 1);
}
static void fail_os_from(uint64_t n)
{
    os_fail_nth(n, UINT64_MAX);
}
/* A collection that cannot get memory for its own work waits for it, so it must come back. */
static void fail_os_for_a_while(uint64_t n)
{
    os_fail_nth(n, 40);
}

static const gc_options creations[] = {
    {0},
    {.reserve = (size_t)1 << 28},
    {.flags = GC_STOP_WORLD},
    {.flags = GC_FINALIZER_THREAD | GC_HUGE_PAGES, .max_procs = 1},
};

TEST(create_when_the_os_refuses)
{
    for (size_t i = 0; i < sizeof creations / sizeof creations[0]; i++) {
        create_with_failures(&creations[i], fail_os_once);
        create_with_failures(&creations[i], fail_os_from);
    }
}

TEST(create_when_malloc_refuses)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    for (size_t i = 0; i < sizeof creations / sizeof creations[0]; i++)
        create_with_failures(&creations[i], fail_malloc);
}

/* ---- Every call in turn ---- */

/* Objects that all live, in a list; ids from n down. */
struct chain {
    void *head;
    uint64_t n;
};

static void chain_add(struct chain *c)
{
    static const size_t tails[] = {0, 1, 5, 100, 5000, 20000};
    size_t tail = tails[c->n % 6];
    struct shape_head *o = allowed(tail ? gc_new_flex(&shape_head_type, &shape_triple_type, tail)
                                        : gc_new(&shape_head_type));
    if (!o)
        return;
    o->id = (uintptr_t)c->n;
    o->check = shape_check_of(c->n++);
    gc_store(&o->a, c->head);
    c->head = o;
}

static void chain_check(const struct chain *c)
{
    struct shape_head *o = c->head;
    for (uint64_t i = c->n; i-- > 0; o = gc_load(&o->a)) {
        CHECK(gc_is_object(o));
        CHECK_EQ(o->id, i);
        CHECK_EQ(o->check, shape_check_of(i));
    }
    CHECK(!o);
}

static void *attached_thread(void *heap)
{
    if (allowed_error(gc_thread_attach(heap))) {
        struct chain c = {NULL, 0};
        GC_FRAME(c.head);
        for (int i = 0; i < 10; i++)
            chain_add(&c);
        chain_check(&c);
    }
    return NULL;
}

static void run_attached(gc_heap *heap)
{
    pthread_t thread;
    gc_blocking_begin();
    if (pthread_create(&thread, NULL, attached_thread, heap) == 0)
        pthread_join(thread, NULL);
    CHECK_EQ(gc_blocking_end(), 0);
}

static void visit_nothing(void *arg, gc_tracer *tracer)
{
    (void)arg, (void)tracer;
}

/* Some of everything that wants memory. */
static void exercise(gc_heap *heap, struct chain *c)
{
    static void *slots[40], **top = slots;
    gc_handle *handles[3];
    for (int i = 0; i < 40; i++)
        chain_add(c);
    for (int i = 0; i < 40; i++) {
        if (allowed_error(gc_root(&slots[i])))
            gc_store(&slots[i], c->head);
    }
    for (int i = 0; i < 3; i++)
        handles[i] = allowed(gc_handle_new(c->head));
    gc_weak *weak = c->head ? allowed(gc_weak_new(c->head)) : NULL;
    gc_weakmap *map = allowed(gc_weakmap_new());
    if (map && c->head)
        allowed_error(gc_weakmap_set(map, c->head, c->head));
    gc_fiber *fiber = allowed(gc_fiber_create());
    bool range = allowed_error(gc_thread_range(slots, &top));
    bool callback = allowed_error(gc_root_callback(GC_ROOT_HEAP, visit_nothing, NULL));
    allowed(gc_new_bytes((size_t)3 << 20));
    CHECK_EQ(gc_collect(), 0);
    run_attached(heap);
    chain_add(c);
    chain_check(c);
    CHECK_EQ(gc_release_memory(), 0);
    if (weak && gc_weak_get(weak) == NULL)
        FAIL("a weak reference to a live object was cleared");
    for (int i = 0; i < 3; i++) {
        void *held = handles[i] ? gc_handle_get(handles[i]) : NULL;
        if (held && !gc_is_object(held))
            FAIL("a handle holds no object");
        gc_handle_free(handles[i]);
    }
    for (int i = 0; i < 40; i++) {
        int error = gc_unroot(&slots[i]);
        CHECK(error == 0 || error == -ENOENT);
        slots[i] = NULL;
    }
    if (fiber)
        CHECK_EQ(gc_fiber_destroy(fiber), 0);
    if (range)
        CHECK_EQ(gc_thread_range_remove(slots), 0);
    if (callback)
        CHECK_EQ(gc_root_callback_remove(visit_nothing, NULL), 0);
    gc_weak_free(weak);
    if (map)
        gc_weakmap_free(map);
}

/* Runs `exercise` with the nth call failing. Returns whether it met the failure. */
static bool exercise_with_failure(uint64_t n, void (*fail)(uint64_t), unsigned flags)
{
    gc_options o = {.flags = flags, .min_heap = 1 << 20, .log = keep_no_line};
    gc_heap *heap = gc_heap_create(&o);
    CHECK(heap);
    struct chain c = {NULL, 0};
    bool met;
    {
        GC_FRAME(c.head);
        uint64_t calls = os_fallible_calls();
        fail(n);
        exercise(heap, &c);
        met = os_fallible_calls() - calls >= n || (malloc_fails && malloc_calls >= n);
        fail(0);
        /* Memory is back: all goes well. */
        uint64_t before = c.n;
        for (int i = 0; i < 20; i++)
            chain_add(&c);
        CHECK_EQ(c.n, before + 20);
        CHECK_EQ(gc_collect(), 0);
        chain_check(&c);
        CHECK_EQ(gc_heap_verify(), 0);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
    return met;
}

static void fail_each_in_turn(void (*fail)(uint64_t), unsigned flags)
{
    uint64_t n = 1;
    while (exercise_with_failure(n, fail, flags) && n < 3000)
        n++;
    diag("%llu calls failed in turn", (unsigned long long)n - 1);
    CHECK(n > 3);
}

TEST(each_os_call_fails_once)
{
    fail_each_in_turn(fail_os_once, 0);
}
TEST(each_os_call_fails_for_a_while)
{
    fail_each_in_turn(fail_os_for_a_while, 0);
}
TEST(each_os_call_fails_stopped)
{
    fail_each_in_turn(fail_os_once, GC_STOP_WORLD);
}
TEST(each_os_call_fails_alone)
{
    fail_each_in_turn(fail_os_for_a_while, GC_NO_BACKGROUND);
}
TEST(each_malloc_fails_once)
{
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    fail_each_in_turn(fail_malloc, 0);
}

/* The library's own threads and several mutators go on while every third call fails. */
static atomic_bool stop_churning;
static atomic_uint churned, churn_due = 4; /* rounds of all threads */
static void *churn(void *arg)
{
    gc_heap *heap = arg;
    for (; !atomic_load(&stop_churning); churned++) {
        WAIT_UNTIL((int)(churn_due - churned) > 0);
        if (!allowed_error(gc_thread_attach(heap)))
            continue;
        {
            struct chain c = {NULL, 0};
            GC_FRAME(c.head);
            for (int i = 0; i < 60; i++)
                chain_add(&c);
            chain_check(&c);
        }
        CHECK_EQ(gc_thread_detach(), 0);
    }
    return NULL;
}

/* The switch of GCHEAP_DEBUG: for good, and for the whole process. */
static void exercise_under(const char *debug)
{
    gc_options o = {.min_heap = 1 << 20, .log = keep_no_line};
    struct chain c = {NULL, 0};
    gc_heap *heap = gc_heap_create(&o);
    CHECK(heap);
    o.debug = debug;
    gc_heap *failing = NULL;
    for (int tries = 0; !failing && tries < 1000; tries++)
        failing = gc_heap_create(&o);
    CHECK(failing);
    uint64_t calls = os_fallible_calls();
    {
        GC_FRAME(c.head);
        for (int i = 0; i < 20; i++)
            exercise(failing, &c);
    }
    CHECK(os_fallible_calls() - calls > 20);
    end_heap(failing);
    CHECK_EQ(gc_thread_switch(heap), 0);
    unsigned refused = 0;
    for (int i = 0; i < 1000; i++)
        refused += !os_map(os_page_size());
    diag("%u of 1000 calls refused", refused);
    CHECK(refused > 100 && refused < 700);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(one_in_three_os_calls_fails)
{
    exercise_under("failos=3");
}
TEST(one_in_five_os_calls_fails)
{
    exercise_under("failos=5,delay=7");
    os_fail_one_in(0);
    for (int i = 0; i < 10; i++)
        CHECK(os_map(4096));
}

TEST(failures_among_threads)
{
    gc_options o = {.min_heap = 1 << 20, .log = keep_no_line};
    gc_heap *heap = gc_heap_create(&o);
    pthread_t threads[4];
    struct chain c = {NULL, 0};
    CHECK(heap);
    {
        GC_FRAME(c.head);
        for (int i = 0; i < 4; i++)
            threads[i] = start_thread(churn, heap);
        for (int i = 0; i < 400; i++) {
            os_fail_nth(3, i % 7 ? 1 : 20);
            chain_add(&c);
            if (i % 50 == 0)
                CHECK_EQ(gc_collect(), 0);
            churn_due++;
            gc_blocking_begin();
            WAIT_UNTIL((int)(churn_due - churned) <= 4);
            gc_blocking_end();
        }
        os_fail_nth(0, 0);
        atomic_store(&stop_churning, true);
        churn_due = churned + 1000;
        join_threads(threads, 4);
        uint64_t before = c.n;
        chain_add(&c);
        CHECK_EQ(c.n, before + 1);
        chain_check(&c);
        CHECK_EQ(gc_heap_verify(), 0);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Limits ---- */

#define LIMIT ((size_t)32 << 20)

struct asked {
    unsigned times, more;
    size_t size;
};

static bool out_of_memory(void *user, size_t size)
{
    struct asked *asked = user;
    asked->times++;
    asked->size = size;
    return asked->times <= asked->more;
}

/* Allocates until refused; the newest object. */
static void fill(struct chain *c)
{
    uint64_t before;
    do {
        before = c->n;
        errno = 0;
        chain_add(c);
    } while (c->n != before && c->n < 10 * 1000 * 1000);
    CHECK_EQ(errno, ENOMEM);
}

static void hit_the_limit(unsigned flags, size_t reserve)
{
    struct asked asked = {0, 3, 0};
    gc_options o = {.flags = flags,
                    .hard_limit = reserve ? 0 : LIMIT,
                    .reserve = reserve,
                    .user = &asked,
                    .out_of_memory = out_of_memory,
                    .log = keep_no_line};
    gc_heap *heap = gc_heap_create(&o);
    size_t limit = reserve ? reserve : LIMIT;
    CHECK(heap);
    struct chain c = {NULL, 0};
    {
        GC_FRAME(c.head);
        CHECK(!allowed(gc_new_bytes(limit + 1)));
        CHECK_EQ(asked.times, 4);
        CHECK_EQ(asked.size, limit + 1);
        asked.times = 0;
        fill(&c);
        CHECK(asked.times > 3);
        struct gc_statistics s = stats_now();
        diag("refused at %llu of %zu bytes in use, %llu live", (unsigned long long)s.heap_inuse,
             limit, (unsigned long long)s.heap_live);
        CHECK(s.heap_inuse <= limit);
        CHECK(s.heap_inuse > limit / 4 * 3);
        chain_check(&c);
        /* Half of it gone, there is room again. */
        struct shape_head *middle = c.head;
        for (uint64_t i = 0; i < c.n / 2; i++)
            middle = gc_load(&middle->a);
        c.n -= c.n / 2;
        c.head = middle;
        uint64_t before = c.n;
        for (int i = 0; i < 100; i++)
            chain_add(&c);
        CHECK_EQ(c.n, before + 100);
        chain_check(&c);
        if (!reserve) {
            fill(&c);
            CHECK_EQ(gc_set_hard_limit(2 * LIMIT), LIMIT);
            before = c.n;
            for (int i = 0; i < 100; i++)
                chain_add(&c);
            CHECK_EQ(c.n, before + 100);
            CHECK_EQ(gc_set_hard_limit(0), 2 * LIMIT);
        }
        chain_check(&c);
        CHECK_EQ(gc_heap_verify(), 0);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(hard_limit)
{
    hit_the_limit(0, 0);
}
TEST(hard_limit_stopped)
{
    hit_the_limit(GC_STOP_WORLD, 0);
}
TEST(hard_limit_alone)
{
    hit_the_limit(GC_NO_BACKGROUND, 0);
}
TEST(end_of_the_reserve)
{
    hit_the_limit(0, (size_t)64 << 20);
}

/* Bytes outside the heap count, as long as their object lives. */
TEST(external_bytes_under_a_limit)
{
    struct asked asked = {0, 1, 0};
    gc_options o = {.flags = GC_NO_BACKGROUND,
                    .hard_limit = LIMIT,
                    .user = &asked,
                    .out_of_memory = out_of_memory};
    gc_heap *heap = gc_heap_create(&o);
    void *owner = NULL;
    GC_FRAME(owner);
    CHECK((owner = gc_new_bytes(16)));
    CHECK_EQ(gc_external_add(owner, LIMIT), -ENOMEM);
    CHECK(asked.times == 2 && asked.size == LIMIT && stats_now().external == 0);
    CHECK_EQ(gc_external_add(owner, LIMIT / 4 * 3), 0);
    CHECK_EQ(gc_external_add(owner, LIMIT / 4 * 3), -ENOMEM);
    CHECK_REFUSED(gc_new_bytes(LIMIT / 2), ENOMEM);
    CHECK_EQ(asked.times, 4);
    CHECK_EQ(gc_external_add(owner, -(ptrdiff_t)(LIMIT / 4 * 3)), 0);
    CHECK(gc_new_bytes(LIMIT / 2));
    CHECK_EQ(gc_external_add(owner, LIMIT / 4 * 3), 0); /* the bytes are garbage */
    CHECK(stats_now().external == LIMIT / 4 * 3 && stats_now().heap_inuse <= LIMIT / 4);
    owner = NULL;
    CHECK((owner = gc_new_bytes(LIMIT / 2))); /* the owner is */
    CHECK_EQ(stats_now().external, 0);
    CHECK_EQ(asked.times, 4);
    CHECK_EQ(gc_quiet_begin(0), 0);
    uint64_t cycles = stats_now().cycles;
    CHECK_EQ(gc_external_add(owner, LIMIT), -ENOMEM);
    CHECK(stats_now().cycles == cycles && asked.times == 4);
    CHECK_EQ(gc_quiet_end(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Of two runs that are open at once, the one that was opened first is used up and gets no other:
 * its cells are the larger ones. */
TEST(the_first_of_two_runs_is_refused)
{
    gc_options o = {.flags = GC_NO_BACKGROUND, .hard_limit = LIMIT, .log = keep_no_line};
    gc_heap *heap = gc_heap_create(&o);
    CHECK(heap);
    for (int round = 0; round < 3; round++) {
        void **list = NULL, **fresh = NULL;
        GC_FRAME(list, fresh);
        while ((fresh = gc_new_array(&gc_pointer_type, 100))) {
            gc_store(fresh, list);
            list = fresh;
            allowed(gc_new_bytes(16));
        }
        CHECK_EQ(errno, ENOMEM);
        CHECK_EQ(gc_heap_verify(), 0);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Garbage under a limit is never refused. */
TEST(garbage_under_a_limit)
{
    gc_options o = {.hard_limit = LIMIT, .log = keep_no_line};
    gc_heap *heap = gc_heap_create(&o);
    uint64_t random = 7;
    CHECK(heap);
    for (int i = 0; i < 3000; i++)
        CHECK(gc_new_bytes(random_below(&random, 400 * 1000)));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* More than a process can have. */
#define TOO_MUCH (SIZE_MAX > UINT32_MAX ? (size_t)1 << 44 : SIZE_MAX / 4 * 3)

TEST(more_than_there_is)
{
    gc_heap *heap = gc_heap_create(NULL);
    CHECK(heap);
    for (size_t size = TOO_MUCH; size >= TOO_MUCH; size *= 2) {
        CHECK_REFUSED(gc_new_bytes(size), ENOMEM);
        CHECK_REFUSED(gc_new_array(&gc_pointer_type, size - 1), ENOMEM);
        CHECK_REFUSED(gc_new_flex(&shape_head_type, &shape_byte_type, size), ENOMEM);
        CHECK_REFUSED(gc_new_flex(&shape_head_type, &shape_byte_type, SIZE_MAX - size / 32),
                      ENOMEM);
    }
    check_heap_works();
    CHECK_EQ(gc_heap_destroy(heap), 0);
    gc_options o = {.reserve = TOO_MUCH << 8};
    CHECK_REFUSED(gc_heap_create(&o), SIZE_MAX > UINT32_MAX ? ENOMEM : EINVAL);
}

/* Elements with references that would not lie on words. */
TEST(arrays_of_odd_sizes)
{
    uint64_t mask = 1;
    struct gc_type_spec spec = {
        .name = "odd", .size = WORD_SIZE + WORD_SIZE / 2, .mask = &mask, .mask_bits = 1};
    gc_type *odd = gc_type_create(&spec);
    gc_heap *heap = gc_heap_create(NULL);
    CHECK(odd && heap);
    CHECK(gc_new(odd));
    errno = 0;
    CHECK(!gc_new_array(odd, 2));
    CHECK_EQ(errno, EINVAL);
    errno = 0;
    CHECK(!gc_new_flex(&shape_head_type, odd, 2));
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(gc_type_release(odd), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Threads that end attached ---- */

struct ending {
    gc_heap *first, *second;
    enum ending_how {
        RUNNING,
        BLOCKED,
        IN_SECOND,
        IN_FIRST_AGAIN,
        IN_NONE,
        WITH_FRAMES,
        IN_FIBER,
        ENDINGS
    } how;
    gc_fiber *fiber;
};

static void end_in_second(struct ending *e)
{
    CHECK_EQ(gc_thread_attach(e->second), 0);
    void *other = gc_new(&shape_pair_type);
    GC_FRAME(other);
    if (e->how == IN_FIRST_AGAIN)
        CHECK_EQ(gc_thread_switch(e->first), 0);
    if (e->how == IN_NONE)
        CHECK_EQ(gc_thread_switch(NULL), 0);
    pthread_exit(NULL);
}

static void end_in_fiber(struct ending *e)
{
    e->fiber = gc_fiber_create();
    gc_fiber_switch(e->fiber);
    void *more[100] = {gc_new(&shape_pair_type)};
    GC_FRAME_ARRAY(more, 100);
    gc_keep_alive(more);
    pthread_exit(NULL);
}

static void *end_attached(void *arg)
{
    struct ending *e = arg;
    void *range[50] = {NULL}, **top = range + 50;
    CHECK_EQ(gc_thread_attach(e->first), 0);
    CHECK_EQ(gc_thread_range(range, &top), 0);
    range[49] = gc_new(&shape_pair_type);
    if (e->how == RUNNING)
        return NULL;
    void *local = gc_new(&shape_pair_type);
    GC_FRAME(local);
    if (e->how == BLOCKED)
        CHECK_EQ(gc_blocking_begin(), 0);
    if (e->how == IN_FIBER)
        end_in_fiber(e);
    if (e->how == IN_SECOND || e->how == IN_FIRST_AGAIN || e->how == IN_NONE)
        end_in_second(e);
    pthread_exit(NULL);
}

/* Overwrites where an ended thread's stack was. */
static void *scribble(void *arg)
{
    volatile char bytes[64 * 1024];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 13 + 1);
    return arg;
}

TEST(threads_that_end_attached)
{
    gc_options o = {.log = keep_no_line};
    struct ending e = {.second = gc_heap_create(&o)};
    e.first = gc_heap_create(&o);
    CHECK(e.first && e.second);
    for (int how = 0; how < ENDINGS; how++) {
        diag("ending %d", how);
        e.how = (enum ending_how)how;
        for (int i = 0; i < 20; i++) {
            run_thread(end_attached, &e);
            run_thread(scribble, NULL);
            CHECK_EQ(stats_now().threads, 1);
            if (i % 5 == 0)
                CHECK_EQ(gc_collect(), 0);
            if (e.fiber)
                CHECK_EQ(gc_fiber_destroy(e.fiber), 0);
            e.fiber = NULL;
        }
    }
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(stats_now().heap_live, 0);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(e.first), 0);
    CHECK_EQ(gc_heap_destroy(e.second), 0);
    CHECK(!gc_heap_current());
}

/* Memory for the thread's first attachment is refused at each place in turn; one of them is the C
 * library's own, since the process has many keys for thread-specific data. */
static void *attach_with_failures(void *arg)
{
    const struct ending *e = arg;
    int error;
    uint64_t n = 0;
    do {
        fail_malloc(++n);
        error = gc_thread_attach(e->first);
        fail_malloc(0);
        CHECK(error == 0 || error == -ENOMEM);
        CHECK(gc_heap_current() == (error ? NULL : e->first));
        CHECK_EQ(stats_of(e->first).threads, error ? 1 : 2);
    } while (error);
    diag("refused at %" PRIu64 " places", n - 1);
    CHECK(!malloc_is_ours() || n > 1);
    CHECK(gc_new(&shape_pair_type));
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

TEST(attaching_without_memory)
{
    for (int i = 0; i < 40; i++) {
        pthread_key_t key;
        CHECK_EQ(pthread_key_create(&key, NULL), 0);
    }
    struct ending e = {.first = gc_heap_create(NULL)};
    CHECK(e.first);
    for (int i = 0; i < 3; i++) {
        run_thread(attach_with_failures, &e);
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(stats_now().threads, 1);
    }
    CHECK_EQ(gc_heap_destroy(e.first), 0);
}

/* ---- Random descriptors ---- */

#define BITS 512

/* What a GC program means, read one bit at a time. -1: it is malformed or writes past `limit`. */
static int expand(const uint8_t *p, size_t size, bool *bits, size_t limit)
{
    size_t n = 0, at = 0;
    for (;;) {
        if (at == size)
            return -1;
        unsigned op = p[at++];
        size_t count = op & 0x7f, repeats = 0;
        if (op == 0)
            return (int)n;
        if (op < 0x80) {
            if (count > limit - n || (count + 7) / 8 > size - at)
                return -1;
            for (size_t i = 0; i < count; i++)
                bits[n++] = p[at + i / 8] >> i % 8 & 1;
            at += (count + 7) / 8;
            continue;
        }
        for (int which = count ? 1 : 0; which < 2; which++) {
            size_t value = 0;
            for (unsigned shift = 0;; shift += 7) {
                if (at == size || shift > 28) /* the test makes no longer ones */
                    return -1;
                value |= (size_t)(p[at] & 0x7f) << shift;
                if (!(p[at++] & 0x80))
                    break;
            }
            *(which ? &repeats : &count) = value;
        }
        if (count == 0 || count > n || count * repeats > limit - n)
            return -1;
        for (size_t i = 0; i < count * repeats; i++, n++)
            bits[n] = bits[n - count];
    }
}

static size_t random_program(uint8_t *p, size_t most, uint64_t *random)
{
    size_t n = 0;
    while (n + 8 < most && !random_one_in(random, 5)) {
        if (random_one_in(random, 2)) {
            size_t count = 1 + random_below(random, 20);
            p[n++] = (uint8_t)count;
            for (size_t i = 0; i < (count + 7) / 8; i++)
                p[n++] = (uint8_t)random_next(random);
        } else {
            bool longer = random_one_in(random, 3);
            p[n++] = (uint8_t)(0x80 | (longer ? 0 : 1 + random_below(random, 20)));
            if (longer)
                p[n++] = (uint8_t)random_below(random, 90);
            p[n++] = (uint8_t)random_below(random, 8);
        }
    }
    if (!random_one_in(random, 10))
        p[n++] = 0;
    if (n && random_one_in(random, 8))
        p[random_below(random, n)] = (uint8_t)random_next(random);
    return n;
}

/* The heap bitmap of a fresh object says what the program means. */
static void compare_bits(gc_heap *heap, gc_type *type, const bool *bits, size_t n, const void *p,
                         size_t elements)
{
    const struct arena *a = arena_of(&heap->mem.arenas, (uintptr_t)p);
    size_t words = type->size / WORD_SIZE;
    for (size_t i = 0; i < words * elements; i++) {
        bool expected = i % words < n && bits[i % words];
        bool is = heapbits_load(a, (uintptr_t)p + i * WORD_SIZE, 1);
        if (is != expected)
            FAIL("word %zu of %zu is %s slot", i, words * elements, is ? "a" : "no");
    }
}

TEST(random_programs)
{
    uint64_t random = random_seed();
    gc_heap *heap = gc_heap_create(NULL);
    unsigned good = 0, bad = 0;
    CHECK(heap);
    for (int i = 0; i < 20000; i++) {
        uint8_t program[64];
        bool bits[BITS] = {false};
        size_t size = random_program(program, sizeof program, &random);
        size_t words = 1 + random_below(&random, BITS);
        if (random_one_in(&random, 4)) /* slots whose bits begin a map word */
            words = (words + 63) / 64 * 64;
        int n = expand(program, size, bits, words);
        size_t last = 0;
        for (int j = 0; j < n; j++)
            last = bits[j] ? (size_t)j + 1 : last;
        struct gc_type_spec spec = {.name = "random",
                                    .size = words * WORD_SIZE,
                                    .ptrdata = last * WORD_SIZE,
                                    .program = program,
                                    .program_size = size};
        if (last && random_one_in(&random, 20))
            spec.ptrdata += random_one_in(&random, 2) ? WORD_SIZE : 0 - WORD_SIZE;
        gc_type *type = gc_type_create(&spec);
        bool valid = n >= 0 && last && spec.ptrdata == last * WORD_SIZE;
        if (!!type != valid)
            FAIL("program %d is %s: %s", i, type ? "accepted" : "refused", gc_type_error());
        good += valid;
        bad += !valid;
        if (!type)
            continue;
        size_t elements = random_below(&random, 20) + 1;
        void *p;
        for (int j = 0; j < 9; j++) {
            CHECK((p = gc_new(type)));
            compare_bits(heap, type, bits, (size_t)n, p, 1);
        }
        p = gc_new_array(type, elements);
        CHECK(p);
        compare_bits(heap, type, bits, (size_t)n, p, elements);
        CHECK_EQ(gc_type_release(type), 0);
    }
    diag("%u good, %u bad", good, bad);
    CHECK(good > 1000 && bad > 1000);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(random_masks)
{
    uint64_t random = 11;
    gc_heap *heap = gc_heap_create(NULL);
    CHECK(heap);
    for (int i = 0; i < 5000; i++) {
        uint64_t mask[BITS / 64];
        bool bits[BITS];
        size_t size = random_below(&random, BITS * WORD_SIZE), n = random_below(&random, BITS),
               last = 0;
        for (size_t j = 0; j < BITS / 64; j++)
            mask[j] = random_next(&random) & random_next(&random);
        for (size_t j = 0; j < n; j++) {
            bits[j] = mask[j / 64] >> j % 64 & 1;
            last = bits[j] ? j + 1 : last;
        }
        struct gc_type_spec spec = {.size = size, .mask = mask, .mask_bits = n};
        if (random_one_in(&random, 2))
            spec.ptrdata = last * WORD_SIZE;
        gc_type *type = gc_type_create(&spec);
        CHECK_EQ(!!type, n <= size / WORD_SIZE);
        if (!type)
            continue;
        CHECK_EQ(type->ptrdata, last * WORD_SIZE);
        void *p = gc_new(type);
        CHECK(p);
        if (last)
            compare_bits(heap, type, bits, n, p, 1);
        CHECK_EQ(gc_type_release(type), 0);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Address space for a heap, but not for its first arena. */
TEST(address_space_is_limited)
{
    if (SLOW || UNDEFINED_SANITIZER)
        SKIP("the sanitizer takes its own");
    struct rlimit limit = {(rlim_t)(sizeof(void *) == 8 ? 6 : 4) << 20, (rlim_t)64 << 20};
    CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
    gc_options o = {.flags = GC_NO_BACKGROUND};
    gc_heap *heap = gc_heap_create(&o);
    CHECK(heap);
    CHECK_REFUSED(gc_new_bytes(64), ENOMEM);
    void *slot = NULL;
    CHECK_EQ(gc_root(&slot), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_unroot(&slot), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    limit.rlim_cur = 1 << 12;
    CHECK_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
    CHECK_REFUSED(gc_heap_create(&o), ENOMEM);
}

/* A small program runs where a megabyte of objects and 24 MB of address space are allowed. */
TEST(a_small_program_takes_little)
{
    if (SLOW || UNDEFINED_SANITIZER || ARENA_STEP == ARENA_SIZE)
        SKIP("not in this build");
    struct rlimit limit = {(rlim_t)24 << 20, (rlim_t)24 << 20};
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    gc_heap *heap = gc_heap_create(NULL);
    CHECK(heap);
    for (int i = 0; i < 10000; i++)
        CHECK(gc_new_bytes(100));
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Keys for thread-local data, all taken by others. */
TEST(no_thread_keys)
{
    pthread_key_t key, last = 0;
    while (pthread_key_create(&key, NULL) == 0)
        last = key;
    CHECK_REFUSED(gc_heap_create(NULL), EAGAIN);
    CHECK_EQ(pthread_key_delete(last), 0);
    gc_heap *heap = gc_heap_create(NULL);
    CHECK(heap);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
