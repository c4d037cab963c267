#include "mutator/barrier.h"
#include "allocator/object.h"

bool target_resolve_large(const struct mheap *h, uintptr_t address, struct target *t)
{
    struct gc_span *s = mheap_span_of(h, address);
    if (!s || !(word_load_acquire(&s->arena->alloc[arena_bit(s->base) / WORD_BITS]) & 1)) /* I37 */
        return false;
    t->base = s->base;
    t->arena = s->arena;
    t->tag = page_tag_make(page_class_of_span(s->spanclass), 0);
    return true;
}

/* A thread that gives a full buffer away holds the next object, and so has something to report
 * (I6). */
static void push_grey(gc_thread *t, uintptr_t base)
{
    struct workqueue *q = &t->heap->work;
    if (!t->grey)
        t->grey = workbuf_get(q);
    if (t->grey->n == t->grey->room) {
        workqueue_push(q, t->grey);
        t->grey = workbuf_get(q);
    }
    t->grey->items[t->grey->n++] = base;
}

/* Called for an object that was just marked. It is queued, and counted when it is scanned; or it is
 * counted here. */
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

bool barrier_may_be_object(const struct mheap *h, uintptr_t address)
{
    bool may = object_cell(h, address) != 0;
    fence_acquire();
    return may;
}

static void shade_ambiguous(gc_thread *t, struct workbuf *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        barrier_shade(t, b->items[i]);
    workbuf_put_empty(&t->heap->work, b);
}

void barrier_shade_ambiguous(gc_thread *t, struct workbuf *b)
{
    if (b && !workqueue_defer(&t->heap->work, b))
        shade_ambiguous(t, b);
}

struct workbuf *barrier_note_ambiguous(gc_thread *t, struct workbuf *b, uintptr_t address)
{
    if (!barrier_may_be_object(&t->heap->mem, address))
        return b;
    if (b && b->n == b->room) {
        barrier_shade_ambiguous(t, b);
        b = NULL;
    }
    if (!b)
        b = workbuf_get(&t->heap->work);
    b->items[b->n++] = address;
    return b;
}

void barrier_write(gc_thread *t, word old, word value)
{
    const gc_value_format *format = &t->heap->options.format;
    stress(STRESS_BARRIER_LOADED);
    if (old)
        barrier_shade(t, value_address(format, old));
    if ((t->fast.barrier & BARRIER_BOTH) && value)
        barrier_shade(t, value_address(format, value));
    stress(STRESS_BARRIER_SHADED);
}

bool barrier_hand_over(gc_thread *t)
{
    struct mutators *m = &t->heap->mutators;
    if (t->shaded_objects | t->shaded_bytes) {
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
