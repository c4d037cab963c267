/* A thread computes for long without a safepoint. */
#include "slow.h"

static void *compute(void *heap)
{
    gc_thread_attach(heap);
    gc_thread_name("worker");
    while (!is_told())
        ; /* the mistake: no gc_safepoint() */
    gc_thread_detach();
    return NULL;
}

int main(void)
{
    return run_beside(compute);
}
