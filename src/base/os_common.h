/* For os_*.c alone. os_common.c holds the calls of os.h that POSIX defines; os_linux.c and
 * os_posix.c hold the others. */
#ifndef GC_OS_COMMON_H
#define GC_OS_COMMON_H

#include "base/os.h"

#include <errno.h>

#include <pthread.h>

/* Counts one fallible call. True: it has to fail. */
bool os_common_fault(void);

/* Every range that reaches the OS: whole pages of the OS, or it would round, and so touch what is
 * beside them. */
INLINE void os_check_range(const void *p, size_t size)
{
    ASSERT((((uintptr_t)p | size) & (os_page_size() - 1)) == 0 && size > 0);
    (void)p, (void)size;
}

/* Gives back what backs a range that nobody uses again. */
void os_discard(void *p, size_t size);

/* First line of what calls the system: errno is as it was when the function returns, whatever the
 * system said. A public call that succeeds, and has been refused something on its way, leaves the
 * embedder's errno alone. */
INLINE void os_common_restore_errno(const int *kept)
{
    errno = *kept;
}
#define KEEP_ERRNO                                                                                 \
    const int __attribute__((cleanup(os_common_restore_errno), unused)) kept_errno = errno

#endif
