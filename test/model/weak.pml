/* Model C: weak references. Marking is model A's, without threads that block, attach or detach. One
 * of four things is there, by its name:
 *
 * CELL      A weak cell, which the sweep of its object clears, and a finalizer. Objects are swept one
 *           by one after FLIP, each in steps; threads read in every phase.
 * TABLE     An entry of an intern table: found without a check in the other phases, cleared between
 *           CUT and DISARM. A reader holds no lock: the entry may be cleared, and another object
 *           added, while it looks at what it has found.
 * SLOT      A weak slot of an object that is always reachable. A thread past its ROOTS may make another
 *           such object, which is black: the collector does not know the slot of that one in this cycle.
 * OWN       An entry of a weak table of the program's own. A thread shades what it takes out; the cut is
 *           decided while both threads are held, and the entry is cleared then.
 * EPHEMERON An entry of a weak map: its value is kept while its key lives.
 */
#define CALLS
#ifdef CHAIN
#define DELETIONS_ONLY
#endif
#define NO_OVERFLOW
#ifdef GIVE_UP
#define AFTER_WAVE may_give_up()
#endif

#ifdef CELL
#define MORE_ROOTS finq | BIT(slot[fin]) /* a finalizer's object need not live, what it reaches must */
#define MORE_HELD BIT(ref) | BIT(M[0].obj) | BIT(M[1].obj) | BIT(fin) | BIT(sweeping)
#define RENAME_MORE(a, b) \
    SWAP_REF(ref, a, b); SWAP_REF(fin, a, b); SWAP_REF(sweeping, a, b); \
    SWAP_BITS(finq, a, b); SWAP_BITS(freed, a, b); SWAP_BITS(unswept, a, b)
#define FORGET_MORE freed = freed & r; unswept = unswept & r
#define BORN(o) unswept = (flipped && M[self].phase == DONE -> unswept | BIT(o) : unswept & ~BIT(o))
unsigned ref : 2;      /* the cell */
unsigned fin : 2;      /* the object that has a finalizer */
unsigned finq : 3;     /* objects whose finalizers are queued: roots */
bit flipped;           /* the heap's generation is the new one */
unsigned unswept : 3;  /* objects of the old one; a thread allocates by its own */
unsigned sweeping : 2; /* the object that is being swept */
unsigned fate : 2;     /* … what becomes of it: */
unsigned freed : 3;    /* freed, and still in the cell */
#ifdef MUT_FLIP_OVERTAKES
bit unseen;            /* … by readers, although its mark is gone */
#define UNSEEN unseen
#else
#define UNSEEN false
#endif
#define LIVES 1
#define DIES 2
#define QUEUED 3
/* More of where in a call a thread is. */
#define DONE_MARK 6    /* verdict_done: looks at the mark */
#define DONE_AGAIN 7   /* … at the generation */
#define REST 8         /* verdict_at_rest: looks at the span's generation */
#define REST_MARK 9    /* … at the mark */
#define REST_AGAIN 10  /* … at the generation again */
#elif defined(SLOT)
#define MORE_HELD BIT(ref) | BIT(M[0].obj) | BIT(M[1].obj)
#define RENAME_MORE(a, b) SWAP_REF(ref, a, b)
unsigned ref : 2;      /* what the slot holds */
bit fresh;             /* its object was born black in this cycle */
#elif defined(TABLE) || defined(OWN)
#define MORE_HELD BIT(ref) | BIT(M[0].obj) | BIT(M[1].obj)
#define RENAME_MORE(a, b) SWAP_REF(ref, a, b)
unsigned ref : 2;      /* the entry */
#else
#define MORE_EDGES (HAS(r & ~1, key) -> BIT(ref) : 0)
#define MORE_HELD BIT(key) | BIT(ref) | BIT(M[0].obj) | BIT(M[1].obj) | BIT(indexed_key) | BIT(indexed)
#define RENAME_MORE(a, b) \
    SWAP_REF(key, a, b); SWAP_REF(ref, a, b); SWAP_REF(indexed_key, a, b); SWAP_REF(indexed, a, b)
unsigned key : 2;
unsigned ref : 2;      /* the value */
bit walked;            /* the collector has been through the map, and has put into its index what was */
unsigned indexed_key : 2; /* white and had a white key */
unsigned indexed : 2;
#endif
bit gone;              /* somebody was told that the object is dead */
#if defined(TABLE) || defined(OWN)
#define NOTE_DEATH gone = (ref == I.obj -> true : gone)
#define TOLD_DEAD (gone || ref != I.obj)
#elif defined(SLOT)
#define NOTE_DEATH gone = (ref == I.obj -> true : gone)
#define TOLD_DEAD (gone && ref == I.obj)
#else
#define NOTE_DEATH gone = true
#define TOLD_DEAD gone
#endif
#include "core.pml"
#include "reading.pml"

#define LOCKED ((M[0].pc != 0 && M[0].pc <= KEEPS) || (M[1].pc != 0 && M[1].pc <= KEEPS))

/* ---- What a thread does ----------------------------------------------------------------------- */

#ifdef CELL
/* One who holds the object already learns nothing from the cell. */
#define GET \
    :: d_step { RUNS && ref != 0 && !REACHES(ref) -> \
        printf("M%d looks at cell: %d\n", self, ref); \
        I.obj = ref; \
        if \
        :: I.phase == ARMED -> I.pc = KEEPS \
        :: I.phase == MARK -> I.pc = IS_MARKED \
        :: I.phase == DONE && !flipped -> I.pc = DONE_MARK \
        :: else -> I.pc = REST \
        fi } \
    HOLD_MARKING \
    :: d_step { I.pc == DONE_MARK -> I.seen = GREY_OR_BLACK(I.obj); I.pc = DONE_AGAIN } \
    :: d_step { I.pc == DONE_AGAIN -> \
        if \
        :: flipped -> LEAVE_CALL /* it starts again, sooner or later */ \
        :: !flipped && I.seen -> I.pc = KEEPS; I.seen = 0 \
        :: else -> found_dead() \
        fi } \
    :: d_step { I.pc == REST -> \
        if \
        :: BEING_SWEPT(I.obj) -> LEAVE_CALL \
        :: !BEING_SWEPT(I.obj) && HAS(unswept, I.obj) -> I.pc = REST_MARK \
        :: else -> I.pc = KEEPS \
        fi } \
    :: d_step { I.pc == REST_MARK -> I.seen = GREY_OR_BLACK(I.obj); I.pc = REST_AGAIN } \
    :: d_step { I.pc == REST_AGAIN -> \
        if \
        :: GENERATION_CHANGED(I.obj) -> LEAVE_CALL \
        :: !GENERATION_CHANGED(I.obj) && I.seen -> I.pc = KEEPS; I.seen = 0 \
        :: else -> found_dead() \
        fi } \
    :: d_step { I.pc == KEEPS -> \
        if \
        :: ref == I.obj -> REQUIRE_P4(!HAS(freed, I.obj)); keep() \
        :: else -> LEAVE_CALL \
        fi }
#define BEING_SWEPT(o) (sweeping == o && !UNSEEN)
#ifdef MUT_GENERATION_UNCHECKED
#define GENERATION_CHANGED(o) false
#else
#define GENERATION_CHANGED(o) (BEING_SWEPT(o) || !HAS(unswept, o))
#endif
#define WEAK_NEW(o) \
    :: d_step { RUNS && ref == 0 && !IN_CALL(1 - self) && HAS(I.roots, o) -> \
        printf("M%d makes cell of %d\n", self, o); \
        ref = o; gone = false }
#define SET_FINALIZER(o) \
    :: d_step { RUNS && fin == 0 && finq == 0 && HAS(I.roots, o) -> \
        printf("M%d sets finalizer of %d\n", self, o); \
        fin = o; \
        if :: BARRIER && WHITE(o) && SCANS_FINALIZABLE -> I.grey = I.grey | BIT(o) :: else fi }
#ifdef MUT_FINALIZER_UNSCANNED
#define SCANS_FINALIZABLE false
#else
#define SCANS_FINALIZABLE true
#endif
#define RUN_FINALIZER(o) \
    :: d_step { RUNS && HAS(finq, o) -> \
        printf("M%d runs finalizer of %d\n", self, o); \
        finq = finq & ~BIT(o); \
        I.roots = I.roots | BIT(o); \
        if :: BARRIER -> shade_for(self, o) :: else fi }
#define WEAK_CALLS \
    SET_FINALIZER(1) SET_FINALIZER(2) RUN_FINALIZER(1) RUN_FINALIZER(2) WEAK_NEW(1) WEAK_NEW(2) GET

#elif defined(SLOT)
#define GET \
    :: d_step { RUNS && ref != 0 && !REACHES(ref) -> \
        printf("M%d loads from the slot: %d\n", self, ref); \
        I.obj = ref; \
        if :: I.phase == MARK -> I.pc = IS_MARKED :: else -> keep() fi } \
    HOLD_MARKING \
    :: d_step { I.pc == KEEPS -> keep() }
#ifdef MUT_PUT_UNSHADED
#define PUT_SHADES(o) skip
#elif defined(MUT_PUT_SHADES_OLD)
#define PUT_SHADES(o) if :: BARRIER && ref != 0 -> r = ref; shade_for(self, r); r = 0 :: else fi
#else
#define PUT_SHADES(o) if :: I.phase == ARMED -> shade_for(self, o) :: else fi
#endif
#define PUT(o) \
    :: d_step { RUNS && HAS(I.roots, o) -> \
        printf("M%d stores %d in the slot\n", self, o); \
        PUT_SHADES(o); \
        ref = o; gone = false }
#define MAKE \
    :: d_step { RUNS && BLACK && ref != 0 -> \
        printf("M%d makes another slot\n", self); \
        ref = 0; fresh = true; gone = false }
#define WEAK_CALLS GET PUT(1) PUT(2) MAKE

#elif defined(OWN)
#define GET \
    :: d_step { RUNS && ref != 0 && !REACHES(ref) -> \
        printf("M%d takes out %d\n", self, ref); \
        I.obj = ref; I.pc = SHADES } \
    :: d_step { I.pc == SHADES -> if :: BARRIER -> SHADE_IT :: else fi; keep() }
#define ADD(o) \
    :: d_step { RUNS && ref == 0 && HAS(I.roots, o) -> \
        printf("M%d puts in %d\n", self, o); \
        ref = o; gone = false }
#define WEAK_CALLS GET ADD(1) ADD(2)

#elif defined(TABLE)
#define GET \
    :: d_step { RUNS && ref != 0 && !REACHES(ref) -> \
        printf("M%d looks up: %d\n", self, ref); \
        I.obj = ref; \
        if :: I.phase == MARK -> I.pc = IS_MARKED :: else -> keep() fi } \
    HOLD_MARKING \
    :: d_step { I.pc == KEEPS -> keep() }
#define ADD(o) \
    :: d_step { RUNS && ref == 0 && HAS(I.roots, o) -> \
        printf("M%d interns %d\n", self, o); \
        ref = o; gone = false }
#define WEAK_CALLS GET ADD(1) ADD(2)

#else
/* Who looks up a value holds its key. */
#define GET \
    :: d_step { RUNS && !LOCKED && HAS(I.roots, key) && ref != 0 && !REACHES(ref) -> \
        printf("M%d looks up the value of %d: %d\n", self, key, ref); \
        I.obj = ref; \
        if :: I.phase == MARK -> I.pc = IS_MARKED :: else -> keep() fi } \
    HOLD_MARKING \
    :: d_step { I.pc == KEEPS -> keep() }
#define SET(k, v) \
    :: d_step { RUNS && !LOCKED && (key == 0 || key == k) && HAS(I.roots, k) && HAS(I.roots, v) -> \
        printf("M%d sets value of %d to %d\n", self, k, v); \
        key = k; ref = v }
#define DELETE(k) \
    :: d_step { RUNS && !LOCKED && key == k && HAS(I.roots, k) -> \
        printf("M%d deletes entry of %d\n", self, k); \
        key = 0; ref = 0 }
#ifdef CHAIN
#define WEAK_CALLS GET
#elif N == 3
#define WEAK_CALLS \
    GET DELETE(1) DELETE(2) DELETE(3) \
    SET(1, 2) SET(2, 1) SET(1, 3) SET(3, 1) SET(2, 3) SET(3, 2)
#else
#define WEAK_CALLS GET DELETE(1) DELETE(2) SET(1, 2) SET(2, 1)
#endif
#endif

active [2] proctype mutator() {
    do
    :: atomic {
        if
        WEAK_CALLS
        HEAP_OPERATIONS
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

#ifdef CELL
/* After ROOTS: queued finalizers are roots, and what an object with a finalizer reaches. */
inline mark_special() {
    atomic {
        r = finq & ~mark;
        mark = mark | r;
        queue = queue | r;
        r = 0;
        if :: fin != 0 && WHITE(fin) && SCANS_FINALIZABLE -> queue = queue | BIT(fin) :: else fi
    }
}
inline resolve() { more = false }
inline clear() { skip }
inline give_up() {
    atomic { t = ref; shade(t, queue); t = 0; tidy() }
}

#ifdef MUT_FLIP_OVERTAKES /* without a fence, if the sweeper finds no cell: its claim is seen late */
#define CLAIM_SPAN(o) sweeping = o; unseen = (fate == LIVES && ref != o); mark = (unseen -> mark & ~BIT(o) : mark)
#define CLAIM_IS_SEEN :: atomic { unseen -> unseen = false; tidy() }
#else
#define CLAIM_SPAN(o) sweeping = o
#define CLAIM_IS_SEEN
#endif
#define BEGIN_SWEEP(o) \
    :: atomic { sweeping == 0 && HAS(unswept, o) -> \
        printf("sweeper claims %d\n", o); \
        fate = (GREY_OR_BLACK(o) -> LIVES : (fin == o -> QUEUED : DIES)); \
        CLAIM_SPAN(o); \
        tidy() }
#ifdef MUT_FINALIZER_FIRST
#define MAY_QUEUE true
#else
#define MAY_QUEUE (ref != sweeping)
#endif
#ifdef MUT_CLEARED_LATE /* the cell is cleared when all is swept */
#define MUST_CLEAR (ref == sweeping && fate == QUEUED)
#define CLEAR_LATE ref = (HAS(freed & ~1, ref) -> 0 : ref)
#else
#define MUST_CLEAR (ref == sweeping && (fate == QUEUED || fate == DIES))
#define CLEAR_LATE skip
#endif
inline sweep() {
    atomic { flipped = true; r = HELD; CLOSE; unswept = r & ~1; r = 0 };
    handshake(FLIP);
    wk = TRACING;
    do
    BEGIN_SWEEP(1)
    BEGIN_SWEEP(2)
    CLAIM_IS_SEEN
    :: atomic { fate == QUEUED && MAY_QUEUE ->
        printf("finalizer of %d queued\n", fin);
        REQUIRE_P4(ref != fin);
        mark = mark | BIT(fin);
        finq = finq | BIT(fin);
        fin = 0;
        fate = LIVES;
        tidy() }
    :: atomic { sweeping != 0 && MUST_CLEAR -> printf("cell cleared\n"); ref = 0; tidy() }
    :: atomic { !UNSEEN && (fate == LIVES || (fate == DIES && !MUST_CLEAR)) ->
        printf("%d is swept, fate %d\n", sweeping, fate);
        r = ROOTED; CLOSE;
        REQUIRE(P1_freed_was_unreachable, fate == LIVES || !HAS(r, sweeping));
        r = 0;
        freed = (fate == DIES -> freed | BIT(sweeping) : freed);
        mark = mark & ~BIT(sweeping);
        unswept = unswept & ~BIT(sweeping);
        sweeping = 0; fate = 0;
        tidy() }
    :: atomic { sweeping == 0 && unswept == 0 -> break }
    od;
    atomic {
        REQUIRE(P2_marks_zero_at_arm, mark == 0);
        cut = false; scanning = false; flipped = false;
        PATIENCE_AGAIN;
        CLEAR_LATE;
        tidy()
    }
}
#else
#ifdef SLOT
#define NOTHING_FRESH fresh = false
#else
#define NOTHING_FRESH skip
#endif
inline mark_special() { skip }
/* As in model A: all at once. */
inline sweep() {
    atomic {
        nothing_white_is_reachable();
        REQUIRE_P4(ref == 0 || GREY_OR_BLACK(ref));
        cut = false; mark = 0; scanning = false; op = FLIP; wk = TRACING;
        PATIENCE_AGAIN;
        NOTHING_FRESH;
        M[0].phase = IDLE; M[1].phase = IDLE;
        tidy()
    }
}
#endif

#ifdef SLOT
#define IN_SLOT !fresh && ref != 0
#else
#define IN_SLOT ref != 0
#endif
#ifdef OWN
/* Both threads are at safepoints, and what they have shaded is taken. */
#ifdef MUT_OWN_UNHELD
#define BOTH_HELD true
#else
#define BOTH_HELD (!IN_CALL(0) && !IN_CALL(1) && !M[0].storing && !M[1].storing)
#endif
#ifdef MUT_OWN_NOT_TAKEN
#define TAKEN 0
#else
#define TAKEN (M[0].grey | M[1].grey)
#endif
#define REMOVE_DEAD if :: ref != 0 && !GREY_OR_BLACK(ref) -> printf("entry of %d removed\n", ref); ref = 0 :: else fi
#ifdef MUT_CLEAR_AFTER_DISARM
#define CLEAR_OWN skip
#else
#define CLEAR_OWN REMOVE_DEAD
#endif
inline resolve() {
    atomic {
        BOTH_HELD ->
        more = (TAKEN != 0);
        if
        :: more -> queue = queue | M[0].grey | M[1].grey; M[0].grey = 0; M[1].grey = 0
        :: else -> wk = CUT; cut = true; CLEAR_OWN
        fi;
        tidy()
    }
}
#ifdef MUT_CLEAR_AFTER_DISARM
inline clear() { atomic { REMOVE_DEAD; tidy() } }
#else
inline clear() { skip }
#endif
#endif

#if defined(TABLE) || defined(SLOT)
inline resolve() { more = false }
inline give_up() {
    atomic { t = ref; shade(t, queue); t = 0; tidy() }
}
inline clear() {
    atomic {
        if
        :: IN_SLOT && !GREY_OR_BLACK(ref) -> printf("entry of %d removed\n", ref); ref = 0
        :: else
        fi;
        tidy() }
}
#endif

#ifdef EPHEMERON
#define RESOLVED(k, v) (k != 0 && v != 0 && GREY_OR_BLACK(k) && !GREY_OR_BLACK(v))
/* The first time it walks through the map, later through the index of what waited then. */
inline resolve() {
    atomic {
        (walked || !LOCKED) ->
        if
        :: !walked ->
            walked = true;
            more = RESOLVED(key, ref);
            if
            :: more -> t = ref; shade(t, queue); t = 0
            :: !more && key != 0 && !GREY_OR_BLACK(key) -> indexed_key = key; indexed = ref
            :: else
            fi
        :: else ->
            more = RESOLVED(indexed_key, indexed);
            if :: more -> t = indexed; shade(t, queue); t = 0 :: else fi
        fi;
        tidy()
    }
}
#ifdef MUT_GIVES_UP_KEYS /* keeps the keys only */
#define GIVE_UP_VALUE skip
#else
#define GIVE_UP_VALUE t = ref; shade(t, queue); t = 0
#endif
inline give_up() {
    atomic { !LOCKED -> t = key; shade(t, queue); t = 0; GIVE_UP_VALUE; tidy() }
}
inline clear() {
    atomic { !LOCKED ->
        walked = false; indexed_key = 0; indexed = 0;
        if
        :: key != 0 && !GREY_OR_BLACK(key) -> printf("entry of %d removed\n", key); key = 0; ref = 0
        :: else
        fi;
        tidy() }
}
#endif

/* With -DCHAIN the global refers to 1 and 1 to 2, which is the key of 3; only deletions follow. */
#ifdef CHAIN
#define INITIAL_HEAP slot[0] = 1; slot[1] = 2; key = 2; ref = 3
#else
#define INITIAL_HEAP skip
#endif

active proctype collector() {
    atomic { INITIAL_HEAP };
    do
    :: true ->
#ifdef MUT_WALKED_EARLY /* while threads may still drop what they have put into the map */
        handshake(ARM);
        handshake(SETTLE);
        resolve();
        start_scanning();
        handshake(ROOTS);
#else
        begin_cycle();
#endif
        mark_special();
        mark_to_the_cut();
        nothing_white_is_reachable();
#ifdef MUT_CLEAR_AFTER_DISARM
        handshake(DISARM);
        clear();
#else
        clear();
#ifdef MUT_RESET_EARLY
        wk = TRACING;
#endif
        handshake(DISARM);
#endif
        sweep()
    od
}
