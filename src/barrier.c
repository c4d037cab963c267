#include "barrier.h"

bool target_resolve_large(const struct mheap *h, uintptr_t address, struct target *t)
{
    struct gc_span *s = mheap_span_of(h, address);
    if (!s)
        return false;
    t->base = s->base;
    t->arena = s->arena;
    t->tag = page_tag_make(page_class_of_span(s->spanclass), 0);
    return true;
}

static void push_grey(gc_thread *t, uintptr_t base)
{
    struct workqueue *q = &t->heap->work;
    if (!t->grey)
        t->grey = workbuf_get(q);
    if (t->grey->n == t->grey->room) {
        workqueue_push(q, t->grey);
        t->handed = true;
        t->grey = workbuf_get(q);
    }
    t->grey->items[t->grey->n++] = base;
}

/* Newly marked: queued to be scanned, and counted then; or counted now. */
static void turn_grey(gc_thread *t, const struct target *target)
{
    if (!target_info(target)->noscan) {
        push_grey(t, target->base);
        return;
    }
    t->shaded_objects++;
    t->shaded_bytes += target_bytes(target);
}

void barrier_shade(gc_thread *t, uintptr_t address)
{
    struct target target;
    if (address && target_resolve(&t->heap->mem, address, &target) && target_mark(&target))
        turn_grey(t, &target);
}

void barrier_scan(gc_thread *t, uintptr_t object)
{
    push_grey(t, object);
}

static void unmark(const struct target *t)
{
    size_t bit = arena_bit(t->base);
    word_fetch_and_relaxed(&t->arena->mark[bit / WORD_BITS], ~((word)1 << bit % WORD_BITS));
}

/* I15: the slot may be given back by its owner at this moment, which clears alloc, then mark.
 * Marking first and looking at alloc again, one of the two sees the other. */
bool barrier_mark_stale(const struct target *t)
{
    if (!target_mark(t))
        return false;
    fence_seq_cst();
    if (bits_test(t->arena->alloc, arena_bit(t->base)))
        return true;
    unmark(t);
    return false;
}

void barrier_shade_stale(gc_thread *t, uintptr_t address)
{
    struct target target;
    const struct mheap *h = &t->heap->mem;
    if (mheap_object_base(h, address) && target_resolve(h, address, &target) &&
        barrier_mark_stale(&target))
        turn_grey(t, &target);
}

void barrier_write(gc_thread *t, word old, word value)
{
    const gc_value_format *format = &t->heap->options.format;
    stress(STRESS_BARRIER_LOADED);
    if (old)
        barrier_shade(t, value_address(format, old));
    if (t->fast.barrier == BARRIER_BOTH && value)
        barrier_shade(t, value_address(format, value));
    stress(STRESS_BARRIER_SHADED);
}

bool barrier_hand_over(gc_thread *t)
{
    struct mutators *m = &t->heap->mutators;
    if (t->shaded_objects) {
        word_fetch_add_relaxed(&m->shaded_objects, t->shaded_objects);
        word_fetch_add_relaxed(&m->shaded_bytes, t->shaded_bytes);
        t->shaded_objects = t->shaded_bytes = 0;
    }
    if (!t->grey || t->grey->n == 0)
        return false;
    stress(STRESS_HAND_OVER);
    workqueue_push(&t->heap->work, t->grey);
    t->grey = NULL;
    return true;
}
