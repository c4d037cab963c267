#include "allocator/mcache.h"
#include "base/access.h"

static size_t runs_size(void)
{
    return align_up(RUN_INDEXES * sizeof(struct gc_run), os_page_size());
}
static size_t cache_size(void)
{
    return align_up(sizeof(struct mcache), os_page_size());
}

struct mcache *mcache_create(struct mheap *h)
{
    struct mcache *c = os_map(cache_size() + runs_size());
    if (!c)
        return NULL;
    c->heap = h;
    c->runs = (struct gc_run *)(void *)((char *)c + cache_size());
    c->sweepgen = u32_load_relaxed(&h->sweepgen); /* proc.c sets the tuple again */
    return c;
}

void mcache_destroy(struct mcache *c)
{
    ASSERT(c->nopen == 0 && c->store.pages.free == 0 && c->store.nspare == 0);
    os_unmap(c, cache_size() + runs_size());
}

/* ---- Runs, as other threads see them (I24) ---- */

/* A cursor of 0 says that there is no run, whatever the limit is. The cursor of a new run is stored
 * last. A reader that reads the same cursor, not 0, before and after the limit has read both of one
 * run: a cursor comes back only after all runs were given up, and the span was swept. */
static void clear_run(struct gc_run *run)
{
    fence_release();
    word_store_relaxed(&run->cursor, 0);
    fence_release();
    word_store_relaxed(&run->limit, 0);
    run->span = NULL;
}

static void set_run(struct gc_run *run, struct gc_span *s, uintptr_t from, uintptr_t to)
{
    run->size = s->size;
    run->span = s;
    word_store_relaxed(&run->limit, to);
    stress(STRESS_RUN_LIMIT);
    word_store_release(&run->cursor, from);
}

static bool run_keeps(const struct gc_run *run, uintptr_t base)
{
    uintptr_t cursor, limit;
    do {
        cursor = word_load_acquire(&run->cursor);
        stress(STRESS_RUN_READ);
        limit = word_load_relaxed(&run->limit);
        fence_acquire();
    } while (word_load_relaxed(&run->cursor) != cursor);
    return cursor != 0 && cursor <= base && base < limit;
}

bool mcache_keeps(const struct mcache *c, unsigned spanclass, uintptr_t base)
{
    unsigned index = runindex_first(spanclass);
    while (index && !run_keeps(&c->runs[index], base))
        index = runindex_next(index);
    return index != 0;
}

/* ---- Spans and runs ---- */

/* Gives up a span that no run and no class of this cache uses any more. */
static void uncache(struct mcache *c, struct gc_span *s, bool stale)
{
    ptr_store_relaxed(&s->cache, NULL);
    mcentral_uncache_span(c->heap, s, c->sweepgen, stale);
}

static void close_run(struct mcache *c, struct gc_span *s, bool stale)
{
    ASSERT(s->open_runs > 0);
    if (--s->open_runs == 0 && c->current[s->spanclass] != s)
        uncache(c, s, stale);
}

static void drop_current(struct mcache *c, unsigned spanclass, bool stale)
{
    struct gc_span *s = c->current[spanclass];
    c->current[spanclass] = NULL;
    if (s && s->open_runs == 0)
        uncache(c, s, stale);
}

/* The last word of a traced object's cell refers to its type. */
static void write_trace_headers(struct gc_span *s, size_t first, size_t n, gc_type *type)
{
    for (size_t i = first; i < first + n; i++) {
        word *header = (word *)(span_cell(s, i) + s->size) - 1;
        word_store_relaxed(header, (word)type);
    }
}

static void write_bits_once(struct mcache *c, struct gc_span *s, size_t index,
                            const struct cell_bits *bits)
{
    struct heapbits_sink sink;
    heapbits_begin(&sink, &c->heap->arenas, span_cell(s, index));
    type_write_bits(bits, &sink);
    heapbits_emit_zeros(&sink, s->words - ((sink.at - sink.start) >> WORD_SHIFT));
    heapbits_end(&sink);
}

/* Heap bits of cells of more than WORD_BITS words. They are written for each object, or for one and
 * copied if cells begin at map words. */
static void write_bits_large(struct mcache *c, struct gc_span *s, size_t first, size_t n,
                             const struct cell_bits *bits)
{
    bool whole = s->words % WORD_BITS == 0;
    for (size_t i = 0; i < (whole ? 1 : n); i++)
        write_bits_once(c, s, first + i, bits);
    if (whole)
        heapbits_copy(s->arena, span_cell(s, first), s->words, n - 1);
}

static void write_bits(struct mcache *c, struct gc_span *s, size_t first, size_t n,
                       const struct cell_bits *bits)
{
    if (s->words <= WORD_BITS && !bits->program)
        heapbits_fill(s->arena, span_cell(s, first), n * s->words, bits->pattern, s->words);
    else
        write_bits_large(c, s, first, n, bits);
    if (bits->traced)
        write_trace_headers(s, first, n, bits->traced);
}

void mcache_fill(struct mcache *c, const struct cell_fill *fill, uintptr_t object, uintptr_t end)
{
    const struct arena_index *index = &c->heap->arenas;
    uintptr_t rest = MIN_OF(object + fill->head_words * WORD_SIZE, end);
    if (fill->head)
        heapbits_store(index, object, rest, fill->head);
    if (fill->rest)
        heapbits_store(index, rest, end, fill->rest);
}

static COLD void fill_cells(struct mcache *c, struct gc_span *s, size_t first, size_t n,
                            const struct cell_fill *fill)
{
    if (fill->head_words == 0) {
        mcache_fill(c, fill, span_cell(s, first), span_cell(s, first + n));
        return;
    }
    for (size_t i = first; i < first + n; i++)
        mcache_fill(c, fill, span_cell(s, i), span_cell(s, i + 1));
}

static bool is_raw(const struct mcache *c, const struct gc_run *run)
{
    size_t index = (size_t)(run - c->runs);
    return index >= RUN_RAW && index < RUN_VARIABLE;
}

/* I8: all of this is done before the first cell is handed out. false: a marker may be about to
 * trace one of the cells (I37), and nobody gets them in this cycle. */
static bool open_run(struct mcache *c, struct gc_run *run, struct gc_span *s, size_t first,
                     size_t n, const struct cell_bits *bits)
{
    uintptr_t from = span_cell(s, first);
    size_t bytes = n * s->size;
    if (s->needzero && !is_raw(c, run) && !(bits && bits->fill.all))
        memset((void *)from, 0, bytes);
    if (bits)
        write_bits(c, s, first, n, bits);
    if (UNLIKELY(bits && !cell_fill_is_zero(&bits->fill)))
        fill_cells(c, s, first, n, &bits->fill);
    stress(STRESS_RUN_OPEN);
    if (c->black && !span_set_marks(s, first, n) && spanclass_traced(s->spanclass))
        return false;
    stress(STRESS_RUN_MARKED);
    set_run(run, s, from, from + bytes);
    fence_release(); /* what is found by its alloc bit is marked (I15), and in this run (I24) */
    span_set_alloc(s, first, n);
    s->open_runs++;
    s->live += (uint32_t)n;
    c->unreported += bytes;
    return true;
}

/* How many of the n free cells the run gets. Only those may be touched. */
static COLD size_t limit_run(struct mcache *c, const struct gc_run *run, struct gc_span *s,
                             size_t first, size_t n, uint32_t limit)
{
    const struct mheap *h = c->heap;
    unsigned index = (unsigned)(run - c->runs);
    bool single = runindex_is_shared(index) && limit != RUNS_ARE_CUT;
    size_t most = single ? 1 : MIN_OF(n, (size_t)limit);
    most = sampler_cut(&c->sampler, &h->sampling, index, s->size, most);
    if (most < n)
        s->next_cell = (uint32_t)(first + most);
    if (h->guarded) {
        access_forbid((void *)span_cell(s, first), n * s->size);
        access_allow((void *)span_cell(s, first), most * s->size);
    }
    return most;
}

static bool open_from_current(struct mcache *c, struct gc_run *run, unsigned spanclass,
                              const struct cell_bits *bits)
{
    struct gc_span *s = c->current[spanclass];
    size_t first, n;
    while (s && (n = span_next_free(s, &first)) > 0) {
        uint32_t limit = u32_load_relaxed(&c->heap->run_limit);
        if (UNLIKELY(limit))
            n = limit_run(c, run, s, first, n, limit);
        if (LIKELY(open_run(c, run, s, first, n, bits)))
            return true;
    }
    return false;
}

static void forget_open(struct mcache *c, unsigned index)
{
    uint32_t i = 0;
    while (c->open[i] != index)
        i++;
    c->open[i] = c->open[--c->nopen];
}

bool mcache_refill(struct mcache *c, unsigned index, unsigned spanclass,
                   const struct cell_bits *bits)
{
    struct gc_run *run = &c->runs[index];
    stress(STRESS_REFILL);
    if (run->span) {
        struct gc_span *s = run->span;
        clear_run(run);
        close_run(c, s, false);
    } else {
        c->open[c->nopen++] = (uint16_t)index;
    }
    while (!open_from_current(c, run, spanclass, bits)) {
        drop_current(c, spanclass, false);
        c->current[spanclass] = mcentral_cache_span(c->heap, &c->heap->centrals[spanclass],
                                                    &c->store, c->sweepgen, c->sweeping);
        if (!c->current[spanclass]) {
            forget_open(c, index);
            return false;
        }
        ptr_store_relaxed(&c->current[spanclass]->cache, c);
    }
    return true;
}

struct gc_span *mcache_alloc_large(struct mcache *c, size_t npages, unsigned spanclass,
                                   bool *zeroed)
{
    if (c->sweeping)
        c->heap->up.reclaim(c->heap->up.self, npages);
    struct gc_span *s =
        mheap_alloc_span(c->heap, &c->store, npages, spanclass, c->sweepgen + 3, zeroed);
    if (UNLIKELY(c->heap->guarded) && s)
        access_allow((void *)s->base, span_bytes(s));
    if (UNLIKELY(u32_load_relaxed(&c->heap->run_limit)) && s)
        sampler_large(&c->sampler, &c->heap->sampling, span_bytes(s));
    return s;
}

void mcache_arm(struct mcache *c)
{
    c->sweeping = false;
}

static void each_open_rest(struct mcache *c,
                           void (*f)(struct mcache *, struct gc_run *, size_t first, size_t n))
{
    for (uint32_t i = 0; i < c->nopen; i++) {
        struct gc_run *run = &c->runs[c->open[i]];
        const struct gc_span *s = run->span;
        size_t n = (run->limit - run->cursor) / run->size;
        if (n > 0)
            f(c, run, (run->cursor - s->base) / run->size, n);
    }
}

static void blacken_rest(struct mcache *c, struct gc_run *run, size_t first, size_t n)
{
    (void)c;
    span_set_marks(run->span, first, n);
}

void mcache_blacken(struct mcache *c)
{
    c->black = true;
    each_open_rest(c, blacken_rest);
}

/* The cells were never handed out. No thread marks meanwhile (I15). */
static void give_back_rest(struct mcache *c, struct gc_run *run, size_t first, size_t n)
{
    struct gc_span *s = run->span;
    span_clear_alloc(s, first, n);
    if (c->black)
        span_clear_marks(s, first, n);
    s->live -= (uint32_t)n;
    s->next_cell = MIN_OF(s->next_cell, (uint32_t)first);
    s->needzero = true;
    c->returned += n * run->size;
}

static void give_up_all(struct mcache *c, bool stale)
{
    each_open_rest(c, give_back_rest);
    for (uint32_t i = 0; i < c->nopen; i++) {
        struct gc_run *run = &c->runs[c->open[i]];
        struct gc_span *s = run->span;
        clear_run(run);
        close_run(c, s, stale);
    }
    c->nopen = 0;
    if (UNLIKELY(c->sampler.number))
        sampler_forget_runs(&c->sampler);
    for (unsigned i = 0; (i = mheap_next_class(c->heap, i)) < SPANCLASS_COUNT; i++)
        drop_current(c, i, stale);
}

void mcache_flush(struct mcache *c)
{
    give_up_all(c, false);
    mcache_report(c);
    mheap_flush_store(c->heap, &c->store);
}

void mcache_flip(struct mcache *c, uint32_t sweepgen)
{
    c->sweepgen = sweepgen;
    give_up_all(c, true);
    mcache_report(c);
    c->black = false;
    c->sweeping = true;
}

void mcache_report(struct mcache *c)
{
    struct mheap_counts *counts = &c->heap->counts;
    if (c->unreported)
        u64_fetch_add_relaxed(&counts->taken_bytes, c->unreported);
    if (c->returned)
        u64_fetch_add_release(&counts->returned_bytes, c->returned);
    if (c->unreported > c->returned)
        c->unassisted += c->unreported - c->returned;
    c->unreported = c->returned = 0;
}

size_t mcache_take_unassisted(struct mcache *c)
{
    mcache_report(c);
    size_t bytes = c->unassisted;
    c->unassisted = 0;
    return bytes;
}
