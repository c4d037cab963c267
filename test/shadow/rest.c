/* All threads rest, so that one can compare. */
#include "shadow.h"

static void rest_until(struct mutator *m, uint32_t round)
{
    bool attached = gc_heap_current() != NULL;
    bool polls = attached && m->index <= 2 && round % 2;
    if (attached && !polls)
        gc_blocking_begin();
    pthread_mutex_lock(&w.lock);
    w.running--;
    w.resting += attached;
    pthread_cond_broadcast(&w.changed);
    while (!polls && w.round == round)
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    while (polls && atomic_get(&w.round) == round) {
        gc_safepoint();
        nap(m);
    }
    if (attached && !polls)
        gc_blocking_end();
    if (atomic_get(&w.shrink))
        drop_roots(m, 2);
}

void rest_if_wanted(struct mutator *m)
{
    if (m->index == 0 || !atomic_get(&w.wanted))
        return;
    uint32_t round = atomic_get(&w.round);
    if (atomic_get(&w.wanted) == round + 1)
        rest_until(m, round);
}

void rest_of_all(struct mutator *m)
{
    atomic_set(&w.wanted, w.round + 1);
    gc_blocking_begin();
    pthread_mutex_lock(&w.lock);
    while (w.running > 0)
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    gc_blocking_end();
    compare();
    pthread_mutex_lock(&w.lock);
    w.running = w.setup.threads - 1;
    w.resting = 0;
    atomic_set(&w.round, w.round + 1);
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    if (atomic_get(&w.shrink)) {
        drop_roots(m, 2);
        pool_shrink(m, POOL / 2);
    }
}
