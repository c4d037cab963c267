/* Atomic operations, each named with its order. Two backends: libatomic_ops, and the compiler's
 * builtins (-DGC_ATOMICS_C11) for sanitizers, which must see every access.
 *
 * Families: word_*, u32_*, u16_* (loads and stores only), u8_*, ptr_* (ptr_* on any object pointer
 * lvalue's address). A compare-and-swap is named by its order on success; it returns whether it
 * swapped. libatomic_ops' "full" compare-and-swap is only acquire-release, and it has no fetching
 * or, so those operations are the compiler's in both backends.
 *
 * Each use of an order stronger than relaxed is named by a litmus test that needs it
 * (docs/memory-model.md; test/check-orders).
 */
#ifndef GC_ATOMICS_H
#define GC_ATOMICS_H

#include "base/base.h"

/* clang-format off */
#ifndef GC_ATOMICS_C11
#include <atomic_ops.h>

#define ATOMICS_LOADS(F, T, A)                                                                     \
    INLINE T F##_load_relaxed(const T *p) { return (T)A##load((const volatile void *)p); }         \
    INLINE T F##_load_acquire(const T *p) { return (T)A##load_acquire((const volatile void *)p); } \
    INLINE void F##_store_relaxed(T *p, T v) { A##store((volatile void *)p, v); }                  \
    INLINE void F##_store_release(T *p, T v) { A##store_release((volatile void *)p, v); }
#else
#define ATOMICS_LOADS(F, T, A)                                                                     \
    INLINE T F##_load_relaxed(const T *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }         \
    INLINE T F##_load_acquire(const T *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }         \
    INLINE void F##_store_relaxed(T *p, T v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }         \
    INLINE void F##_store_release(T *p, T v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
#endif

/* Before its version 14, gcc makes a release or acquire-release compare-and-swap for RISC-V that
 * releases nothing: its sc has no .rl, and no fence stands before it, as one does before the
 * sequentially consistent one and before all other operations that release. */
#if defined(__riscv) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 14
#define CAS_RELEASE_FENCE() __atomic_thread_fence(__ATOMIC_RELEASE)
#else
#define CAS_RELEASE_FENCE() ((void)0)
#endif

#define ATOMICS_CAS(F, T, order_name, fence, success, failure)                                     \
    INLINE bool F##_cas_##order_name(T *p, T expected, T desired)                                  \
    {                                                                                              \
        fence;                                                                                     \
        return __atomic_compare_exchange_n(p, &expected, desired, false, success, failure);        \
    }

#define ATOMICS_UPDATES(F, T)                                                                      \
    ATOMICS_CAS(F, T, relaxed, (void)0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)                        \
    ATOMICS_CAS(F, T, acquire, (void)0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)                        \
    ATOMICS_CAS(F, T, release, CAS_RELEASE_FENCE(), __ATOMIC_RELEASE, __ATOMIC_RELAXED)            \
    INLINE T F##_load_seq_cst(const T *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }         \
    INLINE T F##_exchange_relaxed(T *p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); } \
    INLINE T F##_exchange_acquire(T *p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_ACQUIRE); } \
    INLINE T F##_exchange_release(T *p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELEASE); } \
    INLINE T F##_fetch_or_relaxed(T *p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); } \
    INLINE T F##_fetch_or_release(T *p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELEASE); } \
    INLINE T F##_fetch_or_seq_cst(T *p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); } \
    INLINE T F##_fetch_and_seq_cst(T *p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); } \
    INLINE T F##_fetch_and_relaxed(T *p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); } \
    INLINE T F##_fetch_add_relaxed(T *p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); } \
    INLINE T F##_fetch_add_release(T *p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELEASE); } \
    INLINE T F##_fetch_add_seq_cst(T *p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); } \
    INLINE T F##_fetch_sub_relaxed(T *p, T v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); } \
    INLINE T F##_fetch_sub_release(T *p, T v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELEASE); } \
    INLINE T F##_fetch_sub_acq_rel(T *p, T v) { return __atomic_fetch_sub(p, v, __ATOMIC_ACQ_REL); }

ATOMICS_LOADS(word, uintptr_t, AO_)
ATOMICS_LOADS(u32, uint32_t, AO_int_)
ATOMICS_LOADS(u16, uint16_t, AO_short_)
ATOMICS_LOADS(u8, uint8_t, AO_char_)
ATOMICS_UPDATES(word, uintptr_t)
ATOMICS_UPDATES(u32, uint32_t)
ATOMICS_UPDATES(u8, uint8_t)

/* Counts that do not fit in a word of a 32-bit host. The compiler's in both backends, as
 * libatomic_ops has none there. */
INLINE u64 u64_load_relaxed(const u64 *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
INLINE u64 u64_load_acquire(const u64 *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
INLINE void u64_store_relaxed(u64 *p, u64 v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
ATOMICS_UPDATES(u64, u64)

/* Slots lie in the embedder's structs, so they are read and written through the aliasing word. */
INLINE word slot_load_acquire(const void *p) { return __atomic_load_n((const slot_word *)p, __ATOMIC_ACQUIRE); }
INLINE word slot_load_relaxed(const void *p) { return __atomic_load_n((const slot_word *)p, __ATOMIC_RELAXED); }
INLINE void slot_store_release(void *p, word v) { __atomic_store_n((slot_word *)p, v, __ATOMIC_RELEASE); }
/* clang-format on */

#define ptr_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define ptr_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define ptr_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ptr_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define ptr_exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
/* These two update *old to what is there when they do not swap. */
#define ptr_cas_acquire(p, old, v)                                                                 \
    __atomic_compare_exchange_n((p), (old), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)
#define ptr_cas_release(p, old, v)                                                                 \
    (CAS_RELEASE_FENCE(),                                                                          \
     __atomic_compare_exchange_n((p), (old), (v), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))

INLINE void fence_seq_cst(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
INLINE void fence_acquire(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}
INLINE void fence_release(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

/* Tells the core that the thread is in a spin loop. */
INLINE void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
