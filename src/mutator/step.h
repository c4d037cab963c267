/* The steps of a cycle, as one table. docs/architecture.md shows the same table, and docs/cycle.md
 * gives the reason for each step. A new step is a new row. The columns:
 *
 * step        The name of the step, with STEP_ before it. The driver takes it by a function of
 *             cycle.c, which has the name with take_ before it.
 * asked       ALL: the step is a handshake, which every thread and every P answers.
 *             DRIVER: only the driver has to do with it.
 * thread      What a thread does when it answers: thread_ and this name, in handshake.c.
 * P           What a P does: proc_ and this name, also there.
 * phase       Where a thread is in the cycle from its answer on: enum thread_phase.
 * barrier     The thread's barrier from its answer on: enum barrier_mode.
 * allocation  The colour of new objects from the P's answer on.
 * timed       WORK: the answer counts as work of its thread. FLAGS: it only sets a flag or two.
 *             Reading the thread's own clock, a system call, would be most of its cost.
 * then, else  The step that follows when this one is complete, and when it is not.
 *
 * A step that asks nothing has the phase, barrier and allocation of the step before. */
#ifndef GC_STEP_H
#define GC_STEP_H

/* clang-format off */
#define CYCLE_STEPS(ROW) \
    /*  step     asked   thread       P        phase barrier allocation timed  then     else     what its completion means */ \
    ROW(SWEEP,   DRIVER, nothing,     nothing, IDLE, OFF,    WHITE,     FLAGS, BEGIN,   SWEEP,   "every mark bit is 0") \
    ROW(BEGIN,   DRIVER, nothing,     nothing, IDLE, OFF,    WHITE,     FLAGS, ARM,     BEGIN,   "a cycle has its number") \
    ROW(ARM,     ALL,    nothing,     arm,     ARM,  BOTH,   WHITE,     FLAGS, SETTLE,  ARM,     "all barriers are on") \
    ROW(SETTLE,  ALL,    nothing,     nothing, ARM,  BOTH,   WHITE,     FLAGS, ROOTS,   SETTLE,  "no store from before the end of ARM is in flight") \
    ROW(ROOTS,   ALL,    shade_roots, blacken, MARK, OLD,    BLACK,     WORK,  MARK,    ROOTS,   "every mutator is black") \
    ROW(MARK,    DRIVER, nothing,     nothing, MARK, OLD,    BLACK,     FLAGS, RESOLVE, MARK,    "the roots that belong to no thread are grey") \
    ROW(RESOLVE, DRIVER, nothing,     nothing, MARK, OLD,    BLACK,     FLAGS, DRAIN,   RESOLVE, "values of marked keys are marked") \
    ROW(DRAIN,   DRIVER, nothing,     nothing, MARK, OLD,    BLACK,     FLAGS, FLUSH,   DRAIN,   "the work word was 0") \
    ROW(FLUSH,   ALL,    hand_over,   nothing, MARK, OLD,    BLACK,     WORK,  CUT,     DRAIN,   "the wave was clean, and the deaths of the cycle are decided") \
    ROW(CUT,     DRIVER, nothing,     nothing, MARK, OLD,    BLACK,     FLAGS, DISARM,  CUT,     "no weak table refers to the dead") \
    ROW(DISARM,  ALL,    hold_none,   nothing, DONE, OFF,    BLACK,     FLAGS, FLIP,    DISARM,  "no thread sets mark bits") \
    ROW(FLIP,    ALL,    nothing,     flip,    IDLE, OFF,    WHITE,     WORK,  SWEEP,   FLIP,    "sweeping can end")
/* clang-format on */

#define STEP_ENUMERATOR(step, ...) STEP_##step,
enum step { CYCLE_STEPS(STEP_ENUMERATOR) STEP_COUNT };
#undef STEP_ENUMERATOR

#endif
