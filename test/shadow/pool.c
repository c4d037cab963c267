/* The pool of fibers: any thread makes, runs, suspends for others, or destroys them. */
#include "shadow.h"

/* One that nobody has taken, and that is there, or is yet to be made; NULL: none was found. A few
 * go from hand to hand. */
static struct pooled *pool_take(struct mutator *m, bool there)
{
    for (int tries = 0; tries < 8; tries++) {
        size_t among = there && random_one_in(&m->random, 2) ? POOL_BUSY : POOL;
        struct pooled *p = &w.pool[random_below(&m->random, among)];
        if (__atomic_exchange_n(&p->taken, 1, __ATOMIC_ACQUIRE))
            continue;
        if ((p->fiber != NULL) == there)
            return p;
        atomic_set(&p->taken, 0);
    }
    return NULL;
}

/* What was on its C stack goes to the thread's roots. */
static void pool_resumed(struct mutator *m, struct pooled *p)
{
    const struct gc_frame *frame = p->depth ? &p->frames[p->depth - 1].head : NULL;
    if (gc_fiber_current() != p->fiber || gc_frame_mark() != frame)
        BAD("a fiber does not come back as it was left");
    space_add(m, &p->stack_space);
    space_add(m, &p->local_space);
    for (int i = 0; i < POOL_WORDS; i++) {
        struct shadow *shadow = &p->word_shadows[i];
        if (shadow->to) {
            check_intact(shadow->to);
            hold(any_place(m), shadow->to, p->words[i]);
        }
        p->words[i] = 0;
        *shadow = (struct shadow){0, NULL};
    }
    __atomic_fetch_add(&w.moved_fibers, p->last != m->index, __ATOMIC_RELAXED);
    p->last = m->index;
}

static void pool_suspends(struct mutator *m, struct pooled *p)
{
    if (gc_fiber_destroy(p->fiber) != -EBUSY)
        BAD("a fiber that runs is destroyed");
    space_remove(m, &p->local_space);
    space_remove(m, &p->stack_space);
    for (int i = 0; i < POOL_WORDS && p->has_words; i++) {
        struct node *n = any_held(m, false);
        p->words[i] = n ? (uint64_t)(uintptr_t)n->address : 0;
        p->word_shadows[i] = (struct shadow){p->words[i], n};
    }
}

/* From one fiber into another; NULL: the thread's own root set. Whoever wants may take the one that
 * was left. */
static void pool_switch(struct mutator *m, struct pooled *from, struct pooled *to)
{
    gc_fiber *left = from ? from->fiber : NULL;
    if (from)
        pool_suspends(m, from);
    if (gc_fiber_switch(to ? to->fiber : NULL) != left || errno)
        BAD("gc_fiber_switch does not switch");
    if (from)
        atomic_set(&from->taken, 0);
    if (to)
        pool_resumed(m, to);
}

static void clear_space(const struct space *s, size_t from)
{
    memset(&s->slots[from], 0, (s->n - from) * sizeof s->slots[0]);
    memset(&s->shadows[from], 0, (s->n - from) * sizeof s->shadows[0]);
}

/* The fiber that runs opens a frame, or closes its innermost one. */
static void pool_frame(struct mutator *m, struct pooled *p)
{
    struct gc_frame_array *frame = &p->frames[p->depth];
    size_t n = p->local_space.n;
    if (p->depth && (p->depth == POOL_FRAMES || random_one_in(&m->random, 2))) {
        gc_frame_reset(p->frames[--p->depth].head.prev);
        p->local_space.n -= POOL_LOCALS;
        return;
    }
    p->depth++;
    p->local_space.n += POOL_LOCALS;
    clear_space(&p->local_space, n);
    *frame = (struct gc_frame_array){{gc_frame_mark()}, GC_FRAME_SIZE(POOL_LOCALS), &p->locals[n]};
    gc_frame_reset(&frame->head);
}

/* Objects that nothing else refers to, and others. */
static void pool_fill(struct mutator *m, struct space *s)
{
    for (size_t i = 0; i < space_size(s); i++) {
        struct node *n = random_one_in(&m->random, 2) ? new_node(m) : any_held(m, false);
        if (n)
            hold((struct place){s, i}, n, reference(m, n));
    }
}

static void pool_init(struct pooled *p)
{
    p->depth = 0;
    p->top = p->stack + POOL_STACK;
    p->stack_space = space_make(SPACE_STACK, p->stack, p->stack_shadows, POOL_STACK);
    p->stack_space.top = &p->top;
    p->local_space = space_make(SPACE_PLAIN, p->locals, p->local_shadows, 0);
    clear_space(&p->stack_space, 0);
}

/* Some fibers belong to objects; these stay reachable as long as the fiber is in use. */
static void pool_make_fiber(struct mutator *m, struct pooled *p)
{
    struct node *owner = random_one_in(&m->random, 2) ? any_held(m, false) : NULL;
    if (!owner) {
        UNTIL(p->fiber, gc_fiber_create());
        return;
    }
    UNTIL(p->owner, gc_handle_new(NULL));
    p->owner_shadow = (struct shadow){reference(m, owner), owner};
    store((shape_word *)(void *)p->owner, p->owner_shadow.word);
    UNTIL(p->fiber, gc_fiber_create_for(owner->address));
}

static void pool_make(struct mutator *m, struct pooled *p)
{
    pool_init(p);
    p->last = m->index;
    p->has_words = random_one_in(&m->random, 2);
    pool_make_fiber(m, p);
    if (p->has_words && gc_fiber_stack(p->fiber, p->words, p->words + POOL_WORDS) != 0)
        BAD("gc_fiber_stack fails");
    pool_switch(m, NULL, p);
    if (gc_thread_range(p->stack, &p->top) != 0)
        BAD("a fiber is refused a range");
    for (size_t i = random_below(&m->random, POOL_FRAMES); i > 0; i--)
        pool_frame(m, p);
    pool_fill(m, &p->stack_space);
    pool_fill(m, &p->local_space);
    pool_switch(m, p, NULL);
    __atomic_fetch_add(&w.made_fibers, 1, __ATOMIC_RELAXED);
}

/* With what it roots. */
void pool_destroy(struct pooled *p)
{
    if (gc_fiber_destroy(p->fiber) != 0)
        BAD("a suspended fiber is not destroyed");
    gc_handle_free(p->owner);
    p->owner = NULL;
    p->owner_shadow = (struct shadow){0, NULL};
    p->fiber = NULL;
    memset(p->words, 0, sizeof p->words);
    memset(p->word_shadows, 0, sizeof p->word_shadows);
    atomic_set(&p->taken, 0);
}

void pool_grow(struct mutator *m, size_t n)
{
    for (struct pooled *p; n > 0 && (p = pool_take(m, false)); n--)
        pool_make(m, p);
}

void pool_shrink(struct mutator *m, size_t n)
{
    for (struct pooled *p; n > 0 && (p = pool_take(m, true)); n--)
        pool_destroy(p);
}

/* The thread blocks in the fiber, and a cycle may well claim it there. */
static void pool_work(struct mutator *m, struct pooled *p)
{
    pool_frame(m, p);
    steps(m, random_below(&m->random, 40));
    if (random_one_in(&m->random, 4)) {
        gc_collect_start();
        op_block(m);
    }
    if (gc_thread_detach() != -EBUSY)
        BAD("a thread is detached in a fiber");
    pool_frame(m, p);
}

static void swap_held(struct place a, struct place b)
{
    struct shadow x = a.space->shadows[a.i], y = b.space->shadows[b.i];
    hold(a, y.to, y.word);
    hold(b, x.to, x.word);
}

/* References go from the thread's roots to the fiber's and back, with no safepoint in between. */
static void pool_pass(struct mutator *m, struct pooled *p)
{
    pool_switch(m, NULL, p);
    for (size_t i = 0; i < space_size(&p->stack_space); i++)
        swap_held(any_place(m), (struct place){&p->stack_space, i});
    for (size_t i = 0; i < space_size(&p->local_space); i++)
        swap_held(any_place(m), (struct place){&p->local_space, i});
    pool_switch(m, p, NULL);
}

static void pool_pass_some(struct mutator *m, size_t n)
{
    for (struct pooled *p; n > 0 && (p = pool_take(m, true)); n--)
        pool_pass(m, p);
}

/* Through a few of them. */
static void pool_run(struct mutator *m)
{
    struct pooled *p = pool_take(m, true);
    if (p)
        pool_switch(m, NULL, p);
    while (p) {
        pool_work(m, p);
        struct pooled *next = random_one_in(&m->random, 2) ? pool_take(m, true) : NULL;
        pool_switch(m, p, next);
        p = next;
    }
}

/* A thread that ends in a fiber, attached: it works for another that waits for it, but has roots of
 * its own. */
struct short_life {
    struct mutator *m;
    struct pooled *p;
    shape_word locals[4], *top;
    struct shadow shadows[4];
};

static void *end_in_fiber(void *arg)
{
    struct short_life *life = arg;
    struct mutator *m = life->m;
    struct space s = space_make(SPACE_PLAIN, life->locals, life->shadows, 4);
    while (gc_thread_attach(w.heap) != 0)
        m->refused++;
    if (gc_thread_range(life->locals, &life->top) != 0)
        BAD("a thread is refused a range");
    space_add(m, &s);
    pool_switch(m, NULL, life->p);
    for (size_t i = random_below(&m->random, 20); i > 0; i--) {
        op_new(m);
        op_stack(m);
        pool_frame(m, life->p);
    }
    pool_suspends(m, life->p);
    return NULL;
}

static void pool_abandon(struct mutator *m)
{
    struct space *spaces[SPACES];
    struct short_life life = {.m = m, .p = pool_take(m, true), .top = life.locals + 4};
    unsigned nspaces = m->nspaces;
    pthread_t thread;
    if (!life.p)
        return;
    memcpy(spaces, m->spaces, sizeof spaces);
    m->nspaces = 0;
    gc_blocking_begin();
    if (pthread_create(&thread, NULL, end_in_fiber, &life) != 0 || pthread_join(thread, NULL) != 0)
        BAD("a thread does not start or end");
    gc_blocking_end();
    memcpy(m->spaces, spaces, sizeof spaces);
    m->nspaces = nspaces;
    atomic_set(&life.p->taken, 0);
}

void op_pool(struct mutator *m)
{
    size_t what = random_below(&m->random, 64);
    if (w.lean)
        return;
    if (what < 2)
        pool_shrink(m, random_below(&m->random, POOL / 2));
    else if (gc_fiber_current() || m->nspaces + 12 > SPACES)
        return;
    else if (what < 4)
        pool_grow(m, random_below(&m->random, POOL / 2));
    else if (what < 5)
        pool_abandon(m);
    else if (what < 53)
        pool_pass_some(m, random_below(&m->random, 16));
    else
        pool_run(m);
}
