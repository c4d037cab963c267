#include "collector/backing.h"
#include "collector/collector.h"

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
    uintptr_t begin = align_down((uintptr_t)&a->mark[from / WORD_BITS], os_page_size());
    uintptr_t end = align_up((uintptr_t)&a->mark[to / WORD_BITS], os_page_size());
    os_back((void *)begin, end - begin);
    a->marked_base = stop;
}

/* A refusal is final. */
static void back_next(struct mheap *mem, struct arena *a)
{
    uintptr_t at = mheap_next_to_back(mem, a);
    if (at == UINTPTR_MAX)
        return;
    back_marks(a, at + HUGEPAGE_SIZE);
    bool backed = os_back((void *)at, HUGEPAGE_SIZE);
    word_store_relaxed(&a->backed_base, backed ? at + HUGEPAGE_SIZE : a->base + ARENA_SIZE);
    if (backed)
        mheap_note_backed(mem, at, HUGEPAGE_SIZE);
}

/* ---- The processor ---- */

static bool is_stopping(void *heap)
{
    return u32_load_acquire(&backing_of(heap)->stopping);
}

/* A P that the thread has borrowed for a while; or none. */
struct loan {
    struct proc *p;
    uint64_t end;
};

static void end_loan(gc_heap *heap, struct loan *loan)
{
    if (loan->p)
        proc_return(&heap->procs, loan->p);
    loan->p = NULL;
}

/* Where mutators run on all processors, the thread works on a P as the collector does: it would be
 * one thread too many, and mutators wait for it by the OS's time slices. */
static void want_processor(gc_heap *heap, struct loan *loan)
{
    if (loan->p && os_now_ns() >= loan->end)
        end_loan(heap, loan);
    if (!loan->p && procs_idle(&heap->procs) == 0) {
        loan->p = proc_borrow(&heap->procs, is_stopping, heap);
        loan->end = os_now_ns() + PROC_LOAN_NS;
    }
}

static void back_arenas(gc_heap *heap)
{
    struct loan loan = {NULL, 0};
    struct arena *a = ptr_load_acquire(&heap->mem.arenas.newest);
    for (; a; a = a->older) {
        while (mheap_next_to_back(&heap->mem, a) != UINTPTR_MAX && !is_stopping(heap)) {
            want_processor(heap, &loan);
            back_next(&heap->mem, a); /* which allocation may have come to meanwhile */
        }
    }
    end_loan(heap, &loan);
}

/* ---- The thread ---- */

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
