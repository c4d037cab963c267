/* A thread blocks, collects, and has objects that only its C stack holds. */
#include "shadow.h"

void nap(struct mutator *m)
{
    struct timespec t = {0, (long)random_below(&m->random, 200 * 1000)};
    nanosleep(&t, NULL);
}

void op_block(struct mutator *m)
{
    gc_blocking_begin();
    if (random_one_in(&m->random, 2))
        nap(m);
    else
        sched_yield();
    if (random_one_in(&m->random, 4)) {
        gc_blocking_begin();
        gc_blocking_end();
    }
    if (gc_blocking_end() != 0)
        BAD("gc_blocking_end fails");
}

void op_collect(struct mutator *m)
{
    if (random_one_in(&m->random, 60))
        gc_collect();
    else
        gc_collect_start();
}

static void do_other_things(struct mutator *m)
{
    for (size_t i = random_below(&m->random, 50); i > 0; i--) {
        if (random_one_in(&m->random, 10))
            op_block(m);
        else
            op_new(m);
    }
    if (random_one_in(&m->random, 20))
        gc_collect();
}

/* Held by nothing but the C stack while other things happen. */
__attribute__((noinline)) void op_hold_on_stack(struct mutator *m)
{
    struct node *n = new_node(m);
    if (!n || is_small(n))
        return;
    char *volatile address = n->address;
    do_other_things(m);
    if (!gc_is_object(address))
        describe(n, "is gone though the C stack holds it");
    check_intact(n);
    hold(any_place(m), n, (uint64_t)(uintptr_t)address);
}

/* By a local variable, wherever the compiler has it, up to gc_keep_alive(). */
__attribute__((noinline)) void op_keep_alive(struct mutator *m)
{
    struct node *n = new_node(m);
    if (!n || is_small(n))
        return;
    const char *address = n->address;
    n->address = NULL; /* no other way to it */
    do_other_things(m);
    gc_keep_alive(address);
    n->address = (char *)(uintptr_t)address;
    if (!gc_is_object(address))
        describe(n, "is gone before gc_keep_alive()");
    check_intact(n);
    hold(any_place(m), n, (uint64_t)(uintptr_t)address);
}
