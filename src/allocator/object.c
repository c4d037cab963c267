#include "allocator/object.h"
#include "memory/notes.h"

uintptr_t object_cell(const struct mheap *h, uintptr_t address)
{
    struct arena *a = arena_of(&h->arenas, address);
    if (!a)
        return 0;
    uint16_t tag = u16_load_acquire(&a->page_tag[arena_page(address)]);
    unsigned class = page_tag_class(tag);
    if (class == PAGE_CLASS_FREE)
        return 0;
    uintptr_t base;
    if (page_class_info[class].large) {
        const struct gc_span *s = ptr_load_relaxed(&a->spans[arena_page(address)]);
        base = s->base;
        a = s->arena;
    } else {
        base = arena_cell_start(address, tag);
        a = arena_of(&h->arenas, base);
    }
    return bits_test(a->alloc, arena_bit(base)) && !notes_is_dead(a, base) ? base : 0;
}

uintptr_t object_ending_at(const struct mheap *h, uintptr_t address)
{
    uintptr_t object = object_cell(h, address - 1);
    return object && object + span_object_bytes(mheap_span_of(h, object)) == address ? object : 0;
}

static bool is_kept(const struct mheap *h, const struct mcache *cache, uintptr_t base)
{
    unsigned class = page_tag_class(arena_tag(arena_of(&h->arenas, base), base));
    return class == PAGE_CLASS_FREE || mcache_keeps(cache, page_class_spanclass(class), base);
}

/* I24: reads the alloc bit, then the span's cache and its runs, then the bit again. If a run was
 * given back in between, its bits were cleared first. */
uintptr_t object_base(const struct mheap *h, uintptr_t address)
{
    uintptr_t base = object_cell(h, address);
    struct gc_span *s = base ? mheap_span_of(h, base) : NULL;
    if (!s)
        return 0;
    fence_acquire();
    stress(STRESS_CELL_FOUND);
    const struct mcache *cache = ptr_load_relaxed(&s->cache);
    if (cache && is_kept(h, cache, base))
        return 0;
    fence_acquire();
    return object_cell(h, base);
}
