#include "cycle/collector.h"
#include "base/os.h"
#include "collector/backing.h"
#include "collector/ephemeron.h"
#include "collector/finalizer.h"
#include "collector/pacing.h"
#include "collector/quarantine.h"
#include "collector/scavenge.h"
#include "collector/sweep.h"
#include "collector/weak.h"
#include "collector/weakset.h"
#include "collector/weakslot.h"
#include "cycle/background.h"
#include "mutator/self.h"
#include <errno.h>

struct collector {
    struct cycle cycle; /* first */
    struct background background;
    struct marking marking;
    struct sweeping sweeping;
    struct pacing pacing;
    struct scavenging scavenging;
    struct backing backing;
    struct specials specials;
    struct finq finq;
    struct finalizers finalizers;
    struct weaks weaks;
    struct weaksets weaksets;
    struct weakslots weakslots;
    struct ephemerons ephemerons;
    struct quarantine quarantine;
};

static void link_parts(gc_heap *heap, struct collector *c)
{
    heap->cycle = &c->cycle;
    heap->background = &c->background;
    heap->marking = &c->marking;
    heap->sweeping = &c->sweeping;
    heap->pacing = &c->pacing;
    heap->scavenging = &c->scavenging;
    heap->backing = &c->backing;
    heap->specials = &c->specials;
    heap->finq = &c->finq;
    heap->finalizers = &c->finalizers;
    heap->weaks = &c->weaks;
    heap->weaksets = &c->weaksets;
    heap->weakslots = &c->weakslots;
    heap->ephemerons = &c->ephemerons;
    heap->quarantine = &c->quarantine;
}

int collector_create(gc_heap *heap)
{
    struct collector *c = os_aligned_alloc(CACHE_PAD, align_up(sizeof *c, CACHE_PAD));
    if (!c)
        return -ENOMEM;
    memset(c, 0, sizeof *c);
    link_parts(heap, c);
    cycle_init(heap);
    pacing_init(heap);
    special_init(heap);
    finalizer_init(heap);
    backing_init(heap);
    background_init(heap);
    weak_init(heap);
    weaksets_init(heap);
    heap->mutators.shade_roots = marker_shade_roots;
    heap->mem.up =
        (struct mheap_upcalls){heap, sweep_for_cells_upcall, sweep_reclaim_upcall, backing_kick};
    return 0;
}

void collector_destroy(gc_heap *heap)
{
    ASSERT(self_may_wait_for(NULL) && "I21");
    background_stop(heap);
    cycle_finish_left(heap);
    ages_tell(heap, &heap->cycle->ages, heap->cycle->record.mark_cpu_ns);
    marking_stop_helpers(heap->marking);
    backing_stop(heap);
    weaksets_destroy(heap);
    special_destroy(heap);
    os_aligned_free(CONTAINER_OF(heap->cycle, struct collector, cycle));
}
