/* steps.h: the Lisp as it would be in the middle of a port to the heap (docs/porting.md). Compile
 * it with -include examples/lisp/steps.h and
 *
 *   -DSTEP=1  the world is held and C stacks are scanned: no local is named, no store has a barrier
 *   -DSTEP=2  the world is held: locals are named
 *   -DSTEP=3  the collector runs beside the program, and stores have the barrier of a collector of
 *             one's own: before an object is written to, as a whole
 *
 * The Lisp as it stands is the last step, in which stores are gc_store().
 * SPDX-License-Identifier: MIT
 */
#ifndef LISP_STEPS_H
#define LISP_STEPS_H

#include <gcheap.h>

#if STEP == 1
#undef GC_FRAME
#define GC_FRAME(...) ((void)0)
#define STEP_FLAGS (GC_STOP_WORLD | GC_STACK_CONSERVATIVE)
#elif STEP == 2
#define STEP_FLAGS GC_STOP_WORLD
#else
#define STEP_FLAGS 0
#endif

static inline gc_heap *step_heap_create(const gc_options *options)
{
    gc_options o = *options;
    o.flags |= STEP_FLAGS;
    return gc_heap_create(&o);
}
#define gc_heap_create step_heap_create

/* A virtual machine calls this at the beginning of each function that changes an object. Registers
 * are no objects. */
static inline void step_before_write(void *slot)
{
    if (gc_heap_contains(gc_heap_current(), slot))
        gc_before_write(slot);
    else
        gc_before_write_range(slot, sizeof(void *));
}

static inline void step_store(void *slot, void *value)
{
    if (STEP > 2)
        step_before_write(slot);
    *(void *__attribute__((may_alias)) *)slot = value;
}
#define gc_store step_store

#endif
