#include "base/service.h"
#include "base/events.h"
#include "base/stress.h"

void service_init(struct service *s, const char *title, void (*run)(void *arg), void *arg)
{
    *s = (struct service){.title = title, .run = run, .arg = arg};
}

/* ---- Starting ---- */

static void join_predecessor(struct service *s)
{
    if (s->replaced)
        os_thread_join(&s->predecessor);
    s->replaced = false;
}

static void thread_main(void *arg)
{
    struct service *s = arg;
    os_thread_title(s->title);
    events_title(s->title);
    events_join();
    os_thread_brief();
    join_predecessor(s);
    fence_seq_cst(); /* I54: service_kick() sees that it runs, or this thread what there is to do */
    s->run(s->arg);
    events_leave();
}

static void replace(void *arg);

/* Called by the thread that has moved the state to STARTS. */
static bool start(struct service *s)
{
    stress(STRESS_SERVICE_STARTS);
    s->thread.cut_short = s->cut_short ? replace : NULL;
    bool runs = os_thread_start(&s->thread, thread_main, s) == 0;
    u32_store_release(&s->state, runs ? SERVICE_RUNS : SERVICE_NONE);
    return runs;
}

bool service_start(struct service *s)
{
    if (u32_load_relaxed(&s->state) != SERVICE_NONE ||
        !u32_cas_acquire(&s->state, SERVICE_NONE, SERVICE_STARTS))
        return true;
    return start(s);
}

/* Called when a callback ends the calling thread. It is detached when it has ended, as any thread
 * is. Another one takes its place, and joins it. A thread that ends the service joins both. */
static void replace(void *arg)
{
    struct service *s = arg;
    s->cut_short(s->arg);
    while (u32_load_relaxed(&s->state) == SERVICE_STARTS)
        os_yield();
    if (!u32_cas_acquire(&s->state, SERVICE_RUNS, SERVICE_STARTS))
        return;
    s->predecessor = s->thread;
    s->replaced = true;
    start(s);
}

bool service_runs(const struct service *s)
{
    return u32_load_relaxed(&s->state) == SERVICE_RUNS;
}

bool service_is_used(const struct service *s)
{
    return u32_load_relaxed(&s->state) != SERVICE_NONE;
}

/* ---- Sleep ---- */

/* Kicks also while another thread starts the thread, which may be about to sleep already. */
void service_kick(struct service *s)
{
    fence_seq_cst(); /* I54: see thread_main() */
    if (!service_is_used(s))
        return;
    u32_fetch_add_release(&s->kicks, 1);
    os_wake(&s->kicks, 1);
}

void service_call(struct service *s)
{
    service_start(s);
    service_kick(s);
}

bool service_is_ending(const struct service *s)
{
    return u32_load_relaxed(&s->state) == SERVICE_ENDS;
}

/* The kicks are read before the state: a request to end sets the state, then kicks. */
bool service_goes_on(const struct service *s, uint32_t *kicks)
{
    *kicks = u32_load_acquire(&s->kicks);
    stress(STRESS_MAY_SLEEP);
    return !service_is_ending(s);
}

void service_sleep(const struct service *s, uint32_t kicks, int64_t ns)
{
    os_wait(&s->kicks, kicks, ns);
}

/* ---- The end ---- */

enum service_state service_end(struct service *s)
{
    for (;;) {
        uint32_t state = u32_load_relaxed(&s->state);
        if (state == SERVICE_STARTS)
            os_yield();
        else if (state == SERVICE_ENDS || u32_cas_acquire(&s->state, state, SERVICE_ENDS))
            return (enum service_state)state;
    }
}

void service_join(struct service *s, enum service_state before)
{
    service_kick(s);
    if (before == SERVICE_RUNS)
        os_thread_join(&s->thread);
    join_predecessor(s);
}

void service_resume(struct service *s, enum service_state before)
{
    u32_store_release(&s->state, before);
}

void service_stop(struct service *s)
{
    enum service_state before = service_end(s);
    CHECK(before != SERVICE_ENDS);
    service_join(s, before);
}

void service_forget(struct service *s)
{
    s->state = SERVICE_NONE;
    s->replaced = false;
}
