/* A random step of a thread. */
#include "shadow.h"

static void op_drop(struct mutator *m)
{
    drop_roots(m, 3);
}

/* What only the C stack holds lives where stacks are scanned. */
static void op_unrooted(struct mutator *m)
{
    if (w.setup.mode != CONSERVATIVE)
        op_drop(m);
    else if (random_one_in(&m->random, 2))
        op_hold_on_stack(m);
    else
        op_keep_alive(m);
}

static void op_safepoint(struct mutator *m)
{
    (void)m;
    gc_safepoint();
}

/* Of a thousand steps so many do that. */
static const struct {
    unsigned steps;
    void (*run)(struct mutator *);
} operations[] = {
    {400, op_new},    {160, op_link},         {80, op_link_racy}, {50, op_publish},
    {60, op_take},    {80, op_walk},          {40, op_copy},      {30, op_stack},
    {5, op_root},     {7, op_unroot},         {23, op_weak},      {5, op_block},
    {2, op_collect},  {8, op_deep},           {6, op_fiber},      {2, op_fiber_frame},
    {1, op_unrooted}, {3, op_drop},           {5, op_final},      {3, op_cleanup},
    {3, op_external}, {3, op_run_finalizers}, {12, op_map},       {2, op_intern},
    {6, op_pool},     {4, op_safepoint},
};

void step(struct mutator *m)
{
    rest_if_wanted(m);
    m->operations++;
    size_t what = random_below(&m->random, 1000), i = 0;
    while (what >= operations[i].steps)
        what -= operations[i++].steps;
    operations[i].run(m);
}

void steps(struct mutator *m, size_t n)
{
    while (n-- > 0)
        step(m);
}
