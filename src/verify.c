#include "verify.h"

void verify_after_mark(gc_heap *heap) { (void)heap; }

unsigned verify_heap(gc_heap *heap)
{
    (void)heap;
    return 0;
}
