/* Roots: frames and ranges of threads and fibers, rooted globals, handles, callbacks.
 *
 * There are two kinds. A root set belongs to one thread or suspended fiber. Its slots are written
 * plainly, and are visited in the thread's ROOTS handshake, by the thread or on its behalf. Global
 * roots (globals, handles, heap callbacks) are written with gc_store(), and the collector visits
 * them after ARM.
 */
#ifndef GC_ROOT_INTERNAL_H
#define GC_ROOT_INTERNAL_H

#include "gcheap.h"
#include "base/bits.h"
#include "memory/fixalloc.h"
#include "base/forkpart.h"

#include "mutator/roottable.h"

/* What a visit has come to, for who asks where a word is from. */
struct root_source {
    enum gc_holder by;       /* while an object is visited: GC_IN_OBJECT, and `from` is not set */
    const void *from;        /* see gc_edge */
    const void *slot;        /* NULL: a bare reference */
    const gc_thread *thread; /* whose root it is; NULL: the heap's, or a suspended fiber's */
};

/* Weak slots of one object, `size` bytes apart. Of pairs each is the key; the value lies behind
 * it. */
struct weak_slots {
    uintptr_t first;
    size_t n, size;
    word dead; /* takes the place of what has died */
    bool pairs;
};
/* Slot i of them. */
INLINE slot_word *weak_slot(const struct weak_slots *s, size_t i)
{
    return (slot_word *)(s->first + i * s->size);
}

/* Receives what a visit finds. Public as gc_tracer. */
struct gc_tracer {
    /* A word of a slot (in the heap's value format), or a bare address. */
    void (*value)(struct gc_tracer *tracer, word value);
    /* A word of a C stack. It may be an address, perhaps of an object that is dead. */
    void (*stale)(struct gc_tracer *tracer, word value);
    gc_heap *heap;
    struct root_source source;
    /* Weak slots of the object that is being traced. NULL: they are of no interest. */
    void (*weak)(struct gc_tracer *tracer, const struct weak_slots *slots);
    /* Whether what an address leads to is marked. NULL, except in a marked callback. */
    bool (*marked)(struct gc_tracer *tracer, uintptr_t address);
    /* Whose trace function runs; 0: none does. */
    uintptr_t object;
    const gc_type *type;
};

/* Runs the trace function of an object's type. */
INLINE void tracer_object(struct gc_tracer *tracer, uintptr_t object, const gc_type *type)
{
    tracer->object = object;
    tracer->type = type;
    type->trace((void *)object, tracer);
    tracer->object = 0;
}

/* Passes a word to the tracer, unless it is 0: a slot's word in the heap's format, or an
 * address. */
INLINE void tracer_word(struct gc_tracer *tracer, word value)
{
    if (value)
        tracer->value(tracer, value);
}
INLINE void tracer_slot(struct gc_tracer *tracer, const slot_word *slot)
{
    word value = slot_load_acquire(slot);
    if (!value)
        return;
    tracer->source.slot = slot;
    tracer->value(tracer, value);
}
/* The words that follow are from there. */
INLINE void tracer_enter(struct gc_tracer *tracer, enum gc_holder by, const void *from)
{
    tracer->source.by = by;
    tracer->source.from = from;
    tracer->source.slot = NULL;
}

struct root_range {
    slot_word *base;
    slot_word **top; /* where the owner keeps the end; NULL: `end` is fixed */
    slot_word *end;
};

struct root_callback {
    gc_root_fn fn; /* of a marked callback: a gc_marked_fn */
    void *arg;
};

/* They grow by doubling; `items` is malloc'ed. */
struct root_ranges {
    struct root_range *items;
    size_t n, capacity;
};
struct root_callbacks {
    struct root_callback *items;
    size_t n, capacity;
};

/* Slots that one thread or fiber writes plainly. Owner: that thread; the collector while it has
 * claimed the thread. The frames of a running thread hang on gc_fast.frames instead. */
struct rootset {
    struct gc_frame *frames;
    struct root_ranges ranges;
    struct root_callbacks callbacks;
};

void rootset_free(struct rootset *set);
/* 0, -EEXIST, -ENOMEM. */
int rootset_add_range(struct rootset *set, struct root_range range);
int rootset_remove_range(struct rootset *set, const void *base);
int rootset_add_callback(struct root_callbacks *list, struct root_callback callback);
int rootset_remove_callback(struct root_callbacks *list, struct root_callback callback);
/* Visits ranges and callbacks; for frames see frame.h. */
void rootset_visit(const struct rootset *set, struct gc_tracer *tracer);

/* A handle is the address of its slot, which lies in a block. Blocks are aligned to their size, so
 * a slot's address tells its block. */
#define HANDLE_BLOCK_BYTES ((size_t)4096)
#define HANDLE_BLOCK_WORDS (HANDLE_BLOCK_BYTES / WORD_SIZE)
#define HANDLE_MAP_WORDS (HANDLE_BLOCK_WORDS / WORD_BITS)
#define HANDLE_SLOTS (HANDLE_BLOCK_WORDS - HANDLE_MAP_WORDS - 5)

struct handle_block {
    struct handle_block *next; /* in the list of all; the collector's once it is published */
    struct handle_block *next_open, **open_link; /* with a free slot; under lock */
    struct handles *handles;                     /* to which it belongs */
    size_t used;                                 /* slots in use; under lock */
    word taken[HANDLE_MAP_WORDS]; /* bit i: slot i is a handle; written under lock, atomic */
    slot_word slots[HANDLE_SLOTS];
};
_Static_assert(sizeof(struct handle_block) == HANDLE_BLOCK_BYTES,
               "a block is found by its alignment");

struct handles {
    struct lock lock;
    /* Written with release; the collector reads it without the lock. Only the collector takes
     * blocks out: those that are empty, under the lock, before it visits (I25). */
    struct handle_block *blocks;
    struct handle_block *open; /* under lock */
    size_t count;              /* number of blocks; under lock */
};

/* The rooted globals and heap callbacks. */
struct roots {
    struct lock lock;                /* LOCK_ROOTS */
    struct roottable globals;        /* under lock */
    struct root_callbacks callbacks; /* GC_ROOT_HEAP; under lock */
    struct root_callback running;    /* the one that runs, without the lock; under lock */
    size_t next;                     /* the one to run after it; under lock */
    uint32_t done;                   /* futex; increased whenever one has run */
    struct root_callbacks marked; /* marked callbacks; under lock; read while the world is held */
    uint8_t told;                 /* the log tells of a misuse of gc_is_marked(); atomic */
    struct handles handles;
};

#define ROOT_FORK_RANKS (LOCK_BIT(LOCK_ROOTS) | LOCK_BIT(LOCK_HANDLES))
extern const struct fork_part root_fork;

void roots_init(struct roots *r);
void roots_destroy(struct roots *r);
/* 0, -EEXIST, -ENOMEM. */
int roots_add(struct roots *r, void *base, size_t n);
/* How many slots are rooted at `base`; 0: it is not rooted. */
size_t roots_find(struct roots *r, const void *base);
/* When this returns, no thread looks at the slots any more. false: not rooted. */
bool roots_remove(struct roots *r, const void *base);
int roots_add_callback(struct roots *r, struct root_callback callback);
/* When this returns, the callback does not run. If `tracer` is not NULL, the callback is first
 * called once more. For while barriers are on, threads past their ROOTS may hold objects that the
 * collector has not yet found through this callback. */
int roots_remove_callback(struct roots *r, struct root_callback callback, struct gc_tracer *tracer);
/* Marked callbacks. 0, -EEXIST or -ENOENT, -ENOMEM. */
int roots_add_marked(struct roots *r, gc_marked_fn fn, void *arg);
int roots_remove_marked(struct roots *r, gc_marked_fn fn, void *arg);
bool roots_any_marked(struct roots *r);
/* Calls them. The world is held. */
void roots_call_marked(const struct roots *r, struct gc_tracer *tracer, bool decided);
/* Visits globals, handles and callbacks. One collector at a time; mutators go on. */
void roots_visit(struct roots *r, struct gc_tracer *tracer);
/* The rooted globals, without a look at their slots. fn must not root anything. */
void roots_each_global(struct roots *r, void (*fn)(void *arg, const slot_word *base, size_t n),
                       void *arg);
/* Whether a visit takes only microseconds, and there are no callbacks. */
bool roots_are_few(struct roots *r);
/* Whether there are heap callbacks. They may wait for a lock that a thread of the embedder
 * holds. */
bool roots_call_back(struct roots *r);

INLINE struct handle_block *handle_block_of(const void *handle)
{
    return (struct handle_block *)((uintptr_t)handle & ~(HANDLE_BLOCK_BYTES - 1));
}

/* The handles to which a handle belongs. */
INLINE const struct handles *handles_of(const void *handle)
{
    return handle_block_of(handle)->handles;
}

/* Whether the slot is a handle now. */
INLINE bool handle_is_taken(const void *handle)
{
    const struct handle_block *b = handle_block_of(handle);
    size_t i = (size_t)((const slot_word *)handle - b->slots);
    return word_load_relaxed(&b->taken[i / WORD_BITS]) >> i % WORD_BITS & 1;
}

/* Takes a free slot; NULL: no memory. */
slot_word *handles_take(struct handles *h);
/* Gives a slot back, which must hold 0. */
void handles_give(struct handles *h, slot_word *slot);

#endif
