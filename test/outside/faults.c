/* To be preloaded: makes calls of the library to the system and to malloc fail, the kth one, and
 * keeps the account of its mappings. Only what the library itself calls is counted: its code's
 * addresses tell.
 *
 * What cannot fail, or only by a mistake of the caller's, is let through: pthread_join,
 * pthread_sigmask, clock_gettime, sysconf, nanosleep, sched_yield. So are futexes. */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define FROM_LIBRARY is_library(__builtin_return_address(0))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

static uintptr_t library_low, library_high;
static uint64_t fail_at, calls; /* atomic */
static const char *failed;      /* the call that did */
static int64_t mapped;          /* bytes; atomic */

static bool is_library(const void *caller)
{
    return (uintptr_t)caller - library_low < library_high - library_low;
}

/* Counts a call; whether it has to fail. */
static bool fails(const char *name)
{
    uint64_t at = __atomic_load_n(&fail_at, __ATOMIC_RELAXED);
    if (at == 0 || __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) != at)
        return false;
    failed = name;
    return true;
}

static bool fails_with(const char *name, int error)
{
    bool yes = fails(name);
    if (yes)
        errno = error;
    return yes;
}

/* ---- What the test asks ---- */

static int find_library(struct dl_phdr_info *info, size_t size, void *address)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        uintptr_t low = info->dlpi_addr + h->p_vaddr;
        if (h->p_type == PT_LOAD && (h->p_flags & PF_X) && (uintptr_t)address - low < h->p_memsz) {
            library_low = low;
            library_high = low + h->p_memsz;
            return 1;
        }
    }
    return 0;
}

EXPORT bool faults_of(void *function)
{
    return dl_iterate_phdr(find_library, function) != 0;
}

EXPORT void faults_set(uint64_t k)
{
    __atomic_store_n(&fail_at, k, __ATOMIC_RELAXED);
}

EXPORT const char *faults_failed(void)
{
    return failed;
}

EXPORT int64_t faults_mapped(void)
{
    return __atomic_load_n(&mapped, __ATOMIC_RELAXED);
}

/* ---- Memory ---- */

EXPORT void *mmap(void *p, size_t size, int protection, int flags, int file, off_t offset)
{
    if (FROM_LIBRARY && fails_with("mmap", ENOMEM))
        return MAP_FAILED;
    void *got = (void *)syscall(SYS_mmap, p, size, protection, flags, file, offset);
    if (FROM_LIBRARY && got != MAP_FAILED)
        __atomic_add_fetch(&mapped, (int64_t)size, __ATOMIC_RELAXED);
    return got;
}

EXPORT int munmap(void *p, size_t size)
{
    if (FROM_LIBRARY && fails_with("munmap", ENOMEM))
        return -1;
    if (FROM_LIBRARY)
        __atomic_sub_fetch(&mapped, (int64_t)size, __ATOMIC_RELAXED);
    return (int)syscall(SYS_munmap, p, size);
}

EXPORT int mprotect(void *p, size_t size, int protection)
{
    if (FROM_LIBRARY && fails_with("mprotect", ENOMEM))
        return -1;
    return (int)syscall(SYS_mprotect, p, size, protection);
}

EXPORT int madvise(void *p, size_t size, int advice)
{
    if (FROM_LIBRARY && fails_with("madvise", EAGAIN))
        return -1;
    return (int)syscall(SYS_madvise, p, size, advice);
}

EXPORT int mincore(void *p, size_t size, unsigned char *present)
{
    if (FROM_LIBRARY && fails_with("mincore", EAGAIN))
        return -1;
    return (int)syscall(SYS_mincore, p, size, present);
}

EXPORT void *malloc(size_t size)
{
    return FROM_LIBRARY && fails_with("malloc", ENOMEM) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return FROM_LIBRARY && fails_with("calloc", ENOMEM) ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
    return FROM_LIBRARY && fails_with("realloc", ENOMEM) ? NULL : __libc_realloc(p, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    return FROM_LIBRARY && fails_with("aligned_alloc", ENOMEM) ? NULL
                                                               : __libc_memalign(align, size);
}

/* ---- Threads ---- */

/* The next definition of a function, looked up before anything can fail. */
#define NEXT(name) static __typeof__(name) *next_##name
NEXT(pthread_create);
NEXT(pthread_key_create);
NEXT(pthread_setspecific);
NEXT(pthread_getattr_np);
NEXT(prctl);
NEXT(sched_getaffinity);
NEXT(dlopen);
static int (*next_register_atfork)(void (*)(void), void (*)(void), void (*)(void), void *);

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                      void *object);

__attribute__((constructor)) static void look_up(void)
{
#define LOOK_UP(name) next_##name = __extension__(__typeof__(next_##name)) dlsym(RTLD_NEXT, #name)
    LOOK_UP(pthread_create);
    LOOK_UP(pthread_key_create);
    LOOK_UP(pthread_setspecific);
    LOOK_UP(pthread_getattr_np);
    LOOK_UP(prctl);
    LOOK_UP(sched_getaffinity);
    LOOK_UP(dlopen);
    next_register_atfork =
        __extension__(__typeof__(next_register_atfork)) dlsym(RTLD_NEXT, "__register_atfork");
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return FROM_LIBRARY && fails("pthread_create") ? EAGAIN
                                                   : next_pthread_create(thread, attr, run, arg);
}

EXPORT int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    return FROM_LIBRARY && fails("pthread_key_create") ? EAGAIN
                                                       : next_pthread_key_create(key, destructor);
}

/* Memory is needed for the first value only. */
EXPORT int pthread_setspecific(pthread_key_t key, const void *value)
{
    if (FROM_LIBRARY && !pthread_getspecific(key) && fails("pthread_setspecific"))
        return ENOMEM;
    return next_pthread_setspecific(key, value);
}

EXPORT int pthread_getattr_np(pthread_t thread, pthread_attr_t *attr)
{
    return FROM_LIBRARY && fails("pthread_getattr_np") ? ENOMEM
                                                       : next_pthread_getattr_np(thread, attr);
}

EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                             void *object)
{
    return FROM_LIBRARY && fails("pthread_atfork")
               ? ENOMEM
               : next_register_atfork(prepare, parent, child, object);
}

EXPORT int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    if (FROM_LIBRARY && fails_with("sched_getaffinity", EINVAL))
        return -1;
    return next_sched_getaffinity(pid, size, set);
}

EXPORT int prctl(int option, ...)
{
    va_list list;
    va_start(list, option);
    unsigned long a = va_arg(list, unsigned long);
    va_end(list);
    if (FROM_LIBRARY && fails_with("prctl", EINVAL))
        return -1;
    return next_prctl(option, a, 0, 0, 0);
}

EXPORT void *dlopen(const char *file, int mode)
{
    return FROM_LIBRARY && fails("dlopen") ? NULL : next_dlopen(file, mode);
}
