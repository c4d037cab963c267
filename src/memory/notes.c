#include "memory/notes.h"

#define NOTES_BYTES align_up(sizeof(struct arena_notes), os_page_size())

struct arena_notes *notes_make(struct arena *a)
{
    struct arena_notes *notes = notes_of(a), *made;
    if (notes)
        return notes;
    made = os_map(NOTES_BYTES);
    if (!made)
        return NULL;
    os_small_pages(made, NOTES_BYTES); /* few of them are touched */
    if (ptr_cas_release(&a->notes, &notes, made))
        return made;
    os_unmap(made, NOTES_BYTES);
    return notes_of(a);
}
