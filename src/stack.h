/* C stacks that are scanned conservatively: where they lie, and where code that is to go on stands.
 *
 * A thread stands on its own stack, or on one that the embedder made for a fiber and told of. Which
 * one it is only the stack pointer tells: the embedder switches stacks some time before or after
 * it switches fibers. What a piece of code can still use lies at or above its stack pointer, or was
 * in a callee-saved register when it called us (I31).
 */
#ifndef GC_STACK_H
#define GC_STACK_H

#include "root.h"

/* Words that are copied: the frame in which all callee-saved registers are saved that no function
 * of the library has saved yet; frames of some such functions; and the embedder's first words. */
#define STACK_SAVED 24
#define STACK_BELOW 40
#define STACK_ABOVE 64

/* Where code stands that called the library. */
struct stack_place {
    uintptr_t sp; /* lowest address that it uses; 0: not known */
    size_t n;
    word words[STACK_SAVED + STACK_BELOW +
               STACK_ABOVE]; /* its callee-saved registers, among others */
};

struct stack {
    uintptr_t low, high;     /* its memory; both 0: not known */
    struct stack_place left; /* where the code stands that goes on when it is returned to */
};

/* The stacks of a thread. The thread's, and the collector's while it has CLAIMED the thread. */
struct stacks {
    struct stack own;
    uintptr_t before_low, before_high; /* of the stack from which it last switched fibers */
    struct stack_place here;           /* while it is blocked, or its roots are visited */
    uintptr_t here_high;               /* end of the stack on which that is */
    enum { STACK_OWN, STACK_OF_FIBER, STACK_OTHER } here_on;
    bool scanned;    /* the thread's own stack, too */
    bool stray_told; /* it was said that the thread stands on an unknown stack */
};

/* In a function: where its caller stands, whose callee-saved registers are in the function's frame
 * from now on. */
#define STACK_CALLER() (__builtin_unwind_init(), (uintptr_t)__builtin_dwarf_cfa())

INLINE bool stack_contains(const struct stack *s, uintptr_t address)
{
    return address - s->low < s->high - s->low;
}

/* `of_fiber`: of the fiber that the thread runs, or NULL. */
/* Notes that the thread's code stands at `caller`. false: on a stack that nobody has told of; then
 * its memory, as far as the OS can tell it, is taken for the stack. */
bool stacks_note(struct stacks *s, const struct stack *of_fiber, uintptr_t caller);
/* The thread's code stands at `caller` and is about to switch fibers. */
void stacks_leave(struct stacks *s, struct stack *of_fiber, uintptr_t caller);
/* Visits all words that the thread's code could go on from. */
void stacks_visit(const struct stacks *s, const struct stack *of_fiber, struct gc_tracer *tracer);
/* Visits a stack on which nobody stands: from where it was left, or all of it. */
void stack_visit(const struct stack *s, struct gc_tracer *tracer);

#endif
