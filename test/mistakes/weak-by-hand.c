/* A number holds an object's address, as a weak reference made by hand. */
#include "mistake.h"

struct cache {
    struct cache *next;
    uintptr_t last; /* the mistake: this is no gc_weak */
};
static GC_TYPE(cache_type, struct cache, next);

static void look_up(struct cache *cache)
{
    cache->last = (uintptr_t)new_node(42);
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct cache *cache = NULL;
    GC_FRAME(cache);
    cache = gc_new(&cache_type);
    look_up(cache);
    meanwhile();
    return end(heap, "what was looked up", ((const struct node *)cache->last)->number, 42);
}
