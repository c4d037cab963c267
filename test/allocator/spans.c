/* Spans come and go: which pages are free, and what the page tables say. */
#include "build.h"
#include "allocator/mheap.h"
#include "tap.h"

static struct mheap mem;

static void begin(void)
{
    memset(&mem, 0, sizeof mem);
    CHECK_EQ(mheap_init(&mem, &(gc_options){0}), 0);
}

static void end(void)
{
    pagealloc_check(&mem.pages);
    CHECK_EQ(mem.counts.spans_inuse, 0);
    CHECK_EQ(mem.counts.pages_inuse, 0);
    mheap_destroy(&mem);
}

static struct gc_span *span_of(size_t npages)
{
    bool zeroed;
    struct gc_span *s = mheap_alloc_span(&mem, NULL, npages, spanclass_make(0, true), 2, &zeroed);
    CHECK(s);
    return s;
}

static bool is_free(uintptr_t base, size_t npages)
{
    return pagealloc_is_free(&mem.pages, base, npages);
}

/* Neighbours go back together, and what lies between two others stays. */
TEST(dead_neighbours_go_back_together)
{
    enum { PAGES = 10 };
    const size_t bytes = (size_t)PAGES << PAGE_SHIFT;
    begin();
    struct gc_span *s[4];
    for (int i = 0; i < 4; i++)
        s[i] = span_of(PAGES);
    uintptr_t base = s[0]->base;
    CHECK_EQ(s[3]->base, base + 3 * bytes);
    struct mheap_dead dead;
    dead.n = 0;
    mheap_free_later(&mem, &dead, s[0]);
    mheap_free_later(&mem, &dead, s[1]);
    CHECK_EQ(dead.n, 2);
    CHECK(!is_free(base, PAGES) && !mheap_span_of(&mem, base));
    mheap_free_later(&mem, &dead, s[3]);
    CHECK_EQ(dead.n, 1);
    CHECK(is_free(base, 2 * PAGES) && !is_free(base + 3 * bytes, 1));
    mheap_free_dead(&mem, &dead);
    CHECK(is_free(base + 3 * bytes, PAGES));
    CHECK(!is_free(base + 2 * bytes, 1) && mheap_span_of(&mem, base + 2 * bytes) == s[2]);
    CHECK_EQ(mem.counts.pages_inuse, PAGES);
    mheap_free_span(&mem, s[2]);
    end();
}

TEST(more_dead_neighbours_than_are_kept)
{
    enum { SPANS = 3 * WORD_BITS };
    begin();
    struct gc_span *s[SPANS];
    struct mheap_dead dead;
    dead.n = 0;
    for (int i = 0; i < SPANS; i++)
        s[i] = span_of(1);
    uintptr_t base = s[0]->base;
    for (int i = 0; i < SPANS; i++)
        mheap_free_later(&mem, &dead, s[i]);
    CHECK_EQ(dead.n, WORD_BITS);
    mheap_free_dead(&mem, &dead);
    CHECK(is_free(base, SPANS));
    end();
}

static void check_pages(uintptr_t base, size_t npages, const struct gc_span *s)
{
    for (size_t i = 0; i < npages; i++)
        CHECK(mheap_span_of(&mem, base + (i << PAGE_SHIFT)) == s);
}

/* All pages of a large object lead to its span, in whatever arena they are; and none does later. */
TEST(a_span_in_several_arenas)
{
    const size_t npages = 2 * ARENA_PAGES + 100;
    begin();
    struct gc_span *before = span_of(ARENA_PAGES / 2), *s = span_of(npages), *after = span_of(1);
    uintptr_t base = s->base;
    CHECK(after->base == span_end(s) || after->base < base);
    check_pages(base, npages, s);
    CHECK(mheap_span_of(&mem, before->base) == before);
    CHECK(mheap_span_of(&mem, after->base) == after);
    mheap_free_span(&mem, s);
    check_pages(base, npages, NULL);
    CHECK(mheap_span_of(&mem, before->base) == before);
    CHECK(mheap_span_of(&mem, after->base) == after);
    mheap_free_span(&mem, before);
    mheap_free_span(&mem, after);
    end();
}

/* A cycle looks at the classes that ever had a span. */
TEST(classes_that_are_used)
{
    const unsigned last = SPANCLASS_COUNT - 1;
    const size_t npages = sizeclass_table[spanclass_size(last)].npages;
    bool zeroed;
    begin();
    CHECK_EQ(mheap_next_class(&mem, 0), SPANCLASS_COUNT);
    struct gc_span *large = span_of(1);
    struct gc_span *small = mheap_alloc_span(&mem, NULL, npages, last, 2, &zeroed);
    CHECK_EQ(mheap_next_class(&mem, 0), spanclass_make(0, true));
    CHECK_EQ(mheap_next_class(&mem, spanclass_make(0, true) + 1), last);
    mheap_free_span(&mem, large);
    mheap_free_span(&mem, small);
    CHECK_EQ(mheap_next_class(&mem, 0), spanclass_make(0, true));
    CHECK_EQ(mheap_next_class(&mem, last + 1), SPANCLASS_COUNT);
    end();
}

TAP_MAIN
