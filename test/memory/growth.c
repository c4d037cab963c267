/* A heap's memory grows, and the system refuses one part of that: nothing is left behind. */
#include "build.h"
#include "allocator/mheap.h"
#include "base/stress.h"
#include "tap.h"

static struct mheap mem;

static void make(size_t reserve)
{
    memset(&mem, 0, sizeof mem);
    CHECK_EQ(mheap_init(&mem, &(gc_options){.reserve = reserve}), 0);
}

static struct gc_span *span_of(size_t npages)
{
    bool zeroed;
    return mheap_alloc_span(&mem, NULL, npages, 0, 2, &zeroed);
}

/* Pages of address space. */
static size_t mapped_pages(void)
{
    size_t pages = 0;
    FILE *in = fopen("/proc/self/statm", "r");
    CHECK(in && fscanf(in, "%zu", &pages) == 1);
    fclose(in);
    return pages;
}

static size_t entries(void)
{
    size_t n = 0;
    for (size_t i = 0; i < mem.arenas.map.count; i++)
        n += mem.arenas.map.entries[i] != NULL;
    return n;
}

/* If the first arena is not where it was to be, as under some sanitizers, what follows it may be
 * taken. */
#define SKIP_UNLESS_HINTED()                                                                       \
    do {                                                                                           \
        if (WORD_BITS == 64 && mem.arenas.map.count == ARENA_MAP_ALL)                              \
            SKIP("the hint is not taken");                                                         \
    } while (0)

/* The arenas have so many pages, in steps. */
static void check_arenas(size_t npages)
{
    size_t listed = 0, arenas = divide_up(npages, ARENA_PAGES), reserved = 0;
    for (const struct arena *a = mem.arenas.newest; a; a = a->older) {
        listed++;
        reserved += a->end - a->base;
    }
    CHECK_EQ(listed, arenas);
    CHECK_EQ(reserved, align_up(npages << PAGE_SHIFT, ARENA_STEP));
    CHECK_EQ(mem.arenas.count, arenas);
    CHECK_EQ(entries(), arenas);
    CHECK_EQ(mem.mapped_bytes, reserved);
}

/* Growths that had all of their arenas when the page allocator was still to be asked. */
static unsigned grown;

/* Threads look up addresses without a lock: what they could find is not taken away again. */
static void nobody_knows(enum stress_point point)
{
    if (point != STRESS_GROWN)
        return;
    grown++;
    CHECK_EQ(entries(), 0);
    CHECK_EQ(mem.arenas.bounds, 0);
    CHECK(!mem.arenas.newest);
}

/* A span of so many pages, of which the nth call to the system is refused. Whether there was one.
 */
static bool grow_refused(uint64_t nth, size_t npages)
{
    size_t before = mapped_pages();
    uintptr_t hint = mem.arenas.next_hint;
    CHECK(mem.spans.free); /* the span's struct needs no memory */
    os_fail_nth(nth, 1);
    struct gc_span *s = span_of(npages);
    os_fail_nth(0, 0);
    if (s)
        return false;
    CHECK(SLOW || mapped_pages() == before);
    check_arenas(0);
    CHECK_EQ(mem.arenas.bounds, 0);
    CHECK_EQ(mem.arenas.next_hint, hint);
    return true;
}

/* The first growth, each part of it refused once; then it succeeds. */
static void grow(size_t reserve, size_t npages)
{
    size_t arenas = divide_up(npages, ARENA_PAGES);
    unsigned refusals = 0, late = 0;
    bool refused = true;
    stress_stop_set(nobody_knows);
    for (uint64_t nth = 1; refused; nth++) {
        make(reserve);
        lock_acquire(&mem.lock);
        fixalloc_free(&mem.spans, fixalloc_alloc(&mem.spans));
        lock_release(&mem.lock);
        grown = 0;
        refused = grow_refused(nth, npages);
        if (refused) {
            refusals++;
            late += grown;
            struct gc_span *s = span_of(npages);
            CHECK(s && (!reserve || s->base == mem.arenas.next_hint - mem.mapped_bytes));
            *(char *)s->base = 1;
            ((char *)s->base)[npages * PAGE_SIZE - 1] = 1;
        }
        check_arenas(npages);
        mheap_destroy(&mem);
    }
    diag("%u calls refused, %u of them with arenas made", refusals, late);
    CHECK(refusals >= arenas + 2);
    /* The tables of one region of addresses, or of two, depending on where the arenas lie. */
    CHECK(late == 1 || late == 2);
}

TEST(first_arena)
{
    grow(0, 1);
}
TEST(several_arenas)
{
    grow(0, 2 * ARENA_PAGES + 1);
}
TEST(first_arena_of_a_reservation)
{
    grow(4 * ARENA_SIZE, 1);
}
TEST(several_arenas_of_a_reservation)
{
    grow(4 * ARENA_SIZE, 2 * ARENA_PAGES + 1);
}

/* ---- Growth within the first arena ---- */

/* Makes spans of a step each until more is reserved; they use all that was. */
static void use_up(void)
{
    size_t before = mem.mapped_bytes;
    while (mem.mapped_bytes == before)
        CHECK(span_of(ARENA_STEP >> PAGE_SHIFT));
}

TEST(the_first_arena_doubles)
{
    if (ARENA_STEP == ARENA_SIZE)
        SKIP("arenas are small");
    make(0);
    CHECK(span_of(1));
    SKIP_UNLESS_HINTED();
    for (size_t size = ARENA_STEP; size < ARENA_SIZE; size *= 2) {
        CHECK_EQ(mem.mapped_bytes, size);
        check_arenas(size >> PAGE_SHIFT);
        use_up();
    }
    CHECK_EQ(mem.mapped_bytes, ARENA_SIZE);
    use_up();
    CHECK_EQ(mem.mapped_bytes, 2 * ARENA_SIZE);
    CHECK_EQ(mem.arenas.count, 2);
    mheap_destroy(&mem);
}

/* A large object begins in the first arena, which is filled up, and ends in the second. */
TEST(growth_joins_arenas)
{
    make(4 * ARENA_SIZE);
    struct gc_span *small = span_of(1), *large = span_of(ARENA_PAGES);
    CHECK(small && large && large->base < mem.arenas.newest->base);
    memset((char *)large->base, 1, span_bytes(large));
    CHECK_EQ(mem.arenas.count, 2);
    CHECK(span_of(2 * ARENA_PAGES)); /* all the rest but less than an arena */
    CHECK(!span_of(ARENA_PAGES));
    mheap_destroy(&mem);
}

/* Other code has mapped what follows. */
TEST(the_neighbourhood_is_taken)
{
    make(0);
    CHECK(span_of(1));
    SKIP_UNLESS_HINTED();
    uintptr_t end = mem.arenas.next_hint;
    void *foreign = os_reserve((void *)end, ARENA_STEP, ARENA_STEP);
    CHECK(foreign && (WORD_BITS == 32 || (uintptr_t)foreign == end)); /* else it is taken already */
    struct gc_span *s = span_of(ARENA_STEP >> PAGE_SHIFT);
    CHECK(s && s->base != end);
    CHECK_EQ(mem.arenas.count, 2);
    CHECK(arena_of(&mem.arenas, s->base) == s->arena);
    uintptr_t base = s->base;
    mheap_destroy(&mem);
    CHECK(!os_is_mapped((void *)base, PAGE_SIZE));
    os_unmap(foreign, ARENA_STEP);
}

/* The system has address space only beyond what the map covers: there the heap does not go. */
TEST(all_of_the_neighbourhood_is_taken)
{
    enum { PLACES = 8 };
    void *foreign[PLACES];
    make(0);
    CHECK(span_of(1));
    if (mem.arenas.map.count == ARENA_MAP_ALL)
        SKIP("it covers all");
    uintptr_t end = align_up(mem.arenas.next_hint, ARENA_SIZE);
    for (uintptr_t i = 0; i < PLACES; i++) {
        uintptr_t at = end + (i << 36);
        CHECK((uintptr_t)(foreign[i] = os_reserve((void *)at, ARENA_SIZE, ARENA_SIZE)) == at);
    }
    CHECK(!span_of(ARENA_PAGES));
    CHECK_EQ(mem.arenas.count, 1);
    mheap_destroy(&mem);
    for (size_t i = 0; i < PLACES; i++)
        os_unmap(foreign[i], ARENA_SIZE);
}

/* The system refuses to double the arena, but has what is needed. */
TEST(the_system_has_little)
{
    if (ARENA_STEP == ARENA_SIZE)
        SKIP("arenas are small");
    make(0);
    CHECK(span_of(1));
    SKIP_UNLESS_HINTED();
    use_up();
    CHECK_EQ(mem.mapped_bytes, 2 * ARENA_STEP);
    os_fail_nth(1, 1 + 8); /* behind the arena, and elsewhere */
    CHECK(span_of(ARENA_STEP >> PAGE_SHIFT));
    os_fail_nth(0, 0);
    CHECK_EQ(mem.mapped_bytes, 3 * ARENA_STEP);
    CHECK_EQ(mem.arenas.count, 1);
    mheap_destroy(&mem);
}

/* Where the first arena was wanted there is other memory: the map covers all addresses. */
TEST(the_first_place_is_taken)
{
    make(0);
    CHECK(span_of(1));
    size_t entries = mem.arenas.map.count;
    uintptr_t base = mem.arenas.newest->base, step = (uintptr_t)1 << 38;
    mheap_destroy(&mem);
    if (entries == ARENA_MAP_ALL)
        SKIP("no hints are taken");
    void *foreign = os_reserve((void *)(base + step), ARENA_STEP, ARENA_STEP);
    CHECK_EQ((uintptr_t)foreign, base + step);
    make(0);
    struct gc_span *s = span_of(1);
    CHECK(s && s->base >> ARENA_SHIFT >= ARENA_MAP_PART);
    CHECK_EQ(mem.arenas.map.count, ARENA_MAP_ALL);
    CHECK(arena_of(&mem.arenas, s->base) == s->arena);
    void *behind = os_reserve((void *)mem.arenas.next_hint, ARENA_STEP, ARENA_STEP);
    s = span_of(ARENA_STEP >> PAGE_SHIFT);
    CHECK(s && arena_of(&mem.arenas, s->base) == s->arena);
    CHECK_EQ(mem.arenas.count, 2);
    CHECK(span_of(2 * ARENA_PAGES));
    mheap_destroy(&mem);
    os_unmap(foreign, ARENA_STEP);
    os_unmap(behind, ARENA_STEP);
}

TAP_MAIN
