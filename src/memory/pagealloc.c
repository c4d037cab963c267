/* The tree has five levels. A node of level 4 is a chunk; a node of level l < 4 has eight children
 * of level l + 1. A node is named by its level and its index. The index is the number of the node's
 * first page, shifted right by LEVEL_SHIFT(l). Pages that were never grown are not free, in bitmaps
 * and summaries alike. So a summary always says exactly what its children say. */
#include "memory/pagealloc.h"

#define LEAF_LEVEL 4
#define FANOUT 8
/* log2 of the pages under a node of level l. */
#define LEVEL_SHIFT(l) (21u - 3 * (l))
#define LEVEL_PAGES(l) ((size_t)1 << LEVEL_SHIFT(l))
#define CHUNK_SHIFT LEVEL_SHIFT(LEAF_LEVEL)
#define CHUNK_BYTES ((size_t)CHUNK_PAGES << PAGE_SHIFT)
#define ALL_PAGES ((size_t)1 << (ADDRESS_BITS - PAGE_SHIFT))
#define ROOTS ((ALL_PAGES + LEVEL_PAGES(0) - 1) / LEVEL_PAGES(0))
#define ROOTS_BYTES align_up(sizeof(struct page_roots), os_page_size())
#define REGION_BYTES align_up(sizeof(struct page_region), os_page_size())

/* `scavenged` is a subset of `free`. The words have 64 bits on every host, because a page cache is
 * one word. */
#define CHUNK_WORDS (CHUNK_PAGES / 64)
struct page_chunk {
    uint64_t free[CHUNK_WORDS];
    uint64_t scavenged[CHUNK_WORDS];
};

/* A block is 256 MiB. Its levels 3 and 4 and its chunks lie together, so that the path through the
 * tree of a small heap is on one page of the host. */
#define BLOCK_CHUNKS 64
#define BLOCK_SHIFT LEVEL_SHIFT(2)
struct page_block {
    uint64_t grown;  /* a bit per chunk */
    uint64_t backed; /* how many pages are free and not scavenged */
    uint64_t level3[BLOCK_CHUNKS / FANOUT];
    uint64_t level4[BLOCK_CHUNKS];
    struct page_chunk chunks[BLOCK_CHUNKS];
};

/* A region is 16 GiB. */
#define REGION_BLOCKS 64
struct page_region {
    size_t grown; /* chunks */
    uint64_t level1[FANOUT];
    uint64_t level2[REGION_BLOCKS];
    struct page_block blocks[REGION_BLOCKS];
};

struct page_root {
    uint64_t summary;
    struct page_region *region; /* NULL: nothing was grown here */
};

struct page_roots {
    word used[(ROOTS + WORD_BITS - 1) / WORD_BITS]; /* a bit per entry: it has a region */
    struct page_root at[ROOTS];
};

_Static_assert(LEVEL_SHIFT(LEAF_LEVEL) == 9 && CHUNK_PAGES == 512, "a leaf is a chunk");
_Static_assert((LEVEL_PAGES(0) >> BLOCK_SHIFT) == REGION_BLOCKS, "a root entry is a region");

/* ---- Summaries ----
 *
 * A summary has three numbers of 21 bits. That of an entirely free root entry does not fit, and has
 * a bit of its own. */

struct summary {
    size_t start, max, end; /* free pages at the start, in the longest run, at the end */
};

#define FIELD_BITS 21
#define FIELD_MASK (((uint64_t)1 << FIELD_BITS) - 1)
#define ROOT_FREE ((uint64_t)1 << 63)

INLINE uint64_t summary_pack(struct summary s)
{
    if (s.max > FIELD_MASK)
        return ROOT_FREE;
    return (uint64_t)s.start | (uint64_t)s.max << FIELD_BITS | (uint64_t)s.end << 2 * FIELD_BITS;
}

/* Unpacks the summary of a node below the root. */
INLINE struct summary summary_fields(uint64_t packed)
{
    return (struct summary){(size_t)(packed & FIELD_MASK),
                            (size_t)(packed >> FIELD_BITS & FIELD_MASK),
                            (size_t)(packed >> 2 * FIELD_BITS & FIELD_MASK)};
}

INLINE struct summary summary_unpack(uint64_t packed)
{
    if (packed == ROOT_FREE)
        return (struct summary){LEVEL_PAGES(0), LEVEL_PAGES(0), LEVEL_PAGES(0)};
    return summary_fields(packed);
}

/* The summary of two neighbours. `pages` pages lie under s, and `next_pages` under next. */
INLINE struct summary summary_join(struct summary s, size_t pages, struct summary next,
                                   size_t next_pages)
{
    size_t bridge = s.end + next.start, max = MAX_OF(s.max, next.max);
    return (struct summary){
        .start = s.start == pages ? pages + next.start : s.start,
        .max = MAX_OF(max, bridge),
        .end = next.end == next_pages ? s.end + next_pages : next.end,
    };
}

static uint64_t summarize_children(const uint64_t *children, size_t child_pages)
{
    struct summary s = {0, 0, 0};
    for (size_t i = 0; i < FANOUT; i++)
        s = summary_join(s, i * child_pages, summary_fields(children[i]), child_pages);
    return summary_pack(s);
}

/* ---- Runs of bits in 64 ---- */

/* Bits [from, to), from < to <= 64. */
INLINE uint64_t mask64(size_t from, size_t to)
{
    return ~UINT64_C(0) >> (64 - (to - from)) << from;
}
INLINE size_t count64(uint64_t bits)
{
    return (size_t)__builtin_popcountll(bits);
}
INLINE size_t low_ones(uint64_t bits)
{
    return ~bits ? (size_t)__builtin_ctzll(~bits) : 64;
}
INLINE size_t high_ones(uint64_t bits)
{
    return ~bits ? (size_t)__builtin_clzll(~bits) : 64;
}

/* Bit i of the result says that bits [i, i + n) are all set. 1 <= n <= 64. */
static uint64_t run_starts(uint64_t bits, size_t n)
{
    for (size_t have = 1; have < n;) {
        size_t step = MIN_OF(have, n - have);
        bits &= bits >> step;
        have += step;
    }
    return bits;
}

/* The longest run, or `known` if that is longer. */
static size_t longest_run(uint64_t bits, size_t known)
{
    if (known >= 64 || bits == 0)
        return known;
    if (~bits == 0)
        return 64;
    for (bits = run_starts(bits, known + 1); bits; bits &= bits >> 1)
        known++;
    return known;
}

static uint64_t summarize_chunk(const struct page_chunk *chunk)
{
    struct summary s = {0, 0, 0};
    for (size_t w = 0; w < CHUNK_WORDS; w++) {
        uint64_t bits = chunk->free[w];
        struct summary one = {low_ones(bits), longest_run(bits, s.max), high_ones(bits)};
        s = summary_join(s, w * 64, one, 64);
    }
    return summary_pack(s);
}

/* ---- Ways through the tree ---- */

INLINE struct page_region *region_of(const struct pagealloc *p, size_t page)
{
    return p->roots->at[page >> LEVEL_SHIFT(0)].region;
}

INLINE struct page_block *block_of(struct page_region *region, size_t page)
{
    return &region->blocks[page >> BLOCK_SHIFT & (REGION_BLOCKS - 1)];
}

INLINE struct page_chunk *chunk_of(struct page_block *block, size_t page)
{
    return &block->chunks[page >> CHUNK_SHIFT & (BLOCK_CHUNKS - 1)];
}

/* The eight children of a node of level 0…3. */
static uint64_t *children_of(struct page_region *region, unsigned level, size_t index)
{
    size_t page = index << LEVEL_SHIFT(level);
    struct page_block *block = block_of(region, page);
    switch (level) {
    case 0:
        return region->level1;
    case 1:
        return &region->level2[page >> LEVEL_SHIFT(2) & (REGION_BLOCKS - FANOUT)];
    case 2:
        return block->level3;
    default:
        return &block->level4[page >> CHUNK_SHIFT & (BLOCK_CHUNKS - FANOUT)];
    }
}

static uint64_t *summary_of(const struct pagealloc *p, unsigned level, size_t index)
{
    if (level == 0)
        return &p->roots->at[index].summary;
    struct page_region *region = region_of(p, index << LEVEL_SHIFT(level));
    return &children_of(region, level - 1, index / FANOUT)[index % FANOUT];
}

static uint64_t summarize(const struct pagealloc *p, unsigned level, size_t index)
{
    size_t page = index << LEVEL_SHIFT(level);
    struct page_region *region = region_of(p, page);
    if (level == LEAF_LEVEL)
        return summarize_chunk(chunk_of(block_of(region, page), page));
    return summarize_children(children_of(region, level, index), LEVEL_PAGES(level + 1));
}

/* Brings the summaries above pages [first, last] up to date, from the leaves up to the level at
 * which nothing changes. */
static void update(struct pagealloc *p, size_t first, size_t last)
{
    bool changed = true;
    for (unsigned level = LEAF_LEVEL + 1; changed && level-- > 0;) {
        changed = false;
        for (size_t i = first >> LEVEL_SHIFT(level); i <= last >> LEVEL_SHIFT(level); i++) {
            uint64_t *summary = summary_of(p, level, i), now = summarize(p, level, i);
            changed |= *summary != now;
            *summary = now;
        }
    }
}

/* ---- Taking and putting: a strip is the part of a range that lies in one word. ---- */

struct strip {
    struct page_block *block;
    uint64_t *free, *scavenged; /* the words */
    uint64_t mask;              /* the range's bits in them */
};

/* The first strip of [page, end). */
static struct strip strip_at(const struct pagealloc *p, size_t page, size_t end)
{
    struct page_region *region = region_of(p, page);
    CHECK(region != NULL);
    struct page_block *block = block_of(region, page);
    struct page_chunk *chunk = chunk_of(block, page);
    size_t w = page / 64 % CHUNK_WORDS, low = page % 64;
    uint64_t mask = mask64(low, MIN_OF(64, low + (end - page)));
    return (struct strip){block, &chunk->free[w], &chunk->scavenged[w], mask};
}

static size_t next_strip(size_t page)
{
    return (page | 63) + 1;
}

/* Takes the free pages `taken` out of one strip. Returns which of them were scavenged. */
static uint64_t strip_take(struct pagealloc *p, struct strip s, uint64_t taken)
{
    uint64_t scavenged = *s.scavenged & taken;
    *s.free &= ~taken;
    *s.scavenged &= ~taken;
    s.block->backed -= count64(taken & ~scavenged);
    p->free_pages -= count64(taken);
    p->scavenged_pages -= count64(scavenged);
    return scavenged;
}

static void strip_put(struct pagealloc *p, struct strip s, uint64_t given, uint64_t scavenged)
{
    CHECK((*s.free & given) == 0);
    *s.free |= given;
    *s.scavenged |= scavenged;
    s.block->backed += count64(given & ~scavenged);
    p->free_pages += count64(given);
    p->scavenged_pages += count64(scavenged);
}

/* Takes pages [page, page + n), which are all free. Returns how many were scavenged. */
static size_t take(struct pagealloc *p, size_t page, size_t n)
{
    size_t end = page + n, scavenged = 0;
    for (size_t i = page; i < end; i = next_strip(i)) {
        struct strip s = strip_at(p, i, end);
        ASSERT((*s.free & s.mask) == s.mask);
        scavenged += count64(strip_take(p, s, s.mask));
    }
    update(p, page, end - 1);
    return scavenged;
}

static bool in_grown(const struct pagealloc *p, size_t page, size_t n)
{
    return n > 0 && page >= p->low && page < p->high && n <= p->high - page;
}

static void put(struct pagealloc *p, size_t page, size_t n, bool scavenged)
{
    CHECK(in_grown(p, page, n));
    size_t end = page + n;
    for (size_t i = page; i < end; i = next_strip(i)) {
        struct strip s = strip_at(p, i, end);
        CHECK(s.block->grown >> (i >> CHUNK_SHIFT & (BLOCK_CHUNKS - 1)) & 1);
        strip_put(p, s, s.mask, scavenged ? s.mask : 0);
    }
    update(p, page, end - 1);
    p->search = MIN_OF(p->search, page);
}

/* ---- First fit ----
 *
 * One walk over [from, high). It passes over a node without looking into it if the node has no fit,
 * and carries the length of the free run that ends at its position. */

struct walk {
    size_t from, need;
    size_t run;   /* free pages just below the walk's position, not below `from` */
    size_t found; /* first page of the fit */
};

static bool walk_word(struct walk *walk, uint64_t bits, size_t page)
{
    size_t low = low_ones(bits);
    walk->found = page - walk->run;
    if (walk->run + low >= walk->need)
        return true;
    uint64_t starts = walk->need <= 64 ? run_starts(bits, walk->need) : 0;
    if (starts) {
        walk->found = page + (size_t)__builtin_ctzll(starts);
        return true;
    }
    walk->run = low == 64 ? walk->run + 64 : high_ones(bits);
    return false;
}

static bool walk_chunk(struct walk *walk, const struct page_chunk *chunk, size_t page)
{
    size_t skip = walk->from > page ? walk->from - page : 0;
    for (size_t w = skip / 64; w < CHUNK_WORDS; w++) {
        uint64_t bits = chunk->free[w];
        if (w == skip / 64)
            bits &= ~UINT64_C(0) << skip % 64;
        if (walk_word(walk, bits, page + w * 64))
            return true;
    }
    return false;
}

static bool walk_node(struct walk *walk, struct page_region *region, unsigned level, size_t index,
                      uint64_t packed);

static bool walk_children(struct walk *walk, struct page_region *region, unsigned level,
                          size_t index)
{
    const uint64_t *children = children_of(region, level, index);
    for (size_t i = 0; i < FANOUT; i++)
        if (walk_node(walk, region, level + 1, index * FANOUT + i, children[i]))
            return true;
    return false;
}

static bool walk_node(struct walk *walk, struct page_region *region, unsigned level, size_t index,
                      uint64_t packed)
{
    size_t page = index << LEVEL_SHIFT(level), end = page + LEVEL_PAGES(level);
    if (end <= walk->from)
        return false;
    struct summary s = summary_unpack(packed);
    walk->found = page - walk->run;
    if (page >= walk->from && walk->run + s.start >= walk->need)
        return true;
    size_t visible = end - MAX_OF(page, walk->from);
    if (s.max < walk->need) {
        walk->run = s.end < visible ? s.end : walk->run + visible;
        return false;
    }
    if (level == LEAF_LEVEL)
        return walk_chunk(walk, chunk_of(block_of(region, page), page), page);
    return walk_children(walk, region, level, index);
}

static bool walk_from_root(struct walk *walk, const struct pagealloc *p)
{
    size_t i = walk->from >> LEVEL_SHIFT(0), end = divide_up(p->high, LEVEL_PAGES(0)), next;
    for (; (next = bits_find_set(p->roots->used, i, end)) < end; i = next + 1) {
        if (next != i)
            walk->run = 0;
        struct page_root *root = &p->roots->at[next];
        if (walk_node(walk, root->region, 0, next, root->summary))
            return true;
    }
    return false;
}

/* Most requests are small, and the first chunk that has a free page has enough of them. */
static bool walk_first_chunk(struct walk *walk, const struct pagealloc *p)
{
    struct page_region *region = region_of(p, walk->from);
    if (!region)
        return false;
    struct page_block *block = block_of(region, walk->from);
    size_t index = walk->from >> CHUNK_SHIFT;
    return summary_unpack(block->level4[index % BLOCK_CHUNKS]).max >= walk->need &&
           walk_chunk(walk, chunk_of(block, walk->from), index << CHUNK_SHIFT);
}

/* The first of the lowest n adjacent free pages at or above `from`; 0: there are none. */
static size_t find(const struct pagealloc *p, size_t from, size_t n)
{
    struct walk walk = {.from = from, .need = n};
    if (from >= p->high)
        return 0;
    if (walk_first_chunk(&walk, p))
        return walk.found;
    walk.run = 0;
    return walk_from_root(&walk, p) ? walk.found : 0;
}

/* ---- The calls ---- */

/* Takes the n pages that were found from p->search on. 0: there were none. */
static uintptr_t alloc_found(struct pagealloc *p, size_t page, size_t n, size_t *scavenged)
{
    *scavenged = 0;
    if (page == 0)
        return 0;
    *scavenged = take(p, page, n);
    if (page == p->search)
        p->search = page + n;
    return page << PAGE_SHIFT;
}

uintptr_t pagealloc_alloc(struct pagealloc *p, size_t npages, size_t *scavenged)
{
    ASSERT(npages > 0);
    size_t page = find(p, p->search, npages);
    if (npages == 1)
        p->search = page ? page : p->high;
    return alloc_found(p, page, npages, scavenged);
}

/* The first of the lowest n adjacent free pages that do not cross the end of a block; 0: there are
 * none. If a fit crosses that end, so does every fit that begins between the two; so the search
 * goes on in the next block. */
static size_t find_within(const struct pagealloc *p, size_t n, size_t block)
{
    size_t page = find(p, p->search, n);
    while (page && (page ^ (page + n - 1)) >= block)
        page = find(p, align_up(page, block), n);
    return page;
}

uintptr_t pagealloc_alloc_within(struct pagealloc *p, size_t npages, size_t block,
                                 size_t *scavenged)
{
    ASSERT(npages > 0 && npages <= block && is_power_of_two(block));
    return alloc_found(p, find_within(p, npages, block), npages, scavenged);
}

void pagealloc_free(struct pagealloc *p, uintptr_t base, size_t npages)
{
    put(p, base >> PAGE_SHIFT, npages, false);
}

void pagealloc_cache_fill(struct pagealloc *p, struct page_cache *cache, size_t npages)
{
    ASSERT(cache->free == 0 && npages > 0 && npages <= PAGE_CACHE_PAGES);
    *cache = (struct page_cache){0, 0, 0};
    size_t page = find_within(p, npages, PAGE_CACHE_PAGES);
    if (page == 0)
        return;
    if (p->search >= align_down(page, 64))
        p->search = next_strip(page);
    struct strip s = strip_at(p, align_down(page, 64), next_strip(page));
    cache->base = align_down(page, 64) << PAGE_SHIFT;
    cache->free = *s.free;
    cache->scavenged = strip_take(p, s, *s.free);
    update(p, page, page);
}

void pagealloc_cache_flush(struct pagealloc *p, struct page_cache *cache)
{
    if (cache->free) {
        size_t page = cache->base >> PAGE_SHIFT;
        size_t first = page + (size_t)__builtin_ctzll(cache->free);
        strip_put(p, strip_at(p, page, page + 64), cache->free, cache->scavenged);
        update(p, page, page);
        p->search = MIN_OF(p->search, first);
    }
    *cache = (struct page_cache){0, 0, 0};
}

bool page_cache_has(const struct page_cache *cache, size_t npages)
{
    return run_starts(cache->free, npages) != 0;
}

uintptr_t page_cache_alloc(struct page_cache *cache, size_t npages, size_t *scavenged)
{
    ASSERT(npages > 0);
    *scavenged = 0;
    uint64_t starts = npages <= PAGE_CACHE_PAGES ? run_starts(cache->free, npages) : 0;
    if (starts == 0)
        return 0;
    size_t i = (size_t)__builtin_ctzll(starts);
    uint64_t taken = mask64(i, i + npages);
    *scavenged = count64(cache->scavenged & taken);
    cache->free &= ~taken;
    cache->scavenged &= ~taken;
    return cache->base + (i << PAGE_SHIFT);
}

/* ---- Scavenging ---- */

/* The releasable pages of word w, by units. A unit is a page of the OS. It is releasable if all of
 * it is free and a part of it is backed. The parts that are not backed are zero, and so is all of
 * the unit once it is released. */
static uint64_t releasable(const struct page_chunk *chunk, size_t w, unsigned unit)
{
    uint64_t all = chunk->free[w], any = all & ~chunk->scavenged[w];
    if (unit == 1)
        return any;
    ASSERT(unit > 1 && unit <= 64);
    for (unsigned n = 1; n < unit; n *= 2) {
        all &= all >> n;
        any |= any >> n;
    }
    uint64_t one = mask64(0, unit), firsts = UINT64_MAX / one;
    return (all & any & firsts) * one;
}

/* One past the highest releasable page in the chunk; 0: none. */
static size_t releasable_end(const struct page_chunk *chunk, unsigned unit)
{
    for (size_t w = CHUNK_WORDS; w-- > 0;) {
        uint64_t pages = releasable(chunk, w, unit);
        if (pages)
            return (w + 1) * 64 - (size_t)__builtin_clzll(pages);
    }
    return 0;
}

/* One past the highest releasable page of the block that begins with page `first`; 0: none. */
static size_t block_releasable_end(const struct pagealloc *p, size_t first)
{
    const struct page_block *block = block_of(region_of(p, first), first);
    for (size_t i = block->backed ? BLOCK_CHUNKS : 0; i-- > 0;) {
        size_t end = block->grown >> i & 1 ? releasable_end(&block->chunks[i], p->unit) : 0;
        if (end)
            return first + (i << CHUNK_SHIFT) + end;
    }
    return 0;
}

/* One past the highest releasable page; 0: none. */
static size_t highest_releasable_end(const struct pagealloc *p)
{
    size_t end = 0;
    if (p->free_pages == p->scavenged_pages)
        return 0;
    for (size_t page = align_up(p->high, LEVEL_PAGES(0)); page > p->low && end == 0;) {
        page -= LEVEL_PAGES(2);
        if (region_of(p, page))
            end = block_releasable_end(p, page);
        else
            page = align_down(page, LEVEL_PAGES(0));
    }
    return end;
}

/* How many pages before `end`, in its chunk, are releasable. Whole units. */
static size_t count_releasable(const struct pagealloc *p, size_t end, size_t max_pages)
{
    size_t last = end - 1, i = (last & (CHUNK_PAGES - 1)) + 1, n = 0, unit = p->unit;
    const struct page_chunk *chunk = chunk_of(block_of(region_of(p, last), last), last);
    do {
        n += unit;
        i -= unit;
    } while (i > 0 && n + unit <= max_pages &&
             releasable(chunk, (i - 1) / 64, p->unit) >> (i - 1) % 64 & 1);
    return n;
}

uintptr_t pagealloc_scavenge_take(struct pagealloc *p, size_t max_pages, size_t *npages)
{
    *npages = 0;
    size_t end = highest_releasable_end(p);
    if (end == 0)
        return 0;
    size_t n = count_releasable(p, end, max_pages), page = end - n;
    *npages = n;
    take(p, page, n);
    return page << PAGE_SHIFT;
}

void pagealloc_note_backed(struct pagealloc *p, uintptr_t base, size_t npages)
{
    size_t page = base >> PAGE_SHIFT, end = page + npages;
    CHECK(in_grown(p, page, npages));
    for (size_t i = page; i < end; i = next_strip(i)) {
        struct strip s = strip_at(p, i, end);
        uint64_t backed = *s.scavenged & s.mask;
        *s.scavenged &= ~backed;
        s.block->backed += count64(backed);
        p->scavenged_pages -= count64(backed);
    }
}

size_t pagealloc_count_scavenged(const struct pagealloc *p, uintptr_t base, size_t npages)
{
    size_t page = base >> PAGE_SHIFT, end = page + npages, n = 0;
    CHECK(in_grown(p, page, npages));
    for (size_t i = page; i < end; i = next_strip(i)) {
        struct strip s = strip_at(p, i, end);
        n += count64(*s.scavenged & s.mask);
    }
    return n;
}

void pagealloc_scavenge_give(struct pagealloc *p, uintptr_t base, size_t npages, bool released)
{
    put(p, base >> PAGE_SHIFT, npages, released);
}

/* ---- Growth ---- */

static void *map_tables(size_t size)
{
    void *tables = os_map(size);
    if (tables)
        os_small_pages(tables, size);
    return tables;
}

bool pagealloc_init(struct pagealloc *p)
{
    size_t unit = MAX_OF(os_page_size() / PAGE_SIZE, (size_t)1);
    CHECK(unit <= 64);
    *p = (struct pagealloc){
        .roots = map_tables(ROOTS_BYTES), .metadata = os_page_size(), .unit = (unsigned)unit};
    return p->roots != NULL;
}

void pagealloc_destroy(struct pagealloc *p)
{
    for (size_t i = p->low >> LEVEL_SHIFT(0); i << LEVEL_SHIFT(0) < p->high; i++)
        if (p->roots->at[i].region)
            os_unmap(p->roots->at[i].region, REGION_BYTES);
    os_unmap(p->roots, ROOTS_BYTES);
    *p = (struct pagealloc){0};
}

/* Unmaps the regions of [first, end) that hold nothing. */
static void drop_empty_regions(struct pagealloc *p, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        struct page_region *region = p->roots->at[i].region;
        if (region && region->grown == 0) {
            os_unmap(region, REGION_BYTES);
            p->roots->at[i].region = NULL;
            bits_clear(p->roots->used, i);
            p->metadata -= os_page_size();
        }
    }
}

static bool add_regions(struct pagealloc *p, size_t page, size_t end)
{
    size_t first = page >> LEVEL_SHIFT(0), last = (end - 1) >> LEVEL_SHIFT(0);
    for (size_t i = first; i <= last; i++) {
        struct page_root *root = &p->roots->at[i];
        if (root->region)
            continue;
        root->region = map_tables(REGION_BYTES);
        if (!root->region) {
            drop_empty_regions(p, first, i);
            return false;
        }
        bits_set(p->roots->used, i);
        p->metadata += os_page_size();
    }
    return true;
}

static void add_chunk(struct pagealloc *p, size_t page)
{
    struct page_region *region = region_of(p, page);
    struct page_block *block = block_of(region, page);
    uint64_t bit = UINT64_C(1) << (page >> CHUNK_SHIFT & (BLOCK_CHUNKS - 1));
    CHECK(!(block->grown & bit));
    block->grown |= bit;
    region->grown++;
    memset(chunk_of(block, page), 0xff, sizeof(struct page_chunk));
    p->metadata += sizeof(struct page_chunk) + sizeof(uint64_t);
}

bool pagealloc_grow(struct pagealloc *p, uintptr_t base, size_t size)
{
    size_t page = base >> PAGE_SHIFT, n = size >> PAGE_SHIFT, end = page + n;
    CHECK(n > 0 && page > 0 && (base | size) % CHUNK_BYTES == 0);
    CHECK(page < ALL_PAGES && n <= ALL_PAGES - page);
    if (!add_regions(p, page, end))
        return false;
    for (size_t i = page; i < end; i += CHUNK_PAGES)
        add_chunk(p, i);
    update(p, page, end - 1);
    p->free_pages += n;
    p->scavenged_pages += n;
    p->search = MIN_OF(p->search, page);
    p->low = p->high ? MIN_OF(p->low, page) : page;
    p->high = MAX_OF(p->high, end);
    return true;
}

/* ---- Checks ---- */

bool pagealloc_is_free(struct pagealloc *p, uintptr_t base, size_t npages)
{
    size_t page = base >> PAGE_SHIFT;
    if (!in_grown(p, page, npages))
        return false;
    for (size_t i = page; i < page + npages; i = next_strip(i)) {
        if (!region_of(p, i))
            return false;
        struct strip s = strip_at(p, i, page + npages);
        if ((*s.free & s.mask) != s.mask)
            return false;
    }
    return true;
}

struct totals {
    size_t free, scavenged, first_free;
};

static void check_chunk(const struct page_chunk *chunk, bool grown, size_t page,
                        struct totals *totals)
{
    for (size_t w = 0; w < CHUNK_WORDS; w++) {
        uint64_t bits = chunk->free[w];
        CHECK(grown || bits == 0);
        CHECK((chunk->scavenged[w] & ~bits) == 0);
        totals->free += count64(bits);
        totals->scavenged += count64(chunk->scavenged[w]);
        if (bits && totals->first_free == SIZE_MAX)
            totals->first_free = page + w * 64 + (size_t)__builtin_ctzll(bits);
    }
}

static void check_block(const struct page_block *block, size_t page, struct totals *totals)
{
    struct totals before = *totals;
    for (size_t c = 0; c < BLOCK_CHUNKS; c++)
        check_chunk(&block->chunks[c], block->grown >> c & 1, page + (c << CHUNK_SHIFT), totals);
    CHECK(block->backed == totals->free - before.free - (totals->scavenged - before.scavenged));
}

/* Checks all summaries at and below a node, without touching tables of pages that were never
 * grown. */
static void check_summaries(const struct pagealloc *p, unsigned level, size_t index)
{
    size_t page = index << LEVEL_SHIFT(level);
    CHECK(*summary_of(p, level, index) == summarize(p, level, index));
    if (level == LEAF_LEVEL || (level == 2 && !block_of(region_of(p, page), page)->grown))
        return;
    for (size_t i = 0; i < FANOUT; i++)
        check_summaries(p, level + 1, index * FANOUT + i);
}

static void check_region(const struct pagealloc *p, size_t index, struct totals *totals)
{
    struct page_region *region = p->roots->at[index].region;
    size_t grown = 0;
    for (size_t b = 0; b < REGION_BLOCKS; b++) {
        struct page_block *block = &region->blocks[b];
        if (block->grown)
            check_block(block, (index << LEVEL_SHIFT(0)) + (b << BLOCK_SHIFT), totals);
        else
            CHECK(block->backed == 0);
        grown += count64(block->grown);
    }
    CHECK(grown == region->grown && grown > 0);
    check_summaries(p, 0, index);
}

void pagealloc_check(struct pagealloc *p)
{
    struct totals totals = {0, 0, SIZE_MAX};
    for (size_t i = 0; i < ROOTS; i++) {
        bool inside = i >= p->low >> LEVEL_SHIFT(0) && i << LEVEL_SHIFT(0) < p->high;
        CHECK(inside || !p->roots->at[i].region);
        CHECK(bits_test(p->roots->used, i) == (p->roots->at[i].region != NULL));
        if (p->roots->at[i].region)
            check_region(p, i, &totals);
        else
            CHECK(p->roots->at[i].summary == 0);
    }
    CHECK(totals.free == p->free_pages && totals.scavenged == p->scavenged_pages);
    CHECK(p->search <= totals.first_free);
}
