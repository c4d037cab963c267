/* Several heaps and threads that go from one to another: whoever waits for one heap keeps nobody in
 * another waiting (I21). */
#include "crew.h"
#include "heaps.h"
#include "mutator/self.h"
#include "cycle/background.h"

static gc_heap *here, *there;

static void make_heaps(const gc_options *options)
{
    CHECK((here = gc_heap_create(options)));
    CHECK((there = gc_heap_create(options)));
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_switch(here), 0);
}

static void destroy_heaps(void)
{
    CHECK_EQ(gc_heap_destroy(here), 0);
    CHECK_EQ(gc_heap_destroy(there), 0);
}

/* ---- Ps ---- */

static void *comes_here_then_there(void *unused)
{
    CHECK_EQ(gc_thread_attach(here), 0);
    CHECK_EQ(gc_thread_attach(there), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_switch(here), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

/* This thread goes from one heap to the other when its time slice is over and another thread waits
 * for the first heap's only P, with which it will want the second heap's. */
TEST(a_thread_that_attaches_holds_no_other_p)
{
    make_heaps(&(gc_options){.max_procs = 1});
    pthread_t other = start_thread(comes_here_then_there, NULL);
    WAIT_UNTIL(u32_load_acquire(&here->procs.waiting) == 1);
    thread_self()->slice_start = 1;
    thread_request_poll(thread_self());
    CHECK_EQ(gc_thread_attach(there), 0);
    CHECK(gc_new_bytes(64));
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK(!gc_heap_current());
    CHECK_EQ(gc_thread_switch(here), 0);
    join_thread(other);
    destroy_heaps();
}

/* ---- A held world ---- */

static atomic_bool may_fork;

/* `there` was made last: a fork holds it first. */
static void *attaches_to_the_held(void *unused)
{
    CHECK_EQ(gc_thread_attach(here), 0);
    may_fork = true;
    WAIT_UNTIL(u32_load_acquire(&there->mutators.held));
    CHECK_EQ(gc_thread_attach(there), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_switch(here), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(a_thread_attaches_while_a_fork_holds_one_heap_and_wants_the_next)
{
    make_heaps(&(gc_options){.flags = GC_FORK_SAFE, .max_procs = 4});
    pthread_t other = start_thread(attaches_to_the_held, NULL);
    BLOCK_UNTIL(may_fork);
    pid_t child = fork();
    if (child == 0)
        _exit(gc_collect() == 0 && gc_thread_attach(there) == 0 ? 0 : 1);
    join_child(child);
    join_thread(other);
    destroy_heaps();
}

/* ---- The end of a heap ---- */

static atomic_bool visits, collected;

/* Keeps a thread of the collector's until the other heap has been collected. */
static void visit(void *unused, gc_tracer *tracer)
{
    (void)unused, (void)tracer;
    visits = true;
    WAIT_UNTIL(collected);
}

static void *collects_here(void *unused)
{
    CHECK_EQ(gc_thread_attach(here), 0);
    WAIT_UNTIL(service_is_ending(&there->background->service));
    CHECK_EQ(gc_collect(), 0);
    collected = true;
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

/* By a thread that is attached to another one only, where it is asked for handshakes. */
TEST(a_thread_that_destroys_a_heap_runs_in_no_other)
{
    make_heaps(NULL);
    CHECK_EQ(gc_thread_attach(there), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit, NULL), 0);
    CHECK_EQ(gc_collect_start(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    WAIT_UNTIL(visits);
    CHECK_EQ(gc_thread_switch(here), 0);
    pthread_t other = start_thread(collects_here, NULL);
    CHECK_EQ(gc_heap_destroy(there), 0);
    CHECK(gc_heap_current() == here);
    CHECK(gc_new_bytes(64));
    join_thread(other);
    CHECK_EQ(gc_heap_destroy(here), 0);
}

/* What cannot be done leaves the thread where it was. */
TEST(a_refused_attachment_changes_nothing)
{
    make_heaps(NULL);
    void *object = gc_new_bytes(64);
    GC_FRAME(object);
    CHECK_EQ(gc_thread_attach(here), -EEXIST);
    CHECK_EQ(gc_thread_switch(there), -ENOENT);
    CHECK(gc_heap_current() == here);
    CHECK_EQ(gc_collect(), 0);
    CHECK(gc_is_object(object));
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(gc_thread_attach(there), 0);
    CHECK(gc_new_bytes(64));
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_switch(here), 0);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK(gc_is_object(object));
}

/* ---- Heaps that are made beside others ---- */

static uint32_t enough; /* atomic */

static void *allocates_and_collects(void *unused)
{
    gc_heap *heap = new_heap(GC_NO_BACKGROUND);
    void *object = NULL;
    GC_FRAME(object);
    while (!u32_load_acquire(&enough)) {
        for (size_t i = 1; i < 2000; i++)
            object = gc_new_bytes(i);
        CHECK_EQ(gc_collect(), 0);
    }
    object = NULL;
    CHECK_EQ(gc_heap_destroy(heap), 0);
    return unused;
}

/* No address outside of the heap is taken for one in it, while its first arena is made. */
static void *asks_of(void *heap)
{
    const uintptr_t outside[] = {0, 8, UINTPTR_MAX - 7, (uintptr_t)1 << (ADDRESS_BITS - 1)};
    while (!u32_load_acquire(&enough)) {
        for (size_t i = 0; i < ARRAY_LEN(outside); i++)
            CHECK(!gc_heap_contains(heap, (void *)outside[i]));
    }
    return NULL;
}

TEST(heaps_are_made_while_another_allocates)
{
    u32_store_release(&enough, 0);
    pthread_t other = start_thread(allocates_and_collects, NULL);
    for (int i = 0; i < 20; i++) {
        gc_heap *heap = new_heap(GC_NO_BACKGROUND);
        CHECK(gc_new_bytes(100));
        CHECK_EQ(gc_heap_destroy(heap), 0);
    }
    u32_store_release(&enough, 1);
    join_thread(other);
}

TEST(a_first_arena_is_seen_whole_or_not_at_all)
{
    for (int i = 0; i < 50; i++) {
        u32_store_release(&enough, 0);
        gc_heap *heap = new_heap(GC_NO_BACKGROUND);
        pthread_t other = start_thread(asks_of, heap);
        CHECK(gc_new_bytes(100));
        u32_store_release(&enough, 1);
        join_thread(other);
        CHECK_EQ(gc_heap_destroy(heap), 0);
    }
}

TAP_MAIN
