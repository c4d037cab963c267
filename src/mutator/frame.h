/* Chains of GC_FRAMEs. A frame lives as long as the block that it stands in. If a block is left
 * without its end the chain leads through memory that becomes something else, and what was opened
 * before may be found no more (I27). */
#ifndef GC_FRAME_H
#define GC_FRAME_H

#include "mutator/stack.h"

/* Where frames can be judged: two stacks, either of which may be NULL or not known, and the lowest
 * address in use on one of them, if that is known. Frames elsewhere are taken for sound. */
struct frame_view {
    const struct stack *a, *b;
    uintptr_t sp;
};

/* A dead frame, and what its slots point to, lie where other functions have their locals, between
 * which AddressSanitizer poisons the stack. Such functions read them all the same. */
#define READS_DEAD_FRAMES __attribute__((no_sanitize("address")))

/* What is wrong with an innermost frame; NULL: nothing that can be seen. */
const char *frame_fault(const struct gc_frame *innermost, const struct frame_view *view);
/* Visits the slots of a chain up to the first frame that is wrong; returns what is wrong with that
 * frame, or NULL. */
const char *frames_visit(const struct gc_frame *innermost, const struct frame_view *view,
                         struct gc_tracer *tracer);
/* Adds to *n how many frames of a chain are such, by a function that READS_DEAD_FRAMES. What is
 * wrong with it; what lies behind that was not counted. */
const char *frames_count(const struct gc_frame *innermost, const struct frame_view *view,
                         bool (*is_such)(const struct gc_frame *), size_t *n);
/* Whether a frame is in a chain, as far as that can be followed. */
bool frames_contain(const struct gc_frame *innermost, const struct frame_view *view,
                    const struct gc_frame *frame);

#endif
