#include "introspect/outside.h"
#include "collector/special.h"
#include "mutator/fiber.h"
#include "mutator/log.h"

/* Many roots are single words of one page. */
struct look {
    const gc_heap *heap;
    uintptr_t page; /* the last one that was looked at */
};

static bool is_there(struct look *look, const void *p, size_t bytes)
{
    uintptr_t page = align_down((uintptr_t)p, os_page_size());
    if (bytes == 0 || (page == look->page && (uintptr_t)p + bytes - page <= os_page_size()))
        return true;
    look->page = page;
    return os_is_mapped(p, bytes);
}

static void check_range(void *look, const slot_word *base, size_t n)
{
    const struct look *l = look;
    if (is_there(look, base, n * WORD_SIZE))
        return;
    log_write(l->heap, GC_LOG_ERROR,
              "the memory of %zu roots at 0x%zx is not mapped any more: call gc_unroot() or "
              "gc_thread_range_remove() before it is unmapped",
              n, (size_t)base);
    base_panic(__FILE__, __LINE__, "roots lie in memory that is not mapped");
}

static void check_rootset(struct look *look, const struct rootset *set)
{
    for (size_t i = 0; i < set->ranges.n; i++) {
        const struct root_range *r = &set->ranges.items[i];
        const slot_word *end = r->top ? *r->top : r->end;
        check_range(look, r->base, (size_t)(end - r->base));
    }
}

/* The part that the collector reads. A frame lies on the fiber's C stack even if that is not known.
 */
static bool has_stack(struct look *look, const gc_fiber *f)
{
    const struct stack *s = f->stack;
    uintptr_t low = s && s->left.sp ? s->left.sp : s ? s->low : 0;
    const struct gc_frame *frame = f->roots.frames;
    return is_there(look, (const void *)low, s ? s->high - low : 0) &&
           is_there(look, frame, frame ? sizeof *frame : 0);
}

static void check_fiber(struct look *look, const gc_fiber *f)
{
    if (u32_load_relaxed(&f->state) == FIBER_SUSPENDED && !has_stack(look, f)) {
        log_write(look->heap, GC_LOG_ERROR,
                  "the C stack of a suspended fiber (gc_fiber at 0x%zx) is not mapped any more: "
                  "call gc_fiber_destroy() before it is unmapped",
                  (size_t)f);
        base_panic(__FILE__, __LINE__, "a fiber's C stack is not mapped");
    }
    check_rootset(look, &f->roots);
}

static void check_fibers(struct look *look, const gc_fiber *f)
{
    for (; f; f = f->next) {
        if (!f->owner || special_weak_object(f->owner)) /* else nobody reads what it has */
            check_fiber(look, f);
    }
}

void outside_check(gc_heap *heap)
{
    struct look look = {heap, 0};
    for (const gc_thread *t = heap->mutators.list; t; t = t->next)
        check_rootset(&look, &t->roots);
    roots_each_global(&heap->roots, check_range, &look);
    lock_acquire(&heap->fibers_lock);
    check_fibers(&look, heap->fibers);
    check_fibers(&look, heap->owned_fibers);
    lock_release(&heap->fibers_lock);
}
