/* Shared libraries, where dladdr() is known. */
#include "base/os_common.h"

#if OS_LINUX || OS_DARWIN || OS_BSD

#include <dlfcn.h>

/* Not everywhere: then the reference that dlopen() gives, and nobody gives back, must do. */
#ifndef RTLD_NODELETE
#define RTLD_NODELETE 0
#endif

/* A static program has neither of these. */
#pragma weak dladdr
#pragma weak dlopen

void os_stay_loaded(void)
{
    KEEP_ERRNO;
    static char here;
    Dl_info file;
    if (dladdr && dlopen && dladdr(&here, &file) && file.dli_fname)
        dlopen(file.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

#endif
