/* Handshakes are the collector's only way to change what mutators do. One step at a time reaches
 * every thread and every P. A running thread performs it for itself and its P at its next
 * safepoint; for blocked threads and for Ps that rest, the collector performs it. No mutator waits
 * for another (I2). See docs/invariants.md. */
#ifndef GC_HANDSHAKE_H
#define GC_HANDSHAKE_H

#include "mutator/barrier.h"

/* Publishes a step that asks all: from now on threads and Ps perform it. Collector only, like all
 * calls below. */
void handshake_begin(gc_heap *heap, enum step step);
/* Waits until every thread and every P has performed it. `until` is 0 (without a limit), a time of
 * os_now_ns(), or HANDSHAKE_NOW (some microseconds). false: one of them has not performed it by
 * then; the driver of the cycle calls again. */
#define HANDSHAKE_NOW ((uint64_t)1)
bool handshake_end(gc_heap *heap, uint64_t until);
/* Whether the thread or P for which handshake_end() has stopped waiting still has not performed the
 * step. Any thread. */
bool handshake_is_unanswered(gc_heap *heap);
/* Begins a handshake, and waits for its end without a limit. */
void handshake(gc_heap *heap, enum step step);

/* Holds the world: returns when every mutator is BLOCKED and claimed. While the world is held,
 * handshake_begin() works on all directly. For GC_STOP_WORLD, marked callbacks and the verifier. */
void handshake_hold(gc_heap *heap);
/* `until` as for handshake_end(). false: a thread has not come by then, and nothing is held. */
bool handshake_hold_until(gc_heap *heap, uint64_t until);
void handshake_release(gc_heap *heap);
/* Queues what threads have shaded, while the world is held. Returns whether there was anything. */
bool handshake_take_grey(gc_heap *heap);

/* What a thread does at its safepoint: it catches up with the published epoch. */
void handshake_catch_up(gc_thread *t);

/* Shades what it visits, on behalf of a thread; `ambiguous` is for barrier_shade_ambiguous(). */
struct shading_tracer {
    struct gc_tracer tracer;
    gc_thread *thread;
    struct workbuf *ambiguous;
};
struct shading_tracer handshake_shading_tracer(gc_thread *t);

/* Why no thread should wait for the cycle (I22). SILENCE: the cycle itself waits for a thread that
 * does not come to a safepoint. CALLBACK: a callback of the embedder runs, which may wait for a
 * lock that a thread holds. */
enum hindrance { HINDRANCE_NONE, HINDRANCE_SILENCE, HINDRANCE_CALLBACK };
/* How long the collector waits for a thread before that counts as silence. */
#define HANDSHAKE_SILENCE_NS ((uint64_t)5 * 1000 * 1000)
/* Collector only. */
void handshake_hinder(gc_heap *heap, enum hindrance hindrance);
/* Wakes the threads that wait for the cycle: it is over, or they need not wait. */
void handshake_wake_waiters(gc_heap *heap);
/* Sleeps until handshake_wake_waiters(), for `ns` at most. The caller is blocked. It has read
 * `turn` in mutators.turns, and then found a reason to wait. */
void handshake_await_turn(gc_heap *heap, uint32_t turn, int64_t ns);

#endif
