/* What gcheap asks of the operating system. One file per family of systems: os_linux.c,
 * os_posix.c. Nothing else includes a system header for memory, threads' parking or clocks.
 *
 * Memory goes through four states, as in Go's mem.go:
 *   none -> os_reserve -> reserved -> os_commit -> ready -> os_release -> ready (zero, unbacked)
 *   any -> os_unmap -> none
 * Sizes and addresses are multiples of os_page_size(). Calls that can fail return false or NULL
 * and leave the state as it was; os_fail_nth() and os_fail_one_in() make some of them fail, for
 * tests.
 */
#ifndef GC_OS_H
#define GC_OS_H

#include "base/base.h"

size_t os_page_size(void);
unsigned os_cpu_count(void); /* this process may use; at least 1 */

/* `size` bytes of inaccessible address space, at `hint` if that is free and not NULL, aligned to
 * `align`. NULL: refused. */
void *os_reserve(void *hint, size_t size, size_t align);
/* Makes reserved memory readable, writable and zero. It costs nothing until it is touched. */
bool os_commit(void *p, size_t size);
/* Reserve and commit. */
void *os_map(size_t size);
/* Gives back what backs the range; it reads as zero when touched again. */
bool os_release(void *p, size_t size);
/* Where the OS refuses, having no room to note one mapping more, the range gives back what backs
 * it, and goes with one of the next that are unmapped. */
void os_unmap(void *p, size_t size);
/* Advice only: back the range with large pages; or, as a sparsely used table, with small ones. */
void os_huge_pages(void *p, size_t size);
void os_small_pages(void *p, size_t size);
/* Backs the range, which may be in use, without changing what is in it. false: not to be had. */
bool os_back(void *p, size_t size);
/* Bytes of the range that are backed now; for statistics and tests. */
size_t os_resident(const void *p, size_t size);

/* Sleeps while *address == expected; at most timeout_ns (negative: for ever). May return early;
 * never reports EINTR. The caller checks its condition again. */
void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns);
/* Wakes up to n waiters, or more. */
void os_wake(const uint32_t *address, int n);
#define OS_WAKE_ALL INT32_MAX

uint64_t os_now_ns(void);        /* monotonic */
uint64_t os_thread_cpu_ns(void); /* CPU time of the calling thread */
uint64_t os_thread_id(void);     /* as the system's tools show it */
/* What another thread of this process does, by its os_thread_id(). false: the system does not tell,
 * or the thread is gone. */
enum os_thread_state { OS_THREAD_SLEEPS, OS_THREAD_AWAKE }; /* waits for something; all else */
struct os_thread_look {
    uint64_t cpu_ns; /* it has used */
    enum os_thread_state state;
};
bool os_look_at_thread(uint64_t id, struct os_thread_look *look);
void os_sleep_ns(uint64_t ns);
void os_yield(void);
/* A name for the calling thread in the system's tools; at most 15 bytes are kept. */
void os_thread_title(const char *title);

/* A thread of the library's own: all signals blocked, never cancelled, detached never. The struct
 * stays where it is until run() begins; a copy of it can be joined. 0 or an errno. */
struct os_thread {
    uintptr_t id;
    void (*run)(void *);
    void *arg;
    /* Called with arg, on the thread, when somebody ends it within run() (pthread_exit). NULL: that
     * must not be. Set before the thread is started. */
    void (*cut_short)(void *);
};
int os_thread_start(struct os_thread *thread, void (*run)(void *), void *arg);
void os_thread_join(struct os_thread *thread);

/* The file that holds this code is never unloaded from now on. Nothing if it is the program. */
void os_stay_loaded(void);

/* The calling thread is not cancelled (pthread_cancel) between the two; they nest. No fast path
 * needs them, only what may reach a cancellation point: the C library's, or one in a function of
 * the embedder's that is called while something is half done. */
int os_cancel_off(void);
void os_cancel_restore(int before);
/* Acts upon a cancellation that came meanwhile. */
void os_cancel_point(void);

/* The child of a fork, before anything else in this file is used there. */
void os_after_fork_in_child(void);

/* The calling thread's stack, [*low, *high). 0; -ENOTSUP: it cannot be found; -ENOMEM. */
int os_stack_bounds(uintptr_t *low, uintptr_t *high);
/* Whether there is memory everywhere in a range. */
bool os_is_mapped(const void *p, size_t size);
/* The readable memory without a gap in which an address lies, [*low, *high); false if it cannot be
 * told. */
bool os_mapping(uintptr_t address, uintptr_t *low, uintptr_t *high);

/* The nth (1…) fallible call from now on fails, `count` times in a row; n = 0: none does. */
void os_fail_nth(uint64_t n, uint64_t count);
/* One in n of the fallible calls fails, spread about, the same ones in each run; n < 2: none. */
void os_fail_one_in(uint64_t n);
/* Fallible calls made so far, for tests that fail each in turn. */
uint64_t os_fallible_calls(void);

#endif
