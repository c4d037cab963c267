/* Why a mutator did not go on, as a listener is told. */
#include "actors.h"
#include "base/events.h"

static atomic_uint told[STALL_KINDS];
static _Thread_local uint64_t last_end;

static void listen_to(enum stall_kind kind, uint64_t begin, uint64_t end)
{
    CHECK(begin <= end && end <= os_now_ns());
    CHECK(end >= last_end); /* an outer piece ends after an inner one */
    last_end = end;
    told[kind]++;
}

static void begin(const gc_options *o)
{
    for (int i = 0; i < STALL_KINDS; i++)
        told[i] = 0;
    stalls_listen(listen_to);
    CHECK((heap = gc_heap_create(o)));
}

static void end(void)
{
    CHECK_EQ(gc_heap_destroy(heap), 0);
    stalls_listen(NULL);
}

static void *attach_once(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

TEST(a_wait_for_a_p)
{
    begin(&(gc_options){.max_procs = 1, .flags = GC_NO_BACKGROUND});
    pthread_t other = start_thread(attach_once, NULL);
    WAIT_UNTIL(u32_load_acquire(&heap->procs.waiting));
    CHECK_EQ(told[STALL_PROC], 0);
    CHECK_EQ(gc_blocking_begin(), 0);
    join_thread(other);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(told[STALL_PROC], 1);
    end();
}

TEST(handshakes)
{
    begin(&(gc_options){.flags = GC_NO_BACKGROUND});
    begin_cycle();
    answer_until(STEP_ROOTS);
    unsigned before = told[STALL_HANDSHAKE];
    gc_safepoint();
    CHECK_EQ(told[STALL_HANDSHAKE], before + 1);
    BLOCK_UNTIL(u32_load_acquire(&heap->cycle->flipped) == 1);
    end_cycle();
    end();
}

TEST(a_cycle_that_an_allocation_drives)
{
    begin(&(gc_options){.flags = GC_NO_BACKGROUND, .min_heap = 1 << 20});
    while (u32_load_acquire(&heap->cycle->flipped) < 3)
        CHECK(gc_new_bytes(512));
    CHECK(told[STALL_DRIVE] >= 3);
    CHECK_EQ(told[STALL_PROC] + told[STALL_HELD_BACK], 0);
    end();
}

static void *hold_world(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

TEST(a_world_that_is_held)
{
    begin(&(gc_options){.flags = GC_NO_BACKGROUND});
    pthread_t other = start_thread(hold_world, NULL);
    POLL_UNTIL(told[STALL_HELD]);
    CHECK_EQ(gc_blocking_begin(), 0);
    join_thread(other);
    CHECK_EQ(gc_blocking_end(), 0);
    end();
}

static struct lock lock = LOCK_INIT(LOCK_HEAP);

static void *take_lock(void *arg)
{
    lock_acquire(&lock);
    lock_release(&lock);
    return arg;
}

TEST(a_lock)
{
    begin(NULL);
    lock_acquire(&lock);
    pthread_t other = start_thread(take_lock, NULL);
    WAIT_UNTIL(u32_load_acquire(&lock.state) == 2); /* it sleeps, or is about to */
    CHECK_EQ(told[STALL_LOCK], 0);
    lock_release(&lock);
    join_thread(other);
    CHECK_EQ(told[STALL_LOCK], 1);
    end();
}

/* ---- The event trace ---- */

static _Thread_local bool stops_as_it_leaves;
static atomic_bool leaves, lock_is_taken;

static void stop_as_it_leaves(enum stress_point point)
{
    if (!stops_as_it_leaves || point != STRESS_LEFT)
        return;
    leaves = true;
    WAIT_UNTIL(lock_is_taken);
}

static void *attach_and_stop(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    stops_as_it_leaves = true;
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

static void *note_event(void *arg)
{
    uint64_t now = os_now_ns();
    event_note(&(struct event){.begin = now, .end = now, .kind = EVENT_SIZE, .x = 17});
    return arg;
}

static bool count_noted(void *n, const struct event *e)
{
    *(int *)n += e->kind == EVENT_SIZE && e->x == 17;
    return true;
}

static bool count_locks(void *n, const struct event *e)
{
    *(int *)n += e->kind == STALL_LOCK;
    return true;
}

/* Its last wait is an event, too. Then another thread may have its ring. */
TEST(a_wait_at_a_threads_end)
{
    int n = 0, locks = 0;
    CHECK((heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND})));
    events_record(true);
    stress_stop_set(stop_as_it_leaves);
    pthread_t thread = start_thread(attach_and_stop, NULL);
    WAIT_UNTIL(leaves);
    lock_acquire(&heap->mutators.lock);
    lock_is_taken = true;
    WAIT_UNTIL(u32_load_relaxed(&heap->mutators.lock.state) == 2);
    lock_release(&heap->mutators.lock);
    join_thread(thread);
    stress_stop_set(NULL);
    os_fail_nth(1, 1000);
    join_thread(start_thread(note_event, NULL));
    os_fail_nth(0, 0);
    events_each(count_noted, &n);
    events_each(count_locks, &locks);
    CHECK(n == 1 && locks == 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Events of a thread that waits for a lock. */
static int locks_noted(void *(*waits)(void *))
{
    int n = 0;
    events_record(true);
    lock_acquire(&lock);
    pthread_t thread = start_thread(waits, NULL);
    WAIT_UNTIL(u32_load_acquire(&lock.state) == 2);
    lock_release(&lock);
    join_thread(thread);
    events_each(count_locks, &n);
    return n;
}

static void *attach_and_take_lock(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    take_lock(arg);
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

static void *attach_take_lock_later(void *arg)
{
    attach_once(arg);
    return take_lock(arg);
}

/* Others would keep it when they end. */
TEST(a_ring_for_who_is_attached)
{
    CHECK((heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND, .max_procs = 2})));
    CHECK_EQ(locks_noted(take_lock), 0);
    CHECK_EQ(locks_noted(attach_take_lock_later), 0);
    CHECK_EQ(locks_noted(attach_and_take_lock), 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
