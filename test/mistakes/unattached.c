/* A thread allocates without having attached to a heap. */
#include "mistake.h"
#include <pthread.h>

static void *work(void *unused)
{
    (void)unused;
    new_node(1); /* the mistake: no gc_thread_attach() */
    return NULL;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    gc_blocking_begin();
    pthread_join(thread, NULL);
    gc_blocking_end();
    return end(heap, "threads", 1, 1);
}
