/* Finalizers, cleanups, bytes that objects own outside the heap. */
#include "shadow.h"

void lock_finals(void)
{
    gc_blocking_begin();
    pthread_mutex_lock(&w.final_lock);
    gc_blocking_end();
}

static void check_own_are_gone(struct node *n)
{
    if (n->weak) {
        if (gc_weak_get(n->weak))
            describe(n, "is finalized, but its weak reference is not cleared");
        atomic_set(&n->weak_cleared, 1);
        atomic_set(&n->weak_finalized, 1);
    }
    for (int i = 0; n->mapped && i < MAPS; i++) {
        if (w.maps[i] && gc_weakmap_get(w.maps[i], n->address))
            describe(n, "is finalized, but still in a weak map");
        n->mapped[i] = (struct shadow){0, NULL};
    }
    atomic_set(&n->interned, 0);
}

static void on_final(void *object, void *arg);

static int set_final(struct node *n)
{
    atomic_set(&n->final, FINAL_SET);
    return gc_finalizer_set(n->address, on_final, n);
}

/* On any thread. Some objects come back, some of them with a finalizer. */
static void on_final(void *object, void *arg)
{
    struct node *n = arg;
    uint64_t random = n->id ^ w.setup.seed ^ (uint64_t)atomic_get(&n->finals) << 32;
    lock_finals();
    if (__atomic_exchange_n(&n->final, FINAL_RAN, __ATOMIC_ACQ_REL) != FINAL_SET)
        describe(n, "is finalized, but it has no finalizer");
    if (n->address != object)
        describe(n, "is finalized as another object");
    check_intact(n);
    check_own_are_gone(n);
    __atomic_fetch_add(&n->finals, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&w.finalized, 1, __ATOMIC_RELAXED);
    if (!atomic_get(&w.over) && random_one_in(&random, 3)) {
        if (random_one_in(&random, 3) && set_final(n) != 0)
            atomic_set(&n->final, FINAL_RAN);
        store(&w.globals[random_below(&random, RACY_GLOBALS)], (uint64_t)(uintptr_t)object);
    }
    pthread_mutex_unlock(&w.final_lock);
}

void op_final(struct mutator *m)
{
    struct node *n = any_own(m);
    if (!n || is_small(n) || w.lean)
        return;
    if (atomic_get(&n->final) == FINAL_SET) {
        if (gc_finalizer_set(n->address, on_final, n) != -EEXIST)
            describe(n, "lost its finalizer");
        if (random_one_in(&m->random, 2))
            return;
        if (gc_finalizer_set(n->address, NULL, NULL) != 0)
            describe(n, "is not rid of its finalizer");
        atomic_set(&n->final, FINAL_NONE);
        return;
    }
    int error = set_final(n);
    if (error == 0)
        return;
    if (error != -ENOMEM && error != -EAGAIN)
        BAD("gc_finalizer_set fails with %d", error);
    atomic_set(&n->final, FINAL_NONE);
    m->refused++;
}

static void on_cleanup(void *arg)
{
    struct cleanup *c = arg;
    __atomic_fetch_add(&w.cleaned, 1, __ATOMIC_RELAXED);
    uint64_t id = c->id;
    if (__atomic_exchange_n(&c->state, CLEANUP_RAN, __ATOMIC_ACQ_REL) != CLEANUP_SET)
        BAD("a cleanup of %llx runs twice, or was cancelled", (unsigned long long)id);
}

static void cancel_cleanup(struct node *n, struct cleanup *c)
{
    int expected = atomic_get(&c->state) == CLEANUP_SET ? 0 : -ENOENT;
    if (gc_cleanup_cancel(n->address, c->number) != expected)
        describe(n, "cannot cancel a cleanup, or can twice");
    atomic_set(&c->state, CLEANUP_CANCELLED);
}

void op_cleanup(struct mutator *m)
{
    struct node *n = any_own(m);
    if (!n || is_small(n))
        return;
    if (n->cleanups && random_one_in(&m->random, 2)) {
        cancel_cleanup(n, n->cleanups);
        return;
    }
    struct cleanup *c = must(calloc(1, sizeof *c));
    c->id = n->id;
    c->number = gc_cleanup_add(n->address, on_cleanup, c);
    if (c->number <= 0) {
        if (c->number != -ENOMEM && c->number != -EAGAIN)
            BAD("gc_cleanup_add fails with %d", (int)c->number);
        m->refused++;
        free(c);
        return;
    }
    c->next = n->cleanups;
    n->cleanups = c;
}

/* Bytes outside the heap, more or fewer; not fewer than there are. */
void op_external(struct mutator *m)
{
    struct node *n = any_own(m);
    if (!n || is_small(n) || w.lean)
        return;
    ptrdiff_t bytes = (ptrdiff_t)random_below(&m->random, 4096);
    bool fewer = random_one_in(&m->random, 2), absurd = fewer && (size_t)bytes > n->external;
    int error = gc_external_add(n->address, fewer ? -bytes : bytes);
    if (error == -ENOMEM && !fewer) {
        m->refused++;
        return;
    }
    if (error != (absurd ? -EINVAL : 0))
        BAD("gc_external_add of %s%td bytes to %zu gives %d", fewer ? "-" : "", bytes, n->external,
            error);
    if (!error)
        n->external = fewer ? n->external - (size_t)bytes : n->external + (size_t)bytes;
}

void op_run_finalizers(struct mutator *m)
{
    gc_finalizers_run(1 + random_below(&m->random, 20));
}

void wait_while(bool (*goes_on)(void))
{
    while (goes_on()) {
        struct timespec t = {0, 1000 * 1000};
        gc_blocking_begin();
        nanosleep(&t, NULL);
        gc_blocking_end();
    }
}

/* The library's thread is attached while it has something to run. */
bool final_thread_works(void)
{
    struct gc_statistics stats;
    CHECK(gc_stats(&stats) == 0);
    return gc_finalizers_pending() > 0 || stats.threads != 1 + w.resting;
}

void run_finalizers(void)
{
    gc_finalizers_run(0);
    if (w.final_thread)
        wait_while(final_thread_works);
}
