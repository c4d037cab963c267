/* Handles: what they refer to lives, and what they have taken up does not stay. */
#include "cells.h"
#include "random.h"

enum { MANY = 100 * 1000 };

static gc_handle *made[MANY];

static struct handles *handles(void)
{
    return &gc_heap_current()->roots.handles;
}

static size_t count_blocks(void)
{
    size_t n = 0;
    for (const struct handle_block *b = handles()->blocks; b; b = b->next)
        n++;
    CHECK_EQ(n, handles()->count);
    return n;
}

static void make(size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK((made[i] = gc_handle_new(new_cell(i))));
}

static void release(size_t from, size_t n, size_t step)
{
    for (size_t i = from; i < n; i += step)
        gc_handle_free(made[i]);
}

/* A visit goes through the blocks: there are as many as the handles of now need. */
TEST(blocks_go_with_their_handles)
{
    gc_heap *heap = new_heap(0);
    make(MANY);
    CHECK_EQ(gc_collect(), 0);
    size_t most = count_blocks();
    CHECK(most >= MANY / HANDLE_SLOTS);
    release(10, MANY, 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK(count_blocks() <= 2);
    for (size_t i = 0; i < 10; i++)
        CHECK(is_cell(gc_handle_get(made[i]), i));
    release(0, 10, 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK(count_blocks() <= 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* Gaps are filled before there is another block. */
TEST(gaps_are_filled)
{
    gc_heap *heap = new_heap(0);
    make(MANY);
    size_t most = count_blocks();
    release(0, MANY, 2);
    CHECK_EQ(gc_collect(), 0);
    for (size_t i = 0; i < MANY; i += 2)
        CHECK((made[i] = gc_handle_new(new_cell(i))));
    CHECK_EQ(count_blocks(), most);
    CHECK_EQ(gc_collect(), 0);
    for (size_t i = 0; i < MANY; i++)
        CHECK(is_cell(gc_handle_get(made[i]), i));
    release(0, MANY, 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK(count_blocks() <= 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* ---- While others collect ---- */

enum { HELD = 3000, ROUNDS = 40 };

static void hold_and_let_go(void)
{
    gc_handle *mine[HELD];
    uint64_t random = crowd_number + 1;
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = random_below(&random, HELD);
        for (size_t i = 0; i < n; i++)
            CHECK((mine[i] = gc_handle_new(new_cell(i))));
        for (size_t i = 0; i < n; i++) {
            CHECK(is_cell(gc_handle_get(mine[i]), i));
            gc_handle_free(mine[i]);
        }
        gc_safepoint();
    }
    crowd.allowed--;
}

TEST(handles_come_and_go_while_the_heap_is_collected)
{
    crowd_heap("poison=2", 0, 4);
    crowd.allowed = 3;
    crowd_start(3, hold_and_let_go);
    while (crowd.allowed > 0)
        CHECK_EQ(gc_collect(), 0);
    crowd_join();
    CHECK_EQ(gc_collect(), 0);
    CHECK(count_blocks() <= 1);
    CHECK_EQ(gc_heap_destroy(crowd.heap), 0);
}

TAP_MAIN
