/* Atomic operations: what they do, and the instructions that give them their order. */
#include "base/atomics.h"
#undef CHECK
#include "tap.h"

/* Each operation of a family: what it returns, and what it leaves. */
#define FAMILY(F, T)                                                                               \
    static void check_##F(void)                                                                    \
    {                                                                                              \
        const T high = (T)((T)1 << (8 * sizeof(T) - 1));                                           \
        T x = high;                                                                                \
        CHECK(F##_load_relaxed(&x) == high && F##_load_acquire(&x) == high);                       \
        F##_store_relaxed(&x, 1);                                                                  \
        CHECK(!F##_cas_relaxed(&x, 2, 3) && F##_cas_relaxed(&x, 1, 2) && x == 2);                  \
        CHECK(!F##_cas_acquire(&x, 1, 3) && F##_cas_acquire(&x, 2, 3) && x == 3);                  \
        CHECK(!F##_cas_release(&x, 1, 4) && F##_cas_release(&x, 3, 4) && x == 4);                  \
        F##_store_relaxed(&x, 7);                                                                  \
        CHECK(F##_load_seq_cst(&x) == 7 && F##_exchange_relaxed(&x, 8) == 7);                      \
        CHECK(F##_exchange_acquire(&x, 5) == 8 && F##_exchange_release(&x, 9) == 5);               \
        CHECK(F##_fetch_or_relaxed(&x, 6) == 9 && F##_fetch_or_release(&x, high) == 15);           \
        CHECK(F##_fetch_or_seq_cst(&x, 1) == (high | 15));                                         \
        CHECK(F##_fetch_and_seq_cst(&x, high | 7) == (high | 15));                                 \
        CHECK(F##_fetch_and_relaxed(&x, high | 3) == (high | 7) && x == (high | 3));               \
        CHECK(F##_fetch_add_relaxed(&x, 1) == (high | 3));                                         \
        CHECK(F##_fetch_add_release(&x, 1) == (high | 4));                                         \
        CHECK(F##_fetch_add_seq_cst(&x, high) == (high | 5) && x == 5);                            \
        CHECK(F##_fetch_sub_relaxed(&x, 1) == 5 && F##_fetch_sub_release(&x, 1) == 4);             \
        CHECK(F##_fetch_sub_acq_rel(&x, 4) == 3);                                                  \
        CHECK(x == (T)-1);                                                                         \
    }
FAMILY(word, word)
FAMILY(u64, u64)
FAMILY(u32, uint32_t)
FAMILY(u8, uint8_t)

TEST(operations)
{
    check_word();
    check_u64();
    check_u32();
    check_u8();
}

TEST(numbers_of_64_bits_lie_in_one_cache_line)
{
    struct {
        char first;
        u64 number;
    } s;
    CHECK_EQ(_Alignof(u64), 8);
    CHECK_EQ((uintptr_t)&s.number % 8, 0);
}

/* ---- RISC-V: the code ---- */

#ifdef __riscv

#define OPERATION(name, ...)                                                                       \
    __attribute__((noinline)) static bool name(void *p)                                            \
    {                                                                                              \
        return __VA_ARGS__;                                                                        \
    }
OPERATION(word_release, word_cas_release(p, 0, 1))
OPERATION(u64_release, u64_cas_release(p, 0, 1))
OPERATION(u32_release, u32_cas_release(p, 0, 1))
OPERATION(pointer_release, ptr_cas_release((void **)p, &(void *){NULL}, p))
OPERATION(u32_relaxed, u32_cas_relaxed(p, 0, 1))

/* Whether a conditional store releases what was written before it: it has the bit .rl, or a fence
 * of writes before writes stands before it. */
static bool releases(bool (*function)(void *))
{
    const uint16_t *at = (const uint16_t *)(const void *)(uintptr_t)function;
    bool fenced = false;
    for (int left = 200; left > 0; left--, at += (at[0] & 3) == 3 ? 2 : 1) {
        uint32_t code = at[0] | (uint32_t)at[1] << 16;
        if ((code & 0x707f) == 0x000f && (code >> 24 & 1) && (code >> 20 & 1))
            fenced = true;
        if ((code & 0xf800007f) == 0x1800002f)
            return fenced || (code >> 25 & 1);
    }
    FAIL("no sc found");
    return false;
}

TEST(compare_and_swap_releases)
{
    CHECK(releases(word_release) && releases(u64_release));
    CHECK(releases(u32_release) && releases(pointer_release));
    CHECK(!releases(u32_relaxed));
}

#endif

TAP_MAIN
