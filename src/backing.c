#include "backing.h"
#include "collector.h"

#define HUGE_PAGE ((size_t)2 << 20)

static struct backing *backing_of(const gc_heap *heap)
{
    return &heap->collector->backing;
}

/* The mark bits of memory up to `stop`: the first to mark there may be a mutator in a handshake,
 * and each page of the map that nobody has touched would hold it up twice. */
static void back_marks(struct arena *a, uintptr_t stop)
{
    uintptr_t at = MAX_OF(a->marked_base, a->base);
    if (at >= stop)
        return;
    size_t from = (at - a->base) >> WORD_SHIFT, to = (stop - a->base) >> WORD_SHIFT;
    os_back(&a->mark[from / WORD_BITS], (to - from) / WORD_BITS * sizeof(word));
    a->marked_base = stop;
}

/* From the huge page after the one that allocation has come to. A refusal is final. */
static void back_arena(struct mheap *mem, struct arena *a)
{
    uintptr_t used = word_load_relaxed(&a->zeroed_base), end = a->base + ARENA_SIZE;
    uintptr_t at = MAX_OF(word_load_relaxed(&a->backed_base), align_up(used, HUGE_PAGE));
    uintptr_t stop = MIN_OF(used + MHEAP_BACK_AHEAD, end) & ~(uintptr_t)(HUGE_PAGE - 1);
    if (used == a->base)
        return;
    back_marks(a, stop);
    for (; at < stop; at += HUGE_PAGE) {
        bool backed = os_back((void *)at, HUGE_PAGE);
        word_store_relaxed(&a->backed_base, backed ? at + HUGE_PAGE : end);
        if (!backed)
            return;
        mheap_note_backed(mem, at, HUGE_PAGE);
    }
}

static void back_arenas(gc_heap *heap)
{
    struct arena *a = ptr_load_acquire(&heap->mem.arenas.newest);
    for (; a; a = a->older) {
        if (word_load_relaxed(&a->backed_base))
            back_arena(&heap->mem, a);
    }
}

/* What kicks there were is read first: who asks the thread to end kicks it then. */
static bool goes_on(const struct backing *b, uint32_t *kicks)
{
    *kicks = u32_load_acquire(&b->kicks);
    stress(STRESS_MAY_SLEEP);
    return !u32_load_acquire(&b->stopping);
}

/* The wish is forgotten before it is looked what there is to do: one that comes later counts. */
static void thread_main(void *arg)
{
    gc_heap *heap = arg;
    struct backing *b = backing_of(heap);
    uint32_t kicks;
    os_thread_title("gcheap-back");
    while (goes_on(b, &kicks)) {
        u32_store_seq_cst(&heap->mem.backing_wanted, 0);
        fence_seq_cst();
        back_arenas(heap);
        os_wait(&b->kicks, kicks, -1);
    }
}

void backing_kick(void *self)
{
    gc_heap *heap = self;
    struct backing *b = backing_of(heap);
    if (heap->options.flags & GC_NO_BACKGROUND)
        return;
    if (!u32_load_relaxed(&b->started) && u32_cas_acq_rel(&b->started, 0, 1) &&
        os_thread_start(&b->thread, thread_main, heap) != 0)
        u32_store_release(&b->started, 0);
    u32_fetch_add_acq_rel(&b->kicks, 1);
    os_wake(&b->kicks, 1);
}

void backing_stop(gc_heap *heap)
{
    struct backing *b = backing_of(heap);
    u32_store_release(&b->stopping, 1);
    if (!u32_load_acquire(&b->started))
        return;
    u32_fetch_add_acq_rel(&b->kicks, 1);
    os_wake(&b->kicks, 1);
    os_thread_join(&b->thread);
}

void backing_after_fork_in_child(gc_heap *heap)
{
    backing_of(heap)->started = 0;
    heap->mem.backing_wanted = 0;
}
