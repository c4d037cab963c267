#include "cycle/lifetime.h"
#include "base/os.h"
#include "collector/finalizer.h"
#include "cycle/assist.h"
#include "cycle/collector.h"
#include "cycle/dumper.h"
#include "cycle/fork.h"
#include "introspect/checks.h"
#include "introspect/profile.h"
#include "introspect/strays.h"
#include "mutator/attach.h"
#include "mutator/fiber.h"
#include "mutator/heaps.h"
#include "mutator/log.h"
#include "mutator/self.h"
#include <errno.h>

/* ---- A heap's parts and options ---- */

static int init_parts(gc_heap *heap)
{
    int error = mheap_init(&heap->mem, &heap->options);
    if (error)
        return error;
    mcentrals_init(heap->centrals);
    heap->mem.centrals = heap->centrals;
    mutators_init(&heap->mutators, attach_reap);
    lock_init(&heap->fibers_lock, LOCK_FIBERS);
    procs_init(&heap->procs, heap->options.max_procs);
    roots_init(&heap->roots);
    workqueue_init(&heap->work);
    error = collector_create(heap);
    if (error)
        mheap_destroy(&heap->mem);
    return error;
}

static void destroy_parts(gc_heap *heap)
{
    collector_destroy(heap);
    profile_destroy(heap);
    checks_destroy(heap);
    sites_destroy(heap);
    strays_destroy(heap);
    fibers_destroy(heap);
    procs_destroy(&heap->procs);
    roots_destroy(&heap->roots);
    workqueue_destroy(&heap->work);
    mutators_destroy(&heap->mutators);
    mheap_destroy(&heap->mem);
}

static void warn(void *heap, const char *line)
{
    log_write(heap, GC_LOG_WARNING, "%s", line);
}

static int resolve_options(gc_heap *heap, const gc_options *options)
{
    const struct options_listener listener = {warn, heap};
    if (options)
        heap->options = *options; /* its log function gets the messages */
    return options_resolve(options, &heap->options, &listener);
}

static bool needs_checks(const struct debug_switches *d)
{
    return d->stores || d->fields || d->freed || d->roots || d->redzones;
}

static bool watches_stores(const gc_heap *heap)
{
    const struct debug_switches *d = &heap->debug;
    bool checks = heap->checks && d->stores + d->freed + d->roots;
    return checks || (d->stay && d->checkmark);
}

static void read_environment(gc_heap *heap)
{
    const struct options_listener listener = {warn, heap};
    options_parse_debug("options.debug", heap->options.debug, &heap->debug, &listener);
    options_parse_debug("GCHEAP_DEBUG", getenv("GCHEAP_DEBUG"), &heap->debug, &listener);
    options_settle_debug(&heap->debug);
    if (heap->debug.delay)
        stress_seed_set(heap->debug.delay);
    if (heap->debug.failos)
        os_fail_one_in(heap->debug.failos);
    if (heap->debug.buffers)
        workqueue_set_room(&heap->work, heap->debug.buffers);
    if (heap->debug.watchdog)
        heap->options.watchdog_ms =
            heap->debug.watchdog > 1 ? (unsigned)heap->debug.watchdog - 1 : GC_WATCHDOG_OFF;
    if (heap->options.flags & GC_STOP_WORLD)
        heap->debug.stores = false; /* plain stores are allowed */
    if (heap->debug.roots)
        strays_create(heap);
    if (needs_checks(&heap->debug) || heap->debug.types)
        sites_create(heap);
    if (needs_checks(&heap->debug))
        checks_create(heap);
    if (watches_stores(heap))
        heap->watch = BARRIER_WATCH;
    heap->polls_always = heap->debug.stay > 0 || heap->checks;
    heap->mem.run_limit = heap->debug.nth || heap->polls_always ? 1 : heap->sites ? UINT32_MAX : 0;
    heap->trace = options_trace();
}

/* ---- The beginning ---- */

static uint32_t heaps_made; /* atomic */

/* Makes a heap, which is not yet in the list of heaps and has no thread. */
static int make(const gc_options *options, gc_heap **made)
{
    gc_heap *heap = os_aligned_alloc(CACHE_PAD, align_up(sizeof *heap, CACHE_PAD));
    if (!heap)
        return -ENOMEM;
    memset(heap, 0, sizeof *heap);
    heap->created_ns = os_now_ns();
    heap->number = u32_fetch_add_relaxed(&heaps_made, 1) + 1;
    int error = resolve_options(heap, options);
    if (!error)
        error = init_parts(heap);
    if (error) {
        os_aligned_free(heap);
        return error;
    }
    read_environment(heap);
    type_heap_created(&heap->types);
    *made = heap;
    return 0;
}

/* Puts a heap into the list. Before the first one, makes the threads' key and registers the
 * handlers of forks. */
static int enlist(gc_heap *heap)
{
    gc_thread *t = heaps_enter();
    int error = attach_make_key();
    if (!error)
        error = fork_register_locked();
    if (!error)
        heaps_add_locked(heap);
    heaps_leave(t);
    return error;
}

int lifetime_begin(const gc_options *options, uintptr_t caller, gc_heap **made)
{
    gc_heap *heap;
    int error = make(options, &heap);
    if (error)
        return error;
    os_stay_loaded();
    error = enlist(heap);
    if (!error)
        error = attach_begin(heap, caller);
    if (error)
        lifetime_end(heap, caller);
    else
        dumper_start(*made = heap);
    return error;
}

/* ---- The end ---- */

/* Other threads may be about to leave; only the registry knows them. */
static size_t other_threads(gc_heap *heap, const gc_thread *self)
{
    attach_reap_all(heap);
    lock_acquire(&heap->mutators.lock);
    size_t n = heap->mutators.count + heap->mutators.leaving;
    lock_release(&heap->mutators.lock);
    return n - (self != NULL);
}

static void delist(gc_heap *heap)
{
    gc_thread *t = heaps_enter();
    heaps_remove_locked(heap);
    heaps_leave(t);
}

int lifetime_end(gc_heap *heap, uintptr_t caller)
{
    gc_heap *before = thread_self() ? thread_self()->heap : NULL;
    bool attached = attach_switch(heap, caller) == 0;
    if (!attached)
        attach_switch(NULL, caller); /* I21: it waits for this heap's threads */
    int error = finalizer_stop_thread(heap);
    if (!error && other_threads(heap, attached ? thread_self() : NULL) > 0) {
        finalizer_go_on(heap);
        error = -EBUSY;
    }
    if (error) {
        attach_switch(before, caller);
        return error;
    }
    if (attached)
        assist_end_stay(heap, thread_self());
    delist(heap);
    if (attached)
        attach_end(thread_self(), true);
    dumper_stop(heap);
    destroy_parts(heap);
    type_heap_destroyed(&heap->types);
    os_aligned_free(heap);
    if (before && before != heap)
        attach_switch(before, caller);
    return 0;
}
