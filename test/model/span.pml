/* Model B: spans, sweep generations, processors (P) and their caches; any number of cycles.
 *
 * Objects       A span has two slots; alloc, mark and live are sets of slots. `live` is not in the
 *               program: it says which objects a thread can reach.
 * Marking       An oracle: after ROOTS it marks all that is live, in one step (mark.pml shows that
 *               real marking does that much), after it has chosen which objects became garbage.
 *               Threads with barriers on may shade any live object.
 * Generations   Only differences matter, so sweep generations count from the heap's: NOW is always
 *               4, and the bump at FLIP lowers everybody else's by 2 and exchanges the lists.
 *               A span at NOW-2 needs sweeping, at NOW-1 is being swept, at NOW is swept,
 *               at NOW+3 is swept and cached; at NOW+1 it was cached before FLIP and still is.
 * Views         A P has its own {black, view}; view is NOW, or NOW-2 from the bump until it answers.
 * Lists         list[0] holds swept spans, list[1] unswept ones; a P with an old view finds them
 *               exchanged. A span that was swept by address leaves a stale entry behind.
 * P             A thread runs managed code only with a P. Thread and P have an epoch each, never more
 *               than one behind: `due`.
 */
#include "properties.pml"

#define SPANS 2
#define ALL 3 /* both slots, both spans */
#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)

#define NOW 4
typedef Span {
    unsigned sg : 4;
    bit dead;            /* its pages are free */
    unsigned alloc : 2;
    unsigned mark : 2;
    unsigned live : 2;
    unsigned owner : 2;  /* who believes to have it: NOBODY, a P + 1, SWEEPER */
};
#define NOBODY 0
#define SWEEPER 3
Span span[SPANS];
byte list[2]; /* sets of spans */

typedef Proc {
    unsigned st : 2;     /* IDLE, RUNNING, CLAIMED */
    bit due;
    bit black;
    bit old;             /* view is NOW-2 */
    unsigned cache : 2;  /* span + 1 */
    unsigned rest : 2;   /* slots of the run that are not yet given out */
    unsigned sweeps : 2; /* span + 1 that it sweeps in order to cache it */
#ifdef MUT_PLAIN_CLAIM
    unsigned saw : 2;    /* span + 1 that it found swept and is about to take */
#endif
};
#define IDLE 0
#define RUNNING 1
#define CLAIMED 2
Proc P[2];
#define VIEW(p) (P[p].old -> NOW - 2 : NOW)

typedef Thread {
    unsigned st : 2;     /* RUN, BLK, CLAIM */
    bit due;
    bit barrier;
    unsigned proc : 2;      /* its P + 1 */
    bit managed;         /* it runs managed code */
};
#define RUN 0
#define BLK 1
#define CLAIM 2
Thread T[2];

mtype = { ARM, ROOTS, DISARM, FLIP, DISARM_AND_FLIP };
mtype op = FLIP;
bit drained = true;      /* sweeping is done: nobody may begin to sweep */
byte sweepers;           /* … and how many are at it */

unsigned sweeping : 2;   /* span + 1 that the background sweeper has */
byte x;                  /* scratch, 0 between steps */

#define SWEPT_LIST(p) list[P[p].old]       /* as the P sees it */
#define UNSWEPT_LIST(p) list[1 - P[p].old]

/* ---- Symmetry: with -DSYM states that differ by names are one ------------------------------ */

inline tidy() {
#ifdef SYM
    d_step { canonical() }
#else
    skip
#endif
}
#ifdef SYM
#define EXCHANGE(a, b) x = a; a = b; b = x
#define RENAME(ref) ref = (ref == 1 -> 2 : (ref == 2 -> 1 : ref)) /* index + 1 */
#define RENAME_SET(set) set = ((set & 1) << 1) | (set >> 1)
#define SPAN_WEIGHT(s) ((((span[s].sg * 2 + span[s].dead) * 4 + span[s].owner) * 4 + span[s].alloc) * 16 + \
                        span[s].mark * 4 + span[s].live)
#define PROC_WEIGHT(p) (((((P[p].st * 2 + P[p].due) * 2 + P[p].black) * 2 + P[p].old) * 4 + P[p].cache) * 16 + \
                        P[p].rest * 4 + P[p].sweeps)
#define THREAD_WEIGHT(t) ((((T[t].st * 2 + T[t].due) * 2 + T[t].barrier) * 4 + T[t].proc) * 2 + T[t].managed)
inline canonical() {
    if
    :: SPAN_WEIGHT(0) < SPAN_WEIGHT(1) ->
        printf("(spans change names)\n");
        EXCHANGE(span[0].sg, span[1].sg); EXCHANGE(span[0].dead, span[1].dead);
        EXCHANGE(span[0].alloc, span[1].alloc); EXCHANGE(span[0].mark, span[1].mark);
        EXCHANGE(span[0].live, span[1].live); EXCHANGE(span[0].owner, span[1].owner);
        RENAME_SET(list[0]); RENAME_SET(list[1]);
        RENAME(P[0].cache); RENAME(P[1].cache);
        RENAME(P[0].sweeps); RENAME(P[1].sweeps); RENAME(sweeping)
    :: else
    fi;
    if
    :: PROC_WEIGHT(0) < PROC_WEIGHT(1) ->
        printf("(P0 and P1 change names)\n");
        EXCHANGE(P[0].st, P[1].st); EXCHANGE(P[0].due, P[1].due); EXCHANGE(P[0].black, P[1].black);
        EXCHANGE(P[0].old, P[1].old); EXCHANGE(P[0].cache, P[1].cache);
        EXCHANGE(P[0].rest, P[1].rest); EXCHANGE(P[0].sweeps, P[1].sweeps);
        RENAME(T[0].proc); RENAME(T[1].proc);
        RENAME(span[0].owner); RENAME(span[1].owner)
    :: else
    fi;
    if
    :: THREAD_WEIGHT(0) < THREAD_WEIGHT(1) ->
        printf("(T0 and T1 change names)\n");
        EXCHANGE(T[0].st, T[1].st); EXCHANGE(T[0].due, T[1].due);
        EXCHANGE(T[0].barrier, T[1].barrier); EXCHANGE(T[0].proc, T[1].proc);
        EXCHANGE(T[0].managed, T[1].managed)
    :: else
    fi;
    x = 0
}
#endif

/* ---- Spans -------------------------------------------------------------------------------- */

#define CLAIM_SPAN(s, to, whom) \
    REQUIRE(P5_one_owner, span[s].owner == NOBODY); \
    span[s].sg = to; \
    span[s].owner = whom

/* alloc := mark; mark := 0. What is freed must be dead. The span is the sweeper's own. */
inline sweep_bits(s) {
    REQUIRE(P1_freed_was_unreachable, (span[s].live & ~span[s].mark) == 0);
    span[s].alloc = span[s].mark;
    span[s].mark = 0
}
inline free_pages(s) {
    span[s].dead = true;
    span[s].sg = 0;
    span[s].owner = NOBODY
}

/* ---- A P's cache: by the thread that has the P, or by the collector that claimed it --------- */

/* A run: free slots for one type. Taken at once: alloc bits, and mark bits if the P is black. */
inline take_run(p, slots) {
    P[p].rest = slots;
    span[P[p].cache - 1].alloc = span[P[p].cache - 1].alloc | slots;
    if :: P[p].black -> span[P[p].cache - 1].mark = span[P[p].cache - 1].mark | slots :: else fi
}
/* Gives back the rest of the run and the span: with the generation of the P's own view, which
 * makes it a span to sweep if the view is old. */
inline uncache(p) {
    if
    :: P[p].cache != 0 ->
        span[P[p].cache - 1].alloc = span[P[p].cache - 1].alloc & ~P[p].rest;
        span[P[p].cache - 1].mark = span[P[p].cache - 1].mark & ~P[p].rest;
        span[P[p].cache - 1].sg = VIEW(p);
        span[P[p].cache - 1].owner = NOBODY;
        SWEPT_LIST(p) = SWEPT_LIST(p) | BIT(P[p].cache - 1);
        P[p].rest = 0;
        P[p].cache = 0
    :: else
    fi
}

/* ---- What a handshake asks ------------------------------------------------------------------ */

inline thread_part(t) {
    if
    :: op == ARM -> T[t].barrier = true
    :: op == DISARM || op == DISARM_AND_FLIP -> T[t].barrier = false
    :: else
    fi;
    T[t].due = false
}
inline proc_part(p) {
    if
    :: op == ROOTS ->
        P[p].black = true;
#ifndef MUT_RUN_LEFT_WHITE
        if
        :: P[p].cache != 0 -> span[P[p].cache - 1].mark = span[P[p].cache - 1].mark | P[p].rest
        :: else
        fi
#endif
    :: op == FLIP || op == DISARM_AND_FLIP ->
        uncache(p);
        P[p].black = false;
        P[p].old = false
    :: else
    fi;
    P[p].due = false
}

/* ---- What a thread does --------------------------------------------------------------------- */

#define self _pid /* the threads are processes 0 and 1 */
#define MANAGED(p) (T[self].managed && T[self].proc == p + 1 && P[p].sweeps == 0 && !CLAIMING(p))
#ifdef MUT_PLAIN_CLAIM
#define CLAIMING(p) (P[p].saw != 0)
#else
#define CLAIMING(p) false
#endif
#define CACHED(p) span[P[p].cache - 1]

/* Allocation: the next slot of the run. */
#define ALLOCATE(p, i) \
    :: d_step { MANAGED(p) && HAS(P[p].rest, i) && (P[p].rest & (BIT(i) - 1)) == 0 -> \
        REQUIRE(P7_one_epoch, T[self].due == P[p].due); \
        printf("T%d allocates span %d slot %d by P%d\n", self, P[p].cache - 1, i, p); \
        P[p].rest = P[p].rest & ~BIT(i); \
        CACHED(p).live = CACHED(p).live | BIT(i) }
#define TAKE_RUN(p, slots) \
    :: d_step { MANAGED(p) && P[p].cache != 0 && P[p].rest == 0 && (CACHED(p).alloc & slots) == 0 -> \
        printf("P%d takes a run %d of span %d, black: %d\n", p, slots, P[p].cache - 1, P[p].black); \
        take_run(p, slots) }
#define FULL(p) (P[p].cache != 0 && P[p].rest == 0 && CACHED(p).alloc == ALL)
#define GIVE_BACK(p) \
    :: d_step { MANAGED(p) && FULL(p) -> \
        printf("P%d gives back span %d, which is full\n", p, P[p].cache - 1); \
        uncache(p) }
#define WANTS_SPAN(p) (MANAGED(p) && P[p].cache == 0)

/* Refill, first choice: a span of the swept list. The claim is a CAS of its generation; if it
 * fails, the entry was stale or a sweeper is faster, and the entry is dropped. */
#ifdef MUT_PLAIN_CLAIM
#define REFILL_SWEPT(p, s) \
    :: d_step { WANTS_SPAN(p) && HAS(SWEPT_LIST(p), s) -> \
        SWEPT_LIST(p) = SWEPT_LIST(p) & ~BIT(s); \
        if :: !span[s].dead && span[s].sg == VIEW(p) -> P[p].saw = s + 1 :: else fi } \
    :: d_step { P[p].saw == s + 1 && T[self].proc == p + 1 -> \
        CLAIM_SPAN(s, VIEW(p) + 3, p + 1); P[p].cache = s + 1; P[p].saw = 0 }
#else
#define REFILL_SWEPT(p, s) \
    :: d_step { WANTS_SPAN(p) && HAS(SWEPT_LIST(p), s) -> \
        SWEPT_LIST(p) = SWEPT_LIST(p) & ~BIT(s); \
        if \
        :: !span[s].dead && span[s].sg == VIEW(p) -> \
            printf("P%d caches swept span %d\n", p, s); \
            CLAIM_SPAN(s, VIEW(p) + 3, p + 1); \
            P[p].cache = s + 1 \
        :: else -> printf("P%d drops the entry of span %d\n", p, s) \
        fi }
#endif

/* Second choice: an unswept one, swept on the spot. Not for a black P: all was swept before its
 * cycle began, and with an old view "its" unswept list is the new swept one. */
#ifdef MUT_LAGGARD_SWEEPS
#define MAY_SWEEP(p) true
#else
#define MAY_SWEEP(p) (!P[p].black)
#endif
#define REFILL_UNSWEPT(p, s) \
    :: d_step { WANTS_SPAN(p) && MAY_SWEEP(p) && !drained && HAS(UNSWEPT_LIST(p), s) -> \
        UNSWEPT_LIST(p) = UNSWEPT_LIST(p) & ~BIT(s); \
        if \
        :: !span[s].dead && span[s].sg == VIEW(p) - 2 -> \
            printf("P%d claims span %d to sweep it\n", p, s); \
            CLAIM_SPAN(s, VIEW(p) - 1, p + 1); \
            P[p].sweeps = s + 1; \
            sweepers++ \
        :: else -> printf("P%d drops the entry of span %d\n", p, s) \
        fi } \
    :: d_step { T[self].proc == p + 1 && P[p].sweeps == s + 1 -> \
        printf("P%d sweeps and caches span %d\n", p, s); \
        sweep_bits(s); \
        span[s].sg = VIEW(p) + 3; \
        P[p].cache = s + 1; \
        P[p].sweeps = 0; \
        sweepers-- }

/* Third choice: a fresh span. A large object is a fresh span of its own, listed at once. */
#ifdef MUT_GLOBAL_SG
#define BIRTH(p) NOW
#define BIRTH_LIST(p) list[0]
#else
#define BIRTH(p) VIEW(p)
#define BIRTH_LIST(p) SWEPT_LIST(p)
#endif
#define FRESH_SPAN(p, s) \
    :: d_step { WANTS_SPAN(p) && span[s].dead -> \
        printf("P%d caches fresh span %d\n", p, s); \
        span[s].dead = false; \
        CLAIM_SPAN(s, BIRTH(p) + 3, p + 1); \
        P[p].cache = s + 1 } \
    :: d_step { MANAGED(p) && span[s].dead -> \
        printf("T%d allocates large object in span %d by P%d, black: %d\n", self, s, p, P[p].black); \
        span[s].dead = false; \
        span[s].sg = BIRTH(p); \
        span[s].alloc = 1; \
        span[s].live = 1; \
        span[s].mark = (P[p].black -> 1 : 0); \
        BIRTH_LIST(p) = BIRTH_LIST(p) | BIT(s) }

/* The barrier: shades an object that is being overwritten, say. */
#define SHADE(s, i) \
    :: d_step { T[self].managed && T[self].barrier && HAS(span[s].live & ~span[s].mark, i) -> \
        printf("T%d shades span %d slot %d\n", self, s, i); \
        span[s].mark = span[s].mark | BIT(i) }

/* ---- Threads and Ps ------------------------------------------------------------------------- */

/* A safepoint of managed code: thread and P answer together. */
#define SAFEPOINT(p) \
    :: d_step { MANAGED(p) && T[self].due -> \
        printf("T%d answers, with P%d\n", self, p); \
        thread_part(self); \
        if :: P[p].due -> proc_part(p) :: else fi }

/* Leaves managed code: for a blocking region, or because others wait for a P. */
#define GIVE_UP_P(p) \
    :: d_step { MANAGED(p) -> \
        printf("T%d gives up P%d\n", self, p); \
        T[self].managed = false; T[self].proc = 0; \
        P[p].st = IDLE }
#define BLOCK_OR_LEAVE \
    :: d_step { T[self].st == RUN && T[self].proc == 0 -> printf("T%d blocks\n", self); T[self].st = BLK } \
    :: d_step { T[self].st == BLK -> printf("T%d goes on\n", self); T[self].st = RUN }
/* A P can be taken before or after the state word is won back. */
#ifdef MUT_TAKE_IGNORES_CLAIM
#define FREE_P(p) (P[p].st != RUNNING)
#else
#define FREE_P(p) (P[p].st == IDLE)
#endif
#define TAKE_P(p) \
    :: d_step { T[self].proc == 0 && FREE_P(p) -> \
        printf("T%d takes P%d\n", self, p); \
        T[self].proc = p + 1; \
        P[p].st = RUNNING }
/* Whichever of the two is behind the other performs what the other has: the operation is still
 * the last one published, for the handshake cannot complete without the one that is behind. */
#ifdef MUT_P_NOT_CAUGHT_UP
#define CATCH_UP_P(p) P[p].due = false
#else
#define CATCH_UP_P(p) proc_part(p)
#endif
#ifdef MUT_T_NOT_CAUGHT_UP
#define CATCH_UP_T T[self].due = false
#else
#define CATCH_UP_T thread_part(self)
#endif
#define HOLDS(p) (T[self].st == RUN && T[self].proc == p + 1 && !T[self].managed)
#define ENTER_MANAGED(p) \
    :: d_step { HOLDS(p) && T[self].due && !P[p].due -> \
        printf("T%d catches up with P%d\n", self, p); CATCH_UP_T } \
    :: d_step { HOLDS(p) && !T[self].due && P[p].due -> \
        printf("P%d catches up with T%d\n", p, self); CATCH_UP_P(p) } \
    :: d_step { HOLDS(p) && T[self].due == P[p].due -> \
        printf("T%d runs managed code with P%d\n", self, p); T[self].managed = true }
/* A thread that waits for a P still answers for itself. */
#define WAITS_FOR_P \
    :: d_step { T[self].st == RUN && T[self].proc == 0 && T[self].due -> \
        printf("T%d answers, without P\n", self); \
        thread_part(self) }

#define WITH_SPAN(p, s) \
    REFILL_SWEPT(p, s) REFILL_UNSWEPT(p, s) FRESH_SPAN(p, s)
#define WITH_P(p) \
    ALLOCATE(p, 0) ALLOCATE(p, 1) TAKE_RUN(p, 1) TAKE_RUN(p, 2) TAKE_RUN(p, 3) GIVE_BACK(p) \
    WITH_SPAN(p, 0) WITH_SPAN(p, 1) \
    SAFEPOINT(p) GIVE_UP_P(p) TAKE_P(p) ENTER_MANAGED(p)

active [2] proctype thread() {
    do
    :: atomic {
        if
        WITH_P(0)
        WITH_P(1)
        SHADE(0, 0) SHADE(0, 1) SHADE(1, 0) SHADE(1, 1)
        BLOCK_OR_LEAVE
        WAITS_FOR_P
        fi;
        tidy()
    }
    od
}

/* ---- The background sweeper ------------------------------------------------------------------ */

/* Finds spans on the unswept list or by address (as whole-span reclaim and ensure_swept do). */
#define NEEDS_SWEEP(s) (!span[s].dead && span[s].sg == NOW - 2)
#define SWEEP(s) \
    :: d_step { !drained && sweeping == 0 && HAS(list[1], s) && !NEEDS_SWEEP(s) -> \
        printf("sweeper drops the entry of span %d\n", s); \
        list[1] = list[1] & ~BIT(s) } \
    :: d_step { !drained && sweeping == 0 && HAS(list[1], s) && NEEDS_SWEEP(s) -> \
        printf("sweeper claims span %d from the list\n", s); \
        list[1] = list[1] & ~BIT(s); \
        CLAIM_SPAN(s, NOW - 1, SWEEPER); \
        sweeping = s + 1; sweepers++ } \
    :: d_step { !drained && sweeping == 0 && NEEDS_SWEEP(s) -> \
        printf("sweeper claims span %d by its address\n", s); \
        CLAIM_SPAN(s, NOW - 1, SWEEPER); \
        sweeping = s + 1; sweepers++ } \
    :: d_step { sweeping == s + 1 && span[s].sg == NOW - 1 -> \
        printf("sweeper sweeps span %d\n", s); \
        sweep_bits(s); \
        sweeping = 0; sweepers--; \
        if \
        :: span[s].alloc == 0 -> free_pages(s) \
        :: else -> \
            span[s].sg = NOW; \
            span[s].owner = NOBODY; \
            list[0] = list[0] | BIT(s) \
        fi }

active proctype sweeper() {
    do
    :: atomic { if SWEEP(0) SWEEP(1) fi; tidy() }
    od
}

/* ---- The collector --------------------------------------------------------------------------- */

#define CLAIM_BLOCKED(t) \
    :: d_step { T[t].due && T[t].st == BLK -> printf("collector claims T%d\n", t); T[t].st = CLAIM } \
    :: d_step { T[t].st == CLAIM -> printf("collector answers for T%d\n", t); thread_part(t); T[t].st = BLK }
#define CLAIM_IDLE(p) \
    :: d_step { P[p].due && P[p].st == IDLE -> \
        printf("collector claims P%d\n", p); P[p].st = CLAIMED; CLAIM_BEGINS(p) } \
    :: d_step { IS_CLAIMED(p) -> \
        printf("collector answers for P%d\n", p); proc_part(p); CLAIM_ENDS(p) }
#ifdef MUT_TAKE_IGNORES_CLAIM
byte claimed; /* P + 1: the word no longer tells */
#define CLAIM_BEGINS(p) claimed = p + 1
#define IS_CLAIMED(p) (claimed == p + 1)
#define CLAIM_ENDS(p) claimed = 0; P[p].st = (P[p].st == CLAIMED -> IDLE : P[p].st)
#else
#define CLAIM_BEGINS(p) skip
#define IS_CLAIMED(p) (P[p].st == CLAIMED)
#define CLAIM_ENDS(p) P[p].st = IDLE
#endif

inline publish(what) {
    printf("handshake: %e\n", what);
    op = what;
    T[0].due = true; T[1].due = true;
    P[0].due = true; P[1].due = true
}
inline await() {
    do
    :: !T[0].due && !T[1].due && !P[0].due && !P[1].due -> break
    :: atomic { if CLAIM_BLOCKED(0) CLAIM_BLOCKED(1) CLAIM_IDLE(0) CLAIM_IDLE(1) fi; tidy() }
    od
}
/* The bump of the heap's sweep generation: see the head of this file. */
inline bump() {
    span[0].sg = (span[0].dead -> 0 : span[0].sg - 2);
    span[1].sg = (span[1].dead -> 0 : span[1].sg - 2);
    P[0].old = true; P[1].old = true;
    list[1] = list[0]; list[0] = 0; /* the unswept list was empty */
    drained = false
}
/* What became garbage since the last time is forgotten here, at the only moment when it matters. */
inline forget(s, i) {
    if
    :: HAS(span[s].live, i) -> printf("span %d slot %d is garbage\n", s, i); span[s].live = span[s].live & ~BIT(i)
    :: true
    fi
}
inline oracle() {
    atomic {
        forget(0, 0); forget(0, 1); forget(1, 0); forget(1, 1);
        printf("the oracle marks %d in span 0, %d in span 1\n", span[0].live, span[1].live);
        span[0].mark = span[0].mark | span[0].live;
        span[1].mark = span[1].mark | span[1].live
    }
}
/* Decided once: from now on nobody begins to sweep until the next bump. */
inline sweep_done() {
    atomic { list[1] == 0 && sweepers == 0 -> printf("sweep done\n"); drained = true }
}
#define ACCOUNTED(s) \
    (span[s].dead || (span[s].owner == NOBODY && span[s].sg == NOW && (HAS(list[0], s) || TAKING(s))) || \
     ((P[0].cache == s + 1 || P[1].cache == s + 1) && span[s].sg == NOW + 3))
#ifdef MUT_PLAIN_CLAIM
#define TAKING(s) (P[0].saw == s + 1 || P[1].saw == s + 1)
#else
#define TAKING(s) false
#endif

active proctype collector() {
    atomic { span[0].dead = true; span[1].dead = true }; /* the heap begins empty */
    do
    :: true ->
        atomic {
            REQUIRE(P2_marks_zero_at_arm, span[0].mark == 0 && span[1].mark == 0);
            REQUIRE(P8_no_span_lost, ACCOUNTED(0) && ACCOUNTED(1));
            publish(ARM)
        };
        await();
        atomic { publish(ROOTS) };
        await();
        oracle();
#ifdef MUT_H3_H4_MERGED
        atomic { bump(); publish(DISARM_AND_FLIP) };
        await();
        sweep_done()
#elif defined(MUT_SWEEP_DONE_EARLY)
        atomic { publish(DISARM) };
        await();
        atomic { bump(); publish(FLIP) };
        sweep_done();
        await()
#else
        atomic { publish(DISARM) };
        await();
        atomic { bump(); publish(FLIP) };
        await();
        sweep_done()
#endif
    od
}
