/* Tagged words, and the objects that have them: slots that hold a reference if a byte beside them
 * says so (I52). The heap bits of such an object are those of all its slots. Its types say which of
 * these are tagged. So each such object carries its types, as traced objects do. */
#ifndef GC_MEMORY_TAGGED_H
#define GC_MEMORY_TAGGED_H

#include "gcheap.h"
#include "memory/span.h"

/* What is added to the address of the type in the last word of a traced cell. ARRAY: it is the type
 * of the elements, which have tagged words. FLEX: it is the head's, and the word before it refers
 * to the type of such elements. */
#define HEADER_ARRAY ((word)1)
#define HEADER_FLEX ((word)2)
#define HEADER_KIND ((word)3)

/* What the types of one object speak of. */
struct parts {
    uintptr_t object;
    const gc_type *head;    /* of the object, or of its head; NULL: none is known */
    const gc_type *element; /* of elements with tagged words; NULL: there are none */
    uintptr_t elements;     /* where they begin */
    uintptr_t end;          /* where whole ones end in the cell; of a large object: its last slot */
};

INLINE size_t type_alignment(const gc_type *type)
{
    return type->align ? type->align : WORD_SIZE;
}

/* Of a cell of a traced span class; `object` is its start. A marker that an end has led here (I37)
 * may read while the cell is made. */
INLINE struct parts parts_of_cell(uintptr_t object, size_t size)
{
    const word *last = (const word *)(object + size) - 1;
    word header = word_load_acquire(last), kind = header & HEADER_KIND;
    struct parts p = {object, (const gc_type *)(header - kind), NULL, 0, (uintptr_t)last};
    if (LIKELY(kind == 0))
        return p;
    p.element = kind == HEADER_ARRAY ? p.head : (const gc_type *)word_load_relaxed(last - 1);
    p.head = kind == HEADER_ARRAY ? NULL : p.head;
    p.elements = p.head ? align_up(object + p.head->size, type_alignment(p.element)) : object;
    p.end -= kind == HEADER_FLEX ? WORD_SIZE : 0;
    p.end -= (p.end - p.elements) % p.element->size;
    return p;
}

INLINE struct parts parts_of_large(const struct gc_span *s)
{
    const gc_type *type = s->large_type, *element = s->large_element;
    struct parts p = {s->base, type, element, 0, s->scan_limit};
    if (element && type == element)
        p.head = NULL; /* an array, or a flexible object that is like one */
    if (element)
        p.elements = p.head ? align_up(s->base + type->size, type_alignment(element)) : s->base;
    return p;
}

INLINE struct parts parts_of(const struct gc_span *s, uintptr_t object)
{
    if (span_is_large(s))
        return parts_of_large(s);
    return spanclass_traced(s->spanclass) ? parts_of_cell(object, s->size)
                                          : (struct parts){.object = object};
}

/* The bytes at the end of an object's cell that say of which types it is. */
INLINE size_t header_bytes(const struct gc_span *s, uintptr_t object)
{
    if (span_is_large(s) || !spanclass_traced(s->spanclass))
        return 0;
    word header = word_load_relaxed((const word *)(object + s->size) - 1);
    return (header & HEADER_KIND) == HEADER_FLEX ? 2 * WORD_SIZE : WORD_SIZE;
}

/* The type of an object that carries its type (a traced object, or a large one with references), or
 * of its elements; else NULL. */
INLINE const gc_type *parts_type(const struct parts *p)
{
    return p->head ? p->head : p->element;
}

INLINE bool type_has_tagged(const gc_type *type)
{
    return type && type->ntagged > 0;
}
INLINE bool parts_have_tagged(const struct parts *p)
{
    return type_has_tagged(p->head) || p->element;
}

/* Whether the tagged word of an object or element holds a reference. */
INLINE bool tagged_refers(const struct gc_tagged *where, uintptr_t object)
{
    uint8_t tag = u8_load_relaxed((const uint8_t *)object + where->byte);
    return (tag & where->mask) == where->match;
}

/* Whether the slot at this address of the object holds a reference, as far as tags tell. */
bool parts_refer(const struct parts *p, uintptr_t at);

#endif
