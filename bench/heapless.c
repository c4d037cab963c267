/* The calls of gcheap.h over malloc, for the examples' programs of one thread: bench/footprint
 * links them with it to see what they take without the heap. Nothing is freed. With -DBENCH_BOEHM
 * it is Boehm's collector that has the memory. Calls that are not here do nothing. */
#include <gcheap.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#if defined(BENCH_BOEHM)
/* <gc.h> and <gcheap.h> have names in common. */
void GC_init(void);
void *GC_malloc(size_t size);
void *GC_malloc_atomic(size_t size);
void GC_add_roots(void *base, void *end);
#define NEW(n) GC_malloc(n)
#define NEW_BYTES(n) memset(GC_malloc_atomic(n), 0, n)
#define ADD_ROOTS(base, end) GC_add_roots(base, end)
#define START() GC_init()
#else
#define NEW(n) calloc(1, n)
#define NEW_BYTES(n) calloc(1, n)
#define ADD_ROOTS(base, end) ((void)(base), (void)(end))
#define START() ((void)0)
#endif

/* All runs are empty, and no barrier is on. */
static struct gc_run runs[GC_RUNS_MAX];
static struct gc_fast fast = {.runs = runs};
GC_TLS struct gc_fast *gc_self = &fast;

/* ---- Allocation ---- */

const uint8_t gc_class_by_8[GC_INLINE_BYTES_MAX / 8 + 1];
gc_type gc_pointer_type = {.size = sizeof(void *), .align = sizeof(void *), .inline_mask = {1}};
gc_type gc_word_type = {.size = 8, .align = 8, .inline_mask = {1}};

static bool has_references(const gc_type *type)
{
    return type->trace || type->inline_mask[0];
}

static void *new_cell(size_t size, bool references)
{
    return references ? NEW(size + !size) : NEW_BYTES(size + !size);
}

void *gc_new_slow(gc_type *type)
{
    return new_cell(type->size, has_references(type));
}
void *gc_new_bytes_slow(size_t size)
{
    return new_cell(size, false);
}
void *gc_new_flex_slow(gc_type *head, gc_type *element, size_t n)
{
    size_t align = element->align ? element->align : sizeof(void *);
    size_t start = (head->size + align - 1) / align * align;
    return new_cell(start + n * element->size, has_references(head) || has_references(element));
}

/* ---- Interning: a table that keeps what is in it ---- */

struct entry {
    struct entry *next;
    void *object;
    uint64_t hash;
};
enum { CHAINS = 4096 };
struct gc_intern {
    struct gc_intern_ops ops;
    struct entry *chains[CHAINS];
};

gc_intern *gc_intern_new(const struct gc_intern_ops *ops)
{
    static gc_intern *last; /* keeps it alive */
    last = NEW(sizeof *last);
    last->ops = *ops;
    return last;
}
void *gc_intern_get(gc_intern *table, const void *key, size_t size, void *arg)
{
    uint64_t hash = table->ops.hash(key, size);
    struct entry **chain = &table->chains[hash % CHAINS];
    for (struct entry *e = *chain; e; e = e->next) {
        if (e->hash == hash && table->ops.equal(e->object, key, size))
            return e->object;
    }
    struct entry *e = NEW(sizeof *e);
    *e = (struct entry){*chain, table->ops.make(key, size, arg), hash};
    *chain = e;
    return e->object;
}
void gc_intern_free(gc_intern *table)
{
    (void)table;
}

/* ---- Heaps, threads and fibers: there is one of each ---- */

gc_heap *gc_heap_create(const gc_options *options)
{
    (void)options;
    START();
    return (gc_heap *)&fast;
}
int gc_heap_destroy(gc_heap *heap)
{
    (void)heap;
    return 0;
}
int gc_root_range(void *base, size_t n)
{
    ADD_ROOTS(base, (void **)base + n);
    return 0;
}
int gc_thread_range(void *base, void *top)
{
    (void)top;
    ADD_ROOTS(base, (char *)base + malloc_usable_size(base));
    return 0;
}
static char thread_fiber, *running;
gc_fiber *gc_fiber_create(void)
{
    return malloc(1);
}
gc_fiber *gc_fiber_switch(gc_fiber *fiber)
{
    char *left = running;
    running = (char *)fiber;
    return (gc_fiber *)(left == &thread_fiber ? NULL : left);
}
gc_handle *gc_handle_new(void *object)
{
    void **handle = NEW(sizeof *handle);
    *handle = object;
    return (gc_handle *)handle;
}
void *gc_handle_get(const gc_handle *handle)
{
    return *(void *const *)(const void *)handle;
}

/* ---- Stores ---- */

void gc_copy(void *target, const void *source, size_t bytes)
{
    memmove(target, source, bytes);
}
bool gc_cas_value(uint64_t *slot, uint64_t expected, uint64_t desired)
{
    bool is_expected = *slot == expected;
    *slot = is_expected ? desired : *slot;
    return is_expected;
}
