#include "collector/backing.h"

/* Backs the mark bits of memory up to `stop`. The first thread that marks there may be a mutator in
 * a handshake, and each page of the map that was never touched would hold it up twice. */
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

/* If the OS refuses once, it is not asked again for this arena. */
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

/* If mutators run on all processors, the thread borrows a P, as the collector does. Otherwise there
 * would be one thread too many, and mutators would wait while the OS gives it time slices. */
static void want_processor(gc_heap *heap, struct loan *loan)
{
    if (loan->p && os_now_ns() >= loan->end)
        end_loan(heap, loan);
    if (!loan->p && procs_idle(&heap->procs) == 0) {
        loan->p = proc_borrow(&heap->procs);
        loan->end = os_now_ns() + PROC_LOAN_NS;
    }
}

static void back_arenas(gc_heap *heap)
{
    const struct service *s = &heap->backing->service;
    struct loan loan = {NULL, 0};
    struct arena *a = ptr_load_acquire(&heap->mem.arenas.newest);
    for (; a; a = a->older) {
        while (mheap_next_to_back(&heap->mem, a) != UINTPTR_MAX && !service_is_ending(s)) {
            want_processor(heap, &loan);
            back_next(&heap->mem, a); /* allocation may have come there meanwhile */
        }
    }
    end_loan(heap, &loan);
}

/* ---- The thread ---- */

/* The request is cleared before the thread looks what there is to do. So a later request is not
 * lost. */
static void run_service(void *arg)
{
    gc_heap *heap = arg;
    struct service *s = &heap->backing->service;
    uint32_t kicks;
    while (service_goes_on(s, &kicks)) {
        u32_exchange_acquire(&heap->mem.backing_wanted, 0);
        back_arenas(heap);
        service_sleep(s, kicks, -1);
    }
}

void backing_init(gc_heap *heap)
{
    service_init(&heap->backing->service, "gcheap-back", run_service, heap);
}

void backing_kick(void *self)
{
    gc_heap *heap = self;
    if (!(heap->options.flags & GC_NO_BACKGROUND))
        service_call(&heap->backing->service);
}

void backing_stop(gc_heap *heap)
{
    service_stop(&heap->backing->service);
}

/* ---- Fork ---- */

static void forget(gc_heap *heap)
{
    service_forget(&heap->backing->service);
    heap->mem.backing_wanted = 0;
}

const struct fork_part backing_fork = {BACKING_FORK_RANKS, .forget = forget};
