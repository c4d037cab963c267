/* The inline paths, each in functions of its own, for bench/instructions to count: once, and four
 * and eight times in a row, whose difference is what a function pays for each further one. */
#include <gcheap.h>

enum { CALLS = 20000 };

struct node {
    struct node *left, *right;
    uint64_t value;
};
static GC_TYPE(node_type, struct node, left, right);

/* The tag of `left`, where it is a tagged word. */
static const struct gc_tagged left_of_node[] = {GC_TAGGED(struct node, left, value, 0xff, 4)};

#define KEEP(p) __asm__ volatile("" : : "r"(p))
#define FOUR(statement)                                                                            \
    do {                                                                                           \
        statement;                                                                                 \
        statement;                                                                                 \
        statement;                                                                                 \
        statement;                                                                                 \
    } while (0)

/* A block with a frame of one slot, in which something may happen. */
static inline void frame(struct node *local)
{
    GC_FRAME(local);
    __asm__ volatile("" : : : "memory");
}

#define PROBE_TIMES(function, statement)                                                           \
    static __attribute__((noinline)) void function(struct node *n)                                 \
    {                                                                                              \
        KEEP(n);                                                                                   \
        statement;                                                                                 \
    }
#define PROBE(name, statement)                                                                     \
    PROBE_TIMES(name##_1, statement)                                                               \
    PROBE_TIMES(name##_4, FOUR(statement))                                                         \
    PROBE_TIMES(name##_8, FOUR(statement); FOUR(statement))

PROBE(probe_new, KEEP(gc_new(&node_type)))
PROBE(probe_new_bytes, KEEP(gc_new_bytes(32)))
/* The number of elements is known at run time only. */
PROBE(probe_new_array, KEEP(gc_new_array(&gc_pointer_type, n->value)))
PROBE(probe_new_flex, KEEP(gc_new_flex(&node_type, &gc_pointer_type, n->value)))
PROBE(probe_frame, frame(n))
PROBE(probe_store, gc_store(&n->left, n))
PROBE(probe_store_tagged, gc_store_tagged(n, left_of_node, n, 4))
PROBE(probe_store_weak, gc_store_weak(&n->left, n))
PROBE(probe_load_weak, KEEP(gc_load_weak(&n->left)))
PROBE(probe_store_plain, *(struct node *volatile *)&n->left = n)
PROBE(probe_before_write, gc_before_write(n))
PROBE(probe_safepoint, gc_safepoint())
PROBE(probe_empty, KEEP(n))

#define RUN(name)                                                                                  \
    do {                                                                                           \
        name##_1(node);                                                                            \
        name##_4(node);                                                                            \
        name##_8(node);                                                                            \
    } while (0)

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct node *node = NULL;
    if (!heap)
        return 1;
    GC_FRAME(node);
    node = gc_new(&node_type);
    node->value = 4;
    gc_set_percent(GC_PERCENT_OFF);
    for (int i = 0; i < CALLS; i++) {
        RUN(probe_new);
        RUN(probe_new_bytes);
        RUN(probe_new_array);
        RUN(probe_new_flex);
        RUN(probe_frame);
        RUN(probe_store);
        RUN(probe_store_tagged);
        RUN(probe_store_weak);
        RUN(probe_load_weak);
        RUN(probe_store_plain);
        RUN(probe_before_write);
        RUN(probe_safepoint);
        RUN(probe_empty);
    }
    return 0;
}
