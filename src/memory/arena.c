#include "memory/arena.h"

/* Data that is no pointer rarely looks like these addresses. Text in UTF-8 has no byte 0xc0; that
 * is why Go's heap lies there. Of two integers in one word the first is seldom as large as 2^31.
 * Steps are room to grow. All hints lie where a map of ARENA_MAP_PART entries reaches. */
#define HINT_BASE ((uint64_t)0xc080000000)
#define HINT_STEP ((uint64_t)1 << 38)
#define HINT_COUNT 48

void arena_index_init(struct arena_index *index)
{
    *index = (struct arena_index){.bounds = 0};
}

static size_t map_bytes(size_t count)
{
    return align_up(count * sizeof(struct arena *), os_page_size());
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
    os_unmap((void *)a->base, a->end - a->base);
    os_unmap(a, metadata_size());
}

void arena_index_destroy(struct arena_index *index)
{
    for (struct arena *a = index->newest, *older; a; a = older) {
        older = a->older;
        unmap_arena(a);
    }
    if (index->reserve_end > index->next_hint)
        os_unmap((void *)index->next_hint, index->reserve_end - index->next_hint);
    if (index->newest)
        os_unmap(index->map.entries, map_bytes(index->map.count));
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

/* ---- Where the next range lies ---- */

static bool begins_arena(uintptr_t address)
{
    return (address & (ARENA_SIZE - 1)) == 0;
}

static bool lies_in_map(uintptr_t base, size_t size, size_t entries)
{
    uintptr_t last = base + size - 1;
    return last >= base && last >> ARENA_SHIFT < entries;
}

/* Reserves a range at `hint`, or where the OS likes if `hint` is 0, below the limit of a map of so
 * many entries. Returns 0 if there is none. */
static uintptr_t reserve_near(uintptr_t hint, size_t size, size_t entries)
{
    size_t align = begins_arena(hint) ? ARENA_SIZE : ARENA_STEP;
    uintptr_t p = (uintptr_t)os_reserve((void *)hint, size, align);
    if (p && lies_in_map(p, size, entries) && (begins_arena(hint) || p == hint))
        return p;
    if (p)
        os_unmap((void *)p, size);
    return 0;
}

/* For the first arena. Heaps of one process start at different hints, so that each can grow
 * contiguously. */
static uintptr_t reserve_first(size_t size)
{
    static uint32_t next;
    uint64_t hint = HINT_BASE + HINT_STEP * (u32_fetch_add_relaxed(&next, 1) % HINT_COUNT);
    return reserve_near(ADDRESS_BITS == 48 ? (uintptr_t)hint : 0, size, ARENA_MAP_ALL);
}

/* What follows the newest arena is taken. */
static uintptr_t reserve_elsewhere(const struct arena_index *index, size_t size)
{
    uintptr_t at = align_up(index->next_hint, ARENA_SIZE), p = 0;
    for (unsigned i = 0; !p && i < 8; i++)
        p = reserve_near(at + (uintptr_t)(HINT_STEP / 4 * i), size, index->map.count);
    return p;
}

static uintptr_t reserve(const struct arena_index *index, size_t size)
{
    if (index->reserve_end)
        return index->reserve_end - index->next_hint >= size ? index->next_hint : 0;
    if (!index->newest)
        return reserve_first(size);
    uintptr_t p = reserve_near(index->next_hint, size, index->map.count);
    return p ? p : reserve_elsewhere(index, size);
}

static void unreserve(const struct arena_index *index, uintptr_t base, size_t size)
{
    if (!index->reserve_end)
        os_unmap((void *)base, size);
}

/* How much to reserve if `size` is needed. The first arena doubles, and is then filled up; later
 * ones are reserved as a whole. */
static size_t generous_size(const struct arena_index *index, size_t size)
{
    size_t room = -index->next_hint & (ARENA_SIZE - 1);
    if (!index->newest)
        return size;
    if (size <= room)
        return MIN_OF(room, MAX_OF(size, ARENA_SIZE - room));
    return room + align_up(size - room, ARENA_SIZE);
}

/* ---- What a range needs ---- */

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
    a->end = MIN_OF(base + ARENA_SIZE, growth->base + growth->size);
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
    for (uintptr_t at = align_up(growth->base, ARENA_SIZE); at < end; at += ARENA_SIZE) {
        if (!make_arena(growth, at, huge_tables)) {
            drop_metadata(growth);
            return false;
        }
    }
    return true;
}

/* The first arenas bring the map. */
static bool make_map(const struct arena_index *index, struct arena_growth *growth)
{
    if (index->newest)
        return true;
    bool part = lies_in_map(growth->base, growth->size, ARENA_MAP_PART);
    growth->map.count = part ? ARENA_MAP_PART : ARENA_MAP_ALL;
    growth->map.entries = os_map(map_bytes(growth->map.count));
    return growth->map.entries;
}

static void drop_map(const struct arena_growth *growth)
{
    if (growth->map.entries)
        os_unmap(growth->map.entries, map_bytes(growth->map.count));
}

/* Returns whether there was as much address space. */
static bool grow_by(struct arena_index *index, size_t size, bool huge_tables,
                    struct arena_growth *growth)
{
    *growth = (struct arena_growth){.base = reserve(index, size), .size = size};
    if (!growth->base)
        return false;
    if (!begins_arena(growth->base))
        growth->extended = index->newest;
    if (make_map(index, growth) && make_arenas(growth, huge_tables))
        return true;
    drop_map(growth);
    unreserve(index, growth->base, size);
    return false;
}

bool arena_grow(struct arena_index *index, size_t size, bool huge_tables,
                struct arena_growth *growth)
{
    size = align_up(size, ARENA_STEP);
    size_t generous = generous_size(index, size);
    return grow_by(index, generous, huge_tables, growth) ||
           (generous > size && grow_by(index, size, huge_tables, growth));
}

void arena_ungrow(struct arena_index *index, const struct arena_growth *growth)
{
    drop_metadata(growth);
    drop_map(growth);
    unreserve(index, growth->base, growth->size);
}

/* ---- Publication ---- */

static void widen_bounds(struct arena_index *index, uintptr_t base, size_t size)
{
    word first = base >> ARENA_SHIFT, end = ((base + size - 1) >> ARENA_SHIFT) + 1;
    word was = index->bounds;
    if (was) {
        first = MIN_OF(first, arena_first(was));
        end = MAX_OF(end, arena_first(was) + arena_span(was));
    }
    word_store_relaxed(&index->bounds, (end - first) << ARENA_BOUNDS_SHIFT | first);
}

static void publish_map(struct arena_index *index, struct arena_map map)
{
    ptr_store_relaxed(&index->map.entries, map.entries);
    word_store_release(&index->map.count, map.count);
}

static void publish_arenas(struct arena_index *index, struct arena *newest)
{
    struct arena *oldest = newest;
    for (struct arena *a = newest; a; a = a->older) {
        ptr_store_release(&index->map.entries[a->base >> ARENA_SHIFT], a);
        index->count++;
        oldest = a;
    }
    oldest->older = index->newest;
    ptr_store_release(&index->newest, newest);
}

void arena_publish(struct arena_index *index, const struct arena_growth *growth)
{
    struct arena *a = growth->extended;
    uintptr_t end = growth->base + growth->size;
    if (growth->map.entries)
        publish_map(index, growth->map);
    if (a)
        word_store_relaxed(&a->end, MIN_OF(a->base + ARENA_SIZE, end));
    if (growth->newest)
        publish_arenas(index, growth->newest);
    widen_bounds(index, growth->base, growth->size);
    index->next_hint = end;
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

size_t arena_metadata_bytes(size_t arenas, size_t npages, size_t noscan)
{
    size_t map = PAGE_WORDS / 8, tables = sizeof(uint16_t) + sizeof(struct gc_span *);
    return arenas * 4 * ARENA_PAGE_WORDS * sizeof(word) + npages * (3 * map + tables) -
           noscan * map;
}
