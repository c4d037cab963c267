#include "cycle/fork.h"
#include "base/events.h"
#include "base/os.h"
#include "base/place.h"
#include "collector/backing.h"
#include "collector/finalizer.h"
#include "collector/pacing.h"
#include "collector/special.h"
#include "collector/sweep.h"
#include "collector/weakset.h"
#include "cycle/background.h"
#include "cycle/dumper.h"
#include "mutator/attach.h"
#include "mutator/fiber.h"
#include "mutator/heaps.h"
#include "mutator/self.h"
#include "mutator/thread.h"
#include <errno.h>

/* ---- The parts ---- */

/* The parts in rank order. A thread that holds a lock waits only for locks of later parts. So it
 * gives its lock back, and no circle of waits arises. */
/* clang-format off */
#define PARTS(part)                                                                                \
    part(HEAPS, heaps)                                                                             \
    part(CYCLE, cycle)                                                                             \
    part(BACKGROUND, background)                                                                   \
    part(MUTATORS, mutators)                                                                       \
    part(ATTACH, attach)                                                                           \
    part(FIBER, fiber)                                                                             \
    part(PROC, proc)                                                                               \
    part(TYPE, type)                                                                               \
    part(ROOT, root)                                                                               \
    part(WEAKSET, weakset)                                                                         \
    part(SPECIAL, special)                                                                         \
    part(FINQ, finq)                                                                               \
    part(WAITS, finalizer_waits)                                                                   \
    part(FINALIZER, finalizer)                                                                     \
    part(MARKING, marking)                                                                         \
    part(WORKBUF, workbuf)                                                                         \
    part(SWEEP, sweep)                                                                             \
    part(BACKING, backing)                                                                         \
    part(MHEAP, mheap)                                                                             \
    part(PACING, pacing)                                                                           \
    part(CYCLE_RECORD, cycle_record)                                                               \
    part(DUMPER, dumper)                                                                           \
    part(PLACE, place)
/* clang-format on */

#define ADDRESS(NAME, name) &name##_fork,
static const struct fork_part *const parts[] = {PARTS(ADDRESS)};

/* A new rank must be in a part, or in LOCK_BITS_AT_REST. */
#define OR_RANKS(NAME, name) | NAME##_FORK_RANKS
#define PLUS_RANKS(NAME, name) +NAME##_FORK_RANKS
_Static_assert((0 PARTS(OR_RANKS)) == (LOCK_ALL_BITS & ~LOCK_BITS_AT_REST),
               "each rank of lock.h is in a part, or at rest");
_Static_assert((0 PARTS(PLUS_RANKS)) == (LOCK_ALL_BITS & ~LOCK_BITS_AT_REST),
               "no rank is in two parts");

static bool is_safe(const gc_heap *heap)
{
    return heap->options.flags & GC_FORK_SAFE;
}

static bool any_is_safe(void)
{
    const gc_heap *heap = heaps_first_locked();
    while (heap && !is_safe(heap))
        heap = heap->next_heap;
    return heap != NULL;
}

static void call(const struct fork_part *part, void (*fn)(gc_heap *heap))
{
    if (fn && part->of_process) {
        fn(NULL);
        return;
    }
    for (gc_heap *heap = fn ? heaps_first_locked() : NULL; heap; heap = heap->next_heap) {
        if (is_safe(heap))
            fn(heap);
    }
}

/* Checks that a part seizes the ranks that it names. `before`: the ranks of the parts before it. */
static void check_seized(const struct fork_part *part, uint32_t before)
{
    uint32_t lowest = part->ranks & (~part->ranks + 1);
    bool called = part->of_process || any_is_safe();
    CHECK((part->ranks == 0 || lowest > before) && "parts of a fork in rank order");
    CHECK(lock_take_seized() == (called ? part->ranks : 0) && "a part seizes what it says");
}

static void seize_all(void)
{
    uint32_t before = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        call(parts[i], parts[i]->seize);
        if (GC_DEBUG)
            check_seized(parts[i], before);
        before |= parts[i]->ranks;
    }
}

static void release_all(void)
{
    for (size_t i = ARRAY_LEN(parts); i > 0; i--)
        call(parts[i - 1], parts[i - 1]->release);
}

static void forget_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        call(parts[i], parts[i]->forget);
}

/* ---- Before ---- */

/* The forking thread, if it left the RUN state for the fork; else NULL. It writes this while it has
 * seized everything. */
static gc_thread *forker;

/* The forking thread is blocked while it waits, because threads for which it waits may wait for
 * it. */
static NOINLINE void prepare(void)
{
    gc_thread *t = thread_self();
    if (t && t->blocking > 0)
        t = NULL;
    if (t) {
        thread_enter_blocked(t, STACK_CALLER());
    }
    ASSERT(self_may_wait_for(NULL) && "I21");
    seize_all();
    forker = t;
}

/* ---- After ---- */

static void parent(void)
{
    gc_thread *t = forker;
    release_all();
    if (t)
        thread_leave_blocked(t);
}

static bool was_shared(const gc_heap *heap)
{
    return attach_has_others(heap) || service_is_used(&heap->background->service) ||
           heap->marking->nhelpers > 0 || service_is_used(&heap->finalizers->service) ||
           service_is_used(&heap->backing->service) || dumper_is_used(heap);
}

static void find_orphans(void)
{
    for (gc_heap *heap = heaps_first_locked(); heap; heap = heap->next_heap)
        heap->orphan |= !is_safe(heap) && was_shared(heap);
}

static void child(void)
{
    gc_thread *t = forker;
    os_after_fork_in_child();
    events_leave(); /* its events are another thread's from now on */
    forget_all();
    find_orphans();
    release_all();
    attach_go_on_in_child();
    if (t && !t->heap->orphan)
        thread_leave_blocked(t);
}

int fork_register_locked(void)
{
    static bool registered; /* under the lock of the list of heaps */
    if (!registered && os_on_fork(prepare, parent, child) != 0)
        return -ENOMEM;
    registered = true;
    return 0;
}
