/* What the models promise. Each property is a bit that stays true; REQUIRE() lowers it and stops,
 * so that pan's message names the property that failed: "assertion violated P1_freed_was_unreachable".
 */
bool P1_freed_was_unreachable = true;     /* nothing that a thread or a global reaches is freed */
bool P2_marks_zero_at_arm = true;         /* a cycle starts with every mark bit 0 */
bool P3_no_grey_after_cut = true;         /* once death is decided, nothing white becomes grey */
bool P4_weak_get_is_final = true;         /* never a freed object, never an object after NULL */
bool P5_one_owner = true;                 /* a span is never the sweeper's and an mcache's at once */
bool P6_nobody_waits_forever = true;      /* handshakes complete; nobody waits for a safepoint */
bool P7_no_span_lost = true;              /* a span in use is cached, listed, or being swept */
bool P8_op_of_its_epoch = true;           /* what is performed for an epoch was published for it */
bool P9_nothing_within_a_cycle = true;    /* no walk, fork or other cycle begins within one */
bool P10_nothing_grey_is_forgotten = true; /* the work word is 0 only if no page has a grey object */

#define REQUIRE(property, condition) \
    if :: condition :: else -> property = false; assert(property) fi

/* Who loses an object usually breaks P3 or P4 as well, and a search ends with what it meets first.
 * With -DONLY_P1 it goes on to the lost object. */
#ifdef ONLY_P1
#define REQUIRE_P3(condition) skip
#define REQUIRE_P4(condition) skip
#else
#define REQUIRE_P3(condition) REQUIRE(P3_no_grey_after_cut, condition)
#define REQUIRE_P4(condition) REQUIRE(P4_weak_get_is_final, condition)
#endif
