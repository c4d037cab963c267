/* Model A: marking and termination, with threads that attach, detach and block. */
#include "core.pml"

/* Under the registry's lock: the thread adopts phase and epoch. It has no roots yet. */
#ifdef MUT_ATTACH_STALE
#define ADOPTED IDLE
#else
#define ADOPTED PHASE_AFTER(op)
#endif
#define ATTACH \
    d_step { M[self].st == OFF -> \
        printf("M%d attaches\n", self); \
        M[self].st = RUN; \
        M[self].phase = ADOPTED }

/* Under the registry's lock: hands over grey, reports it to the wave that may be on its way, and
 * leaves the list: which counts as an answer. */
#define DETACH \
    d_step { RUNS && FENCED(self) -> \
        printf("M%d detaches\n", self); \
        GIVE_UP_GREY; \
        M[self].grey = 0; M[self].handed = false; WINDOWS_AT_DETACH; \
        M[self].roots = 0; M[self].phase = IDLE; M[self].due = false; \
        M[self].st = OFF }
#if defined(WINDOWS) && !defined(MUT_DETACH_DROPS_ARMED)
#define ARMED_AT_DETACH M[self].grey = M[self].grey | M[self].armed
#else
#define ARMED_AT_DETACH skip
#endif
#ifdef MUT_DETACH_DROPS_GREY
#define GIVE_UP_GREY skip
#elif defined(MUT_DETACH_SILENT)
#define GIVE_UP_GREY hand_over(self)
#else
#define GIVE_UP_GREY ARMED_AT_DETACH; hand_over(self); dirty = dirty || M[self].handed
#endif

#ifdef WINDOWS
#define WINDOWS_AT_DETACH M[self].open = 0; M[self].armed = 0; M[self].done = 0
#else
#define WINDOWS_AT_DETACH skip
#endif

active [2] proctype mutator() {
    do
    :: atomic {
        if
        HEAP_OPERATIONS
#ifndef NO_BLOCK
        :: ENTER_BLOCKING
        :: LEAVE_BLOCKING
#endif
#ifndef NO_ATTACH
        :: ATTACH
        :: DETACH
#endif
        fi;
        tidy()
    }
    od
}

active proctype worker() {
    do
    :: atomic { if EACH(SCAN) :: SHADE_CHILD WORKER_WALKS fi; tidy() }
    od
}

/* All that is white is freed, all marks are cleared, and everybody is IDLE again: what happens
 * there one span and one thread after the other is the subject of span.pml. */
inline sweep() {
    atomic {
        nothing_white_is_reachable();
        cut = false; mark = 0; scanning = false; all_black = false; op = FLIP;
        M[0].phase = IDLE; M[1].phase = IDLE;
        tidy()
    }
}

#ifdef CHAIN /* the global refers to 1, and 1 to 2 */
#define INITIAL_HEAP slot[0] = 1; slot[1] = 2
#else
#define INITIAL_HEAP skip
#endif

active proctype collector() {
    atomic { INITIAL_HEAP };
    do
    :: true ->
progress_cycle:
        begin_cycle();
        mark_until_clean();
        atomic { cut = true; nothing_white_is_reachable() };
        handshake(DISARM);
        sweep()
    od
}
