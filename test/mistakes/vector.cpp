/* A `std::vector` holds the only references. */
#include "mistake.h"
#include <vector>

static void fill(std::vector<node *> &nodes)
{
    for (long i = 0; i < 100; i++)
        nodes.push_back(new_node(i)); // the mistake: no gc::handle<node>
}

int main()
{
    gc_heap *heap = gc_heap_create(nullptr);
    std::vector<node *> nodes;
    long total = 0;
    fill(nodes);
    meanwhile();
    for (const node *each : nodes)
        total += each->number;
    return end(heap, "the sum", total, 4950);
}
