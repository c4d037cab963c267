/* Who allocated each object: its type, the thread, the place in the program. Messages name objects
 * by it. Switches of GCHEAP_DEBUG that need names turn it on for the whole life of a heap. */
#ifndef GC_SITE_H
#define GC_SITE_H

#include "base/place.h"
#include "memory/notes.h"
#include "memory/type.h"
#include "mutator/heap.h"

enum site_kind { SITE_TYPED, SITE_ARRAY, SITE_FLEX, SITE_BYTES, SITE_RAW };

struct site_type {
    enum site_kind kind;
    const gc_type *type;    /* of the object, its head, or its elements; NULL: bytes */
    const gc_type *element; /* SITE_FLEX */
};

/* Equal ones are kept once. With the switch types alone only the type is noted. */
struct site {
    struct site_type of;
    uint64_t thread; /* os_id; 0: only the type is known */
    char name[32];   /* the thread's */
    struct callers place;
};

/* When there are so many, objects of new sites are not named any more. */
#define SITES_MAX ((uint32_t)1 << 16)

struct sites {
    struct lock lock; /* LOCK_NOTES */
    uint32_t n;       /* under lock; site 0 is none */
    struct site *all; /* SITES_MAX of them, mapped; [1, n] never change */
    uint32_t *table;  /* twice as many: numbers by hash; under lock */
};

/* They are heap->sites from then on. false: no memory. */
bool sites_create(gc_heap *heap);
void sites_destroy(gc_heap *heap);

/* Notes who allocated the object. Called by its thread. */
void site_note(gc_heap *heap, uintptr_t object, const struct site *site);
/* The switch types: notes the type of n adjacent cells, the first of which is an object. */
void site_note_cells(gc_heap *heap, uintptr_t object, size_t n, const struct site_type *type);
/* The site of an object, which may be dead; NULL: it is not known. */
const struct site *site_of(const gc_heap *heap, uintptr_t object);

/* What is known of an object's type. false: nothing. */
bool site_type_of(const gc_heap *heap, const struct gc_span *s, uintptr_t object,
                  struct site_type *known);

/* Has the embedder name a live object. Returns the length of the name; 0: it has none. */
size_t site_describe(const gc_heap *heap, uintptr_t object, char *text, size_t room);
/* Writes "struct node", "array of pointer" or "object of class 5", and behind it the embedder's
 * name for the object: `struct closure "fib"`. Returns `text`. */
const char *site_object_text(const gc_heap *heap, uintptr_t object, char *text, size_t room);
/* The same of a word in the object: "struct node.next", "array of struct pair [2].left", "struct
 * node + 8". */
const char *site_word_text(const gc_heap *heap, uintptr_t object, uintptr_t at, char *text,
                           size_t room);
/* The word's place alone: "next", "[2].left", "+ 8". */
const char *site_field_text(const gc_heap *heap, uintptr_t object, uintptr_t at, char *text,
                            size_t room);
/* An address in the function in whose frame `at` lies; of what lies farther in, in the innermost
 * one of the program. 0: the thread has not noted where it stands, or `at` lies farther out. */
uintptr_t site_function_at(const gc_thread *t, uintptr_t at);
/* The name of that function, or NULL. Returns `text`. */
const char *site_function_text(const gc_thread *t, uintptr_t at, char *text, size_t room);

#endif
