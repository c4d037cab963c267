#include "memory/tagged.h"

/* Of a slot at an offset in an object of the type, which begins at `base`. */
static bool slot_refers(const gc_type *type, uintptr_t base, size_t offset)
{
    for (size_t i = 0; i < type->ntagged; i++) {
        if (type->tagged[i].word == offset / WORD_SIZE)
            return tagged_refers(&type->tagged[i], base);
    }
    return true;
}

bool parts_refer(const struct parts *p, uintptr_t at)
{
    if (p->element && at >= p->elements) {
        size_t offset = (at - p->elements) % p->element->size;
        return slot_refers(p->element, at - offset, offset);
    }
    return !p->head || slot_refers(p->head, p->object, at - p->object);
}
