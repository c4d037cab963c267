/* A text that goes to a function of the embedder's, in pieces of up to OUTPUT_PIECE bytes. No heap
 * state. */
#ifndef GC_OUTPUT_H
#define GC_OUTPUT_H

#include "gcheap.h"
#include "base/base.h"

#define OUTPUT_PIECE 1024

struct output {
    gc_write_fn write;
    void *arg;
    int error; /* what the function returned; it is not called again then */
    size_t n;
    char piece[OUTPUT_PIECE];
};

void output_begin(struct output *o, gc_write_fn write, void *arg);
/* At most OUTPUT_PIECE - 1 bytes; what is longer is cut. */
void output_print(struct output *o, const char *format, ...) PRINTF_LIKE(2, 3);
/* Nanoseconds as seconds, with a point in every locale. */
void output_seconds(struct output *o, uint64_t ns);
/* A string between quotation marks, as JSON, Prometheus and C read it. A long one is cut. */
void output_quoted(struct output *o, const char *text);
/* Returns 0, or the error. */
int output_end(struct output *o);

#endif
