#include "rcu.h"

#ifdef GC_NO_URCU

struct lock rcu_lock = LOCK_INIT(LOCK_ROOTS);

struct cds_lfht *rcu_table_new(size_t nbuckets)
{
    struct cds_lfht *table = malloc(sizeof *table);
    struct cds_lfht_node **buckets = calloc(nbuckets, sizeof *buckets);
    if (!table || !buckets) {
        free(table);
        free(buckets);
        return NULL;
    }
    *table = (struct cds_lfht){nbuckets, buckets};
    return table;
}

static struct cds_lfht_node **bucket_of(struct cds_lfht *table, unsigned long hash)
{
    return &table->buckets[hash & (table->nbuckets - 1)];
}

static void push(struct cds_lfht *table, struct cds_lfht_node *node)
{
    struct cds_lfht_node **bucket = bucket_of(table, node->hash);
    node->next = *bucket;
    *bucket = node;
}

void cds_lfht_resize(struct cds_lfht *table, unsigned long nbuckets)
{
    struct cds_lfht old = *table;
    struct cds_lfht_node **buckets = calloc(nbuckets, sizeof *buckets), *node;
    if (!buckets)
        return;
    urcu_bp_read_lock();
    *table = (struct cds_lfht){nbuckets, buckets};
    for (size_t i = 0; i < old.nbuckets; i++) {
        while ((node = old.buckets[i]) != NULL) {
            old.buckets[i] = node->next;
            push(table, node);
        }
    }
    urcu_bp_read_unlock();
    free(old.buckets);
}

int cds_lfht_destroy(struct cds_lfht *table, void *unused)
{
    (void)unused;
    free(table->buckets);
    free(table);
    return 0;
}

void cds_lfht_lookup(struct cds_lfht *table, unsigned long hash, cds_lfht_match_fct match,
                     const void *key, struct cds_lfht_iter *iter)
{
    iter->bucket = hash & (table->nbuckets - 1);
    iter->node = *bucket_of(table, hash);
    while (iter->node && !(iter->node->hash == hash && match(iter->node, key)))
        iter->node = iter->node->next;
}

struct cds_lfht_node *cds_lfht_add_unique(struct cds_lfht *table, unsigned long hash,
                                          cds_lfht_match_fct match, const void *key,
                                          struct cds_lfht_node *node)
{
    struct cds_lfht_iter iter;
    cds_lfht_lookup(table, hash, match, key, &iter);
    if (iter.node)
        return iter.node;
    node->hash = hash;
    push(table, node);
    return node;
}

/* The node keeps its link, for an iteration that stands on it. */
int cds_lfht_del(struct cds_lfht *table, struct cds_lfht_node *node)
{
    struct cds_lfht_node **link = bucket_of(table, node->hash);
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    return 0;
}

static void find_bucket(const struct cds_lfht *table, struct cds_lfht_iter *iter)
{
    while (!iter->node && ++iter->bucket < table->nbuckets)
        iter->node = table->buckets[iter->bucket];
}

void cds_lfht_first(struct cds_lfht *table, struct cds_lfht_iter *iter)
{
    *iter = (struct cds_lfht_iter){0, table->buckets[0]};
    find_bucket(table, iter);
}

void cds_lfht_next(struct cds_lfht *table, struct cds_lfht_iter *iter)
{
    iter->node = iter->node->next;
    find_bucket(table, iter);
}

#else
/* ISO C wants a declaration in every file. */
extern struct lock rcu_lock;
#endif
