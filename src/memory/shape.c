#include "memory/shape.h"

static struct cell_shape shapes[RUN_BLOCKS];
static unsigned shape_count;

static bool same_fill(const struct cell_fill *a, const struct cell_fill *b)
{
    return a->head == b->head && a->rest == b->rest && a->head_words == b->head_words;
}

static struct cell_shape *with_mask(const word *mask, const struct cell_fill *fill)
{
    for (struct cell_shape *s = shapes; s < shapes + shape_count; s++) {
        if (memcmp(s->mask, mask, sizeof s->mask) == 0 && same_fill(&s->fill, fill))
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

struct cell_shape *shape_take(const word *mask, struct cell_fill fill)
{
    struct cell_shape *s = with_mask(mask, &fill);
    if (!s && ((s = without_users()) || (s = one_more()))) {
        memcpy(s->mask, mask, sizeof s->mask);
        s->fill = fill;
    }
    if (s)
        s->users++;
    return s;
}

void shape_drop(struct cell_shape *shape)
{
    if (shape)
        shape->users--;
}
