/* What each public call does when it is used as the manual says. */
#include <setjmp.h>
#include "build.h"
#include "heaps.h"

struct cell {
    struct cell *next;
    uint64_t number;
};
static GC_TYPE(cell_type, struct cell, next);

#define LEN(array) (sizeof(array) / sizeof(array)[0])
#define MIB ((size_t)1 << 20)

static struct cell *new_cell(uint64_t number)
{
    struct cell *c = gc_new(&cell_type);
    CHECK(c && !c->next && !c->number);
    c->number = number;
    return c;
}

/* An address that the collector does not know of, to ask whether its object lives. */
typedef uintptr_t hidden;
static bool lives(hidden address)
{
    return gc_is_object((void *)address);
}
static hidden hide(const void *object)
{
    return (hidden)object;
}

static void collect(void)
{
    CHECK_EQ(gc_collect(), 0);
}

/* ---- Frames ---- */

static int leave_early(int way)
{
    struct cell *a = new_cell(1), *b = NULL;
    GC_FRAME(a);
    if (way == 0)
        return 0;
    GC_FRAME(b);
    b = new_cell(2);
    collect();
    CHECK(a->number == 1 && b->number == 2);
    for (int i = 0; i < 3; i++) {
        struct cell *c = new_cell(3);
        GC_FRAME(c);
        if (way == 1 && i == 0)
            continue;
        if (way == 2)
            break;
        if (way == 3)
            goto out;
        collect();
        CHECK(a->number == 1 && b->number == 2 && c->number == 3);
    }
out:
    collect();
    CHECK(a->number == 1 && b->number == 2);
    return way;
}

TEST(frames_end_however_the_block_ends)
{
    gc_heap *heap = new_heap(0);
    struct gc_frame *mark = gc_frame_mark();
    for (int way = 0; way < 5; way++) {
        CHECK_EQ(leave_early(way), way);
        CHECK(gc_frame_mark() == mark);
    }
    end_heap(heap);
}

TEST(nested_frames)
{
    gc_heap *heap = new_heap(0);
    {
        struct cell *outer = new_cell(1);
        hidden in;
        GC_FRAME(outer);
        {
            struct cell *inner = new_cell(2);
            GC_FRAME(inner);
            in = hide(inner);
            collect();
            CHECK(lives(in) && lives(hide(outer)));
        }
        collect();
        CHECK(!lives(in) && outer->number == 1);
    }
    end_heap(heap);
}

static void recurse(unsigned depth)
{
    struct cell *c = new_cell(depth);
    GC_FRAME(c);
    if (depth > 0)
        recurse(depth - 1);
    else
        collect();
    CHECK_EQ(c->number, depth);
    if (depth % 500 == 0)
        collect();
}

TEST(frames_in_recursion)
{
    gc_heap *heap = new_heap(0);
    recurse(2000);
    end_heap(heap);
}

TEST(frame_of_32)
{
    gc_heap *heap = new_heap(0);
    {
        struct cell *a[32] = {NULL};
        GC_FRAME(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12],
                 a[13], a[14], a[15], a[16], a[17], a[18], a[19], a[20], a[21], a[22], a[23], a[24],
                 a[25], a[26], a[27], a[28], a[29], a[30], a[31]);
        for (size_t i = 0; i < LEN(a); i++)
            a[i] = new_cell(i);
        collect();
        for (size_t i = 0; i < LEN(a); i++)
            CHECK_EQ(a[i]->number, i);
    }
    end_heap(heap);
}

TEST(frame_array)
{
    enum { N = 1000 };
    gc_heap *heap = new_heap(0);
    struct cell **block = calloc(N, sizeof *block);
    {
        GC_FRAME_ARRAY(block, N / 2);
        hidden second_half[N / 2];
        for (size_t i = N; i-- > 0;)
            block[i] = new_cell(i);
        for (size_t i = 0; i < N / 2; i++)
            second_half[i] = hide(block[N / 2 + i]);
        collect();
        for (size_t i = 0; i < N / 2; i++)
            CHECK(block[i]->number == i && !lives(second_half[i]));
    }
    free(block);
    end_heap(heap);
}

static jmp_buf landing;
static volatile bool jumping = true;

static void dive(unsigned depth, hidden *deepest)
{
    struct cell *c = new_cell(depth);
    GC_FRAME(c);
    *deepest = hide(c);
    if (depth > 0)
        dive(depth - 1, deepest);
    else if (jumping)
        longjmp(landing, 1);
}

TEST(longjmp_and_reset)
{
    gc_heap *heap = new_heap(0);
    {
        struct cell *c = new_cell(7);
        static hidden deepest;
        GC_FRAME(c);
        struct gc_frame *mark = gc_frame_mark();
        for (volatile int i = 0; i < 10; i++) {
            if (!setjmp(landing))
                dive(20, &deepest);
            CHECK(gc_frame_mark() != mark);
            gc_frame_reset(mark);
            collect();
            CHECK(!lives(deepest) && c->number == 7);
        }
    }
    end_heap(heap);
}

/* ---- Other roots ---- */

TEST(rooted_globals)
{
    static struct cell *one, *range[100];
    gc_heap *heap = new_heap(0);
    CHECK_EQ(gc_root(&one), 0);
    CHECK_EQ(gc_root_range(range, LEN(range)), 0);
    gc_store(&one, new_cell(1));
    for (size_t i = 0; i < LEN(range); i++)
        gc_store(&range[i], new_cell(i));
    hidden h = hide(one), h0 = hide(range[0]), last = hide(range[99]);
    collect();
    CHECK(one->number == 1);
    for (size_t i = 0; i < LEN(range); i++)
        CHECK_EQ(range[i]->number, i);
    CHECK_EQ(gc_unroot(&one), 0);
    collect();
    CHECK(!lives(h) && lives(h0) && lives(last));
    gc_store(&range[99], NULL);
    collect();
    CHECK(lives(h0) && !lives(last));
    CHECK_EQ(gc_unroot(range), 0);
    collect();
    CHECK(!lives(h0));
    end_heap(heap);
}

TEST(range_with_a_moving_top)
{
    enum { N = 64 };
    static void *stack[N], **top = stack;
    hidden h[N];
    gc_heap *heap = new_heap(0);
    CHECK_EQ(gc_thread_range(stack, &top), 0);
    for (int round = 0; round < 3; round++) {
        while (top < stack + N) {
            void *c = new_cell((uint64_t)(top - stack));
            h[top - stack] = hide(c);
            *top++ = c;
        }
        for (; top > stack; top -= 16) {
            collect();
            for (ptrdiff_t i = 0; i < N; i++)
                CHECK_EQ(lives(h[i]), i < top - stack);
        }
        collect();
        CHECK(!lives(h[0]));
    }
    *top++ = new_cell(1);
    h[0] = hide(stack[0]);
    CHECK_EQ(gc_thread_range_remove(stack), 0);
    collect();
    CHECK(!lives(h[0]));
    end_heap(heap);
}

static _Thread_local void *locals[10];

static void *use_locals(void *heap)
{
    hidden h[LEN(locals)];
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_thread_local_range(locals, sizeof locals), 0);
    for (size_t i = 0; i < LEN(locals); i++) {
        locals[i] = new_cell(i);
        h[i] = hide(locals[i]);
    }
    collect();
    for (size_t i = 0; i < LEN(locals); i++)
        CHECK(lives(h[i]) && ((struct cell *)locals[i])->number == i);
    CHECK_EQ(gc_thread_detach(), 0);
    CHECK_EQ(gc_thread_attach(heap), 0);
    collect();
    for (size_t i = 0; i < LEN(locals); i++)
        CHECK(!lives(h[i]));
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

TEST(thread_local_range)
{
    gc_heap *heap = new_heap(0);
    run_thread(use_locals, heap);
    end_heap(heap);
}

struct visited {
    void *slots[8];
    void *bare;
    atomic_uint calls;
};

static void visit(void *arg, gc_tracer *tracer)
{
    struct visited *v = arg;
    v->calls++;
    gc_trace_slot(tracer, &v->slots[0]);
    gc_trace_slots(tracer, &v->slots[1], LEN(v->slots) - 1);
    if (gc_load(&v->bare))
        gc_trace_ref(tracer, gc_load(&v->bare));
}

static void use_callback(enum gc_root_scope scope)
{
    static struct visited v;
    hidden h[LEN(v.slots) + 1];
    CHECK_EQ(gc_root_callback(scope, visit, &v), 0);
    for (size_t i = 0; i < LEN(v.slots); i++) {
        gc_store(&v.slots[i], new_cell(i));
        h[i] = hide(v.slots[i]);
    }
    gc_store(&v.bare, new_cell(8));
    h[8] = hide(v.bare);
    unsigned before = v.calls;
    collect();
    CHECK(v.calls > before);
    for (size_t i = 0; i < LEN(h); i++)
        CHECK(lives(h[i]));
    gc_store(&v.slots[3], NULL);
    collect();
    for (size_t i = 0; i < LEN(h); i++)
        CHECK_EQ(lives(h[i]), i != 3);
    CHECK_EQ(gc_root_callback_remove(visit, &v), 0);
    before = v.calls;
    collect();
    CHECK_EQ(v.calls, before);
    for (size_t i = 0; i < LEN(h); i++)
        CHECK(!lives(h[i]));
    memset(v.slots, 0, sizeof v.slots);
    v.bare = NULL;
}

TEST(root_callbacks)
{
    gc_heap *heap = new_heap(0);
    use_callback(GC_ROOT_HEAP);
    use_callback(GC_ROOT_THREAD);
    end_heap(heap);
}

static struct {
    pthread_barrier_t barrier;
    gc_heap *heap;
    hidden h;
    struct visited v;
} blocked;

static void *block(void *unused)
{
    CHECK_EQ(gc_thread_attach(blocked.heap), 0);
    CHECK_EQ(gc_root_callback(GC_ROOT_THREAD, visit, &blocked.v), 0);
    blocked.v.slots[0] = new_cell(11);
    blocked.h = hide(blocked.v.slots[0]);
    CHECK_EQ(gc_blocking_begin(), 0);
    pthread_barrier_wait(&blocked.barrier);
    pthread_barrier_wait(&blocked.barrier);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

TEST(callback_of_a_blocked_thread)
{
    blocked.heap = new_heap(0);
    pthread_barrier_init(&blocked.barrier, NULL, 2);
    pthread_t thread = start_thread(block, NULL);
    wait_at(&blocked.barrier);
    unsigned before = blocked.v.calls;
    collect();
    collect();
    CHECK(lives(blocked.h) && blocked.v.calls > before);
    wait_at(&blocked.barrier);
    join_thread(thread);
    collect();
    CHECK(!lives(blocked.h)); /* callbacks of a thread go with it */
    end_heap(blocked.heap);
}

TEST(handles)
{
    enum { N = 5000 };
    static gc_handle *handles[N];
    static hidden h[N];
    gc_heap *heap = new_heap(0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            struct cell *c = new_cell(i);
            h[i] = hide(c);
            handles[i] = gc_handle_new(c);
            CHECK(handles[i] && gc_handle_get(handles[i]) == c);
        }
        for (size_t i = 0; i < N; i += 2)
            gc_handle_free(handles[i]);
        for (size_t i = 1; i < N; i += 4)
            gc_handle_set(handles[i], NULL);
        collect();
        for (size_t i = 0; i < N; i++) {
            CHECK_EQ(lives(h[i]), i % 4 == 3);
            if (i % 2)
                CHECK_EQ(hide(gc_handle_get(handles[i])), i % 4 == 3 ? h[i] : 0);
        }
        gc_handle_set(handles[1], new_cell(4711));
        collect();
        CHECK_EQ(((struct cell *)gc_handle_get(handles[1]))->number, 4711);
        for (size_t i = 1; i < N; i += 2)
            gc_handle_free(handles[i]);
    }
    gc_handle *empty = gc_handle_new(NULL);
    CHECK(empty && !gc_handle_get(empty));
    gc_handle_free(empty);
    end_heap(heap);
}

/* ---- Allocation ---- */

static void check_zero(const void *p, size_t size)
{
    const unsigned char *bytes = p;
    CHECK(bytes);
    if (size > 0)
        CHECK(bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

TEST(sizes)
{
    gc_heap *heap = new_heap(0);
    for (size_t n = 1; n < 200000; n += n < 2100 ? 1 : n / 13) {
        char *p = gc_new_bytes(n);
        check_zero(p, n);
        CHECK(gc_size_class(n) >= n);
        CHECK(gc_object_size(p) >= n);
        if (n >= 16) {
            CHECK_EQ(gc_object_size(p), gc_size_class(n));
            CHECK_EQ((uintptr_t)p % 8, 0);
            CHECK(gc_object_base(p) == p && gc_object_base(p + n - 1) == p);
        } else {
            CHECK_EQ((uintptr_t)p % (n & -n), 0);
        }
        memset(p, 0xff, n);
    }
    for (size_t n = 1; n < 30000; n += n < 300 ? 1 : n / 7) {
        void **array = gc_new_array(&gc_pointer_type, n);
        check_zero(array, n * sizeof *array);
        CHECK_EQ(gc_object_size(array), gc_size_class(n * sizeof *array));
        struct cell *flex = gc_new_flex(&cell_type, &gc_pointer_type, n);
        check_zero(flex, sizeof *flex + n * sizeof *array);
        CHECK_EQ(gc_object_size(flex), gc_size_class(sizeof *flex + n * sizeof *array));
    }
    CHECK_EQ(gc_object_size(new_cell(1)), gc_size_class(sizeof(struct cell)));
    for (size_t n = 1, last = 0; n < 100000; n++) {
        size_t class = gc_size_class(n);
        CHECK(class >= n && class >= last && gc_size_class(class) == class);
        last = class;
    }
    end_heap(heap);
}

/* A flexible object's head and elements are both found. */
TEST(flexible_objects)
{
    enum { N = 1000 };
    static hidden h[N + 1];
    gc_heap *heap = new_heap(0);
    struct text {
        uint64_t length;
        struct cell *owner;
        char odd;
    };
    static GC_TYPE(text_type, struct text, owner);
    {
        struct text *t = gc_new_flex(&text_type, &cell_type, N);
        GC_FRAME(t);
        struct cell *cells = (struct cell *)(t + 1);
        for (size_t i = 0; i < N; i++) {
            gc_store(&cells[i].next, new_cell(i));
            cells[i].number = (uint64_t)hide(new_cell(0)); /* no reference */
            h[i] = hide(cells[i].next);
        }
        gc_store(&t->owner, new_cell(N));
        h[N] = hide(t->owner);
        collect();
        for (size_t i = 0; i <= N; i++)
            CHECK(lives(h[i]) && ((struct cell *)h[i])->number == i);
        for (size_t i = 0; i < N; i++)
            CHECK(!lives((hidden)cells[i].number));
        CHECK(gc_object_base(&cells[N - 1].number) == t);
        CHECK(gc_new_flex(&text_type, &cell_type, 0));
        CHECK(gc_new_flex(&gc_word_type, &cell_type, 0));
    }
    end_heap(heap);
}

TEST(alignment)
{
    static const uint64_t first = 1;
    static const size_t sizes[] = {8, 24, 100, 1000, 5000, 8192, 20000, 33000, 100000};
    gc_heap *heap = new_heap(0);
    for (size_t align = 1; align <= 8192; align *= 2) {
        for (size_t i = 0; i < LEN(sizes) * 2; i++) {
            size_t bits = i % 2 && align >= 8; /* references are aligned, so in arrays too */
            size_t size = bits ? (sizes[i / 2] + 7) / 8 * 8 : sizes[i / 2];
            gc_type *type = gc_type_create(&(struct gc_type_spec){
                .size = size, .align = align, .mask = bits ? &first : NULL, .mask_bits = bits});
            if (!type)
                FAIL("size %zu, align %zu: %s", size, align, gc_type_error());
            CHECK_EQ(type->align, align);
            for (int n = 0; n < 5; n++) {
                char *p[5] = {NULL};
                GC_FRAME_ARRAY(p, LEN(p));
                p[0] = gc_new(type);
                p[1] = gc_new_array(type, 1);
                p[2] = gc_new_array(type, 3);
                p[3] = gc_new_flex(type, &gc_pointer_type, 3);
                p[4] = gc_new_flex(&cell_type, type, 2);
                for (size_t k = 0; k < LEN(p); k++) {
                    check_zero(p[k], size);
                    CHECK_EQ((uintptr_t)p[k] % align, 0);
                }
            }
            CHECK_EQ(gc_type_release(type), 0);
        }
    }
    end_heap(heap);
}

TEST(memory_is_zeroed_again)
{
    static const size_t sizes[] = {1,    7,    8,    15,    16,    48,    512,
                                   1024, 1025, 9000, 32768, 32769, 300000};
    gc_heap *heap = new_heap(0);
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < LEN(sizes); i++) {
            size_t count = 2 * MIB / LEN(sizes) / sizes[i] + 1;
            for (size_t k = 0; k < count && k < 20000; k++) {
                unsigned char *p = gc_new_bytes(sizes[i]);
                check_zero(p, sizes[i]);
                memset(p, 0xff, sizes[i]);
                if (k % 2 || sizes[i] < sizeof(struct cell))
                    continue;
                size_t n = sizes[i] / sizeof(struct cell);
                struct cell *c = gc_new_array(&cell_type, n);
                check_zero(c, n * sizeof *c);
                for (size_t j = 0; j < n; j++)
                    c[j].number = UINT64_MAX;
            }
        }
        for (int k = 0; k < 1000; k++)
            new_cell(UINT64_MAX);
        if (round % 2)
            collect();
        else
            CHECK_EQ(gc_release_memory(), 0);
    }
    end_heap(heap);
}

TEST(nothing_has_one_address)
{
    gc_heap *heap = new_heap(0);
    gc_type *empty = gc_type_create(&(struct gc_type_spec){.name = "empty"});
    CHECK(empty);
    void *p = gc_new(empty);
    CHECK(p);
    CHECK(gc_new_array(&cell_type, 0) == p);
    CHECK(gc_new_array(empty, 100) == p);
    CHECK(gc_new_array(&gc_pointer_type, 0) == p);
    CHECK(gc_new_bytes(0) == p);
    CHECK(!gc_is_object(p) && !gc_object_base(p) && !gc_heap_contains(heap, p));
    {
        struct cell *c = new_cell(1);
        GC_FRAME(c, p);
        gc_store(&c->next, p);
        collect();
        CHECK(c->next == p);
    }
    CHECK_EQ(gc_type_release(empty), 0);
    end_heap(heap);
}

/* ---- Types ---- */

/* Stores a cell in each of the object's n words; afterwards those live that the type says. */
static void check_shape(void *object, size_t n, bool (*is_pointer)(size_t i))
{
    void **words = object;
    hidden *h = calloc(n, sizeof *h);
    {
        GC_FRAME(words);
        for (size_t i = 0; i < n; i++) {
            h[i] = hide(new_cell(i));
            gc_store(&words[i], (void *)h[i]);
        }
        collect();
        for (size_t i = 0; i < n; i++)
            CHECK_EQ(lives(h[i]), is_pointer(i));
        gc_clear(words, n * sizeof *words);
        collect();
        for (size_t i = 0; i < n; i++)
            CHECK(!lives(h[i]));
    }
    free(h);
}

static bool in_small_mask(size_t i)
{
    return i == 0 || i == 2;
}
static bool is_third(size_t i)
{
    return i % 3 == 0;
}

TEST(types_made_at_run_time)
{
    char name[] = "small";
    uint64_t small[] = {5}, thirds[50] = {0};
    gc_heap *heap = new_heap(0);
    for (size_t i = 0; i < 3000; i += 3)
        thirds[i / 64] |= UINT64_C(1) << i % 64;
    struct gc_type_spec spec = {
        .name = name, .size = 4 * sizeof(void *), .mask = small, .mask_bits = 4};
    gc_type *type = gc_type_create(&spec);
    CHECK(type);
    memset(name, 'x', sizeof name - 1); /* all is copied */
    small[0] = 0;
    CHECK(strcmp(type->name, "small") == 0 && type->size == 4 * sizeof(void *));
    CHECK_EQ(gc_type_register(type), 0);
    check_shape(gc_new(type), 4, in_small_mask);
    for (size_t n = 1; n <= 3000; n = n * 5 + 1) {
        gc_type *t = gc_type_create(&(struct gc_type_spec){
            .name = "thirds", .size = n * sizeof(void *), .mask = thirds, .mask_bits = n});
        CHECK(t);
        check_shape(gc_new(t), n, is_third);
        if (n % 3 == 0)
            check_shape(gc_new_array(t, 5), 5 * n, is_third);
        CHECK_EQ(gc_type_release(t), 0);
    }
    {
        struct cell **held = gc_new(type);
        GC_FRAME(held);
        gc_store(&held[2], new_cell(12));
        CHECK_EQ(gc_type_release(type), 0);
        collect();
        CHECK_EQ(held[2]->number, 12); /* objects of a released type live on */
    }
    end_heap(heap);
}

static struct {
    size_t head_words, words;
    uint64_t head, element;
} flexible;

static bool in_flexible(size_t i)
{
    if (i < flexible.head_words)
        return flexible.head >> i & 1;
    return flexible.element >> (i - flexible.head_words) % flexible.words & 1;
}

static gc_type *flexible_part(size_t words, uint64_t mask)
{
    gc_type *type = gc_type_create(&(struct gc_type_spec){
        .name = "part", .size = words * sizeof(void *), .mask = &mask, .mask_bits = words});
    CHECK(type);
    return type;
}

/* Objects of one class have the same heap bits, however many elements they have: what they have is
 * found, and the other words of their elements are not. The second of two comes from the inline
 * path. */
static void check_lengths(gc_type *head, gc_type *element)
{
    static const size_t lengths[] = {1, 2, 3, 5, 8, 20, 40, 64, 100, 128, 150};
    for (size_t i = 0; i < LEN(lengths) * 2; i++) {
        size_t n = lengths[i / 2];
        void *p = head ? gc_new_flex(head, element, n) : gc_new_array(element, n);
        size_t words = flexible.head_words + n * flexible.words;
        CHECK(p && gc_object_size(p) == gc_size_class(words * sizeof(void *)));
        check_zero(p, gc_object_size(p));
        check_shape(p, words, in_flexible);
    }
}

TEST(elements_of_every_length)
{
    static const struct {
        size_t head_words, words;
        uint64_t head, element;
    } kinds[] = {{0, 1, 0, 1}, {0, 3, 0, 5}, {1, 1, 0, 1},
                 {3, 1, 4, 1}, {2, 2, 3, 1}, {4, 5, 6, 0}};
    gc_heap *heap = new_heap(0);
    for (size_t i = 0; i < LEN(kinds); i++) {
        memcpy(&flexible, &kinds[i], sizeof flexible);
        gc_type *element = flexible_part(flexible.words, flexible.element), *head = NULL;
        if (flexible.head_words)
            head = flexible_part(flexible.head_words, flexible.head);
        check_lengths(head, element);
        CHECK_EQ(gc_type_release(element), 0);
        CHECK(!head || gc_type_release(head) == 0);
        CHECK_EQ(gc_heap_verify(), 0);
    }
    end_heap(heap);
}

/* Arrays of all lengths in turn fill the cells that others have left: nothing of them is seen. */
TEST(what_lies_behind_the_elements)
{
    gc_heap *heap = new_heap(0);
    void **last = NULL;
    GC_FRAME(last);
    for (size_t i = 0; i < 200000; i++) {
        size_t n = 1 + i * 7919 % 20;
        void **array = i % 2 ? gc_new_array(&gc_pointer_type, n)
                             : gc_new_flex(&cell_type, &gc_pointer_type, n);
        check_zero(array, gc_object_size(array));
        for (size_t k = i % 2 ? 0 : sizeof(struct cell) / sizeof *array; k < n; k++)
            array[k] = last;
        if (i % 5 == 0)
            last = array;
    }
    CHECK_EQ(gc_heap_verify(), 0);
    end_heap(heap);
}

struct fraction {
    int64_t over, under;
};
static bool same_fraction(const void *a, const void *b)
{
    const struct fraction *f = a, *g = b;
    return f->over * g->under == g->over * f->under;
}
static uint64_t hash_fraction(const void *object, uint64_t seed)
{
    const struct fraction *f = object;
    return seed + (uint64_t)(f->over * 5040 / f->under);
}

TEST(equality_and_hashes)
{
    struct fraction half = {1, 2}, more = {2, 4}, third = {1, 3}, again = {1, 2};
    gc_type *by_fn = gc_type_create(&(struct gc_type_spec){
        .size = sizeof half, .equal = same_fraction, .hash_object = hash_fraction});
    gc_type *by_bytes = gc_type_create(
        &(struct gc_type_spec){.size = sizeof half, .tflag = GC_TFLAG_REGULAR_MEMORY});
    gc_type *neither = gc_type_create(&(struct gc_type_spec){.size = sizeof half});
    CHECK(by_fn && by_bytes && neither);
    CHECK(gc_type_equal(by_fn, &half, &more) && !gc_type_equal(by_fn, &half, &third));
    CHECK(gc_type_hash(by_fn, &half, 9) == gc_type_hash(by_fn, &more, 9));
    CHECK(gc_type_hash(by_fn, &half, 9) == hash_fraction(&half, 9));
    CHECK(gc_type_equal(by_bytes, &half, &again) && !gc_type_equal(by_bytes, &half, &more));
    CHECK(gc_type_hash(by_bytes, &half, 9) == gc_type_hash(by_bytes, &again, 9));
    CHECK(gc_type_hash(by_bytes, &half, 9) != gc_type_hash(by_bytes, &third, 9));
    CHECK(gc_type_hash(by_bytes, &half, 9) != gc_type_hash(by_bytes, &half, 10));
    CHECK(!gc_type_equal(neither, &half, &again) && gc_type_hash(neither, &half, 9) == 0);
    CHECK_EQ(gc_type_release(by_fn), 0);
    CHECK_EQ(gc_type_release(by_bytes), 0);
    CHECK_EQ(gc_type_release(neither), 0);
}

/* Words 0, 2, 4, 6 and 11 of every 12. */
static bool in_nested(size_t i)
{
    return i % 12 == 11 || (i % 12 < 8 && i % 2 == 0);
}

static gc_type *program_type(const char *name, struct gc_prog *prog, size_t words)
{
    CHECK_EQ(gc_prog_end(prog), 0);
    diag("%s: %zu bytes", name, prog->size);
    gc_type *type = gc_type_create(&(struct gc_type_spec){.name = name,
                                                          .size = words * sizeof(void *),
                                                          .ptrdata = words * sizeof(void *),
                                                          .program = prog->bytes,
                                                          .program_size = prog->size});
    if (!type)
        FAIL("%s: %s", name, gc_type_error());
    return type;
}

TEST(nested_program)
{
    static const size_t counts[] = {1, 2, 9, 100, 3000};
    gc_heap *heap = new_heap(0);
    for (size_t i = 0; i < LEN(counts); i++) {
        uint8_t bytes[64];
        struct gc_prog prog;
        gc_prog_begin(&prog, bytes, sizeof bytes);
        gc_prog_emit(&prog, &(uint64_t){1}, 2);
        gc_prog_repeat(&prog, 2, 3);
        gc_prog_emit(&prog, &(uint64_t){8}, 4);
        if (counts[i] > 1)
            gc_prog_repeat(&prog, 12, counts[i] - 1);
        gc_type *type = program_type("nested", &prog, counts[i] * 12);
        memset(bytes, 0xff, sizeof bytes);
        CHECK(type->kind & GC_KIND_GCPROG);
        CHECK_EQ(type->kind & GC_KIND_MASK, GC_KIND_STRUCT);
        check_shape(gc_new(type), counts[i] * 12, in_nested);
        check_shape(gc_new_array(type, 3), counts[i] * 36, in_nested);
        CHECK_EQ(gc_type_release(type), 0);
    }
    end_heap(heap);
}

/* Emitted bits of more than one word, and a repetition whose length is a varint. */
static bool in_long(size_t i)
{
    return i % 200 == 0 || i % 200 == 131 || i % 200 == 199;
}

TEST(long_program)
{
    uint64_t bits[4] = {1, 0, UINT64_C(1) << 3, UINT64_C(1) << 7};
    uint8_t bytes[64];
    struct gc_prog prog;
    gc_heap *heap = new_heap(0);
    gc_prog_begin(&prog, bytes, sizeof bytes);
    gc_prog_emit(&prog, bits, 200);
    gc_prog_repeat(&prog, 200, 49);
    gc_type *type = program_type("long", &prog, 10000);
    check_shape(gc_new(type), 10000, in_long);
    CHECK_EQ(gc_type_release(type), 0);
    end_heap(heap);
}

TEST(ten_million_in_a_few_bytes)
{
    enum { N = 10000000, STEP = 2503, STORED = N / STEP + 1 };
    static hidden h[STORED + 1];
    uint8_t bytes[16];
    struct gc_prog prog;
    struct gc_statistics before, after;
    gc_heap *heap = new_heap(0);
    gc_prog_begin(&prog, bytes, sizeof bytes);
    gc_prog_emit(&prog, &(uint64_t){1}, 1);
    gc_prog_repeat(&prog, 1, N - 1);
    gc_type *type = program_type("ten million", &prog, N);
    CHECK(prog.size <= 10);
    {
        struct cell **array = gc_new(type);
        GC_FRAME(array);
        CHECK(array);
        CHECK(gc_object_size(array) >= N * sizeof *array);
        for (size_t i = 0; i <= STORED; i++) {
            struct cell *c = new_cell(i);
            gc_store(&array[i < STORED ? i * STEP : N - 1], c);
            h[i] = hide(c);
        }
        collect();
        for (size_t i = 0; i <= STORED; i++)
            CHECK(lives(h[i]) && ((struct cell *)h[i])->number == i);
        CHECK_EQ(gc_stats(&before), 0);
        gc_clear(array, N * sizeof *array);
        collect();
        CHECK_EQ(gc_stats(&after), 0);
        for (size_t i = 0; i <= STORED; i++)
            CHECK(!lives(h[i]));
        ok(after.objects_marked + STORED < before.objects_marked + 1, "%d fewer marked", STORED);
        CHECK(!array[0] && !array[N - 1]);
    }
    CHECK_EQ(gc_type_release(type), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TEST(kinds)
{
    gc_heap *heap = new_heap(0);
    CHECK_EQ(cell_type.kind, GC_KIND_STRUCT);
    for (uint8_t kind = GC_KIND_BOOL; kind <= GC_KIND_UNSAFE_POINTER; kind++) {
        gc_type *type = gc_type_create(&(struct gc_type_spec){
            .size = 16, .kind = kind, .mask = &(uint64_t){2}, .mask_bits = 2});
        CHECK(type);
        CHECK_EQ(type->kind & GC_KIND_MASK, kind);
        {
            struct cell **p = gc_new(type);
            GC_FRAME(p);
            gc_store(&p[1], new_cell(kind));
            collect();
            CHECK_EQ(p[1]->number, kind);
        }
        CHECK_EQ(gc_type_release(type), 0);
    }
    end_heap(heap);
}

/* References that no mask can tell: with tag bits, and in memory outside the heap. */
struct traced {
    struct cell *plain;
    uintptr_t tagged;
    void **outside;
    size_t n;
};
static atomic_uint traces;

static void trace_it(void *object, gc_tracer *tracer)
{
    struct traced *t = object;
    uintptr_t tagged = (uintptr_t)gc_load(&t->tagged);
    void **outside = gc_load(&t->outside);
    traces++;
    if (tagged & 1)
        gc_trace_ref(tracer, (void *)(tagged - 1));
    if (outside)
        gc_trace_slots(tracer, outside, t->n);
}

TEST(traced_types)
{
    static void *outside[20];
    hidden h[LEN(outside) + 2];
    gc_heap *heap = new_heap(0);
    gc_type *type = gc_type_create(&(struct gc_type_spec){.name = "traced",
                                                          .size = sizeof(struct traced),
                                                          .mask = &(uint64_t){1},
                                                          .mask_bits = 1,
                                                          .trace = trace_it});
    CHECK(type);
    {
        struct traced *t = gc_new(type);
        struct cell *c = NULL;
        GC_FRAME(t, c);
        t->n = LEN(outside);
        gc_store(&t->outside, outside);
        for (size_t i = 0; i < LEN(outside); i++) {
            gc_store(&outside[i], new_cell(i));
            h[i] = hide(outside[i]);
        }
        gc_store(&t->plain, new_cell(20));
        h[20] = hide(t->plain);
        c = new_cell(21);
        h[21] = hide(c);
        __atomic_store_n(&t->tagged, h[21] + 1, __ATOMIC_RELEASE);
        collect();
        c = NULL;
        collect();
        CHECK(traces > 0);
        for (size_t i = 0; i < LEN(h); i++)
            CHECK(lives(h[i]));
        gc_store(&outside[5], NULL);
        __atomic_store_n(&t->tagged, h[21], __ATOMIC_RELEASE); /* tag 0: no reference */
        collect();
        for (size_t i = 0; i < LEN(h); i++)
            CHECK_EQ(lives(h[i]), i != 5 && i != 21);
    }
    collect();
    for (size_t i = 0; i < LEN(h); i++)
        CHECK(!lives(h[i]));
    CHECK_EQ(gc_type_release(type), 0);
    end_heap(heap);
}

/* ---- Value words ---- */

#if UINTPTR_MAX > UINT32_MAX
/* Boxed: references have 0xfffc on top; doubles are moved up, so that none looks like an address.
 */
#define BOX_REFERENCE UINT64_C(0xfffc000000000000)
static uint64_t box_reference(hidden address)
{
    return BOX_REFERENCE | address;
}
static uint64_t box_double(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits + (UINT64_C(1) << 49);
}

TEST(nan_boxes)
{
    gc_heap *heap = gc_heap_create(
        &(gc_options){.debug = "poison=2",
                      .format = {UINT64_C(0xffff) << 48, BOX_REFERENCE, (UINT64_C(1) << 48) - 1}});
    CHECK(heap);
    {
        uint64_t *words = gc_new_array(&gc_word_type, 8);
        GC_FRAME(words);
        hidden h[5];
        for (size_t i = 0; i < LEN(h); i++) {
            h[i] = hide(new_cell(i));
            if (i == 0)
                gc_store_value(&words[i], box_reference(h[i]));
            if (i == 1)
                gc_store_value(&words[i], h[i]); /* a plain address is one too */
            if (i == 2) {
                double d;
                memcpy(&d, &(uint64_t){h[i]}, sizeof d);
                gc_store_value(&words[i], box_double(d));
            }
            if (i == 3)
                gc_store_value(&words[i], h[i] | 1); /* a tagged integer */
            if (i == 4)
                CHECK(gc_cas_value(&words[i], 0, box_reference(h[i])));
        }
        gc_store_value(&words[5], box_double(0.5));
        gc_store_value(&words[6], BOX_REFERENCE);
        CHECK(!gc_cas_value(&words[5], 0, 1));
        collect();
        CHECK(lives(h[0]) && lives(h[1]) && lives(h[4]));
        CHECK(!lives(h[2]) && !lives(h[3]));
        CHECK(gc_load_value(&words[0]) == box_reference(h[0]));
        CHECK(gc_load_value(&words[5]) == box_double(0.5));
        CHECK(gc_cas_value(&words[4], box_reference(h[4]), box_double(1)));
        gc_store_value(&words[0], words[5]);
        collect();
        CHECK(!lives(h[0]) && lives(h[1]) && !lives(h[4]));
        for (size_t n = 1; n < 16; n++)
            CHECK_EQ((uintptr_t)gc_new_bytes(n) % 8, 0);
    }
    end_heap(heap);
}

/* Low bits: 1 for references, 3 for integers, 5 for what else there is. */
enum { TAG_MASK = 7, TAG_REFERENCE = 1, TAG_INTEGER = 3, TAG_OTHER = 5 };

struct tagged {
    uint64_t value;
    uint64_t number; /* no reference, whatever it looks like */
    uint64_t other;
};
static GC_TYPE(tagged_type, struct tagged, value, other);

static uint64_t new_tagged(uint64_t number, uint64_t tag, hidden *h)
{
    *h = hide(new_cell(number));
    return *h | tag;
}

/* Object, root and local hold what they refer to by a word's tag. */
TEST(low_bit_tags)
{
    static uint64_t root;
    gc_heap *heap =
        gc_heap_create(&(gc_options){.debug = "poison=2,verify,checkmark",
                                     .format = {TAG_MASK, TAG_REFERENCE, ~(uint64_t)TAG_MASK}});
    CHECK(heap);
    CHECK_EQ(gc_root(&root), 0);
    {
        struct tagged *t = gc_new(&tagged_type);
        uint64_t local = 0;
        hidden kept[4], dropped[5];
        GC_FRAME(t, local);
        gc_store_value(&t->value, new_tagged(0, TAG_REFERENCE, &kept[0]));
        gc_store_value(&t->other, new_tagged(1, 0, &kept[1])); /* a plain address is one too */
        gc_store_value(&root, new_tagged(2, TAG_REFERENCE, &kept[2]));
        local = new_tagged(3, TAG_REFERENCE, &kept[3]);
        t->number = new_tagged(0, TAG_REFERENCE, &dropped[0]);
        collect();
        for (size_t i = 0; i < LEN(kept); i++)
            CHECK(lives(kept[i]) && ((struct cell *)kept[i])->number == i);
        CHECK(!lives(dropped[0]));
        CHECK(gc_load_value(&t->value) == (kept[0] | TAG_REFERENCE));
        CHECK(gc_load_value(&root) == (kept[2] | TAG_REFERENCE));

        /* Of the middle of an object. */
        gc_store_value(&t->other, (kept[1] + 8) | TAG_REFERENCE);
        collect();
        CHECK(lives(kept[1]));

        /* Immediates, though their other bits are addresses. */
        gc_store_value(&t->value, new_tagged(1, TAG_INTEGER, &dropped[1]));
        CHECK(gc_cas_value(&t->other, (kept[1] + 8) | TAG_REFERENCE,
                           new_tagged(2, TAG_OTHER, &dropped[2])));
        gc_store_value(&root, new_tagged(3, TAG_INTEGER, &dropped[3]));
        local = new_tagged(4, TAG_MASK, &dropped[4]);
        collect();
        for (size_t i = 1; i < LEN(dropped); i++)
            CHECK(!lives(dropped[i]));
        for (size_t i = 0; i < LEN(kept); i++)
            CHECK(!lives(kept[i]));

        /* An exchange that takes place, and one that does not. */
        uint64_t before = gc_load_value(&t->value);
        uint64_t after = new_tagged(5, TAG_REFERENCE, &kept[0]);
        CHECK(!gc_cas_value(&t->value, before ^ TAG_MASK, after));
        CHECK(gc_load_value(&t->value) == before);
        CHECK(gc_cas_value(&t->value, before, after));
        CHECK(gc_load_value(&t->value) == after);
        collect();
        CHECK(lives(kept[0]) && ((struct cell *)kept[0])->number == 5);
    }
    CHECK_EQ(gc_unroot(&root), 0);
    end_heap(heap);
}
#endif

/* ---- References ---- */

TEST(copies_and_clears)
{
    enum { N = 200 };
    static void *shadow[N];
    gc_heap *heap = new_heap(0);
    {
        void **array = gc_new_array(&gc_pointer_type, N), **other = NULL;
        GC_FRAME(array, other);
        other = gc_new_array(&gc_pointer_type, N);
        for (unsigned round = 0; round < 300; round++) {
            size_t from = round * 37 % 150, to = round * 61 % 150, n = round * 7 % 51;
            for (size_t i = 0; i < N; i++) {
                if (!array[i] || i % 10 == round % 10)
                    gc_store(&array[i], new_cell(i));
            }
            if (round % 4 == 0)
                CHECK_EQ(gc_collect_start(), 0);
            memcpy(shadow, array, sizeof shadow);
            memmove(shadow + to, shadow + from, n * sizeof *shadow);
            gc_copy(array + to, array + from, n * sizeof *array);
            CHECK(memcmp(shadow, array, sizeof shadow) == 0);
            gc_copy(other, array, sizeof shadow);
            CHECK(memcmp(shadow, other, sizeof shadow) == 0);
            if (round % 50 == 0)
                collect();
            for (size_t i = 0; i < N; i++)
                CHECK(lives(hide(other[i])) && ((struct cell *)array[i])->number < N);
            memset(shadow + from, 0, n * sizeof *shadow);
            gc_clear(array + from, n * sizeof *array);
            CHECK(memcmp(shadow, array, sizeof shadow) == 0);
        }
        hidden h = hide(other[0]);
        gc_copy(other, array, 0);
        gc_clear(other, 0);
        CHECK(hide(other[0]) == h);
        gc_clear(array, N * sizeof *array);
        gc_clear(other, N * sizeof *other);
        collect();
        CHECK(!lives(h));
    }
    end_heap(heap);
}

TEST(compare_and_swap)
{
    static void *root;
    gc_heap *heap = new_heap(0);
    CHECK_EQ(gc_root(&root), 0);
    {
        struct cell *c = new_cell(1), *d = new_cell(2);
        GC_FRAME(c, d);
        CHECK(gc_cas(&root, NULL, c) && root == c);
        CHECK(!gc_cas(&root, NULL, d) && root == c);
        CHECK(!gc_cas(&root, d, d) && root == c);
        CHECK(gc_cas(&root, c, d) && gc_load(&root) == d);
        CHECK(gc_cas(&c->next, NULL, d) && c->next == d);
        hidden h = hide(d), k = hide(c);
        c = d = NULL;
        collect();
        CHECK(lives(h) && !lives(k));
        CHECK(gc_cas(&root, (void *)h, NULL));
        collect();
        CHECK(!lives(h));
    }
    CHECK_EQ(gc_unroot(&root), 0);
    end_heap(heap);
}

struct ref_cell {
    GC_REF(struct ref_cell) next;
    long number;
};
static GC_TYPE(ref_cell_type, struct ref_cell, next);

TEST(reference_fields)
{
    gc_heap *heap = new_heap(0);
    {
        struct ref_cell *r = gc_new(&ref_cell_type);
        GC_FRAME(r);
        CHECK(!GC_GET(r->next));
        for (long i = 0; i < 100; i++) {
            struct ref_cell *n = gc_new(&ref_cell_type);
            n->number = i;
            GC_SET(&n->next, GC_GET(r->next));
            GC_SET(&r->next, n);
        }
        collect();
        long i = 100;
        for (struct ref_cell *n = GC_GET(r->next); n; n = GC_GET(n->next))
            CHECK_EQ(n->number, --i);
        CHECK_EQ(i, 0);
        gc_keep_alive(r);
    }
    end_heap(heap);
}

#if UINTPTR_MAX > UINT32_MAX
struct value_cell {
    GC_VALUE next;
    long number;
};
static GC_TYPE(value_cell_type, struct value_cell, next);

/* Odd words are integers. */
TEST(value_fields)
{
    gc_heap *heap = gc_heap_create(&(gc_options){
        .format = {.mask = 7, .match = 0, .payload = ~UINT64_C(7)}, .debug = "poison=2"});
    {
        struct value_cell *v = gc_new(&value_cell_type), *n;
        GC_FRAME(v);
        GC_SET_VALUE(&v->next, 7);
        for (long i = 0; i < 100; i++) {
            n = gc_new(&value_cell_type);
            n->number = i;
            GC_SET_VALUE(&n->next, GC_GET_VALUE(v->next));
            GC_SET_VALUE(&v->next, (uintptr_t)n);
        }
        collect();
        long i = 100;
        uint64_t next = GC_GET_VALUE(v->next);
        for (; next % 8 == 0; next = GC_GET_VALUE(n->next)) {
            n = (struct value_cell *)(uintptr_t)next;
            CHECK_EQ(n->number, --i);
        }
        CHECK(i == 0 && next == 7);
        gc_keep_alive(v);
    }
    end_heap(heap);
}
#endif

static GC_TYPE_NOPTR(byte_type, char);

/* A vector of references and one of bytes, which nothing else keeps. */
TEST(arrays_that_grow)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = "nth=1,poison=2"});
    {
        struct ref_cell **cells = NULL, *fresh = NULL;
        char *text = NULL;
        GC_FRAME(cells, text, fresh);
        size_t room = 0, text_room = 0, times = 0;
        for (size_t n = 0; n < 3000; n++) {
            if (n == room) {
                struct ref_cell **full = cells;
                cells = NULL; /* the call keeps it */
                cells = gc_array_grow(&gc_pointer_type, full, n, &room);
                times++;
            }
            CHECK(room > n && gc_object_size(cells) == gc_size_class(room * sizeof *cells));
            fresh = gc_new(&ref_cell_type);
            fresh->number = (long)n;
            gc_store(&cells[n], fresh);
            if (n == text_room)
                text = gc_array_grow(&byte_type, text, n, &text_room);
            text[n] = (char)n;
        }
        for (size_t n = 0; n < 3000; n++)
            CHECK(cells[n]->number == (long)n && text[n] == (char)n);
        CHECK(times < 20);
        room = 7;
        CHECK(!gc_array_grow(&gc_pointer_type, cells, SIZE_MAX / 8, &room) && errno == ENOMEM);
        CHECK(!gc_array_grow(&gc_pointer_type, cells, SIZE_MAX, &room) && errno == ENOMEM);
        CHECK(!gc_array_grow(NULL, cells, 1, &room) && errno == EINVAL);
        CHECK_EQ(room, 7);
    }
    end_heap(heap);
}

/* Only the array keeps the cells. */
static struct ref_cell **array_of_cells(size_t n)
{
    struct ref_cell **cells = gc_new_array(&gc_pointer_type, n), *fresh;
    GC_FRAME(cells);
    for (size_t i = 0; i < n; i++) {
        fresh = gc_new(&ref_cell_type);
        fresh->number = (long)i;
        gc_store(&cells[i], fresh);
    }
    return cells;
}

/* From `from` to n elements: the array is one that has no more room than it needs, what is left is
 * kept and nothing else, and the rest is empty. */
static void shrinks(size_t from, size_t n)
{
    struct ref_cell **cells = array_of_cells(from), **before = cells;
    gc_weak *last = gc_weak_new(cells[from - 1]);
    size_t room = from, live;
    cells = NULL; /* the call keeps it */
    GC_FRAME(cells);
    cells = gc_array_shrink(&gc_pointer_type, before, n, &room);
    live = gc_object_size(cells);
    CHECK_EQ(live, gc_size_class(n * sizeof *cells));
    CHECK(room >= n && room * sizeof *cells <= live);
    CHECK((cells == before) == (live == gc_size_class(from * sizeof *cells)));
    CHECK_EQ(room, cells == before ? from : live / sizeof *cells);
    collect();
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(cells[i]->number, (long)i);
    for (size_t i = n; i < room; i++)
        CHECK(!cells[i]);
    CHECK((gc_weak_get(last) != NULL) == (n == from));
    gc_weak_free(last);
}

TEST(arrays_that_shrink)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = "nth=1,poison=2"});
    shrinks(1000, 1000);
    shrinks(1000, 999);
    shrinks(1000, 300);
    shrinks(10, 9);
    shrinks(9, 1);
    end_heap(heap);
}

TEST(large_arrays_that_shrink)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = "nth=1000,poison=2"});
    shrinks(20000, 19999);
    shrinks(20000, 5000);
    shrinks(20000, 20);
    end_heap(heap);
}

/* What holds no references is emptied too, so that what is used again is zero. */
TEST(arrays_of_bytes_that_shrink)
{
    gc_heap *heap = gc_heap_create(NULL);
    char *text = memset(gc_new_array(&byte_type, 128), 'x', 128), *same;
    GC_FRAME(text);
    size_t room = 128;
    same = gc_array_shrink(&byte_type, text, 121, &room);
    CHECK(same == text && room == 128);
    for (size_t i = 0; i < 128; i++)
        CHECK_EQ(text[i], i < 121 ? 'x' : 0);
    text = gc_array_shrink(&byte_type, text, 9, &room);
    CHECK(text != same && room == gc_object_size(text));
    for (size_t i = 0; i < room; i++)
        CHECK_EQ(text[i], i < 9 ? 'x' : 0);
    end_heap(heap);
}

/* The byte behind the elements that such an array has room for is not theirs. */
TEST(an_array_whose_end_keeps_it_shrinks)
{
    static gc_type ends = {.size = 8, .ptrdata = 8, .inline_mask = {1}, .tflag = GC_TFLAG_ENDS};
    gc_heap *heap = gc_heap_create(NULL);
    size_t room = 100;
    char *array = gc_array_shrink(&ends, gc_new_array(&ends, room), 20, &room), *end;
    CHECK(room >= 20 && room * 8 < gc_object_size(array));
    end = array + room * 8;
    GC_FRAME(end);
    collect();
    CHECK(gc_is_object(end - room * 8));
    end_heap(heap);
}

TEST(an_array_of_nothing_is_left)
{
    static gc_type nothing = {.size = 0, .align = 1};
    gc_heap *heap = gc_heap_create(NULL);
    void *shared = gc_new_array(&gc_pointer_type, 0);
    size_t room = 7;
    CHECK(gc_array_shrink(&gc_pointer_type, gc_new_array(&gc_pointer_type, 7), 0, &room) == shared);
    CHECK_EQ(room, 0);
    CHECK(gc_array_shrink(&gc_pointer_type, NULL, 0, &room) == shared && room == 0);
    room = 7;
    CHECK(gc_array_shrink(&nothing, shared, 3, &room) == shared && room == 3);
    CHECK(gc_array_grow(&gc_pointer_type, shared, 0, &room) && room > 0);
    end_heap(heap);
}

/* Without memory for a smaller one, and where nothing may be collected, the array stays. */
TEST(an_array_shrinks_in_place_without_memory)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct ref_cell **cells = array_of_cells(1000), **same;
    size_t room = 1000;
    GC_FRAME(cells);
    gc_safepoint();
    errno = 0;
    CHECK_EQ(gc_quiet_begin(1), 0);
    while (gc_new(&gc_pointer_type)) /* the bound is met */
        ;
    CHECK_EQ(errno, ENOMEM);
    errno = 0;
    same = gc_array_shrink(&gc_pointer_type, cells, 300, &room);
    CHECK(same == cells && room == 1000 && errno == 0);
    CHECK_EQ(gc_quiet_end(), 0);
    for (size_t i = 0; i < 1000; i++)
        CHECK(i < 300 ? cells[i]->number == (long)i : !cells[i]);
    end_heap(heap);
}

TEST(arrays_that_do_not_shrink)
{
    gc_heap *heap = gc_heap_create(NULL);
    void **cells = gc_new_array(&gc_pointer_type, 10), *outside[10];
    size_t room = 10;
    GC_FRAME(cells);
    CHECK_REFUSED(gc_array_shrink(&gc_pointer_type, cells, 11, &room), EINVAL);
    CHECK_REFUSED(gc_array_shrink(&gc_pointer_type, outside, 3, &room), EINVAL);
    CHECK_REFUSED(gc_array_shrink(&gc_pointer_type, cells + 1, 3, &room), EINVAL);
    CHECK_REFUSED(gc_array_shrink(&gc_pointer_type, NULL, 3, &room), EINVAL);
    CHECK_REFUSED(gc_array_shrink(NULL, cells, 3, &room), EINVAL);
    CHECK_EQ(room, 10);
    room = gc_object_size(cells) / sizeof *cells + 1;
    CHECK_REFUSED(gc_array_shrink(&gc_pointer_type, cells, 3, &room), EINVAL);
    end_heap(heap);
}

static unsigned size_asked;
static bool note_size(void *unused, size_t size)
{
    (void)unused, (void)size;
    size_asked++;
    return false;
}

/* What no memory could hold is refused at once. */
TEST(absurd_sizes)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.out_of_memory = note_size});
    CHECK(!gc_new_bytes(SIZE_MAX / 4) && errno == ENOMEM);
    CHECK(!gc_new_array(&gc_pointer_type, SIZE_MAX / 16) && errno == ENOMEM);
    CHECK(size_asked == 0 && stats_now().cycles == 0);
    end_heap(heap);
}

/* A fresh object may be filled by memcpy; the thread's own range by gc_store, while a cycle marks
 * or not. */
TEST(memcpy_into_a_fresh_object_and_stores_into_a_range)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = "nth=7,poison=2"});
    static void *range[8], **top = range + 8;
    CHECK_EQ(gc_thread_range(range, &top), 0);
    for (int i = 0; i < 20000; i++) {
        void **array = gc_new_array(&gc_pointer_type, 8);
        memcpy(array, range, sizeof range);
        gc_store(&range[i % 8], array);
        if (i % 100 == 0)
            gc_store(&range[i % 7], NULL);
        if (i % 50 == 0)
            memset(range, 0, sizeof range);
    }
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_thread_range_remove(range), 0);
    end_heap(heap);
}

/* ---- Pacing, limits, statistics ---- */

static unsigned no_memory_calls;
static bool no_memory(void *user, size_t size)
{
    CHECK(user == &no_memory_calls && size > 0);
    no_memory_calls++;
    return false;
}

/* Lists pieces of a MiB until memory is refused, a thousand at most; returns how many. */
static size_t fill(void ***list)
{
    size_t n = 0;
    for (; n < 1000; n++) {
        void **more = gc_new_array(&gc_pointer_type, MIB / sizeof(void *));
        if (!more)
            break;
        gc_store(more, *list);
        *list = more;
    }
    CHECK_EQ(errno, ENOMEM);
    return n;
}

TEST(settings)
{
    gc_heap *heap = gc_heap_create(&(gc_options){
        .percent = 70, .limit = 300 * MIB, .out_of_memory = no_memory, .user = &no_memory_calls});
    CHECK(heap);
    CHECK_EQ(gc_set_percent(200), 70);
    CHECK_EQ(gc_set_percent(GC_PERCENT_OFF), 200);
    CHECK_EQ(gc_set_percent(100), GC_PERCENT_OFF);
    CHECK_EQ(gc_set_limit(0), 300 * MIB);
    CHECK_EQ(gc_set_limit(50 * MIB), 0);
    CHECK_EQ(gc_set_limit(0), 50 * MIB);
    CHECK_EQ(gc_set_hard_limit(64 * MIB), 0);
    {
        void **list = NULL;
        GC_FRAME(list);
        size_t n = fill(&list);
        ok(n > 16 && n <= 64, "%zu MiB live below a hard limit of 64", n);
        ok(no_memory_calls > 0, "out_of_memory was called");
        CHECK_EQ(gc_set_hard_limit(0), 64 * MIB);
        CHECK(gc_new_bytes(64 * MIB));
    }
    end_heap(heap);
}

static uint64_t goal_now(void)
{
    return stats_now().heap_goal;
}

/* Each setting is in force when the call returns; undone, the goal is what it was. */
TEST(settings_act_at_once)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    CHECK(heap);
    {
        void *object = gc_new_bytes(32 * MIB);
        GC_FRAME(object);
        collect();
        uint64_t goal = goal_now();
        ok(goal >= 63 * MIB && goal < 66 * MIB, "the goal is %" PRIu64 " bytes", goal);
        CHECK_EQ(gc_set_percent(50), 100);
        ok(goal_now() >= 47 * MIB && goal_now() < 50 * MIB, "%" PRIu64 " at 50 %%", goal_now());
        CHECK_EQ(gc_set_percent(GC_PERCENT_OFF), 50);
        CHECK(goal_now() > (uint64_t)1 << 60);
        CHECK_EQ(gc_set_limit(40 * MIB), 0);
        ok(goal_now() >= 32 * MIB && goal_now() <= 40 * MIB, "%" PRIu64 " at most", goal_now());
        CHECK_EQ(gc_set_percent(100), GC_PERCENT_OFF);
        CHECK(goal_now() <= 40 * MIB);
        CHECK_EQ(gc_set_limit(0), 40 * MIB);
        CHECK_EQ(goal_now(), goal);
        CHECK_EQ(gc_set_percent(-2), -EINVAL);
        CHECK_EQ(goal_now(), goal);
    }
    end_heap(heap);
}

TEST(limit_alone_starts_cycles)
{
    struct gc_statistics a, b;
    gc_heap *heap = gc_heap_create(&(gc_options){.percent = GC_PERCENT_OFF});
    CHECK(heap);
    for (int i = 0; i < 20000; i++)
        CHECK(gc_new_bytes(1000));
    CHECK_EQ(gc_stats(&a), 0);
    CHECK_EQ(a.cycles, 0);
    CHECK_EQ(gc_set_limit(32 * MIB), 0);
    for (int i = 0; i < 200000; i++)
        CHECK(gc_new_bytes(1000));
    CHECK_EQ(gc_stats(&b), 0);
    ok(b.cycles > 0, "%" PRIu64 " cycles", b.cycles);
    ok(b.heap_inuse < 100 * MIB, "%" PRIu64 " bytes in use", b.heap_inuse);
    end_heap(heap);
}

static void check_identities(const struct gc_statistics *s)
{
    CHECK(s->heap_inuse >= s->heap_live);
    CHECK(s->heap_reserved >= s->heap_inuse + s->heap_idle);
    CHECK(s->allocated_bytes >= s->freed_bytes);
    CHECK(s->cycles >= s->forced_cycles);
    CHECK(s->mark_ns >= s->assist_ns);
    CHECK(s->threads >= s->threads_blocked);
    const struct gc_histogram *all[] = {&s->handshake_cpu, &s->handshake_wall, &s->stall_cpu,
                                        &s->stall, &s->held};
    for (size_t i = 0; i < LEN(all); i++) {
        uint64_t count = 0;
        for (size_t k = 0; k < LEN(all[i]->buckets); k++)
            count += all[i]->buckets[k];
        CHECK(count == all[i]->count && all[i]->max <= all[i]->sum);
    }
}

static void *ask(void *heap)
{
    struct gc_statistics s;
    CHECK_EQ(gc_heap_stats(heap, &s), 0);
    CHECK(s.threads == 1 && s.threads_blocked <= 1);
    return NULL;
}

TEST(statistics)
{
    struct gc_statistics last = {0}, s;
    gc_heap *heap = new_heap(0);
    for (unsigned i = 1; i <= 10; i++) {
        struct cell *list = NULL;
        GC_FRAME(list);
        for (unsigned k = 0; k < 10000; k++) {
            struct cell *c = new_cell(k);
            gc_store(&c->next, list);
            list = c;
            CHECK(gc_new_bytes(100));
        }
        collect();
        CHECK_EQ(gc_stats(&s), 0);
        check_identities(&s);
        CHECK(s.cycles > last.cycles && s.forced_cycles == i && s.handshakes > last.handshakes);
        CHECK(s.objects_marked >= 10000 && s.heap_marked >= 10000 * sizeof *list);
        CHECK(s.allocated_bytes > last.allocated_bytes && s.heap_goal > 0 && s.metadata > 0);
        CHECK(s.threads == 1 && s.threads_blocked == 0 && s.procs >= 1 && s.spans_inuse > 0);
        last = s;
    }
    collect();
    CHECK_EQ(gc_stats(&s), 0);
    ok(s.heap_marked < last.heap_marked && s.heap_live < last.heap_live, "less when it is dead");
    run_thread(ask, heap);
    end_heap(heap);
}

/* Visits of the collector's work are counted: the work of handshakes, and all. */
TEST(histograms)
{
    struct gc_statistics s;
    gc_heap *heap = new_heap(0);
    CHECK_EQ(gc_stats(&s), 0);
    CHECK(s.stall.count == 0 && s.handshake_cpu.count == 0);
    {
        struct cell *list = NULL;
        GC_FRAME(list);
        for (unsigned i = 0; i < 20; i++) {
            for (unsigned k = 0; k < 10000; k++) {
                struct cell *c = new_cell(k);
                gc_store(&c->next, k % 100 ? list : NULL);
                list = c;
                CHECK(gc_new_bytes(100));
            }
            CHECK_EQ(gc_collect_start(), 0);
        }
        do {
            CHECK(gc_new_bytes(100));
            CHECK_EQ(gc_stats(&s), 0);
        } while (s.cycles == 0 || s.handshake_cpu.count == 0);
    }
    check_identities(&s);
    ok(s.cycles > 0 && s.stall.count > 0, "%" PRIu64 " visits in %" PRIu64 " cycles", s.stall.count,
       s.cycles);
    ok(s.handshake_cpu.count > 0, "%" PRIu64 " handshakes with work", s.handshake_cpu.count);
    CHECK(s.handshake_wall.count >= s.handshake_cpu.count);
    CHECK(s.stall.count >= s.handshake_cpu.count && s.stall_cpu.count == s.stall.count);
    CHECK(s.stall.sum > 0 && s.stall.max > 0 && s.handshake_wall.sum > 0);
    end_heap(heap);
}

TEST(released_memory)
{
    struct gc_statistics a, b;
    gc_heap *heap = new_heap(0);
    for (int i = 0; i < 50; i++)
        memset(gc_new_bytes(MIB), 1, MIB);
    CHECK_EQ(gc_stats(&a), 0);
    CHECK_EQ(gc_release_memory(), 0);
    CHECK_EQ(gc_stats(&b), 0);
    check_identities(&b);
    ok(b.heap_inuse < MIB, "%" PRIu64 " bytes in use", b.heap_inuse);
    ok(b.heap_idle < MIB, "%" PRIu64 " bytes idle", b.heap_idle);
    ok(b.heap_released > a.heap_released, "%" PRIu64 " bytes released", b.heap_released);
    end_heap(heap);
}

/* ---- Fibers ---- */

TEST(fibers)
{
    gc_heap *heap = new_heap(0);
    gc_fiber *one = gc_fiber_create(), *two = gc_fiber_create();
    static void *stack[10], **top = stack;
    CHECK(one && two && one != two && !gc_fiber_current());
    errno = 4711;
    CHECK(!gc_fiber_switch(one) && errno == 0);
    CHECK(gc_fiber_current() == one);
    CHECK_EQ(gc_fiber_destroy(one), -EBUSY);
    {
        struct cell *c = new_cell(1);
        GC_FRAME(c);
        CHECK_EQ(gc_thread_range(stack, &top), 0);
        *top++ = new_cell(2);
        hidden h = hide(c), k = hide(stack[0]);
        CHECK(gc_fiber_switch(two) == one);
        {
            struct cell *d = new_cell(3);
            GC_FRAME(d);
            collect();
            CHECK(lives(h) && lives(k));
            CHECK(gc_fiber_switch(NULL) == two);
            CHECK(!gc_fiber_current() && !gc_frame_mark());
            collect();
            CHECK(lives(h) && lives(k) && lives(hide(d)));
            CHECK(!gc_fiber_switch(two) && errno == 0);
            CHECK_EQ(d->number, 3);
        }
        CHECK(gc_fiber_switch(one) == two);
        CHECK(c->number == 1 && ((struct cell *)stack[0])->number == 2);
        c = NULL;
        collect();
        CHECK(!lives(h) && lives(k));
    }
    CHECK(gc_fiber_switch(NULL) == one && errno == 0);
    hidden k = hide(stack[0]);
    collect();
    CHECK(lives(k));
    CHECK_EQ(gc_fiber_destroy(one), 0);
    collect();
    CHECK(!lives(k));
    CHECK_EQ(gc_fiber_destroy(two), 0);
    end_heap(heap);
}

static struct {
    gc_heap *heap;
    gc_fiber *fiber;
    void *slots[4], **top;
} moved;

static void *go_on(void *unused)
{
    CHECK_EQ(gc_thread_attach(moved.heap), 0);
    CHECK(!gc_fiber_switch(moved.fiber) && errno == 0);
    CHECK_EQ(moved.top - moved.slots, 1);
    collect();
    CHECK_EQ(((struct cell *)moved.slots[0])->number, 5);
    void *c = new_cell(6);
    *moved.top++ = c;
    CHECK(gc_fiber_switch(NULL) == moved.fiber);
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

/* The words of a stack hold objects from the call that names it to the call that takes it back. */
TEST(a_fiber_without_its_stack)
{
    static void *stack[2];
    gc_heap *heap = new_heap(0);
    gc_fiber *fiber = gc_fiber_create();
    CHECK(fiber);
    stack[1] = new_cell(1);
    hidden h = hide(stack[1]);
    CHECK_EQ(gc_fiber_stack(fiber, stack, stack + 2), 0);
    collect();
    CHECK(lives(h));
    CHECK_EQ(gc_fiber_stack(fiber, stack, stack + 1), 0);
    collect();
    CHECK(!lives(h));
    stack[0] = new_cell(2);
    h = hide(stack[0]);
    collect();
    CHECK(lives(h));
    CHECK_EQ(gc_fiber_stack(fiber, NULL, NULL), 0);
    collect();
    CHECK(!lives(h));
    CHECK(!gc_fiber_switch(fiber)); /* its own, while it runs */
    stack[1] = new_cell(3);
    h = hide(stack[1]);
    CHECK_EQ(gc_fiber_stack(fiber, stack, stack + 2), 0);
    CHECK(gc_fiber_switch(NULL) == fiber);
    collect();
    CHECK(lives(h));
    CHECK_EQ(gc_fiber_destroy(fiber), 0);
    end_heap(heap);
}

TEST(fibers_move_between_threads)
{
    moved.heap = new_heap(0);
    moved.fiber = gc_fiber_create();
    moved.top = moved.slots;
    CHECK(!gc_fiber_switch(moved.fiber));
    CHECK_EQ(gc_thread_range(moved.slots, &moved.top), 0);
    *moved.top++ = new_cell(5);
    CHECK(gc_fiber_switch(NULL) == moved.fiber);
    run_thread(go_on, NULL);
    collect();
    CHECK(!gc_fiber_switch(moved.fiber) && errno == 0);
    CHECK_EQ(((struct cell *)moved.slots[0])->number, 5);
    CHECK_EQ(((struct cell *)moved.slots[1])->number, 6);
    gc_fiber_switch(NULL);
    CHECK_EQ(gc_fiber_destroy(moved.fiber), 0);
    end_heap(moved.heap);
}

TEST(many_fibers)
{
    enum { N = 2000 };
    static gc_fiber *fibers[N];
    static void *slots[N], **tops[N];
    gc_heap *heap = new_heap(0);
    for (size_t i = 0; i < N; i++) {
        CHECK((fibers[i] = gc_fiber_create()));
        gc_fiber_switch(fibers[i]);
        tops[i] = &slots[i];
        CHECK_EQ(gc_thread_range(&slots[i], &tops[i]), 0);
        slots[i] = new_cell(i);
        tops[i]++;
    }
    gc_fiber_switch(NULL);
    collect();
    for (size_t i = 0; i < N; i++) {
        gc_fiber_switch(fibers[i]);
        CHECK_EQ(((struct cell *)slots[i])->number, i);
        gc_fiber_switch(NULL);
        CHECK_EQ(gc_fiber_destroy(fibers[i]), 0);
    }
    collect();
    for (size_t i = 0; i < N; i++)
        CHECK(!lives(hide(slots[i])));
    end_heap(heap);
}

/* A hundred thousand that rest: two of three have a range, the third a C stack. What it takes grows
 * with their number, and no faster. */
enum { REST = SLOW ? 20000 : 100000 };
static gc_fiber *resting[REST];
static void *held[REST], **tops[REST];
static hidden was_held[REST];

static void make_resting(size_t i)
{
    CHECK((resting[i] = gc_fiber_create()));
    CHECK(!gc_fiber_switch(resting[i]) && errno == 0);
    tops[i] = &held[i];
    if (i % 3)
        CHECK_EQ(gc_thread_range(&held[i], &tops[i]), 0);
    held[i] = new_cell(i);
    tops[i]++;
    was_held[i] = hide(held[i]);
    CHECK(gc_fiber_switch(NULL) == resting[i]);
    if (i % 3 == 0)
        CHECK_EQ(gc_fiber_stack(resting[i], &held[i], &held[i] + 1), 0);
}

TEST(a_hundred_thousand_fibers)
{
    gc_heap *heap = new_heap(0);
    for (size_t i = 0; i < REST; i++)
        make_resting(i);
    collect();
    collect();
    for (size_t i = 0; i < REST; i++)
        CHECK(lives(was_held[i]) && ((struct cell *)was_held[i])->number == i);
    for (size_t i = 0; i < REST; i += 2)
        CHECK_EQ(gc_fiber_destroy(resting[i]), 0);
    collect();
    for (size_t i = 0; i < REST; i++)
        CHECK_EQ(lives(was_held[i]), i % 2);
    for (size_t i = 1; i < REST; i += 2) {
        CHECK(!gc_fiber_switch(resting[i]) && errno == 0);
        CHECK_EQ(((struct cell *)held[i])->number, i);
        CHECK(gc_fiber_switch(NULL) == resting[i]);
        CHECK_EQ(gc_fiber_destroy(resting[i]), 0);
    }
    collect();
    for (size_t i = 0; i < REST; i++)
        CHECK(!lives(was_held[i]));
    end_heap(heap);
}

/* ---- Looking in ---- */

TEST(object_queries)
{
    static const size_t sizes[] = {16, 24, 100, 1000, 8000, 30000, 40000, 100000, 5000000};
    enum { CELL = sizeof(struct cell) };
    static char outside;
    gc_heap *heap = new_heap(0);
    for (size_t i = 0; i < LEN(sizes); i++) {
        char *p = gc_new_array(&cell_type, sizes[i] / CELL), *q = NULL;
        GC_FRAME(p, q);
        q = gc_new_bytes(sizes[i]);
        collect();
        size_t np = gc_object_size(p), nq = gc_object_size(q), step = sizes[i] / 300 + 1;
        CHECK(np >= sizes[i] / CELL * CELL && nq >= sizes[i]);
        CHECK(gc_is_object(p) && gc_is_object(q));
        for (size_t k = 1; k < sizes[i] / CELL * CELL; k += step) {
            CHECK(gc_object_base(p + k) == p && gc_object_base(q + k) == q);
            CHECK(!gc_is_object(p + k) && !gc_is_object(q + k));
            CHECK(gc_heap_contains(heap, p + k));
            CHECK_EQ(gc_object_size(q + k), nq);
        }
        CHECK(gc_object_base(p + np) != p && gc_object_base(q - 1) != q);
    }
    CHECK(!gc_heap_contains(heap, &outside) && !gc_heap_contains(heap, NULL));
    CHECK(!gc_object_base(&outside));
    end_heap(heap);
}

struct tally {
    uint64_t objects, bytes, cells, unsized, wrong, most;
};

static bool count(void *arg, const struct gc_object *object)
{
    struct tally *t = arg;
    t->objects++;
    t->bytes += object->size;
    t->cells += object->type == &cell_type;
    t->unsized += object->size == 0 || !object->address;
    t->wrong += object->type == &cell_type && !object->has_pointers;
    return t->objects != t->most;
}

static uint64_t rows_sum(const struct gc_census *rows, int n, uint64_t *bytes)
{
    uint64_t objects = 0;
    *bytes = 0;
    for (int i = 0; i < n; i++) {
        objects += rows[i].objects;
        *bytes += rows[i].bytes;
        if (rows[i].size)
            CHECK(rows[i].bytes == rows[i].objects * rows[i].size);
    }
    return objects;
}

static bool same_rows(const struct gc_census *a, const struct gc_census *b, int n)
{
    for (int i = 0; i < n; i++) {
        if (a[i].size != b[i].size || a[i].has_pointers != b[i].has_pointers ||
            a[i].objects != b[i].objects || a[i].bytes != b[i].bytes || a[i].type != b[i].type)
            return false;
    }
    return true;
}

TEST(census_and_walk)
{
    enum { CELLS = 5000, ARRAYS = 10, BYTES = 100, LARGE = 3 };
    static struct gc_census rows[256], again[256];
    static void *slots[CELLS + ARRAYS + BYTES + LARGE];
    struct tally all = {0}, few = {.most = 3};
    uint64_t bytes, objects;
    gc_heap *heap = new_heap(0);
    CHECK_EQ(gc_root_range(slots, LEN(slots)), 0);
    for (size_t i = 0; i < LEN(slots); i++)
        gc_store(&slots[i], i < CELLS                    ? new_cell(i)
                            : i < CELLS + ARRAYS         ? gc_new_array(&gc_pointer_type, 50)
                            : i < CELLS + ARRAYS + BYTES ? gc_new_bytes(200)
                                                         : gc_new_bytes(100000));
    for (int i = 0; i < 10000; i++)
        new_cell(0);
    CHECK_EQ(gc_heap_each(count, &all), 0);
    CHECK_EQ(all.objects, LEN(slots));
    CHECK(all.unsized == 0 && all.wrong == 0);
    ok(all.cells == 0 || all.cells == CELLS, "%" PRIu64 " of known type", all.cells);
    CHECK_EQ(gc_heap_each(count, &few), 0);
    CHECK_EQ(few.objects, 3);
    int n = gc_heap_census(rows, LEN(rows));
    CHECK(n >= 4);
    objects = rows_sum(rows, n, &bytes);
    CHECK_EQ(objects, all.objects);
    CHECK_EQ(bytes, all.bytes);
    CHECK_EQ(gc_heap_census(again, LEN(again)), n);
    CHECK(same_rows(rows, again, n));
    CHECK_EQ(gc_heap_census(again, 2), 2);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(gc_unroot(slots), 0);
    end_heap(heap);
}

static void trace_none(void *object, gc_tracer *tracer)
{
    (void)object, (void)tracer;
}

static const struct gc_census *row_of_type(const struct gc_census *rows, int n, const gc_type *type)
{
    const struct gc_census *found = NULL;
    for (int i = 0; i < n; i++) {
        if (rows[i].type == type && rows[i].objects > 0) {
            CHECK(!found || type == NULL);
            found = &rows[i];
        }
    }
    return found;
}

/* A row for each type that is known, and rows for what has none. */
TEST(census_by_type)
{
    enum { TRACED = 30, TABLES = 3 };
    static void *slots[TRACED + TRACED + TABLES];
    static struct gc_census rows[256];
    gc_heap *heap = new_heap(0);
    const struct gc_type_spec shape = {.size = 48, .trace = trace_none};
    gc_type *one = gc_type_create(&shape), *other = gc_type_create(&shape);
    CHECK(one && other);
    CHECK_EQ(gc_root_range(slots, LEN(slots)), 0);
    for (size_t i = 0; i < LEN(slots); i++)
        gc_store(&slots[i], i < TRACED       ? gc_new(one)
                            : i < 2 * TRACED ? gc_new(other)
                                             : gc_new_array(&gc_pointer_type, 20000));
    CHECK_EQ(gc_collect(), 0);
    int n = gc_heap_census(rows, LEN(rows));
    const struct gc_census *a = row_of_type(rows, n, one), *b = row_of_type(rows, n, other);
    const struct gc_census *tables = row_of_type(rows, n, &gc_pointer_type);
    CHECK(a && a->objects == TRACED && a->size >= 48 && a->bytes == TRACED * a->size);
    CHECK(b && b->objects == TRACED && b->size == a->size);
    CHECK(tables && tables->objects == TABLES && tables->size == 0 && tables->has_pointers);
    CHECK(tables->bytes >= TABLES * 20000 * sizeof(void *));
    for (int i = 1; i < n; i++)
        CHECK(rows[i - 1].size <= rows[i].size);
    CHECK_EQ(gc_unroot(slots), 0);
    end_heap(heap);
    CHECK_EQ(gc_type_release(one), 0);
    CHECK_EQ(gc_type_release(other), 0);
}

/* What a walk says of one object of each sort. */
enum { SORTS = 10, BIG = 100000 };
static struct sort {
    void *object;
    const gc_type *expected, *type;
    unsigned met;
} sorts[SORTS];

static bool note_type(void *unused, const struct gc_object *object)
{
    (void)unused;
    for (size_t i = 0; i < SORTS; i++) {
        if (sorts[i].object == object->address) {
            sorts[i].type = object->type;
            sorts[i].met++;
        }
    }
    return true;
}

/* Of large objects with references, and of traced ones. */
TEST(types_known_to_a_walk)
{
    gc_heap *heap = new_heap(0);
    gc_type *traced =
        gc_type_create(&(struct gc_type_spec){.name = "traced", .size = 40, .trace = trace_none});
    gc_type *big = gc_type_create(
        &(struct gc_type_spec){.name = "big", .size = BIG, .mask = &(uint64_t){1}, .mask_bits = 1});
    gc_type *big_traced = gc_type_create(
        &(struct gc_type_spec){.name = "big traced", .size = BIG, .trace = trace_none});
    gc_type *plain = gc_type_create(&(struct gc_type_spec){.name = "plain", .size = BIG});
    CHECK(traced && big && big_traced && plain);
    const gc_type *expected[SORTS] = {traced, traced, big, big_traced, &cell_type, &cell_type};
    for (size_t i = 0; i < SORTS; i++) {
        sorts[i].expected = expected[i];
        CHECK_EQ(gc_root(&sorts[i].object), 0);
    }
    gc_store(&sorts[0].object, gc_new(traced));
    gc_store(&sorts[1].object, gc_new_flex(traced, &gc_pointer_type, 3));
    gc_store(&sorts[2].object, gc_new(big));
    gc_store(&sorts[3].object, gc_new(big_traced));
    gc_store(&sorts[4].object, gc_new_array(&cell_type, BIG));                  /* its elements' */
    gc_store(&sorts[5].object, gc_new_flex(&cell_type, &gc_pointer_type, BIG)); /* its head's */
    /* Others have no type. */
    gc_store(&sorts[6].object, new_cell(1));
    gc_store(&sorts[7].object, gc_new_array(&cell_type, 3));
    gc_store(&sorts[8].object, gc_new(plain));
    gc_store(&sorts[9].object, gc_new_bytes(BIG));
    CHECK_EQ(gc_heap_each(note_type, NULL), 0);
    for (size_t i = 0; i < SORTS; i++) {
        CHECK_EQ(sorts[i].met, 1);
        ok(sorts[i].type == sorts[i].expected, "sort %zu: %s", i,
           sorts[i].type ? sorts[i].type->name : "no type");
        CHECK_EQ(gc_unroot(&sorts[i].object), 0);
    }
    CHECK_EQ(gc_type_release(traced), 0);
    CHECK_EQ(gc_type_release(big), 0);
    CHECK_EQ(gc_type_release(big_traced), 0);
    CHECK_EQ(gc_type_release(plain), 0);
    end_heap(heap);
}

/* ---- Heaps ---- */

TEST(several_heaps)
{
    static const gc_options options[] = {
        {.percent = 50, .flags = GC_STOP_WORLD},
        {.percent = 300, .flags = GC_NO_BACKGROUND, .min_heap = MIB},
        {.flags = GC_FINALIZER_THREAD | GC_FORK_SAFE, .max_procs = 2, .mark_workers = 1},
        {.reserve = 1, .watchdog_ms = 5000},
    };
    gc_heap *heaps[LEN(options)];
    gc_handle *handles[LEN(options)];
    for (size_t i = 0; i < LEN(heaps); i++) {
        CHECK((heaps[i] = gc_heap_create(&options[i])) && gc_heap_current() == heaps[i]);
        const gc_options *o = gc_heap_options(heaps[i]);
        CHECK_EQ(o->percent, options[i].percent ? options[i].percent : 100);
        CHECK(o->flags == options[i].flags && o->max_procs > 0 && o->mark_workers > 0);
        CHECK(o->min_heap > 0 && o->watchdog_ms > 0);
        handles[i] = gc_handle_new(NULL);
    }
    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = 0; i < LEN(heaps); i++) {
            CHECK_EQ(gc_thread_switch(heaps[i]), 0);
            CHECK(gc_heap_current() == heaps[i]);
            for (unsigned k = 0; k < 100; k++) {
                struct cell *c = new_cell(round * 100 + k);
                gc_store(&c->next, gc_handle_get(handles[i]));
                gc_handle_set(handles[i], c);
            }
            if (round % 7 == i)
                collect();
            void *c = gc_handle_get(handles[i]);
            CHECK(gc_is_object(c));
            for (size_t k = 0; k < LEN(heaps); k++)
                CHECK_EQ(gc_heap_contains(heaps[k], c), k == i);
        }
    }
    void *of_first;
    CHECK_EQ(gc_thread_switch(heaps[0]), 0);
    of_first = gc_handle_get(handles[0]);
    for (size_t i = LEN(heaps); i-- > 0;) {
        CHECK_EQ(gc_thread_switch(heaps[i]), 0);
        CHECK_EQ(gc_is_object(of_first), i == 0);
        uint64_t expected = 5000;
        for (struct cell *c = gc_handle_get(handles[i]); c; c = c->next)
            CHECK_EQ(c->number, --expected);
        CHECK_EQ(expected, 0);
        end_heap(heaps[i]);
        CHECK(!gc_heap_current());
    }
}

static size_t lines_of_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t lines = 0;
    if (!maps)
        SKIP("no /proc/self/maps");
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void make_heaps(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        gc_heap *heap = gc_heap_create(&(gc_options){.flags = i % 4   ? GC_NO_BACKGROUND
                                                              : i % 8 ? GC_FINALIZER_THREAD
                                                                      : 0});
        CHECK(heap);
        CHECK(gc_handle_new(new_cell(i)));
        CHECK(gc_new_bytes(50000));
        CHECK(gc_weak_new(gc_new_bytes(100)));
        if (i % 10 == 0)
            collect();
        CHECK_EQ(gc_heap_destroy(heap), 0);
    }
}

#define RESIDENT_GROWTH (20 * MIB)
#define MAPS_GROWTH 20
#ifdef __has_feature
#if __has_feature(address_sanitizer)
/* It keeps freed memory for a while: here less than the 256 MiB that are usual. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=64";
}
#undef RESIDENT_GROWTH
#define RESIDENT_GROWTH (150 * MIB)
#elif __has_feature(thread_sanitizer)
/* It maps memory of its own for each thread that ever ran. A mapping lost by each heap that
 * collected would be a thousand. */
#undef RESIDENT_GROWTH
#define RESIDENT_GROWTH (300 * MIB)
#undef MAPS_GROWTH
#define MAPS_GROWTH 500
#endif
#endif

TEST(ten_thousand_heaps)
{
    make_heaps(100);
    size_t maps = lines_of_maps(), memory = resident();
    make_heaps(10000);
    size_t more_maps = lines_of_maps(), more = resident();
    ok(more_maps <= maps + MAPS_GROWTH, "%zu mappings before, %zu after", maps, more_maps);
    ok(more <= memory + RESIDENT_GROWTH, "%zu KiB resident before, %zu after", memory / 1024,
       more / 1024);
}

TEST(one_reservation)
{
    struct gc_statistics s;
    gc_heap *heap = gc_heap_create(&(gc_options){.reserve = 100 * MIB});
    CHECK(heap);
    CHECK(gc_heap_options(heap)->reserve >= 100 * MIB);
    for (int round = 0; round < 3; round++) {
        void **list = NULL;
        uintptr_t low = UINTPTR_MAX, high = 0;
        GC_FRAME(list);
        size_t n = fill(&list);
        ok(n >= 80 && n < 192, "full after %zu MiB", n);
        CHECK_EQ(gc_stats(&s), 0);
        CHECK(s.heap_reserved >= 100 * MIB && s.heap_reserved < 200 * MIB);
        for (void **piece = list; piece; piece = *piece) {
            low = hide(piece) < low ? hide(piece) : low;
            high = hide(piece) + MIB > high ? hide(piece) + MIB : high;
        }
        CHECK(high - low <= s.heap_reserved);
        list = NULL;
        CHECK(new_cell(1));
    }
    end_heap(heap);
}

/* Plain stores everywhere, also into old objects, also to globals. */
TEST(stop_world_needs_no_barriers)
{
    enum { N = 2000 };
    static struct cell **table;
    gc_heap *heap = gc_heap_create(&(gc_options){
        .flags = GC_STOP_WORLD, .debug = "poison=2,verify", .percent = 50, .min_heap = MIB / 4});
    CHECK(heap);
    CHECK_EQ(gc_root(&table), 0);
    table = gc_new_array(&gc_pointer_type, N);
    uint32_t seed = 1;
    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t slot = (seed >> 10) % N;
        struct cell *c = new_cell(slot);
        c->next = i % 16 ? table[slot] : NULL;
        table[slot] = c;
        if (i % 5 == 0) { /* from one list to another, and back to the first */
            struct cell *first = table[slot]->next;
            table[slot]->next = NULL;
            if (first)
                table[slot] = first;
        }
        if (i % 10000 == 0)
            collect();
        if (i % 1000 == 0)
            CHECK_EQ(gc_collect_start(), 0);
    }
    collect();
    for (size_t i = 0; i < N; i++) {
        for (struct cell *c = table[i]; c; c = c->next)
            CHECK_EQ(c->number, i);
    }
    struct gc_statistics s;
    CHECK_EQ(gc_stats(&s), 0);
    ok(s.cycles > 2, "%" PRIu64 " cycles", s.cycles);
    CHECK_EQ(gc_unroot(&table), 0);
    end_heap(heap);
}

TAP_MAIN
