/* The marking protocol: the part that mark.pml, fiber.pml and weak.pml have in common.
 *
 * The heap      Slot 0 is the global root; slot o is the one field of object o (1..N). A slot holds
 *               an object, or 0 for NULL. Sets of objects are bit masks, `BIT(o)`; bit 0 stands for
 *               the global root, which takes part in marking like an object that is always there.
 * Mutators      Two. A mutator's roots are a set of objects: it holds any of them in any number of
 *               locals. Its operations are load, drop, allocate (with a plain first assignment to the
 *               field) and gc_store; between any two of them it may reach a safepoint, or not.
 * Names         An object that no root, no grey set and no register reaches can influence nothing,
 *               so its name is at once free for the next allocation (`forget`). An allocation thus
 *               always finds memory if the threads hold little, and "is freed while reachable" is
 *               checked where the collector decides: everything white at the cut will be freed.
 * Collector     Publishes operations one after the other; a worker marks meanwhile.
 * Epochs        A mutator is at most one epoch behind, so one bit tells: `due`. The poll that finds
 *               it out is the subject of poll.pml.
 *
 * One step of a process is one access to shared memory, together with what is private to it.
 * With -DTSO slots and state words go through a store buffer of two entries per mutator.
 * With -DSYM states that differ by the names of objects or mutators are one state: for exhaustive
 * runs. Counterexamples read better without.
 */
#include "properties.pml"

#ifndef N
#define N 2 /* objects */
#endif
#if N == 4
#define WIDTH 5 /* of a set: N + 1 */
#define NAME 3  /* of an object, or 0 */
#elif N == 3
#define WIDTH 4
#define NAME 2
#else
#define WIDTH 3
#define NAME 2
#endif

#define BIT(o) (1 << (o))
#define EVERY ((1 << (N + 1)) - 1)
#define HAS(set, o) (((set) >> (o)) & 1)

/* What the collector asks for in a handshake; it also tells the phase of who attaches. */
#define FLIP 0   /* the cycle is over: phase IDLE */
#define ARM 1    /* barriers on */
#define SETTLE 2 /* nothing: who answers has no store in flight from before ARM completed */
#define ROOTS 3  /* shade own roots, allocate black */
#define FLUSH 4  /* hand over grey, report whether there was any */
#define DISARM 5 /* barriers off */

/* Phases of a mutator. They determine barrier and colour. */
#define IDLE 0
#define ARMED 1  /* shade old and new; allocate white */
#define MARK 2   /* shade old; allocate black */
#define DONE 3   /* no barrier; allocate black */
#define PHASE_AFTER(op) \
    ((op) == FLIP -> IDLE : ((op) == ARM || (op) == SETTLE -> AFTER_ARM : ((op) == DISARM -> DONE : MARK)))
#ifdef MUT_ARM_ROOTS_MERGED
#define AFTER_ARM MARK
#else
#define AFTER_ARM ARMED
#endif

/* State word of a mutator, without the epoch. */
#define RUN 0   /* runs managed code */
#define BLK 1   /* in a blocking region */
#define CLAIM 2 /* the same, and the collector works on its behalf */
#define OFF 3   /* not attached */

typedef Mutator {
    unsigned st : 2;
    bit due;                /* its epoch is one behind */
    unsigned phase : 2;
    bit handed;             /* gave grey away since its last answer */
    unsigned grey : WIDTH;  /* its grey buffer */
    unsigned roots : WIDTH;
    bit storing;            /* inside gc_store: old value shaded, store to come */
    unsigned dst : NAME;    /* … of val into slot dst */
    unsigned val : NAME;
#ifdef WINDOWS
    unsigned open : WIDTH;  /* it may write into these plainly; no other thread gets at them */
    unsigned armed : WIDTH; /* to be scanned again at its ROOTS */
    unsigned done : WIDTH;  /* noted: of a grey thread, that it is armed; of a black one, that it is shaded */
#endif
#ifdef VALUES
    bit half;               /* … the word is stored, its tag to come: */
    bit tag;                /* … val is a reference, and not a number that looks like one */
#endif
#ifdef CALLS
    unsigned pc : 4;        /* in a call of several steps: where; */
    unsigned obj : NAME;    /* … what it is about */
    bit seen;               /* … what it saw of that */
#endif
#ifdef TSO
    unsigned n : 2;         /* stores in the buffer: (at0, val0) is the oldest */
    unsigned at0 : 3;
    unsigned val0 : 2;
    unsigned at1 : 3;
    unsigned val1 : 2;
#endif
};

Mutator M[2];
byte slot[N + 1];
unsigned mark : WIDTH;   /* mark bits */
unsigned queue : WIDTH;  /* grey objects that wait for a worker */
unsigned child : NAME;   /* the worker is active: it has loaded this and not yet shaded it */
#ifdef WALK
unsigned untold : WIDTH; /* the worker has marked these for itself: nobody sees it yet */
unsigned todo : WIDTH;   /* … and not scanned these of them */
#else
#define untold 0
#endif
#ifdef VALUES
unsigned refs : WIDTH = 1; /* slots whose tags say that they hold references */
unsigned looked : NAME;  /* the worker has read this object's tag, which says so, and not yet its word */
#endif
bit scanning;            /* workers may look into objects */
bit dirty;               /* somebody reported grey in this FLUSH wave */
bit cut;                 /* marking is over: what is white is dead */
bit all_black;           /* ROOTS is complete, and DISARM has not begun */
bit scanned_roots;       /* the collector has scanned the roots of the mutator that it claimed */
unsigned op : 3 = FLIP;
#ifdef MUT_LEAVE_IGNORES_CLAIM
unsigned claimed : 2;    /* mutator + 1 that the collector works for: the word no longer tells */
#endif
byte r, t;               /* scratch, 0 between steps */

/* ---- Reachability ------------------------------------------------------------------------- */

#ifdef TSO /* a store in the buffer will happen: what it names is needed */
#define IN_FLIGHT(m) ((M[m].n > 0 -> (BIT(M[m].at0) & EVERY) | BIT(M[m].val0) : 0) | \
                      (M[m].n > 1 -> (BIT(M[m].at1) & EVERY) | BIT(M[m].val1) : 0))
#else
#define IN_FLIGHT(m) 0
#endif
#ifndef MORE_ROOTS
#define MORE_ROOTS 0 /* of the model that includes this file */
#endif
#ifndef MORE_HELD
#define MORE_HELD 0 /* neither roots nor garbage yet */
#endif
#define ROOTED (1 | M[0].roots | M[1].roots | IN_FLIGHT(0) | IN_FLIGHT(1) | (MORE_ROOTS))
#ifdef WINDOWS /* a window is open for what the thread holds; an object's memory stays to the end of a cycle */
#define ARMED_BY(m) M[m].armed
#else
#define ARMED_BY(m) 0
#endif
#define HELD (ROOTED | M[0].grey | M[1].grey | queue | untold | BIT(child) | LOOKED | ARMED_BY(0) | ARMED_BY(1) | \
              (MORE_HELD))

#ifndef MORE_EDGES
#define MORE_EDGES 0 /* references that are no slots */
#endif
#ifdef VALUES
#define IS_REF(s) HAS(refs, s)
/* A number under the tag of what it replaces is no edge. */
#define TORN(m, s) (M[m].half && M[m].dst == s && !M[m].tag)
#define IS_EDGE(s) (HAS(refs, s) && !TORN(0, s) && !TORN(1, s))
#define LOOKED BIT(looked)
#else
#define IS_EDGE(s) 1
#define LOOKED 0
#endif
#define TARGET(o) ((HAS(r, o) & IS_EDGE(o)) << slot[o])
#if N == 4
#define FOLLOW r = r | TARGET(0) | TARGET(1) | TARGET(2) | TARGET(3) | TARGET(4) | (MORE_EDGES)
#define CLOSE FOLLOW; FOLLOW; FOLLOW; FOLLOW; FOLLOW
#elif N == 3
#define FOLLOW r = r | TARGET(0) | TARGET(1) | TARGET(2) | TARGET(3) | (MORE_EDGES)
#define CLOSE FOLLOW; FOLLOW; FOLLOW
#else
#define FOLLOW r = r | TARGET(0) | TARGET(1) | TARGET(2) | (MORE_EDGES)
#define CLOSE FOLLOW; FOLLOW
#endif

#ifndef FORGET_MORE
#define FORGET_MORE skip
#endif
#ifdef VALUES
#define FORGET_TAGS refs = refs & r
#else
#define FORGET_TAGS skip
#endif
#ifdef WINDOWS
#define FORGET_WINDOWS M[0].done = M[0].done & r; M[1].done = M[1].done & r; \
                       M[0].open = M[0].open & r; M[1].open = M[1].open & r
#else
#define FORGET_WINDOWS skip
#endif
/* Names that nothing holds any more become free: unmarked, field NULL. */
inline forget() {
    r = HELD;
    CLOSE;
    mark = mark & r;
    FORGET_WINDOWS;
    FORGET_TAGS;
    slot[1] = HAS(r, 1) * slot[1];
    slot[2] = HAS(r, 2) * slot[2];
#if N >= 3
    slot[3] = HAS(r, 3) * slot[3];
#endif
#if N >= 4
    slot[4] = HAS(r, 4) * slot[4];
#endif
    FORGET_MORE;
    r = 0
}

inline nothing_white_is_reachable() {
    r = ROOTED;
    CLOSE;
    REQUIRE(P1_freed_was_unreachable, (r & ~mark & ~1) == 0);
    r = 0
}

/* ---- Symmetry ----------------------------------------------------------------------------- */

#ifdef SYM
#ifndef RENAME_MORE
#define RENAME_MORE(a, b) skip
#endif
#ifndef SWAP_MORE
#define SWAP_MORE skip
#endif
#ifdef CALLS
#define SWAP_CALLS SWAP(pc); SWAP(obj); SWAP(seen)
#define CALL_KEY(m) M[m].pc
#define RENAME_CALLS(a, b) SWAP_REF(M[0].obj, a, b); SWAP_REF(M[1].obj, a, b)
#else
#define SWAP_CALLS skip
#define CALL_KEY(m) 0
#define RENAME_CALLS(a, b) skip
#endif
#define SWAP_BITS(set, a, b) set = (HAS(set, a) ^ HAS(set, b) -> set ^ (BIT(a) | BIT(b)) : set)
#define SWAP_REF(ref, a, b) ref = (ref == a -> b : (ref == b -> a : ref))
#ifdef TSO
#define RENAME_BUFFER(m, a, b) SWAP_REF(M[m].at0, a, b); SWAP_REF(M[m].val0, a, b); \
                               SWAP_REF(M[m].at1, a, b); SWAP_REF(M[m].val1, a, b)
#define SWAP_BUFFERS SWAP(n); SWAP(at0); SWAP(val0); SWAP(at1); SWAP(val1)
#define BUFFER_KEY(m) M[m].n
#else
#define RENAME_BUFFER(m, a, b) skip
#define SWAP_BUFFERS skip
#define BUFFER_KEY(m) 0
#endif

#ifdef WINDOWS
#define SWAP_WINDOWS SWAP(open); SWAP(armed); SWAP(done)
#define WINDOW_KEY(m) M[m].open
#define RENAME_WINDOWS(a, b) \
    SWAP_BITS(M[0].open, a, b); SWAP_BITS(M[0].armed, a, b); SWAP_BITS(M[0].done, a, b); \
    SWAP_BITS(M[1].open, a, b); SWAP_BITS(M[1].armed, a, b); SWAP_BITS(M[1].done, a, b)
#else
#define SWAP_WINDOWS skip
#define WINDOW_KEY(m) 0
#define RENAME_WINDOWS(a, b) skip
#endif
#ifdef VALUES
#define SWAP_VALUES SWAP(half); SWAP(tag)
#define VALUE_KEY(m) (M[m].half * 2 + M[m].tag)
#define RENAME_VALUES(a, b) SWAP_BITS(refs, a, b); SWAP_REF(looked, a, b)
#else
#define SWAP_VALUES skip
#define VALUE_KEY(m) 0
#define RENAME_VALUES(a, b) skip
#endif
#ifdef WALK
#define RENAME_WALK(a, b) SWAP_BITS(untold, a, b); SWAP_BITS(todo, a, b)
#else
#define RENAME_WALK(a, b) skip
#endif
inline rename(a, b) {
    printf("(%d and %d change names)\n", a, b);
    t = slot[a]; slot[a] = slot[b]; slot[b] = t; t = 0;
    SWAP_REF(slot[0], a, b); SWAP_REF(slot[1], a, b); SWAP_REF(slot[2], a, b);
#if N == 3
    SWAP_REF(slot[3], a, b);
#endif
    SWAP_BITS(mark, a, b); SWAP_BITS(queue, a, b); SWAP_REF(child, a, b); RENAME_WALK(a, b);
    SWAP_BITS(M[0].grey, a, b); SWAP_BITS(M[0].roots, a, b);
    SWAP_BITS(M[1].grey, a, b); SWAP_BITS(M[1].roots, a, b);
    SWAP_REF(M[0].dst, a, b); SWAP_REF(M[0].val, a, b);
    SWAP_REF(M[1].dst, a, b); SWAP_REF(M[1].val, a, b);
    RENAME_BUFFER(0, a, b); RENAME_BUFFER(1, a, b);
    RENAME_CALLS(a, b);
    RENAME_WINDOWS(a, b);
    RENAME_VALUES(a, b);
    RENAME_MORE(a, b)
}
#define WEIGHT(o) \
    ((slot[0] == o) * 64 + HAS(mark, o) * 32 + HAS(M[0].roots, o) * 16 + HAS(M[1].roots, o) * 8 + \
     HAS(queue, o) * 4 + HAS(M[0].grey, o) * 2 + HAS(M[1].grey, o))
#define ORDER(a, b) if :: WEIGHT(a) < WEIGHT(b) -> rename(a, b) :: else fi

#if defined(MUT_LEAVE_IGNORES_CLAIM)
#define SWAPPABLE (claimed == 0)
#elif defined(ONE_BUFFER)
#define SWAPPABLE false
#else
#define SWAPPABLE true
#endif
#define SWAP(f) t = M[0].f; M[0].f = M[1].f; M[1].f = t
#define KEY(m) \
    ((((((((((M[m].st * 2 + M[m].due) * 4 + M[m].phase) * 2 + M[m].handed) * 2 + M[m].storing) * 4 + \
       BUFFER_KEY(m)) * 16 + CALL_KEY(m)) * 32 + M[m].roots) * 32 + M[m].grey) * 8 + WINDOW_KEY(m)) * 4 + VALUE_KEY(m))

inline canonical() {
    if
    :: KEY(0) < KEY(1) && SWAPPABLE ->
        printf("(M0 and M1 change names)\n");
        SWAP(st); SWAP(due); SWAP(phase); SWAP(handed); SWAP(grey); SWAP(roots);
        SWAP(storing); SWAP(dst); SWAP(val); SWAP_BUFFERS; SWAP_CALLS; SWAP_WINDOWS; SWAP_VALUES; SWAP_MORE; t = 0
    :: else
    fi;
#ifndef NAMES_STAY /* of objects: they differ */
    ORDER(1, 2);
#if N == 3
    ORDER(2, 3);
    ORDER(1, 2);
#endif
#endif
    skip
}
#else
inline canonical() { skip }
#endif

/* The last part of every step. */
inline tidy() {
    d_step { forget(); canonical() }
}

/* ---- Memory ------------------------------------------------------------------------------- */

#ifdef TSO
#define ANSWER (N + 1)       /* the mutator answered: state word with the new epoch */
#define ANSWER_DIRTY (N + 2) /* the same, beside a report of grey */
#define BLOCK (N + 3)        /* state word BLK */
#define LOAD(m, s) (M[m].n > 1 && M[m].at1 == s -> M[m].val1 : \
                    (M[m].n > 0 && M[m].at0 == s -> M[m].val0 : slot[s]))
#define ROOM(m) (M[m].n < 2)
#define FENCED(m) (M[m].n == 0) /* an atomic read-modify-write waits for it */
#define IN_BUFFER(m, what) ((M[m].n > 0 && M[m].at0 == what) || (M[m].n > 1 && M[m].at1 == what))
#define ANSWERED(m) (IN_BUFFER(m, ANSWER) || IN_BUFFER(m, ANSWER_DIRTY))
#define LEFT(m) IN_BUFFER(m, BLOCK)
inline reach_memory(m, where, what) {
    if
    :: where <= N -> slot[where] = what
    :: where == ANSWER -> M[m].due = false
    :: where == ANSWER_DIRTY -> dirty = true; M[m].due = false
    :: where == BLOCK -> M[m].st = BLK
    fi
}
#ifdef ONE_BUFFER
#define BUFFERED(m) (m == 0)
#else
#define BUFFERED(m) true
#endif
inline write(m, where, what) {
    if
    :: !BUFFERED(m) -> reach_memory(m, where, what)
    :: BUFFERED(m) && M[m].n == 0 -> M[m].at0 = where; M[m].val0 = what; M[m].n = 1
    :: else -> M[m].at1 = where; M[m].val1 = what; M[m].n = 2
    fi
}
inline write_word(m, what) { /* a state word */
#ifdef MUT_ANSWER_OVERTAKES
    reach_memory(m, what, 0)
#else
    write(m, what, 0)
#endif
}
inline drain(m) {
    reach_memory(m, M[m].at0, M[m].val0);
    M[m].at0 = M[m].at1; M[m].val0 = M[m].val1;
    M[m].at1 = 0; M[m].val1 = 0;
    M[m].n = M[m].n - 1
}
#else
#define LOAD(m, s) slot[s]
#define ROOM(m) true
#define FENCED(m) true
#define ANSWERED(m) false
#define LEFT(m) false
inline write(m, where, what) { slot[where] = what }
#endif

/* ---- Shading ------------------------------------------------------------------------------ */

#define WHITE(o) (!HAS(mark | 1, o))

/* Objects without references turn black at once, and who marks one has nothing to report. */
#ifndef LEAF
#ifdef LEAVES
#define LEAF(o) true
#else
#define LEAF(o) false
#endif
#endif
/* Eager: whoever sets the mark bit queues the object. */
inline shade(o, set) {
    if
    :: WHITE(o) ->
        REQUIRE_P3(!cut);
        mark = mark | BIT(o);
        set = (LEAF(o) -> set : set | BIT(o))
    :: else
    fi
}
inline shade_for(m, o) {
#ifdef MUT_LAZY_SHADE /* marked only when the buffer is given away */
    if :: WHITE(o) -> M[m].grey = M[m].grey | BIT(o) :: else fi
#else
    shade(o, M[m].grey)
#endif
}
/* The private buffer becomes public. Returns in M[m].handed whether there was work in it. */
inline hand_over(m) {
#ifdef MUT_LAZY_SHADE
    M[m].grey = M[m].grey & ~mark;
    mark = mark | M[m].grey;
#endif
    if :: M[m].grey != 0 -> M[m].handed = true :: else fi;
    queue = queue | M[m].grey;
    M[m].grey = 0
}

/* ---- What a handshake asks ---------------------------------------------------------------- */

#ifndef FLIP_MORE
#define FLIP_MORE(m) skip
#endif

/* At ROOTS what a grey thread has written to plainly is queued, to be scanned again. A safepoint ends
 * all windows. */
#if defined(WINDOWS) && defined(MUT_WINDOW_UNARMED)
#define WINDOWS_AT_ROOTS(m) M[m].armed = 0; M[m].done = 0
#elif defined(MUT_WINDOW_NOTES_KEPT)
#define WINDOWS_AT_ROOTS(m) queue = queue | M[m].armed; M[m].armed = 0
#elif defined(WINDOWS)
#define WINDOWS_AT_ROOTS(m) queue = queue | M[m].armed; M[m].armed = 0; M[m].done = 0
#else
#define WINDOWS_AT_ROOTS(m) skip
#endif
#ifdef WINDOWS
#define WINDOWS_AT_DISARM(m) M[m].done = 0
#define WINDOWS_END(m) M[m].open = 0
#else
#define WINDOWS_AT_DISARM(m) skip
#define WINDOWS_END(m) skip
#endif

#ifndef MORE_OF
#define MORE_OF(m) 0 /* roots of the thread beside its own */
#endif
inline scan_roots(m) {
    queue = queue | ((M[m].roots | MORE_OF(m)) & ~mark);
    mark = mark | M[m].roots | MORE_OF(m)
}

/* The operation itself: by the mutator at a safepoint, or by the collector that claimed it.
 * The answer to FLUSH stays in M[m].handed for the caller to report. */
inline perform(m) {
    if
    :: op == FLIP -> M[m].phase = IDLE; FLIP_MORE(m)
#ifdef MUT_ARM_ROOTS_MERGED
    :: op == ARM -> scan_roots(m); M[m].phase = MARK
#else
    :: op == ARM -> M[m].phase = ARMED
#endif
    :: op == SETTLE
    :: op == ROOTS -> scan_roots(m); WINDOWS_AT_ROOTS(m); hand_over(m); M[m].handed = false; M[m].phase = MARK
    :: op == FLUSH -> hand_over(m)
    :: op == DISARM -> REQUIRE_P3(M[m].grey == 0); WINDOWS_AT_DISARM(m); M[m].phase = DONE
    fi
}
inline answer(m) {
    WINDOWS_END(m);
    perform(m);
#ifdef TSO
    if :: op == FLUSH && M[m].handed -> write_word(m, ANSWER_DIRTY) :: else -> write_word(m, ANSWER) fi;
#else
    dirty = dirty || (op == FLUSH && M[m].handed);
    M[m].due = false;
#endif
    M[m].handed = M[m].handed && op != FLUSH
}
inline answer_for(m) { /* by the collector, which has scanned the roots before */
    if
    :: op == ROOTS -> WINDOWS_AT_ROOTS(m); hand_over(m); M[m].handed = false; M[m].phase = MARK
    :: else -> perform(m)
    fi;
    dirty = dirty || (op == FLUSH && M[m].handed);
    M[m].handed = M[m].handed && op != FLUSH;
    M[m].due = false
}

/* ---- What a mutator does ------------------------------------------------------------------ */

#define self _pid /* the mutators are processes 0 and 1 */

#ifdef CALLS
#define IN_CALL(m) (M[m].pc != 0)
#else
#define IN_CALL(m) false
#endif
#ifdef POLITE /* answers as soon as it is asked: for the liveness check */
#define RUNS (M[self].st == RUN && !M[self].storing && !LEFT(self) && !IN_CALL(self) && !M[self].due)
#else
#define RUNS (M[self].st == RUN && !M[self].storing && !LEFT(self) && !IN_CALL(self))
#endif
#define REACHES(o) HAS(M[self].roots | 1, o) /* o is a root, or NULL, or the global */

#ifdef MUT_WHITE_AFTER_ROOTS
#define BLACK false
#elif defined(MUT_BLACK_IN_ARM)
#define BLACK (M[self].phase >= ARMED)
#else
#define BLACK (M[self].phase >= MARK)
#endif
#define BARRIER (M[self].phase == ARMED || M[self].phase == MARK)
#ifdef MUT_NO_OLD_SHADE
#define OLD(s) 0
#else
#define OLD(s) LOAD(self, s)
#endif
#ifdef MUT_NO_NEW_SHADE
#define NEW(v) 0
#else
#define NEW(v) (M[self].phase == ARMED -> v : 0)
#endif

/* Room for another root: of three objects a mutator holds two at most. */
#define ROOM_FOR_ROOT ((M[self].roots & (M[self].roots - 1)) == 0)

/* gc_before_write: shades what the object refers to. Then the object is the thread's until its next
 * safepoint, or until it lets other threads at it. Once all threads are black, once in a cycle is
 * enough. A grey thread has it scanned again. */
#ifdef WINDOWS
#define OPEN(m, s) HAS(M[m].open, s)
#ifdef MUT_WINDOW_SHARED
#define MINE(s) true
#else
#define MINE(s) (!OPEN(1 - self, s))
#endif
#ifdef MUT_WINDOW_NO_OLD
#define SHADED_BEFORE(s) 0
#else
#define SHADED_BEFORE(s) (HAS(M[self].done, s) && M[self].phase == MARK -> 0 : slot[s])
#endif
#ifdef MUT_WINDOW_NOTED_EARLY
#define ONCE true
#else
#define ONCE all_black
#endif
#define BEFORE_WRITE(s) \
    :: d_step { RUNS && HAS(M[self].roots, s) && !OPEN(self, s) && MINE(s) -> \
        printf("M%d may write to %d\n", self, s); \
        r = (BARRIER -> SHADED_BEFORE(s) : 0); shade_for(self, r); r = 0; \
        M[self].open = M[self].open | BIT(s); \
        M[self].armed = (M[self].phase == ARMED && !HAS(M[self].done, s) -> \
                             M[self].armed | BIT(s) : M[self].armed); \
        M[self].done = (M[self].phase == ARMED || (M[self].phase == MARK && ONCE) -> \
                            M[self].done | BIT(s) : M[self].done) } \
    :: d_step { RUNS && OPEN(self, s) -> \
        printf("M%d lets others at %d\n", self, s); \
        M[self].open = M[self].open & ~BIT(s) }
#define WRITE(s, v) \
    d_step { RUNS && OPEN(self, s) && REACHES(v) && slot[s] != v -> \
        printf("M%d writes %d into %d\n", self, v, s); \
        slot[s] = v }
#if N == 3
#define WINDOW_OPERATIONS BEFORE_WRITE(1) BEFORE_WRITE(2) BEFORE_WRITE(3) \
    EACH_VALUE(WRITE, 1) EACH_VALUE(WRITE, 2) EACH_VALUE(WRITE, 3)
#else
#define WINDOW_OPERATIONS BEFORE_WRITE(1) BEFORE_WRITE(2) EACH_VALUE(WRITE, 1) EACH_VALUE(WRITE, 2)
#endif
#else
#define MINE(s) true
#define WINDOW_OPERATIONS
#endif

/* Loads slot s into a root. */
#define LOAD_FROM(s) \
    d_step { RUNS && REACHES(s) && MINE(s) && MAY_LOAD(s) && !REACHES(LOAD(self, s)) && ROOM_FOR_ROOT -> \
        printf("M%d loads %d from slot %d\n", self, LOAD(self, s), s); \
        M[self].roots = M[self].roots | BIT(LOAD(self, s)) }

#define DROP(o) \
    d_step { RUNS && HAS(M[self].roots, o) -> \
        printf("M%d drops root %d\n", self, o); \
        M[self].roots = M[self].roots & ~BIT(o) }

#ifndef BORN
#define BORN(o) skip
#endif
/* Allocates under a free name, with f in the new object's field: plainly, for nobody else can see
 * it. (Its place: between the safepoint of this allocation and the next. Nothing of what happens
 * meanwhile can tell when in it the assignment was.) */
#define ALLOCATE(f) \
    d_step { RUNS && REACHES(f) && ROOM_FOR_ROOT && ROOM(self) -> \
        r = HELD; CLOSE; \
        if \
        :: r != EVERY -> \
            t = (!HAS(r, 1) -> 1 : (!HAS(r, 2) -> 2 : 3)); \
            printf("M%d allocates %d with field %d, black: %d\n", self, t, f, BLACK); \
            M[self].roots = M[self].roots | BIT(t); \
            mark = (BLACK -> mark | BIT(t) : mark); \
            BORN(t); \
            if :: f != 0 -> write(self, t, f); TAG_FRESH(t) :: else fi \
        :: else \
        fi; \
        r = 0; t = 0 }

/* gc_store_tagged: values of a word and a tag, which are stored one after the other. A value may be a
 * number; its word may look like an object. A thread that stores a value has its lock. */
#ifdef VALUES
#define TAG_FRESH(o) refs = refs | BIT(o)
#define LOCKED_BY(m, s) (M[m].storing && M[m].dst == s)
#ifdef MUT_VALUE_NO_OLD
#define OLD_VALUE(s) 0
#elif defined(MUT_VALUE_STALE)
#define OLD_VALUE(s) slot[s]
#else
#define OLD_VALUE(s) (IS_REF(s) -> slot[s] : 0)
#endif
#ifdef MUT_VALUE_NO_NEW
#define NEW_VALUE(v) 0
#else
#define NEW_VALUE(v) (M[self].phase == ARMED -> v : 0)
#endif
#define STORE_VALUE(s, v, is_ref) \
    d_step { RUNS && REACHES(s) && !LOCKED_BY(1 - self, s) && (!is_ref || (v != 0 && REACHES(v))) && \
             (BARRIER || slot[s] != v || IS_REF(s) != is_ref) -> \
        printf("M%d in slot %d := %d, reference: %d\n", self, s, v, is_ref); \
        if \
        :: BARRIER -> r = OLD_VALUE(s); shade_for(self, r); r = is_ref * NEW_VALUE(v); shade_for(self, r); r = 0 \
        :: else \
        fi; \
        M[self].storing = true; M[self].dst = s; M[self].val = v; M[self].tag = is_ref }
#define STORE(s, v) \
    STORE_VALUE(s, v, 1) :: STORE_VALUE(s, v, 0)
#define STORE_ENDS \
    d_step { M[self].storing && !M[self].half -> \
        printf("M%d stores the word %d into %d\n", self, M[self].val, M[self].dst); \
        slot[M[self].dst] = M[self].val; \
        M[self].half = true } \
 :: d_step { M[self].half -> \
        printf("M%d stores the tag of %d\n", self, M[self].dst); \
        refs = (M[self].tag -> refs | BIT(M[self].dst) : refs & ~BIT(M[self].dst)); \
        M[self].storing = false; M[self].half = false; M[self].tag = 0; M[self].dst = 0; M[self].val = 0 }
#define MAY_LOAD(s) (IS_REF(s) && !LOCKED_BY(1 - self, s))
#else
#define TAG_FRESH(o) skip
#define MAY_LOAD(s) true
#endif

/* With ATOMIC_STORE nothing happens between a store's shading and the store. */
#ifdef ATOMIC_STORE
#define STORE_BEGUN(s, v) write(self, s, v)
#else
#define STORE_BEGUN(s, v) M[self].storing = true; M[self].dst = s; M[self].val = v
#endif

#ifndef VALUES
/* gc_store: loads and shades the old value, shades the new; then stores. */
#define STORE(s, v) \
    d_step { RUNS && REACHES(s) && MINE(s) && REACHES(v) && BARRIER && \
             (FENCED(self) || !(WHITE(OLD(s)) || WHITE(NEW(v)))) -> \
        printf("M%d in slot %d := %d: sees %d\n", self, s, v, LOAD(self, s)); \
        r = OLD(s); shade_for(self, r); \
        r = NEW(v); shade_for(self, r); \
        r = 0; \
        STORE_BEGUN(s, v) } \
 :: d_step { RUNS && REACHES(s) && MINE(s) && REACHES(v) && !BARRIER && ROOM(self) && LOAD(self, s) != v -> \
        printf("M%d stores slot %d := %d without barrier\n", self, s, v); \
        write(self, s, v) }
#define STORE_ENDS \
    d_step { M[self].storing && ROOM(self) -> \
        printf("M%d stores slot %d := %d\n", self, M[self].dst, M[self].val); \
        write(self, M[self].dst, M[self].val); \
        M[self].storing = false; M[self].dst = 0; M[self].val = 0 }
#endif

#define EACH(action) :: action(0) EACH_OBJECT(action)
#define EACH_OBJECT(action) :: action(1) :: action(2) MAYBE3(action)
#define EACH_VALUE(action, s) :: action(s, 0) :: action(s, 1) :: action(s, 2) MAYBE3_VALUE(action, s)
#if N == 4
#define MAYBE3(action) :: action(3) :: action(4)
#define MAYBE3_VALUE(action, s) :: action(s, 3) :: action(s, 4)
#define STORES EACH_VALUE(STORE, 0) EACH_VALUE(STORE, 1) EACH_VALUE(STORE, 2) EACH_VALUE(STORE, 3) \
    EACH_VALUE(STORE, 4)
#elif N == 3
#define MAYBE3(action) :: action(3)
#define MAYBE3_VALUE(action, s) :: action(s, 3)
#define STORES EACH_VALUE(STORE, 0) EACH_VALUE(STORE, 1) EACH_VALUE(STORE, 2) EACH_VALUE(STORE, 3)
#else
#define MAYBE3(action)
#define MAYBE3_VALUE(action, s)
#define STORES EACH_VALUE(STORE, 0) EACH_VALUE(STORE, 1) EACH_VALUE(STORE, 2)
#endif

/* A safepoint where the mutator finds out that it is due. */
#define SAFEPOINT \
    d_step { M[self].st == RUN && !M[self].storing && !LEFT(self) && !IN_CALL(self) && M[self].due && \
             !ANSWERED(self) && ROOM(self) && (FENCED(self) || !RMW_TO_ANSWER) -> \
        printf("M%d answers\n", self); \
        answer(self) }
#define RMW_TO_ANSWER (M[self].grey != 0 || (op == ROOTS && (M[self].roots & ~mark) != 0))

/* The grey buffer is full. */
#define OVERFLOW \
    d_step { RUNS && M[self].grey != 0 && FENCED(self) -> \
        printf("M%d's grey buffer overflows\n", self); \
        hand_over(self); \
        SILENT_OVERFLOW }
#ifdef NO_OVERFLOW
#define MAYBE_OVERFLOW
#else
#define MAYBE_OVERFLOW :: OVERFLOW
#endif
#ifdef MUT_SILENT_OVERFLOW
#define SILENT_OVERFLOW M[self].handed = false
#else
#define SILENT_OVERFLOW skip
#endif

/* enter_blocking, leave_blocking: leaving must win the state word from a claim. */
#define ENTER_BLOCKING \
    d_step { RUNS && ROOM(self) -> \
        printf("M%d blocks\n", self); \
        ENTER_WORD }
#ifdef TSO
#define ENTER_WORD write_word(self, BLOCK)
#define DRAIN :: d_step { M[self].n > 0 -> drain(self) }
#else
#define ENTER_WORD M[self].st = BLK
#define DRAIN
#endif
#ifdef MUT_LEAVE_IGNORES_CLAIM
#define MAY_LEAVE (M[self].st == BLK || M[self].st == CLAIM)
#else
#define MAY_LEAVE (M[self].st == BLK)
#endif
#ifdef BLOCKS_FOREVER /* thread 1, once it does */
#define COMES_BACK (self == 0)
#else
#define COMES_BACK true
#endif
#define LEAVE_BLOCKING \
    d_step { MAY_LEAVE && COMES_BACK && FENCED(self) -> \
        printf("M%d goes on\n", self); \
        M[self].st = RUN }

#ifdef LEAVES
#define HEAP_OPERATIONS \
    :: LOAD_FROM(0) \
    EACH_OBJECT(DROP) \
    :: ALLOCATE(0) \
    EACH_VALUE(STORE, 0) \
    :: STORE_ENDS \
    :: SAFEPOINT
#elif defined(DELETIONS_ONLY)
#define STORE_NULL(s) STORE(s, 0)
#define HEAP_OPERATIONS EACH(LOAD_FROM) EACH_OBJECT(DROP) EACH(STORE_NULL) \
    :: STORE_ENDS :: SAFEPOINT DRAIN
#else
#define HEAP_OPERATIONS \
    EACH(LOAD_FROM) \
    EACH_OBJECT(DROP) \
    EACH(ALLOCATE) \
    STORES \
    WINDOW_OPERATIONS \
    :: STORE_ENDS \
    MAYBE_OVERFLOW \
    :: SAFEPOINT \
    DRAIN
#endif

/* ---- The worker --------------------------------------------------------------------------- */

/* Takes a grey object and loads its field: black as soon as the child is shaded. The packed word
 * of queued and active work is 0 when `queue` is empty and no child is in hand. */
#ifdef VALUES /* … the tag first, and then the word */
#define SCAN(o) \
    d_step { scanning && child == 0 && looked == 0 && HAS(queue, o) && o == 0 -> \
        queue = queue & ~1; \
        child = (IS_REF(0) && WHITE(slot[0]) -> slot[0] : 0) } \
 :: d_step { scanning && child == 0 && looked == 0 && HAS(queue, o) && o != 0 -> \
        printf("worker reads the tag of %d: %d\n", o, IS_REF(o)); \
        queue = queue & ~BIT(o); \
        looked = (IS_REF(o) -> o : 0) } \
 :: d_step { o != 0 && looked == o -> \
        printf("worker reads the word of %d: %d\n", o, slot[o]); \
        child = (WHITE(slot[o]) -> slot[o] : 0); \
        looked = 0 }
#else
#define SCAN(o) \
    d_step { scanning && child == 0 && HAS(queue, o) -> \
        printf("worker scans %d: %d\n", o, slot[o]); \
        queue = queue & ~BIT(o); \
        child = (WHITE(slot[o]) -> slot[o] : 0) }
#endif
#ifndef NEXT_CHILD
#define NEXT_CHILD child = 0 /* after one that the worker has marked */
#endif
#define SHADE_CHILD \
    d_step { child != 0 -> \
        printf("worker shades %d\n", child); \
        if \
        :: WHITE(child) -> shade(child, queue); NEXT_CHILD \
        :: else -> child = 0 \
        fi }
#ifdef WALK
/* Within a page the worker marks for itself what it comes by, scans it, and tells at the end, one map
 * word after the other. Until then it is active. */
#define KNOWN(o) HAS(mark | untold | 1, o)
#define KEEP_CHILD \
    :: d_step { child != 0 -> \
        printf("worker keeps %d\n", child); \
        if \
        :: KNOWN(child) -> skip \
        :: else -> untold = untold | BIT(child); todo = todo | BIT(child) \
        fi; \
        child = 0 }
#define WALK_ON(o) \
    d_step { child == 0 && HAS(todo, o) -> \
        printf("worker walks on to %d: %d\n", o, slot[o]); \
        todo = todo & ~BIT(o); \
        child = (KNOWN(slot[o]) -> 0 : slot[o]) }
#define TELL(o) \
    d_step { child == 0 && todo == 0 && HAS(untold, o) -> \
        printf("worker tells of %d\n", o); \
        REQUIRE_P3(!cut); \
        mark = mark | BIT(o); \
        untold = untold & ~BIT(o) }
#define WORKER_WALKS KEEP_CHILD EACH_OBJECT(WALK_ON) EACH_OBJECT(TELL)
#else
#define WORKER_WALKS
#endif
#ifdef MUT_UNTOLD_IS_NO_WORK
#define NO_WORK (queue == 0 && child == 0)
#elif defined(VALUES)
#define NO_WORK (queue == 0 && child == 0 && looked == 0)
#else
#define NO_WORK (queue == 0 && child == 0 && untold == 0)
#endif

/* ---- The collector ------------------------------------------------------------------------ */

/* For a mutator that blocks: claim its state word, act on its behalf, give it back. */
#define CLAIM_BLOCKED(i) \
    :: d_step { M[i].due && M[i].st == BLK && MAY_CLAIM(i) -> \
        printf("collector claims M%d\n", i); \
        M[i].st = CLAIM; \
        NOTE_CLAIM(i) } \
    :: d_step { CLAIMED(i) && op == ROOTS && !scanned_roots -> \
        printf("collector scans the roots of M%d\n", i); \
        scan_roots(i); \
        scanned_roots = true } \
    :: d_step { CLAIMED(i) && (op != ROOTS || scanned_roots) -> \
        printf("collector answers for M%d\n", i); \
        scanned_roots = false; \
        answer_for(i); \
        END_CLAIM(i) }
#ifdef MUT_LEAVE_IGNORES_CLAIM /* the word no longer tells: the collector goes on, not knowing */
#define MAY_CLAIM(i) (claimed == 0)
#define NOTE_CLAIM(i) claimed = i + 1
#define CLAIMED(i) (claimed == i + 1)
#define END_CLAIM(i) claimed = 0; M[i].st = (M[i].st == CLAIM -> BLK : M[i].st)
#elif defined(MUT_NO_CLAIM)
#define MAY_CLAIM(i) false
#define NOTE_CLAIM(i) skip
#define CLAIMED(i) false
#define END_CLAIM(i) skip
#else
#define MAY_CLAIM(i) (M[1 - i].st != CLAIM)
#define NOTE_CLAIM(i) skip
#define CLAIMED(i) (M[i].st == CLAIM)
#define END_CLAIM(i) M[i].st = BLK
#endif

#ifdef MUT_LATE_CLEAR
#define WAVE_BEGINS dirty = false
#else
#define WAVE_BEGINS skip
#endif
inline handshake(what) {
    atomic {
        printf("handshake %d\n", what);
        op = what;
        WAVE_BEGINS;
        M[0].due = (M[0].st != OFF);
        M[1].due = (M[1].st != OFF)
    };
    do
    :: !M[0].due && !M[1].due -> break
    :: atomic { if CLAIM_BLOCKED(0) CLAIM_BLOCKED(1) fi; tidy() }
    od
}
/* Workers may look into objects; the globals are the first grey thing. */
inline start_scanning() {
    atomic { scanning = true; queue = queue | BIT(0) }
}
inline begin_cycle() {
#ifdef MUT_SCAN_UNARMED
    start_scanning();
    handshake(ARM);
    handshake(SETTLE);
    handshake(ROOTS)
#elif defined(MUT_ARM_ROOTS_MERGED)
    handshake(ARM);
    start_scanning()
#elif defined(MUT_NO_SETTLE)
    handshake(ARM);
    start_scanning();
    handshake(ROOTS)
#else
    handshake(ARM);
    handshake(SETTLE);
    start_scanning();
    handshake(ROOTS)
#endif
#ifdef WINDOWS
    ;
    all_black = true
#endif
}

#ifdef MUT_NO_T0
#define T0 true
#else
#define T0 NO_WORK
#endif
/* Ends after a clean wave: there was nothing grey at the moment of T0, so nothing reachable is white.
 * The report is cleared before that moment, not with the wave: who detaches in between counts. */
inline mark_until_clean() {
    do
    :: true ->
        dirty = false;
        T0;
        handshake(FLUSH);
#ifdef AFTER_WAVE
        AFTER_WAVE;
#endif
        if :: !dirty -> break :: else fi
    od
}
