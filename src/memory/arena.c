#include "memory/arena.h"

/* Go's hints: addresses at which other data that is not a pointer rarely lies, with room to
 * grow. */
#define HINT_BASE ((uint64_t)0xc0 << 32)
#define HINT_STEP ((uint64_t)1 << 40)
#define HINT_COUNT 64

static size_t index_bytes(void)
{
    return align_up(ARENA_INDEX_SIZE * sizeof(struct arena *), os_page_size());
}

bool arena_index_init(struct arena_index *index)
{
    *index = (struct arena_index){.bounds = 0};
    index->map = os_map(index_bytes());
    return index->map != NULL;
}

static size_t metadata_size(void)
{
    return align_up(sizeof(struct arena), os_page_size());
}

static void unmap_arena(struct arena *a)
{
    if (a->checkmarks)
        os_unmap(a->checkmarks, sizeof a->mark);
    if (a->survivors)
        os_unmap(a->survivors, sizeof a->mark);
    if (a->notes)
        os_unmap(a->notes, align_up(sizeof *a->notes, os_page_size()));
    os_unmap((void *)a->base, ARENA_SIZE);
    os_unmap(a, metadata_size());
}

void arena_index_destroy(struct arena_index *index)
{
    word first = arena_first(index->bounds), n = arena_span(index->bounds);
    for (word i = first; i < first + n; i++) {
        if (index->map[i])
            unmap_arena(index->map[i]);
    }
    if (index->reserve_end > index->next_hint)
        os_unmap((void *)index->next_hint, index->reserve_end - index->next_hint);
    os_unmap(index->map, index_bytes());
}

bool arena_reserve_linear(struct arena_index *index, size_t size)
{
    void *base = os_reserve(NULL, size, ARENA_SIZE);
    if (!base)
        return false;
    index->next_hint = (uintptr_t)base;
    index->reserve_end = (uintptr_t)base + size;
    return true;
}

/* Reserves address space for arenas: behind the last ones, at another hint, or anywhere. */
static uintptr_t reserve_sparse(struct arena_index *index, size_t size)
{
    void *p = NULL;
    if (index->next_hint) {
        p = os_reserve((void *)index->next_hint, size, ARENA_SIZE);
    } else if (ADDRESS_BITS == 48) {
        /* Heaps of one process start at different hints, so that each can grow contiguously. */
        static uint32_t next;
        uint64_t hint = HINT_BASE + HINT_STEP * (u32_fetch_add_relaxed(&next, 1) % HINT_COUNT);
        p = os_reserve((void *)(uintptr_t)hint, size, ARENA_SIZE);
    } else {
        p = os_reserve(NULL, size, ARENA_SIZE);
    }
    return (uintptr_t)p;
}

static uintptr_t reserve(struct arena_index *index, size_t size)
{
    if (!index->reserve_end)
        return reserve_sparse(index, size);
    return index->reserve_end - index->next_hint >= size ? index->next_hint : 0;
}

static void unreserve(struct arena_index *index, uintptr_t base, size_t size)
{
    if (!index->reserve_end)
        os_unmap((void *)base, size);
}

static void drop_metadata(const struct arena_growth *growth)
{
    for (struct arena *a = growth->newest, *older; a; a = older) {
        older = a->older;
        os_unmap(a, metadata_size());
    }
}

/* Makes the metadata of the arena at `base`. */
static bool make_arena(struct arena_growth *growth, uintptr_t base, bool huge_tables)
{
    struct arena *a = os_map(metadata_size());
    if (!a)
        return false;
    a->base = base;
    a->zeroed_base = base;
    a->older = growth->newest;
    growth->newest = a;
    if (huge_tables)
        os_huge_pages(a, metadata_size());
    return true;
}

static bool make_arenas(struct arena_growth *growth, bool huge_tables)
{
    uintptr_t end = growth->base + growth->size;
    if (!os_commit((void *)growth->base, growth->size))
        return false;
    for (uintptr_t at = growth->base; at < end; at += ARENA_SIZE) {
        if (!make_arena(growth, at, huge_tables)) {
            drop_metadata(growth);
            return false;
        }
    }
    return true;
}

bool arena_grow(struct arena_index *index, size_t size, bool huge_tables,
                struct arena_growth *growth)
{
    size = align_up(size, ARENA_SIZE);
    *growth = (struct arena_growth){reserve(index, size), size, NULL};
    if (!growth->base)
        return false;
    bool beyond = (uint64_t)growth->base + size - 1 >= (uint64_t)1 << (ADDRESS_BITS - 1) << 1;
    if (!beyond && make_arenas(growth, huge_tables))
        return true;
    unreserve(index, growth->base, size);
    return false;
}

void arena_ungrow(struct arena_index *index, const struct arena_growth *growth)
{
    drop_metadata(growth);
    unreserve(index, growth->base, growth->size);
}

static void widen_bounds(struct arena_index *index, uintptr_t base, size_t size)
{
    word first = base >> ARENA_SHIFT, end = first + size / ARENA_SIZE, was = index->bounds;
    if (was) {
        first = MIN_OF(first, arena_first(was));
        end = MAX_OF(end, arena_first(was) + arena_span(was));
    }
    word_store_release(&index->bounds, (end - first) << ARENA_BOUNDS_SHIFT | first);
}

void arena_publish(struct arena_index *index, const struct arena_growth *growth)
{
    struct arena *oldest = growth->newest;
    ASSERT(oldest);
    for (struct arena *a = growth->newest; a; a = a->older) {
        ptr_store_release(&index->map[a->base >> ARENA_SHIFT], a);
        oldest = a;
    }
    widen_bounds(index, growth->base, growth->size);
    oldest->older = index->newest;
    ptr_store_release(&index->newest, growth->newest);
    index->next_hint = growth->base + growth->size;
    index->count += growth->size / ARENA_SIZE;
}

uintptr_t arena_after(const struct arena_index *index, uintptr_t address)
{
    uintptr_t nearest = UINTPTR_MAX;
    for (const struct arena *a = ptr_load_acquire(&index->newest); a; a = a->older) {
        if (a->base > address)
            nearest = MIN_OF(nearest, a->base);
    }
    return nearest;
}

static void touch(word *map)
{
    word_fetch_or_relaxed(map, 0);
}

void arena_touch_marks(struct arena *a, uintptr_t base, size_t size)
{
    touch(&a->mark[arena_bit(base) / WORD_BITS]);
    touch(&a->mark[arena_bit(base + size - WORD_SIZE) / WORD_BITS]);
}

/* Releases whole pages of the OS only, as the pages at both ends hold bits of neighbours too. */
static void release_bits(word *map, size_t from, size_t to)
{
    uintptr_t page = os_page_size();
    uintptr_t begin = align_up((uintptr_t)&map[from / WORD_BITS], page);
    uintptr_t end = (uintptr_t)&map[to / WORD_BITS] & ~(page - 1);
    if (begin < end)
        os_release((void *)begin, end - begin);
}

void arena_release_maps(const struct arena_index *index, uintptr_t base, size_t size)
{
    for (uintptr_t at = base, end = base + size, next; at < end; at = next) {
        struct arena *a = arena_of(index, at);
        next = MIN_OF(end, a->base + ARENA_SIZE);
        size_t from = (at - a->base) >> WORD_SHIFT, to = (next - a->base) >> WORD_SHIFT;
        release_bits(a->mark, from, to);
        release_bits(a->heap, from, to);
        release_bits(a->alloc, from, to);
    }
}

size_t arena_metadata_bytes(size_t arenas, size_t npages)
{
    size_t maps = 3 * (PAGE_WORDS / 8), tables = sizeof(uint16_t) + sizeof(struct gc_span *);
    return arenas * 3 * ARENA_PAGE_WORDS * sizeof(word) + npages * (maps + tables);
}
