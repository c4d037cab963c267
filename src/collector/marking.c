#include "collector/marking.h"
#include "base/events.h"
#include "base/service.h"
#include "mutator/self.h"

void marking_give_credit(struct marking *marking, struct marker *m)
{
    word_fetch_add_relaxed(&marking->credit, m->unpaid);
    m->unpaid = 0;
}

uint64_t marking_take_credit(struct marking *marking, uint64_t bytes)
{
    for (;;) {
        word credit = word_load_relaxed(&marking->credit), taken = MIN_OF(credit, (word)bytes);
        if (taken == 0 || word_cas_relaxed(&marking->credit, credit, credit - taken))
            return taken;
    }
}

/* ---- Helper threads ---- */

struct mark_helper {
    struct service service;
    gc_heap *heap;
    unsigned number;
    struct marker marker;
};

static bool marking_over(const struct marking *marking, uint32_t run)
{
    return u32_load_relaxed(&marking->run) != run;
}

#define HELPER_SLICE ((uint64_t)1 << 20)
#define HELPER_PAUSE_NS (10 * 1000 * 1000)

/* A helper works if mutators leave a processor idle for it, beyond the one on which the driver is.
 * If a thread waits for the cycle, all helpers work. */
static bool has_processor(const struct mark_helper *h, const struct marking *marking)
{
    return u8_load_relaxed(&marking->whole) || procs_idle(&h->heap->procs) >= h->number + 2;
}

static void help_one_cycle(struct mark_helper *h, struct marking *marking, uint32_t run)
{
    struct workqueue *q = &h->heap->work;
    uint64_t cpu = os_thread_cpu_ns();
    while (!marking_over(marking, run)) {
        if (!has_processor(h, marking)) {
            os_wait(&marking->run, run, HELPER_PAUSE_NS);
        } else if (marker_take(&h->marker)) {
            uint64_t begin = event_begin();
            marker_drain(&h->marker, HELPER_SLICE);
            event_end(EVENT_MARK, begin, h->heap->number);
            marking_give_credit(marking, &h->marker);
        } else {
            workqueue_wait(q, 1000 * 1000, false);
        }
    }
    marker_finish(&h->marker);
    u64_fetch_add_relaxed(&marking->helper_cpu_ns, os_thread_cpu_ns() - cpu);
}

static void run_helper(void *arg)
{
    struct mark_helper *h = arg;
    struct marking *marking = h->heap->marking;
    uint32_t kicks;
    self_joins_collector();
    while (service_goes_on(&h->service, &kicks)) {
        uint32_t run = u32_load_acquire(&marking->run);
        if (run % 2 == 1)
            help_one_cycle(h, marking, run);
        else
            service_sleep(&h->service, kicks, -1);
    }
}

static bool start_helper(gc_heap *heap, struct marking *marking)
{
    struct mark_helper *h = malloc(sizeof *h);
    if (!h)
        return false;
    service_init(&h->service, "gcheap-mark", run_helper, h);
    h->heap = heap;
    h->number = marking->nhelpers;
    marker_init(&h->marker, heap);
    if (!service_start(&h->service)) {
        free(h);
        return false;
    }
    marking->helpers[marking->nhelpers++] = h;
    return true;
}

/* A helper is not worth waking for a heap that one marker marks in a few hundred microseconds. */
#define HELPER_MIN_BYTES ((size_t)2 << 20)

void marking_begin(struct marking *marking, bool whole)
{
    u8_store_relaxed(&marking->whole, whole);
    u8_store_relaxed(&marking->by_mutators, 0);
    ptr_store_relaxed(&marking->on_weak, NULL);
    word_store_relaxed(&marking->marked_objects, 0);
    word_store_relaxed(&marking->marked_bytes, 0);
    word_store_relaxed(&marking->credit, 0);
}

static bool are_called(const struct marking *marking)
{
    return u32_load_relaxed(&marking->run) % 2 == 1;
}

void marking_call_helpers(gc_heap *heap, struct marking *marking)
{
    unsigned wanted = heap->options.mark_workers - 1;
    if (are_called(marking) || heap->options.flags & GC_NO_BACKGROUND ||
        mheap_live_bytes(&heap->mem) < HELPER_MIN_BYTES)
        return;
    while (marking->nhelpers < wanted && start_helper(heap, marking))
        ;
    u32_fetch_add_release(&marking->run, 1);
    for (uint32_t i = 0; i < marking->nhelpers; i++)
        service_kick(&marking->helpers[i]->service);
}

void marking_end(gc_heap *heap, struct marking *marking)
{
    if (!are_called(marking))
        return;
    u32_fetch_add_relaxed(&marking->run, 1);
    os_wake(&marking->run, OS_WAKE_ALL);
    workqueue_wake_all(&heap->work);
}

static void free_helpers(struct marking *marking)
{
    while (marking->nhelpers > 0)
        free(marking->helpers[--marking->nhelpers]);
}

void marking_stop_helpers(struct marking *marking)
{
    for (uint32_t i = 0; i < marking->nhelpers; i++)
        service_stop(&marking->helpers[i]->service);
    free_helpers(marking);
}

/* ---- Fork ---- */

static void forget(gc_heap *heap)
{
    free_helpers(heap->marking);
}

const struct fork_part marking_fork = {MARKING_FORK_RANKS, .forget = forget};
