/* The switch freed: roots and C stacks whose memory is not mapped any more are named before the
 * collector reads them. What is mapped is not. */
#include "heaps.h"
#include "log.h"
#include <sys/mman.h>
#include <ucontext.h>

/* Two pages that are mapped, and a third that is not. */
static char *pages;
static size_t page;

static void map_pages(void)
{
    page = os_page_size();
    pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    CHECK_EQ(munmap(pages + 2 * page, page), 0);
}

static gc_heap *careful_heap(unsigned flags)
{
    gc_heap *heap = gc_heap_create(
        &(gc_options){.flags = GC_NO_BACKGROUND | flags, .debug = "freed", .log = keep_line});
    CHECK(heap);
    map_pages();
    return heap;
}

static void collect(void)
{
    CHECK_EQ(gc_collect(), 0);
}

/* ---- Ranges ---- */

static void unmap_and_collect(void)
{
    munmap(pages, 2 * page);
    collect();
}

TEST(global_roots)
{
    gc_heap *heap = careful_heap(0);
    CHECK_EQ(gc_root_range(pages, 2 * page / sizeof(void *)), 0);
    collect();
    EXPECT_ABORT("roots at 0x", unmap_and_collect());
    EXPECT_ABORT("call gc_unroot() or gc_thread_range_remove() before it is unmapped",
                 unmap_and_collect());
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* All of a range is looked at, though it begins on a page that has been looked at. */
TEST(a_range_whose_end_is_not_mapped)
{
    gc_heap *heap = careful_heap(0);
    void **end = (void **)(pages + 2 * page), **before = end - 2;
    CHECK_EQ(gc_thread_range(end - 4, &before), 0);
    CHECK_EQ(gc_thread_range(end - 1, &end), 0);
    collect();
    EXPECT_ABORT("the memory of 2 roots at 0x", end++; collect());
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void unmap_and_collect_below(void **top)
{
    *top = pages;
    unmap_and_collect();
}

/* Nothing is read of an empty range. */
TEST(a_range_that_is_empty)
{
    gc_heap *heap = careful_heap(0);
    void *top = pages + page;
    CHECK_EQ(gc_thread_range(pages, &top), 0);
    collect();
    EXPECT_ABORT(" roots at 0x", unmap_and_collect());
    EXPECT_EXIT(0, unmap_and_collect_below(&top));
    /* Nothing is known of its page either. */
    void *other_top = pages + page;
    CHECK_EQ(gc_thread_range(pages + page / 2, &other_top), 0);
    EXPECT_ABORT(" roots at 0x", unmap_and_collect_below(&top));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Fibers ---- */

static void root_fiber(void *base)
{
    gc_fiber *fiber = gc_fiber_create(), *main_fiber = gc_fiber_switch(fiber);
    CHECK_EQ(gc_thread_range(base, NULL), -EINVAL);
    static void *top;
    top = (char *)base + page;
    CHECK_EQ(gc_thread_range(base, &top), 0);
    gc_fiber_switch(main_fiber);
}

TEST(roots_of_a_fiber)
{
    gc_heap *heap = careful_heap(0);
    root_fiber(pages);
    collect();
    EXPECT_ABORT(" roots at 0x", unmap_and_collect());
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(the_stack_of_a_fiber)
{
    gc_heap *heap = careful_heap(GC_STACK_CONSERVATIVE);
    gc_fiber *fiber = gc_fiber_create();
    CHECK_EQ(gc_fiber_stack(fiber, pages, pages + 2 * page), 0);
    collect();
    EXPECT_ABORT("the C stack of a suspended fiber (gc_fiber at 0x", unmap_and_collect());
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    EXPECT_EXIT(0, unmap_and_collect());
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static ucontext_t outside, inside;
static gc_fiber *main_fiber, *framed;

/* Has a frame on its stack, and never goes on. */
static void suspend_in_a_frame(void)
{
    void *local = NULL;
    GC_FRAME(local);
    gc_fiber_switch(main_fiber);
    swapcontext(&inside, &outside);
}

/* The library was not told of the stack, but the fiber's frames lie on it. */
TEST(the_frames_of_a_fiber)
{
    gc_heap *heap = careful_heap(0);
    enum { BYTES = 1 << 16 };
    char *stack = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    CHECK_EQ(getcontext(&inside), 0);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = BYTES;
    makecontext(&inside, suspend_in_a_frame, 0);
    framed = gc_fiber_create();
    main_fiber = gc_fiber_switch(framed);
    CHECK_EQ(swapcontext(&outside, &inside), 0);
    collect();
    EXPECT_ABORT("call gc_fiber_destroy() before it is unmapped", munmap(stack, BYTES); collect());
    CHECK_EQ(gc_fiber_destroy(framed), 0);
    CHECK_EQ(munmap(stack, BYTES), 0);
    collect();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
