#include "mutator/mutators.h"

void mutators_init(struct mutators *m, bool (*reap)(gc_thread *t))
{
    lock_init(&m->lock, LOCK_REGISTRY);
    m->reap = reap;
}

void mutators_destroy(struct mutators *m)
{
    while (m->spare) {
        gc_thread *t = m->spare;
        m->spare = t->next;
        free(t);
    }
}

gc_thread *mutators_take_spare_locked(struct mutators *m)
{
    LOCK_ASSERT_HELD(&m->lock);
    gc_thread *t = m->spare;
    if (t)
        m->spare = t->next;
    return t;
}

void mutators_give_spare_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    t->next = m->spare;
    m->spare = t;
}

void mutators_link_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    t->prev = NULL;
    t->next = m->list;
    if (m->list)
        m->list->prev = t;
    m->list = t;
    m->count++;
}

void mutators_unlink_locked(struct mutators *m, gc_thread *t)
{
    LOCK_ASSERT_HELD(&m->lock);
    if (t->prev)
        t->prev->next = t->next;
    else
        m->list = t->next;
    if (t->next)
        t->next->prev = t->prev;
    m->count--;
}

/* I54: either the collector sees the acknowledgement (wait_long() of handshake.c), or this thread
 * sees that the collector sleeps. */
void mutators_wake_collector(struct mutators *m)
{
    fence_seq_cst();
    if (u32_load_relaxed(&m->collector_waits)) {
        u32_fetch_add_relaxed(&m->acked, 1);
        os_wake(&m->acked, OS_WAKE_ALL);
    }
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->mutators.lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->mutators.lock);
}

static void forget(gc_heap *heap)
{
    heap->mutators.collector_waits = heap->mutators.turn_waiters = 0;
    heap->names_frames = 0;
}

const struct fork_part mutators_fork = {MUTATORS_FORK_RANKS, .seize = seize, .release = release,
                                        .forget = forget};
