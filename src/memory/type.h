/* Type descriptors: they are checked, registered (each gets a run index), and their masks and GC
 * programs are made ready for the allocator. All heaps share the registry. */
#ifndef GC_TYPE_INTERNAL_H
#define GC_TYPE_INTERNAL_H

#include "gcheap.h"
#include "base/forkpart.h"
#include "memory/heapbits.h"

/* Run indexes. Each of the following has one per size class, in this order: noscan types (index 0
 * is always empty), types of variable shape, traced types, and noscan ones that are not zeroed.
 * Then comes one for each registered type with references, while there are indexes left. */
#define RUN_NOSCAN 0
#define RUN_VARIABLE SIZECLASS_COUNT
#define RUN_TRACED (2 * SIZECLASS_COUNT)
#define RUN_RAW (3 * SIZECLASS_COUNT)
#define RUN_TYPES (4 * SIZECLASS_COUNT)
#define RUN_INDEXES 4096
_Static_assert(RUN_TYPES < RUN_INDEXES && RUN_INDEXES - 1 <= UINT16_MAX, "lists of run indexes");
/* What the inline paths of gcheap.h know of them. */
_Static_assert(RUN_NOSCAN == 0, "gc_bytes_slot holds size classes");
_Static_assert(GC_BYTES_RAW_SLOTS == RUN_RAW - RUN_NOSCAN, "gc_new_bytes_raw");

/* What the allocator needs to know of a type; made once, when the type is registered. */
struct type_info {
    gc_type *type;
    size_t size;        /* of an object with its trace header */
    unsigned align;     /* of an object: type->align or its default */
    unsigned sizeclass; /* 0: large */
    unsigned spanclass;
    bool noscan;
    size_t words;     /* of an object's type->size, rounded up */
    size_t ptr_words; /* up to the last reference */
    const word *mask; /* ptr_words bits; NULL with a program or without references */
    const uint8_t *program;
    word pattern[2];   /* for cells of at most WORD_BITS words: see heapbits_pattern */
    bool owned;        /* made by gc_type_create */
    uint64_t released; /* the number of heaps that were made before its release; under LOCK_TYPES */
    struct type_info *next; /* next released type; under LOCK_TYPES */
};

/* The info of a type, which is registered first if it is not yet. NULL: the type is NULL or the
 * descriptor invalid (errno EINVAL; gc_type_error() says why), or there is no memory (ENOMEM). Any
 * thread. */
struct type_info *type_info_slow(gc_type *type);
INLINE struct type_info *type_info(gc_type *type)
{
    struct type_info *info =
        LIKELY(type != NULL) ? ptr_load_acquire((struct type_info **)&type->info) : NULL;
    return LIKELY(info != NULL) ? info : type_info_slow(type);
}

/* The first and the next of the run indexes of a span class; 0: no more. Any thread, as an index
 * never leaves the list. */
unsigned type_run_of_class(unsigned spanclass);
unsigned type_next_run(unsigned run);

/* Writes the heap bits of one object of the type. */
void type_write_bits(const struct type_info *info, struct heapbits_sink *sink);
/* Writes the heap bits of n adjacent elements of the type. */
void type_write_array(const struct type_info *info, struct heapbits_sink *sink, size_t n);

/* A heap, as the registry knows it. A released type is freed when all heaps are gone that existed
 * when it was released: only they may hold objects of it. */
struct type_user {
    uint64_t since; /* the heap's number among all heaps that were made */
    struct type_user *next, **link;
};
void type_heap_created(struct type_user *heap);
/* Called when the heap holds no objects any more. */
void type_heap_destroyed(struct type_user *heap);

#define TYPE_FORK_RANKS LOCK_BIT(LOCK_TYPES)
extern const struct fork_part type_fork;

/* The work of gc_type_create() and gc_type_release(). */
gc_type *type_create(const struct gc_type_spec *spec);
int type_release(gc_type *type);
/* Why the last descriptor or specification of the calling thread was refused. */
const char *type_error(void);
/* Sets that reason, and errno to EINVAL. Returns false. */
bool type_refuse(const char *why);

/* Bit i of a type's mask. */
bool type_mask_bit(const uint64_t *mask, size_t i);
uint64_t type_hash_bytes(const void *bytes, size_t n, uint64_t seed);

#endif
