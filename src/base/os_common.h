/* For os_*.c alone. Each of these files says at its head on which systems it is not empty. */
#ifndef GC_OS_COMMON_H
#define GC_OS_COMMON_H

#include "base/os_system.h"
#include "base/os.h"

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

#endif
