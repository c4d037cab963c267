/* What debug switches note of each word of an arena. A heap without such switches has none of it.
 */
#ifndef GC_NOTES_H
#define GC_NOTES_H

#include "memory/arena.h"

/* The arena's notes, which are made at the first call. NULL: no memory. Any thread. */
struct arena_notes *notes_make(struct arena *a);
/* The arena's notes; NULL: there are none. */
INLINE struct arena_notes *notes_of(const struct arena *a)
{
    return ptr_load_acquire(&a->notes);
}

/* Whether the object at `base` is in quarantine. */
INLINE bool notes_is_dead(const struct arena *a, uintptr_t base)
{
    const struct arena_notes *notes = notes_of(a);
    return UNLIKELY(notes != NULL) && bits_test(notes->dead, arena_bit(base));
}

#endif
