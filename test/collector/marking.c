/* Helpers that rest, as they have no processor or nothing to mark: they are called, and woken when
 * marking is over. Their pauses have no end of their own here. */
#include "collector/marking.h"

static void rest_until_over(uint32_t *futex, uint32_t expected);
static void rest_until_work(struct workqueue *q);

#define os_wait(word, expected, ns) rest_until_over(word, expected)
#define workqueue_wait(q, ns, until_idle) rest_until_work(q)
#include "src/collector/marking.c"
#undef os_wait
#undef workqueue_wait

#include "actors.h"

/* The helper's rests. All of it is atomic. */
static struct {
    uint32_t begun, ended;
    u64 helper;
} rests;

static void begin_rest(void)
{
    u64_store_relaxed(&rests.helper, os_thread_id());
    u32_fetch_add_release(&rests.begun, 1);
}

static void end_rest(void)
{
    u32_fetch_add_release(&rests.ended, 1);
}

static void rest_until_over(uint32_t *futex, uint32_t expected)
{
    begin_rest();
    os_wait(futex, expected, -1);
    end_rest();
}

static void rest_until_work(struct workqueue *q)
{
    begin_rest();
    workqueue_wait(q, -1, false);
    end_rest();
}

static bool helper_sleeps(void)
{
    uint64_t id = u64_load_relaxed(&rests.helper);
    return id && thread_sleeps(id);
}

static bool is_at_rest(void)
{
    return u32_load_acquire(&rests.ended) != u32_load_acquire(&rests.begun);
}

/* There is more than one marker marks alone. */
static void *make_heap(unsigned procs)
{
    gc_options o = {.max_procs = procs, .mark_workers = 2, .percent = GC_PERCENT_OFF};
    of_the_test = true;
    stress_stop_set(stop_here);
    CHECK((heap = gc_heap_create(&o)));
    void *kept = gc_new_bytes(2 * HELPER_MIN_BYTES);
    GC_FRAME(kept);
    CHECK(gc_blocking_begin() == 0 && gc_blocking_end() == 0); /* it is counted */
    CHECK(mheap_live_bytes(&heap->mem) >= HELPER_MIN_BYTES);
    return kept;
}

/* The driver stands at the gate, when all is marked, until the helper sleeps. It rests then, and
 * does not wait to be called. */
static void await_rest(struct gate *gate)
{
    gate_await(gate);
    WAIT_UNTIL(helper_sleeps());
    CHECK(is_at_rest());
    gate_open(gate);
}

/* Once marking is over, the helper is woken: nothing else ends its rest. */
static void await_woken(void)
{
    WAIT_UNTIL(!is_at_rest());
}

/* Mutators run on all processors, and a thread waits for nothing. */
TEST(a_helper_without_a_processor)
{
    void *kept = make_heap(1);
    GC_FRAME(kept);
    for (uint32_t cycle = 1; cycle <= 2; cycle++) {
        struct gate gate = {GATE_FREE};
        stop_library(STRESS_DRAINED, &gate);
        CHECK_EQ(gc_collect_start(), 0);
        POLL_UNTIL(u32_load_acquire(&gate.state) != GATE_FREE);
        await_rest(&gate);
        POLL_UNTIL(u32_load_acquire(&heap->cycle->flipped) == cycle);
        await_woken();
    }
    kept = NULL;
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* All helpers work, and find nothing. */
TEST(a_helper_without_work)
{
    void *kept = make_heap(4);
    GC_FRAME(kept);
    CHECK_EQ(gc_blocking_begin(), 0);
    for (unsigned cycle = 1; cycle <= 2; cycle++) {
        struct gate gate = {GATE_FREE};
        begin_cycle_and_stop(STRESS_FLUSHED, &gate);
        await_rest(&gate);
        end_cycle();
        await_woken();
    }
    CHECK_EQ(gc_blocking_end(), 0);
    kept = NULL;
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
