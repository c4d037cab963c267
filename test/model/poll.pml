/* The poll: how a thread finds out that a handshake waits for it, and how the collector waits.
 *
 *   collector                         thread, at a safepoint
 *     op := what                        if poll != 0
 *     epoch := n                          exchange(poll, 0)
 *     poll := 1                           if epoch != mine
 *     until st is at n                      perform op; mine := epoch
 *       claim it if it says BLK             st := (mine, RUN); fence
 *       sleeping := 1; fence                if sleeping: wake
 *       futex_wait(st, as seen)
 *
 * One thread, which blocks and comes back as often as it likes, but may also run managed code for
 * ever; others set its poll flag as well, for reasons of their own. Any number of handshakes:
 * epochs count modulo 4.
 *
 * A lost handshake or wake-up shows as a system in which nobody can move: `timeout`.
 * With -DTSO every plain store goes through a buffer of two entries.
 */
#include "properties.pml"

/* Memory. */
#define EPOCH 0
#define OP 1
#define POLL 2
#define ST 3       /* state word: epoch * 4 + state */
#define SLEEPING 4 /* the collector sleeps, or is about to */
#define WAITS 5    /* the thread sleeps on its state word, or is about to: it is claimed */
byte mem[6];
#define RUN 0
#define BLK 1
#define CLAIM 2
#define WORD(e, state) ((e) * 4 + (state))

bit asleep;        /* the collector is in the kernel */
bit thread_sleeps; /* the thread is */

#define THREAD 0
#define COLLECTOR 1
#ifdef TSO
typedef Buffer {
    byte n;
    byte at[2];
    byte value[2];
};
Buffer b[2];
#define READ(who, var) (b[who].n > 1 && b[who].at[1] == var -> b[who].value[1] : \
                        (b[who].n > 0 && b[who].at[0] == var -> b[who].value[0] : mem[var]))
#define WRITE(who, var, v) \
    d_step { b[who].n < 2 -> \
        b[who].at[b[who].n] = var; b[who].value[b[who].n] = v; b[who].n++ }
#define DRAINED(who) (b[who].n == 0)
inline drain(who) {
    d_step { b[who].n > 0 ->
        mem[b[who].at[0]] = b[who].value[0];
        b[who].at[0] = b[who].at[1]; b[who].value[0] = b[who].value[1];
        b[who].at[1] = 0; b[who].value[1] = 0;
        b[who].n-- }
}
active [2] proctype memory() { /* processes 0 and 1, one for each buffer */
    do
    :: drain(_pid)
    od
}
#else
#define READ(who, var) mem[var]
#define WRITE(who, var, v) mem[var] = v
#define DRAINED(who) true
#endif
#define FENCE(who) DRAINED(who)
#define EXCHANGE(who, var, v) atomic { DRAINED(who) -> mem[var] = v }

/* ---- The thread ----------------------------------------------------------------------------- */

inline answer(state) {
    WRITE(THREAD, ST, WORD(mine, state));
#ifndef MUT_NO_FENCE_AFTER_ANSWER
    FENCE(THREAD);
#endif
    if
    :: READ(THREAD, SLEEPING) -> asleep = false
    :: else
    fi
}
inline clear_poll() {
#ifdef MUT_PLAIN_CLEAR
    WRITE(THREAD, POLL, 0)
#else
    EXCHANGE(THREAD, POLL, 0)
#endif
}
inline answer_if_behind() {
    seen = READ(THREAD, EPOCH);
#ifdef MUT_CLEAR_AFTER_EPOCH
    clear_poll();
#endif
    if
    :: seen != mine ->
        REQUIRE(P8_op_of_its_epoch, READ(THREAD, OP) == seen);
        mine = seen;
        answer(RUN)
    :: else
    fi;
    seen = 0
}
inline safepoint_slow() {
#ifndef MUT_CLEAR_AFTER_EPOCH
    clear_poll();
#endif
    answer_if_behind()
}

active proctype thread() {
    byte mine, seen;
    do
    :: READ(THREAD, POLL) != 0 -> safepoint_slow()
    :: true -> /* a blocking region */
        answer_if_behind();
        answer(BLK);
        do
        :: atomic { DRAINED(THREAD) && mem[ST] % 4 == BLK -> mine = mem[ST] / 4; mem[ST] = WORD(mine, RUN) };
            break
        :: READ(THREAD, ST) % 4 == CLAIM ->
            EXCHANGE(THREAD, WAITS, 1);
            atomic { DRAINED(THREAD) -> thread_sleeps = (mem[ST] % 4 == CLAIM) };
            !thread_sleeps;
            WRITE(THREAD, WAITS, 0)
        od;
        answer_if_behind()
    :: true -> break
    od;
    do
    :: READ(THREAD, POLL) != 0 -> safepoint_slow() /* managed code for ever */
    od
}

/* Who else sets the flag: threads that wait for a P, say. */
active proctype others() {
    do
    :: mem[POLL] = 1
    :: break
    od
}

/* ---- The collector --------------------------------------------------------------------------- */

inline publish() {
#if defined(MUT_FLAG_BEFORE_EPOCH)
    WRITE(COLLECTOR, OP, n);
    WRITE(COLLECTOR, POLL, 1);
    WRITE(COLLECTOR, EPOCH, n)
#elif defined(MUT_OP_AFTER_EPOCH)
    WRITE(COLLECTOR, EPOCH, n);
    WRITE(COLLECTOR, OP, n);
    WRITE(COLLECTOR, POLL, 1)
#else
    WRITE(COLLECTOR, OP, n);
    WRITE(COLLECTOR, EPOCH, n);
    WRITE(COLLECTOR, POLL, 1)
#endif
}

inline unclaim() {
    WRITE(COLLECTOR, ST, WORD(n, BLK));
#ifndef MUT_UNCLAIM_UNFENCED
    FENCE(COLLECTOR);
#endif
    if
    :: READ(COLLECTOR, WAITS) -> thread_sleeps = false
    :: else
    fi
}

active proctype collector() {
    byte n, word;
    do
    :: true ->
progress_handshake:
        n = (n + 1) % 4;
        publish();
        do
        :: true ->
            word = READ(COLLECTOR, ST);
            if
            :: word / 4 == n -> break
            :: word / 4 != n && word % 4 == BLK ->
                atomic {
                    DRAINED(COLLECTOR) ->
                    if :: mem[ST] == word -> mem[ST] = WORD(word / 4, CLAIM) :: else -> word = 0 fi
                };
                if
                :: word != 0 -> unclaim(); break
                :: else
                fi
            :: word / 4 != n && word % 4 == RUN ->
                EXCHANGE(COLLECTOR, SLEEPING, 1);
#ifndef MUT_SLEEP_UNCHECKED
                atomic { DRAINED(COLLECTOR) -> asleep = (mem[ST] == word) };
#else
                asleep = true;
#endif
                !asleep;
                WRITE(COLLECTOR, SLEEPING, 0)
            fi
        od;
        word = 0;
        atomic {
            DRAINED(COLLECTOR) -> /* it takes a lock before it publishes again */
            REQUIRE(P6_nobody_waits_forever, !thread_sleeps || mem[ST] % 4 == CLAIM)
        }
    od
}

/* Nobody can move: the collector waits for an answer that will not come. */
active proctype watch() {
    timeout -> REQUIRE(P6_nobody_waits_forever, false)
}
