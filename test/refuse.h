/* malloc and its kin, which refuse when they are told to. */
#ifndef REFUSE_H
#define REFUSE_H

#include "build.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__GLIBC__) && !SLOW
#define MALLOC_CAN_FAIL 1
#endif

/* Of the calls of malloc that this thread makes from now on the nth fails; 0: none. */
static _Thread_local uint64_t malloc_fails, malloc_calls;
static inline void fail_malloc(uint64_t n)
{
    malloc_calls = 0;
    malloc_fails = n;
}

/* From now on, until it is told otherwise, all calls of all other threads fail. */
static _Thread_local bool malloc_spares_me;
static uint32_t malloc_refuses_others, malloc_refused_others; /* atomic; refused: how many calls */
static inline void fail_malloc_of_others(bool fails)
{
    malloc_spares_me = true;
    __atomic_store_n(&malloc_refuses_others, fails, __ATOMIC_RELEASE);
}
static inline uint32_t calls_of_others_refused(void)
{
    return __atomic_load_n(&malloc_refused_others, __ATOMIC_ACQUIRE);
}

#ifdef MALLOC_CAN_FAIL
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

static bool malloc_refuses(void)
{
    bool of_another =
        !malloc_spares_me && __atomic_load_n(&malloc_refuses_others, __ATOMIC_ACQUIRE);
    if (of_another)
        __atomic_fetch_add(&malloc_refused_others, 1, __ATOMIC_ACQ_REL);
    if (++malloc_calls != malloc_fails && !of_another)
        return false;
    errno = ENOMEM;
    return true;
}
void *malloc(size_t size)
{
    return malloc_refuses() ? NULL : __libc_malloc(size);
}
void *calloc(size_t n, size_t size)
{
    return malloc_refuses() ? NULL : __libc_calloc(n, size);
}
void *realloc(void *p, size_t size)
{
    return malloc_refuses() ? NULL : __libc_realloc(p, size);
}
void *aligned_alloc(size_t align, size_t size)
{
    return malloc_refuses() ? NULL : __libc_memalign(align, size);
}
#endif

/* Not if it is the sanitizer's. */
static inline bool malloc_is_ours(void)
{
#ifdef MALLOC_CAN_FAIL
    return true;
#else
    return false;
#endif
}

#endif
