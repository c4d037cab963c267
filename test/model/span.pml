/* Model B: spans, sweep generations, processors (P) and their caches; any number of cycles.
 *
 * Objects       A span has two slots; alloc, mark and live are sets of slots. `live` is not in the
 *               program: it says which objects a thread can reach. A large object has a span alone.
 * Marking       An oracle: after ROOTS it marks all that is live, in one step (mark.pml shows that
 *               real marking does that much), having chosen what became garbage. Before the oracle a
 *               barrier shades nothing that the oracle would not; later ones are in the model.
 * Generations   Only differences matter: NOW, the heap's generation, is always 4, and the bump at
 *               FLIP lowers everybody else's by 2 and exchanges the lists. A span at NOW-2 waits to
 *               be swept, at NOW-1 is being swept, at NOW is swept, at NOW+3 is swept and cached; at
 *               NOW+1 it was cached before FLIP and still is.
 * Lists         Of spans with room, and of full ones: [0] swept, [1] unswept. To whoever still has
 *               the old generation they are the other way round. A span that is found by its address
 *               (whole-span reclaim) leaves a stale entry behind.
 * Threads       Two, each with a P that it takes when it enters managed code and leaves idle when it
 *               blocks. (That Ps change threads adds nothing: either of a pair may be behind the
 *               other.) Both are at most one epoch behind, so one bit each tells: `due`.
 *
 * A step of a process is one access to shared memory, together with what is private to it.
 *
 * Store buffers With -DTSO plain stores go through a buffer of two entries per process: see there.
 */
#include "properties.pml"

#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)
#define FULL 3 /* both slots */
#define NOW 4

typedef Span {
    unsigned sg : 4;     /* 0: its pages are free */
    bit large;
    unsigned alloc : 2;
    unsigned mark : 2;
    unsigned live : 2;
};
Span span[2];
byte partial[2]; /* lists: sets of spans */
byte filled[2];

typedef Pair {           /* a thread and its P */
    unsigned st : 2;     /* the thread: OFF, BLK, RUN, MANAGED */
    bit due;
    bit barrier;
    bit has;             /* it has the P */
    bit p_due;
    bit black;
    bit old;             /* the P's generation is NOW-2: FLIP has begun, and it has not answered */
    unsigned cache : 2;  /* span + 1 */
    unsigned rest : 2;   /* slots of the span not yet given out */
    unsigned sweeps : 2; /* span + 1 that it sweeps in order to cache it */
#ifdef TSO
    unsigned stage : 2;  /* of what it does with the span that it sweeps, or gives back */
#endif
};
#define OFF 0     /* not attached */
#define BLK 1     /* in a blocking region */
#define RUN 2     /* running again, not yet in managed code */
#define MANAGED 3
Pair M[2];

mtype = { ARM, ROOTS, DISARM, FLIP };
mtype op = FLIP;
bit marked;              /* the oracle has spoken */
bit open = true;         /* spans may be swept */
unsigned sweepers : 2;   /* how many are at it */
unsigned background : 2; /* the background sweeper: AWAY, LOOKED, COUNTED, HAS_SPAN */
unsigned its_span : 1;
bit its_old;             /* its generation, read when it counted itself, is no longer the heap's */
byte x;                  /* scratch, 0 between steps */
#define AWAY 0
#define LOOKED 1   /* is about to look whether sweeping is open */
#define COUNTED 2  /* … has found it so, and looks for spans */
#define HAS_SPAN 3

#define GENERATION(old) (NOW - 2 * (old))

/* ---- Store buffers --------------------------------------------------------------------------- */

/* Stores by which a span's generation moves without a CAS, by which a sweeper clears mark bits, by
 * which a thread or a P goes to rest or answers, and by which sweeping opens and closes. What only
 * an owner looks at (alloc bits, a P's cache and its tuple) needs no buffer: the store that passes
 * the ownership on comes out last. An atomic read-modify-write waits until the buffer is empty, and
 * so does a lock, both when it is taken and when it is given back. Fences that are there to wake
 * somebody (poll.pml) are left out: nothing here may depend on them.
 * A claim and what it is for are one step, and the collector's stores in it come out together: who
 * finds the P or the thread claimed waits for the last of them. */
#define SWEEPER 2 /* the threads' buffers are 0 and 1 */
#define COLLECTOR 3
#ifdef TSO
#define GEN(s) (s)
#define MARKS(s) (2 + (s))
#define P_IDLE 4
#define P_ANSWER 5
#define T_BLOCKED 6
#define T_ANSWER 7
#define OPEN_WORD 8

typedef Buffer {
    unsigned n : 2;    /* (at0, val0) is the oldest */
    unsigned at0 : 4;
    unsigned val0 : 3;
    unsigned at1 : 4;
    unsigned val1 : 3;
};
Buffer b[4];
unsigned its_stage : 2; /* of the background sweeper */
#define SWEPT 1         /* has swept the bits */
#define FILED 2         /* has set the generation, and is about to put it into a set */

#define ROOM(who) (b[who].n < 2)
#define FENCED(who) (b[who].n == 0)
#define IN_BUFFER(who, what) \
    ((b[who].n > 0 && b[who].at0 == what) || (b[who].n > 1 && b[who].at1 == what))
#define STAGE(m) M[m].stage
#define LEFT(m) IN_BUFFER(m, T_BLOCKED)
inline write(who, where, what) {
    if
    :: b[who].n == 0 -> b[who].at0 = where; b[who].val0 = what; b[who].n = 1
    :: else -> b[who].at1 = where; b[who].val1 = what; b[who].n = 2
    fi
}
inline drain(who) {
    if
    :: b[who].at0 == GEN(0) || b[who].at0 == GEN(1) -> span[b[who].at0].sg = b[who].val0
    :: b[who].at0 == MARKS(0) || b[who].at0 == MARKS(1) -> span[b[who].at0 - MARKS(0)].mark = 0
    :: b[who].at0 == P_IDLE -> M[who].has = false
    :: b[who].at0 == P_ANSWER -> M[who].p_due = false
    :: b[who].at0 == T_BLOCKED -> M[who].st = BLK
    :: b[who].at0 == T_ANSWER -> M[who].due = false
    :: b[who].at0 == OPEN_WORD -> open = b[who].val0
    fi;
    b[who].at0 = b[who].at1; b[who].val0 = b[who].val1;
    b[who].at1 = 0; b[who].val1 = 0;
    b[who].n = b[who].n - 1
}
/* What a span's generation will be. */
#define COMING(who, s) (b[who].n > 1 && b[who].at1 == GEN(s) -> b[who].val1 : b[who].val0)
#define SG(s) (IN_BUFFER(0, GEN(s)) -> COMING(0, s) : (IN_BUFFER(1, GEN(s)) -> COMING(1, s) : \
              (IN_BUFFER(SWEEPER, GEN(s)) -> COMING(SWEEPER, s) : span[s].sg)))
#else
#define ROOM(who) true
#define FENCED(who) true
#define STAGE(m) 0
#define LEFT(m) false
#define SG(s) span[s].sg
#endif

/* ---- Symmetry: states that differ by names are one ----------------------------------------- */

#define OTHER(ref) ref = (ref == 0 -> 0 : 3 - ref) /* index + 1 */
#define EXCHANGE(a, f) x = a[0].f; a[0].f = a[1].f; a[1].f = x
#define OTHERS(set) set = ((set & 1) << 1) | (set >> 1)
#define SPAN_WEIGHT(s) \
    ((((span[s].sg * 2 + span[s].large) * 4 + span[s].alloc) * 4 + span[s].mark) * 4 + span[s].live)
#define PAIR_WEIGHT(m) \
    ((((((((M[m].st * 2 + M[m].due) * 2 + M[m].barrier) * 2 + M[m].has) * 2 + M[m].p_due) * 2 + \
        M[m].black) * 2 + M[m].old) * 4 + M[m].cache) * 16 + M[m].rest * 4 + M[m].sweeps)
#ifdef TSO
#define RENAME_BUFFER(who) \
    b[who].at0 = (b[who].n > 0 -> RENAMED(b[who].at0) : 0); \
    b[who].at1 = (b[who].n > 1 -> RENAMED(b[who].at1) : 0)
#define RENAMED(at) (at < MARKS(0) -> 1 - at : (at < P_IDLE -> 5 - at : at))
#define RENAME_BUFFERS RENAME_BUFFER(0); RENAME_BUFFER(1); RENAME_BUFFER(SWEEPER)
#define EXCHANGE_BUFFERS \
    EXCHANGE(M, stage); EXCHANGE(b, n); EXCHANGE(b, at0); EXCHANGE(b, val0); EXCHANGE(b, at1); \
    EXCHANGE(b, val1)
#else
#define RENAME_BUFFERS skip
#define EXCHANGE_BUFFERS skip
#endif
inline canonical() {
#ifdef SYM
    if
    :: SPAN_WEIGHT(0) < SPAN_WEIGHT(1) ->
        printf("(spans change names)\n");
        EXCHANGE(span, sg); EXCHANGE(span, large); EXCHANGE(span, alloc); EXCHANGE(span, mark);
        EXCHANGE(span, live);
        OTHERS(partial[0]); OTHERS(partial[1]); OTHERS(filled[0]); OTHERS(filled[1]);
        OTHER(M[0].cache); OTHER(M[1].cache); OTHER(M[0].sweeps); OTHER(M[1].sweeps);
        its_span = (background == HAS_SPAN -> 1 - its_span : 0);
        RENAME_BUFFERS
    :: else
    fi;
    if
    :: PAIR_WEIGHT(0) < PAIR_WEIGHT(1) ->
        printf("(pairs change names)\n");
        EXCHANGE(M, st); EXCHANGE(M, due); EXCHANGE(M, barrier); EXCHANGE(M, has); EXCHANGE(M, p_due);
        EXCHANGE(M, black); EXCHANGE(M, old); EXCHANGE(M, cache); EXCHANGE(M, rest); EXCHANGE(M, sweeps);
        EXCHANGE_BUFFERS
    :: else
    fi;
    x = 0
#else
    skip
#endif
}

/* ---- Spans ---------------------------------------------------------------------------------- */

#define IN_USE(s) (span[s].sg != 0)
#define OWNED(s) (M[0].cache == s + 1 || M[1].cache == s + 1 || M[0].sweeps == s + 1 || \
                  M[1].sweeps == s + 1 || (background == HAS_SPAN && its_span == s))
inline enlist(s, side) {
    if
    :: span[s].large || span[s].alloc == FULL -> filled[side] = filled[side] | BIT(s)
    :: else -> partial[side] = partial[side] | BIT(s)
    fi
}
/* The new owner has seen that nobody has the span. */
#define CLAIM(s, to) \
    REQUIRE(P5_one_owner, !OWNED(s)); \
    span[s].sg = to

/* alloc := mark; mark := 0. What is freed must be dead. */
inline sweep_bits(s, who) {
    REQUIRE(P1_freed_was_unreachable, (span[s].live & ~span[s].mark) == 0);
    span[s].alloc = span[s].mark;
#ifdef TSO
    if :: span[s].mark != 0 -> write(who, MARKS(s), 0) :: else fi
#else
    span[s].mark = 0
#endif
}

#define HAS_ROOM(s) (span[s].alloc != 0 && !span[s].large && span[s].alloc != FULL)

inline free_span(s) {
    span[s].sg = 0;
    span[s].large = false
}

/* ---- A P's cache: by the thread that has the P, or by the collector ---------------------------- */

/* A span to allocate from: its free slots become a run, with alloc bits, and mark bits if the P is
 * black. */
inline open_run(m, s) {
    REQUIRE(P5_one_owner, !span[s].large);
    M[m].cache = s + 1;
    M[m].rest = ~span[s].alloc & FULL;
    span[s].alloc = FULL;
    span[s].mark = (M[m].black -> span[s].mark | M[m].rest : span[s].mark)
}
/* Gives back the rest of the run, and the span at the P's own generation: which makes it one that
 * waits to be swept if that is the old one. */
#define CACHED(m) span[M[m].cache - 1]
inline uncache(m) {
    if
    :: M[m].cache != 0 ->
        CACHED(m).alloc = CACHED(m).alloc & ~M[m].rest;
        CACHED(m).mark = CACHED(m).mark & ~M[m].rest;
        CACHED(m).sg = GENERATION(M[m].old);
        enlist(M[m].cache - 1, M[m].old);
        M[m].rest = 0;
        M[m].cache = 0
    :: else
    fi
}

/* ---- What a handshake asks -------------------------------------------------------------------- */

#ifdef MUT_DISARM_FLIP_MERGED
#define BARRIER_ENDS FLIP
#else
#define BARRIER_ENDS DISARM
#endif
inline thread_part(m) {
    M[m].barrier = (op == ARM || (op != BARRIER_ENDS && M[m].barrier))
}
inline p_part(m) {
    if
    :: op == ROOTS ->
        M[m].black = true;
#ifndef MUT_RUN_LEFT_WHITE
        if :: M[m].cache != 0 -> CACHED(m).mark = CACHED(m).mark | M[m].rest :: else fi
#endif
    :: op == FLIP -> uncache(m); M[m].black = false; M[m].old = false
    :: else
    fi
}

/* ---- What a thread does ----------------------------------------------------------------------- */

#define self _pid /* the threads are processes 0 and 1 */
#define I M[self]
#define RUNS (I.st == MANAGED && I.sweeps == 0 && STAGE(self) == 0 && !LEFT(self))

#define ALLOCATE \
    :: d_step { RUNS && I.rest != 0 -> \
        x = I.rest & ~(I.rest - 1); /* the lowest */ \
        printf("T%d allocates %d of span %d\n", self, x, I.cache - 1); \
        I.rest = I.rest & ~x; \
        CACHED(self).live = CACHED(self).live | x; \
        x = 0 }
#ifdef TSO
#define GIVE_BACK_FULL \
    :: d_step { RUNS && I.cache != 0 && I.rest == 0 && ROOM(self) -> \
        printf("T%d gives back span %d, which is full\n", self, I.cache - 1); \
        write(self, GEN(I.cache - 1), GENERATION(I.old)); \
        I.stage = FILED } \
    :: d_step { I.stage == FILED && I.sweeps == 0 && FENCED(self) -> \
        printf("T%d files span %d\n", self, I.cache - 1); \
        enlist(I.cache - 1, I.old); \
        I.cache = 0; \
        I.stage = 0 }
#else
#define GIVE_BACK_FULL \
    :: d_step { RUNS && I.cache != 0 && I.rest == 0 -> \
        printf("T%d gives back span %d, which is full\n", self, I.cache - 1); \
        uncache(self) }
#endif

/* Refill, first choice: a swept span with room. The claim is a CAS of its generation; if it fails,
 * the entry was stale, or a sweeper is faster, and the entry is dropped. */
#define WANTS_SPAN (RUNS && I.cache == 0 && FENCED(self))
#define REFILL_SWEPT(s) \
    :: d_step { WANTS_SPAN && HAS(partial[I.old], s) -> \
        partial[I.old] = partial[I.old] & ~BIT(s); \
        if \
        :: span[s].sg == GENERATION(I.old) -> \
            printf("T%d caches swept span %d\n", self, s); \
            CLAIM(s, GENERATION(I.old) + 3); \
            open_run(self, s) \
        :: else -> printf("T%d drops the entry of span %d\n", self, s) \
        fi }

/* Second choice: an unswept one, swept on the spot. (A P has a flag of its own that it may sweep, from
 * FLIP to ARM; `open` says at least as much.) */
#ifdef MUT_LAGGARD_SWEEPS
#define MAY_SWEEP true
#else
#define MAY_SWEEP open
#endif
#define REFILL_UNSWEPT(s) CLAIM_UNSWEPT(s, partial) CLAIM_UNSWEPT(s, filled) SWEEP_CLAIMED(s)
#define CLAIM_UNSWEPT(s, list) \
    :: d_step { WANTS_SPAN && MAY_SWEEP && HAS(list[1 - I.old], s) -> \
        list[1 - I.old] = list[1 - I.old] & ~BIT(s); \
        if \
        :: span[s].sg == GENERATION(I.old) - 2 -> \
            printf("T%d claims span %d to sweep it\n", self, s); \
            CLAIM(s, GENERATION(I.old) - 1); \
            I.sweeps = s + 1; \
            sweepers++ \
        :: else -> printf("T%d drops the entry of span %d\n", self, s) \
        fi }
#ifdef TSO
#ifdef MUT_LEAVE_OVERTAKES
#define MAY_LEAVE ROOM(self)
#else
#define MAY_LEAVE FENCED(self)
#endif
/* As the C code does, it is counted no more when it sets the generation of a span that it caches: a
 * cycle may begin while memory still says that the span is being swept. */
#define SWEEP_CLAIMED(s) \
    :: d_step { I.sweeps == s + 1 && I.stage == 0 && ROOM(self) -> \
        printf("T%d sweeps span %d\n", self, s); \
        sweep_bits(s, self); \
        I.stage = SWEPT } \
    :: d_step { I.sweeps == s + 1 && I.stage == SWEPT && span[s].alloc == 0 && FENCED(self) -> \
        printf("T%d frees span %d\n", self, s); \
        free_span(s); \
        I.sweeps = 0; I.stage = 0; \
        sweepers-- } \
    :: d_step { I.sweeps == s + 1 && I.stage == SWEPT && HAS_ROOM(s) && MAY_LEAVE -> \
        printf("T%d caches span %d\n", self, s); \
        I.sweeps = 0; I.stage = 0; \
        sweepers--; \
        write(self, GEN(s), GENERATION(I.old) + 3); \
        open_run(self, s) } \
    :: d_step { I.sweeps == s + 1 && I.stage == SWEPT && span[s].alloc != 0 && !HAS_ROOM(s) && \
                ROOM(self) -> \
        write(self, GEN(s), GENERATION(I.old)); \
        I.stage = FILED } \
    :: d_step { I.sweeps == s + 1 && I.stage == FILED && FENCED(self) -> \
        printf("T%d files span %d, which is full\n", self, s); \
        enlist(s, I.old); \
        I.sweeps = 0; I.stage = 0; \
        sweepers-- }
#else
#define SWEEP_CLAIMED(s) \
    :: d_step { I.sweeps == s + 1 -> \
        sweep_bits(s, self); \
        I.sweeps = 0; \
        sweepers--; \
        if \
        :: span[s].alloc == 0 -> \
            printf("T%d sweeps and frees span %d\n", self, s); \
            free_span(s) \
        :: HAS_ROOM(s) -> \
            printf("T%d sweeps and caches span %d\n", self, s); \
            span[s].sg = GENERATION(I.old) + 3; \
            open_run(self, s) \
        :: else -> \
            printf("T%d sweeps span %d, which is full\n", self, s); \
            span[s].sg = GENERATION(I.old); \
            enlist(s, I.old) \
        fi }
#endif

/* Third choice: a fresh span. And a large object, which is listed at once. */
#ifdef MUT_COLOUR_GLOBAL_SG /* born at the heap's generation, not the P's */
#define BORN_OLD 0
#else
#define BORN_OLD I.old
#endif
#define FRESH_SPAN(s) \
    :: d_step { WANTS_SPAN && !IN_USE(s) -> \
        printf("T%d caches fresh span %d\n", self, s); \
        CLAIM(s, GENERATION(BORN_OLD) + 3); \
        open_run(self, s) } \
    :: d_step { RUNS && !IN_USE(s) && FENCED(self) -> \
        printf("T%d allocates large object %d, black: %d\n", self, s, I.black); \
        span[s].large = true; \
        span[s].sg = GENERATION(BORN_OLD); \
        span[s].alloc = 1; \
        span[s].live = 1; \
        span[s].mark = I.black; \
        filled[BORN_OLD] = filled[BORN_OLD] | BIT(s) }

/* The barrier: a thread that still has it on, once marking is over, shades a white object. */
#define SHADE(s) \
    :: d_step { I.st == MANAGED && I.barrier && marked && (span[s].live & ~span[s].mark) != 0 && \
                !LEFT(self) && FENCED(self) -> \
        printf("T%d shades what is white in span %d\n", self, s); \
        span[s].mark = span[s].mark | span[s].live }

#ifdef TSO
#define T_ANSWERS write(self, T_ANSWER, 0)
#define P_ANSWERS write(self, P_ANSWER, 0)
#else
#define T_ANSWERS I.due = false
#define P_ANSWERS I.p_due = false
#endif

/* A safepoint of managed code: thread and P answer together. */
#define SAFEPOINT \
    :: d_step { RUNS && I.due && FENCED(self) -> \
        printf("T%d answers\n", self); \
        if :: I.p_due -> p_part(self); P_ANSWERS :: else fi; \
        thread_part(self); \
        T_ANSWERS }

/* A thread can attach while its P is behind. Detaching answers first. */
#define ATTACH_DETACH \
    :: d_step { I.st == OFF -> \
        printf("T%d attaches\n", self); \
        I.st = BLK; \
        I.barrier = (op == ARM || op == ROOTS) } \
    :: d_step { RUNS && !I.due && !I.p_due && FENCED(self) -> \
        printf("T%d detaches\n", self); \
        I.st = OFF; I.has = false; I.barrier = false }
#ifdef TSO
#define GO_TO_REST write(self, P_IDLE, 0); write(self, T_BLOCKED, 0)
#else
#define GO_TO_REST I.st = BLK; I.has = false
#endif
#define BLOCK \
    :: d_step { RUNS && FENCED(self) -> printf("T%d blocks\n", self); GO_TO_REST }
#define UNBLOCK \
    :: d_step { I.st == BLK && !I.has && FENCED(self) -> \
        printf("T%d takes its P\n", self); \
        I.has = true } \
    :: d_step { I.st == BLK && I.has && FENCED(self) -> \
        printf("T%d runs again\n", self); \
        I.st = RUN }
/* Whichever of the two is behind the other performs what was published last: the handshake cannot
 * complete without the one that is behind. */
#ifdef MUT_P_NOT_CAUGHT_UP
#define P_CATCHES_UP I.p_due = false
#else
#define P_CATCHES_UP if :: I.p_due -> p_part(self); P_ANSWERS :: else fi
#endif
#ifdef MUT_T_NOT_CAUGHT_UP
#define T_CATCHES_UP I.due = false
#else
#define T_CATCHES_UP if :: I.due -> thread_part(self); T_ANSWERS :: else fi
#endif
#define ENTER_MANAGED \
    :: d_step { I.st == RUN && FENCED(self) -> \
        printf("T%d goes on\n", self); \
        P_CATCHES_UP; \
        T_CATCHES_UP; \
        I.st = MANAGED }

active [2] proctype thread() {
    do
    :: atomic {
        if
        ALLOCATE GIVE_BACK_FULL
        REFILL_SWEPT(0) REFILL_SWEPT(1) REFILL_UNSWEPT(0) REFILL_UNSWEPT(1)
        FRESH_SPAN(0) FRESH_SPAN(1)
        SHADE(0) SHADE(1)
        SAFEPOINT ATTACH_DETACH BLOCK UNBLOCK ENTER_MANAGED
        fi;
        d_step { canonical() }
    }
    od
}

/* ---- The background sweeper -------------------------------------------------------------------- */

/* No handshake reaches it, so it may stand between two steps while a cycle runs. It counts itself
 * and then looks whether sweeping is open (I13). */
#if defined(MUT_LOOKS_BEFORE_COUNTING)
#define ENTER_SWEEPING \
    :: d_step { background == AWAY && open -> background = LOOKED } \
    :: d_step { background == LOOKED -> sweepers++; background = COUNTED }
#elif defined(MUT_UNCOUNTED)
#define ENTER_SWEEPING \
    :: d_step { background == AWAY && open -> background = COUNTED }
#else
#define ENTER_SWEEPING \
    :: d_step { background == AWAY && FENCED(SWEEPER) -> sweepers++; background = LOOKED } \
    :: d_step { background == LOOKED && OPEN -> background = COUNTED } \
    :: d_step { background == LOOKED && !OPEN -> sweepers--; background = AWAY }
#endif
#ifdef MUT_UNCOUNTED
#define LEAVES
#else
#define LEAVES sweepers--;
#endif
#ifdef MUT_RECLAIM_BEFORE_FLIP
#define OPEN (open || op == FLIP)
#define FROM_LIST open
#else
#define OPEN open
#define FROM_LIST true
#endif
/* It finds spans in the list, or by address as whole-span reclaim does. */
#define SWEEP(s) FROM(partial, s) FROM(filled, s) BY_ADDRESS(s)
#define FROM(list, s) \
    :: d_step { background == COUNTED && FROM_LIST && HAS(list[1 - its_old], s) -> \
        list[1 - its_old] = list[1 - its_old] & ~BIT(s); \
        if \
        :: span[s].sg == GENERATION(its_old) - 2 && IN_USE(s) -> \
            printf("sweeper claims span %d from the list\n", s); \
            CLAIM(s, GENERATION(its_old) - 1); \
            background = HAS_SPAN; its_span = s \
        :: else -> printf("sweeper drops the entry of span %d\n", s) \
        fi }
#define BY_ADDRESS(s) \
    :: d_step { background == COUNTED && span[s].sg == GENERATION(its_old) - 2 && IN_USE(s) -> \
        printf("sweeper claims span %d by its address\n", s); \
        CLAIM(s, GENERATION(its_old) - 1); \
        background = HAS_SPAN; its_span = s } \
    SWEEP_ITS(s)
#ifdef TSO
#define SWEEPS(s, at) (background == HAS_SPAN && its_span == s && its_stage == at)
#define SWEEP_ITS(s) \
    :: d_step { SWEEPS(s, 0) && ROOM(SWEEPER) -> \
        printf("sweeper sweeps span %d\n", s); \
        sweep_bits(s, SWEEPER); \
        its_stage = SWEPT } \
    :: d_step { SWEEPS(s, SWEPT) && span[s].alloc == 0 && FENCED(SWEEPER) -> \
        printf("sweeper frees span %d\n", s); \
        free_span(s); \
        its_span = 0; its_stage = 0; \
        background = COUNTED } \
    :: d_step { SWEEPS(s, SWEPT) && span[s].alloc != 0 && ROOM(SWEEPER) -> \
        write(SWEEPER, GEN(s), GENERATION(its_old)); \
        its_stage = FILED } \
    :: d_step { SWEEPS(s, FILED) && FENCED(SWEEPER) -> \
        printf("sweeper files span %d\n", s); \
        enlist(s, its_old); \
        its_span = 0; its_stage = 0; \
        background = COUNTED }
#else
#define SWEEP_ITS(s) \
    :: d_step { background == HAS_SPAN && its_span == s -> \
        sweep_bits(s, SWEEPER); \
        if \
        :: span[s].alloc == 0 -> \
            printf("sweeper frees span %d\n", s); \
            free_span(s) \
        :: else -> \
            printf("sweeper sweeps span %d\n", s); \
            span[s].sg = GENERATION(its_old); \
            enlist(s, its_old) \
        fi; \
        its_span = 0; \
        background = COUNTED }
#endif

active proctype sweeper() {
    do
    :: atomic {
        if
        ENTER_SWEEPING
        SWEEP(0) SWEEP(1)
        :: d_step { background == COUNTED && FENCED(SWEEPER) ->
            LEAVES
            background = AWAY;
            its_old = false }
        fi;
        d_step { canonical() }
    }
    od
}

#ifdef TSO
#define DRAIN(who) \
    :: d_step { b[who].n > 0 -> printf("a store of %d comes out\n", who); drain(who) }
active proctype memory() {
    do
    :: atomic { if DRAIN(0) DRAIN(1) DRAIN(SWEEPER) DRAIN(COLLECTOR) fi; d_step { canonical() } }
    od
}
#endif

/* ---- The collector ------------------------------------------------------------------------------ */

/* For a thread that is blocked, and for an idle P. */
#define ANSWER_FOR(m) \
    :: d_step { M[m].due && M[m].st == BLK -> \
        printf("collector answers for T%d\n", m); \
        thread_part(m); \
        M[m].due = false } \
    :: d_step { M[m].p_due && !M[m].has -> \
        printf("collector answers for P%d\n", m); \
        p_part(m); \
        M[m].p_due = false }

inline publish(what) {
    printf("handshake: %e\n", what);
    op = what;
    M[0].due = (M[0].st != OFF); M[1].due = (M[1].st != OFF);
    M[0].p_due = true; M[1].p_due = true
}
inline await() {
    do
    :: !M[0].due && !M[1].due && !M[0].p_due && !M[1].p_due -> break
    :: atomic { if ANSWER_FOR(0) ANSWER_FOR(1) fi; d_step { canonical() } }
    od
}
/* What became garbage since the last time is forgotten here, at the only moment when it matters. */
inline forget(s) {
    if
    :: true
    :: HAS(span[s].live, 0) -> span[s].live = span[s].live & 2
    :: HAS(span[s].live, 1) -> span[s].live = span[s].live & 1
    :: span[s].live == FULL -> span[s].live = 0
    fi
}
inline oracle() {
    atomic {
        forget(0); forget(1);
        printf("the oracle marks %d in span 0, %d in span 1\n", span[0].live, span[1].live);
        span[0].mark = span[0].mark | span[0].live;
        span[1].mark = span[1].mark | span[1].live;
        marked = true;
        d_step { canonical() }
    }
}
#define LOWERED(s) span[s].sg = (IN_USE(s) -> span[s].sg - 2 : 0)
#ifdef TSO
#define LOWERED_IN(who) \
    b[who].val0 = b[who].val0 - (b[who].n > 0 && b[who].at0 < MARKS(0) -> 2 : 0); \
    b[who].val1 = b[who].val1 - (b[who].n > 1 && b[who].at1 < MARKS(0) -> 2 : 0)
#define LOWER_BUFFERS LOWERED_IN(0); LOWERED_IN(1); LOWERED_IN(SWEEPER)
#define SET_OPEN(yes) atomic { write(COLLECTOR, OPEN_WORD, yes) }
#else
#define LOWER_BUFFERS skip
#define SET_OPEN(yes) open = yes
#endif
inline bump() { /* see the head of this file */
    LOWERED(0); LOWERED(1); LOWER_BUFFERS;
    M[0].old = true; M[1].old = true;
    its_old = (background == COUNTED || background == HAS_SPAN);
    x = partial[1]; partial[1] = partial[0]; partial[0] = x;
    x = filled[1]; filled[1] = filled[0]; filled[0] = x; x = 0
}
/* Under the lock, and both are in memory before it is given back: the generation first. */
inline flip() {
#if defined(MUT_EPOCH_BEFORE_GENERATION)
    atomic { FENCED(COLLECTOR); publish(FLIP) };
    atomic { bump() }
#elif defined(TSO)
    atomic { FENCED(COLLECTOR); bump() };
    atomic { publish(FLIP) }
#else
    atomic { bump(); publish(FLIP) }
#endif
}
/* Nobody will find anything any more. The lists first, then the count: who takes the last entry is
 * counted before. */
inline finish_sweeping() {
#ifdef TSO
    open; /* who goes through the lists must see that */
#endif
    partial[1] == 0 && filled[1] == 0;
    sweepers == 0
}
#define ACCOUNTED(s) \
    (!IN_USE(s) || (SG(s) == NOW && HAS(partial[0] | filled[0], s) && !OWNED(s)) || \
     CACHED_BY(0, s) || CACHED_BY(1, s))
#ifdef TSO /* it may be about to give the span back */
#define CACHED_BY(m, s) (M[m].cache == s + 1 && SG(s) == (M[m].stage == FILED -> NOW : NOW + 3))
#else
#define CACHED_BY(m, s) (M[m].cache == s + 1 && span[s].sg == NOW + 3)
#endif

active proctype collector() {
    do
    :: true ->
        atomic {
            REQUIRE(P2_marks_zero_at_arm, span[0].mark == 0 && span[1].mark == 0);
            REQUIRE(P7_no_span_lost, ACCOUNTED(0) && ACCOUNTED(1));
            publish(ARM)
        };
        await();
        atomic { publish(ROOTS) };
        await();
        oracle();
#ifndef MUT_DISARM_FLIP_MERGED
        atomic { publish(DISARM) };
        await();
#endif
        SET_OPEN(false); /* sweep_prepare */
#if defined(TSO) && !defined(MUT_PREPARE_UNFENCED)
        FENCED(COLLECTOR);
#endif
        sweepers == 0;
        flip();
#ifdef MUT_SWEEP_DONE_EARLY
        SET_OPEN(true);
        finish_sweeping();
        await();
#else
        await();
        SET_OPEN(true);
        finish_sweeping();
#endif
        marked = false
    od
}
