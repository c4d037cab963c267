/* Objects of many shapes. Each is stamped as those of shapes.h are, and its other words without
 * references are filled from its id.
 *
 * A layout says where the references of a shape stand: `head` words, then elements at a fixed
 * distance. The numbers of an object's slots run through the head first, then through the elements.
 */
#ifndef SHADOW_LAYOUT_H
#define SHADOW_LAYOUT_H

#include "gcheap.h"
#include "random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef uintptr_t __attribute__((may_alias)) shape_word;
#define SHAPE_WORD sizeof(shape_word)

enum shape_how { SHAPE_NEW, SHAPE_ARRAY, SHAPE_FLEX, SHAPE_BYTES, SHAPE_RAW };
#define SHAPE_WORDS 256 /* of a head or an element */

struct layout {
    const char *name;
    enum shape_how how;
    gc_type *type, *element; /* element: for flexible objects */
    size_t align;
    size_t head_words; /* what stands before the elements, the stamp included */
    size_t elem_words; /* distance of two elements; 0: no elements with references */
    size_t elem_bytes; /* BYTES, RAW, or flexible objects that end in bytes: 1 */
    size_t fixed;      /* elements that every object has (NEW) */
    uint64_t head[SHAPE_WORDS / 64], elem[SHAPE_WORDS / 64]; /* where the references are */
    bool external;   /* its slots are outside the heap: see trace_external */
    bool unstamped;  /* no room for a stamp */
    bool small_slot; /* slot 0 may refer to unstamped objects, and to no others */
    unsigned weight;
    /* Computed. */
    unsigned nhead, nelem, nhead_data, nelem_data;
    uint16_t head_slots[SHAPE_WORDS], elem_slots[SHAPE_WORDS];
    uint16_t head_data[SHAPE_WORDS], elem_data[SHAPE_WORDS];
};

/* ---- The layouts that there are: layouts.c ---- */

enum {
    LAYOUT_PAIR,
    LAYOUT_MIXED,
    LAYOUT_WIDE,
    LAYOUT_REFS,
    LAYOUT_WORDS,
    LAYOUT_TRIPLES,
    LAYOUT_FLEX,
    LAYOUT_FLEX_BYTES,
    LAYOUT_BYTES,
    LAYOUT_RAW,
    LAYOUT_LINE,
    LAYOUT_PLAIN_LINE,
    LAYOUT_PAGE,
    LAYOUT_PROGRAM,
    LAYOUT_PROGRAM_LARGE,
    LAYOUT_TRACED,
    LAYOUT_TRACED_LARGE,
    LAYOUT_TRACED_EXTERNAL,
    LAYOUT_BOX,       /* unstamped: one reference */
    LAYOUT_TINY,      /* unstamped: 1…15 bytes */
    LAYOUT_HOLDER,    /* its slot 0 is for unstamped ones */
    LAYOUT_FIRST_MADE /* made at run time */
};
#define LAYOUTS_MADE 60
#define LAYOUTS (LAYOUT_FIRST_MADE + LAYOUTS_MADE)

extern struct layout layouts[LAYOUTS];
void layouts_init(uint64_t seed);

/* ---- An object as the test knows it: layout.c ---- */

struct shape {
    const struct layout *layout;
    size_t n;    /* elements behind the head */
    size_t size; /* bytes asked for */
    shape_word *external;
};

/* Computes the rest of a layout. */
void layout_finish(struct layout *l);

struct shape shape_make(const struct layout *l, size_t n);
/* Whether the collector looks for references in it. */
bool shape_is_scanned(const struct shape *s);
size_t shape_slots(const struct shape *s);
shape_word *shape_slot(const struct shape *s, void *object, size_t i);

/* Allocates an object; NULL as the library says. */
void *shape_allocate(const struct shape *s);
/* Stamps and fills it. */
void shape_write(const struct shape *s, void *object, uint64_t id);
/* These return NULL, or what is wrong. Fresh memory is aligned, and zero if it is to be. */
const char *shape_check_fresh(const struct shape *s, const void *object);
const char *shape_check(const struct shape *s, void *object, uint64_t id);

#endif
