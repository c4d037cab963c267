#include "collector/quarantine.h"
#include "base/access.h"
#include "memory/heapbits.h"
#include "mutator/barrier.h"

/* Larger objects go free at once. */
#define LARGEST (QUARANTINE_BYTES / 16)

static bool is_earlier(uint32_t cycle, uint32_t than)
{
    return (int32_t)(cycle - than) < 0;
}

static void mark(const struct gc_span *s, uintptr_t object)
{
    target_mark(&(struct target){.base = object, .arena = s->arena});
}

void quarantine_fill(const gc_heap *heap, uintptr_t at, size_t size)
{
    bool guarded = heap->mem.guarded;
    if (guarded)
        access_allow((void *)at, size);
    memset((void *)at, 0xdb, size);
    if (guarded)
        access_forbid((void *)at, size);
}

/* The marker reads it. */
static void allow_header(const gc_heap *heap, uintptr_t object, size_t size)
{
    if (heap->mem.guarded)
        access_allow((void *)(object + size - WORD_SIZE), WORD_SIZE);
}

/* A marker that is led to the object finds no references in it, and no type. */
static void poison(gc_heap *heap, struct gc_span *s, uintptr_t object, size_t size)
{
    quarantine_fill(heap, object, size);
    if (span_noscan(s))
        return;
    struct heapbits_sink sink;
    heapbits_begin(&sink, &heap->mem.arenas, object);
    heapbits_emit_zeros(&sink, size / WORD_SIZE);
    heapbits_end(&sink);
    if (span_is_large(s)) {
        s->large_type = s->large_element = NULL;
        s->scan_limit = s->base;
    } else if (spanclass_traced(s->spanclass)) {
        allow_header(heap, object, size);
        ((word *)(object + size))[-1] = 0;
    }
}

/* Puts the dead object of cell i in. Large ones are not. */
static bool put_in(gc_heap *heap, struct gc_span *s, struct arena_notes *notes, size_t i)
{
    struct quarantine *q = heap->quarantine;
    uintptr_t object = span_cell(s, i);
    size_t size = span_object_bytes(s);
    uint32_t cycle = heap->cycle_number;
    if (heap->mem.guarded)
        access_end((void *)object, size);
    if (size > LARGEST || is_earlier(cycle, q->kept_from))
        return false;
    poison(heap, s, object, size);
    bits_set(notes->dead, arena_bit(object));
    notes->cycle[arena_bit(object)] = cycle;
    word_fetch_add_relaxed(&q->bytes, size);
    word_fetch_add_relaxed(&q->of_cycle[cycle % QUARANTINE_CYCLES], size);
    mark(s, object);
    return true;
}

/* If the object is marked, something refers to it, and it is kept. */
static bool let_go(gc_heap *heap, struct gc_span *s, struct arena_notes *notes, size_t i,
                   bool marked)
{
    struct quarantine *q = heap->quarantine;
    uintptr_t object = span_cell(s, i);
    size_t bit = arena_bit(object);
    if (marked || !is_earlier(notes->cycle[bit], q->kept_from)) {
        mark(s, object);
        return false;
    }
    bits_clear(notes->dead, bit);
    word_fetch_sub_relaxed(&q->bytes, span_object_bytes(s));
    return true;
}

size_t quarantine_sweep(gc_heap *heap, struct gc_span *s)
{
    struct arena_notes *notes = notes_make(s->arena);
    size_t more = 0;
    for (size_t i = 0; notes && i < s->ncells; i++) {
        size_t bit = arena_bit(span_cell(s, i));
        bool marked = bits_test(s->arena->mark, bit);
        if (!bits_test(s->arena->alloc, bit))
            continue;
        if (bits_test(notes->dead, bit))
            more -= let_go(heap, s, notes, i, marked);
        else if (!marked)
            more += put_in(heap, s, notes, i);
    }
    return more;
}

void quarantine_begin_sweep(gc_heap *heap)
{
    struct quarantine *q = heap->quarantine;
    uint32_t now = heap->cycle_number, oldest = now - QUARANTINE_CYCLES + 1;
    word kept = 0;
    word_store_relaxed(&q->of_cycle[now % QUARANTINE_CYCLES], 0);
    if (u8_exchange_relaxed(&q->emptied, 0)) {
        q->kept_from = now + 1;
        return;
    }
    if (is_earlier(q->kept_from, oldest))
        q->kept_from = oldest;
    for (uint32_t cycle = q->kept_from; cycle != now; cycle++)
        kept += word_load_relaxed(&q->of_cycle[cycle % QUARANTINE_CYCLES]);
    for (; kept > QUARANTINE_BYTES; q->kept_from++)
        kept -= word_load_relaxed(&q->of_cycle[q->kept_from % QUARANTINE_CYCLES]);
}

void quarantine_empty(gc_heap *heap)
{
    u8_store_relaxed(&heap->quarantine->emptied, 1);
}

word quarantine_bytes(const gc_heap *heap)
{
    return word_load_relaxed(&heap->quarantine->bytes);
}
