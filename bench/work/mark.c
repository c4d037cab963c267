/* Full collections of a heap that is all alive. Shape 0: a binary tree of the given depth (22:
 * 8.4 million nodes of 24 bytes), as allocated: neighbours in the tree are neighbours in memory.
 * Shape 1: nodes with two random neighbours each: nothing is where the cache expects it. The first
 * neighbours form one random cycle through all nodes, so one root reaches every one. */
#include "nodes.h"

#include <stdio.h>
#include <stdlib.h>

enum { COLLECTIONS_MAX = 64 };

/* A random permutation of 0 … n-1 that is one cycle (Sattolo). Off the heap. */
static uint32_t *random_cycle(size_t n, struct random *r)
{
    uint32_t *next = malloc(n * sizeof *next);
    if (!next)
        fail("out of memory");
    for (size_t i = 0; i < n; i++)
        next[i] = (uint32_t)i;
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = random_below(r, i);
        uint32_t t = next[i];
        next[i] = next[j];
        next[j] = t;
    }
    return next;
}

static void link_nodes(struct node **all, size_t n)
{
    struct random r = {42};
    uint32_t *next = random_cycle(n, &r);
    for (size_t i = 0; i < n; i++) {
        BM_STORE(&all[i]->left, all[next[i]]);
        BM_STORE(&all[i]->right, all[random_below(&r, n)]);
        if (i % 1024 == 0)
            bm_poll();
    }
    free(next);
}

/* noinline: when it returns, the table of all nodes is gone. */
static __attribute__((noinline)) struct node *graph_new(size_t n)
{
    struct node **all = (struct node **)BM_POINTERS(n);
    BM_ROOTS(all);
    for (size_t i = 0; i < n; i++)
        BM_STORE(&all[i], leaf_new());
    link_nodes(all, n);
    return all[0];
}

/* The nodes on the cycle of first neighbours. */
static uint64_t graph_count(const struct node *start)
{
    uint64_t count = 0;
    const struct node *n = start;
    do {
        count += n->value;
        n = n->left;
    } while (n != start);
    return count;
}

static void time_collections(int n, uint64_t objects)
{
    double wall[COLLECTIONS_MAX], cpu[COLLECTIONS_MAX];
    for (int i = 0; i < n; i++) {
        uint64_t t0 = now_ns(), cpu0 = cpu_ns();
        bm_collect();
        cpu[i] = (double)(cpu_ns() - cpu0) / (double)objects;
        wall[i] = (double)(now_ns() - t0) / (double)objects;
    }
    result("time", median(wall, n), "ns/object");
    result("cpu", median(cpu, n), "ns/object");
}

void run_mark(void)
{
    struct node *root = NULL;
    BM_ROOTS(root);
    if (!BM_COLLECTS)
        fail("nothing is collected here");
    long graph = parameter("graph", 0);
    long size = graph ? parameter("nodes", 4 * 1000 * 1000) : parameter("depth", 22);
    bm_mark_in_parallel();
    int collections = (int)parameter("collections", 5);
    if (collections < 1 || collections > COLLECTIONS_MAX)
        fail("1 to 64 collections");
    root = graph ? graph_new((size_t)size) : tree_new((int)size);
    uint64_t objects = graph ? (uint64_t)size : ((uint64_t)2 << size) - 1;
    bm_collect();
    time_collections(collections, objects);
    check(graph ? graph_count(root) : tree_count(root));
}
