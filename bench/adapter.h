/* One workload source, several memory managers. A workload speaks only these words:
 *
 *   BM_TYPE(name, T, field, …)   describes the C type T, whose fields named here are references
 *   BM_NEW(T, name)              one T. Its fields are unset: assign them all
 *   BM_NEW_ZEROED(T, name)       one T, zeroed
 *   BM_BYTES(n)                  n bytes without references, unset
 *   BM_BYTES_ZEROED(n)           the same, zeroed
 *   BM_POINTERS(n)               an array of n references, all NULL
 *   BM_NEW_TAIL(T, name, n)      one T and n references behind it, zeroed
 *   BM_COPY(target, source, n)   copies n references into a fresh array
 *   BM_STORE(slot, value)        *slot = value, where slot is in an object that others can see,
 *                                or a global. A fresh object and locals are assigned plainly
 *   BM_FREE(p)                   the object is no longer used (nothing, where memory is collected)
 *   BM_ROOTS(local, …)           these locals hold references until the block ends
 *   BM_ROOT_ARRAY(array, n)      so do the n elements of this local array
 *   BM_ROOT_GLOBALS(base, n)     so do these n adjacent global slots, from now on
 *   BM_BOX(p), BM_BOX_NUMBER(d), BM_UNBOX(word)   value words: a boxed reference, a double; the
 *                                reference in a word, or NULL. Where the manager knows no boxes, a
 *                                plain reference, 0
 *   BM_COLLECTS                  1 where memory is collected
 *
 *   bm_start(), bm_stop()                   the process begins and ends using the manager
 *   bm_thread_begin(), bm_thread_end()      so does another thread
 *   bm_block_begin(), bm_block_end()        around anything that may wait
 *   bm_poll()                               in loops that do not allocate
 *   bm_mark_in_parallel()                   collections may use all CPUs, where one has to ask
 *   bm_set_percent(n)                       how much may be allocated before the next collection,
 * in percent of what lives, where one can say so bm_box_values()                         before the
 * first allocation: slots hold value words bm_collect()                            a full
 * collection bm_release()                            give free memory back to the operating system
 *   bm_version()                            names it, with its version
 *   bm_stall_listen()                       from now on bm_stall_kind() can tell
 *   bm_stall_kind(begin, end)               what the manager did on this thread for most of that
 *                                           time, as an index of stalls.c's list; -1: unknown
 *   bm_report_collector()                   reports what the manager says of itself
 *
 * It includes this file first: a manager may wrap what <pthread.h> declares.
 */
#ifndef BENCH_ADAPTER_H
#define BENCH_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(BENCH_GCHEAP)
#include "adapters/gcheap.h"
#elif defined(BENCH_BOEHM)
#include "adapters/boehm.h"
#else
#include "adapters/malloc.h"
#endif

#endif /* BENCH_ADAPTER_H */
