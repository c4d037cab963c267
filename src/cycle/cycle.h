/* The cycle: the driver's walk over the table of steps (mutator/step.h). docs/cycle.md tells it as
 * a story, docs/invariants.md has the proof.
 *
 * The holder of cycle.lock drives: the background thread, or a mutator in the blocked state. A
 * driver that is not patient may leave the rest to the next holder (I20). */
#ifndef GC_CYCLE_H
#define GC_CYCLE_H

#include "collector/marking.h"
#include "introspect/ages.h"
#include "introspect/trace.h"

/* What gc_stats reports of cycles that have ended. */
struct cycle_record {
    uint64_t causes[GC_CAUSES];
    uint64_t forced_cycles, flush_waves, objects_marked;
    uint64_t mark_cpu_ns, last_cycle_ns, last_mark_ns;
};

struct cycle {
    struct lock lock; /* LOCK_CYCLE: held by the driver of a cycle, and in a forced cycle's sweep */
    uint32_t step;    /* enum step, the present or the next one; written under lock, atomic */
    /* Numbers of cycles, atomic. started >= flipped. */
    uint32_t started CACHE_ALIGNED;
    uint32_t flipped;
    uint32_t left;          /* a cycle was left; set under lock, atomic */
    uint32_t stays;         /* parts in which the present cycle still marks (switch stay); atomic */
    uint64_t part;          /* bytes to mark in each; under lock */
    uint32_t stay_count;    /* cycles that have stayed; under lock */
    uint32_t passed;        /* safepoints since a cycle began (debug.mixed); atomic */
    bool forced;            /* a thread waits: use every processor. Under lock */
    uint32_t cause;         /* enum gc_cause, of the present cycle; under lock */
    uint32_t asked_for;     /* why the next cycle was asked for, if it is not due; atomic */
    uint64_t driver_ns;     /* time that the drivers of the present cycle took; under lock */
    bool quick;             /* the present cycle was begun by a mutator; under lock */
    uint32_t quick_backoff; /* number of cycles, see note_quick; under lock */
    uint32_t quick_from;    /* a mutator may begin this cycle, or a later one; atomic */
    unsigned *verify_missed;  /* result of a second marking, if one is wanted; under lock */
    struct cycle_times times; /* of the present cycle; its driver's */
    uint64_t flush_waves;     /* of the present cycle; its driver's */
    uint64_t step_ns;         /* when the present step began; 0: not known; its driver's */
    struct ages ages;         /* the driver's */
    struct lock record_lock;  /* LOCK_RECORD: record */
    struct cycle_record record;
};

void cycle_init(gc_heap *heap);

/* How long a driver goes on; times of os_now_ns(). */
struct cycle_patience {
    uint64_t works_until; /* 0: as long as it takes */
    uint64_t waits_until; /* for threads that do not answer; see handshake_end */
};
/* Drives the cycle that was left, or else a new one. The caller holds cycle.lock and is no running
 * mutator. With a patience of {0, 0}, goes to the end. Returns whether the end was reached; if not,
 * the cycle is left to the next holder of the lock. */
bool cycle_drive(gc_heap *heap, struct cycle_patience patience);
/* Whether no cycle has begun since the last one ended. */
INLINE bool cycle_is_idle(const struct cycle *c)
{
    return u32_load_relaxed(&c->step) <= STEP_BEGIN;
}
/* Whether a cycle was left, and no thread has gone on with it. */
INLINE bool cycle_is_left(const struct cycle *c)
{
    return u32_load_relaxed(&c->left);
}
/* Whether the present cycle marks in parts, one at each safepoint of a mutator. */
INLINE bool cycle_stays(const struct cycle *c)
{
    return UNLIKELY(u32_load_relaxed(&c->stays) > 0);
}
/* Its next driver takes it to its end. */
INLINE void cycle_end_stay(struct cycle *c)
{
    u32_store_relaxed(&c->stays, 0);
}
/* Called by a thread that has just taken the lock for something else than a cycle. Drives a cycle
 * that was left to its end. */
void cycle_finish_left(gc_heap *heap);
/* The mutator that starts a cycle runs it itself, if no other one runs and it is likely to cost
 * less. */
#define CYCLE_QUICK_NS ((uint64_t)100 * 1000)
/* Whether the next cycle may be run so. */
INLINE bool cycle_may_be_quick(const struct cycle *c)
{
    return (int32_t)(u32_load_relaxed(&c->started) + 1 - u32_load_relaxed(&c->quick_from)) >= 0;
}

/* Collects everything that is unreachable now, and sweeps it. The thread is blocked meanwhile. */
void cycle_collect(gc_heap *heap, gc_thread *t, enum gc_cause cause);
/* The same with a second marking. *missed: how many objects the first one missed. */
void cycle_collect_verified(gc_heap *heap, gc_thread *t, unsigned *missed);
/* Whether what a cycle and its sweep look at fits a processor's caches, more or less: a few MiB of
 * small objects, or as many spans, which may be large objects of any size. */
#define CYCLE_SMALL_PAGES ((word)8 << 20 >> PAGE_SHIFT)
#define CYCLE_SMALL_SPANS ((word)256)
INLINE bool cycle_heap_is_small(const gc_heap *heap)
{
    const struct mheap_counts *counts = &heap->mem.counts;
    return word_load_relaxed(&counts->pages_inuse) <= CYCLE_SMALL_PAGES ||
           word_load_relaxed(&counts->spans_inuse) <= CYCLE_SMALL_SPANS;
}
/* Whether mutators run on all processors, and no thread waits for the cycle. */
INLINE bool cycle_processors_taken(const gc_heap *heap)
{
    return !u8_load_relaxed(&heap->marking->whole) && procs_idle(&heap->procs) == 0;
}
/* How long the background works before it looks again whether there is a processor for it; and how
 * long beside mutators that run on all of them, each time. */
#define CYCLE_SHORT_SLICE_NS ((uint64_t)250 * 1000)
#define CYCLE_BESIDE_NS ((uint64_t)100 * 1000)
/* How long it leaves marking or sweeping to them before it looks how far they have got. */
#define CYCLE_MUTATORS_PAUSE_NS (1000 * 1000)

/* What gc_stats reports of cycles. */
void cycle_report(gc_heap *heap, struct gc_statistics *s);
/* Runs fn with the world held and no cycle under way; the calling thread is blocked meanwhile. */
void cycle_with_world_held(gc_heap *heap, gc_thread *t, void (*fn)(gc_heap *, void *), void *arg);
/* The same for a thread of the library's, which is attached to no heap. */
void cycle_with_world_held_by_service(gc_heap *heap, void (*fn)(gc_heap *, void *), void *arg);

#define CYCLE_FORK_RANKS LOCK_BIT(LOCK_CYCLE)
extern const struct fork_part cycle_fork;
#define CYCLE_RECORD_FORK_RANKS LOCK_BIT(LOCK_RECORD)
extern const struct fork_part cycle_record_fork;

#endif
