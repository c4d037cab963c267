/* Values of two parts: a word, and a tag beside it that says whether the word is a reference. */
#include "actors.h"
#include "build.h"
#include "log.h"
#include "memory/tagged.h"

enum { NIL, NUMBER, OBJECT = 0x40, STRING = 0x45 };

struct value {
    union {
        struct cell *object;
        uintptr_t number;
    } u;
    uint8_t tag;
};
static const struct gc_tagged where[] = {GC_TAGGED(struct value, u.object, tag, 0x40, OBJECT)};
static GC_TYPE_TAGGED(value_type, struct value, where, u.object);

/* As the nodes of a table are: the tag of the key lies before the key. */
struct node {
    void *value;
    uint8_t value_tag, key_tag;
    struct node *next;
    void *key;
    uintptr_t rest; /* so that some lie in two pieces of a large array */
};
static const struct gc_tagged in_node[] = {GC_TAGGED(struct node, value, value_tag, 0x40, OBJECT),
                                           GC_TAGGED(struct node, key, key_tag, 0xff, STRING)};
static GC_TYPE_TAGGED(node_type, struct node, in_node, value, next, key);

struct instance {
    struct cell *class;
    size_t n;
    struct value values[];
};
static GC_TYPE(instance_type, struct instance, class);

static void set(struct value *v, void *payload, uint8_t tag)
{
    gc_store_tagged(v, where, payload, tag);
}

static void set_number(struct value *v, uintptr_t number)
{
    set(v, (void *)number, NUMBER);
}

/* ---- Kinds of objects ---- */

/* Every third value is a reference, every third has left one behind, every third is a number that
 * looks like one. Returns how many cells die. */
static size_t fill(struct value *values, size_t n)
{
    GC_FRAME(values);
    for (size_t i = 0; i < n; i++) {
        struct cell *c = new_cell(i);
        set(&values[i], c, i % 3 == 0 ? OBJECT : i % 3 == 1 ? STRING : NUMBER);
        if (i % 3 == 1)
            set(&values[i], c, NIL);
    }
    return n / 3 + (n + 1) / 3;
}

static void check_filled(const struct value *values, size_t n)
{
    for (size_t i = 0; i < n; i += 3)
        CHECK(values[i].tag == OBJECT && is_cell(values[i].u.object, i));
    for (size_t i = 1; i < n; i++)
        CHECK(i % 3 == 0 || !gc_is_object(values[i].u.object));
}

static void arrays(unsigned flags)
{
    static const size_t sizes[] = {1, 2, 3, 31, 63, 64, 255, 2000, 2050, 60000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        heap = new_heap(flags);
        struct value *values = gc_new_array(&value_type, sizes[i]);
        CHECK(values);
        GC_FRAME(values);
        fill(values, sizes[i]);
        for (int j = 0; j < 2; j++) {
            gc_collect();
            check_filled(values, sizes[i]);
        }
        CHECK_EQ(gc_heap_verify(), 0);
        values = NULL;
        gc_collect();
        CHECK_EQ(stats_now().objects_marked, 0);
        end_heap(heap);
    }
}

TEST_EACH_WAY(arrays)

static void flexible_objects(unsigned flags)
{
    static const size_t sizes[] = {0, 1, 2, 40, 3000, 50000};
    heap = new_heap(flags);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct instance *o = gc_new_flex(&instance_type, &value_type, sizes[i]);
        struct cell *garbage = NULL;
        GC_FRAME(o, garbage);
        CHECK(o);
        gc_store(&o->class, new_cell(7));
        fill(o->values, sizes[i]);
        gc_collect();
        CHECK(is_cell(o->class, 7));
        check_filled(o->values, sizes[i]);
    }
    end_heap(heap);
}

TEST_EACH_WAY(flexible_objects)

static void check_node(const struct node *n, bool value, bool next, bool key)
{
    CHECK_EQ(gc_is_object(n->value), value);
    CHECK_EQ(gc_is_object(n->next), next);
    CHECK_EQ(gc_is_object(n->key), key);
}

/* Of a node by itself, or in an array: each tag speaks of its own word. */
static void check_nodes(struct node *n, size_t i)
{
    static const struct {
        uint8_t value, key;
    } tags[] = {{OBJECT, STRING}, {NIL, STRING}, {STRING, OBJECT}, {NUMBER, NIL}};
    GC_FRAME(n);
    for (size_t j = 0; j < 4; j++) {
        struct node *at = n + i;
        gc_store_tagged(at, &in_node[0], new_cell(1), tags[j].value);
        gc_store(&n[i].next, gc_new(&node_type));
        gc_store_tagged(at, &in_node[1], gc_new_bytes(3), tags[j].key);
        gc_collect();
        check_node(at, tags[j].value & 0x40, true, tags[j].key == STRING);
    }
}

static void nodes(unsigned flags)
{
    heap = new_heap(flags);
    check_nodes(gc_new(&node_type), 0);
    struct node *array = NULL;
    GC_FRAME(array);
    array = gc_new_array(&node_type, 5000);
    check_nodes(array, 0);
    check_nodes(array, 4999);
    for (size_t i = 120; i < 140; i++) /* some lie in two pieces */
        check_nodes(array, i);
    array = gc_new_array(&node_type, 7);
    check_nodes(array, 6);
    array = gc_new_flex(&node_type, &node_type, 9);
    check_nodes(array, 9);
    check_nodes(array, 0);
    end_heap(heap);
}

TEST_EACH_WAY(nodes)

/* The words that say of which types an object is are none of its elements, though there may be room
 * for a part of one. */
struct wide {
    uint8_t tag;
    void *word;
    uintptr_t rest;
};
static const struct gc_tagged in_wide[] = {GC_TAGGED(struct wide, word, tag, 0xff, 0)};
static GC_TYPE_TAGGED(wide_type, struct wide, in_wide, word);

TEST(what_lies_behind_the_elements)
{
    heap = new_heap(0);
    gc_type *type = gc_type_create(&(struct gc_type_spec){.name = "head", .size = sizeof(void *)});
    struct wide *array = NULL, *flex = NULL;
    GC_FRAME(array, flex);
    for (size_t n = 1; n < 60; n++) {
        array = gc_new_array(&wide_type, n);
        flex = gc_new_flex(type, &wide_type, n);
        for (size_t i = 0; i < n; i++)
            array[i].rest = (uintptr_t)array;
        struct parts p = parts_of(mheap_span_of(&heap->mem, (uintptr_t)array), (uintptr_t)array);
        struct parts q = parts_of(mheap_span_of(&heap->mem, (uintptr_t)flex), (uintptr_t)flex);
        CHECK(p.element == &wide_type && !p.head && p.elements == (uintptr_t)array);
        CHECK(q.element == &wide_type && q.head == type);
        CHECK_EQ(q.elements, (uintptr_t)flex + sizeof(void *));
        CHECK(p.end >= (uintptr_t)(array + n) && (p.end - p.elements) % sizeof(struct wide) == 0);
        CHECK(p.end + WORD_SIZE <= (uintptr_t)array + gc_object_size(array));
        CHECK(q.end + 2 * WORD_SIZE <= (uintptr_t)flex + gc_object_size(flex));
        gc_collect();
    }
    CHECK_EQ(gc_type_release(type), 0);
    end_heap(heap);
}

/* A type made at run time, whose heads are tagged and traced. */
static void trace_second(void *object, gc_tracer *tracer)
{
    gc_trace_tagged(tracer, (struct value *)object + 1, 1, sizeof(struct value), where);
}

TEST(tagged_and_traced)
{
    heap = new_heap(0);
    uint64_t mask = 1;
    struct gc_type_spec spec = {.name = "two values",
                                .size = 2 * sizeof(struct value),
                                .mask = &mask,
                                .mask_bits = 1,
                                .tagged = where,
                                .ntagged = 1,
                                .trace = trace_second};
    gc_type *type = gc_type_create(&spec);
    CHECK(type && type->tagged != where);
    struct value *two = gc_new(type);
    GC_FRAME(two);
    set(&two[0], new_cell(1), OBJECT);
    set(&two[1], new_cell(2), OBJECT);
    gc_collect();
    CHECK(is_cell(two[0].u.object, 1) && is_cell(two[1].u.object, 2));
    set(&two[0], two[0].u.object, NIL);
    set(&two[1], two[1].u.object, NIL);
    gc_collect();
    CHECK(!gc_is_object(two[0].u.object) && !gc_is_object(two[1].u.object));
    CHECK_EQ(gc_type_release(type), 0);
    end_heap(heap);
}

/* ---- Roots ---- */

static void visit_stack(void *arg, gc_tracer *tracer)
{
    gc_trace_tagged(tracer, arg, 3, sizeof(struct value), where);
}

TEST(a_stack_of_values)
{
    heap = new_heap(0);
    static struct value stack[3];
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit_stack, stack), 0);
    for (size_t i = 0; i < 3; i++)
        stack[i].u.object = new_cell(i);
    stack[1].tag = OBJECT;
    gc_collect();
    CHECK(is_cell(stack[1].u.object, 1));
    CHECK(!gc_is_object(stack[0].u.object) && !gc_is_object(stack[2].u.object));
    end_heap(heap);
}

/* ---- Growing, copying, clearing ---- */

TEST(an_array_grows)
{
    heap = new_heap(0);
    struct value *values = NULL;
    size_t n = 0, capacity = 0;
    GC_FRAME(values);
    for (; n < 5000; n++) {
        if (n == capacity) {
            values = gc_array_grow(&value_type, values, n, &capacity);
            CHECK(values && capacity > n);
            CHECK(capacity * sizeof *values <= gc_object_size(values));
        }
        struct cell *c = new_cell(n);
        set(&values[n], c, n % 2 ? OBJECT : NUMBER);
    }
    gc_collect();
    for (size_t i = 1; i < n; i += 2)
        CHECK(is_cell(values[i].u.object, i));
    end_heap(heap);
}

static void shrinks(size_t capacity, size_t n, bool moves)
{
    size_t room = capacity;
    struct value *values = gc_new_array(&value_type, capacity), *before = values;
    GC_FRAME(values);
    for (size_t i = 0; i < capacity; i++) {
        struct cell *c = new_cell(i);
        set(&values[i], c, OBJECT);
    }
    values = gc_array_shrink(&value_type, values, n, &room);
    CHECK_EQ(values != before, moves);
    CHECK(room >= n && room * sizeof *values <= gc_object_size(values));
    gc_collect();
    for (size_t i = 0; i < room; i++) {
        CHECK(i < n ? is_cell(values[i].u.object, i) : !values[i].u.object);
        CHECK_EQ(values[i].tag, i < n ? OBJECT : 0);
    }
}

TEST(an_array_shrinks)
{
    heap = new_heap(0);
    shrinks(5000, 4999, false);
    shrinks(5000, 100, true);
    shrinks(62, 61, false);
    shrinks(62, 7, true);
    end_heap(heap);
}

/* ---- While a cycle marks ---- */

static struct value *shared;

static void share(size_t n)
{
    shared = gc_new_array(&value_type, n);
    CHECK(shared);
    CHECK_EQ(gc_root(&shared), 0);
}

/* The value's cell is the thread's, and nobody else's, from now on. */
static void load_first(struct actor *a)
{
    a->held[0] = shared[0].u.object;
}
static void overwrite_first(struct actor *a)
{
    (void)a;
    set_number(&shared[0], 1);
}

/* The old reference is shaded. */
TEST(a_value_is_taken_out)
{
    static struct actor actors[2];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    share(4);
    set(&shared[0], new_chain(2), OBJECT);
    go_past_roots(actors, 2);
    actor_do(&actors[0], load_first);
    actor_do(&actors[1], overwrite_first);
    all_answer_and_end(actors, 2);
    end_with_pair(actors, 2, &actors[0]);
}

static void load_last(struct actor *a)
{
    a->held[0] = shared[61].u.object;
}
static void leave_out_last(struct actor *a)
{
    size_t room = 62;
    (void)a;
    CHECK(gc_array_shrink(&value_type, shared, 61, &room) == shared);
}

TEST(a_value_is_left_out_by_an_array_that_shrinks)
{
    static struct actor actors[2];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    share(62);
    set(&shared[61], new_chain(2), OBJECT);
    go_past_roots(actors, 2);
    actor_do(&actors[0], load_last);
    actor_do(&actors[1], leave_out_last);
    all_answer_and_end(actors, 2);
    end_with_pair(actors, 2, &actors[0]);
}

static void put_first(struct actor *a)
{
    set(&shared[0], a->held[0], OBJECT);
    a->held[0] = NULL;
}

static void make_pair(struct actor *a)
{
    a->held[0] = new_chain(2);
}

/* A grey thread puts there what only it holds, and drops it; the array is black by then, as a black
 * thread has made it. */
static void share_another(struct actor *a)
{
    (void)a;
    gc_store(&shared, gc_new_array(&value_type, 4));
}

/* A black thread makes values by `make`. A grey one puts the only reference to a pair into one of
 * them by `put`, and the black one finds it by `load`. */
static void put_while_grey(void (*make)(struct actor *a), void (*put)(struct actor *a),
                           void (*load)(struct actor *a))
{
    static struct actor actors[2];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    share(4);
    actor_do(&actors[0], make_pair);
    go_to_roots(actors, 2);
    actor_do(&actors[1], answer);
    actor_do(&actors[1], make);
    actor_do(&actors[0], put);
    actor_do(&actors[0], answer);
    actor_do(&actors[1], load);
    all_answer_and_end(actors, 2);
    end_with_pair(actors, 2, &actors[1]);
}

TEST(a_value_is_put_in_by_a_grey_thread)
{
    put_while_grey(share_another, put_first, load_first);
}

/* Only one part of the store is done when the collector looks: the word, and not yet the tag. */
static void store_word_only(struct actor *a)
{
    gc_barrier_store_tagged(&shared[0], where, a->held[0], OBJECT);
    gc_store(&shared[0].u.object, a->held[0]);
    __atomic_store_n(&shared[1].tag, OBJECT,
                     __ATOMIC_RELEASE); /* of a number that looks like one */
}
static void store_tag(struct actor *a)
{
    __atomic_store_n(&shared[0].tag, OBJECT, __ATOMIC_RELEASE);
    a->held[0] = NULL;
}

TEST(half_a_value_is_seen)
{
    static struct actor a;
    stage_set(0, "poison=2");
    actor_start(&a);
    share(4);
    actor_do(&a, make_pair);
    set_number(&shared[1], (uintptr_t)&new_cell(3)->id);
    set_number(&shared[2], (uintptr_t)shared + 3);
    go_past_roots(&a, 1);
    actor_do(&a, store_word_only);
    answer(NULL);
    await_question(STEP_FLUSH); /* all is scanned */
    actor_do(&a, store_tag);
    actor_do(&a, answer);
    all_answer_and_end(&a, 1);
    actors_end(&a, 1);
    set_number(&shared[1], 0);
    gc_collect();
    CHECK(is_cell(shared[0].u.object, 1) && is_cell(shared[0].u.object->next, 2));
    end_heap(heap);
}

/* After the cut: a word that was left behind leads to a dead object, which nobody revives. */
static void after_the_cut(void (*act)(struct actor *))
{
    static struct actor a;
    static struct gate gate;
    gate = (struct gate){GATE_FREE};
    stage_set(0, "");
    actor_start(&a);
    share(4);
    set(&shared[0], new_cell(1), OBJECT);
    set(&shared[0], shared[0].u.object, NIL);
    void *dead = shared[0].u.object;
    begin_cycle_and_stop(STRESS_WEAK_CLEAR, &gate);
    u32_store_release(&cycle_is_over, 0);
    actor_tell(&a, answer_the_rest);
    answer_until(STEP_FLUSH);
    answer(NULL);
    while (u32_load_acquire(&gate.state) == GATE_FREE)
        gc_safepoint();
    CHECK(gc_is_marking());
    act(NULL);
    gate_open(&gate);
    end_cycle();
    u32_store_release(&cycle_is_over, 1);
    CHECK(!gc_is_object(dead));
    actors_end(&a, 1);
    end_heap(heap);
}

TEST(a_word_that_was_left_behind)
{
    after_the_cut(overwrite_first);
}

static void copy_over(struct actor *a)
{
    (void)a;
    gc_copy(&shared[0], &shared[2], 2 * sizeof *shared);
}

TEST(a_copy_over_what_was_left_behind)
{
    after_the_cut(copy_over);
}

static void clear_all(struct actor *a)
{
    (void)a;
    gc_clear(shared, 4 * sizeof *shared);
}

TEST(clearing_what_was_left_behind)
{
    after_the_cut(clear_all);
}

static void open_window(struct actor *a)
{
    (void)a;
    gc_before_write(shared);
    memset(shared, 0, 4 * sizeof *shared);
}

TEST(a_window_over_what_was_left_behind)
{
    after_the_cut(open_window);
}

/* Copies, clearing and windows shade what they overwrite. */
static void shades_the_old(void (*overwrite)(struct actor *))
{
    static struct actor actors[2];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    share(4);
    set(&shared[0], new_chain(2), OBJECT);
    go_past_roots(actors, 2);
    actor_do(&actors[0], load_first);
    actor_do(&actors[1], overwrite);
    all_answer_and_end(actors, 2);
    end_with_pair(actors, 2, &actors[0]);
}

TEST(a_copy_shades_the_old)
{
    shades_the_old(copy_over);
}

TEST(clearing_shades_the_old)
{
    shades_the_old(clear_all);
}

TEST(a_window_shades_the_old)
{
    shades_the_old(open_window);
}

/* A grey thread copies what only it holds into an array that is black. */
static void copy_first(struct actor *a)
{
    struct value fresh = {{a->held[0]}, OBJECT};
    gc_copy(&shared[0], &fresh, sizeof fresh);
    a->held[0] = NULL;
}

TEST(a_copy_by_a_grey_thread)
{
    put_while_grey(share_another, copy_first, load_first);
}

/* The same in a part of a large array, by a window of a grey thread. */
static void share_large(struct actor *a)
{
    (void)a;
    gc_store(&shared, gc_new_array(&value_type, 100000));
}
static void put_in_window(struct actor *a)
{
    gc_before_write_range(&shared[77777], sizeof *shared);
    shared[77777] = (struct value){{a->held[0]}, OBJECT};
    a->held[0] = NULL;
}
static void load_it(struct actor *a)
{
    a->held[0] = shared[77777].u.object;
}

TEST(a_window_in_a_large_array)
{
    put_while_grey(share_large, put_in_window, load_it);
}

/* The same with an element whose tag, or word, lies in the next piece. */
static struct node *shared_nodes;
static size_t straddles; /* its index */

static void share_nodes(struct actor *a)
{
    (void)a;
    gc_store(&shared_nodes, gc_new_array(&node_type, 2 * MARK_STRAND / sizeof(struct node)));
}
static void put_key_in_window(struct actor *a)
{
    struct node *n = &shared_nodes[straddles];
    gc_before_write_range(&n->key, sizeof n->key);
    n->key = a->held[0];
    n->key_tag = STRING;
    a->held[0] = NULL;
}
static void load_key(struct actor *a)
{
    a->held[0] = shared_nodes[straddles].key;
}

TEST(a_window_in_two_pieces)
{
    static struct actor actors[2];
    stage_set(0, "poison=2");
    actors_start(actors, 2);
    straddles = MARK_STRAND / sizeof(struct node) + 1;
    while (straddles * sizeof(struct node) / MARK_PIECE ==
           (straddles * sizeof(struct node) + offsetof(struct node, key)) / MARK_PIECE)
        straddles++;
    CHECK_EQ(gc_root(&shared_nodes), 0); /* not in the first strand, of which all is scanned */
    actor_do(&actors[0], make_pair);
    go_to_roots(actors, 2);
    actor_do(&actors[1], answer);
    actor_do(&actors[1], share_nodes);
    actor_do(&actors[0], put_key_in_window);
    actor_do(&actors[0], answer);
    actor_do(&actors[1], load_key);
    all_answer_and_end(actors, 2);
    end_with_pair(actors, 2, &actors[1]);
}

/* ---- Who asks for edges ---- */

static size_t edges;
static char seen[200];

static bool note_edge(void *unused, const struct gc_edge *edge)
{
    (void)unused;
    edges++;
    snprintf(seen, sizeof seen, "%s", edge->text);
    return true;
}

TEST(edges_of_values)
{
    heap = new_heap(0);
    struct value *values = gc_new_array(&value_type, 10);
    struct cell *c = new_cell(1);
    gc_store(&shared, values);
    GC_FRAME(values);
    set(&values[3], c, OBJECT);
    set(&values[4], c, NUMBER);
    gc_who(c, note_edge, NULL);
    CHECK(edges == 1 && strstr(seen, "array of struct value [3].u.object"));
    edges = 0;
    struct instance *o = gc_new_flex(&instance_type, &value_type, 4);
    GC_FRAME(o);
    set(&o->values[2], values, OBJECT);
    gc_who(values, note_edge, NULL);
    CHECK(strstr(seen, "struct instance with elements struct value [2].u.object"));
    end_heap(heap);
}

/* A number that leads to no object, and a word that leads to a dead one. */
TEST(checks_of_values)
{
    gc_options o = {.log = keep_line, .debug = "checkmark,verify,stores,fields,freed,nth=100"};
    heap = gc_heap_create(&o);
    struct value *values = gc_new_array(&value_type, 100);
    GC_FRAME(values);
    forget_log();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 100; i++) {
            struct cell *c = new_cell(i);
            set(&values[i], c, i % 2 ? OBJECT : NIL);
        }
        set_number(&values[50], (uintptr_t)values + 8000);
        gc_collect();
        CHECK_EQ(gc_heap_verify(), 0);
    }
    CHECK(!has_logged(""));
    values[1].u.object = values[3].u.object;
    gc_collect();
    CHECK(has_logged("was allocated by thread")); /* what has changed, and its maker */
    end_heap(heap);
}

/* ---- Mistakes ---- */

static void refuse_type(const struct gc_type_spec *spec, const char *why)
{
    errno = 0;
    CHECK(!gc_type_create(spec) && errno == EINVAL);
    CHECK(strstr(gc_type_error(), why));
}

TEST(types_that_are_refused)
{
    enum { WORD = sizeof(void *) };
    uint64_t mask[2] = {5, 0};
    struct gc_tagged t[3] = {{0, WORD, 1, 1}, {2, WORD + 1, 1, 1}, {0, WORD + 1, 1, 1}};
    struct gc_type_spec spec = {
        .size = 4 * sizeof(void *), .mask = mask, .mask_bits = 4, .tagged = t, .ntagged = 2};
    gc_type *type = gc_type_create(&spec);
    CHECK(type);
    CHECK_EQ(gc_type_release(type), 0);
    spec.ntagged = 3;
    refuse_type(&spec, "a word is tagged twice");
    spec.ntagged = 1;
    t[0] = (struct gc_tagged){1, 0, 1, 1};
    refuse_type(&spec, "a tagged word is not in the mask");
    t[0] = (struct gc_tagged){100, 0, 1, 1};
    refuse_type(&spec, "a tagged word is not in the mask");
    t[0] = (struct gc_tagged){0, 4 * sizeof(void *), 1, 1};
    refuse_type(&spec, "a tag lies beyond the size");
    t[0] = (struct gc_tagged){0, 3, 1, 1};
    refuse_type(&spec, "a tag lies in its tagged word");
    t[0] = (struct gc_tagged){0, WORD, 1, 3};
    refuse_type(&spec, "a tag never matches");
    spec.ntagged = 5;
    refuse_type(&spec, "more tagged words than words in the mask");
    spec.tagged = NULL;
    spec.ntagged = 1;
    refuse_type(&spec, "more tagged words than words in the mask");
    t[0] = (struct gc_tagged){0, WORD, 1, 1};
    spec.tagged = t;
    spec.size = 65 * sizeof(void *);
    refuse_type(&spec, "larger than 64 words");
    spec.size = 4 * sizeof(void *);
    spec.fill = 8;
    refuse_type(&spec, "a fill with tagged words");
}

TAP_MAIN
