/* Model F': a fiber that belongs to an object. Marking is model A's, weak reads are model C's; threads
 * neither block nor detach.
 *
 * There is one fiber at a time. A thread that resumes it reads a weak reference to the owner, takes the
 * fiber, scans it if nobody has, and has its roots from then on beside its own. When it suspends the
 * fiber it leaves any of its roots there. What the suspended fiber holds lives if the owner does; who
 * runs it holds the owner. The collector scans the fiber when its owner is marked.
 *
 * With -DFIXED the fiber is there at the start, the global leads to its owner, and references are only
 * deleted.
 */
#define CALLS
#define NO_OVERFLOW
#define MORE_EDGES (HAS(r & ~1, owner) -> bench : 0)
#define MORE_ROOTS (runner != 0 -> BIT(owner) : 0)
#define RENAME_MORE(a, b) SWAP_REF(owner, a, b); SWAP_BITS(bench, a, b); SWAP_REF(indexed, a, b)
#define SWAP_MORE runner = (runner != 0 -> 3 - runner : 0)
#define MORE_HELD BIT(owner) | BIT(indexed) | BIT(M[0].obj) | BIT(M[1].obj)
#ifdef MUT_OWNER_NOT_HELD
#define MORE_OF(m) 0
#else
#define MORE_OF(m) (runner == m + 1 -> BIT(owner) : 0)
#endif
unsigned owner : 2;    /* 0: there is no fiber */
unsigned bench : 3;    /* what it holds while it is suspended, … */
bit scanned;           /* … which is shaded in this cycle */
unsigned runner : 2;   /* the thread that runs it, + 1 */
bit walked;            /* the collector has looked for fibers that are not scanned, … */
unsigned indexed : 2;  /* … and this one's owner was white */
#define NOTE_DEATH skip
#define TOLD_DEAD false
#include "core.pml"
#include "reading.pml"

/* More of where in a call a thread is. */
#define ANNOUNCES 6    /* weak_announce: looks at the state */
#define ANNOUNCED 7    /* … TRACING -> REPEAT */
#define TAKES 8        /* fiber_switch: SUSPENDED -> RUNNING */
#define SCANS 9        /* … scan_first */

#ifdef MUT_OWNED_UNANNOUNCED
#define MUST_ANNOUNCE false
#else
#define MUST_ANNOUNCE (I.phase == MARK && !scanned)
#endif
#ifdef MUT_OWNED_UNSCANNED
#define MUST_SCAN false
#else
#define MUST_SCAN (I.phase == MARK && !scanned)
#endif
#ifdef MUT_OWNED_KEEPS_SCANNED
#define SCANNED_BY_NOW true
#else
#define SCANNED_BY_NOW (I.phase >= MARK)
#endif

#define RESUME \
    :: d_step { RUNS && owner != 0 && runner == 0 -> \
        printf("M%d reads the owner: %d\n", self, owner); \
        I.obj = owner; \
        if \
        :: I.phase == MARK -> I.pc = IS_MARKED \
        :: I.phase == DONE && !GREY_OR_BLACK(owner) -> found_dead() \
        :: else -> I.pc = KEEPS \
        fi } \
    HOLD_MARKING \
    :: d_step { I.pc == KEEPS && !HAS(I.roots, I.obj) -> keep() } /* it does not want to run it */ \
    :: d_step { I.pc == KEEPS -> I.pc = (MUST_ANNOUNCE -> ANNOUNCES : TAKES) } \
    :: d_step { I.pc == ANNOUNCES -> I.pc = (wk == TRACING -> ANNOUNCED : TAKES) } \
    :: d_step { I.pc == ANNOUNCED -> \
        if :: wk == TRACING -> wk = REPEAT; I.pc = TAKES :: else -> I.pc = ANNOUNCES fi } \
    :: d_step { I.pc == TAKES -> \
        if \
        :: runner != 0 -> LEAVE_CALL \
        :: else -> printf("M%d takes the fiber\n", self); runner = self + 1; I.pc = SCANS \
        fi } \
    :: d_step { I.pc == SCANS -> \
        printf("M%d runs the fiber, scans it first: %d\n", self, MUST_SCAN); \
        if \
        :: MUST_SCAN -> \
            scanned = true; \
            shade_for(self, (HAS(bench, 1) -> 1 : 0)); \
            shade_for(self, (HAS(bench, 2) -> 2 : 0)) \
        :: else \
        fi; \
        I.roots = I.roots | bench; \
        bench = 0; \
        LEAVE_CALL }
#define SUSPEND(set) \
    :: d_step { RUNS && runner == self + 1 -> \
        printf("M%d suspends the fiber, with {%d}\n", self, I.roots & (set)); \
        bench = I.roots & (set); \
        scanned = SCANNED_BY_NOW; \
        runner = 0 }
#define MAKE(o) \
    :: d_step { RUNS && owner == 0 && HAS(I.roots, o) && !IN_CALL(1 - self) -> \
        printf("M%d makes a fiber of %d\n", self, o); \
        owner = o; \
        scanned = (I.phase >= MARK) }
/* Nothing is shaded. */
#define DESTROY \
    :: d_step { RUNS && runner == 0 && HAS(I.roots, owner) && owner != 0 && !IN_CALL(1 - self) -> \
        printf("M%d destroys the fiber\n", self); \
        owner = 0; bench = 0; indexed = 0 }

#ifdef FIXED
#define INITIAL_HEAP owner = 1; bench = BIT(2); slot[0] = 1
#define OTHER_OPERATIONS \
    :: LOAD_FROM(0) EACH_OBJECT(DROP) :: STORE(0, 0) :: STORE_ENDS :: SAFEPOINT
#else
#define INITIAL_HEAP skip
#define OTHER_OPERATIONS SUSPEND(BIT(1)) SUSPEND(BIT(2)) MAKE(1) MAKE(2) DESTROY HEAP_OPERATIONS
#endif

active [2] proctype mutator() {
    do
    :: atomic {
        if
        RESUME
        SUSPEND(EVERY)
        OTHER_OPERATIONS
        fi;
        tidy()
    }
    od
}

active proctype worker() {
    do
    :: atomic { if EACH(SCAN) :: SHADE_CHILD fi; tidy() }
    od
}

/* ---- The collector ------------------------------------------------------------------------------ */

inline scan_fiber() {
    printf("collector scans the fiber: {%d}\n", bench);
    more = ((bench & ~mark) != 0);
    queue = queue | (LEAF(0) -> 0 : bench & ~mark);
    mark = mark | bench;
    scanned = true
}
#ifdef MUT_BLACK_OWNER_PASSED_BY /* those whose owners wait are found when these are marked */
#define MAY_SCAN_AT_ONCE false
#else
#define MAY_SCAN_AT_ONCE true
#endif
inline resolve() {
    atomic {
        more = false;
        if
        :: owner != 0 && runner == 0 && !scanned && GREY_OR_BLACK(owner) && \
           (walked -> owner == indexed : MAY_SCAN_AT_ONCE) -> scan_fiber()
        :: !walked && owner != 0 && runner == 0 && !scanned && !GREY_OR_BLACK(owner) -> indexed = owner
        :: else
        fi;
        walked = true;
        tidy()
    }
}
inline sweep() {
    atomic {
        nothing_white_is_reachable();
        if
        :: owner != 0 && !GREY_OR_BLACK(owner) ->
            printf("the owner is dead\n");
            REQUIRE_P4(runner == 0);
            owner = 0; bench = 0
        :: else
        fi;
        cut = false; mark = 0; scanning = false; op = FLIP; wk = TRACING;
        scanned = false; walked = false; indexed = 0;
        M[0].phase = IDLE; M[1].phase = IDLE;
        tidy()
    }
}

active proctype collector() {
    atomic { INITIAL_HEAP };
    do
    :: true ->
#ifdef MUT_OWNED_WALKED_EARLY /* while threads may still suspend it unscanned */
        handshake(ARM);
        handshake(SETTLE);
        resolve();
        start_scanning();
        handshake(ROOTS);
#else
        begin_cycle();
#endif
        mark_to_the_cut();
        nothing_white_is_reachable();
        handshake(DISARM);
        sweep()
    od
}
