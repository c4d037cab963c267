/* The marking of a cycle as a whole: the credit of allocations, and the helper threads, which mark
 * beside the driver. */
#ifndef GC_MARKING_H
#define GC_MARKING_H

#include "collector/mark.h"

/* Makes what was marked since the last call, and not owed, a credit for allocations. */
void marking_give_credit(struct marking *marking, struct marker *m);
/* Takes up to `bytes` of that credit; returns how many. */
uint64_t marking_take_credit(struct marking *marking, uint64_t bytes);

/* Called when a cycle begins. `whole`: it uses all processors. */
void marking_begin(struct marking *marking, bool whole);
/* Calls as many helpers as may work beside the driver, if the heap is large enough. They work until
 * marking_end. */
void marking_call_helpers(gc_heap *heap, struct marking *marking);
void marking_end(gc_heap *heap, struct marking *marking);
void marking_stop_helpers(struct marking *marking);

#define MARKING_FORK_RANKS 0
extern const struct fork_part marking_fork;

#endif
