/* Memory that is backed before it is used: a system that refuses, the loan of a P, and the end. */
#include "collector/backing.h"

static bool system_refuses;
static uintptr_t asked_for; /* the last huge page */
static unsigned asked, returned;
static uint64_t clock_now = 1;

static bool back(void *p, size_t size);

#define os_back(p, size) back(p, size)
#define os_now_ns() clock_now
#define proc_return(procs, p) (returned++, proc_return(procs, p))
#include "src/collector/backing.c"
#undef os_back
#undef os_now_ns
#undef proc_return

#include "crew.h"

static bool back(void *p, size_t size)
{
    if (size != HUGEPAGE_SIZE)
        return os_back(p, size);
    asked++;
    asked_for = (uintptr_t)p;
    return !system_refuses;
}

static gc_heap *heap;

/* No thread backs memory but this one. */
static void begin(void)
{
    gc_options o = {
        .flags = GC_HUGE_PAGES | GC_NO_BACKGROUND, .percent = GC_PERCENT_OFF, .max_procs = 2};
    if (ARENA_SIZE < (size_t)64 << 20)
        SKIP("arenas are small");
    CHECK((heap = gc_heap_create(&o)));
}

static const struct arena *newest(void)
{
    return heap->mem.arenas.newest;
}

static bool wants_backing(void)
{
    return newest() && mheap_next_to_back(&heap->mem, newest()) != UINTPTR_MAX;
}

static void grow_until_wanted(void)
{
    while (!wants_backing())
        CHECK(gc_new_bytes_raw(1 << 20));
}

static size_t pages_unbacked(uintptr_t at)
{
    lock_acquire(&heap->mem.lock);
    size_t n = pagealloc_count_scavenged(&heap->mem.pages, at, HUGEPAGE_SIZE >> PAGE_SHIFT);
    lock_release(&heap->mem.lock);
    return n;
}

TEST(what_is_backed_counts_as_memory)
{
    begin();
    grow_until_wanted();
    back_arenas(heap);
    CHECK(asked > 0);
    CHECK_EQ(pages_unbacked(asked_for), 0);
    CHECK(!wants_backing());
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A system that refuses is asked once for each arena, and what it has not backed counts as that. */
TEST(a_refusal)
{
    begin();
    system_refuses = true;
    grow_until_wanted();
    if (heap->mem.arenas.map.count == ARENA_MAP_ALL)
        SKIP("no hints are taken: arenas may be small");
    for (unsigned arenas = 1; arenas <= 2; arenas++) {
        grow_until_wanted();
        back_arenas(heap);
        CHECK_EQ(asked, arenas);
        CHECK_EQ(pages_unbacked(asked_for), HUGEPAGE_SIZE >> PAGE_SHIFT);
        for (int i = 0; i < 8; i++)
            CHECK(!wants_backing() && gc_new_bytes_raw(1 << 20));
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A service that ends backs nothing more. */
TEST(no_backing_at_the_end)
{
    begin();
    grow_until_wanted();
    enum service_state before = service_end(&heap->backing->service);
    back_arenas(heap);
    CHECK_EQ(asked, 0);
    service_resume(&heap->backing->service, before);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static uint32_t enough; /* atomic */

static void *take_turns(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!u32_load_acquire(&enough))
        gc_safepoint();
    CHECK_EQ(gc_thread_detach(), 0);
    return arg;
}

/* The P of a thread that runs is borrowed for a while, however much there is to back. */
TEST(a_loan_ends)
{
    struct loan loan = {NULL, 0};
    CHECK((heap = gc_heap_create(&(gc_options){.max_procs = 1, .flags = GC_NO_BACKGROUND})));
    CHECK_EQ(gc_blocking_begin(), 0);
    pthread_t runner = start_thread(take_turns, NULL);
    WAIT_UNTIL(procs_idle(&heap->procs) == 0);
    while (!loan.p)
        want_processor(heap, &loan);
    CHECK_EQ(loan.end, clock_now + PROC_LOAN_NS);
    clock_now = loan.end - 1;
    want_processor(heap, &loan);
    CHECK(loan.p && returned == 0);
    clock_now++;
    want_processor(heap, &loan);
    CHECK_EQ(returned, 1);
    end_loan(heap, &loan);
    CHECK(!loan.p && returned <= 2);
    u32_store_release(&enough, 1);
    join_thread(runner);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
