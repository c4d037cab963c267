/* Marking: grey objects to black ones, by any number of workers.
 *
 * In front of a worker's LIFO stack of grey objects stand two small rings that hide memory latency:
 * an edge waits for its mark word to arrive, then the object it newly marked waits for its first
 * line and its heap-bitmap word. */
#ifndef GC_MARK_H
#define GC_MARK_H

#include "handshake.h"

#define MARK_EDGES 32 /* powers of two */
#define MARK_OBJECTS 16
/* Large objects are scanned in pieces of this size. */
#define MARK_PIECE ((size_t)128 << 10)
#define MARK_WORKERS_MAX 64

/* A reference whose mark word is on its way. address 0: none. */
struct mark_edge {
    uintptr_t address;
    struct arena *arena;
};

/* A marked object, or a piece of a large one, whose first line is on its way. */
struct mark_object {
    uintptr_t at;
    struct arena *arena;
    const struct page_class_info *info;
};

/* One worker: a thread that marks. Its own but for what it queues. */
struct marker {
    gc_heap *heap;
    bool formatted;       /* slots hold words of a value format */
    bool active;          /* counted in the work queue's word */
    unsigned oldest_edge; /* the ring of edges is always full, of none-edges at first */
    unsigned first_object, nobjects;
    struct workbuf *stack;
    word marked_objects, marked_bytes, scanned_bytes; /* since the last report */
    /* Called for each object it marks; NULL: none. Copied from `marking` when it takes work. */
    void (*on_mark)(struct marker *m, uintptr_t object);
    struct gc_tracer tracer; /* pushes edges */
    struct mark_edge edges[MARK_EDGES];
    struct mark_object objects[MARK_OBJECTS];
};

/* What all workers of a heap share. */
struct marking {
    word marked_objects, marked_bytes, scanned_bytes; /* this cycle; atomic adds */
    /* Helper threads, started when there is work for them; they sleep between cycles. */
    struct os_thread helpers[MARK_WORKERS_MAX];
    uint32_t nhelpers; /* the cycle's driver's */
    uint32_t run;      /* futex: number of the cycle that helpers work for; odd: stop */
    uint32_t stopping;
    word helper_cpu_ns;                                  /* this cycle; atomic */
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
/* Queues an object to be scanned, marked or not. */
void marker_scan(struct marker *m, uintptr_t object);

/* Works until the shared queue is empty and nobody else is active (true), or until about `budget`
 * bytes have been scanned (false; what is left is queued). */
bool marker_drain(struct marker *m, uint64_t budget);

/* Starts helpers, as many as may work beside the driver. */
void marking_begin(gc_heap *heap, struct marking *marking);
void marking_end(gc_heap *heap, struct marking *marking);
void marking_stop_helpers(struct marking *marking);

#endif
