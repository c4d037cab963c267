/* The memory of one heap: arenas, free pages and spans (Go: mheap). Higher layers decide which
 * threads run and which objects are alive. */
#ifndef GC_MHEAP_H
#define GC_MHEAP_H

#include "gcheap.h"
#include "base/forkpart.h"
#include "allocator/hugepage.h"
#include "allocator/sampler.h"
#include "memory/span.h"
#include "memory/spanset.h"

struct mcentral;

/* What the allocator asks of the layers above it. Set once, when the heap is made; `self` is the
 * heap. The calls come from the thread that owns the mcache, in a refill; the first two only while
 * cache->sweeping. */
struct mheap_upcalls {
    void *self;
    /* Sweeps spans of a class until one has a free cell. Returns that span, which the caller then
     * owns, or NULL. */
    struct gc_span *(*sweep_for_cells)(void *self, unsigned spanclass, uint32_t sweepgen);
    /* Sweeps until about npages pages are free, or nothing is left to sweep. */
    void (*reclaim)(void *self, size_t npages);
    /* Called when allocation approaches memory that was never used: some of it should be backed
     * ahead. */
    void (*back_ahead)(void *self);
};

/* Counters to which any thread adds. */
struct mheap_counts {
    uintptr_t pages_inuse;  /* pages of spans in use */
    uintptr_t pages_noscan; /* of these, pages without references */
    uintptr_t spans_inuse;
    /* Totals since the heap was made. What is freed or returned was reported as taken before. So a
     * thread that reads taken_bytes last finds it not less than the other two together. */
    u64 taken_bytes;    /* by runs and large objects; flushed from mcaches */
    u64 returned_bytes; /* rests of runs that were given back */
    u64 freed_bytes;    /* by sweeping */
    u64 external_bytes; /* that objects own outside the heap */
};

/* mheap.run_limit: a run has the cells of a page, but may be cut for a sample. */
#define RUNS_ARE_CUT (UINT32_MAX - 1)

struct mheap {
    struct lock lock; /* LOCK_HEAP: pages, spans, arena growth */
    struct arena_index arenas;
    struct pagealloc pages; /* under lock */
    struct fixalloc spans;  /* under lock */
    struct persistent persistent;
    struct spanset_pool pool;
    size_t mapped_bytes;     /* under lock; address space of arenas */
    size_t hard_limit;       /* 0: none; atomic */
    unsigned huge_pages;     /* GC_HUGE_PAGES, GC_NO_HUGE_PAGES or neither */
    uint32_t backing_wanted; /* a call of back_ahead was not heard yet; atomic */
    uint32_t run_limit; /* debug: the most cells in a run of one type; one that types share gets
                           one cell. Or RUNS_ARE_CUT. 0: those of a page. Atomic */
    struct sampling sampling;
    bool guarded; /* debug: with run_limit, free cells are forbidden (access.h) */
    /* A bit for each span class that ever had a span, set before its first span is in use; atomic.
     * Most heaps use a few of the classes, and a cycle looks at those alone. */
    word used_classes[(SPANCLASS_COUNT + WORD_BITS - 1) / WORD_BITS];
    struct hugepages huge;
    struct mheap_upcalls up;
    /* The generation in force. The cycle writes it when FLIP begins (release). A P goes by its own
     * view of it; see mcache.h. */
    uint32_t sweepgen CACHE_ALIGNED;
    struct mheap_counts counts CACHE_ALIGNED;
    struct mcentral *centrals; /* SPANCLASS_COUNT of them, in gc_heap; see mcentral.h */
};

#define MHEAP_SPARE_SPANS 16
/* Pages and span structs that one P has in store, so that it rarely needs the heap lock. Owner: the
 * owner of the P's cache. */
struct mheap_store {
    struct page_cache pages;
    struct gc_span *spares[MHEAP_SPARE_SPANS]; /* dead ones, for spans from `pages` */
    unsigned nspare;
};

/* Bytes allocated since the heap was made. Open runs count as allocated. */
INLINE uint64_t mheap_allocated_bytes(const struct mheap *h)
{
    uint64_t returned = u64_load_acquire(&h->counts.returned_bytes);
    return u64_load_relaxed(&h->counts.taken_bytes) - returned;
}

/* Bytes allocated and not yet found dead. */
INLINE size_t mheap_live_bytes(const struct mheap *h)
{
    uint64_t freed = u64_load_acquire(&h->counts.freed_bytes);
    freed += u64_load_acquire(&h->counts.returned_bytes);
    return (size_t)(u64_load_relaxed(&h->counts.taken_bytes) - freed);
}

/* The first span class from `from` on that ever had a span; SPANCLASS_COUNT: there is none. */
INLINE unsigned mheap_next_class(const struct mheap *h, unsigned from)
{
    return (unsigned)bits_find_set(h->used_classes, from, SPANCLASS_COUNT);
}

/* How much unused memory is backed ahead where huge pages are wanted: a 32nd of what is in use, but
 * 4 to 16 MiB. It stays resident even if it is not used. */
INLINE size_t mheap_back_ahead(const struct mheap *h)
{
    size_t part = word_load_relaxed(&h->counts.pages_inuse) << PAGE_SHIFT >> 5;
    return MIN_OF(MAX_OF(part, (size_t)4 << 20), (size_t)16 << 20);
}

/* The huge page of an arena that is to be backed next; UINTPTR_MAX: none is wanted yet. It is not
 * one that allocation is about to reach: the thread that allocates would make the OS zero it a
 * second time. */
INLINE uintptr_t mheap_next_to_back(const struct mheap *h, const struct arena *a)
{
    uintptr_t used = word_load_relaxed(&a->zeroed_base), end = word_load_relaxed(&a->end);
    uintptr_t backed = word_load_relaxed(&a->backed_base);
    uintptr_t at = backed > used ? backed : align_up(used + HUGEPAGE_SIZE / 2, HUGEPAGE_SIZE);
    uintptr_t stop = MIN_OF(used + mheap_back_ahead(h), end);
    return backed && used > a->base && at + HUGEPAGE_SIZE <= stop ? at : UINTPTR_MAX;
}

#define MHEAP_FORK_RANKS                                                                           \
    (LOCK_BIT(LOCK_SPANSET_POOL) | LOCK_BIT(LOCK_SCAVENGE) | LOCK_BIT(LOCK_HEAP) |                 \
     LOCK_BIT(LOCK_PERSISTENT))
extern const struct fork_part mheap_fork;

/* Whether the heap, with `more` bytes, is beyond its hard limit. */
bool mheap_is_over(const struct mheap *h, uint64_t more);

/* Returns 0, or a negative errno; then nothing is held. reserve: see gc_options. */
int mheap_init(struct mheap *h, const gc_options *options);
void mheap_destroy(struct mheap *h);

/* Makes a span and puts it in use: a small one (npages from its class) or a large one (spanclass of
 * size class 0), with this sweepgen. NULL: no memory. *zeroed: all its memory is zero. `store` may
 * be NULL. */
struct gc_span *mheap_alloc_span(struct mheap *h, struct mheap_store *store, size_t npages,
                                 unsigned spanclass, uint32_t sweepgen, bool *zeroed);
/* Gives the span's pages back. The caller owns the span and has cleared its alloc bits. */
void mheap_free_span(struct mheap *h, struct gc_span *s);

/* Spans that lie side by side, [base, end), and are dead. Their pages go back together, as each
 * change of the free pages costs a lock and the path to the top of their tree. */
struct mheap_dead {
    uintptr_t base, end;
    size_t n;
    struct gc_span *spans[WORD_BITS];
};
/* The same as mheap_free_span, but the pages may go back later: at the next span that is not a
 * neighbour, or with mheap_free_dead. `dead` begins with n = 0. */
void mheap_free_later(struct mheap *h, struct mheap_dead *dead, struct gc_span *s);
void mheap_free_dead(struct mheap *h, struct mheap_dead *dead);

/* Notes that memory which was never used is backed. Pages of it that stay free may go back to the
 * OS. */
void mheap_note_backed(struct mheap *h, uintptr_t base, size_t size);

/* Takes back what is in a store. */
void mheap_flush_store(struct mheap *h, struct mheap_store *store);

/* Gives up to max_pages free pages back to the OS; returns how many. */
size_t mheap_scavenge(struct mheap *h, size_t max_pages);

/* The span that contains a heap address, or NULL. Any thread. The answer may be stale at once,
 * unless the caller keeps an object in the span alive. */
INLINE struct gc_span *mheap_span_of(const struct mheap *h, uintptr_t address)
{
    struct arena *a = arena_of(&h->arenas, address);
    if (!a || u16_load_acquire(&a->page_tag[arena_page(address)]) == PAGE_CLASS_FREE)
        return NULL;
    return ptr_load_relaxed(&a->spans[arena_page(address)]);
}

#endif
