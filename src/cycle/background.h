/* The background thread: runs cycles that mutators ask for or leave to it, sweeps what they leave
 * unswept, and gives memory back to the OS. Started by the first request. */
#ifndef GC_BACKGROUND_H
#define GC_BACKGROUND_H

#include "cycle/cycle.h"

/* Starts the thread, if there is none yet. Whether there is one for certain now. */
bool background_start(gc_heap *heap);
/* There is something to do; starts the thread, unless there is to be none. Any thread. */
void background_kick(gc_heap *heap);
void background_kick_if_started(gc_heap *heap);
/* Asks for a cycle that begins after this call, once. Any thread. Returns its number. */
uint32_t background_request_cycle(gc_heap *heap);
/* Whether the thread runs for certain. */
bool background_runs(const gc_heap *heap);
/* A cycle was asked for and has not begun. */
bool background_is_late(const gc_heap *heap);
/* Ends it. No mutator is attached. */
void background_stop(gc_heap *heap);

#endif
