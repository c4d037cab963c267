/* POSIX systems but Linux: memory that goes back, and processors. */
#include "base/os_common.h"

#if OS_IS_POSIX && !OS_LINUX

#include <sys/mman.h>
#include <unistd.h>

unsigned os_cpu_count(void)
{
    KEEP_ERRNO;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)MAX_OF(online, 1);
}

/* Puts a new mapping in the place of the old one. */
void os_discard(void *p, size_t size)
{
    KEEP_ERRNO;
    (void)mmap(p, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

bool os_release(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    return !os_common_fault() && mmap(p, size, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p;
}

#endif
