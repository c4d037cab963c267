/* WebAssembly with WASI, one thread. Memory is one range that only grows. What is unmapped is kept
 * in a list, and used again. All of it can be read and written. */
#include "base/os_common.h"

#if OS_WASM

#include <errno.h>
#include <time.h>

unsigned os_cpu_count(void)
{
    return 1;
}

/* ---- Memory ---- */

#define UNIT ((size_t)64 << 10)

size_t os_page_size(void)
{
    return UNIT;
}

/* A free range. But for this head it is zero. */
struct range {
    struct range *next;
    size_t size;
};
/* By address; no two are adjacent. */
static struct range *ranges;

static uintptr_t end_of(const struct range *r)
{
    return (uintptr_t)r + r->size;
}

static struct range *make_range(uintptr_t base, size_t size, struct range *next)
{
    struct range *r = (struct range *)base;
    *r = (struct range){next, size};
    return r;
}

/* Adds zero memory. */
static void add_range(uintptr_t base, size_t size)
{
    struct range **at = &ranges, *before = NULL;
    for (; *at && (uintptr_t)*at < base; at = &before->next)
        before = *at;
    struct range *r = make_range(base, size, *at);
    *at = r;
    if (r->next && end_of(r) == (uintptr_t)r->next) {
        struct range *after = r->next;
        r->next = after->next;
        r->size += after->size;
        *after = (struct range){NULL, 0};
    }
    if (before && end_of(before) == base) {
        before->next = r->next;
        before->size += r->size;
        *r = (struct range){NULL, 0};
    }
}

/* Takes [base, base + size) out of a range; its ends stay free. */
static void *cut(struct range **at, uintptr_t base, size_t size)
{
    struct range *r = *at, *next = r->next;
    size_t head = base - (uintptr_t)r, tail = end_of(r) - (base + size);
    if (tail)
        next = make_range(base + size, tail, next);
    if (head) {
        *r = (struct range){next, head};
    } else {
        *at = next;
        *r = (struct range){NULL, 0};
    }
    return (void *)base;
}

/* The first place that is free; at `hint` alone if that is not 0. */
static void *find(uintptr_t hint, size_t size, size_t align)
{
    for (struct range **at = &ranges; *at; at = &(*at)->next) {
        uintptr_t base = hint ? hint : align_up((uintptr_t)*at, align);
        if (base >= (uintptr_t)*at && base < end_of(*at) && end_of(*at) - base >= size)
            return cut(at, base, size);
    }
    return NULL;
}

static uintptr_t memory_size(void)
{
    return __builtin_wasm_memory_size(0) * UNIT;
}

/* Of a large range the last part may be free already. */
static size_t free_at_end(void)
{
    const struct range *r = ranges;
    while (r && r->next)
        r = r->next;
    return r && end_of(r) == memory_size() ? r->size : 0;
}

/* malloc() grows the memory, too. */
static bool grow(uintptr_t hint, size_t size, size_t align)
{
    uintptr_t from = memory_size() - free_at_end();
    uintptr_t base = hint ? hint : align_up(from, align);
    if (base < from || (hint && base != from) || base > SIZE_MAX - UNIT - size)
        return false;
    size_t missing = base + size - memory_size(), pages = divide_up(missing, UNIT);
    size_t old = __builtin_wasm_memory_grow(0, pages);
    if (old == SIZE_MAX)
        return false;
    add_range(old * UNIT, pages * UNIT);
    return true;
}

static void *take(void *hint, size_t size, size_t align)
{
    uintptr_t at = (uintptr_t)hint;
    void *p = find(at, size, align);
    if (!p && grow(at, size, align))
        p = find(at, size, align);
    return p;
}

void *os_reserve(void *hint, size_t size, size_t align)
{
    os_check_range(hint, size);
    if (os_common_fault())
        return NULL;
    void *p = (uintptr_t)hint & (align - 1) ? NULL : take(hint, size, align);
    return p || !hint ? p : take(NULL, size, align);
}

bool os_commit(void *p, size_t size)
{
    os_check_range(p, size);
    return !os_common_fault();
}

void *os_map(size_t size)
{
    os_check_range(NULL, size);
    return os_common_fault() ? NULL : take(NULL, size, UNIT);
}

/* No memory goes back. */
bool os_release(void *p, size_t size)
{
    os_check_range(p, size);
    if (os_common_fault())
        return false;
    memset(p, 0, size);
    return true;
}

void os_unmap(void *p, size_t size)
{
    os_check_range(p, size);
    memset(p, 0, size);
    add_range((uintptr_t)p, size);
}

bool os_is_mapped(const void *p, size_t size)
{
    return (uintptr_t)p <= memory_size() && memory_size() - (uintptr_t)p >= size;
}

/* A program cannot see the locals that the host keeps. */
int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    (void)low, (void)high;
    return -ENOTSUP;
}

/* ---- Clocks ---- */

uint64_t os_now_ns(void)
{
    KEEP_ERRNO;
    struct timespec t;
    int failed = clock_gettime(CLOCK_MONOTONIC, &t);
    CHECK(!failed);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Hosts have no such clock. */
uint64_t os_thread_cpu_ns(void)
{
    return os_now_ns();
}

void os_sleep_ns(uint64_t ns)
{
    KEEP_ERRNO;
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    nanosleep(&left, NULL);
}

void os_yield(void) {}

/* ---- The only thread ---- */

/* Nobody would wake it. */
void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns)
{
    if (*address != expected)
        return;
    CHECK(timeout_ns >= 0 && "the only thread waits for another");
    os_sleep_ns((uint64_t)timeout_ns);
}

void os_wake(const uint32_t *address, int n)
{
    (void)address, (void)n;
}

uint64_t os_thread_id(void)
{
    return 1;
}
void os_thread_title(const char *title)
{
    (void)title;
}

int os_thread_start(struct os_thread *thread, void (*run)(void *), void *arg)
{
    (void)thread, (void)run, (void)arg;
    os_common_fault();
    return EAGAIN;
}
void os_thread_join(struct os_thread *thread)
{
    (void)thread;
    CHECK(false && "there are no threads");
}

static void *word_of_thread;

int os_key_make(void (*ends)(void *value))
{
    (void)ends;
    return 0;
}
void *os_key_get(void)
{
    return word_of_thread;
}
bool os_key_set(void *value)
{
    word_of_thread = value;
    return true;
}
unsigned os_key_rounds(void)
{
    return 1;
}

void os_stay_loaded(void) {}

/* ---- Memory of the C library ---- */

void *os_aligned_alloc(size_t align, size_t size)
{
    return aligned_alloc(align, size);
}
void os_aligned_free(void *p)
{
    free(p);
}

uint64_t os_process_id(void)
{
    return 1;
}

#endif
