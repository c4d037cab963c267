#include "allocator/hugepage.h"

#define REGION_PAGES (MHEAP_HUGE_PAGE >> PAGE_SHIFT)
/* Each region that is taken out may cost the process two mappings. Linux allows it 65,530. */
#define MAX_SMALL_REGIONS 16384

void hugepage_want(const struct arena_growth *growth)
{
    os_huge_pages((void *)growth->base, growth->size);
    for (struct arena *a = growth->newest; a; a = a->older)
        a->backed_base = a->base;
}

static uint32_t region_bit(uintptr_t region)
{
    return (uint32_t)1 << ((region & (ARENA_SIZE - 1)) / MHEAP_HUGE_PAGE);
}

/* How many pages of the region are free and given back. */
static size_t count_released(struct mheap *h, uintptr_t region)
{
    lock_acquire(&h->lock);
    size_t n = pagealloc_count_scavenged(&h->pages, region, REGION_PAGES);
    lock_release(&h->lock);
    return n;
}

static void take_out(struct mheap *h, struct arena *a, uintptr_t region)
{
    if (h->small_regions >= MAX_SMALL_REGIONS)
        return;
    os_small_pages((void *)region, MHEAP_HUGE_PAGE);
    u32_store_relaxed(&a->small_regions, a->small_regions | region_bit(region));
    h->small_regions++;
}

static void take_back(struct mheap *h, struct arena *a, uintptr_t region)
{
    os_huge_pages((void *)region, MHEAP_HUGE_PAGE);
    u32_store_relaxed(&a->small_regions, a->small_regions & ~region_bit(region));
    h->small_regions--;
}

static void release_in_region(struct mheap *h, struct arena *a, uintptr_t region, size_t npages)
{
    bool small = a->small_regions & region_bit(region);
    bool wholly = count_released(h, region) + npages == REGION_PAGES;
    if (small && wholly)
        take_back(h, a, region);
    else if (!small && !wholly)
        take_out(h, a, region);
}

void hugepage_note_release(struct mheap *h, uintptr_t base, size_t npages)
{
    uintptr_t end = base + (npages << PAGE_SHIFT), next;
    for (uintptr_t at = base; at < end; at = next) {
        struct arena *a = arena_of(&h->arenas, at);
        uintptr_t region = align_down(at, MHEAP_HUGE_PAGE);
        next = MIN_OF(region + MHEAP_HUGE_PAGE, end);
        if (a->backed_base)
            release_in_region(h, a, region, (next - at) >> PAGE_SHIFT);
    }
}

/* Does not wait while another thread gives memory back. Then the region stays as it is until more
 * of its pages are used or given back. */
static NOINLINE void use_in_region(struct mheap *h, struct arena *a, uintptr_t region)
{
    if (!lock_try(&h->scavenge_lock))
        return;
    if ((a->small_regions & region_bit(region)) && count_released(h, region) == 0)
        take_back(h, a, region);
    lock_release(&h->scavenge_lock);
}

void hugepage_note_use(struct mheap *h, uintptr_t base, size_t npages)
{
    uintptr_t end = base + (npages << PAGE_SHIFT);
    for (uintptr_t at = align_down(base, MHEAP_HUGE_PAGE); at < end; at += MHEAP_HUGE_PAGE) {
        struct arena *a = arena_of(&h->arenas, at);
        if (UNLIKELY(u32_load_relaxed(&a->small_regions) & region_bit(at)))
            use_in_region(h, a, at);
    }
}
