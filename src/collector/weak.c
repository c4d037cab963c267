#include "collector/collector.h"
#include "collector/ephemeron.h"
#include "collector/weakset.h"
#include <errno.h>

static struct weaks *weaks_of(const gc_heap *heap)
{
    return &heap->collector->weaks;
}

void weak_init(gc_heap *heap)
{
    u32_store_relaxed(&weaks_of(heap)->state, WEAK_TRACING);
}

/* ---- Reading while marking ---- */

/* The thread is past its ROOTS, and has not done DISARM. I16: what is unmarked when it finds CUT is
 * dead. The mark that it saw missing may have come meanwhile, so it looks again: from a
 * thread that had found REPEAT and took its time, until it acknowledged the wave that was the last.
 * The wave was clean all the same if the object has no references, and leaves nothing grey. */
static bool hold_marking(gc_thread *t, uintptr_t object, const struct target *target)
{
    uint32_t *state = &weaks_of(t->heap)->state;
    while (!target_is_marked(target)) {
        stress(STRESS_WEAK_UNMARKED);
        uint32_t now = u32_load_acquire(state);
        if (now == WEAK_CUT)
            return target_is_marked(target);
        stress(STRESS_WEAK_GET);
        if (now == WEAK_TRACING && !u32_cas_seq_cst(state, WEAK_TRACING, WEAK_REPEAT))
            continue;
        barrier_shade(t, object);
        return true;
    }
    return true;
}

/* Invariant: before DISARM begins, weak_clear has taken out all nodes whose keys are dead, and
 * until ROOTS is complete nothing has died since. So only a thread in between has to look. */
bool weak_hold(gc_thread *t, uintptr_t object)
{
    struct target target;
    if (t->phase != PHASE_MARK || !target_resolve(&t->heap->mem, object, &target))
        return true;
    return hold_marking(t, object, &target);
}

/* ---- Cells ---- */

/* What a cell says once nobody can change one's mind. */
enum verdict { ALIVE, DEAD, ASK_AGAIN };

static enum verdict verdict_of(bool alive)
{
    return alive ? ALIVE : DEAD;
}

static bool is_marked(const struct mheap *mem, uintptr_t object)
{
    struct target target;
    return target_resolve(mem, object, &target) && target_is_marked(&target);
}

/* The thread is past DISARM, and FLIP had not begun when `now` was read. */
static enum verdict verdict_done(const struct mheap *mem, uintptr_t object, uint32_t now)
{
    bool marked = is_marked(mem, object);
    fence_acquire(); /* pairs with the fence in special_sweep */
    return u32_load_acquire(&mem->sweepgen) == now ? verdict_of(marked) : ASK_AGAIN;
}

/* No marking concerns the thread: the marks of the last cycle decide until the object's span is
 * swept, which clears the cell if it is dead. A span's struct is never unmapped; that it has a new
 * life, or the object's memory has, the cell tells, which was cleared before. Nobody sweeps here:
 * the span may be in the hands of a P whose FLIP is still to come. */
static enum verdict verdict_at_rest(const struct mheap *mem, uintptr_t object, uint32_t now)
{
    const struct gc_span *s = mheap_span_of(mem, object);
    if (!s)
        return ASK_AGAIN;
    uint32_t generation = u32_load_acquire(&s->sweepgen);
    if (generation == now || generation == now + 3)
        return ALIVE;
    if (generation != now - 2 && generation != now + 1) {
        os_yield(); /* it is being swept */
        return ASK_AGAIN;
    }
    bool marked = is_marked(mem, object);
    fence_acquire(); /* as above */
    return u32_load_acquire(&s->sweepgen) == generation ? verdict_of(marked) : ASK_AGAIN;
}

static enum verdict verdict_marking(gc_thread *t, uintptr_t object)
{
    struct target target;
    if (!target_resolve(&t->heap->mem, object, &target))
        return ASK_AGAIN;
    return verdict_of(hold_marking(t, object, &target));
}

static enum verdict judge(gc_thread *t, uintptr_t object)
{
    const struct mheap *mem = &t->heap->mem;
    if (t->phase == PHASE_ARM)
        return ALIVE; /* all is swept, and this thread's roots are still to be visited */
    if (t->phase == PHASE_MARK)
        return verdict_marking(t, object);
    uint32_t now = u32_load_acquire(&mem->sweepgen);
    if (t->phase == PHASE_DONE && now == t->proc->cache->sweepgen)
        return verdict_done(mem, object, now);
    return verdict_at_rest(mem, object, now);
}

/* An object found alive is the thread's from now on: it has no safepoint in here. That the cell
 * still holds it tells that the judgement was of this object and not of one that came after it. */
void *weak_get(gc_thread *t, struct special *weak)
{
    for (;;) {
        uintptr_t object = word_load_acquire(&weak->weak.object);
        if (!object)
            return NULL;
        enum verdict verdict = judge(t, object);
        if (verdict == DEAD)
            return NULL;
        if (verdict == ALIVE && word_load_acquire(&weak->weak.object) == object)
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

/* I16: the compare-and-swap is the moment at which what is unmarked dies, for every reader. Whoever
 * made it REPEAT shades before its next acknowledgement: the next wave knows of it. */
bool weak_cut(gc_heap *heap, struct marker *m)
{
    struct weaks *w = weaks_of(heap);
    if (ephemerons_resolve(heap, m))
        return false;
    if (u32_cas_seq_cst(&w->state, WEAK_TRACING, WEAK_CUT)) {
        ephemerons_end(heap);
        return true;
    }
    u32_store_release(&w->state, WEAK_TRACING);
    return false;
}

void weak_give_up(gc_heap *heap, struct marker *m)
{
    if (!m->active)
        workqueue_activate(&heap->work);
    m->active = true;
    weaksets_mark(heap, m);
    special_mark_weak(heap, m);
}

/* I17: maps and tables forget before a finalizer is queued, for that is left to the sweep. */
void weak_clear(gc_heap *heap)
{
    ASSERT(u32_load_acquire(&weaks_of(heap)->state) == WEAK_CUT && "I16");
    stress(STRESS_WEAK_CLEAR);
    weaksets_clear(heap);
    special_cut(heap);
}

void weak_flipped(gc_heap *heap)
{
    ASSERT(u32_load_acquire(&weaks_of(heap)->state) == WEAK_CUT && "I16");
    u32_store_release(&weaks_of(heap)->state, WEAK_TRACING);
}
