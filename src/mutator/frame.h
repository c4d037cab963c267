/* Chains of GC_FRAMEs. A frame lives as long as the block in which it stands. If a block is left
 * without its end, the chain leads through memory that is used for something else, and the frames
 * that were opened before may not be found (I27). */
#ifndef GC_FRAME_H
#define GC_FRAME_H

#include "mutator/stack.h"

/* Where frames can be judged: on two stacks, each of which may be NULL or not known. `sp` is the
 * lowest address in use on one of them; 0: not known. Frames elsewhere count as sound. */
struct frame_view {
    const struct stack *a, *b;
    uintptr_t sp;
};

/* A dead frame, and what its slots point to, may lie where other functions have their locals now.
 * AddressSanitizer poisons the stack between locals. Functions with this attribute read it even
 * so. */
#define READS_DEAD_FRAMES __attribute__((no_sanitize("address")))

/* Tells what is wrong with an innermost frame; NULL: nothing that can be seen. */
const char *frame_fault(const struct gc_frame *innermost, const struct frame_view *view);
/* Visits the slots of a chain up to the first frame that is wrong. Returns what is wrong with it,
 * or NULL. */
const char *frames_visit(const struct gc_frame *innermost, const struct frame_view *view,
                         struct gc_tracer *tracer);
/* Adds to *n how many frames of a chain `is_such` accepts; it must be a function that
 * READS_DEAD_FRAMES. Returns what is wrong with the first wrong frame, or NULL. Frames behind it
 * are not counted. */
const char *frames_count(const struct gc_frame *innermost, const struct frame_view *view,
                         bool (*is_such)(const struct gc_frame *), size_t *n);
/* Which of a sound frame's slots this one is, counted from 0. */
size_t frame_slot_number(const struct gc_frame *frame, const void *slot);
/* Whether a frame is in a chain, as far as the chain can be followed. */
bool frames_contain(const struct gc_frame *innermost, const struct frame_view *view,
                    const struct gc_frame *frame);

#endif
