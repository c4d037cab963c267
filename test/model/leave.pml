/* A cycle changes its driver (I20).
 *
 *   a driver that leaves              who takes the lock next
 *     left := 1                         if left
 *     unlock                              left := 0, and drives on
 *     kicks := kicks + 1, wake            to the end, if it wants the lock for something else
 *
 * Two mutators, which drive as far as they like; one that walks, for which no cycle may be under way;
 * and the background, which sleeps unless a cycle was left. A wake-up that is lost shows as a
 * background that sleeps though a cycle was left and nobody is about to kick.
 */
#include "properties.pml"

#define STEPS 3

bit lock, left;
byte step;       /* of the cycle that is under way; 0: there is none */
bit kicked;      /* since the background has read the count of kicks */
bit asleep;      /* the background is in the kernel */
byte owed;       /* kicks to come of those who left */

inline take() { atomic { lock == 0 -> lock = 1 } }
inline drive_to_the_end() { left = 0; step = 0 }

#ifdef MUT_KICK_FIRST
#define LEAVE kick(); left = 1; lock = 0
#elif defined(MUT_LEFT_AFTER_UNLOCK)
#define LEAVE lock = 0; left = 1; kick()
#else
#define LEAVE d_step { left = 1; owed++ }; lock = 0; d_step { kick(); owed-- }
#endif
inline kick() { d_step { kicked = 1; asleep = 0 } }

active [2] proctype mutator() {
    do
    :: take();
        left = 0;
        step++;
        do
        :: step < STEPS -> step++
        :: step < STEPS -> LEAVE; break
        :: step == STEPS -> step = 0; lock = 0; break
        od
    od
}

#ifdef MUT_WALK_IGNORES_LEFT
#define FINISH_LEFT skip
#else
#define FINISH_LEFT if :: left -> drive_to_the_end() :: else fi
#endif
active proctype walker() {
    do
    :: take();
        FINISH_LEFT;
        REQUIRE(P9_nothing_within_a_cycle, step == 0);
        lock = 0
    od
}

#ifdef MUT_SLEEP_UNCHECKED
#define SLEEP asleep = 1
#else
#define SLEEP d_step { asleep = !kicked }
#endif
active proctype background() {
    do
    :: kicked = 0;
        if
        :: left ->
            take();
            FINISH_LEFT;
            lock = 0
        :: !left ->
            SLEEP;
            asleep == 0
        fi
    od
}

/* While it sleeps it is woken for what is left. */
active proctype monitor() {
    do
    :: d_step { asleep && left && owed == 0 && lock == 0 ->
        REQUIRE(P6_nobody_waits_forever, false) }
    od
}
