/* Frames, left by return or by longjmp, and fibers that hold them. */
#include "shadow.h"

/* Deeper frames, now and then left by longjmp. */
void op_deep(struct mutator *m)
{
    if (m->depth >= 6 || m->nspaces + 12 > SPACES)
        return;
    void *a = NULL, *b = NULL, *more[3] = {NULL, NULL, NULL};
    struct shadow shadows[5] = {{0, NULL}};
    struct space sa = space_make(SPACE_PLAIN, &a, &shadows[0], 1);
    struct space sb = space_make(SPACE_PLAIN, &b, &shadows[1], 1);
    struct space sm = space_make(SPACE_PLAIN, more, &shadows[2], 3);
    GC_FRAME(a, b);
    GC_FRAME_ARRAY(more, 3);
    space_add(m, &sa);
    space_add(m, &sb);
    space_add(m, &sm);
    m->depth++;
    steps(m, random_below(&m->random, 60));
    if (!gc_fiber_current() && random_one_in(&m->random, 30)) {
        forget_frames(m);
        longjmp(m->base, 1);
    }
    m->depth--;
    space_remove(m, &sm);
    space_remove(m, &sb);
    space_remove(m, &sa);
}

/* Into a fiber that all threads share, and back. */
void op_fiber(struct mutator *m)
{
    struct shared_fiber *f = &w.fibers[random_below(&m->random, SHARED_FIBERS)];
    if (!f->fiber || gc_fiber_current() || m->nspaces + 12 > SPACES)
        return;
    errno = 0;
    gc_fiber *before = gc_fiber_switch(f->fiber);
    if (errno == EBUSY)
        return;
    if (before || gc_fiber_current() != f->fiber)
        BAD("gc_fiber_switch does not switch");
    struct space s = space_make(SPACE_PLAIN, f->slots, f->shadows, FIBER_SLOTS);
    space_add(m, &s);
    steps(m, random_below(&m->random, 80));
    space_remove(m, &s);
    if (gc_fiber_switch(NULL) != f->fiber)
        BAD("gc_fiber_switch does not come back");
}

/* The thread's own fiber is left with a frame open, while the thread goes on elsewhere. */
void op_fiber_frame(struct mutator *m)
{
    if (!m->fiber || gc_fiber_current() || m->depth || m->nspaces + 12 > SPACES)
        return;
    void *locals[4] = {NULL, NULL, NULL, NULL};
    struct shadow shadows[4] = {{0, NULL}};
    struct space s = space_make(SPACE_PLAIN, locals, shadows, 4);
    gc_fiber_switch(m->fiber);
    {
        GC_FRAME_ARRAY(locals, 4);
        space_add(m, &s);
        m->depth = 6;
        steps(m, random_below(&m->random, 40));
        /* The frame is the fiber's: the slots may not be written while that rests. */
        space_remove(m, &s);
        gc_fiber_switch(NULL);
        m->fiber_space = s;
        steps(m, random_below(&m->random, 40));
        m->fiber_space = (struct space){0};
        gc_fiber_switch(m->fiber);
        for (int i = 0; i < 4; i++) {
            if (shadows[i].to && !is_small(shadows[i].to))
                check_intact(shadows[i].to);
        }
        m->depth = 0;
    }
    gc_fiber_switch(NULL);
}
