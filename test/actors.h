/* Threads that do one thing after the other as a test tells them to, and in between nothing at all,
 * not even a safepoint: so that the test knows what each has answered the collector. And gates, at
 * which threads stop at a stress point until the test lets them go on. */
#ifndef ACTORS_H
#define ACTORS_H

#include "collector/sweep.h"
#include "cycle/cycle.h"
#include "mutator/self.h"
#include "mutator/thread.h"
#include "moment.h"

/* ---- Gates ---- */

enum { GATE_FREE, GATE_TAKEN, GATE_OPEN };

struct gate {
    uint32_t state; /* futex */
};

static inline void gate_turn(struct gate *gate, uint32_t state)
{
    u32_store_release(&gate->state, state);
    os_wake(&gate->state, OS_WAKE_ALL);
}

static inline void gate_stand(struct gate *gate)
{
    gate_turn(gate, GATE_TAKEN);
    while (u32_load_acquire(&gate->state) == GATE_TAKEN)
        os_wait(&gate->state, GATE_TAKEN, -1);
}

/* Until somebody stands there. */
static inline void gate_await(struct gate *gate)
{
    while (u32_load_acquire(&gate->state) == GATE_FREE)
        os_wait(&gate->state, GATE_FREE, -1);
}

static inline void gate_open(struct gate *gate)
{
    gate_turn(gate, GATE_OPEN);
}

/* What a thread does at a point, once: it stands at a gate, or opens one. */
struct stop {
    struct gate *gate;
    enum stress_point point;
    bool opens;
    bool (*when)(void); /* NULL: it does so at once */
};
static _Thread_local struct stop my_stop;
static struct stop library_stop; /* of the first of the library's threads to come there */
static uint32_t library_stops;   /* 1: it is set; atomic */
static _Thread_local bool of_the_test;

static inline void pass(struct stop *stop)
{
    struct gate *gate = stop->gate;
    stop->gate = NULL;
    if (stop->opens)
        gate_open(gate);
    else
        gate_stand(gate);
}

static inline void stop_here(enum stress_point point)
{
    if (my_stop.gate && my_stop.point == point && (!my_stop.when || my_stop.when()))
        pass(&my_stop);
    if (!of_the_test && u32_load_acquire(&library_stops) && library_stop.point == point &&
        u32_cas_acquire(&library_stops, 1, 0))
        pass(&library_stop);
}

static inline void stop_me(enum stress_point point, struct gate *gate)
{
    my_stop = (struct stop){gate, point, false, NULL};
}

static inline void open_when_i_come(enum stress_point point, struct gate *gate)
{
    my_stop = (struct stop){gate, point, true, NULL};
}

static inline void stop_library(enum stress_point point, struct gate *gate)
{
    library_stop = (struct stop){gate, point, false, NULL};
    u32_store_release(&library_stops, 1);
}

/* ---- Heaps ---- */

static gc_heap *heap;

static inline void stage_set(unsigned flags, const char *debug)
{
    of_the_test = true;
    stress_stop_set(stop_here);
    gc_options o = {.flags = flags, .debug = debug, .max_procs = 8};
    CHECK((heap = gc_heap_create(&o)));
}

/* ---- Actors ---- */

enum { HELD = 4 };

struct actor {
    void (*todo)(struct actor *); /* NULL: it leaves */
    uint32_t busy;                /* futex; 1: it has something to do */
    gc_thread *self;
    struct cell *held[HELD]; /* rooted in a frame of its own */
    pthread_t thread;
};

static inline void *actor_thread(void *arg)
{
    struct actor *a = arg;
    of_the_test = true;
    CHECK_EQ(gc_thread_attach(heap), 0);
    a->self = thread_self();
    {
        GC_FRAME_ARRAY(a->held, HELD);
        do {
            u32_store_release(&a->busy, 0);
            os_wake(&a->busy, OS_WAKE_ALL);
            while (!u32_load_acquire(&a->busy))
                os_wait(&a->busy, 0, -1);
            if (a->todo)
                a->todo(a);
        } while (a->todo);
    }
    if (thread_self())
        CHECK_EQ(gc_thread_detach(), 0);
    u32_store_release(&a->busy, 0);
    os_wake(&a->busy, OS_WAKE_ALL);
    return NULL;
}

static inline void actor_await(struct actor *a)
{
    while (u32_load_acquire(&a->busy))
        os_wait(&a->busy, 1, -1);
}

/* Does not wait until it is done. */
static inline void actor_tell(struct actor *a, void (*todo)(struct actor *))
{
    actor_await(a);
    a->todo = todo;
    u32_store_release(&a->busy, 1);
    os_wake(&a->busy, OS_WAKE_ALL);
}

static inline void actor_do(struct actor *a, void (*todo)(struct actor *))
{
    actor_tell(a, todo);
    actor_await(a);
}

static inline void actor_start(struct actor *a)
{
    *a = (struct actor){.busy = 1};
    a->thread = start_thread(actor_thread, a);
    actor_await(a);
}

static inline void actors_start(struct actor *actors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        actor_start(&actors[i]);
}

static inline void actor_leave(struct actor *a)
{
    actor_do(a, NULL);
}

static inline void actor_end(struct actor *a)
{
    actor_tell(a, NULL);
    join_thread(a->thread);
}

static inline void actors_end(struct actor *actors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        actor_end(&actors[i]);
}

static inline void begin_blocking(struct actor *a)
{
    (void)a;
    CHECK_EQ(gc_blocking_begin(), 0);
}
static inline void end_blocking(struct actor *a)
{
    (void)a;
    CHECK_EQ(gc_blocking_end(), 0);
}

/* ---- Cycles ---- */

/* Waits until the collector asks for this, which is what it asks for next. */
static inline void await_question(enum step op)
{
    WAIT_UNTIL(asked() != ASKED_NOTHING);
    CHECK_EQ(asked(), op);
}

static inline void answer(struct actor *unused)
{
    (void)unused;
    CHECK(asked() != ASKED_NOTHING);
    thread_safepoint(thread_self());
}

static inline void actors_answer(struct actor *actors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        actor_do(&actors[i], answer);
}

/* The calling thread is the last. */
static inline void all_answer(struct actor *actors, size_t n, enum step op)
{
    await_question(op);
    actors_answer(actors, n);
    answer(NULL);
}

/* From the beginning of a cycle to the question for ROOTS, which nobody has answered. */
static inline void answer_up_to_roots(struct actor *actors, size_t n)
{
    all_answer(actors, n, STEP_ARM);
    all_answer(actors, n, STEP_SETTLE);
    await_question(STEP_ROOTS);
}

static inline void go_to_roots(struct actor *actors, size_t n)
{
    begin_cycle();
    answer_up_to_roots(actors, n);
}

/* The actors are past their ROOTS. The calling thread is not, so nothing is marked yet that only
 * the collector marks. */
static inline void go_past_roots(struct actor *actors, size_t n)
{
    go_to_roots(actors, n);
    actors_answer(actors, n);
}

/* All that was grey is marked; nobody has answered the question for FLUSH. */
static inline void go_to_flush(struct actor *actors, size_t n)
{
    go_past_roots(actors, n);
    answer(NULL);
    await_question(STEP_FLUSH);
}

/* Somebody who does nothing but collect, once, and stops on the way. */
static enum stress_point driver_stops_at;
static bool (*driver_stops_when)(void);

static inline void *drive_and_stop(void *gate)
{
    of_the_test = true;
    my_stop = (struct stop){gate, driver_stops_at, false, driver_stops_when};
    return drive(heap);
}

static inline void begin_cycle_and_stop(enum stress_point point, struct gate *gate)
{
    driver_stops_at = point;
    driver = start_thread(drive_and_stop, gate);
}

static uint32_t cycle_is_over; /* atomic */

static inline void answer_the_rest(struct actor *unused)
{
    (void)unused;
    POLL_UNTIL(u32_load_acquire(&cycle_is_over));
}

/* Everybody goes with the cycle to its end. */
static inline void all_end(struct actor *actors, size_t n)
{
    u32_store_release(&cycle_is_over, 0);
    for (size_t i = 0; i < n; i++)
        actor_tell(&actors[i], answer_the_rest);
    end_cycle();
    u32_store_release(&cycle_is_over, 1);
    for (size_t i = 0; i < n; i++)
        actor_await(&actors[i]);
}

/* The calling thread answers what it is asked, and everybody goes on to the end of the cycle. */
static inline void all_answer_and_end(struct actor *actors, size_t n)
{
    answer(NULL);
    all_end(actors, n);
}

/* The thread holds cells 1 and 2. */
static inline void check_pair(struct actor *a)
{
    CHECK(is_cell(a->held[0], 1));
    CHECK(is_cell(a->held[0]->next, 2));
}

/* It does, and everything ends. */
static inline void end_with_pair(struct actor *actors, size_t n, struct actor *holder)
{
    actor_do(holder, check_pair);
    actors_end(actors, n);
    end_heap(heap);
}

/* Marks what is queued, as a mutator does that pays for its allocations. */
static inline void mark_what_is_queued(void)
{
    struct marker m;
    marker_init(&m, heap);
    marker_drain(&m, UINT64_MAX);
    marker_finish(&m);
}

#endif
