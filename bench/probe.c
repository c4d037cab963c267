/* The inline paths, each in a function of its own, for bench/instructions to count: every function
 * is called CALLS times, and an empty one shows what the call itself takes. */
#include <gcheap.h>

enum { CALLS = 100000 };

struct node {
    struct node *left, *right;
    uint64_t value;
};
static GC_TYPE(node_type, struct node, left, right);

#define PROBE __attribute__((noinline, noclone))

PROBE void *probe_new(void);
PROBE void *probe_new_bytes(void);
PROBE void probe_store(void *slot, void *value);
PROBE void probe_store_plain(void *slot, void *value);
PROBE void probe_safepoint(void);
PROBE void probe_empty(void);

void *probe_new(void)
{
    return gc_new(&node_type);
}

void *probe_new_bytes(void)
{
    return gc_new_bytes(32);
}

void probe_store(void *slot, void *value)
{
    gc_store(slot, value);
}

void probe_store_plain(void *slot, void *value)
{
    *(void *volatile *)slot = value;
}

void probe_safepoint(void)
{
    gc_safepoint();
}

void probe_empty(void)
{
    __asm__ volatile("");
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct node *node = NULL;
    if (!heap)
        return 1;
    GC_FRAME(node);
    node = gc_new(&node_type);
    gc_set_percent(GC_PERCENT_OFF);
    for (int i = 0; i < CALLS; i++) {
        probe_new();
        probe_new_bytes();
        probe_store(&node->left, node);
        probe_store_plain(&node->right, node);
        probe_safepoint();
        probe_empty();
    }
    return 0;
}
