#include "memory/shape.h"

static struct cell_shape shapes[RUN_BLOCKS];
static unsigned shape_count;

static struct cell_shape *with_mask(const word *mask)
{
    for (struct cell_shape *s = shapes; s < shapes + shape_count; s++) {
        if (memcmp(s->mask, mask, sizeof s->mask) == 0)
            return s;
    }
    return NULL;
}

static struct cell_shape *without_users(void)
{
    for (struct cell_shape *s = shapes; s < shapes + shape_count; s++) {
        if (s->users == 0)
            return s;
    }
    return NULL;
}

static struct cell_shape *one_more(void)
{
    unsigned runs = runindex_take_block();
    if (!runs)
        return NULL;
    shapes[shape_count].runs = runs;
    return &shapes[shape_count++];
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
