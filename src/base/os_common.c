/* Fault injection, on every system. */
#include "base/os_common.h"
#include "base/atomics.h"

static word calls;                 /* fallible calls so far */
static word fault_from, fault_end; /* the calls numbered [from, end) fail; the first is number 1 */
static word fault_one_in;          /* and one in so many calls fails; 0: none */

/* The distances are irregular. At regular ones, an operation of several calls would always fail in
 * the same call, or never. */
static bool is_one_in(word n, word each)
{
    return ((uint64_t)n * UINT64_C(0x9e3779b97f4a7c15) >> 32) % each == 0;
}

static bool is_faulty(word n)
{
    word each = word_load_relaxed(&fault_one_in);
    if (UNLIKELY(each) && is_one_in(n, each))
        return true;
    return n < word_load_relaxed(&fault_end) && n >= word_load_relaxed(&fault_from);
}

bool os_common_fault(void)
{
    word n = word_fetch_add_relaxed(&calls, 1) + 1;
    return UNLIKELY(is_faulty(n));
}

void os_fail_nth(uint64_t n, uint64_t count)
{
    word from = word_load_relaxed(&calls) + (word)n;
    word left = UINTPTR_MAX - from;
    word_store_relaxed(&fault_end, 0);
    if (n == 0)
        return;
    word_store_relaxed(&fault_from, from);
    word_store_relaxed(&fault_end, from + (count < left ? (word)count : left));
}

void os_fail_one_in(uint64_t n)
{
    word_store_relaxed(&fault_one_in, n < 2 ? 0 : (word)n);
}

uint64_t os_fallible_calls(void)
{
    return word_load_relaxed(&calls);
}
