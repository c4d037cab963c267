/* The page allocator against a model that has one byte per page and looks at all of them. */
#include "memory/pagealloc.h"
#undef CHECK
#include "build.h"
#include "tap.h"

#define CHUNK_BYTES ((size_t)CHUNK_PAGES * PAGE_SIZE)
#define REGION_PAGES ((size_t)1 << 21) /* what a root entry of the tree covers */
#define SOMEWHERE ((size_t)3 << (ADDRESS_BITS - 4))

static uint64_t state;

static size_t random_below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

/* ---- The model: the pages of up to MAX_CHUNKS chunks in the order of their addresses. Pages that
 * are not grown yet, or in a cache, or being scavenged, are TAKEN. ---- */

#define MAX_CHUNKS 96
#define MAX_PAGES (MAX_CHUNKS * CHUNK_PAGES)
enum { TAKEN, SCAVENGED, BACKED };

struct extent {
    size_t first, n; /* model's page indexes */
};

#define CACHES 3
#define NONE SIZE_MAX
#define ANYWHERE ((size_t)1 << (sizeof(size_t) * 8 - 1)) /* a block that holds all pages */

static struct model {
    size_t nchunks;
    size_t chunk_page[MAX_CHUNKS]; /* page numbers, rising */
    bool grown[MAX_CHUNKS];
    uint8_t pages[MAX_PAGES];
    struct extent live[MAX_PAGES], scavenging[8];
    size_t nlive, nscavenging;
    size_t free, scavenged;
    struct page_cache caches[CACHES];
} m;

static struct pagealloc pages;

static size_t page_of(size_t i)
{
    return m.chunk_page[i / CHUNK_PAGES] + i % CHUNK_PAGES;
}
static uintptr_t address_of(size_t i)
{
    return i == NONE ? 0 : page_of(i) << PAGE_SHIFT;
}

static size_t index_of(uintptr_t address)
{
    size_t page = address >> PAGE_SHIFT;
    for (size_t c = 0; c < m.nchunks; c++)
        if (page - m.chunk_page[c] < CHUNK_PAGES)
            return c * CHUNK_PAGES + page - m.chunk_page[c];
    FAIL("no page of ours: 0x%zx", (size_t)address);
}

static void set_page(size_t i, uint8_t value)
{
    m.free -= m.pages[i] != TAKEN;
    m.scavenged -= m.pages[i] == SCAVENGED;
    m.pages[i] = value;
    m.free += value != TAKEN;
    m.scavenged += value == SCAVENGED;
}

static void set_pages(struct extent e, uint8_t value)
{
    for (size_t i = e.first; i < e.first + e.n; i++)
        set_page(i, value);
}

static bool joined(size_t i)
{
    return i > 0 && page_of(i) == page_of(i - 1) + 1;
}

/* The first page at or after i that is not taken; by words where they are wholly taken. */
static size_t skip_taken(size_t i)
{
    while (i < m.nchunks * CHUNK_PAGES && m.pages[i] == TAKEN) {
        uint64_t eight = 1;
        if (i % 8 == 0)
            memcpy(&eight, &m.pages[i], 8);
        i += eight == 0 ? 8 : 1;
    }
    return i;
}

/* The lowest fit. */
static size_t model_find(size_t n, size_t block)
{
    size_t run = 0, end = m.nchunks * CHUNK_PAGES;
    for (size_t i = skip_taken(0); i < end; i++) {
        if (m.pages[i] == TAKEN) {
            run = 0;
            i = skip_taken(i) - 1;
            continue;
        }
        bool starts = run == 0 || (i % CHUNK_PAGES == 0 && !joined(i));
        run = starts ? 1 : run + 1;
        if (run < n)
            continue;
        if (page_of(i + 1 - n) / block == page_of(i) / block)
            return i + 1 - n;
    }
    return NONE;
}

static size_t count_scavenged(struct extent e)
{
    size_t n = 0;
    for (size_t i = e.first; i < e.first + e.n; i++)
        n += m.pages[i] == SCAVENGED;
    return n;
}

/* ---- Operations, each on both ---- */

static void op_alloc(size_t n, size_t block)
{
    size_t scavenged, want = model_find(n, block);
    uintptr_t got = block == ANYWHERE ? pagealloc_alloc(&pages, n, &scavenged)
                                      : pagealloc_alloc_within(&pages, n, block, &scavenged);
    CHECK_EQ(got, address_of(want));
    if (want == NONE) {
        CHECK_EQ(scavenged, 0);
        return;
    }
    struct extent e = {want, n};
    CHECK_EQ(scavenged, count_scavenged(e));
    set_pages(e, TAKEN);
    m.live[m.nlive++] = e;
}

static void op_alloc_within(size_t n)
{
    size_t block = (size_t)1 << random_below(10);
    while (block < n)
        block *= 2;
    op_alloc(n, block);
}

static void free_extent(struct extent e)
{
    pagealloc_free(&pages, address_of(e.first), e.n);
    set_pages(e, BACKED);
}

/* All of something, or a part of it. */
static void op_free(void)
{
    if (m.nlive == 0)
        return;
    struct extent *e = &m.live[random_below(m.nlive)], freed = *e;
    if (e->n > 1 && random_below(8) == 0) {
        freed.n = 1 + random_below(e->n - 1);
        e->first += freed.n;
        e->n -= freed.n;
    } else {
        *e = m.live[--m.nlive];
    }
    free_extent(freed);
}

static void op_cache_fill(struct page_cache *cache, size_t n)
{
    size_t i = model_find(n, 64);
    pagealloc_cache_fill(&pages, cache, n);
    if (i == NONE) {
        CHECK(cache->base == 0 && cache->free == 0);
        return;
    }
    i -= i % 64;
    CHECK_EQ(cache->base, address_of(i));
    for (size_t bit = 0; bit < 64; bit++) {
        CHECK_EQ(cache->free >> bit & 1, m.pages[i + bit] != TAKEN);
        CHECK_EQ(cache->scavenged >> bit & 1, m.pages[i + bit] == SCAVENGED);
        set_page(i + bit, TAKEN);
    }
}

static void op_cache_alloc(struct page_cache *cache, size_t n)
{
    size_t scavenged, expected = 0, bit = 0;
    struct page_cache before = *cache;
    uintptr_t got = page_cache_alloc(cache, n, &scavenged);
    uint64_t run = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
    while (bit + n <= 64 && (before.free >> bit & run) != run)
        bit++;
    CHECK_EQ(page_cache_has(&before, n), bit + n <= 64);
    if (bit + n > 64) {
        CHECK_EQ(got, 0);
        return;
    }
    CHECK_EQ(got, before.base + bit * PAGE_SIZE);
    for (size_t i = bit; i < bit + n; i++)
        expected += before.scavenged >> i & 1;
    CHECK_EQ(scavenged, expected);
    CHECK_EQ(cache->free, before.free & ~(run << bit));
    CHECK_EQ(cache->scavenged, before.scavenged & ~(run << bit));
    m.live[m.nlive++] = (struct extent){index_of(got), n};
}

static void op_cache_flush(struct page_cache *cache)
{
    struct page_cache before = *cache;
    pagealloc_cache_flush(&pages, cache);
    CHECK(cache->base == 0 && cache->free == 0 && cache->scavenged == 0);
    for (size_t bit = 0; bit < 64; bit++)
        if (before.free >> bit & 1)
            set_page(index_of(before.base) + bit, before.scavenged >> bit & 1 ? SCAVENGED : BACKED);
}

static void op_cache(void)
{
    struct page_cache *cache = &m.caches[random_below(CACHES)];
    if (random_below(12) == 0)
        op_cache_flush(cache);
    else if (cache->free == 0)
        op_cache_fill(cache, 1 + random_below(random_below(8) ? 6 : 64));
    else
        op_cache_alloc(cache, 1 + random_below(random_below(8) ? 4 : 64));
}

/* The OS's page that begins with page i is wholly free, and backed in part. */
static bool is_releasable(size_t i)
{
    bool backed = false;
    for (size_t k = i; k < i + pages.unit; k++) {
        if (m.pages[k] == TAKEN)
            return false;
        backed |= m.pages[k] == BACKED;
    }
    return backed;
}

/* The highest run of such, in one chunk. */
static struct extent model_scavenge(size_t max)
{
    size_t unit = pages.unit, end = m.nchunks * CHUNK_PAGES;
    while (end > 0 && !is_releasable(end - unit))
        end -= unit;
    if (end == 0)
        return (struct extent){NONE, 0};
    size_t start = end - unit;
    while (start % CHUNK_PAGES != 0 && end - start + unit <= max && is_releasable(start - unit))
        start -= unit;
    return (struct extent){start, end - start};
}

static void op_scavenge(void)
{
    if (m.nscavenging < ARRAY_LEN(m.scavenging) && random_below(2)) {
        size_t n, max = 1 + random_below(random_below(2) ? 4 : 700);
        struct extent want = model_scavenge(max);
        uintptr_t got = pagealloc_scavenge_take(&pages, max, &n);
        CHECK_EQ(got, address_of(want.first));
        CHECK_EQ(n, want.n);
        if (n == 0)
            return;
        set_pages(want, TAKEN);
        m.scavenging[m.nscavenging++] = want;
    } else if (m.nscavenging > 0) {
        struct extent e = m.scavenging[--m.nscavenging];
        bool released = random_below(4);
        pagealloc_scavenge_give(&pages, address_of(e.first), e.n, released);
        set_pages(e, released ? SCAVENGED : BACKED);
    }
}

/* A stretch of adjacent chunks that are not grown yet; at times the OS refuses. */
static void op_grow(void)
{
    size_t c = random_below(m.nchunks), n = 1, limit = 1 + random_below(4);
    if (m.grown[c])
        return;
    while (n < limit && c + n < m.nchunks && !m.grown[c + n] && joined((c + n) * CHUNK_PAGES))
        n++;
    struct pagealloc before = pages;
    os_fail_nth(random_below(3), 1);
    bool grown = pagealloc_grow(&pages, m.chunk_page[c] << PAGE_SHIFT, n * CHUNK_BYTES);
    os_fail_nth(0, 0);
    if (!grown) {
        CHECK(memcmp(&before, &pages, sizeof pages) == 0);
        return;
    }
    for (size_t i = c; i < c + n; i++)
        m.grown[i] = true;
    set_pages((struct extent){c * CHUNK_PAGES, n * CHUNK_PAGES}, SCAVENGED);
}

static void op_is_free(void)
{
    size_t i = random_below(m.nchunks * CHUNK_PAGES),
           n = 1 + random_below(random_below(2) ? 4 : 900);
    bool want = true;
    for (size_t j = i; j < i + n && want; j++)
        want = j < m.nchunks * CHUNK_PAGES && m.pages[j] != TAKEN && (j == i || joined(j));
    CHECK_EQ(pagealloc_is_free(&pages, address_of(i), n), want);
}

static size_t random_size(void)
{
    switch (random_below(8)) {
    case 0:
        return 1 + random_below(100);
    case 1:
        return 1 + random_below(700);
    case 2:
        return 1 + random_below(1800);
    case 3:
    case 4:
        return 1 + random_below(16);
    default:
        return 1;
    }
}

/* `bias` of 100 make the heap fuller. */
static void op_random(size_t bias)
{
    size_t dice = random_below(100);
    if (dice < 6)
        op_cache();
    else if (dice < 10)
        op_scavenge();
    else if (dice < 11)
        op_is_free();
    else if (random_below(100) >= bias)
        op_free();
    else if (dice < 18)
        op_alloc_within(random_size());
    else
        op_alloc(random_size(), ANYWHERE);
}

/* Gives everything back, and finds one run per stretch of adjacent chunks. */
static void finish(void)
{
    for (size_t c = 0; c < CACHES; c++)
        op_cache_flush(&m.caches[c]);
    while (m.nscavenging > 0)
        op_scavenge();
    while (m.nlive > 0)
        free_extent(m.live[--m.nlive]);
    pagealloc_check(&pages);
    for (size_t c = 0, n; c < m.nchunks; c += n) {
        for (n = 1; c + n < m.nchunks && m.grown[c + n] && joined((c + n) * CHUNK_PAGES);)
            n++;
        if (m.grown[c])
            CHECK(pagealloc_is_free(&pages, address_of(c * CHUNK_PAGES), n * CHUNK_PAGES));
    }
    pagealloc_destroy(&pages);
}

/* `unit`: pages to one of the OS's. */
static void run_on(unsigned unit, const char *what, size_t nops)
{
    size_t bias = 60;
    CHECK(pagealloc_init(&pages));
    pages.unit = unit;
    for (size_t i = 0; i < nops; i++) {
        if (i % 4096 == 0)
            bias = 30 + random_below(60);
        if (random_below(200) == 0)
            op_grow();
        op_random(bias);
        CHECK_EQ(pages.free_pages, m.free);
        CHECK_EQ(pages.scavenged_pages, m.scavenged);
        if (i % 512 == 0)
            pagealloc_check(&pages);
    }
    diag("%s: %zu operations, %zu of %zu pages free at the end", what, nops, m.free,
         m.nchunks * CHUNK_PAGES);
    finish();
}

static void run(const char *what, size_t nops)
{
    run_on(1, what, nops);
}

static void add_chunks(size_t page, size_t n)
{
    for (size_t i = 0; i < n; i++)
        m.chunk_page[m.nchunks++] = page + i * CHUNK_PAGES;
}

enum { OPS = SLOW ? 100000 : 1000000 };

TEST(random_in_one_chunk)
{
    state = 1;
    add_chunks(SOMEWHERE / PAGE_SIZE, 1);
    run("one chunk", OPS);
}

TEST(random_where_pages_of_the_os_are_larger)
{
    static const unsigned units[] = {2, 8, 64};
    state = 5;
    add_chunks(SOMEWHERE / PAGE_SIZE, 3);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        memset(m.grown, 0, sizeof m.grown);
        memset(m.pages, TAKEN, sizeof m.pages);
        m.free = m.scavenged = 0;
        run_on(units[i], "larger pages", OPS / 6);
    }
}

TEST(random_across_a_root_entry)
{
    state = 2;
    if (ADDRESS_BITS < 48)
        SKIP("a small address space");
    add_chunks(REGION_PAGES * 7 - 4 * CHUNK_PAGES, 9);
    run("nine chunks across 16 GiB", OPS);
}

TEST(random_under_one_parent_and_beyond)
{
    state = 3;
    add_chunks(SOMEWHERE / PAGE_SIZE + 61 * CHUNK_PAGES, 40);
    run("forty chunks across 256 MiB", OPS / 6);
}

/* At both ends of the address space, and at every distance. */
TEST(random_in_scattered_chunks)
{
    state = 4;
    size_t last = ((size_t)1 << (ADDRESS_BITS - PAGE_SHIFT)) - 2 * CHUNK_PAGES;
    add_chunks(CHUNK_PAGES, 2);
    for (size_t page = 8 * CHUNK_PAGES; page < last - 2 * CHUNK_PAGES; page *= 4)
        add_chunks(page, 2);
    add_chunks(last, 2);
    run("pairs of chunks", OPS / 6);
}

TEST(coalesces_and_reuses)
{
    size_t scavenged, base = SOMEWHERE;
    CHECK(pagealloc_init(&pages));
    CHECK(pagealloc_grow(&pages, base, 2 * CHUNK_BYTES));
    for (size_t i = 0; i < 2 * CHUNK_PAGES; i++)
        CHECK_EQ(pagealloc_alloc(&pages, 1, &scavenged), base + i * PAGE_SIZE);
    CHECK_EQ(pagealloc_alloc(&pages, 1, &scavenged), 0);
    for (size_t i = 0; i < 2 * CHUNK_PAGES; i += 2)
        pagealloc_free(&pages, base + i * PAGE_SIZE, 1);
    CHECK_EQ(pagealloc_alloc(&pages, 2, &scavenged), 0);
    for (size_t i = 1; i < 2 * CHUNK_PAGES; i += 2)
        pagealloc_free(&pages, base + i * PAGE_SIZE, 1);
    CHECK_EQ(pagealloc_alloc(&pages, 2 * CHUNK_PAGES, &scavenged), base);
    CHECK_EQ(scavenged, 0);
    pagealloc_free(&pages, base + 5 * PAGE_SIZE, 7);
    CHECK_EQ(pagealloc_alloc(&pages, 7, &scavenged), base + 5 * PAGE_SIZE);
    pagealloc_check(&pages);
    pagealloc_destroy(&pages);
}

/* Runs longer than a root entry: 40 GiB in ranges that are grown out of order. */
TEST(allocates_across_arenas_and_root_entries)
{
    size_t scavenged, gib = (size_t)1 << 30, base = 100 * gib;
    if (ADDRESS_BITS < 48)
        SKIP("a small address space");
    CHECK(pagealloc_init(&pages));
    CHECK(pagealloc_grow(&pages, base + 20 * gib, 20 * gib));
    CHECK(pagealloc_grow(&pages, base, 4 * gib));
    CHECK_EQ(pagealloc_alloc(&pages, 20 * gib / PAGE_SIZE + 1, &scavenged), 0);
    CHECK(pagealloc_grow(&pages, base + 4 * gib, 16 * gib));
    pagealloc_check(&pages);
    CHECK(pagealloc_is_free(&pages, base, 40 * gib / PAGE_SIZE));
    CHECK_EQ(pagealloc_alloc(&pages, 40 * gib / PAGE_SIZE + 1, &scavenged), 0);
    CHECK_EQ(pagealloc_alloc(&pages, 40 * gib / PAGE_SIZE, &scavenged), base);
    CHECK_EQ(scavenged, 40 * gib / PAGE_SIZE);
    pagealloc_check(&pages);
    CHECK_EQ(pagealloc_alloc(&pages, 1, &scavenged), 0);
    pagealloc_free(&pages, base, 40 * gib / PAGE_SIZE);
    CHECK_EQ(pagealloc_alloc(&pages, 1, &scavenged), base);
    CHECK_EQ(pagealloc_alloc(&pages, 17 * gib / PAGE_SIZE, &scavenged), base + PAGE_SIZE);
    CHECK_EQ(pagealloc_alloc_within(&pages, 8 * gib / PAGE_SIZE, 8 * gib / PAGE_SIZE, &scavenged),
             base + 20 * gib);
    pagealloc_check(&pages);
    pagealloc_destroy(&pages);
}

TEST(refused_growth_changes_nothing)
{
    size_t base = (REGION_PAGES * 3 << PAGE_SHIFT) - CHUNK_BYTES, scavenged;
    if (ADDRESS_BITS < 48)
        SKIP("a small address space");
    os_fail_nth(1, 1);
    CHECK(!pagealloc_init(&pages));
    CHECK(pagealloc_init(&pages));
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct pagealloc before = pages;
        os_fail_nth(nth, 1);
        CHECK(!pagealloc_grow(&pages, base, 2 * CHUNK_BYTES));
        CHECK(memcmp(&before, &pages, sizeof pages) == 0);
        pagealloc_check(&pages);
        CHECK_EQ(pagealloc_alloc(&pages, 1, &scavenged), 0);
    }
    CHECK(pagealloc_grow(&pages, base, CHUNK_BYTES));
    struct pagealloc before = pages;
    os_fail_nth(1, 1);
    CHECK(!pagealloc_grow(&pages, base + CHUNK_BYTES, CHUNK_BYTES));
    CHECK(memcmp(&before, &pages, sizeof pages) == 0);
    CHECK_EQ(pagealloc_alloc(&pages, CHUNK_PAGES + 1, &scavenged), 0);
    CHECK(pagealloc_grow(&pages, base + CHUNK_BYTES, CHUNK_BYTES));
    CHECK_EQ(pagealloc_alloc(&pages, CHUNK_PAGES + 1, &scavenged), base);
    pagealloc_check(&pages);
    pagealloc_destroy(&pages);
}

TEST(misuse_aborts)
{
    size_t scavenged, base = CHUNK_BYTES * 100;
    CHECK(pagealloc_init(&pages));
    CHECK(pagealloc_grow(&pages, base, CHUNK_BYTES));
    CHECK_EQ(pagealloc_alloc(&pages, 10, &scavenged), base);
    EXPECT_ABORT("pagealloc.c", pagealloc_free(&pages, base, 11));
    EXPECT_ABORT("pagealloc.c", pagealloc_free(&pages, base + 20 * PAGE_SIZE, 1));
    EXPECT_ABORT("pagealloc.c", pagealloc_free(&pages, base - PAGE_SIZE, 1));
    EXPECT_ABORT("pagealloc.c", pagealloc_free(&pages, base + CHUNK_BYTES, 1));
    EXPECT_ABORT("pagealloc.c", pagealloc_free(&pages, base, 0));
    EXPECT_ABORT("pagealloc.c", pagealloc_grow(&pages, base, CHUNK_BYTES));
    EXPECT_ABORT("pagealloc.c", pagealloc_grow(&pages, base + 5 * CHUNK_BYTES, CHUNK_BYTES / 2));
}

/* ---- Cost ---- */

/* What a heap needs of the system's calls and pages before it has memory of its own. */
TEST(heaps_are_cheap)
{
    size_t scavenged;
    for (int i = 0; i < 2000; i++) {
        uint64_t calls = os_fallible_calls();
        CHECK(pagealloc_init(&pages));
        CHECK(pagealloc_grow(&pages, SOMEWHERE, ARENA_SIZE));
        CHECK(pagealloc_alloc(&pages, 1, &scavenged) != 0);
        CHECK(pages.metadata <= 3 * os_page_size());
        CHECK(os_fallible_calls() - calls <= 20);
        pagealloc_destroy(&pages);
    }
}

/* One after the other, until none is left. */
TEST(single_pages_are_fast)
{
    size_t scavenged, n = 8 * ARENA_PAGES, base = SOMEWHERE;
    CHECK(pagealloc_init(&pages));
    CHECK(pagealloc_grow(&pages, base, 8 * ARENA_SIZE));
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(pagealloc_alloc(&pages, 1, &scavenged), base + i * PAGE_SIZE);
    CHECK_EQ(pagealloc_alloc(&pages, 1, &scavenged), 0);
    pagealloc_destroy(&pages);
}

TAP_MAIN
