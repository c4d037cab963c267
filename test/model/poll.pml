/* Model P: how a request reaches a thread: poll flag, epoch, blocking and the claim.
 *
 * Collector  For ever: publishes the epoch, sets the thread's poll flag, and waits until each of the
 *            two threads is done: by the thread itself, or by a claim of its state word. (The
 *            operation stands in the same place as the epoch; a thread is at most one behind, so that
 *            an epoch is one bit.)
 * Threads    Thread 0 runs for ever: its safepoint looks at the flag and, if that is 1, clears it and
 *            looks at the epoch; it also enters and leaves blocking regions. Thread 1 enters one and
 *            may stay there for ever.
 * State word Epoch and state are one word: a step that tests and changes both is one CAS.
 *
 * With -DNO_REPOLL a thread that leaves a region does not look at the epoch. No request is lost even
 * so, as the flag stays up; that look is for the P, which span.pml is about.
 *
 * Checked with weak fairness: the progress label stands where a handshake is complete.
 */
#include "properties.pml"

#define RUN 0
#define BLK 1
#define CLAIM 2

#define self _pid /* the threads are processes 0 and 1 */

typedef Thread {
    unsigned st : 2;
    bit at;      /* epoch in the state word */
    bit poll;
    bit acted;   /* ghost: the epoch whose operation has been done for it */
};
Thread T[2];
bit epoch;

inline request(t) { T[t].poll = 1 }

/* By whoever owns the thread: the thread that runs, or the collector that claimed it. */
inline perform(t, n) {
    REQUIRE(P7_one_epoch, T[t].acted != n); /* an operation is done once */
    T[t].acted = n
}

inline catch_up() {
    n = epoch;
    if
    :: n != T[self].at -> perform(self, n); T[self].at = n
    :: else
    fi
}
/* Clears the flag, then reads the epoch: I1. */
inline safepoint() {
#ifdef MUT_CLEAR_AFTER_READ
    catch_up();
    T[self].poll = 0
#else
    T[self].poll = 0;
    catch_up()
#endif
}

inline leave() {
#ifdef MUT_LEAVE_IGNORES_CLAIM
    T[self].st = RUN;
#else
    atomic { T[self].st == BLK -> T[self].st = RUN };
#endif
#if defined(MUT_LEAVE_CLEARS) /* clears the flag and does not look at the epoch */
    T[self].poll = 0
#elif !defined(NO_REPOLL)
    safepoint()
#else
    skip
#endif
}

active [2] proctype thread() {
    bit n;
    do
    :: T[self].poll -> safepoint()
    :: !T[self].poll -> skip /* managed code */
    :: true ->
        safepoint();
        T[self].st = BLK;
        if
        :: self == 1 -> end_blocked_for_ever: false
        :: true -> leave()
        fi
    od
}

active proctype collector() {
    byte t;
    do
    ::  epoch = 1 - epoch;
        request(0);
        request(1);
        t = 0;
        do
        :: t == 2 -> break
        :: t < 2 && T[t].at == epoch -> t++
        :: atomic { t < 2 && T[t].at != epoch && T[t].st == BLK -> T[t].st = CLAIM };
            perform(t, epoch);
            atomic { T[t].at = epoch; T[t].st = BLK };
            t++
        od;
progress_handshake_is_complete:
        atomic { REQUIRE(P7_one_epoch, T[0].acted == epoch && T[1].acted == epoch); t = 0 }
    od
}
