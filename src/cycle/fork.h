/* fork(). Three handlers are registered before the first heap is made.
 *
 * A heap made with GC_FORK_SAFE is at rest while the process forks: no cycle is under way, all
 * spans are swept, the world is held, and the forking thread has every lock. So the child finds
 * nothing half done. In the child the other threads have left, their Ps are idle, and the library's
 * own threads start anew when there is something for them to do. Another heap goes on in the child
 * only if no other thread used it; otherwise it is an orphan, which all calls refuse.
 *
 * Each module has its part in this (base/forkpart.h), and fork.c has the list of the parts. */
#ifndef GC_FORK_H
#define GC_FORK_H

/* Returns 0 or -ENOMEM. The list of heaps is locked. */
int fork_register_locked(void);

#endif
