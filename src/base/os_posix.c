/* Any POSIX system: threads wait on mutexes and condition variables, and the OS gets no advice. */
#include "base/os_common.h"
#include "base/atomics.h"

#include <errno.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

unsigned os_cpu_count(void)
{
    KEEP_ERRNO;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)MAX_OF(online, 1);
}

/* Puts a new mapping in the place of the old one. */
void os_discard(void *p, size_t size)
{
    KEEP_ERRNO;
    (void)mmap(p, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

bool os_release(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    return !os_common_fault() && mmap(p, size, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p;
}

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

/* POSIX does not tell. The result is the upper limit, which is the safe side for statistics. */
size_t os_resident(const void *p, size_t size)
{
    (void)p;
    return size;
}

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

#ifdef __APPLE__
static int wait_relative(struct bucket *b, const struct timespec *t)
{
    return pthread_cond_timedwait_relative_np(&b->changed, &b->mutex, t);
}
static void use_monotonic(pthread_condattr_t *attr)
{
    (void)attr;
}
#else
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
#endif

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
void os_thread_brief(void) {}

void os_thread_title(const char *title)
{
    (void)title;
}

/* POSIX has no call for it. */
void os_stay_loaded(void) {}

#ifdef __APPLE__
int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    *high = (uintptr_t)pthread_get_stackaddr_np(pthread_self());
    *low = *high - pthread_get_stacksize_np(pthread_self());
    return 0;
}
#else
/* By POSIX, only the creator of a thread knows the thread's stack. */
int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    (void)low, (void)high;
    return -ENOTSUP;
}
#endif

bool os_mapping(uintptr_t address, uintptr_t *low, uintptr_t *high)
{
    (void)address, (void)low, (void)high;
    return false;
}

bool os_malloc_bounds(uintptr_t *low, uintptr_t *high)
{
    (void)low, (void)high;
    return false;
}
