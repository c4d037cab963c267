/* What the programs of this folder share. Each makes one mistake of an embedder. It exits with 0 if
 * its result is right even so, and with 1 if it is wrong. */
#ifndef MISTAKE_H
#define MISTAKE_H

#include <gcheap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    long number;
};
static GC_TYPE(node_type, struct node, next);

static inline struct node *new_node(long number)
{
    struct node *node = (struct node *)gc_new(&node_type);
    node->number = number;
    return node;
}

/* A collection comes, and other objects take the place of the dead ones. */
static inline void meanwhile(void)
{
    gc_collect();
    for (int i = 0; i < 5000; i++) {
        new_node(-7);
        gc_new_bytes(40);
    }
}

/* A list that was overwritten may have become a ring. */
static inline long sum(const struct node *list)
{
    long total = 0, length = 0;
    for (; list && length < 1000000; list = list->next, length++)
        total += list->number;
    return total;
}

static inline int end(gc_heap *heap, const char *what, long result, long expected)
{
    printf("%s: %ld, and it should be %ld\n", what, result, expected);
    gc_heap_destroy(heap);
    return result != expected;
}

#endif
