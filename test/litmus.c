/* Litmus tests of docs/memory-model.md: what an embedder's threads may count on, tried thousands of
 * times while another thread collects all the time. */
#include "heaps.h"

struct message {
    struct message *text;
    struct message *more;
    uint64_t a, b;
};
static GC_TYPE(message_type, struct message, text, more);

/* Each test ends after this many rounds, or this long: sanitizers and small machines are slow. */
enum { ROUNDS = 50000, MILLISECONDS = 900 };

static atomic_uint collected, acknowledged;
static struct message *x, *y, *top; /* rooted */
static uint64_t deadline;

static uint64_t now_ms(void)
{
    return os_now_ns() / 1000000;
}

static bool time_left(uint64_t round)
{
    return round <= ROUNDS && (round % 64 || now_ms() < deadline);
}

/* The collecting thread. */
static atomic_bool stop_collecting;
static void *collect(void *unused)
{
    CHECK_EQ(gc_thread_attach(crowd.heap), 0);
    for (; !stop_collecting; collected++)
        CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

/* Waits a little, for other threads on few CPUs. */
static void relax(void)
{
    gc_safepoint();
    gc_blocking_begin();
    sched_yield();
    gc_blocking_end();
}

/* Runs `one` on n threads, and `here` on this one, among collections. */
static void run(void (*one)(void), size_t n, void (*here)(void))
{
    pthread_t collector;
    crowd_heap("poison", 0, 8);
    CHECK_EQ(gc_root(&x), 0);
    CHECK_EQ(gc_root(&y), 0);
    CHECK_EQ(gc_root(&top), 0);
    CHECK_EQ(pthread_create(&collector, NULL, collect, NULL), 0);
    while (!collected)
        relax();
    deadline = now_ms() + MILLISECONDS;
    crowd_start(n, one);
    if (here)
        here();
    crowd_join();
    stop_collecting = true;
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(pthread_join(collector, NULL), 0);
    CHECK_EQ(gc_blocking_end(), 0);
    struct gc_statistics stats;
    CHECK_EQ(gc_stats(&stats), 0);
    diag("%" PRIu64 " cycles", stats.cycles);
    CHECK(stats.cycles > 0);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(crowd.heap), 0);
}

/* A fresh object, initialised plainly: its b follows from its a, and it holds another like it. */
static struct message *new_message(uint64_t a)
{
    struct message *text = NULL, *m;
    GC_FRAME(text);
    text = gc_new(&message_type);
    CHECK(text);
    text->a = a;
    text->b = ~a;
    m = gc_new(&message_type);
    CHECK(m && !m->text && !m->more && !m->a && !m->b);
    m->text = text;
    m->a = a;
    m->b = ~a;
    return m;
}

static void check_message(const struct message *m)
{
    CHECK_EQ(m->b, ~m->a);
    const struct message *text = gc_load(&m->text);
    CHECK(text);
    CHECK_EQ(text->a, m->a);
    CHECK_EQ(text->b, ~m->a);
}

/* ---- Publication, and plain initialisation of fresh objects ---- */

static atomic_uint seen;

static void read_x(void)
{
    uint64_t last = 0;
    for (unsigned i = 0; !crowd.stop; i++) {
        struct message *m = gc_load(&x);
        gc_safepoint(); /* the slot may be written now, but not what m is */
        m = gc_load(&x);
        if (m) {
            check_message(m);
            CHECK(m->a >= last);
            seen += m->a > last;
            last = m->a;
        }
        if (i % 64 == 0)
            relax();
    }
}

static void publish(void)
{
    uint64_t i = 1;
    for (; time_left(i); i++) {
        gc_store(&x, new_message(i));
        if (i % 64 == 0)
            relax();
    }
    crowd.stop = true;
    diag("%" PRIu64 " published", i);
}

TEST(publication)
{
    run(read_x, 2, publish);
    ok(seen > 0, "%u of them seen by others", seen);
}

/* A reader that keeps what it loaded has it whole, long after the slot changed. */
static void keep_x(void)
{
    enum { KEPT = 32 };
    struct message *kept[KEPT] = {NULL};
    GC_FRAME_ARRAY(kept, KEPT);
    for (unsigned i = 0; !crowd.stop; i++) {
        struct message *m = gc_load(&x);
        if (kept[i % KEPT])
            check_message(kept[i % KEPT]);
        kept[i % KEPT] = m;
        gc_safepoint();
        if (i % 128 == 0)
            relax();
    }
    for (unsigned i = 0; i < KEPT; i++) {
        if (kept[i])
            check_message(kept[i]);
    }
}

TEST(what_was_loaded_and_rooted_stays)
{
    run(keep_x, 2, publish);
}

/* ---- Two slots, written x then y, read y then x ---- */

static void read_y_then_x(void)
{
    struct message *first = NULL, *second = NULL;
    GC_FRAME(first, second);
    for (unsigned i = 0; !crowd.stop; i++) {
        first = gc_load(&y);
        if (i % 2)
            gc_safepoint();
        second = gc_load(&x);
        if (first) {
            check_message(first);
            CHECK(second);
            check_message(second);
            CHECK(second->a >= first->a);
            seen += second->a == first->a;
        }
        first = second = NULL;
        if (i % 128 == 0)
            relax();
    }
}

static void store_x_then_y(void)
{
    for (uint64_t i = 1; time_left(i); i++) {
        gc_store(&x, new_message(i));
        gc_store(&y, new_message(i));
        if (i % 64 == 0)
            relax();
    }
    crowd.stop = true;
}

TEST(two_slots_in_order)
{
    run(read_y_then_x, 2, store_x_then_y);
}

/* ---- Hand-over: who takes it is all that keeps it ---- */

static void take_all(struct message *(*take)(void))
{
    struct message *m = NULL;
    GC_FRAME(m);
    for (uint64_t expected = 1; (m = take())->a != 0; expected++) {
        gc_safepoint();
        CHECK_EQ(m->a, expected);
        check_message(m);
        m = NULL;
    }
}

static struct message *take_from_slot(void)
{
    struct message *m;
    while (!(m = gc_load(&x)))
        relax();
    gc_store(&x, NULL);
    return m;
}

static void take_all_from_slot(void)
{
    take_all(take_from_slot);
}

static void give_slot(void)
{
    struct message *m = NULL;
    GC_FRAME(m);
    for (uint64_t i = 1, end = 0; !end; i++) {
        end = !time_left(i);
        m = new_message(end ? 0 : i);
        gc_store(&x, m);
        m = NULL;
        while (gc_load(&x))
            relax();
        if (end)
            diag("%" PRIu64 " handed over", i - 1);
    }
}

TEST(hand_over_through_a_slot)
{
    run(take_all_from_slot, 1, give_slot);
}

/* The queue is C memory; it holds handles. */
static _Atomic(gc_handle *) queue;

static struct message *take_handle(void)
{
    static bool pauses;
    gc_handle *h;
    while (!(h = atomic_exchange(&queue, NULL)))
        relax();
    if ((pauses = !pauses))
        gc_safepoint();
    struct message *m = gc_handle_get(h);
    gc_handle_free(h);
    return m;
}

static void take_all_handles(void)
{
    take_all(take_handle);
}

static void give_handle(void)
{
    for (uint64_t i = 1, end = 0; !end; i++) {
        end = !time_left(i);
        gc_handle *h = gc_handle_new(new_message(end ? 0 : i));
        CHECK(h);
        while (queue)
            relax();
        queue = h;
    }
}

TEST(hand_over_through_a_handle)
{
    run(take_all_handles, 1, give_handle);
}

/* One handle, set and read by both. */
static gc_handle *box;

static void read_box(void)
{
    uint64_t last = 0;
    while (!crowd.stop) {
        struct message *m = box ? gc_handle_get(box) : NULL;
        if (m) {
            check_message(m);
            CHECK(m->a >= last);
            last = m->a;
        }
        relax();
    }
}

static void set_box(void)
{
    gc_handle *h = gc_handle_new(NULL);
    __atomic_store_n(&box, h, __ATOMIC_RELEASE);
    for (uint64_t i = 1; time_left(i); i++) {
        gc_handle_set(h, new_message(i));
        if (i % 64 == 0)
            relax();
    }
    crowd.stop = true;
}

static void use_box(void)
{
    if (crowd_number == 0)
        set_box();
    while (!__atomic_load_n(&box, __ATOMIC_ACQUIRE))
        relax();
    read_box();
}

TEST(publication_through_a_handle)
{
    run(use_box, 3, NULL);
}

/* ---- gc_cas ---- */

enum { STACKERS = 4, NODES = 20000 };
static atomic_uchar popped[STACKERS * NODES];
static atomic_uint pushed, pops;

static void push(struct message *node)
{
    struct message *old;
    do {
        old = gc_load(&top);
        gc_store(&node->more, old);
    } while (!gc_cas(&top, old, node));
}

static struct message *pop(void)
{
    struct message *old;
    do {
        old = gc_load(&top);
    } while (old && !gc_cas(&top, old, gc_load(&old->more)));
    return old;
}

static void note_popped(const struct message *m)
{
    check_message(m);
    CHECK(m->a < STACKERS * NODES);
    CHECK_EQ(atomic_fetch_add(&popped[m->a], 1), 0);
    pops++;
}

static void push_and_pop(void)
{
    struct message *m = NULL;
    GC_FRAME(m);
    for (uint64_t i = 0; i < NODES && time_left(i + 1); i++) {
        m = new_message(crowd_number * NODES + i);
        push(m);
        pushed++;
        m = NULL;
        if (i % 32 == 0)
            relax();
        if (i % 4 == 0)
            continue;
        m = pop();
        gc_safepoint();
        if (m)
            note_popped(m);
        m = NULL;
    }
    while ((m = pop()))
        note_popped(m);
}

TEST(stack_by_four_threads)
{
    run(push_and_pop, STACKERS, NULL);
    CHECK(!top);
    ok(pushed == pops && pushed > 0, "%u pushed, %u popped, none twice", pushed, pops);
}

/* Counters in one slot: every success is somebody's. */
static void count_up(void)
{
    struct message *old = NULL, *new = NULL;
    GC_FRAME(old, new);
    for (uint64_t i = 1; i < 5000 && time_left(i); i++) {
        do {
            gc_safepoint();
            old = gc_load(&x);
            new = new_message(old ? old->a + 1 : 1);
        } while (!gc_cas(&x, old, new));
        pushed++;
        if (i % 32 == 0)
            relax();
    }
}

static void read_count(void)
{
    uint64_t last = 0;
    while (pushed < 1000 && now_ms() < deadline) {
        struct message *m = gc_load(&x);
        if (m) {
            check_message(m);
            CHECK(m->a >= last);
            last = m->a;
        }
        relax();
    }
}

TEST(cas_loses_no_update)
{
    run(count_up, 4, read_count);
    CHECK(x);
    ok(pushed > 0, "%u updates", pushed);
}

/* ---- gc_copy, then a flag ---- */

enum { BATCH = 64 };
static struct message *source[BATCH], *target[BATCH]; /* rooted */

static void read_batch(void)
{
    struct message *flag = NULL, *m = NULL;
    uint64_t last = 0;
    GC_FRAME(flag, m);
    for (; !crowd.stop; relax()) {
        flag = gc_load(&y);
        if (!flag || flag->a == last)
            continue;
        check_message(flag);
        for (size_t j = 0; j < BATCH; j++) {
            m = gc_load(&target[j]);
            CHECK(m);
            check_message(m);
            CHECK(m->a >= flag->a);
            seen++;
        }
        last = flag->a;
        acknowledged++;
    }
}

/* ThreadSanitizer does not know that a release fence orders relaxed stores: for it, no batch is
 * copied while another is read. */
static void wait_for_readers(uint64_t batches)
{
#ifdef GC_SANITIZE_THREAD
    while (acknowledged < 2 * batches)
        relax();
#else
    (void)batches;
#endif
}

static void copy_batches(void)
{
    CHECK_EQ(gc_root_range(source, BATCH), 0);
    CHECK_EQ(gc_root_range(target, BATCH), 0);
    uint64_t i = 1;
    for (; time_left(i) && now_ms() < deadline; i++) {
        for (size_t j = 0; j < BATCH; j++)
            gc_store(&source[j], new_message(i));
        gc_copy(target, source, sizeof target);
        gc_clear(source, sizeof source);
        gc_store(&y, new_message(i));
        wait_for_readers(i);
        if (i % 4 == 0)
            relax();
    }
    crowd.stop = true;
    diag("%" PRIu64 " batches", i);
}

TEST(copy_then_flag)
{
    run(read_batch, 2, copy_batches);
    ok(seen > 0, "%u words of them seen by others", seen);
}

TAP_MAIN
