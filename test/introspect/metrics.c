/* The statistics as a text, and why cycles began. */
#include "heaps.h"
#include "base/output.h"
#include "introspect/trace.h"
#include "introspect/metrics.h"
#include <locale.h>

struct text {
    char all[1 << 16];
    size_t n, calls;
};

static int keep(void *arg, const char *text, size_t size)
{
    struct text *t = arg;
    CHECK(size > 0 && size <= OUTPUT_PIECE && t->n + size < sizeof t->all);
    memcpy(t->all + t->n, text, size);
    t->n += size;
    t->calls++;
    return 0;
}

static bool has_line(const struct text *t, const char *line)
{
    const char *found = strstr(t->all, line);
    return found && (found == t->all || found[-1] == '\n') && found[strlen(line)] == '\n';
}

/* ---- Causes ---- */

static struct gc_statistics now(void)
{
    struct gc_statistics s;
    uint64_t sum = 0;
    CHECK_EQ(gc_stats(&s), 0);
    for (int i = 0; i < GC_CAUSES; i++)
        sum += s.causes[i];
    CHECK_EQ(sum, s.cycles);
    return s;
}

static void allocate_until_cycle(void)
{
    uint64_t before = now().cycles;
    while (now().cycles == before)
        CHECK(gc_new_bytes(10000));
}

TEST(causes)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND, .min_heap = 1 << 20});
    allocate_until_cycle();
    CHECK_EQ(now().causes[GC_CAUSE_GOAL], 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(now().causes[GC_CAUSE_COLLECT], 1);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(now().causes[GC_CAUSE_COLLECT], 2);
    CHECK_EQ(now().forced_cycles, 2);
    CHECK_EQ(gc_collect_start(), 0);
    allocate_until_cycle();
    CHECK_EQ(now().causes[GC_CAUSE_START], 1);
    gc_set_percent(100000);
    gc_set_limit(2 << 20);
    allocate_until_cycle();
    CHECK_EQ(now().causes[GC_CAUSE_LIMIT], 1);
    gc_set_percent(GC_PERCENT_OFF);
    gc_set_limit(0);
    gc_set_hard_limit(16 << 20);
    CHECK(!gc_new_bytes(32 << 20));
    CHECK_EQ(now().causes[GC_CAUSE_MEMORY], 1);
    CHECK_EQ(now().causes[GC_CAUSE_GOAL], 1);
    gc_heap_destroy(heap);
}

TEST(the_switch_nth_is_a_cause)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = "nth=1"});
    for (int i = 0; i < 10; i++)
        CHECK(gc_new_bytes(8));
    CHECK_EQ(now().causes[GC_CAUSE_DEBUG], 10);
    gc_heap_destroy(heap);
}

TEST(each_cause_has_a_name)
{
    for (int i = 0; i < GC_CAUSES; i++)
        CHECK(*trace_cause((enum gc_cause)i));
}

/* ---- The text ---- */

static struct text text;

TEST(numbers_in_the_text)
{
    static struct gc_statistics s;
    static struct class_objects classes[SIZECLASS_COUNT];
    struct output o;
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is such a locale: numbers have a comma */
    s.causes[GC_CAUSE_START] = 7;
    s.heap_goal = UINT64_MAX;
    s.allocated_bytes = UINT64_MAX - 1;
    s.mark_ns = 1500000001;
    s.stall.buckets[3] = 1;
    s.stall.buckets[10] = 4;
    s.stall.buckets[39] = 2;
    s.stall.sum = 2;
    classes[sizeclass_of(24)] = (struct class_objects){UINT64_MAX, 0};
    classes[0] = (struct class_objects){5, 4};
    output_begin(&o, keep, &text);
    metrics_print(&o, &s, classes);
    CHECK_EQ(output_end(&o), 0);
    CHECK(has_line(&text, "gcheap_cycles_total{cause=\"start\"} 7"));
    CHECK(has_line(&text, "gcheap_heap_goal_bytes +Inf"));
    CHECK(has_line(&text, "gcheap_allocated_bytes_total 18446744073709551614"));
    CHECK(has_line(&text, "gcheap_mark_seconds_total 1.500000001"));
    CHECK(has_line(&text, "gcheap_stall_seconds_bucket{le=\"0.000000255\"} 1"));
    CHECK(has_line(&text, "gcheap_stall_seconds_bucket{le=\"0.000001023\"} 1"));
    CHECK(has_line(&text, "gcheap_stall_seconds_bucket{le=\"0.000002047\"} 5"));
    CHECK(has_line(&text, "gcheap_stall_seconds_bucket{le=\"8.589934591\"} 5"));
    CHECK(has_line(&text, "gcheap_stall_seconds_bucket{le=\"+Inf\"} 7"));
    CHECK(has_line(&text, "gcheap_stall_seconds_sum 0.000000002"));
    CHECK(has_line(&text, "gcheap_stall_seconds_count 7"));
    CHECK(has_line(&text, "gcheap_allocated_objects_total{size=\"24\"} 18446744073709551615\n"
                          "gcheap_allocated_objects_total{size=\"large\"} 5"));
    CHECK(has_line(&text, "gcheap_freed_objects_total{size=\"24\"} 0\n"
                          "gcheap_freed_objects_total{size=\"large\"} 4"));
}

TEST(the_text_of_a_heap)
{
    gc_heap *heap = gc_heap_create(NULL);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_stats_write(heap, keep, &text), 0);
    CHECK(text.calls > 1);
    CHECK(has_line(&text, "gcheap_cycles_total{cause=\"collect\"} 1"));
    CHECK(has_line(&text, "gcheap_threads 1"));
    CHECK_EQ(gc_heap_stats_write(NULL, keep, &text), -EINVAL);
    CHECK_EQ(gc_heap_stats_write(heap, NULL, &text), -EINVAL);
    gc_heap_destroy(heap);
}

/* ---- Objects by size class ---- */

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}
struct traced {
    void *slots[2];
};
static gc_type traced_type = {.size = sizeof(struct traced),
                              .kind = GC_KIND_STRUCT,
                              .name = "traced",
                              .trace = trace_nothing};

static struct class_objects objects_of(const gc_heap *heap, size_t size)
{
    struct class_objects classes[SIZECLASS_COUNT];
    mcentral_objects(&heap->mem, classes);
    return classes[size ? sizeclass_of(size) : 0];
}

/* All that died is swept. */
static void collect_and_sweep(void)
{
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_verify(), 0);
}

TEST(each_object_counts_in_its_class)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    void *kept = NULL;
    GC_FRAME(kept);
    for (int i = 0; i < 1000; i++) {
        CHECK(gc_new_bytes(48));
        CHECK(gc_new_array(&gc_pointer_type, 48 / sizeof(void *)));
        CHECK(kept = gc_new(&traced_type));
    }
    for (int i = 0; i < 7; i++)
        CHECK(gc_new_bytes(100000));
    collect_and_sweep();
    size_t cell = sizeclass_table[sizeclass_of(sizeof(struct traced) + sizeof(void *))].size;
    CHECK_EQ(objects_of(heap, 48).allocated, 2000);
    CHECK_EQ(objects_of(heap, 48).freed, 2000);
    CHECK_EQ(objects_of(heap, cell).allocated, 1000);
    CHECK_EQ(objects_of(heap, cell).freed, 999);
    CHECK_EQ(objects_of(heap, 0).allocated, 7);
    CHECK_EQ(objects_of(heap, 0).freed, 7);
    CHECK_EQ(objects_of(heap, 1024).allocated, 0);
    gc_heap_destroy(heap);
}

/* What a P has taken from a span and not handed out is no object. */
TEST(rests_of_runs_do_not_count)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    for (unsigned i = 1; i <= 20; i++) {
        CHECK(gc_new_bytes(32));
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(objects_of(heap, 32).allocated, i);
    }
    gc_heap_destroy(heap);
}

/* Of a full span, without a collection. */
TEST(a_full_span_counts)
{
    gc_heap *heap =
        gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND, .percent = GC_PERCENT_OFF});
    unsigned cells = sizeclass_table[sizeclass_of(32)].ncells;
    for (unsigned i = 0; i < cells; i++)
        CHECK(gc_new_bytes(32));
    CHECK_EQ(objects_of(heap, 32).allocated, 0);
    CHECK(gc_new_bytes(32));
    CHECK_EQ(objects_of(heap, 32).allocated, cells);
    gc_heap_destroy(heap);
}

/* By a reader: no thread orders the two for it. */
TEST(a_death_is_seen_first)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct mcentral *c = &heap->mem.centrals[spanclass_make(sizeclass_of(64), true)];
    u64_store_relaxed(&c->freed, 5);
    u64_store_relaxed(&c->allocated, 3);
    CHECK_EQ(objects_of(heap, 64).freed, 3);
    u64_store_relaxed(&c->allocated, 8);
    CHECK_EQ(objects_of(heap, 64).freed, 5);
    gc_heap_destroy(heap);
}

enum { ALLOCATORS = 3, OBJECTS_EACH = 20000 };
static uint32_t allocating;

static void *allocate_some(void *heap)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    for (int i = 0; i < OBJECTS_EACH; i++)
        CHECK(gc_new_bytes(64));
    CHECK_EQ(gc_thread_detach(), 0);
    u32_fetch_sub_relaxed(&allocating, 1);
    return NULL;
}

TEST(counts_that_are_read_meanwhile_only_grow)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.min_heap = 1 << 18});
    pthread_t threads[ALLOCATORS];
    struct class_objects last = {0, 0};
    u32_store_relaxed(&allocating, ALLOCATORS);
    for (int i = 0; i < ALLOCATORS; i++)
        threads[i] = start_thread(allocate_some, heap);
    while (u32_load_relaxed(&allocating)) {
        struct class_objects now = objects_of(heap, 64);
        CHECK(last.allocated <= now.allocated && last.freed <= now.freed);
        CHECK(now.freed <= now.allocated);
        last = now;
        gc_safepoint();
    }
    for (int i = 0; i < ALLOCATORS; i++)
        join_thread(threads[i]);
    collect_and_sweep();
    CHECK_EQ(objects_of(heap, 64).allocated, ALLOCATORS * OBJECTS_EACH);
    CHECK_EQ(objects_of(heap, 64).freed, ALLOCATORS * OBJECTS_EACH);
    gc_heap_destroy(heap);
}

/* ---- The function that gets it ---- */

static int fail_at_second(void *calls, const char *piece, size_t size)
{
    (void)piece, (void)size;
    return ++*(int *)calls == 2 ? -ENOSPC : 0;
}

TEST(an_error_ends_the_writing)
{
    gc_heap *heap = gc_heap_create(NULL);
    int calls = 0;
    CHECK_EQ(gc_heap_stats_write(heap, fail_at_second, &calls), -ENOSPC);
    CHECK_EQ(calls, 2);
    CHECK(gc_new_bytes(8));
    gc_heap_destroy(heap);
}

static void *collect(void *heap)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

/* Another thread's collection needs an answer of this one. */
static int wait_for_collection(void *heap, const char *piece, size_t size)
{
    (void)piece, (void)size;
    CHECK_REFUSED(gc_new_bytes(100000), EPERM);
    join_thread(start_thread(collect, heap));
    return 0;
}

TEST(collections_go_on_while_it_waits)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.max_procs = 4});
    CHECK_EQ(gc_heap_stats_write(heap, wait_for_collection, heap), 0);
    CHECK(gc_new_bytes(8));
    gc_heap_destroy(heap);
}

TEST(quoted_text)
{
    struct output o;
    output_begin(&o, keep, &text);
    output_quoted(&o, "a\"b\\c\nd\x7f \xc3\xa4 \xff\xc3 \xf0\x9f\x8c\xb3 \xed\xa0\x80");
    CHECK_EQ(output_end(&o), 0);
    CHECK(strcmp(text.all, "\"a\\\"b\\\\c?d? \xc3\xa4 ?? \xf0\x9f\x8c\xb3 ???\"") == 0);
}

TAP_MAIN
