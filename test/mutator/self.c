/* Code that goes on on another thread in the middle of a function. */
#define GC_SELF_CALL
#include "cells.h"
#include "build.h"
#include "crew.h"

#include <ucontext.h>

enum { STACK = 128 << 10 };

static gc_heap *heap;
static gc_fiber *fiber;
static ucontext_t inside, outside;
static struct gc_fast *seen[2], *expected[2];

static void leave(void)
{
    CHECK(gc_fiber_switch(NULL) == fiber);
    swapcontext(&inside, &outside);
}

/* On other processors than x86 a compiler reads the thread's register once here, if it may. */
static void body(void)
{
    struct cell *cell = new_cell(7);
    GC_FRAME(cell);
    seen[0] = GC_SELF;
    leave();
    seen[1] = GC_SELF;
    {
        struct cell *more = new_cell(8);
        GC_FRAME(more);
        gc_store(&cell->next, more);
    }
    leave();
}

static void *resume(void *turn)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    expected[*(int *)turn] = gc_self;
    gc_fiber_switch(fiber);
    swapcontext(&outside, &inside);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

/* The first thread is there as long as the second, so that their structs differ. */
static void *resume_both(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    expected[0] = gc_self;
    gc_fiber_switch(fiber);
    swapcontext(&outside, &inside);
    gc_blocking_begin();
    run_thread(resume, &(int){1});
    gc_blocking_end();
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(a_function_that_changes_threads)
{
    if (THREAD_SANITIZER)
        SKIP("it would have to be told of each switch");
    CHECK((heap = gc_heap_create(NULL)));
    CHECK((fiber = gc_fiber_create()));
    char *stack = malloc(STACK);
    CHECK(stack && getcontext(&inside) == 0);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = STACK;
    makecontext(&inside, body, 0);
    gc_blocking_begin();
    run_thread(resume_both, NULL);
    gc_blocking_end();
    CHECK(seen[0] == expected[0] && seen[1] == expected[1] && seen[0] != seen[1]);
    free(stack);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(the_call_and_the_variable)
{
    CHECK(gc_self_of_thread() == gc_self);
    CHECK((heap = gc_heap_create(NULL)));
    CHECK(gc_self_of_thread() == gc_self);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK(gc_self_of_thread() == gc_self);
}

TAP_MAIN
