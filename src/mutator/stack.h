/* C stacks that are scanned conservatively: where they lie, and where code stands on them.
 *
 * A thread stands on its own stack, or on one that the embedder made for a fiber and told us of.
 * Only the stack pointer tells which one it is, because the embedder switches stacks some time
 * before or after it switches fibers. What the code can still use lies at or above its stack
 * pointer, or was in a callee-saved register when it called us (I26).
 */
#ifndef GC_STACK_H
#define GC_STACK_H

#include "mutator/root.h"

/* Words that are copied: of the library's lowest frame, in which the callee-saved registers are
 * saved that no other function has saved; of the library's frames above it; of the embedder's
 * frame. */
#define STACK_SAVED 24
#define STACK_BELOW 40
#define STACK_ABOVE 64

/* The place of code that called the library. */
struct stack_place {
    uintptr_t sp; /* lowest address that the code uses; 0: not known */
    size_t n;
    word words[STACK_SAVED + STACK_BELOW +
               STACK_ABOVE]; /* its callee-saved registers, among others */
};

struct stack {
    uintptr_t low, high;     /* its memory; both 0: not known */
    struct stack_place left; /* where code left it, to go on there later */
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

/* In a function: the stack pointer of its caller. It also makes the function save all callee-saved
 * registers in its frame. The function is NOINLINE: in line in another one it would tell of that
 * one's caller, below whose stack pointer lie frames that are in use. */
#define STACK_CALLER() (__builtin_unwind_init(), (uintptr_t)__builtin_dwarf_cfa())

INLINE bool stack_contains(const struct stack *s, uintptr_t address)
{
    return address - s->low < s->high - s->low;
}

/* `of_fiber`: the stack of the fiber that the thread runs, or NULL. */
/* Notes that the thread's code stands at `caller`. false: that is on a stack which nobody told us
 * of; what the OS can tell of the memory there is then taken for the stack. */
bool stacks_note(struct stacks *s, const struct stack *of_fiber, uintptr_t caller);
/* The thread's code stands at `caller` and is about to switch fibers. */
void stacks_leave(struct stacks *s, struct stack *of_fiber, uintptr_t caller);
/* Visits all words that the thread's code could go on from. */
void stacks_visit(const struct stacks *s, const struct stack *of_fiber, struct gc_tracer *tracer);
/* Visits a stack on which nobody stands: from where it was left, or all of it. */
void stack_visit(const struct stack *s, struct gc_tracer *tracer);

#endif
