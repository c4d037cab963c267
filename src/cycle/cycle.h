/* The cycle: the only writer of the phase. See docs/architecture.md for the picture and
 * docs/invariants.md for the proof.
 *
 *   IDLE -> ARM -> ROOTS -> MARK (with FLUSH waves) -> CUT -> DISARM -> FLIP -> IDLE
 *
 * The holder of cycle.lock drives: the background thread, or a mutator in the blocked state. A
 * driver that is not patient may leave the rest to the next holder (I20). */
#ifndef GC_CYCLE_H
#define GC_CYCLE_H

#include "collector/mark.h"
#include "introspect/trace.h"

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

/* What gc_stats tells of cycles that ended. */
struct cycle_record {
    uint64_t forced_cycles, flush_waves, objects_marked;
    uint64_t mark_cpu_ns, last_cycle_ns, last_mark_ns;
};

struct cycle {
    struct lock lock; /* LOCK_CYCLE: held by whoever runs a cycle, and its sweep if forced */
    uint32_t phase;   /* enum cycle_phase; atomic */
    /* Numbers of cycles, atomic. started >= flipped. */
    uint32_t started CACHE_ALIGNED;
    uint32_t flipped;
    uint32_t left;          /* a cycle was left; set under lock, atomic */
    bool forced;            /* someone waits: use every processor. Under lock */
    unsigned step;          /* enum step, what comes next; under lock */
    uint64_t driver_ns;     /* what the present cycle took its drivers; under lock */
    bool quick;             /* the present cycle was begun by a mutator; under lock */
    uint32_t quick_backoff; /* cycles, see note_quick; under lock */
    uint32_t quick_from;    /* a mutator may begin this cycle, or a later one; atomic */
    unsigned
        *verify_missed; /* a second marking is wanted, and tells here what it found; under lock */
    struct cycle_times times; /* of the present cycle; its driver's */
    uint64_t flush_waves;     /* of the present cycle; its driver's */
    struct lock record_lock;  /* LOCK_STATS: record */
    struct cycle_record record;
};

void cycle_init(gc_heap *heap);

/* How far a driver goes; os_now_ns(). */
struct cycle_patience {
    uint64_t works_until; /* 0: as long as it takes */
    uint64_t waits_until; /* for a thread that does not answer; see handshake_end */
};
/* Drives the cycle that was left, or else a new one. The caller holds cycle.lock and is no
 * running mutator. {0, 0}: to its end. Otherwise true if the end was reached; false: the cycle is
 * left to the next holder of the lock. */
bool cycle_drive(gc_heap *heap, struct cycle_patience patience);
/* A cycle was left, and nobody has gone on with it. */
INLINE bool cycle_is_left(const struct cycle *c)
{
    return u32_load_acquire(&c->left);
}
/* The caller has just taken the lock for something else than a cycle: a cycle that was left is
 * driven to its end first. */
void cycle_finish_left(gc_heap *heap);
/* A cycle that is likely to cost less is run by the mutator that starts it, if it is alone. */
#define CYCLE_QUICK_NS ((uint64_t)100 * 1000)
/* The next cycle may be. */
INLINE bool cycle_may_be_quick(const struct cycle *c)
{
    return (int32_t)(u32_load_acquire(&c->started) + 1 - u32_load_acquire(&c->quick_from)) >= 0;
}

/* Collects everything that is unreachable now, and sweeps it; the thread blocks meanwhile. */
void cycle_collect(gc_heap *heap, gc_thread *t);
/* The same with a second marking; *missed: what the first one missed. */
void cycle_collect_verified(gc_heap *heap, gc_thread *t, unsigned *missed);
/* It fits a processor's caches, more or less. */
INLINE bool cycle_heap_is_small(const gc_heap *heap)
{
    return word_load_relaxed(&heap->mem.counts.pages_inuse) << PAGE_SHIFT <= (word)8 << 20;
}
/* Mutators run on all of them, and nobody waits for the cycle. */
INLINE bool cycle_processors_taken(const gc_heap *heap)
{
    return !u8_load_relaxed(&heap->marking->whole) && procs_idle(&heap->procs) == 0;
}
/* How long the background works beside mutators that run on all processors. */
#define CYCLE_SHORT_SLICE_NS ((uint64_t)250 * 1000)

/* What gc_stats says of cycles. */
void cycle_report(gc_heap *heap, struct gc_statistics *s);
/* Runs fn with the world held and no cycle under way; the calling thread is blocked meanwhile. */
void cycle_with_world_held(gc_heap *heap, gc_thread *t, void (*fn)(gc_heap *, void *), void *arg);

#endif
