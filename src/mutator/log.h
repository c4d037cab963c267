/* Messages to the embedder. */
#ifndef GC_LOG_H
#define GC_LOG_H

#include "mutator/heap.h"

/* A thread, its last two calls (NULL: not known), and where it stood. */
struct log_finder {
    uint64_t thread; /* os_thread_id(); 0: none */
    char name[32];
    const char *call_before, *last_call;
    struct callers place;
};

/* Passes one line to the embedder's log function. Writes it to standard error if there is none, or
 * no heap (NULL). */
void log_write(const gc_heap *heap, enum gc_log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* How much of a call's name counts: the slow path of an inline call counts as that. */
int log_call_length(const char *call);

/* A second line: the thread that met the mistake (NULL: the calling one, which has no heap), its
 * last calls, and where it stands, by the frames from `sp` on. The calling thread's only. */
void log_place(const gc_heap *heap, const gc_thread *t, uintptr_t sp);
/* The same by what was noted before, of a thread that waited at a safepoint (NULL: of none). Where
 * it stood is known if names_frames was set. */
void log_note_finder(struct log_finder *finder, const gc_thread *t);
void log_found_by(const gc_heap *heap, const struct log_finder *finder);

#endif
