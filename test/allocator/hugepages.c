/* Huge pages, and memory that was given back: what the OS is told, read from /proc/self/smaps. */
#include "mutator/heap.h"
#include "allocator/hugepage.h"
#include <gcheap.h>
#undef CHECK
#include "tap.h"

#define PIECE ((size_t)64 << 10)
#define PER_REGION (HUGEPAGE_SIZE / PIECE)
#define REGIONS 48
#define PIECES (REGIONS * PER_REGION)

static void *pieces[PIECES];
static gc_heap *heap;

/* What the kernel may do by the flags of the mapping that an address lies in. */
enum advice { NONE, HUGE, SMALL };

/* Reads one mapping; false at the end. */
static bool read_mapping(FILE *maps, uintptr_t *low, uintptr_t *high, enum advice *advice)
{
    char line[512];
    unsigned long from, to;
    *low = 0;
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && strchr(line, '-') < strchr(line, ' ')) {
            *low = from;
            *high = to;
        }
        if (strncmp(line, "VmFlags:", 8) == 0) {
            *advice = strstr(line, " hg") ? HUGE : strstr(line, " nh") ? SMALL : NONE;
            return true;
        }
    }
    return false;
}

static struct {
    uintptr_t low, high;
    enum advice advice;
} mappings[4096];
static size_t nmappings;

static void read_mappings(void)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps);
    nmappings = 0;
    while (nmappings < ARRAY_LEN(mappings) &&
           read_mapping(maps, &mappings[nmappings].low, &mappings[nmappings].high,
                        &mappings[nmappings].advice))
        nmappings++;
    CHECK(nmappings < ARRAY_LEN(mappings));
    fclose(maps);
}

/* When the mappings were last read. */
static enum advice advice_at(uintptr_t at)
{
    for (size_t i = 0; i < nmappings; i++) {
        if (mappings[i].low <= at && at < mappings[i].high)
            return mappings[i].advice;
    }
    return NONE;
}

static bool kernel_has_huge_pages(void)
{
    return access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0;
}

static void make_heap(unsigned flags)
{
    if (!kernel_has_huge_pages())
        SKIP("this kernel has no huge pages");
    gc_options options = {.flags = flags | GC_NO_BACKGROUND};
    heap = gc_heap_create(&options);
    CHECK(heap);
    CHECK_EQ(gc_root_range(pieces, PIECES), 0);
}

static void fill(void)
{
    for (size_t i = 0; i < PIECES; i++) {
        if (pieces[i])
            continue;
        void *piece = gc_new_bytes(PIECE);
        CHECK(piece);
        memset(piece, 1, PIECE);
        gc_store(&pieces[i], piece);
    }
}

static uintptr_t region_of(const void *p)
{
    return align_down((uintptr_t)p, HUGEPAGE_SIZE);
}

/* Pieces that share a region with a survivor of this many, which are then unrooted but for it. */
static size_t leave_one_in(size_t each)
{
    size_t left = 0;
    uintptr_t last = 0;
    for (size_t i = 0; i < PIECES; i++) {
        bool first = region_of(pieces[i]) != last;
        last = region_of(pieces[i]);
        bool stays = first && (last / HUGEPAGE_SIZE) % each == 0;
        left += stays;
        if (!stays)
            gc_store(&pieces[i], NULL);
    }
    return left;
}

static size_t count_advised(enum advice advice)
{
    size_t n = 0;
    read_mappings();
    for (size_t i = 0; i < PIECES; i++)
        n += pieces[i] && advice_at((uintptr_t)pieces[i]) == advice;
    return n;
}

/* The first that comes to lie in a region that is taken out does not change that. */
static void use_first_of_small_region(void)
{
    for (size_t i = 0; i < PIECES; i++) {
        if (pieces[i])
            continue;
        read_mappings();
        gc_store(&pieces[i], gc_new_bytes(PIECE));
        CHECK(pieces[i]);
        if (advice_at((uintptr_t)pieces[i]) == SMALL) {
            read_mappings();
            CHECK_EQ(advice_at((uintptr_t)pieces[i]), SMALL);
            return;
        }
    }
    FAIL("no piece in such a region");
}

/* A survivor in each third region: these regions are taken out, the others, which are wholly free,
 * are not; and when memory is in use again, all have what they had. */
TEST(what_was_given_back_in_part_is_not_filled_in)
{
    make_heap(GC_HUGE_PAGES);
    fill();
    CHECK_EQ(count_advised(HUGE), PIECES);
    uintptr_t wholly_free = 0;
    for (size_t i = 0; i < PIECES && !wholly_free; i++)
        wholly_free = region_of(pieces[i]) / HUGEPAGE_SIZE % 3 == 1 ? region_of(pieces[i]) : 0;
    size_t left = leave_one_in(3);
    CHECK(left >= REGIONS / 3 - 1 && wholly_free);
    CHECK_EQ(gc_release_memory(), 0);
    CHECK_EQ(count_advised(SMALL), left);
    CHECK_EQ(advice_at(wholly_free), HUGE);
    CHECK(heap->mem.huge.small_regions >= left);
    use_first_of_small_region();
    fill();
    CHECK(count_advised(HUGE) + 2 * PER_REGION >= PIECES); /* the last region may be in part free */
    CHECK(heap->mem.huge.small_regions < left);
    gc_heap_verify();
}

/* A region that is given back in two steps is whole again after the second. */
TEST(what_is_given_back_wholly_in_the_end_gets_huge_pages)
{
    make_heap(GC_HUGE_PAGES);
    fill();
    uintptr_t region = region_of(pieces[PIECES / 2]);
    leave_one_in(1);
    gc_release_memory();
    read_mappings();
    CHECK_EQ(advice_at(region), SMALL);
    memset(pieces, 0, sizeof pieces);
    gc_release_memory();
    read_mappings();
    CHECK_EQ(advice_at(region), HUGE);
    CHECK(heap->mem.huge.small_regions <= 1);
}

TEST(never_is_never)
{
    make_heap(GC_NO_HUGE_PAGES);
    fill();
    CHECK_EQ(count_advised(SMALL), PIECES);
}

TAP_MAIN
