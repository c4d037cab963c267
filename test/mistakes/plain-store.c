/* References are moved from list to list by plain stores. */
/* By chance. */
#include "mistake.h"

enum { LISTS = 40, NODES = 4000, MOVES = 40000 };

static struct node *lists[LISTS];

static unsigned any_list(void)
{
    static unsigned seed = 1;
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % LISTS;
}

static void move_one(struct node **from, struct node **to)
{
    struct node *node = *from;
    if (!node)
        return;
    gc_store(from, node->next);
    node->next = *to; /* the mistake: no gc_store() */
    gc_store(to, node);
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    long total = 0;
    gc_root_range(lists, LISTS);
    for (long i = 0; i < NODES; i++) {
        struct node *node = new_node(1);
        node->next = lists[i % LISTS]; /* fresh: no safepoint since */
        gc_store(&lists[i % LISTS], node);
    }
    for (int i = 0; i < MOVES; i++) {
        move_one(&lists[any_list()], &lists[any_list()]);
        gc_new_bytes(1000);
    }
    for (int i = 0; i < LISTS; i++)
        total += sum(lists[i]);
    return end(heap, "nodes", total, NODES);
}
