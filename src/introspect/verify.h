/* Whole-heap checks: structures, and a second marking with the world held. */
#ifndef GC_VERIFY_H
#define GC_VERIFY_H

#include "mutator/handshake.h"

/* Do what debug switches ask for, when marking has ended (before DISARM), and after FLIP. The
 * cycle's driver calls them. If `missed` is not NULL there is a second marking, whatever the
 * switches say, and *missed is what it found. */
void verify_after_mark(gc_heap *heap, unsigned *missed);
void verify_after_cycle(gc_heap *heap);

/* Checks every structure against the others, and that every reference leads to an object. World
 * held, everything swept; flushes the mcaches. Returns the number of faults, and writes the first
 * few to the log. */
unsigned verify_heap(gc_heap *heap);
/* Marks a second time, from the same roots. Returns how many objects the first marking missed.
 * World held, between the end of marking and DISARM. */
unsigned verify_marks(gc_heap *heap);

/* Calls fn for each allocated object, lowest address first, until it returns false. World held,
 * everything swept, mcaches flushed. */
void verify_each_object(gc_heap *heap, bool (*fn)(void *arg, struct gc_span *s, uintptr_t object),
                        void *arg);
void verify_flush_caches(gc_heap *heap);

#endif
