#include "memory/span.h"

void span_init(struct gc_span *s, struct arena *a, uintptr_t base, size_t npages,
               unsigned spanclass)
{
    const struct sizeclass *c = &sizeclass_table[spanclass_size(spanclass)];
    ASSERT(s->state == SPAN_DEAD);
    s->base = base;
    s->npages = npages;
    s->spanclass = (uint8_t)spanclass;
    s->size = c->size;
    s->words = (uint32_t)(c->size / WORD_SIZE);
    s->ncells = spanclass_size(spanclass) ? c->ncells : 1;
    ASSERT((span_is_large(s) || (base ^ (span_end(s) - 1)) >> ARENA_SHIFT == 0) && "I14");
    s->next_cell = 0;
    s->open_runs = 0;
    ptr_store_relaxed(&s->cache, NULL);
    s->live = s->counted = 0;
    s->arena = a;
    s->scan_limit = base;
    s->large_type = s->large_element = NULL;
    s->specials = NULL;
    lock_init(&s->specials_lock, LOCK_SPECIALS);
}

static void span_set_state(struct gc_span *s, enum span_state to)
{
    ASSERT(s->state != to);
    u8_store_relaxed(&s->state, (uint8_t)to);
}

/* Pages of a span that lie in one arena: [at, stop) are their numbers in it. */
struct stretch {
    struct arena *arena;
    size_t at, stop;
};

/* The stretch that begins at the address `at` of the span. Small spans have one (I14). */
static struct stretch stretch_at(const struct gc_span *s, uintptr_t at,
                                 const struct arena_index *index)
{
    size_t page = arena_page(at), left = (span_end(s) - at) >> PAGE_SHIFT;
    return (struct stretch){arena_of(index, at), page, MIN_OF(page + left, ARENA_PAGES)};
}

/* `step` is 1 in a small span, whose pages are numbered, and 0 in a large one. */
static void publish_stretch(struct gc_span *s, struct stretch p, size_t step)
{
    uint8_t class = page_class_of_span(s->spanclass);
    for (size_t i = p.at; i < p.stop; i++)
        ptr_store_relaxed(&p.arena->spans[i], s);
    for (size_t i = p.at, number = 0; i < p.stop; i++, number += step)
        u16_store_release(&p.arena->page_tag[i], page_tag_make(class, number));
}

void span_publish(struct gc_span *s, const struct arena_index *index)
{
    size_t step = span_is_large(s) ? 0 : 1;
    span_set_state(s, SPAN_IN_USE);
    for (uintptr_t at = s->base; at < span_end(s);) {
        struct stretch p = stretch_at(s, at, index);
        publish_stretch(s, p, step);
        at += (p.stop - p.at) << PAGE_SHIFT;
    }
    size_t first = arena_page(s->base);
    word_fetch_or_release(&s->arena->page_in_use[first / WORD_BITS], (word)1 << first % WORD_BITS);
}

static void clear_page_bit(word *map, size_t page)
{
    word mask = (word)1 << page % WORD_BITS;
    if (word_load_relaxed(&map[page / WORD_BITS]) & mask)
        word_fetch_and_relaxed(&map[page / WORD_BITS], ~mask);
}

void span_retract(struct gc_span *s, const struct arena_index *index)
{
    size_t first = arena_page(s->base);
    clear_page_bit(s->arena->page_in_use, first);
    span_clear_page_marks(s);
    clear_page_bit(s->arena->page_specials, first);
    for (uintptr_t at = s->base; at < span_end(s);) {
        struct stretch p = stretch_at(s, at, index);
        for (size_t i = p.at; i < p.stop; i++)
            u16_store_relaxed(&p.arena->page_tag[i], PAGE_CLASS_FREE);
        at += (p.stop - p.at) << PAGE_SHIFT;
    }
    span_set_state(s, SPAN_DEAD);
}

/* The words of map word i that taken cells cover, for cells of less than WORD_BITS words. It is the
 * word i of (A << w) - A, taken as one long integer; its carry into word i depends on the word
 * before alone. */
static word covered(const word *alloc, size_t i, size_t first_word, unsigned w)
{
    word a = alloc[i];
    word before = i > first_word ? alloc[i - 1] : 0;
    word carried = before >> (WORD_BITS - w);
    return (a << w | carried) - a - (carried != 0);
}

/* For cells smaller than a map word: the first free word at or after `from`. *end is the first
 * taken word after it. Both are `to` at most. */
static size_t find_uncovered(const word *alloc, size_t first_word, unsigned w, size_t from,
                             size_t to, size_t *end)
{
    size_t start = to;
    for (size_t i = from / WORD_BITS; i * WORD_BITS < to; i++) {
        word taken = covered(alloc, i, first_word, w);
        if (start == to) {
            word open = ~taken;
            if (i == from / WORD_BITS)
                open &= ~(word)0 << from % WORD_BITS;
            if (!open)
                continue;
            start = i * WORD_BITS + bits_trailing_zeros(open);
            taken &= ~(word)0 << start % WORD_BITS;
        }
        if (taken) {
            *end = MIN_OF(to, i * WORD_BITS + bits_trailing_zeros(taken));
            return MIN_OF(start, *end);
        }
    }
    *end = to;
    return start;
}

/* Cells smaller than a map word may cross the end of a page. Those of a run begin on one page. */
static size_t next_free_small(struct gc_span *s, size_t *first)
{
    const word *alloc = s->arena->alloc;
    size_t base = arena_bit(s->base), w = s->words;
    size_t to = base + (size_t)s->ncells * w, end;
    size_t start =
        find_uncovered(alloc, base / WORD_BITS, (unsigned)w, base + s->next_cell * w, to, &end);
    if (start >= to)
        return 0;
    *first = (start - base) / w;
    size_t page_end = align_up(start + 1, PAGE_WORDS);
    return divide_up(MIN_OF(end, page_end) - start, w);
}

static bool cell_taken(const struct gc_span *s, size_t i)
{
    return bits_test(s->arena->alloc, arena_bit(s->base) + i * s->words);
}

static size_t next_free_big(struct gc_span *s, size_t *first)
{
    size_t i = s->next_cell, n = s->ncells, most = MAX_OF(PAGE_SIZE / s->size, (size_t)1);
    while (i < n && cell_taken(s, i))
        i++;
    *first = i;
    while (i < n && i - *first < most && !cell_taken(s, i))
        i++;
    return i - *first;
}

/* All cells from next_cell on are free. Returns those that begin on the first one's page. */
static size_t next_free_fresh(const struct gc_span *s, size_t *first)
{
    size_t at = s->next_cell * (size_t)s->size, page_end = align_up(at + 1, PAGE_SIZE);
    size_t n = divide_up(page_end - at, s->size);
    *first = s->next_cell;
    return MIN_OF(n, (size_t)s->ncells - s->next_cell);
}

size_t span_next_free(struct gc_span *s, size_t *first)
{
    size_t n;
    if (s->next_cell >= s->ncells)
        return 0;
    if (s->live == s->next_cell) /* all cells before it are taken, none behind it */
        n = next_free_fresh(s, first);
    else
        n = s->words < WORD_BITS ? next_free_small(s, first) : next_free_big(s, first);
    s->next_cell = n ? (uint32_t)(*first + n) : s->ncells;
    return n;
}

/* A word with every w-th bit set, from bit 0 on. w <= WORD_BITS. */
static word every(unsigned w)
{
    word pattern = 1;
    for (unsigned at = w; at < WORD_BITS; at += at)
        pattern |= pattern << at;
    return pattern;
}

/* Calls f(&map[i], bits) for each map word in which cells of [first, first + n) begin. The bits say
 * where. Returns all that f has returned, in one word. */
INLINE word each_start_word(struct gc_span *s, word *map, size_t first, size_t n,
                            word (*f)(word *, word))
{
    size_t w = s->words;
    size_t at = arena_bit(s->base) + first * w, to = at + (n - 1) * w + 1;
    word all = 0;
    if (w >= WORD_BITS) {
        for (; at < to; at += w)
            all |= f(&map[at / WORD_BITS], (word)1 << at % WORD_BITS);
        return all;
    }
    word pattern = every((unsigned)w);
    size_t i = at / WORD_BITS, last = (to - 1) / WORD_BITS, shift = at % WORD_BITS;
    size_t later = (w - WORD_BITS % w) % w; /* shift in the next word, less this one's */
    for (size_t next = (shift + later) % w; i < last; i++) {
        all |= f(&map[i], pattern << shift);
        shift = next;
        next += later;
        next -= next >= w ? w : 0;
    }
    return all | f(&map[i], pattern << shift & bits_mask(shift, (to - 1) % WORD_BITS + 1));
}

/* Each returns which of the bits were set. */
static word set_plain(word *p, word bits)
{
    word before = *p;
    word_store_relaxed(p, before | bits);
    return before & bits;
}
static word clear_plain(word *p, word bits)
{
    word before = *p;
    word_store_relaxed(p, before & ~bits);
    return before & bits;
}
static word set_atomic(word *p, word bits)
{
    return word_fetch_or_relaxed(p, bits) & bits;
}
static word clear_atomic(word *p, word bits)
{
    return word_fetch_and_relaxed(p, ~bits) & bits;
}

void span_set_alloc(struct gc_span *s, size_t first, size_t n)
{
    each_start_word(s, s->arena->alloc, first, n, set_plain);
}

void span_clear_alloc(struct gc_span *s, size_t first, size_t n)
{
    each_start_word(s, s->arena->alloc, first, n, clear_plain);
}

bool span_set_marks(struct gc_span *s, size_t first, size_t n)
{
    word before = each_start_word(s, s->arena->mark, first, n, set_atomic);
    span_note_mark(s);
    return before == 0;
}

void span_clear_marks(struct gc_span *s, size_t first, size_t n)
{
    each_start_word(s, s->arena->mark, first, n, clear_atomic);
}

void span_note_mark(struct gc_span *s)
{
    arena_note_mark(s->arena, s->base);
}

/* How many pages of the span marked objects can begin on. They lie in one arena (I14). */
static size_t mark_pages(const struct gc_span *s)
{
    return span_is_large(s) ? 1 : s->npages;
}

bool span_has_marks(const struct gc_span *s)
{
    return bits_extract(s->arena->page_marks, arena_page(s->base), mark_pages(s)) != 0;
}

void span_clear_page_marks(struct gc_span *s)
{
    size_t page = arena_page(s->base);
    for (size_t n = mark_pages(s); n > 0; n--)
        clear_page_bit(s->arena->page_marks, page++);
}

/* How many map words the bits of the span's cells take. A large object has them in the first. */
static size_t map_words(const struct gc_span *s)
{
    return span_is_large(s) ? 1 : s->npages * (PAGE_WORDS / WORD_BITS);
}

size_t span_flip_bits(struct gc_span *s)
{
    size_t i = arena_bit(s->base) / WORD_BITS, end = i + map_words(s), taken = 0;
    struct arena *a = s->arena;
    for (; i < end; i++) {
        word marks = word_load_relaxed(&a->mark[i]), alloc = a->alloc[i], live = marks & alloc;
        if (marks)
            word_store_relaxed(&a->mark[i], 0);
        if (live != alloc)
            word_store_relaxed(&a->alloc[i], live);
        taken += bits_count(live);
    }
    return taken;
}

void span_clear_bits(struct gc_span *s)
{
    size_t i = arena_bit(s->base) / WORD_BITS, end = i + map_words(s);
    for (; i < end; i++) {
        ASSERT(s->arena->mark[i] == 0 && "I11");
        if (s->arena->alloc[i])
            word_store_relaxed(&s->arena->alloc[i], 0);
    }
}
