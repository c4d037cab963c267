/* One of the calls that bench/tls-models counts, so many times. Each stands in a function of its
 * own, as in a program that has no reason to keep the thread's struct in a register. */
#include "gcheap.h"
#include <stdlib.h>
#include <string.h>

struct pair {
    struct pair *head, *tail;
};
GC_TYPE(pair_type, struct pair, head, tail);

static void *volatile made;
static struct pair *pair;

#define PROBE static __attribute__((noinline, noclone)) void
PROBE probe_nothing(void)
{
    made = NULL;
}
PROBE probe_new(void)
{
    made = gc_new(&pair_type);
}
PROBE probe_store(void)
{
    gc_store(&pair->head, pair);
}
PROBE probe_safepoint(void)
{
    gc_safepoint();
}

static const struct {
    const char *name;
    void (*probe)(void);
} probes[] = {
    {"nothing", probe_nothing},
    {"gc_new", probe_new},
    {"gc_store", probe_store},
    {"gc_safepoint", probe_safepoint},
};

int run(const char *name, int times);
int run(const char *name, int times)
{
    size_t i = 0;
    gc_heap *heap =
        gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND, .percent = GC_PERCENT_OFF});
    if (!heap || gc_root(&pair) || !(pair = gc_new(&pair_type)))
        return EXIT_FAILURE;
    while (strcmp(probes[i].name, name) != 0)
        i++;
    for (int n = 0; n < times; n++)
        probes[i].probe();
    return gc_heap_destroy(heap) ? EXIT_FAILURE : EXIT_SUCCESS;
}
