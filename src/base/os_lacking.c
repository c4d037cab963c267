/* What a system does not have: its callers do without. */
#include "base/os_common.h"

#if !OS_LINUX

/* Windows has large pages, but they are reserved as such, by users with a privilege for it. */
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

bool os_malloc_bounds(uintptr_t *low, uintptr_t *high)
{
    (void)low, (void)high;
    return false;
}

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

#endif

#if !OS_LINUX && !OS_WINDOWS

/* The upper limit, which is the safe side for statistics. */
size_t os_resident(const void *p, size_t size)
{
    (void)p;
    return size;
}

bool os_mapping(uintptr_t address, uintptr_t *low, uintptr_t *high)
{
    (void)address, (void)low, (void)high;
    return false;
}

#endif

#if !OS_LINUX && !OS_OTHER

void os_after_fork_in_child(void) {}

#endif

#if !OS_IS_POSIX

int os_on_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    (void)prepare, (void)parent, (void)child;
    return 0;
}

int os_cancel_off(void)
{
    return 0;
}
void os_cancel_restore(int before)
{
    (void)before;
}
void os_cancel_point(void) {}

#endif

/* Of a robust mutex, or a handle. */
#if !OS_LINUX && !OS_FREEBSD && !OS_WINDOWS

void os_life_init(struct os_life *life)
{
    (void)life;
}
void os_life_begin(struct os_life *life)
{
    (void)life;
}
void os_life_end(struct os_life *life)
{
    (void)life;
}
bool os_life_is_over(struct os_life *life)
{
    (void)life;
    return false;
}

#endif
