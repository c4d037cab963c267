/* Litmus tests of docs/memory-model.md: what an embedder's threads may count on, tried thousands of
 * times while another thread collects all the time. */
#include "heaps.h"
#include "random.h"

struct message {
    struct message *text;
    struct message *more;
    uint64_t a, b;
};
static GC_TYPE(message_type, struct message, text, more);

/* Each test ends after ROUNDS, or as soon as it has had ENOUGH of them and of collections. */
enum { ROUNDS = 50000, ENOUGH = 100, ENOUGH_COLLECTIONS = 2000 };

static atomic_uint collected, acknowledged;
static struct message *x, *y, *top; /* rooted */
static gc_value_format format;      /* of the heap that run() makes */

static bool more(uint64_t round)
{
    return round <= ENOUGH || (round <= ROUNDS && collected < ENOUGH_COLLECTIONS);
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
    crowd.heap =
        gc_heap_create(&(gc_options){.debug = "poison=2", .max_procs = 8, .format = format});
    CHECK(crowd.heap);
    CHECK_EQ(gc_root(&x), 0);
    CHECK_EQ(gc_root(&y), 0);
    CHECK_EQ(gc_root(&top), 0);
    pthread_t collector = start_thread(collect, NULL);
    while (!collected)
        relax();
    crowd_start(n, one);
    if (here)
        here();
    crowd_join();
    stop_collecting = true;
    join_thread(collector);
    struct gc_statistics stats = stats_now();
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

/* Until `enough`, at least. */
static void publish_until(const atomic_uint *enough)
{
    uint64_t i = 1;
    for (; more(i) || *enough == 0; i++) {
        gc_store(&x, new_message(i));
        if (i % 64 == 0)
            relax();
    }
    crowd.stop = true;
    diag("%" PRIu64 " published", i);
}

static void publish(void)
{
    static const atomic_uint at_once = 1;
    publish_until(&at_once);
}

static void publish_until_seen(void)
{
    publish_until(&seen);
}

TEST(publication)
{
    run(read_x, 2, publish_until_seen);
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
    for (uint64_t i = 1; more(i); i++) {
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
        end = !more(i);
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
        end = !more(i);
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
    for (uint64_t i = 1; more(i); i++) {
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
    for (uint64_t i = 0; i < NODES && more(i + 1); i++) {
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
    for (uint64_t i = 1; i < 5000 && more(i); i++) {
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
    while (pushed < 4 * (ENOUGH - 1)) {
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
    for (; more(i) || seen == 0; i++) {
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

/* ---- gc_clear: who finds a word cleared sees what was done before ---- */

static atomic_uint cleared;

static void read_cleared(void)
{
    uint64_t last[BATCH] = {0};
    struct message *m = NULL, *flag = NULL;
    GC_FRAME(m, flag);
    for (unsigned i = 0; !crowd.stop; i = (i + 7) % BATCH) {
        m = gc_load(&target[i]);
        if (m) {
            check_message(m);
            CHECK(m->a >= last[i]);
            last[i] = m->a;
        } else if (last[i]) {
            flag = gc_load(&y);
            CHECK(flag);
            check_message(flag);
            CHECK(flag->a >= last[i]);
            cleared++;
        }
        if (i == 0)
            relax();
    }
}

static void store_and_clear(void)
{
    CHECK_EQ(gc_root_range(target, BATCH), 0);
    for (uint64_t i = 1; more(i) || cleared == 0; i++) {
        for (size_t j = 0; j < BATCH; j++)
            gc_store(&target[j], new_message(i));
        relax();
        gc_store(&y, new_message(i));
        gc_clear(target, sizeof target);
        relax();
    }
    crowd.stop = true;
}

TEST(clear_after_a_flag)
{
    run(read_cleared, 2, store_and_clear);
    ok(cleared > 0, "%u words seen cleared", cleared);
}

/* ---- Rounds of two: both do the same thing at the same time ---- */

static atomic_uint_fast64_t meetings[2];

static void meet(void)
{
    unsigned spins = 0;
    uint64_t mine = ++meetings[crowd_number];
    while (meetings[!crowd_number] < mine) {
        gc_safepoint();
        if (++spins % 1024 == 0)
            relax();
    }
}

/* Both agree on which round is the last: the first thread says so before they meet. There is one
 * more as long as it is not `enough`. */
static atomic_bool rounds_over;
static atomic_uint rounds;

static bool begin_round(uint64_t round, bool enough)
{
    if (crowd_number == 0) {
        rounds_over = !more(round) && enough;
        rounds += !rounds_over;
    }
    meet();
    return !rounds_over;
}

/* Store buffering: each changes its slot, then reads the other's, all with gc_cas. That both find
 * the old values is what must not be. */
static bool found_old[2][BATCH];
static unsigned both_new;

static void check_found(void)
{
    for (size_t j = 0; j < BATCH; j++) {
        CHECK(!(found_old[0][j] && found_old[1][j]));
        both_new += !found_old[0][j] && !found_old[1][j];
    }
}

static void change_mine_read_other(void)
{
    struct message **mine = crowd_number ? target : source;
    struct message **other = crowd_number ? source : target;
    struct message *old[2][BATCH] = {{NULL}}, *fresh[BATCH] = {NULL};
    GC_FRAME_ARRAY(old, 2 * BATCH);
    GC_FRAME_ARRAY(fresh, BATCH);
    if (crowd_number == 0) {
        CHECK_EQ(gc_root_range(source, BATCH), 0);
        CHECK_EQ(gc_root_range(target, BATCH), 0);
    }
    for (uint64_t i = 1; begin_round(i, true); i++) {
        for (size_t j = 0; j < BATCH; j++) {
            old[0][j] = gc_load(&mine[j]);
            old[1][j] = gc_load(&other[j]);
            fresh[j] = new_message(i);
        }
        meet();
        for (size_t j = 0; j < BATCH; j++) {
            CHECK(gc_cas(&mine[j], old[0][j], fresh[j]));
            found_old[crowd_number][j] = gc_cas(&other[j], old[1][j], old[1][j]);
        }
        meet();
        if (crowd_number == 0)
            check_found();
    }
}

TEST(store_buffering_with_cas)
{
    run(change_mine_read_other, 2, NULL);
    ok(rounds > 0, "%u rounds of %d; both found the new value %u times", rounds, BATCH, both_new);
}

/* Both store into one slot: one of the values is there afterwards, and what was loaded is whole. */
static struct message *left_there[2];
static atomic_uint won[2];

static void check_left(const struct message *left, uint64_t first)
{
    CHECK(left == left_there[!crowd_number]);
    check_message(left);
    CHECK(left->a >= first && left->a < first + 2 * BATCH);
    won[left->a % 2]++;
}

static void store_both(void)
{
    struct message *mine[BATCH] = {NULL}, *found[BATCH] = {NULL};
    GC_FRAME_ARRAY(mine, BATCH);
    GC_FRAME_ARRAY(found, BATCH);
    for (uint64_t i = 1; begin_round(i, seen > 0); i++) {
        uint64_t first = 2 * BATCH * i;
        for (size_t j = 0; j < BATCH; j++)
            mine[j] = new_message(first + 2 * j + crowd_number);
        meet();
        for (size_t j = 0; j < 32 * BATCH; j++) {
            gc_store(&x, mine[j % BATCH]);
            if (j % (16 * BATCH) == 16 * BATCH - 1)
                relax(); /* on one processor, too, the other comes in between */
            found[j % BATCH] = gc_load(&x);
        }
        meet();
        left_there[crowd_number] = gc_load(&x);
        for (size_t j = 0; j < BATCH; j++) {
            check_message(found[j]);
            CHECK(found[j]->a >= first && found[j]->a < first + 2 * BATCH);
            seen += found[j]->a % 2 != crowd_number;
        }
        meet();
        check_left(gc_load(&x), first);
    }
}

TEST(racing_stores_to_one_slot)
{
    run(store_both, 2, NULL);
    ok(seen > 0, "%u won by one, %u by the other, whose value was found %u times", won[0] / 2,
       won[1] / 2, seen);
}

/* ---- Roots of one's own: written plainly, among them where the collector was and was not ---- */

enum { LOCALS = 8 };
struct own_roots {
    void *called[LOCALS];
    void *range[LOCALS], **top;
};

static void visit_called(void *own, gc_tracer *tracer)
{
    gc_trace_slots(tracer, ((struct own_roots *)own)->called, LOCALS);
}

static void move_plainly(void **from, void **to, uint64_t *random)
{
    size_t i = random_below(random, LOCALS), j = random_below(random, LOCALS);
    if (!from[i] || random_one_in(random, 4)) {
        void *fresh = new_message(random_below(random, 1000));
        from[i] = fresh;
    }
    to[j] = from[i];
    if (to + j != from + i)
        from[i] = NULL;
    check_message(to[j]);
}

static void use_own_roots(void)
{
    uint64_t random = crowd_number;
    void *locals[LOCALS] = {NULL};
    struct own_roots *own = calloc(1, sizeof *own);
    void **kinds[] = {locals, own->range, own->called};
    GC_FRAME_ARRAY(locals, LOCALS);
    own->top = own->range + LOCALS;
    CHECK_EQ(gc_thread_range(own->range, &own->top), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit_called, own), 0);
    for (uint64_t i = 1; more(i); i++) {
        move_plainly(kinds[random_below(&random, 3)], kinds[random_below(&random, 3)], &random);
        if (random_one_in(&random, 64))
            relax();
        for (size_t k = 0; i % 16 == 0 && k < 3 * LOCALS; k++) {
            if (kinds[k / LOCALS][k % LOCALS])
                check_message(kinds[k / LOCALS][k % LOCALS]);
        }
        pushed++;
    }
    CHECK_EQ(gc_root_callback_remove(visit_called, own), 0);
    CHECK_EQ(gc_thread_range_remove(own->range), 0);
    free(own);
}

TEST(roots_of_ones_own)
{
    run(use_own_roots, 4, NULL);
    ok(pushed > 0, "%u moves", pushed);
}

/* ---- Weak reads against collections ---- */

enum { WEAKS = ROUNDS + 1, RECENT = 32, HELD = 32 };
static gc_weak *weaks[WEAKS + 1];
static atomic_bool dead[WEAKS + 1];
static atomic_uint_fast64_t latest;
static atomic_uint found_dead;

/* One that is not dead yet, perhaps. */
static struct message *read_weak(uint64_t i)
{
    bool was_dead = dead[i];
    struct message *m = gc_weak_get(weaks[i]);
    if (m) {
        CHECK(!was_dead);
        CHECK_EQ(m->a, i);
        seen++;
        return m;
    }
    CHECK(!gc_weak_get(weaks[i]));
    found_dead += !was_dead;
    dead[i] = true;
    return NULL;
}

/* What was found is rooted, and stays. */
static void read_weaks(void)
{
    uint64_t random = crowd_number;
    struct message *kept[HELD] = {NULL};
    GC_FRAME_ARRAY(kept, HELD);
    for (unsigned n = 0; !crowd.stop; n++) {
        uint64_t now = latest, back = random_below(&random, RECENT);
        if (kept[n % HELD])
            check_message(kept[n % HELD]);
        kept[n % HELD] = back < now ? read_weak(now - back) : NULL;
        gc_safepoint();
        if (n % 32 == 0)
            relax();
    }
}

static void make_weaks(void)
{
    uint64_t i = 1;
    for (; i < WEAKS && (more(i) || seen == 0 || found_dead == 0); i++) {
        gc_store(&x, new_message(i));
        CHECK((weaks[i] = gc_weak_new(x)));
        latest = i;
        if (i % 8 == 0)
            relax();
    }
    crowd.stop = true;
    crowd_join();
    crowd.n = 0;
    while (--i > 0)
        gc_weak_free(weaks[i]);
}

TEST(weak_reads)
{
    run(read_weaks, 2, make_weaks);
    ok(seen > 0 && found_dead > 0, "%u found alive, %u dead", seen, found_dead);
}

/* ---- A fiber that several threads run in turns, told of nothing else ---- */

static gc_fiber *fiber;
static void *fiber_slots[LOCALS], **fiber_top = fiber_slots + LOCALS;
static uint64_t turns; /* of whoever runs the fiber */

static void take_turns(void)
{
    unsigned mine = 0;
    for (uint64_t i = 1; more(i) || mine == 0; i++) {
        gc_fiber_switch(fiber);
        if (errno == EBUSY) {
            relax();
            continue;
        }
        for (size_t k = 0; k < LOCALS; k++) {
            if (turns >= LOCALS)
                check_message(fiber_slots[k]);
        }
        void *fresh = new_message(++turns);
        fiber_slots[turns % LOCALS] = fresh;
        mine++;
        CHECK(gc_fiber_switch(NULL) == fiber);
        if (i % 16 == 0)
            relax();
    }
    won[crowd_number % 2] += mine;
}

static void make_fiber(void)
{
    CHECK((fiber = gc_fiber_create()));
    gc_fiber_switch(fiber);
    CHECK_EQ(gc_thread_range(fiber_slots, &fiber_top), 0);
    CHECK(gc_fiber_switch(NULL) == fiber);
}

static void make_it_and_take_turns(void)
{
    static atomic_bool made;
    if (crowd_number == 0) {
        make_fiber();
        made = true;
    }
    while (!made)
        relax();
    take_turns();
}

TEST(a_fiber_in_turns)
{
    run(make_it_and_take_turns, 4, NULL);
    ok(won[0] > 0 && won[1] > 0 && turns == won[0] + won[1], "%u and %u turns", won[0], won[1]);
}

/* ---- Words in a value format ---- */

#if UINTPTR_MAX > UINT32_MAX
enum { TAG_MASK = 7, TAG_REFERENCE = 1, TAG_INTEGER = 3 };
static uint64_t boxed; /* rooted */

static uint64_t word_of(struct message *m)
{
    return (uintptr_t)m | TAG_REFERENCE;
}
static struct message *message_in(uint64_t value)
{
    return (value & TAG_MASK) == TAG_REFERENCE ? (void *)(uintptr_t)(value - TAG_REFERENCE) : NULL;
}

/* What is no reference is an integer, which says how far it is. */
static uint64_t number_in(uint64_t value)
{
    if (!message_in(value))
        return value >> 3;
    check_message(message_in(value));
    return message_in(value)->a;
}

static void read_boxed(void)
{
    uint64_t last = 0, kept[HELD] = {0};
    GC_FRAME_ARRAY(kept, HELD);
    for (unsigned i = 0; !crowd.stop; i++) {
        number_in(kept[i % HELD]);
        kept[i % HELD] = gc_load_value(&boxed);
        gc_safepoint(); /* the slot may be written now, but not what was in it */
        uint64_t number = number_in(kept[i % HELD]);
        CHECK(number >= last);
        seen += number > last && message_in(kept[i % HELD]);
        last = number;
        if (i % 64 == 0)
            relax();
    }
}

static void publish_boxed(void)
{
    CHECK_EQ(gc_root(&boxed), 0);
    for (uint64_t i = 1; more(i) || seen == 0; i++) {
        gc_store_value(&boxed, word_of(new_message(i)));
        if (i % 4 == 1)
            CHECK(gc_cas_value(&boxed, gc_load_value(&boxed), i << 3 | TAG_INTEGER));
        if (i % 64 == 0)
            relax();
    }
    crowd.stop = true;
}

TEST(publication_by_values)
{
    format = (gc_value_format){TAG_MASK, TAG_REFERENCE, ~(uint64_t)TAG_MASK};
    run(read_boxed, 2, publish_boxed);
    ok(seen > 0, "%u of them seen by others", seen);
}
#endif

TAP_MAIN
