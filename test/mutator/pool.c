/* A thread pool whose workers attach for each task; thread-local roots. */
#include "heaps.h"

struct node {
    struct node *next;
    long value;
};
static GC_TYPE(node_type, struct node, next);

static gc_heap *heap;
static atomic_bool stop;

/* Nothing is asked of the system once it has been done before. */
TEST(price_of_a_pair)
{
    enum { PAIRS = 10000 };
    heap = gc_heap_create(NULL);
    gc_thread_detach();
    uint64_t calls = os_fallible_calls();
    for (int i = 0; i < PAIRS; i++) {
        CHECK_EQ(gc_thread_attach(heap), 0);
        CHECK_EQ(gc_thread_detach(), 0);
    }
    CHECK_EQ(os_fallible_calls(), calls);
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void task(int n)
{
    struct node *list = NULL, *node = NULL;
    GC_FRAME(list, node);
    long sum = 0;
    for (int i = 0; i < n; i++) {
        node = gc_new(&node_type);
        node->value = i;
        gc_store(&node->next, list);
        list = node;
    }
    for (node = list; node; node = gc_load(&node->next))
        sum += node->value;
    CHECK_EQ(sum, (long)n * (n - 1) / 2);
}

static void *worker(void *unused)
{
    for (int i = 0; !atomic_load(&stop); i++) {
        CHECK_EQ(gc_thread_attach(heap), 0);
        task(i % 200);
        CHECK_EQ(gc_thread_detach(), 0);
    }
    return unused;
}

static void pool(unsigned flags, unsigned procs)
{
    pthread_t threads[4];
    heap = gc_heap_create(&(gc_options){.flags = flags, .max_procs = procs, .min_heap = 1 << 20});
    gc_handle *kept = gc_handle_new(gc_new(&node_type));
    atomic_store(&stop, false);
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(worker, NULL);
    for (int i = 0; i < 50; i++) {
        task(1000);
        CHECK_EQ(gc_collect(), 0);
    }
    CHECK_EQ(gc_heap_verify(), 0);
    atomic_store(&stop, true);
    join_threads(threads, 4);
    CHECK_EQ(stats_now().threads, 1);
    CHECK(gc_is_object(gc_handle_get(kept)));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(pool)
{
    pool(0, 0);
}

TEST(pool_one_processor)
{
    pool(0, 1);
}

TEST(pool_stop_world)
{
    pool(GC_STOP_WORLD, 2);
}

/* ---- gc_thread_local_range ---- */

static _Thread_local struct node *locals[16];

static void *with_locals(void *unused)
{
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(gc_thread_attach(heap), 0);
        CHECK_EQ(gc_thread_local_range(locals, sizeof locals), 0);
        CHECK_EQ(gc_thread_local_range(locals, sizeof locals), -EEXIST);
        for (int i = 0; i < 16; i++) {
            locals[i] = gc_new(&node_type);
            locals[i]->value = i;
        }
        CHECK_EQ(gc_collect(), 0);
        task(3000);
        for (int i = 0; i < 16; i++) {
            CHECK(gc_is_object(locals[i]));
            CHECK_EQ(locals[i]->value, i);
        }
        locals[3] = NULL;
        CHECK_EQ(gc_heap_verify(), 0);
        CHECK_EQ(gc_thread_detach(), 0);
    }
    return unused;
}

TEST(thread_local_range)
{
    pthread_t threads[3];
    heap = gc_heap_create(&(gc_options){.debug = "nth=50,poison=2"});
    CHECK_EQ(gc_thread_local_range(NULL, 8), -EINVAL);
    CHECK_EQ(gc_thread_local_range((char *)locals + 1, 8), -EINVAL);
    CHECK_EQ(gc_thread_local_range(locals, 1), -EINVAL);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_local_range(locals, sizeof locals), -EPERM);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, with_locals, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
