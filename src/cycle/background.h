/* The background thread: runs cycles that mutators ask for or leave to it, sweeps what they leave
 * unswept, and gives memory back to the OS. Started by the first request. */
#ifndef GC_BACKGROUND_H
#define GC_BACKGROUND_H

#include "base/service.h"
#include "cycle/cycle.h"

struct background {
    uint32_t wanted CACHE_ALIGNED; /* number of a cycle that was asked for; atomic */
    struct service service;
};

void background_init(gc_heap *heap);

/* Starts the thread, if there is none yet. Whether there is one for certain now. */
bool background_start(gc_heap *heap);
/* There is something to do; starts the thread, unless there is to be none. Any thread. */
void background_kick(gc_heap *heap);
void background_kick_if_started(gc_heap *heap);
/* Asks for a cycle that begins after this call, once. Any thread. Returns its number. */
uint32_t background_request_cycle(gc_heap *heap);
/* Whether the thread runs for certain. */
bool background_runs(const gc_heap *heap);
/* The last cycle that was asked for. */
uint32_t background_wanted(const gc_heap *heap);
/* It has not begun. */
bool background_is_late(const gc_heap *heap);
/* Ends it. No mutator is attached. */
void background_stop(gc_heap *heap);
/* In the child of a fork: the thread is gone, and so is the wish for a cycle that went to it. */
void background_forget(gc_heap *heap);

#endif
