/* Type descriptors: they are checked, registered (each gets a run index), and their masks and GC
 * programs are made ready for the allocator. All heaps share the registry. */
#ifndef GC_TYPE_INTERNAL_H
#define GC_TYPE_INTERNAL_H

#include "gcheap.h"
#include "base/forkpart.h"
#include "memory/heapbits.h"
#include "memory/shape.h"

/* What all cells of a run have in common. */
struct cell_bits {
    const word *mask; /* ptr_words bits; NULL with a program */
    size_t ptr_words; /* up to the last reference */
    const uint8_t *program;
    word pattern[2]; /* for cells of at most WORD_BITS words: see heapbits_pattern */
    gc_type *traced; /* the type, if the cells are those of a traced type; else NULL */
    struct cell_fill fill;
};

/* The shape of flexible objects with this head and elements of one type. */
struct tail_shape {
    word of;                  /* the element type's id; 0: free. Atomic */
    struct cell_shape *shape; /* NULL: there is none */
};
#define TYPE_TAILS 4 /* element types for which a head has a shape */

/* What the allocator needs to know of a type; made once, when the type is registered. */
struct type_info {
    gc_type *type;      /* a released static type may be gone */
    word id;            /* as in the type */
    uint32_t run;       /* likewise */
    size_t size;        /* of an object with its trace header, or with its spare byte */
    unsigned spare;     /* bytes behind an object or an array; see GC_TFLAG_ENDS */
    unsigned align;     /* of an object: type->align or its default */
    unsigned sizeclass; /* 0: large */
    unsigned spanclass;
    bool noscan;
    size_t words;             /* of an object's type->size, rounded up */
    struct cell_bits bits;    /* without references: mask and program are NULL */
    struct cell_shape *array; /* of arrays, if they have one */
    uint32_t array_known;     /* `array` is final. Atomic */
    struct tail_shape tails[TYPE_TAILS];
    struct type_info *next_head, **head_link; /* types that have tails; under LOCK_TYPES */
    bool owned;                               /* made by gc_type_create; else it is static */
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

/* The shape of arrays of this type, and of flexible objects of these two types. NULL: they have
 * none, and the heap bits of each are written by themselves if they have references. From then on
 * the inline paths know where such objects come from. Any thread. */
const struct cell_shape *type_array_shape(struct type_info *info);
const struct cell_shape *type_tail_shape(struct type_info *head, struct type_info *element);
/* Offset of the elements of such an object; see gc_new_flex. */
size_t type_tail_offset(const struct type_info *head, const struct type_info *element);

/* What the slots of such an object hold at first. NULL: it has no head, or no elements. */
struct cell_fill type_fill(const struct type_info *head, const struct type_info *element);

/* Writes the heap bits of one object. */
void type_write_bits(const struct cell_bits *bits, struct heapbits_sink *sink);
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

/* The work of gc_type_create() and gc_type_release(). A static type that was released may be
 * registered again, and then has another info. */
gc_type *type_create(const struct gc_type_spec *spec);
int type_release(gc_type *type);
/* Why the last descriptor or specification of the calling thread was refused. */
const char *type_error(void);
/* Sets that reason, and errno to EINVAL. Returns false. */
bool type_refuse(const char *why);

/* The name of the reference in that word of the type; NULL: it has none. *length: of the name. */
const char *type_field(const gc_type *type, size_t word_number, size_t *length);
/* Bit i of a type's mask. */
bool type_mask_bit(const uint64_t *mask, size_t i);
uint64_t type_hash_bytes(const void *bytes, size_t n, uint64_t seed);

#endif
