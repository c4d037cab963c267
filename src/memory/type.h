/* Type descriptors: validation, registration (run slots), masks and GC programs made ready for the
 * allocator. The registry is the library's only global state besides a thread-local pointer; it is
 * shared by all heaps. */
#ifndef GC_TYPE_INTERNAL_H
#define GC_TYPE_INTERNAL_H

#include "gcheap.h"
#include "memory/heapbits.h"

/* Run slots: 0 is always empty; then noscan by size class; then slots of variable shape by size
 * class, traced ones, and noscan ones that are not zeroed; then one per registered type with
 * references, while there are slots. */
#define RUN_SLOT_NOSCAN 0
#define RUN_SLOT_VARIABLE SIZECLASS_COUNT
#define RUN_SLOT_TRACED (2 * SIZECLASS_COUNT)
#define RUN_SLOT_RAW (3 * SIZECLASS_COUNT)
#define RUN_SLOT_TYPES (4 * SIZECLASS_COUNT)
#define RUN_SLOTS 4096

/* What the allocator wants to know of a type; made once, when it is registered. */
struct type_info {
    gc_type *type;
    size_t size;        /* of an object with its trace header */
    unsigned align;     /* of an object: type->align, its default filled in */
    unsigned sizeclass; /* 0: large */
    unsigned spanclass;
    bool noscan;
    size_t words;     /* of an object's type->size, rounded up */
    size_t ptr_words; /* up to the last reference */
    const word *mask; /* ptr_words bits; NULL with a program or without references */
    const uint8_t *program;
    word pattern[2];        /* slots of at most WORD_BITS words: see heapbits_pattern */
    bool owned;             /* from gc_type_create */
    uint64_t released;      /* when, by the number of heaps made until then; under LOCK_TYPES */
    struct type_info *next; /* of those released; likewise */
};

/* The info of a type; registers it first if need be. NULL: there is no type or the descriptor is
 * invalid (errno EINVAL; gc_type_error() says why), or memory is out (ENOMEM). Any thread. */
struct type_info *type_info_slow(gc_type *type);
INLINE struct type_info *type_info(gc_type *type)
{
    struct type_info *info =
        LIKELY(type != NULL) ? ptr_load_acquire((struct type_info **)&type->info) : NULL;
    return LIKELY(info != NULL) ? info : type_info_slow(type);
}

/* The run slots that runs of a span class may have, one after the other; 0: no more. Any thread:
 * what is in the list stays. */
unsigned type_slot_of_class(unsigned spanclass);
unsigned type_next_slot(unsigned slot);

/* Writes the heap bits of one object of the type at `object`. */
void type_write_bits(const struct type_info *info, struct heapbits_sink *sink);
/* Pads with zeros up to `words` words from the sink's start, or repeats the element. */
void type_write_array(const struct type_info *info, struct heapbits_sink *sink, size_t n);

/* A heap, as the registry knows it. A released type is freed when the heaps are gone that were
 * there when it was released: only they may hold objects of it. */
struct type_user {
    uint64_t since; /* its number among all heaps made */
    struct type_user *next, **link;
};
void type_heap_created(struct type_user *heap);
/* The heap holds no objects any more. */
void type_heap_destroyed(struct type_user *heap);

/* fork: the registry's lock is held across it. */
void type_fork_prepare(void);
void type_fork_done(void);

/* Bit i of a mask as types have them. */
bool type_mask_bit(const uint64_t *mask, size_t i);
uint64_t type_hash_bytes(const void *bytes, size_t n, uint64_t seed);

#endif
