/* A thread waits without a blocking region. */
#include "slow.h"

static void *receive(void *heap)
{
    char byte;
    gc_thread_attach(heap);
    gc_thread_name("worker");
    if (read(wake[0], &byte, 1) != 1) /* the mistake: no gc_blocking_begin() */
        abort();
    gc_thread_detach();
    return NULL;
}

int main(void)
{
    return run_beside(receive);
}
