/* A walk over the objects of one page that refer to each other: which were found, and which are to
 * be scanned. All of it is the marker's own. */
#ifndef GC_PAGEWALK_H
#define GC_PAGEWALK_H

#include "memory/arena.h"

/* What a marker has marked on the page that it scans, and has not published yet. Neighbours often
 * refer to each other, and one atomic or publishes all marks that share a map word. Until then the
 * marker is active, and no other thread relies on these marks (I5). A thread that marks one of the
 * objects meanwhile queues it too, and it is scanned twice. */
#define WALK_WORDS (PAGE_WORDS / WORD_BITS)
struct page_walk {
    word fresh[WALK_WORDS];
    size_t n;                      /* number of objects to scan */
    uint16_t stack[PAGE_WORDS];    /* where they begin, in words */
    uint16_t grey[PAGE_WORDS / 2]; /* the same of those that were grey when the walk began */
};

/* A page that is being scanned. */
struct walked {
    uintptr_t base;
    uintptr_t lead;       /* how far into its span it lies */
    uint32_t size, magic; /* of page_class_info */
    word *marks;          /* its mark words */
    uintptr_t next;       /* object to scan before those on the stack; 0: none */
    word plain_mask;
    size_t scanned, greys; /* of page_walk.grey: how many were scanned, how many there are */
};

INLINE struct walked walk_begin(const struct arena *a, uintptr_t at)
{
    uint16_t tag = arena_tag(a, at);
    const struct page_class_info *info = &page_class_info[page_tag_class(tag)];
    uintptr_t base = at & ~(PAGE_SIZE - 1);
    return (struct walked){.base = base,
                           .lead = page_tag_offset(tag) << PAGE_SHIFT,
                           .size = info->size,
                           .magic = info->magic,
                           .plain_mask = info->plain_mask,
                           .marks = (word *)&a->mark[arena_bit(base) / WORD_BITS]};
}

/* Whether a cell begins at this offset on the page. If so, the low half of the product with the
 * magic number, which belongs to the remainder, is small (Lemire, Kaser, Kurz: Faster remainder by
 * direct computation). */
INLINE bool walk_is_cell(const struct walked *page, uintptr_t offset)
{
    return (uint32_t)((uint64_t)(offset + page->lead) * page->magic) < page->magic;
}

/* The offset on the page at which the cell with this offset begins. A result beyond PAGE_SIZE: on
 * the page before. Most offsets are starts of cells. */
INLINE uintptr_t walk_cell(const struct walked *page, uintptr_t offset)
{
    if (LIKELY(walk_is_cell(page, offset)))
        return offset;
    uint64_t product = (uint64_t)(offset + page->lead) * page->magic;
    return (uintptr_t)(product >> 32) * page->size - page->lead;
}

/* Follows an edge to the page itself. false: its object begins on the page before. */
INLINE bool walk_edge(struct page_walk *w, struct walked *page, uintptr_t address)
{
    uintptr_t offset = walk_cell(page, address - page->base);
    if (UNLIKELY(offset >= PAGE_SIZE))
        return false;
    size_t at = offset >> WORD_SHIFT, i = at / WORD_BITS;
    word mask = (word)1 << at % WORD_BITS, fresh = w->fresh[i];
    if ((word_load_relaxed(&page->marks[i]) | fresh) & mask)
        return true;
    w->fresh[i] = fresh | mask;
    if (page->next)
        w->stack[w->n++] = (uint16_t)((page->next - page->base) >> WORD_SHIFT);
    page->next = page->base + offset;
    return true;
}

/* The next object on the page to scan, or 0. */
INLINE uintptr_t walk_next(struct page_walk *w, struct walked *page)
{
    uintptr_t at = page->next;
    page->next = 0;
    if (at)
        return at;
    if (w->n > 0)
        return page->base + ((uintptr_t)w->stack[--w->n] << WORD_SHIFT);
    if (page->scanned < page->greys)
        return page->base + ((uintptr_t)w->grey[page->scanned++] << WORD_SHIFT);
    return 0;
}

#endif
