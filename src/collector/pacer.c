#include "collector/pacer.h"

/* The trigger stays between these fractions of the way from live to goal. */
#define TRIGGER_MIN 0.7
#define TRIGGER_MAX 0.95
#define NEVER UINT64_MAX
/* What is kept free for overshoot under a soft limit. */
#define LIMIT_HEADROOM_MIN ((uint64_t)1 << 20)

void pacer_init(struct pacer *p, int percent, uint64_t min_heap, uint64_t limit)
{
    *p = (struct pacer){.percent = percent, .min_heap = min_heap, .limit = limit};
    p->runway_ratio = 0.1;
    pacer_update(p, 0);
}

static uint64_t percent_goal(const struct pacer *p)
{
    if (p->percent < 0)
        return NEVER;
    uint64_t goal = p->live + p->live / 100 * (uint64_t)p->percent;
    uint64_t least = p->min_heap / 100 * (uint64_t)p->percent;
    return MAX_OF(goal, least);
}

static uint64_t limit_goal(const struct pacer *p, uint64_t overhead)
{
    if (p->limit == 0)
        return NEVER;
    uint64_t headroom = MAX_OF(p->limit / 100 * 3, LIMIT_HEADROOM_MIN) + overhead;
    uint64_t goal = p->limit > headroom ? p->limit - headroom : 0;
    /* Never below what is live: the limit is soft, and cycle after cycle would free nothing. */
    return MAX_OF(goal, p->live + p->live / 16 + LIMIT_HEADROOM_MIN);
}

void pacer_update(struct pacer *p, uint64_t overhead)
{
    uint64_t a = percent_goal(p), b = limit_goal(p, overhead);
    p->goal = MIN_OF(a, b);
    p->limited = b < a;
    if (p->goal == NEVER) {
        p->trigger = NEVER;
        return;
    }
    double room = (double)(p->goal - MIN_OF(p->live, p->goal));
    double runway = p->runway_ratio * (double)p->live * 1.25;
    double start = room - runway;
    start = MAX_OF(start, room * TRIGGER_MIN);
    start = MIN_OF(start, room * TRIGGER_MAX);
    p->trigger = p->goal - (uint64_t)(room - start);
}

void pacer_cycle_ended(struct pacer *p, uint64_t live, uint64_t allocated)
{
    double ratio = live ? (double)allocated / (double)live : 0;
    p->runway_ratio = (p->runway_ratio + ratio) / 2;
    p->live = live;
}

double pacer_assist_ratio(uint64_t live, uint64_t goal, uint64_t heap_live, uint64_t work_left)
{
    uint64_t room = goal > heap_live ? goal - heap_live : 0;
    /* Beyond the goal every byte is paid in full, with a part of what others owe. */
    room = MAX_OF(room, (goal - MIN_OF(live, goal)) / 20 + 1);
    return (double)work_left / (double)room;
}

uint64_t pacer_pages_swept(uint64_t trigger, uint64_t basis, uint64_t heap_live, uint64_t pages)
{
    uint64_t room = trigger > basis ? trigger - basis : 0;
    uint64_t grown = heap_live > basis ? heap_live - basis : 0;
    room -= room / 10;
    return grown < room ? (uint64_t)((double)pages * ((double)grown / (double)room)) : pages;
}
