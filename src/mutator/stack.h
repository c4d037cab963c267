/* C stacks that are scanned conservatively: where they lie, and where code stands on them.
 *
 * A thread stands on its own stack, or on one that the embedder made for a fiber and told the
 * library of. Only the stack pointer tells which one it is, because the embedder switches stacks
 * some time before or after it switches fibers. What the code can still use lies at or above its
 * stack pointer, or was in a callee-saved register when it called the library (I26).
 */
#ifndef GC_STACK_H
#define GC_STACK_H

#include "mutator/root.h"

/* For functions that read memory of the program's, whatever it holds. AddressSanitizer poisons
 * memory between the locals of a C stack, and around variables. A blocked thread may write its
 * locals while they are read; each of the values will do. */
#define READS_FOREIGN_WORDS __attribute__((no_sanitize("address", "thread")))

/* The words in which a function saves all callee-saved registers: those of addresses, of floating
 * point, and of vectors, as a compiler may keep an address in any of them. By the processors' ABIs;
 * a caller's frame on s390x has 20 words for them. */
#if defined(_WIN64)
#define STACK_REGISTERS (8 + 10 * 2)
#elif defined(__x86_64__)
#define STACK_REGISTERS 6
#elif defined(__i386__)
#define STACK_REGISTERS 4
#elif defined(__aarch64__)
#define STACK_REGISTERS (12 + 8)
#elif defined(__arm__)
#define STACK_REGISTERS (9 + 16)
#elif defined(__riscv)
#define STACK_REGISTERS (13 + 12 * 64 / __riscv_xlen)
#elif defined(__s390x__)
#define STACK_REGISTERS (20 + 8)
#else
#define STACK_REGISTERS (18 + 18 + 12 * 2 + 4) /* of 64-bit POWER, which has the most */
#endif

/* How many words are copied: of the library's lowest frame, which holds the callee-saved registers
 * that no other function has saved; of the library's frames above it; of the embedder's frame. The
 * first two have their own locals beside the registers. */
#define STACK_SAVED (STACK_REGISTERS + 18)
#define STACK_BELOW (STACK_REGISTERS + 34)
#define STACK_ABOVE 64

/* The place of code that called the library. */
struct stack_place {
    uintptr_t sp; /* lowest address that the code uses; 0: not known */
    size_t n;
    word words[STACK_SAVED + STACK_BELOW +
               STACK_ABOVE]; /* with its callee-saved registers among them */
};

struct stack {
    uintptr_t low, high;     /* its memory; both 0: not known */
    struct stack_place left; /* where the code left it and will go on later */
};

/* The stacks of a thread. Owner: the thread; the collector while it has CLAIMED the thread. */
struct stacks {
    struct stack own;
    uintptr_t before_low, before_high; /* the stack from which it last switched fibers */
    struct stack_place here;           /* set while it is blocked, or its roots are visited */
    uintptr_t here_high;               /* end of the stack on which `here` is */
    enum { STACK_OWN, STACK_OF_FIBER, STACK_OTHER } here_on;
    bool scanned;    /* the thread's own stack is scanned too */
    bool stray_told; /* an unknown stack was already reported */
};

/* In a function: the stack pointer of its caller. It also makes the function save all callee-saved
 * registers in its frame. The function must be NOINLINE. If it were inlined into another one, the
 * result would be the stack pointer of that one's caller, below which lie frames that are in
 * use. */
#ifdef __wasm__ /* no program sees the registers, and no stack is scanned */
#define STACK_CALLER() ((uintptr_t)__builtin_frame_address(0))
#else
#define STACK_CALLER() (__builtin_unwind_init(), (uintptr_t)__builtin_dwarf_cfa())
#endif

INLINE bool stack_contains(const struct stack *s, uintptr_t address)
{
    return address - s->low < s->high - s->low;
}

/* `of_fiber`: the stack of the fiber that the thread runs, or NULL. */
/* Notes that the thread's code stands at `caller`. false: it stands on a stack that is not known;
 * then the mapping that the OS finds there is taken for the stack. */
bool stacks_note(struct stacks *s, const struct stack *of_fiber, uintptr_t caller);
/* Called when the thread's code stands at `caller` and is about to switch fibers. */
void stacks_leave(struct stacks *s, struct stack *of_fiber, uintptr_t caller);
/* Visits all stack words that the thread's code can still use. */
void stacks_visit(const struct stacks *s, const struct stack *of_fiber, struct gc_tracer *tracer);
/* Visits a stack on which no thread stands: from where it was left, or all of it. */
void stack_visit(const struct stack *s, struct gc_tracer *tracer);

#endif
