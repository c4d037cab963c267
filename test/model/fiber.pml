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
 * Threads neither block nor detach here: see mark.pml.
 */
#define MORE_ROOTS bench
#define RENAME_MORE(a, b) SWAP_BITS(bench, a, b)
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
#define MAY_RESUME (!fiber_claimed)
#define MUST_SCAN_NOW MUST_SCAN
#endif

#define SWITCH \
    d_step { RUNS && MAY_RESUME -> \
        printf("M%d suspends {%d}, resumes {%d}\n", self, M[self].roots, bench); \
        t = M[self].roots; \
        M[self].roots = bench; \
        bench = t; t = 0; \
        if \
        :: MUST_SCAN_NOW -> \
            shade_for(self, (HAS(M[self].roots, 1) -> 1 : 0)); \
            shade_for(self, (HAS(M[self].roots, 2) -> 2 : 0)) \
        :: else \
        fi; \
        scanned = SCANNED_BY_NOW }

active [2] proctype mutator() {
    do
    :: atomic {
        if
        HEAP_OPERATIONS
        :: SWITCH
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

/* After ROOTS: claims an unscanned fiber on the bench, scans it, and gives it back. */
inline scan_bench() {
    do
    :: atomic { !fiber_claimed && !scanned ->
        printf("collector claims fiber {%d}\n", bench);
        fiber_claimed = true }
    :: atomic { fiber_claimed && !scanned_roots ->
        printf("collector scans fiber {%d}\n", bench);
        queue = queue | (bench & ~mark);
        mark = mark | bench;
        scanned_roots = true;
        tidy() }
    :: atomic { fiber_claimed && scanned_roots ->
        fiber_claimed = false; scanned_roots = false; scanned = true }
    :: atomic { !fiber_claimed && scanned -> break }
    od
}

inline sweep() {
    atomic {
        nothing_white_is_reachable();
        cut = false; mark = 0; scanning = false; op = FLIP;
        M[0].phase = IDLE; M[1].phase = IDLE;
        scanned = false;
        tidy()
    }
}

active proctype collector() {
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
