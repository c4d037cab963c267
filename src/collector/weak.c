#include "collector/weak.h"
#include "collector/ephemeron.h"
#include "collector/weakset.h"
#include "collector/weakslot.h"
#include "mutator/log.h"
#include "mutator/self.h"
#include <errno.h>

static struct weaks *weaks_of(const gc_heap *heap)
{
    return heap->weaks;
}

void weak_init(gc_heap *heap)
{
    u32_store_relaxed(&weaks_of(heap)->state, WEAK_TRACING);
}

/* ---- Reading while marking ---- */

bool weak_announce(const gc_thread *t)
{
    uint32_t *state = &weaks_of(t->heap)->state;
    for (;;) {
        uint32_t now = u32_load_acquire(state);
        if (now == WEAK_CUT)
            return false;
        if (now == WEAK_PARTING) {
            stress(STRESS_WEAK_PARTING);
            os_yield();
            continue;
        }
        stress(STRESS_WEAK_GET);
        if (now == WEAK_REPEAT || u32_cas_acquire(state, WEAK_TRACING, WEAK_REPEAT))
            return true;
    }
}

/* The thread is past its ROOTS and before its DISARM. I16: what is unmarked when the thread finds
 * CUT is dead. But it looks at the mark again, because another thread may have set it since the
 * first look: one that had found REPEAT, and set the mark only just before it acknowledged the last
 * wave. That wave is clean even so if the object has no references, as nothing grey is left. */
static bool hold_marking(gc_thread *t, uintptr_t object, const struct target *target)
{
    if (!target_is_marked(target)) {
        stress(STRESS_WEAK_UNMARKED);
        if (!weak_announce(t))
            return target_is_marked(target);
        barrier_shade(t, object);
    }
    fence_acquire(); /* I49: who looks at the reference again finds it cleared, if it was */
    return true;
}

bool weak_hold_marking(gc_thread *t, uintptr_t object)
{
    struct target target;
    return !target_resolve(&t->heap->mem, object, &target) || hold_marking(t, object, &target);
}

/* The slot may have been cleared, and the object marked since then, because it is to be finalized
 * or is needed for that (I49). */
word weak_load(gc_thread *t, const slot_word *slot)
{
    for (;;) {
        word value = slot_load_acquire(slot);
        uintptr_t address = value_address(&t->heap->options.format, value);
        if (address && !weak_hold(t, address))
            return 0;
        if (slot_load_acquire(slot) == value)
            return value;
    }
}

/* ---- gc_weak ---- */

/* What a reader of a weak reference learns of the object. ASK_AGAIN: something changed
 * meanwhile. */
enum verdict { ALIVE, DEAD, ASK_AGAIN };

static enum verdict verdict_of(bool alive)
{
    return alive ? ALIVE : DEAD;
}

static bool is_marked(const struct mheap *mem, uintptr_t object)
{
    stress(STRESS_WEAK_MARK);
    return target_marked_at(mem, object);
}

/* The thread is past DISARM, and FLIP had not begun when `now` was read. */
static enum verdict verdict_done(const struct mheap *mem, uintptr_t object, uint32_t now)
{
    bool marked = is_marked(mem, object);
    fence_acquire(); /* pairs with the fence in special_sweep */
    return u32_load_relaxed(&mem->sweepgen) == now ? verdict_of(marked) : ASK_AGAIN;
}

/* No marking is under way for the thread. Until the object's span is swept, the marks of the last
 * cycle decide; the sweep clears the weak record if the object is dead. The span's struct is never
 * unmapped. If it, or the object's memory, was reused meanwhile, the record was cleared before;
 * weak_get reads it again. The reader does not sweep the span itself, as the span may belong to a P
 * that has not done FLIP. */
static enum verdict verdict_at_rest(const struct mheap *mem, uintptr_t object, uint32_t now)
{
    const struct gc_span *s = mheap_span_of(mem, object);
    if (!s)
        return ASK_AGAIN;
    uint32_t generation = u32_load_acquire(&s->sweepgen);
    if (generation == now || generation == now + 3)
        return ALIVE;
    if (generation != now - 2 && generation != now + 1) {
        stress(STRESS_WEAK_AGAIN);
        os_yield(); /* it is being swept */
        return ASK_AGAIN;
    }
    bool marked = is_marked(mem, object);
    fence_acquire(); /* as above */
    return u32_load_relaxed(&s->sweepgen) == generation ? verdict_of(marked) : ASK_AGAIN;
}

/* The record was read in this phase, after the sweep of the last cycle: its object is there. */
static enum verdict verdict_marking(gc_thread *t, uintptr_t object)
{
    struct target target;
    bool found = target_resolve(&t->heap->mem, object, &target);
    ASSERT(found && "I16");
    return verdict_of(hold_marking(t, object, &target));
}

static enum verdict judge(gc_thread *t, uintptr_t object)
{
    const struct mheap *mem = &t->heap->mem;
    if (t->phase == PHASE_ARM)
        return ALIVE; /* all is swept, and this thread's roots will be visited later */
    if (t->phase == PHASE_MARK)
        return verdict_marking(t, object);
    uint32_t now = u32_load_relaxed(&mem->sweepgen);
    if (t->phase == PHASE_DONE && now == t->proc->cache->sweepgen)
        return verdict_done(mem, object, now);
    return verdict_at_rest(mem, object, now);
}

/* An object that is found alive stays so, as the thread has no safepoint in here. If the record
 * still holds the object after the verdict, the verdict was about this object, and not about a
 * later one at its address. */
void *weak_get(gc_thread *t, struct special *weak)
{
    for (;;) {
        uintptr_t object = word_load_relaxed(&weak->weak.object);
        if (!object)
            return NULL;
        stress(STRESS_WEAK_LOADED);
        enum verdict verdict = judge(t, object);
        if (verdict == DEAD)
            return NULL;
        if (verdict == ALIVE && word_load_relaxed(&weak->weak.object) == object)
            return (void *)object;
    }
}

struct special *weak_new(gc_heap *heap, const void *object)
{
    struct special *weak;
    int error = special_hold_weak(heap, object, &weak);
    if (!error)
        return weak;
    errno = -error;
    return NULL;
}

void weak_free(struct special *weak)
{
    if (u32_fetch_sub_acq_rel(&weak->weak.count, 1) == 1)
        special_free(weak->weak.heap, weak);
}

/* ---- The cycle ---- */

/* Takes the decision `next`, unless a thread is reviving something. */
static bool decide(struct weaks *w, enum weak_state next)
{
    if (u32_cas_release(&w->state, WEAK_TRACING, next))
        return true;
    u32_store_relaxed(&w->state, WEAK_TRACING);
    return false;
}

/* With GC_FINALIZE_ALL, once in a cycle, before the cut. Returns whether there is nothing more to
 * mark. */
static bool part(gc_heap *heap, struct marker *m)
{
    struct weaks *w = weaks_of(heap);
    if (w->parted || !(heap->options.flags & GC_FINALIZE_ALL))
        return true;
    if (!decide(w, WEAK_PARTING))
        return false;
    w->parted = true;
    stress(STRESS_WEAK_PARTED);
    weakslots_part(heap);
    size_t dying = special_part(heap);
    if (dying > 0) {
        marker_activate(m);
        special_mark_dying(heap, m);
    }
    u32_store_release(&w->state, WEAK_TRACING);
    return dying == 0;
}

static bool ask_for_more(gc_heap *heap, struct marker *m)
{
    bool any = marker_call_marked(m);
    weaks_of(heap)->asked += any;
    return any;
}

static void trace_late(struct gc_tracer *tracer, word value)
{
    gc_heap *heap = tracer->heap;
    if (!value || tracer->marked(tracer, value_address(&heap->options.format, value)) ||
        weaks_of(heap)->told_late)
        return;
    weaks_of(heap)->told_late = true;
    log_write(heap, GC_LOG_ERROR,
              "a marked callback traces an object after the deaths were decided, and the object "
              "dies: trace it when `decided` is false");
}

static bool is_decided_alive(struct gc_tracer *tracer, uintptr_t address)
{
    return weaksets_key_lives(tracer->heap, address);
}

/* They take the dead out of their tables. */
static void tell_decided(gc_heap *heap)
{
    struct gc_tracer tracer = {
        .value = trace_late, .stale = trace_late, .marked = is_decided_alive, .heap = heap};
    gc_thread *self = self_calls_back();
    roots_call_marked(&heap->roots, &tracer, true);
    self_called_back(self);
}

/* I16: at the compare-and-swap all that is unmarked dies, for every reader. A thread that made the
 * state REPEAT shades its object before its next acknowledgement, so the next wave knows of it.
 * What pairs, weak maps and marked callbacks keep alive is not parted (I49). */
bool weak_cut(gc_heap *heap, struct marker *m, bool calls)
{
    if (ephemerons_resolve(heap, m) || (calls && ask_for_more(heap, m)) || !part(heap, m) ||
        !decide(weaks_of(heap), WEAK_CUT))
        return false;
    ephemerons_end(heap);
    if (calls)
        tell_decided(heap);
    return true;
}

/* A wave that a marked callback has made necessary is no fault of readers. */
bool weak_is_tired(const gc_heap *heap, uint64_t waves)
{
    return waves - weaks_of(heap)->asked >= WEAK_PATIENCE;
}

void weak_give_up(gc_heap *heap, struct marker *m)
{
    bool again = weakslots_are_kept(heap);
    if (again && !weakslots_any_new(heap))
        return;
    marker_activate(m);
    weakslots_keep(heap, m);
    if (again)
        return;
    weaksets_mark(heap, m);
    special_mark_weak(heap, m);
}

/* I17: maps and tables are cleared before a finalizer is queued, as the sweep does that later. */
void weak_clear(gc_heap *heap)
{
    ASSERT(u32_load_relaxed(&weaks_of(heap)->state) == WEAK_CUT && "I16");
    stress(STRESS_WEAK_CLEAR);
    weaksets_clear(heap);
    weakslots_clear(heap);
    special_cut(heap);
}

void weak_flipped(gc_heap *heap)
{
    ASSERT(u32_load_relaxed(&weaks_of(heap)->state) == WEAK_CUT && "I16");
    weaksets_flipped(heap);
    weaks_of(heap)->parted = false;
    weaks_of(heap)->asked = 0;
    u32_store_relaxed(&weaks_of(heap)->state, WEAK_TRACING);
}
