#include "collector/special.h"
#include "allocator/object.h"
#include "collector/pacing.h"
#include <errno.h>

static struct specials *specials_of(const gc_heap *heap)
{
    return heap->specials;
}

/* ---- Records ---- */

static size_t count_records(gc_heap *heap)
{
    struct specials *all = specials_of(heap);
    lock_acquire(&all->lock);
    size_t n = all->records.inuse, samples = word_load_relaxed(&all->samples);
    lock_release(&all->lock);
    return n - MIN_OF(n, samples);
}

bool special_any(gc_heap *heap)
{
    return count_records(heap) > 0;
}

bool special_few(gc_heap *heap, size_t few)
{
    const struct specials *all = specials_of(heap);
    bool visited = word_load_relaxed(&all->finalizers) || word_load_relaxed(&all->externals);
    return !visited || count_records(heap) <= few;
}

void special_init(gc_heap *heap)
{
    struct specials *all = specials_of(heap);
    lock_init(&all->lock, LOCK_RECORDS);
    fixalloc_init(&all->records, sizeof(struct special), &heap->mem.persistent);
}

/* NULL: no memory. */
static struct special *make(gc_heap *heap, enum special_kind kind, uintptr_t object)
{
    struct specials *all = specials_of(heap);
    lock_acquire(&all->lock);
    struct special *r = fixalloc_alloc(&all->records);
    lock_release(&all->lock);
    if (!r)
        return NULL;
    memset(r, 0, sizeof *r);
    r->object = object;
    r->kind = (uint8_t)kind;
    return r;
}

void special_free(gc_heap *heap, struct special *r)
{
    struct specials *all = specials_of(heap);
    lock_acquire(&all->lock);
    fixalloc_free(&all->records, r);
    lock_release(&all->lock);
}

/* ---- A span's table ---- */

static struct special_table *table_make(size_t size)
{
    struct special_table *table = calloc(1, sizeof *table + size * sizeof(struct special *));
    if (table)
        table->size = size;
    return table;
}

/* The link of the first record at or behind (slot, kind). */
static struct special **table_find(struct special_table *table, uint32_t cell, unsigned kind)
{
    struct special **link = &table->chains[cell & (table->size - 1)];
    while (*link && ((*link)->cell < cell || ((*link)->cell == cell && (*link)->kind < kind)))
        link = &(*link)->next;
    return link;
}

/* Moves all records into a table of twice the size. Each chain becomes two, which keep its
 * order. */
static void table_split(struct special_table *from, struct special_table *to)
{
    for (size_t i = 0; i < from->size; i++) {
        struct special **tails[] = {&to->chains[i], &to->chains[i + from->size]};
        for (struct special *r = from->chains[i]; r; r = r->next) {
            struct special ***tail = &tails[(r->cell & from->size) != 0];
            **tail = r;
            *tail = &r->next;
        }
        *tails[0] = *tails[1] = NULL;
    }
    to->count = from->count;
}

static struct special *last_of_cell(struct special *r)
{
    while (r->next && r->next->cell == r->cell)
        r = r->next;
    return r;
}

/* Moves all records into a smaller table. The order of an object's records is kept. */
static void table_join(struct special_table *from, struct special_table *to)
{
    for (size_t i = 0; i < from->size; i++) {
        for (struct special *r = from->chains[i], *next; r; r = next) {
            struct special *last = last_of_cell(r), **link = table_find(to, r->cell, 0);
            next = last->next;
            last->next = *link;
            *link = r;
        }
    }
    to->count = from->count;
}

static void note_specials_locked(struct gc_span *s, bool any)
{
    LOCK_ASSERT_HELD(&s->specials_lock);
    size_t page = arena_page(s->base);
    word *map = &s->arena->page_specials[page / WORD_BITS], bit = (word)1 << page % WORD_BITS;
    if (any)
        word_fetch_or_release(map, bit);
    else
        word_fetch_and_relaxed(map, ~bit);
}

/* Makes room for one more record. false: no memory for a first table. */
static bool make_room_locked(struct gc_span *s)
{
    LOCK_ASSERT_HELD(&s->specials_lock);
    struct special_table *table = s->specials;
    if (!table) {
        s->specials = table_make(1);
        if (!s->specials)
            return false;
        note_specials_locked(s, true);
        return true;
    }
    if (table->count < 2 * table->size || table->size >= s->ncells)
        return true;
    struct special_table *larger = table_make(2 * table->size);
    if (larger) {
        table_split(table, larger);
        free(table);
        s->specials = larger;
    }
    return true;
}

static bool link_locked(struct gc_span *s, struct special *r)
{
    LOCK_ASSERT_HELD(&s->specials_lock);
    if (!make_room_locked(s))
        return false;
    struct special **link = table_find(s->specials, r->cell, r->kind);
    r->next = *link;
    *link = r;
    s->specials->count++;
    return true;
}

static struct special *unlink_locked(struct gc_span *s, struct special **link)
{
    LOCK_ASSERT_HELD(&s->specials_lock);
    struct special *r = *link;
    *link = r->next;
    s->specials->count--;
    return r;
}

static void drop_empty_table_locked(struct gc_span *s)
{
    LOCK_ASSERT_HELD(&s->specials_lock);
    if (!s->specials || s->specials->count > 0)
        return;
    free(s->specials);
    s->specials = NULL;
    note_specials_locked(s, false);
}

/* Makes the table smaller if many records are gone, and if there is memory for a smaller one. */
static void shrink_table_locked(struct gc_span *s)
{
    LOCK_ASSERT_HELD(&s->specials_lock);
    struct special_table *table = s->specials;
    if (!table || table->count >= table->size / 8)
        return;
    size_t size = table->size;
    while (table->count <= size / 2)
        size /= 2;
    struct special_table *smaller = table_make(size);
    if (!smaller)
        return;
    table_join(table, smaller);
    free(table);
    s->specials = smaller;
}

/* ---- Finding ---- */

/* Where an object's records are. */
struct place {
    gc_heap *heap;
    struct gc_span *s;
    uintptr_t object;
    uint32_t cell;
};

/* Returns 0, or -EINVAL: it is no object. If it is one, the caller holds it, so its span stays. */
static int place_find(gc_heap *heap, const void *object, struct place *place)
{
    uintptr_t address = (uintptr_t)object;
    bool is_object = address && object_base(&heap->mem, address) == address;
    struct gc_span *s = is_object ? mheap_span_of(&heap->mem, address) : NULL;
    if (!s)
        return -EINVAL;
    uint32_t cell = span_is_large(s) ? 0 : (uint32_t)(address - s->base) / s->size;
    *place = (struct place){heap, s, address, cell};
    return 0;
}

bool special_is_object(gc_heap *heap, const void *object)
{
    struct place place;
    return place_find(heap, object, &place) == 0;
}

static bool matches(const struct special *r, const struct place *place, enum special_kind kind)
{
    return r->cell == place->cell && r->kind == kind;
}

/* The link of the object's record of that kind; among its cleanups, of the one with that id. Queued
 * finalizers do not count. NULL: there is none. */
static struct special **find_locked(const struct place *place, enum special_kind kind, int64_t id)
{
    LOCK_ASSERT_HELD(&place->s->specials_lock);
    if (!place->s->specials)
        return NULL;
    struct special **link = table_find(place->s->specials, place->cell, kind);
    for (; *link && matches(*link, place, kind); link = &(*link)->next) {
        const struct special *r = *link;
        if (r->object == place->object && !r->queued && (!id || r->cleanup.id == id))
            return link;
    }
    return NULL;
}

static struct special *make_at(const struct place *place, enum special_kind kind)
{
    struct special *r = make(place->heap, kind, place->object);
    if (r)
        r->cell = place->cell;
    return r;
}

/* Takes out the object's record of that kind and frees it. Returns 0 or -ENOENT. */
static int remove_at(const struct place *place, enum special_kind kind, int64_t id)
{
    struct gc_span *s = place->s;
    lock_acquire(&s->specials_lock);
    struct special **link = find_locked(place, kind, id);
    struct special *r = link ? unlink_locked(s, link) : NULL;
    drop_empty_table_locked(s);
    lock_release(&s->specials_lock);
    if (!r)
        return -ENOENT;
    special_free(place->heap, r);
    return 0;
}

/* ---- Weak references ---- */

int special_hold_weak(gc_heap *heap, const void *object, struct special **weak)
{
    struct place place;
    int error = place_find(heap, object, &place);
    struct special *fresh = error ? NULL : make_at(&place, SPECIAL_WEAK);
    if (!fresh)
        return error ? error : -ENOMEM;
    fresh->weak.heap = heap;
    fresh->weak.object = place.object;
    fresh->weak.count = 2;
    lock_acquire(&place.s->specials_lock);
    struct special **link = find_locked(&place, SPECIAL_WEAK, 0);
    *weak = link ? *link : link_locked(place.s, fresh) ? fresh : NULL;
    if (link)
        u32_fetch_add_relaxed(&(*link)->weak.count, 1);
    lock_release(&place.s->specials_lock);
    if (*weak != fresh)
        special_free(heap, fresh);
    return *weak ? 0 : -ENOMEM;
}

/* ---- Counting external bytes ---- */

static int change_external(size_t *sum, ptrdiff_t bytes)
{
    size_t amount = bytes < 0 ? (size_t)0 - (size_t)bytes : (size_t)bytes;
    if (bytes < 0 ? amount > *sum : amount > PTRDIFF_MAX - *sum)
        return -EINVAL;
    *sum += (size_t)bytes;
    return 0;
}

static void count_external(gc_heap *heap, ptrdiff_t bytes)
{
    pacing_add_external(heap, bytes, bytes);
}

/* The specials lock of the record's span is held. */
static void set_waits(gc_heap *heap, struct special *r, bool waits)
{
    if (r->external.waits == waits)
        return;
    r->external.waits = waits;
    ptrdiff_t bytes = (ptrdiff_t)r->external.bytes;
    pacing_add_external(heap, 0, waits ? -bytes : bytes);
}

/* ---- Finalizers ---- */

static bool finalizes_all(const gc_heap *heap)
{
    return heap->options.flags & GC_FINALIZE_ALL;
}

/* Invariant, except with GC_FINALIZE_ALL: while a finalizer is set, what its object refers to gets
 * marked in every cycle. The collector does that once, after ROOTS. A thread that sets a finalizer
 * later in the cycle does it itself, before its next safepoint. The object stays unmarked; it is
 * queued as if it were grey, to be scanned. */
static void shade_children(gc_thread *t, const struct place *place)
{
    struct target target;
    if (thread_shades(t) && !finalizes_all(t->heap) && !span_noscan(place->s) &&
        target_resolve(&t->heap->mem, place->object, &target) && !target_is_marked(&target))
        barrier_scan(t, place->object);
}

static int add_finalizer(const struct place *place, gc_finalizer_fn fn, void *arg)
{
    struct gc_span *s = place->s;
    struct special *r = make_at(place, SPECIAL_FINALIZER);
    int error = 0;
    if (!r)
        return -ENOMEM;
    r->finalizer.fn = fn;
    r->finalizer.arg = arg;
    r->finalizer.id = word_fetch_add_relaxed(&specials_of(place->heap)->ids, 1);
    lock_acquire(&s->specials_lock);
    if (find_locked(place, SPECIAL_FINALIZER, 0))
        error = -EEXIST;
    else if (!link_locked(s, r))
        error = -ENOMEM;
    lock_release(&s->specials_lock);
    if (error)
        special_free(place->heap, r);
    return error;
}

int special_set_finalizer(gc_thread *t, void *object, gc_finalizer_fn fn, void *arg)
{
    struct place place;
    struct specials *all = specials_of(t->heap);
    int error = place_find(t->heap, object, &place);
    if (error)
        return error;
    if (!fn) {
        error = remove_at(&place, SPECIAL_FINALIZER, 0);
        if (!error)
            word_fetch_sub_relaxed(&all->finalizers, 1);
        return error;
    }
    error = add_finalizer(&place, fn, arg);
    if (error)
        return error;
    word_fetch_add_relaxed(&all->finalizers, 1);
    shade_children(t, &place);
    return 0;
}

/* Called when the object's finalizer begins to run. Its external bytes count again, until the
 * embedder takes them back. */
static void end_waiting_locked(gc_heap *heap, struct gc_span *s, uint32_t cell)
{
    LOCK_ASSERT_HELD(&s->specials_lock);
    struct special *r = *table_find(s->specials, cell, SPECIAL_EXTERNAL);
    for (; r && r->cell == cell && r->kind == SPECIAL_EXTERNAL; r = r->next)
        set_waits(heap, r, false);
}

void special_unqueue(gc_heap *heap, struct special *r)
{
    struct gc_span *s = mheap_span_of(&heap->mem, r->object);
    lock_acquire(&s->specials_lock);
    end_waiting_locked(heap, s, r->cell);
    struct special **link = table_find(s->specials, r->cell, SPECIAL_FINALIZER);
    while (*link != r)
        link = &(*link)->next;
    unlink_locked(s, link);
    drop_empty_table_locked(s);
    lock_release(&s->specials_lock);
    word_fetch_sub_relaxed(&specials_of(heap)->finalizers, 1);
}

/* ---- Cleanups ---- */

int64_t special_add_cleanup(gc_heap *heap, void *object, gc_cleanup_fn fn, void *arg)
{
    struct place place;
    int error = place_find(heap, object, &place);
    struct special *r = error ? NULL : make_at(&place, SPECIAL_CLEANUP);
    if (!r)
        return error ? error : -ENOMEM;
    int64_t id = (int64_t)(word_fetch_add_relaxed(&specials_of(heap)->ids, 1) & INTPTR_MAX) + 1;
    r->cleanup.fn = fn;
    r->cleanup.arg = arg;
    r->cleanup.id = id;
    lock_acquire(&place.s->specials_lock);
    bool done = link_locked(place.s, r);
    lock_release(&place.s->specials_lock);
    if (done)
        return id;
    special_free(heap, r);
    return -ENOMEM;
}

int special_cancel_cleanup(gc_heap *heap, void *object, int64_t id)
{
    struct place place;
    int error = place_find(heap, object, &place);
    if (error)
        return error;
    return id > 0 ? remove_at(&place, SPECIAL_CLEANUP, id) : -ENOENT;
}

/* ---- Samples ---- */

int special_add_sample(gc_heap *heap, void *object, u64 *deaths)
{
    struct place place;
    int error = place_find(heap, object, &place);
    struct special *r = error ? NULL : make_at(&place, SPECIAL_SAMPLE);
    if (!r)
        return error ? error : -ENOMEM;
    r->sample.deaths = deaths;
    word_fetch_add_relaxed(&specials_of(heap)->samples, 1);
    lock_acquire(&place.s->specials_lock);
    bool done = link_locked(place.s, r);
    lock_release(&place.s->specials_lock);
    if (done)
        return 0;
    word_fetch_sub_relaxed(&specials_of(heap)->samples, 1);
    special_free(heap, r);
    return -ENOMEM;
}

/* ---- External bytes ---- */

int special_add_external(gc_heap *heap, void *object, ptrdiff_t bytes)
{
    struct place place;
    int error = place_find(heap, object, &place);
    struct special *fresh = !error && bytes > 0 ? make_at(&place, SPECIAL_EXTERNAL) : NULL;
    if (error || (bytes > 0 && !fresh))
        return error ? error : -ENOMEM;
    lock_acquire(&place.s->specials_lock);
    struct special **link = find_locked(&place, SPECIAL_EXTERNAL, 0);
    struct special *r = link ? *link : NULL;
    if (!r && fresh && link_locked(place.s, fresh))
        r = fresh;
    if (r) {
        set_waits(heap, r, false); /* the caller holds the object */
        error = change_external(&r->external.bytes, bytes);
    } else if (bytes != 0) {
        error = bytes > 0 ? -ENOMEM : -EINVAL;
    }
    if (!error)
        count_external(heap, bytes); /* under the lock: counted before others subtract */
    lock_release(&place.s->specials_lock);
    if (fresh && r == fresh)
        word_fetch_add_relaxed(&specials_of(heap)->externals, 1);
    else if (fresh)
        special_free(heap, fresh);
    return error;
}

/* ---- Sweeping ---- */

/* What the sweep of a span has to do once it has released the span's lock. */
struct batch {
    gc_heap *heap;
    struct gc_span *s;
    struct special *freed; /* linked by next */
    struct finq_batch queue;
};

static bool cell_is_marked(const struct gc_span *s, uint32_t cell)
{
    return bits_test(s->arena->mark, arena_bit(span_cell(s, cell)));
}

/* Release: a weak_get that sees this mark also sees that the generation has changed, and
 * starts again. */
static void mark_cell(struct gc_span *s, uint32_t cell)
{
    size_t bit = arena_bit(span_cell(s, cell));
    word_fetch_or_release(&s->arena->mark[bit / WORD_BITS], (word)1 << bit % WORD_BITS);
    span_note_mark(s);
}

/* The first finalizer of r's cell, at or behind r; NULL: there is none. */
static const struct special *cell_finalizer(const struct special *r)
{
    uint32_t cell = r->cell;
    while (r && r->cell == cell && r->kind != SPECIAL_FINALIZER)
        r = r->next;
    return r && r->cell == cell ? r : NULL;
}

static void free_later(struct batch *b, struct special *r)
{
    r->next = b->freed;
    b->freed = r;
}

/* Gives up the span's hold on a weak record, which is off its chain. */
static void release_weak(struct batch *b, struct special *r)
{
    if (u32_fetch_sub_acq_rel(&r->weak.count, 1) == 1)
        free_later(b, r);
}

/* Visits a record of a live object, and frees it if it is of no use: a weak record that only the
 * span holds, or an external record without bytes. New holders come only under the lock. */
static struct special **sweep_live_locked(struct batch *b, struct special **link)
{
    struct special *r = *link;
    if (r->kind == SPECIAL_WEAK && u32_load_acquire(&r->weak.count) == 1)
        free_later(b, unlink_locked(b->s, link));
    else if (r->kind == SPECIAL_EXTERNAL && r->external.bytes == 0)
        free_later(b, unlink_locked(b->s, link));
    else
        return &r->next;
    if (r->kind == SPECIAL_EXTERNAL)
        word_fetch_sub_relaxed(&specials_of(b->heap)->externals, 1);
    return link;
}

/* Takes out a record of an object that dies for good. */
static void take_out_locked(struct batch *b, struct special **link)
{
    struct special *r = unlink_locked(b->s, link);
    if (r->kind == SPECIAL_CLEANUP) {
        finq_batch_add(&b->queue, &r->item);
        return;
    }
    if (r->kind == SPECIAL_SAMPLE) {
        u64_fetch_add_relaxed(r->sample.deaths, 1);
        word_fetch_sub_relaxed(&specials_of(b->heap)->samples, 1);
        free_later(b, r);
        return;
    }
    ASSERT(r->kind == SPECIAL_EXTERNAL);
    ASSERT(r->external.bytes == 0 && !r->external.waits); /* special_cut() has been there */
    word_fetch_sub_relaxed(&specials_of(b->heap)->externals, 1);
    free_later(b, r);
}

/* Visits the records of one unmarked cell. I17: the object's weak references are cleared before its
 * finalizer is queued, as they are the first of its records. Returns the link of the next
 * record. */
static struct special **sweep_dead_locked(struct batch *b, struct special **link)
{
    uint32_t cell = (*link)->cell;
    bool lives_on = cell_finalizer(*link) != NULL;
    while (*link && (*link)->cell == cell) {
        struct special *r = *link;
        if (r->kind == SPECIAL_WEAK) {
            stress(STRESS_WEAK_CLEAR);
            word_store_relaxed(&r->weak.object, 0);
            release_weak(b, unlink_locked(b->s, link));
            continue;
        }
        if (!lives_on) {
            take_out_locked(b, link);
            continue;
        }
        if (r->kind == SPECIAL_FINALIZER) {
            ASSERT(!r->queued);
            ASSERT(table_find(b->s->specials, cell, SPECIAL_WEAK) ==
                       table_find(b->s->specials, cell, SPECIAL_EXTERNAL) &&
                   "I17");
            r->queued = true;
            finq_batch_add(&b->queue, &r->item);
        }
        link = &r->next;
    }
    if (lives_on)
        mark_cell(b->s, cell);
    return link;
}

static void sweep_table_locked(struct batch *b)
{
    struct special_table *table = b->s->specials;
    for (size_t i = 0; table && i < table->size; i++) {
        struct special **link = &table->chains[i];
        while (*link)
            link = cell_is_marked(b->s, (*link)->cell) ? sweep_live_locked(b, link)
                                                       : sweep_dead_locked(b, link);
    }
    drop_empty_table_locked(b->s);
    shrink_table_locked(b->s);
}

static void free_batch(struct batch *b)
{
    while (b->freed) {
        struct special *r = b->freed;
        b->freed = r->next;
        special_free(b->heap, r);
    }
}

static void finish_batch(struct batch *b)
{
    free_batch(b);
    finq_add(b->heap, &b->queue);
}

static bool has_specials(const struct gc_span *s)
{
    return bits_test(s->arena->page_specials, arena_page(s->base));
}

static void sweep_specials(gc_heap *heap, struct gc_span *s)
{
    struct batch b = {.heap = heap, .s = s};
    lock_acquire(&s->specials_lock);
    sweep_table_locked(&b);
    lock_release(&s->specials_lock);
    stress(STRESS_SPECIAL);
    finish_batch(&b);
}

/* A mutator may add a record meanwhile. It holds the object, so the object is marked, and it does
 * not matter which of the two comes first. The fence is for weak reads, which take no lock: a
 * thread that sees a flipped bit also sees that the span is being swept, and which references were
 * cleared. */
void special_sweep(gc_heap *heap, struct gc_span *s)
{
    if (UNLIKELY(has_specials(s)))
        sweep_specials(heap, s);
    fence_release();
}

/* ---- Visits of all spans that have specials ---- */

static void visit_arena(gc_heap *heap, const struct arena *a, void *arg,
                        void (*visit)(gc_heap *, struct gc_span *, void *))
{
    for (size_t i = 0; i < ARENA_PAGE_WORDS; i++) {
        word pages = word_load_acquire(&a->page_specials[i]);
        for (; pages; pages &= pages - 1) {
            size_t page = i * WORD_BITS + bits_trailing_zeros(pages);
            visit(heap, ptr_load_relaxed(&a->spans[page]), arg);
        }
    }
}

/* No span is freed meanwhile: all are swept, or there are no mutators any more. */
static void visit_spans(gc_heap *heap, void *arg,
                        void (*visit)(gc_heap *, struct gc_span *, void *))
{
    const struct arena *a = ptr_load_acquire(&heap->mem.arenas.newest);
    for (; a; a = a->older)
        visit_arena(heap, a, arg, visit);
}

/* Calls fn for the span's records, under its lock. */
static void each_record(struct gc_span *s, void (*fn)(struct gc_span *, struct special *, void *),
                        void *arg)
{
    lock_acquire(&s->specials_lock);
    const struct special_table *table = s->specials;
    for (size_t i = 0; table && i < table->size; i++) {
        for (struct special *r = table->chains[i]; r; r = r->next)
            fn(s, r, arg);
    }
    lock_release(&s->specials_lock);
}

/* Invariant: an object whose finalizer is queued is a root until the finalizer begins to run. */
static void mark_record(struct gc_span *s, struct special *r, void *arg)
{
    struct marker *m = arg;
    if (r->kind != SPECIAL_FINALIZER)
        return;
    if (r->queued)
        marker_edge(m, span_cell(s, r->cell));
    else if (!finalizes_all(m->heap) && !span_noscan(s) && !cell_is_marked(s, r->cell))
        marker_scan(m, span_cell(s, r->cell), span_object_bytes(s));
}

static void mark_span(gc_heap *heap, struct gc_span *s, void *marker)
{
    (void)heap;
    each_record(s, mark_record, marker);
}

void special_mark_roots(gc_heap *heap, struct marker *m)
{
    if (word_load_relaxed(&specials_of(heap)->finalizers) > 0)
        visit_spans(heap, m, mark_span);
}

/* ---- All that died, in one cycle ---- */

static struct special *special_of(struct finq_item *item)
{
    return CONTAINER_OF(item, struct special, item);
}

/* Merges two lists that are in order: the higher ids first. */
static struct finq_item *merge(struct finq_item *a, struct finq_item *b)
{
    struct finq_item *first = NULL, **link = &first;
    while (a && b) {
        struct finq_item **next =
            special_of(a)->finalizer.id > special_of(b)->finalizer.id ? &a : &b;
        *link = *next;
        link = &(*link)->next;
        *next = *link;
    }
    *link = a ? a : b;
    return first;
}

/* Runs of 2^i items wait in runs[i] until there is another one of their length. */
static struct finq_item *sorted(struct finq_item *item)
{
    struct finq_item *runs[WORD_BITS] = {NULL}, *next, *all = NULL;
    for (; item; item = next) {
        size_t i = 0;
        next = item->next;
        item->next = NULL;
        for (; runs[i]; runs[i++] = NULL)
            item = merge(runs[i], item);
        runs[i] = item;
    }
    for (size_t i = 0; i < WORD_BITS; i++)
        all = merge(runs[i], all);
    return all;
}

static void sort_batch(struct finq_batch *batch)
{
    batch->first = sorted(batch->first);
    for (struct finq_item *item = batch->first; item; item = item->next)
        batch->last = item;
}

static bool may_take(const struct special *r)
{
    return r->kind == SPECIAL_FINALIZER && !r->queued;
}

static void take_finalizer(struct finq_batch *batch, struct special *r)
{
    r->queued = true;
    finq_batch_add(batch, &r->item);
}

/* Returns the link of the next record. */
static struct special **part_record_locked(struct batch *b, struct special **link)
{
    struct special *r = *link;
    if (!cell_is_marked(b->s, r->cell) && r->kind == SPECIAL_WEAK) {
        word_store_relaxed(&r->weak.object, 0);
        release_weak(b, unlink_locked(b->s, link));
        return link;
    }
    if (!cell_is_marked(b->s, r->cell) && may_take(r))
        take_finalizer(&b->queue, r);
    return &r->next;
}

static void part_span(gc_heap *heap, struct gc_span *s, void *batch)
{
    struct batch *b = batch;
    (void)heap;
    b->s = s;
    lock_acquire(&s->specials_lock);
    for (size_t i = 0; s->specials && i < s->specials->size; i++) {
        struct special **link = &s->specials->chains[i];
        while (*link)
            link = part_record_locked(b, link);
    }
    drop_empty_table_locked(s);
    lock_release(&s->specials_lock);
}

size_t special_part(gc_heap *heap)
{
    struct batch b = {.heap = heap};
    visit_spans(heap, &b, part_span);
    free_batch(&b);
    sort_batch(&b.queue);
    specials_of(heap)->dying = b.queue;
    return b.queue.count;
}

void special_mark_dying(gc_heap *heap, struct marker *m)
{
    for (struct finq_item *item = specials_of(heap)->dying.first; item; item = item->next)
        marker_edge(m, special_of(item)->object);
}

void special_queue_dying(gc_heap *heap)
{
    struct finq_batch dying = specials_of(heap)->dying;
    specials_of(heap)->dying = (struct finq_batch){0};
    finq_add(heap, &dying);
}

static void take_record(struct gc_span *s, struct special *r, void *batch)
{
    (void)s;
    if (may_take(r))
        take_finalizer(batch, r);
}

static void take_span(gc_heap *heap, struct gc_span *s, void *batch)
{
    (void)heap;
    each_record(s, take_record, batch);
}

void special_take_all(gc_heap *heap, struct finq_batch *batch)
{
    visit_spans(heap, batch, take_span);
    sort_batch(batch);
}

struct finalizer_visit {
    special_visit_fn *fn;
    void *arg;
};

static void visit_record(struct gc_span *s, struct special *r, void *arg)
{
    const struct finalizer_visit *v = arg;
    if (r->kind == SPECIAL_FINALIZER)
        v->fn(s, span_cell(s, r->cell), r->queued, v->arg);
}

static void visit_span(gc_heap *heap, struct gc_span *s, void *visit)
{
    (void)heap;
    each_record(s, visit_record, visit);
}

void special_each_finalizer(gc_heap *heap, special_visit_fn *fn, void *arg)
{
    visit_spans(heap, &(struct finalizer_visit){fn, arg}, visit_span);
}

static void mark_weak(struct gc_span *s, struct special *r, void *marker)
{
    if (r->kind == SPECIAL_WEAK && u32_load_relaxed(&r->weak.count) > 1)
        marker_edge(marker, span_cell(s, r->cell));
}

static void mark_weak_span(gc_heap *heap, struct gc_span *s, void *marker)
{
    (void)heap;
    each_record(s, mark_weak, marker);
}

void special_mark_weak(gc_heap *heap, struct marker *m)
{
    visit_spans(heap, m, mark_weak_span);
}

static void cut_record(struct gc_span *s, struct special *r, void *heap)
{
    if (r->kind != SPECIAL_EXTERNAL)
        return;
    bool dead = !cell_is_marked(s, r->cell);
    const struct special *finalizer = cell_finalizer(r);
    if (finalizer) {
        set_waits(heap, r, dead || finalizer->queued);
    } else if (dead) {
        count_external(heap, -(ptrdiff_t)r->external.bytes);
        r->external.bytes = 0;
    }
}

static void cut_span(gc_heap *heap, struct gc_span *s, void *unused)
{
    (void)unused;
    each_record(s, cut_record, heap);
}

void special_cut(gc_heap *heap)
{
    if (word_load_relaxed(&specials_of(heap)->externals) > 0)
        visit_spans(heap, NULL, cut_span);
}

static void drop_table(gc_heap *heap, struct gc_span *s, void *unused)
{
    (void)heap;
    (void)unused;
    free(s->specials);
    s->specials = NULL;
}

void special_destroy(gc_heap *heap)
{
    visit_spans(heap, NULL, drop_table);
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->specials->lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->specials->lock);
}

const struct fork_part special_fork = {SPECIAL_FORK_RANKS, .seize = seize, .release = release};
