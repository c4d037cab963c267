#include "introspect/maplist.h"
#include "base/bits.h"
#include "base/os.h"

#define ROOM_AT_FIRST 4096

static size_t bytes_for(const struct maplist *l, size_t room)
{
    return align_up(room * l->item, os_page_size());
}

static bool make_list_room(struct maplist *l)
{
    size_t wanted = l->room ? 2 * l->room : ROOM_AT_FIRST;
    void *more = os_map(bytes_for(l, wanted));
    if (!more)
        return false;
    if (l->room) {
        memcpy(more, l->items, l->n * l->item);
        os_unmap(l->items, bytes_for(l, l->room));
    }
    l->items = more;
    l->room = wanted;
    return true;
}

void *maplist_add(struct maplist *l)
{
    if (l->n == l->room && !make_list_room(l))
        return NULL;
    return (char *)l->items + l->n++ * l->item;
}

void maplist_free(struct maplist *l)
{
    if (l->room)
        os_unmap(l->items, bytes_for(l, l->room));
}
