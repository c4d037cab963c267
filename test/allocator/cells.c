/* Small heaps, in which every object and every cell is looked at: what marking must reach, what
 * sweeping gives back, and what a cell is when it is used again. */
#include "actors.h"
#include "chains.h"

struct node {
    struct node *left, *right;
    uint64_t id;
};
static GC_TYPE(node_type, struct node, left, right);

static void begin(const char *debug)
{
    gc_options o = {.debug = debug, .flags = GC_NO_BACKGROUND};
    CHECK((heap = gc_heap_create(&o)));
}

/* ---- Marking ---- */

static struct node *new_tree(unsigned depth, uint64_t id)
{
    struct node *left = NULL, *right = NULL, *node;
    GC_FRAME(left, right);
    if (depth > 1) {
        left = new_tree(depth - 1, 2 * id);
        right = new_tree(depth - 1, 2 * id + 1);
    }
    CHECK((node = gc_new(&node_type)));
    *node = (struct node){left, right, id}; /* fresh: no safepoint since */
    return node;
}

static uint64_t check_tree(const struct node *node, uint64_t id)
{
    if (!node)
        return 0;
    CHECK_EQ(node->id, id);
    return 1 + check_tree(node->left, 2 * id) + check_tree(node->right, 2 * id + 1);
}

/* Each object leads to two others of its page. */
TEST(a_tree_on_a_page)
{
    begin("poison=2");
    struct node *tree = NULL;
    GC_FRAME(tree);
    tree = new_tree(7, 1);
    CHECK_EQ((uintptr_t)tree >> PAGE_SHIFT, (uintptr_t)tree->left->left >> PAGE_SHIFT);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(check_tree(tree, 1), 127);
    end_heap(heap);
}

/* An array leads to more objects than a stack of three holds: it is shared again and again. The
 * objects are too large to wait for their pages. */
TEST(stacks_of_three)
{
    enum { TREES = 301, WORDS = 64 };
    begin("poison=2,buffers=3");
    struct node ***trees = NULL;
    GC_FRAME(trees);
    trees = gc_new_array(&gc_pointer_type, TREES);
    for (uint64_t i = 0; i < TREES; i++) {
        gc_store(&trees[i], gc_new_array(&gc_pointer_type, WORDS));
        gc_store(&trees[i][i % WORDS], new_tree(3, i + 1));
    }
    CHECK_EQ(gc_collect(), 0);
    for (uint64_t i = 0; i < TREES; i++)
        CHECK_EQ(check_tree(trees[i][i % WORDS], i + 1), 7);
    end_heap(heap);
}

/* ---- Pages that wait to be scanned (I35) ---- */

static void collect_chains(const char *debug)
{
    static const size_t words[] = {1, 2, 3, 4, 6, 20, 57, 58, 100};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        begin(debug);
        void ***firsts = NULL;
        GC_FRAME(firsts);
        firsts = new_chains(words[i]);
        for (int round = 0; round < 2; round++) {
            CHECK_EQ(gc_collect(), 0);
            CHECK_EQ(stats_now().objects_marked, LINKED + 1);
            check_chains(firsts, words[i]);
        }
        end_heap(heap);
    }
}

TEST(pages_of_objects_of_each_size)
{
    collect_chains("poison,verify,checkmark");
}

TEST(pages_in_buffers_of_three)
{
    collect_chains("poison,verify,checkmark,buffers=3");
}

/* A marker that stops hands over the pages that it holds. */
TEST(pages_in_parts)
{
    begin("nth=500,stay=20,poison=2,checkmark");
    void ***firsts = NULL;
    GC_FRAME(firsts);
    firsts = new_chains(2);
    for (int i = 0; i < 4000; i++)
        CHECK(gc_new_bytes(16));
    check_chains(firsts, 2);
    end_heap(heap);
}

/* ---- Sweeping ---- */

static size_t count_objects(void)
{
    struct gc_census rows[64];
    size_t n = 0;
    int found = gc_heap_census(rows, 64);
    CHECK(found >= 0);
    for (int i = 0; i < found; i++)
        n += (size_t)rows[i].objects;
    return n;
}

/* What a thread has been given counts as objects, and not the rest of its run. */
TEST(rests_of_runs_are_no_objects)
{
    begin(NULL);
    struct cell *held[3] = {NULL};
    GC_FRAME_ARRAY(held, 3);
    for (uint64_t i = 0; i < 3; i++)
        held[i] = new_cell(i);
    CHECK_EQ(count_objects(), 3);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(count_objects(), 3);
    end_heap(heap);
}

static void bear_one(struct actor *a)
{
    a->held[0] = new_cell(1);
}

static void trace_nothing(void *object, gc_tracer *tracer)
{
    (void)object;
    (void)tracer;
}
static gc_type traced_type = {.size = 24, .align = 8, .name = "traced", .trace = trace_nothing};

/* The thread gives the rest of its black run back, and gets it again. */
static void bear_around_a_flush(struct actor *a)
{
    char *first = gc_new(&traced_type);
    mcache_flush(a->self->proc->cache);
    CHECK((char *)gc_new(&traced_type) == first + gc_size_class(traced_type.size + sizeof(void *)));
}

/* It is unmarked: cells that are marked already are handed out in no cycle if they carry a type
 * (I37). */
TEST(rests_of_black_runs_are_used_again)
{
    struct actor maker;
    stage_set(0, NULL);
    actor_start(&maker);
    go_past_roots(&maker, 1);
    actor_do(&maker, bear_around_a_flush);
    all_answer_and_end(&maker, 1);
    actor_end(&maker);
    end_heap(heap);
}

/* Nor does the rest of a black run. */
TEST(rests_of_black_runs_are_no_objects)
{
    struct actor maker;
    stage_set(0, NULL);
    actor_start(&maker);
    go_past_roots(&maker, 1);
    actor_do(&maker, bear_one);
    all_answer_and_end(&maker, 1);
    actor_do(&maker, begin_blocking);
    CHECK_EQ(count_objects(), 1);
    actor_do(&maker, end_blocking);
    actor_end(&maker);
    end_heap(heap);
}

/* What is made after a cycle is white in the next one. */
TEST(made_after_a_cycle)
{
    begin("poison=2");
    CHECK_EQ(gc_collect(), 0);
    gc_weak *weak = gc_weak_new(new_cell(1));
    CHECK_EQ(gc_collect(), 0);
    CHECK(!gc_weak_get(weak));
    CHECK_EQ(count_objects(), 0);
    gc_weak_free(weak);
    end_heap(heap);
}

enum { MANY = 1 << 16 };

static void fill_with_ones(struct cell **all)
{
    for (size_t i = 0; i < MANY; i++) {
        struct cell *cell = new_cell(UINT64_MAX);
        cell->magic = UINT64_MAX;
        gc_store(&all[i], cell);
    }
}

/* From its first cell to its last a run counts. */
TEST(every_cell_counts)
{
    begin(NULL);
    struct cell **all = NULL;
    GC_FRAME(all);
    all = gc_new_array(&gc_pointer_type, MANY);
    fill_with_ones(all);
    CHECK_EQ(count_objects(), MANY + 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(count_objects(), MANY + 1);
    end_heap(heap);
}

/* Between objects that live cells are used again, zeroed, before new pages are. */
TEST(cells_between_survivors)
{
    begin(NULL);
    struct cell **all = NULL;
    GC_FRAME(all);
    all = gc_new_array(&gc_pointer_type, MANY);
    fill_with_ones(all);
    CHECK_EQ(gc_collect(), 0);
    for (size_t i = 0; i < MANY; i += 2)
        gc_store(&all[i], NULL);
    CHECK_EQ(gc_collect(), 0);
    uint64_t before = stats_now().heap_inuse;
    for (size_t i = 0; i < MANY; i += 2) {
        struct cell *cell = gc_new(&cell_type);
        CHECK(cell && !cell->next && !cell->magic && !cell->id);
        gc_store(&all[i], cell);
    }
    CHECK(stats_now().heap_inuse <= before + 2 * 80 * 1024);
    end_heap(heap);
}

/* Spans without an object go back whole. */
TEST(empty_spans_go_back)
{
    begin(NULL);
    uint64_t before = stats_now().heap_inuse;
    {
        struct cell **all = NULL;
        GC_FRAME(all);
        all = gc_new_array(&gc_pointer_type, MANY);
        fill_with_ones(all);
        CHECK(stats_now().heap_inuse > before + MANY * sizeof(struct cell));
    }
    CHECK_EQ(gc_collect(), 0);
    CHECK(stats_now().heap_inuse <= before + 80 * 1024);
    end_heap(heap);
}

/* Stores the ends of all objects of `each` bytes, every other of which is dead. */
static void store_ends(char **all, char **ends, size_t n, size_t each)
{
    for (size_t i = 0; i < n; i++)
        gc_store(&all[i], gc_new_array(&gc_pointer_type, each / sizeof(void *)));
    for (size_t i = 0; i < n; i += 2)
        gc_store(&all[i], NULL);
    CHECK_EQ(gc_collect(), 0);
    for (size_t i = 1; i < n; i += 2)
        gc_store(&ends[i], all[i] + each);
}

/* The end of an object makes an object of nothing (I37). The sizes are those of cells, with rests
 * of spans behind the last one and without, and of pages. */
static const size_t cell_sizes[] = {16, 24, 48, 64, 480, 1152, 4096, 9472, 32768, 65536};
#define CELL_SIZES (sizeof cell_sizes / sizeof *cell_sizes)

static void keep_ends(const char *debug)
{
    const size_t *sizes = cell_sizes;
    for (size_t i = 0; i < CELL_SIZES; i++) {
        enum { ENDS = 1 << 12 };
        size_t n = MIN_OF((size_t)ENDS, ((size_t)4 << 20) / sizes[i]), objects = 2 + n / 2;
        begin(debug);
        char **all = NULL, **ends = NULL;
        GC_FRAME(all, ends);
        all = gc_new_array(&gc_pointer_type, n);
        ends = gc_new_array(&gc_pointer_type, n);
        store_ends(all, ends, n, sizes[i]);
        for (int round = 0; round < 2; round++) {
            CHECK_EQ(gc_collect(), 0);
            CHECK_EQ(count_objects(), objects);
            for (size_t end = 1; end < n; end += 2)
                CHECK_EQ(gc_object_size(ends[end] - 1), sizes[i]);
        }
        for (size_t at = 0; at < n; at += 2)
            gc_store(&all[at], gc_new_array(&gc_pointer_type, sizes[i] / sizeof(void *)));
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(count_objects(), objects + (n + 1) / 2);
        gc_clear(ends, n * sizeof *ends);
        end_heap(heap);
    }
}

TEST(ends_of_objects)
{
    keep_ends(NULL);
}

TEST(ends_of_objects_checked)
{
    keep_ends("poison=2,checkmark");
}

/* Objects of `size` bytes, made in three ways and among others, of which nothing but the ends is
 * kept. */
static void keep_only_ends(gc_type *type, gc_type *word_type, size_t size)
{
    enum { ENDS = 300 };
    char **ends = NULL;
    GC_FRAME(ends);
    ends = gc_new_array(&gc_pointer_type, ENDS);
    for (size_t i = 0; i < ENDS; i++) {
        CHECK(gc_new_bytes(size) && gc_new_array(&gc_pointer_type, size / sizeof(void *)));
        char *object = i % 3 == 0   ? gc_new(type)
                       : i % 3 == 1 ? gc_new_array(word_type, size / sizeof(void *))
                                    : gc_new_flex(word_type, word_type, size / sizeof(void *) - 1);
        CHECK(object);
        object[size - 1] = (char)i;
        gc_store(&ends[i], object + size);
    }
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(count_objects(), 1 + ENDS);
        CHECK_EQ(gc_heap_verify(), 0);
        for (size_t i = 0; i < ENDS; i++)
            CHECK(gc_object_base(ends[i]) == ends[i] - size && ends[i][-1] == (char)i);
    }
}

static gc_type *new_type_with_ends(size_t size, bool scan)
{
    gc_type *type = gc_type_create(&(struct gc_type_spec){
        .size = size, .mask = (uint64_t[]){1}, .mask_bits = scan, .tflag = GC_TFLAG_ENDS});
    CHECK(type);
    return type;
}

/* The end of an object keeps it, if its type says so. */
TEST(ends_that_keep_their_objects)
{
    for (size_t i = 0; i < 2 * CELL_SIZES; i++) {
        size_t size = cell_sizes[i / 2];
        begin("poison=2,verify,checkmark");
        gc_type *type = new_type_with_ends(size, i % 2), *word_type = new_type_with_ends(8, i % 2);
        keep_only_ends(type, word_type, size);
        end_heap(heap);
        CHECK_EQ(gc_type_release(type), 0);
        CHECK_EQ(gc_type_release(word_type), 0);
    }
}

/* Pages that are free belong to no span. */
TEST(freed_pages_lead_nowhere)
{
    begin(NULL);
    uintptr_t at = (uintptr_t)gc_new_bytes(1 << 20);
    CHECK(mheap_span_of(&heap->mem, at) && mheap_span_of(&heap->mem, at + PAGE_SIZE));
    CHECK_EQ(gc_collect(), 0);
    CHECK(!mheap_span_of(&heap->mem, at) && !mheap_span_of(&heap->mem, at + PAGE_SIZE));
    end_heap(heap);
}

TAP_MAIN
