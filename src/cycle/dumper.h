/* Heap dumps on request from outside the process, with GCHEAP_DUMP=PATH in the environment. A
 * thread of the library looks whether there is a file PATH.ask. If so, it writes a dump to PATH,
 * then removes the file that asked. No signal, and no help of the program, is needed. */
#ifndef GC_DUMPER_H
#define GC_DUMPER_H

#include "base/forkpart.h"
#include "mutator/heap.h"

struct dumper;

/* Does nothing if the environment asks for nothing. If it cannot, the log says so. */
void dumper_start(gc_heap *heap);
/* When this returns, no dump is being written. */
void dumper_stop(gc_heap *heap);
/* Whether it has, or may have, a thread. */
bool dumper_is_used(const gc_heap *heap);

/* In the child of a fork nobody answers requests: they are for the parent. */
#define DUMPER_FORK_RANKS 0
extern const struct fork_part dumper_fork;

#endif
