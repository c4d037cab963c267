/* A system of which nothing but POSIX is known: threads wait on mutexes and condition variables,
 * and stacks are not found. */
#include "base/os_common.h"

#if OS_OTHER

#include "base/atomics.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

/* ---- Waiting ----
 *
 * Each address belongs to a bucket. A thread that wakes others changes the word and then takes the
 * bucket's mutex; a waiter reads the word under the mutex. So no wake is lost. Addresses that share
 * a bucket wake each other's waiters, which look again. */

#define BUCKETS 64

static struct bucket {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} CACHE_ALIGNED buckets[BUCKETS];

static int wait_relative(struct bucket *b, const struct timespec *t)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += t->tv_sec;
    until.tv_nsec += t->tv_nsec;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(&b->changed, &b->mutex, &until);
}
static void use_monotonic(pthread_condattr_t *attr)
{
    pthread_condattr_setclock(attr, CLOCK_MONOTONIC);
}

static void buckets_init(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    use_monotonic(&attr);
    for (size_t i = 0; i < BUCKETS; i++) {
        pthread_mutex_init(&buckets[i].mutex, NULL);
        pthread_cond_init(&buckets[i].changed, &attr);
    }
    pthread_condattr_destroy(&attr);
}

static struct bucket *bucket_of(const uint32_t *address)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, buckets_init);
    uint64_t hash = (uint64_t)(uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15);
    return &buckets[hash >> 32 & (BUCKETS - 1)];
}

void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns)
{
    KEEP_ERRNO;
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    struct bucket *b = bucket_of(address);
    int cancel = os_cancel_off();
    pthread_mutex_lock(&b->mutex);
    if (u32_load_relaxed(address) == expected) {
        if (timeout_ns < 0)
            pthread_cond_wait(&b->changed, &b->mutex);
        else
            wait_relative(b, &timeout);
    }
    pthread_mutex_unlock(&b->mutex);
    os_cancel_restore(cancel);
}

/* A thread that does not exist in the child may have held a bucket's mutex. */
void os_after_fork_in_child(void)
{
    buckets_init();
}

/* Wakes all waiters of the bucket, as some of them may wait for another address. */
void os_wake(const uint32_t *address, int n)
{
    KEEP_ERRNO;
    (void)n;
    struct bucket *b = bucket_of(address);
    pthread_mutex_lock(&b->mutex);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

/* ---- Threads ---- */

uint64_t os_thread_id(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

void os_thread_title(const char *title)
{
    (void)title;
}

/* POSIX has no call for it. */
void os_stay_loaded(void) {}

/* By POSIX, only the creator of a thread knows the thread's stack. */
int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    (void)low, (void)high;
    return -ENOTSUP;
}

#endif
