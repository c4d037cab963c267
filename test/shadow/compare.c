/* The heap against the shadow, while all other threads rest. */
#include "shadow.h"

/* An object with a finalizer that was found dead is queued. */
static void note_queued(struct node *n)
{
    if (n->reached == w.rest || atomic_get(&n->final) != FINAL_SET)
        return;
    if (w.nqueue == w.queue_capacity) {
        w.queue_capacity = w.queue_capacity ? w.queue_capacity * 2 : 256;
        w.queue = must(realloc(w.queue, w.queue_capacity * sizeof(struct node *)));
    }
    w.queue[w.nqueue++] = n;
}

/* Its cleanups are due. */
static void free_node(struct node *n)
{
    for (struct cleanup *c = n->cleanups, *next; c; c = next) {
        next = c->next;
        if (atomic_get(&c->state) == CLEANUP_CANCELLED) {
            free(c);
            continue;
        }
        c->next = w.due;
        w.due = c;
    }
    for (int i = 0; i < KNOWN; i++) {
        if (w.known[i] == n)
            w.known[i] = NULL;
    }
    if (n->weak)
        gc_weak_free(n->weak);
    *entry(&w.mutators[n->owner], n->id >> OWNER_BITS, false) = NULL;
    free(n->shape.external);
    free(n->mapped);
    free(n);
}

static int compare_bases(const void *a, const void *b)
{
    uintptr_t x = ((const struct live *)a)->base, y = ((const struct live *)b)->base;
    return (x > y) - (x < y);
}

struct live *find_live(uintptr_t base)
{
    struct live key = {.base = base};
    return bsearch(&key, w.live, w.nlive, sizeof key, compare_bases);
}

static struct live live_of(const struct node *n)
{
    return (struct live){(uintptr_t)gc_object_base(n->address), gc_object_size(n->address), n,
                         false};
}

static void sort_live(void)
{
    size_t n = 0;
    free(w.live);
    w.live = must(malloc((w.nwork + 1) * sizeof *w.live));
    for (size_t i = 0; i < w.nwork; i++)
        w.live[i] = live_of(w.work[i]);
    qsort(w.live, w.nwork, sizeof *w.live, compare_bases);
    for (size_t i = 0; i < w.nwork; i++) {
        if (n == 0 || w.live[i].base != w.live[n - 1].base)
            w.live[n++] = w.live[i];
    }
    w.nlive = n;
}

/* An unreachable object is still where it was; its slot may have a new tenant. */
static bool is_there(const struct node *n)
{
    uintptr_t base = (uintptr_t)gc_object_base(n->address);
    return base && !find_live(base);
}

/* A node that the shadow does not reach. True: it is gone, as it should be. */
static bool check_dead(const struct node *n)
{
    bool there = is_there(n);
    if (n->weak && !there && gc_weak_get(n->weak))
        describe(n, "is dead but its weak reference is not");
    if (w.setup.mode == CONSERVATIVE) {
        /* A stale word may keep it, and all it refers to; or a younger one in its slot. */
        const shape_word *words = (const shape_word *)(void *)n->address;
        there = there && (is_small(n) || words[0] == n->id);
        if (there && !is_small(n))
            check_intact(n);
        w.kept += there;
        return !there;
    }
    if (there)
        describe(n, "is unreachable but still there after a collection");
    return true;
}

static void compare_stats(void)
{
    struct gc_statistics stats;
    uint64_t objects = w.nlive - w.nqueue, bytes = 0, external = 0;
    CHECK(gc_stats(&stats) == 0);
    for (size_t i = 0; i < w.nlive; i++)
        bytes += w.live[i].size;
    for (size_t i = 0; i < w.nwork; i++)
        external += w.work[i]->external;
    if (stats.external < external || (w.setup.mode != CONSERVATIVE && stats.external > external))
        BAD("%llu bytes outside the heap are told of, objects own %llu",
            (unsigned long long)stats.external, (unsigned long long)external);
    if (stats.heap_live != stats.allocated_bytes - stats.freed_bytes)
        BAD("heap_live %llu is not what was allocated and not freed: %llu",
            (unsigned long long)stats.heap_live,
            (unsigned long long)(stats.allocated_bytes - stats.freed_bytes));
    if (w.setup.mode == CONSERVATIVE) {
        if (stats.heap_live < bytes)
            BAD("heap_live is less than what is reachable");
        return;
    }
    if (stats.objects_marked != objects)
        BAD("%llu objects were marked, %llu are reachable",
            (unsigned long long)stats.objects_marked, (unsigned long long)objects);
    if (stats.heap_live != bytes)
        BAD("heap_live is %llu, what is reachable has %llu bytes",
            (unsigned long long)stats.heap_live, (unsigned long long)bytes);
}

static void sort_out_dead(void)
{
    for (unsigned t = 0; t < w.setup.threads; t++) {
        struct mutator *m = &w.mutators[t];
        size_t kept = 0;
        for (size_t i = 0; i < m->count; i++) {
            struct node *n = m->nodes[i];
            if (n->reached == w.rest || !check_dead(n))
                m->nodes[kept++] = n;
            else
                free_node(n);
        }
        w.freed += m->count - kept;
        m->count = kept;
    }
}

/* No entry of a weak map is one too many. */
static void compare_map(unsigned map)
{
    size_t position = 0, n = 0, expected = 0;
    void *key, *value;
    for (size_t i = 0; i < w.nwork; i++) {
        const struct node *at = w.work[i];
        expected += at->queued != w.rest && at->mapped && at->mapped[map].word;
    }
    while (gc_weakmap_next(w.maps[map], &position, &key, &value))
        n++;
    if (n < expected || (w.setup.mode != CONSERVATIVE && n > expected))
        BAD("a weak map gives %zu entries instead of %zu", n, expected);
    if (gc_weakmap_count(w.maps[map]) < n)
        BAD("a weak map counts fewer entries than it gives");
}

static bool some_due(void)
{
    for (struct cleanup *c = w.due; c; c = c->next) {
        if (atomic_get(&c->state) != CLEANUP_RAN)
            return true;
    }
    return false;
}

static bool some_queued(void)
{
    if (w.setup.mode == CONSERVATIVE)
        return false;
    for (size_t i = 0; i < w.nqueue; i++) {
        if (atomic_get(&w.queue[i]->finals) == w.queue[i]->queued)
            return true;
    }
    return false;
}

/* What should be in the queue is run, once. */
static void check_queue(void)
{
    for (size_t i = 0; i < w.nqueue; i++)
        w.queue[i]->queued = atomic_get(&w.queue[i]->finals);
    pthread_mutex_unlock(&w.final_lock);
    run_finalizers();
    if (w.final_thread) {
        wait_while(some_due);
        wait_while(some_queued);
    }
    if (some_due())
        BAD("a cleanup of a dead object does not run");
    if (some_queued())
        BAD("the finalizer of a dead object does not run");
    for (size_t i = 0; i < w.nqueue; i++) {
        if (atomic_get(&w.queue[i]->finals) > w.queue[i]->queued + 1)
            describe(w.queue[i], "is finalized twice");
        w.queue[i]->queued = 0;
    }
    for (struct cleanup *c; (c = w.due) != NULL;) {
        w.due = c->next;
        free(c);
    }
    w.nqueue = 0;
}

/* Cycles of references through an object with a finalizer would stay. */
static void clear_finalizable(struct node *n)
{
    if (atomic_get(&n->final) != FINAL_SET)
        return;
    for (unsigned i = 0; i < n->used; i++) {
        store(used_slot(n, i), 0);
        n->slots[i] = (struct shadow){0, NULL};
    }
}

/* The first collection ends what was under way, so that all who died till
 * then are out of the queue. */
void compare(void)
{
    struct gc_statistics stats;
    CHECK(gc_collect() == 0);
    run_finalizers();
    lock_finals();
    reach_all();
    CHECK(gc_collect() == 0);
    each_node(note_queued);
    reach_all();
    sort_live();
    compare_stats();
    compare_walks();
    for (unsigned i = 0; i < MAPS; i++) {
        if (w.maps[i])
            compare_map(i);
    }
    sort_out_dead();
    check_queue();
    if (w.rest % 8 == 0 && gc_heap_verify() != 0)
        BAD("gc_heap_verify finds fault");
    gc_stats(&stats);
    bool shrink = stats.heap_live > (uint64_t)24 << 20 || w.nwork > 100 * 1000;
    atomic_set(&w.shrink, shrink);
    lock_finals();
    if (shrink || atomic_get(&w.over))
        each_node(clear_finalizable);
    pthread_mutex_unlock(&w.final_lock);
}
