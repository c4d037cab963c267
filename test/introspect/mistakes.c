/* Mistakes of an embedder, each planted once: the switch that looks for it names it, and where. */
#include "build.h"
#include "heaps.h"
#include "cycle/cycle.h"
#include "introspect/checks.h"
#include "mutator/self.h"
#include "log.h"

struct node {
    struct node *next;
    long n;
};
static GC_TYPE(node_type, struct node, next);

/* ---- A store without its barrier, by a program of one thread ---- */

enum { BOXES = 400 };

/* References go from list to list, plainly or by gc_store. */
static void move_about(const char *switches, bool plainly)
{
    gc_heap *heap = gc_heap_create(
        &(gc_options){.flags = GC_NO_BACKGROUND, .debug = switches, .log = keep_line});
    struct node **box = NULL, *p = NULL;
    GC_FRAME(box, p);
    box = gc_new_array(&gc_pointer_type, BOXES);
    for (int i = 0; i < 25 * BOXES; i++) {
        p = gc_new(&node_type);
        p->next = box[i % BOXES]; /* fresh: no safepoint since */
        gc_store(&box[i % BOXES], p);
    }
    for (unsigned i = 0, a = 1; i < 4000; i++) {
        a = a * 1103515245u + 12345;
        struct node **from = &box[(a >> 8) % BOXES], **to = &box[(a >> 16) % BOXES];
        if (!(p = *from))
            continue;
        if (plainly) {
            *from = p->next;
            p->next = *to;
            *to = p;
        } else {
            gc_store(from, p->next);
            gc_store(&p->next, *to);
            gc_store(to, p);
        }
        gc_safepoint();
        if (i % 4 == 0)
            gc_new(&node_type);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(a_cycle_stays_while_the_program_stores)
{
    EXPECT_ABORT("marking missed the object", move_about("nth=20,stay=20,checkmark", true));
    EXPECT_ABORT("marking missed the object", move_about("nth=300,stay=200,checkmark", true));
    move_about("nth=20,stay=20,checkmark,poison,verify", false);
}

/* Of the cycles for which nth asks some stay, so that marking twice finds something. */
TEST(a_cycle_stays_for_checkmark)
{
    EXPECT_ABORT("marking missed the object", move_about("nth=20,checkmark", true));
    EXPECT_ABORT("marking missed the object", move_about("checkmark,poison,nth=1", true));
    move_about("nth=20,checkmark,poison,verify", false);
}

/* They stay for longer and longer, as stores may lie far from allocations. */
TEST(cycles_stay_for_different_times)
{
    static const uint32_t parts[] = {16, 256, 4096, 65536};
    unsigned seen = 0;
    gc_heap *heap =
        gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND, .debug = "nth=1,checkmark"});
    for (int i = 0; i < 64; i++) {
        CHECK(gc_new(&node_type));
        for (size_t k = 0; k < ARRAY_LEN(parts); k++)
            seen |= (unsigned)(u32_load_acquire(&heap->cycle->stays) == parts[k] - 1) << k;
    }
    CHECK_EQ(seen, 15);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

struct box {
    struct box *held, *next;
};
static GC_TYPE(box_type, struct box, held, next);

/* References go from box to box, in one pass over the list that allocates nothing. */
static void move_in_pairs(const char *switches, bool plainly)
{
    enum { LIST = 20000 };
    gc_heap *heap = gc_heap_create(
        &(gc_options){.flags = GC_NO_BACKGROUND, .debug = switches, .log = keep_line});
    struct box *list = NULL, *box = NULL;
    GC_FRAME(list, box);
    for (int i = 0; i < LIST; i++) {
        box = gc_new(&box_type);
        gc_store(&box->next, list);
        list = box;
    }
    for (struct box *b = list; b; b = b->next->next) {
        box = b;
        gc_store(&box->held, gc_new(&box_type));
    }
    for (struct box *b = list; b; b = b->next->next) {
        gc_store(&b->next->held, b->held);
        if (plainly)
            b->held = NULL;
        else
            gc_store(&b->held, NULL);
        gc_safepoint();
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(a_cycle_stays_where_nothing_is_allocated)
{
    EXPECT_ABORT("marking missed the object", move_in_pairs("nth=50,checkmark", true));
    move_in_pairs("nth=50,checkmark,poison,verify", false);
}

TEST(a_cycle_that_stays_ends_for_who_waits)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = "nth=3,stay=1000000", .log = keep_line});
    struct node *kept = NULL;
    GC_FRAME(kept);
    struct gc_statistics stats;
    for (int i = 1; i <= 10; i++) {
        for (int k = 0; k < 10; k++) {
            struct node *fresh = gc_new(&node_type);
            fresh->next = kept;
            kept = fresh;
        }
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(gc_stats(&stats), 0);
        CHECK(stats.forced_cycles == (uint64_t)i && stats.cycles > (uint64_t)i);
    }
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- What is told ---- */

static char said[32768];

static void listen(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused;
    if (level == GC_LOG_TRACE)
        return;
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", line);
}

static gc_heap *checked_heap(const char *switches)
{
    gc_heap *heap =
        gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND, .debug = switches, .log = listen});
    CHECK(heap);
    CHECK_EQ(gc_thread_name("tester"), 0);
    return heap;
}

static void expect(const char *text)
{
    if (!strstr(said, text))
        FAIL("not said: %s\nbut:\n%s", text, said);
}

static void expect_silence(void)
{
    if (said[0])
        FAIL("said:\n%s", said);
}

/* ---- stores ---- */

struct tree {
    struct tree *left, *right;
    long n;
};
static GC_TYPE(tree_type, struct tree, left, right);

static __attribute__((noinline)) struct tree *plant(void)
{
    struct tree *t = gc_new(&tree_type);
    gc_keep_alive(t); /* no tail call: the function is named */
    return t;
}

/* What the program may do is not told: plain stores to a fresh object, and all kinds of gc_store.
 */
static void store_properly(struct tree *t, struct tree **array)
{
    struct tree *fresh = NULL;
    GC_FRAME(t, array, fresh);
    fresh = plant();
    fresh->left = t;
    fresh->right = fresh;
    gc_safepoint();
    gc_store(&fresh->left, fresh);
    gc_store(&t->right, fresh);
    CHECK(gc_cas(&t->right, fresh, t) && !gc_cas(&t->right, fresh, NULL));
    gc_store(&array[3], t);
    gc_copy(&array[1], &array[3], 4 * sizeof *array);
    gc_clear(array, 2 * sizeof *array);
    gc_safepoint();
    gc_store(&t->right, NULL);
    gc_before_write(t);
    t->left = t->right = fresh;
    gc_before_write_range(&array[8], 2 * sizeof *array);
    array[8] = array[9] = t;
    gc_safepoint();
    gc_before_write(t);
    t->left = t->right = NULL;
    fresh = plant();
    gc_store(&fresh->left, t);
    fresh->left = NULL;
    CHECK_EQ(gc_collect(), 0);
}

TEST(plain_stores)
{
    gc_heap *heap = checked_heap("stores");
    struct tree *t = NULL, **array = NULL;
    GC_FRAME(t, array);
    t = plant();
    array = gc_new_array(&gc_pointer_type, 10);
    store_properly(t, array);
    expect_silence();
    t->right = t;
    gc_safepoint();
    expect("struct tree.right of the object at 0x");
    expect(" changed from 0x0 to 0x");
    expect("without gc_store(): store references with gc_store()");
    expect("tester, whose last calls were gc_");
    expect("test_plain_stores+0x");
    expect("was allocated by thread ");
    expect("tester in plant+0x");
    said[0] = 0;
    gc_safepoint();
    t->right = NULL; /* of one place it is told once */
    gc_safepoint();
    expect_silence();
    gc_store(&array[2], t);
    memmove(&array[6], &array[2], sizeof *array);
    gc_safepoint();
    expect("array of pointer [6] of the object at 0x");
    said[0] = 0;
    t->left = t;
    gc_store(&t->left, NULL); /* the next store to the slot tells */
    expect("struct tree.left of the object");
    said[0] = 0;
    store_properly(t, array);
    expect_silence();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static gc_heap *common_heap;

/* Two threads that store to the same slots at once do nothing wrong. */
static void *store_often(void *arg)
{
    struct tree **shared = arg;
    CHECK_EQ(gc_thread_attach(common_heap), 0);
    for (int i = 0; i < 20000; i++) {
        gc_store(&shared[i % 3], gc_load(&shared[(i + 1) % 3]));
        gc_cas(&shared[i % 3], gc_load(&shared[(i + 2) % 3]), NULL);
        if (i % 8 == 0)
            gc_store(&shared[i % 3], plant());
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

TEST(stores_of_several_threads)
{
    gc_heap *heap = common_heap =
        gc_heap_create(&(gc_options){.debug = "stores,freed,fields,nth=500", .log = listen});
    struct tree **shared = NULL;
    GC_FRAME(shared);
    shared = gc_new_array(&gc_pointer_type, 3);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(store_often, shared);
    CHECK_EQ(gc_blocking_begin(), 0);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    CHECK_EQ(gc_blocking_end(), 0);
    expect_silence();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- fields ---- */

struct half {
    struct half *named;
    long n;
    struct half *forgotten;
};
static GC_TYPE(half_type, struct half, named);

TEST(a_field_that_the_type_does_not_name)
{
    gc_heap *heap = checked_heap("fields");
    struct half *h = NULL;
    GC_FRAME(h);
    h = gc_new(&half_type);
    h->n = 12345;
    h->named = h;
    CHECK_EQ(gc_collect(), 0);
    expect_silence();
    struct half *other = gc_new(&half_type);
    h->forgotten = other;
    CHECK_EQ(gc_collect(), 0); /* it is told before the object is freed */
    expect(WORD_BITS == 64 ? "struct half + 16 of the object at 0x"
                           : "struct half + 8 of the object at 0x");
    expect("is the address of an object (struct half at 0x");
    expect("name the field in its GC_TYPE");
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A reference is stored where the collector does not look: the & or the field's name is missing. */
TEST(stores_to_what_is_no_slot)
{
    gc_heap *heap = checked_heap("stores");
    struct half *h = NULL, *other = NULL;
    void **bytes = NULL;
    GC_FRAME(h, other, bytes);
    h = gc_new(&half_type);
    other = gc_new(&half_type);
    bytes = gc_new_bytes(24);
    gc_store(&h->named, other);
    gc_store((void *)&h->n, (void *)(uintptr_t)12345); /* no reference */
    gc_store(&h->forgotten, NULL);
    expect_silence();
    gc_store(&h->forgotten, other);
    expect("gc_store stores the address of an object (struct half at 0x");
    expect(" in struct half + 16 of the object at 0x");
    expect("name the field in its GC_TYPE, or write the & of gc_store(&p->field, value)");
    expect("tester, whose last calls were gc_");
    expect("in test_stores_to_what_is_no_slot+0x");
    said[0] = 0;
    gc_store(&h->forgotten, h); /* of one place it is told once */
    expect_silence();
    gc_store(&bytes[1], h);
    expect(" in block of bytes + 8 of the object at 0x");
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* The words behind an array's last element, as far as the array's cell goes. */
TEST(what_lies_behind_the_last_element)
{
    gc_heap *heap = checked_heap("fields");
    struct tree **array = NULL;
    GC_FRAME(array);
    array = gc_new_array(&gc_pointer_type, 5);
    CHECK(gc_size_class(5 * sizeof *array) > 5 * sizeof *array);
    array[4] = (struct tree *)(void *)array; /* fresh: no safepoint since */
    CHECK_EQ(gc_collect(), 0);
    expect_silence();
    array[5] = array[4];
    CHECK_EQ(gc_collect(), 0);
    expect("array of pointer [5] of the object at 0x");
    expect("but lies behind the last element: allocate more elements, or check the index");
    expect("test_what_lies_behind_the_last_element+0x");
    array[5] = NULL;
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- freed ---- */

TEST(what_refers_to_another_heap)
{
    gc_heap *other = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    CHECK_EQ(gc_thread_switch(other), 0);
    struct tree *foreign = plant();
    gc_heap *heap = checked_heap("freed");
    CHECK_EQ(gc_thread_switch(heap), 0);
    struct tree *t = NULL;
    GC_FRAME(t);
    t = plant();
    CHECK_EQ(gc_collect(), 0);
    expect_silence();
    gc_store(&t->left, foreign);
    CHECK_EQ(gc_collect(), 0);
    expect("struct tree.left of the object at 0x");
    expect("refers to an object of another heap, at 0x");
    expect("does a gc_handle of that heap keep it?");
    expect("tester in plant+0x");
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(gc_heap_destroy(other), 0);
}

TEST(what_refers_to_the_dead)
{
    gc_heap *heap = checked_heap("freed");
    struct tree *t = NULL, *dead, *root = NULL;
    GC_FRAME(t, root);
    t = plant();
    dead = plant();
    dead->n = 1;
    CHECK_EQ(gc_collect(), 0);
    expect_silence();
    CHECK(dead->n == (long)0xdbdbdbdbdbdbdbdb);
    for (int i = 0; i < 1000; i++)
        CHECK(plant() != dead); /* it is in quarantine */
    CHECK(!gc_is_object(dead) && !gc_object_base(&dead->right));
    gc_store(&t->left, dead);
    expect("gc_store stores a dead object (struct tree at 0x");
    expect("found unreachable: keep it in a GC_FRAME");
    expect("tester in plant+0x");
    said[0] = 0;
    CHECK_EQ(gc_collect(), 0);
    expect("struct tree.left of the object at 0x");
    expect("refers to a dead object (struct tree at 0x");
    expect("found by thread ");
    said[0] = 0;
    gc_store(&t->left, NULL);
    root = dead;
    CHECK_EQ(gc_collect(), 0);
    expect("local 2 of the GC_FRAME in test_what_refers_to_the_dead(), thread ");
    expect("tester leads to a dead object (struct tree at 0x");
    expect("found by thread ");
    root = NULL;
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* The end of an object, and what is nothing: no field keeps an object by them. */
TEST(stores_of_what_is_no_object)
{
    gc_heap *heap = checked_heap("freed");
    struct tree *t = NULL;
    char *bytes = NULL;
    GC_FRAME(t, bytes);
    t = plant();
    bytes = gc_new_bytes(40);
    gc_store(&t->left, (void *)(bytes + 39));
    gc_store(&t->left, (void *)&bytes); /* an address outside of the heap */
    expect_silence();
    gc_store(&t->left, (void *)(bytes + gc_size_class(40)));
    expect("gc_store stores 0x");
    expect(", the end of an object (block of bytes at 0x");
    expect("which does not keep it: store its start, or give its type GC_TFLAG_ENDS");
    expect("tester, whose last calls were gc_");
    said[0] = 0;
    gc_store(&t->left, (void *)(bytes + 4 * gc_size_class(40)));
    expect("where no object is: keep objects in a GC_FRAME, a gc_root() or a handle across");
    gc_store(&t->left, NULL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- The quarantine ---- */

static size_t live(void)
{
    struct gc_statistics stats;
    CHECK_EQ(gc_stats(&stats), 0);
    return (size_t)stats.heap_live;
}

TEST(the_quarantine_ends)
{
    gc_heap *heap = checked_heap("poison");
    struct gc_statistics stats;
    struct gc_census rows[8] = {{0}};
    size_t inuse = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 20000; i++)
            CHECK(plant());
        CHECK_EQ(gc_collect(), 0);
        CHECK(live() < 4096); /* what is in quarantine counts as freed */
        CHECK(gc_heap_census(rows, 8) < 8 && rows[0].objects < 100);
        CHECK_EQ(gc_heap_verify(), 0);
        CHECK_EQ(gc_stats(&stats), 0);
        if (round == 15)
            inuse = (size_t)stats.heap_inuse;
    }
    diag("%zu, then %zu bytes in use", inuse, (size_t)stats.heap_inuse);
    CHECK(inuse > (3 << 20) && stats.heap_inuse <= inuse + (1 << 20));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Before memory is refused, what is in quarantine goes free. */
TEST(the_quarantine_is_emptied)
{
    gc_options o = {.debug = "poison", .flags = GC_NO_BACKGROUND, .hard_limit = 2 << 20};
    gc_heap *heap = gc_heap_create(&o);
    CHECK(heap);
    for (int i = 0; i < 400000; i++)
        CHECK(plant());
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- roots ---- */

/* Objects that the program uses, and that nothing roots, are kept and told. What is rooted is not.
 */
static struct tree *static_tree;

static __attribute__((noinline)) long keep_on_the_stack(void)
{
    struct tree *volatile unrooted = plant();
    unrooted->n = 7;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(gc_collect(), 0);
    return unrooted->n;
}

TEST(what_only_the_stack_holds)
{
    gc_heap *heap = checked_heap("roots");
    struct tree *rooted = NULL;
    GC_FRAME(rooted);
    rooted = plant();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(gc_collect(), 0);
    expect_silence();
    CHECK_EQ(keep_on_the_stack(), 7);
    expect(" (struct tree) is held only by the stack of thread ");
    expect("tester, in keep_on_the_stack(): is it in a GC_FRAME?");
    expect("tester, whose last calls were gc_");
    expect(", in keep_on_the_stack+0x");
    expect("was allocated by thread ");
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Nothing is left over of earlier calls. */
static __attribute__((noinline)) void clean_stack(void)
{
    volatile char unused[4096];
    for (size_t i = 0; i < sizeof unused; i++)
        unused[i] = 0;
}

static __attribute__((noinline)) void plant_static(void)
{
    static_tree = plant();
    static_tree->n = 8;
}

TEST(what_only_a_variable_holds)
{
    gc_heap *heap = checked_heap("roots");
    plant_static();
    clean_stack();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(static_tree->n, 8);
    expect(" (struct tree) is held only by the variable static_tree: is the variable a gc_root()?");
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static __attribute__((noinline)) void leave_addresses(void)
{
    struct tree *volatile left[64];
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        left[i] = plant();
}

static __attribute__((noinline)) void collect_over_them(void)
{
    volatile char unused[2048];
    for (int i = 0; i < 4; i++)
        unused[i] = (char)gc_collect();
    CHECK_EQ(unused[0], 0);
}

/* A frame may have words that nobody writes. */
TEST(what_a_call_has_left)
{
    gc_heap *heap = checked_heap("roots,stores");
    leave_addresses();
    gc_safepoint();
    collect_over_them();
    expect_silence();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static __attribute__((noinline)) void plant_in(struct tree **block)
{
    block[2] = plant();
}

TEST(what_only_malloc_holds)
{
    gc_heap *heap = checked_heap("roots=2");
    struct tree **block = calloc(4, sizeof *block);
    uintptr_t low, high;
    if (!os_malloc_bounds(&low, &high) || (uintptr_t)block - low >= high - low)
        SKIP("malloc is the sanitizer's");
    plant_in(block);
    clean_stack();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(gc_collect(), 0);
    expect(" (struct tree) is held only by memory of malloc() near 0x");
    expect("use a gc_handle, or gc_root() on the slot");
    CHECK_EQ(block[2]->n, 0);
    free(block);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* The argument is on the stack alone while a collection runs; then it is stored. */
static __attribute__((noinline)) struct tree *pair(struct tree *left)
{
    struct tree *volatile argument = left;
    CHECK_EQ(gc_collect(), 0);
    struct tree *t = plant();
    t->left = argument; /* fresh: no safepoint since */
    return t;
}

TEST(what_is_used_again)
{
    gc_heap *heap = checked_heap("roots");
    struct tree *t = NULL;
    GC_FRAME(t);
    t = pair(plant());
    CHECK_EQ(gc_collect(), 0);
    expect(" (struct tree) was held only by the stack of thread ");
    expect("is in use again: without this switch it would be freed; is it in a GC_FRAME?");
    expect(", in pair+0x");
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A store tells at once, even if the object's new owner is fresh, and dies. */
TEST(what_is_stored_after_a_collection)
{
    gc_heap *heap = checked_heap("roots");
    struct tree *t = NULL;
    GC_FRAME(t);
    t = plant();
    struct tree *volatile unrooted = plant();
    CHECK_EQ(gc_collect(), 0);
    expect_silence();
    gc_store(&t->left, NULL);
    gc_store(&t->left, t);
    expect_silence();
    gc_store(&t->left, unrooted);
    expect(" (struct tree) was held only by the stack of thread ");
    expect("tester, in test_what_is_stored_after_a_collection() in the last cycle");
    expect("and is in use again, by gc_store: without this switch it would be freed");
    expect("tester, whose last calls were gc_");
    expect("tester in plant+0x");
    said[0] = 0;
    gc_store(&t->right, unrooted); /* of one place it is told once */
    CHECK_EQ(gc_collect(), 0);
    expect_silence();
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static uint64_t hash_number(const void *key, size_t size)
{
    return size ? *(const uint64_t *)key : 0;
}
static bool is_number(const void *object, const void *key, size_t size)
{
    return memcmp(object, key, size) == 0;
}
static void *make_number(const void *key, size_t size, void *arg)
{
    (void)arg;
    return memcpy(gc_new_bytes(size), key, size);
}

struct weak_box {
    struct tree *weak;
};
static void trace_weak_box(void *object, gc_tracer *tracer)
{
    gc_trace_weak(tracer, &((struct weak_box *)object)->weak, 1, sizeof(void *), NULL);
}
static gc_type weak_box_type = {
    .size = sizeof(struct weak_box), .name = "struct weak_box", .trace = trace_weak_box};

/* Nothing roots what a weak reference, a map, a table or a weak slot has given away. A word that is
 * left on the stack proves no mistake then. */
TEST(what_is_got_back_needed_no_root)
{
    static const struct gc_intern_ops ops = {hash_number, is_number, make_number};
    gc_heap *heap = checked_heap("roots");
    struct tree *t = NULL;
    struct weak_box *box = NULL;
    GC_FRAME(t, box);
    t = plant();
    box = gc_new(&weak_box_type);
    struct tree *volatile left[5] = {plant(), plant(), plant(), plant()};
    gc_weak *weak = gc_weak_new(left[0]);
    gc_weakmap *map = gc_weakmap_new();
    CHECK_EQ(gc_weakmap_set(map, left[1], left[2]), 0);
    gc_store_weak(&box->weak, left[3]);
    gc_intern *table = gc_intern_new(&ops);
    uint64_t number = 12345;
    left[4] = gc_intern_get(table, &number, sizeof number, NULL);
    CHECK_EQ(gc_collect(), 0);
    gc_store(&t->left, gc_weak_get(weak));
    gc_store(&t->left, gc_load_weak(&box->weak));
    gc_store(&t->left, gc_intern_get(table, &number, sizeof number, NULL));
    void *key, *value;
    size_t position = 0;
    CHECK(gc_weakmap_next(map, &position, &key, &value));
    CHECK(key == left[1] && value == left[2]);
    gc_store(&t->left, key);
    gc_store(&t->left, value);
    gc_store(&t->left, gc_weakmap_get(map, key));
    CHECK_EQ(gc_collect(), 0);
    expect_silence();
    gc_weak_free(weak);
    gc_weakmap_free(map);
    gc_intern_free(table);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* A look reads the roots, too: the next one comes after so many safepoints. */
TEST(a_look_at_many_roots)
{
    static struct tree *rooted[6400];
    gc_heap *heap = checked_heap("freed");
    CHECK_EQ(gc_root_range(rooted, sizeof rooted / sizeof rooted[0]), 0);
    struct tree *t = plant();
    for (size_t i = 0; i < sizeof rooted / sizeof rooted[0]; i++)
        gc_store(&rooted[i], t);
    CHECK_EQ(gc_collect(), 0);
    uint32_t look = heap->checks->look;
    for (int i = 0; i < 100; i++)
        gc_safepoint();
    CHECK_EQ(heap->checks->look, look);
    for (int i = 0; i < 3; i++)
        gc_safepoint();
    CHECK(heap->checks->look != look);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    expect_silence();
}

static uint32_t looks_within(gc_heap *heap, unsigned safepoints)
{
    uint32_t look = heap->checks->look;
    for (unsigned i = 0; i < safepoints; i++)
        gc_safepoint();
    return heap->checks->look - look;
}

/* In a blocking region the collector answers for the thread, and so writes to its notes. */
TEST(a_blocked_thread_does_not_touch_its_notes)
{
    gc_heap *heap = checked_heap("stores");
    gc_thread *self = thread_self();
    CHECK_EQ(gc_blocking_begin(), 0);
    const char *call_before = self->call_before = "none";
    uint32_t rest = heap->checks->rest = 10;
    CHECK_EQ(gc_blocking_begin(), 0);
    gc_safepoint();
    CHECK(self->call_before == call_before && heap->checks->rest == rest);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* However long a program runs, the looks of the switch all do not cost much more than at first. */
TEST(looks_become_rarer)
{
    enum { LATER = 400 * 1000, SOME = 20 * 1000 };
    static struct tree *rooted[6400];
    for (int all = 0; all < 2; all++) {
        gc_heap *heap = checked_heap(all ? "all" : "stores,freed");
        memset(rooted, 0, sizeof rooted); /* the first heap's objects */
        CHECK_EQ(gc_root_range(rooted, sizeof rooted / sizeof rooted[0]), 0);
        for (size_t i = 0; i < sizeof rooted / sizeof rooted[0]; i++)
            gc_store(&rooted[i], plant());
        uint32_t first = looks_within(heap, SOME);
        looks_within(heap, LATER);
        uint32_t last = looks_within(heap, SOME);
        diag("%u, then %u looks", first, last);
        CHECK(first > 20 && (all ? last * 6 < first : last + 2 >= first));
        CHECK_EQ(gc_heap_destroy(heap), 0);
    }
    expect_silence();
}

/* All together, over a program without mistakes. */
static void work_properly(const char *switches)
{
    gc_heap *heap = checked_heap(switches);
    {
        struct tree *t = NULL, **array = NULL;
        GC_FRAME(t, array);
        array = gc_new_array(&gc_pointer_type, 100);
        for (int i = 0; i < 3000; i++) {
            t = plant();
            t->left = array[i % 100];
            gc_store(&array[i % 100], i % 7 ? t : NULL);
            if (i % 5 == 0)
                gc_copy(&array[i % 50], &array[50], 8 * sizeof *array);
        }
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
    expect_silence();
}

/* So long that runs have many cells. A look comes across the rest of the other type's run. */
TEST(no_mistake_in_long_runs)
{
    gc_heap *heap = checked_heap("all");
    {
        struct tree *t = NULL;
        struct half *h = NULL;
        GC_FRAME(t, h);
        for (int i = 0; i < 40000; i++) {
            t = gc_new(&tree_type);
            t->left = t; /* fresh: no safepoint since */
            if (i % 3 == 0) {
                h = gc_new(&half_type);
                h->named = h;
            }
        }
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
    expect_silence();
}

TEST(no_mistake)
{
    work_properly("nth=1,poison,verify,checkmark");
    work_properly("nth=7,stay=3,stores,fields,freed,redzones,checkmark,verify");
}

TEST(no_mistake_that_the_stack_shows)
{
    if (ADDRESS_SANITIZER)
        SKIP("in its frames words are left over");
    work_properly("all");
    work_properly("nth=7,stay=3,stores,fields,freed,roots=2,checkmark,verify");
}

TAP_MAIN
