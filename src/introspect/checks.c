#include "introspect/checks.h"
#include "allocator/object.h"
#include "base/access.h"
#include "introspect/edges.h"
#include "introspect/outside.h"
#include "memory/tagged.h"
#include "mutator/barrier.h"
#include "mutator/fiber.h"
#include "mutator/heaps.h"
#include "mutator/log.h"
#include "mutator/self.h"
#include "mutator/thread.h"

/* slot_note.writer: several threads stored since the last look, and any of them may have been the
 * last. */
#define SEVERAL UINT32_MAX
/* How many words a look may read for each safepoint since the last one. If looks become rarer,
 * fewer and fewer: all looks together take no longer than the first so many safepoints, but for a
 * logarithm. */
#define WORDS_PER_SAFEPOINT 64
#define RARER_AFTER 16384

/* ---- Telling ---- */

enum mistake {
    PLAIN_STORE,
    HIDDEN_FIELD,
    BEHIND_END,
    FOREIGN_OBJECT,
    DEAD_IN_SLOT,
    DEAD_IN_ROOT,
    DEAD_STORED,
    EMPTY_STORED,
    NO_SLOT,
    STRAY,
    STRAY_USED
};

struct texts {
    char word[120], other[120], from[256], place[400];
};

/* Whether such a mistake, of objects from these two sites, is told for the first time. */
static bool is_news(struct checks *c, enum mistake mistake, const struct site *a, uintptr_t more)
{
    uint64_t key = ((uint64_t)(uintptr_t)a * 31 + more) * 16 + mistake + 1;
    bool news = c->ntold < CHECKS_TOLD;
    for (uint32_t i = 0; i < c->ntold && news; i++)
        news = c->told[i] != key;
    if (news)
        c->told[c->ntold++] = key;
    return news;
}

static void tell_maker(const gc_heap *heap, uintptr_t object, struct texts *x)
{
    const struct site *site = site_of(heap, object);
    if (site && site->thread)
        log_write(heap, GC_LOG_ERROR, "  0x%zx was allocated by thread %llu%s%s in %s",
                  (size_t)object, (unsigned long long)site->thread, site->name[0] ? " " : "",
                  site->name, place_text(&site->place, x->place, sizeof x->place));
}

static const char *word_text(const gc_heap *heap, uintptr_t object, uintptr_t at, struct texts *x)
{
    return site_word_text(heap, object, at, x->word, sizeof x->word);
}
static const char *object_text(const gc_heap *heap, uintptr_t object, struct texts *x)
{
    return site_object_text(heap, object, x->other, sizeof x->other);
}

bool checks_stray_is_news(const gc_heap *heap, uintptr_t object, bool used_again)
{
    struct checks *c = heap->checks;
    if (!c)
        return true;
    lock_acquire(&c->lock);
    bool news = is_news(c, used_again ? STRAY_USED : STRAY, site_of(heap, object), 0);
    lock_release(&c->lock);
    return news;
}

void checks_tell_maker(const gc_heap *heap, uintptr_t object)
{
    struct texts x;
    if (heap->checks)
        tell_maker(heap, object, &x);
}

/* Where the thread that looks called the library. */
static uintptr_t looker_sp(const struct checks *c)
{
    return c->looks ? c->looks->stacks.here.sp : 0;
}

/* Before a cycle, the thread that drives it has noted where it stands. */
static void tell_looker(const gc_heap *heap)
{
    const gc_thread *self = thread_self();
    struct log_finder by;
    if (heap->checks->looks) {
        log_place(heap, heap->checks->looks, looker_sp(heap->checks));
        return;
    }
    log_note_finder(&by, self && self->heap == heap ? self : NULL);
    log_found_by(heap, &by);
}

/* Who has found what was told, and who made the object that it concerns. */
static void tell_found(const gc_heap *heap, uintptr_t object, struct texts *x)
{
    tell_looker(heap);
    tell_maker(heap, object, x);
}

/* ---- The objects ---- */

/* The end of what an object's type, and heap bits, speak of. */
static uintptr_t end_of(const struct gc_span *s, uintptr_t object)
{
    if (span_is_large(s))
        return MAX_OF(s->scan_limit, object);
    return object + s->size - header_bytes(s, object);
}

static struct slot_note *note_at(const gc_heap *heap, uintptr_t at)
{
    struct arena *a = arena_of(&heap->mem.arenas, at);
    struct arena_notes *notes = a ? notes_make(a) : NULL;
    return notes ? &notes->slots[arena_bit(at)] : NULL;
}

static bool is_slot(const gc_heap *heap, uintptr_t at)
{
    return heapbits_load(arena_of(&heap->mem.arenas, at), at, 1);
}

/* The start of the dead object to which a slot's word leads, or 0. */
static uintptr_t dead_target(const gc_heap *heap, word value)
{
    struct target target;
    uintptr_t address = value_address(&heap->options.format, value);
    if (!address || !target_resolve(&heap->mem, address, &target) ||
        !bits_test(target.arena->alloc, arena_bit(target.base)) ||
        !notes_is_dead(target.arena, target.base))
        return 0;
    return target.base;
}

static uint32_t died_in(const gc_heap *heap, uintptr_t dead)
{
    return notes_of(arena_of(&heap->mem.arenas, dead))->cycle[arena_bit(dead)];
}

/* ---- Stores ---- */

static uint32_t writer_of(const gc_thread *t)
{
    return (uint32_t)t->os_id;
}

static void learn(const struct checks *c, struct slot_note *note, word value)
{
    *note = (struct slot_note){value, c->look, 0};
}

static uintptr_t object_of(const gc_heap *heap, uintptr_t at)
{
    struct target target;
    return target_resolve(&heap->mem, at, &target) ? target.base : 0;
}

/* All elements of an array count as one. */
static uintptr_t offset_of(const struct site *site, uintptr_t offset)
{
    bool array = site && site->of.kind == SITE_ARRAY && site->of.type->size > 0;
    return array ? offset % site->of.type->size : offset;
}

static void tell_plain_store(const gc_heap *heap, gc_thread *t, uintptr_t at, word was, word is,
                             uintptr_t sp)
{
    struct checks *c = heap->checks;
    struct texts x;
    uintptr_t object = object_of(heap, at);
    if (!is_news(c, PLAIN_STORE, site_of(heap, object),
                 offset_of(site_of(heap, object), at - object)))
        return;
    log_write(heap, GC_LOG_ERROR,
              "%s of the object at 0x%zx changed from 0x%zx to 0x%zx without gc_store(): store "
              "references with gc_store(), and use gc_copy() instead of memmove()",
              word_text(heap, object, at, &x), (size_t)object, (size_t)was, (size_t)is);
    if (t)
        log_place(heap, t, sp);
    else
        tell_looker(heap);
    tell_maker(heap, object, &x);
}

/* A slot that holds what was not stored to it. */
static void check_slot(const gc_heap *heap, gc_thread *t, uintptr_t at, struct slot_note *note,
                       uintptr_t sp)
{
    word value = slot_load_acquire((const slot_word *)at);
    if (note->look && !(note->look == heap->checks->look && note->writer == SEVERAL) &&
        note->value != value)
        tell_plain_store(heap, t, at, note->value, value, sp);
}

/* What the slot holds when the store is done. Two threads may store to it at once; then only the
 * next look tells. */
static void note_store_locked(gc_thread *t, struct slot_note *note, const struct checks_stored *s)
{
    struct checks *c = t->heap->checks;
    LOCK_ASSERT_HELD(&c->lock);
    bool first = note->look && note->look != c->look;
    bool others = !first && note->writer && note->writer != writer_of(t);
    if (note->look && !others)
        check_slot(t->heap, t, (uintptr_t)s->slot, note, s->sp);
    if (note->look)
        note->look = c->look;
    note->writer = others || !s->known ? SEVERAL : writer_of(t);
    note->value = s->content;
}

static void tell_dead_store(gc_thread *t, const struct checks_stored *s, uintptr_t dead)
{
    gc_heap *heap = t->heap;
    struct texts x;
    log_write(heap, GC_LOG_ERROR,
              "%s stores a dead object (%s at 0x%zx), which cycle %u found unreachable: keep it in "
              "a GC_FRAME, a gc_root() or a handle across safepoints",
              s->call, object_text(heap, dead, &x), (size_t)dead, died_in(heap, dead));
    log_place(heap, t, s->sp);
    tell_maker(heap, dead, &x);
}

/* The address to which a store's value leads, if it is in the heap, and no object was ever there or
 * the last one is forgotten; else 0. */
static uintptr_t empty_target(const gc_heap *heap, word value)
{
    uintptr_t address = value_address(&heap->options.format, value);
    bool empty =
        address && arena_of(&heap->mem.arenas, address) && !object_base(&heap->mem, address);
    return empty ? address : 0;
}

static void tell_empty_store(gc_thread *t, const struct checks_stored *s, uintptr_t address)
{
    gc_heap *heap = t->heap;
    struct texts x;
    uintptr_t before = object_ending_at(&heap->mem, address);
    if (!is_news(heap->checks, EMPTY_STORED, before ? site_of(heap, before) : NULL, 0))
        return;
    if (before)
        log_write(heap, GC_LOG_ERROR,
                  "%s stores 0x%zx, the end of an object (%s at 0x%zx), which does not keep it: "
                  "store its start, or give its type GC_TFLAG_ENDS",
                  s->call, (size_t)address, object_text(heap, before, &x), (size_t)before);
    else
        log_write(heap, GC_LOG_ERROR,
                  "%s stores 0x%zx, where no object is: keep objects in a GC_FRAME, a gc_root() or "
                  "a handle across safepoints",
                  s->call, (size_t)address);
    log_place(heap, t, s->sp);
    if (before)
        tell_maker(heap, before, &x);
}

/* A reference goes to a word of an object that the collector does not look at: a field that the
 * type does not name, or another object than was meant. A trace function may visit any word. */
static void check_no_slot_locked(gc_thread *t, const struct checks_stored *s)
{
    gc_heap *heap = t->heap;
    uintptr_t at = (uintptr_t)s->slot, object = object_of(heap, at);
    const struct site *site = object ? site_of(heap, object) : NULL;
    struct texts x;
    if (!site || (site->of.type && site->of.type->trace) || !s->value ||
        object_cell(&heap->mem, s->value) != s->value ||
        !is_news(heap->checks, NO_SLOT, site, at - object))
        return;
    log_write(heap, GC_LOG_ERROR,
              "%s stores the address of an object (%s at 0x%zx) in %s of the object at 0x%zx, "
              "where the type has no reference: name the field in its GC_TYPE, or write the & of "
              "gc_store(&p->field, value)",
              s->call, object_text(heap, s->value, &x), (size_t)s->value,
              word_text(heap, object, at, &x), (size_t)object);
    log_place(heap, t, s->sp);
    tell_maker(heap, object, &x);
}

void checks_store(gc_thread *t, const struct checks_stored *s)
{
    gc_heap *heap = t->heap;
    struct checks *c = heap->checks;
    struct slot_note *note = heap->debug.stores ? note_at(heap, (uintptr_t)s->slot) : NULL;
    uintptr_t dead = heap->debug.freed ? dead_target(heap, s->value) : 0;
    uintptr_t empty = heap->debug.freed && !dead ? empty_target(heap, s->value) : 0;
    lock_acquire(&c->lock);
    if (note && is_slot(heap, (uintptr_t)s->slot))
        note_store_locked(t, note, s);
    else if (note)
        check_no_slot_locked(t, s);
    if (dead && is_news(c, DEAD_STORED, site_of(heap, dead), 0))
        tell_dead_store(t, s, dead);
    if (empty)
        tell_empty_store(t, s, empty);
    lock_release(&c->lock);
}

/* Until the next look nobody knows what these slots should hold. */
void checks_window(gc_thread *t, uintptr_t at, size_t bytes)
{
    gc_heap *heap = t->heap;
    const struct gc_span *s = mheap_span_of(&heap->mem, at);
    uintptr_t object = object_of(heap, at);
    if (!heap->debug.stores || !s || !object || span_noscan(s))
        return;
    uintptr_t end = end_of(s, object), from = bytes ? at : object;
    if (bytes)
        end = MIN_OF(at + bytes, end);
    lock_acquire(&heap->checks->lock);
    for (; from < end; from += WORD_SIZE) {
        struct slot_note *note = note_at(heap, from);
        if (!note || !note->look || !is_slot(heap, from))
            continue;
        note->look = heap->checks->look;
        note->writer = SEVERAL;
    }
    lock_release(&heap->checks->lock);
}

/* ---- Fresh objects ---- */

/* Their slots are written plainly until the thread's next safepoint. */
static void settle(gc_thread *t)
{
    gc_heap *heap = t->heap;
    uintptr_t object = t->fresh;
    if (!object)
        return;
    t->fresh = 0;
    const struct gc_span *s = mheap_span_of(&heap->mem, object);
    ASSERT(s && "I36");
    lock_acquire(&heap->checks->lock);
    for (uintptr_t at = object; at < end_of(s, object); at += WORD_SIZE) {
        struct slot_note *note = is_slot(heap, at) ? note_at(heap, at) : NULL;
        bool others = note && note->writer && note->writer != writer_of(t);
        if (!note)
            continue;
        learn(heap->checks, note, slot_load_acquire((const slot_word *)at));
        note->writer = others ? SEVERAL : 0;
    }
    lock_release(&heap->checks->lock);
}

static void forget_slots(gc_heap *heap, uintptr_t object)
{
    const struct gc_span *s = mheap_span_of(&heap->mem, object);
    for (uintptr_t at = object; at < end_of(s, object); at += WORD_SIZE) {
        struct slot_note *note = note_at(heap, at);
        if (note && (note->look || note->writer))
            *note = (struct slot_note){0, 0, 0};
    }
}

/* Words behind an array or a flexible object that the collector reads as elements. */
static uint8_t rest_of(const struct gc_span *s, uintptr_t object, const struct checks_request *r)
{
    bool elements = r->of.kind == SITE_ARRAY || r->of.kind == SITE_FLEX;
    uintptr_t end = align_up(object + r->size, WORD_SIZE);
    if (!elements || span_noscan(s) || span_is_large(s) || end >= end_of(s, object))
        return 0;
    return (uint8_t)MIN_OF((end_of(s, object) - end) / WORD_SIZE, UINT8_MAX);
}

/* What is left of the cell is a redzone, except for the words that say of which types it is. Behind
 * an array of references it counts as elements (I30). */
static void guard(const gc_heap *heap, const struct gc_span *s, void *object,
                  const struct checks_request *r)
{
    uintptr_t end = (uintptr_t)object + (r->of.kind == SITE_TYPED ? r->of.type->size : r->size);
    uintptr_t cell_end =
        (uintptr_t)object + span_object_bytes(s) - header_bytes(s, (uintptr_t)object);
    access_begin(object, end - (uintptr_t)object);
    uintptr_t next = align_up(end, WORD_SIZE);
    if (end < cell_end)
        access_forbid_rest((void *)end, cell_end - end,
                           next < cell_end && !span_noscan(s) && is_slot(heap, next));
}

/* For AddressSanitizer, which knows neither objects nor heaps. */
static gc_heap *guarded_heap; /* the last one; atomic */

static void explain(uintptr_t address)
{
    const gc_heap *heap = ptr_load_acquire(&guarded_heap);
    uintptr_t object = heap && arena_of(&heap->mem.arenas, address) ? object_of(heap, address) : 0;
    struct texts x;
    if (!object)
        return;
    word_text(heap, object, address, &x);
    if (notes_is_dead(arena_of(&heap->mem.arenas, object), object))
        log_write(heap, GC_LOG_ERROR,
                  "0x%zx lies at %s of the object at 0x%zx, which cycle %u found unreachable: keep "
                  "it in a GC_FRAME, a gc_root() or a handle",
                  (size_t)address, x.word, (size_t)object, died_in(heap, object));
    else
        log_write(heap, GC_LOG_ERROR,
                  "0x%zx lies at %s of the object at 0x%zx, which ends before it, or was never "
                  "handed out",
                  (size_t)address, x.word, (size_t)object);
    tell_maker(heap, object, &x);
}

/* What is made in the other cells is learnt at the next look. */
static void note_others(gc_heap *heap, const struct gc_span *s, uintptr_t first, size_t n,
                        const struct site_type *type)
{
    struct arena_notes *notes = notes_make(s->arena);
    if (n == 0 || !notes)
        return;
    site_note_cells(heap, first, n, type);
    for (size_t i = 0; i < n; i++) {
        notes->cycle[arena_bit(first + i * s->size)] = u32_load_relaxed(&heap->cycle_number);
        notes->rest[arena_bit(first + i * s->size)] = 0;
        if (heap->debug.stores && !span_noscan(s))
            forget_slots(heap, first + i * s->size);
    }
}

void checks_allocated(gc_thread *t, void *object, size_t n, const struct checks_request *r)
{
    gc_heap *heap = t->heap;
    const struct gc_span *s = mheap_span_of(&heap->mem, (uintptr_t)object);
    if (!s)
        return; /* of no bytes */
    note_others(heap, s, (uintptr_t)object + s->size, n - 1, &r->of);
    struct site site = {r->of, t->os_id, "", {{0}}};
    memcpy(site.name, t->name, sizeof site.name);
    place_take(&site.place, r->sp);
    site_note(heap, (uintptr_t)object, &site);
    struct arena_notes *notes = notes_of(s->arena);
    if (notes)
        notes->rest[arena_bit((uintptr_t)object)] = rest_of(s, (uintptr_t)object, r);
    if (heap->mem.guarded)
        guard(heap, s, object, r);
    if (!heap->debug.stores || span_noscan(s))
        return;
    forget_slots(heap, (uintptr_t)object);
    t->fresh = (uintptr_t)object;
}

uint32_t checks_cost(const gc_heap *heap)
{
    return u32_load_relaxed(&heap->checks->cost);
}

void checks_scanned(gc_heap *heap, size_t words)
{
    if (heap->checks)
        u32_fetch_add_relaxed(&heap->checks->cost, (uint32_t)MIN_OF(words, (size_t)UINT32_MAX / 2));
}

bool checks_are_due(const gc_heap *heap)
{
    return u32_load_relaxed(&heap->checks->rest) == 0;
}

bool checks_safepoint(gc_thread *t)
{
    struct checks *c = t->heap->checks;
    settle(t);
    uint32_t rest = u32_load_relaxed(&c->rest);
    if (rest > 0) {
        u32_cas_relaxed(&c->rest, rest, rest - 1);
        t->call_before = ptr_load_relaxed(&t->last_call);
    }
    return rest == 0;
}

/* ---- Looks ---- */

static void tell_hidden(const gc_heap *heap, uintptr_t object, uintptr_t at, uintptr_t other)
{
    struct checks *c = heap->checks;
    const struct site *site = site_of(heap, object);
    struct texts x;
    if (!is_news(c, HIDDEN_FIELD, (const void *)site->of.type, at - object))
        return;
    log_write(heap, GC_LOG_ERROR,
              "%s of the object at 0x%zx is the address of an object (%s at 0x%zx), but the type "
              "has no reference there: name the field in its GC_TYPE",
              word_text(heap, object, at, &x), (size_t)object, object_text(heap, other, &x),
              (size_t)other);
    tell_found(heap, object, &x);
}

/* A word that its type does not name. The contents of raw bytes may be what a dead object has left;
 * a traced type has its own function. */
static void check_other_word(const gc_heap *heap, uintptr_t object, uintptr_t at)
{
    const struct site *site = site_of(heap, object);
    word value = slot_load_relaxed((const slot_word *)at);
    if (!value || value % WORD_SIZE != 0 || value == object || !site || site->of.kind == SITE_RAW ||
        (site->of.type && site->of.type->trace) || object_cell(&heap->mem, value) != value)
        return;
    tell_hidden(heap, object, at, value);
}

/* The words behind the last element stay 0. */
static void check_behind_end(const gc_heap *heap, uintptr_t object, uintptr_t at)
{
    word value = slot_load_relaxed((const slot_word *)at);
    const struct site *site = site_of(heap, object);
    struct texts x;
    if (!value || !is_news(heap->checks, BEHIND_END, site, 0))
        return;
    log_write(heap, GC_LOG_ERROR,
              "%s of the object at 0x%zx holds 0x%zx, but lies behind the last element: allocate "
              "more elements, or check the index",
              word_text(heap, object, at, &x), (size_t)object, (size_t)value);
    tell_found(heap, object, &x);
}

/* References are followed in one heap only. */
static void check_heap_of(const gc_heap *heap, uintptr_t object, uintptr_t at, word value)
{
    struct texts x;
    if (!value || arena_of(&heap->mem.arenas, value_address(&heap->options.format, value)) ||
        !heaps_any_contains(value) ||
        !is_news(heap->checks, FOREIGN_OBJECT, site_of(heap, object), 0))
        return;
    log_write(heap, GC_LOG_ERROR,
              "%s of the object at 0x%zx refers to an object of another heap, at 0x%zx: does a "
              "gc_handle of that heap keep it?",
              word_text(heap, object, at, &x), (size_t)object, (size_t)value);
    tell_found(heap, object, &x);
}

static void tell_dead(const gc_heap *heap, uintptr_t object, uintptr_t at, uintptr_t dead)
{
    struct checks *c = heap->checks;
    struct texts x;
    if (!is_news(c, DEAD_IN_SLOT, site_of(heap, dead), at - object))
        return;
    log_write(
        heap, GC_LOG_ERROR,
        "%s of the object at 0x%zx refers to a dead object (%s at 0x%zx), which cycle %u "
        "found unreachable: keep it in a GC_FRAME, a gc_root() or a handle until it is stored",
        word_text(heap, object, at, &x), (size_t)object, object_text(heap, dead, &x), (size_t)dead,
        died_in(heap, dead));
    tell_found(heap, dead, &x);
}

static void look_at_slot(gc_heap *heap, const struct parts *p, uintptr_t at)
{
    struct checks *c = heap->checks;
    uintptr_t object = p->object;
    word value = slot_load_acquire((const slot_word *)at);
    struct slot_note *note = heap->debug.stores ? note_at(heap, at) : NULL;
    uintptr_t dead = heap->debug.freed && parts_refer(p, at) ? dead_target(heap, value) : 0;
    if (note) {
        check_slot(heap, c->looks, at, note, looker_sp(c));
        learn(c, note, value);
    }
    if (dead)
        tell_dead(heap, object, at, dead);
    if (heap->debug.freed)
        check_heap_of(heap, object, at, value);
}

static bool look_at_object(void *arg, struct gc_span *s, uintptr_t object)
{
    gc_heap *heap = arg;
    const struct arena_notes *notes = notes_of(s->arena);
    const struct parts p = parts_of(s, object);
    uintptr_t end = end_of(s, object);
    size_t behind = heap->debug.fields && notes ? notes->rest[arena_bit(object)] : 0;
    for (uintptr_t at = object; at < end; at += WORD_SIZE) {
        if (at >= end - behind * WORD_SIZE)
            check_behind_end(heap, object, at);
        else if (!span_noscan(s) && is_slot(heap, at))
            look_at_slot(heap, &p, at);
        else if (heap->debug.fields)
            check_other_word(heap, object, at);
    }
    heap->checks->words += (end - object) / WORD_SIZE;
    return true;
}

/* ---- Roots ---- */

static void look_at_root(struct gc_tracer *tracer, word value)
{
    const gc_heap *heap = tracer->heap;
    uintptr_t dead = dead_target(heap, value);
    struct texts x;
    heap->checks->words++;
    if (!dead || !is_news(heap->checks, DEAD_IN_ROOT, site_of(heap, dead), 0))
        return;
    const struct gc_edge edge = edge_of_source(tracer, dead);
    log_write(heap, GC_LOG_ERROR,
              "%s leads to a dead object (%s at 0x%zx), which cycle %u found unreachable: "
              "root it before the safepoint that collects it",
              edge_text(heap, &edge, x.from, sizeof x.from), object_text(heap, dead, &x),
              (size_t)dead, died_in(heap, dead));
    tell_found(heap, dead, &x);
}

static void ignore(struct gc_tracer *tracer, word value)
{
    (void)tracer, (void)value;
}

static void look_at_roots(gc_heap *heap)
{
    struct gc_tracer tracer = {.value = look_at_root, .stale = ignore, .heap = heap};
    for (gc_thread *t = heap->mutators.list; t; t = t->next)
        thread_visit_roots(t, &tracer);
    roots_visit(&heap->roots, &tracer);
}

static uint32_t rest_after(const gc_heap *heap)
{
    const struct checks *c = heap->checks;
    uint64_t rest = c->words / WORDS_PER_SAFEPOINT;
    if (heap->debug.rarer)
        rest += rest * c->waited / RARER_AFTER;
    return (uint32_t)MIN_OF(rest, (uint64_t)1 << 30);
}

void checks_look(gc_heap *heap, gc_thread *t)
{
    struct checks *c = heap->checks;
    for (gc_thread *each = heap->mutators.list; each; each = each->next)
        settle(each);
    verify_flush_caches(heap); /* what is not handed out yet may be written plainly later */
    c->words = 0;
    c->looks = t;
    if (heap->debug.freed)
        outside_check(heap);
    verify_each_object(heap, look_at_object, heap);
    if (heap->debug.freed)
        look_at_roots(heap);
    if (++c->look == 0) /* that is: not known */
        c->look = 1;
    u32_store_relaxed(&c->cost, (uint32_t)MIN_OF(c->words, (size_t)UINT32_MAX / 2));
    u32_store_relaxed(&c->rest, rest_after(heap));
    c->waited += u32_load_relaxed(&c->rest);
    for (gc_thread *each = heap->mutators.list; each; each = each->next)
        each->call_before = ptr_load_relaxed(&each->last_call);
}

/* ---- Life ---- */

bool checks_create(gc_heap *heap)
{
    struct checks *c = calloc(1, sizeof *c);
    if (!c || !heap->sites) {
        log_write(heap, GC_LOG_WARNING, "no memory for the checks of the debug switches");
        free(c);
        return false;
    }
    lock_init(&c->lock, LOCK_NOTES);
    c->look = 1;
    heap->checks = c;
    edges_name_frames(heap, true);
    if (heap->debug.redzones && access_is_watched()) {
        heap->mem.guarded = true;
        ptr_store_release(&guarded_heap, heap);
        access_explain(explain);
    }
    return true;
}

/* The memory goes back to the system. */
static bool end_object(void *unused, struct gc_span *s, uintptr_t object)
{
    (void)unused;
    access_end((void *)object, span_object_bytes(s));
    return true;
}

static void unguard(gc_heap *heap)
{
    const struct arena_index *index = &heap->mem.arenas;
    if (ptr_load_relaxed(&guarded_heap) == heap)
        ptr_store_relaxed(&guarded_heap, NULL);
    verify_each_object(heap, end_object, NULL);
    for (const struct arena *a = ptr_load_acquire(&index->newest); a; a = a->older)
        access_allow((void *)a->base, word_load_relaxed(&a->end) - a->base);
    heap->mem.guarded = false;
}

void checks_destroy(gc_heap *heap)
{
    if (!heap->checks)
        return;
    if (heap->mem.guarded)
        unguard(heap);
    free(heap->checks);
    heap->checks = NULL;
}
