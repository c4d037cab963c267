/* A field holds the end of an object, and nothing holds the object. */
#include "mistake.h"

struct cursor {
    const char *end; /* the mistake: no field for the start, and no GC_TFLAG_ENDS */
    long length;
};
static GC_TYPE(cursor_type, struct cursor, end);

static void point_behind(struct cursor *cursor)
{
    char *text = gc_new_bytes(48);
    memset(text, 'a', 48);
    gc_store(&cursor->end, text + 48);
    cursor->length = 48;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct cursor *cursor = NULL;
    GC_FRAME(cursor);
    cursor = gc_new(&cursor_type);
    point_behind(cursor);
    gc_collect();
    for (int i = 0; i < 50000; i++)
        memset(gc_new_bytes(48), 'b', 48);
    return end(heap, "the first letter", cursor->end[-cursor->length], 'a');
}
