/* Marking makes grey objects black. Any number of markers does it at once.
 *
 * Edges are collected while their mark words are prefetched, and are then marked as a batch. First
 * the marker looks which of them lead to unmarked objects, and prefetches the first lines of those.
 * Then come the atomic operations, which hold up all loads behind them. Objects that were newly
 * marked go on a LIFO stack, so that they are scanned in the order in which they were prefetched.
 * An edge to the page that is being scanned is followed at once.
 *
 * If the stack becomes long, small objects are left to their pages (I35). Pages wait in a queue
 * while more is found on them. Then all that is grey on a page is scanned in the order of the
 * addresses. */
#ifndef GC_MARK_H
#define GC_MARK_H

#include "collector/pagewalk.h"
#include "mutator/handshake.h"

#define MARK_EDGES 32

/* An edge to a small object. */
struct mark_edge {
    uintptr_t target; /* start of the object, | page_class_info.edge */
    word *map;        /* word with its mark bit */
};

/* A thread while it marks: the driver, a helper, or a mutator that assists. All of it is the
 * thread's own; what is queued is shared. */
struct marker {
    gc_heap *heap;
    bool formatted; /* slots hold words of a value format */
    bool active;    /* counted in the work queue's word */
    struct workbuf *stack;
    struct workbuf *pages; /* grey pages, the next one at `page`; NULL: none */
    uint32_t page;
    bool by_page;                    /* new objects are left to their pages */
    size_t page_count, page_objects; /* of the pages that were scanned since the last look */
    struct workbuf *found;           /* grey pages to scan after those; NULL: none */
    size_t nedges;
    word marked_objects, marked_bytes; /* since the last report; see count_object */
    word unpaid;                       /* bytes marked that were not given as credit */
    word piece_bytes;                  /* bytes of pieces that were scanned */
    gc_thread *visited;                /* the thread whose ROOTS this is; else NULL */
    struct workbuf *ambiguous;         /* words of that thread's stack */
    struct workbuf *weak;              /* weak slots of objects that it has scanned; NULL: none */
    /* Called for each object it marks; NULL: none. Copied from struct marking when it takes work.
     */
    void (*on_mark)(struct marker *m, uintptr_t object);
    struct gc_tracer tracer;                        /* pushes edges */
    struct mark_edge edges[MARK_EDGES + WORD_BITS]; /* marked together when there are MARK_EDGES */
    struct page_walk walk;                          /* empty, except while it scans a page */
};

struct mark_helper;

/* What all markers of a heap share. */
struct marking {
    word marked_objects, marked_bytes; /* this cycle; atomic adds */
    word credit;                       /* bytes marked that no allocation has owed yet; atomic */
    /* Helpers, started when there is work for them; they sleep between cycles. */
    struct mark_helper *helpers[MARK_WORKERS_MAX];
    uint32_t nhelpers;   /* the cycle's driver's */
    uint8_t by_mutators; /* they run on all processors, and the driver leaves it to them; atomic */
    uint8_t whole; /* this cycle uses all processors; atomic: any thread may set it, and helpers may
                      lag a cycle behind */
    uint32_t run;  /* changes when helpers are called, and at the end; odd: called. Atomic; futex
                      of helpers without a processor */
    u64 helper_cpu_ns;                                   /* this cycle; atomic */
    u64 assist_ns;                                       /* mutators', total; atomic */
    void (*on_mark)(struct marker *m, uintptr_t object); /* the driver sets it; atomic */
    struct workbuf *weak; /* the weak slots that markers have found; pushed to by any of them */
    /* Called for weak slots that a marker finds; NULL: none. It may miss some. Atomic. */
    void (*on_weak)(struct gc_tracer *tracer, const struct weak_slots *s);
};

void marker_init(struct marker *m, gc_heap *heap);
/* Gives back the marker's buffer, and reports its counts. The marker must be drained. */
void marker_finish(struct marker *m);

/* Marks what an address leads to, and queues it. */
void marker_edge(struct marker *m, uintptr_t address);
/* The same, but at once and without calling on_mark. true: the object was unmarked; *base is its
 * start. */
bool marker_mark(struct marker *m, uintptr_t address, uintptr_t *base);
/* Queues an object of so many bytes to be scanned, marked or not. */
void marker_scan(struct marker *m, uintptr_t object, size_t bytes);

/* Marks the objects to which words that were put off refer; frees the buffers. */
void marker_ambiguous(struct marker *m, struct workbuf *all);

/* mutators.shade_roots: shades a thread's roots as batches, and queues them at once. The thread
 * calls it, or the collector while it has claimed the thread. */
void marker_shade_roots(gc_thread *t);

/* Calls fn for all weak slots in a list of buffers. */
void marker_each_weak(const struct workbuf *list, void (*fn)(void *arg, const struct weak_slots *s),
                      void *arg);
/* Marks what weak slots hold, as if they were strong. */
void marker_keep_weak(struct gc_tracer *tracer, const struct weak_slots *s);

/* Calls the marked callbacks, which may trace, while the world is held and nothing is grey. Returns
 * whether they have marked anything. */
bool marker_call_marked(struct marker *m);

/* The work word counts the marker from now on, until it has nothing more to do. */
void marker_activate(struct marker *m);
/* Takes a buffer from the shared queue. false: it is empty. */
bool marker_take(struct marker *m);
/* Works until the shared queue is empty and no other marker is active (true), or until about
 * `budget` bytes have been scanned (false; what is left is queued). */
bool marker_drain(struct marker *m, uint64_t budget);

#endif
