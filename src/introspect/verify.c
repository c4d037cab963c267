#include "introspect/verify.h"
#include "introspect/site.h"
#include "allocator/object.h"
#include "collector/quarantine.h"
#include "collector/special.h"
#include "collector/sweep.h"
#include "mutator/fiber.h"
#include "mutator/log.h"
#include "mutator/thread.h"

#define FAULTS_TOLD 10

struct check {
    gc_heap *heap;
    unsigned faults;
    size_t pages, live_bytes, spans;
};

static void fault(struct check *c, const char *what, uintptr_t where, uintptr_t more)
{
    if (c->faults++ < FAULTS_TOLD)
        log_write(c->heap, GC_LOG_ERROR, "heap check: %s (0x%zx, 0x%zx)", what, (size_t)where,
                  (size_t)more);
}

#define EXPECT(c, cond, where, more) ((cond) ? (void)0 : fault(c, #cond, where, more))

/* ---- Walking ---- */

static struct gc_span *next_span(const gc_heap *heap, uintptr_t *at)
{
    const struct arena_index *index = &heap->mem.arenas;
    for (; *at < arena_high(index); *at += PAGE_SIZE) {
        struct arena *a = arena_of(index, *at);
        if (!a) {
            *at = (*at | (ARENA_SIZE - 1)) + 1 - PAGE_SIZE;
            continue;
        }
        if (bits_test(a->page_in_use, arena_page(*at))) {
            struct gc_span *s = a->spans[arena_page(*at)];
            *at += span_bytes(s);
            return s;
        }
    }
    return NULL;
}

static void each_span(gc_heap *heap, void (*fn)(void *, struct gc_span *), void *arg)
{
    uintptr_t at = arena_low(&heap->mem.arenas);
    struct gc_span *s;
    while ((s = next_span(heap, &at)) != NULL)
        fn(arg, s);
}

static bool cell_is_taken(const struct gc_span *s, size_t i)
{
    return bits_test(s->arena->alloc, arena_bit(s->base) + i * s->words);
}

void verify_each_object(gc_heap *heap, bool (*fn)(void *arg, struct gc_span *s, uintptr_t object),
                        void *arg)
{
    uintptr_t at = arena_low(&heap->mem.arenas);
    struct gc_span *s;
    while ((s = next_span(heap, &at)) != NULL) {
        for (size_t i = 0; i < s->ncells; i++) {
            if (cell_is_taken(s, i) && !notes_is_dead(s->arena, span_cell(s, i)) &&
                !fn(arg, s, span_cell(s, i)))
                return;
        }
    }
}

void verify_flush_caches(gc_heap *heap)
{
    for (uint32_t i = 0; i < heap->procs.count; i++)
        mcache_flush(heap->procs.all[i]->cache);
}

/* ---- Structures ---- */

static void check_pages(struct check *c, struct gc_span *s)
{
    bool large = span_is_large(s);
    for (size_t i = 0; i < s->npages; i++) {
        uintptr_t at = s->base + (i << PAGE_SHIFT);
        const struct arena *a = arena_of(&c->heap->mem.arenas, at);
        size_t page = arena_page(at);
        EXPECT(c, a->spans[page] == s, at, (uintptr_t)s);
        EXPECT(c, page_tag_class(a->page_tag[page]) == page_class_of_span(s->spanclass), at,
               a->page_tag[page]);
        EXPECT(c, page_tag_offset(a->page_tag[page]) == (large ? 0 : i), at, a->page_tag[page]);
        EXPECT(c, i == 0 || !bits_test(a->page_in_use, page), at, i);
    }
}

/* I11: between cycles every mark bit is 0. Alloc bits are set only where cells begin. */
static void check_bits(struct check *c, struct gc_span *s)
{
    size_t first = arena_bit(s->base), taken = 0;
    size_t bits = span_is_large(s) ? WORD_BITS : s->npages * PAGE_WORDS;
    for (size_t i = 0; i < s->ncells; i++)
        taken += cell_is_taken(s, i);
    EXPECT(c, bits_count_range(s->arena->alloc, first, first + bits) == taken, s->base, taken);
    EXPECT(c, bits_count_range(s->arena->mark, first, first + bits) == 0, s->base, s->spanclass);
    EXPECT(c, !span_has_marks(s), s->base, s->spanclass);
    EXPECT(c, taken == s->live, s->base, s->live);
}

static void check_span(void *arg, struct gc_span *s)
{
    struct check *c = arg;
    uint32_t sg = c->heap->mem.sweepgen;
    EXPECT(c, s->state == SPAN_IN_USE, s->base, s->state);
    EXPECT(c, s->sweepgen == sg, s->base, s->sweepgen);
    EXPECT(c, s->open_runs == 0, s->base, s->open_runs);
    EXPECT(c, span_is_large(s) || s->npages == sizeclass_table[spanclass_size(s->spanclass)].npages,
           s->base, s->npages);
    check_pages(c, s);
    check_bits(c, s);
    c->spans++;
    c->pages += s->npages;
    c->live_bytes += span_is_large(s) ? span_bytes(s) : (size_t)s->live * s->size;
}

/* ---- References ---- */

struct edge_check {
    struct gc_tracer tracer;
    struct check *c;
    uintptr_t from;
};

static void check_edge(struct gc_tracer *tracer, word value)
{
    struct edge_check *e = CONTAINER_OF(tracer, struct edge_check, tracer);
    const struct mheap *mem = &e->c->heap->mem;
    uintptr_t address = value_address(&e->c->heap->options.format, value);
    if (arena_of(&mem->arenas, address) && !object_cell(mem, address))
        fault(e->c, "a reference leads to no object", e->from, address);
}

static void ignore_word(struct gc_tracer *tracer, word value)
{
    (void)tracer;
    (void)value;
}

/* Calls the tracer for every reference in an object. */
static void visit_object(gc_heap *heap, struct gc_span *s, uintptr_t object,
                         struct gc_tracer *tracer)
{
    if (span_noscan(s))
        return;
    uintptr_t end = span_is_large(s) ? s->scan_limit : object + (uintptr_t)s->words * WORD_SIZE;
    for (uintptr_t at = object; at < end; at += WORD_SIZE) {
        if (heapbits_load(arena_of(&heap->mem.arenas, at), at, 1))
            tracer_word(tracer, slot_load_acquire((const slot_word *)at));
    }
    const gc_type *type = NULL;
    if (spanclass_traced(s->spanclass))
        type = span_is_large(s) ? s->large_type : (const gc_type *)((word *)end)[-1];
    if (type)
        type->trace((void *)object, tracer);
}

static bool check_object(void *arg, struct gc_span *s, uintptr_t object)
{
    struct edge_check *e = arg;
    e->from = object;
    visit_object(e->c->heap, s, object, &e->tracer);
    return true;
}

/* The object of a queued finalizer is a root. Before that, what the object refers to is. */
static void visit_finalizer(struct gc_span *s, uintptr_t object, bool queued, void *tracer)
{
    struct gc_tracer *t = tracer;
    if (queued)
        tracer_word(t, object);
    else
        visit_object(t->heap, s, object, t);
}

static void visit_all_roots(gc_heap *heap, struct gc_tracer *tracer)
{
    for (gc_thread *t = heap->mutators.list; t; t = t->next)
        thread_visit_roots(t, tracer);
    for (gc_fiber *f = heap->fibers; f; f = f->next) {
        if (f->state == FIBER_SUSPENDED)
            fiber_visit(f, tracer);
    }
    roots_visit(&heap->roots, tracer);
    special_each_finalizer(heap, visit_finalizer, tracer);
}

unsigned verify_heap(gc_heap *heap)
{
    struct check c = {heap, 0, 0, 0, 0};
    struct edge_check e = {{check_edge, ignore_word, heap}, &c, 0};
    verify_flush_caches(heap);
    each_span(heap, check_span, &c);
    EXPECT(&c, c.pages == heap->mem.counts.pages_inuse, c.pages, heap->mem.counts.pages_inuse);
    EXPECT(&c, c.spans == heap->mem.counts.spans_inuse, c.spans, heap->mem.counts.spans_inuse);
    c.live_bytes -= quarantine_bytes(heap);
    EXPECT(&c, c.live_bytes == mheap_live_bytes(&heap->mem), c.live_bytes,
           mheap_live_bytes(&heap->mem));
    verify_each_object(heap, check_object, &e);
    e.from = 0;
    visit_all_roots(heap, &e.tracer);
    lock_acquire(&heap->mem.lock);
    pagealloc_check(&heap->mem.pages);
    lock_release(&heap->mem.lock);
    return c.faults;
}

/* ---- The second marking ---- */

struct remark {
    struct gc_tracer tracer;
    gc_heap *heap;
    uintptr_t *stack;
    size_t n, capacity;
    uintptr_t from;
    unsigned missed;
    bool out_of_memory;
};

static word *checkmarks_of(struct arena *a)
{
    if (!a->checkmarks)
        a->checkmarks = os_map(sizeof a->mark);
    return a->checkmarks;
}

/* It leaves no addresses behind in malloc's memory, which the switch roots may scan. */
static void free_stack(struct remark *r)
{
    if (r->stack)
        memset(r->stack, 0, r->capacity * sizeof *r->stack);
    __asm__ volatile("" : : "r"(r->stack) : "memory"); /* it is not left out */
    free(r->stack);
}

static bool grow_stack(struct remark *r)
{
    size_t wanted = r->capacity ? r->capacity * 2 : 4096;
    uintptr_t *stack = malloc(wanted * sizeof *stack);
    if (!stack)
        return false;
    for (size_t i = 0; i < r->n; i++)
        stack[i] = r->stack[i];
    free_stack(r);
    r->stack = stack;
    r->capacity = wanted;
    return true;
}

static void remark_push(struct remark *r, uintptr_t object)
{
    if (r->n == r->capacity && !grow_stack(r)) {
        r->out_of_memory = true;
        return;
    }
    r->stack[r->n++] = object;
}

static void tell_missed(struct remark *r, const struct target *t)
{
    char name[100], from[100] = "a root";
    if (r->missed++ >= FAULTS_TOLD)
        return;
    if (r->from)
        site_object_text(r->heap, r->from, from, sizeof from);
    log_write(
        r->heap, GC_LOG_ERROR,
        "marking missed the object at 0x%zx (%s), which is referred to from 0x%zx (%s): was it "
        "stored there, or moved from elsewhere, without gc_store()?",
        (size_t)t->base, site_object_text(r->heap, t->base, name, sizeof name), (size_t)r->from,
        from);
}

static void remark_value(struct gc_tracer *tracer, word value)
{
    struct remark *r = CONTAINER_OF(tracer, struct remark, tracer);
    struct target t;
    if (!target_resolve(&r->heap->mem, value_address(&r->heap->options.format, value), &t))
        return;
    word *map = checkmarks_of(t.arena);
    if (!map) {
        r->out_of_memory = true;
        return;
    }
    if (bits_test(map, arena_bit(t.base)))
        return;
    bits_set(map, arena_bit(t.base));
    if (!target_is_marked(&t))
        tell_missed(r, &t);
    remark_push(r, t.base);
}

/* A stale word counts only if the first marking took it for an object. */
static void remark_stale(struct gc_tracer *tracer, word value)
{
    struct remark *r = CONTAINER_OF(tracer, struct remark, tracer);
    struct target t;
    uintptr_t address = value_address(&r->heap->options.format, value);
    if (object_cell(&r->heap->mem, address) && target_resolve(&r->heap->mem, address, &t) &&
        target_is_marked(&t))
        remark_value(tracer, value);
}

static void drop_checkmarks(gc_heap *heap)
{
    const struct arena_index *index = &heap->mem.arenas;
    for (uintptr_t at = arena_low(index); at < arena_high(index); at += ARENA_SIZE) {
        struct arena *a = arena_of(index, at);
        if (a && a->checkmarks) {
            os_unmap(a->checkmarks, sizeof a->mark);
            a->checkmarks = NULL;
        }
    }
}

unsigned verify_marks(gc_heap *heap)
{
    struct remark r = {.tracer = {remark_value, remark_stale, heap}, .heap = heap};
    visit_all_roots(heap, &r.tracer);
    while (r.n > 0) {
        r.from = r.stack[--r.n];
        visit_object(heap, mheap_span_of(&heap->mem, r.from), r.from, &r.tracer);
    }
    free_stack(&r);
    drop_checkmarks(heap);
    if (r.out_of_memory)
        log_write(heap, GC_LOG_WARNING, "no memory for a whole second marking");
    return r.missed;
}

/* ---- Debug switches ---- */

/* A heap with faults cannot be used any further. */
static void panic_on_faults(unsigned faults)
{
    CHECK(faults == 0 && "the heap check failed: see the log");
}

void verify_after_mark(gc_heap *heap, unsigned *missed)
{
    bool held = u32_load_relaxed(&heap->mutators.held);
    if (LIKELY(!heap->debug.checkmark && !missed))
        return;
    if (!held)
        handshake_hold(heap);
    unsigned found = verify_marks(heap);
    if (!held)
        handshake_release(heap);
    if (missed)
        *missed = found;
    else
        panic_on_faults(found);
}

void verify_after_cycle(gc_heap *heap)
{
    bool held = u32_load_relaxed(&heap->mutators.held);
    if (LIKELY(!heap->debug.verify))
        return;
    sweep_finish(heap);
    if (!held)
        handshake_hold(heap);
    panic_on_faults(verify_heap(heap));
    if (!held)
        handshake_release(heap);
}
