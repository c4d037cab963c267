/* What refers to what: the references of an object, the roots, the values of weak maps and what
 * fibers with owners hold, with the place of each. Everything here runs while the world is held,
 * everything is swept, and the mcaches are flushed. */
#ifndef GC_EDGES_H
#define GC_EDGES_H

#include "introspect/site.h"
#include "mutator/root.h"

/* ---- Visits: a tracer gets each word, and its source tells where it is from ---- */

/* The references of an object. The source is the object from then on. */
void edges_visit_object(gc_heap *heap, const struct gc_span *s, uintptr_t object,
                        struct gc_tracer *tracer);
/* From where a tracer has just got a word, and where that leads. */
struct gc_edge edge_of_source(const struct gc_tracer *tracer, uintptr_t to);
/* All roots: of threads and suspended fibers, the heap's, and what finalizers keep alive. */
void edges_visit_roots(gc_heap *heap, struct gc_tracer *tracer);
/* What suspended fibers hold that have owners, if is_alive(heap, owner). */
void edges_visit_owned(gc_heap *heap, bool (*is_alive)(const gc_heap *heap, uintptr_t owner),
                       struct gc_tracer *tracer);

/* ---- Edges: references that lead to objects ---- */

/* `type`, `field` and `text` are not set; see below. */
typedef void edge_fn(void *arg, const struct gc_edge *edge);
/* Of an object, in the order of their addresses; those of a trace function come last. */
void edges_of_object(gc_heap *heap, const struct gc_span *s, uintptr_t object, edge_fn *fn,
                     void *arg);
/* Of all roots. An object to which several roots lead comes several times. */
void edges_of_roots(gc_heap *heap, edge_fn *fn, void *arg);
/* From keys to what lives as long as they do: the values of all weak maps, and what suspended
 * fibers hold whose owners the keys are. `from` may lie outside of the heap, where it lives for
 * ever. */
void edges_of_keys(gc_heap *heap, edge_fn *fn, void *arg);
INLINE bool edge_is_of_key(const struct gc_edge *edge)
{
    return edge->by == GC_IN_WEAKMAP || (edge->by == GC_IN_FIBER && edge->from);
}

/* The type of the object `from`, or of its elements. NULL: it is not known. */
const gc_type *edge_type(const gc_heap *heap, const struct gc_edge *edge);
/* The place within the object `from`: "next", "[3].value". NULL: it is not known. Returns
 * `text`. */
const char *edge_field(const gc_heap *heap, const struct gc_edge *edge, char *text, size_t room);
/* The edge without what it leads to: "struct node.next at 0xc080000010", "local 2 of the GC_FRAME
 * in build(), thread 4711 main". Returns `text`. */
const char *edge_text(const gc_heap *heap, const struct gc_edge *edge, char *text, size_t room);

/* Threads that stop note the functions that they are in, so that edge_text() can name those of
 * frames; or no longer. Counted. To be called before the world is held; who is blocked already has
 * noted none. */
void edges_name_frames(gc_heap *heap, bool on);

#endif
