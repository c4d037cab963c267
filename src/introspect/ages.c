#include "introspect/ages.h"
#include "allocator/object.h"
#include "collector/marking.h"
#include "introspect/verify.h"
#include "mutator/log.h"

static void add(struct age_count *c, const struct gc_span *s)
{
    c->objects++;
    c->bytes += span_object_bytes(s);
}

struct count {
    gc_heap *heap;
    struct ages *ages;
};

static word *survivors_of(struct arena *a)
{
    if (!a->survivors)
        a->survivors = os_map(sizeof a->mark);
    return a->survivors;
}

/* A cell that is marked, but was not handed out yet, is the rest of a run. What will be made there
 * is young. */
static bool count_cell(void *arg, struct gc_span *s, uintptr_t object)
{
    const struct count *c = arg;
    word *survivors = survivors_of(s->arena);
    size_t bit = arena_bit(object);
    bool marked = bits_test(s->arena->mark, bit);
    bool old = survivors && bits_test(survivors, bit);
    c->ages->incomplete |= !survivors;
    if (!marked)
        add(&c->ages->died, s);
    if (!marked && !old)
        add(&c->ages->died_young, s);
    if (marked && old)
        add(&c->ages->again, s);
    if (survivors && !marked)
        bits_clear(survivors, bit);
    if (survivors && marked && !old && object_base(&c->heap->mem, object))
        bits_set(survivors, bit);
    return true;
}

void ages_after_mark(gc_heap *heap, struct ages *ages)
{
    bool held = u32_load_relaxed(&heap->mutators.held);
    struct count count = {heap, ages};
    if (LIKELY(!heap->debug.ages))
        return;
    uint64_t start = os_thread_cpu_ns();
    if (!held)
        handshake_hold(heap);
    verify_each_object(heap, count_cell, &count);
    if (!held)
        handshake_release(heap);
    ages->cycles++;
    ages->marked.objects += heap->marking->marked_objects;
    ages->marked.bytes += heap->marking->marked_bytes;
    ages->counting_ns += os_thread_cpu_ns() - start;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100 * (double)part / (double)whole : 0;
}

void ages_tell(const gc_heap *heap, const struct ages *a, uint64_t mark_ns)
{
    if (LIKELY(!heap->debug.ages))
        return;
    log_write(
        heap, GC_LOG_TRACE,
        "ages: %llu cycles marked %llu objects, %llu bytes, in %.3f ms of CPU time; marked by "
        "the cycle before: %.1f %% of the objects, %.1f %% of the bytes; died: %llu objects, "
        "%llu bytes; young of these: %.1f %% of the objects, %.1f %% of the bytes; counting "
        "took %.3f ms%s",
        (unsigned long long)a->cycles, (unsigned long long)a->marked.objects,
        (unsigned long long)a->marked.bytes,
        (double)(mark_ns - MIN_OF(mark_ns, a->counting_ns)) / 1e6,
        percent(a->again.objects, a->marked.objects), percent(a->again.bytes, a->marked.bytes),
        (unsigned long long)a->died.objects, (unsigned long long)a->died.bytes,
        percent(a->died_young.objects, a->died.objects),
        percent(a->died_young.bytes, a->died.bytes), (double)a->counting_ns / 1e6,
        a->incomplete ? "; incomplete: no memory for a map" : "");
}
