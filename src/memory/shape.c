#include "memory/shape.h"

static struct cell_shape *shapes; /* there are RUN_BLOCKS at most */

static struct cell_shape *with_mask(const word *mask)
{
    struct cell_shape *s = shapes;
    while (s && memcmp(s->mask, mask, sizeof s->mask) != 0)
        s = s->next;
    return s;
}

static struct cell_shape *without_users(void)
{
    struct cell_shape *s = shapes;
    while (s && s->users > 0)
        s = s->next;
    return s;
}

static struct cell_shape *one_more(void)
{
    struct cell_shape *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->runs = runindex_take_block();
    if (!s->runs) {
        free(s);
        return NULL;
    }
    s->next = shapes;
    shapes = s;
    return s;
}

struct cell_shape *shape_take(const word *mask)
{
    struct cell_shape *s = with_mask(mask);
    if (!s && ((s = without_users()) || (s = one_more())))
        memcpy(s->mask, mask, sizeof s->mask);
    if (s)
        s->users++;
    return s;
}

void shape_drop(struct cell_shape *shape)
{
    if (shape)
        shape->users--;
}
