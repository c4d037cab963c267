/* The event trace as a text: JSON that Perfetto and Chrome's chrome://tracing show. Each thread has
 * a track of what it did for the collector, and each heap one of its cycles and their steps. */
#ifndef GC_TIMELINE_H
#define GC_TIMELINE_H

#include "base/output.h"
#include "mutator/heap.h"

/* A thread that has a name. */
struct timeline_thread {
    uint64_t id;
    char name[32];
};
/* The threads of the library's are known. */
void timeline_print(struct output *o, const struct timeline_thread *threads, size_t n);

#endif
