/* A heap dump: a text file of all objects, their types, what they refer to, and the roots.
 * docs/heap-dump.md describes the format. */
#ifndef GC_DUMP_H
#define GC_DUMP_H

#include "introspect/verify.h"

struct dump_request {
    const char *path;
    int error; /* result: 0, or a negative errno; then there is no file */
};

/* World held, everything swept. `request`: a struct dump_request. It takes no memory of the heap,
 * and some 64 KiB of the OS. */
void dump_write(gc_heap *heap, void *request);

#endif
