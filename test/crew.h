/* Threads of a test, and how they wait for one another. A wait has no end of its own, since a busy
 * machine makes any bound wrong: test/run ends a test that hangs. */
#ifndef CREW_H
#define CREW_H

#include "gcheap.h"
#include "base/os.h"

#include <pthread.h>
#include <sched.h>

#include "tap.h"

/* Lets other threads run; the caller counts its turns, from 0. */
static inline void let_run(unsigned *turns)
{
    if (++*turns < 256)
        os_yield();
    else
        os_sleep_ns(2 * 1000 * 1000);
}

/* Waits for what another thread does. WAIT_UNTIL is no safepoint: a collector that asks something
 * of the calling thread waits as well. POLL_UNTIL answers it; BLOCK_UNTIL waits in a blocking
 * region, if the thread runs managed code. */
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (unsigned turns_ = 0; !(condition);)                                                   \
            let_run(&turns_);                                                                      \
    } while (0)
#define POLL_UNTIL(condition)                                                                      \
    do {                                                                                           \
        for (unsigned turns_ = 0; !(condition); gc_safepoint())                                    \
            let_run(&turns_);                                                                      \
    } while (0)
#define BLOCK_UNTIL(condition)                                                                     \
    do {                                                                                           \
        bool runs_ = gc_blocking_begin() == 0;                                                     \
        WAIT_UNTIL(condition);                                                                     \
        if (runs_)                                                                                 \
            CHECK_EQ(gc_blocking_end(), 0);                                                        \
    } while (0)

/* Whether a thread sleeps. It does not from the moment on at which it is woken. */
static inline bool thread_sleeps(uint64_t id)
{
    struct os_thread_look look;
    if (!os_look_at_thread(os_thread_id(), &look))
        SKIP("the system does not tell whether a thread sleeps");
    return os_look_at_thread(id, &look) && look.state == OS_THREAD_SLEEPS;
}

/* Waits in a blocking region, if the thread runs managed code. */
static inline void wait_at(pthread_barrier_t *barrier)
{
    bool runs = gc_blocking_begin() == 0;
    pthread_barrier_wait(barrier);
    if (runs)
        CHECK_EQ(gc_blocking_end(), 0);
}

/* Its stack is small: a thousand of them fit. */
static inline pthread_t start_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    pthread_attr_t attr;
    CHECK_EQ(pthread_attr_init(&attr), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attr, (size_t)1 << 20), 0);
    CHECK_EQ(pthread_create(&thread, &attr, run, arg), 0);
    CHECK_EQ(pthread_attr_destroy(&attr), 0);
    return thread;
}

/* The caller may run managed code: it joins in a blocking region. */
static inline void join_threads(const pthread_t *threads, size_t n)
{
    bool runs = gc_blocking_begin() == 0;
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    if (runs)
        CHECK_EQ(gc_blocking_end(), 0);
}

static inline void join_thread(pthread_t thread)
{
    join_threads(&thread, 1);
}

#if TAP_FORKS
/* Waits for the child of a fork, which ends with status 0. */
static inline void join_child(pid_t child)
{
    int status;
    CHECK(child > 0);
    bool runs = gc_blocking_begin() == 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (runs)
        CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(status, 0);
}
#endif

/* A whole thread: returns when it has ended. */
static inline void run_thread(void *(*run)(void *), void *arg)
{
    join_thread(start_thread(run, arg));
}

#endif
