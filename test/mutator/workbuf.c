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

static struct workbuf *one(uintptr_t item)
{
    struct workbuf *b = workbuf_get(&q);
    b->items[b->n++] = item;
    return b;
}

/* What is pushed comes first, what is appended last, whether the queue was empty or not. */
TEST(pushed_and_appended)
{
    static const uintptr_t order[] = {4, 1, 2, 3, 5};
    workqueue_init(&q);
    workqueue_activate(&q);
    for (int round = 0; round < 2; round++) {
        workqueue_append(&q, one(1));
        workqueue_append(&q, one(2));
        workqueue_append(&q, one(3));
        workqueue_push(&q, one(4));
        workqueue_append(&q, one(5));
        for (int i = 0; i < 5; i++) {
            struct workbuf *b = workqueue_pop(&q, true);
            CHECK(b && b->items[0] == order[i]);
            workbuf_put_empty(&q, b);
        }
        CHECK(!workqueue_pop(&q, true));
        workqueue_push(&q, one(6));
        workqueue_append(&q, one(7));
        for (uintptr_t i = 6; i <= 7; i++) {
            struct workbuf *b = workqueue_pop(&q, true);
            CHECK(b && b->items[0] == i);
            workbuf_put_empty(&q, b);
        }
    }
    CHECK(workqueue_retire(&q));
    workqueue_destroy(&q);
}

/* Until ROOTS is complete, nobody gets what is queued. */
TEST(nothing_before_roots)
{
    workqueue_init(&q);
    workqueue_begin_deferring(&q);
    push_one(1);
    CHECK(workqueue_has_work(&q) && !workqueue_pop(&q, false));
    CHECK(!workqueue_end_deferring(&q));
    struct workbuf *b = workqueue_pop(&q, false);
    CHECK(b && b->items[0] == 1);
    workbuf_put_empty(&q, b);
    CHECK(workqueue_retire(&q));
    workqueue_destroy(&q);
}

TAP_MAIN
