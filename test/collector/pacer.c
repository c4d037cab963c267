/* The pacer's arithmetic. */
#include "collector/pacer.h"
#include "tap.h"

#define MB ((uint64_t)1 << 20)

static struct pacer pacer_with(int percent, uint64_t min_heap, uint64_t limit, uint64_t live)
{
    struct pacer p;
    pacer_init(&p, percent, min_heap, limit);
    p.live = live;
    pacer_update(&p, 0);
    return p;
}

/* The goal is what lives and as many percent more, but never less than the least heap. */
TEST(goals)
{
    struct pacer p = pacer_with(100, 4 * MB, 0, 0);
    CHECK_EQ(p.goal / 1000, 4 * MB / 1000);
    p = pacer_with(100, 4 * MB, 0, 100 * MB);
    CHECK_EQ(p.goal / MB, 200);
    p = pacer_with(50, 4 * MB, 0, 100 * MB);
    CHECK_EQ(p.goal / MB, 150);
    p = pacer_with(-1, 4 * MB, 0, 100 * MB);
    CHECK_EQ(p.goal, UINT64_MAX);
    CHECK_EQ(p.trigger, UINT64_MAX);
}

/* A limit lowers the goal, and never below what lives. */
TEST(limits)
{
    struct pacer p = pacer_with(100, 4 * MB, 150 * MB, 100 * MB);
    CHECK(p.goal < 150 * MB && p.goal > 100 * MB);
    p = pacer_with(100, 4 * MB, 50 * MB, 100 * MB);
    CHECK(p.goal > 100 * MB && p.goal < 110 * MB);
    p = pacer_with(-1, 4 * MB, 150 * MB, 100 * MB);
    CHECK(p.goal < 150 * MB);
}

/* A cycle begins between what lives and the goal, the earlier the more is allocated while one
 * marks. */
TEST(triggers)
{
    struct pacer p = pacer_with(100, 4 * MB, 0, 100 * MB);
    uint64_t before = p.trigger;
    CHECK(p.trigger > p.live && p.trigger < p.goal);
    for (int i = 0; i < 10; i++)
        pacer_cycle_ended(&p, 100 * MB, 30 * MB);
    pacer_update(&p, 0);
    CHECK(p.trigger < before && p.trigger > p.live);
}

/* Who allocates pays for what is left to mark, the more the nearer the goal is. */
TEST(assists)
{
    double early = pacer_assist_ratio(100 * MB, 200 * MB, 150 * MB, 50 * MB);
    double late = pacer_assist_ratio(100 * MB, 200 * MB, 190 * MB, 50 * MB);
    double beyond = pacer_assist_ratio(100 * MB, 200 * MB, 300 * MB, 50 * MB);
    CHECK(early > 0.99 && early < 1.01);
    CHECK(late > early && beyond >= late);
}

/* All is swept before the next cycle begins. */
TEST(sweeping_in_proportion)
{
    CHECK_EQ(pacer_pages_swept(200 * MB, 100 * MB, 100 * MB, 1000), 0);
    CHECK_EQ(pacer_pages_swept(200 * MB, 100 * MB, 145 * MB, 1000), 500);
    CHECK_EQ(pacer_pages_swept(200 * MB, 100 * MB, 190 * MB, 1000), 1000);
    CHECK_EQ(pacer_pages_swept(200 * MB, 100 * MB, 300 * MB, 1000), 1000);
    CHECK_EQ(pacer_pages_swept(100 * MB, 100 * MB, 100 * MB, 1000), 1000);
}

TAP_MAIN
