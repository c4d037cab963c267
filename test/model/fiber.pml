/* Model F: fibers. A fiber is a set of roots that a thread can leave behind and another can take up.
 *
 * Three fibers for two threads: each thread runs one, the third waits on the bench. A switch puts
 * the thread's own fiber on the bench and takes the other.
 *
 * The rules: a thread's ROOTS covers the fiber that it runs. Who suspends a fiber before its own
 * ROOTS leaves it unscanned, even if somebody scanned it before. Who is black and resumes an
 * unscanned fiber scans it first. What nobody resumes, the collector claims and scans once ROOTS is
 * complete; until then marking is not over.
 *
 * With -DSTACKS fibers come and go, and have C stacks, set by threads that claim the fiber for it: on
 * the bench's a stale word may stand, which is no root, but which a scan takes for one. The heap is
 * there at the start and is only taken apart.
 *
 * Threads neither block nor detach here: see mark.pml.
 */
#define MORE_ROOTS bench
#ifdef STACKS
#define CALLS
#define DELETIONS_ONLY
#define INITIAL_HEAP slot[0] = 1; slot[1] = 2
#define SETS_STACK 1 /* pc: has claimed the fiber on the bench */
#define MORE_HELD BIT(stale)
#define RENAME_MORE(a, b) SWAP_BITS(bench, a, b); SWAP_REF(stale, a, b)
#define SETTING (M[0].pc == SETS_STACK || M[1].pc == SETS_STACK)
#define STALE stale
#define FORGET_STACK stale = 0
#define FREE_STALE stale = HAS(mark, stale) * stale
unsigned stale : 2; /* an object that a word on the suspended fiber's stack names */
#else
#define RENAME_MORE(a, b) SWAP_BITS(bench, a, b)
#define SETTING false
#define STALE 0
#define FORGET_STACK skip
#define FREE_STALE skip
#endif
#define MAY_CLAIM_FIBER (!fiber_claimed && !SETTING)
unsigned bench : 4; /* the suspended fiber's roots */
bit scanned;        /* … are shaded in this cycle */
bit fiber_claimed;  /* … are being shaded by the collector */
#include "core.pml"

#ifdef MUT_SUSPEND_KEEPS_SCANNED /* the flag travels with the fiber and no thread clears it */
#define SCANNED_BY_NOW true
#else
#define SCANNED_BY_NOW (M[self].phase >= MARK)
#endif
#ifdef MUT_RESUME_UNSCANNED
#define MUST_SCAN false
#else
#define MUST_SCAN (M[self].phase == MARK && !scanned)
#endif
#ifdef MUT_RESUME_IGNORES_CLAIM
#define MAY_RESUME true
#define MUST_SCAN_NOW (MUST_SCAN && !fiber_claimed)
#else
#define MAY_RESUME MAY_CLAIM_FIBER
#define MUST_SCAN_NOW MUST_SCAN
#endif

/* By a thread that takes the fiber over. */
inline scan_first() {
    if
    :: MUST_SCAN_NOW ->
        shade_for(self, (HAS(bench, 1) -> 1 : 0));
        shade_for(self, (HAS(bench, 2) -> 2 : 0));
        shade_for(self, STALE)
    :: else
    fi
}
#define SWITCH \
    d_step { RUNS && MAY_RESUME -> \
        printf("M%d suspends {%d}, resumes {%d}\n", self, M[self].roots, bench); \
        scan_first(); \
        FORGET_STACK; \
        t = M[self].roots; \
        M[self].roots = bench; \
        bench = t; t = 0; \
        scanned = SCANNED_BY_NOW }

/* A fiber goes, and another one comes whose stack has been in use. */
#ifdef MUT_FRESH_UNSCANNED
#define FRESH_SCANNED false
#else
#define FRESH_SCANNED (M[self].phase >= MARK)
#endif
#define REPLACE \
    d_step { RUNS && MAY_CLAIM_FIBER -> \
        printf("M%d destroys fiber {%d} and makes one\n", self, bench); \
        scan_first(); \
        bench = 0; \
        scanned = FRESH_SCANNED }
/* gc_fiber_stack: of the fiber on the bench. On the stack an object is named that somebody holds now. */
#define SET_STACK(o) \
    d_step { RUNS && MAY_CLAIM_FIBER && HAS(M[self].roots, o) -> \
        printf("M%d claims fiber to set its stack, with a word for %d\n", self, o); \
        M[self].pc = SETS_STACK; \
        stale = o }
#define STACK_IS_SET \
    d_step { M[self].pc == SETS_STACK -> M[self].pc = 0 }
#ifdef STACKS
#define FIBER_OPERATIONS :: SWITCH :: REPLACE :: SET_STACK(1) :: SET_STACK(2) :: STACK_IS_SET
#else
#define FIBER_OPERATIONS :: SWITCH
#endif

active [2] proctype mutator() {
    do
    :: atomic {
        if
        HEAP_OPERATIONS
        FIBER_OPERATIONS
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

#ifdef MUT_VISIT_PASSES_BY /* what somebody has claimed */
#define PASSES_BY SETTING
#else
#define PASSES_BY false
#endif
/* After ROOTS: claims an unscanned fiber on the bench, scans it, and gives it back. */
inline scan_bench() {
    do
    :: atomic { MAY_CLAIM_FIBER && !scanned ->
        printf("collector claims fiber {%d}\n", bench);
        fiber_claimed = true }
    :: atomic { fiber_claimed && !scanned_roots ->
        printf("collector scans fiber {%d}\n", bench);
        r = (bench | BIT(STALE)) & ~1;
        queue = queue | (r & ~mark);
        mark = mark | r;
        r = 0;
        scanned_roots = true;
        tidy() }
    :: atomic { fiber_claimed && scanned_roots ->
        fiber_claimed = false; scanned_roots = false; scanned = true }
    :: atomic { !fiber_claimed && (scanned || PASSES_BY) -> break }
    od
}

inline sweep() {
    atomic {
        nothing_white_is_reachable();
        FREE_STALE;
        cut = false; mark = 0; scanning = false; op = FLIP;
        M[0].phase = IDLE; M[1].phase = IDLE;
        scanned = false;
        tidy()
    }
}

active proctype collector() {
    atomic { INITIAL_HEAP };
    do
    :: true ->
        begin_cycle();
#ifndef MUT_FIBERS_FORGOTTEN
        scan_bench();
#endif
        mark_until_clean();
        atomic { cut = true; nothing_white_is_reachable() };
        handshake(DISARM);
        sweep()
    od
}
