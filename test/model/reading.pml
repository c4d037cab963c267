/* Weak reads: what weak.pml and chain.pml have in common. Included after core.pml.
 *
 * All reads of a weak reference by a thread past its ROOTS go through `wk`: who finds an unmarked
 * object turns TRACING into REPEAT and shades it; the collector turns TRACING into CUT, which decides
 * all deaths, and starts over where it finds REPEAT.
 *
 * With -DGIVE_UP the collector may, after any wave, mark what weak references hold, once in a cycle.
 * When it is through with that nobody finds anything unmarked, and so nobody makes it start over.
 */
#define TRACING 0
#define REPEAT 1
#define CUT 2

/* Where in a call a thread is. Up to KEEPS it holds the lock of a map. */
#define IS_MARKED 1   /* weak.c, hold_marking: looks at the mark */
#define LOOKS 2       /* … at the state */
#define CHANGES 3     /* … TRACING -> REPEAT */
#define SHADES 4
#define KEEPS 5       /* found alive: looks whether the cell still holds it */

unsigned wk : 2;
bit more;                 /* the maps had something to mark */
#ifdef GIVE_UP
#define GIVING_UP 1       /* it marks what weak references hold */
#define GAVE_UP 2         /* … and has come to an end with it */
unsigned patience : 2;
#endif

#define I M[self]
#define GREY_OR_BLACK(o) HAS(mark, o)

/* ---- What a thread does ------------------------------------------------------------------- */

#define LEAVE_CALL I.pc = 0; I.obj = 0; I.seen = 0
inline found_dead() {
    printf("M%d: %d is dead\n", self, I.obj);
    r = ROOTED; CLOSE;
    REQUIRE_P4(!HAS(r, I.obj));
    r = 0;
    NOTE_DEATH;
    LEAVE_CALL
}
inline keep() {
    printf("M%d gets %d\n", self, I.obj);
    REQUIRE_P4(!TOLD_DEAD);
    I.roots = I.roots | BIT(I.obj);
    LEAVE_CALL
}

#ifdef MUT_LOAD_FOR_CAS /* looks at the state, and leaves it as it is */
#define CHANGE_STATE I.pc = (wk == TRACING -> SHADES : IS_MARKED)
#elif defined(MUT_STORE_FOR_CAS)
#define CHANGE_STATE wk = REPEAT; I.pc = SHADES
#else
#define CHANGE_STATE \
    if \
    :: wk == TRACING -> wk = REPEAT; I.pc = SHADES \
    :: else -> I.pc = IS_MARKED \
    fi
#endif
#ifdef MUT_GET_UNSHADED
#define SHADE_IT skip
#else
#define SHADE_IT r = I.obj; shade_for(self, r); r = 0
#endif
#ifdef MUT_NO_SECOND_LOOK
#define ALIVE_AFTER_ALL false
#else
#define ALIVE_AFTER_ALL GREY_OR_BLACK(I.obj)
#endif
#if defined(GIVE_UP) && !defined(ONLY_P1)
#define FINDS_WHITE REQUIRE(P6_nobody_waits_forever, patience != GAVE_UP)
#else
#define FINDS_WHITE skip
#endif
#define HOLD_MARKING \
    :: d_step { I.pc == IS_MARKED -> I.pc = (GREY_OR_BLACK(I.obj) -> KEEPS : LOOKS) } \
    :: d_step { I.pc == LOOKS -> \
        printf("M%d finds %d white, state %d\n", self, I.obj, wk); \
        FINDS_WHITE; \
        if \
        :: wk == CUT && ALIVE_AFTER_ALL -> I.pc = KEEPS \
        :: wk == CUT && !ALIVE_AFTER_ALL -> found_dead() \
        :: wk == TRACING -> I.pc = CHANGES \
        :: wk == REPEAT -> I.pc = SHADES \
        fi } \
    :: d_step { I.pc == CHANGES -> CHANGE_STATE } \
    :: d_step { I.pc == SHADES -> SHADE_IT; I.pc = KEEPS }

/* ---- The collector ------------------------------------------------------------------------ */

#if defined(MUT_RESOLVED_ONCE) || defined(MUT_UNRESOLVED)
#define RESOLVE more = false
#elif defined(MUT_CUT_UNTRACED) /* does not trace what it has marked last */
#define RESOLVE resolve(); more = false
#else
#define RESOLVE resolve()
#endif
#ifdef MUT_UNRESOLVED
#define RESOLVE_FIRST more = false
#else
#define RESOLVE_FIRST resolve()
#endif

/* Nothing grey is left: decides the deaths, or goes on. */
#ifdef OWN
#define RESOLVE_FIRST_IF more = false
#else
#define RESOLVE_FIRST_IF RESOLVE_FIRST
#endif
inline mark_to_the_cut() {
    do
    :: NO_WORK -> RESOLVE_FIRST_IF; if :: !more -> break :: else fi
    od;
    do
    :: true ->
        mark_until_clean();
#ifdef GIVE_UP
        atomic { patience = (patience == GIVING_UP -> GAVE_UP : patience) };
#endif
        RESOLVE;
        if
        :: more -> more = false
        :: !more ->
            atomic {
                if
                :: wk == CUT -> break /* decided while the world was held */
                :: wk == TRACING -> printf("the cut\n"); wk = CUT; cut = true; break
                :: else -> wk = TRACING
                fi
            }
        fi
    od
}

#ifdef GIVE_UP
#ifdef MUT_GIVES_UP_AT_ONCE /* does not see to it that what it marked is traced, and threads acknowledge */
#define ONE_MORE_WAVE skip
#else
#define ONE_MORE_WAVE dirty = true
#endif
inline may_give_up() { /* AFTER_WAVE */
    if
    :: patience == 0 -> give_up(); atomic { patience = GIVING_UP; ONE_MORE_WAVE }
    :: true
    fi
}
#define PATIENCE_AGAIN patience = 0
#else
#define PATIENCE_AGAIN skip
#endif
