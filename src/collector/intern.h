/* Intern tables: canonical objects by content. The hash chooses one of several tables, so that
 * threads that add objects seldom meet at a lock. */
#ifndef GC_INTERN_H
#define GC_INTERN_H

#include "collector/interntable.h"

#define INTERN_TABLES 16

struct gc_intern {
    struct weakset set; /* first */
    struct gc_intern_ops ops;
    struct interntable tables[INTERN_TABLES];
};

/* NULL: no memory. */
gc_intern *intern_new(gc_heap *heap, const struct gc_intern_ops *ops);
/* The canonical object; NULL with errno. */
void *intern_get(gc_thread *t, gc_intern *in, const void *key, size_t size, void *arg);
size_t intern_count(const gc_intern *in);

#endif
