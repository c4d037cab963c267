/* A free list. Any thread gives to it without a lock. To take from it, or to empty it, a thread
 * holds a lock of the list's owner. So no other thread takes a node and gives it back between a
 * taker's look at the first node and its compare-and-swap.
 *
 * It is liburcu's lock-free stack. With GC_ATOMICS_C11, for sanitizers and for builds without
 * dependencies, it is the same stack made of the compiler's atomics. */
#ifndef GC_FREELIST_H
#define GC_FREELIST_H

#include "base/atomics.h"

#ifndef GC_ATOMICS_C11
#include <urcu/lfstack.h>

struct freelist_node {
    struct cds_lfs_node node;
};
struct freelist {
    struct __cds_lfs_stack stack; /* zero: empty */
};

INLINE void freelist_give(struct freelist *list, struct freelist_node *n)
{
    cds_lfs_push(&list->stack, &n->node);
}
/* NULL: the list is empty. */
INLINE struct freelist_node *freelist_take(struct freelist *list)
{
    return (struct freelist_node *)__cds_lfs_pop(&list->stack);
}

#else

struct freelist_node {
    struct freelist_node *next;
};
struct freelist {
    struct freelist_node *first; /* NULL: empty */
};

INLINE void freelist_give(struct freelist *list, struct freelist_node *n)
{
    struct freelist_node *first = ptr_load_relaxed(&list->first);
    do {
        ptr_store_relaxed(&n->next, first);
    } while (!ptr_cas_release(&list->first, &first, n));
}
INLINE struct freelist_node *freelist_take(struct freelist *list)
{
    struct freelist_node *first = ptr_load_acquire(&list->first);
    while (first && !ptr_cas_acquire(&list->first, &first, ptr_load_relaxed(&first->next)))
        ;
    return first;
}

#endif

#endif
