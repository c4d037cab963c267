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

TAP_MAIN
