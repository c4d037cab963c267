/* Lives: a robust mutex, which the kernel marks when the thread that holds it ends. */
#include "base/os_common.h"

#if OS_LINUX || OS_FREEBSD

#include "base/atomics.h"

#include <errno.h>
#include <pthread.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof((struct os_life *)0)->room, "os.h");

static pthread_mutex_t *mutex_of(struct os_life *life)
{
    return (pthread_mutex_t *)(void *)life->room;
}

void os_life_init(struct os_life *life)
{
    KEEP_ERRNO;
    pthread_mutexattr_t attr;
    life->over = 0;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(mutex_of(life), &attr);
    pthread_mutexattr_destroy(&attr);
}

/* Others have it for a moment, when they ask. It is only tried: so tools that watch the order of
 * locks do not take it for one. */
void os_life_begin(struct os_life *life)
{
    KEEP_ERRNO;
    int error;
    while ((error = pthread_mutex_trylock(mutex_of(life))) == EBUSY)
        os_yield();
    CHECK(!error);
    u32_store_relaxed(&life->over, 0);
}

void os_life_end(struct os_life *life)
{
    KEEP_ERRNO;
    pthread_mutex_unlock(mutex_of(life));
}

/* The mutex tells only one thread that its holder has ended. */
static void ask_if_over(struct os_life *life)
{
    KEEP_ERRNO;
    int error = pthread_mutex_trylock(mutex_of(life));
    if (error == EOWNERDEAD) {
        u32_store_release(&life->over, 1);
        pthread_mutex_consistent(mutex_of(life));
    }
    if (error == 0 || error == EOWNERDEAD)
        pthread_mutex_unlock(mutex_of(life));
}

bool os_life_is_over(struct os_life *life)
{
    if (!u32_load_acquire(&life->over))
        ask_if_over(life);
    return u32_load_acquire(&life->over);
}

#endif
