#include "memory/spanset.h"

void spanset_pool_init(struct spanset_pool *pool, struct persistent *memory)
{
    lock_init(&pool->lock, LOCK_SPANSET_POOL);
    fixalloc_init(&pool->blocks, sizeof(struct spanset_block), memory);
}

static struct spanset_block *pool_take(struct spanset_pool *pool)
{
    lock_acquire(&pool->lock);
    struct spanset_block *b = fixalloc_alloc(&pool->blocks);
    lock_release(&pool->lock);
    return b;
}

static void pool_give(struct spanset_pool *pool, struct spanset_block *b)
{
    lock_acquire(&pool->lock);
    fixalloc_free(&pool->blocks, b);
    lock_release(&pool->lock);
}

void spanset_init(struct spanset *s)
{
    *s = (struct spanset){0};
    lock_init(&s->lock, LOCK_SPANSET);
}

/* Makes sure that the top block has room. false: no memory. */
static bool make_room_locked(struct spanset *s, struct spanset_pool *pool)
{
    LOCK_ASSERT_HELD(&s->lock);
    if (s->top && s->top->n < SPANSET_BLOCK_SPANS)
        return true;
    struct spanset_block *b = s->spare ? s->spare : pool_take(pool);
    if (!b)
        return false;
    s->spare = NULL;
    b->n = 0;
    b->next = s->top;
    s->top = b;
    return true;
}

/* The set keeps one empty block, so that it leaves the pool alone when its size moves around a
 * block's edge. */
static void drop_top_locked(struct spanset *s, struct spanset_pool *pool)
{
    LOCK_ASSERT_HELD(&s->lock);
    struct spanset_block *b = s->top;
    s->top = b->next;
    if (s->spare)
        pool_give(pool, b);
    else
        s->spare = b;
}

bool spanset_push(struct spanset *s, struct spanset_pool *pool, struct gc_span *span)
{
    lock_acquire(&s->lock);
    bool pushed = make_room_locked(s, pool);
    if (pushed) {
        s->top->spans[s->top->n++] = span;
        u32_store_relaxed(&s->count, s->count + 1);
    }
    lock_release(&s->lock);
    return pushed;
}

static struct gc_span *pop_locked(struct spanset *s, struct spanset_pool *pool)
{
    LOCK_ASSERT_HELD(&s->lock);
    if (!s->top)
        return NULL;
    struct gc_span *span = s->top->spans[--s->top->n];
    if (s->top->n == 0)
        drop_top_locked(s, pool);
    u32_store_relaxed(&s->count, s->count - 1);
    return span;
}

/* Most pops find nothing, and return without taking the lock. A thread that relies on finding a
 * span is ordered after the push in some way, and so sees the count. */
struct gc_span *spanset_pop(struct spanset *s, struct spanset_pool *pool)
{
    if (spanset_count(s) == 0)
        return NULL;
    lock_acquire(&s->lock);
    struct gc_span *span = pop_locked(s, pool);
    lock_release(&s->lock);
    return span;
}
