/* Specials: records that belong to an object: weak references, bytes that it owns outside the heap,
 * finalizers, cleanups, that it is a sample of a profile. They are kept off the heap, in a table of
 * the object's span (Go: mspan.specials).
 *
 * The sweep of a span decides about the specials of dead objects, in this order. Weak references
 * are cleared. If there is a finalizer, it is queued, and the object lives on with its other
 * records. Otherwise the external bytes are subtracted and the cleanups are queued.
 */
#ifndef GC_SPECIAL_H
#define GC_SPECIAL_H

#include "collector/finq.h"
#include "collector/mark.h"

/* In the order of an object's records in their chain. */
enum special_kind {
    SPECIAL_WEAK,
    SPECIAL_EXTERNAL,
    SPECIAL_FINALIZER,
    SPECIAL_CLEANUP,
    SPECIAL_SAMPLE
};

struct special {
    struct special *next;  /* in its chain; under the span's specials_lock */
    struct finq_item item; /* finalizers and cleanups */
    uintptr_t object;
    uint32_t cell; /* number of the object's cell in its span */
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
            word id; /* rises with each finalizer that is set */
        } finalizer;
        struct {
            gc_cleanup_fn fn;
            void *arg;
            int64_t id;
        } cleanup;
        struct {
            u64 *deaths; /* a count; atomic */
        } sample;
    };
};

/* A span's table: chains of records, chosen by cell. A chain is sorted by cell, then by kind. So an
 * object's records lie together, and another cleanup is added without passing the older ones. The
 * table grows with its records; a sweep that finds few of them left makes it smaller. Under the
 * span's specials_lock. */
struct special_table {
    size_t count;
    size_t size; /* number of chains; a power of two. It grows up to the span's number of cells */
    struct special *chains[];
};

/* The heap's part. The records themselves are in the tables of spans. */
struct specials {
    struct lock lock;        /* LOCK_RECORDS */
    struct fixalloc records; /* under lock; its memory goes with the heap */
    word finalizers;         /* set and not yet run; atomic */
    word externals;          /* external records; atomic */
    word samples;            /* records of samples, for which nobody waits; atomic */
    word ids;                /* the last id of a cleanup or finalizer; atomic */
    struct finq_batch dying; /* finalizers to be queued when the cycle is over; the driver's */
};

void special_init(gc_heap *heap);
/* Whether any record is attached to an object, but for samples. */
bool special_any(gc_heap *heap);
/* Whether special_mark_roots() and special_cut() together visit so few records, at most. */
bool special_few(gc_heap *heap, size_t few);
/* Frees all tables. No thread uses the heap any more. */
void special_destroy(gc_heap *heap);

/* Whether `object` is the address of an object of the heap. */
bool special_is_object(gc_heap *heap, const void *object);

/* Frees a record that is in no table. Any thread. */
void special_free(gc_heap *heap, struct special *r);

/* What the public calls do. The caller holds the object. All may return -EINVAL (it is no object)
 * and -ENOMEM. */

/* Gets the object's weak record, and counts one more holder. It is made if there is none. */
int special_hold_weak(gc_heap *heap, const void *object, struct special **weak);
/* The object of a weak record; 0: it was found dead. Until its span is swept that is not known
 * here.
 */
INLINE uintptr_t special_weak_object(const struct special *weak)
{
    return word_load_relaxed(&weak->weak.object);
}
/* May return -EEXIST, too; with fn NULL: -ENOENT. */
int special_set_finalizer(gc_thread *t, void *object, gc_finalizer_fn fn, void *arg);
/* Returns an id, which is positive. */
int64_t special_add_cleanup(gc_heap *heap, void *object, gc_cleanup_fn fn, void *arg);
/* May return -ENOENT, too. */
int special_cancel_cleanup(gc_heap *heap, void *object, int64_t id);
int special_add_external(gc_heap *heap, void *object, ptrdiff_t bytes);

/* When the object dies for good, *deaths is increased. */
int special_add_sample(gc_heap *heap, void *object, u64 *deaths);

/* Takes a queued finalizer's record out of its span's table. The caller holds the object. */
void special_unqueue(gc_heap *heap, struct special *r);

/* Decides about the specials of a span's dead objects, and marks objects that must live on. The
 * span's sweeper calls it, before the bits are flipped. */
void special_sweep(gc_heap *heap, struct gc_span *s);
/* Marks what specials keep alive. Collector, after ROOTS. */
void special_mark_roots(gc_heap *heap, struct marker *m);
/* Calls fn for each finalizer's object, under its span's lock. World held. */
typedef void special_visit_fn(struct gc_span *s, uintptr_t object, bool queued, void *arg);
void special_each_finalizer(gc_heap *heap, special_visit_fn *fn, void *arg);
/* Marks the objects of all weak references that are in use. Collector, while it marks. */
void special_mark_weak(gc_heap *heap, struct marker *m);
/* Subtracts the external bytes of objects that were found dead. If such an object waits for its
 * finalizer, its bytes do not count towards the goal until the finalizer begins to run. They belong
 * to garbage, and a goal in proportion to garbage would grow with each cycle. Collector, after the
 * cut. */
void special_cut(gc_heap *heap);

/* With GC_FINALIZE_ALL (I49). Clears the weak references of all unmarked objects, and takes those
 * of them that have finalizers, the one whose finalizer was set last first. They are dying until
 * they are queued. Returns how many there are. Collector, when nothing is grey. */
size_t special_part(gc_heap *heap);
void special_mark_dying(gc_heap *heap, struct marker *m);
void special_queue_dying(gc_heap *heap);
/* Takes all finalizers that are set, in that order, to be queued. World held. */
void special_take_all(gc_heap *heap, struct finq_batch *batch);

#define SPECIAL_FORK_RANKS LOCK_BIT(LOCK_RECORDS)
extern const struct fork_part special_fork;

#endif
