/* Static probes for SystemTap, bpftrace and GDB (USDT), of the provider gcheap: an instruction that
 * does nothing, where the header of the system is; otherwise nothing. */
#ifndef GC_PROBE_H
#define GC_PROBE_H

#if defined(__linux__) && defined(__has_include) && !defined(GC_NO_PROBES)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define HAS_PROBES 1
#ifdef __clang__
/* In the system's macros. */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#define PROBE1(name, a) DTRACE_PROBE1(gcheap, name, a)
#define PROBE2(name, a, b) DTRACE_PROBE2(gcheap, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(gcheap, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(gcheap, name, a, b, c, d)
#endif
#endif

#ifndef HAS_PROBES
#define HAS_PROBES 0
#define PROBE1(name, a) ((void)0)
#define PROBE2(name, a, b) ((void)0)
#define PROBE3(name, a, b, c) ((void)0)
#define PROBE4(name, a, b, c, d) ((void)0)
#endif

#endif
