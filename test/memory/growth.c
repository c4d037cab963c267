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
    for (size_t i = 0; i < ARENA_INDEX_SIZE; i++)
        n += mem.arenas.map[i] != NULL;
    return n;
}

static void check_arenas(size_t arenas)
{
    size_t listed = 0;
    for (const struct arena *a = mem.arenas.newest; a; a = a->older)
        listed++;
    CHECK_EQ(listed, arenas);
    CHECK_EQ(mem.arenas.count, arenas);
    CHECK_EQ(entries(), arenas);
    CHECK_EQ(mem.mapped_bytes, arenas * ARENA_SIZE);
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
    size_t arenas = (npages + ARENA_PAGES - 1) / ARENA_PAGES;
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
            CHECK(s && (!reserve || s->base == mem.arenas.next_hint - arenas * ARENA_SIZE));
            *(char *)s->base = 1;
            ((char *)s->base)[npages * PAGE_SIZE - 1] = 1;
        }
        check_arenas(arenas);
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

TAP_MAIN
