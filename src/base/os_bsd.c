/* FreeBSD, NetBSD, OpenBSD: waiting, stacks, names of threads. */
#include "base/os_common.h"

#if OS_BSD

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#if OS_FREEBSD

#include <pthread_np.h>
#include <sys/types.h>
#include <sys/umtx.h>

static void wait_on(uint32_t *address, uint32_t expected, struct timespec *timeout)
{
    _umtx_op(address, UMTX_OP_WAIT_UINT_PRIVATE, expected, NULL, timeout);
}

static void wake(uint32_t *address, int n)
{
    _umtx_op(address, UMTX_OP_WAKE_PRIVATE, (unsigned long)n, NULL, NULL);
}

uint64_t os_thread_id(void)
{
    return (uint64_t)pthread_getthreadid_np();
}

void os_thread_title(const char *title)
{
    KEEP_ERRNO;
    pthread_set_name_np(pthread_self(), title);
}

#elif OS_NETBSD

#include <lwp.h>
#include <sys/futex.h>
#include <sys/syscall.h>

static void wait_on(uint32_t *address, uint32_t expected, struct timespec *timeout)
{
    syscall(SYS___futex, address, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, expected, timeout, NULL, 0, 0);
}

static void wake(uint32_t *address, int n)
{
    syscall(SYS___futex, address, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0, 0);
}

uint64_t os_thread_id(void)
{
    return (uint64_t)_lwp_self();
}

void os_thread_title(const char *title)
{
    KEEP_ERRNO;
    pthread_setname_np(pthread_self(), "%s", (void *)(uintptr_t)title);
}

#else

#include <pthread_np.h>
#include <sys/futex.h>

static void wait_on(uint32_t *address, uint32_t expected, struct timespec *timeout)
{
    futex(address, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, (int)expected, timeout, NULL);
}

static void wake(uint32_t *address, int n)
{
    futex(address, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL);
}

uint64_t os_thread_id(void)
{
    return (uint64_t)getthrid();
}

void os_thread_title(const char *title)
{
    KEEP_ERRNO;
    pthread_set_name_np(pthread_self(), title);
}

#endif

/* Every error means that the caller looks again. */
void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns)
{
    KEEP_ERRNO;
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    wait_on((uint32_t *)(uintptr_t)address, expected, timeout_ns < 0 ? NULL : &timeout);
}

void os_wake(const uint32_t *address, int n)
{
    KEEP_ERRNO;
    wake((uint32_t *)(uintptr_t)address, n);
}

/* ---- Stacks ---- */

#if OS_OPENBSD

/* The address is that of the end. */
int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    KEEP_ERRNO;
    stack_t stack;
    if (pthread_stackseg_np(pthread_self(), &stack) != 0)
        return -ENOTSUP;
    *high = (uintptr_t)stack.ss_sp;
    *low = *high - stack.ss_size;
    return 0;
}

#else

int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    KEEP_ERRNO;
    pthread_attr_t attr;
    void *base;
    size_t size;
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    int failed = pthread_attr_get_np(pthread_self(), &attr);
    failed = failed ? failed : pthread_attr_getstack(&attr, &base, &size);
    pthread_attr_destroy(&attr);
    if (failed)
        return -ENOTSUP;
    *low = (uintptr_t)base;
    *high = *low + size;
    return 0;
}

#endif
#endif
