#include "collector/sweep.h"
#include "collector/quarantine.h"
#include "collector/special.h"
#include "mutator/self.h"

static struct sweeping *sweeping_of(const gc_heap *heap)
{
    return heap->sweeping;
}

/* ---- One span ---- */

static void poison(const gc_heap *heap, struct gc_span *s)
{
    for (size_t i = 0; i < s->ncells; i++) {
        uintptr_t cell = span_cell(s, i);
        if (!bits_test(s->arena->alloc, arena_bit(cell)))
            quarantine_fill(heap, cell, s->size);
    }
}

static void count_freed(gc_heap *heap, const struct gc_span *s, size_t objects)
{
    if (objects == 0)
        return;
    mcentral_count_freed(&heap->mem.centrals[s->spanclass], objects);
    u64_fetch_add_release(&heap->mem.counts.freed_bytes, objects * span_object_bytes(s));
}

/* The caller owns the span. I11: no other thread reads or writes its alloc and mark bits; markers
 * of the next cycle begin when all is swept. */
static void sweep_bits(gc_heap *heap, struct gc_span *s)
{
    size_t before = s->live, live = 0;
    stress(STRESS_SWEEP_SPAN);
    special_sweep(heap, s);
    if (UNLIKELY(heap->debug.quarantine))
        before += quarantine_sweep(heap, s);
    if (span_has_marks(s)) {
        live = span_flip_bits(s);
        span_clear_page_marks(s);
    } else {
        span_clear_bits(s);
    }
    s->live = s->counted = (uint32_t)live;
    s->next_cell = 0;
    s->needzero = true;
    count_freed(heap, s, before - live);
    word_fetch_add_relaxed(&sweeping_of(heap)->swept_pages, s->npages);
    if (UNLIKELY(heap->debug.poison) && !span_is_large(s))
        poison(heap, s);
}

/* Frees a span that has no live object. */
static void free_span(gc_heap *heap, struct gc_span *s)
{
    word_fetch_add_relaxed(&sweeping_of(heap)->freed_pages, s->npages);
    mheap_free_span(&heap->mem, s);
}

/* ---- Sweepers ---- */

static void leave(struct sweeping *sw)
{
    u32_fetch_sub_release(&sw->sweepers, 1);
}

/* Pairs with sweep_prepare: either sweep_prepare sees this thread counted, or this thread sees that
 * sweeping is closed. The background thread needs this most. No handshake reaches it, so a whole
 * cycle could pass between any two of its steps. */
static bool enter(struct sweeping *sw)
{
    u32_fetch_add_seq_cst(&sw->sweepers, 1);
    stress(STRESS_SWEEP_ENTER);
    if (u32_load_seq_cst(&sw->open))
        return true;
    leave(sw);
    return false;
}

static void sweep_and_file(gc_heap *heap, struct gc_span *s, uint32_t sweepgen)
{
    sweep_bits(heap, s);
    if (s->live == 0 && !mcentral_keeps(&heap->mem.centrals[s->spanclass])) {
        free_span(heap, s);
        return;
    }
    stress(STRESS_SWEEP_FILE);
    mcentral_file_swept(&heap->mem, s, sweepgen);
}

/* How many unswept spans a refill sweeps, without finding a free cell, before it takes new pages.
 * It bounds the wait; at most 1 % of space is wasted (Go: mcentral.go, spanBudget). */
#define SWEEP_BUDGET 100

/* The first span most likely has free cells, and its sweep takes less time than to read the clocks.
 * So time is taken from the second span on. */
struct gc_span *sweep_for_cells_upcall(void *self, unsigned spanclass, uint32_t sweepgen)
{
    gc_heap *heap = self;
    struct sweeping *sw = sweeping_of(heap);
    struct mcentral *c = &heap->mem.centrals[spanclass];
    struct gc_span *found = NULL, *s;
    struct stopwatch start = {0, 0};
    if (!enter(sw))
        return NULL;
    for (int budget = SWEEP_BUDGET; budget > 0 && !found; budget--) {
        if (!(s = mcentral_claim_unswept(&heap->mem, c, sweepgen)))
            break;
        sweep_bits(heap, s);
        if (s->live < s->ncells)
            found = s;
        else
            mcentral_file_swept(&heap->mem, s, sweepgen);
        if (!found && start.wall == 0)
            start = stopwatch_start();
    }
    leave(sw);
    if (start.wall)
        times_add_stall(&thread_self()->times, STALL_SWEEP, stopwatch_elapsed(&start));
    return found;
}

/* Release: a thread that finds the cursor at the end sees that those who claimed the spans before
 * it are sweeping. */
static void advance(uint32_t *cursor, uint32_t to)
{
    uint32_t at = u32_load_relaxed(cursor);
    while (at < to && !u32_cas_release(cursor, at, to))
        at = u32_load_relaxed(cursor);
}

/* The span classes come in their order: large objects first, which give back the most, but for
 * those that are traced. Once FLIP is complete, a class without unswept spans stays so. */
size_t sweep_one(gc_heap *heap)
{
    struct sweeping *sw = sweeping_of(heap);
    struct gc_span *s = NULL;
    size_t pages = 0;
    if (!enter(sw))
        return 0;
    uint32_t sweepgen = u32_load_relaxed(&heap->mem.sweepgen),
             i = u32_load_relaxed(&sw->class_cursor);
    for (; (i = mheap_next_class(&heap->mem, i)) < SPANCLASS_COUNT; i++) {
        s = mcentral_claim_unswept(&heap->mem, &heap->mem.centrals[i], sweepgen);
        if (s)
            break;
    }
    advance(&sw->class_cursor, i);
    if (s) {
        pages = s->npages;
        sweep_and_file(heap, s, sweepgen);
    }
    leave(sw);
    return pages;
}

/* The sets are empty, and no thread is sweeping a span of them. */
static bool nothing_left(struct sweeping *sw)
{
    return u32_load_acquire(&sw->class_cursor) == SPANCLASS_COUNT &&
           u32_load_acquire(&sw->sweepers) == 0;
}

bool sweep_is_done(const gc_heap *heap)
{
    struct sweeping *sw = sweeping_of(heap);
    uint32_t sweepgen = u32_load_acquire(&sw->active);
    if (!sweepgen)
        return true;
    if (!u32_load_relaxed(&sw->open) || !nothing_left(sw))
        return false;
    /* The background thread may have read a generation that is long over. */
    return u32_cas_release(&sw->active, sweepgen, 0);
}

bool sweep_step(gc_heap *heap)
{
    if (sweep_is_done(heap))
        return true;
    if (sweep_one(heap) > 0)
        return false;
    bool done = sweep_is_done(heap);
    if (!done)
        os_yield();
    return done;
}

void sweep_finish(gc_heap *heap)
{
    while (!sweep_step(heap))
        ;
}

bool sweep_prepare(gc_heap *heap, bool patient)
{
    struct sweeping *sw = sweeping_of(heap);
    ASSERT(sweep_is_done(heap) && "I13");
    u32_store_relaxed(&sw->open, 0);
    fence_seq_cst();
    while (u32_load_acquire(&sw->sweepers) > 0) {
        if (!patient)
            return false;
        stress(STRESS_SWEEP_AWAITED);
        os_yield();
    }
    u32_store_relaxed(&sw->class_cursor, 0);
    word_store_relaxed(&sw->reclaim_cursor, arena_low(&heap->mem.arenas));
    word_store_relaxed(&sw->reclaim_credit, 0);
    word_store_relaxed(&sw->swept_pages, 0);
    word_store_relaxed(&sw->freed_pages, 0);
    u32_store_release(&sw->active, heap->mem.sweepgen + 2);
    return true;
}

void sweep_begin(gc_heap *heap, bool keep_none)
{
    if (UNLIKELY(heap->debug.quarantine))
        quarantine_begin_sweep(heap);
    for (unsigned i = 0; (i = mheap_next_class(&heap->mem, i)) < SPANCLASS_COUNT; i++)
        mcentral_begin_sweep(&heap->mem.centrals[i], keep_none);
    u32_store_release(&sweeping_of(heap)->open, 1);
}

/* ---- Whole spans ---- */

/* Frees the spans that begin on the 64 pages of word `i` and have no mark. Returns how many
 * pages. */
static size_t reclaim_word(gc_heap *heap, struct arena *a, size_t i, uint32_t sweepgen)
{
    struct mheap_dead list;
    size_t freed = 0;
    list.n = 0;
    word dead = word_load_acquire(&a->page_in_use[i]) & ~word_load_relaxed(&a->page_marks[i]);
    for (; dead; dead &= dead - 1) {
        size_t page = i * WORD_BITS + bits_trailing_zeros(dead);
        struct gc_span *s = ptr_load_relaxed(&a->spans[page]);
        stress(STRESS_RECLAIM);
        /* The span may have been freed, and its struct reused, meanwhile. A span that is claimed
         * here waits for a sweep in any case, and its other fields are read only after the
         * claim. */
        if (u32_load_relaxed(&s->sweepgen) != sweepgen - 2 ||
            !u32_cas_acquire(&s->sweepgen, sweepgen - 2, sweepgen - 1))
            continue;
        sweep_bits(heap, s);
        if (s->live > 0) {
            mcentral_file_swept(&heap->mem, s, sweepgen);
        } else {
            freed += s->npages;
            mheap_free_later(&heap->mem, &list, s);
        }
    }
    mheap_free_dead(&heap->mem, &list);
    word_fetch_add_relaxed(&sweeping_of(heap)->freed_pages, freed);
    return freed;
}

/* The next 64 pages that no thread has looked at: their first address, or 0. */
static uintptr_t next_chunk(gc_heap *heap, struct sweeping *sw)
{
    const size_t step = WORD_BITS << PAGE_SHIFT;
    uintptr_t at = word_fetch_add_relaxed(&sw->reclaim_cursor, step);
    if (at < arena_high(&heap->mem.arenas))
        return at;
    word_fetch_sub_relaxed(&sw->reclaim_cursor, step);
    return 0;
}

static bool all_looked_at(const gc_heap *heap)
{
    return word_load_relaxed(&sweeping_of(heap)->reclaim_cursor) >= arena_high(&heap->mem.arenas);
}

/* `at` lies between two arenas: moves the cursor to the next one. */
static void skip_gap(gc_heap *heap, struct sweeping *sw, uintptr_t at)
{
    word cursor = word_load_relaxed(&sw->reclaim_cursor);
    uintptr_t next = MIN_OF(arena_after(&heap->mem.arenas, at), arena_high(&heap->mem.arenas));
    while (cursor < next && !word_cas_relaxed(&sw->reclaim_cursor, cursor, next))
        cursor = word_load_relaxed(&sw->reclaim_cursor);
}

static bool take_credit(struct sweeping *sw, size_t npages)
{
    word credit = word_load_relaxed(&sw->reclaim_credit);
    while (credit >= npages) {
        if (word_cas_relaxed(&sw->reclaim_credit, credit, credit - npages))
            return true;
        credit = word_load_relaxed(&sw->reclaim_credit);
    }
    return false;
}

/* Frees whole spans, found by their page bits, until npages pages are free or all were looked
 * at. */
static void reclaim(gc_heap *heap, size_t npages)
{
    struct sweeping *sw = sweeping_of(heap);
    if (!enter(sw))
        return;
    uint32_t sweepgen = u32_load_relaxed(&heap->mem.sweepgen);
    size_t freed = 0;
    while (freed < npages) {
        uintptr_t at = next_chunk(heap, sw);
        struct arena *a = at ? arena_of(&heap->mem.arenas, at) : NULL;
        if (!at)
            break;
        if (a)
            freed += reclaim_word(heap, a, arena_page(at) / WORD_BITS, sweepgen);
        else
            skip_gap(heap, sw, at);
    }
    leave(sw);
    if (freed > npages)
        word_fetch_add_relaxed(&sw->reclaim_credit, freed - npages);
}

void sweep_reclaim_upcall(void *self, size_t npages)
{
    gc_heap *heap = self;
    struct sweeping *sw = sweeping_of(heap);
    if (!u32_load_relaxed(&sw->active) || all_looked_at(heap) || take_credit(sw, npages))
        return;
    uint64_t start = os_now_ns();
    reclaim(heap, npages);
    times_add_stall(&thread_self()->times, STALL_SWEEP, stopwatch_short(start));
}

/* ---- Fork ---- */

static void forget(gc_heap *heap)
{
    heap->sweeping->sweepers = 0;
}

const struct fork_part sweep_fork = {SWEEP_FORK_RANKS, .forget = forget};
