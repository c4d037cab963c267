/* What looks at the whole heap: the heap check, which tells each fault that is planted; the second
 * marking; the census. */
#include "cells.h"
#include "cycle/cycle.h"
#include "introspect/verify.h"
#include "mutator/self.h"
#include "refuse.h"

static gc_heap *heap;

/* ---- What the log is told ---- */

static struct {
    const char *wanted; /* a text */
    unsigned with, lines;
} told;

static void listen(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused;
    if (level == GC_LOG_TRACE)
        return;
    told.lines++;
    told.with += strstr(line, told.wanted) != NULL;
}

static void listen_for(const char *wanted)
{
    told.wanted = wanted;
    told.with = told.lines = 0;
}

static void make_heap(void)
{
    gc_options o = {.flags = GC_NO_BACKGROUND, .debug = "poison", .log = listen};
    CHECK((heap = gc_heap_create(&o)));
    listen_for("");
}

static void with_world_held(void (*look)(gc_heap *, void *), void *arg)
{
    cycle_with_world_held(heap, thread_self(), look, arg);
}

/* ---- Planted faults ---- */

static struct cell *cell;
static struct cell **large;

static struct gc_span *cells_span(void)
{
    return mheap_span_of(&heap->mem, (uintptr_t)cell);
}

/* A page that is not its span's first. */
static uintptr_t inner_page(void)
{
    return cells_span()->base + PAGE_SIZE;
}
static uint16_t *inner_tag(void)
{
    return &cells_span()->arena->page_tag[arena_page(inner_page())];
}

static void flip_bit(word *map, size_t i)
{
    map[i / WORD_BITS] ^= (word)1 << i % WORD_BITS;
}

/* Each of them spoils one thing, and mends it when it is called again. */
static void spoil_page_table(void)
{
    static struct gc_span none, *aside = &none;
    struct gc_span **entry = &cells_span()->arena->spans[arena_page(inner_page())];
    struct gc_span *was = *entry;
    *entry = aside;
    aside = was;
}
static void spoil_page_class(void)
{
    *inner_tag() ^= page_tag_make(1, 0);
}
static void spoil_page_offset(void)
{
    *inner_tag() ^= page_tag_make(0, 1);
}
static void spoil_page_in_use(void)
{
    flip_bit(cells_span()->arena->page_in_use, arena_page(inner_page()));
}
/* Not where a cell begins. */
static void spoil_alloc_bits(void)
{
    flip_bit(cells_span()->arena->alloc, arena_bit((uintptr_t)cell) + 1);
}
static void spoil_mark_bits(void)
{
    flip_bit(cells_span()->arena->mark, arena_bit((uintptr_t)cell));
}
static void spoil_page_marks(void)
{
    flip_bit(cells_span()->arena->page_marks, arena_page(inner_page()));
}
static void spoil_live(void)
{
    cells_span()->live ^= 1;
}
static void spoil_state(void)
{
    cells_span()->state ^= SPAN_IN_USE;
}
static void spoil_sweepgen(void)
{
    cells_span()->sweepgen ^= 1;
}
static void spoil_open_runs(void)
{
    cells_span()->open_runs ^= 1;
}
static void spoil_span_size(void)
{
    cells_span()->npages ^= 1;
}
static void spoil_pages_inuse(void)
{
    heap->mem.counts.pages_inuse ^= 1;
}
static void spoil_pages_noscan(void)
{
    heap->mem.counts.pages_noscan ^= 1;
}
static void spoil_spans_inuse(void)
{
    heap->mem.counts.spans_inuse ^= 1;
}
static void spoil_live_bytes(void)
{
    heap->mem.counts.freed_bytes ^= 1;
}
/* To where no object is, in the same span. */
static void spoil_reference(void)
{
    static struct cell *aside;
    struct cell *was = large[1];
    large[1] = aside ? NULL : (struct cell *)span_cell(cells_span(), cells_span()->ncells - 1);
    aside = aside ? NULL : was ? was : large[1];
}
static void spoil_root(void)
{
    static uintptr_t aside;
    uintptr_t was = (uintptr_t)cell;
    cell = (struct cell *)(aside ? aside : span_cell(cells_span(), cells_span()->ncells - 1));
    aside = aside ? 0 : was;
}

static const struct fault {
    void (*spoil)(void);
    const char *told;
} faults[] = {
    {spoil_page_table, "a->spans[page] == s"},
    {spoil_page_class, "page_tag_class("},
    {spoil_page_offset, "page_tag_offset("},
    {spoil_page_in_use, "page_in_use"},
    {spoil_alloc_bits, "bits_count_range(s->arena->alloc"},
    {spoil_mark_bits, "bits_count_range(s->arena->mark"},
    {spoil_page_marks, "!span_has_marks(s)"},
    {spoil_live, "taken == s->live"},
    {spoil_state, "s->state == SPAN_IN_USE"},
    {spoil_sweepgen, "s->sweepgen == sg"},
    {spoil_open_runs, "s->open_runs == 0"},
    {spoil_span_size, "s->npages == "},
    {spoil_pages_inuse, "c.pages == heap->mem.counts.pages_inuse"},
    {spoil_pages_noscan, "c.noscan == heap->mem.counts.pages_noscan"},
    {spoil_spans_inuse, "c.spans == heap->mem.counts.spans_inuse"},
    {spoil_live_bytes, "c.live_bytes == mheap_live_bytes("},
    {spoil_reference, "a reference leads to no object"},
    {spoil_root, "a reference leads to no object (the global cell, "},
};

static void check_fault(gc_heap *h, void *arg)
{
    const struct fault *fault = arg;
    listen_for(fault->told);
    fault->spoil();
    unsigned n = verify_heap(h);
    ok(n > 0 && told.with > 0, "%u faults; \"%s\" %u times", n, fault->told, told.with);
    fault->spoil();
    listen_for("");
    CHECK_EQ(verify_heap(h), 0);
    CHECK_EQ(told.lines, 0);
}

TEST(each_fault_is_told)
{
    make_heap();
    CHECK_EQ(gc_root(&cell), 0);
    CHECK_EQ(gc_root(&large), 0);
    gc_store(&cell, new_cell(1));
    gc_store(&large, gc_new_array(&gc_pointer_type, 100000));
    CHECK_EQ(gc_heap_verify(), 0);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        with_world_held(check_fault, (void *)&faults[i]);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- The second marking ---- */

enum { TOLD_MOST = 10 };

static void mark_again(gc_heap *h, void *missed)
{
    listen_for("marking missed the object");
    *(unsigned *)missed = verify_marks(h);
}

/* Between two cycles nothing is marked: all is missed, and the log has the first few. */
TEST(the_second_marking_counts_what_was_missed)
{
    unsigned missed;
    make_heap();
    CHECK_EQ(gc_root(&cell), 0);
    for (unsigned i = 1; i <= 3 * TOLD_MOST; i++) {
        struct cell *fresh = new_cell(i);
        fresh->next = cell; /* fresh: no safepoint since */
        gc_store(&cell, fresh);
        with_world_held(mark_again, &missed);
        CHECK_EQ(missed, i);
        CHECK_EQ(told.with, i < TOLD_MOST ? i : TOLD_MOST);
        CHECK_EQ(told.lines, told.with);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void mark_without_pages(gc_heap *h, void *missed)
{
    listen_for("no memory for a whole second marking");
    os_fail_nth(1, UINT64_MAX);
    *(unsigned *)missed = verify_marks(h);
    os_fail_nth(0, 0);
}
static void mark_without_stack(gc_heap *h, void *missed)
{
    listen_for("no memory for a whole second marking");
    os_fail_nth(2, 1);
    *(unsigned *)missed = verify_marks(h);
    os_fail_nth(0, 0);
}

/* It says that it has not seen all: for want of a bitmap, or of a stack. */
TEST(the_second_marking_without_memory)
{
    unsigned missed;
    make_heap();
    CHECK_EQ(gc_root(&cell), 0);
    gc_store(&cell, new_cell(1));
    with_world_held(mark_without_pages, &missed);
    CHECK_EQ(missed, 0);
    CHECK_EQ(told.with, 1);
    with_world_held(mark_without_stack, &missed);
    CHECK_EQ(missed, 1);
    CHECK_EQ(told.with, 1);
    with_world_held(mark_again, &missed);
    CHECK_EQ(missed, 1);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- The census ---- */

enum { KINDS = 1500, ROWS = KINDS + 10 };
static gc_type *kinds[KINDS];
static void *of_kind[KINDS];
static struct gc_census rows[ROWS];

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}

static void make_one_of_kind(size_t i)
{
    void **object = gc_new(kinds[i]);
    CHECK(object);
    *object = of_kind[i]; /* fresh: no safepoint since */
    gc_store(&of_kind[i], object);
}

/* Of each kind one, two or three objects, the newest of which is rooted. Objects of a kind do not
 * lie side by side. */
static void make_kinds(void)
{
    const struct gc_type_spec spec = {
        .name = "kind", .size = 24, .mask = &(uint64_t){1}, .mask_bits = 1, .trace = trace_nothing};
    CHECK_EQ(gc_root_range(of_kind, KINDS), 0);
    for (size_t i = 0; i < KINDS; i++)
        CHECK((kinds[i] = gc_type_create(&spec)));
    for (size_t n = 0; n < 3; n++) {
        for (size_t i = 0; i < KINDS; i++) {
            if (i % 3 >= n)
                make_one_of_kind(i);
        }
    }
}

static size_t number_of_kind(const gc_type *type)
{
    size_t i = 0;
    while (i < KINDS && kinds[i] != type)
        i++;
    return i;
}

/* A row for each kind, among the few of other objects. */
static void check_rows(int n)
{
    size_t found = 0;
    CHECK(n >= KINDS && n < ROWS);
    for (int row = 0; row < n; row++) {
        size_t i = number_of_kind(rows[row].type);
        if (i == KINDS)
            continue;
        CHECK_EQ(rows[row].objects, 1 + i % 3);
        CHECK_EQ(rows[row].bytes, rows[row].objects * rows[row].size);
        found++;
    }
    CHECK_EQ(found, KINDS);
}

static void drop_kinds(void)
{
    CHECK_EQ(gc_unroot(of_kind), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    for (size_t i = 0; i < KINDS; i++)
        CHECK_EQ(gc_type_release(kinds[i]), 0);
}

/* More kinds than the table has room for at first, and after it has grown once. */
TEST(census_of_many_kinds)
{
    make_heap();
    make_kinds();
    CHECK_EQ(gc_collect(), 0);
    check_rows(gc_heap_census(rows, ROWS));
    CHECK_EQ(gc_heap_census(rows, 3), 3);
    CHECK_EQ(gc_heap_census(NULL, 0), 0);
    drop_kinds();
}

/* Refused at each place where the table is made or grows. */
TEST(census_without_memory)
{
    unsigned refused = 0;
    if (!malloc_is_ours())
        SKIP("malloc is the sanitizer's");
    make_heap();
    make_kinds();
    CHECK_EQ(gc_collect(), 0);
    bool met = true;
    for (uint64_t nth = 1; met; nth++) {
        fail_malloc(nth);
        int n = gc_heap_census(rows, ROWS);
        met = malloc_calls >= nth;
        fail_malloc(0);
        CHECK(n >= 0 || n == -ENOMEM);
        if (n < 0)
            refused++;
        else
            check_rows(n);
    }
    ok(refused == 4, "refused at %u places", refused);
    CHECK_EQ(gc_heap_verify(), 0);
    drop_kinds();
}

/* ---- Ages ---- */

static char ages_line[512];
static void keep_ages(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused;
    if (level == GC_LOG_TRACE && strncmp(line, "ages:", 5) == 0)
        snprintf(ages_line, sizeof ages_line, "%s", line);
}

enum { KEPT = 100, DROPPED = 10, YOUNG = 50 };

/* One cycle marks new objects, the next one the same objects again. In the third, some of the old
 * ones die, with more that were made since. A cell of the dead is used again for what is young. */
TEST(ages)
{
    static struct cell *kept[KEPT];
    gc_options o = {.flags = GC_NO_BACKGROUND, .debug = "ages", .log = keep_ages};
    CHECK((heap = gc_heap_create(&o)));
    const struct ages *a = &heap->cycle->ages;
    CHECK_EQ(gc_root_range(kept, KEPT), 0);
    for (int i = 0; i < KEPT; i++)
        gc_store(&kept[i], new_cell((uint64_t)i));
    CHECK_EQ(gc_collect(), 0);
    CHECK(a->marked.objects == KEPT && a->again.objects == 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK(a->marked.objects == 2 * KEPT && a->again.objects == KEPT && a->died.objects == 0);
    for (int i = 0; i < YOUNG; i++)
        CHECK(new_cell(0));
    for (int i = 0; i < DROPPED; i++)
        gc_store(&kept[i], NULL);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(a->again.objects, KEPT + KEPT - DROPPED);
    CHECK(a->died.objects == YOUNG + DROPPED && a->died_young.objects == YOUNG);
    CHECK_EQ(a->died.bytes, (YOUNG + DROPPED) * gc_size_class(sizeof(struct cell)));
    for (int i = 0; i < KEPT + YOUNG; i++)
        CHECK(new_cell(0));
    CHECK_EQ(gc_collect(), 0);
    CHECK(a->died_young.objects == KEPT + 2 * YOUNG && !a->incomplete);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK(strstr(ages_line, "4 cycles marked 380 objects"));
    CHECK(strstr(ages_line, "by the cycle before: 73.7 % of the objects"));
    CHECK(strstr(ages_line, "died: 210 objects"));
    CHECK(strstr(ages_line, "young of these: 95.2 % of the objects"));
}

TAP_MAIN
