/* The background thread runs cycles that mutators ask for or leave to it, sweeps what they leave
 * unswept, and gives memory back to the OS. The first request starts it. */
#ifndef GC_BACKGROUND_H
#define GC_BACKGROUND_H

#include "base/service.h"
#include "cycle/cycle.h"

struct background {
    uint32_t wanted CACHE_ALIGNED; /* number of the last cycle that was asked for; atomic */
    struct service service;
};

void background_init(gc_heap *heap);

/* Starts the thread, if there is none yet. Returns whether it runs for certain. */
bool background_start(gc_heap *heap);
/* Tells the thread that there is something to do. Starts it, unless the heap is to have none. Any
 * thread. */
void background_kick(gc_heap *heap);
void background_kick_if_started(gc_heap *heap);
/* Asks for a cycle that begins after this call, unless one was asked for. Returns its number. Any
 * thread. */
uint32_t background_request_cycle(gc_heap *heap, enum gc_cause cause);
/* Whether the thread runs for certain. */
bool background_runs(const gc_heap *heap);
/* The number of the last cycle that was asked for. */
uint32_t background_wanted(const gc_heap *heap);
/* Whether that cycle has not begun. */
bool background_is_late(const gc_heap *heap);
/* Ends the thread. No mutator is attached. */
void background_stop(gc_heap *heap);

#define BACKGROUND_FORK_RANKS 0
extern const struct fork_part background_fork;

#endif
