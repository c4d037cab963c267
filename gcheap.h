/* gcheap: a garbage-collected runtime heap to embed in interpreters and language VMs.
 * SPDX-License-Identifier: MIT
 *
 * Five ideas: a heap, types, root frames, stores, collections.
 *
 *   heap    gc_heap_create() makes one and attaches the calling thread to it.
 *   type    GC_TYPE() says which fields of a C struct are pointers.
 *   roots   GC_FRAME() names the locals that keep objects alive.
 *   store   gc_store() writes a pointer into an object, a global or a handle.
 *   collect happens by itself; gc_collect() asks for one and waits.
 *
 * Rules that hold everywhere
 *   Objects never move: an address is an identity, and C code may hold it as long as some root
 *   reaches the object.
 *   A call that succeeds leaves errno as it was.
 *   Calls that return a pointer return NULL and set errno (ENOMEM, EINVAL, EPERM); the others
 *   return 0 or a negative errno. EPERM: the calling thread has no current heap, is in a blocking
 *   region, or runs a function that the collector calls; a line in the log says so, once for each
 *   thread and kind of mistake.
 *   Unless a comment says otherwise a call concerns the calling thread's current heap and may be
 *   made by any attached thread that is not in a blocking region. docs/reference.md has a table of
 *   all calls.
 *   "Safepoint": a call that may let a collection make progress. Every allocation is one. Between
 *   two safepoints of a thread the collector asks nothing of it.
 *   Sizes are in bytes and times in nanoseconds where nothing else is said.
 */
#ifndef GCHEAP_H
#define GCHEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GC_VERSION_MAJOR 1
#define GC_VERSION_MINOR 1
#define GC_VERSION_PATCH 0
#define GC_VERSION (GC_VERSION_MAJOR * 10000 + GC_VERSION_MINOR * 100 + GC_VERSION_PATCH)

/* The layouts and calls that a compiled program relies on, as one number: that of the soname, and
 * part of the name that gc_self has for the linker. docs/versions.md says what raises it. */
#define GC_ABI 2

#if defined(__cplusplus)
#define GC_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define GC_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#define GC_LIKELY(x) __builtin_expect(!!(x), 1)
#define GC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define GC_API __attribute__((visibility("default")))

typedef struct gc_heap gc_heap;
typedef struct gc_type gc_type;
typedef struct gc_thread gc_thread;
typedef struct gc_fiber gc_fiber;
typedef struct gc_handle gc_handle;
typedef struct gc_weak gc_weak;
typedef struct gc_weakmap gc_weakmap;
typedef struct gc_intern gc_intern;
typedef struct gc_tracer gc_tracer;

/* GC_VERSION of the library that runs; the header's is that of the program. Any thread. Never
 * fails. */
GC_API unsigned gc_version(void);

/* ------------------------------------------------------------------------------------------
 * The fast struct: all that the inline paths touch. One per attached thread; the only
 * thread-local variable of the library points to the calling thread's. Fields are the library's;
 * read-only for everyone else.
 */

/* A run: free slots, already zeroed and typed, that this thread's processor may hand out. */
struct gc_run {
    uintptr_t cursor; /* next free slot; equal to limit when the run is used up. Any thread reads */
    uintptr_t limit;
    uintptr_t size; /* distance of two slots */
    void *span;
};

/* One GC_FRAME: the addresses of n slots, or n adjacent slots. */
struct gc_frame {
    struct gc_frame *prev;
    size_t n;
    void *const *slots; /* the slots' addresses; NULL when adjacent */
    void *base;         /* first of the adjacent slots */
};

struct gc_fast {
    struct gc_run *runs;     /* indexed by run slot; slot 0 is always empty */
    uint8_t barrier;         /* non-zero: gc_store must call the barrier. Written in handshakes */
    uint8_t poll;            /* non-zero: the next safepoint has work. Written by any thread */
    struct gc_frame *frames; /* innermost GC_FRAME */
};

#define GC_TLS __thread __attribute__((tls_model("initial-exec")))

#define GC_STRING_(x) #x
#define GC_STRING(x) GC_STRING_(x)
/* What the linker calls a variable whose type this header shares with the library. */
#define GC_ABI_NAME(name)                                                                          \
    __asm__(GC_STRING(__USER_LABEL_PREFIX__) GC_STRING(name) "_abi_" GC_STRING(GC_ABI))

/* The calling thread's fast struct in its current heap; an empty one when it has none. Every inline
 * path reads it: code that was compiled for another GC_ABI than the library's does not link, nor
 * does a plugin of it load. An undefined gc_self_abi_… says that the library is not the one that
 * this header came with. */
__extension__ extern GC_API GC_TLS struct gc_fast *gc_self GC_ABI_NAME(gc_self);

/* ------------------------------------------------------------------------------------------
 * Types
 */

/* What a type is; the numbers are those of Go's runtime. Informative but for the flags. */
enum gc_kind {
    GC_KIND_BOOL = 1,
    GC_KIND_INT,
    GC_KIND_INT8,
    GC_KIND_INT16,
    GC_KIND_INT32,
    GC_KIND_INT64,
    GC_KIND_UINT,
    GC_KIND_UINT8,
    GC_KIND_UINT16,
    GC_KIND_UINT32,
    GC_KIND_UINT64,
    GC_KIND_UINTPTR,
    GC_KIND_FLOAT32,
    GC_KIND_FLOAT64,
    GC_KIND_COMPLEX64,
    GC_KIND_COMPLEX128,
    GC_KIND_ARRAY,
    GC_KIND_CHAN,
    GC_KIND_FUNC,
    GC_KIND_INTERFACE,
    GC_KIND_MAP,
    GC_KIND_PTR,
    GC_KIND_SLICE,
    GC_KIND_STRING,
    GC_KIND_STRUCT,
    GC_KIND_UNSAFE_POINTER,
    GC_KIND_DIRECT_IFACE = 1 << 5, /* flag: a value of this type is itself one pointer */
    GC_KIND_GCPROG = 1 << 6,       /* flag: gcdata is a GC program, not a mask */
    GC_KIND_MASK = (1 << 5) - 1
};

/* gc_type.tflag */
enum gc_tflag {
    GC_TFLAG_UNCOMMON = 1 << 0,   /* the embedder keeps data of its own beside the type */
    GC_TFLAG_EXTRA_STAR = 1 << 1, /* name begins with a '*' that is not part of it */
    GC_TFLAG_NAMED = 1 << 2,
    GC_TFLAG_REGULAR_MEMORY = 1 << 3 /* equal objects are equal bytes */
};

/* Words that an inline mask covers: fields of a GC_TYPE lie below GC_MASK_WORDS * 64 words. */
#define GC_MASK_WORDS 16

/* Visits what an object of a traced type holds. Calls gc_trace_slot()/gc_trace_ref() for each
 * reference outside the mask. Runs on any thread, while mutators run: it may read only memory that
 * the object owns and that changes as gc_store() changes it. It must not allocate or block. */
typedef void (*gc_trace_fn)(void *object, gc_tracer *tracer);

/* A type descriptor. It must outlive every heap that holds an object of it, unless it comes from
 * gc_type_create(), and must not change once an object was made. Fill it with GC_TYPE() or let
 * gc_type_create() make it. */
struct gc_type {
    size_t size;          /* of one object (of the head, for flexible objects) */
    size_t ptrdata;       /* bytes up to and including the last pointer; 0: taken from the mask */
    uint32_t hash;        /* identifies the type's content; 0: computed when first used */
    uint8_t tflag;        /* enum gc_tflag */
    uint8_t kind;         /* enum gc_kind, with flags */
    uint16_t align;       /* of an object, and of where it begins in a gc_new_flex: a power of two
                             up to 8192, with references at least a word's; 0: a word's */
    uint16_t field_align; /* of a field of this type; 0: like align. Informative */
    uint16_t reserved;
    bool (*equal)(const void *a, const void *b); /* NULL: not comparable, or by bytes (tflag) */
    uint64_t (*hash_object)(const void *object, uint64_t seed); /* NULL: by bytes (tflag) */
    const void *gcdata; /* uint64_t mask words (bit i of word i/64: word i of the object is a
                           pointer), or the bytes of a GC program; NULL: inline_mask holds them */
    const char *name;
    gc_trace_fn trace; /* NULL: the mask says it all */
    uint64_t inline_mask[GC_MASK_WORDS];
    /* The library's, set when the type is first used. */
    uint32_t run; /* run slot; 0: not registered */
    uint32_t state;
    void *info;
};

/* GC_TYPE(name, T, field, …): defines the gc_type `name` for the C type T, whose fields named
 * here (at most 32, each a pointer or a 64-bit value word) are references. Write `static` before
 * it for internal linkage. That a field has a word's size and alignment is checked at compile
 * time. GC_TYPE_NOPTR(name, T): a type without references. */
#define GC_TYPE(name, T, ...)                                                                      \
    gc_type name = GC_TYPE_INIT(#T, T, GC_MASK_ALL(T, __VA_ARGS__));                               \
    GC_MAP(GC_CHECK_FIELD, T, 0, __VA_ARGS__)                                                      \
    GC_CHECK_ALIGN(T);                                                                             \
    GC_STATIC_ASSERT(GC_ALIGNOF(T) % sizeof(void *) == 0,                                          \
                     "GC_TYPE: " #T " has not the alignment of a pointer: is it packed?");         \
    GC_STATIC_ASSERT(GC_NARGS(__VA_ARGS__) <= 32, "GC_TYPE takes at most 32 fields")
#define GC_TYPE_NOPTR(name, T)                                                                     \
    gc_type name = GC_TYPE_INIT(#T, T, 0);                                                         \
    GC_CHECK_ALIGN(T);                                                                             \
    GC_STATIC_ASSERT(sizeof(T) > 0, "GC_TYPE_NOPTR needs a complete type")

#define GC_TYPE_INIT(text, T, ...)                                                                 \
    {                                                                                              \
        sizeof(T), 0, 0, GC_TFLAG_NAMED, GC_KIND_STRUCT, (uint16_t)GC_ALIGNOF(T),                  \
            (uint16_t)GC_ALIGNOF(T), 0, NULL, NULL, NULL, text, NULL, {__VA_ARGS__}, 0, 0, NULL    \
    }
#ifdef __cplusplus
#define GC_ALIGNOF(T) alignof(T)
#else
#define GC_ALIGNOF(T) _Alignof(T)
#endif
#define GC_ALIGN_MAX 8192
#define GC_CHECK_ALIGN(T)                                                                          \
    GC_STATIC_ASSERT(GC_ALIGNOF(T) <= GC_ALIGN_MAX,                                                \
                     "GC_TYPE: the alignment of " #T " is above 8192")

#define GC_CHECK_FIELD(T, unused, field)                                                           \
    GC_STATIC_ASSERT(sizeof(((T *)0)->field) == sizeof(void *),                                    \
                     "GC_TYPE: field " #field " has not the size of a pointer");                   \
    GC_STATIC_ASSERT(offsetof(T, field) % sizeof(void *) == 0,                                     \
                     "GC_TYPE: field " #field " is not aligned like a pointer");                   \
    GC_STATIC_ASSERT(offsetof(T, field) / sizeof(void *) < GC_MASK_WORDS * 64,                     \
                     "GC_TYPE: field " #field " lies too far out: use gc_type_create");

#define GC_MASK_BIT(T, i, field)                                                                   \
    | (offsetof(T, field) / sizeof(void *) / 64 == (i)                                             \
           ? (uint64_t)1 << (offsetof(T, field) / sizeof(void *) % 64)                             \
           : 0)
#define GC_MASK_WORD(T, i, ...) ((uint64_t)0 GC_MAP(GC_MASK_BIT, T, i, __VA_ARGS__))
#define GC_MASK_ALL(T, ...)                                                                        \
    GC_MASK_WORD(T, 0, __VA_ARGS__), GC_MASK_WORD(T, 1, __VA_ARGS__),                              \
        GC_MASK_WORD(T, 2, __VA_ARGS__), GC_MASK_WORD(T, 3, __VA_ARGS__),                          \
        GC_MASK_WORD(T, 4, __VA_ARGS__), GC_MASK_WORD(T, 5, __VA_ARGS__),                          \
        GC_MASK_WORD(T, 6, __VA_ARGS__), GC_MASK_WORD(T, 7, __VA_ARGS__),                          \
        GC_MASK_WORD(T, 8, __VA_ARGS__), GC_MASK_WORD(T, 9, __VA_ARGS__),                          \
        GC_MASK_WORD(T, 10, __VA_ARGS__), GC_MASK_WORD(T, 11, __VA_ARGS__),                        \
        GC_MASK_WORD(T, 12, __VA_ARGS__), GC_MASK_WORD(T, 13, __VA_ARGS__),                        \
        GC_MASK_WORD(T, 14, __VA_ARGS__), GC_MASK_WORD(T, 15, __VA_ARGS__)

/* GC_REF(T): a field type for "pointer to T" to which nothing can be assigned: a store that
 * forgets the barrier does not compile. Read with GC_GET(object->field), write with
 * GC_SET(&object->field, value). */
#define GC_REF(T)                                                                                  \
    struct {                                                                                       \
        T *const gc_ref_value;                                                                     \
    }
#define GC_GET(ref) ((ref).gc_ref_value)
#define GC_SET(ref, value)                                                                         \
    ((void)sizeof((ref)->gc_ref_value == (value)), gc_store((void *)(ref), (void *)(value)))

/* Ready-made types. */
extern GC_API gc_type gc_pointer_type; /* one reference; for arrays of references */
extern GC_API gc_type gc_word_type;    /* one 64-bit value word in the heap's value format */

/* Describes a type to gc_type_create(). Zero fields mean "default". */
struct gc_type_spec {
    const char *name;
    size_t size;
    size_t align;
    size_t ptrdata;         /* 0: taken from the mask; required with a program */
    const uint64_t *mask;   /* NULL: no references (or `program`) */
    size_t mask_bits;       /* valid bits in mask; at most size / word */
    const uint8_t *program; /* GC program; see gc_prog_* */
    size_t program_size;
    uint8_t kind; /* without flags; 0: GC_KIND_STRUCT */
    uint8_t tflag;
    bool (*equal)(const void *a, const void *b);
    uint64_t (*hash_object)(const void *object, uint64_t seed);
    gc_trace_fn trace;
};

/* Makes a type at run time; copies all that `spec` points to. No thread need be attached.
 * NULL with EINVAL: size 0 with references, ptrdata beyond size or not equal to the end of the
 * last reference, a mask bit beyond ptrdata, an alignment that is no power of two or above 8192, a
 * program that is malformed or writes past size. gc_type_error() then says which, in words. */
GC_API gc_type *gc_type_create(const struct gc_type_spec *spec);

/* Gives up a type made by gc_type_create(). Heaps that exist at this moment may hold objects of it:
 * its memory is kept until they are destroyed. -EINVAL: a static type, NULL, or one that was
 * released. */
GC_API int gc_type_release(gc_type *type);

/* Checks a descriptor and assigns its run slot, as the first gc_new() would. 0 or -EINVAL. */
GC_API int gc_type_register(gc_type *type);

/* Why the calling thread's last type was refused; a static string, never NULL. */
GC_API const char *gc_type_error(void);

/* a and b are objects of `type`: are they equal (type->equal, or bytes if the type is regular
 * memory)? false if the type is not comparable, or NULL. */
GC_API bool gc_type_equal(const gc_type *type, const void *a, const void *b);
/* Hash of an object of `type` such that equal objects hash alike; 0 if the type is not hashable, or
 * NULL. */
GC_API uint64_t gc_type_hash(const gc_type *type, const void *object, uint64_t seed);

/* GC programs describe large repetitive shapes in few bytes (the encoding of Go's runtime):
 *   0x00           stop
 *   0nnnnnnn       emit the n (1…127) bits in the next ceil(n/8) bytes, lowest first
 *   1nnnnnnn c     repeat the last n bits c times more; n = 0: n follows as a varint; c is a varint
 * To nest, a repetition repeats what an earlier one made. A builder: */
struct gc_prog {
    uint8_t *bytes; /* the caller's buffer */
    size_t size, capacity;
    int error; /* 0, or -ENOSPC / -EINVAL of the first call that failed */
};
GC_API void gc_prog_begin(struct gc_prog *prog, void *buffer, size_t capacity);
/* Appends n mask bits (n >= 0), lowest bit of bits[0] first. */
GC_API void gc_prog_emit(struct gc_prog *prog, const uint64_t *bits, size_t n);
/* Repeats the last n bits, count times more. */
GC_API void gc_prog_repeat(struct gc_prog *prog, size_t n, size_t count);
/* Ends the program; returns 0 or prog->error. */
GC_API int gc_prog_end(struct gc_prog *prog);

/* ------------------------------------------------------------------------------------------
 * Heaps
 */

/* gc_options.flags */
enum gc_flags {
    GC_STOP_WORLD = 1 << 0,         /* mark with all mutators held; barriers are not needed */
    GC_STACK_CONSERVATIVE = 1 << 1, /* threads scan their C stacks too */
    GC_FORK_SAFE = 1 << 2,          /* the child of a fork has a working heap */
    GC_NO_BACKGROUND = 1 << 3,      /* no thread of the library's: mutators do all collecting */
    GC_FINALIZER_THREAD = 1 << 4,   /* a library thread runs finalizers; else gc_finalizers_run */
    GC_HUGE_PAGES = 1 << 5,         /* ask the OS for huge pages under all of the heap; otherwise
                                       only beyond the first 64 MiB */
    GC_NO_HUGE_PAGES = 1 << 6       /* never */
};

#define GC_PERCENT_OFF (-1)
#define GC_WATCHDOG_OFF (~0u)

/* Which words are references when slots hold tagged or boxed values. With a mask, a word is a
 * reference if (word & mask) == match, and then its address is word & payload, or if it is a plain
 * address aligned to 8. Without one (all zero) every word is an address, which may point into the
 * middle of its object. What lies outside the heap's arenas is no reference. 64-bit hosts only. */
typedef struct gc_value_format {
    uint64_t mask, match, payload;
} gc_value_format;

enum gc_log_level { GC_LOG_TRACE, GC_LOG_INFO, GC_LOG_WARNING, GC_LOG_ERROR };

/* Options of a heap. Zero in a field means its default, so `gc_options o = {0};` is complete. */
typedef struct gc_options {
    unsigned flags;        /* enum gc_flags */
    int percent;           /* how much may be allocated before a cycle ends, in % of what is live;
                              default 100; GC_PERCENT_OFF: only gc_collect() and the limit */
    size_t min_heap;       /* no cycle below this heap size at 100 %; default 4 MiB */
    size_t limit;          /* soft limit on the memory the heap takes; 0: none */
    size_t hard_limit;     /* allocation fails beyond; 0: none */
    unsigned max_procs;    /* threads that run managed code at once; default: the CPUs, 1…256 */
    unsigned mark_workers; /* threads that mark at once; default: max_procs */
    size_t reserve;        /* one contiguous reservation of this size (rounded up to arenas), and
                              the heap never outgrows it; 0: grow arena by arena */
    gc_value_format format;
    void *user; /* passed to the functions below */
    /* Called when memory is exhausted, after a full collection did not help and before the call
     * returns NULL. Return true to try once more. Runs on the allocating thread; may let go of
     * memory and objects (and collect before it returns); what it allocates may call it again.
     * May be left by longjmp. */
    bool (*out_of_memory)(void *user, size_t size);
    /* Receives each line the heap has to say; default: standard error. Any thread, also in the
     * middle of a cycle: it uses no heap (EPERM), and returns. */
    void (*log)(void *user, enum gc_log_level level, const char *line);
    unsigned watchdog_ms; /* say which thread keeps a handshake waiting though it ran or slept this
                             long; default 100; GC_WATCHDOG_OFF: never */
    const char *debug;    /* like the environment variable GCHEAP_DEBUG, which comes after it */
} gc_options;

/* Makes a heap and attaches the calling thread to it. NULL options: defaults.
 * NULL with EINVAL (an option out of range, which the log names; or a thread's stack as for
 * gc_thread_attach()), ENOMEM, EAGAIN (no key for thread-local data is left), EPERM, or ENOTSUP
 * (GC_STACK_CONSERVATIVE where the bounds of the thread's stack cannot be found). */
GC_API gc_heap *gc_heap_create(const gc_options *options);

/* Frees a heap with all its objects; runs no finalizers: those of live objects and those queued are
 * dropped. A finalizer that the library's thread is running is waited for. The calling thread may
 * be attached (it is detached then). -EBUSY: another thread is attached, or the caller is a
 * finalizer or cleanup of this heap, or runs on the library's thread of a heap that a finalizer of
 * this one is destroying (they would wait for each other); -EINVAL: NULL; -EPERM: the heap is
 * closed after a fork. Nothing was done then. */
GC_API int gc_heap_destroy(gc_heap *heap);

/* The heap that the calling thread uses now; NULL: none. Never fails. */
GC_API gc_heap *gc_heap_current(void);

/* The options in force, every default filled in. */
GC_API const gc_options *gc_heap_options(const gc_heap *heap);

/* ------------------------------------------------------------------------------------------
 * Threads
 */

/* Attaches the calling thread to the heap and makes that heap its current one. A thread may be
 * attached to several heaps; all but the current one see it as blocked.
 * -EEXIST: already attached; -ENOMEM; -EPERM: the thread has all but ended, or the heap is closed
 * after a fork; -ENOTSUP: GC_STACK_CONSERVATIVE, and the bounds of the thread's stack cannot be
 * found; -EINVAL: NULL, or less than 13 KiB of the thread's C stack are left, which calls may need.
 */
GC_API int gc_thread_attach(gc_heap *heap);

/* Detaches from the current heap; the thread then has no current heap. -EPERM: not attached;
 * -EBUSY: a GC_FRAME or a fiber of this thread is still open, or it is in a blocking region, or it
 * runs a finalizer or cleanup of this heap. */
GC_API int gc_thread_detach(void);

/* Makes another heap the current one (NULL: none; the thread is blocked in all of them then).
 * -ENOENT: not attached to that heap. */
GC_API int gc_thread_switch(gc_heap *heap);

/* Names the calling thread in the heap's messages; copies up to 31 bytes. */
GC_API int gc_thread_name(const char *name);

/* The thread scans its C stack conservatively from now on (or no longer). Costs a scan of the
 * stack in use per cycle. -ENOTSUP if the stack's bounds cannot be found. For C stacks of your own
 * see gc_fiber_stack(). */
GC_API int gc_thread_scan_stack(bool on);

GC_API void gc_safepoint_slow(void);

/* The flag, which another thread may set at any time. Told that it changes, the compiler tests it
 * in memory, for which it would not fold an atomic load; ThreadSanitizer wants to see the atomic
 * one. */
#if defined(__SANITIZE_THREAD__)
#define GC_SANITIZE_THREAD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GC_SANITIZE_THREAD 1
#endif
#endif
#ifdef GC_SANITIZE_THREAD
#define GC_POLL(self) __atomic_load_n(&(self)->poll, __ATOMIC_RELAXED)
#else
#define GC_POLL(self)                                                                              \
    (__extension__({                                                                               \
        __asm__ volatile("" : "+m"((self)->poll));                                                 \
        (self)->poll;                                                                              \
    }))
#endif

/* A safepoint: call it in loops that do not allocate. Three instructions when idle. */
static inline void gc_safepoint(void)
{
    struct gc_fast *self = gc_self;
    if (GC_UNLIKELY(GC_POLL(self)))
        gc_safepoint_slow();
}

/* Between these two the thread may block in the OS for as long as it likes; it must not touch the
 * heap, but what it has rooted stays alive. They nest. 0, or -EPERM. Cost: tens of nanoseconds. */
GC_API int gc_blocking_begin(void);
GC_API int gc_blocking_end(void);

/* ------------------------------------------------------------------------------------------
 * Allocation
 *
 * All memory is zeroed, but for gc_new_bytes_raw. NULL with ENOMEM: the OS or a limit refused; the
 * heap stays usable. Every allocation is a safepoint: what is not rooted may be collected in it. A
 * fresh object's fields may be assigned plainly until the thread's next safepoint. NULL with
 * EINVAL: the type is NULL, or gc_type_register() would refuse it; gc_new() alone reads what it
 * gets.
 */

GC_API void *gc_new_slow(gc_type *type);
/* One object. The fast path is about ten instructions, none of which looks for a NULL type. */
static inline void *gc_new(gc_type *type)
{
    struct gc_run *run = &gc_self->runs[__atomic_load_n(&type->run, __ATOMIC_RELAXED)];
    uintptr_t p = run->cursor;
    if (GC_UNLIKELY(p == run->limit))
        return gc_new_slow(type);
    __atomic_store_n(&run->cursor, p + run->size, __ATOMIC_RELAXED);
    return (void *)p;
}

/* An array of n elements of `type`, adjacent. n = 0 gives the address of every zero-size object.
 * ENOMEM also for sizes that overflow. EINVAL also for a traced type, and for one with references
 * whose size is no multiple of the word. */
GC_API void *gc_new_array(gc_type *type, size_t n);

/* An object of type `head` that ends in n elements of type `element`: the elements begin at
 * head->size rounded up to the element's alignment. */
GC_API void *gc_new_flex(gc_type *head, gc_type *element, size_t n);

GC_API void *gc_new_bytes_slow(size_t size);
/* Pointer-free memory, aligned to 8. 0 bytes: the address of every object of no bytes. */
#define GC_INLINE_BYTES_MAX 1024
extern GC_API const uint8_t gc_bytes_slot[GC_INLINE_BYTES_MAX / 8 + 1];
static inline void *gc_new_bytes(size_t size)
{
    if (GC_LIKELY(size <= GC_INLINE_BYTES_MAX)) {
        struct gc_run *run = &gc_self->runs[gc_bytes_slot[(size + 7) / 8]];
        uintptr_t p = run->cursor;
        if (GC_LIKELY(p != run->limit)) {
            __atomic_store_n(&run->cursor, p + run->size, __ATOMIC_RELAXED);
            return (void *)p;
        }
    }
    return gc_new_bytes_slow(size);
}

GC_API void *gc_new_bytes_raw_slow(size_t size);
/* The same, not zeroed: what it holds is undefined until it is written, and may be what an object
 * that died has left. For buffers and strings that are filled at once. */
#define GC_BYTES_RAW_SLOTS 204
static inline void *gc_new_bytes_raw(size_t size)
{
    if (GC_LIKELY(size <= GC_INLINE_BYTES_MAX)) {
        struct gc_run *run = &gc_self->runs[gc_bytes_slot[(size + 7) / 8] + GC_BYTES_RAW_SLOTS];
        uintptr_t p = run->cursor;
        if (GC_LIKELY(p != run->limit)) {
            __atomic_store_n(&run->cursor, p + run->size, __ATOMIC_RELAXED);
            return (void *)p;
        }
    }
    return gc_new_bytes_raw_slow(size);
}

/* The bytes an allocation of `size` would take: its size class. */
GC_API size_t gc_size_class(size_t size);

/* Tells the pacer that `object` owns this many bytes more (or fewer) outside the heap. They count
 * as live with the object and towards the goal, and are forgotten when it dies. A safepoint if
 * bytes > 0, in which object itself is kept alive. 0, -EINVAL (no object; a sum below 0 or beyond
 * PTRDIFF_MAX), -ENOMEM, -EPERM. */
GC_API int gc_external_add(void *object, ptrdiff_t bytes);

/* ------------------------------------------------------------------------------------------
 * References
 *
 * A slot is a pointer field of an object, a rooted global or a handle. Pointer slots are written
 * through these calls only (locals in GC_FRAMEs are plain variables). gc_store releases, gc_load
 * acquires: whoever loads a reference sees all that its storer wrote to the object before. A thread
 * without a heap, or in a blocking region, stores without the barrier, and the log says so.
 */

GC_API void gc_barrier_store(void *slot, void *value);
/* *slot = value. Release. Four instructions while no marking runs. */
static inline void gc_store(void *slot, void *value)
{
    typedef void *__attribute__((may_alias)) gc_slot_word;
    if (GC_UNLIKELY(gc_self->barrier))
        gc_barrier_store(slot, value);
    __atomic_store_n((gc_slot_word *)slot, value, __ATOMIC_RELEASE);
}

/* *slot. Acquire. */
static inline void *gc_load(const void *slot)
{
    typedef void *__attribute__((may_alias)) gc_slot_word;
    return __atomic_load_n((gc_slot_word const *)slot, __ATOMIC_ACQUIRE);
}

GC_API void gc_barrier_store_value(uint64_t *slot, uint64_t value);
/* The same for words in the heap's value format. 64-bit hosts. */
static inline void gc_store_value(uint64_t *slot, uint64_t value)
{
    typedef uint64_t __attribute__((may_alias)) gc_slot_word;
    if (GC_UNLIKELY(gc_self->barrier))
        gc_barrier_store_value(slot, value);
    __atomic_store_n((gc_slot_word *)slot, value, __ATOMIC_RELEASE);
}
static inline uint64_t gc_load_value(const uint64_t *slot)
{
    typedef uint64_t __attribute__((may_alias)) gc_slot_word;
    return __atomic_load_n((gc_slot_word const *)slot, __ATOMIC_ACQUIRE);
}

/* If *slot is `expected`, makes it `desired`. Sequentially consistent. Returns whether it did. */
GC_API bool gc_cas(void *slot, void *expected, void *desired);
GC_API bool gc_cas_value(uint64_t *slot, uint64_t expected, uint64_t desired);

/* memmove of `bytes` (a multiple of the word) between pointer slots, word by word: each is loaded
 * with acquire and stored with release, with the barriers that gc_store would run. `target` lies in
 * one object, or in no object (a rooted range): then every word is taken for a reference. */
GC_API void gc_copy(void *target, const void *source, size_t bytes);
/* memset 0, likewise. */
GC_API void gc_clear(void *target, size_t bytes);

/* Keeps the object alive up to this call. */
static inline void gc_keep_alive(const void *object)
{
    __asm__ volatile("" : : "g"(object) : "memory");
}

/* ------------------------------------------------------------------------------------------
 * Roots
 */

/* GC_FRAME(local, …): these locals (at most 32, word-sized, initialised) are roots until the
 * enclosing block ends, however it ends, but not by longjmp (see gc_frame_mark) or a computed goto;
 * and nothing may jump into the block past it. */
#define GC_FRAME(...) GC_FRAME_(GC_UNIQUE(gc_slots_), GC_UNIQUE(gc_frame_), __VA_ARGS__)
#define GC_FRAME_(slots_, frame_, ...)                                                             \
    void *const slots_[] = {GC_MAP(GC_SLOT_ADDRESS, 0, 0, __VA_ARGS__)};                           \
    struct gc_frame __attribute__((cleanup(gc_frame_pop)))                                         \
    frame_ = {gc_self->frames, sizeof slots_ / sizeof slots_[0], slots_, NULL};                    \
    gc_self->frames = &frame_
#define GC_SLOT_ADDRESS(unused, unused2, local)                                                    \
    (void *)((char *)&(local) + 0 * sizeof(char[sizeof(local) == sizeof(void *) ? 1 : -1])),

/* GC_FRAME_ARRAY(array, n): the first n words of an array or memory block are roots likewise. */
#define GC_FRAME_ARRAY(array, n) GC_FRAME_ARRAY_(GC_UNIQUE(gc_frame_), array, n)
#define GC_FRAME_ARRAY_(frame_, array, n)                                                          \
    struct gc_frame __attribute__((cleanup(gc_frame_pop)))                                         \
    frame_ = {gc_self->frames, (n), NULL, (void *)(array)};                                        \
    gc_self->frames = &frame_

GC_API void gc_frame_error(struct gc_frame *frame);
static inline void gc_frame_pop(struct gc_frame *frame)
{
    if (GC_UNLIKELY(gc_self->frames != frame))
        gc_frame_error(frame);
    else
        gc_self->frames = frame->prev;
}

/* For longjmp and C++-style unwinding past frames: take the mark before setjmp(), and reset to it
 * after the jump has landed. */
static inline struct gc_frame *gc_frame_mark(void)
{
    return gc_self->frames;
}
static inline void gc_frame_reset(struct gc_frame *mark)
{
    gc_self->frames = mark;
}

/* *slot (a global, or memory outside the heap) is a root until gc_unroot(). Written with
 * gc_store(). -EEXIST, -ENOENT, -ENOMEM, -EINVAL (NULL, misaligned). Any attached thread. */
GC_API int gc_root(void *slot);
GC_API int gc_unroot(void *slot);
/* The same for `n` adjacent slots; undone by gc_unroot(base). */
GC_API int gc_root_range(void *base, size_t n);

/* A range of the calling thread's own (or of its current fiber's): the slots [base, *top) are
 * roots; only this thread writes them, plainly, and moves *top, as a VM does with its value stack.
 * Removed by gc_thread_range_remove(base), or with the thread. `top` is a pointer to a slot
 * pointer. -EINVAL, -EEXIST, -ENOENT, -ENOMEM. */
GC_API int gc_thread_range(void *base, void *top);
GC_API int gc_thread_range_remove(void *base);
/* A thread-local block of `bytes` at `base` is roots, wholly, until the thread detaches. */
GC_API int gc_thread_local_range(void *base, size_t bytes);

/* A function that visits roots: calls gc_trace_slot()/gc_trace_ref() for each. With
 * GC_ROOT_THREAD it runs in the calling thread's own handshake (or on its behalf while it is
 * blocked) and may visit slots that only this thread writes, plainly; it must not wait. With
 * GC_ROOT_HEAP it runs on a collector's thread while mutators run, and visits only slots written
 * with gc_store(); it may wait for a lock under which others allocate, but for some cases that
 * docs/reference.md names. -EINVAL, -EEXIST, -ENOENT, -ENOMEM, -EAGAIN (no thread for it). */
enum gc_root_scope { GC_ROOT_THREAD, GC_ROOT_HEAP };
typedef void (*gc_root_fn)(void *arg, gc_tracer *tracer);
GC_API int gc_root_callback(enum gc_root_scope scope, gc_root_fn fn, void *arg);
GC_API int gc_root_callback_remove(gc_root_fn fn, void *arg);

/* For callbacks only. A slot that holds a reference or value word; n adjacent ones; a bare one. */
GC_API void gc_trace_slot(gc_tracer *tracer, const void *slot);
GC_API void gc_trace_slots(gc_tracer *tracer, const void *base, size_t n);
GC_API void gc_trace_ref(gc_tracer *tracer, void *object);

/* A handle is a root slot that the heap owns, to hold from C data structures and other threads.
 * Any attached thread may use any handle of its current heap; get and set are atomic. NULL: ENOMEM,
 * EPERM. */
GC_API gc_handle *gc_handle_new(void *object);
/* What it holds, to be rooted. With errno EINVAL (NULL, or a handle of another heap) or EPERM:
 * NULL.
 */
GC_API void *gc_handle_get(const gc_handle *handle);
/* 0; -EINVAL (as above), -EPERM. */
GC_API int gc_handle_set(gc_handle *handle, void *object);
/* NULL is ignored. A handle of another heap is left alone: errno is EINVAL, and the log says so. */
GC_API void gc_handle_free(gc_handle *handle);

/* ------------------------------------------------------------------------------------------
 * Collection
 */

/* Runs a full cycle that begins after this call and waits for its end; what was unreachable when
 * it was called is swept. Other threads go on. 0; -EPERM. */
GC_API int gc_collect(void);
/* Asks for a cycle and does not wait. */
GC_API int gc_collect_start(void);

/* Set for the current heap, in force at once; return the previous value. Each value that was set
 * is returned by one later call only. */
GC_API int gc_set_percent(int percent);
GC_API size_t gc_set_limit(size_t bytes);      /* 0: none */
GC_API size_t gc_set_hard_limit(size_t bytes); /* 0: none */

/* Collects, and gives every free page back to the OS. */
GC_API int gc_release_memory(void);

/* Durations in nanoseconds: bucket i counts those in [2^i, 2^(i+1)). */
struct gc_histogram {
    uint64_t buckets[40];
    uint64_t count, sum, max;
};

struct gc_statistics {
    uint64_t cycles;          /* completed */
    uint64_t forced_cycles;   /* of them by gc_collect */
    uint64_t heap_live;       /* bytes in objects now, reckoned per run */
    uint64_t heap_marked;     /* bytes found live by the last cycle */
    uint64_t heap_goal;       /* heap size at which the next cycle should be done */
    uint64_t heap_inuse;      /* bytes in spans in use */
    uint64_t heap_idle;       /* bytes in free pages that the OS still backs */
    uint64_t heap_released;   /* bytes in free pages given back */
    uint64_t heap_reserved;   /* address space */
    uint64_t metadata;        /* bytes of the heap's own tables that are backed, estimated */
    uint64_t external;        /* bytes told by gc_external_add */
    uint64_t allocated_bytes; /* ever, in runs taken and large objects */
    uint64_t freed_bytes;     /* ever, with what was given back of runs */
    uint64_t objects_marked;  /* by the last cycle */
    uint64_t spans_inuse;
    uint64_t threads; /* attached */
    uint64_t threads_blocked;
    uint64_t procs;             /* made so far */
    uint64_t mark_ns, sweep_ns; /* CPU time ever spent, all threads */
    uint64_t assist_ns;         /* of mark_ns, by mutators */
    uint64_t last_cycle_ns;     /* from ARM to the last phase change */
    uint64_t last_mark_ns;
    uint64_t flush_waves;               /* of the last cycle */
    uint64_t handshakes;                /* ever */
    struct gc_histogram handshake_cpu;  /* a mutator's own work in one handshake that has any (its
                                           roots, grey objects, runs), thread CPU time */
    struct gc_histogram handshake_wall; /* any handshake, wall clock */
    struct gc_histogram stall_cpu;      /* any one visit of a mutator to the collector's work
                                           (handshake, assist, sweeping), thread CPU time */
    struct gc_histogram stall;          /* the same, wall clock */
    struct gc_histogram held;           /* time held by GC_STOP_WORLD or a hold, wall */
    struct gc_histogram held_back;      /* time an allocation waited for a cycle, the heap being
                                           more than a tenth beyond its goal, wall */
};

/* Fills *stats. Any thread may ask about any heap. The cost depends on the number of threads alone.
 * Numbers of one instant only per field; what says "ever" never becomes less, and freed_bytes is at
 * most allocated_bytes. */
GC_API int gc_heap_stats(gc_heap *heap, struct gc_statistics *stats);
/* The same for the current heap. */
GC_API int gc_stats(struct gc_statistics *stats);

/* ------------------------------------------------------------------------------------------
 * Weak references, ephemerons, interning
 */

/* Everywhere below "object" is the address that an allocation returned, and the caller keeps it
 * alive during the call. Addresses inside of objects, memory that was not handed out yet, and
 * objects of no bytes are no objects: EINVAL.
 *
 * An object dies for all of this at one moment of a cycle: weak references to it read NULL, weak
 * maps and intern tables have it no more. After that its finalizer is queued; if there was none,
 * its memory is reused and its cleanups are queued.
 *
 * What gc_weak_new(), gc_weakmap_new() and gc_intern_new() return goes with the heap, if it has not
 * been freed before: it must not be used or freed after that. NULL, or one of another heap than the
 * thread's current one: EINVAL.
 */

/* A weak reference: all that are made for one object while it lives are the same pointer, to be
 * freed as often as it was made. NULL: EINVAL (no object), ENOMEM, EPERM. Any thread may use it. */
GC_API gc_weak *gc_weak_new(void *object);
/* The object, now strongly held by the caller's registers (root it); or NULL for ever after, errno
 * unchanged. Takes no lock and waits for no thread, but for one span's sweep. */
GC_API void *gc_weak_get(gc_weak *weak);
/* Any thread, attached or not. NULL is ignored. */
GC_API void gc_weak_free(gc_weak *weak);

/* A map from objects, by identity, to references (addresses, or words in the heap's value format).
 * An entry lives as long as its key does; its value is kept by the entry only while the key lives
 * (an ephemeron), even if the value leads to the key. All calls are atomic and may come from any
 * thread; no call takes longer because the map is large. NULL: ENOMEM, EPERM. */
GC_API gc_weakmap *gc_weakmap_new(void);
/* No thread uses the map any more. Any thread, attached or not. NULL is ignored. */
GC_API void gc_weakmap_free(gc_weakmap *map);
/* Adds or replaces. 0; -EINVAL (also: the key is no object), -ENOMEM, -EPERM. */
GC_API int gc_weakmap_set(gc_weakmap *map, void *key, void *value);
/* The value, to be rooted; NULL if the key is not there, errno unchanged. */
GC_API void *gc_weakmap_get(gc_weakmap *map, void *key);
GC_API bool gc_weakmap_has(gc_weakmap *map, void *key);
/* Whether the key was there. */
GC_API bool gc_weakmap_delete(gc_weakmap *map, void *key);
/* Entries, some of whose keys may have died without anyone's knowing yet. */
GC_API size_t gc_weakmap_count(gc_weakmap *map);
/* The next live entry at or after *position; *position starts at 0 and means something to this map
 * only. Fills *key and *value, which should be roots of the caller. Entries may be set and deleted
 * meanwhile, this one too: none is given twice, and only those added meanwhile may be missed. */
GC_API bool gc_weakmap_next(gc_weakmap *map, size_t *position, void **key, void **value);

/* A table of canonical objects by content; it keeps none of them alive. The functions:
 *   hash, equal  must not use the heap; equal runs under a lock, and may see an object that has
 *                just died and whose references lead nowhere
 *   make         allocates and fills the object for a key; it may collect, intern, and fail (NULL;
 *                the errno it leaves is passed on). NULL: gc_intern_get() only looks up. What it
 *                returns may lie outside the heap; it then stays in the table
 */
struct gc_intern_ops {
    uint64_t (*hash)(const void *key, size_t size); /* of the bytes looked up */
    bool (*equal)(const void *object, const void *key, size_t size);
    void *(*make)(const void *key, size_t size, void *arg);
};
/* Copies *ops. NULL: EINVAL (no hash or equal), ENOMEM, EPERM. */
GC_API gc_intern *gc_intern_new(const struct gc_intern_ops *ops);
/* No thread uses the table any more. Any thread, attached or not. NULL is ignored. */
GC_API void gc_intern_free(gc_intern *table);
/* The canonical object equal to the key, to be rooted; made if there is none (of threads that make
 * one at once, one wins). `key` is passed to the functions as it is; if it lies in an object, the
 * caller keeps that alive. A safepoint only if `make` is called. NULL: ENOMEM or what `make` said;
 * errno 0 if there is none and no `make`. */
GC_API void *gc_intern_get(gc_intern *table, const void *key, size_t size, void *arg);
/* Objects, some of which may have died without anyone's knowing yet. */
GC_API size_t gc_intern_count(gc_intern *table);

/* ------------------------------------------------------------------------------------------
 * Finalizers and cleanups
 *
 * Both are queued by whoever finds the object dead, and run when gc_finalizers_run() is called, or
 * by the library's thread if the heap has GC_FINALIZER_THREAD; never inside another call. The queue
 * is first in, first out, but which of several dead objects is found first is not defined. They run
 * without any lock of the library: they may use the whole API, but for gc_heap_destroy() and
 * gc_thread_detach() of this heap (-EBUSY), and block if they must. They return in the heap and
 * fiber they were called in, outside of a blocking region; else that is put right and logged.
 * Leaving one by longjmp() is allowed (mind gc_frame_reset()), and ending its thread: it counts as
 * run; a C++ exception must not leave it. Those not run when the heap is destroyed are dropped.
 */

/* When `object` is found dead, fn(object, arg) is queued, once, and object lives until fn has
 * returned. fn may store it where it stays alive, and set another finalizer. What object reaches
 * lives with it, as if it were a root: so finalizers run from the outside to the inside, one cycle
 * for each, and a cycle of references through a finalizable object is never collected. Weak
 * references and map entries of what object reaches stay; its own are gone before fn is queued.
 * `arg` is not a reference. fn NULL removes a finalizer that was not queued yet. 0; -EINVAL (no
 * object), -EEXIST (it has one), -ENOENT (it has none to remove), -ENOMEM, -EAGAIN (no thread for
 * GC_FINALIZER_THREAD), -EPERM. */
typedef void (*gc_finalizer_fn)(void *object, void *arg);
GC_API int gc_finalizer_set(void *object, gc_finalizer_fn fn, void *arg);

/* After `object` has died for good (after its finalizer, if it has one) fn(arg) is queued. Several
 * per object; each runs once, in any order, perhaps on several threads at once. `arg` is not a
 * reference: it must not keep object alive, or be in it. Returns an id > 0, or -EINVAL (no object,
 * no fn), -ENOMEM, -EAGAIN, -EPERM. */
typedef void (*gc_cleanup_fn)(void *arg);
GC_API int64_t gc_cleanup_add(void *object, gc_cleanup_fn fn, void *arg);
/* 0: it will not run. -ENOENT: object has no such cleanup; -EINVAL (no object), -EPERM. */
GC_API int gc_cleanup_cancel(void *object, int64_t id);

/* Runs up to `max` queued finalizers and cleanups (0: until there are none) on the calling thread;
 * returns how many. Several threads may do so at once, besides the library's; and finalizers may,
 * to a depth of 16: then it runs none. */
GC_API size_t gc_finalizers_run(size_t max);
/* How many are queued now. */
GC_API size_t gc_finalizers_pending(void);
/* fn(arg) is called, if fn is not NULL, whenever the queue got work: on the thread that found it,
 * perhaps a mutator in the middle of an allocation. It may wake a thread of yours; it must not use
 * the heap, or wait. After the call has returned the one set before may still be running. 0 or
 * -EPERM. */
GC_API int gc_finalizers_notify(void (*fn)(void *arg), void *arg);

/* ------------------------------------------------------------------------------------------
 * Fibers: root sets that threads switch between. The embedder switches the C stacks, if any. A
 * fiber belongs to the heap it was made in, and goes with it; in another one: EINVAL.
 */

/* A new, suspended fiber. NULL: ENOMEM, EPERM. */
GC_API gc_fiber *gc_fiber_create(void);
/* Call it right before the switch of C stacks, in the same function, and load no reference in
 * between: where the code stands, and its registers, are noted here.
 * The calling thread leaves its present fiber (which is suspended, with its frames and ranges)
 * and goes on in `fiber`; NULL: the thread's own root set. Returns the fiber left, NULL for the
 * thread's own; errno is 0. With errno EBUSY (another thread runs it), EINVAL or EPERM there was no
 * switch. */
GC_API gc_fiber *gc_fiber_switch(gc_fiber *fiber);
/* A fiber's slots (its ranges' memory, its frames' locals) may be read and written only by the
 * thread that runs it: to pass a value on, keep it in a C local, switch, then store it. NULL: the
 * thread's own root set, errno unchanged; EPERM. */
GC_API gc_fiber *gc_fiber_current(void);
/* Frees a suspended fiber and what it rooted. -EBUSY: it is running; -EINVAL (also: NULL), -EPERM.
 */
GC_API int gc_fiber_destroy(gc_fiber *fiber);
/* The fiber's C stack, all of its readable memory: [low, high). It is scanned conservatively from
 * now on, while the fiber runs and while it is suspended, in any heap. (NULL, NULL): no longer.
 * -EINVAL (also: NULL, or low above high), -EBUSY (another thread runs it), -ENOMEM, -EPERM. */
GC_API int gc_fiber_stack(gc_fiber *fiber, const void *low, const void *high);

/* ------------------------------------------------------------------------------------------
 * Looking in
 */

/* The start of the object that contains `address`, or NULL if none does: free memory is none, even
 * where an allocation is about to take it. One past an object's end lies in the next one, or in
 * none. */
GC_API void *gc_object_base(const void *address);
/* Bytes of its slot; 0 if `object` is not in an object. */
GC_API size_t gc_object_size(const void *object);
/* Whether `address` is the start of an object. */
GC_API bool gc_is_object(const void *address);
/* Whether `address` lies in the heap's arenas. */
GC_API bool gc_heap_contains(const gc_heap *heap, const void *address);

struct gc_object {
    void *address;
    size_t size;
    const gc_type *type; /* of a traced object, or a large one with references: that of its head, or
                            of its elements. NULL: not known, of all others */
    bool has_pointers;
};
/* Collects, then calls fn for each live object, with all mutators held at a handshake. fn may read
 * all objects; it must not write to them, use the heap, or wait for another thread, and must
 * return. Stops when fn returns false. */
GC_API int gc_heap_each(bool (*fn)(void *arg, const struct gc_object *object), void *arg);

/* How many objects and bytes there are per size class and, where it is known, type; by size; `n`
 * entries at most. Returns the number, or -ENOMEM. */
struct gc_census {
    size_t size; /* of the class; 0: large objects */
    bool has_pointers;
    uint64_t objects, bytes;
    const gc_type *type; /* of traced objects, and of large ones with references; else NULL */
};
GC_API int gc_heap_census(struct gc_census *rows, size_t n);

/* Checks all the heap's data structures with mutators held, and marks a second time to see that
 * the collector missed nothing. 0, or -EIO after saying what is wrong in the log. Slow. */
GC_API int gc_heap_verify(void);

#ifdef __cplusplus
}
#endif

/* ------------------------------------------------------------------------------------------
 * Macro machinery: GC_MAP(m, a, b, x, y, …) is m(a, b, x) m(a, b, y) … for up to 32 arguments.
 */
#define GC_CONCAT_(a, b) a##b
#define GC_CONCAT(a, b) GC_CONCAT_(a, b)
#define GC_UNIQUE(prefix) GC_CONCAT(prefix, __COUNTER__)

#define GC_NARGS(...)                                                                              \
    GC_NARGS_(__VA_ARGS__, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, \
              15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define GC_NARGS_(x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15, x16, x17, x18, \
                  x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30, x31, x32, x33, n,    \
                  ...)                                                                             \
    n

#define GC_MAP(m, a, b, ...) GC_CONCAT(GC_MAP_, GC_NARGS(__VA_ARGS__))(m, a, b, __VA_ARGS__)
#define GC_MAP_1(m, a, b, x) m(a, b, x)
#define GC_MAP_2(m, a, b, x, ...) m(a, b, x) GC_MAP_1(m, a, b, __VA_ARGS__)
#define GC_MAP_3(m, a, b, x, ...) m(a, b, x) GC_MAP_2(m, a, b, __VA_ARGS__)
#define GC_MAP_4(m, a, b, x, ...) m(a, b, x) GC_MAP_3(m, a, b, __VA_ARGS__)
#define GC_MAP_5(m, a, b, x, ...) m(a, b, x) GC_MAP_4(m, a, b, __VA_ARGS__)
#define GC_MAP_6(m, a, b, x, ...) m(a, b, x) GC_MAP_5(m, a, b, __VA_ARGS__)
#define GC_MAP_7(m, a, b, x, ...) m(a, b, x) GC_MAP_6(m, a, b, __VA_ARGS__)
#define GC_MAP_8(m, a, b, x, ...) m(a, b, x) GC_MAP_7(m, a, b, __VA_ARGS__)
#define GC_MAP_9(m, a, b, x, ...) m(a, b, x) GC_MAP_8(m, a, b, __VA_ARGS__)
#define GC_MAP_10(m, a, b, x, ...) m(a, b, x) GC_MAP_9(m, a, b, __VA_ARGS__)
#define GC_MAP_11(m, a, b, x, ...) m(a, b, x) GC_MAP_10(m, a, b, __VA_ARGS__)
#define GC_MAP_12(m, a, b, x, ...) m(a, b, x) GC_MAP_11(m, a, b, __VA_ARGS__)
#define GC_MAP_13(m, a, b, x, ...) m(a, b, x) GC_MAP_12(m, a, b, __VA_ARGS__)
#define GC_MAP_14(m, a, b, x, ...) m(a, b, x) GC_MAP_13(m, a, b, __VA_ARGS__)
#define GC_MAP_15(m, a, b, x, ...) m(a, b, x) GC_MAP_14(m, a, b, __VA_ARGS__)
#define GC_MAP_16(m, a, b, x, ...) m(a, b, x) GC_MAP_15(m, a, b, __VA_ARGS__)
#define GC_MAP_17(m, a, b, x, ...) m(a, b, x) GC_MAP_16(m, a, b, __VA_ARGS__)
#define GC_MAP_18(m, a, b, x, ...) m(a, b, x) GC_MAP_17(m, a, b, __VA_ARGS__)
#define GC_MAP_19(m, a, b, x, ...) m(a, b, x) GC_MAP_18(m, a, b, __VA_ARGS__)
#define GC_MAP_20(m, a, b, x, ...) m(a, b, x) GC_MAP_19(m, a, b, __VA_ARGS__)
#define GC_MAP_21(m, a, b, x, ...) m(a, b, x) GC_MAP_20(m, a, b, __VA_ARGS__)
#define GC_MAP_22(m, a, b, x, ...) m(a, b, x) GC_MAP_21(m, a, b, __VA_ARGS__)
#define GC_MAP_23(m, a, b, x, ...) m(a, b, x) GC_MAP_22(m, a, b, __VA_ARGS__)
#define GC_MAP_24(m, a, b, x, ...) m(a, b, x) GC_MAP_23(m, a, b, __VA_ARGS__)
#define GC_MAP_25(m, a, b, x, ...) m(a, b, x) GC_MAP_24(m, a, b, __VA_ARGS__)
#define GC_MAP_26(m, a, b, x, ...) m(a, b, x) GC_MAP_25(m, a, b, __VA_ARGS__)
#define GC_MAP_27(m, a, b, x, ...) m(a, b, x) GC_MAP_26(m, a, b, __VA_ARGS__)
#define GC_MAP_28(m, a, b, x, ...) m(a, b, x) GC_MAP_27(m, a, b, __VA_ARGS__)
#define GC_MAP_29(m, a, b, x, ...) m(a, b, x) GC_MAP_28(m, a, b, __VA_ARGS__)
#define GC_MAP_30(m, a, b, x, ...) m(a, b, x) GC_MAP_29(m, a, b, __VA_ARGS__)
#define GC_MAP_31(m, a, b, x, ...) m(a, b, x) GC_MAP_30(m, a, b, __VA_ARGS__)
#define GC_MAP_32(m, a, b, x, ...) m(a, b, x) GC_MAP_31(m, a, b, __VA_ARGS__)

#endif /* GCHEAP_H */
