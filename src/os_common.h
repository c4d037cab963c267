/* For os_*.c alone. os_common.c holds the calls of os.h that POSIX defines; os_linux.c and
 * os_posix.c hold the others. */
#ifndef GC_OS_COMMON_H
#define GC_OS_COMMON_H

#include "os.h"

#include <pthread.h>

/* Counts one fallible call. True, with errno ENOMEM: it has to fail. */
bool os_common_fault(void);

#endif
