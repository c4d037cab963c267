/* Free pages: address-ordered first fit over bitmaps of 512-page chunks, under a radix tree of
 * packed (start, max, end) summaries; and a cache of 64 pages that a P owns (Go: mpagealloc.go,
 * mpallocbits.go, mpagecache.go). Pure bookkeeping: it never touches the pages themselves.
 *
 * A page is named by its address. The allocator covers [0, 2^ADDRESS_BITS) sparsely: where Go
 * reserves address space for the whole tree, the tables of each 16 GiB that hold an arena are
 * mapped here when the first one comes. The OS backs them as they are touched; those of a first
 * arena lie on one page.
 *
 * All calls but those on a page cache's own fields need the heap lock.
 */
#ifndef GC_PAGEALLOC_H
#define GC_PAGEALLOC_H

#include "base/bits.h"
#include "base/os.h"

#define CHUNK_PAGES 512
#define PAGE_CACHE_PAGES 64

struct page_roots;

/* `search`, `low` and `high` are page numbers: address >> PAGE_SHIFT. */
struct pagealloc {
    struct page_roots *roots; /* the top level of the tree, one entry per 16 GiB */
    size_t search;            /* no free page below this one */
    size_t low, high;         /* pages ever grown lie in [low, high) */
    size_t free_pages;        /* neither allocated nor in a cache */
    size_t scavenged_pages;   /* of the free ones: those the OS does not back */
    size_t metadata;          /* bytes of tables that are backed, estimated */
    unsigned unit;            /* pages to one of the OS's; 1 if that is no larger */
};

/* A P's 64 aligned pages: bit set in `free` = free, in `scavenged` = free and unbacked. */
struct page_cache {
    uintptr_t base;
    uint64_t free, scavenged;
};

bool pagealloc_init(struct pagealloc *p); /* false: no memory; nothing is held */
void pagealloc_destroy(struct pagealloc *p);

/* Adds [base, base + size) as free, scavenged pages; multiples of 4 MiB, below 2^ADDRESS_BITS.
 * false: no memory for tables; nothing changed. */
bool pagealloc_grow(struct pagealloc *p, uintptr_t base, size_t size);

/* npages adjacent pages, lowest address first; 0 when there are none. *scavenged: how many of them
 * were unbacked. */
uintptr_t pagealloc_alloc(struct pagealloc *p, size_t npages, size_t *scavenged);
/* The same for pages that lie in one block of `block` pages, npages or more, aligned to its size (a
 * power of two). */
uintptr_t pagealloc_alloc_within(struct pagealloc *p, size_t npages, size_t block,
                                 size_t *scavenged);
/* The pages are backed (dirty). */
void pagealloc_free(struct pagealloc *p, uintptr_t base, size_t npages);

/* Fills an empty cache with the free pages of the first 64-page block that has 1…64 adjacent ones;
 * its base is 0 if there is none. */
void pagealloc_cache_fill(struct pagealloc *p, struct page_cache *cache, size_t npages);
void pagealloc_cache_flush(struct pagealloc *p, struct page_cache *cache);
/* Whether there are 1…64 adjacent pages in the cache; takes them, or returns 0. No lock: the
 * cache's owner calls. */
bool page_cache_has(const struct page_cache *cache, size_t npages);
uintptr_t page_cache_alloc(struct page_cache *cache, size_t npages, size_t *scavenged);

/* Finds up to max_pages free pages in one chunk, highest addresses first, marks them taken, and
 * says where; 0 when there are none. They are whole pages of the OS, one at least, and each holds
 * some that are backed. The caller gives them back to the OS without the lock, then calls
 * pagealloc_scavenge_give. */
uintptr_t pagealloc_scavenge_take(struct pagealloc *p, size_t max_pages, size_t *npages);
/* Pages were backed ahead of use: those that are free are no longer scavenged. */
void pagealloc_note_backed(struct pagealloc *p, uintptr_t base, size_t npages);
/* Puts taken pages back as free; `released` says whether the OS took what backed them. */
void pagealloc_scavenge_give(struct pagealloc *p, uintptr_t base, size_t npages, bool released);

/* Pages of the range that are free and scavenged. */
size_t pagealloc_count_scavenged(const struct pagealloc *p, uintptr_t base, size_t npages);

/* Whether all pages of the range are free. For tests and the verifier. */
bool pagealloc_is_free(struct pagealloc *p, uintptr_t base, size_t npages);
/* Every summary against its children, every count; panics at a fault. Slow. */
void pagealloc_check(struct pagealloc *p);

#endif
