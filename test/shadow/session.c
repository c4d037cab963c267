/* A thread: sessions of random steps, in each of which it is attached. */
#include "shadow.h"

#define STACK 256
#define LOCALS 24

static void thread_callback(void *arg, gc_tracer *tracer)
{
    const shape_word *slots = arg;
    gc_trace_slot(tracer, &slots[0]);
    gc_trace_slots(tracer, &slots[1], 6);
    if (w.setup.format == PLAIN)
        gc_trace_ref(tracer, (void *)(uintptr_t)slots[7]);
    else
        gc_trace_slot(tracer, &slots[7]);
}

/* Roots that a thread has while it is attached. */
static struct session {
    shape_word locals[LOCALS], stack[STACK], visited[8], local[8];
    struct shadow shadows[LOCALS], stack_shadows[STACK], visited_shadows[8], local_shadows[8];
    struct space space, stack_space, visited_space, local_space;
} sessions[MUTATORS];

/* Thread 0 may have kept the root since its last session. */
static void add_rooted(struct mutator *m, struct space *s, int error)
{
    if (error == 0 || error == -EEXIST)
        space_add(m, s);
    else if (error == -ENOMEM)
        m->refused++;
    else
        BAD("a root is refused with %d", error);
}

static void session_begin(struct mutator *m, struct session *s)
{
    memset(s->shadows, 0, sizeof s->shadows);
    memset(s->stack_shadows, 0, sizeof s->stack_shadows);
    memset(s->visited_shadows, 0, sizeof s->visited_shadows);
    memset(s->local_shadows, 0, sizeof s->local_shadows);
    m->top = s->stack;
    s->space = space_make(SPACE_PLAIN, s->locals, s->shadows, LOCALS);
    s->stack_space = space_make(SPACE_STACK, s->stack, s->stack_shadows, STACK);
    s->stack_space.top = &m->top;
    s->visited_space = space_make(SPACE_PLAIN, s->visited, s->visited_shadows, 8);
    s->local_space = space_make(SPACE_PLAIN, s->local, s->local_shadows, 8);
    space_add(m, &s->space);
    add_rooted(m, &s->stack_space, gc_thread_range(s->stack, &m->top));
    add_rooted(m, &s->visited_space, gc_root_callback(GC_ROOT_THREAD, thread_callback, s->visited));
    add_rooted(m, &s->local_space, gc_thread_local_range(s->local, sizeof s->local));
    m->fiber = gc_fiber_create();
}

/* Owned spaces survive the session; what remains rooted of the others is empty. */
static void session_end(struct mutator *m, struct session *s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->nspaces; i++) {
        struct space *one = m->spaces[i];
        if (one == &s->stack_space && random_one_in(&m->random, 2))
            CHECK(gc_thread_range_remove(s->stack) == 0);
        if (one == &s->visited_space && random_one_in(&m->random, 2))
            CHECK(gc_root_callback_remove(thread_callback, s->visited) == 0);
        if (one->owned)
            m->spaces[kept++] = one;
    }
    m->nspaces = kept;
    memset(s->locals, 0, sizeof s->locals);
    memset(s->stack, 0, sizeof s->stack);
    memset(s->visited, 0, sizeof s->visited);
    memset(s->local, 0, sizeof s->local);
    if (m->fiber)
        CHECK(gc_fiber_destroy(m->fiber) == 0);
    m->fiber = NULL;
}

static bool is_over(const struct mutator *m)
{
    return atomic_get(&w.over) || m->made == (uint64_t)CHUNK * CHUNKS;
}

/* The spaces of frames are no roots any more. Called before they are left: they hold the spaces. */
void forget_frames(struct mutator *m)
{
    const struct session *s = &sessions[m->index];
    unsigned kept = 0;
    for (unsigned i = 0; i < m->nspaces; i++) {
        struct space *one = m->spaces[i];
        if (one->owned || one == &s->space || one == &s->stack_space || one == &s->visited_space ||
            one == &s->local_space)
            m->spaces[kept++] = one;
    }
    m->nspaces = kept;
    m->depth = 0;
}

/* Steps of a session; longjmp lands here. */
static void session_steps(struct mutator *m, size_t n)
{
    struct gc_frame *mark = gc_frame_mark();
    if (setjmp(m->base))
        gc_frame_reset(mark);
    for (uint64_t end = m->operations + n; m->operations < end && !is_over(m);)
        step(m);
}

static bool attach(struct mutator *m)
{
    while (gc_thread_attach(w.heap) != 0) {
        m->refused++;
        rest_if_wanted(m);
        if (is_over(m))
            return false;
    }
    return true;
}

void *run_thread(void *arg)
{
    struct mutator *m = arg;
    struct session *s = &sessions[m->index];
    while (!is_over(m)) {
        rest_if_wanted(m);
        if (!attach(m))
            break;
        session_begin(m, s);
        {
            GC_FRAME_ARRAY(s->locals, LOCALS);
            session_steps(m, 200 + random_below(&m->random, 20000));
        }
        if (is_over(m))
            drop_owned(m, 0, 1);
        session_end(m, s);
        if (is_over(m) && random_one_in(&m->random, 2))
            break; /* a thread may end attached */
        CHECK(gc_thread_detach() == 0);
    }
    pthread_mutex_lock(&w.lock);
    w.running--;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    return NULL;
}

void lead(struct mutator *m)
{
    struct session *s = &sessions[0];
    while (w.rest < w.setup.rests && !is_over(m)) {
        session_begin(m, s);
        {
            GC_FRAME_ARRAY(s->locals, LOCALS);
            if (w.rest == 0 && !w.lean)
                pool_grow(m, POOL / 2);
            session_steps(m, 200 + random_below(&m->random, 3000));
            rest_of_all(m);
        }
        session_end(m, s);
    }
    drop_owned(m, 0, 1);
}
