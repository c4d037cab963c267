/* Small objects of variable size, of which the last 1024 are kept in a local array, as in `alloc`:
 * what an interpreter makes all day. Their sizes are random, so that no branch can foresee them.
 *
 *   arrays    1 to `most` references
 *   closures  a head of three words, and 1 to `most` references
 *   strings   1 to `most` bytes
 *   mixture   the three in turn
 *   vector    a vector that grows by doubling to `most` references, and is dropped
 *   fib       activation records: each call makes one of 2 to 6 references, and a node for its
 *             argument
 */
#include "nodes.h"

enum { WINDOW = 1024 };

struct closure {
    uint64_t kind, arity;
    void *function;
};
BM_TYPE(closure_type, struct closure, function);

static size_t sizes[WINDOW];

static void choose_sizes(long most)
{
    struct random r = {42};
    for (int i = 0; i < WINDOW; i++)
        sizes[i] = 1 + random_below(&r, (size_t)most);
}

/* Each object has a mark of its own: its last word or byte. */
static void *array_new(size_t n, void *anchor)
{
    void **array = BM_POINTERS(n);
    array[n - 1] = anchor;
    return array;
}
static uint64_t array_is_intact(void *array, size_t n, void *anchor)
{
    return ((void **)array)[n - 1] == anchor;
}

static void *closure_new(size_t n, void *anchor)
{
    struct closure *c = BM_NEW_TAIL(struct closure, closure_type, n);
    c->kind = n;
    ((void **)(c + 1))[n - 1] = c->function = anchor;
    return c;
}
static uint64_t closure_is_intact(void *object, size_t n, void *anchor)
{
    struct closure *c = object;
    return c->kind == n && c->function == anchor && ((void **)(c + 1))[n - 1] == anchor;
}

static void *string_new(size_t n, void *anchor)
{
    (void)anchor;
    char *s = BM_BYTES_ZEROED(n);
    s[n - 1] = (char)n;
    return s;
}
static uint64_t string_is_intact(void *s, size_t n, void *anchor)
{
    (void)anchor;
    return ((char *)s)[n - 1] == (char)n;
}

#define LOOP(kind, make, is_intact)                                                                \
    static uint64_t kind##_loop(long count)                                                        \
    {                                                                                              \
        void *window[WINDOW] = {0};                                                                \
        struct node *anchor = leaf_new();                                                          \
        BM_ROOT_ARRAY(window, WINDOW);                                                             \
        BM_ROOTS(anchor);                                                                          \
        for (long i = 0; i < count; i++) {                                                         \
            void *o = make(sizes[i % WINDOW], anchor);                                             \
            BM_FREE(window[i % WINDOW]);                                                           \
            window[i % WINDOW] = o;                                                                \
        }                                                                                          \
        uint64_t intact = 0;                                                                       \
        for (int i = 0; i < WINDOW; i++)                                                           \
            intact += is_intact(window[i], sizes[i], anchor);                                      \
        return intact;                                                                             \
    }

LOOP(arrays, array_new, array_is_intact)
LOOP(closures, closure_new, closure_is_intact)
LOOP(strings, string_new, string_is_intact)

/* Closures of 1 to `most` references, vectors likewise, strings of up to 8 times as many bytes. */
static uint64_t mixture_loop(long count)
{
    void *window[WINDOW * 3] = {0};
    struct node *anchor = leaf_new();
    BM_ROOT_ARRAY(window, (size_t)WINDOW * 3);
    BM_ROOTS(anchor);
    for (long i = 0; i < count; i += 3) {
        size_t n = sizes[i / 3 % WINDOW];
        void **slots = &window[i / 3 % WINDOW * 3], *closure = closure_new(n, anchor);
        BM_FREE(slots[0]);
        slots[0] = closure;
        void *array = array_new(n, anchor);
        BM_FREE(slots[1]);
        slots[1] = array;
        void *string = string_new(8 * n - 3, anchor);
        BM_FREE(slots[2]);
        slots[2] = string;
    }
    uint64_t intact = 0;
    for (int i = 0; i < WINDOW; i++)
        intact += closure_is_intact(window[3 * i], sizes[i], anchor) +
                  array_is_intact(window[3 * i + 1], sizes[i], anchor) +
                  string_is_intact(window[3 * i + 2], 8 * sizes[i] - 3, anchor);
    return intact;
}

static void run_loop(uint64_t (*loop)(long), long most)
{
    long count = parameter("count", 20 * 1000 * 1000);
    choose_sizes(parameter("most", most));
    loop(count / 20 + 3 * WINDOW);
    uint64_t t0 = now_ns();
    uint64_t intact = loop(count);
    result("time", since(t0) * 1e9 / (double)count, "ns/object");
    check(intact);
}

void run_arrays(void)
{
    run_loop(arrays_loop, 8);
}
void run_closures(void)
{
    run_loop(closures_loop, 4);
}
void run_strings(void)
{
    run_loop(strings_loop, 15);
}
void run_mixture(void)
{
    run_loop(mixture_loop, 6);
}

/* ---- A vector that grows ---- */

static uint64_t grow(size_t most, void *anchor)
{
    size_t capacity = 4, n = 0;
    void **vector = BM_POINTERS(capacity);
    BM_ROOTS(vector);
    for (; n < most; n++) {
        if (n == capacity) {
            void **larger = BM_POINTERS(2 * capacity);
            BM_COPY(larger, vector, n);
            BM_FREE(vector);
            vector = larger;
            capacity *= 2;
        }
        BM_STORE(&vector[n], anchor);
    }
    uint64_t intact = vector[0] == anchor && vector[n - 1] == anchor;
    BM_FREE(vector);
    return intact;
}

void run_vector(void)
{
    long most = parameter("most", 100), count = parameter("count", 400 * 1000);
    struct node *anchor = leaf_new();
    uint64_t intact = 0;
    BM_ROOTS(anchor);
    for (long i = 0; i < count / 20; i++)
        grow((size_t)most, anchor);
    uint64_t t0 = now_ns();
    for (long i = 0; i < count; i++)
        intact += grow((size_t)most, anchor);
    result("time", since(t0) * 1e9 / (double)count, "ns/vector");
    check(intact);
}

/* ---- Activation records ---- */

static uint64_t calls;

static uint64_t fib(void **caller, uint64_t n)
{
    void **record = NULL;
    struct node *argument = NULL;
    BM_ROOTS(record, argument);
    record = BM_POINTERS(2 + n % 5);
    record[0] = caller;
    argument = leaf_new();
    argument->value = n;
    BM_STORE(&record[1], argument);
    calls++;
    uint64_t sum = n < 2 ? n : fib(record, n - 1) + fib(record, n - 2);
    sum += ((struct node *)record[1])->value - n;
    BM_FREE(argument);
    BM_FREE(record);
    return sum;
}

void run_fib(void)
{
    uint64_t n = (uint64_t)parameter("n", 32);
    fib(NULL, n - 5);
    calls = 0;
    uint64_t t0 = now_ns();
    uint64_t sum = fib(NULL, n);
    result("time", since(t0) * 1e9 / (double)calls, "ns/call");
    check(sum);
}
