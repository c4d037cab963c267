/* The statistics of a heap as a text that Prometheus reads. */
#ifndef GC_METRICS_H
#define GC_METRICS_H

#include "base/output.h"

void metrics_print(struct output *o, const struct gc_statistics *stats);

#endif
