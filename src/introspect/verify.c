#include "introspect/verify.h"
#include "introspect/edges.h"
#include "introspect/maplist.h"
#include "introspect/seen.h"
#include "introspect/site.h"
#include "allocator/object.h"
#include "collector/mark.h"
#include "collector/quarantine.h"
#include "collector/sweep.h"
#include "mutator/log.h"

#define FAULTS_TOLD 10

struct check {
    gc_heap *heap;
    unsigned faults;
    bool remedy_told;
    size_t pages, noscan, live_bytes, spans;
    size_t objects[SIZECLASS_COUNT];
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

/* The first living cell at or after bit i of the arena's maps, before `end`; `end`: there is none.
 */
static size_t next_living(const struct arena *a, const struct arena_notes *notes, size_t i,
                          size_t end)
{
    while (i < end) {
        word living = a->alloc[i / WORD_BITS] & ~(notes ? notes->dead[i / WORD_BITS] : 0);
        living >>= i % WORD_BITS;
        if (living)
            return MIN_OF(i + bits_trailing_zeros(living), end);
        i = (i / WORD_BITS + 1) * WORD_BITS;
    }
    return end;
}

void verify_each_object(gc_heap *heap, bool (*fn)(void *arg, struct gc_span *s, uintptr_t object),
                        void *arg)
{
    uintptr_t at = arena_low(&heap->mem.arenas);
    struct gc_span *s;
    while ((s = next_span(heap, &at)) != NULL) {
        const struct arena_notes *notes = notes_of(s->arena);
        size_t first = arena_bit(s->base);
        size_t end = span_is_large(s) ? first + 1 : first + s->npages * PAGE_WORDS;
        for (size_t i = first; (i = next_living(s->arena, notes, i, end)) < end; i++) {
            if (!fn(arg, s, s->base + (i - first) * WORD_SIZE))
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
    c->objects[spanclass_size(s->spanclass)] += s->live;
    c->pages += s->npages;
    if (spanclass_noscan(s->spanclass))
        c->noscan += s->npages;
    c->live_bytes += span_is_large(s) ? span_bytes(s) : (size_t)s->live * s->size;
}

/* What is in quarantine is freed, and live. */
static void check_class_counts(struct check *c)
{
    struct class_objects counted[SIZECLASS_COUNT];
    mcentral_objects(&c->heap->mem, counted);
    for (unsigned i = 0; i < SIZECLASS_COUNT && !c->heap->debug.quarantine; i++)
        EXPECT(c, counted[i].allocated - counted[i].freed == c->objects[i], i, c->objects[i]);
}

/* ---- References ---- */

struct edge_check {
    struct gc_tracer tracer;
    struct check *c;
};

static void tell_remedy(struct check *c)
{
    if (!c->remedy_told)
        log_write(c->heap, GC_LOG_ERROR,
                  "  keep objects in a GC_FRAME, a gc_root() or a handle across safepoints, and "
                  "store references with gc_store(); the switches roots and stores name the place");
    c->remedy_told = true;
}

/* A reference to an object that was lost looks like the end of the object before it. */
static void tell_lost(struct check *c, const struct gc_tracer *tracer, uintptr_t address)
{
    const struct gc_edge edge = edge_of_source(tracer, address);
    uintptr_t before = object_ending_at(&c->heap->mem, address);
    char text[256];
    if (c->faults++ >= FAULTS_TOLD)
        return;
    edge_text(c->heap, &edge, text, sizeof text);
    if (before)
        log_write(c->heap, GC_LOG_ERROR,
                  "heap check: a reference leads to no object (%s, to 0x%zx); it is the end of the "
                  "object at 0x%zx: if that is meant, the object's type needs GC_TFLAG_ENDS",
                  text, (size_t)address, (size_t)before);
    else
        log_write(c->heap, GC_LOG_ERROR,
                  "heap check: a reference leads to no object (%s, to 0x%zx)", text,
                  (size_t)address);
    tell_remedy(c);
}

static void check_edge(struct gc_tracer *tracer, word value)
{
    struct edge_check *e = CONTAINER_OF(tracer, struct edge_check, tracer);
    const struct mheap *mem = &e->c->heap->mem;
    uintptr_t address = value_address(&e->c->heap->options.format, value);
    if (arena_of(&mem->arenas, address) && !object_cell(mem, address))
        tell_lost(e->c, tracer, address);
}

/* Between cycles they hold nothing dead (I46). */
static void check_weak(struct gc_tracer *tracer, const struct weak_slots *slots)
{
    marker_keep_weak(tracer, slots);
}

static void ignore_word(struct gc_tracer *tracer, word value)
{
    (void)tracer;
    (void)value;
}

static bool check_object(void *arg, struct gc_span *s, uintptr_t object)
{
    struct edge_check *e = arg;
    edges_visit_object(e->c->heap, s, object, &e->tracer);
    return true;
}

/* All is swept. */
static bool is_there(const gc_heap *heap, uintptr_t owner)
{
    (void)heap;
    (void)owner;
    return true;
}

unsigned verify_heap(gc_heap *heap)
{
    struct check c = {.heap = heap};
    struct edge_check e = {
        {.value = check_edge, .stale = ignore_word, .weak = check_weak, .heap = heap}, &c};
    verify_flush_caches(heap);
    each_span(heap, check_span, &c);
    EXPECT(&c, c.pages == heap->mem.counts.pages_inuse, c.pages, heap->mem.counts.pages_inuse);
    EXPECT(&c, c.noscan == heap->mem.counts.pages_noscan, c.noscan, heap->mem.counts.pages_noscan);
    EXPECT(&c, c.spans == heap->mem.counts.spans_inuse, c.spans, heap->mem.counts.spans_inuse);
    check_class_counts(&c);
    c.live_bytes -= quarantine_bytes(heap);
    EXPECT(&c, c.live_bytes == mheap_live_bytes(&heap->mem), c.live_bytes,
           mheap_live_bytes(&heap->mem));
    verify_each_object(heap, check_object, &e);
    edges_visit_roots(heap, &e.tracer);
    edges_visit_owned(heap, is_there, &e.tracer);
    lock_acquire(&heap->mem.lock);
    pagealloc_check(&heap->mem.pages);
    lock_release(&heap->mem.lock);
    return c.faults;
}

/* ---- The second marking ---- */

struct remark {
    struct gc_tracer tracer;
    gc_heap *heap;
    struct maplist stack; /* of addresses */
    unsigned missed;
    bool out_of_memory;
};

static void remark_push(struct remark *r, uintptr_t object)
{
    uintptr_t *next = maplist_add(&r->stack);
    if (next)
        *next = object;
    else
        r->out_of_memory = true;
}

static void tell_missed(struct remark *r, const struct target *t)
{
    char name[100], from[256];
    const struct gc_edge edge = edge_of_source(&r->tracer, t->base);
    if (r->missed++ >= FAULTS_TOLD)
        return;
    log_write(r->heap, GC_LOG_ERROR,
              "marking missed the object at 0x%zx (%s), to which leads %s: was it stored there, or "
              "moved from elsewhere, without gc_store()?",
              (size_t)t->base, site_object_text(r->heap, t->base, name, sizeof name),
              edge_text(r->heap, &edge, from, sizeof from));
}

static void remark_value(struct gc_tracer *tracer, word value)
{
    struct remark *r = CONTAINER_OF(tracer, struct remark, tracer);
    struct target t;
    uintptr_t address = value_address(&r->heap->options.format, value);
    if (!object_cell(&r->heap->mem, address) ||
        !target_resolve(&r->heap->mem, address, &t)) /* I37 */
        return;
    enum seen seen = seen_add(&t);
    if (seen == SEEN_NO_MEMORY)
        r->out_of_memory = true;
    if (seen != SEEN_NEW)
        return;
    if (!target_is_marked(&t))
        tell_missed(r, &t);
    remark_push(r, t.base);
}

/* A stale word counts only if the first marking took it for an object. */
static void remark_stale(struct gc_tracer *tracer, word value)
{
    struct remark *r = CONTAINER_OF(tracer, struct remark, tracer);
    uintptr_t address = value_address(&r->heap->options.format, value);
    if (object_cell(&r->heap->mem, address) && target_marked_at(&r->heap->mem, address))
        remark_value(tracer, value);
}

/* Then what its suspended fibers hold is marked, too (I57). */
static bool owner_is_marked(const gc_heap *heap, uintptr_t owner)
{
    return target_marked_at(&heap->mem, owner);
}

unsigned verify_marks(gc_heap *heap)
{
    struct remark r = {.tracer = {.value = remark_value, .stale = remark_stale, .heap = heap},
                       .heap = heap,
                       .stack = {.item = sizeof(uintptr_t)}};
    edges_visit_roots(heap, &r.tracer);
    edges_visit_owned(heap, owner_is_marked, &r.tracer);
    while (r.stack.n > 0) {
        uintptr_t from = ((uintptr_t *)r.stack.items)[--r.stack.n];
        edges_visit_object(heap, mheap_span_of(&heap->mem, from), from, &r.tracer);
    }
    maplist_free(&r.stack);
    seen_drop(heap);
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
