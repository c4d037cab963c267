/* The binary trees that bench/overhead measures: trees DEPTH [profile|events]
 * Trees are built, checked and dropped; one stays. */
#include <gcheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *left, *right;
};
static GC_TYPE(node_type, struct node, left, right);

static struct node *build(int depth)
{
    struct node *n = NULL, *left = NULL, *right = NULL;
    GC_FRAME(left, right);
    if (depth > 0) {
        left = build(depth - 1);
        right = build(depth - 1);
    }
    n = gc_new(&node_type);
    n->left = left;
    n->right = right;
    return n;
}

static long check(const struct node *n)
{
    return n->left ? 1 + check(n->left) + check(n->right) : 1;
}

/* As in the Computer Language Benchmarks Game. */
static long trees(int depth)
{
    long sum = 0;
    struct node *kept = build(depth);
    GC_FRAME(kept);
    for (int d = 4; d <= depth; d += 4)
        for (int i = 0; i < 1 << (depth - d + 4); i++)
            sum += check(build(d));
    return sum + check(kept);
}

int main(int argc, char **argv)
{
    gc_heap *heap = gc_heap_create(NULL);
    const char *what = argc > 2 ? argv[2] : "";
    if (argc < 2 || !heap)
        return 2;
    if (strcmp(what, "profile") == 0)
        gc_profile_record(&(struct gc_profile_options){.seed = 1});
    if (strcmp(what, "events") == 0)
        gc_events_record(true);
    printf("%ld nodes\n", trees(atoi(argv[1])));
    return gc_heap_destroy(heap);
}
