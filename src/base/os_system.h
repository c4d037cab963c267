/* Which system the library is compiled for: one of these is 1. Macros alone, as this comes before
 * all headers of the system. With -DGC_OS_POSIX any POSIX system is taken for one of which only the
 * standard is known. */
#ifndef GC_OS_SYSTEM_H
#define GC_OS_SYSTEM_H

#if defined(_WIN32)
#define OS_WINDOWS 1
/* For its headers. */
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0a00
#define PSAPI_VERSION 2
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#elif defined(__wasm__)
#define OS_WASM 1
#elif defined(GC_OS_POSIX)
#define OS_OTHER 1
#elif defined(__linux__)
#define OS_LINUX 1
#elif defined(__APPLE__)
#define OS_DARWIN 1
#elif defined(__FreeBSD__)
#define OS_FREEBSD 1
#elif defined(__NetBSD__)
#define OS_NETBSD 1
#elif defined(__OpenBSD__)
#define OS_OPENBSD 1
#else
#define OS_OTHER 1
#endif

#ifndef OS_WINDOWS
#define OS_WINDOWS 0
#endif
#ifndef OS_WASM
#define OS_WASM 0
#endif
#ifndef OS_LINUX
#define OS_LINUX 0
#endif
#ifndef OS_DARWIN
#define OS_DARWIN 0
#endif
#ifndef OS_FREEBSD
#define OS_FREEBSD 0
#endif
#ifndef OS_NETBSD
#define OS_NETBSD 0
#endif
#ifndef OS_OPENBSD
#define OS_OPENBSD 0
#endif
#ifndef OS_OTHER
#define OS_OTHER 0
#endif

#define OS_BSD (OS_FREEBSD || OS_NETBSD || OS_OPENBSD)
#define OS_IS_POSIX (!OS_WINDOWS && !OS_WASM)

#endif
