/* Windows: a thread that has called gc_before_write() writes to the object plainly until its next
 * safepoint (I50). Here is what keeps objects alive that such stores overwrite, or put there. */
#ifndef GC_WINDOW_H
#define GC_WINDOW_H

#include "memory/tagged.h"
#include "mutator/mutators.h"

/* The thread, whose barrier is on, is about to write plainly to the object that contains an
 * address. false: the address does not lie in the heap. */
bool window_open(gc_thread *t, uintptr_t address);
/* The same for the words [from, from + bytes) of one object, or of rooted memory outside. */
void window_open_range(gc_thread *t, uintptr_t from, size_t bytes);

/* Whether the object that contains an address has tagged words; *p says which. */
bool window_parts(const gc_thread *t, uintptr_t at, struct parts *p);
/* Shades what these words of such an object refer to. */
void window_shade(gc_thread *t, const struct parts *p, uintptr_t at, size_t bytes);

/* At the thread's ROOTS, or when it leaves: what it wrote to while it was grey is queued, to be
 * scanned again. true: there was anything. */
bool window_hand_over(gc_thread *t);
/* Forgets which windows were open. At ROOTS and DISARM, and when the thread has left. */
void window_forget(gc_thread *t);

/* Marks and scans the object that contains `address`, unless it is marked, large or traced, or the
 * thread is before its ROOTS. The thread's phase is PHASE_MARK. */
void window_scan(gc_thread *t, uintptr_t address);

#endif
