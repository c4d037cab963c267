/* Whole-heap checks: structures, and a second marking with the world held. */
#ifndef GC_VERIFY_H
#define GC_VERIFY_H

#include "collector/collector.h"

/* Debug switches: when marking has ended, before DISARM; and after FLIP. The cycle's driver. */
void verify_after_mark(gc_heap *heap);
void verify_after_cycle(gc_heap *heap);

/* Every structure against every other, and every reference against the object it leads to. World
 * held, everything swept; flushes the mcaches. Returns the number of faults, the first few of
 * which are told in the log. */
unsigned verify_heap(gc_heap *heap);
/* Marks a second time, from the same roots, and tells what the first marking missed: the number of
 * such objects. World held, between the end of marking and DISARM. */
unsigned verify_marks(gc_heap *heap);

/* Calls fn for each allocated object, lowest address first, until it returns false. World held,
 * everything swept, mcaches flushed. */
void verify_each_object(gc_heap *heap, bool (*fn)(void *arg, struct gc_span *s, uintptr_t object),
                        void *arg);
void verify_flush_caches(gc_heap *heap);

#endif
