/* A service: a thread of the library's that sleeps until it is kicked, and then looks what there is
 * to do. It is started when it is first needed.
 *
 * Its function is a loop:
 *
 *     while (service_goes_on(s, &kicks)) {
 *         ... all that there is to do ...
 *         service_sleep(s, kicks, ns);
 *     }
 *
 * The kicks are read before the look at what there is to do, so a kick that comes meanwhile ends
 * the sleep at once. */
#ifndef GC_SERVICE_H
#define GC_SERVICE_H

#include "base/os.h"

/* NONE -> STARTS -> RUNS, or back to NONE: by the thread that starts the service. RUNS -> STARTS:
 * by a service that a callback ends, and that replaces itself. NONE or RUNS -> ENDS: by the thread
 * that ends the service; none is started from then on. ENDS -> NONE or RUNS: it goes on after all.
 */
enum service_state { SERVICE_NONE, SERVICE_STARTS, SERVICE_RUNS, SERVICE_ENDS };

struct service {
    const char *title;
    void (*run)(void *arg);
    void *arg;
    /* Called with arg, on the thread, when a callback ends it (pthread_exit): then another one
     * takes its place. NULL: that must not be. Set before the service is started. */
    void (*cut_short)(void *arg);
    struct os_thread thread; /* owner: the thread that moved `state` to STARTS or ENDS */
    /* The one before, which was cut short. Owner: `thread` while it runs, else as above. */
    struct os_thread predecessor;
    bool replaced;  /* there is a predecessor to join; owner: as of that */
    uint32_t state; /* enum service_state; atomic */
    uint32_t kicks; /* futex: something to do */
};

void service_init(struct service *s, const char *title, void (*run)(void *arg), void *arg);
/* Starts it, if it is neither there nor ended. false: the OS refuses. Any thread. */
bool service_start(struct service *s);
/* There is something to do. Any thread. */
void service_kick(struct service *s);
/* The same for a service that may have to be started; that the OS refuses is left to the next call.
 */
void service_call(struct service *s);
/* Whether it runs for certain. */
bool service_runs(const struct service *s);
/* Whether it runs, is being started, or was ended: some thread knows of it. */
bool service_is_used(const struct service *s);
bool service_is_ending(const struct service *s);

/* The service itself: whether it goes on. *kicks is for service_sleep(). */
bool service_goes_on(const struct service *s, uint32_t *kicks);
/* Sleeps until a kick after service_goes_on() has read them, or for ns; -1: without end. */
void service_sleep(const struct service *s, uint32_t kicks, int64_t ns);

/* No thread is started from now on, and a thread that runs is to end. The state before: NONE or
 * RUNS; ENDS if another thread was first. */
enum service_state service_end(struct service *s);
/* Waits until it has ended, after service_end() has returned `before`, which is not ENDS. */
void service_join(struct service *s, enum service_state before);
/* It goes on after all: instead of service_join(), with `before`; or after it, with NONE. */
void service_resume(struct service *s, enum service_state before);
/* Ends it and waits. One thread only. */
void service_stop(struct service *s);
/* In the child of a fork: its thread is gone. It is started again when it is needed. */
void service_forget(struct service *s);

#endif
