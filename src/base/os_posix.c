/* POSIX systems but Linux: the OS gets no advice, and does not tell much. */
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

void os_huge_pages(void *p, size_t size)
{
    (void)p, (void)size;
}

void os_small_pages(void *p, size_t size)
{
    (void)p, (void)size;
}

bool os_back(void *p, size_t size)
{
    (void)p, (void)size;
    return false;
}

/* POSIX does not tell. The result is the upper limit, which is the safe side for statistics. */
size_t os_resident(const void *p, size_t size)
{
    (void)p;
    return size;
}

/* ---- Threads ---- */

bool os_look_at_thread(uint64_t id, struct os_thread_look *look)
{
    (void)id, (void)look;
    return false;
}
bool os_interrupt(uint64_t id, void (*fn)(void))
{
    (void)id, (void)fn;
    return false;
}
void os_thread_brief(void) {}

bool os_mapping(uintptr_t address, uintptr_t *low, uintptr_t *high)
{
    (void)address, (void)low, (void)high;
    return false;
}

bool os_malloc_bounds(uintptr_t *low, uintptr_t *high)
{
    (void)low, (void)high;
    return false;
}

#endif
