/* The structs of a heap, its threads and its fibers, which are composed of their parts. Each
 * function takes the part that is its own, or all. Each module of the collector keeps its state
 * behind a pointer of its own, and lower modules do not know that struct. */
#ifndef GC_HEAP_H
#define GC_HEAP_H

#include "base/options.h"
#include "base/place.h"
#include "base/stats.h"
#include "mutator/proc.h"
#include "mutator/step.h"
#include "mutator/stack.h"
#include "mutator/workbuf.h"

struct marking;
struct sweeping;
struct scavenging;
struct backing;
struct specials;
struct finq;
struct finalizers;
struct weaks;
struct weaksets;
struct weakslots;
struct ephemerons;
struct pacing;
struct cycle;
struct background;
struct quarantine;
struct checks;
struct strays;
struct sites;
struct dumper;
struct profile;

struct special;

struct gc_fiber {
    gc_heap *heap;
    struct special *owner; /* a weak reference to the object that owns it; NULL: none does */
    struct rootset roots;
    uintptr_t held;        /* the owner while a thread runs it: a root. Same owner as `roots` */
    uint32_t state;        /* enum fiber_state; atomic */
    uint32_t scanned;      /* cycle in which its roots were blackened; see fiber.c; atomic */
    struct stack *stack;   /* malloc'ed; NULL: none is known. Same owner as `roots` */
    gc_fiber *next, *prev; /* in a list of the heap's; under LOCK_FIBERS */
    uint64_t number;       /* which no other fiber of the heap has had */
};

#define THREAD_FRAMES 32
#define WINDOW_NOTES_LOG2 6

/* See window.h. */
struct windows {
    struct workbuf *armed; /* to be scanned again at the thread's ROOTS, linked; NULL: nothing */
    bool noted;            /* there are notes */
    uintptr_t notes[1 << WINDOW_NOTES_LOG2]; /* of what is prepared; 0: of nothing */
};

/* Unless marked, a field belongs to the thread, and to the collector while it has CLAIMED the
 * thread. */
struct gc_thread {
    struct gc_fast fast;    /* first: gc_self points here. poll: atomic, any thread sets it */
    gc_heap *heap;          /* never changes, so any thread that has found the struct may read it */
    uint32_t st;            /* state word; atomic */
    uint32_t waits;         /* it sleeps on st, or is about to; the thread's; atomic */
    uint32_t epoch;         /* the thread's copy of its epoch */
    uint8_t phase;          /* enum thread_phase */
    unsigned blocking;      /* depth of gc_blocking_begin */
    unsigned quiet;         /* depth of gc_quiet_begin */
    size_t quiet_limit;     /* of the outermost; SIZE_MAX: none */
    size_t quiet_bytes;     /* allocated in quiet regions since the last safepoint */
    bool left_told;         /* a frame left in the chain was already reported */
    unsigned never_entered; /* how often the end of a frame without its beginning was reported */
    unsigned calls_back;    /* depth of self_calls_back() */
    struct gc_run *runs_meanwhile;   /* fast.runs before that */
    struct gc_frame *frames_blocked; /* fast.frames when its blocking region began */
    struct proc *proc;               /* held while RUN */
    struct proc *last_proc;
    word shaded_objects, shaded_bytes; /* objects without references; to be counted */
    struct workbuf *grey;              /* objects this thread's barriers shaded; NULL: none yet */
    struct windows windows;
    struct rootset roots;
    gc_fiber *fiber; /* the fiber it runs; NULL: its own root set */
    struct stacks stacks;
    uint64_t slice_start;  /* when its time slice began; 0: no thread waits for a P */
    const char *last_call; /* a hint for messages; atomic */
    /* Of the debug switches, the thread's: the object that may be written plainly until its next
     * safepoint, and last_call of the last safepoint. */
    uintptr_t fresh;
    const char *call_before;
    /* Set with stacks.here, if it is wanted: the functions that the thread is in. */
    size_t nframes;
    struct place_frame frames_noted[THREAD_FRAMES];
    uint32_t reported; /* epoch + 1 of the request for which it was named; the collector's */
    uint32_t asked;    /* by the watchdog, where it is: see watchdog.c; futex */
    struct callers silent_place; /* the answer (I56) */
    u64 silent_since; /* it was named, and has not been at a safepoint since then; 0: no; atomic */
    char name[32];    /* under LOCK_REGISTRY, as is os_id */
    uint64_t os_id;
    struct os_life life; /* from attaching to detaching (I28) */
    struct thread_times times;
    struct proc_waiter waiter;
    gc_thread *next, *prev;   /* in the heap's list; under LOCK_REGISTRY */
    gc_thread *next_attached; /* in the OS thread's list; its own */
};

_Static_assert(offsetof(struct gc_thread, fast) == 0, "gc_self points at both");
_Static_assert(sizeof((gc_thread *)0)->name == 32, "gcheap.h: gc_thread_name copies 31 bytes");

struct mutators {
    struct lock lock;         /* LOCK_REGISTRY: list, epoch and phase publication, hold */
    gc_thread *list;          /* under lock */
    size_t count;             /* under lock */
    uint64_t handshakes;      /* total, as epochs wrap; under lock */
    size_t leaving;           /* threads off the list that still touch the heap; under lock */
    gc_thread *spare;         /* structs to reuse; never unmapped before the heap; under lock */
    struct thread_times kept; /* of threads that left; under lock */
    /* What new threads adopt, and what the present handshake asks: written by the collector under
     * lock before the epoch. */
    uint32_t step; /* enum step */
    uint8_t phase, barrier;
    bool black, sweeping;
    uint32_t epoch CACHE_ALIGNED; /* atomic; release after `step` */
    uint32_t held;                /* futex: 1 while the world is held; set under lock */
    uint32_t acked;               /* futex; increased to wake the collector */
    uint32_t collector_waits;     /* the collector sleeps on `acked` */
    /* The thread or P for which the present handshake waits, or waited when its cycle was left.
     * Atomic. */
    gc_thread *awaited;
    struct proc *awaited_proc;
    uint32_t hindrance;    /* enum hindrance, see handshake.h; atomic */
    uint32_t turns;        /* futex; increased when turn_waiters should look again */
    uint32_t turn_waiters; /* threads that sleep on `turns`, or are about to; atomic */
    /* Functions of higher modules: marker_shade_roots and attach_reap. */
    void (*shade_roots)(gc_thread *t);
    bool (*reap)(gc_thread *t);
    word shaded_objects, shaded_bytes; /* objects without references, in this cycle */
    /* A thread has reported grey objects, in a FLUSH or when it detached, since the collector last
     * began to drain (I6). Atomic. */
    uint8_t handed;
    u64 quiet_bytes, quiet_max; /* as in gc_statistics; atomic */
    uint8_t all_black;          /* ROOTS is complete, and the next cycle has not begun. Atomic */
};

struct gc_heap {
    struct mheap mem; /* first, where mheap.c expects it */
    struct mcentral centrals[SPANCLASS_COUNT];
    gc_options options;
    struct debug_switches debug;
    uint32_t debug_allocations; /* counted for the switch nth; atomic */
    uint32_t debug_next;        /* with debug.rarer: when the next collection is due; atomic */
    bool trace;                 /* GCHEAP_TRACE */
    uint32_t names_frames;      /* threads that want to know the functions of frames; atomic */
    bool polls_always;          /* debug: each safepoint of a thread takes its slow path */
    uint8_t watch;              /* BARRIER_WATCH if all stores are checked, else 0 */
    uint64_t created_ns;
    uint32_t number; /* of all heaps of the process, in the order in which they were made */
    struct mutators mutators;
    struct type_user types;
    struct procs procs;
    struct roots roots;
    struct workqueue work;
    struct lock fibers_lock;
    gc_fiber *fibers;       /* those without an owner; under fibers_lock, as all below */
    gc_fiber *owned_fibers; /* those with one */
    gc_fiber *fiber_cursor; /* the next that a walk through one of the lists looks at */
    gc_fiber *dead_fibers; /* destroyed, but perhaps found by their owners until fibers_forgotten */
    uint64_t fibers_made;
    bool fibers_are_known; /* by their owners: from fibers_each_owned to fibers_forgotten */
    uint32_t cycle_number; /* of the present or last cycle; the driver writes it. Atomic */
    /* The collector's parts, which are there from the heap's creation to its end. */
    struct marking *marking;
    struct sweeping *sweeping;
    struct scavenging *scavenging;
    struct backing *backing;
    struct specials *specials;
    struct finq *finq;
    struct finalizers *finalizers;
    struct weaks *weaks;
    struct weaksets *weaksets;
    struct weakslots *weakslots;
    struct ephemerons *ephemerons;
    struct pacing *pacing;
    struct cycle *cycle;
    struct background *background;
    struct quarantine *quarantine;
    struct sites *sites;       /* of debug switches that name objects; else NULL */
    struct strays *strays;     /* of the switch roots; else NULL */
    struct profile *profile;   /* NULL: none was ever recorded; atomic */
    struct checks *checks;     /* of debug switches; NULL: none needs them */
    struct dumper *dumper;     /* with GCHEAP_DUMP; else NULL */
    struct gc_heap *next_heap; /* all heaps of the process; see heaps.h */
    bool orphan;               /* in the child of a fork: nothing in it can be relied on */
};

_Static_assert(offsetof(struct gc_heap, mem) == 0, "mheap.c");

#endif
