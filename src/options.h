/* Options: defaults, validation, and the switches of GCHEAP_DEBUG. No heap state. */
#ifndef GC_OPTIONS_INTERNAL_H
#define GC_OPTIONS_INTERNAL_H

#include "../gcheap.h"
#include "base.h"

#define MIN_HEAP_DEFAULT ((size_t)4 << 20)

/* Switches for testing an embedding, and the library itself: a comma-separated list. Each is off
 * unless named.
 *   nth=N      collect at every Nth allocation, each of which takes the slow path
 *   poison     freed small objects are filled with 0xdb
 *   verify     check the heap's structures after each cycle, with the world held
 *   checkmark  mark a second time with the world held, and report what the first time missed
 *   delay=S    random short waits, from seed S, at marked points of the collector and mutators
 *   buffers=N  work buffers hold N objects: grey work moves about all the time
 *   failos=N   one in N calls on the operating system for memory or a thread fails; N > 1
 */
struct debug_switches {
    uint32_t nth;
    bool poison, verify, checkmark;
    uint64_t delay;
    uint64_t buffers;
    uint64_t failos;
};

/* Fills *result from the user's options (NULL: defaults). 0 or -EINVAL. */
int options_resolve(const gc_options *user, gc_options *result);
/* Reads a list of switches onto *d. false: an unknown switch; *d is what came before. */
bool options_parse_debug(const char *text, struct debug_switches *d);
/* Whether GCHEAP_TRACE asks for a line per cycle. */
bool options_trace(void);

#endif
