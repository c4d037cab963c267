/* Fibers that belong to objects. A fiber refers weakly to its owner, and the owner refers to what
 * the fiber holds while it is suspended: it is the value of an entry of a weak map whose key is the
 * owner (I57). A thread that goes on in such a fiber reads the weak reference, and then holds the
 * owner until it leaves the fiber.
 *
 * All calls take fibers without an owner, too. */
#ifndef GC_OWNED_H
#define GC_OWNED_H

#include "collector/special.h"
#include "mutator/fiber.h"

/* A fiber whose owner is `object`; the caller holds it. NULL with errno. */
gc_fiber *owned_create(gc_thread *t, const void *object);
/* As fiber_switch. Returns 0; -EINVAL: the owner is dead; -EBUSY. */
int owned_switch(gc_thread *t, gc_fiber *fiber, uintptr_t caller);
/* As fiber_destroy. */
int owned_destroy(gc_thread *t, gc_fiber *fiber);
#endif
