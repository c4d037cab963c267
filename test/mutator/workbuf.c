/* The queue of grey work: what one word counts of it. */
#include "mutator/workbuf.h"
#undef CHECK
#include "tap.h"

/* A 32-bit host has memory for so many buffers: that many ranges of roots are enough for it. */
enum { MANY = (1 << 16) + 2 };

static struct workqueue q;

static void push_one(uintptr_t item)
{
    struct workbuf *b = workbuf_get(&q);
    b->items[b->n++] = item;
    workqueue_push(&q, b);
}

/* The queue is never taken for empty while it has work, nor is the marker lost that is active. */
TEST(more_buffers_than_16_bits_count)
{
    workqueue_init(&q);
    workqueue_activate(&q);
    for (uintptr_t i = 1; i <= MANY; i++) {
        push_one(i);
        CHECK(workqueue_has_work(&q));
    }
    CHECK(!workqueue_retire(&q));
    uint64_t sum = 0;
    for (uintptr_t i = MANY; i >= 1; i--) {
        CHECK(!workqueue_is_idle(&q));
        struct workbuf *b = workqueue_pop(&q, false);
        CHECK(b);
        sum += b->items[0];
        workbuf_put_empty(&q, b);
        CHECK(workqueue_retire(&q) == (i == 1));
    }
    CHECK_EQ(sum, (uint64_t)MANY * (MANY + 1) / 2);
    CHECK(workqueue_is_idle(&q));
    workqueue_destroy(&q);
}

TAP_MAIN
