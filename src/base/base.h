/* The words, constants and checks that every other file uses. */
#ifndef GC_BASE_H
#define GC_BASE_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A machine word: bit maps are arrays of words, and one bit stands for one word of the heap. */
typedef uintptr_t word;
/* The same, for access to slots whose declared type is the embedder's. */
typedef uintptr_t __attribute__((may_alias)) slot_word;
/* 64 bits on every host, for atomic access. A plain uint64_t in a struct is aligned to 4 on some
 * 32-bit hosts, where it may lie in two cache lines. */
typedef uint64_t __attribute__((aligned(8))) u64;

#if UINTPTR_MAX > 0xffffffffu
#define WORD_SHIFT 3
#define ARENA_SHIFT 26 /* 64 MiB */
#define ADDRESS_BITS 48
#else
#define WORD_SHIFT 2
#define ARENA_SHIFT 22 /* 4 MiB */
#define ADDRESS_BITS 32
#endif

#define WORD_SIZE ((size_t)1 << WORD_SHIFT)
#define WORD_BITS ((size_t)8 << WORD_SHIFT)
#define WORD_BITS_SHIFT (WORD_SHIFT + 3)

/* <limits.h> may have the system's; later includes of it define nothing. */
#undef PAGE_SIZE
#undef PAGE_SHIFT
#define PAGE_SHIFT 13
#define PAGE_SIZE ((size_t)1 << PAGE_SHIFT)
#define PAGE_WORDS (PAGE_SIZE / WORD_SIZE)
#define ARENA_SIZE ((size_t)1 << ARENA_SHIFT)
#define ARENA_PAGES (ARENA_SIZE >> PAGE_SHIFT)
#define ARENA_WORDS (ARENA_SIZE / WORD_SIZE)

/* Data that several threads write is aligned to CACHE_PAD. That is two cache lines, because the
 * adjacent-line prefetcher loads lines in pairs. */
#define CACHE_LINE 64
#define CACHE_PAD 128
#define CACHE_ALIGNED __attribute__((aligned(CACHE_PAD)))

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold, noinline))
#define INLINE static inline __attribute__((always_inline))
/* MinGW has two printf(); <stdio.h> says which one it gives. */
#ifdef __MINGW_PRINTF_FORMAT
#define PRINTF_LIKE(f, a) __attribute__((format(__MINGW_PRINTF_FORMAT, f, a)))
#else
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#endif

/* For functions that run on a thread that no sanitizer knows any more. */
#if defined(__has_attribute)
#if __has_attribute(disable_sanitizer_instrumentation)
#define NO_SANITIZER __attribute__((disable_sanitizer_instrumentation))
#endif
#endif
#ifndef NO_SANITIZER
#define NO_SANITIZER __attribute__((no_sanitize("thread")))
#endif

/* There are three tiers of checks. CHECK is cheap and in every build; if it fails, the heap is
 * broken and the process ends. ASSERT is in debug builds only, and may cite an invariant of
 * docs/invariants.md: ASSERT(x && "I7"). Walks over whole structures are functions named x_check,
 * which tests and the heap verifier call. */
_Noreturn void base_panic(const char *file, int line, const char *what);
#define CHECK(cond) ((void)(LIKELY(cond) || (base_panic(__FILE__, __LINE__, #cond), 0)))

#ifndef GC_DEBUG
#define GC_DEBUG 0
#endif
#if GC_DEBUG
#define ASSERT(cond) CHECK(cond)
#else
#define ASSERT(cond) ((void)sizeof(cond))
#endif

/* The first line of each function that calls the system or the C library. It restores errno when
 * the function returns, whatever they said. So a public call that succeeds leaves the embedder's
 * errno alone, even if the system refused something on the way. */
INLINE void base_restore_errno(const int *kept)
{
    errno = *kept;
}
#define KEEP_ERRNO const int __attribute__((cleanup(base_restore_errno), unused)) kept_errno = errno

INLINE size_t align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}
INLINE size_t align_down(size_t n, size_t align)
{
    return n & ~(align - 1);
}
INLINE size_t divide_up(size_t n, size_t d)
{
    return (n + d - 1) / d;
}
INLINE bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

#endif
