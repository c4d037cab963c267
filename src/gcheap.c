/* The door: every public call but those of types. Checks arguments, calls one room. */
#include "background.h"
#include "door.h"
#include "fork.h"
#include "pace.h"
#include "scavenge.h"
#include "census.h"
#include <errno.h>
#include <limits.h>

/* ---- Heaps ---- */

static int init_rooms(gc_heap *heap)
{
    int error = mheap_init(&heap->mem, &heap->options);
    if (error)
        return error;
    lock_init(&heap->mutators.lock, LOCK_REGISTRY);
    lock_init(&heap->fibers_lock, LOCK_FIBERS);
    procs_init(&heap->procs, heap->options.max_procs);
    roots_init(&heap->roots);
    workqueue_init(&heap->work);
    error = cycle_init(heap);
    if (error)
        mheap_destroy(&heap->mem);
    return error;
}

static void destroy_rooms(gc_heap *heap)
{
    cycle_destroy(heap);
    fibers_destroy(heap);
    procs_destroy(&heap->procs);
    roots_destroy(&heap->roots);
    workqueue_destroy(&heap->work);
    thread_free_spares(heap);
    mheap_destroy(&heap->mem);
}

static void warn(void *heap, const char *line)
{
    heap_log(heap, GC_LOG_WARNING, "%s", line);
}

static int resolve_options(gc_heap *heap, const gc_options *options)
{
    const struct options_listener listener = {warn, heap};
    if (options)
        heap->options = *options; /* whom to tell */
    return options_resolve(options, &heap->options, &listener);
}

static void read_environment(gc_heap *heap)
{
    const struct options_listener listener = {warn, heap};
    options_parse_debug("options.debug", heap->options.debug, &heap->debug, &listener);
    options_parse_debug("GCHEAP_DEBUG", getenv("GCHEAP_DEBUG"), &heap->debug, &listener);
    if (heap->debug.delay)
        stress_seed_set(heap->debug.delay);
    if (heap->debug.failos)
        os_fail_one_in(heap->debug.failos);
    if (heap->debug.buffers)
        workqueue_set_room(&heap->work, heap->debug.buffers);
    heap->mem.run_limit = heap->debug.nth ? 1 : 0;
    heap->trace = options_trace();
}

unsigned gc_version(void)
{
    return GC_VERSION;
}

NOINLINE gc_heap *gc_heap_create(const gc_options *options)
{
    if (!MAY_PASS())
        return NULL;
    gc_heap *heap = aligned_alloc(CACHE_PAD, align_up(sizeof *heap, CACHE_PAD));
    if (!heap)
        return NULL;
    memset(heap, 0, sizeof *heap);
    heap->created_ns = os_now_ns();
    int error = resolve_options(heap, options);
    if (!error)
        error = init_rooms(heap);
    if (error) {
        free(heap);
        errno = -error;
        return NULL;
    }
    read_environment(heap);
    type_heap_created(&heap->types);
    os_stay_loaded();
    error = fork_heap_created(heap);
    if (!error)
        error = thread_attach(heap, STACK_CALLER());
    if (error) {
        gc_heap_destroy(heap);
        errno = -error;
        return NULL;
    }
    return heap;
}

/* Others may be on their way out: only the registry tells. */
static size_t other_threads(gc_heap *heap, const gc_thread *self)
{
    lock_acquire(&heap->mutators.lock);
    size_t n = heap->mutators.count + heap->mutators.leaving;
    lock_release(&heap->mutators.lock);
    return n - (self != NULL);
}

NOINLINE int gc_heap_destroy(gc_heap *heap)
{
    if (!heap)
        return -EINVAL;
    if (heap->orphan || !MAY_PASS())
        return -EPERM;
    gc_heap *before = gc_heap_current();
    uintptr_t caller = STACK_CALLER();
    bool attached = thread_switch(heap, caller) == 0;
    if (!attached)
        thread_switch(NULL, caller); /* I21: it waits for this heap's threads */
    int error = finq_stop_thread(heap);
    if (!error && other_threads(heap, attached ? thread_self() : NULL) > 0) {
        finq_go_on(heap);
        error = -EBUSY;
    }
    if (error) {
        thread_switch(before, caller);
        return error;
    }
    fork_heap_destroyed(heap);
    if (attached)
        thread_detach(thread_self(), true);
    destroy_rooms(heap);
    type_heap_destroyed(&heap->types);
    free(heap);
    if (before && before != heap)
        thread_switch(before, caller);
    return 0;
}

gc_heap *gc_heap_current(void)
{
    gc_thread *t = thread_self();
    return t ? t->heap : NULL;
}

const gc_options *gc_heap_options(const gc_heap *heap)
{
    return &heap->options;
}

/* ---- Threads ---- */

NOINLINE int gc_thread_attach(gc_heap *heap)
{
    if (!heap)
        return -EINVAL;
    return MAY_PASS() ? thread_attach(heap, STACK_CALLER()) : -EPERM;
}

int gc_thread_detach(void)
{
    gc_thread *t = thread_self();
    return t && MAY_PASS() ? thread_detach(t, false) : -EPERM;
}

NOINLINE int gc_thread_switch(gc_heap *heap)
{
    return MAY_PASS() ? thread_switch(heap, STACK_CALLER()) : -EPERM;
}

int gc_thread_name(const char *name)
{
    gc_thread *t = thread_self();
    if (!t || !MAY_PASS())
        return -EPERM;
    if (!name)
        return -EINVAL;
    lock_acquire(&t->heap->mutators.lock);
    snprintf(t->name, sizeof t->name, "%s", name);
    lock_release(&t->heap->mutators.lock);
    return 0;
}

int gc_thread_scan_stack(bool on)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (on && !t->stacks.own.high)
        return -ENOTSUP;
    t->stacks.scanned = on;
    return 0;
}

static void safepoint(gc_thread *t)
{
    ptr_store_relaxed(&t->last_call, "gc_safepoint");
    thread_safepoint(t);
}

/* Where it may do nothing it does nothing, and errno stays. */
void gc_safepoint_slow(void)
{
    gc_thread *t = thread_self();
    if (UNLIKELY(!t))
        door_outside();
    else if (LIKELY(t->blocking == 0 && !thread_is_called_back(t)))
        safepoint(t);
}

NOINLINE int gc_blocking_begin(void)
{
    gc_thread *t = thread_self();
    if (!t || !MAY_PASS())
        return -EPERM;
    ptr_store_relaxed(&t->last_call, __func__);
    thread_blocking_begin(t, STACK_CALLER());
    return 0;
}

int gc_blocking_end(void)
{
    gc_thread *t = thread_self();
    if (!t || t->blocking == 0)
        return -EPERM;
    if (t->blocking == 1)
        door_check_frames(t);
    thread_blocking_end(t);
    return 0;
}

/* ---- Allocation ---- */

#define PACE_BYTES ((size_t)32 << 10)

/* While a cycle marks, what is owed is paid in small parts. */
static size_t pace_bytes(const gc_thread *t)
{
    return t->phase == PHASE_MARK ? PACE_BYTES / 8 : PACE_BYTES;
}

/* Every allocation that takes the slow path is a safepoint first, and pays what it owes. */
static struct mcache *allocation_point(gc_thread *t, size_t bytes)
{
    gc_heap *heap = t->heap;
    thread_poll(t);
    if (UNLIKELY(heap->debug.nth) &&
        u32_fetch_add_relaxed(&heap->debug_allocations, 1) % heap->debug.nth == 0)
        pace_collect(heap, t);
    if (mcache_unpaced(t->proc->cache) + bytes >= pace_bytes(t))
        pace_allocation(heap, t, bytes);
    return t->proc->cache;
}

/* What an allocation wants, to be tried again when memory was refused. */
struct request {
    void *(*make)(struct mcache *c, const struct request *r);
    struct type_info *type, *element;
    size_t n, size;
};

/* Memory was refused: a full collection, pages from the OS, then the embedder. */
static bool find_memory(gc_heap *heap, gc_thread *t, size_t size, unsigned attempt)
{
    if (attempt == 0) {
        pace_collect(heap, t);
        return true;
    }
    bool (*ask)(void *, size_t) = heap->options.out_of_memory;
    return ask && ask(heap->options.user, size);
}

/* In pieces: nobody waits for this thread until it has gone through gigabytes (Go:
 * memclrNoHeapPointersChunked). */
static void zero_in_pieces(gc_thread *t, void *object, size_t bytes)
{
    GC_FRAME(object);
    for (size_t done = 0, step; done < bytes; done += step) {
        step = MIN_OF(bytes - done, MALLOC_ZERO_PIECE);
        memset((char *)object + done, 0, step);
        thread_poll(t);
    }
}

static void *allocate(gc_thread *t, const struct request *r)
{
    gc_heap *heap = t->heap;
    struct mcache *c = allocation_point(t, r->size > SIZECLASS_MAX_SIZE ? r->size : 0);
    void *p = r->make(c, r);
    for (unsigned attempt = 0; UNLIKELY(!p) && find_memory(heap, t, r->size, attempt); attempt++)
        p = r->make(t->proc->cache, r);
    size_t unzeroed = t->proc->cache->unzeroed;
    t->proc->cache->unzeroed = 0;
    if (UNLIKELY(unzeroed))
        zero_in_pieces(t, p, unzeroed);
    if (UNLIKELY(!p))
        errno = ENOMEM;
    return p;
}

static void *make_typed(struct mcache *c, const struct request *r)
{
    return malloc_typed(c, r->type);
}
static void *make_bytes(struct mcache *c, const struct request *r)
{
    return malloc_bytes(c, r->size);
}
static void *make_bytes_raw(struct mcache *c, const struct request *r)
{
    return malloc_bytes_raw(c, r->size);
}
static void *make_array(struct mcache *c, const struct request *r)
{
    return malloc_array(c, r->type, r->n);
}
static void *make_flex(struct mcache *c, const struct request *r)
{
    return malloc_flex(c, r->type, r->element, r->n);
}

/* More than half the address space is refused before any arithmetic. */
static bool absurd(size_t size)
{
    return size > SIZE_MAX / 4 >> 1;
}

static void *refuse_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *gc_new_slow(gc_type *type)
{
    gc_thread *t = ENTER();
    struct type_info *info = t ? type_info(type) : NULL;
    if (!info)
        return NULL;
    if (absurd(info->size))
        return refuse_memory();
    struct request r = {make_typed, info, NULL, 1, info->size};
    return allocate(t, &r);
}

static void *new_bytes(gc_thread *t, size_t size,
                       void *(*make)(struct mcache *, const struct request *))
{
    if (!t)
        return NULL;
    if (size == 0)
        return (void *)(uintptr_t)&malloc_zero_object;
    if (absurd(size))
        return refuse_memory();
    struct request r = {make, NULL, NULL, 1, size};
    return allocate(t, &r);
}

void *gc_new_bytes_slow(size_t size)
{
    return new_bytes(ENTER(), size, make_bytes);
}

void *gc_new_bytes_raw_slow(size_t size)
{
    return new_bytes(ENTER(), size, make_bytes_raw);
}

/* Traced objects have a header each; and the references of all elements must lie on words. */
static bool fits_arrays(const struct type_info *info)
{
    if (!info->type->trace && (info->noscan || info->type->size % WORD_SIZE == 0))
        return true;
    errno = EINVAL;
    return false;
}

void *gc_new_array(gc_type *type, size_t n)
{
    gc_thread *t = ENTER();
    struct type_info *info = t ? type_info(type) : NULL;
    size_t size;
    if (!info)
        return NULL;
    if (!fits_arrays(info))
        return NULL;
    if (__builtin_mul_overflow(type->size, n, &size) || absurd(size))
        return refuse_memory();
    if (size == 0)
        return (void *)(uintptr_t)&malloc_zero_object;
    struct request r = {make_array, info, NULL, n, size};
    return allocate(t, &r);
}

void *gc_new_flex(gc_type *head, gc_type *element, size_t n)
{
    gc_thread *t = ENTER();
    struct type_info *h = t ? type_info(head) : NULL, *e = h ? type_info(element) : NULL;
    size_t size;
    if (!e)
        return NULL;
    if (!fits_arrays(e))
        return NULL;
    if (__builtin_mul_overflow(element->size, n, &size) || absurd(size) ||
        absurd(size + malloc_flex_offset(h, e)))
        return refuse_memory();
    size += malloc_flex_offset(h, e);
    if (size == 0)
        return (void *)(uintptr_t)&malloc_zero_object;
    struct request r = {make_flex, h, e, n, size};
    return allocate(t, &r);
}

size_t gc_size_class(size_t size)
{
    if (size == 0)
        return 0;
    if (size > SIZECLASS_MAX_SIZE)
        return absurd(size) ? 0 : align_up(size, PAGE_SIZE);
    return sizeclass_table[sizeclass_of(size)].size;
}

/* ---- References ---- */

/* The calling thread's barrier is on, or it is not to store. */
static void barrier(const char *call, word old, word value)
{
    if (UNLIKELY(gc_self->barrier & BARRIER_SHUT))
        door_refuse_store(call, old, value);
    else
        barrier_write(thread_self(), old, value);
}

void gc_barrier_store(void *slot, void *value)
{
    barrier("gc_store", slot_load_acquire(slot), (word)value);
}

void gc_barrier_store_value(uint64_t *slot, uint64_t value)
{
    barrier("gc_store_value", slot_load_acquire(slot), (word)value);
}

/* Both are shaded before the exchange is tried: it may succeed (notes: slot CAS). */
bool gc_cas(void *slot, void *expected, void *desired)
{
    word want = (word)expected;
    if (UNLIKELY(gc_self->barrier))
        barrier(__func__, want, (word)desired);
    return __atomic_compare_exchange_n((slot_word *)slot, &want, (word)desired, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool gc_cas_value(uint64_t *slot, uint64_t expected, uint64_t desired)
{
    return gc_cas(slot, (void *)(uintptr_t)expected, (void *)(uintptr_t)desired);
}

static void copy_word(const char *call, slot_word *to, const slot_word *from)
{
    word value = slot_load_acquire(from);
    if (UNLIKELY(gc_self->barrier))
        barrier(call, slot_load_acquire(to), value);
    slot_store_release(to, value);
}

void gc_copy(void *target, const void *source, size_t bytes)
{
    slot_word *to = target;
    const slot_word *from = source;
    size_t n = bytes / WORD_SIZE;
    if ((uintptr_t)to <= (uintptr_t)from) {
        for (size_t i = 0; i < n; i++)
            copy_word(__func__, &to[i], &from[i]);
    } else {
        for (size_t i = n; i > 0; i--)
            copy_word(__func__, &to[i - 1], &from[i - 1]);
    }
}

void gc_clear(void *target, size_t bytes)
{
    static const slot_word zero;
    slot_word *to = target;
    for (size_t i = 0; i < bytes / WORD_SIZE; i++)
        copy_word(__func__, &to[i], &zero);
}

/* ---- Roots ---- */

NOINLINE void gc_frame_error(struct gc_frame *frame)
{
    gc_thread *t = thread_self();
    if (t) /* else the heap was destroyed, or left, inside the block */
        thread_frame_error(t, frame, STACK_CALLER());
}

static bool slot_is_valid(const void *slot)
{
    return slot && (uintptr_t)slot % WORD_SIZE == 0;
}

/* What a root is not to refer to any more: the barrier for roots that go. One that comes needs
 * none: whoever adds it holds the object, or has found it where it is tracked; if it is dropped
 * there before anyone has scanned it, the collector has still to come by the roots. */
static void shade_slots(gc_thread *t, const slot_word *base, size_t n)
{
    if (!t->fast.barrier)
        return;
    for (size_t i = 0; i < n; i++)
        barrier_shade(t, value_address(&t->heap->options.format, slot_load_acquire(&base[i])));
}

int gc_root_range(void *base, size_t n)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!slot_is_valid(base) || n == 0 || n > SIZE_MAX / WORD_SIZE / 2)
        return -EINVAL;
    return roots_add(&t->heap->roots, base, n);
}

int gc_root(void *slot)
{
    return gc_root_range(slot, 1);
}

int gc_unroot(void *slot)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    size_t n = roots_find(&t->heap->roots, slot);
    if (n == 0)
        return -ENOENT;
    shade_slots(t, slot, n);
    return roots_remove(&t->heap->roots, slot) ? 0 : -ENOENT;
}

static struct rootset *current_rootset(gc_thread *t)
{
    return t->fiber ? &t->fiber->roots : &t->roots;
}

int gc_thread_range(void *base, void *top)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!slot_is_valid(base) || !slot_is_valid(top))
        return -EINVAL;
    return rootset_add_range(current_rootset(t), (struct root_range){base, top, NULL});
}

int gc_thread_local_range(void *base, size_t bytes)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!slot_is_valid(base) || bytes < WORD_SIZE)
        return -EINVAL;
    slot_word *begin = base;
    return rootset_add_range(&t->roots,
                             (struct root_range){begin, NULL, begin + bytes / WORD_SIZE});
}

int gc_thread_range_remove(void *base)
{
    gc_thread *t = ENTER();
    return t ? rootset_remove_range(current_rootset(t), base) : -EPERM;
}

/* Heap callbacks are promised a thread that waits for nobody's lock: it is there before they are.
 */
static int add_heap_callback(gc_heap *heap, struct root_callback callback)
{
    const unsigned alone = GC_STOP_WORLD | GC_NO_BACKGROUND;
    if (!(heap->options.flags & alone) && !background_start(heap))
        return -EAGAIN;
    return roots_add_callback(&heap->roots, callback);
}

int gc_root_callback(enum gc_root_scope scope, gc_root_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!fn || (scope != GC_ROOT_THREAD && scope != GC_ROOT_HEAP))
        return -EINVAL;
    struct root_callback callback = {fn, arg};
    if (scope == GC_ROOT_THREAD)
        return rootset_add_callback(&t->roots.callbacks, callback);
    return add_heap_callback(t->heap, callback);
}

int gc_root_callback_remove(gc_root_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    struct root_callback callback = {fn, arg};
    if (rootset_remove_callback(&t->roots.callbacks, callback) == 0)
        return 0;
    struct shading_tracer shade = handshake_shading_tracer(t);
    return roots_remove_callback(&t->heap->roots, callback, t->fast.barrier ? &shade.tracer : NULL);
}

void gc_trace_slot(gc_tracer *tracer, const void *slot)
{
    gc_trace_slots(tracer, slot, 1);
}

void gc_trace_slots(gc_tracer *tracer, const void *base, size_t n)
{
    const slot_word *slots = base;
    for (size_t i = 0; i < n; i++) {
        word value = slot_load_acquire(&slots[i]);
        if (value)
            tracer->value(tracer, value);
    }
}

void gc_trace_ref(gc_tracer *tracer, void *object)
{
    if (object)
        tracer->value(tracer, (word)object);
}

gc_handle *gc_handle_new(void *object)
{
    gc_thread *t = ENTER();
    slot_word *slot = t ? handles_take(&t->heap->roots.handles) : NULL;
    if (t && !slot)
        errno = ENOMEM;
    if (slot)
        gc_store(slot, object);
    return (gc_handle *)slot;
}

/* Of the thread's current heap. */
static bool is_handle(gc_thread *t, const gc_handle *handle)
{
    return handle && handles_of(handle) == &t->heap->roots.handles;
}

void *gc_handle_get(const gc_handle *handle)
{
    gc_thread *t = ENTER();
    if (!t)
        return NULL;
    if (is_handle(t, handle))
        return gc_load(handle);
    errno = EINVAL;
    return NULL;
}

int gc_handle_set(gc_handle *handle, void *object)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!is_handle(t, handle))
        return -EINVAL;
    gc_store(handle, object);
    return 0;
}

void gc_handle_free(gc_handle *handle)
{
    gc_thread *t = handle ? ENTER() : NULL;
    if (!t)
        return;
    if (!is_handle(t, handle)) {
        door_refuse_foreign(t, __func__);
        return;
    }
    gc_store(handle, NULL);
    handles_give(&t->heap->roots.handles, (slot_word *)handle);
}

/* ---- Collection ---- */

int gc_collect(void)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    cycle_collect(t->heap, t);
    os_cancel_point();
    return 0;
}

int gc_collect_start(void)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    background_request_cycle(t->heap);
    return 0;
}

int gc_set_percent(int percent)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (percent < GC_PERCENT_OFF)
        return -EINVAL;
    return cycle_set_percent(t->heap, percent ? percent : 100);
}

size_t gc_set_limit(size_t bytes)
{
    gc_thread *t = ENTER();
    return t ? (size_t)cycle_set_limit(t->heap, bytes) : 0;
}

size_t gc_set_hard_limit(size_t bytes)
{
    gc_thread *t = ENTER();
    return t ? word_exchange_acq_rel(&t->heap->mem.hard_limit, bytes) : 0;
}

int gc_release_memory(void)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    cycle_collect(t->heap, t);
    workqueue_trim(&t->heap->work);
    scavenge_all(t->heap);
    return 0;
}

static void add_thread_times(gc_heap *heap, struct gc_statistics *s)
{
    struct mutators *m = &heap->mutators;
    const struct thread_times *kept = &m->kept;
    lock_acquire(&m->lock);
    s->threads = m->count;
    s->handshakes = m->handshakes;
    for (gc_thread *t = m->list;; t = t->next) {
        const struct thread_times *times = t ? &t->times : kept;
        histogram_merge(&s->handshake_cpu, &times->handshake_cpu);
        histogram_merge(&s->handshake_wall, &times->handshake_wall);
        histogram_merge(&s->stall_cpu, &times->stall_cpu);
        histogram_merge(&s->stall, &times->stall);
        histogram_merge(&s->held, &times->held);
        histogram_merge(&s->held_back, &times->held_back);
        if (!t)
            break;
        s->threads_blocked += state_of(u32_load_relaxed(&t->st)) != THREAD_RUN;
    }
    lock_release(&m->lock);
}

/* In the order that keeps freed below allocated: see struct mheap_counts. */
static void add_counts(const struct mheap_counts *counts, struct gc_statistics *s)
{
    s->freed_bytes = u64_load_acquire(&counts->freed_bytes);
    s->freed_bytes += u64_load_acquire(&counts->returned_bytes);
    s->allocated_bytes = u64_load_relaxed(&counts->taken_bytes);
    s->heap_live = s->allocated_bytes - s->freed_bytes;
    s->spans_inuse = word_load_relaxed(&counts->spans_inuse);
    s->heap_inuse = (uint64_t)word_load_relaxed(&counts->pages_inuse) << PAGE_SHIFT;
}

static void add_memory(gc_heap *heap, struct gc_statistics *s)
{
    struct mheap *mem = &heap->mem;
    lock_acquire(&mem->lock);
    size_t free_pages = mem->pages.free_pages, scavenged = mem->pages.scavenged_pages;
    size_t arenas = mem->arenas.count;
    s->heap_reserved = mem->mapped_bytes;
    s->metadata = mem->pages.metadata + persistent_bytes(&mem->persistent);
    lock_release(&mem->lock);
    add_counts(&mem->counts, s);
    s->heap_idle = (uint64_t)(free_pages - scavenged) << PAGE_SHIFT;
    s->heap_released = (uint64_t)scavenged << PAGE_SHIFT;
    s->metadata += arena_metadata_bytes(arenas, (s->heap_inuse + s->heap_idle) >> PAGE_SHIFT);
}

int gc_heap_stats(gc_heap *heap, struct gc_statistics *stats)
{
    if (!heap || !stats)
        return -EINVAL;
    if (heap->orphan || !MAY_PASS())
        return -EPERM;
    struct collector *c = heap->collector;
    memset(stats, 0, sizeof *stats);
    add_memory(heap, stats);
    add_thread_times(heap, stats);
    cycle_report(heap, stats);
    stats->external = word_load_relaxed(&c->external_bytes);
    stats->procs = u32_load_acquire(&heap->procs.count);
    stats->sweep_ns = u64_load_relaxed(&c->sweeping.cpu_ns);
    stats->assist_ns = u64_load_relaxed(&c->assist_ns);
    return 0;
}

int gc_stats(struct gc_statistics *stats)
{
    gc_thread *t = ENTER();
    return t ? gc_heap_stats(t->heap, stats) : -EPERM;
}

/* ---- Fibers ---- */

gc_fiber *gc_fiber_create(void)
{
    gc_thread *t = ENTER();
    return t ? fiber_create(t) : NULL;
}

/* Of the thread's current heap. */
static bool is_fiber(const gc_thread *t, const gc_fiber *fiber)
{
    return fiber && fiber->heap == t->heap;
}

static int switch_fiber(gc_thread *t, gc_fiber *fiber, uintptr_t caller)
{
    if (fiber && !is_fiber(t, fiber))
        return EINVAL;
    return fiber_switch(t, fiber, caller) ? 0 : EBUSY;
}

NOINLINE gc_fiber *gc_fiber_switch(gc_fiber *fiber)
{
    gc_thread *t = ENTER();
    if (!t)
        return NULL;
    gc_fiber *before = t->fiber;
    errno = switch_fiber(t, fiber, STACK_CALLER());
    return before;
}

gc_fiber *gc_fiber_current(void)
{
    gc_thread *t = ENTER();
    return t ? t->fiber : NULL;
}

int gc_fiber_destroy(gc_fiber *fiber)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    return is_fiber(t, fiber) ? fiber_destroy(t, fiber) : -EINVAL;
}

int gc_fiber_stack(gc_fiber *fiber, const void *low, const void *high)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!is_fiber(t, fiber) || (uintptr_t)low > (uintptr_t)high)
        return -EINVAL;
    return fiber_set_stack(t, fiber, (uintptr_t)low, (uintptr_t)high);
}

/* ---- Looking in ---- */

void *gc_object_base(const void *address)
{
    gc_thread *t = ENTER();
    return t ? (void *)mheap_object_base(&t->heap->mem, (uintptr_t)address) : NULL;
}

size_t gc_object_size(const void *object)
{
    gc_thread *t = ENTER();
    if (!t || !mheap_object_base(&t->heap->mem, (uintptr_t)object))
        return 0;
    const struct gc_span *s = mheap_span_of(&t->heap->mem, (uintptr_t)object);
    return span_object_bytes(s);
}

bool gc_is_object(const void *address)
{
    return address && gc_object_base(address) == address;
}

bool gc_heap_contains(const gc_heap *heap, const void *address)
{
    return heap && arena_of(&heap->mem.arenas, (uintptr_t)address) != NULL;
}

static void verify_held(gc_heap *heap, void *faults)
{
    *(unsigned *)faults = verify_heap(heap);
}

int gc_heap_verify(void)
{
    gc_thread *t = ENTER();
    unsigned faults = 0;
    if (!t)
        return -EPERM;
    cycle_collect_verified(t->heap, t, &faults);
    if (faults == 0)
        cycle_with_world_held(t->heap, t, verify_held, &faults);
    return faults ? -EIO : 0;
}

struct each_object {
    bool (*fn)(void *arg, const struct gc_object *object);
    void *arg;
};

static bool each_one(void *arg, struct gc_span *s, uintptr_t object)
{
    const struct each_object *each = arg;
    struct gc_object o = {(void *)object, span_object_bytes(s), span_type_of(s, object),
                          !span_noscan(s)};
    return each->fn(each->arg, &o);
}

static void each_held(gc_heap *heap, void *arg)
{
    verify_flush_caches(heap);
    verify_each_object(heap, each_one, arg);
}

int gc_heap_each(bool (*fn)(void *arg, const struct gc_object *object), void *arg)
{
    gc_thread *t = ENTER();
    struct each_object each = {fn, arg};
    if (!t)
        return -EPERM;
    if (!fn)
        return -EINVAL;
    cycle_collect(t->heap, t);
    cycle_with_world_held(t->heap, t, each_held, &each);
    return 0;
}

static void census_held(gc_heap *heap, void *census)
{
    census_take(heap, census);
}

int gc_heap_census(struct gc_census *rows, size_t n)
{
    gc_thread *t = ENTER();
    struct census census;
    if (!t)
        return -EPERM;
    if (!rows && n > 0)
        return -EINVAL;
    cycle_with_world_held(t->heap, t, census_held, &census);
    n = MIN_OF(MIN_OF(n, census.n), (size_t)INT_MAX);
    if (n > 0)
        memcpy(rows, census.rows, n * sizeof *rows);
    free(census.rows);
    return census.no_memory ? -ENOMEM : (int)n;
}
