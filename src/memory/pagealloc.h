/* Free pages: address-ordered first fit over bitmaps of 512-page chunks, under a radix tree of
 * packed (start, max, end) summaries; and a cache of 64 pages that a P owns (Go: mpagealloc.go,
 * mpallocbits.go, mpagecache.go). This file only keeps the books: it never touches the pages.
 *
 * A page is named by its address. The allocator covers [0, 2^ADDRESS_BITS) sparsely. Go reserves
 * address space for the whole tree; here, the tables of each 16 GiB are mapped when the first arena
 * comes to lie there. The OS backs the tables as they are touched; those of a first arena lie on
 * one page.
 *
 * All calls need the heap lock, except those on the fields of a page cache alone.
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
    size_t scavenged_pages;   /* free pages that the OS does not back */
    size_t metadata;          /* bytes of tables that are backed, estimated */
    unsigned unit;            /* pages in a page of the OS; 1 if that is not larger */
};

/* A P's 64 aligned pages. `free` has the bits of the free ones; `scavenged` those of the free ones
 * that are not backed. */
struct page_cache {
    uintptr_t base;
    uint64_t free, scavenged;
};

_Static_assert(PAGE_CACHE_PAGES == 8 * sizeof((struct page_cache *)0)->free, "a bit for each page");

bool pagealloc_init(struct pagealloc *p); /* false: no memory; nothing is held */
void pagealloc_destroy(struct pagealloc *p);

/* Adds [base, base + size) as free, scavenged pages. Both are multiples of 4 MiB; the range lies
 * below 2^ADDRESS_BITS. false: no memory for tables; nothing has changed. */
bool pagealloc_grow(struct pagealloc *p, uintptr_t base, size_t size);

/* Takes npages adjacent pages at the lowest address possible. Returns 0 if there are none.
 * *scavenged: how many of them are not backed. */
uintptr_t pagealloc_alloc(struct pagealloc *p, size_t npages, size_t *scavenged);
/* The same for pages that lie in one block of `block` pages. Blocks are aligned to their size, a
 * power of two that is not less than npages. */
uintptr_t pagealloc_alloc_within(struct pagealloc *p, size_t npages, size_t block,
                                 size_t *scavenged);
/* Frees pages, which are backed (dirty). */
void pagealloc_free(struct pagealloc *p, uintptr_t base, size_t npages);

/* Fills an empty cache with the free pages of the first 64-page block that has npages (1…64)
 * adjacent ones. The cache's base is 0 if there is none. */
void pagealloc_cache_fill(struct pagealloc *p, struct page_cache *cache, size_t npages);
void pagealloc_cache_flush(struct pagealloc *p, struct page_cache *cache);
/* Whether there are npages (1…64) adjacent pages in the cache; the second call takes them, or
 * returns 0. The cache's owner calls, without a lock. */
bool page_cache_has(const struct page_cache *cache, size_t npages);
uintptr_t page_cache_alloc(struct page_cache *cache, size_t npages, size_t *scavenged);

/* Takes up to max_pages free pages of one chunk, at the highest addresses, and returns where they
 * are; 0: there are none. They are whole pages of the OS, one at least; each is backed at least in
 * part. The caller gives them back to the OS without the lock, and then calls
 * pagealloc_scavenge_give. */
uintptr_t pagealloc_scavenge_take(struct pagealloc *p, size_t max_pages, size_t *npages);
/* Notes that these pages were backed ahead of use: those that are free are not scavenged any
 * more. */
void pagealloc_note_backed(struct pagealloc *p, uintptr_t base, size_t npages);
/* Puts taken pages back as free. `released` says whether the OS has taken what backed them. */
void pagealloc_scavenge_give(struct pagealloc *p, uintptr_t base, size_t npages, bool released);

/* How many pages of the range are free and scavenged. */
size_t pagealloc_count_scavenged(const struct pagealloc *p, uintptr_t base, size_t npages);

/* Whether all pages of the range are free. For tests and the verifier. */
bool pagealloc_is_free(struct pagealloc *p, uintptr_t base, size_t npages);
/* Checks every summary against its children, and every count; panics at a fault. Slow. */
void pagealloc_check(struct pagealloc *p);

#endif
