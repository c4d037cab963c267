/* Marking: grey objects to black ones, by any number of workers.
 *
 * Edges are collected, while their mark words are on their way, and marked by the batch: first it
 * is looked which lead to unmarked objects, whose first lines are asked for; then come the atomic
 * operations, which nothing overtakes. What they newly mark goes on a LIFO stack, to be scanned in
 * the order in which it was asked for. An edge to the page that is being scanned is followed at
 * once. */
#ifndef GC_MARK_H
#define GC_MARK_H

#include "mutator/handshake.h"

#define MARK_EDGES 32
/* Large objects are scanned in pieces of this size. */
#define MARK_PIECE ((size_t)4 << 10)
#define MARK_WORKERS_MAX 64

/* An edge to a small object. */
struct mark_edge {
    uintptr_t target; /* where it begins, | MARK_NOSCAN */
    word *map;        /* of its mark bit */
};
#define MARK_NOSCAN ((uintptr_t)1)

/* What a worker has marked on the page of the object that it scans, for itself as yet: neighbours
 * refer to each other, and one atomic or tells of all that share a map word. Until it has told it
 * is active, so that a mark which others do not see is nothing that they could miss (I5). Somebody
 * who marks one of them meanwhile queues it, and it is scanned twice. */
#define WALK_WORDS (PAGE_WORDS / WORD_BITS)
struct page_walk {
    word fresh[WALK_WORDS];
    size_t n;                   /* objects to scan */
    uint16_t stack[PAGE_WORDS]; /* where they begin, in words */
};

/* One worker: a thread that marks. Its own but for what it queues. */
struct marker {
    gc_heap *heap;
    bool formatted; /* slots hold words of a value format */
    bool active;    /* counted in the work queue's word */
    struct workbuf *stack;
    size_t nedges;
    word marked_objects, marked_bytes; /* since the last report; see note_marked */
    word unpaid;                       /* bytes marked that are no credit yet */
    word piece_bytes;                  /* of pieces of large objects, which are work too */
    gc_thread *visited;       /* whose roots it visits, while ROOTS is under way; else NULL */
    struct workbuf *doubtful; /* words of that thread's stack */
    /* Called for each object it marks; NULL: none. Copied from `marking` when it takes work. */
    void (*on_mark)(struct marker *m, uintptr_t object);
    struct gc_tracer tracer;                        /* pushes edges */
    struct mark_edge edges[MARK_EDGES + WORD_BITS]; /* marked together when there are MARK_EDGES */
    struct page_walk walk;                          /* empty but while it scans a page */
};

/* What all workers of a heap share. */
struct marking {
    word marked_objects, marked_bytes; /* this cycle; atomic adds */
    word credit; /* bytes that the background marked and no allocation has used up; atomic */
    /* Helper threads, started when there is work for them; they sleep between cycles. */
    struct os_thread helpers[MARK_WORKERS_MAX];
    uint32_t nhelpers; /* the cycle's driver's */
    uint8_t whole;     /* this cycle uses all processors; atomic: helpers may lag a cycle behind */
    uint32_t
        run; /* futex: changes when helpers are called, and when they are to stop; odd: called */
    uint32_t stopping;
    uint64_t helper_cpu_ns;                              /* this cycle; atomic */
    void (*on_mark)(struct marker *m, uintptr_t object); /* set while nobody marks; atomic */
};

void marker_init(struct marker *m, gc_heap *heap);
/* Gives back what it holds; it must be drained. Reports its counts. */
void marker_finish(struct marker *m);

/* Marks what an address leads to, and queues it. */
void marker_edge(struct marker *m, uintptr_t address);
/* The same at once, and not telling on_mark. Whether it was not marked before; then *base is where
 * the object begins. */
bool marker_mark(struct marker *m, uintptr_t address, uintptr_t *base);
/* Queues an object of so many bytes to be scanned, marked or not. */
void marker_scan(struct marker *m, uintptr_t object, size_t bytes);

/* Marks objects of which words were put off; frees the buffers. */
void marker_doubtful(struct marker *m, struct workbuf *all);

/* mutators.shade_roots: a thread's roots, shaded by the batch and queued at once. Owner, or the
 * collector while it has claimed the thread. */
void marking_shade_roots(gc_thread *t);

/* Works until the shared queue is empty and nobody else is active (true), or until about `budget`
 * bytes have been scanned (false; what is left is queued). */
bool marker_drain(struct marker *m, uint64_t budget);

/* What the background marked since the last time pays for allocation. */
void marking_give_credit(struct marking *marking, struct marker *m);
/* Up to `bytes` of it; how many. */
uint64_t marking_take_credit(struct marking *marking, uint64_t bytes);

void marking_begin(gc_heap *heap, struct marking *marking);
/* As many as may work beside the driver, if the heap is large enough; they go on until the end. */
void marking_call_helpers(gc_heap *heap, struct marking *marking);
void marking_end(gc_heap *heap, struct marking *marking);
void marking_stop_helpers(struct marking *marking);

#endif
