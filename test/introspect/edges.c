/* What refers to what: each kind of root, and each kind of place in an object, with its name. */
#include "introspect/edges.h"
#include "cycle/cycle.h"
#include "heaps.h"
#include "introspect/verify.h"
#include "mutator/self.h"

struct pair {
    struct pair *left, *right;
    long n;
};
static GC_TYPE(pair_type, struct pair, right, left); /* not in the order of their offsets */

static gc_heap *heap;

/* ---- The texts of all edges that lead to an object ---- */

enum { MOST = 64 };
struct found {
    const void *to;
    size_t n;
    struct gc_edge edges[MOST];
    char texts[MOST][256], fields[MOST][64];
};

static void note_edge(void *found, const struct gc_edge *edge)
{
    struct found *f = found;
    if (edge->to != f->to)
        return;
    CHECK(f->n < MOST);
    f->edges[f->n] = *edge;
    edge_text(heap, edge, f->texts[f->n], sizeof f->texts[0]);
    if (!edge_field(heap, edge, f->fields[f->n], sizeof f->fields[0]))
        f->fields[f->n][0] = 0;
    f->n++;
}

static bool note_object(void *found, struct gc_span *s, uintptr_t object)
{
    edges_of_object(heap, s, object, note_edge, found);
    return true;
}

static void find(gc_heap *h, void *found)
{
    verify_flush_caches(h);
    edges_of_roots(h, note_edge, found);
    edges_of_keys(h, note_edge, found);
    verify_each_object(h, note_object, found);
}

/* All edges to an object; `n` of them. */
static struct found look_for(const void *object, size_t n)
{
    static struct found f;
    f = (struct found){.to = object};
    edges_name_frames(heap, true);
    cycle_with_world_held(heap, thread_self(), find, &f);
    edges_name_frames(heap, false);
    for (size_t i = 0; i < f.n; i++)
        diag("%s", f.texts[i]);
    CHECK_EQ(f.n, n);
    return f;
}

/* Whether one of the edges has this holder, and says so. */
static void expect(const struct found *f, enum gc_holder by, const char *text)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->edges[i].by == by && strstr(f->texts[i], text))
            return;
    }
    FAIL("not found: %d, %s", (int)by, text);
}

static void make_heap(const char *switches, unsigned flags)
{
    heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND | flags, .debug = switches});
    CHECK(heap);
    CHECK_EQ(gc_thread_name("tester"), 0);
}

/* ---- Roots ---- */

static __attribute__((noinline)) void in_frames(struct pair *object)
{
    struct pair *other = NULL, *same[3] = {NULL, NULL, object};
    GC_FRAME(other, object);
    GC_FRAME_ARRAY(same, 3);
    struct found f = look_for(object, 2);
    expect(&f, GC_IN_FRAME, "local 2 of the GC_FRAME in in_frames(), thread ");
    expect(&f, GC_IN_FRAME, "local 3 of the GC_FRAME in in_frames(), thread ");
    CHECK(f.edges[0].slot == &same[2] && f.edges[1].slot == &object && f.edges[0].thread != 0);
    gc_keep_alive(other);
}

TEST(locals)
{
    make_heap(NULL, 0);
    in_frames(gc_new(&pair_type));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static struct pair *global, *rooted_range[4];

static struct pair *of_callback;
static void visit_own(void *arg, gc_tracer *tracer)
{
    gc_trace_slot(tracer, arg);
}
static void visit_shared(void *arg, gc_tracer *tracer)
{
    gc_trace_ref(tracer, *(void **)arg);
}

TEST(roots_of_the_heap)
{
    make_heap(NULL, 0);
    CHECK_EQ(gc_root(&global), 0);
    CHECK_EQ(gc_root_range(rooted_range, 4), 0);
    struct pair *object = gc_new(&pair_type);
    gc_store(&global, object);
    gc_store(&rooted_range[2], object);
    gc_handle *handle = gc_handle_new(object);
    gc_store(&of_callback, object);
    CHECK_EQ(gc_root_callback(GC_ROOT_HEAP, visit_shared, &of_callback), 0);
    struct found f = look_for(object, 4);
    expect(&f, GC_IN_GLOBAL, "the global global");
    expect(&f, GC_IN_GLOBAL,
           WORD_BITS == 64 ? "the global rooted_range + 16" : "the global rooted_range + 8");
    expect(&f, GC_IN_HANDLE, "the handle at 0x");
    expect(&f, GC_IN_CALLBACK, "the root callback visit_shared()");
    for (size_t i = 0; i < f.n; i++) {
        CHECK(f.edges[i].thread == 0);
        CHECK(f.edges[i].by != GC_IN_HANDLE || f.edges[i].slot == (void *)handle);
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(roots_of_a_thread)
{
    make_heap(NULL, 0);
    static struct pair *stack[8], **top = stack + 5;
    static _Thread_local struct pair *block[2];
    struct pair *object = gc_new(&pair_type);
    stack[3] = stack[6] = block[1] = of_callback = object; /* 6 lies behind the top */
    CHECK_EQ(gc_thread_range(stack, &top), 0);
    CHECK_EQ(gc_thread_local_range(block, sizeof block), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit_own, &of_callback), 0);
    struct found f = look_for(object, 3);
    expect(&f, GC_IN_RANGE, "[3] of the range at 0x");
    expect(&f, GC_IN_RANGE, "[1] of the range at 0x");
    expect(&f, GC_IN_CALLBACK, "the root callback visit_own(), thread ");
    expect(&f, GC_IN_CALLBACK, " tester");
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(a_suspended_fiber)
{
    make_heap(NULL, 0);
    gc_fiber *fiber = gc_fiber_create();
    CHECK(!gc_fiber_switch(fiber) && errno == 0);
    struct gc_frame *mark = gc_frame_mark();
    struct pair *object = gc_new(&pair_type);
    GC_FRAME(object);
    CHECK(gc_fiber_switch(NULL) == fiber);
    struct found f = look_for(object, 1);
    expect(&f, GC_IN_FRAME, "local 1 of the GC_FRAME of a suspended fiber");
    CHECK(f.edges[0].thread == 0);
    CHECK(!gc_fiber_switch(fiber) && errno == 0);
    f = look_for(object, 1);
    expect(&f, GC_IN_FRAME, "local 1 of the GC_FRAME in test_a_suspended_fiber(), thread ");
    gc_frame_reset(mark);
    CHECK(gc_fiber_switch(NULL) == fiber);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    _exit(TAP_PASSED); /* the frame was reset before its block ends */
}

/* A fiber that belongs to an object: the path to what it holds leads over the object. */
TEST(a_fiber_of_an_object)
{
    make_heap("stores", 0);
    static void *slots[1], **end = slots + 1;
    struct pair *owner = gc_new(&pair_type), *object = gc_new(&pair_type);
    CHECK_EQ(gc_root(&global), 0);
    gc_store(&global, owner);
    gc_fiber *fiber = gc_fiber_create_for(owner);
    CHECK(!gc_fiber_switch(fiber) && errno == 0);
    CHECK_EQ(gc_thread_range(slots, &end), 0);
    slots[0] = object;
    struct found f = look_for(owner, 2);
    expect(&f, GC_IN_FIBER, "the fiber that is run by thread ");
    f = look_for(object, 1);
    CHECK_EQ(f.edges[0].by, GC_IN_RANGE);
    CHECK(gc_fiber_switch(NULL) == fiber);
    CHECK_EQ(look_for(owner, 1).edges[0].by, GC_IN_GLOBAL);
    f = look_for(object, 1);
    expect(&f, GC_IN_FIBER, "a suspended fiber of the struct pair at 0x");
    CHECK(f.edges[0].from == owner && f.edges[0].slot == slots);
    CHECK_EQ(gc_path(object, NULL, NULL), 2);
    gc_store(&global, NULL);
    slots[0] = owner;
    CHECK_EQ(gc_path(owner, NULL, NULL), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_path(owner, NULL, NULL), -EINVAL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static __attribute__((noinline)) void on_the_stack(struct pair *volatile object)
{
    struct pair *same = object;
    static struct found f;
    f.to = same;
    edges_name_frames(heap, true);
    cycle_with_world_held(heap, thread_self(), find, &f);
    edges_name_frames(heap, false);
    expect(&f, GC_IN_STACK, "the C stack in on_the_stack(), thread ");
}

TEST(a_c_stack)
{
    make_heap(NULL, GC_STACK_CONSERVATIVE);
    on_the_stack(gc_new(&pair_type));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static void finalize(void *object, void *arg)
{
    (void)object, (void)arg;
}

TEST(finalizers)
{
    make_heap("stores", 0);
    struct pair *object = gc_new(&pair_type), *has = NULL;
    GC_FRAME(object, has);
    has = gc_new(&pair_type);
    gc_store(&has->right, object);
    CHECK_EQ(gc_finalizer_set(has, finalize, NULL), 0);
    struct found f = look_for(object, 3);
    expect(&f, GC_IN_FINALIZER, "struct pair.right at 0x");
    expect(&f, GC_IN_FINALIZER, "which has a finalizer");
    expect(&f, GC_IN_OBJECT, "struct pair.right at 0x");
    struct pair *hidden = has;
    has = NULL;
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_finalizers_pending(), 1);
    f = look_for(hidden, 1);
    expect(&f, GC_IN_FINALIZER, "struct pair at 0x");
    expect(&f, GC_IN_FINALIZER, "whose finalizer is queued");
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(weak_maps)
{
    make_heap("stores", 0);
    struct pair *key = gc_new(&pair_type), *value = NULL;
    GC_FRAME(key, value);
    value = gc_new(&pair_type);
    gc_weakmap *map = gc_weakmap_new();
    CHECK_EQ(gc_weakmap_set(map, key, value), 0);
    struct found f = look_for(value, 2);
    expect(&f, GC_IN_WEAKMAP, "a weak map, with the key struct pair at 0x");
    CHECK(f.edges[0].by == GC_IN_FRAME && f.edges[1].from == key);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Objects ---- */

struct head {
    long n;
    struct pair *first;
};
static GC_TYPE(head_type, struct head, first);

static void trace_hidden(void *object, gc_tracer *tracer)
{
    struct pair *p = object;
    gc_trace_slot(tracer, &p->left);
}
static gc_type traced_type = {
    .size = sizeof(struct pair), .name = "struct hidden", .trace = trace_hidden};

/* The text of the only reference to `object`. */
static const char *only_holder(const void *object, const char *field)
{
    static struct found f;
    CHECK_EQ(gc_collect(), 0);
    f = look_for(object, 2); /* the test's frame is the other one */
    CHECK(f.edges[1].by == GC_IN_OBJECT && f.edges[1].slot && f.edges[1].from);
    if (strcmp(f.fields[1], field) != 0)
        FAIL("%s, not %s", f.fields[1], field);
    return f.texts[1];
}

/* What is told of the place: the known name, or the offset; and what is told before it. */
struct expected_place {
    char field[32], text[96];
};
static struct expected_place expected_place(bool known, const char *type, const char *name,
                                            size_t offset)
{
    struct expected_place t;
    if (known) {
        snprintf(t.field, sizeof t.field, "%s", name);
        snprintf(t.text, sizeof t.text, "%s%s at", type, name);
    } else {
        snprintf(t.field, sizeof t.field, "+ %zu", offset);
        snprintf(t.text, sizeof t.text, "+ %zu at", offset);
    }
    return t;
}

static void expect_place(const void *object, struct expected_place t)
{
    const char *told = only_holder(object, t.field);
    if (!strstr(told, t.text))
        FAIL("%s, without %s", told, t.text);
}

static void look_at_objects(const char *switches, bool known)
{
    make_heap(switches, 0);
    struct pair *object = gc_new(&pair_type);
    union {
        struct pair *pair, **array;
        struct head *head;
    } in = {NULL};
    GC_FRAME(object, in.pair);
    in.pair = gc_new(&pair_type);
    gc_store(&in.pair->left, object);
    expect_place(object, expected_place(known, "struct pair.", "left", 0));
    in.array = gc_new_array(&gc_pointer_type, 9);
    gc_store(&in.array[7], object);
    expect_place(object, expected_place(known, "array of pointer ", "[7]", 7 * sizeof(void *)));
    in.pair = gc_new_array(&pair_type, 5);
    gc_store(&in.pair[2].right, object);
    expect_place(object, expected_place(known, "array of struct pair ", "[2].right",
                                        2 * sizeof(struct pair) + sizeof(void *)));
    in.head = gc_new_flex(&head_type, &pair_type, 3);
    gc_store(&((struct pair *)(in.head + 1))[1].left, object);
    expect_place(object, expected_place(known, "struct head with elements struct pair ", "[1].left",
                                        sizeof(struct head) + sizeof(struct pair)));
    gc_clear(&((struct pair *)(in.head + 1))[1].left, sizeof(void *));
    gc_store(&in.head->first, object);
    expect_place(object,
                 expected_place(known, "struct pair.", "first", offsetof(struct head, first)));
    in.pair = gc_new(&traced_type); /* its type is known always */
    gc_store(&in.pair->left, object);
    CHECK(strstr(only_holder(object, "+ 0"), "struct hidden + 0 at"));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(places_in_objects)
{
    look_at_objects("stores", true);
}

TEST(places_in_objects_of_unknown_types)
{
    look_at_objects(NULL, false);
}

TEST(names_of_created_types)
{
    make_heap("stores", 0);
    const struct gc_type_spec spec = {.name = "box",
                                      .size = 4 * sizeof(void *),
                                      .mask = (const uint64_t[]){0x0a},
                                      .mask_bits = 4,
                                      .fields = "second;fourth"};
    gc_type *type = gc_type_create(&spec);
    void **box = NULL, *object = gc_new(&pair_type);
    GC_FRAME(object, box);
    box = gc_new(type);
    gc_store(&box[3], object);
    CHECK(strstr(only_holder(object, "fourth"), "box.fourth at 0x"));
    CHECK_EQ(gc_type_release(type), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- Paths ---- */

static char lines[4096];

static bool keep_text(void *arg, const struct gc_edge *edge)
{
    size_t n = strlen(lines);
    CHECK(edge->text && edge->to);
    snprintf(lines + n, sizeof lines - n, "%s\n", edge->text);
    return arg == NULL || --*(int *)arg > 0;
}

/* The lines of a path, and how many they are. */
static int path_to(const void *object)
{
    lines[0] = 0;
    int n = gc_path(object, keep_text, NULL);
    diag("%s", lines);
    return n;
}

static void said(const char *text)
{
    if (!strstr(lines, text))
        FAIL("not said: %s\nbut:\n%s", text, lines);
}

/* global -> [0] -> left -> right: the shortest; and a longer one. */
TEST(a_shortest_path)
{
    make_heap("types", 0);
    struct pair *a = NULL, *b = NULL;
    gc_weakmap *map = gc_weakmap_new();
    CHECK_EQ(gc_root(&global), 0);
    {
        GC_FRAME(a, b);
        a = gc_new(&pair_type);
        gc_store(&global, a);
        for (int i = 0; i < 50; i++) { /* a long way */
            b = gc_new(&pair_type);
            gc_store(&a->left, b);
            a = b;
        }
        b = gc_new(&pair_type);
        gc_store(&a->left, b);
    }
    CHECK_EQ(path_to(b), 52);
    said("the global global\nstruct pair.left at 0x");
    a = gc_new(&pair_type);
    gc_store(&global->right, a);
    CHECK_EQ(gc_weakmap_set(map, a, b), 0);
    CHECK_EQ(path_to(b), 3);
    said("the global global\nstruct pair.right at 0x");
    said("a weak map, with the key struct pair at 0x");
    int most = 1;
    lines[0] = 0;
    CHECK_EQ(gc_path(b, keep_text, &most), 3); /* all are counted */
    CHECK(strcmp(lines, "the global global\n") == 0);
    lines[0] = 0;
    CHECK_EQ(gc_who(b, keep_text, NULL), 2);
    said("a weak map, with the key struct pair");
    said("struct pair.left at 0x");
    lines[0] = 0;
    CHECK_EQ(gc_heap_roots(keep_text, NULL), 1);
    said("the global global\n");
    CHECK_EQ(gc_heap_verify(), 0); /* nothing was left marked */
    CHECK_EQ(path_to(b), 3);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(who_asks_is_passed_over)
{
    make_heap("types", 0);
    struct pair *object = gc_new(&pair_type), *other = NULL;
    {
        GC_FRAME(object, other);
        CHECK_EQ(path_to(object), 1);
        said("local 1 of the GC_FRAME in test_who_asks_is_passed_over(), thread ");
        other = gc_new(&pair_type);
        gc_store(&other->right, object);
        CHECK_EQ(path_to(object), 2);
        said("local 2 of the GC_FRAME in test_who_asks_is_passed_over(), thread ");
        said("struct pair.right at 0x");
    }
    CHECK_EQ(path_to(object), 0); /* dead, and not yet found so */
    CHECK_EQ(gc_path(lines, keep_text, NULL), -EINVAL);
    CHECK_EQ(gc_who(NULL, keep_text, NULL), -EINVAL);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- The switch types ---- */

/* How many objects the census knows to be of a type. */
static uint64_t known(const gc_type *type)
{
    struct gc_census rows[64];
    uint64_t sum = 0;
    int n = gc_heap_census(rows, 64);
    CHECK(n > 0 && n < 64);
    for (int i = 0; i < n; i++)
        sum += rows[i].type == type ? rows[i].objects : 0;
    return sum;
}

struct leaf {
    long n[3];
};
static GC_TYPE_NOPTR(leaf_type, struct leaf);
static GC_TYPE_NOPTR(twig_type, struct leaf); /* of the same class */

/* ---- The embedder's names ---- */

static atomic_uint described;

static void describe_pair(void *user, const void *object, const gc_type *type, char *text,
                          size_t size)
{
    CHECK(user == &described && gc_heap_stats(heap, &(struct gc_statistics){0}) == -EPERM);
    CHECK_REFUSED(gc_new(&pair_type), EPERM);
    described++;
    if (type == &pair_type)
        snprintf(text, size, "pair\n%0100ld", ((const struct pair *)object)->n);
}

/* Only objects that live, and only by one line. */
TEST(objects_are_named_by_the_embedder)
{
    heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND,
                                        .debug = "types",
                                        .describe = describe_pair,
                                        .user = &described});
    struct pair *holder = NULL, *held = NULL;
    void *bytes = NULL;
    char text[200];
    GC_FRAME(holder, bytes);
    holder = gc_new(&pair_type);
    holder->n = 7;
    held = gc_new(&pair_type);
    gc_store(&holder->left, held);
    bytes = gc_new_bytes(100);
    errno = EBADF;
    struct found f = look_for(held, 1);
    CHECK(described > 0 && errno == EBADF);
    expect(&f, GC_IN_OBJECT, "struct pair \"pair 0000");
    CHECK(strstr(f.texts[0], "0\".left at 0x"));
    CHECK(!strstr(site_object_text(heap, (uintptr_t)bytes, text, sizeof text), "\""));
    CHECK(strstr(site_object_text(heap, (uintptr_t)held, text, sizeof text), "pair 0"));
    gc_store(&holder->left, NULL);
    gc_collect();
    unsigned before = described;
    CHECK(!strstr(site_object_text(heap, (uintptr_t)held, text, sizeof text), "pair 0"));
    CHECK_EQ(described, before);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(small_objects_know_their_types)
{
    make_heap("types", 0);
    struct pair *list = NULL, **array = NULL;
    GC_FRAME(list, array);
    for (int i = 0; i < 5000; i++) {
        struct pair *p = gc_new(&pair_type);
        p->left = list;
        list = p;
    }
    array = gc_new_array(&gc_pointer_type, 3000);
    for (int i = 0; i < 3000; i++)
        gc_store(&array[i], i % 3 ? gc_new(&leaf_type) : gc_new(&twig_type));
    CHECK_EQ(known(&pair_type), 5000);
    CHECK_EQ(known(&leaf_type), 2000);
    CHECK_EQ(known(&twig_type), 1000);
    list = NULL;
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(known(&pair_type), 0);
    for (int i = 0; i < 3000; i++) { /* cells change their types */
        gc_store(&array[i], NULL);
        if (i % 100 == 0)
            CHECK_EQ(gc_collect(), 0);
        gc_store(&array[i], gc_new(&pair_type));
    }
    CHECK_EQ(known(&pair_type), 3000);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
