#include "collector.h"

/* ---- Grey objects ---- */

static struct workbuf *stack_of(struct marker *m)
{
    if (!m->stack)
        m->stack = workbuf_get(&m->heap->work);
    return m->stack;
}

/* Queues every other item of the stack: older ones lead to much more than younger ones, so that the
 * lower half would be nearly all, and soon be asked back. */
static NOINLINE void share_half(struct marker *m)
{
    struct workbuf *b = m->stack, *half = workbuf_get(&m->heap->work);
    uint32_t n = b->n, kept = 0;
    for (uint32_t i = 0; i + 1 < n; i += 2) {
        half->items[half->n++] = b->items[i];
        b->items[kept++] = b->items[i + 1];
    }
    if (n % 2)
        b->items[kept++] = b->items[n - 1];
    b->n = kept;
    workqueue_push(&m->heap->work, half);
}

static struct workbuf *stack_with_room(struct marker *m, size_t n)
{
    struct workbuf *b = stack_of(m);
    while (UNLIKELY(b->n + n > b->room && b->n > 1))
        share_half(m);
    return b;
}

static void stack_push(struct marker *m, uintptr_t at)
{
    struct workbuf *b = stack_with_room(m, 1);
    b->items[b->n++] = at;
}

/* An object with references is counted when it is scanned, another one when it is marked. */
static void count_object(struct marker *m, size_t bytes)
{
    m->marked_objects++;
    m->marked_bytes += bytes;
}

/* Newly marked. */
INLINE void turn_grey(struct marker *m, const struct target *t)
{
    if (target_info(t)->noscan)
        count_object(m, target_bytes(t));
    else
        stack_push(m, t->base);
}

/* ---- Edges ---- */

static NOINLINE void mark_large(struct marker *m, uintptr_t address)
{
    struct target t;
    if (!target_resolve_large(&m->heap->mem, address, &t) || !target_mark(&t))
        return;
    turn_grey(m, &t);
    if (UNLIKELY(m->on_mark))
        m->on_mark(m, t.base);
}

/* Notes an edge to a small object, and asks for its mark word. Returns how many there are now. */
INLINE size_t note_edge(struct mark_edge *edges, size_t n, struct arena *a, uintptr_t address,
                        uint16_t tag)
{
    uintptr_t base = arena_slot_start(address, tag);
    word *map = &a->mark[arena_bit(base) / WORD_BITS];
    __builtin_prefetch(map, 1);
    edges[n].target = base | page_class_info[page_tag_class(tag)].noscan;
    edges[n].map = map;
    return n + 1;
}

INLINE unsigned edge_bit(uintptr_t target)
{
    return (unsigned)(target >> WORD_SHIFT) % WORD_BITS;
}
INLINE word edge_mask(uintptr_t target)
{
    return (word)1 << edge_bit(target);
}
/* The heap-bitmap word for the same words of memory. */
INLINE const word *edge_heapbits(const word *map)
{
    return map + (offsetof(struct arena, heap) - offsetof(struct arena, mark)) / WORD_SIZE;
}

/* Those that lead to unmarked objects, whose first lines and heap-bitmap words are asked for. No
 * locked operation stands between these lookups: each would hold up the loads behind it. */
static size_t keep_unmarked(struct mark_edge *edges, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uintptr_t target = edges[i].target;
        word *map = edges[i].map;
        if (word_load_relaxed(map) >> edge_bit(target) & 1)
            continue;
        edges[kept].target = target;
        edges[kept++].map = map;
        __builtin_prefetch((const void *)target);
        __builtin_prefetch(edge_heapbits(map));
    }
    return kept;
}

static NOINLINE void note_span(struct marker *m, uintptr_t base)
{
    struct target t = {base, arena_of(&m->heap->mem.arenas, base), 0};
    target_note_page(&t);
}

static NOINLINE void count_noscan(struct marker *m, uintptr_t base)
{
    struct target t = {base, arena_of(&m->heap->mem.arenas, base), 0};
    t.tag = arena_tag(t.arena, base);
    count_object(m, target_info(&t)->size);
}

/* Edges of one map word: `fresh` is what this marker changed there. An object that several edges
 * lead to is greyed once. */
INLINE void grey_edges(struct marker *m, struct workbuf *b, const struct mark_edge *e, size_t n,
                       word fresh)
{
    for (size_t i = 0; i < n; i++) {
        uintptr_t target = e[i].target;
        if (!(fresh & edge_mask(target)))
            continue;
        fresh &= ~edge_mask(target);
        if (target & MARK_NOSCAN)
            count_noscan(m, target - MARK_NOSCAN);
        else
            b->items[b->n++] = target;
    }
}

static NOINLINE void tell_marks(struct marker *m, const struct mark_edge *e, size_t n, word fresh)
{
    for (size_t i = 0; i < n; i++) {
        if (fresh & edge_mask(e[i].target))
            m->on_mark(m, e[i].target & ~MARK_NOSCAN);
        fresh &= ~edge_mask(e[i].target);
    }
}

/* Marks the objects of n edges whose mark bits share a word; the bits that this changed. */
INLINE word mark_neighbours(const struct mark_edge *e, size_t n)
{
    word mask = 0;
    for (size_t i = 0; i < n; i++)
        mask |= edge_mask(e[i].target);
    return mask & ~word_fetch_or_acq_rel(e[0].map, mask);
}

/* An object on this page was marked. */
INLINE void note_page(struct marker *m, uintptr_t page)
{
    uintptr_t *noted = &m->noted[page % MARK_NOTED];
    if (*noted == page)
        return;
    *noted = page;
    note_span(m, page << PAGE_SHIFT);
}

/* Marks what the edges lead to: neighbours whose bits share a map word by one atomic or.
 * Acquire-release, for weak_get. What was asked for first is pushed last. */
static NOINLINE void mark_edges(struct marker *m)
{
    struct mark_edge *e = m->edges;
    size_t n = keep_unmarked(e, m->nedges);
    struct workbuf *b = stack_with_room(m, n);
    m->nedges = 0;
    for (size_t end = n, i; end > 0; end = i) {
        for (i = end - 1; i > 0 && e[i - 1].map == e[i].map; i--)
            ;
        word fresh = mark_neighbours(&e[i], end - i);
        if (fresh)
            note_page(m, e[i].target >> PAGE_SHIFT);
        grey_edges(m, b, &e[i], end - i, fresh);
        if (UNLIKELY(m->on_mark != NULL)) {
            tell_marks(m, &e[i], end - i, fresh);
            b = stack_with_room(m, i);
        }
    }
}

void marker_edge(struct marker *m, uintptr_t address)
{
    struct arena *a = arena_of(&m->heap->mem.arenas, address);
    if (!a)
        return;
    uint16_t tag = arena_tag(a, address);
    if (page_class_info[page_tag_class(tag)].size == 0)
        mark_large(m, address);
    else
        m->nedges = note_edge(m->edges, m->nedges, a, address, tag);
    if (m->nedges >= MARK_EDGES)
        mark_edges(m);
}

bool marker_mark(struct marker *m, uintptr_t address, uintptr_t *base)
{
    struct target t;
    if (!target_resolve(&m->heap->mem, address, &t) || !target_mark(&t))
        return false;
    turn_grey(m, &t);
    *base = t.base;
    return true;
}

void marker_scan(struct marker *m, uintptr_t object, size_t bytes)
{
    struct marking *all = &m->heap->collector->marking;
    /* Scanning will count it; if it is marked too, that will be another time. */
    word_fetch_sub_relaxed(&all->marked_objects, 1);
    word_fetch_sub_relaxed(&all->marked_bytes, bytes);
    stack_push(m, object);
}

/* ---- Scanning ---- */

/* `bits`: which of the words from `at` on are slots. */
static void scan_bits(struct marker *m, uintptr_t at, word bits)
{
    const gc_value_format *format = &m->heap->options.format;
    for (; bits; bits &= bits - 1) {
        const slot_word *slot = (const slot_word *)at + bits_trailing_zeros(bits);
        marker_edge(m, value_address(format, slot_load_acquire(slot)));
    }
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
    count_object(m, span_bytes(s));
    for (uintptr_t at = s->base + MARK_PIECE; at < s->scan_limit; at += MARK_PIECE)
        stack_push(m, at);
    if (spanclass_traced(s->spanclass))
        scan_traced(m, s->base, s->large_type);
}

static void scan_large(struct marker *m, uintptr_t at)
{
    const struct gc_span *s = mheap_span_of(&m->heap->mem, at);
    uintptr_t end = MIN_OF(at + MARK_PIECE, s->scan_limit);
    if (at == s->base)
        open_large(m, s);
    scan_words(m, at, end);
    m->piece_bytes += end > at ? end - at : 0;
}

/* Any object. */
static NOINLINE void scan_slow(struct marker *m, uintptr_t at)
{
    const struct arena *a = arena_of(&m->heap->mem.arenas, at);
    const struct page_class_info *info = &page_class_info[page_tag_class(arena_tag(a, at))];
    if (info->large) {
        scan_large(m, at);
        return;
    }
    count_object(m, info->size);
    scan_words(m, at, at + (uintptr_t)info->words * WORD_SIZE);
    if (info->traced)
        scan_traced(m, at, (const gc_type *)((word *)(at + info->size))[-1]);
}

/* What the scanning loop keeps in registers of a marker. */
struct lane {
    struct arena **map;
    uintptr_t *stack;
    struct mark_edge *edges;
    size_t nstack, nedges;
};

INLINE struct lane lane_begin(struct marker *m)
{
    struct workbuf *b = stack_of(m);
    return (struct lane){m->heap->mem.arenas.map, b->items, m->edges, b->n, m->nedges};
}

INLINE void lane_end(const struct lane *l, struct marker *m)
{
    m->stack->n = (uint32_t)l->nstack;
    m->nedges = l->nedges;
}

static NOINLINE void lane_mark_large(struct lane *l, struct marker *m, uintptr_t address)
{
    lane_end(l, m);
    mark_large(m, address);
    *l = lane_begin(m);
}

/* A slot's word, which need not lead into the heap. */
INLINE void lane_edge(struct lane *l, struct marker *m, uintptr_t address)
{
    uintptr_t i = address >> ARENA_SHIFT;
    if (UNLIKELY(i >= ARENA_INDEX_SIZE))
        return;
    struct arena *a = ptr_load_acquire(&l->map[i]);
    if (!a)
        return;
    uint16_t tag = arena_tag(a, address);
    if (LIKELY(page_class_info[page_tag_class(tag)].size))
        l->nedges = note_edge(l->edges, l->nedges, a, address, tag);
    else
        lane_mark_large(l, m, address);
}

static NOINLINE void lane_mark_edges(struct lane *l, struct marker *m)
{
    lane_end(l, m);
    mark_edges(m);
    *l = lane_begin(m);
}

/* A page that is scanned, and what all its objects have in common. */
struct lane_page {
    uintptr_t base;
    size_t size; /* 0: who waits for marks is told of each, so none is put off */
    struct arena *arena;
    uint16_t tag;
    const struct page_class_info *info;
};

/* An edge to the page itself. false: its object begins on the page before. */
INLINE bool walk_edge(struct page_walk *w, const struct lane_page *page, uintptr_t address)
{
    uintptr_t offset = arena_slot_start(address, page->tag) - page->base;
    if (UNLIKELY(offset >= PAGE_SIZE))
        return false;
    size_t at = offset >> WORD_SHIFT, i = at / WORD_BITS;
    word mask = (word)1 << at % WORD_BITS;
    word *map = &page->arena->mark[arena_bit(page->base) / WORD_BITS + i];
    if ((word_load_relaxed(map) | w->fresh[i]) & mask)
        return true;
    w->fresh[i] |= mask;
    w->touched |= (uint64_t)1 << i;
    w->stack[w->n++] = (uint16_t)at;
    return true;
}

/* Tells of the marks: acquire-release, for weak_get. */
static NOINLINE void walk_tell(struct marker *m, const struct lane_page *page)
{
    struct page_walk *w = &m->walk;
    word *map = &page->arena->mark[arena_bit(page->base) / WORD_BITS];
    size_t n = 0;
    for (uint64_t left = w->touched; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        n += bits_count(w->fresh[i] & ~word_fetch_or_acq_rel(&map[i], w->fresh[i]));
        w->fresh[i] = 0;
    }
    w->touched = 0;
    m->marked_objects += n;
    m->marked_bytes += n * page->info->size;
    note_page(m, page->base >> PAGE_SHIFT);
}

INLINE void lane_scan_object(struct lane *l, struct marker *m, const struct lane_page *page,
                             uintptr_t at, const gc_value_format *format)
{
    word bits = bits_peek(page->arena->heap, arena_bit(at)) & page->info->plain_mask;
    for (; bits; bits &= bits - 1) {
        word value = slot_load_acquire((const slot_word *)at + bits_trailing_zeros(bits));
        uintptr_t address = format ? value_address(format, value) : value;
        if (address - page->base >= page->size || !walk_edge(&m->walk, page, address))
            lane_edge(l, m, address);
    }
}

/* With the objects on its page that it leads to over the page alone. One that is not plain is left
 * to others: false. */
INLINE bool lane_scan(struct lane *l, struct marker *m, uintptr_t at, const gc_value_format *format)
{
    struct page_walk *w = &m->walk;
    struct lane_page page;
    page.base = at & ~(PAGE_SIZE - 1);
    page.size = m->on_mark ? 0 : PAGE_SIZE;
    page.arena = l->map[at >> ARENA_SHIFT];
    page.tag = arena_tag(page.arena, at);
    page.info = &page_class_info[page_tag_class(page.tag)];
    if (UNLIKELY(!page.info->plain_mask))
        return false;
    count_object(m, page.info->size);
    lane_scan_object(l, m, &page, at, format);
    while (w->n > 0) {
        if (UNLIKELY(l->nedges >= MARK_EDGES))
            lane_mark_edges(l, m);
        lane_scan_object(l, m, &page, page.base + ((uintptr_t)w->stack[--w->n] << WORD_SHIFT),
                         format);
    }
    if (w->touched)
        walk_tell(m, &page);
    return true;
}

/* Scans from the stack until the edges are a batch, or the stack is empty. Returns an object that
 * is left to scan_slow, or 0. */
INLINE uintptr_t scan_stack(struct marker *m, const gc_value_format *format)
{
    struct lane l = lane_begin(m);
    uintptr_t rest = 0;
    while (l.nstack > 0 && l.nedges < MARK_EDGES && !rest) {
        uintptr_t at = l.stack[--l.nstack];
        if (!lane_scan(&l, m, at, format))
            rest = at;
    }
    lane_end(&l, m);
    return rest;
}

static NOINLINE uintptr_t scan_stack_plain(struct marker *m)
{
    return scan_stack(m, NULL);
}
static NOINLINE uintptr_t scan_stack_formatted(struct marker *m)
{
    return scan_stack(m, &m->heap->options.format);
}

/* A batch of private work. false: there is none. */
static bool work_some(struct marker *m)
{
    uintptr_t rest = m->formatted ? scan_stack_formatted(m) : scan_stack_plain(m);
    if (rest)
        scan_slow(m, rest);
    if (m->nedges >= MARK_EDGES || m->stack->n == 0)
        mark_edges(m);
    return m->stack->n > 0;
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
    if (!mheap_object_base(&m->heap->mem, address) || !target_resolve(&m->heap->mem, address, &t) ||
        target_is_marked(&t))
        return;
    if (barrier_mark_stale(&t))
        turn_grey(m, &t);
}

void marker_init(struct marker *m, gc_heap *heap)
{
    memset(m, 0, offsetof(struct marker, edges));
    m->walk.touched = m->walk.n = 0;
    memset(m->walk.fresh, 0, sizeof m->walk.fresh);
    m->heap = heap;
    m->formatted = heap->options.format.mask != 0;
    m->tracer = (struct gc_tracer){trace_value, trace_stale, heap};
}

static void report(struct marker *m)
{
    struct marking *all = &m->heap->collector->marking;
    if (m->marked_objects == 0)
        return;
    word_fetch_add_relaxed(&all->marked_objects, m->marked_objects);
    word_fetch_add_relaxed(&all->marked_bytes, m->marked_bytes);
    m->unpaid += m->marked_bytes;
    m->marked_objects = m->marked_bytes = m->piece_bytes = 0;
}

void marker_finish(struct marker *m)
{
    ASSERT(!m->stack || m->stack->n == 0);
    if (m->stack)
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = NULL;
    report(m);
}

/* Marks what the noted edges lead to, and queues all that it holds: others go on. */
static void hand_over(struct marker *m)
{
    mark_edges(m);
    if (m->stack->n > 0)
        workqueue_push(&m->heap->work, m->stack);
    else
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = NULL;
}

void marking_shade_roots(gc_thread *t)
{
    struct marker m;
    marker_init(&m, t->heap);
    thread_visit_roots(t, &m.tracer);
    hand_over(&m);
    t->shaded_objects += m.marked_objects;
    t->shaded_bytes += m.marked_bytes;
}

/* A smaller stack is not worth sharing. */
#define SHARE_MIN 2
#define BATCHES_PER_LOOK 1

/* A word of a piece costs an edge; a small object has one for so many bytes. */
#define PIECE_WEIGHT 4

static uint64_t work_done(const struct marker *m)
{
    return (uint64_t)m->marked_bytes + PIECE_WEIGHT * (uint64_t)m->piece_bytes;
}

/* Private work until there is none (true) or the limit is reached, to a batch. */
static bool work_privately(struct marker *m, uint64_t limit)
{
    struct workqueue *q = &m->heap->work;
    for (unsigned n = 1; work_some(m); n++) {
        if (work_done(m) >= limit)
            return false;
        if (n % BATCHES_PER_LOOK == 0 && workqueue_is_wanted(q) && m->stack->n >= SHARE_MIN)
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
    if (m->active && workqueue_retire(&m->heap->work))
        workqueue_wake_waiters(&m->heap->work);
    m->active = false;
    return workqueue_is_idle(&m->heap->work);
}

void marking_give_credit(struct marking *marking, struct marker *m)
{
    word_fetch_add_relaxed(&marking->credit, m->unpaid);
    m->unpaid = 0;
}

uint64_t marking_take_credit(struct marking *marking, uint64_t bytes)
{
    for (;;) {
        word credit = word_load_relaxed(&marking->credit), taken = MIN_OF(credit, (word)bytes);
        if (taken == 0 || word_cas_relaxed(&marking->credit, credit, credit - taken))
            return taken;
    }
}

/* ---- Helper threads ---- */

struct helper {
    gc_heap *heap;
    unsigned number;
    struct marker marker;
};

static bool marking_over(const struct marking *marking, uint32_t run)
{
    return u32_load_acquire(&marking->run) != run;
}

#define HELPER_SLICE ((uint64_t)1 << 20)
#define HELPER_PAUSE_NS (10 * 1000 * 1000)

/* Helpers use processors that mutators leave idle, beyond the one that the driver is on. If someone
 * waits for the cycle, all. */
static bool has_processor(const struct helper *h, const struct marking *marking)
{
    return u8_load_relaxed(&marking->whole) || procs_idle(&h->heap->procs) >= h->number + 2;
}

static void help_one_cycle(struct helper *h, struct marking *marking, uint32_t run)
{
    struct workqueue *q = &h->heap->work;
    memset(h->marker.noted, 0, sizeof h->marker.noted);
    while (!marking_over(marking, run)) {
        if (!has_processor(h, marking)) {
            os_wait(&marking->run, run, HELPER_PAUSE_NS);
        } else if (take_buffer(&h->marker)) {
            uint64_t cpu = os_thread_cpu_ns();
            marker_drain(&h->marker, HELPER_SLICE);
            marking_give_credit(marking, &h->marker);
            word_fetch_add_relaxed(&marking->helper_cpu_ns, os_thread_cpu_ns() - cpu);
        } else {
            workqueue_wait(q, 1000 * 1000);
        }
    }
    marker_finish(&h->marker);
}

/* The number is read first: who asks helpers to end changes it then. */
static bool goes_on(const struct marking *marking, uint32_t *run)
{
    *run = u32_load_acquire(&marking->run);
    stress(STRESS_MAY_SLEEP);
    return !u32_load_acquire(&marking->stopping);
}

static void helper_main(void *arg)
{
    struct helper *h = arg;
    struct marking *marking = &h->heap->collector->marking;
    uint32_t run;
    os_thread_title("gcheap-mark");
    while (goes_on(marking, &run)) {
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
    h->number = marking->nhelpers;
    marker_init(&h->marker, heap);
    if (os_thread_start(&marking->helpers[marking->nhelpers], helper_main, h) != 0) {
        free(h);
        return false;
    }
    marking->nhelpers++;
    return true;
}

/* A helper is not worth waking for a heap that one worker marks in a few hundred microseconds. */
#define HELPER_MIN_BYTES ((size_t)2 << 20)

void marking_begin(gc_heap *heap, struct marking *marking)
{
    unsigned wanted = heap->options.mark_workers - 1;
    u8_store_relaxed(&marking->whole,
                     heap->collector->forced || heap->options.flags & GC_STOP_WORLD);
    word_store_relaxed(&marking->marked_objects, 0);
    word_store_relaxed(&marking->marked_bytes, 0);
    word_store_relaxed(&marking->credit, 0);
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
