/* Messages to the embedder. */
#ifndef GC_LOG_H
#define GC_LOG_H

#include "mutator/heap.h"

/* Passes one line to the embedder's log function. Writes it to standard error if there is none, or
 * no heap (NULL). */
void log_write(const gc_heap *heap, enum gc_log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
