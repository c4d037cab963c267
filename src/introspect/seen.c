#include "introspect/seen.h"

enum seen seen_add(const struct target *object)
{
    struct arena *a = object->arena;
    size_t bit = arena_bit(object->base);
    if (!a->checkmarks)
        a->checkmarks = os_map(sizeof a->mark);
    if (!a->checkmarks)
        return SEEN_NO_MEMORY;
    if (bits_test(a->checkmarks, bit))
        return SEEN_BEFORE;
    bits_set(a->checkmarks, bit);
    return SEEN_NEW;
}

void seen_drop(gc_heap *heap)
{
    const struct arena_index *index = &heap->mem.arenas;
    for (uintptr_t at = arena_low(index); at < arena_high(index); at += ARENA_SIZE) {
        struct arena *a = arena_of(index, at);
        if (a && a->checkmarks) {
            os_unmap(a->checkmarks, sizeof a->mark);
            a->checkmarks = NULL;
        }
    }
}
