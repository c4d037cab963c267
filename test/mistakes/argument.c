/* The result of a call is an argument of another call, and nothing roots it until then. */
#include "mistake.h"

struct pair {
    struct pair *left, *right;
    long number;
};
static GC_TYPE(pair_type, struct pair, left, right);

static struct pair *pair(struct pair *left, struct pair *right)
{
    struct pair *p = NULL;
    GC_FRAME(left, right);
    gc_collect();
    for (int i = 0; i < 20000; i++) /* others take the place of the dead */
        p = gc_new(&pair_type);
    p->left = left;
    p->right = right;
    p->number = 1;
    return p;
}

static long count(const struct pair *p)
{
    return p ? p->number + count(p->left) + count(p->right) : 0;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct pair *top = NULL;
    GC_FRAME(top);
    for (int i = 0; i < 10; i++)
        top = pair(pair(NULL, NULL), pair(NULL, NULL)); /* the mistake: one is not in a frame */
    return end(heap, "pairs", count(top), 3);
}
