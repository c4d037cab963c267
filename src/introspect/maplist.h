/* A list that grows. It is mapped: malloc's memory may be scanned for addresses of objects
 * (strays.h). */
#ifndef GC_MAPLIST_H
#define GC_MAPLIST_H

#include "base/base.h"

struct maplist {
    void *items;
    size_t n, room, item; /* bytes of an item */
};

/* The new last item, not yet written. NULL: no memory. */
void *maplist_add(struct maplist *l);
void maplist_free(struct maplist *l);

#endif
