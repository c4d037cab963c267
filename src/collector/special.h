/* Specials: records that belong to an object, kept off the heap and hung on the object's span (Go:
 * mspan.specials): weak references, bytes owned outside the heap, finalizers, cleanups.
 *
 * What becomes of them when the object is dead is decided when its span is swept, in this order:
 * weak references are cleared; if there is a finalizer, it is queued and the object lives on, with
 * its other records; otherwise the external bytes are forgotten and the cleanups queued.
 */
#ifndef GC_SPECIAL_H
#define GC_SPECIAL_H

#include "collector/mark.h"

/* In the order in which an object's records are kept. */
enum special_kind { SPECIAL_WEAK, SPECIAL_EXTERNAL, SPECIAL_FINALIZER, SPECIAL_CLEANUP };

struct special {
    struct special *next;        /* of its chain; under the span's specials_lock */
    struct special *next_queued; /* finalizers and cleanups; see finq.h */
    uintptr_t object;
    uint32_t slot; /* of its span */
    uint8_t kind;  /* enum special_kind */
    bool queued;   /* a finalizer that waits to be run; under specials_lock */
    union {
        struct {
            uintptr_t object; /* atomic; 0 once it is dead */
            gc_heap *heap;
            uint32_t count; /* holders: the span, and each gc_weak_new; atomic */
        } weak;
        struct {
            size_t bytes;
            bool waits; /* not counted towards the goal; see special_cut() */
        } external;
        struct {
            gc_finalizer_fn fn;
            void *arg;
        } finalizer;
        struct {
            gc_cleanup_fn fn;
            void *arg;
            int64_t id;
        } cleanup;
    };
};

/* A span's table: chains of records by slot. A chain is sorted by slot, then kind; so an object's
 * records lie together, and another cleanup is added without passing those that are there. It grows
 * with its records, and a sweep that finds few of them left makes it smaller. Under the span's
 * specials_lock. */
struct special_table {
    size_t count;
    size_t size; /* of chains; a power of two, but no more than the span has slots */
    struct special *chains[];
};

/* The heap's part; the records themselves hang on spans. */
struct specials {
    struct lock lock;        /* LOCK_FINQ: records */
    struct fixalloc records; /* under lock; its memory goes with the heap */
    word finalizers;         /* set and not yet run; atomic */
    word externals;          /* records; atomic */
    word ids;                /* of cleanups, the last one given; atomic */
};

void special_init(gc_heap *heap);
/* Whether any record is attached to an object. */
bool special_any(gc_heap *heap);
/* Whether special_mark_roots() and special_cut() come by no more than that many. */
bool special_few(gc_heap *heap, size_t few);
/* Nobody uses the heap any more. */
void special_destroy(gc_heap *heap);

/* Whether `object` is the address of an object of the heap. */
bool special_is_object(gc_heap *heap, const void *object);

/* Gives a record back that hangs on no span. Any thread. */
void special_free(gc_heap *heap, struct special *r);

/* The calls of the public names; the caller holds the object. All: -EINVAL (no object), -ENOMEM. */

/* The object's weak record with one holder more; made if there is none. */
int special_hold_weak(gc_heap *heap, const void *object, struct special **weak);
/* -EEXIST; with fn NULL: -ENOENT. */
int special_set_finalizer(gc_thread *t, void *object, gc_finalizer_fn fn, void *arg);
/* An id. */
int64_t special_add_cleanup(gc_heap *heap, void *object, gc_cleanup_fn fn, void *arg);
/* -ENOENT. */
int special_cancel_cleanup(gc_heap *heap, void *object, int64_t id);
int special_add_external(gc_heap *heap, void *object, ptrdiff_t bytes);

/* Takes a queued finalizer's record off its span; the caller holds the object. */
void special_unqueue(gc_heap *heap, struct special *r);

/* Decides about the specials of a span's dead objects. Its sweeper, before the bits are flipped;
 * may mark objects that must live on. */
void special_sweep(gc_heap *heap, struct gc_span *s);
/* Marks what specials keep alive. Collector, after ROOTS. */
void special_mark_roots(gc_heap *heap, struct marker *m);
/* Calls fn for each finalizer's object, under its span's lock. World held. */
typedef void special_visit_fn(struct gc_span *s, uintptr_t object, bool queued, void *arg);
void special_each_finalizer(gc_heap *heap, special_visit_fn *fn, void *arg);
/* Marks the objects of all weak references that somebody holds. Collector, while it marks. */
void special_mark_weak(gc_heap *heap, struct marker *m);
/* Forgets the external bytes of objects found dead. Those of an object that waits for its finalizer
 * do not count towards the goal until that begins to run: they are garbage, and a goal in
 * proportion to garbage would grow with each cycle. Collector, after the cut. */
void special_cut(gc_heap *heap);

#endif
