/* Pacing: when a cycle starts, and how much marking an allocation owes. Pure arithmetic; no heap
 * state. (Go: mgcpacer.go)
 *
 * goal    = live + live * percent / 100, at least the minimum heap
 * trigger = goal - runway, where the runway is what mutators are expected to allocate while a cycle
 *           marks, from what they did in the last one
 */
#ifndef GC_PACER_H
#define GC_PACER_H

#include "base/base.h"

struct pacer {
    /* Settings. */
    int percent;       /* negative: off */
    uint64_t min_heap; /* at 100 % */
    uint64_t limit;    /* soft limit; 0: none */
    /* What the last cycle found. */
    uint64_t live;       /* bytes marked, external bytes included */
    double runway_ratio; /* bytes allocated per byte marked, smoothed */
    /* Derived. */
    uint64_t goal, trigger;
    bool limited; /* without the soft limit the goal were higher */
};

void pacer_init(struct pacer *p, int percent, uint64_t min_heap, uint64_t limit);
/* Called when a cycle has ended: it marked `live` bytes, and `allocated` bytes were handed out
 * while it marked. */
void pacer_cycle_ended(struct pacer *p, uint64_t live, uint64_t allocated);
/* Recomputes goal and trigger after a setting changed. `overhead`: memory that is not heap; for the
 * limit. */
void pacer_update(struct pacer *p, uint64_t overhead);

/* How many bytes of marking each allocated byte owes while a cycle marks: `work_left` over the room
 * that is left to the goal. */
double pacer_assist_ratio(uint64_t live, uint64_t goal, uint64_t heap_live, uint64_t work_left);

/* How many of `pages` should have been swept since the heap was `basis` bytes large, so that all
 * are swept when the next cycle starts. */
uint64_t pacer_pages_swept(uint64_t trigger, uint64_t basis, uint64_t heap_live, uint64_t pages);

#endif
