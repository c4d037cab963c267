/* Options: defaults, validation, and the switches of GCHEAP_DEBUG. No heap state. */
#ifndef GC_OPTIONS_INTERNAL_H
#define GC_OPTIONS_INTERNAL_H

#include "gcheap.h"
#include "base/base.h"

#define PROCS_MAX 256
#define MARK_WORKERS_MAX 64
#define MIN_HEAP_DEFAULT ((size_t)4 << 20)

/* Switches for testing an embedding, and the library itself: a comma-separated list. Each is off
 * unless named.
 *   help       write a line about each switch to the log
 *   nth=N      collect at every Nth allocation; all allocations take the slow path
 *   stay=N     each cycle marks in N parts, one at each safepoint; likewise
 *   poison=N   fill freed objects with 0xdb, and give their cells out again late; 2: at once
 *   verify     check the heap's structures after each cycle, with the world held
 *   checkmark  mark a second time with the world held, and report what the first time missed
 *   ages       count what each cycle marks that the one before had marked, and how old the dead are
 *   stores     tell which slots of objects were written without gc_store
 *   fields     tell which words that hold the address of an object are no slots
 *   freed      tell what refers to dead objects; with poison
 *   roots=N    tell which objects only the C stacks and static data hold; 2: or malloc's memory
 *   types      every object knows its type
 *   redzones   tell AddressSanitizer and Valgrind what is no object; with poison
 *   all        all of these that find mistakes of the program, and a collection now and then
 *   delay=S    random short waits, from seed S, at marked points of the collector and mutators
 *   buffers=N  work buffers hold N objects, so grey work changes hands all the time
 *   failos=N   one in N calls to the operating system for memory or a thread fails; N > 1
 *   watchdog=N milliseconds of options.watchdog_ms; 0: no watchdog
 *   safepoints interrupt a thread that the watchdog names, by a signal, to name its function
 */
struct debug_switches {
    uint32_t nth, stay;
    bool rarer; /* collects at each of the first allocations, then less and less often */
    bool mixed; /* of four cycles for which nth asks, three end at once, and one stays */
    bool poison, quarantine, verify, checkmark, stores, fields, freed, redzones, ages, types,
        safepoints;
    uint32_t roots; /* 2: malloc's memory too */
    uint64_t delay;
    uint64_t buffers;
    uint64_t failos;
    uint64_t watchdog; /* 1 more than its value; 0: it is not in the list */
};

/* Called for each mistake, with a line that names the place, the value and what may stand there. */
struct options_listener {
    void (*say)(void *arg, const char *line);
    void *arg;
};

/* Fills *result from the user's options (NULL: defaults). Returns 0, or -EINVAL after reporting
 * why. */
int options_resolve(const gc_options *user, gc_options *result, const struct options_listener *to);
/* Reads a list of switches into *d. An item that is wrong is reported, with the list's source, and
 * ignored. */
void options_parse_debug(const char *source, const char *text, struct debug_switches *d,
                         const struct options_listener *to);
/* What switches of both lists mean together. */
void options_settle_debug(struct debug_switches *d);
/* Whether GCHEAP_TRACE asks for a line per cycle. */
bool options_trace(void);

#endif
