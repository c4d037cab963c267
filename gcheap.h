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
 *   Objects never move. An address is an identity, and C code may hold it as long as some root
 *   reaches the object.
 *   A call that succeeds leaves errno as it was.
 *   A call that returns a pointer returns NULL on failure and sets errno (ENOMEM, EINVAL, EPERM).
 *   The others return 0 or a negative errno. EPERM: the calling thread has no current heap, is in a
 *   blocking region, or runs a function that the collector calls. A line in the log says so, once
 *   for each thread and kind of mistake.
 *   Unless a comment says otherwise, a call concerns the calling thread's current heap, and any
 *   attached thread that is not in a blocking region may make it. docs/reference.md has a table
 *   of all calls.
 *   A safepoint is a call in which a collection may make progress. Every allocation is one. Between
 *   two safepoints of a thread the collector asks nothing of that thread.
 *   Sizes are in bytes and times in nanoseconds, unless a comment says otherwise.
 *
 * Words: docs/glossary.md. A slot is a word that can hold a reference; a cell is memory for one
 * object.
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
#define GC_VERSION_MINOR 2
#define GC_VERSION_PATCH 0
#define GC_VERSION (GC_VERSION_MAJOR * 10000 + GC_VERSION_MINOR * 100 + GC_VERSION_PATCH)

/* The layouts and calls that a compiled program relies on, as one number: that of the soname, and
 * part of the name that gc_self has for the linker. docs/versions.md says what raises it. */
#define GC_ABI 3

#if defined(__cplusplus)
#define GC_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define GC_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#define GC_LIKELY(x) __builtin_expect(!!(x), 1)
#define GC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#ifdef _WIN32
#define GC_API
#else
#define GC_API __attribute__((visibility("default")))
#endif

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
 * The fast struct: all that the inline paths touch. Each attached thread has one. The library has
 * one thread-local variable, which points to the calling thread's. Only the library writes the
 * fields.
 */

/* A run: free cells, already zeroed and typed, that the thread may hand out. */
struct gc_run {
    uintptr_t cursor; /* next free cell; equal to limit when the run is used up. Any thread reads */
    uintptr_t limit;
    uintptr_t size; /* distance between two cells */
    void *span;
};

/* The head of a GC_FRAME. The addresses of its slots lie behind it; GC_FRAME_LAST is added to the
 * last of them. */
struct gc_frame {
    struct gc_frame *prev;
};
#define GC_FRAME_LAST 1
/* A GC_FRAME_ARRAY: n adjacent slots. */
struct gc_frame_array {
    struct gc_frame head;
    size_t size; /* GC_FRAME_SIZE(n) */
    void *base;  /* the first of them */
};
#define GC_FRAME_SIZE(n) ((size_t)(n)*4 + 2) /* no address of a slot ends in these bits */

struct gc_fast {
    struct gc_run *runs;     /* by run index (gc_type.run); the run of index 0 is always empty */
    uint8_t barrier;         /* non-zero: gc_store must call the barrier. Written in handshakes */
    uint8_t poll;            /* non-zero: the next safepoint has work. Written by any thread */
    struct gc_frame *frames; /* innermost GC_FRAME */
};

/* The model of the library's thread-local variable. Initial-exec is the fastest, but a library that
 * dlopen() loads needs some of the process's static space for it, which musl does not give, and of
 * which glibc has little. With -DGC_TLS_MODEL='"global-dynamic"' for the library, and for programs
 * that do not define GC_SELF_CALL, it can be loaded always. */
#ifndef GC_TLS_MODEL
#define GC_TLS_MODEL "initial-exec"
#endif
#define GC_TLS __thread __attribute__((tls_model(GC_TLS_MODEL)))

#define GC_STRING_(x) #x
#define GC_STRING(x) GC_STRING_(x)
/* What the linker calls a variable whose type this header shares with the library. Where the
 * compiler emulates thread-local variables, it cannot give them names for the linker alone. */
#ifdef _WIN32
#define GC_ABI_NAME(name)
#define GC_NAME_WITH_(name, abi) name##_abi_##abi
#define GC_NAME_WITH(name, abi) GC_NAME_WITH_(name, abi)
#define gc_self GC_NAME_WITH(gc_self_variable, GC_ABI)
#define gc_self_of_thread GC_NAME_WITH(gc_self_function, GC_ABI)
#else
#define GC_ABI_NAME(name)                                                                          \
    __asm__(GC_STRING(__USER_LABEL_PREFIX__) GC_STRING(name) "_abi_" GC_STRING(GC_ABI))
#endif

/* The calling thread's fast struct in its current heap; an empty one if it has no heap. Every
 * inline path reads it. So code that was compiled for another GC_ABI than the library's does not
 * link, and a plugin of such code does not load. If the linker says that gc_self_abi_… is
 * undefined, the library is not the one that this header belongs to. */
__extension__ extern GC_API GC_TLS struct gc_fast *gc_self GC_ABI_NAME(gc_self);
/* The same by a call, which the inline paths make where GC_SELF_CALL is defined before this header
 * is included. Code needs that if it may go on on another thread in the middle of a function: in a
 * fiber whose C stack changes threads, on other processors than x86. There compilers keep the
 * address of a thread-local variable in a register as long as the function runs. Never fails. */
GC_API struct gc_fast *gc_self_of_thread(void) GC_ABI_NAME(gc_self_of_thread);
#ifdef GC_SELF_CALL
#define GC_SELF gc_self_of_thread()
#else
#define GC_SELF gc_self
#endif

/* ------------------------------------------------------------------------------------------
 * Types
 */

/* 64-bit words of an inline mask. The references of a GC_TYPE lie in its first
 * GC_MASK_WORDS * 64 words. */
#define GC_MASK_WORDS 16

/* Visits what an object of a traced type holds: calls gc_trace_slot() or gc_trace_ref() for each
 * reference that the mask does not cover, and names weak slots by gc_trace_weak(). It runs on any
 * thread, while the program's threads run, and on several at once, for one object too. So it reads
 * only memory that the object owns and that is written as gc_store() writes: by atomic stores with
 * release. Of objects to which a slot of this one leads it may read what never changes, such as a
 * description of the layout. It writes to no object. It must not allocate or block. */
typedef void (*gc_trace_fn)(void *object, gc_tracer *tracer);

#define GC_FIELDS_MAX 32

/* A tagged word is a value's first part: it holds a reference if the byte at `byte`, & mask, is
 * `match`, and otherwise anything, as a number. Both lie in one object of at most 64 words, or in
 * one element. `word` is the number of the tagged word. */
struct gc_tagged {
    uint16_t word, byte;
    uint8_t mask, match;
};
#define GC_TAGGED(T, field, tag, mask, match)                                                      \
    {                                                                                              \
        (uint16_t)(offsetof(T, field) / sizeof(void *)), (uint16_t)offsetof(T, tag), (mask),       \
            (match)                                                                                \
    }

/* A type descriptor. GC_TYPE() fills it, or gc_type_create() makes it. It must not change once an
 * object of it was made. Unless gc_type_create() made it, it must outlive every heap that holds an
 * object of it. The descriptor has the fields of Go's runtime; most are 0 in a GC_TYPE. */
struct gc_type {
    size_t size;          /* of one object; of the head, for flexible objects */
    size_t ptrdata;       /* bytes up to and including the last pointer; 0: taken from the mask */
    uint32_t hash;        /* identifies the type's content; 0: computed at first use */
    uint8_t tflag;        /* enum gc_tflag */
    uint8_t kind;         /* enum gc_kind, with flags */
    uint16_t align;       /* of an object, and of where elements begin in a gc_new_flex: a power
                             of two up to 8192; with references, at least that of a word; 0: that
                             of a word */
    uint16_t field_align; /* of a field of this type; 0: like align. The library ignores it */
    uint16_t reserved;
    bool (*equal)(const void *a, const void *b); /* NULL: by bytes, or not comparable (tflag) */
    uint64_t (*hash_object)(const void *object, uint64_t seed); /* NULL: likewise */
    const void *gcdata; /* the mask, in words of uint64_t (bit i % 64 of word i / 64: word i of an
                           object is a reference), or a GC program; NULL: inline_mask is the mask */
    const char *name;
    gc_trace_fn trace; /* NULL: the mask covers all references */
    void *user;        /* the embedder's: `trace` gets it from gc_trace_user() */
    uintptr_t fill;    /* what the words of the mask hold in a fresh object: nil, where that is not
                          0. It must be no reference */
    uint64_t inline_mask[GC_MASK_WORDS];
    /* The library sets these at first use. */
    uint32_t run;    /* run index; 0: none */
    uint32_t arrays; /* first run index of arrays of the type, by size class; 0: none */
    void *info;
    size_t id;   /* a multiple of GC_RUNS_MAX that no other type ever has; 0: none */
    size_t tail; /* for flexible objects of this head and one type of elements: that type's id plus
                    the objects' first run index, by size class; 0: none */
    /* For messages, dumps and gc_path(): the names of up to GC_FIELDS_MAX references, each followed
     * by a ';', as "left;right;". NULL: they have none. */
    const char *fields;
    uint16_t field_words[GC_FIELDS_MAX]; /* of each of them: the number of its word */
    const struct gc_tagged *tagged;      /* words of the mask that are tagged; NULL: none */
    size_t ntagged;                      /* how many */
};

/* GC_TYPE(name, T, field, …) defines the gc_type `name` for the C type T. The named fields (at most
 * 32, each a pointer or a 64-bit value word) are references; the collector looks at nothing else.
 * Write `static` before it for internal linkage. The compiler checks that each field has the size
 * and alignment of a word. GC_TYPE_NOPTR(name, T) defines a type without references. In a
 * GC_TYPE_TAGGED(name, T, tagged, field, …) the fields are references as in GC_TYPE, but for those
 * that the array `tagged` of struct gc_tagged says to be tagged. */
#define GC_TYPE(name, T, ...) GC_TYPE_WITH(name, T, NULL, 0, __VA_ARGS__)
#define GC_TYPE_TAGGED(name, T, tagged, ...)                                                       \
    GC_TYPE_WITH(name, T, tagged, sizeof(tagged) / sizeof((tagged)[0]), __VA_ARGS__)
#define GC_TYPE_WITH(name, T, tagged, ntagged, ...)                                                \
    gc_type name = GC_TYPE_INIT(#T, T, (GC_MASK_ALL(T, __VA_ARGS__)),                              \
                                GC_MAP(GC_FIELD_NAME, T, 0, __VA_ARGS__),                          \
                                (GC_MAP(GC_FIELD_WORD, T, 0, __VA_ARGS__)), tagged, ntagged);      \
    GC_MAP(GC_CHECK_FIELD, T, 0, __VA_ARGS__)                                                      \
    GC_CHECK_ALIGN(T);                                                                             \
    GC_STATIC_ASSERT(GC_ALIGNOF(T) % sizeof(void *) == 0,                                          \
                     "GC_TYPE: " #T " does not have the alignment of a pointer: is it packed?");   \
    GC_STATIC_ASSERT(GC_NARGS(__VA_ARGS__) <= GC_FIELDS_MAX, "GC_TYPE takes at most 32 fields")
#define GC_TYPE_NOPTR(name, T)                                                                     \
    gc_type name = GC_TYPE_INIT(#T, T, (0), NULL, (0), NULL, 0);                                   \
    GC_CHECK_ALIGN(T);                                                                             \
    GC_STATIC_ASSERT(sizeof(T) > 0, "GC_TYPE_NOPTR needs a complete type")

#define GC_TYPE_INIT(text, T, mask, names, words, tagged, ntagged)                                 \
    {                                                                                              \
        sizeof(T), 0, 0, GC_TFLAG_NAMED, GC_KIND_STRUCT, (uint16_t)GC_ALIGNOF(T),                  \
            (uint16_t)GC_ALIGNOF(T), 0, NULL, NULL, NULL, text, NULL, NULL, 0, {GC_LIST mask}, 0,  \
            0, NULL, 0, 0, names, {GC_LIST words}, tagged, ntagged                                 \
    }
#define GC_LIST(...) __VA_ARGS__
#define GC_FIELD_NAME(T, unused, field) #field ";"
#define GC_FIELD_WORD(T, unused, field) (uint16_t)(offsetof(T, field) / sizeof(void *)),
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
                     "GC_TYPE: field " #field " does not have the size of a pointer");             \
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

/* GC_REF(T) is a field type for "pointer to T" to which nothing can be assigned. So a store that
 * forgets the barrier does not compile. Read with GC_GET(object->field), write with
 * GC_SET(&object->field, value). */
#define GC_REF(T)                                                                                  \
    union {                                                                                        \
        T *const gc_ref_value;                                                                     \
    }
#define GC_GET(ref) ((ref).gc_ref_value)
#define GC_SET(ref, value)                                                                         \
    ((void)sizeof((ref)->gc_ref_value == (value)), gc_store((void *)(ref), (void *)(value)))

/* GC_VALUE is the same for a word in the heap's value format. */
#define GC_VALUE                                                                                   \
    union {                                                                                        \
        const uint64_t gc_value_word;                                                              \
    }
#define GC_GET_VALUE(field) ((field).gc_value_word)
#define GC_SET_VALUE(field, value)                                                                 \
    gc_store_value((uint64_t *)(void *)((field) + 0 * sizeof((field)->gc_value_word)), (value))

/* Ready-made types, for arrays. */
extern GC_API gc_type gc_pointer_type; /* one reference */
extern GC_API gc_type gc_word_type;    /* one 64-bit word in the heap's value format */

/* ------------------------------------------------------------------------------------------
 * Heaps
 */

/* gc_options.flags */
enum gc_flags {
    GC_STOP_WORLD = 1 << 0,         /* mark with all threads held; barriers are not needed */
    GC_STACK_CONSERVATIVE = 1 << 1, /* scan the C stacks of all threads, conservatively */
    GC_FORK_SAFE = 1 << 2,          /* the child of a fork has a working heap */
    GC_NO_BACKGROUND = 1 << 3,      /* no thread of the library's: allocating threads collect */
    GC_FINALIZER_THREAD = 1 << 4,   /* a thread of the library's runs finalizers */
    GC_HUGE_PAGES = 1 << 5,         /* ask the OS for huge pages under all of the heap; otherwise
                                       only beyond the first 64 MiB */
    GC_NO_HUGE_PAGES = 1 << 6,      /* never ask for huge pages */
    GC_FINALIZE_ALL = 1 << 7        /* all that dies is finalized at once; see gc_finalizer_set() */
};

#define GC_PERCENT_OFF (-1)
#define GC_WATCHDOG_OFF (~0u)

/* Says which words are references when slots hold tagged or boxed values. With a mask, a word is a
 * reference in two cases: if (word & mask) == match, and its address is word & payload; or if it is
 * a plain address aligned to 8. Without a mask (all fields 0) every word is an address, which may
 * point into the middle of its object. An address outside the heap's arenas is never a reference. A
 * mask is for 64-bit hosts only. */
typedef struct gc_value_format {
    uint64_t mask, match, payload;
} gc_value_format;

enum gc_log_level { GC_LOG_TRACE, GC_LOG_INFO, GC_LOG_WARNING, GC_LOG_ERROR };

/* Options of a heap. A field that is 0 has its default, so `gc_options o = {0};` is complete. */
typedef struct gc_options {
    unsigned flags;        /* enum gc_flags */
    int percent;           /* how much may be allocated before a cycle ends, in % of what is live;
                              default 100; GC_PERCENT_OFF: only gc_collect() and the soft limit
                              start cycles */
    size_t min_heap;       /* no cycle below this heap size at 100 %; default 4 MiB */
    size_t limit;          /* soft limit on the memory that the heap takes; 0: none */
    size_t hard_limit;     /* allocation fails beyond it; external bytes count; 0: none */
    unsigned max_procs;    /* threads that run managed code at once; default: the CPUs, 1…256 */
    unsigned mark_workers; /* threads that mark at once; default: max_procs */
    size_t reserve;        /* reserve so much address space (rounded up to arenas) in one piece,
                              which the heap never outgrows; 0: grow arena by arena */
    gc_value_format format;
    void *user; /* passed to the functions below */
    /* Called when memory is exhausted, after a full collection did not help and before the
     * allocation returns NULL. Return true to try once more: at once, and after a collection, which
     * frees what was dropped; then it is called again. It runs on the allocating thread. It may
     * drop objects, collect, and allocate; what it allocates may call it again. It may be left by
     * longjmp. */
    bool (*out_of_memory)(void *user, size_t size);
    /* Receives each line of the log; default: standard error. It runs on any thread, also in the
     * middle of a cycle. It must use no heap (EPERM), and must return. */
    void (*log)(void *user, enum gc_log_level level, const char *line);
    /* Names a live object in messages, gc_path() and heap dumps: writes up to `size` bytes with
     * their 0, such as a function's name, or nothing. `type`: as in struct gc_object. It runs on
     * any thread, also while the world is held, and reads the object as a trace function does. It
     * must use no heap (EPERM), not wait, and return. */
    void (*describe)(void *user, const void *object, const gc_type *type, char *text, size_t size);
    unsigned watchdog_ms; /* a thread that keeps the collector waiting although it ran, or slept,
                             for so long is named in the log; default 100; GC_WATCHDOG_OFF: never */
    const char *debug;    /* switches as in the environment variable GCHEAP_DEBUG, which is read
                             after it; docs/debugging.md lists them */
} gc_options;

/* Makes a heap and attaches the calling thread to it. NULL options: defaults.
 * NULL: EINVAL (an option is out of range, and the log names it; or too little stack is left, as
 * for gc_thread_attach()); ENOMEM; EAGAIN (no key for thread-local data is left); EPERM; ENOTSUP
 * (GC_STACK_CONSERVATIVE, and the bounds of the thread's stack cannot be found). */
GC_API gc_heap *gc_heap_create(const gc_options *options);

/* Frees a heap with all its objects. No finalizer runs: those of live objects and those queued are
 * dropped. The call waits for a finalizer that the library's thread is running. If the calling
 * thread is attached, it is detached. After an error nothing was done. -EBUSY: another thread is
 * attached, or the caller is a finalizer or cleanup of this heap, or the call would wait for the
 * library's thread of this heap while a finalizer on that thread waits for the caller; -EINVAL:
 * NULL; -EPERM: the heap is closed after a fork. */
GC_API int gc_heap_destroy(gc_heap *heap);

/* The calling thread's current heap; NULL: it has none. Never fails. */
GC_API gc_heap *gc_heap_current(void);

/* The options in force, with all defaults filled in. */
GC_API const gc_options *gc_heap_options(const gc_heap *heap);

/* ------------------------------------------------------------------------------------------
 * Threads
 */

/* Attaches the calling thread to the heap and makes that heap its current one. A thread may be
 * attached to several heaps; all but the current one see it as blocked.
 * -EEXIST: already attached; -ENOMEM; -EPERM: the thread is in its last destructors, or the heap is
 * closed after a fork; -ENOTSUP: GC_STACK_CONSERVATIVE, and the bounds of the thread's stack cannot
 * be found; -EINVAL: NULL, or less than 13 KiB of the thread's C stack are left, which calls may
 * need. */
GC_API int gc_thread_attach(gc_heap *heap);

/* Detaches from the current heap; the thread then has no current heap. -EPERM: not attached;
 * -EBUSY: the thread has an open GC_FRAME, runs a fiber, is in a blocking region, or runs a
 * finalizer or cleanup of this heap. */
GC_API int gc_thread_detach(void);

/* Makes another heap the current one. NULL: none, and the thread is blocked in all of its heaps.
 * -ENOENT: not attached to that heap. */
GC_API int gc_thread_switch(gc_heap *heap);

/* Names the calling thread in the heap's messages; copies up to 31 bytes. */
GC_API int gc_thread_name(const char *name);

/* Turns the conservative scan of the thread's C stack on or off. Each cycle then scans the part of
 * the stack that is in use. -ENOTSUP: the stack's bounds cannot be found. For C stacks of your own
 * see gc_fiber_stack(). */
GC_API int gc_thread_scan_stack(bool on);

GC_API void gc_safepoint_slow(void);

/* Reads the flag, which another thread may set at any time. The empty asm tells the compiler that
 * the flag may have changed, so that it tests the flag in memory by one instruction, which it would
 * not do for an atomic load. ThreadSanitizer needs the atomic load. */
#if defined(__SANITIZE_THREAD__)
#define GC_SANITIZE_THREAD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GC_SANITIZE_THREAD 1
#endif
#endif
#ifdef GC_SANITIZE_THREAD
#define GC_POLL(self) __atomic_load_n(&(self)->poll, __ATOMIC_RELAXED)
#define GC_PUBLISH() ((void)0) /* it does not know fences */
#else
/* What was written before comes to memory before what is written plainly from here on. */
#define GC_PUBLISH() __atomic_thread_fence(__ATOMIC_RELEASE)
#define GC_POLL(self)                                                                              \
    (__extension__({                                                                               \
        __asm__ volatile("" : "+m"((self)->poll));                                                 \
        (self)->poll;                                                                              \
    }))
#endif

/* A safepoint, for loops that do not allocate. Three instructions when nothing is asked. */
static inline void gc_safepoint(void)
{
    struct gc_fast *self = GC_SELF;
    if (GC_UNLIKELY(GC_POLL(self)))
        gc_safepoint_slow();
}

/* Whether gc_safepoint() has work to do. Two instructions. */
static inline bool gc_safepoint_due(void)
{
    struct gc_fast *self = GC_SELF;
    return GC_POLL(self) != 0;
}

/* Between these two calls (a quiet region) the thread's allocations are no safepoints, and collect
 * nothing: all objects made since the last safepoint stay fresh and alive, rooted or not. Only
 * gc_safepoint() is one, and the calls that wait. The heap may grow meanwhile, so call
 * gc_safepoint() soon once gc_safepoint_due(). When `bytes` were allocated without a safepoint,
 * allocations fail with ENOMEM; 0: no such bound. They nest; the outermost bound holds. 0, or
 * -EPERM. */
GC_API int gc_quiet_begin(size_t bytes);
GC_API int gc_quiet_end(void);

/* Between these two calls the thread may wait for as long as it likes. It must not touch the heap
 * meanwhile; what it has rooted stays alive. They nest. 0, or -EPERM. Cost: tens of nanoseconds. */
GC_API int gc_blocking_begin(void);
GC_API int gc_blocking_end(void);

/* ------------------------------------------------------------------------------------------
 * Allocation
 *
 * All memory is zeroed, except for the words of a type with a `fill` and for gc_new_bytes_raw().
 * NULL with ENOMEM: the OS or a limit refused the memory; the heap stays usable. Every allocation
 * is a safepoint: an object that is not rooted may be collected in it. The fields of a fresh object
 * may be assigned plainly until the thread's next safepoint. NULL with EINVAL: the type is NULL, or
 * gc_type_register() would refuse it.
 */

GC_API void *gc_new_slow(gc_type *type);
/* One object. About ten instructions, none of which checks for a NULL type. */
static inline void *gc_new(gc_type *type)
{
    struct gc_run *run = &GC_SELF->runs[__atomic_load_n(&type->run, __ATOMIC_RELAXED)];
    uintptr_t p = run->cursor;
    if (GC_UNLIKELY(p == run->limit))
        return gc_new_slow(type);
    __atomic_store_n(&run->cursor, p + run->size, __ATOMIC_RELAXED);
    return (void *)p;
}

/* What objects of up to this size have in common: the run index of a kind of objects is the first
 * index of the kind plus the object's size class. The kinds that are the same in every program: */
#define GC_INLINE_BYTES_MAX 1024
#define GC_INLINE_CLASSES 33 /* with class 0, of which there is nothing */
#define GC_RUNS_BYTES 33     /* memory without references */
#define GC_RUNS_RAW 101      /* such memory that is not zeroed */
#define GC_RUNS_MAX 4096     /* run indexes are below */
/* By size in units of 8 bytes, rounded up: the size class. */
extern GC_API const uint8_t gc_class_by_8[GC_INLINE_BYTES_MAX / 8 + 1];
/* Takes a cell for `size` <= GC_INLINE_BYTES_MAX. false: the run is used up, or there is none. */
static inline bool gc_take_cell(size_t first, size_t size, void **cell)
{
    struct gc_run *run = &GC_SELF->runs[first + gc_class_by_8[(size + 7) / 8]];
    uintptr_t p = run->cursor;
    if (GC_UNLIKELY(p == run->limit))
        return false;
    __atomic_store_n(&run->cursor, p + run->size, __ATOMIC_RELAXED);
    *cell = (void *)p;
    return true;
}

GC_API void *gc_new_array_slow(gc_type *type, size_t n);
/* An array of n adjacent elements of `type`. n = 0: the address that all objects of no bytes share.
 * ENOMEM also if the size overflows. EINVAL also for a traced type, and for a type with references
 * whose size is no multiple of the word. What the array's cell has beyond its elements (see
 * gc_object_size) is the library's and must not be written. */
static inline void *gc_new_array(gc_type *type, size_t n)
{
    void *p;
    /* A type that has `arrays` is not larger than GC_INLINE_BYTES_MAX. Otherwise the product may
     * overflow, and leads to an empty run. */
    if (GC_LIKELY(type != NULL && n <= GC_INLINE_BYTES_MAX) &&
        GC_LIKELY(type->size * n <= GC_INLINE_BYTES_MAX) &&
        GC_LIKELY(
            gc_take_cell(__atomic_load_n(&type->arrays, __ATOMIC_RELAXED), type->size * n, &p)))
        return p;
    return gc_new_array_slow(type, n);
}

/* An array for a vector or a stack that is full: the first n elements of `array` (NULL: none), and
 * room for half as many more at least. *capacity becomes how many elements the new array has room
 * for. NULL: as gc_new_array(), and *capacity stays. The call keeps `array` alive. */
GC_API void *gc_array_grow(gc_type *type, const void *array, size_t n, size_t *capacity);
/* For an array with room for *capacity elements of which only the first n are used. If an array of
 * n elements takes less memory, and that is to be had: such an array, with these elements, and
 * *capacity becomes how many it has room for. Otherwise `array` itself, in which the elements
 * behind n become what they are in a new array; only an array that is made is a safepoint. n = 0:
 * as for gc_new_array(). NULL: as gc_new_array(), but never ENOMEM; EINVAL also if n is above
 * *capacity, and if `array` is no object with room for that many. */
GC_API void *gc_array_shrink(gc_type *type, void *array, size_t n, size_t *capacity);

GC_API void *gc_new_flex_slow(gc_type *head, gc_type *element, size_t n);
/* An object of type `head` that ends in n elements of type `element`: the elements begin at
 * head->size rounded up to the element's alignment. For the rest, and beyond the elements, as
 * gc_new_array(). */
static inline void *gc_new_flex(gc_type *head, gc_type *element, size_t n)
{
    void *p;
    if (GC_LIKELY(head != NULL && element != NULL && n <= GC_INLINE_BYTES_MAX)) {
        size_t runs = __atomic_load_n(&head->tail, __ATOMIC_RELAXED) -
                      __atomic_load_n(&element->id, __ATOMIC_RELAXED);
        /* If the head has this tail, elements begin at its end, and neither size is larger than
         * GC_INLINE_BYTES_MAX. Otherwise `runs` is too large; or it is 0, and leads to an empty
         * run. */
        size_t size = head->size + element->size * n;
        if (GC_LIKELY(runs < GC_RUNS_MAX && size <= GC_INLINE_BYTES_MAX) &&
            GC_LIKELY(gc_take_cell(runs, size, &p)))
            return p;
    }
    return gc_new_flex_slow(head, element, n);
}

GC_API void *gc_new_bytes_slow(size_t size);
/* Memory without references, aligned to 8. 0 bytes: as for gc_new_array(). */
static inline void *gc_new_bytes(size_t size)
{
    void *p;
    if (GC_LIKELY(size <= GC_INLINE_BYTES_MAX) && GC_LIKELY(gc_take_cell(GC_RUNS_BYTES, size, &p)))
        return p;
    return gc_new_bytes_slow(size);
}

GC_API void *gc_new_bytes_raw_slow(size_t size);
/* The same, not zeroed: the content is undefined until it is written, and may be what a dead object
 * has left. For buffers and strings that are filled at once. */
static inline void *gc_new_bytes_raw(size_t size)
{
    void *p;
    if (GC_LIKELY(size <= GC_INLINE_BYTES_MAX) && GC_LIKELY(gc_take_cell(GC_RUNS_RAW, size, &p)))
        return p;
    return gc_new_bytes_raw_slow(size);
}

/* The bytes that an allocation of `size` takes: those of its size class, or whole pages. */
GC_API size_t gc_size_class(size_t size);

/* Tells the pacer that `object` owns this many bytes more (or fewer, if negative) outside the heap.
 * They count towards the goal and under the hard limit as long as the object lives. A safepoint if
 * bytes > 0; the object itself is kept alive in it. 0; -EINVAL (no object; the object's sum would
 * fall below 0 or exceed PTRDIFF_MAX), -ENOMEM (also: the hard limit; the memory was looked for as
 * by an allocation, and nothing was added), -EPERM. */
GC_API int gc_external_add(void *object, ptrdiff_t bytes);

/* ------------------------------------------------------------------------------------------
 * References
 *
 * A slot here is a pointer field of an object, a rooted global or a handle. Such slots are written
 * through these calls only. (Locals in GC_FRAMEs are plain variables.) gc_store releases and
 * gc_load acquires: a thread that loads a reference sees everything that was written to the object
 * before the reference was stored. A thread without a heap, or in a blocking region, stores without
 * the barrier, and the log says so.
 */

/* All that gc_store does before it stores. Compiled code may test the byte gc_fast.barrier by
 * itself, call this if it is not 0, and then store with release. */
GC_API void gc_barrier_store(void *slot, void *value);
/* *slot = value. Release. Four instructions while no cycle marks. */
static inline void gc_store(void *slot, void *value)
{
    typedef void *__attribute__((may_alias)) gc_slot_word;
    if (GC_UNLIKELY(GC_SELF->barrier))
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
    if (GC_UNLIKELY(GC_SELF->barrier))
        gc_barrier_store_value(slot, value);
    __atomic_store_n((gc_slot_word *)slot, value, __ATOMIC_RELEASE);
}
static inline uint64_t gc_load_value(const uint64_t *slot)
{
    typedef uint64_t __attribute__((may_alias)) gc_slot_word;
    return __atomic_load_n((gc_slot_word const *)slot, __ATOMIC_ACQUIRE);
}

GC_API void gc_barrier_store_tagged(void *object, const struct gc_tagged *where, void *value,
                                    uint8_t tag);
/* Stores a value of two parts: the tagged word, with release, and its tag. `object` is the start of
 * the object, or of the element. The collector may see one part without the other;
 * other threads may too, and need a lock. A fresh value may be written plainly, as always. */
static inline void gc_store_tagged(void *object, const struct gc_tagged *where, void *value,
                                   uint8_t tag)
{
    typedef void *__attribute__((may_alias)) gc_slot_word;
    if (GC_UNLIKELY(GC_SELF->barrier))
        gc_barrier_store_tagged(object, where, value, tag);
    __atomic_store_n((gc_slot_word *)object + where->word, value, __ATOMIC_RELEASE);
    __atomic_store_n((uint8_t *)object + where->byte, tag, __ATOMIC_RELAXED);
}

/* If *slot is `expected`, makes it `desired`. Sequentially consistent. Returns whether it did. */
GC_API bool gc_cas(void *slot, void *expected, void *desired);
GC_API bool gc_cas_value(uint64_t *slot, uint64_t expected, uint64_t desired);

/* memmove of `bytes` (a multiple of the word) between slots, word by word. Each word is loaded with
 * acquire and stored with release, with the barrier that gc_store would run. `target` lies in one
 * object, or in a rooted range outside of all objects, where every word counts as a reference.
 * Values with tagged words are copied, and cleared, as a whole. */
GC_API void gc_copy(void *target, const void *source, size_t bytes);
/* memset to 0, likewise. */
GC_API void gc_clear(void *target, size_t bytes);

/* Barriers of other styles, for code that stores by its own instructions.
 *
 * gc_before_write: afterwards the thread may write to the object's slots plainly, by whole words,
 * until its next safepoint. Until then the object is the thread's own: if another thread may have
 * got at it, or if an object was filled in that shall be stored, call it again. `object` is any
 * address in the object. While a cycle marks, the call shades what the object refers to, about once
 * in a cycle; otherwise it takes three instructions. */
GC_API void gc_before_write_slow(void *object);
static inline void gc_before_write(void *object)
{
    GC_PUBLISH();
    if (GC_UNLIKELY(GC_SELF->barrier))
        gc_before_write_slow(object);
}

/* The same for the words of [target, target + bytes) only: for parts of large arrays, and for
 * rooted memory outside of all objects. */
GC_API void gc_before_write_range_slow(void *target, size_t bytes);
static inline void gc_before_write_range(void *target, size_t bytes)
{
    GC_PUBLISH();
    if (GC_UNLIKELY(GC_SELF->barrier))
        gc_before_write_range_slow(target, bytes);
}

/* Whether stores need a barrier now. It stays so until the thread's next safepoint. */
static inline bool gc_is_marking(void)
{
    return GC_SELF->barrier != 0;
}

/* What gc_store does for the old value and for the new one: keeps `object` alive in this cycle. For
 * references that are no words of the value format, as a trace function visits them by
 * gc_trace_ref(). Shade what a store overwrites, and what it writes, then store with release,
 * without a safepoint in between. NULL, and addresses outside of the heap: nothing. */
GC_API void gc_shade_slow(void *object);
static inline void gc_shade(void *object)
{
    if (GC_UNLIKELY(GC_SELF->barrier))
        gc_shade_slow(object);
}

/* Keeps the object alive up to this call. */
static inline void gc_keep_alive(const void *object)
{
    __asm__ volatile("" : : "g"(object) : "memory");
}

/* ------------------------------------------------------------------------------------------
 * Roots
 */

/* GC_FRAME(local, …): these locals (at most 32, word-sized, initialised) are roots until the
 * enclosing block ends. longjmp (see gc_frame_mark) and computed gotos leave a block without ending
 * it, so they must not leave one that has a frame. Nothing may jump into the block past the frame.
 */
#define GC_FRAME(...) GC_FRAME_(GC_UNIQUE(gc_frame_), GC_NARGS(__VA_ARGS__), __VA_ARGS__)
#define GC_FRAME_(frame_, n, ...)                                                                  \
    struct {                                                                                       \
        struct gc_frame head;                                                                      \
        uintptr_t slots[n];                                                                        \
    } frame_ __attribute__((cleanup(gc_frame_pop))) = {                                            \
        {GC_SELF->frames}, {GC_MAP(GC_SLOT_ADDRESS, 0, 0, __VA_ARGS__)}};                          \
    frame_.slots[(n)-1] += GC_FRAME_LAST;                                                          \
    GC_SELF->frames = &frame_.head
#define GC_SLOT_ADDRESS(unused, unused2, local)                                                    \
    (uintptr_t) & (local) + 0 * sizeof(char[sizeof(local) == sizeof(void *) ? 1 : -1]),

/* GC_FRAME_ARRAY(array, n): likewise, the first n words of an array or memory block are roots. */
#define GC_FRAME_ARRAY(array, n) GC_FRAME_ARRAY_(GC_UNIQUE(gc_frame_), array, n)
#define GC_FRAME_ARRAY_(frame_, array, n)                                                          \
    struct gc_frame_array __attribute__((cleanup(gc_frame_pop)))                                   \
    frame_ = {{GC_SELF->frames}, GC_FRAME_SIZE(n), (void *)(array)};                               \
    GC_SELF->frames = &frame_.head

GC_API void gc_frame_error(struct gc_frame *frame);
/* Of the frame that is innermost, given by its address. */
static inline void gc_frame_pop(void *innermost)
{
    struct gc_frame *frame = (struct gc_frame *)innermost;
    if (GC_UNLIKELY(GC_SELF->frames != frame))
        gc_frame_error(frame);
    else
        GC_SELF->frames = frame->prev;
}

/* For jumps that skip the ends of blocks: take the mark before setjmp(), and reset to it where the
 * jump lands. */
static inline struct gc_frame *gc_frame_mark(void)
{
    return GC_SELF->frames;
}
static inline void gc_frame_reset(struct gc_frame *mark)
{
    GC_SELF->frames = mark;
}

/* *slot (a global, or memory outside the heap) is a root until gc_unroot(). Any attached thread may
 * write it, with gc_store(). 0; -EEXIST, -ENOENT, -ENOMEM, -EINVAL (NULL, misaligned). */
GC_API int gc_root(void *slot);
GC_API int gc_unroot(void *slot);
/* The same for n adjacent slots; gc_unroot(base) undoes it. */
GC_API int gc_root_range(void *base, size_t n);

/* A range of the calling thread, or of the fiber that it runs: the slots [base, *top) are roots, as
 * a VM's value stack is. `top` points to a slot pointer. Only this thread writes the slots and
 * *top, plainly. The range ends by gc_thread_range_remove(base), or with the thread or fiber. 0;
 * -EINVAL, -EEXIST, -ENOENT, -ENOMEM. */
GC_API int gc_thread_range(void *base, void *top);
GC_API int gc_thread_range_remove(void *base);
/* All words of a thread-local block of `bytes` at `base` are roots until the thread detaches. */
GC_API int gc_thread_local_range(void *base, size_t bytes);

/* Adds a function that visits roots: it calls gc_trace_slot() or gc_trace_ref() for each.
 * With GC_ROOT_THREAD it runs in the calling thread's own handshakes, or on behalf of that thread
 * while it is blocked. It may visit slots that only this thread writes, plainly. It must not wait.
 * With GC_ROOT_HEAP (a heap callback) it runs on a thread of the collector's while the program's
 * threads run. It visits only slots that are written with gc_store(). It may wait for a lock under
 * which other threads allocate, except in some cases that docs/reference.md names. 0; -EINVAL,
 * -EEXIST, -ENOENT, -ENOMEM, -EAGAIN (no thread to run it). */
enum gc_root_scope { GC_ROOT_THREAD, GC_ROOT_HEAP };
typedef void (*gc_root_fn)(void *arg, gc_tracer *tracer);
GC_API int gc_root_callback(enum gc_root_scope scope, gc_root_fn fn, void *arg);
GC_API int gc_root_callback_remove(gc_root_fn fn, void *arg);

/* For trace functions and root callbacks only: visit a slot, n adjacent slots, a bare reference. */
GC_API void gc_trace_slot(gc_tracer *tracer, const void *slot);
GC_API void gc_trace_slots(gc_tracer *tracer, const void *base, size_t n);
GC_API void gc_trace_ref(gc_tracer *tracer, void *object);
/* The same for n values with a tagged word, of `size` bytes each, as on the stack of a VM. */
GC_API void gc_trace_tagged(gc_tracer *tracer, const void *base, size_t n, size_t size,
                            const struct gc_tagged *where);

/* For trace functions only: `user` of the object's type. So one function can serve several VMs of a
 * process. In a root callback, which has an argument of its own, NULL. */
GC_API void *gc_trace_user(gc_tracer *tracer);

/* A handle is a root that the heap owns and that C data structures and other threads can hold. Any
 * attached thread may use any handle of its current heap; get and set are atomic. NULL: ENOMEM,
 * EPERM. */
GC_API gc_handle *gc_handle_new(void *object);
/* The object, which the caller should root. NULL with EINVAL (NULL; a handle of another heap, or
 * one that was freed, if its place is free still: the log says so) or EPERM. */
GC_API void *gc_handle_get(const gc_handle *handle);
/* 0; -EINVAL (as above), -EPERM. */
GC_API int gc_handle_set(gc_handle *handle, void *object);
/* NULL is ignored. For other wrong handles nothing is done: errno is EINVAL, and the log says so.
 */
GC_API void gc_handle_free(gc_handle *handle);

/* ------------------------------------------------------------------------------------------
 * Collection
 */

/* Runs a full cycle and waits for its end. When it returns, everything that was unreachable at the
 * call is swept. Other threads go on meanwhile. 0; -EPERM. */
GC_API int gc_collect(void);
/* Asks for a cycle and does not wait for it. */
GC_API int gc_collect_start(void);

/* Change an option of the current heap at once and return the previous value. If several threads
 * set an option at once, each value is returned to one of them only. */
GC_API int gc_set_percent(int percent);
GC_API size_t gc_set_limit(size_t bytes);      /* 0: none */
GC_API size_t gc_set_hard_limit(size_t bytes); /* 0: none */

/* Collects, and gives every free page back to the OS. */
GC_API int gc_release_memory(void);

/* Durations: bucket i counts those in [2^i, 2^(i+1)) ns. */
struct gc_histogram {
    uint64_t buckets[40];
    uint64_t count, sum, max;
};

/* Why a cycle began. */
enum gc_cause {
    GC_CAUSE_GOAL,    /* the heap has grown so far that the cycle can be over at the goal */
    GC_CAUSE_LIMIT,   /* likewise, and the goal is as low as it is because of the soft limit */
    GC_CAUSE_COLLECT, /* gc_collect(), or another call that collects */
    GC_CAUSE_START,   /* gc_collect_start() */
    GC_CAUSE_MEMORY,  /* an allocation was refused memory */
    GC_CAUSE_DEBUG    /* the switch nth */
};
#define GC_CAUSES 6

struct gc_statistics {
    uint64_t cycles;            /* completed */
    uint64_t forced_cycles;     /* of these, those for which a thread waited */
    uint64_t causes[GC_CAUSES]; /* of the cycles, those that began so; by enum gc_cause */
    uint64_t heap_live;         /* bytes in objects now; of a run, all bytes count */
    uint64_t heap_marked;       /* bytes found live by the last cycle */
    uint64_t heap_goal;         /* heap size at which the next cycle should be over */
    uint64_t heap_inuse;        /* bytes in spans in use */
    uint64_t heap_idle;         /* bytes in free pages that the OS still backs */
    uint64_t heap_released;     /* bytes in free pages given back */
    uint64_t heap_reserved;     /* address space */
    uint64_t metadata;          /* bytes of the heap's own tables that are backed, estimated */
    uint64_t external;          /* bytes that objects own outside the heap, by gc_external_add() */
    uint64_t allocated_bytes;   /* ever: runs taken and large objects */
    uint64_t freed_bytes;       /* ever, with the rests of runs that were given back */
    uint64_t objects_marked;    /* by the last cycle */
    uint64_t spans_inuse;
    uint64_t quiet_bytes; /* ever allocated in quiet regions; whole runs count */
    uint64_t quiet_max;   /* the most of it without a safepoint */
    uint64_t threads;     /* attached */
    uint64_t threads_blocked;
    uint64_t procs;             /* made so far */
    uint64_t mark_ns, sweep_ns; /* CPU time of all threads, ever */
    uint64_t assist_ns;         /* of mark_ns, by allocating threads */
    uint64_t last_cycle_ns;     /* of the last cycle, from its first handshake to its last */
    uint64_t last_mark_ns;
    uint64_t flush_waves;               /* of the last cycle */
    uint64_t handshakes;                /* ever */
    struct gc_histogram handshake_cpu;  /* a thread's own work in one handshake that gives it work
                                           (its roots, grey objects, runs); thread CPU time */
    struct gc_histogram handshake_wall; /* a thread's part in any handshake, wall clock */
    struct gc_histogram stall_cpu;      /* one time that a thread works for the collector (a
                                           handshake, an assist, sweeping), thread CPU time */
    struct gc_histogram stall;          /* the same, wall clock */
    struct gc_histogram held;           /* time that all threads were held, wall clock */
    struct gc_histogram held_back;      /* time that an allocation waited for a cycle because the
                                           heap was more than a tenth beyond its goal */
};

/* Fills *stats. Any thread may ask about any heap. The cost depends only on the number of threads.
 * Each field is right at some instant during the call; two fields may belong to different instants.
 * What is counted "ever" never becomes less, and freed_bytes is at most allocated_bytes. */
GC_API int gc_heap_stats(gc_heap *heap, struct gc_statistics *stats);
/* The same for the current heap. */
GC_API int gc_stats(struct gc_statistics *stats);

/* Receives a text, piece by piece, of the calls named gc_..._write(). It must not use the heap, and
 * may wait. 0: go on. Otherwise the call ends, and returns the value, which is a negative errno. */
typedef int (*gc_write_fn)(void *arg, const char *text, size_t size);
/* Writes the statistics as Prometheus reads them (text format 0.0.4), and how many objects of each
 * size class were ever allocated and freed. Any thread may ask about any heap. A safepoint.
 * 0; -EINVAL: a NULL; -EPERM; or what `write` returned. */
GC_API int gc_heap_stats_write(gc_heap *heap, gc_write_fn write, void *arg);

/* ------------------------------------------------------------------------------------------
 * Types made at run time
 */

/* Describes a type to gc_type_create(). A field that is 0 has its default. */
struct gc_type_spec {
    const char *name;
    size_t size;
    size_t align;
    size_t ptrdata;         /* 0: taken from the mask; required with a program */
    const uint64_t *mask;   /* bit i: word i is a reference. NULL: no references, or `program` */
    size_t mask_bits;       /* valid bits in mask; at most size / word */
    const uint8_t *program; /* a GC program, see gc_prog_begin(); NULL: `mask` */
    size_t program_size;
    uint8_t kind; /* enum gc_kind without flags; 0: GC_KIND_STRUCT */
    uint8_t tflag;
    bool (*equal)(const void *a, const void *b);
    uint64_t (*hash_object)(const void *object, uint64_t seed);
    gc_trace_fn trace;
    const char *fields;             /* the names of the references in the order of their offsets, as
                                       "left;right"; of up to GC_FIELDS_MAX. NULL: they have none */
    void *user;                     /* gc_type.user; the pointer is copied */
    uintptr_t fill;                 /* gc_type.fill */
    const struct gc_tagged *tagged; /* gc_type.tagged: words of the mask; NULL: none */
    size_t ntagged;
};

/* Makes a type at run time; copies all that `spec` points to. Any thread, attached or not.
 * NULL: ENOMEM; or EINVAL, and gc_type_error() says why: size 0 with references, ptrdata beyond
 * size or not equal to the end of the last reference, a mask bit beyond ptrdata, an alignment that
 * is no power of two or above 8192, a program that is malformed or writes past size, a fill without
 * references or with tagged words, tagged words that the mask does not have. */
GC_API gc_type *gc_type_create(const struct gc_type_spec *spec);

/* Gives up a type made by gc_type_create(); no object of it may be made afterwards. Heaps that
 * exist at this moment may hold objects of it, so its memory is kept until they are destroyed. For
 * a static type the same is done with what the library keeps of it: a plugin does so before it is
 * unloaded. If the static type is used again, it is registered anew.
 * 0; -EINVAL: NULL, a ready-made type, or a type of gc_type_create() that was released before. */
GC_API int gc_type_release(gc_type *type);

/* Checks a descriptor and assigns its run index, as its first use would. 0; -EINVAL, -ENOMEM. */
GC_API int gc_type_register(gc_type *type);

/* Says why the calling thread's last type was refused: a static string, never NULL. */
GC_API const char *gc_type_error(void);

/* ------------------------------------------------------------------------------------------
 * Weak references, ephemerons, interning
 */

/* In this section and the next an object is the address that an allocation returned, and the caller
 * keeps it alive during the call. An address inside of an object, memory that was not handed out
 * yet, and an object of no bytes are refused: EINVAL.
 *
 * An object dies at one moment of a cycle, for all weak references, weak maps, weak slots and
 * intern tables at once: they return NULL, or do not contain it any more. After that its finalizer
 * is queued. If it has none, its memory is reused and its cleanups are queued.
 *
 * The heap's end frees all weak references, weak maps and intern tables. They must not be used or
 * freed after that. EINVAL: NULL, or one of another heap than the current one.
 */

/* Makes a weak reference to the object. Two calls for the same live object return the same pointer;
 * each call is matched by one gc_weak_free(). Any attached thread may use it. NULL: EINVAL (no
 * object), ENOMEM, EPERM. */
GC_API gc_weak *gc_weak_new(void *object);
/* The object, which the caller should root before its next safepoint. Or NULL, with errno
 * unchanged, if the object is dead; it then always returns NULL. Takes no lock. It waits for no
 * thread, except for the sweep of one span. */
GC_API void *gc_weak_get(gc_weak *weak);
/* Any thread, attached or not. NULL is ignored. */
GC_API void gc_weak_free(gc_weak *weak);

/* A weak map leads from objects, by identity, to references (addresses, or words in the heap's
 * value format). An entry lives as long as its key. It keeps its value alive only while the key
 * lives, even if the value refers to the key (an ephemeron). A key outside of all heaps never dies.
 * Any attached thread may make these calls, which are atomic and do not take longer because the map
 * is large. NULL: ENOMEM, EPERM. */
GC_API gc_weakmap *gc_weakmap_new(void);
/* When no thread uses the map any more. Any thread, attached or not. NULL is ignored. */
GC_API void gc_weakmap_free(gc_weakmap *map);
/* Adds or replaces an entry. 0; -EINVAL (also: a key in a heap that is no object of this one),
 * -ENOMEM, -EPERM. */
GC_API int gc_weakmap_set(gc_weakmap *map, void *key, void *value);
/* The value, which the caller should root; NULL, with errno unchanged, if the key is not there. */
GC_API void *gc_weakmap_get(gc_weakmap *map, void *key);
GC_API bool gc_weakmap_has(gc_weakmap *map, void *key);
/* Removes an entry. Whether the key was there. */
GC_API bool gc_weakmap_delete(gc_weakmap *map, void *key);
/* How many entries there are, including some whose keys are unreachable and not yet found dead. */
GC_API size_t gc_weakmap_count(gc_weakmap *map);
/* Visits the entries of a map: start with *position 0, and call it until it returns false. Each
 * call fills *key and *value, which should be roots of the caller. Entries may be set and deleted
 * between the calls, the last one visited too. No entry is visited twice; only entries that were
 * added since the start may be missed. */
GC_API bool gc_weakmap_next(gc_weakmap *map, size_t *position, void **key, void **value);

/* Weak slots are words of an object that do not keep alive what they hold. The object's type has a
 * trace function that names them, and no mask that covers them. Objects with weak slots live and
 * die as others do, also in circles with what their slots hold.
 *
 * When an object dies, the collector writes `dead` into the weak slots that hold it: NULL, or a
 * word that leads to no object, such as a mark for deleted entries. From the death on
 * gc_load_weak() returns NULL for such a slot. A slot that leads to no object (NULL, a number in
 * the heap's value format, an address outside the heap) stays as it is. */

/* For trace functions only: names n weak slots. The first is at `slots`, and each of the others
 * `size` bytes behind the one before, as the members of an array of structs are. All lie in the
 * object that is traced; otherwise they count as strong, and the log says so. */
GC_API void gc_trace_weak(gc_tracer *tracer, void *slots, size_t n, size_t size, void *dead);
/* The same for n pairs {key, value}: of each pair the key is the weak slot, and the value is the
 * word behind it. A value lives as long as its key lives (an ephemeron); with a key that leads to
 * no object, as long as the pair. When a key dies, its value becomes NULL and then the key `dead`.
 * A thread changes only pairs whose key it holds, and pairs whose key leads to no object. */
GC_API void gc_trace_ephemerons(gc_tracer *tracer, void *pairs, size_t n, size_t size, void *dead);

GC_API void *gc_barrier_load_weak(const void *slot);
/* *slot, which the caller should root before its next safepoint: what a weak slot or the value of a
 * pair holds, unless it is dead. Acquire. NULL with EPERM: a thread without a heap, or in a
 * blocking region. To search for a key that the caller holds, gc_load() is enough. */
static inline void *gc_load_weak(const void *slot)
{
    return GC_UNLIKELY(GC_SELF->barrier) ? gc_barrier_load_weak(slot) : gc_load(slot);
}

GC_API void gc_barrier_store_weak(void *slot, void *value);
/* *slot = value: how a weak slot, or a pair's key or value, is written. Release. Not by gc_store(),
 * gc_cas(), gc_copy() and gc_clear(), which keep the old value alive. */
static inline void gc_store_weak(void *slot, void *value)
{
    typedef void *__attribute__((may_alias)) gc_slot_word;
    if (GC_UNLIKELY(GC_SELF->barrier))
        gc_barrier_store_weak(slot, value);
    __atomic_store_n((gc_slot_word *)slot, value, __ATOMIC_RELEASE);
}

/* A marked callback is for weak tables of the program's own, in objects or outside of them: fn is
 * asked in each cycle which of their entries live. It is called when nothing more is to be marked,
 * while all threads are held.
 *   decided false  What is unmarked dies, unless fn traces it, as by gc_trace_ref(). If fn has
 *                  marked anything so, marking goes on, and all callbacks are called once more;
 *                  also when what finalizers need has been marked, with GC_FINALIZE_ALL.
 *   decided true   The last call of a cycle: what is unmarked is dead. fn takes it out of its
 *                  tables. It may write plainly what is no slot: words of objects that no mask and
 *                  no trace function covers, and memory outside the heap.
 * fn must not use the heap, nor wait. A thread that takes an object out of such a table calls
 * gc_shade() for it before its next safepoint, and while it fills a table it holds what it puts
 * there. Weak slots and weak maps need neither that nor held threads. 0; -EINVAL, -EEXIST, -ENOENT,
 * -ENOMEM, -EPERM. */
typedef void (*gc_marked_fn)(void *arg, gc_tracer *tracer, bool decided);
GC_API int gc_marked_callback(gc_marked_fn fn, void *arg);
GC_API int gc_marked_callback_remove(gc_marked_fn fn, void *arg);
/* For marked callbacks only: whether an object is marked. true for NULL, and for addresses outside
 * the heap. */
GC_API bool gc_is_marked(gc_tracer *tracer, const void *object);

/* An intern table holds one object for each content, and keeps none of them alive. The functions:
 *   hash, equal  must not use the heap. Several threads may call them at once; sometimes equal runs
 *                under a lock. It may see an object that has just died, whose references may lead
 *                to freed memory
 *   make         allocates and fills the object for a key, or returns one that the caller made and
 *                keeps alive. It may collect and intern. It may fail with NULL: gc_intern_get()
 *                then returns NULL with the errno that make left. An object outside the heap stays
 *                in the table. NULL for make: gc_intern_get() only looks up
 */
struct gc_intern_ops {
    uint64_t (*hash)(const void *key, size_t size); /* of the bytes looked up */
    bool (*equal)(const void *object, const void *key, size_t size);
    void *(*make)(const void *key, size_t size, void *arg);
};
/* Copies *ops. NULL: EINVAL (no hash or equal), ENOMEM, EPERM. */
GC_API gc_intern *gc_intern_new(const struct gc_intern_ops *ops);
/* When no thread uses the table any more. Any thread, attached or not. NULL is ignored. */
GC_API void gc_intern_free(gc_intern *table);
/* The table's object that equals the key, which the caller should root. If there is none, `make`
 * makes it; if several threads do so at once, all get the same object. `key` is passed to the
 * functions as it is; if it lies in an object, the caller keeps that object alive. A safepoint only
 * if `make` is called. NULL: ENOMEM, or what `make` left in errno; errno 0 if there is none and no
 * `make`. */
GC_API void *gc_intern_get(gc_intern *table, const void *key, size_t size, void *arg);
/* How many objects there are, including some that are unreachable and not yet found dead. */
GC_API size_t gc_intern_count(gc_intern *table);

/* ------------------------------------------------------------------------------------------
 * Finalizers and cleanups
 *
 * Finalizers and cleanups of dead objects are queued. They run when gc_finalizers_run() is called,
 * or on a thread of the library's if the heap has GC_FINALIZER_THREAD; never inside another call.
 * The queue is first in, first out, but the order in which dead objects are found is not defined.
 *
 * They run without any lock of the library. So they may use the whole API, except gc_heap_destroy()
 * and gc_thread_detach() of this heap (-EBUSY), and may block. They must return in the heap and
 * fiber in which they were called, outside of a blocking region; otherwise the library puts that
 * right and logs it. They may be left by longjmp() (see gc_frame_reset()), and may end their
 * thread; they count as run then. A C++ exception must not leave them. When the heap is destroyed,
 * the queue is dropped.
 */

/* Sets a finalizer: when `object` is found dead, fn(object, arg) is queued, once, and the object
 * lives until fn has returned. fn may store the object where it stays alive, and may set another
 * finalizer. Everything that the object reaches lives as long as the object. So of a chain of
 * objects with finalizers one is finalized in each cycle, the outermost first, and a circle of
 * references through such an object is never collected. Weak references and map entries of the
 * object itself are gone before fn is queued; those of what it reaches stay.
 *   With GC_FINALIZE_ALL, all objects with finalizers that are found dead in a cycle are queued in
 * it, also those in a chain or a circle, and the one whose finalizer was set last comes first. What
 * they reach is as it was. Weak references and weak slots that hold an object found dead then are
 * cleared even if a finalizer still needs it; pairs, weak map entries and interned objects that a
 * finalizer needs stay.
 *   `arg` is not a reference. fn NULL removes a finalizer that is not queued yet. 0; -EINVAL (no
 * object), -EEXIST (it has one), -ENOENT (it has none to remove), -ENOMEM, -EAGAIN (no thread for
 * GC_FINALIZER_THREAD), -EPERM. */
typedef void (*gc_finalizer_fn)(void *object, void *arg);
GC_API int gc_finalizer_set(void *object, gc_finalizer_fn fn, void *arg);

/* Adds a cleanup: when `object` is dead and cannot come back (after its finalizer, if it has one),
 * fn(arg) is queued. An object may have several cleanups. Each runs once, in any order, perhaps on
 * several threads at once. `arg` is not a reference; it must not be an address in the object, nor
 * keep the object alive (as a handle would). Returns an id > 0, or -EINVAL (no object, no fn),
 * -ENOMEM, -EAGAIN, -EPERM. */
typedef void (*gc_cleanup_fn)(void *arg);
GC_API int64_t gc_cleanup_add(void *object, gc_cleanup_fn fn, void *arg);
/* 0: the cleanup will not run. -ENOENT: the object has no such cleanup; -EINVAL, -EPERM. */
GC_API int gc_cleanup_cancel(void *object, int64_t id);

/* Runs up to `max` queued finalizers and cleanups (0: until there are none) on the calling thread,
 * and returns how many. Several threads may do so at once. A finalizer may call it too, up to a
 * depth of 16; deeper calls run none. */
GC_API size_t gc_finalizers_run(size_t max);
/* Queues all finalizers that are set, the last one that was set first, though their objects live;
 * cleanups stay. For the end of a VM, before gc_finalizers_run(0). Returns how many, or 0 with
 * EPERM. */
GC_API size_t gc_finalizers_queue_all(void);
/* How many are queued now. */
GC_API size_t gc_finalizers_pending(void);
/* Sets the function that is called when something was queued. It runs on the thread that found the
 * dead object, perhaps in the middle of an allocation. It may wake a thread of yours; it must not
 * use the heap, or wait. NULL: no function. When this call returns, the previous function may still
 * be running. 0 or -EPERM. */
GC_API int gc_finalizers_notify(void (*fn)(void *arg), void *arg);

/* ------------------------------------------------------------------------------------------
 * Fibers: root sets that threads switch between. The embedder switches the C stacks, if there are
 * any. A fiber belongs to the heap in which it was made, and ends with it. In another heap: EINVAL.
 */

/* A new, suspended fiber. NULL: ENOMEM, EPERM. */
GC_API gc_fiber *gc_fiber_create(void);
/* The same for a coroutine that dies when nobody can reach it. What the fiber holds while it is
 * suspended is no root: the object `owner` refers to it, and may be among it. The fiber does not
 * keep its owner alive; the thread that runs the fiber does. When the owner is dead, which for the
 * fiber it is before its finalizer is queued, nothing that the fiber held is kept, its stack is not
 * read any more, and nobody can go on in it. Destroy it nonetheless: a cleanup of the owner
 * (gc_cleanup_add) can do so, and free the stack. A fiber to which a thread is to return must have
 * an owner that can be reached until then. NULL: EINVAL (no object), ENOMEM, EPERM. */
GC_API gc_fiber *gc_fiber_create_for(void *owner);
/* The calling thread leaves its present fiber, which is suspended with its frames and ranges, and
 * goes on in `fiber`; NULL: in the thread's own root set. Returns the fiber that it left, NULL for
 * the thread's own root set, and sets errno to 0. If errno is EBUSY (another thread runs the
 * fiber), EINVAL (also: its owner is dead) or EPERM, there was no switch. If you switch C stacks,
 * call this right before, in the same function, and load no reference in between: the call notes
 * where the code stands and what is in its registers. */
GC_API gc_fiber *gc_fiber_switch(gc_fiber *fiber);
/* The fiber that the calling thread runs. NULL with errno unchanged: the thread's own root set;
 * NULL with EPERM. Only the thread that runs a fiber may read and write the fiber's slots (its
 * ranges' memory, its frames' locals). To pass a value on, keep it in a C local, switch, then store
 * it. */
GC_API gc_fiber *gc_fiber_current(void);
/* Frees a suspended fiber with its roots. 0; -EBUSY: a thread runs it; -EINVAL, -EPERM. */
GC_API int gc_fiber_destroy(gc_fiber *fiber);
/* Tells the fiber's C stack: [low, high), all of its readable memory. The stack is scanned
 * conservatively from now on, while the fiber runs and while it is suspended, in any heap.
 * (NULL, NULL): no longer. 0; -EINVAL (also: a NULL fiber, or low above high), -EBUSY (another
 * thread runs it), -ENOMEM, -EPERM. */
GC_API int gc_fiber_stack(gc_fiber *fiber, const void *low, const void *high);

/* ------------------------------------------------------------------------------------------
 * Introspection
 */

/* The start of the object that contains `address`; NULL if no object does. Free memory is no
 * object, even where an allocation is about to take it. The address one past an object's end lies
 * in the next object, or in none, but for types with GC_TFLAG_ENDS. */
GC_API void *gc_object_base(const void *address);
/* The bytes of the object's cell; 0 if `object` is not an address in an object. */
GC_API size_t gc_object_size(const void *object);
/* Whether `address` is the start of an object. */
GC_API bool gc_is_object(const void *address);
/* Whether `address` lies in the heap's arenas. */
GC_API bool gc_heap_contains(const gc_heap *heap, const void *address);

struct gc_object {
    void *address;
    size_t size;
    const gc_type *type; /* of a traced object, and of a large object with references: the type of
                            its head or of its elements. NULL for all others: not known */
    bool has_pointers;
};
/* Collects, then holds all threads and calls fn for each live object, until fn returns false. fn
 * may read all objects. It must not write to them, use the heap, or wait for another thread, and it
 * must return. */
GC_API int gc_heap_each(bool (*fn)(void *arg, const struct gc_object *object), void *arg);

/* Who keeps an object alive. The next three calls hold all threads and pass references to fn, until
 * it returns false; fn may do what it may in gc_heap_each(). NULL: each reference becomes a line in
 * the log. They do not collect, so an object that is dead and not yet found so is still there.
 *
 * What a reference lies in. All but objects are roots, or act like roots. */
enum gc_holder {
    GC_IN_OBJECT,
    GC_IN_FRAME,    /* a local of a GC_FRAME */
    GC_IN_RANGE,    /* gc_thread_range(), gc_thread_local_range() */
    GC_IN_STACK,    /* a C stack that is scanned conservatively */
    GC_IN_CALLBACK, /* what a root callback visits */
    GC_IN_GLOBAL,   /* gc_root(), gc_root_range() */
    GC_IN_HANDLE,
    GC_IN_FINALIZER, /* an object that waits for its finalizer, and what an object with a finalizer
                        refers to */
    GC_IN_WEAKMAP,   /* the value of an entry: held as long as its key lives */
    GC_IN_FIBER /* what a suspended fiber holds: as long as its owner lives. The owner of a fiber
                   that a thread runs is a root */
};

/* One reference. */
struct gc_edge {
    enum gc_holder by;
    const void *from;    /* the object, or the object with the finalizer, or the key, or the owner;
                            of a root: the frame, the base of the range, the callback; or NULL */
    const void *slot;    /* the word that holds the reference; NULL: not known */
    const gc_type *type; /* of the object `from`, or of its elements; NULL: not known */
    const char *field;   /* the name of the field; NULL: not known */
    void *to;            /* the object it leads to */
    uint64_t thread;     /* the OS's number of the thread whose root it is; 0: of none */
    const char *text;    /* all of this in words, as "struct node.next at 0xc000000010" or "local 2
                            of the GC_FRAME in build(), thread 4711 main". Until fn returns */
};
typedef bool (*gc_edge_fn)(void *arg, const struct gc_edge *edge);
/* All roots that lead to objects. Returns how many there are; or -EPERM. */
GC_API int gc_heap_roots(gc_edge_fn fn, void *arg);
/* All references to the object that contains the address: those of roots first. Returns how many
 * there are; or -EINVAL (no object), -EPERM. Looks at all objects. */
GC_API int gc_who(const void *object, gc_edge_fn fn, void *arg);
/* A shortest path to that object: the root's reference first, the one that leads to the object
 * last. Roots of the calling thread that refer to the object itself count only if there is no other
 * path. Returns how many they are; 0: no root leads to it; or -EINVAL (no object), -ENOMEM, -EPERM.
 * It takes 16 bytes for each object that it meets. */
GC_API int gc_path(const void *object, gc_edge_fn fn, void *arg);

/* Counts objects and bytes per size class and, where it is known, per type. Fills at most n rows,
 * the smallest sizes first, and returns how many; or -ENOMEM. */
struct gc_census {
    size_t size; /* of the size class; 0: large objects */
    bool has_pointers;
    uint64_t objects, bytes;
    const gc_type *type; /* as in gc_object */
};
GC_API int gc_heap_census(struct gc_census *rows, size_t n);

/* Collects, then holds all threads and writes a heap dump to the file `path`: all objects with
 * their types, what they refer to, and the roots. gcheap-heap reads it; docs/heap-dump.md describes
 * it. The file appears as a whole when it is complete. 0; -EINVAL (NULL), -EPERM, -ENOMEM, or what
 * the OS said (-ENOENT, -EACCES, -ENOSPC, ...): then the file at `path` is what it was before. */
GC_API int gc_heap_dump(const char *path);

/* Holds all threads, checks all of the heap's data structures, and marks a second time to see that
 * the collector missed nothing. 0; -EIO: the log says what is wrong. Slow. */
GC_API int gc_heap_verify(void);

/* A profile says which code allocates, and whose objects are in use: for allocations that are
 * chosen at random, one in so many bytes, the functions that called each other. It costs less than
 * one percent at the default rate, and nothing while none is recorded. */
struct gc_profile_frame {
    const char *function, *file; /* file NULL: none */
    unsigned line;               /* 0: none */
};
/* A field that is 0 has its default. */
struct gc_profile_options {
    size_t mean;   /* bytes from one sampled allocation to the next, on average; default 512 KiB */
    uint64_t seed; /* of the choice: the same seed, the same choice; default: the clock */
    /* Tells which functions of the program that the embedder runs call each other at a sampled
     * allocation: fills up to n frames, innermost first, and returns how many. It runs on the
     * allocating thread, and must use no heap (EPERM). What the strings say is copied when it
     * returns. NULL: only the functions of the machine are known. */
    size_t (*frames)(void *user, struct gc_profile_frame *frames, size_t n);
    void *user;
};
/* Begins to record a profile of the current heap, or goes on with other options. What was recorded
 * stays until the heap ends. NULL: records no more, but still sees which objects die. 0; -ENOMEM,
 * -EPERM. */
GC_API int gc_profile_record(const struct gc_profile_options *options);
/* Writes the profile of the current heap, for the program gcheap-pprof. As gc_heap_stats_write(). A
 * safepoint. 0; -EINVAL: NULL; -ENOENT: none was recorded; -EPERM; or what `write` returned. */
GC_API int gc_profile_write(gc_write_fn write, void *arg);

/* The event trace: what threads do for the collector, and how long; the cycles of all heaps with
 * their steps and causes; sizes and goals. Each thread keeps its last 8192 events. It costs nothing
 * on fast paths, and a load elsewhere while nothing is recorded. */
/* true: records from now on, and forgets what was recorded before. Any thread. 0 or -EPERM. */
GC_API int gc_events_record(bool on);
/* Writes the events as JSON, for Perfetto (ui.perfetto.dev) and chrome://tracing. As
 * gc_heap_stats_write(). A safepoint. Any thread. 0; -EINVAL: NULL; -ENOENT: nothing was ever
 * recorded; -ENOMEM; -EPERM; or what `write` returned. */
GC_API int gc_events_write(gc_write_fn write, void *arg);

/* ------------------------------------------------------------------------------------------
 * What types have in common with those of Go's runtime: kinds, comparison, GC programs
 */

/* gc_type.kind: what a type is, and flags. The numbers are those of Go's runtime. The library uses
 * GC_KIND_GCPROG only; the rest is for the embedder. */
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
    GC_KIND_DIRECT_IFACE = 1 << 5, /* flag: a value of this type is one pointer */
    GC_KIND_GCPROG = 1 << 6,       /* flag: gcdata is a GC program, not a mask */
    GC_KIND_MASK = (1 << 5) - 1
};

/* gc_type.tflag. The library uses GC_TFLAG_REGULAR_MEMORY and GC_TFLAG_ENDS only. */
enum gc_tflag {
    GC_TFLAG_UNCOMMON = 1 << 0,   /* the embedder keeps data of its own beside the type */
    GC_TFLAG_EXTRA_STAR = 1 << 1, /* the name begins with a '*' that is not part of it */
    GC_TFLAG_NAMED = 1 << 2,
    GC_TFLAG_REGULAR_MEMORY = 1 << 3, /* equal objects are equal bytes */
    GC_TFLAG_ENDS = 1 << 4            /* the address one past the end of an object, an array or a
                                         flexible object keeps it alive: each takes a byte more */
};

/* Whether two objects of `type` are equal: by type->equal, or by bytes with
 * GC_TFLAG_REGULAR_MEMORY. false if the type is not comparable, or NULL. */
GC_API bool gc_type_equal(const gc_type *type, const void *a, const void *b);
/* A hash of an object of `type`; equal objects have the same. 0 if the type is not hashable, or
 * NULL. */
GC_API uint64_t gc_type_hash(const gc_type *type, const void *object, uint64_t seed);

/* GC programs describe large repetitive shapes in few bytes (the encoding of Go's runtime):
 *   0x00           stop
 *   0nnnnnnn       emit the n (1…127) bits in the next ceil(n/8) bytes, lowest first
 *   1nnnnnnn c     repeat the last n bits c times more; n = 0: n follows as a varint; c is a varint
 * A repetition may repeat what an earlier one made. gc_prog_begin() begins to build a program in
 * the caller's buffer, and the other calls go on: */
struct gc_prog {
    uint8_t *bytes; /* the caller's buffer */
    size_t size, capacity;
    int error; /* 0, or -ENOSPC / -EINVAL of the first call that failed */
};
GC_API void gc_prog_begin(struct gc_prog *prog, void *buffer, size_t capacity);
/* Appends n mask bits, the lowest bit of bits[0] first. */
GC_API void gc_prog_emit(struct gc_prog *prog, const uint64_t *bits, size_t n);
/* Repeats the last n bits `count` times more. */
GC_API void gc_prog_repeat(struct gc_prog *prog, size_t n, size_t count);
/* Ends the program; returns 0 or prog->error. */
GC_API int gc_prog_end(struct gc_prog *prog);

#ifdef __cplusplus
}
#endif

/* ------------------------------------------------------------------------------------------
 * The forgotten &: gc_store(p->next, q) would write into the object to which p->next leads. So
 * calls that take the address of a slot do not compile with a pointer to a struct. A handle is a
 * slot, and a pointer to void is believed. Without the check, as functions, they are (gc_store),
 * (gc_load) and so on.
 */
#define GC_SLOT_TEXT                                                                               \
    "this call takes the address of a slot, as in gc_store(&p->field, value): is the & missing?"
#ifdef __cplusplus
template <class T> struct gc_is_slot {
    static constexpr bool value = !__is_class(T);
};
template <> struct gc_is_slot<gc_handle> {
    static constexpr bool value = true;
};
template <> struct gc_is_slot<const gc_handle> {
    static constexpr bool value = true;
};
template <class T> static inline void gc_store(T *slot, void *value)
{
    static_assert(gc_is_slot<T>::value, GC_SLOT_TEXT);
    gc_store(static_cast<void *>(slot), value);
}
template <class T> static inline void *gc_load(T *slot)
{
    static_assert(gc_is_slot<T>::value, GC_SLOT_TEXT);
    return gc_load(static_cast<const void *>(slot));
}
template <class T> static inline bool gc_cas(T *slot, void *expected, void *desired)
{
    static_assert(gc_is_slot<T>::value, GC_SLOT_TEXT);
    return gc_cas(static_cast<void *>(slot), expected, desired);
}
template <class T> static inline void gc_store_weak(T *slot, void *value)
{
    static_assert(gc_is_slot<T>::value, GC_SLOT_TEXT);
    gc_store_weak(static_cast<void *>(slot), value);
}
template <class T> static inline void *gc_load_weak(T *slot)
{
    static_assert(gc_is_slot<T>::value, GC_SLOT_TEXT);
    return gc_load_weak(static_cast<const void *>(slot));
}
template <class T> static inline int gc_root(T *slot)
{
    static_assert(gc_is_slot<T>::value, GC_SLOT_TEXT);
    return gc_root(static_cast<void *>(slot));
}
template <class T> static inline void gc_trace_slot(gc_tracer *tracer, T *slot)
{
    static_assert(gc_is_slot<T>::value, GC_SLOT_TEXT);
    gc_trace_slot(tracer, static_cast<const void *>(slot));
}
#else
/* The type of the pointer; its value is not computed. An array is a pointer here. */
#define GC_POINTER(slot) __typeof__((void)0, (slot))
/* What it points to: of void and of a handle, a reference. */
#define GC_POINTEE(P)                                                                              \
    (*_Generic((P)0, void *: (void **)0, const void *: (void **)0, gc_handle *: (void **)0,        \
               const gc_handle *: (void **)0, default: (P)0))
#define GC_CLASS_STRUCT 12 /* what __builtin_classify_type() says of one */
#define GC_SLOT(slot)                                                                              \
    ((void)sizeof(struct {                                                                         \
         GC_STATIC_ASSERT(__builtin_classify_type(GC_POINTEE(GC_POINTER(slot))) !=                 \
                              GC_CLASS_STRUCT,                                                     \
                          GC_SLOT_TEXT);                                                           \
         char gc_unused;                                                                           \
     }),                                                                                           \
     (slot))
#define gc_store(slot, ...) (gc_store)(GC_SLOT(slot), __VA_ARGS__)
#define gc_load(slot) (gc_load)(GC_SLOT(slot))
#define gc_cas(slot, ...) (gc_cas)(GC_SLOT(slot), __VA_ARGS__)
#define gc_store_weak(slot, ...) (gc_store_weak)(GC_SLOT(slot), __VA_ARGS__)
#define gc_load_weak(slot) (gc_load_weak)(GC_SLOT(slot))
#define gc_root(slot) (gc_root)(GC_SLOT(slot))
#define gc_trace_slot(tracer, slot) (gc_trace_slot)(tracer, GC_SLOT(slot))
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
