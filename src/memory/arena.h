/* Arenas: 64 MiB of address space each (4 MiB on 32-bit hosts), with their metadata off the heap
 * (Go: heapArena). An address leads to its arena through an index with one entry per arena of the
 * address space, read without a lock; see docs/architecture.md for the picture.
 */
#ifndef GC_ARENA_H
#define GC_ARENA_H

#include "base/bits.h"
#include "base/os.h"
#include "memory/sizeclass.h"

struct gc_span;

#define ARENA_BITMAP_WORDS (ARENA_WORDS / WORD_BITS)
#define ARENA_PAGE_WORDS (ARENA_PAGES / WORD_BITS)

/* A page's tag: its class, and its index in a small span; 0 in a large one. */
INLINE uint16_t page_tag_make(unsigned page_class, size_t offset)
{
    return (uint16_t)(page_class | offset << 8);
}
INLINE unsigned page_tag_class(uint16_t tag)
{
    return tag & 0xff;
}
INLINE size_t page_tag_offset(uint16_t tag)
{
    return tag >> 8;
}

/* One arena's metadata. Backed by the OS page by page as it is touched, so memory without
 * pointers never backs `heap`. The three big maps do not lie a multiple of 4 KiB apart: an
 * object's words in them would compete for the same cache sets.
 *
 * alloc, heap: written by the span's owner (the P that caches it, or its sweeper), word by word,
 *   relaxed; read by anyone.
 * mark: set by anyone with atomic or; cleared by the span's sweeper only.
 * spans: written when a span is set up, under nobody's eyes; page_tag last (release).
 * page_in_use, page_specials: atomic or/and; bit of a span's first page.
 * page_marks: atomic or/and; a span has a marked object if the bit of any of its pages is set.
 */
struct arena {
    word mark[ARENA_BITMAP_WORDS];
    uint16_t page_tag[ARENA_PAGES];
    word page_in_use[ARENA_PAGE_WORDS];
    word page_marks[ARENA_PAGE_WORDS];
    word page_specials[ARENA_PAGE_WORDS];
    struct arena *older; /* made before this one; see arena_index.newest */
    uintptr_t base;
    uintptr_t zeroed_base;  /* pages from here on were never used; atomic, it only grows */
    uintptr_t backed_base;  /* huge pages are wanted, and pages up to here backed ahead; or 0;
                               atomic, the backing thread's once the arena is listed */
    uint32_t small_regions; /* a bit per 2 MiB: taken out of huge pages; see hugepage.h. Written
                               under scavenge_lock, read by anyone */
    uintptr_t
        marked_base;  /* the mark bits of pages up to here are backed ahead; the same thread's */
    word *checkmarks; /* a second mark bitmap, while the verifier runs; else NULL */
    char pad1[4096 + CACHE_LINE];
    word heap[ARENA_BITMAP_WORDS];
    char pad2[4096 + CACHE_LINE];
    word alloc[ARENA_BITMAP_WORDS];
    struct gc_span *spans[ARENA_PAGES]; /* page -> span */
};

#define ARENA_INDEX_SIZE ((size_t)1 << (ADDRESS_BITS - ARENA_SHIFT))

/* Entries are written under the heap lock with release, and stay: what may still be refused is not
 * in the index, as readers take no lock. All arenas lie in `bounds`, one word, so that nobody sees
 * half of a change: in its low half the number of the first entry, in its high half how many
 * entries from there on there may be. */
struct arena_index {
    struct arena **map;
    word bounds;           /* atomic */
    size_t count;          /* arenas made */
    struct arena *newest;  /* of a list of all; written under the heap lock with release */
    uintptr_t next_hint;   /* where to ask for the next arena; under the heap lock */
    uintptr_t reserve_end; /* options.reserve: end of the one reservation; else 0 */
};

bool arena_index_init(struct arena_index *index);
/* Unmaps all arenas and their metadata. */
void arena_index_destroy(struct arena_index *index);

/* Reserves `size` bytes (a multiple of ARENA_SIZE) at once: arenas are then taken from there only.
 * The linear model: one contiguous heap. */
bool arena_reserve_linear(struct arena_index *index, size_t size);

/* New arenas, which nobody knows yet. */
struct arena_growth {
    uintptr_t base;
    size_t size;
    struct arena *newest; /* of a list of all of them */
};
/* Makes arenas for `size` more contiguous bytes (rounded up), next to the last one where the OS
 * lets us. Heap lock held. */
bool arena_grow(struct arena_index *index, size_t size, bool huge_tables,
                struct arena_growth *growth);
/* Either gives them back; */
void arena_ungrow(struct arena_index *index, const struct arena_growth *growth);
/* or puts them into the index, where they stay. Heap lock held. */
void arena_publish(struct arena_index *index, const struct arena_growth *growth);

/* The mark bits of `size` bytes, 256 KiB at most, are backed by the OS when this returns: the first
 * to mark there may be in a handshake, which a page of the map that nobody has touched would hold
 * up twice, once reading and once writing. Any thread. */
void arena_touch_marks(struct arena *a, uintptr_t base, size_t size);

/* Gives back what the maps take for pages in which no span lies, nor will meanwhile: their bits are
 * 0, or of no meaning (`heap`). */
void arena_release_maps(const struct arena_index *index, uintptr_t base, size_t size);

/* What so many arenas' metadata take when npages of their pages are backed: an estimate, for the OS
 * backs the maps by pages of its own. */
size_t arena_metadata_bytes(size_t arenas, size_t npages);

#define ARENA_BOUNDS_SHIFT (WORD_BITS / 2)
INLINE word arena_first(word bounds)
{
    return bounds & (((word)1 << ARENA_BOUNDS_SHIFT) - 1);
}
INLINE word arena_span(word bounds)
{
    return bounds >> ARENA_BOUNDS_SHIFT;
}
/* All arenas lie in [low, high). Any thread. */
INLINE uintptr_t arena_low(const struct arena_index *index)
{
    return arena_first(word_load_acquire(&index->bounds)) << ARENA_SHIFT;
}
INLINE uintptr_t arena_high(const struct arena_index *index)
{
    word bounds = word_load_acquire(&index->bounds);
    return (arena_first(bounds) + arena_span(bounds)) << ARENA_SHIFT;
}

/* NULL for an address outside the heap. Any thread. A caller that got `address` from a slot sees
 * the arena that it lies in: the arena was published before the object. */
INLINE struct arena *arena_of(const struct arena_index *index, uintptr_t address)
{
    word bounds = word_load_relaxed(&index->bounds), i = address >> ARENA_SHIFT;
    if (i - arena_first(bounds) >= arena_span(bounds))
        return NULL;
    return ptr_load_acquire(&index->map[i]);
}

INLINE size_t arena_page(uintptr_t address)
{
    return (address & (ARENA_SIZE - 1)) >> PAGE_SHIFT;
}
INLINE uint16_t arena_tag(const struct arena *a, uintptr_t address)
{
    return u16_load_relaxed(&a->page_tag[arena_page(address)]);
}

/* The base of the next arena behind `address`, or UINTPTR_MAX: there may be much space between two.
 * Any thread. */
uintptr_t arena_after(const struct arena_index *index, uintptr_t address);

/* A marked object begins at this address. */
INLINE void arena_note_mark(struct arena *a, uintptr_t address)
{
    size_t page = arena_page(address);
    word *map = &a->page_marks[page / WORD_BITS], mask = (word)1 << page % WORD_BITS;
    if (UNLIKELY(!(word_load_relaxed(map) & mask)))
        word_fetch_or_relaxed(map, mask);
}

/* Index of an address's bit in the three maps. */
INLINE size_t arena_bit(uintptr_t address)
{
    return (address & (ARENA_SIZE - 1)) >> WORD_SHIFT;
}

/* The start of the slot that contains `address`, a small object's interior or start on a page with
 * this tag. The result may lie past the last slot of a span: callers that take addresses
 * from outside check the alloc bit. */
INLINE uintptr_t arena_slot_start(uintptr_t address, uint16_t tag)
{
    const struct page_class_info *info = &page_class_info[page_tag_class(tag)];
    uintptr_t span = (address & ~(PAGE_SIZE - 1)) - (page_tag_offset(tag) << PAGE_SHIFT);
    uint64_t slot = (uint64_t)(address - span) * info->magic >> 32;
    return span + (uintptr_t)slot * info->size;
}

#endif
