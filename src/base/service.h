/* A service is a thread of the library that sleeps until it is kicked, and then looks what there is
 * to do. It is started when it is first needed.
 *
 * Its function is a loop:
 *
 *     while (service_goes_on(s, &kicks)) {
 *         ... all that there is to do ...
 *         service_sleep(s, kicks, ns);
 *     }
 *
 * The kicks are read before the service looks what there is to do. So a kick that comes meanwhile
 * ends the sleep at once. */
#ifndef GC_SERVICE_H
#define GC_SERVICE_H

#include "base/os.h"

/* The states of a service, and the threads that change them:
 *   NONE -> STARTS -> RUNS or NONE   by the thread that starts it
 *   RUNS -> STARTS                   by the service, if a callback ends it: another one replaces it
 *   NONE or RUNS -> ENDS             by the thread that ends it; from then on it is not started
 *   ENDS -> NONE or RUNS             by the same thread, if the service goes on after all
 */
enum service_state { SERVICE_NONE, SERVICE_STARTS, SERVICE_RUNS, SERVICE_ENDS };

struct service {
    const char *title;
    void (*run)(void *arg);
    void *arg;
    /* Called with arg, on the thread, when a callback ends it (pthread_exit). Then another thread
     * takes its place. NULL: no callback may do that. Set before the service is started. */
    void (*cut_short)(void *arg);
    struct os_thread thread; /* owner: the thread that moved `state` to STARTS or ENDS */
    /* The thread before, which was cut short. Owner: `thread` while it runs, else as above. */
    struct os_thread predecessor;
    bool replaced;  /* there is a predecessor to join; same owner */
    uint32_t state; /* enum service_state; atomic */
    uint32_t kicks; /* futex: something to do */
};

void service_init(struct service *s, const char *title, void (*run)(void *arg), void *arg);
/* Starts the service, if it does not run and was not ended. false: the OS refuses. Any thread. */
bool service_start(struct service *s);
/* Tells the service that there is something to do. Any thread. */
void service_kick(struct service *s);
/* The same, but first starts the service if need be. If the OS refuses, the next call tries
 * again. */
void service_call(struct service *s);
/* Whether it runs for certain. */
bool service_runs(const struct service *s);
/* Whether it runs, is being started, or was ended: some thread knows of it. */
bool service_is_used(const struct service *s);
bool service_is_ending(const struct service *s);

/* Called by the service itself: whether it goes on. *kicks is for service_sleep(). */
bool service_goes_on(const struct service *s, uint32_t *kicks);
/* Sleeps until a kick that comes after service_goes_on() has read the kicks, for ns at most; -1:
 * without a limit. */
void service_sleep(const struct service *s, uint32_t kicks, int64_t ns);

/* From now on no thread is started, and a thread that runs is to end. Returns the state before:
 * NONE or RUNS; ENDS if another thread was first. */
enum service_state service_end(struct service *s);
/* Waits until the thread has ended, after service_end() has returned `before`, which is not
 * ENDS. */
void service_join(struct service *s, enum service_state before);
/* The service goes on after all: called instead of service_join(), with `before`; or after it, with
 * NONE. */
void service_resume(struct service *s, enum service_state before);
/* Ends the service, and waits for its end. One thread only. */
void service_stop(struct service *s);
/* In the child of a fork: the thread is gone. It is started again when it is needed. */
void service_forget(struct service *s);

#endif
