/* For os_*.c alone. Each of these files says at its head on which systems it is not empty. */
#ifndef GC_OS_COMMON_H
#define GC_OS_COMMON_H

#include "base/os_system.h"
#include "base/os.h"

#include <errno.h>

/* Counts one fallible call. True: it has to fail. */
bool os_common_fault(void);

/* Each range that is passed to the OS consists of whole pages of the OS. Otherwise the OS would
 * round it, and touch what lies beside it. */
INLINE void os_check_range(const void *p, size_t size)
{
    ASSERT((((uintptr_t)p | size) & (os_page_size() - 1)) == 0 && size > 0);
    (void)p, (void)size;
}

/* POSIX: gives back what backs a range that is not used again. */
void os_discard(void *p, size_t size);

/* The first line of each function that calls the system. It restores errno when the function
 * returns, whatever the system said. So a public call that succeeds leaves the embedder's errno
 * alone, even if the system refused something on the way. */
INLINE void os_common_restore_errno(const int *kept)
{
    errno = *kept;
}
#define KEEP_ERRNO                                                                                 \
    const int __attribute__((cleanup(os_common_restore_errno), unused)) kept_errno = errno

#endif
