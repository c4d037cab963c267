/* The event trace of the process. */
#include "api/entry.h"
#include "base/events.h"
#include "introspect/timeline.h"
#include "mutator/heaps.h"

int gc_events_record(bool on)
{
    if (!MAY_PASS())
        return -EPERM;
    events_record(on);
    return 0;
}

struct events_text {
    struct timeline_thread *threads;
    size_t n;
    struct output output;
};

static size_t count_threads_locked(void)
{
    size_t n = 0;
    for (gc_heap *heap = heaps_first_locked(); heap; heap = heap->next_heap) {
        lock_acquire(&heap->mutators.lock);
        n += heap->mutators.count;
        lock_release(&heap->mutators.lock);
    }
    return n;
}

static void add_names(struct events_text *x, gc_heap *heap, size_t room)
{
    lock_acquire(&heap->mutators.lock);
    for (const gc_thread *t = heap->mutators.list; t && x->n < room; t = t->next) {
        struct timeline_thread *named = &x->threads[x->n];
        named->id = t->os_id;
        memcpy(named->name, t->name, sizeof named->name);
        x->n += t->name[0] != 0;
    }
    lock_release(&heap->mutators.lock);
}

/* Threads that attach meanwhile may go without a name. */
static int take_names(struct events_text *x)
{
    gc_thread *t = heaps_enter();
    size_t room = count_threads_locked();
    x->threads = calloc(room + 1, sizeof *x->threads);
    for (gc_heap *heap = heaps_first_locked(); heap && x->threads; heap = heap->next_heap)
        add_names(x, heap, room);
    heaps_leave(t);
    return x->threads ? 0 : -ENOMEM;
}

static int write_events(void *text)
{
    struct events_text *x = text;
    timeline_print(&x->output, x->threads, x->n);
    return output_end(&x->output);
}

int gc_events_write(gc_write_fn write, void *arg)
{
    struct events_text x = {.n = 0};
    if (!MAY_PASS())
        return -EPERM;
    if (!write)
        return -EINVAL;
    if (!events_were_recorded())
        return -ENOENT;
    int error = take_names(&x);
    output_begin(&x.output, write, arg);
    if (!error)
        error = entry_unheld(write_events, &x);
    free(x.threads);
    return error;
}
