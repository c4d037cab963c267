#include "allocator/mheap.h"
#include <errno.h>

static const struct mheap_upcalls no_upcalls;

int mheap_init(struct mheap *h, const gc_options *options)
{
    lock_init(&h->lock, LOCK_HEAP);
    persistent_init(&h->persistent);
    spanset_pool_init(&h->pool, &h->persistent);
    fixalloc_init(&h->spans, sizeof(struct gc_span), &h->persistent);
    h->up = no_upcalls;
    h->sweepgen = 2;
    h->hard_limit = options->hard_limit;
    h->huge_pages = options->flags & (GC_HUGE_PAGES | GC_NO_HUGE_PAGES);
    hugepages_init(&h->huge, &h->arenas, &h->pages, &h->lock);
    arena_index_init(&h->arenas);
    if (!pagealloc_init(&h->pages))
        goto no_pages;
    size_t reserve = align_up(options->reserve, ARENA_SIZE);
    if (reserve && !arena_reserve_linear(&h->arenas, reserve))
        goto no_reserve;
    return 0;
no_reserve:
    pagealloc_destroy(&h->pages);
no_pages:
    arena_index_destroy(&h->arenas);
    persistent_destroy(&h->persistent);
    return -ENOMEM;
}

void mheap_destroy(struct mheap *h)
{
    pagealloc_destroy(&h->pages);
    arena_index_destroy(&h->arenas);
    persistent_destroy(&h->persistent);
}

/* A heap of more than one arena is likely to use all of its memory, and huge pages save faults and
 * TLB misses. Its tables get none unless the options ask for them. Parts of the tables may never be
 * used, and a handshake could be held up while 2 MiB are zeroed. */
static bool wants_huge_pages(const struct mheap *h)
{
    return h->huge_pages ? h->huge_pages == GC_HUGE_PAGES : h->arenas.count > 0;
}

/* Makes more arenas, for at least npages pages. */
static bool grow_locked(struct mheap *h, size_t npages)
{
    LOCK_ASSERT_HELD(&h->lock);
    struct arena_growth growth;
    bool huge = wants_huge_pages(h);
    if (!arena_grow(&h->arenas, npages << PAGE_SHIFT, h->huge_pages == GC_HUGE_PAGES, &growth))
        return false;
    stress(STRESS_GROWN);
    if (!pagealloc_grow(&h->pages, growth.base, growth.size)) {
        arena_ungrow(&h->arenas, &growth);
        return false;
    }
    if (huge)
        hugepages_want(&growth);
    else if (h->huge_pages == GC_NO_HUGE_PAGES)
        os_small_pages((void *)growth.base, growth.size);
    arena_publish(&h->arenas, &growth);
    h->mapped_bytes += growth.size;
    return true;
}

bool mheap_is_over(const struct mheap *h, uint64_t more)
{
    size_t limit = word_load_relaxed(&h->hard_limit);
    uint64_t inuse = (uint64_t)word_load_relaxed(&h->counts.pages_inuse) << PAGE_SHIFT;
    return limit && inuse + u64_load_relaxed(&h->counts.external_bytes) + more > limit;
}

/* I14: a span of at most SIZECLASS_MAX_PAGES lies in one arena. */
static uintptr_t find_pages_locked(struct mheap *h, size_t npages, size_t *scavenged)
{
    LOCK_ASSERT_HELD(&h->lock);
    if (npages > SIZECLASS_MAX_PAGES)
        return pagealloc_alloc(&h->pages, npages, scavenged);
    return pagealloc_alloc_within(&h->pages, npages, ARENA_PAGES, scavenged);
}

static uintptr_t alloc_pages_locked(struct mheap *h, size_t npages, size_t *scavenged)
{
    uintptr_t base = find_pages_locked(h, npages, scavenged);
    if (!base && grow_locked(h, npages))
        base = find_pages_locked(h, npages, scavenged);
    return base;
}

static bool fill_spares_locked(struct mheap *h, struct mheap_store *store)
{
    LOCK_ASSERT_HELD(&h->lock);
    while (store->nspare < MHEAP_SPARE_SPANS) {
        struct gc_span *s = fixalloc_alloc(&h->spans);
        if (!s)
            break;
        store->spares[store->nspare++] = s;
    }
    return store->nspare > 0;
}

/* Replaces the store's pages, none of which will do. */
static void refill_pages_locked(struct mheap *h, struct mheap_store *store, size_t npages)
{
    LOCK_ASSERT_HELD(&h->lock);
    pagealloc_cache_flush(&h->pages, &store->pages);
    pagealloc_cache_fill(&h->pages, &store->pages, npages);
}

#define PAGE_CACHE_LARGEST 16
_Static_assert(PAGE_CACHE_LARGEST <= PAGE_CACHE_PAGES, "a cache can hold as many");

/* Takes pages and a span struct from the P's store. What it lacks is refilled under the lock. */
static uintptr_t alloc_cached(struct mheap *h, struct mheap_store *store, size_t npages,
                              size_t *scavenged, struct gc_span **s)
{
    if (npages >= PAGE_CACHE_LARGEST)
        return 0;
    bool fits = page_cache_has(&store->pages, npages);
    if (store->nspare == 0 || !fits) {
        lock_acquire(&h->lock);
        bool spares = fill_spares_locked(h, store);
        if (spares && !fits)
            refill_pages_locked(h, store, npages);
        lock_release(&h->lock);
        if (!spares)
            return 0;
    }
    uintptr_t base = page_cache_alloc(&store->pages, npages, scavenged);
    if (base)
        *s = store->spares[--store->nspare];
    return base;
}

static uintptr_t alloc_uncached(struct mheap *h, size_t npages, size_t *scavenged,
                                struct gc_span **s)
{
    uintptr_t base = 0;
    lock_acquire(&h->lock);
    *s = fixalloc_alloc(&h->spans);
    if (*s) {
        base = alloc_pages_locked(h, npages, scavenged);
        if (!base)
            fixalloc_free(&h->spans, *s);
    }
    lock_release(&h->lock);
    return base;
}

/* Asks for backing, unless an earlier request was not heard yet. */
static void want_backing(struct mheap *h)
{
    if (h->up.back_ahead && !u32_exchange_release(&h->backing_wanted, 1))
        h->up.back_ahead(h->up.self);
}

/* Notes that the pages [at, stop) of an arena are in use. Returns whether they never were
 * before. */
static bool take_fresh(struct mheap *h, struct arena *a, uintptr_t at, uintptr_t stop)
{
    uintptr_t zeroed = word_load_relaxed(&a->zeroed_base);
    bool fresh = at >= zeroed;
    if (stop <= zeroed)
        return false;
    while (zeroed < stop && !word_cas_relaxed(&a->zeroed_base, zeroed, stop))
        zeroed = word_load_relaxed(&a->zeroed_base);
    if (word_load_relaxed(&a->backed_base) < stop + mheap_back_ahead(h) / 2 &&
        mheap_next_to_back(h, a) != UINTPTR_MAX)
        want_backing(h);
    return fresh;
}

/* Whether the pages are zero: they were never used, or all were given back to the OS. Notes that
 * they are in use. */
static bool pages_are_zero(struct mheap *h, uintptr_t base, size_t npages, size_t scavenged)
{
    uintptr_t end = base + (npages << PAGE_SHIFT);
    bool fresh = true;
    for (uintptr_t at = base; at < end; at = (at | (ARENA_SIZE - 1)) + 1) {
        struct arena *a = arena_of(&h->arenas, at);
        fresh &= take_fresh(h, a, at, MIN_OF(end, a->base + ARENA_SIZE));
    }
    return scavenged == npages || fresh;
}

static void note_class(struct mheap *h, unsigned spanclass)
{
    if (UNLIKELY(!bits_test(h->used_classes, spanclass)))
        word_fetch_or_relaxed(&h->used_classes[spanclass / WORD_BITS],
                              (word)1 << spanclass % WORD_BITS);
}

struct gc_span *mheap_alloc_span(struct mheap *h, struct mheap_store *store, size_t npages,
                                 unsigned spanclass, uint32_t sweepgen, bool *zeroed)
{
    struct gc_span *s = NULL;
    size_t scavenged = 0;
    if (mheap_is_over(h, (uint64_t)npages << PAGE_SHIFT))
        return NULL;
    uintptr_t base = store ? alloc_cached(h, store, npages, &scavenged, &s) : 0;
    if (!base)
        base = alloc_uncached(h, npages, &scavenged, &s);
    if (!base)
        return NULL;
    *zeroed = pages_are_zero(h, base, npages, scavenged);
    span_init(s, arena_of(&h->arenas, base), base, npages, spanclass);
    s->needzero = !*zeroed;
    note_class(h, spanclass);
    if (scavenged > 0)
        hugepages_note_use(&h->huge, base, npages);
    if (*zeroed || scavenged > 0)
        arena_touch_marks(s->arena, base,
                          npages <= SIZECLASS_MAX_PAGES ? span_bytes(s) : PAGE_SIZE);
    /* Release: a late weak_get that sees this generation sees what was cleared when the span was
     * freed. */
    u32_store_release(&s->sweepgen, sweepgen);
    stress(STRESS_SPAN_FRESH);
    span_publish(s, &h->arenas);
    word_fetch_add_relaxed(&h->counts.pages_inuse, npages);
    if (spanclass_noscan(spanclass))
        word_fetch_add_relaxed(&h->counts.pages_noscan, npages);
    word_fetch_add_relaxed(&h->counts.spans_inuse, 1);
    return s;
}

void mheap_free_later(struct mheap *h, struct mheap_dead *dead, struct gc_span *s)
{
    if (dead->n > 0 && (dead->end != s->base || dead->n == ARRAY_LEN(dead->spans)))
        mheap_free_dead(h, dead);
    if (dead->n == 0)
        dead->base = s->base;
    dead->end = span_end(s);
    dead->spans[dead->n++] = s;
    stress(STRESS_SPAN_FREE);
    span_retract(s, &h->arenas);
    word_fetch_sub_relaxed(&h->counts.pages_inuse, s->npages);
    if (spanclass_noscan(s->spanclass))
        word_fetch_sub_relaxed(&h->counts.pages_noscan, s->npages);
    word_fetch_sub_relaxed(&h->counts.spans_inuse, 1);
}

void mheap_free_dead(struct mheap *h, struct mheap_dead *dead)
{
    if (dead->n == 0)
        return;
    lock_acquire(&h->lock);
    pagealloc_free(&h->pages, dead->base, (dead->end - dead->base) >> PAGE_SHIFT);
    while (dead->n > 0)
        fixalloc_free(&h->spans, dead->spans[--dead->n]);
    lock_release(&h->lock);
}

void mheap_free_span(struct mheap *h, struct gc_span *s)
{
    struct mheap_dead dead;
    dead.n = 0;
    mheap_free_later(h, &dead, s);
    mheap_free_dead(h, &dead);
}

void mheap_flush_store(struct mheap *h, struct mheap_store *store)
{
    if (store->pages.free == 0 && store->nspare == 0)
        return;
    lock_acquire(&h->lock);
    pagealloc_cache_flush(&h->pages, &store->pages);
    while (store->nspare > 0)
        fixalloc_free(&h->spans, store->spares[--store->nspare]);
    lock_release(&h->lock);
}

void mheap_note_backed(struct mheap *h, uintptr_t base, size_t size)
{
    lock_acquire(&h->lock);
    pagealloc_note_backed(&h->pages, base, size >> PAGE_SHIFT);
    lock_release(&h->lock);
}

/* So many pages are released at once that whole pages of their maps can be released too. */
#define SCAVENGE_STEP 256

/* Returns how many pages were released; 0: there are none, or the OS refused. */
static size_t scavenge_some(struct mheap *h, size_t max_pages)
{
    size_t n = 0;
    bool released = false;
    lock_acquire(&h->huge.scavenge_lock);
    lock_acquire(&h->lock);
    uintptr_t base = pagealloc_scavenge_take(&h->pages, max_pages, &n);
    lock_release(&h->lock);
    if (base) {
        hugepages_note_release(&h->huge, base, n);
        released = os_release((void *)base, n << PAGE_SHIFT);
        arena_release_maps(&h->arenas, base, n << PAGE_SHIFT);
        lock_acquire(&h->lock);
        pagealloc_scavenge_give(&h->pages, base, n, released);
        lock_release(&h->lock);
    }
    lock_release(&h->huge.scavenge_lock);
    return released ? n : 0;
}

size_t mheap_scavenge(struct mheap *h, size_t max_pages)
{
    size_t done = 0, n = 1;
    while (n > 0 && done < max_pages) {
        n = scavenge_some(h, MIN_OF(max_pages - done, (size_t)SCAVENGE_STEP));
        done += n;
    }
    return done;
}

/* ---- Fork ---- */

/* struct gc_heap begins with its mheap (heap.h). This module does not know that struct. */
static struct mheap *mheap_of(gc_heap *heap)
{
    return (struct mheap *)(void *)heap;
}

/* Scavenging gives back the pages that it has taken before it releases its lock. */
static void seize(gc_heap *heap)
{
    struct mheap *h = mheap_of(heap);
    lock_seize(&h->pool.lock);
    lock_seize(&h->huge.scavenge_lock);
    lock_seize(&h->lock);
    lock_seize(&h->persistent.lock);
}

static void release(gc_heap *heap)
{
    struct mheap *h = mheap_of(heap);
    lock_free(&h->persistent.lock);
    lock_free(&h->lock);
    lock_free(&h->huge.scavenge_lock);
    lock_free(&h->pool.lock);
}

const struct fork_part mheap_fork = {MHEAP_FORK_RANKS, .seize = seize, .release = release};
