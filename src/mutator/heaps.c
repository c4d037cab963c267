#include "mutator/heaps.h"
#include "mutator/barrier.h"
#include "mutator/self.h"
#include "mutator/thread.h"

static struct {
    struct lock lock; /* LOCK_HEAPS */
    gc_heap *list;    /* linked by next_heap; under lock */
} heaps = {.lock = LOCK_INIT(LOCK_HEAPS)};

NOINLINE gc_thread *heaps_enter(void)
{
    gc_thread *t = thread_self();
    if (t)
        thread_blocking_begin(t, STACK_CALLER());
    ASSERT(self_may_wait_for(NULL) && "I21");
    lock_acquire(&heaps.lock);
    return t;
}

void heaps_leave(gc_thread *t)
{
    lock_release(&heaps.lock);
    if (t)
        thread_blocking_end(t);
}

void heaps_add_locked(gc_heap *heap)
{
    LOCK_ASSERT_HELD(&heaps.lock);
    heap->next_heap = heaps.list;
    heaps.list = heap;
}

void heaps_remove_locked(gc_heap *heap)
{
    LOCK_ASSERT_HELD(&heaps.lock);
    gc_heap **link = &heaps.list;
    while (*link && *link != heap)
        link = &(*link)->next_heap;
    if (*link)
        *link = heap->next_heap;
}

bool heaps_any_contains(word value)
{
    bool yes = false;
    if (value == 0 || !lock_try_late(&heaps.lock))
        return false;
    for (const gc_heap *heap = heaps.list; heap && !yes; heap = heap->next_heap)
        yes = arena_of(&heap->mem.arenas, value_address(&heap->options.format, value)) != NULL;
    lock_release(&heaps.lock);
    return yes;
}

/* ---- Fork ---- */

gc_heap *heaps_first_locked(void)
{
    LOCK_ASSERT_HELD(&heaps.lock);
    return heaps.list;
}

static void seize(gc_heap *none)
{
    (void)none;
    lock_seize(&heaps.lock);
}

static void release(gc_heap *none)
{
    (void)none;
    lock_free(&heaps.lock);
}

const struct fork_part heaps_fork = {HEAPS_FORK_RANKS, .of_process = true, .seize = seize,
                                     .release = release};
