/* The statistics of a heap as a text that Prometheus reads. */
#ifndef GC_METRICS_H
#define GC_METRICS_H

#include "allocator/mcentral.h"
#include "base/output.h"

void metrics_print(struct output *o, const struct gc_statistics *stats,
                   const struct class_objects classes[SIZECLASS_COUNT]);

#endif
