/* The collector's state: one per heap, behind gc_heap.collector. */
#ifndef GC_COLLECTOR_H
#define GC_COLLECTOR_H

#include "collector/backing.h"
#include "mutator/fiber.h"
#include "collector/mark.h"
#include "collector/pacer.h"
#include "collector/ephemeron.h"
#include "collector/finq.h"
#include "collector/scavenge.h"
#include "collector/sweep.h"

/* The phase of the cycle. cycle.c is its only writer; anyone may read it. */
enum cycle_phase {
    CYCLE_IDLE,
    CYCLE_ARM,
    CYCLE_ROOTS,
    CYCLE_MARK,
    CYCLE_CUT,
    CYCLE_DISARM,
    CYCLE_FLIP
};

struct cycle_times {
    uint64_t begin, armed, rooted, marked, flipped; /* os_now_ns */
};

/* What gc_stats tells of cycles that ended. */
struct cycle_record {
    uint64_t forced_cycles, flush_waves, objects_marked;
    uint64_t mark_cpu_ns, last_cycle_ns, last_mark_ns;
};

struct collector {
    gc_heap *heap;
    struct lock lock; /* LOCK_CYCLE: held by whoever runs a cycle, and its sweep if forced */
    uint32_t phase;   /* enum cycle_phase; atomic */
    /* Cycle numbers, atomic. started >= flipped. */
    uint32_t wanted CACHE_ALIGNED;
    uint32_t started, flipped;
    bool forced;             /* someone waits: use every processor. Under lock */
    unsigned step;           /* enum step, what comes next; under lock */
    uint64_t driver_ns;      /* what the present cycle took its drivers; under lock */
    bool quick;              /* the present cycle was begun by a mutator; under lock */
    uint32_t quick_backoff;  /* cycles, see note_quick; under lock */
    uint32_t quick_from;     /* a mutator may begin this cycle, or a later one; atomic */
    uint32_t left;           /* a cycle was left; set under lock, atomic */
    uint32_t stopping;       /* atomic */
    uint32_t kicks;          /* futex of the background thread: something to do */
    uint32_t thread_started; /* see background.c; atomic. 0: there is no thread */
    struct os_thread thread; /* the background thread */
    struct marking marking;
    struct sweeping sweeping;
    struct scavenging scavenging;
    struct backing backing;
    struct specials specials;
    struct finq finq;
    struct weaksets weaksets;
    struct ephemerons ephemerons;
    struct weaks weaks;
    struct lock pacer_lock; /* LOCK_STATS: pacer, record */
    struct pacer pacer;
    word goal, trigger, live, limit; /* the pacer's, for those without the lock; atomic */
    struct cycle_record record;
    unsigned
        *verify_missed; /* a second marking is wanted, and tells here what it found; under lock */
    struct cycle_times times; /* of the present cycle; its driver's */
    word external_bytes;      /* told by gc_external_add; atomic */
    word external_live;       /* of them what counts towards the goal; atomic */
    uint64_t assist_ns;       /* atomic */
    uint64_t flush_waves;     /* of the present cycle; its driver's */
    word live_offset;      /* heap_live is this much more than all that was ever allocated, modulo
                              word size; atomic */
    word sweep_basis;      /* heap_live when sweeping began; atomic */
    word sweep_pages;      /* pages of spans to sweep then; atomic */
    word heap_before;      /* heap_live when the cycle began; atomic */
    word allocated_before; /* and what had ever been allocated; its driver's */
};

#endif
