#include "base/access.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif

/* Without its header, Valgrind is asked nothing. */
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_NOACCESS(p, n) ((void)0)
#define VALGRIND_MAKE_MEM_DEFINED(p, n) ((void)0)
#define VALGRIND_MALLOCLIKE_BLOCK(p, n, redzone, zeroed) ((void)0)
#define VALGRIND_FREELIKE_BLOCK(p, redzone) ((void)0)
#define VALGRIND_DISABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING ((void)0)
#endif

/* In <sanitizer/asan_interface.h>, which only compilers with AddressSanitizer have. NULL where no
 * AddressSanitizer is linked. Only an ELF program may lack what it names. */
#ifdef __ELF__
#define OF_SANITIZER __attribute__((weak, visibility("default")))
OF_SANITIZER void __asan_poison_memory_region(const volatile void *p, size_t size);
OF_SANITIZER void __asan_unpoison_memory_region(const volatile void *p, size_t size);
OF_SANITIZER void *__asan_get_report_address(void);
OF_SANITIZER void __sanitizer_set_death_callback(void (*callback)(void));
#else
static void (*const __asan_poison_memory_region)(const volatile void *p, size_t size) = NULL;
static void (*const __asan_unpoison_memory_region)(const volatile void *p, size_t size) = NULL;
static void *(*const __asan_get_report_address)(void) = NULL;
static void (*const __sanitizer_set_death_callback)(void (*callback)(void)) = NULL;
#endif

/* Whether AddressSanitizer watches the library's own accesses, as Valgrind does. */
#if defined(__SANITIZE_ADDRESS__)
#define LIBRARY_IS_WATCHED true
#elif defined(__has_feature)
#define LIBRARY_IS_WATCHED __has_feature(address_sanitizer)
#else
#define LIBRARY_IS_WATCHED false
#endif

bool access_is_watched(void)
{
    return RUNNING_ON_VALGRIND || __asan_poison_memory_region != NULL;
}

void access_forbid(const void *p, size_t size)
{
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(p, size);
    (void)VALGRIND_MAKE_MEM_NOACCESS(p, size);
}

void access_forbid_rest(const void *p, size_t size, bool library_reads)
{
    if (!library_reads || !LIBRARY_IS_WATCHED)
        access_forbid(p, size);
    if (library_reads)
        (void)VALGRIND_MAKE_MEM_DEFINED(p, size);
}

void access_allow(const void *p, size_t size)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(p, size);
    (void)VALGRIND_MAKE_MEM_DEFINED(p, size);
}

void access_begin(const void *object, size_t size)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(object, size);
    VALGRIND_MALLOCLIKE_BLOCK(object, size, 0, 1);
}

void access_end(const void *object, size_t size)
{
    VALGRIND_FREELIKE_BLOCK(object, 0);
    access_forbid(object, size);
}

void access_ignore(void)
{
    VALGRIND_DISABLE_ERROR_REPORTING;
}

void access_heed(void)
{
    VALGRIND_ENABLE_ERROR_REPORTING;
}

static void (*explain)(uintptr_t address);

static void on_death(void)
{
    if (__asan_get_report_address)
        explain((uintptr_t)__asan_get_report_address());
}

void access_explain(void (*fn)(uintptr_t address))
{
    explain = fn;
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(on_death);
}
