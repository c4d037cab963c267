/* Arenas: 64 MiB of address space each (4 MiB on 32-bit hosts), with their metadata off the heap
 * (Go: heapArena). The newest one may be reserved in part, as small programs need little. An index
 * leads from an address to its arena. It is read without a lock. docs/architecture.md has a
 * picture. */
#ifndef GC_ARENA_H
#define GC_ARENA_H

#include "base/bits.h"
#include "base/os.h"
#include "memory/sizeclass.h"

struct gc_span;
struct arena_notes;

#define ARENA_BITMAP_WORDS (ARENA_WORDS / WORD_BITS)
#define ARENA_PAGE_WORDS (ARENA_PAGES / WORD_BITS)

/* A page's tag: its page class, and the page's index in a small span (0 in a large one). */
_Static_assert(SIZECLASS_MAX_PAGES <= 1 << (16 - PAGE_CLASS_BITS), "an index fits in its bits");
INLINE uint16_t page_tag_make(unsigned page_class, size_t offset)
{
    return (uint16_t)(page_class | offset << PAGE_CLASS_BITS);
}
INLINE unsigned page_tag_class(uint16_t tag)
{
    return tag & ((1u << PAGE_CLASS_BITS) - 1);
}
INLINE size_t page_tag_offset(uint16_t tag)
{
    return tag >> PAGE_CLASS_BITS;
}

/* The value that a slot should have, as far as stores are known. */
struct slot_note {
    word value;
    uint32_t look;   /* in which it was last stored to; see checks.h */
    uint32_t writer; /* by which thread */
};

/* What debug switches note of each word; see notes.h. The OS backs each part as it is touched. An
 * object's notes stand at its first word. */
struct arena_notes {
    word dead[ARENA_BITMAP_WORDS]; /* in quarantine: the object is dead, its alloc bit is set.
                                      Written by the span's sweeper, relaxed */
    uint32_t cycle[ARENA_WORDS];   /* in which it was made, or found dead; its owner's */
    uint32_t site[ARENA_WORDS];    /* who allocated it, see site.h; its thread's. Atomic */
    uint8_t rest[ARENA_WORDS];     /* words of its cell behind it that are 0; its thread's */
    struct slot_note slots[ARENA_WORDS];
};

/* One arena's metadata. The OS backs it page by page as it is touched, so memory without references
 * never backs `heap`. The distances between the three big maps are not multiples of 4 KiB. If they
 * were, an object's words in the three maps would compete for the same cache sets.
 *
 * alloc, heap: written by the span's owner (the P that caches it, or its sweeper), word by word,
 *   relaxed; read by any thread.
 * mark: set by any thread with atomic or; cleared by the span's sweeper only.
 * spans: written when a span is set up, before any thread can find it; page_tag last (release).
 * page_in_use, page_specials: atomic or/and; the bit of a span's first page.
 * page_grey: atomic or/and; a marker holds the page, or it is queued (I35).
 * page_marks: atomic or/and; a span has a marked object if the bit of any of its pages is set.
 */
struct arena {
    word mark[ARENA_BITMAP_WORDS];
    uint16_t page_tag[ARENA_PAGES];
    word page_in_use[ARENA_PAGE_WORDS];
    word page_marks[ARENA_PAGE_WORDS];
    word page_specials[ARENA_PAGE_WORDS];
    word page_grey[ARENA_PAGE_WORDS];
    struct arena *older; /* the arena that was made before this one; see arena_index.newest */
    uintptr_t base;
    uintptr_t end;          /* the part [base, end) is reserved; atomic, never falls. Written under
                               the heap lock */
    uintptr_t zeroed_base;  /* pages from here on were never used; atomic, never falls */
    uintptr_t backed_base;  /* 0: no huge pages are wanted; else pages up to here are backed ahead.
                               Atomic; the backing thread writes it once the arena is listed */
    uint32_t small_regions; /* a bit per 2 MiB that is taken out of huge pages; see hugepage.h.
                               Written under scavenge_lock, read by any thread */
    uintptr_t marked_base;  /* mark bits are backed ahead up to here; likewise */
    word *checkmarks;       /* a second mark bitmap, while the verifier runs; else NULL */
    word *survivors;        /* what the last cycle marked, under the switch ages; else NULL */
    struct arena_notes *notes; /* of debug switches, see notes.h; NULL: none. Atomic */
    char pad1[4096 + CACHE_LINE];
    word heap[ARENA_BITMAP_WORDS];
    char pad2[4096 + CACHE_LINE];
    word alloc[ARENA_BITMAP_WORDS];
    struct gc_span *spans[ARENA_PAGES]; /* page -> span */
};

/* The OS is asked for multiples of this. */
#define ARENA_STEP MIN_OF(ARENA_SIZE, (size_t)4 << 20)

/* By the number of an arena, which is address >> ARENA_SHIFT. */
struct arena_map {
    struct arena **entries;
    size_t count;
};
/* The map has an entry for each arena of the address space, or of its first 16 TiB if the heap's
 * first arena lies there; then all others do. */
#define ARENA_MAP_ALL ((size_t)1 << (ADDRESS_BITS - ARENA_SHIFT))
#define ARENA_MAP_PART MIN_OF(ARENA_MAP_ALL, (size_t)1 << 18)

/* Entries are written under the heap lock with release, and stay. Readers take no lock, so an arena
 * is entered only when nothing can fail any more. All arenas lie in `bounds`. It is one word, so
 * that no reader sees half of a change: its low half is the number of the first entry, its high
 * half says how many entries there may be from there on. */
struct arena_index {
    struct arena_map map;  /* atomic; set once, when the first arena is published: `entries`, then
                              `count` */
    word bounds;           /* atomic */
    size_t count;          /* arenas made */
    struct arena *newest;  /* head of the list of all; heap lock, release */
    uintptr_t next_hint;   /* where the newest arena's reserved part ends; under the heap lock */
    uintptr_t reserve_end; /* end of the reservation that options.reserve asked for; else 0 */
};

void arena_index_init(struct arena_index *index);
/* Unmaps all arenas and their metadata. */
void arena_index_destroy(struct arena_index *index);

/* Reserves `size` bytes (a multiple of ARENA_SIZE) at once. All arenas are then taken from there:
 * the heap is contiguous (the linear model). */
bool arena_reserve_linear(struct arena_index *index, size_t size);

/* A range of address space that the heap does not use yet. */
struct arena_growth {
    uintptr_t base;
    size_t size;
    struct arena *extended; /* the newest arena, if the range begins in it; else NULL */
    struct arena *newest;   /* head of a list of the new arenas, which are not in the index yet */
    struct arena_map map;   /* for the index, if these arenas are its first; else without entries */
};
/* Reserves `size` more contiguous bytes (rounded up), next to the last ones if the OS allows it,
 * and makes the arenas that they need. The first arena grows from ARENA_STEP by doubling. Then call
 * either arena_ungrow or arena_publish. Heap lock held. */
bool arena_grow(struct arena_index *index, size_t size, bool huge_tables,
                struct arena_growth *growth);
/* Gives the range and the new arenas back. */
void arena_ungrow(struct arena_index *index, const struct arena_growth *growth);
/* Puts the range and the new arenas into the index, where they stay. Heap lock held. */
void arena_publish(struct arena_index *index, const struct arena_growth *growth);

/* Makes the OS back the mark bits of `size` bytes, 256 KiB at most. The first thread that marks
 * there may be in a handshake. A page of the map that was never touched would hold it up twice: at
 * the first read and at the first write. Any thread. */
void arena_touch_marks(struct arena *a, uintptr_t base, size_t size);

/* Gives back what backs the maps of pages in which no span lies. The caller keeps spans from being
 * put there meanwhile. The bits of such pages are 0, or mean nothing (`heap`). */
void arena_release_maps(const struct arena_index *index, uintptr_t base, size_t size);

/* How many bytes the metadata of so many arenas take when npages of their pages are backed, of
 * which `noscan` have no heap bits. It is an estimate, as the OS backs the maps by pages of its
 * own. */
size_t arena_metadata_bytes(size_t arenas, size_t npages, size_t noscan);

#define ARENA_BOUNDS_SHIFT (WORD_BITS / 2)
_Static_assert(ADDRESS_BITS - ARENA_SHIFT < ARENA_BOUNDS_SHIFT, "half a word numbers all arenas");
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
    return arena_first(word_load_relaxed(&index->bounds)) << ARENA_SHIFT;
}
INLINE uintptr_t arena_high(const struct arena_index *index)
{
    word bounds = word_load_relaxed(&index->bounds);
    return (arena_first(bounds) + arena_span(bounds)) << ARENA_SHIFT;
}

/* For lookups in a loop: the copy stays in registers. */
INLINE struct arena_map arena_map_of(const struct arena_index *index)
{
    size_t count = word_load_acquire(&index->map.count);
    return (struct arena_map){ptr_load_relaxed(&index->map.entries), count};
}
/* The arena of an address that lies in the heap. */
INLINE struct arena *arena_at(struct arena_map map, uintptr_t address)
{
    return ptr_load_acquire(&map.entries[address >> ARENA_SHIFT]);
}
/* The arena of any address; NULL: it lies outside the heap. A caller that got `address` from a slot
 * sees its arena, because the arena was published before the object. */
INLINE struct arena *arena_find(struct arena_map map, uintptr_t address)
{
    return LIKELY(address >> ARENA_SHIFT < map.count) ? arena_at(map, address) : NULL;
}
/* The same. Any thread. */
INLINE struct arena *arena_of(const struct arena_index *index, uintptr_t address)
{
    return arena_find(arena_map_of(index), address);
}

INLINE size_t arena_page(uintptr_t address)
{
    return (address & (ARENA_SIZE - 1)) >> PAGE_SHIFT;
}
INLINE uint16_t arena_tag(const struct arena *a, uintptr_t address)
{
    return u16_load_relaxed(&a->page_tag[arena_page(address)]);
}

/* The base of the next arena behind `address`, or UINTPTR_MAX. There may be much space between two
 * arenas. Any thread. */
uintptr_t arena_after(const struct arena_index *index, uintptr_t address);

/* Notes that a marked object begins at this address. */
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

/* The start of the cell that contains `address`, which lies on a page of a small span with this
 * tag. The result may lie past the last cell of the span, so callers that take addresses from
 * outside check the alloc bit. */
INLINE uintptr_t arena_cell_start(uintptr_t address, uint16_t tag)
{
    const struct page_class_info *info = &page_class_info[page_tag_class(tag)];
    uintptr_t span = (address & ~(PAGE_SIZE - 1)) - (page_tag_offset(tag) << PAGE_SHIFT);
    uint64_t cell = (uint64_t)(address - span) * info->magic >> 32;
    return span + (uintptr_t)cell * info->size;
}

#endif
