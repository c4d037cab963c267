#include "collector/mark.h"
#include "memory/tagged.h"
#include "mutator/self.h"
#include "mutator/thread.h"

/* ---- Grey objects ---- */

static struct workbuf *stack_of(struct marker *m)
{
    if (!m->stack)
        m->stack = workbuf_get(&m->heap->work);
    return m->stack;
}

/* Queues every other item of the stack. Older items lead to much more than younger ones. If the
 * lower half were queued, it would be nearly all of the work, and this marker would soon ask for it
 * back. */
static NOINLINE void share_half(struct marker *m)
{
    struct workbuf *b = m->stack, *half = workbuf_get(&m->heap->work);
    uint32_t n = b->n, kept = 0;
    for (uint32_t i = 0; i + 1 < n; i += 2) {
        half->items[half->n++] = b->items[i];
        b->items[kept++] = b->items[i + 1];
    }
    if (n % 2)
        b->items[kept++] = b->items[n - 1];
    b->n = kept;
    workqueue_push(&m->heap->work, half);
}

static struct workbuf *stack_with_room(struct marker *m, size_t n)
{
    struct workbuf *b = stack_of(m);
    while (UNLIKELY(b->n + n > b->room && b->n > 1))
        share_half(m);
    return b;
}

static void stack_push(struct marker *m, uintptr_t at)
{
    struct workbuf *b = stack_with_room(m, 1);
    b->items[b->n++] = at;
}

/* An object with references is counted when it is scanned, one without when it is marked. */
static void count_object(struct marker *m, size_t bytes)
{
    m->marked_objects++;
    m->marked_bytes += bytes;
}

/* Objects will be counted when they are scanned, though they are counted already, or are not marked
 * by this. */
static void uncount(struct marker *m, size_t objects, size_t bytes)
{
    struct marking *all = m->heap->marking;
    word_fetch_sub_relaxed(&all->marked_objects, objects);
    word_fetch_sub_relaxed(&all->marked_bytes, bytes);
}

/* Called for an object that was just marked. */
INLINE void turn_grey(struct marker *m, const struct target *t)
{
    if (target_info(t)->noscan)
        count_object(m, target_bytes(t));
    else
        stack_push(m, t->base);
}

/* ---- Edges ---- */

static NOINLINE void mark_large(struct marker *m, uintptr_t address)
{
    struct target t;
    if (!target_resolve_large(&m->heap->mem, address, &t) || !target_mark(&t))
        return;
    turn_grey(m, &t);
    if (UNLIKELY(m->on_mark))
        m->on_mark(m, t.base);
}

/* Notes an edge to a small object, and prefetches its mark word. Returns the number of noted
 * edges. */
INLINE size_t note_edge(struct mark_edge *edges, size_t n, struct arena *a, uintptr_t address,
                        uint16_t tag)
{
    uintptr_t base = arena_cell_start(address, tag);
    word *map = &a->mark[arena_bit(base) / WORD_BITS];
    __builtin_prefetch(map, 1);
    edges[n].target = base | page_class_info[page_tag_class(tag)].edge;
    edges[n].map = map;
    return n + 1;
}

INLINE unsigned edge_bit(uintptr_t target)
{
    return (unsigned)(target >> WORD_SHIFT) % WORD_BITS;
}
INLINE word edge_mask(uintptr_t target)
{
    return (word)1 << edge_bit(target);
}
/* The heap-bitmap word for the same words of memory. */
INLINE const word *edge_heapbits(const word *map)
{
    return map + (offsetof(struct arena, heap) - offsetof(struct arena, mark)) / WORD_SIZE;
}

/* The arena whose mark word for `target` this is. */
INLINE struct arena *edge_arena(uintptr_t target, const word *map)
{
    return CONTAINER_OF(map - arena_bit(target) / WORD_BITS, struct arena, mark);
}

/* Keeps the edges that lead to unmarked objects. If such an object is to be scanned, prefetches its
 * first line and its heap-bitmap word. There is no locked operation among these lookups, as it
 * would hold up the loads behind it. There is no branch either, as nothing predicts whether an edge
 * leads to a marked object. */
static size_t keep_unmarked(struct mark_edge *edges, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct mark_edge e = edges[i];
        bool marked = word_load_relaxed(e.map) >> edge_bit(e.target) & 1;
        bool unread = marked | (e.target & EDGE_NOSCAN);
        edges[kept] = e;
        kept += !marked;
        __builtin_prefetch(unread ? (const void *)edges : (const void *)e.target);
        __builtin_prefetch(unread ? (const void *)edges : (const void *)edge_heapbits(e.map));
    }
    return kept;
}

static void count_neighbours(struct marker *m, const struct arena *a, uintptr_t object, size_t n)
{
    m->marked_objects += n;
    m->marked_bytes += n * page_class_info[page_tag_class(arena_tag(a, object))].size;
}

/* Greys what edges of one map word lead to. These objects lie on one page, so they are of one kind.
 * `fresh` has the bits that this marker set there. An object to which several edges lead is greyed
 * once. */
INLINE void grey_edges(struct marker *m, struct workbuf *b, const struct arena *a,
                       const struct mark_edge *e, size_t n, word fresh)
{
    if (e->target & EDGE_NOSCAN) {
        count_neighbours(m, a, e->target, bits_count(fresh));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uintptr_t target = e[i].target;
        if (fresh & edge_mask(target))
            b->items[b->n++] = target & ~(uintptr_t)EDGE_KIND;
        fresh &= ~edge_mask(target);
    }
}

static NOINLINE void tell_marks(struct marker *m, const struct mark_edge *e, size_t n, word fresh)
{
    for (size_t i = 0; i < n; i++) {
        if (fresh & edge_mask(e[i].target))
            m->on_mark(m, e[i].target & ~(uintptr_t)EDGE_KIND);
        fresh &= ~edge_mask(e[i].target);
    }
}

/* Marks the objects of n edges whose mark bits share a word. Returns the bits that this has set. */
INLINE word mark_neighbours(const struct mark_edge *e, size_t n)
{
    word mask = 0;
    for (size_t i = 0; i < n; i++)
        mask |= edge_mask(e[i].target);
    return mask & ~word_fetch_or_release(e[0].map, mask);
}

/* ---- Leaving objects to their pages ---- */

/* The items of a buffer of pages are tagged. Each is the address of an object on the page. */
#define ITEM_PAGE ((uintptr_t)1)

static bool holds_pages(const struct marker *m)
{
    return m->pages || m->found;
}

/* Whether the stack is nearly full. Then the objects come from so many places that it is better to
 * collect those of each page. */
static bool is_wide(const struct workbuf *stack)
{
    return stack->n >= stack->room * 3 / 4;
}

static bool greys_pages(struct marker *m)
{
    if (!holds_pages(m) || !m->by_page)
        m->by_page = is_wide(stack_of(m));
    return m->by_page && m->active && !m->on_mark;
}

/* Pages on which few objects have come together are not worth their cost. Then new objects go to
 * the stack again, until it is wide. */
#define PAGES_PER_LOOK 128
#define PAGE_DENSE 4

static void note_density(struct marker *m, size_t objects)
{
    m->page_objects += objects;
    if (++m->page_count < PAGES_PER_LOOK)
        return;
    m->by_page = m->page_objects >= PAGES_PER_LOOK * PAGE_DENSE;
    m->page_count = m->page_objects = 0;
}

#define EVEN_BITS (~(word)0 / 3)

/* The grey bit of an object that can wait for its page, else 0. It is the bit of the other word of
 * the pair {even, odd} in which the object begins. Such an object has two words or more, so a pair
 * has the start of one object at most. */
INLINE word edge_grey(uintptr_t target)
{
    return (word)((target & EDGE_BY_PAGE) / EDGE_BY_PAGE) << (edge_bit(target) ^ 1);
}

/* Called after a grey bit was set for an object on the page. If no marker holds the page, this one
 * does from now on (I35). */
static void hold_page(struct marker *m, struct arena *a, uintptr_t object)
{
    size_t page = arena_page(object);
    word *map = &a->page_grey[page / WORD_BITS], mask = (word)1 << page % WORD_BITS;
    if (word_load_seq_cst(map) & mask || word_fetch_or_release(map, mask) & mask)
        return;
    if (m->found && m->found->n >= m->found->room) {
        workqueue_append(&m->heap->work, m->found);
        m->found = NULL;
    }
    if (!m->found)
        m->found = workbuf_get(&m->heap->work);
    m->found->items[m->found->n++] = object | ITEM_PAGE;
}

/* Keeps the edges that lead to unmarked objects. */
static size_t drop_marked(struct mark_edge *edges, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct mark_edge e = edges[i];
        edges[kept] = e;
        kept += !(word_load_relaxed(e.map) >> edge_bit(e.target) & 1);
    }
    return kept;
}

/* Of n objects only the grey bits were set: another thread has marked them meanwhile. So they are
 * scanned and counted twice. */
static NOINLINE void discount(struct marker *m, const struct arena *a, uintptr_t object, size_t n)
{
    uncount(m, n, n * page_class_info[page_tag_class(arena_tag(a, object))].size);
}

/* Marks the objects of n edges that share a map word. `bits` has their mark bits, and the grey bits
 * of those that wait for their page. */
INLINE void grey_neighbours(struct marker *m, const struct mark_edge *e, size_t n, word bits)
{
    word fresh = bits & ~word_fetch_or_seq_cst(e->map, bits);
    if (!fresh)
        return;
    struct arena *a = edge_arena(e->target, e->map);
    if (LIKELY(e->target & EDGE_BY_PAGE)) {
        word grey_only = (fresh ^ fresh >> 1) & EVEN_BITS;
        if (UNLIKELY(grey_only))
            discount(m, a, e->target, bits_count(grey_only));
        hold_page(m, a, e->target - EDGE_BY_PAGE);
        return;
    }
    arena_note_mark(a, e->target);
    grey_edges(m, stack_with_room(m, n), a, e, n, fresh);
}

/* Marks what the edges lead to. What can wait for its page does. */
static NOINLINE void mark_by_page(struct marker *m)
{
    struct mark_edge *e = m->edges;
    size_t n = drop_marked(e, m->nedges), first = 0;
    word bits = 0;
    m->nedges = 0;
    for (size_t i = 0; i < n; i++) {
        bits |= edge_mask(e[i].target) | edge_grey(e[i].target);
        if (i + 1 < n && e[i + 1].map == e[i].map)
            continue;
        grey_neighbours(m, e + first, i + 1 - first, bits);
        first = i + 1;
        bits = 0;
    }
}

/* ---- Batches of edges ---- */

/* Marks what the edges lead to. Neighbours whose bits share a map word are marked by one atomic or;
 * it is a release, for weak_get. What was prefetched first is pushed last. */
static NOINLINE void mark_at_once(struct marker *m)
{
    struct mark_edge *e = m->edges;
    size_t n = keep_unmarked(e, m->nedges);
    struct workbuf *b = stack_with_room(m, n);
    m->nedges = 0;
    for (size_t end = n, i; end > 0; end = i) {
        for (i = end - 1; i > 0 && e[i - 1].map == e[i].map; i--)
            ;
        word fresh = mark_neighbours(&e[i], end - i);
        if (!fresh)
            continue;
        struct arena *a = edge_arena(e[i].target, e[i].map);
        arena_note_mark(a, e[i].target);
        grey_edges(m, b, a, &e[i], end - i, fresh);
        if (UNLIKELY(m->on_mark != NULL)) {
            tell_marks(m, &e[i], end - i, fresh);
            b = stack_with_room(m, i);
        }
    }
}

static void mark_edges(struct marker *m)
{
    if (greys_pages(m))
        mark_by_page(m);
    else
        mark_at_once(m);
}

void marker_edge(struct marker *m, uintptr_t address)
{
    struct arena *a = arena_of(&m->heap->mem.arenas, address);
    if (!a)
        return;
    uint16_t tag = arena_tag(a, address);
    if (page_class_info[page_tag_class(tag)].size == 0)
        mark_large(m, address);
    else
        m->nedges = note_edge(m->edges, m->nedges, a, address, tag);
    if (m->nedges >= MARK_EDGES)
        mark_edges(m);
}

bool marker_mark(struct marker *m, uintptr_t address, uintptr_t *base)
{
    struct target t;
    if (!target_resolve(&m->heap->mem, address, &t) || !target_mark(&t))
        return false;
    turn_grey(m, &t);
    *base = t.base;
    return true;
}

void marker_scan(struct marker *m, uintptr_t object, size_t bytes)
{
    uncount(m, 1, bytes); /* if it is marked too, it is scanned and counted once more */
    stack_push(m, object);
}

/* ---- Scanning ---- */

/* Notes the edge in a slot's word, which need not lead into the heap. Takes and returns the number
 * of noted edges. */
INLINE size_t scan_edge(struct marker *m, struct arena_map map, size_t nedges, uintptr_t address)
{
    struct arena *a = arena_find(map, address);
    if (!a)
        return nedges;
    uint16_t tag = arena_tag(a, address);
    if (LIKELY(page_class_info[page_tag_class(tag)].size))
        return note_edge(m->edges, nedges, a, address, tag);
    mark_large(m, address);
    return nedges;
}

INLINE size_t scan_slot(struct marker *m, struct arena_map map, size_t nedges,
                        const slot_word *slot, const gc_value_format *format)
{
    word value = slot_load_acquire(slot);
    return value ? scan_edge(m, map, nedges, value_address(format, value)) : nedges;
}

/* Scans the words from `at` on that are slots, by `bits`. In arrays of references all are slots,
 * and many are empty. */
static void scan_bits(struct marker *m, uintptr_t at, word bits)
{
    const gc_value_format *format = &m->heap->options.format;
    struct arena_map map = arena_map_of(&m->heap->mem.arenas);
    const slot_word *slot = (const slot_word *)at;
    size_t nedges = m->nedges;
    if (bits == ~(word)0) {
        for (size_t i = 0; i < WORD_BITS; i++)
            nedges = scan_slot(m, map, nedges, slot + i, format);
    } else {
        for (; bits; bits &= bits - 1)
            nedges = scan_slot(m, map, nedges, slot + bits_trailing_zeros(bits), format);
    }
    m->nedges = nedges;
    if (nedges >= MARK_EDGES)
        mark_edges(m);
}

/* Scans the words [at, end) of one object. A large one may reach into the next arena. */
static void scan_words(struct marker *m, uintptr_t at, uintptr_t end)
{
    while (at < end) {
        const struct arena *a = arena_of(&m->heap->mem.arenas, at);
        size_t shift = arena_bit(at) % WORD_BITS;
        size_t n = MIN_OF((end - at) / WORD_SIZE, WORD_BITS - shift);
        scan_bits(m, at, heapbits_load(a, at, n));
        at += n * WORD_SIZE;
    }
}

static void scan_traced(struct marker *m, uintptr_t base, const gc_type *type)
{
    if (type && type->trace)
        tracer_object(&m->tracer, base, type);
}

/* ---- Tagged words (I52) ---- */

static uint64_t mask_of(const gc_type *type)
{
    return type->gcdata ? *(const uint64_t *)type->gcdata : type->inline_mask[0];
}

/* Scans the elements of a type, or objects, that begin in [at, end). Such a type has at most
 * WORD_BITS slots. */
static void scan_elements(struct marker *m, const gc_type *type, uintptr_t at, uintptr_t end)
{
    const gc_value_format *format = &m->heap->options.format;
    struct arena_map map = arena_map_of(&m->heap->mem.arenas);
    uint64_t plain = mask_of(type);
    for (size_t i = 0; i < type->ntagged; i++)
        plain &= ~((uint64_t)1 << type->tagged[i].word);
    for (; at < end; at += type->size) {
        const slot_word *slot = (const slot_word *)at;
        size_t nedges = m->nedges;
        for (size_t i = 0; i < type->ntagged; i++) {
            if (tagged_refers(&type->tagged[i], at))
                nedges = scan_slot(m, map, nedges, slot + type->tagged[i].word, format);
        }
        for (uint64_t bits = plain; bits; bits &= bits - 1)
            nedges = scan_slot(m, map, nedges, slot + __builtin_ctzll(bits), format);
        m->nedges = nedges;
        if (nedges >= MARK_EDGES)
            mark_edges(m);
    }
}

/* Scans the words [at, end) of an object that has tagged words, and the rest of what begins or ends
 * there. */
static void scan_parts(struct marker *m, const struct parts *p, uintptr_t at, uintptr_t end)
{
    uintptr_t head_end = p->object + (p->head ? align_up(p->head->size, WORD_SIZE) : 0);
    if (at < head_end && type_has_tagged(p->head))
        scan_elements(m, p->head, p->object, p->object + 1);
    else if (at < head_end)
        scan_words(m, at, MIN_OF(end, head_end));
    at = MAX_OF(at, head_end);
    if (!p->element) {
        scan_words(m, at, end);
        return;
    }
    at = MAX_OF(at, p->elements);
    at -= (at - p->elements) % p->element->size;
    scan_elements(m, p->element, at, MIN_OF(end, p->end));
}

/* ---- Large objects, and small ones of any kind ---- */

/* The marker that scans the first piece queues the other strands. */
static void open_large(struct marker *m, const struct gc_span *s)
{
    count_object(m, span_bytes(s));
    uintptr_t limit = MAX_OF(s->scan_limit, s->base + 1); /* there may be no slots */
    uintptr_t strands = (limit - s->base - 1) / MARK_STRAND;
    for (uintptr_t at = s->base + strands * MARK_STRAND; at > s->base; at -= MARK_STRAND)
        stack_push(m, at);
    if (spanclass_traced(s->spanclass))
        scan_traced(m, s->base, s->large_type);
}

static void scan_large(struct marker *m, uintptr_t at)
{
    const struct gc_span *s = mheap_span_of(&m->heap->mem, at);
    uintptr_t end = MIN_OF(at + MARK_PIECE, s->scan_limit);
    if (at == s->base)
        open_large(m, s);
    if (end < s->scan_limit && (end - s->base) % MARK_STRAND)
        stack_push(m, end);
    struct parts p = parts_of_large(s);
    if (UNLIKELY(parts_have_tagged(&p)))
        scan_parts(m, &p, at, end);
    else
        scan_words(m, at, end);
    m->piece_bytes += end > at ? end - at : 0;
}

/* I37: what else is to be scanned is a free cell, or what lies behind the last cell of a span. */
static bool is_taken(const struct arena *a, uintptr_t at)
{
    size_t bit = arena_bit(at);
    return word_load_acquire(&a->alloc[bit / WORD_BITS]) >> bit % WORD_BITS & 1;
}

/* A cell that carries its types. */
static void scan_typed(struct marker *m, uintptr_t at, const struct page_class_info *info)
{
    struct parts p = parts_of_cell(at, info->size);
    uintptr_t end = at + (uintptr_t)info->words * WORD_SIZE;
    if (parts_have_tagged(&p))
        scan_parts(m, &p, at, end);
    else
        scan_words(m, at, end);
    scan_traced(m, at, p.head);
}

/* Scans any kind of object. */
static NOINLINE void scan_slow(struct marker *m, uintptr_t at)
{
    const struct arena *a = arena_of(&m->heap->mem.arenas, at);
    const struct page_class_info *info = &page_class_info[page_tag_class(arena_tag(a, at))];
    if (info->large) {
        scan_large(m, at);
        return;
    }
    if (UNLIKELY(!is_taken(a, at)))
        return;
    count_object(m, info->size);
    if (info->traced)
        scan_typed(m, at, info);
    else
        scan_words(m, at, at + (uintptr_t)info->words * WORD_SIZE);
}

/* ---- Within a page ---- */

/* Returns `value`. If it equals the guess, the processor goes on with the guess and does not wait
 * for the value. So a chain of references is followed as fast as its links can be loaded. */
INLINE word guessed(word value, word guess)
{
    if (UNLIKELY(value != guess))
        return value;
    __asm__("" : "+r"(guess));
    return guess;
}

/* Publishes the marks of a walk: release, for weak_get. */
static void walk_tell(struct marker *m, struct arena *a, uintptr_t base, size_t size)
{
    struct page_walk *w = &m->walk;
    word *marks = &a->mark[arena_bit(base) / WORD_BITS];
    size_t n = 0;
    for (size_t i = 0; i < WALK_WORDS; i++) {
        if (!w->fresh[i])
            continue;
        n += bits_count(w->fresh[i] & ~word_fetch_or_release(&marks[i], w->fresh[i]));
        w->fresh[i] = 0;
    }
    m->marked_objects += n;
    m->marked_bytes += n * size;
    if (n > 0)
        arena_note_mark(a, base);
}

INLINE size_t walk_scan(struct marker *m, struct arena_map map, size_t nedges, struct walked *page,
                        uintptr_t at, word bits, const gc_value_format *format)
{
    for (; bits; bits &= bits - 1) {
        word value = slot_load_acquire((const slot_word *)at + bits_trailing_zeros(bits));
        uintptr_t address = format ? value_address(format, value) : value;
        if (address - page->base >= PAGE_SIZE || !walk_edge(&m->walk, page, address))
            nedges = scan_edge(m, map, nedges, address);
    }
    return nedges;
}

static NOINLINE size_t walk_mark_edges(struct marker *m, size_t nedges)
{
    m->nedges = nedges;
    mark_edges(m);
    return m->nedges;
}

/* Scans all objects of the page that can be reached from those that wait over the page alone. */
INLINE size_t walk_on(struct marker *m, size_t nedges, struct walked *page, word bits,
                      const gc_value_format *format)
{
    struct page_walk *w = &m->walk;
    struct arena_map map = arena_map_of(&m->heap->mem.arenas);
    const word *heapbits = edge_heapbits(page->marks);
    word most = bits;
    uintptr_t at;
    while ((at = walk_next(w, page)) != 0) {
        if (UNLIKELY(nedges >= MARK_EDGES))
            nedges = walk_mark_edges(m, nedges);
        bits = bits_peek(heapbits, (at - page->base) >> WORD_SHIFT) & page->plain_mask;
        most = guessed(bits, most);
        nedges = walk_scan(m, map, nedges, page, at, most, format);
    }
    walk_tell(m, arena_at(map, page->base), page->base, page->size);
    return nedges;
}

/* Scans the slots `bits` of an object, one of which leads to its own page. Then scans all objects
 * of the page that can be reached from it over the page alone. */
INLINE size_t walk(struct marker *m, size_t nedges, uintptr_t at, word bits,
                   const gc_value_format *format)
{
    struct arena_map map = arena_map_of(&m->heap->mem.arenas);
    struct walked page = walk_begin(arena_at(map, at), at);
    nedges = walk_scan(m, map, nedges, &page, at, bits, format);
    return walk_on(m, nedges, &page, bits, format);
}

static NOINLINE size_t walk_plain(struct marker *m, size_t nedges, uintptr_t at, word bits)
{
    return walk(m, nedges, at, bits, NULL);
}
static NOINLINE size_t walk_formatted(struct marker *m, size_t nedges, uintptr_t at, word bits)
{
    return walk(m, nedges, at, bits, &m->heap->options.format);
}

/* ---- Scanning pages ---- */

/* Of the objects that were put on the list from `first` on, another marker has taken all but those
 * whose grey bits are in `taken`. */
static NOINLINE void keep_taken(struct page_walk *w, struct walked *page, size_t first, word taken)
{
    size_t n = first;
    for (size_t i = first; i < page->greys; i++) {
        w->grey[n] = w->grey[i];
        n += taken >> (w->grey[i] ^ 1) % WORD_BITS & 1;
    }
    page->greys = n;
}

/* Takes the grey objects whose bits are in mark word i. */
INLINE void take_grey(struct page_walk *w, struct walked *page, size_t i)
{
    word all = word_load_seq_cst(&page->marks[i]), pairs = all & all >> 1 & EVEN_BITS, greys = 0;
    size_t first = page->greys;
    for (; pairs; pairs &= pairs - 1) {
        size_t bit = bits_trailing_zeros(pairs), at = i * WORD_BITS + bit;
        size_t odd = !walk_is_cell(page, at << WORD_SHIFT);
        w->grey[page->greys++] = (uint16_t)(at + odd);
        greys |= (word)1 << (bit + !odd);
        __builtin_prefetch((const void *)(page->base + (at << WORD_SHIFT)));
    }
    if (!greys)
        return;
    word taken = greys & word_fetch_and_relaxed(&page->marks[i], ~greys);
    if (UNLIKELY(taken != greys))
        keep_taken(w, page, first, taken);
}

/* Gives up the page and then takes what is grey on it. A marker that finds more holds it again
 * (I35). */
INLINE struct walked take_page(struct marker *m, uintptr_t object)
{
    struct arena *a = arena_at(arena_map_of(&m->heap->mem.arenas), object);
    struct walked page = walk_begin(a, object);
    size_t number = arena_page(object);
    word_fetch_and_seq_cst(&a->page_grey[number / WORD_BITS], ~((word)1 << number % WORD_BITS));
    for (size_t i = 0; i < WALK_WORDS; i++)
        take_grey(&m->walk, &page, i);
    if (page.greys > 0)
        arena_note_mark(a, page.base);
    note_density(m, page.greys);
    m->marked_objects += page.greys;
    m->marked_bytes += page.greys * page.size;
    return page;
}

static NOINLINE size_t scan_page_plain(struct marker *m, uintptr_t object)
{
    struct walked page = take_page(m, object);
    return page.greys ? walk_on(m, m->nedges, &page, 0, NULL) : m->nedges;
}
static NOINLINE size_t scan_page_formatted(struct marker *m, uintptr_t object)
{
    struct walked page = take_page(m, object);
    return page.greys ? walk_on(m, m->nedges, &page, 0, &m->heap->options.format) : m->nedges;
}

/* Prefetches what scanning the page begins with. */
static void fetch_page(const struct marker *m, uintptr_t object)
{
    const struct arena *a = arena_at(arena_map_of(&m->heap->mem.arenas), object);
    const word *marks = &a->mark[arena_bit(object & ~(PAGE_SIZE - 1)) / WORD_BITS];
    const char *heapbits = (const char *)edge_heapbits(marks);
    __builtin_prefetch(marks, 1);
    __builtin_prefetch((const char *)marks + CACHE_LINE, 1);
    __builtin_prefetch(heapbits);
    __builtin_prefetch(heapbits + CACHE_LINE);
    __builtin_prefetch((const void *)object);
}

/* While a page is scanned, this one of those behind it is prefetched. */
#define PAGES_AHEAD 2

/* The buffer without the pages that were scanned. */
static struct workbuf *pages_left(struct marker *m)
{
    struct workbuf *b = m->pages;
    b->n -= m->page;
    memmove(b->items, b->items + m->page, b->n * sizeof *b->items);
    m->page = 0;
    return b;
}

/* Scans the next of the pages that the marker holds. */
static void scan_page(struct marker *m)
{
    struct workbuf *b = m->pages;
    uintptr_t object = b->items[m->page++] - ITEM_PAGE;
    if (m->page + PAGES_AHEAD - 1 < b->n)
        fetch_page(m, b->items[m->page + PAGES_AHEAD - 1] - ITEM_PAGE);
    m->nedges = m->formatted ? scan_page_formatted(m, object) : scan_page_plain(m, object);
    if (m->page == b->n) {
        workbuf_put_empty(&m->heap->work, b);
        m->pages = NULL;
    }
}

/* ---- The stack ---- */

/* Addresses that differ by less than `near` are on one page. `near` is 0 if on_mark is set, as
 * walks do not call it. */
INLINE size_t scan_object(struct marker *m, struct arena_map map, uintptr_t near, size_t nedges,
                          uintptr_t at, word bits, const gc_value_format *format)
{
    for (; bits; bits &= bits - 1) {
        word value = slot_load_acquire((const slot_word *)at + bits_trailing_zeros(bits));
        uintptr_t address = format ? value_address(format, value) : value;
        if ((address ^ at) < near)
            return format ? walk_formatted(m, nedges, at, bits) : walk_plain(m, nedges, at, bits);
        nedges = scan_edge(m, map, nedges, address);
    }
    return nedges;
}

/* With so few edges and nothing else to do, no other work hides the time for which the mark word
 * and then the object are waited for. So they are asked for together, and the edges are followed at
 * once. */
#define FEW_EDGES 2

/* Follows edges to plain objects. Returns how many edges of other kinds are left; all or none.
 * on_mark is not set. */
INLINE size_t follow_edges(struct marker *m, struct workbuf *b, size_t n)
{
    uintptr_t kinds = EDGE_BY_PAGE;
    for (size_t i = 0; i < n; i++) {
        kinds &= m->edges[i].target;
        __builtin_prefetch((const void *)m->edges[i].target);
        __builtin_prefetch(edge_heapbits(m->edges[i].map));
    }
    if (!kinds)
        return n;
    for (size_t i = 0; i < n; i++) {
        const struct mark_edge *e = &m->edges[i];
        if (word_load_relaxed(e->map) & edge_mask(e->target) || !mark_neighbours(e, 1))
            continue;
        arena_note_mark(edge_arena(e->target, e->map), e->target);
        b->items[b->n++] = e->target - EDGE_BY_PAGE;
    }
    return 0;
}

/* Pages that refer only to themselves give no edges. So a marker stops after so many bytes, too, to
 * look at its budget and at the queue. */
#define SCAN_BYTES ((word)16 << 10)

/* Scans objects of the stack until there is a batch of edges, or the stack is empty. Returns an
 * object that is not plain, for scan_slow, or 0. */
INLINE uintptr_t scan_stack(struct marker *m, const gc_value_format *format)
{
    struct workbuf *b = stack_of(m);
    struct arena_map map = arena_map_of(&m->heap->mem.arenas);
    const uintptr_t near = m->on_mark ? 0 : PAGE_SIZE;
    size_t nedges = m->nedges;
    const word limit = m->marked_bytes + SCAN_BYTES;
    uintptr_t rest = 0;
    while (b->n > 0 && nedges < MARK_EDGES && m->marked_bytes < limit) {
        uintptr_t at = b->items[--b->n];
        struct arena *a = arena_at(map, at);
        const struct page_class_info *info = &page_class_info[page_tag_class(arena_tag(a, at))];
        if (UNLIKELY(!info->plain_mask)) {
            rest = at;
            break;
        }
        word bits = bits_peek(a->heap, arena_bit(at)) & info->plain_mask;
        count_object(m, info->size);
        nedges = scan_object(m, map, near, nedges, at, bits, format);
        if (b->n == 0 && nedges - 1 < FEW_EDGES && near && !m->pages)
            nedges = follow_edges(m, b, nedges);
    }
    m->nedges = nedges;
    return rest;
}

static NOINLINE uintptr_t scan_stack_plain(struct marker *m)
{
    return scan_stack(m, NULL);
}
static NOINLINE uintptr_t scan_stack_formatted(struct marker *m)
{
    return scan_stack(m, &m->heap->options.format);
}

static void scan_objects(struct marker *m)
{
    uintptr_t rest = m->formatted ? scan_stack_formatted(m) : scan_stack_plain(m);
    if (rest)
        scan_slow(m, rest);
}

/* Does a batch of private work: first the stack, whose objects were prefetched, then the pages.
 * false: none is left, except `found`. */
static bool work_some(struct marker *m)
{
    if (stack_of(m)->n > 0 || !m->pages)
        scan_objects(m);
    else
        scan_page(m);
    bool none = m->stack->n == 0 && !m->pages;
    if (none || m->nedges >= MARK_EDGES)
        mark_edges(m);
    return m->stack->n > 0 || m->pages;
}

/* ---- Markers ---- */

static void trace_value(struct gc_tracer *tracer, word value)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    marker_edge(m, value_address(&m->heap->options.format, value));
}

/* A word of a C stack is put off until ROOTS is complete (I15). */
static void trace_stale(struct gc_tracer *tracer, word value)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    uintptr_t address = value_address(&m->heap->options.format, value);
    if (m->visited)
        m->ambiguous = barrier_note_ambiguous(m->visited, m->ambiguous, address);
    else if (barrier_may_be_object(&m->heap->mem, address))
        marker_edge(m, address);
}

/* ---- Weak slots ---- */

#define WEAK_WORDS 4
#define WEAK_PAIRS ((uintptr_t)1) /* in the address of the first slot */

static struct weak_slots weak_at(const uintptr_t *items)
{
    return (struct weak_slots){.first = items[0] & ~WEAK_PAIRS,
                               .n = items[1],
                               .size = items[2],
                               .dead = items[3],
                               .pairs = items[0] & WEAK_PAIRS};
}

void marker_each_weak(const struct workbuf *list, void (*fn)(void *arg, const struct weak_slots *s),
                      void *arg)
{
    for (; list; list = list->next) {
        for (uint32_t i = 0; i < list->n; i += WEAK_WORDS) {
            struct weak_slots s = weak_at(&list->items[i]);
            fn(arg, &s);
        }
    }
}

static void publish_weak(struct marker *m)
{
    struct workbuf **list = &m->heap->marking->weak, *b = m->weak;
    m->weak = NULL;
    if (!b)
        return;
    b->next = ptr_load_relaxed(list);
    while (!ptr_cas_release(list, &b->next, b))
        ;
}

void marker_keep_weak(struct gc_tracer *tracer, const struct weak_slots *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const slot_word *slot = weak_slot(s, i);
        tracer_slot(tracer, slot);
        if (s->pairs)
            tracer_slot(tracer, slot + 1);
    }
}

/* I46: what is noted here is known to the driver when nothing is grey, as a marker publishes it
 * before it is idle. */
static void trace_weak(struct gc_tracer *tracer, const struct weak_slots *s)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    void (*on_weak)(struct gc_tracer *, const struct weak_slots *) =
        ptr_load_relaxed(&m->heap->marking->on_weak);
    if (UNLIKELY(on_weak != NULL))
        on_weak(tracer, s);
    if (m->weak && m->weak->n + WEAK_WORDS > WORKBUF_ITEMS)
        publish_weak(m);
    if (!m->weak)
        m->weak = workbuf_get(&m->heap->work);
    uintptr_t *items = &m->weak->items[m->weak->n];
    items[0] = s->first | (s->pairs ? WEAK_PAIRS : 0);
    items[1] = s->n;
    items[2] = s->size;
    items[3] = s->dead;
    m->weak->n += WEAK_WORDS;
}

/* ---- Marked callbacks ---- */

/* What a callback has traced is marked for it. */
static bool trace_marked(struct gc_tracer *tracer, uintptr_t address)
{
    struct marker *m = CONTAINER_OF(tracer, struct marker, tracer);
    struct target t;
    mark_edges(m);
    return !target_resolve(&m->heap->mem, address, &t) || target_is_marked(&t);
}

bool marker_call_marked(struct marker *m)
{
    ASSERT(!m->active && m->nedges == 0 && m->marked_objects == 0);
    marker_activate(m);
    gc_thread *self = self_calls_back();
    m->tracer.marked = trace_marked;
    roots_call_marked(&m->heap->roots, &m->tracer, false);
    m->tracer.marked = NULL;
    self_called_back(self);
    mark_edges(m);
    if (m->marked_objects > 0 || m->stack->n > 0 || holds_pages(m))
        return true;
    marker_drain(m, 0);
    return false;
}

/* ---- */

void marker_ambiguous(struct marker *m, struct workbuf *all)
{
    for (struct workbuf *b = all, *next; b; b = next) {
        next = b->next;
        for (uint32_t i = 0; i < b->n; i++)
            marker_edge(m, b->items[i]);
        workbuf_put_empty(&m->heap->work, b);
    }
}

void marker_init(struct marker *m, gc_heap *heap)
{
    memset(m, 0, offsetof(struct marker, edges));
    m->walk.n = 0;
    memset(m->walk.fresh, 0, sizeof m->walk.fresh);
    m->heap = heap;
    m->formatted = heap->options.format.mask != 0;
    m->tracer = (struct gc_tracer){
        .value = trace_value, .stale = trace_stale, .weak = trace_weak, .heap = heap};
}

static void report(struct marker *m)
{
    struct marking *all = m->heap->marking;
    if (m->marked_objects == 0)
        return;
    word_fetch_add_relaxed(&all->marked_objects, m->marked_objects);
    word_fetch_add_relaxed(&all->marked_bytes, m->marked_bytes);
    m->unpaid += m->marked_bytes;
    m->marked_objects = m->marked_bytes = m->piece_bytes = 0;
}

void marker_finish(struct marker *m)
{
    ASSERT(!m->active && (!m->stack || m->stack->n == 0) && !m->pages && !m->found &&
           m->nedges == 0 && !m->weak && "I5");
    if (m->stack)
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = NULL;
    report(m);
}

static void hand_over_pages(struct marker *m)
{
    struct workqueue *q = &m->heap->work;
    if (m->pages)
        workqueue_append(q, pages_left(m));
    if (m->found)
        workqueue_append(q, m->found);
    m->pages = m->found = NULL;
}

/* Marks what the noted edges lead to, and queues all that the marker holds, for others. */
static void hand_over(struct marker *m)
{
    mark_edges(m);
    if (m->stack->n > 0)
        workqueue_push(&m->heap->work, m->stack);
    else
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = NULL;
    hand_over_pages(m);
    publish_weak(m);
}

void marker_shade_roots(gc_thread *t)
{
    struct marker m;
    marker_init(&m, t->heap);
    m.visited = t;
    gc_thread *self = self_calls_back();
    thread_visit_roots(t, &m.tracer);
    self_called_back(self);
    hand_over(&m);
    barrier_shade_ambiguous(t, m.ambiguous);
    t->shaded_objects += m.marked_objects;
    t->shaded_bytes += m.marked_bytes;
}

/* A stack of fewer items is not worth sharing. */
#define SHARE_MIN 2
#define BATCHES_PER_LOOK 1

/* A byte of a piece is as much work as so many bytes of small objects: each word of it is an
 * edge. */
#define PIECE_WEIGHT 4

static uint64_t work_done(const struct marker *m)
{
    return (uint64_t)m->marked_bytes + PIECE_WEIGHT * (uint64_t)m->piece_bytes;
}

/* Queues pages that were found, or half of those that wait. */
static void share_pages(struct marker *m)
{
    struct workqueue *q = &m->heap->work;
    if (m->found) {
        workqueue_append(q, m->found);
        m->found = NULL;
    } else if (m->pages && m->pages->n - m->page >= SHARE_MIN) {
        struct workbuf *b = m->pages, *half = workbuf_get(q);
        half->n = (b->n - m->page) / 2;
        b->n -= half->n;
        memcpy(half->items, b->items + b->n, half->n * sizeof *half->items);
        workqueue_append(q, half);
    }
}

static void share(struct marker *m)
{
    if (m->stack->n >= SHARE_MIN)
        share_half(m);
    else
        share_pages(m);
}

/* Does private work until none is left (true) or the limit is reached, give or take a batch. */
static bool work_privately(struct marker *m, uint64_t limit)
{
    struct workqueue *q = &m->heap->work;
    for (unsigned n = 1; work_some(m); n++) {
        if (work_done(m) >= limit)
            return false;
        if (n % BATCHES_PER_LOOK == 0 && workqueue_is_wanted(q))
            share(m);
    }
    return true;
}

void marker_activate(struct marker *m)
{
    if (!m->active)
        workqueue_activate(&m->heap->work);
    m->active = true;
}

bool marker_take(struct marker *m)
{
    struct workbuf *b = workqueue_pop(&m->heap->work, m->active);
    if (!b)
        return false;
    stress(STRESS_QUEUE_POP);
    m->active = true;
    m->on_mark = ptr_load_acquire(&m->heap->marking->on_mark);
    if (b->items[0] & ITEM_PAGE) {
        m->pages = b;
        m->page = 0;
        return true;
    }
    if (m->stack)
        workbuf_put_empty(&m->heap->work, m->stack);
    m->stack = b;
    return true;
}

/* Takes a buffer from the queue, or else turns to the pages that this marker has found. */
static bool take_more(struct marker *m)
{
    if (marker_take(m))
        return true;
    if (!m->found)
        return false;
    m->pages = m->found;
    m->page = 0;
    m->found = NULL;
    return true;
}

bool marker_drain(struct marker *m, uint64_t budget)
{
    uint64_t limit = budget > UINT64_MAX - work_done(m) ? UINT64_MAX : work_done(m) + budget;
    while (work_privately(m, limit) && work_done(m) < limit && take_more(m))
        ;
    stress(STRESS_QUEUE_PUSH);
    hand_over(m);
    report(m);
    if (m->active && workqueue_retire(&m->heap->work))
        workqueue_wake_waiters(&m->heap->work);
    m->active = false;
    return workqueue_is_idle(&m->heap->work);
}
