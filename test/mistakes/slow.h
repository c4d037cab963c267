/* A thread that comes to no safepoint until the watchdog has named it. */
#ifndef SLOW_H
#define SLOW_H

#include "mistake.h"
#include <pthread.h>
#include <unistd.h>

static int told, wake[2];

static inline int is_told(void)
{
    return __atomic_load_n(&told, __ATOMIC_ACQUIRE);
}

static inline void tell(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused, (void)level;
    fprintf(stderr, "gcheap: %s\n", line);
    if (!strstr(line, "has not reached a safepoint"))
        return;
    __atomic_store_n(&told, 1, __ATOMIC_RELEASE);
    if (write(wake[1], "", 1) != 1)
        abort();
}

/* Collects while another thread does that. */
static inline int run_beside(void *(*slow)(void *heap))
{
    gc_options options = {.log = tell};
    gc_heap *heap = gc_heap_create(&options);
    pthread_t thread;
    if (pipe(wake) != 0 || pthread_create(&thread, NULL, slow, heap) != 0)
        return 2;
    while (!is_told())
        gc_collect();
    gc_blocking_begin();
    pthread_join(thread, NULL);
    gc_blocking_end();
    return end(heap, "threads", 1, 1);
}

#endif
