#include "mutator/window.h"
#include "memory/heapbits.h"
#include "mutator/barrier.h"
#include "mutator/self.h"

/* ---- What was prepared ---- */

/* Before its ROOTS a thread notes what is armed. Once all threads are black, it notes what it has
 * shaded, which it need not do again in this cycle (I50). A note that another one replaces costs
 * only time. */
static uintptr_t *note_of(gc_thread *t, uintptr_t place)
{
    uint32_t hash = (uint32_t)(place >> WORD_SHIFT) * UINT32_C(2654435769);
    return &t->windows.notes[hash >> (32 - WINDOW_NOTES_LOG2)];
}

static bool is_grey(const gc_thread *t)
{
    return t->fast.barrier & BARRIER_BOTH;
}

static void note_window(gc_thread *t, uintptr_t place)
{
    *note_of(t, place) = place;
    t->windows.noted = true;
}

void window_forget(gc_thread *t)
{
    if (t->windows.noted)
        memset(t->windows.notes, 0, sizeof t->windows.notes);
    t->windows.noted = false;
}

/* ---- What is scanned again ---- */

static void arm(gc_thread *t, uintptr_t at)
{
    struct workbuf *b = t->windows.armed;
    if (!b || b->n == b->room) {
        b = workbuf_get(&t->heap->work);
        b->next = t->windows.armed;
        t->windows.armed = b;
    }
    b->items[b->n++] = at;
}

/* It will be counted as it is scanned, and was or will be counted besides. */
static void arm_object(gc_thread *t, const struct target *target)
{
    t->shaded_objects--;
    t->shaded_bytes -= target_bytes(target);
    arm(t, target->base);
}

static uintptr_t last_armed(const gc_thread *t)
{
    const struct workbuf *b = t->windows.armed;
    return b ? b->items[b->n - 1] : 0;
}

/* A strand is scanned from the piece that is queued to its end. */
static void arm_piece(gc_thread *t, const struct target *target, uintptr_t piece)
{
    uintptr_t into = (piece - target->base) % MARK_STRAND;
    if (piece - last_armed(t) <= into)
        return;
    if (into == piece - target->base)
        arm_object(t, target);
    else
        arm(t, piece);
}

bool window_hand_over(gc_thread *t)
{
    struct workbuf *all = t->windows.armed;
    t->windows.armed = NULL;
    for (struct workbuf *b = all, *next; b; b = next) {
        next = b->next;
        workqueue_push(&t->heap->work, b);
    }
    return all != NULL;
}

/* ---- Shading ---- */

static void shade_slot(gc_thread *t, const slot_word *slot)
{
    barrier_shade(t, value_address(&t->heap->options.format, slot_load_acquire(slot)));
}

/* The words [at, end) of one object. A large one may reach into the next arena. */
static void shade_words(gc_thread *t, const struct parts *p, uintptr_t at, uintptr_t end)
{
    while (at < end) {
        const struct arena *a = arena_of(&t->heap->mem.arenas, at);
        size_t n = MIN_OF((end - at) / WORD_SIZE, WORD_BITS - arena_bit(at) % WORD_BITS);
        for (word bits = heapbits_load(a, at, n); bits; bits &= bits - 1) {
            const slot_word *slot = (const slot_word *)at + bits_trailing_zeros(bits);
            if (parts_refer(p, (uintptr_t)slot))
                shade_slot(t, slot);
        }
        at += n * WORD_SIZE;
    }
}

struct window_tracer {
    struct gc_tracer tracer;
    gc_thread *thread;
};

static void shade_traced_word(struct gc_tracer *tracer, word value)
{
    barrier_shade(CONTAINER_OF(tracer, struct window_tracer, tracer)->thread,
                  value_address(&tracer->heap->options.format, value));
}

/* The function is the embedder's. */
static void shade_traced(gc_thread *t, uintptr_t object, const gc_type *type)
{
    if (!type || !type->trace)
        return;
    struct window_tracer s = {
        {.value = shade_traced_word, .stale = shade_traced_word, .heap = t->heap}, t};
    int cancel = os_cancel_off();
    gc_thread *self = self_calls_back();
    tracer_object(&s.tracer, object, type);
    self_called_back(self);
    os_cancel_restore(cancel);
}

static const struct gc_span *span_of(const struct target *target)
{
    return target->arena->spans[arena_page(target->base)];
}

static void shade_object(gc_thread *t, const struct target *target)
{
    const struct page_class_info *info = target_info(target);
    uintptr_t base = target->base;
    if (info->noscan)
        return;
    const struct gc_span *s = span_of(target);
    struct parts p = parts_of(s, base);
    shade_words(t, &p, base,
                info->large ? s->scan_limit : base + (uintptr_t)info->words * WORD_SIZE);
    if (spanclass_traced(s->spanclass))
        shade_traced(t, base, p.head);
}

bool window_parts(const gc_thread *t, uintptr_t at, struct parts *p)
{
    struct target target;
    if (!target_resolve(&t->heap->mem, at, &target))
        return false;
    *p = parts_of(span_of(&target), target.base);
    return parts_have_tagged(p);
}

void window_shade(gc_thread *t, const struct parts *p, uintptr_t at, size_t bytes)
{
    shade_words(t, p, at, at + bytes);
}

/* ---- Windows ---- */

/* Whether nothing has to be shaded any more. Looks before anything is shaded: what is shaded later
 * was not put there by a grey thread. */
static bool is_once(const gc_thread *t)
{
    return !is_grey(t) && u8_load_acquire(&t->heap->mutators.all_black);
}

bool window_open(gc_thread *t, uintptr_t address)
{
    uintptr_t place = address & ~(uintptr_t)(WORD_SIZE - 1);
    bool grey = is_grey(t), once = is_once(t), noted = *note_of(t, place) == place;
    struct target target;
    if (noted && !grey)
        return true;
    if (!target_resolve(&t->heap->mem, address, &target))
        return false;
    shade_object(t, &target);
    if (grey && !noted)
        arm_object(t, &target);
    if (grey || once)
        note_window(t, place);
    return true;
}

/* Notes of pieces are odd, so that they differ from those of whole objects. */
static void open_piece(gc_thread *t, const struct target *target, uintptr_t piece)
{
    bool grey = is_grey(t), once = is_once(t), noted = *note_of(t, piece + 1) == piece + 1;
    if (noted && !grey)
        return;
    struct parts p = parts_of_large(span_of(target));
    shade_words(t, &p, piece, MIN_OF(piece + MARK_PIECE, span_of(target)->scan_limit));
    if (grey && !noted)
        arm_piece(t, target, piece);
    if (grey || once)
        note_window(t, piece + 1);
}

static void open_outside(gc_thread *t, uintptr_t from, size_t bytes)
{
    for (size_t i = 0; i < bytes / WORD_SIZE; i++)
        shade_slot(t, (const slot_word *)from + i);
}

static bool has_function(const struct gc_span *large)
{
    return spanclass_traced(large->spanclass) && large->large_type && large->large_type->trace;
}

/* What lies outside is a root that the collector visits when all threads are black. So it need not
 * be scanned again. */
void window_open_range(gc_thread *t, uintptr_t from, size_t bytes)
{
    struct target target;
    if (!target_resolve(&t->heap->mem, from, &target)) {
        open_outside(t, from, bytes);
        return;
    }
    if (!target_info(&target)->large || has_function(span_of(&target))) {
        window_open(t, target.base);
        return;
    }
    uintptr_t piece = from - (from - target.base) % MARK_PIECE;
    for (; piece < from + bytes && piece < span_of(&target)->scan_limit; piece += MARK_PIECE)
        open_piece(t, &target, piece);
}

/* ---- Scanning ---- */

/* Nobody else scans the object, as this thread sets the mark bit and does not queue it (I4). What
 * it refers to is grey before the thread stores to it. A traced object may have weak slots, which
 * only a marker takes down. */
void window_scan(gc_thread *t, uintptr_t address)
{
    struct target target;
    if (is_grey(t) || !target_resolve(&t->heap->mem, address, &target))
        return;
    const struct page_class_info *info = target_info(&target);
    if (info->large || info->noscan || spanclass_traced(span_of(&target)->spanclass) ||
        !target_mark(&target))
        return;
    shade_object(t, &target);
    t->shaded_objects++;
    t->shaded_bytes += target_bytes(&target);
}
