/* macOS and its kin: waiting, stacks, names of threads. */
#include "base/os_common.h"

#if OS_DARWIN

#include <pthread.h>

/* ---- Waiting: of the C library, which has a header for it since macOS 14 only ---- */

extern __attribute__((visibility("default"))) int
__ulock_wait(uint32_t operation, void *address, uint64_t expected, uint32_t timeout_us);
extern __attribute__((visibility("default"))) int __ulock_wake(uint32_t operation, void *address,
                                                               uint64_t unused);
enum { COMPARE_AND_WAIT = 1, WAKE_ALL = 0x100, NO_ERRNO = 0x1000000 };

/* A timeout of 0 is none. A longer one than fits ends early. */
static uint32_t microseconds(int64_t ns)
{
    return ns < 0 ? 0 : (uint32_t)MIN_OF(ns / 1000 + 1, UINT32_MAX);
}

void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns)
{
    __ulock_wait(COMPARE_AND_WAIT | NO_ERRNO, (void *)(uintptr_t)address, expected,
                 microseconds(timeout_ns));
}

void os_wake(const uint32_t *address, int n)
{
    uint32_t all = n == 1 ? 0 : WAKE_ALL;
    __ulock_wake(COMPARE_AND_WAIT | NO_ERRNO | all, (void *)(uintptr_t)address, 0);
}

/* ---- Threads ---- */

uint64_t os_thread_id(void)
{
    uint64_t id;
    pthread_threadid_np(NULL, &id);
    return id;
}

void os_thread_title(const char *title)
{
    KEEP_ERRNO;
    pthread_setname_np(title);
}

int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    *high = (uintptr_t)pthread_get_stackaddr_np(pthread_self());
    *low = *high - pthread_get_stacksize_np(pthread_self());
    return 0;
}

#endif
