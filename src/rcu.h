/* What the table of rooted globals asks of liburcu, by that library's names: a hash table that is
 * read while it changes, and grace periods.
 *
 * With GC_NO_URCU, for builds without dependencies, the same from one mutex: a read section holds
 * it, and all that is done to a table is done in read sections. So who changes the table waits
 * while the collector visits it. */
#ifndef GC_RCU_H
#define GC_RCU_H

#include "lock.h"

/* Sanitizers do not see into liburcu: these tell them that a node is published by whoever adds it,
 * and found by whoever reads the table. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define RCU_PUBLISHED(node) __tsan_release(node)
#define RCU_FOUND(node) __tsan_acquire(node)
#endif
#endif
#ifndef RCU_FOUND
#define RCU_PUBLISHED(node) ((void)(node))
#define RCU_FOUND(node) ((void)(node))
#endif

#ifndef GC_NO_URCU
#include <urcu/urcu-bp.h>
#include <urcu/rculfhash.h>
#else

struct cds_lfht_node {
    struct cds_lfht_node *next;
    unsigned long hash;
};

struct cds_lfht {
    size_t nbuckets; /* a power of two */
    struct cds_lfht_node **buckets;
};

struct cds_lfht_iter {
    size_t bucket;
    struct cds_lfht_node *node;
};

typedef int (*cds_lfht_match_fct)(struct cds_lfht_node *node, const void *key);

extern struct lock rcu_lock;

INLINE void urcu_bp_read_lock(void)
{
    lock_seize(&rcu_lock);
}
INLINE void urcu_bp_read_unlock(void)
{
    lock_free(&rcu_lock);
}
/* Who has begun to read has ended. */
INLINE void urcu_bp_synchronize_rcu(void)
{
    urcu_bp_read_lock();
    urcu_bp_read_unlock();
}

#define cds_lfht_new_flavor(init, min, max, flags, flavor, attr) rcu_table_new(init)
struct cds_lfht *rcu_table_new(size_t nbuckets);
/* Outside read sections. As it is if there is no memory. */
void cds_lfht_resize(struct cds_lfht *table, unsigned long nbuckets);
int cds_lfht_destroy(struct cds_lfht *table, void *unused);

INLINE void cds_lfht_node_init(struct cds_lfht_node *node)
{
    node->next = NULL;
}
struct cds_lfht_node *cds_lfht_add_unique(struct cds_lfht *table, unsigned long hash,
                                          cds_lfht_match_fct match, const void *key,
                                          struct cds_lfht_node *node);
void cds_lfht_lookup(struct cds_lfht *table, unsigned long hash, cds_lfht_match_fct match,
                     const void *key, struct cds_lfht_iter *iter);
int cds_lfht_del(struct cds_lfht *table, struct cds_lfht_node *node);
void cds_lfht_first(struct cds_lfht *table, struct cds_lfht_iter *iter);
void cds_lfht_next(struct cds_lfht *table, struct cds_lfht_iter *iter);
INLINE struct cds_lfht_node *cds_lfht_iter_get_node(const struct cds_lfht_iter *iter)
{
    return iter->node;
}

/* The body may take the node out, and may not free it. */
#define cds_lfht_for_each(table, iter, at)                                                         \
    for (cds_lfht_first(table, iter); ((at) = (iter)->node) != NULL; cds_lfht_next(table, iter))

#endif
#endif
