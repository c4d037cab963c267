/* Handshakes: the collector's only way to change what mutators do. One operation at a time reaches
 * every thread and every P; each takes it on at a safepoint of its own, or the collector does it
 * for who is blocked, idle or suspended. Nobody waits for anybody else (I2). notes:
 * docs/invariants.md.
 */
#ifndef GC_HANDSHAKE_H
#define GC_HANDSHAKE_H

#include "mutator/barrier.h"

/* Publishes `op`: from now on threads and Ps do it. Collector only, as all that follows. */
void handshake_begin(gc_heap *heap, enum handshake_op op);
/* Waits until every thread and every P has done it. If `until` is not 0 it is a time (os_now_ns();
 * HANDSHAKE_NOW: in some microseconds): false if one has not done it by then. The driver of the
 * cycle calls it again after that. */
#define HANDSHAKE_NOW ((uint64_t)1)
bool handshake_end(gc_heap *heap, uint64_t until);
/* Whether the thread or P for which handshake_end() did not wait has still not done it. Any thread.
 */
bool handshake_is_kept(gc_heap *heap);
/* Both, patiently. */
void handshake(gc_heap *heap, enum handshake_op op);

/* Stops the world at a handshake: returns when every mutator is BLOCKED and claimed. While it is
 * held handshake_begin() works on all directly. GC_STOP_WORLD and the verifier. */
void handshake_hold(gc_heap *heap);
void handshake_release(gc_heap *heap);

/* A thread's part, at its safepoint: catches up with the published epoch. */
void handshake_catch_up(gc_thread *t);

/* Shades what it visits, on behalf of a thread; `doubtful` is for barrier_shade_doubtful(). */
struct shading_tracer {
    struct gc_tracer tracer;
    gc_thread *thread;
    struct workbuf *doubtful;
};
struct shading_tracer handshake_shading_tracer(gc_thread *t);

/* Why nobody should wait for the cycle (I22): it waits itself, for a thread that does not come to a
 * safepoint; or a callback of the embedder's runs, which may wait for a lock of a thread's. */
enum hindrance { HINDRANCE_NONE, HINDRANCE_SILENCE, HINDRANCE_CALLBACK };
/* How long the collector waits for a thread before that counts as silence. */
#define HANDSHAKE_SILENCE_NS ((uint64_t)5 * 1000 * 1000)
/* Collector only. */
void handshake_hinder(gc_heap *heap, enum hindrance hindrance);
/* Wakes those who wait for the cycle: it is over, or they need not wait. */
void handshake_wake_onlookers(gc_heap *heap);
/* Sleeps until that, for `ns` at most; the caller is blocked, has seen `turn` in mutators.turns,
 * and then found a reason to wait. */
void handshake_look_on(gc_heap *heap, uint32_t turn, int64_t ns);

#endif
