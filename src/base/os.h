/* What gcheap asks of the operating system. os_system.h says which one it is, and each os_*.c for
 * which systems it is. No other file includes a system header for memory, threads, clocks or
 * files.
 *
 * Memory goes through four states, as in Go's mem.go:
 *   none -> os_reserve -> reserved -> os_commit -> ready -> os_release -> ready (zero, unbacked)
 *   any -> os_unmap -> none
 * Sizes and addresses are multiples of os_page_size(). Calls that can fail return false or NULL and
 * leave the state as it was. For tests, os_fail_nth() and os_fail_one_in() make some of them fail.
 */
#ifndef GC_OS_H
#define GC_OS_H

#include "base/base.h"

size_t os_page_size(void);
unsigned os_cpu_count(void); /* that this process may use; at least 1 */

/* Reserves `size` bytes of inaccessible address space, aligned to `align`; at `hint` if that is not
 * NULL and is free. NULL: the OS refuses. */
void *os_reserve(void *hint, size_t size, size_t align);
/* Makes reserved memory readable, writable and zero. The OS backs a page of it at its first use. */
bool os_commit(void *p, size_t size);
/* Reserves and commits. */
void *os_map(size_t size);
/* Gives back what backs the range, which reads as zero when it is touched again. */
bool os_release(void *p, size_t size);
/* The OS refuses if it has no room to note another mapping. Then the range gives back what backs
 * it, and is unmapped when a later call succeeds. */
void os_unmap(void *p, size_t size);
/* Advice only: the OS should back the range with huge pages; or with small ones, as few of them
 * will be used. */
void os_huge_pages(void *p, size_t size);
void os_small_pages(void *p, size_t size);
/* Backs the range, which may be in use, without changing its content. false: the OS cannot. */
bool os_back(void *p, size_t size);
/* How many bytes of the range are backed; for statistics and tests. */
size_t os_resident(const void *p, size_t size);

/* Sleeps while *address == expected, for timeout_ns at most (negative: without a limit). It may
 * return early, so the caller checks its condition again. It never reports EINTR. */
void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns);
/* Wakes n waiters; on some systems more. */
void os_wake(const uint32_t *address, int n);
#define OS_WAKE_ALL INT32_MAX

uint64_t os_now_ns(void);        /* monotonic */
uint64_t os_thread_cpu_ns(void); /* CPU time of the calling thread */
uint64_t os_thread_id(void);     /* as the system's tools show it */
/* Tells what another thread of this process does, by its os_thread_id(). false: the OS does not
 * tell, or the thread is gone. A thread SLEEPS if it waits for something; otherwise it is AWAKE. */
enum os_thread_state { OS_THREAD_SLEEPS, OS_THREAD_AWAKE };
struct os_thread_look {
    uint64_t cpu_ns; /* CPU time of the thread */
    enum os_thread_state state;
};
bool os_look_at_thread(uint64_t id, struct os_thread_look *look);
/* Another thread of this process runs fn in the middle of what it does: the signal SIGURG makes it.
 * fn does only what a handler of signals may, and is the same in all calls. false: the OS cannot,
 * the program has a handler of that signal, or the thread is gone. */
bool os_interrupt(uint64_t id, void (*fn)(void));
void os_sleep_ns(uint64_t ns);
void os_yield(void);
/* Names the calling thread for the system's tools, which keep at most 15 bytes. */
void os_thread_title(const char *title);

/* The calling thread asks for short time slices: it gets a processor soon when it wakes up, and
 * other threads do not wait long for it. Advice only. */
void os_thread_brief(void);

/* A thread of the library. All signals are blocked on it, and it is never cancelled or detached.
 * The struct stays at its place until run() begins; a copy of it can be joined. Returns 0 or an
 * errno. */
struct os_thread {
    uintptr_t id;
    void (*run)(void *);
    void *arg;
    /* Called with arg, on the thread, when a callback ends the thread within run() (pthread_exit).
     * NULL: no callback may do that. Set before the thread is started. */
    void (*cut_short)(void *);
};
int os_thread_start(struct os_thread *thread, void (*run)(void *), void *arg);
void os_thread_join(struct os_thread *thread);

/* By which other threads learn that a thread has ended, in whatever way. */
struct os_life {
    uint32_t over; /* atomic */
    uint64_t room[8];
};
/* Comes before the first os_life_begin(), and again in the child of a fork. */
void os_life_init(struct os_life *life);
/* The calling thread begins a life; one thread at a time has it. */
void os_life_begin(struct os_life *life);
/* The thread that began it ends it, which means that nothing has happened to the thread. */
void os_life_end(struct os_life *life);
/* Whether the thread that began it has ended without os_life_end(); false also where the system
 * does not tell. All that the thread did is visible then. Any thread may ask. */
bool os_life_is_over(struct os_life *life);

/* A word of each thread, NULL at first. There is one in a process, so the first call is once in a
 * process. `ends` runs on a thread that ends with another value, before the thread's other data
 * go, with that value. If it leaves a value, it runs again, for os_key_rounds() times at least.
 * Returns 0 or an errno. */
int os_key_make(void (*ends)(void *value));
void *os_key_get(void);
bool os_key_set(void *value); /* false: no memory */
unsigned os_key_rounds(void);

/* From now on, the shared library that holds this code is never unloaded. Does nothing if the code
 * is part of the program. */
void os_stay_loaded(void);

/* Between these two calls the calling thread is not cancelled (pthread_cancel). Pairs of them nest.
 * They stand around code that may reach a cancellation point: one in the C library, or one in a
 * function of the embedder that is called while something is half done. No fast path needs them. */
int os_cancel_off(void);
void os_cancel_restore(int before);
/* Acts on a cancellation that was requested meanwhile. */
void os_cancel_point(void);

/* These run before each fork, and after it in the parent and in the child. Returns 0 or an
 * errno; 0 also where there are no forks. */
int os_on_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
/* Called in the child of a fork, before anything else of this file is used there. */
void os_after_fork_in_child(void);

/* Finds the calling thread's stack, [*low, *high). Returns 0, -ENOTSUP if it cannot be found, or
 * -ENOMEM. */
int os_stack_bounds(uintptr_t *low, uintptr_t *high);
/* Whether all of a range is mapped. */
bool os_is_mapped(const void *p, size_t size);
/* Finds the memory around an address in which a stack can lie, without a gap: [*low, *high). It can
 * be read and written, and goes on into no file's mapping. false: there is none, or it is not
 * known. */
bool os_mapping(uintptr_t address, uintptr_t *low, uintptr_t *high);

/* The memory from which malloc() takes small blocks. false: it is not known. */
bool os_malloc_bounds(uintptr_t *low, uintptr_t *high);

/* Memory of the C library's, aligned to a power of two that divides the size. NULL: there is
 * none. */
void *os_aligned_alloc(size_t align, size_t size);
void os_aligned_free(void *p);

uint64_t os_process_id(void);

/* Files. What returns an int returns a negative errno if it fails. */
bool os_file_exists(const char *path);
/* What there is, is no regular file: a pipe, a terminal, a link to a file. */
bool os_file_is_special(const char *path);
/* Opens what there is, to write it anew; or makes a file, and puts the last six characters of its
 * path, XXXXXX, so that it is new. Returns the open file, which a new program does not inherit. */
int os_file_open(const char *path);
int os_file_make(char *path);
int os_file_write(int file, const char *text, size_t size);
int os_file_close(int file);
/* In one step: the path `to` has the old file or the new one. */
int os_file_move(const char *from, const char *to);
int os_file_remove(const char *path);

/* Makes `count` fallible calls in a row fail, from the nth from now on (1: the next). 0: none
 * fails. */
void os_fail_nth(uint64_t n, uint64_t count);
/* Makes one in n fallible calls fail, at irregular distances, the same ones in each run. n < 2:
 * none. */
void os_fail_one_in(uint64_t n);
/* How many fallible calls were made so far; for tests that let each of them fail in turn. */
uint64_t os_fallible_calls(void);

#endif
