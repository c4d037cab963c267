/* A run: one heap, its threads, what they share. */
#include "shadow.h"

struct world w;
char replay[256];

const char *const mode_names[] = {"concurrent", "stop", "alone", "conservative"};
const char *const format_names[] = {"plain", "tagged", "boxed"};

static void heap_callback(void *arg, gc_tracer *tracer)
{
    gc_trace_slots(tracer, arg, RACY_VISITED);
}

static void make_heap(uint64_t *random)
{
    static const unsigned flags[] = {0, GC_STOP_WORLD, GC_NO_BACKGROUND, GC_STACK_CONSERVATIVE};
    gc_options o = {.flags = flags[w.setup.mode], .debug = w.setup.debug};
    if (random_one_in(random, 3))
        o.flags |= GC_FINALIZER_THREAD;
    if (random_one_in(random, 8))
        o.flags |= GC_HUGE_PAGES;
    if (w.setup.mode != CONCURRENT && random_one_in(random, 4))
        o.flags |= GC_NO_BACKGROUND;
    if (w.setup.mode == CONSERVATIVE && random_one_in(random, 4))
        o.flags |= GC_STOP_WORLD;
    w.final_thread = o.flags & GC_FINALIZER_THREAD;
    o.percent = 20 + (int)random_below(random, 200);
    o.min_heap = (size_t)1 << (16 + random_below(random, 7));
    o.max_procs = (unsigned)random_below(random, 5);
    o.mark_workers = (unsigned)random_below(random, 4);
    if (random_one_in(random, 4))
        o.reserve = SIZE_MAX > UINT32_MAX ? (size_t)1 << 31 : (size_t)1 << 28;
    if (w.setup.format != PLAIN)
        o.format = formats[w.setup.format];
    o.watchdog_ms = 20000;
    w.lean = random_one_in(random, 3);
    diag("flags 0x%x, percent %d, min_heap %zu, max_procs %u, mark_workers %u, reserve %zu%s",
         o.flags, o.percent, o.min_heap, o.max_procs, o.mark_workers, o.reserve,
         w.lean ? ", lean" : "");
    UNTIL(w.heap, gc_heap_create(&o));
}

/* Without its thread the collector takes no callback: the system may refuse one. */
static void add_callback(void)
{
    int error;
    do {
        error = gc_root_callback(GC_ROOT_HEAP, heap_callback, w.visited);
    } while (error == -EAGAIN);
    CHECK(error == 0);
}

static void make_shared(void)
{
    for (int i = 0; i < MAPS; i++)
        UNTIL(w.maps[i], gc_weakmap_new());
    UNTIL(w.intern, gc_intern_new(&intern_ops));
    CHECK(gc_root_range(w.globals, RACY_GLOBALS) == 0);
    if (w.lean)
        CHECK(gc_root_range(w.visited, RACY_VISITED) == 0);
    else
        add_callback();
    for (int i = 0; i < RACY_HANDLES; i++)
        UNTIL(w.handles[i], gc_handle_new(NULL));
    for (int i = 0; i < SHARED_FIBERS && !w.lean; i++) {
        struct shared_fiber *f = &w.fibers[i];
        UNTIL(f->fiber, gc_fiber_create());
        f->top = f->slots + FIBER_SLOTS;
        gc_fiber_switch(f->fiber);
        CHECK(gc_thread_range(f->slots, &f->top) == 0);
        gc_fiber_switch(NULL);
    }
}

static void drop_shared(void)
{
    lock_finals();
    for (int i = 0; i < MAPS; i++) {
        gc_weakmap_free(w.maps[i]);
        w.maps[i] = NULL;
    }
    pthread_mutex_unlock(&w.final_lock);
    gc_intern_free(w.intern);
    w.intern = NULL;
    for (int i = 0; i < SHARED_FIBERS && !w.lean; i++) {
        CHECK(gc_fiber_destroy(w.fibers[i].fiber) == 0);
        memset(&w.fibers[i], 0, sizeof w.fibers[i]);
    }
    for (int i = 0; i < POOL; i++) {
        if (w.pool[i].fiber)
            pool_destroy(&w.pool[i]);
    }
    for (int i = 0; i < RACY_HANDLES; i++)
        store((shape_word *)(void *)w.handles[i], 0);
    gc_clear(w.globals, sizeof w.globals);
    gc_clear(w.visited, sizeof w.visited);
}

static uint64_t nodes_left(void)
{
    uint64_t n = 0;
    for (unsigned t = 0; t < w.setup.threads; t++)
        n += w.mutators[t].count;
    return n;
}

/* Nothing is reachable at the end, once finalizers have run from the outside to the inside. */
static void check_empty(void)
{
    struct gc_statistics stats;
    for (int i = 0; i < 40; i++) {
        compare();
        if (nodes_left() == 0)
            break;
    }
    wait_while(final_thread_works);
    if (w.setup.mode == CONSERVATIVE)
        return;
    compare();
    CHECK(gc_stats(&stats) == 0);
    CHECK_EQ(nodes_left(), 0);
    CHECK_EQ(stats.heap_live, 0);
    CHECK_EQ(stats.objects_marked, 0);
}

static void say_results(void)
{
    struct gc_statistics stats;
    uint64_t operations = 0, refused = 0, made = 0;
    CHECK(gc_stats(&stats) == 0);
    for (unsigned i = 0; i < w.setup.threads; i++) {
        operations += w.mutators[i].operations;
        refused += w.mutators[i].refused;
        made += w.mutators[i].made;
    }
    diag("%llu operations, %llu objects, %u rests, %llu checked, %llu freed, %llu kept, %llu "
         "finalized, %llu cleaned up, %llu refused, %llu cycles, %llu Ps",
         (unsigned long long)operations, (unsigned long long)made, w.rest,
         (unsigned long long)w.checked, (unsigned long long)w.freed, (unsigned long long)w.kept,
         (unsigned long long)w.finalized, (unsigned long long)w.cleaned,
         (unsigned long long)refused, (unsigned long long)stats.cycles,
         (unsigned long long)stats.procs);
    diag("%llu fibers, %u at once, %llu times moved to another thread",
         (unsigned long long)w.made_fibers, w.most_fibers, (unsigned long long)w.moved_fibers);
}

void describe_run(char *text, size_t size, const struct setup *setup)
{
    const char *debug = getenv("GCHEAP_DEBUG");
    snprintf(text, size, "%s%s%sshadow seed=%llu threads=%u rests=%u mode=%s format=%s%s%s",
             debug ? "GCHEAP_DEBUG=" : "", debug ? debug : "", debug ? " " : "",
             (unsigned long long)setup->seed, setup->threads, setup->rests, mode_names[setup->mode],
             format_names[setup->format], *setup->debug ? " debug=" : "", setup->debug);
}

void run(struct setup setup)
{
    uint64_t random = setup.seed;
    w.setup = setup;
    describe_run(replay, sizeof replay, &setup);
    diag("%s", replay);
    pthread_mutex_init(&w.lock, NULL);
    pthread_mutex_init(&w.final_lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    layouts_init(random_next(&random));
    make_heap(&random);
    make_shared();
    w.running = setup.threads - 1;
    for (unsigned i = 0; i < setup.threads; i++) {
        struct mutator *m = &w.mutators[i];
        m->index = i;
        m->random = random_next(&random);
        if (i > 0)
            CHECK(pthread_create(&m->thread, NULL, run_thread, m) == 0);
    }
    lead(&w.mutators[0]);
    atomic_set(&w.over, 1);
    gc_blocking_begin();
    for (unsigned i = 1; i < setup.threads; i++)
        CHECK(pthread_join(w.mutators[i].thread, NULL) == 0);
    gc_blocking_end();
    for (unsigned i = 1; i < setup.threads; i++)
        drop_owned(&w.mutators[i], 0, 1); /* the end may have come between two sessions */
    drop_shared();
    check_empty();
    say_results();
    CHECK_EQ(gc_heap_destroy(w.heap), 0);
}
