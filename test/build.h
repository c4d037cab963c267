/* What the compiler adds to this build, as constants: with a sanitizer, or without. */
#ifndef BUILD_H
#define BUILD_H

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#ifndef ADDRESS_SANITIZER
#define ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif
#ifndef THREAD_SANITIZER
#define THREAD_SANITIZER 0
#endif

/* Frames are larger. */
#ifdef __has_feature
#if __has_feature(undefined_behavior_sanitizer)
#define UNDEFINED_SANITIZER 1
#endif
#endif
#ifndef UNDEFINED_SANITIZER
#define UNDEFINED_SANITIZER 0
#endif

/* Every access to memory costs several times as much: sizes are smaller then. */
#define SLOW (ADDRESS_SANITIZER || THREAD_SANITIZER)

/* What is large to show that time and memory suffice is so in the plain build. Elsewhere it is
 * divided by this. */
#if SLOW || UNDEFINED_SANITIZER || (defined(GC_DEBUG) && GC_DEBUG)
#define SCALE 20
#else
#define SCALE 1
#endif

#endif
