#include "mutator/frame.h"
#include "base/os.h"

#define LEFT "a GC_FRAME is open whose block was left without its end"
#define ENTERED_AGAIN "a GC_FRAME was entered again before its block had ended"
#define OVERWRITTEN "a GC_FRAME was left without the end of its block, and is overwritten"

/* GC_FRAME takes no more slots. */
#define SLOTS_MAX 32

/* No array has more words. */
#define ARRAY_MAX (UINTPTR_MAX / WORD_SIZE / 2)

/* ---- What lies behind the head ---- */

READS_DEAD_FRAMES static uintptr_t word_of(const struct gc_frame *f, size_t i)
{
    return ((const uintptr_t *)(f + 1))[i];
}

READS_DEAD_FRAMES static bool is_array(const struct gc_frame *f)
{
    return word_of(f, 0) % 4 == GC_FRAME_SIZE(0);
}

READS_DEAD_FRAMES static size_t array_length(const struct gc_frame *f)
{
    return word_of(f, 0) / 4;
}

static const void *slot_at(uintptr_t w)
{
    return (const void *)(w & ~(uintptr_t)GC_FRAME_LAST);
}

static bool is_last(uintptr_t w)
{
    return w & GC_FRAME_LAST;
}

/* ---- Walks ---- */

/* A walk from the innermost frame outwards. */
struct walk {
    const struct frame_view *view;
    const struct gc_frame *at, *inner; /* inner: the frame before `at`, or NULL */
    const struct gc_frame *mark;       /* if it is met again, the chain is a ring (Brent) */
    size_t steps, next_mark;
    const char *fault;
};

static const struct stack *stack_of(const struct frame_view *v, const void *p)
{
    if (v->a && stack_contains(v->a, (uintptr_t)p))
        return v->a;
    return v->b && stack_contains(v->b, (uintptr_t)p) ? v->b : NULL;
}

static bool is_aligned(const void *p)
{
    return (uintptr_t)p % WORD_SIZE == 0;
}

/* A dead frame lies below the stack pointer, but no farther than a deep recursion goes. If the
 * stack has no limit, what lies farther below may be another mapping. */
#define DEAD_MAX ((uintptr_t)16 << 20)

static bool is_below(const struct frame_view *v, const struct stack *s, const struct gc_frame *f)
{
    return v->sp - (uintptr_t)f - 1 < DEAD_MAX && stack_contains(s, v->sp - 1);
}

static bool may_be_read(const struct walk *w, const void *p, size_t n)
{
    return p && is_aligned(p) && (stack_of(w->view, p) || os_is_mapped(p, n * WORD_SIZE));
}

/* What lies behind the head is a frame's, as far as one can see. The frame lies on the stack s. */
READS_DEAD_FRAMES static bool looks_sound(const struct gc_frame *f, const struct stack *s)
{
    const uintptr_t *words = (const uintptr_t *)(f + 1);
    if (!stack_contains(s, (uintptr_t)&words[1])) /* at least a return address lies behind */
        return false;
    if (is_array(f))
        return array_length(f) <= ARRAY_MAX && is_aligned((const void *)words[1]) &&
               (words[1] || array_length(f) == 0);
    for (size_t i = 0; i < SLOTS_MAX && stack_contains(s, (uintptr_t)&words[i]); i++) {
        if (!slot_at(words[i]) || !is_aligned(slot_at(words[i])))
            return false;
        if (is_last(words[i]))
            return true;
    }
    return false;
}

/* Two frames of one function may lie in either order. Of two functions' frames the outer one lies
 * higher, or it is dead and the stack has grown over it again. */
static bool is_ambiguous(const struct walk *w, const struct stack *s)
{
    return w->inner && w->at < w->inner && s && s == stack_of(w->view, w->inner);
}

/* Of a frame that looks sound. Slots that lie on no stack cost a system call each. */
READS_DEAD_FRAMES static bool may_be_visited(const struct walk *w)
{
    const struct gc_frame *f = w->at;
    if (is_array(f))
        return may_be_read(w, (const void *)word_of(f, 1), array_length(f));
    size_t i = 0;
    while (may_be_read(w, slot_at(word_of(f, i)), 1)) {
        if (is_last(word_of(f, i++)))
            return true;
    }
    return false;
}

static const char *fault_of(const struct walk *w)
{
    const struct stack *s = stack_of(w->view, w->at);
    if (w->at == w->mark)
        return ENTERED_AGAIN;
    if (!is_aligned(w->at))
        return OVERWRITTEN;
    if (!s) /* if the inner frame was overwritten, it may lead anywhere */
        return w->inner && stack_of(w->view, w->inner) && !os_is_mapped(w->at, sizeof *w->at)
                   ? OVERWRITTEN
                   : NULL;
    if (is_below(w->view, s, w->at))
        return LEFT;
    if (!looks_sound(w->at, s) || (is_ambiguous(w, s) && !may_be_visited(w)))
        return OVERWRITTEN;
    return NULL;
}

static struct walk walk_from(const struct gc_frame *innermost, const struct frame_view *view)
{
    return (struct walk){.view = view, .at = innermost, .next_mark = 1};
}

/* Judges the frame `at`. false: there is none, or it is wrong (`fault`). */
static bool walk_on(struct walk *w)
{
    if (!w->at)
        return false;
    w->fault = fault_of(w);
    if (++w->steps == w->next_mark) {
        w->next_mark *= 2;
        w->mark = w->at;
    }
    return !w->fault;
}

READS_DEAD_FRAMES static void step(struct walk *w)
{
    w->inner = w->at;
    w->at = w->at->prev;
}

/* A word in a slot of a dead frame is no reference, but is treated as a word of the stack (I15). */
READS_DEAD_FRAMES static void visit_slot(const void *slot, bool ambiguous, struct gc_tracer *tracer)
{
    word value = slot_load_acquire((const slot_word *)slot);
    tracer->source.slot = slot;
    if (value && ambiguous)
        tracer->stale(tracer, value);
    else if (value)
        tracer->value(tracer, value);
}

READS_DEAD_FRAMES static void visit(const struct walk *w, struct gc_tracer *tracer)
{
    const struct gc_frame *f = w->at;
    bool ambiguous = is_ambiguous(w, stack_of(w->view, f)), last = false;
    tracer_enter(tracer, GC_IN_FRAME, f);
    if (is_array(f)) {
        const slot_word *base = (const slot_word *)word_of(f, 1);
        for (size_t i = 0, n = array_length(f); i < n; i++)
            visit_slot(&base[i], ambiguous, tracer);
        return;
    }
    for (size_t i = 0; !last; i++) {
        last = is_last(word_of(f, i));
        visit_slot(slot_at(word_of(f, i)), ambiguous, tracer);
    }
}

READS_DEAD_FRAMES size_t frame_slot_number(const struct gc_frame *f, const void *slot)
{
    size_t i = 0;
    if (is_array(f))
        return (size_t)((const slot_word *)slot - (const slot_word *)word_of(f, 1));
    while (slot_at(word_of(f, i)) != slot && !is_last(word_of(f, i)))
        i++;
    return i;
}

const char *frame_fault(const struct gc_frame *innermost, const struct frame_view *view)
{
    struct walk w = walk_from(innermost, view);
    walk_on(&w);
    return w.fault;
}

const char *frames_visit(const struct gc_frame *innermost, const struct frame_view *view,
                         struct gc_tracer *tracer)
{
    struct walk w = walk_from(innermost, view);
    for (; walk_on(&w); step(&w))
        visit(&w, tracer);
    return w.fault;
}

const char *frames_count(const struct gc_frame *innermost, const struct frame_view *view,
                         bool (*is_such)(const struct gc_frame *), size_t *n)
{
    struct walk w = walk_from(innermost, view);
    for (; walk_on(&w); step(&w))
        *n += is_such(w.at);
    return w.fault;
}

bool frames_contain(const struct gc_frame *innermost, const struct frame_view *view,
                    const struct gc_frame *frame)
{
    struct walk w = walk_from(innermost, view);
    while (w.at != frame && walk_on(&w))
        step(&w);
    return w.at && w.at == frame && !w.fault;
}
