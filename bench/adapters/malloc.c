/* What a malloc calls "give free memory back" differs; the linker knows which one is there. */
#include "../harness.h"

#include <stdio.h>

int malloc_trim(size_t pad) __attribute__((weak));
void mi_collect(bool force) __attribute__((weak));
void MallocExtension_ReleaseFreeMemory(void) __attribute__((weak));
int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t size)
    __attribute__((weak));

void bm_start(const char *variant)
{
    (void)variant;
}

void bm_release(void)
{
    if (mi_collect)
        mi_collect(true);
    else if (MallocExtension_ReleaseFreeMemory)
        MallocExtension_ReleaseFreeMemory();
    else if (mallctl)
        mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: all arenas */
    else if (malloc_trim)
        malloc_trim(0);
}

const char *gnu_get_libc_version(void);
int mi_version(void) __attribute__((weak));
const char *tc_version(int *major, int *minor, const char **patch) __attribute__((weak));

const char *bm_version(void)
{
    static char text[64];
    size_t size = sizeof(char *);
    const char *from_jemalloc = text;
    if (mi_version)
        snprintf(text, sizeof text, "mimalloc %d.%d.%d", mi_version() / 100, mi_version() / 10 % 10,
                 mi_version() % 10);
    else if (tc_version)
        snprintf(text, sizeof text, "%s", tc_version(NULL, NULL, NULL));
    else if (mallctl && !mallctl("version", &from_jemalloc, &size, NULL, 0))
        snprintf(text, sizeof text, "jemalloc %.*s", (int)strcspn(from_jemalloc, "-"),
                 from_jemalloc);
    else
        snprintf(text, sizeof text, "glibc %s", gnu_get_libc_version());
    return text;
}
