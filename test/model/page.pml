/* Grey pages (I35): markers that mark objects for their page to be scanned.
 *
 *   marker that finds an object       marker that scans the page
 *     mark and grey bit := 1            held := 0
 *     if !held                          each grey bit that is set: := 0, and scan the object
 *       held := 1, and the page is its own
 *
 * Two markers and one page of three objects. Each marker begins with an object of another page
 * (ELSEWHERE). A marker that scans an object finds any others. It may also mark one without a grey
 * bit and keep it on its stack, as markers with narrow stacks and mutators do; another marker that
 * has seen the object unmarked sets the grey bit nevertheless. A page that a marker holds may be
 * queued for the other.
 */
#include "properties.pml"


#define ELSEWHERE 8
#define THIS_PAGE 7

byte mark, grey;     /* sets of objects */
byte scanned;
bit held;            /* the page's bit */
byte queued, markers = 2; /* the work word: buffers with the page in them, and markers */

/* An edge to an object that was seen unmarked; scanning goes on with `todo` afterwards. */
#define STACK !(mark & one) -> d_step { todo = todo | (one & ~mark); mark = mark | one }
#ifdef MUT_LOOK_FIRST
#define FIND \
    :: !(mark & one) -> d_step { seen = held }; \
        d_step { new = one & ~(mark & grey); mark = mark | one; grey = grey | new }; \
        d_step { if :: new != 0 && !seen -> held = 1; mine = 1 :: else fi; new = 0; seen = 0 } \
    :: STACK
#else
#define FIND \
    :: !(mark & one) -> \
        d_step { new = one & ~(mark & grey); mark = mark | one; grey = grey | new }; \
        d_step { if :: new != 0 && !held -> held = 1; mine = 1 :: else fi; new = 0 } \
    :: STACK
#endif

inline collect_one(b) { d_step { todo = todo | (grey & b); grey = grey & ~b } }
#ifdef MUT_TAKE_FIRST
#define TAKE collect_one(1); collect_one(2); collect_one(4); held = 0
#else
#define TAKE held = 0; collect_one(1); collect_one(2); collect_one(4)
#endif
#ifdef MUT_PAGE_IS_NO_WORK
#define HOLDS_NOTHING (todo == 0)
#else
#define HOLDS_NOTHING (todo == 0 && mine == 0)
#endif

active [2] proctype marker() {
    byte todo = ELSEWHERE, one, new;
    bool mine, seen, on = true;
end_idle:
    do
    :: on && todo != 0 ->
        /* Scans one object, and finds what it likes. */
        d_step {
            one = (todo & 1 -> 1 : (todo & 2 -> 2 : (todo & 4 -> 4 : ELSEWHERE)));
            todo = todo & ~one;
            scanned = scanned | (one & THIS_PAGE)
        };
        do
        :: one = 1; if FIND :: else fi
        :: one = 2; if FIND :: else fi
        :: one = 4; if FIND :: else fi
        :: one = 0; break
        od
    :: on && todo == 0 && mine -> mine = 0; TAKE
    :: on && mine -> d_step { mine = 0; queued++ }
    :: on && todo == 0 && HOLDS_NOTHING -> d_step { on = false; markers-- }
    :: d_step { !on && queued > 0 -> queued--; markers++; on = true; mine = 1 }
    od
}

/* The work word is 0: nothing is grey, and all that was marked was scanned. */
active proctype monitor() {
end_monitor:
    d_step { queued == 0 && markers == 0 ->
        REQUIRE(P10_nothing_grey_is_forgotten, grey == 0 && scanned == mark) }
}
