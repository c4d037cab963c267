/* A heap, composed of its parts. The collector keeps its state behind `collector`. */
#ifndef GC_HEAP_H
#define GC_HEAP_H

#include "base/options.h"
#include "mutator/thread.h"

struct collector;

/* What a handshake asks of every mutator and P; see handshake.h. */
enum handshake_op { OP_NONE, OP_ARM, OP_SETTLE, OP_ROOTS, OP_FLUSH, OP_DISARM, OP_FLIP };

struct mutators {
    struct lock lock;         /* LOCK_REGISTRY: list, epoch and phase publication, hold */
    gc_thread *list;          /* under lock */
    size_t count;             /* under lock */
    uint64_t handshakes;      /* ever; epochs wrap; under lock */
    size_t leaving;           /* threads off the list that still touch the heap; under lock */
    gc_thread *spare;         /* structs to reuse; never unmapped before the heap; under lock */
    struct thread_times kept; /* of threads that left; under lock */
    /* What new threads adopt, and what the present handshake asks: written by the collector under
     * lock before the epoch. */
    uint32_t op;
    uint8_t phase, barrier;
    bool black, sweeping;
    uint32_t epoch CACHE_ALIGNED; /* atomic; release after `op` */
    uint32_t held;                /* futex: 1 while the world is held; set under lock */
    uint32_t acked;               /* futex: bumped by whoever acks, so that the collector wakes */
    uint32_t collector_waits;     /* the collector sleeps on `acked` */
    /* Whom the present handshake waits for; of a cycle that was left, waited for. Atomic. */
    gc_thread *awaited;
    struct proc *awaited_proc;
    uint32_t hindrance; /* enum hindrance, see handshake.h; atomic */
    uint32_t turns;     /* futex: bumped when who waits for the cycle should look again */
    uint32_t onlookers; /* threads that sleep on `turns`, or are about to; atomic */
    void (*shade_roots)(gc_thread *t); /* the marker's, which lies in a higher layer */
    word shaded_objects, shaded_bytes; /* without references, by mutators in this cycle */
    /* Some thread reported grey since the collector last began to drain: in a FLUSH, or when it
     * detached (I6). Atomic. */
    uint8_t handed;
};

struct gc_heap {
    struct mheap mem; /* first */
    struct mcentral centrals[SPANCLASS_COUNT];
    gc_options options;
    struct debug_switches debug;
    uint32_t debug_allocations; /* counted for the switch nth; atomic */
    bool trace;                 /* GCHEAP_TRACE */
    uint64_t created_ns;
    struct mutators mutators;
    struct type_user types;
    struct procs procs;
    struct roots roots;
    struct workqueue work;
    struct lock fibers_lock;
    gc_fiber *fibers;       /* under fibers_lock */
    gc_fiber *fiber_cursor; /* next one that fibers_visit looks at; under fibers_lock */
    uint32_t cycle;         /* number of the present or last cycle; written by the collector */
    struct collector *collector;
    struct gc_heap *next_heap; /* all heaps of the process; see fork.h */
    bool orphan;               /* of a fork: nothing in it can be relied on */
};

#endif
