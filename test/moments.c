/* Moments of a cycle: what a thread does just there. A thread knows what the collector asks of it,
 * and keeps it waiting as long as it likes. */
#include <pthread.h>
#include <sched.h>
#include "collector.h"
#include "tap.h"

struct cell {
    struct cell *next;
    uint64_t magic;
    uint64_t id;
};
static GC_TYPE(cell_type, struct cell, next);
#define MAGIC UINT64_C(0x6d61676963)

static gc_heap *heap;

static struct cell *new_cell(uint64_t id)
{
    struct cell *c = gc_new(&cell_type);
    CHECK(c);
    c->magic = MAGIC;
    c->id = id;
    return c;
}

static bool is_cell(const struct cell *c, uint64_t id)
{
    return c && c->magic == MAGIC && c->id == id;
}

static void make_heap(const char *debug)
{
    gc_options o = {.debug = debug, .max_procs = 4};
    CHECK((heap = gc_heap_create(&o)));
}

/* ---- Going through a cycle ---- */

/* What the collector asks of the calling thread, which has not answered; nothing else can come
 * before it does. */
static enum handshake_op asked(void)
{
    const struct mutators *m = &heap->mutators;
    uint32_t epoch = u32_load_acquire(&m->epoch);
    return epoch == thread_self()->epoch ? OP_NONE : (enum handshake_op)u32_load_relaxed(&m->op);
}

/* Answers everything until the collector asks for `op`, and not that. */
static void answer_until(enum handshake_op op)
{
    while (asked() != op) {
        if (asked() != OP_NONE)
            gc_safepoint();
        sched_yield();
    }
}

static pthread_t driver;
static void *drive(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    CHECK(gc_collect() == 0);
    CHECK(gc_thread_detach() == 0);
    return unused;
}

static void begin_cycle(void)
{
    CHECK(pthread_create(&driver, NULL, drive, NULL) == 0);
}

static void end_cycle(void)
{
    gc_blocking_begin();
    pthread_join(driver, NULL);
    gc_blocking_end();
}

/* ---- Roots ---- */

static struct cell *visited; /* by a callback */
static atomic_bool loaded;

static void visit(void *unused, gc_tracer *tracer)
{
    (void)unused;
    gc_trace_slot(tracer, &visited);
}

/* Past its ROOTS, loads what the callback visits: its roots are not looked at any more. */
static void *load_visited(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    struct cell *c = NULL;
    {
        GC_FRAME(c);
        while (thread_self()->phase != PHASE_MARK)
            gc_safepoint();
        c = gc_load(&visited);
        loaded = true;
        while (thread_self()->phase != PHASE_IDLE)
            gc_safepoint();
        gc_collect();
        CHECK(is_cell(c, 1) && is_cell(c->next, 2));
    }
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* Roots that go before the collector has come by, while somebody has loaded what they refer to. */
TEST(a_callback_removed_while_roots_are_scanned)
{
    make_heap("poison");
    pthread_t loader;
    CHECK(gc_root_callback(GC_ROOT_HEAP, visit, NULL) == 0);
    gc_store(&visited, new_cell(1));
    gc_store(&visited->next, new_cell(2));
    pthread_create(&loader, NULL, load_visited, NULL);
    begin_cycle();
    answer_until(OP_ROOTS);
    while (!loaded)
        sched_yield();
    CHECK(gc_root_callback_remove(visit, NULL) == 0);
    end_cycle();
    gc_blocking_begin();
    pthread_join(loader, NULL);
    gc_blocking_end();
    CHECK(gc_heap_destroy(heap) == 0);
}

/* ---- Fibers ---- */

/* A word left on a stack, which was an object's address, is found by a conservative scan: but not
 * once the object is dead. */
TEST(a_fresh_fiber_after_the_cut)
{
    make_heap("poison");
    static uintptr_t stack[4];
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_store(&c->next, new_cell(2));
    gc_weak *weak = gc_weak_new(c);
    stack[1] = (uintptr_t)c;
    c = NULL;
    begin_cycle();
    answer_until(OP_DISARM);
    CHECK(!gc_weak_get(weak));
    gc_fiber *fiber = gc_fiber_create();
    CHECK(gc_fiber_stack(fiber, stack, stack + 4) == 0);
    gc_fiber_switch(fiber);
    gc_fiber_switch(NULL);
    CHECK(gc_fiber_destroy(fiber) == 0);
    CHECK(!gc_weak_get(weak));
    end_cycle();
    CHECK(!gc_weak_get(weak));
    gc_collect();
    CHECK(gc_heap_destroy(heap) == 0);
}

/* Fibers whose stacks are set while the collector goes by keep what they hold. */
enum { FIBERS = 200 };
static struct fiber {
    gc_fiber *fiber;
    void *slots[1], **top;
} fibers[FIBERS];
static atomic_bool over;

static void *set_stacks(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    for (unsigned i = 0; !over; i = (i + 1) % FIBERS) {
        CHECK(gc_fiber_stack(fibers[i].fiber, NULL, NULL) == 0);
        gc_safepoint();
    }
    CHECK(gc_thread_detach() == 0);
    return unused;
}

TEST(fibers_whose_stacks_are_set)
{
    make_heap("poison,delay=3");
    for (unsigned i = 0; i < FIBERS; i++) {
        struct fiber *f = &fibers[i];
        CHECK((f->fiber = gc_fiber_create()));
        f->top = f->slots;
        gc_fiber_switch(f->fiber);
        CHECK(gc_thread_range(f->slots, &f->top) == 0);
        *f->top++ = new_cell(i);
        gc_fiber_switch(NULL);
    }
    pthread_t setter;
    pthread_create(&setter, NULL, set_stacks, NULL);
    for (uint64_t round = 0, start = os_now_ns();
         round < 2000 && os_now_ns() - start < UINT64_C(2000000000); round++) {
        gc_collect();
        for (unsigned i = 0; i < FIBERS; i++) {
            gc_fiber_switch(fibers[i].fiber);
            CHECK(is_cell(fibers[i].slots[0], i));
            gc_fiber_switch(NULL);
        }
    }
    over = true;
    gc_blocking_begin();
    pthread_join(setter, NULL);
    gc_blocking_end();
    for (unsigned i = 0; i < FIBERS; i++)
        CHECK(gc_fiber_destroy(fibers[i].fiber) == 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

/* ---- What the checks find ---- */

/* What the heap said last; it goes to standard error too, for EXPECT_ABORT. */
static char said[512];
static void tell(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused, (void)level;
    snprintf(said, sizeof said, "%s", line);
    fprintf(stderr, "%s\n", line);
}

static void make_checked_heap(const char *debug)
{
    gc_options o = {.debug = debug, .max_procs = 4, .log = tell};
    CHECK((heap = gc_heap_create(&o)));
}

static int verified;
static void *verify(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    verified = gc_heap_verify();
    CHECK(gc_thread_detach() == 0);
    return unused;
}

/* As long as a thread has not scanned its roots, nothing is marked but what roots refer to. */
static atomic_bool attached, planted;
static void *hold_up_marking(void *unused)
{
    CHECK(gc_thread_attach(heap) == 0);
    attached = true;
    answer_until(OP_ROOTS);
    while (!planted)
        sched_yield();
    CHECK(gc_thread_detach() == 0);
    return unused;
}

static void store_plainly(struct cell **slot, struct cell *value)
{
    *slot = value;
}
static void store_well(struct cell **slot, struct cell *value)
{
    gc_store(slot, value);
}

/* The only reference to an object goes from where it is still to be marked to where it is not: into
 * an object born black. That it is deleted must be told, by the store over it. */
static void move_reference(void *(*collect)(void *), void (*store)(struct cell **, struct cell *))
{
    pthread_t other;
    struct cell *from = new_cell(1), *to = NULL;
    GC_FRAME(from, to);
    gc_store(&from->next, new_cell(2));
    CHECK(pthread_create(&other, NULL, hold_up_marking, NULL) == 0);
    while (!attached)
        sched_yield();
    CHECK(pthread_create(&driver, NULL, collect, NULL) == 0);
    while (thread_self()->phase != PHASE_MARK)
        gc_safepoint();
    to = new_cell(3);
    to->next = gc_load(&from->next); /* fresh: a plain store will do */
    store(&from->next, NULL);
    planted = true;
    end_cycle();
    gc_blocking_begin();
    pthread_join(other, NULL);
    gc_blocking_end();
    CHECK(gc_is_object(to->next) == (store == store_well));
}

static void move_and_collect(void (*store)(struct cell **, struct cell *))
{
    make_checked_heap("poison,checkmark");
    move_reference(drive, store);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(the_second_marking_finds_a_missing_barrier)
{
    EXPECT_ABORT("marking missed the object", move_and_collect(store_plainly));
    EXPECT_EXIT(0, move_and_collect(store_well));
}

static void move_and_verify(void (*store)(struct cell **, struct cell *))
{
    make_checked_heap("poison");
    move_reference(verify, store);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST(gc_heap_verify_finds_a_missing_barrier)
{
    move_and_verify(store_plainly);
    CHECK_EQ(verified, -EIO);
    CHECK(strstr(said, "marking missed the object"));
}

TEST(gc_heap_verify_finds_no_missing_barrier)
{
    move_and_verify(store_well);
    CHECK_EQ(verified, 0);
    CHECK_EQ(said[0], 0);
}

/* Ways to break what is right, and to repair it. */
static struct cell **large;

static void break_a_page_tag(void)
{
    uintptr_t inside = (uintptr_t)large + PAGE_SIZE;
    arena_of(&heap->mem.arenas, inside)->page_tag[arena_page(inside)] ^= 1;
}

static void break_a_page_table(void)
{
    static struct gc_span none, *aside = &none;
    uintptr_t inside = (uintptr_t)large + PAGE_SIZE;
    struct gc_span **entry = &arena_of(&heap->mem.arenas, inside)->spans[arena_page(inside)];
    struct gc_span *was = *entry;
    *entry = aside;
    aside = was;
}

static void break_a_count(void)
{
    heap->mem.counts.spans_inuse ^= 1;
}

/* A reference to where an object was, on pages that are free now. */
static void break_a_reference(void)
{
    if (large[1]) {
        gc_clear(&large[1], sizeof large[1]);
        return;
    }
    uintptr_t was = (uintptr_t)gc_new_bytes(1 << 20);
    CHECK(gc_collect() == 0);
    CHECK(gc_collect() == 0);
    CHECK(!gc_is_object((void *)was));
    large[1] = (void *)was;
}

static const struct {
    void (*damage)(void);
    const char *told;
} faults[] = {
    {break_a_page_tag, "page_tag"},
    {break_a_page_table, "a->spans[page] == s"},
    {break_a_count, "spans_inuse"},
    {break_a_reference, "a reference leads to no object"},
};

TEST(gc_heap_verify_finds_what_is_broken)
{
    make_checked_heap("poison");
    GC_FRAME(large);
    large = gc_new_array(&gc_pointer_type, 100000);
    CHECK_EQ(gc_heap_verify(), 0);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        said[0] = 0;
        faults[i].damage();
        CHECK_EQ(gc_heap_verify(), -EIO);
        ok(strstr(said, "heap check: ") && strstr(said, faults[i].told), "it says: %s", said);
        faults[i].damage();
        CHECK_EQ(gc_heap_verify(), 0);
    }
    CHECK(gc_heap_destroy(heap) == 0);
}

static void break_and_collect(void (*damage)(void))
{
    make_checked_heap("poison,verify");
    GC_FRAME(large);
    large = gc_new_array(&gc_pointer_type, 100000);
    CHECK(gc_collect() == 0);
    damage();
    CHECK(gc_collect() == 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

static void break_nothing(void) {}

TEST(the_switch_finds_what_is_broken)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        EXPECT_ABORT(faults[i].told, break_and_collect(faults[i].damage));
    EXPECT_EXIT(0, break_and_collect(break_nothing));
}

TAP_MAIN
