/* Linux: futexes, MADV_DONTNEED, mincore. */
#include "base/os_common.h"

#if OS_LINUX

#include "base/atomics.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

unsigned os_cpu_count(void)
{
    KEEP_ERRNO;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)MAX_OF(CPU_COUNT(&set), 1);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* the set is too small for this machine */
    return (unsigned)MAX_OF(online, 1);
}

void os_discard(void *p, size_t size)
{
    KEEP_ERRNO;
    madvise(p, size, MADV_DONTNEED);
}

bool os_release(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    return !os_common_fault() && madvise(p, size, MADV_DONTNEED) == 0;
}

void os_huge_pages(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    madvise(p, size, MADV_HUGEPAGE);
}

void os_small_pages(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    madvise(p, size, MADV_NOHUGEPAGE);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Since Linux 5.14. */
bool os_back(void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    return madvise(p, size, MADV_POPULATE_WRITE) == 0;
}

size_t os_resident(const void *p, size_t size)
{
    KEEP_ERRNO;
    os_check_range(p, size);
    unsigned char present[1024];
    size_t page = os_page_size(), resident = 0;
    for (size_t done = 0; done < size;) {
        size_t step = MIN_OF(size - done, page * sizeof present);
        if (mincore((char *)(uintptr_t)p + done, step, present) != 0)
            return resident;
        for (size_t i = 0; i < divide_up(step, page); i++)
            resident += page * (present[i] & 1u);
        done += step;
    }
    return resident;
}

/* The kernel's timespec for SYS_futex: two longs on 32-bit and 64-bit systems alike, whatever
 * the C library's time_t. */
struct futex_timeout {
    long seconds, nanoseconds;
};

/* The kernel's numbers, with its flag for a futex of one process. <linux/futex.h> is not
 * everywhere. */
enum { FUTEX_WAIT_OWN = 0 | 128, FUTEX_WAKE_OWN = 1 | 128 };

/* Every error means that the caller looks again: EAGAIN, EINTR, ETIMEDOUT. */
void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns)
{
    KEEP_ERRNO;
    struct futex_timeout timeout = {(long)(timeout_ns / 1000000000),
                                    (long)(timeout_ns % 1000000000)};
    syscall(SYS_futex, address, FUTEX_WAIT_OWN, expected, timeout_ns < 0 ? NULL : &timeout, NULL,
            0);
}

/* The memory at the address may be freed already, by a thread that saw the new value. Then the
 * kernel returns EFAULT, or wakes a thread that waits for something else and will look again. */
void os_wake(const uint32_t *address, int n)
{
    KEEP_ERRNO;
    syscall(SYS_futex, address, FUTEX_WAKE_OWN, n, NULL, NULL, 0);
}

uint64_t os_thread_id(void)
{
    KEEP_ERRNO;
    return (uint64_t)syscall(SYS_gettid);
}

/* The state is the letter behind the name. The name is in parentheses, and may contain parentheses
 * itself; see proc(5). */
static enum os_thread_state state_in(const char *stat)
{
    const char *end = strrchr(stat, ')');
    return end && strncmp(end, ") S", 3) == 0 ? OS_THREAD_SLEEPS : OS_THREAD_AWAKE;
}

/* Without /proc, every thread counts as awake. */
static enum os_thread_state thread_state(uint64_t id)
{
    char path[64], stat[256];
    snprintf(path, sizeof path, "/proc/self/task/%llu/stat", (unsigned long long)id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return OS_THREAD_AWAKE;
    ssize_t n = read(fd, stat, sizeof stat - 1);
    close(fd);
    stat[MAX_OF(n, 0)] = 0;
    return state_in(stat);
}

/* The clock of a thread, made from its number as pthread_getcpuclockid() does: the number's
 * complement, "of a thread" (4), "time on a processor" (2). The kernel accepts only threads of this
 * process. */
static clockid_t thread_clock(uint64_t id)
{
    return (clockid_t)(~(uint32_t)id << 3 | 4 | 2);
}

bool os_look_at_thread(uint64_t id, struct os_thread_look *look)
{
    KEEP_ERRNO;
    struct timespec t;
    if (clock_gettime(thread_clock(id), &t) != 0)
        return false;
    look->cpu_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    look->state = thread_state(id);
    return true;
}

/* ---- Interruptions ---- */

static word interruption; /* the function to run; atomic */

static void on_interruption(int signal)
{
    KEEP_ERRNO;
    (void)signal;
    ((void (*)(void))word_load_relaxed(&interruption))();
}

/* The handler stays. */
static bool handles_interruptions(void)
{
    struct sigaction before, ours = {.sa_handler = on_interruption};
    ours.sa_flags = SA_RESTART | SA_ONSTACK;
    if (sigaction(SIGURG, NULL, &before) != 0)
        return false;
    if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN)
        return sigaction(SIGURG, &ours, NULL) == 0;
    return before.sa_handler == on_interruption;
}

bool os_interrupt(uint64_t id, void (*fn)(void))
{
    KEEP_ERRNO;
    word_store_relaxed(&interruption, (word)fn);
    return handles_interruptions() && syscall(SYS_tgkill, getpid(), (pid_t)id, SIGURG) == 0;
}

void os_thread_title(const char *title)
{
    KEEP_ERRNO;
    prctl(PR_SET_NAME, title, 0, 0, 0);
}

/* The kernel's sched_attr. */
struct sched_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* Since Linux 6.12 a thread can have a time slice of its own; older kernels ignore it. A thread of
 * another policy, as real-time, keeps what it has. */
void os_thread_brief(void)
{
    KEEP_ERRNO;
    struct sched_attributes a = {.size = sizeof a};
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) != 0 || a.policy != SCHED_OTHER)
        return;
    a.runtime = 100 * 1000;
    syscall(SYS_sched_setattr, 0, &a, 0);
}

void os_after_fork_in_child(void) {}

/* For the process's first thread, the C library reads a file, which is a cancellation point. */
static int own_attributes(pthread_attr_t *attr)
{
    int cancel = os_cancel_off();
    int error = pthread_getattr_np(pthread_self(), attr);
    os_cancel_restore(cancel);
    return error;
}

/* The calling thread's, once they are known: for the main thread the C library reads all of
 * /proc/self/maps, which takes a thousand times as long as to attach. */
static _Thread_local uintptr_t stack_low, stack_high;

static int find_stack_bounds(void)
{
    KEEP_ERRNO;
    pthread_attr_t attr;
    int error = own_attributes(&attr);
    if (error)
        return error == ENOMEM ? -ENOMEM : -ENOTSUP;
    void *base;
    size_t size;
    int failed = pthread_attr_getstack(&attr, &base, &size);
    pthread_attr_destroy(&attr);
    if (failed)
        return -ENOTSUP;
    stack_low = (uintptr_t)base;
    stack_high = (uintptr_t)base + size;
    return 0;
}

int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    int error = stack_high ? 0 : find_stack_bounds();
    if (error)
        return error;
    *low = stack_low;
    *high = stack_high;
    return 0;
}

/* ---- /proc/self/maps: lines of "low-high rwxp offset device inode path", by address ---- */

struct maps {
    int file;
    size_t at, n;
    char buffer[256]; /* the calling thread's stack may be small */
};

/* The next character; 0: there is none. */
static char next_char(struct maps *m)
{
    if (m->at == m->n) {
        ssize_t got = read(m->file, m->buffer, sizeof m->buffer);
        m->n = got > 0 ? (size_t)got : 0;
        m->at = 0;
    }
    return m->at < m->n ? m->buffer[m->at++] : 0;
}

/* Reads a hexadecimal number and the character behind it. */
static uintptr_t next_number(struct maps *m)
{
    uintptr_t value = 0;
    for (char c = next_char(m); c && c != '-' && c != ' '; c = next_char(m))
        value = value << 4 | (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    return value;
}

/* Whether code can have its stack in a mapping, and whether the next one may belong to it: pages of
 * a file's mapping that lie behind the file's end cannot be read. */
enum mapping { MAPPING_NO_STACK, MAPPING_OF_FILE, MAPPING_OF_MEMORY };

/* Reads "rwxp offset device inode". */
static enum mapping next_kind(struct maps *m)
{
    bool stack = next_char(m) == 'r';
    stack &= next_char(m) == 'w';
    while (next_char(m) > ' ')
        continue;
    next_number(m);
    next_number(m);
    if (!stack)
        return MAPPING_NO_STACK;
    return next_number(m) ? MAPPING_OF_FILE : MAPPING_OF_MEMORY;
}

static bool next_line(struct maps *m)
{
    char c;
    do {
        c = next_char(m);
    } while (c && c != '\n');
    return c;
}

/* Adjacent mappings of memory count as one. */
static bool find_mapping(struct maps *m, uintptr_t address, uintptr_t *low, uintptr_t *high)
{
    enum mapping last = MAPPING_NO_STACK;
    *low = *high = 0;
    do {
        uintptr_t from = next_number(m), to = next_number(m);
        enum mapping kind = next_kind(m);
        bool one = kind == MAPPING_OF_MEMORY && last == kind && from == *high;
        if (last && *low <= address && address < *high && !one)
            return true;
        *low = one ? *low : from;
        *high = to;
        last = kind;
    } while (next_line(m));
    return false;
}

bool os_mapping(uintptr_t address, uintptr_t *low, uintptr_t *high)
{
    int error = errno;
    struct maps m = {.file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    bool found = m.file >= 0 && find_mapping(&m, address, low, high);
    if (m.file >= 0)
        close(m.file);
    errno = error;
    return found;
}

bool os_malloc_bounds(uintptr_t *low, uintptr_t *high)
{
    uintptr_t end = (uintptr_t)sbrk(0);
    return end && os_mapping(end - 1, low, high);
}

#endif
