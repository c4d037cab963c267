/* fork(): the child of a heap made with GC_FORK_SAFE has a working heap, whatever the other threads
 * were about; the parent goes on. */
#include "build.h"
#include "heaps.h"
#include "base/events.h"
#include "introspect/edges.h"
#include "mutator/handshake.h"

/* The child of a program with threads starts threads of its own. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}
enum { FORKS = THREAD_SANITIZER ? 4 : 20 };

struct node {
    struct node *left, *right;
    long value;
};
static GC_TYPE(node_type, struct node, left, right);

static struct node *tree(int depth)
{
    struct node *node = NULL, *left = NULL, *right = NULL;
    GC_FRAME(node, left, right);
    if (depth > 0) {
        left = tree(depth - 1);
        right = tree(depth - 1);
    }
    node = gc_new(&node_type);
    CHECK(node);
    node->value = depth;
    gc_store(&node->left, left);
    gc_store(&node->right, right);
    return node;
}

static long sum(const struct node *node)
{
    return node ? 1 + sum(gc_load(&node->left)) + sum(gc_load(&node->right)) : 0;
}

/* ---- Threads that allocate, collect, block, come and go ---- */

static gc_heap *heap;
static atomic_bool stop;
static bool others; /* such threads run */

static void churn(void)
{
    struct node *kept = NULL;
    GC_FRAME(kept);
    for (int i = 0; i < 20 && !atomic_load(&stop); i++) {
        kept = tree(9);
        CHECK_EQ(sum(kept), 1023);
        CHECK(gc_new_bytes((size_t)i * 997));
    }
}

static void *allocates(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!atomic_load(&stop))
        churn();
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void *collects(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!atomic_load(&stop))
        gc_collect();
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void *blocks(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    struct node *kept = NULL;
    GC_FRAME(kept);
    while (!atomic_load(&stop)) {
        kept = tree(3);
        gc_blocking_begin();
        os_sleep_ns(100 * 1000);
        gc_blocking_end();
        CHECK_EQ(sum(kept), 15);
    }
    gc_frame_reset(NULL);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static void *comes_and_goes(void *unused)
{
    while (!atomic_load(&stop)) {
        struct gc_statistics stats;
        CHECK_EQ(gc_thread_attach(heap), 0);
        tree(4);
        CHECK_EQ(gc_thread_detach(), 0);
        CHECK_EQ(gc_heap_stats(heap, &stats), 0);
    }
    return unused;
}

static void start(pthread_t threads[], void *(*const mains[])(void *), size_t n)
{
    atomic_store(&stop, false);
    others = true;
    for (size_t i = 0; i < n; i++)
        threads[i] = start_thread(mains[i], NULL);
}

static void finish(const pthread_t threads[], size_t n)
{
    atomic_store(&stop, true);
    join_threads(threads, n);
    others = false;
}

/* ---- What a child does ---- */

/* The address sanitizer does not hold its allocator's locks across a fork. One that a thread has
 * taken at that moment, in SizeClassAllocator64::GetFromAllocator(), stays taken in the child, and
 * who wants it there hangs: mostly a thread that starts, which allocates in pthread_getattr_np().
 * Threads of the test's own allocate at any time. */
static bool sanitizer_may_hang(void)
{
    return ADDRESS_SANITIZER && others;
}

static void limit_time(void)
{
    if (sanitizer_may_hang())
        alarm(600);
}

static void *child_thread(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(sum(tree(10)), 2047);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(pid_t child, int expected)
{
    static int hangs;
    int status = wait_for(child);
    if (!sanitizer_may_hang() || status != 128 + SIGALRM) {
        CHECK_EQ(status, expected);
        return;
    }
    diag("the sanitizer hangs in a child");
    CHECK(++hangs <= FORKS / 2);
}

static void use_heap(struct node *kept, long nodes)
{
    struct gc_statistics stats;
    struct node *mine = NULL;
    GC_FRAME(kept, mine);
    limit_time();
    CHECK_EQ(gc_stats(&stats), 0);
    CHECK_EQ(stats.threads, 1);
    CHECK_EQ(sum(kept), nodes);
    for (int i = 0; i < 10; i++) {
        mine = tree(11);
        CHECK_EQ(sum(mine), 4095);
        CHECK_EQ(sum(kept), nodes);
    }
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_verify(), 0);
    run_thread(child_thread, NULL);
    CHECK_EQ(sum(kept), nodes);
}

/* The child, and a child of it. */
static _Noreturn void be_child(struct node *kept, long nodes)
{
    use_heap(kept, nodes);
    pid_t grandchild = fork();
    if (grandchild == 0) {
        use_heap(kept, nodes);
        _exit(7);
    }
    _exit(grandchild > 0 && wait_for(grandchild) == 7 ? 5 : 1);
}

static void fork_attached(int times)
{
    struct node *kept = NULL;
    GC_FRAME(kept);
    for (int i = 0; i < times; i++) {
        kept = tree(7);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            be_child(kept, 255);
        CHECK_EQ(sum(kept), 255);
        tree(8);
        gc_blocking_begin();
        expect(child, 5);
        gc_blocking_end();
    }
    CHECK_EQ(gc_heap_verify(), 0);
}

static void storm(unsigned flags, unsigned procs)
{
    static void *(*const mains[])(void *) = {allocates, collects, blocks, comes_and_goes,
                                             allocates};
    pthread_t threads[5];
    heap = gc_heap_create(
        &(gc_options){.flags = GC_FORK_SAFE | flags, .max_procs = procs, .min_heap = 1 << 20});
    CHECK(heap);
    start(threads, mains, 5);
    fork_attached(FORKS);
    finish(threads, 5);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(alone)
{
    heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE});
    fork_attached(3);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(concurrent)
{
    storm(0, 0);
}

TEST(few_processors)
{
    storm(0, 2);
}

TEST(stop_world)
{
    storm(GC_STOP_WORLD, 0);
}

TEST(no_background)
{
    storm(GC_NO_BACKGROUND, 0);
}

TEST(conservative)
{
    storm(GC_STACK_CONSERVATIVE, 0);
}

TEST(inside_a_blocking_region)
{
    static void *(*const mains[])(void *) = {allocates, collects};
    pthread_t threads[2];
    heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE, .min_heap = 1 << 20});
    struct node *kept = NULL;
    GC_FRAME(kept);
    start(threads, mains, 2);
    for (int i = 0; i < FORKS; i++) {
        kept = tree(7);
        gc_blocking_begin();
        pid_t child = fork();
        if (child == 0) {
            gc_blocking_end();
            be_child(kept, 255);
        }
        expect(child, 5);
        gc_blocking_end();
    }
    finish(threads, 2);
    gc_frame_reset(NULL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(unattached)
{
    static void *(*const mains[])(void *) = {allocates, collects, comes_and_goes};
    pthread_t threads[3];
    heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE, .min_heap = 1 << 20});
    gc_handle *handle = gc_handle_new(tree(7));
    CHECK_EQ(gc_thread_detach(), 0);
    start(threads, mains, 3);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            CHECK_EQ(gc_thread_attach(heap), 0);
            be_child(gc_handle_get(handle), 255);
        }
        expect(child, 5);
    }
    finish(threads, 3);
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(sum(gc_handle_get(handle)), 255);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Library threads in the child ---- */

static atomic_int finalized;
static void finalize(void *object, void *unused)
{
    (void)object, (void)unused;
    atomic_fetch_add(&finalized, 1);
}

static void make_finalizable(void)
{
    for (int i = 0; i < 100; i++)
        CHECK_EQ(gc_finalizer_set(gc_new(&node_type), finalize, NULL), 0);
}

TEST(finalizer_thread)
{
    heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE | GC_FINALIZER_THREAD});
    make_finalizable();
    gc_collect();
    BLOCK_UNTIL(atomic_load(&finalized) == 100);
    make_finalizable();
    pid_t child = fork();
    if (child == 0) {
        limit_time();
        CHECK_EQ(atomic_load(&finalized), 100);
        gc_collect();
        BLOCK_UNTIL(atomic_load(&finalized) == 200);
        end_heap(heap);
        _exit(3);
    }
    expect(child, 3);
    gc_collect();
    BLOCK_UNTIL(atomic_load(&finalized) == 200);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Asks the background thread for a cycle, and waits for it. */
static void await_cycle(void)
{
    uint64_t before = stats_now().cycles;
    CHECK_EQ(gc_collect_start(), 0);
    POLL_UNTIL(stats_now().cycles > before);
}

TEST(background_thread)
{
    heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE, .min_heap = 1 << 20});
    for (int i = 0; i < 30; i++)
        tree(10);
    await_cycle();
    CHECK_EQ(gc_collect_start(), 0); /* a wish that is lost on the child */
    pid_t child = fork();
    if (child == 0) {
        limit_time();
        for (int i = 0; i < 200; i++)
            tree(10);
        await_cycle();
        end_heap(heap);
        _exit(3);
    }
    expect(child, 3);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Several heaps ---- */

TEST(two_heaps)
{
    static void *(*const mains[])(void *) = {allocates, collects};
    pthread_t threads[2];
    gc_heap *first = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE});
    struct node *in_first = tree(5);
    gc_handle *handle = gc_handle_new(in_first);
    heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE, .min_heap = 1 << 20});
    start(threads, mains, 2);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            use_heap(tree(4), 31);
            CHECK_EQ(gc_thread_switch(first), 0);
            CHECK_EQ(gc_collect(), 0);
            CHECK_EQ(sum(gc_handle_get(handle)), 63);
            CHECK_EQ(gc_heap_verify(), 0);
            _exit(4);
        }
        gc_blocking_begin();
        expect(child, 4);
        gc_blocking_end();
    }
    finish(threads, 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(gc_thread_switch(first), 0);
    CHECK_EQ(gc_heap_destroy(first), 0);
}

static void *wait_for_turn(void *turn)
{
    handshake_await_turn(heap, *(uint32_t *)turn, -1);
    return NULL;
}

/* Those who wait in the parent wait for nothing in the child. */
TEST(what_others_wait_for)
{
    CHECK((heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE | GC_NO_BACKGROUND})));
    struct mutators *m = &heap->mutators;
    uint32_t turn = u32_load_acquire(&m->turns);
    pthread_t waiter = start_thread(wait_for_turn, &turn);
    WAIT_UNTIL(u32_load_acquire(&m->turn_waiters) == 1);
    edges_name_frames(heap, true);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(m->turn_waiters == 0 && heap->names_frames == 0 ? 5 : 1);
    expect(child, 5);
    edges_name_frames(heap, false);
    handshake_wake_waiters(heap);
    join_thread(waiter);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static bool note_thread(void *thread, const struct event *e)
{
    if (e->kind == EVENT_SIZE && e->x == 17)
        *(uint64_t *)thread = e->thread;
    return true;
}

/* The thread that goes on in the child has another number than the one that forked. */
TEST(events_of_a_child)
{
    CHECK((heap = gc_heap_create(&(gc_options){.flags = GC_FORK_SAFE | GC_NO_BACKGROUND})));
    events_record(true);
    uint64_t now = os_now_ns(), thread = 0;
    event_note(&(struct event){.begin = now, .end = now, .kind = EVENT_SIZE});
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        event_note(&(struct event){.begin = now, .end = now, .kind = EVENT_SIZE, .x = 17});
        events_each(note_thread, &thread);
        _exit(thread == os_thread_id() ? 5 : 1);
    }
    expect(child, 5);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A heap without the flag that other threads use is nobody's in the child. */
TEST(not_fork_safe)
{
    static void *(*const mains[])(void *) = {allocates, collects};
    pthread_t threads[2];
    heap = gc_heap_create(&(gc_options){.min_heap = 1 << 20});
    start(threads, mains, 2);
    POLL_UNTIL(stats_now().cycles > 0);
    pid_t child = fork();
    if (child == 0) {
        struct gc_statistics stats;
        limit_time();
        errno = 0;
        CHECK(gc_heap_current() == NULL);
        CHECK(gc_new(&node_type) == NULL && errno == EPERM);
        CHECK_EQ(gc_collect(), -EPERM);
        CHECK_EQ(gc_thread_attach(heap), -EPERM);
        CHECK_EQ(gc_heap_stats(heap, &stats), -EPERM);
        CHECK_EQ(gc_heap_destroy(heap), -EPERM);
        heap = gc_heap_create(NULL);
        CHECK(heap);
        use_heap(tree(4), 31);
        _exit(6);
    }
    gc_blocking_begin();
    expect(child, 6);
    gc_blocking_end();
    finish(threads, 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* The thread that forks has used the heap alone: the heap goes on in the child, also without
 * GC_FORK_SAFE. */
TEST(not_fork_safe_but_alone)
{
    heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    gc_heap *other = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    pid_t child = fork();
    if (child == 0) {
        limit_time();
        CHECK_EQ(gc_heap_destroy(other), 0);
        CHECK_EQ(gc_thread_switch(heap), 0);
        CHECK_EQ(gc_thread_detach(), 0);
        CHECK_EQ(gc_thread_attach(heap), 0);
        use_heap(tree(4), 31);
        CHECK_EQ(gc_heap_destroy(heap), 0);
        _exit(6);
    }
    expect(child, 6);
    CHECK_EQ(gc_heap_destroy(other), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
