/* Model D: a chain of ephemerons. Marking is model A's, without threads that block, attach or detach;
 * a weak map has three entries, and the value of one is the key of the next:
 *
 *     global -> 2 => 3 => 4 => 1 -> 2        -> a slot, => an entry: its value lives with its key
 *
 * 2, 3 and 4 have no references. There are weak cells for 1 and 3. The heap is there at the start and is
 * only taken apart. A thread holds one object at a time.
 *
 * As soon as nothing is grey the collector walks through the map, one entry after the other, in any
 * order. What waits for its key goes into an index. From then on the worker looks there when it has
 * marked something; threads, which mark as well, do not: so the collector goes through the index each
 * time that nothing is grey. Whoever marks a value goes on with the entry whose key it is.
 *
 * Readers hold no lock here: so their steps mix with the collector's in more ways than they can.
 */
#define N 4
#define NAMES_STAY
#define CALLS
#define NO_OVERFLOW
#ifdef GIVE_UP
#define AFTER_WAVE may_give_up()
#endif
#define LEAF(o) (o != 1)

#define KEYS (BIT(2) | BIT(3) | BIT(4))
#define VALUE(k) (k == 4 -> 1 : k + 1)
#define LINK(k) (HAS(r & links, k) -> BIT(VALUE(k)) : 0)
#define MORE_EDGES LINK(2) | LINK(3) | LINK(4)
#define MORE_HELD EVERY

unsigned links : 5;  /* keys of the entries there are */
unsigned weak : 5;   /* objects whose cells are not cleared */
unsigned gone : 5;   /* objects of which somebody was told that they are dead */
unsigned waits : 5;  /* the index: keys whose values nobody has marked */
bit published;       /* the index is there for all */
unsigned passed : 5; /* entries that the collector has come by, now that it goes through them all */
unsigned todo : 3;   /* a value that the collector is about to mark */
#define NOTE_DEATH gone = gone | BIT(I.obj)
#define TOLD_DEAD HAS(gone, I.obj)

/* What the worker has marked may be a key. */
#ifdef WITHOUT_MARKERS
#define WAITS_FOR(o) false
#else
#define WAITS_FOR(o) (published && HAS(waits, o))
#endif
#define NEXT_CHILD \
    if \
    :: WAITS_FOR(child) -> waits = waits & ~BIT(child); child = VALUE(child) \
    :: else -> child = 0 \
    fi
#include "core.pml"
#include "reading.pml"

/* ---- What a thread does ----------------------------------------------------------------------- */

#define READ(o) \
    I.obj = o; \
    if :: I.phase == MARK -> I.pc = IS_MARKED :: else -> keep_it() fi
#define GET(o) \
    :: d_step { RUNS && HAS(weak, o) && !REACHES(o) -> \
        printf("M%d reads the cell of %d\n", self, o); \
        READ(o) }
#define LOOK_UP(k) \
    :: d_step { RUNS && HAS(links & I.roots, k) -> \
        printf("M%d looks up the value of %d\n", self, k); \
        READ(VALUE(k)) }
#define KEEP \
    :: d_step { I.pc == KEEPS -> keep_it() }
inline keep_it() { I.roots = 0; keep() }
#define GO_ON_TO(s) \
    :: d_step { RUNS && REACHES(s) && !REACHES(slot[s]) -> \
        printf("M%d loads %d from slot %d\n", self, slot[s], s); \
        I.roots = BIT(slot[s]) }
#define DELETE(k) \
    :: d_step { RUNS && HAS(links & I.roots, k) -> \
        printf("M%d deletes the entry of %d\n", self, k); \
        links = links & ~BIT(k) }

active proctype reader() { /* self: 0 */
    do
    :: atomic {
        if
        GET(1) GET(3)
        LOOK_UP(2) LOOK_UP(3) LOOK_UP(4)
        HOLD_MARKING
        KEEP
        DELETE(2) DELETE(3) DELETE(4)
        GO_ON_TO(0) GO_ON_TO(1)
        EACH_OBJECT(DROP)
        :: STORE(1, 0)
        :: SAFEPOINT
        fi;
        tidy()
    }
    od
}

active proctype holder() { /* self: 1 */
    do
    :: atomic {
        if
        GO_ON_TO(0)
        :: DROP(2)
        DELETE(2)
        :: STORE(0, 0)
        :: SAFEPOINT
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

#define WALK(k) \
    :: atomic { !HAS(passed, k) -> \
        passed = passed | BIT(k); \
        t = VALUE(k); \
        if \
        :: HAS(links, k) && WHITE(t) && GREY_OR_BLACK(k) -> shade(t, queue); more = true \
        :: HAS(links, k) && WHITE(t) && !GREY_OR_BLACK(k) -> waits = waits | BIT(k) \
        :: else \
        fi; \
        t = 0; \
        tidy() }
inline walk() {
    do
    WALK(2)
    WALK(3)
    WALK(4)
    :: atomic { passed == KEYS -> passed = 0; published = (waits != 0); break }
    od
}

/* One that waits, and whose key was marked; then what hangs on its value. */
#define LOOK(k) \
    :: atomic { todo == 0 && !HAS(passed, k) -> \
        passed = passed | BIT(k); \
        if \
        :: HAS(waits, k) && GREY_OR_BLACK(k) -> waits = waits & ~BIT(k); todo = VALUE(k) \
        :: else \
        fi }
#define MARK_VALUE \
    :: atomic { todo != 0 -> \
        t = todo; \
        todo = (WHITE(t) && HAS(waits, t) -> VALUE(t) : 0); \
        waits = (todo != 0 -> waits & ~BIT(t) : waits); \
        if :: WHITE(t) -> shade(t, queue); more = true :: else fi; \
        t = 0; \
        tidy() }
inline look_through() {
    do
    LOOK(2)
    LOOK(3)
    LOOK(4)
    MARK_VALUE
    :: atomic { todo == 0 && passed == KEYS -> passed = 0; break }
    od
}

#ifdef MUT_MARKERS_ONLY /* look into the index */
#define LOOK_THROUGH skip
#else
#define LOOK_THROUGH look_through()
#endif
inline resolve() {
    if
    :: published -> LOOK_THROUGH
    :: else ->
        walk();
        if :: published -> LOOK_THROUGH :: else fi
    fi
}
#ifdef MUT_GIVES_UP_KEYS /* keeps the keys only */
#define HELD_BY(k) 0
#else
#define HELD_BY(k) VALUE(k)
#endif
#ifdef MUT_GIVES_UP_MAPS /* keeps what is in maps, not what cells refer to */
#define CELL_OF(o) 0
#else
#define CELL_OF(o) (HAS(weak, o) -> o : 0)
#endif
#define KEEP_ENTRY(k) \
    :: atomic { !HAS(passed, k) -> \
        passed = passed | BIT(k); \
        if \
        :: HAS(links, k) -> t = k; shade(t, queue); t = HELD_BY(k); shade(t, queue); t = 0 \
        :: else \
        fi; \
        tidy() }
inline give_up() {
    do
    KEEP_ENTRY(2)
    KEEP_ENTRY(3)
    KEEP_ENTRY(4)
    :: atomic { passed == KEYS -> passed = 0; break }
    od;
    atomic { t = CELL_OF(1); shade(t, queue); t = 0; tidy() };
    atomic { t = CELL_OF(3); shade(t, queue); t = 0; tidy() }
}

active proctype collector() {
    atomic { slot[0] = 2; slot[1] = 2; links = KEYS; weak = BIT(1) | BIT(3) };
    do
    :: true ->
        begin_cycle();
        mark_to_the_cut();
        nothing_white_is_reachable();
        atomic { links = links & mark; weak = weak & mark; waits = 0; published = false };
        handshake(DISARM);
        atomic {
            gone = gone & weak;
            slot[1] = HAS(mark, 1) * slot[1];
            cut = false; mark = 0; scanning = false; op = FLIP; wk = TRACING;
            PATIENCE_AGAIN;
            M[0].phase = IDLE; M[1].phase = IDLE;
            tidy()
        }
    od
}
