/* Messages to the embedder. */
#ifndef GC_LOG_H
#define GC_LOG_H

#include "mutator/heap.h"

/* Says one line to the embedder's log function, or to standard error, as for no heap (NULL). */
void log_write(const gc_heap *heap, enum gc_log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
