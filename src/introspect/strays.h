/* The switch roots: finds objects that only C memory holds, which means that a root is missing.
 *
 * When marking would end, the C stacks, the registers and the static data are scanned
 * conservatively (roots=2: malloc's memory as well). An unmarked object to which a word leads is a
 * stray. It is marked, so that the program goes on. A word may be left over, so one stray alone
 * tells nothing. What tells is a stray that stays one for several cycles, or one that the program
 * uses again: it stores the object, or a root reaches it in the next cycle. */
#ifndef GC_STRAYS_H
#define GC_STRAYS_H

#include "collector/mark.h"
#include "introspect/checks.h"

/* More are kept alive, but not told. */
#define STRAYS_MAX ((size_t)1 << 14)

struct strays;
/* false: no memory. */
bool strays_create(gc_heap *heap);
void strays_destroy(gc_heap *heap);

/* Called when a wave was clean: marks the strays, once for each cycle. Returns whether there are
 * any; then marking goes on. */
bool strays_mark(gc_heap *heap, struct marker *m);

/* The thread is about to store. */
void strays_stored(gc_thread *t, const struct checks_stored *stored);
/* A weak reference, a weak map, an intern table or a weak slot gives the program an object. None of
 * these keeps it, so no root was missing. */
void strays_excuse(const gc_heap *heap, word value);
/* Clears `bytes` at p, and the stack below the caller's frame: a frame of the program that comes to
 * lie there would seem to hold the objects whose addresses the library, or a call that has ended,
 * has left. */
void strays_wipe(void *p, size_t bytes);

#endif
