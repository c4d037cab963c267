#include "memory/persistent.h"
#include "base/os.h"

#define CHUNK_SIZE ((size_t)256 << 10)
/* Larger requests get a chunk of their own, so that the rest of the newest chunk is not lost. */
#define SHARED_MAX (CHUNK_SIZE / 4)

struct persistent_chunk {
    struct persistent_chunk *next;
    size_t size; /* mapped, with this header */
};

void persistent_init(struct persistent *p)
{
    *p = (struct persistent){0};
    lock_init(&p->lock, LOCK_PERSISTENT);
}

void persistent_destroy(struct persistent *p)
{
    for (struct persistent_chunk *c = p->chunks, *next; c; c = next) {
        next = c->next;
        os_unmap(c, c->size);
    }
    persistent_init(p);
}

static struct persistent_chunk *add_chunk_locked(struct persistent *p, size_t size)
{
    struct persistent_chunk *c = os_map(size);
    if (!c)
        return NULL;
    c->next = p->chunks;
    c->size = size;
    p->chunks = c;
    word_store_relaxed(&p->bytes, p->bytes + size);
    return c;
}

static void *alloc_alone_locked(struct persistent *p, size_t size, size_t align)
{
    size_t header = align_up(sizeof(struct persistent_chunk), align);
    if (size > SIZE_MAX / 2)
        return NULL;
    char *c = (char *)add_chunk_locked(p, align_up(header + size, os_page_size()));
    return c ? c + header : NULL;
}

static void *alloc_shared_locked(struct persistent *p, size_t size, size_t align)
{
    size_t gap = -(uintptr_t)p->cursor & (align - 1);
    if (gap + size > (size_t)(p->limit - p->cursor)) {
        char *c = (char *)add_chunk_locked(p, CHUNK_SIZE);
        if (!c)
            return NULL;
        p->cursor = c;
        p->limit = c + CHUNK_SIZE;
        gap = align_up(sizeof(struct persistent_chunk), align);
    }
    char *start = p->cursor + gap;
    p->cursor = start + size;
    return start;
}

void *persistent_alloc(struct persistent *p, size_t size, size_t align)
{
    ASSERT(is_power_of_two(align) && align <= os_page_size());
    lock_acquire(&p->lock);
    void *result = size > SHARED_MAX ? alloc_alone_locked(p, size, align)
                                     : alloc_shared_locked(p, size, align);
    lock_release(&p->lock);
    return result;
}
