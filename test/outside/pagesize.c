/* To be preloaded: shows an OS with larger pages, of PAGESIZE bytes. What the library asks of it is
 * rounded as that OS would: addresses that are not its pages' are refused, lengths go up to a whole
 * page. A length that is no whole page is a fault, and ends the program: what lies behind it might
 * be in use. */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static size_t page = 4096;

__attribute__((constructor)) static void read_page_size(void)
{
    const char *given = getenv("PAGESIZE");
    page = given ? strtoul(given, NULL, 0) : page;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int is_aligned(const void *p)
{
    return ((uintptr_t)p & (page - 1)) == 0;
}

static void want_whole_pages(const char *call, size_t size)
{
    if ((size & (page - 1)) == 0)
        return;
    dprintf(2, "pagesize: %s of %zu bytes\n", call, size);
    abort();
}

EXPORT long sysconf(int name)
{
    static long (*next)(int);
    if (name == _SC_PAGESIZE)
        return (long)page;
    if (!next)
        next = __extension__(long (*)(int)) dlsym(RTLD_NEXT, "sysconf");
    return next(name);
}

EXPORT int getpagesize(void)
{
    return (int)page;
}

static void *map(void *p, size_t size, int protection, int flags, int file, off_t offset)
{
    return (void *)syscall(SYS_mmap, p, size, protection, flags, file, offset);
}

/* At an aligned place; more than needed is mapped and cut. */
static void *map_aligned(size_t size, int protection, int flags, int file, off_t offset)
{
    char *all = map(NULL, size + page, protection, flags, file, offset);
    if (all == MAP_FAILED)
        return all;
    char *p = (char *)(((uintptr_t)all + page - 1) & ~(page - 1));
    if (p > all)
        syscall(SYS_munmap, all, p - all);
    syscall(SYS_munmap, p + size, all + page - p);
    return p;
}

EXPORT void *mmap(void *p, size_t size, int protection, int flags, int file, off_t offset)
{
    if (!is_aligned(p) && (flags & MAP_FIXED))
        return (void *)(intptr_t)refuse(EINVAL);
    size_t whole = (size + page - 1) & ~(page - 1);
    if (p && (is_aligned(p) || (flags & MAP_FIXED))) {
        void *got = map(p, whole, protection, flags, file, offset);
        if (is_aligned(got) || got == MAP_FAILED)
            return got;
        syscall(SYS_munmap, got, whole);
    }
    return map_aligned(whole, protection, flags, file, offset);
}

EXPORT int munmap(void *p, size_t size)
{
    if (!is_aligned(p))
        return refuse(EINVAL);
    return (int)syscall(SYS_munmap, p, (size + page - 1) & ~(page - 1));
}

EXPORT int mprotect(void *p, size_t size, int protection)
{
    if (!is_aligned(p))
        return refuse(EINVAL);
    want_whole_pages("mprotect", size);
    return (int)syscall(SYS_mprotect, p, size, protection);
}

EXPORT int madvise(void *p, size_t size, int advice)
{
    if (!is_aligned(p))
        return refuse(EINVAL);
    want_whole_pages("madvise", size);
    return (int)syscall(SYS_madvise, p, size, advice);
}

EXPORT int mincore(void *p, size_t size, unsigned char *present)
{
    size_t small = page / 4096, n = (size + page - 1) / page;
    unsigned char pages[64];
    if (!is_aligned(p) || small > sizeof pages)
        return refuse(EINVAL);
    for (size_t i = 0; i < n; i++) {
        if (syscall(SYS_mincore, (char *)p + i * page, page, pages) != 0)
            return -1;
        present[i] = 0;
        for (size_t k = 0; k < small; k++)
            present[i] |= pages[k] & 1;
    }
    return 0;
}
