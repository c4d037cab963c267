#include "allocator/hugepage.h"

#define REGION_PAGES (HUGEPAGE_SIZE >> PAGE_SHIFT)
/* Each region that is taken out may cost the process two mappings. Linux allows it 65,530. */
#define MAX_SMALL_REGIONS 16384

void hugepages_init(struct hugepages *h, const struct arena_index *arenas,
                    const struct pagealloc *pages, struct lock *pages_lock)
{
    *h = (struct hugepages){.arenas = arenas, .pages = pages, .pages_lock = pages_lock};
    lock_init(&h->scavenge_lock, LOCK_SCAVENGE);
}

void hugepages_want(const struct arena_growth *growth)
{
    if (growth->extended && word_load_relaxed(&growth->extended->backed_base))
        os_huge_pages((void *)growth->base, growth->size);
    for (struct arena *a = growth->newest; a; a = a->older) {
        os_huge_pages((void *)a->base, a->end - a->base);
        a->backed_base = a->base;
    }
}

_Static_assert(ARENA_SIZE / HUGEPAGE_SIZE <= 8 * sizeof((struct arena *)0)->small_regions,
               "a bit for each region of an arena");

static uint32_t region_bit(uintptr_t region)
{
    return (uint32_t)1 << ((region & (ARENA_SIZE - 1)) / HUGEPAGE_SIZE);
}

/* How many pages of the region are free and given back. */
static size_t count_released(struct hugepages *h, uintptr_t region)
{
    lock_acquire(h->pages_lock);
    size_t n = pagealloc_count_scavenged(h->pages, region, REGION_PAGES);
    lock_release(h->pages_lock);
    return n;
}

static void take_out(struct hugepages *h, struct arena *a, uintptr_t region)
{
    if (h->small_regions >= MAX_SMALL_REGIONS)
        return;
    os_small_pages((void *)region, HUGEPAGE_SIZE);
    u32_store_relaxed(&a->small_regions, a->small_regions | region_bit(region));
    h->small_regions++;
}

static void take_back(struct hugepages *h, struct arena *a, uintptr_t region)
{
    os_huge_pages((void *)region, HUGEPAGE_SIZE);
    u32_store_relaxed(&a->small_regions, a->small_regions & ~region_bit(region));
    h->small_regions--;
}

static void release_in_region(struct hugepages *h, struct arena *a, uintptr_t region, size_t npages)
{
    bool small = a->small_regions & region_bit(region);
    bool wholly = count_released(h, region) + npages == REGION_PAGES;
    if (small && wholly)
        take_back(h, a, region);
    else if (!small && !wholly)
        take_out(h, a, region);
}

void hugepages_note_release(struct hugepages *h, uintptr_t base, size_t npages)
{
    uintptr_t end = base + (npages << PAGE_SHIFT), next;
    for (uintptr_t at = base; at < end; at = next) {
        struct arena *a = arena_of(h->arenas, at);
        uintptr_t region = align_down(at, HUGEPAGE_SIZE);
        next = MIN_OF(region + HUGEPAGE_SIZE, end);
        if (word_load_relaxed(&a->backed_base))
            release_in_region(h, a, region, (next - at) >> PAGE_SHIFT);
    }
}

/* Does not wait while another thread gives memory back. Then the region stays as it is until more
 * of its pages are used or given back. */
static NOINLINE void use_in_region(struct hugepages *h, struct arena *a, uintptr_t region)
{
    if (!lock_try(&h->scavenge_lock))
        return;
    if ((a->small_regions & region_bit(region)) && count_released(h, region) == 0)
        take_back(h, a, region);
    lock_release(&h->scavenge_lock);
}

void hugepages_note_use(struct hugepages *h, uintptr_t base, size_t npages)
{
    uintptr_t end = base + (npages << PAGE_SHIFT);
    for (uintptr_t at = align_down(base, HUGEPAGE_SIZE); at < end; at += HUGEPAGE_SIZE) {
        struct arena *a = arena_of(h->arenas, at);
        if (UNLIKELY(u32_load_relaxed(&a->small_regions) & region_bit(at)))
            use_in_region(h, a, at);
    }
}
