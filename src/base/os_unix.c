/* What POSIX systems share. */
#include "base/os_common.h"

#if OS_IS_POSIX

#include "base/atomics.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- Memory ---- */

static word ask_page_size(void)
{
    KEEP_ERRNO;
    word size = (word)sysconf(_SC_PAGESIZE);
    CHECK(is_power_of_two(size));
    return size;
}

size_t os_page_size(void)
{
    static word size; /* 0: not asked yet */
    word known = word_load_relaxed(&size);
    if (UNLIKELY(known == 0)) {
        known = ask_page_size();
        word_store_relaxed(&size, known);
    }
    return known;
}

static char *map(void *hint, size_t size, int protection, int flags)
{
    void *p = mmap(hint, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* The OS does not count inaccessible memory as used. It counts it when it is committed, and may
 * refuse then. With MAP_NORESERVE it would promise more memory than it has. */
static char *reserve(void *hint, size_t size)
{
    return map(hint, size, PROT_NONE, 0);
}

static bool is_aligned(const void *p, size_t align)
{
    return ((uintptr_t)p & (align - 1)) == 0;
}

/* Reserves more than needed and gives back both ends. */
static void *reserve_trimmed(size_t size, size_t align)
{
    size_t slack = align - os_page_size();
    if (size > SIZE_MAX - slack)
        return NULL;
    char *all = reserve(NULL, size + slack);
    if (!all)
        return NULL;
    size_t head = align_up((uintptr_t)all, align) - (uintptr_t)all;
    if (head)
        os_unmap(all, head);
    if (slack > head)
        os_unmap(all + head + size, slack - head);
    return all + head;
}

void *os_reserve(void *hint, size_t size, size_t align)
{
    KEEP_ERRNO;
    os_check_range(hint, size);
    if (os_common_fault())
        return NULL;
    char *p = reserve(hint, size);
    if (!p || is_aligned(p, align))
        return p;
    os_unmap(p, size);
    return reserve_trimmed(size, align);
}

bool os_commit(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    return !os_common_fault() && mprotect(p, size, PROT_READ | PROT_WRITE) == 0;
}

void *os_map(size_t size)
{
    KEEP_ERRNO;
    os_check_range(NULL, size);
    return os_common_fault() ? NULL : map(NULL, size, PROT_READ | PROT_WRITE, 0);
}

/* ---- Ranges that could not be unmapped ---- */

#define REFUSED_MAX 64
/* The base of an entry is EMPTY, BUSY (one thread uses the entry), or the range's address. */
enum { EMPTY, BUSY };
static struct {
    word base, size;
} refused[REFUSED_MAX];
static word refused_count; /* atomic; not less than the number of ranges */

/* If no entry is left, the address space of the range is lost. */
static void keep_refused(word base, size_t size)
{
    for (size_t i = 0; i < REFUSED_MAX; i++) {
        if (word_cas_acquire(&refused[i].base, EMPTY, BUSY)) {
            refused[i].size = size;
            word_fetch_add_relaxed(&refused_count, 1);
            word_store_release(&refused[i].base, base);
            return;
        }
    }
}

static void unmap_refused(void)
{
    for (size_t i = 0; i < REFUSED_MAX; i++) {
        word base = word_load_relaxed(&refused[i].base);
        if (base <= BUSY || !word_cas_acquire(&refused[i].base, base, BUSY))
            continue;
        bool gone = munmap((void *)base, refused[i].size) == 0;
        if (gone)
            word_fetch_sub_relaxed(&refused_count, 1);
        word_store_release(&refused[i].base, gone ? EMPTY : base);
    }
}

void os_unmap(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    if (munmap(p, size) != 0) {
        os_discard(p, size);
        keep_refused((word)p, size);
    } else if (UNLIKELY(word_load_relaxed(&refused_count))) {
        unmap_refused();
    }
}

bool os_is_mapped(const void *p, size_t size)
{
    int error = errno;
    uintptr_t page = align_down((uintptr_t)p, os_page_size());
    bool yes = msync((void *)page, (uintptr_t)p + size - page, MS_ASYNC) == 0;
    errno = error;
    return yes;
}

/* ---- Clocks ---- */

static uint64_t clock_ns(clockid_t clock)
{
    KEEP_ERRNO;
    struct timespec t;
    int failed = clock_gettime(clock, &t);
    CHECK(!failed);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t os_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}
uint64_t os_thread_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void os_sleep_ns(uint64_t ns)
{
    KEEP_ERRNO;
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    int cancel = os_cancel_off();
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    os_cancel_restore(cancel);
}

void os_yield(void)
{
    KEEP_ERRNO;
    sched_yield();
}

/* ---- Threads ---- */

static void end_thread(void *arg)
{
    const struct os_thread *thread = arg;
    CHECK(thread->cut_short && "a callback has ended a thread of the library's");
    thread->cut_short(thread->arg);
}

static void *thread_main(void *arg)
{
    const struct os_thread *given = arg;
    struct os_thread thread = {0, given->run, given->arg, given->cut_short};
    os_cancel_off();
    pthread_cleanup_push(end_thread, &thread);
    thread.run(thread.arg);
    pthread_cleanup_pop(0);
    return NULL;
}

int os_thread_start(struct os_thread *thread, void (*run)(void *), void *arg)
{
    KEEP_ERRNO;
    if (os_common_fault())
        return EAGAIN;
    thread->run = run;
    thread->arg = arg;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t id;
    int error = pthread_create(&id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!error)
        thread->id = (uintptr_t)id;
    return error;
}

void os_thread_join(struct os_thread *thread)
{
    KEEP_ERRNO;
    int cancel = os_cancel_off();
    int failed = pthread_join((pthread_t)thread->id, NULL);
    os_cancel_restore(cancel);
    CHECK(!failed);
}

/* ---- Cancellation ---- */

int os_cancel_off(void)
{
    int before = PTHREAD_CANCEL_DISABLE;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void os_cancel_restore(int before)
{
    pthread_setcancelstate(before, &(int){0});
}

void os_cancel_point(void)
{
    pthread_testcancel();
}

/* ---- A word of each thread ---- */

static pthread_key_t key;

int os_key_make(void (*ends)(void *value))
{
    return pthread_key_create(&key, ends);
}

void *os_key_get(void)
{
    return pthread_getspecific(key);
}

NO_SANITIZER bool os_key_set(void *value)
{
    return pthread_setspecific(key, value) == 0;
}

/* After the last round nobody would call a destructor again. */
NO_SANITIZER unsigned os_key_rounds(void)
{
    return PTHREAD_DESTRUCTOR_ITERATIONS - 1;
}

/* ---- Forks ---- */

int os_on_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return pthread_atfork(prepare, parent, child);
}

/* ---- Memory of the C library ---- */

void *os_aligned_alloc(size_t align, size_t size)
{
    return aligned_alloc(align, size);
}

void os_aligned_free(void *p)
{
    free(p);
}

uint64_t os_process_id(void)
{
    return (uint64_t)getpid();
}

#endif
