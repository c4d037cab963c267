/* Binary tree nodes of 24 bytes, made bottom up. */
#ifndef BENCH_NODES_H
#define BENCH_NODES_H

#include "../harness.h"

struct node {
    struct node *left, *right;
    uint64_t value;
};
BM_TYPE(node_type, struct node, left, right);

static inline struct node *leaf_new(void)
{
    struct node *n = BM_NEW(struct node, node_type);
    n->left = n->right = NULL;
    n->value = 1;
    return n;
}

/* A full tree of 2^(depth + 1) - 1 nodes. */
static inline struct node *tree_new(int depth)
{
    if (depth == 0)
        return leaf_new();
    struct node *left = NULL, *right = NULL;
    BM_ROOTS(left, right);
    left = tree_new(depth - 1);
    right = tree_new(depth - 1);
    struct node *n = BM_NEW(struct node, node_type);
    n->left = left;
    n->right = right;
    n->value = 1;
    return n;
}

/* Its number of nodes. */
static inline uint64_t tree_count(const struct node *n)
{
    return n->left ? n->value + tree_count(n->left) + tree_count(n->right) : n->value;
}

static inline void tree_free(struct node *n)
{
    if (!BM_COLLECTS && n) {
        tree_free(n->left);
        tree_free(n->right);
        BM_FREE(n);
    }
}

#endif
