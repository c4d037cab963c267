/* Going through a cycle: a thread knows what the collector asks of it, and keeps it waiting as long
 * as it likes. */
#ifndef MOMENT_H
#define MOMENT_H

#include "cells.h"
#include "mutator/handshake.h"
#include "mutator/self.h"

/* No thread is ever asked for this step. */
#define ASKED_NOTHING STEP_SWEEP

/* What the collector asks of the calling thread, which has not answered; nothing else can come
 * before it does. */
static inline enum step asked(void)
{
    const struct mutators *m = &gc_heap_current()->mutators;
    uint32_t epoch = u32_load_acquire(&m->epoch);
    return epoch == thread_self()->epoch ? ASKED_NOTHING : (enum step)u32_load_relaxed(&m->step);
}

/* Answers everything until the collector asks for `op`, and not that. */
static inline void answer_until(enum step op)
{
    for (unsigned turns = 0; asked() != op; let_run(&turns)) {
        if (asked() != ASKED_NOTHING)
            gc_safepoint();
    }
}

/* The collector has what it asked of a thread that is in a blocking region. */
static inline void await_answer_of(const gc_thread *t)
{
    const struct mutators *m = &gc_heap_current()->mutators;
    WAIT_UNTIL(epoch_of(u32_load_acquire(&t->st)) == u32_load_acquire(&m->epoch));
}

/* ---- A cycle, driven by a thread of its own ---- */

static pthread_t driver;

static inline void *drive(void *heap)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

static inline void begin_cycle(void)
{
    driver = start_thread(drive, gc_heap_current());
}

static inline void end_cycle(void)
{
    join_thread(driver);
}

#endif
