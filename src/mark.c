#include "collector.h"

#define LIKELY_READ(p) __builtin_prefetch((p), 0, 3)
#define LIKELY_WRITE(p) __builtin_prefetch((p), 1, 3)

/* ---- Rings ---- */

static struct workbuf *stack_of(struct marker *m)
{
    if (!m->stack)
        m->stack = workbuf_get(&m->heap->work);
    return m->stack;
}

static void stack_push(struct marker *m, uintptr_t at)
{
    struct workbuf *b = stack_of(m);
    if (UNLIKELY(b->n == WORKBUF_ITEMS)) {
        workqueue_push(&m->heap->work, b);
        m->stack = NULL;
        b = stack_of(m);
    }
    b->items[b->n++] = at;
}

/* The ring takes what it has room for; the rest goes on the stack. */
static void push_object(struct marker *m, const struct mark_object *o)
{
    if (m->nobjects == MARK_OBJECTS) {
        stack_push(m, o->at);
        return;
    }
    LIKELY_READ((const void *)o->at);
    LIKELY_READ(&o->arena->heap[arena_bit(o->at) / WORD_BITS]);
    m->objects[(m->first_object + m->nobjects++) % MARK_OBJECTS] = *o;
}

static void push_large(struct marker *m, const struct target *t)
{
    const struct gc_span *s = t->arena->spans[arena_page(t->base)];
    m->marked_bytes += span_bytes(s);
    m->work += PAGE_SIZE;
    if (!page_class_info[t->page_class].noscan)
        stack_push(m, t->base);
}

static void mark_target(struct marker *m, const struct target *t)
{
    const struct page_class_info *info = &page_class_info[t->page_class];
    if (!target_mark(t))
        return;
    m->marked_objects++;
    if (UNLIKELY(info->large)) {
        push_large(m, t);
        return;
    }
    m->marked_bytes += info->size;
    m->work += info->size;
    if (info->noscan)
        return;
    struct mark_object o = {t->base, t->arena, t->page_class};
    push_object(m, &o);
}

static void pop_edge(struct marker *m)
{
    uintptr_t address = m->edges[m->first_edge];
    struct target t;
    m->first_edge = (m->first_edge + 1) % MARK_EDGES;
    m->nedges--;
    if (LIKELY(target_resolve(&m->heap->mem, address, &t)))
        mark_target(m, &t);
}

void marker_edge(struct marker *m, uintptr_t address)
{
    const struct arena *a = arena_of(&m->heap->mem.arenas, address);
    if (UNLIKELY(!a))
        return;
    LIKELY_WRITE(&a->mark[arena_bit(address) / WORD_BITS]);
    if (m->nedges == MARK_EDGES)
        pop_edge(m);
    m->edges[(m->first_edge + m->nedges++) % MARK_EDGES] = address;
}

/* ---- Scanning ---- */

INLINE void scan_word(struct marker *m, uintptr_t at, word bits)
{
    const gc_value_format *format = &m->heap->options.format;
    while (bits) {
        const void *slot = (const void *)(at + bits_trailing_zeros(bits) * WORD_SIZE);
        bits &= bits - 1;
        word value = slot_load_acquire(slot);
        if (value)
            marker_edge(m, value_address(format, value));
    }
}

/* Words [at, end) of one object; they may cross into the next arena. */
static void scan_words(struct marker *m, uintptr_t at, uintptr_t end)
{
    while (at < end) {
        const struct arena *a = arena_of(&m->heap->mem.arenas, at);
        size_t shift = arena_bit(at) % WORD_BITS;
        size_t n = MIN_OF((end - at) / WORD_SIZE, WORD_BITS - shift);
        scan_word(m, at, heapbits_load(a, at, n));
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

static NOINLINE void scan_large(struct marker *m, const struct mark_object *o)
{
    const struct gc_span *s = mheap_span_of(&m->heap->mem, o->at);
    uintptr_t end = MIN_OF(o->at + MARK_PIECE, s->scan_limit);
    if (o->at == s->base)
        open_large(m, s);
    scan_words(m, o->at, end);
    if (end > o->at) {
        m->scanned_bytes += end - o->at;
        m->work += end - o->at;
    }
}

static void scan_object(struct marker *m, const struct mark_object *o)
{
    const struct page_class_info *info = &page_class_info[o->page_class];
    if (UNLIKELY(info->large)) {
        scan_large(m, o);
        return;
    }
    m->scanned_bytes += info->size;
    if (LIKELY(info->words <= WORD_BITS && (o->at ^ (o->at + info->size - 1)) < ARENA_SIZE))
        scan_word(m, o->at, heapbits_load(o->arena, o->at, info->words));
    else
        scan_words(m, o->at, o->at + (uintptr_t)info->words * WORD_SIZE);
    if (UNLIKELY(info->traced))
        scan_traced(m, o->at, (const gc_type *)((word *)(o->at + info->size))[-1]);
}

static void pop_object(struct marker *m)
{
    struct mark_object o = m->objects[m->first_object];
    m->first_object = (m->first_object + 1) % MARK_OBJECTS;
    m->nobjects--;
    scan_object(m, &o);
}

static void refill_ring(struct marker *m)
{
    uintptr_t at = m->stack->items[--m->stack->n];
    struct arena *a = arena_of(&m->heap->mem.arenas, at);
    struct mark_object o = {at, a, u8_load_relaxed(&a->page_class[arena_page(at)])};
    push_object(m, &o);
}

/* Objects scanned later than this many others have had time to arrive. */
#define OBJECTS_AHEAD (MARK_OBJECTS / 2)

/* One step of private work. false: there is none. */
static bool step(struct marker *m)
{
    if (m->nobjects >= OBJECTS_AHEAD)
        pop_object(m);
    else if (m->stack && m->stack->n > 0)
        refill_ring(m);
    else if (m->nedges > 0)
        pop_edge(m);
    else if (m->nobjects > 0)
        pop_object(m);
    else
        return false;
    return true;
}

/* ---- Workers ---- */

static void trace_value(struct gc_tracer *tracer, word value)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    marker_edge(m, value_address(&m->heap->options.format, value));
}

/* A stale word must not wait in a ring, where its slot could be given back (I15). */
static void trace_stale(struct gc_tracer *tracer, word value)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    struct target t;
    uintptr_t address = value_address(&m->heap->options.format, value);
    if (!mheap_object_base(&m->heap->mem, address) ||
        !target_resolve(&m->heap->mem, address, &t) || target_is_marked(&t))
        return;
    if (barrier_mark_stale(&t) && !page_class_info[t.page_class].noscan)
        stack_push(m, t.base);
}

void marker_init(struct marker *m, gc_heap *heap)
{
    memset(m, 0, sizeof *m);
    m->heap = heap;
    m->tracer = (struct gc_tracer){trace_value, trace_stale, heap};
}

static void report(struct marker *m)
{
    struct marking *all = &m->heap->collector->marking;
    word_fetch_add_relaxed(&all->marked_objects, m->marked_objects);
    word_fetch_add_relaxed(&all->marked_bytes, m->marked_bytes);
    word_fetch_add_relaxed(&all->scanned_bytes, m->scanned_bytes);
    m->marked_objects = m->marked_bytes = m->scanned_bytes = 0;
}

void marker_finish(struct marker *m)
{
    ASSERT(m->nedges == 0 && m->nobjects == 0 && (!m->stack || m->stack->n == 0));
    if (m->stack)
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = NULL;
    report(m);
}

/* Empties the rings onto the stack and queues it: another worker goes on. */
static void hand_over(struct marker *m)
{
    while (m->nedges > 0)
        pop_edge(m);
    while (m->nobjects > 0) {
        uintptr_t at = m->objects[m->first_object].at;
        m->first_object = (m->first_object + 1) % MARK_OBJECTS;
        m->nobjects--;
        stack_push(m, at);
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

static void work_privately(struct marker *m)
{
    struct workqueue *q = &m->heap->work;
    unsigned n = 0;
    while (step(m)) {
        if (UNLIKELY(++n % STEPS_PER_LOOK == 0) && u32_load_relaxed(&q->waiters) &&
            !workqueue_has_work(q))
            share_half(m);
    }
}

/* The limit is kept only as finely as STEPS_PER_LOOK. */
static bool work_within(struct marker *m, uint64_t limit)
{
    unsigned n = 0;
    while (step(m)) {
        if (UNLIKELY(++n % STEPS_PER_LOOK == 0) && m->work >= limit)
            return false;
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
    if (m->stack)
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = b;
    return true;
}

bool marker_drain(struct marker *m, uint64_t budget)
{
    uint64_t limit = budget == UINT64_MAX ? UINT64_MAX : m->work + budget;
    do {
        if (limit == UINT64_MAX)
            work_privately(m);
        else if (!work_within(m, limit))
            break;
    } while (m->work < limit && take_buffer(m));
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
    marking->marked_objects = marking->marked_bytes = marking->scanned_bytes = 0;
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
