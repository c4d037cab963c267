/* Ps that are lent to the collector's threads, and memory that is backed before it is used. */
#include "actors.h"
#include "collector/backing.h"

static uint32_t lent, enough, turns;

static void wait_for(const uint32_t *flag)
{
    WAIT_UNTIL(u32_load_acquire(flag));
}

/* Keeps a P until it is told that it is enough. A thread that has the P and is kept from a
 * processor does not give it up in time: it is asked for again. */
static void *borrow(void *arg)
{
    (void)arg;
    struct proc *p;
    while (!(p = proc_borrow(&heap->procs)))
        ;
    CHECK_EQ(u32_load_relaxed(&p->state), PROC_LENT);
    u32_store_release(&lent, 1);
    wait_for(&enough);
    proc_return(&heap->procs, p);
    return NULL;
}

static void *take_turns(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!u32_load_acquire(&enough)) {
        gc_safepoint();
        u32_fetch_add_seq_cst(&turns, 1);
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

/* A heap of one P, in which the calling thread does not run. */
static void begin(void)
{
    heap = gc_heap_create(&(gc_options){.max_procs = 1, .flags = GC_NO_BACKGROUND});
    CHECK(heap);
    lent = enough = turns = 0;
    CHECK_EQ(gc_blocking_begin(), 0);
}

static void end(void)
{
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* The thread that has the P gives it up at a safepoint, and waits until it is returned. */
TEST(lent_by_one_that_runs)
{
    pthread_t runner, borrower;
    begin();
    runner = start_thread(take_turns, NULL);
    wait_for(&turns);
    borrower = start_thread(borrow, NULL);
    wait_for(&lent);
    wait_for(&heap->procs.waiting);
    uint32_t seen = u32_load_acquire(&turns);
    for (unsigned i = 0; i < 200;)
        let_run(&i);
    CHECK_EQ(u32_load_acquire(&turns), seen);
    u32_store_release(&enough, 1);
    join_thread(borrower);
    join_thread(runner);
    end();
}

static void *hold_on(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    u32_store_release(&turns, 1);
    wait_for(&enough);
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

enum { QUEUED = 6 };
static atomic_uint order[QUEUED], arrived; /* who had the first turn, the second… */

static void *queue_up(void *number)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    order[arrived++] = (unsigned)(uintptr_t)number;
    POLL_UNTIL(arrived == QUEUED);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

/* Nobody blocks: a thread gives the P up when it has had its time, to the one that waits longest.
 */
TEST(turns_are_in_order)
{
    pthread_t runner, threads[QUEUED];
    begin();
    runner = start_thread(hold_on, NULL);
    wait_for(&turns);
    for (uintptr_t i = 0; i < QUEUED; i++) {
        threads[i] = start_thread(queue_up, (void *)i);
        WAIT_UNTIL(u32_load_acquire(&heap->procs.waiting) == i + 1);
    }
    u32_store_release(&enough, 1);
    join_threads(threads, QUEUED);
    join_thread(runner);
    for (unsigned i = 0; i < QUEUED; i++)
        CHECK_EQ(order[i], i);
    end();
}

/* A P that does not come free is not waited for for ever. The queue is as it was. */
TEST(not_lent)
{
    pthread_t runner;
    begin();
    runner = start_thread(hold_on, NULL);
    wait_for(&turns);
    CHECK(!proc_borrow(&heap->procs));
    CHECK_EQ(heap->procs.waiting, 0);
    CHECK(!heap->procs.queue && heap->procs.queue_tail == &heap->procs.queue);
    u32_store_release(&enough, 1);
    join_thread(runner);
    end();
}

static pthread_t second;
static struct proc_waiter *first_in_queue;

/* Another borrower comes, which has its turn before. */
static bool when_another_waits(void)
{
    second = start_thread(borrow, NULL);
    WAIT_UNTIL(u32_load_acquire(&heap->procs.waiting) == 2);
    lock_acquire(&heap->procs.lock);
    first_in_queue = heap->procs.queue;
    lock_release(&heap->procs.lock);
    my_stop.gate = NULL;
    return false;
}

/* A borrower that waits no longer goes, and none other. */
TEST(withdrawn_from_the_middle)
{
    pthread_t runner;
    struct gate unused = {GATE_FREE};
    stress_stop_set(stop_here);
    begin();
    runner = start_thread(hold_on, NULL);
    wait_for(&turns);
    my_stop = (struct stop){&unused, STRESS_ENQUEUED, false, when_another_waits};
    CHECK(!proc_borrow(&heap->procs));
    lock_acquire(&heap->procs.lock);
    const struct proc_waiter *left = heap->procs.queue;
    lock_release(&heap->procs.lock);
    CHECK(!left || left == first_in_queue);
    CHECK(u32_load_acquire(&heap->procs.waiting) <= 1);
    u32_store_release(&enough, 1);
    join_thread(runner);
    join_thread(second);
    CHECK_EQ(heap->procs.waiting, 0);
    CHECK(!heap->procs.queue && heap->procs.queue_tail == &heap->procs.queue);
    end();
}

static struct gate claimed;

static void *claim_slowly(void *arg)
{
    of_the_test = true;
    stop_me(STRESS_PROC_CLAIMED, &claimed);
    handshake(heap, STEP_SETTLE);
    return arg;
}

/* A P is not given back while a handshake has claimed it. */
TEST(returned_when_the_claim_has_ended)
{
    pthread_t borrower, collector;
    stress_stop_set(stop_here);
    begin();
    borrower = start_thread(borrow, NULL);
    wait_for(&lent);
    collector = start_thread(claim_slowly, NULL);
    gate_await(&claimed);
    u32_store_release(&enough, 1);
    for (unsigned i = 0; i < 300;)
        let_run(&i);
    CHECK_EQ(u32_load_acquire(&heap->procs.all[0]->state), PROC_CLAIMED);
    gate_open(&claimed);
    join_thread(borrower);
    join_thread(collector);
    CHECK_EQ(heap->procs.all[0]->state, PROC_IDLE);
    end();
}

static void *handshakes(void *arg)
{
    handshake(heap, STEP_SETTLE);
    u32_store_release((uint32_t *)arg, 1);
    return NULL;
}

/* A handshake does not wait for whoever has borrowed a P. */
TEST(handshake_with_a_lent_proc)
{
    pthread_t borrower, collector;
    uint32_t done = 0;
    begin();
    borrower = start_thread(borrow, NULL);
    wait_for(&lent);
    collector = start_thread(handshakes, &done);
    wait_for(&done);
    CHECK_EQ(heap->procs.all[0]->state, PROC_LENT);
    CHECK_EQ(heap->procs.all[0]->epoch, heap->mutators.epoch);
    u32_store_release(&enough, 1);
    join_thread(borrower);
    join_thread(collector);
    CHECK_EQ(heap->procs.all[0]->state, PROC_IDLE);
    end();
}

/* ---- Memory ahead of its use ---- */

static size_t resident_ahead(void)
{
    const struct arena *a = heap->mem.arenas.newest;
    uintptr_t from = align_up(word_load_relaxed(&a->zeroed_base), (size_t)2 << 20);
    return os_resident((const void *)from, a->base + ARENA_SIZE - from);
}

static bool system_backs(void)
{
    const size_t size = (size_t)4 << 20;
    void *p = os_map(size);
    CHECK(p);
    bool backs = os_back(p, size) && os_resident(p, size) == size;
    os_unmap(p, size);
    return backs;
}

/* 20 MB that no cycle takes away. */
static void fill_a_heap(unsigned flags)
{
    heap = gc_heap_create(&(gc_options){.flags = flags, .percent = GC_PERCENT_OFF});
    CHECK(heap);
    for (int i = 0; i < 20000; i++)
        CHECK(gc_new_bytes(1000));
}

TEST(memory_is_backed_ahead)
{
    if (ARENA_SIZE < (size_t)64 << 20 || !system_backs())
        SKIP("not on this system");
    fill_a_heap(GC_HUGE_PAGES);
    while (resident_ahead() == 0) {
        CHECK(gc_new_bytes(1000)); /* behind a huge page's middle it is the next but one */
        os_sleep_ns(1000 * 1000);
    }
    ok(resident_ahead() <= mheap_back_ahead(&heap->mem), "not more than that");
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Nobody asked for huge pages: nothing is touched before it is used. */
TEST(memory_is_not_backed_ahead)
{
    fill_a_heap(GC_NO_HUGE_PAGES);
    CHECK(!service_is_used(&heap->backing->service));
    CHECK_EQ(resident_ahead(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Where mutators run on all processors memory is backed on a P of theirs, which comes back. */
TEST(memory_is_backed_on_a_borrowed_p)
{
    struct gate in_queue = {GATE_FREE};
    if (ARENA_SIZE < (size_t)64 << 20 || !system_backs())
        SKIP("not on this system");
    of_the_test = true;
    stress_stop_set(stop_here);
    stop_library(STRESS_ENQUEUED, &in_queue);
    heap = gc_heap_create(
        &(gc_options){.flags = GC_HUGE_PAGES, .max_procs = 1, .percent = GC_PERCENT_OFF});
    CHECK(heap);
    for (unsigned i = 0; u32_load_acquire(&in_queue.state) == GATE_FREE; let_run(&i))
        CHECK(gc_new_bytes(1000));
    const struct arena *a = heap->mem.arenas.newest;
    while (mheap_next_to_back(&heap->mem, a) == UINTPTR_MAX)
        CHECK(gc_new_bytes(1000));
    uintptr_t backed = word_load_relaxed(&a->backed_base);
    CHECK_EQ(gc_blocking_begin(), 0);
    CHECK_EQ(u32_load_acquire(&heap->procs.all[0]->state), PROC_RUNNING); /* it was granted */
    gate_open(&in_queue);
    CHECK_EQ(gc_blocking_end(), 0); /* which waits until the P is returned */
    CHECK(word_load_relaxed(&a->backed_base) > backed);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Who allocates touches the mark bits of memory that was never used. */
TEST(mark_bits_are_backed)
{
    fill_a_heap(GC_NO_HUGE_PAGES);
    const struct arena *a = heap->mem.arenas.newest;
    uintptr_t used = word_load_relaxed(&a->zeroed_base) - a->base;
    size_t bytes = align_down((used >> WORD_SHIFT) / 8, os_page_size());
    CHECK(bytes > 0);
    CHECK_EQ(os_resident(a->mark, bytes), bytes);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
