#include "mutator/stack.h"
#include "base/os.h"

READS_FOREIGN_WORDS static void visit_words(uintptr_t low, uintptr_t high, struct gc_tracer *tracer)
{
    uintptr_t at = align_up(low, WORD_SIZE);
    ASSERT(at != 0);
    tracer_enter(tracer, GC_IN_STACK, NULL);
    for (; at + WORD_SIZE <= high; at += WORD_SIZE) {
        word value = *(volatile slot_word *)at;
        tracer->source.slot = (const void *)at;
        if (value)
            tracer->stale(tracer, value);
    }
}

READS_FOREIGN_WORDS static size_t copy(word *to, uintptr_t low, uintptr_t high)
{
    const volatile slot_word *from = (volatile slot_word *)low;
    size_t n = (high - low) / WORD_SIZE;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
    return n;
}

/* Between here and the stack pointer of the embedder's code lie the frames of the functions that
 * the code called, with the callee-saved registers that they saved; note() has saved the others.
 * These frames are gone when the functions return, so they are copied. If they are many, only the
 * lowest and the highest words are. The first words of the code's own frame are copied too: the
 * code may load registers of its callers from there, and leave its frame, before it switches
 * stacks. */
static NOINLINE void copy_frames(struct stack_place *p, uintptr_t saved, uintptr_t high)
{
    uintptr_t low = align_up((uintptr_t)__builtin_frame_address(0), WORD_SIZE);
    uintptr_t below = p->sp - STACK_BELOW * WORD_SIZE;
    uintptr_t above = p->sp + STACK_ABOVE * WORD_SIZE;
    saved = MIN_OF(saved, low + STACK_SAVED * WORD_SIZE);
    p->n = copy(p->words, low, saved);
    p->n += copy(p->words + p->n, MAX_OF(saved, below), MIN_OF(above, high));
}

static NOINLINE void note(struct stack_place *p, uintptr_t caller, uintptr_t high)
{
    p->sp = caller;
    copy_frames(p, STACK_CALLER(), high);
    __asm__ volatile("" : : : "memory"); /* no tail call: the frame is needed until here */
}

/* Visits from `low` on if it is not known where the code stands. */
static void visit_place(const struct stack_place *p, uintptr_t low, uintptr_t high,
                        struct gc_tracer *tracer)
{
    visit_words((uintptr_t)p->words, (uintptr_t)&p->words[p->n], tracer);
    visit_words(p->sp ? p->sp : low, high, tracer);
}

/* A larger mapping is not a stack, but a pool of memory in which the stack lies. */
#define STRAY_MAX ((uintptr_t)8 << 20)

static uintptr_t stray_high(uintptr_t sp)
{
    uintptr_t low, high;
    return os_mapping(sp, &low, &high) ? MIN_OF(high, sp + STRAY_MAX) : sp;
}

/* The fiber's stack comes first, as it may lie within the thread's own. */
static bool find_here(struct stacks *s, const struct stack *of_fiber, uintptr_t caller)
{
    if (of_fiber && stack_contains(of_fiber, caller)) {
        s->here_on = STACK_OF_FIBER;
        s->here_high = of_fiber->high;
    } else if (caller - s->before_low < s->before_high - s->before_low) {
        s->here_on = STACK_OTHER;
        s->here_high = s->before_high;
    } else if (stack_contains(&s->own, caller)) {
        s->here_on = STACK_OWN;
        s->here_high = s->own.high;
    } else {
        s->here_on = STACK_OTHER;
        s->here_high = stray_high(caller);
        return false;
    }
    return true;
}

bool stacks_note(struct stacks *s, const struct stack *of_fiber, uintptr_t caller)
{
    bool known = find_here(s, of_fiber, caller);
    note(&s->here, caller, s->here_high);
    return known;
}

/* If the code has already switched stacks, it is not known where it left this one. */
static void leave(struct stack *s, uintptr_t caller)
{
    if (stack_contains(s, caller))
        note(&s->left, caller, s->high);
    else
        s->left.sp = 0;
}

void stacks_leave(struct stacks *s, struct stack *of_fiber, uintptr_t caller)
{
    if (of_fiber)
        leave(of_fiber, caller);
    if (of_fiber && stack_contains(of_fiber, caller)) {
        s->before_low = of_fiber->low;
        s->before_high = of_fiber->high;
        return;
    }
    if (caller - s->before_low >= s->before_high - s->before_low)
        s->before_low = s->before_high = 0;
    if (!of_fiber || stack_contains(&s->own, caller))
        leave(&s->own, caller);
}

void stack_visit(const struct stack *s, struct gc_tracer *tracer)
{
    visit_place(&s->left, s->low, s->high, tracer);
}

/* The low end of the main thread's stack is mapped as the stack grows. */
static void visit_own(const struct stack *s, struct gc_tracer *tracer)
{
    uintptr_t low = s->low, mapped, end;
    if (s->left.sp == 0 && os_mapping(s->high - 1, &mapped, &end))
        low = MAX_OF(low, mapped);
    visit_place(&s->left, low, s->high, tracer);
}

/* The code may later go on on the stacks on which it does not stand at this moment. */
void stacks_visit(const struct stacks *s, const struct stack *of_fiber, struct gc_tracer *tracer)
{
    if (s->scanned || s->here_on != STACK_OWN)
        visit_place(&s->here, s->here.sp, s->here_high, tracer);
    if (s->scanned && s->here_on != STACK_OWN)
        visit_own(&s->own, tracer);
    if (of_fiber && s->here_on != STACK_OF_FIBER)
        stack_visit(of_fiber, tracer);
}
