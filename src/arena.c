#include "arena.h"

/* Go's hints: addresses that look like no pointer-shaped data and leave room to grow. */
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

/* Address space for arenas: behind the last ones, at another hint, or anywhere. */
static uintptr_t reserve_sparse(struct arena_index *index, size_t size)
{
    void *p = NULL;
    if (index->next_hint) {
        p = os_reserve((void *)index->next_hint, size, ARENA_SIZE);
    } else if (ADDRESS_BITS == 48) {
        /* Heaps of one process start at different hints, so that each can grow on end. */
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

/* Metadata for the arena at `base`; it is not in the index yet. */
static struct arena *make_arena(uintptr_t base, bool huge_tables)
{
    struct arena *a = os_map(metadata_size());
    if (!a)
        return NULL;
    a->base = base;
    a->zeroed_base = base;
    if (huge_tables)
        os_huge_pages(a, metadata_size());
    return a;
}

static void publish(struct arena_index *index, uintptr_t base, size_t size)
{
    word first = base >> ARENA_SHIFT, end = first + size / ARENA_SIZE, was = index->bounds;
    if (was) {
        first = MIN_OF(first, arena_first(was));
        end = MAX_OF(end, arena_first(was) + arena_span(was));
    }
    word_store_release(&index->bounds, (end - first) << ARENA_BOUNDS_SHIFT | first);
    index->next_hint = base + size;
    index->count += size / ARENA_SIZE;
}

static bool make_arenas(struct arena_index *index, uintptr_t base, size_t size, bool huge_tables)
{
    if (!os_commit((void *)base, size))
        return false;
    for (size_t done = 0; done < size; done += ARENA_SIZE) {
        struct arena *a = make_arena(base + done, huge_tables);
        if (!a) {
            while (done > 0) {
                done -= ARENA_SIZE;
                struct arena **entry = &index->map[(base + done) >> ARENA_SHIFT];
                os_unmap(*entry, metadata_size());
                *entry = NULL;
            }
            return false;
        }
        ptr_store_release(&index->map[(base + done) >> ARENA_SHIFT], a);
    }
    return true;
}

uintptr_t arena_grow(struct arena_index *index, size_t size, size_t *got, bool huge_tables)
{
    size = align_up(size, ARENA_SIZE);
    uintptr_t base = reserve(index, size);
    if (!base)
        return 0;
    if ((uint64_t)base + size - 1 >= (uint64_t)1 << (ADDRESS_BITS - 1) << 1 ||
        !make_arenas(index, base, size, huge_tables)) {
        unreserve(index, base, size);
        return 0;
    }
    publish(index, base, size);
    *got = size;
    return base;
}

void arena_enlist(struct arena_index *index, uintptr_t base, size_t size)
{
    for (uintptr_t at = base; at < base + size; at += ARENA_SIZE) {
        struct arena *a = index->map[at >> ARENA_SHIFT];
        a->older = index->newest;
        ptr_store_release(&index->newest, a);
    }
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

void arena_ungrow(struct arena_index *index, uintptr_t base, size_t size)
{
    for (uintptr_t at = base; at < base + size; at += ARENA_SIZE) {
        struct arena *a = index->map[at >> ARENA_SHIFT];
        ptr_store_release(&index->map[at >> ARENA_SHIFT], NULL);
        os_unmap(a, metadata_size());
    }
    unreserve(index, base, size);
    index->next_hint = base;
    index->count -= size / ARENA_SIZE;
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

/* Whole pages of the OS only: others hold bits of neighbours. */
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
