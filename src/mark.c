#include "collector.h"

/* ---- Grey objects ---- */

static struct workbuf *stack_of(struct marker *m)
{
    if (!m->stack)
        m->stack = workbuf_get(&m->heap->work);
    return m->stack;
}

static NOINLINE void stack_push_slow(struct marker *m, uintptr_t at)
{
    if (m->stack)
        workqueue_push(&m->heap->work, m->stack);
    m->stack = NULL;
    struct workbuf *b = stack_of(m);
    b->items[b->n++] = at;
}

INLINE void stack_push(struct marker *m, uintptr_t at)
{
    struct workbuf *b = m->stack;
    if (UNLIKELY(!b || b->n == b->room))
        stack_push_slow(m, at);
    else
        b->items[b->n++] = at;
}

/* The ring takes what it has room for; the rest goes on the stack. */
INLINE void push_object(struct marker *m, uintptr_t at, struct arena *a,
                        const struct page_class_info *info)
{
    if (m->nobjects == MARK_OBJECTS) {
        stack_push(m, at);
        return;
    }
    __builtin_prefetch((const void *)at);
    __builtin_prefetch(&a->heap[arena_bit(at) / WORD_BITS]);
    m->objects[(m->first_object + m->nobjects++) % MARK_OBJECTS] =
        (struct mark_object){at, a, info};
}

static NOINLINE void mark_large(struct marker *m, uintptr_t address)
{
    struct target t;
    if (!target_resolve_large(&m->heap->mem, address, &t) || !target_mark(&t))
        return;
    m->marked_objects++;
    m->marked_bytes += span_bytes(t.arena->spans[arena_page(t.base)]);
    if (!page_class_info[t.page_class].noscan)
        stack_push(m, t.base);
    if (UNLIKELY(m->on_mark))
        m->on_mark(m, t.base);
}

/* Most edges lead to the start of a marked object: one test of its bit. */
INLINE void mark_edge(struct marker *m, struct mark_edge e)
{
    if (bits_test(e.arena->mark, arena_bit(e.address)))
        return;
    unsigned class = u8_load_relaxed(&e.arena->page_class[arena_page(e.address)]);
    const struct page_class_info *info = &page_class_info[class];
    if (UNLIKELY(info->size == 0)) {
        mark_large(m, e.address);
        return;
    }
    struct target t = {arena_slot_start(e.arena, e.address, class), e.arena, class};
    if (!target_mark(&t))
        return;
    m->marked_objects++;
    m->marked_bytes += info->size;
    if (!info->noscan)
        push_object(m, t.base, e.arena, info);
    if (UNLIKELY(m->on_mark))
        m->on_mark(m, t.base);
}

/* Takes the place of the oldest edge, whose mark word has had time to arrive. */
INLINE void push_edge(struct marker *m, uintptr_t address)
{
    struct arena *a = arena_of(&m->heap->mem.arenas, address);
    if (UNLIKELY(!a))
        return;
    __builtin_prefetch(&a->mark[arena_bit(address) / WORD_BITS], 1);
    struct mark_edge *place = &m->edges[m->oldest_edge % MARK_EDGES], oldest = *place;
    m->oldest_edge++;
    *place = (struct mark_edge){address, a};
    if (oldest.address)
        mark_edge(m, oldest);
}

/* Marks what all waiting edges lead to. false: there were none. */
static bool flush_edges(struct marker *m)
{
    bool any = false;
    for (unsigned i = 0; i < MARK_EDGES; i++) {
        struct mark_edge *place = &m->edges[(m->oldest_edge + i) % MARK_EDGES], e = *place;
        place->address = 0;
        if (e.address) {
            mark_edge(m, e);
            any = true;
        }
    }
    return any;
}

void marker_edge(struct marker *m, uintptr_t address)
{
    push_edge(m, address);
}

bool marker_mark(struct marker *m, uintptr_t address, uintptr_t *base)
{
    struct target t;
    if (!target_resolve(&m->heap->mem, address, &t) || !target_mark(&t))
        return false;
    const struct page_class_info *info = &page_class_info[t.page_class];
    m->marked_objects++;
    m->marked_bytes += info->large ? span_bytes(t.arena->spans[arena_page(t.base)]) : info->size;
    if (!info->noscan)
        stack_push(m, t.base);
    *base = t.base;
    return true;
}

void marker_scan(struct marker *m, uintptr_t object)
{
    stack_push(m, object);
}

/* ---- Scanning ---- */

/* `bits`: which of the words from `at` on are slots. */
INLINE void scan_plain(struct marker *m, uintptr_t at, word bits)
{
    for (; bits; bits &= bits - 1) {
        word value = slot_load_acquire((const slot_word *)at + bits_trailing_zeros(bits));
        if (value)
            push_edge(m, value);
    }
}

static NOINLINE void scan_formatted(struct marker *m, uintptr_t at, word bits)
{
    const gc_value_format *format = &m->heap->options.format;
    for (; bits; bits &= bits - 1) {
        word value = slot_load_acquire((const slot_word *)at + bits_trailing_zeros(bits));
        uintptr_t address = value_address(format, value);
        if (address)
            push_edge(m, address);
    }
}

INLINE void scan_bits(struct marker *m, uintptr_t at, word bits)
{
    if (UNLIKELY(m->formatted))
        scan_formatted(m, at, bits);
    else
        scan_plain(m, at, bits);
}

/* Words [at, end) of one object; a large one may cross into the next arena. */
static void scan_words(struct marker *m, uintptr_t at, uintptr_t end)
{
    while (at < end) {
        const struct arena *a = arena_of(&m->heap->mem.arenas, at);
        size_t shift = arena_bit(at) % WORD_BITS;
        size_t n = MIN_OF((end - at) / WORD_SIZE, WORD_BITS - shift);
        scan_bits(m, at, heapbits_load(a, at, n));
        at += n * WORD_SIZE;
    }
}

static void scan_traced(struct marker *m, uintptr_t base, const gc_type *type)
{
    if (type)
        type->trace((void *)base, &m->tracer);
}

/* Whoever scans the first piece queues the others. */
static void open_large(struct marker *m, const struct gc_span *s)
{
    for (uintptr_t at = s->base + MARK_PIECE; at < s->scan_limit; at += MARK_PIECE)
        stack_push(m, at);
    if (spanclass_traced(s->spanclass))
        scan_traced(m, s->base, s->large_type);
}

static NOINLINE void scan_large(struct marker *m, uintptr_t at)
{
    const struct gc_span *s = mheap_span_of(&m->heap->mem, at);
    uintptr_t end = MIN_OF(at + MARK_PIECE, s->scan_limit);
    if (at == s->base)
        open_large(m, s);
    scan_words(m, at, end);
    m->scanned_bytes += end > at ? end - at : 0;
}

/* Slots of more words than a map word has bits, and traced ones. */
static NOINLINE void scan_big(struct marker *m, const struct mark_object *o)
{
    scan_words(m, o->at, o->at + (uintptr_t)o->info->words * WORD_SIZE);
    if (o->info->traced)
        scan_traced(m, o->at, (const gc_type *)((word *)(o->at + o->info->size))[-1]);
}

INLINE void scan_object(struct marker *m, const struct mark_object *o)
{
    const struct page_class_info *info = o->info;
    m->scanned_bytes += info->size;
    if (UNLIKELY(info->large))
        scan_large(m, o->at);
    else if (UNLIKELY(info->words > WORD_BITS || info->traced))
        scan_big(m, o);
    else
        scan_bits(m, o->at, heapbits_load(o->arena, o->at, info->words));
}

INLINE void pop_object(struct marker *m)
{
    struct mark_object o = m->objects[m->first_object % MARK_OBJECTS];
    m->first_object++;
    m->nobjects--;
    scan_object(m, &o);
}

INLINE void refill_ring(struct marker *m)
{
    uintptr_t at = m->stack->items[--m->stack->n];
    struct arena *a = arena_of(&m->heap->mem.arenas, at);
    push_object(m, at, a, &page_class_info[u8_load_relaxed(&a->page_class[arena_page(at)])]);
}

/* Objects scanned later than this many others have had time to arrive. */
#define OBJECTS_AHEAD (MARK_OBJECTS / 2)

/* One step of private work. false: there is none. */
INLINE bool step(struct marker *m)
{
    if (m->nobjects >= OBJECTS_AHEAD)
        pop_object(m);
    else if (m->stack && m->stack->n > 0)
        refill_ring(m);
    else if (m->nobjects > 0)
        pop_object(m);
    else
        return flush_edges(m);
    return true;
}

/* ---- Workers ---- */

static void trace_value(struct gc_tracer *tracer, word value)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    uintptr_t address = value_address(&m->heap->options.format, value);
    if (address)
        push_edge(m, address);
}

/* A stale word must not wait in a ring, where its slot could be given back (I15). */
static void trace_stale(struct gc_tracer *tracer, word value)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    struct target t;
    uintptr_t address = value_address(&m->heap->options.format, value);
    if (!mheap_object_base(&m->heap->mem, address) || !target_resolve(&m->heap->mem, address, &t) ||
        target_is_marked(&t))
        return;
    if (barrier_mark_stale(&t) && !page_class_info[t.page_class].noscan)
        stack_push(m, t.base);
}

void marker_init(struct marker *m, gc_heap *heap)
{
    memset(m, 0, sizeof *m);
    m->heap = heap;
    m->formatted = heap->options.format.mask != 0;
    m->tracer = (struct gc_tracer){trace_value, trace_stale, heap};
}

static void report(struct marker *m)
{
    struct marking *all = &m->heap->collector->marking;
    if (m->marked_objects == 0 && m->scanned_bytes == 0)
        return;
    word_fetch_add_relaxed(&all->marked_objects, m->marked_objects);
    word_fetch_add_relaxed(&all->marked_bytes, m->marked_bytes);
    word_fetch_add_relaxed(&all->scanned_bytes, m->scanned_bytes);
    m->marked_objects = m->marked_bytes = m->scanned_bytes = 0;
}

void marker_finish(struct marker *m)
{
    ASSERT(m->nobjects == 0 && (!m->stack || m->stack->n == 0));
    if (m->stack)
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = NULL;
    report(m);
}

/* Empties the rings onto the stack and queues it: another worker goes on. */
static void hand_over(struct marker *m)
{
    flush_edges(m);
    while (m->nobjects > 0) {
        stack_push(m, m->objects[m->first_object++ % MARK_OBJECTS].at);
        m->nobjects--;
    }
    if (m->stack && m->stack->n > 0) {
        workqueue_push(&m->heap->work, m->stack);
        m->stack = NULL;
    }
}

static void share_half(struct marker *m)
{
    struct workbuf *b = m->stack;
    if (!b || b->n < 8)
        return;
    struct workbuf *half = workbuf_get(&m->heap->work);
    half->n = b->n / 2;
    b->n -= half->n;
    memcpy(half->items, b->items, half->n * sizeof half->items[0]);
    memmove(b->items, b->items + half->n, b->n * sizeof b->items[0]);
    workqueue_push(&m->heap->work, half);
}

#define STEPS_PER_LOOK 512

static uint64_t work_done(const struct marker *m)
{
    return (uint64_t)m->marked_bytes + m->scanned_bytes;
}

/* Private work until there is none (true) or the limit is reached, as finely as STEPS_PER_LOOK. */
static bool work_privately(struct marker *m, uint64_t limit)
{
    struct workqueue *q = &m->heap->work;
    for (unsigned n = 1; step(m); n++) {
        if (LIKELY(n % STEPS_PER_LOOK != 0))
            continue;
        if (work_done(m) >= limit)
            return false;
        if (u32_load_relaxed(&q->waiters) && !workqueue_has_work(q))
            share_half(m);
    }
    return true;
}

static bool take_buffer(struct marker *m)
{
    struct workbuf *b = workqueue_pop(&m->heap->work, m->active);
    if (!b)
        return false;
    stress(STRESS_QUEUE_POP);
    m->active = true;
    m->on_mark = ptr_load_acquire(&m->heap->collector->marking.on_mark);
    if (m->stack)
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = b;
    return true;
}

bool marker_drain(struct marker *m, uint64_t budget)
{
    uint64_t limit = budget > UINT64_MAX - work_done(m) ? UINT64_MAX : work_done(m) + budget;
    while (work_privately(m, limit) && work_done(m) < limit && take_buffer(m))
        ;
    stress(STRESS_QUEUE_PUSH);
    hand_over(m);
    report(m);
    if (m->active)
        workqueue_retire(&m->heap->work);
    m->active = false;
    return workqueue_is_idle(&m->heap->work);
}

/* ---- Helper threads ---- */

struct helper {
    gc_heap *heap;
    struct marker marker;
};

static bool marking_over(const struct marking *marking, uint32_t run)
{
    return u32_load_acquire(&marking->run) != run;
}

static void help_one_cycle(struct helper *h, struct marking *marking, uint32_t run)
{
    struct workqueue *q = &h->heap->work;
    while (!marking_over(marking, run)) {
        if (take_buffer(&h->marker)) {
            uint64_t cpu = os_thread_cpu_ns();
            marker_drain(&h->marker, UINT64_MAX);
            word_fetch_add_relaxed(&marking->helper_cpu_ns, os_thread_cpu_ns() - cpu);
        } else {
            workqueue_wait(q, 1000 * 1000);
        }
    }
    marker_finish(&h->marker);
}

static void helper_main(void *arg)
{
    struct helper *h = arg;
    struct marking *marking = &h->heap->collector->marking;
    os_thread_title("gcheap-mark");
    while (!u32_load_acquire(&marking->stopping)) {
        uint32_t run = u32_load_acquire(&marking->run);
        if (run % 2 == 1)
            help_one_cycle(h, marking, run);
        else
            os_wait(&marking->run, run, -1);
    }
    free(h);
}

static bool start_helper(gc_heap *heap, struct marking *marking)
{
    struct helper *h = malloc(sizeof *h);
    if (!h)
        return false;
    h->heap = heap;
    marker_init(&h->marker, heap);
    if (os_thread_start(&marking->helpers[marking->nhelpers], helper_main, h) != 0) {
        free(h);
        return false;
    }
    marking->nhelpers++;
    return true;
}

/* A thread is not worth starting for a heap that one worker marks in a millisecond. */
#define HELPER_MIN_BYTES ((size_t)8 << 20)

void marking_begin(gc_heap *heap, struct marking *marking)
{
    unsigned wanted = heap->options.mark_workers - 1;
    word_store_relaxed(&marking->marked_objects, 0);
    word_store_relaxed(&marking->marked_bytes, 0);
    word_store_relaxed(&marking->scanned_bytes, 0);
    if (heap->options.flags & GC_NO_BACKGROUND ||
        word_load_relaxed(&heap->mem.counts.live_bytes) < HELPER_MIN_BYTES)
        wanted = 0;
    while (marking->nhelpers < wanted && start_helper(heap, marking))
        ;
    u32_fetch_add_acq_rel(&marking->run, 1);
    os_wake(&marking->run, OS_WAKE_ALL);
}

void marking_end(gc_heap *heap, struct marking *marking)
{
    u32_fetch_add_acq_rel(&marking->run, 1);
    workqueue_wake_all(&heap->work);
}

void marking_stop_helpers(struct marking *marking)
{
    u32_store_release(&marking->stopping, 1);
    u32_fetch_add_acq_rel(&marking->run, 2);
    os_wake(&marking->run, OS_WAKE_ALL);
    while (marking->nhelpers > 0)
        os_thread_join(&marking->helpers[--marking->nhelpers]);
}
