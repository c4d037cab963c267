#include "introspect/strays.h"
#include "allocator/object.h"
#include "base/access.h"
#include "collector/quarantine.h"
#include "collector/weakset.h"
#include "introspect/checks.h"
#include "mutator/log.h"
#include "mutator/self.h"

enum holder_kind { OF_STACK, OF_DATA, OF_MALLOC };

struct holder {
    enum holder_kind kind;
    const gc_thread *thread; /* OF_STACK */
    uintptr_t at;            /* address of the word */
};

struct stray {
    uintptr_t object;
    uint32_t cycles; /* in a row that have found it */
    enum holder_kind kind;
    uintptr_t at;       /* the word that holds it */
    uintptr_t function; /* OF_STACK: an address in the function that has the word; 0: not known */
    uint32_t excused;   /* nothing needs to root it; atomic */
    struct log_finder
        by; /* the thread of the stack; else the one at whose safepoint it was found */
};

/* A word that is left over in a function's frame may be there again at its next call. */
#define PATIENCE 3

/* The strays of one cycle. All of it is mapped, as malloc's memory may be scanned. */
#define INDEX_ROOM (2 * STRAYS_MAX)
struct stray_set {
    size_t n;
    struct stray items[STRAYS_MAX];
    uint16_t index[INDEX_ROOM]; /* by hash of the object: 1 more than the number of its item */
};
_Static_assert(STRAYS_MAX < UINT16_MAX, "an index holds numbers of items");

struct strays {
    uint32_t cycle; /* the last one that looked for strays */
    struct marker *marker;
    size_t words;       /* that this cycle has scanned */
    bool hidden_tables; /* in this cycle the program had weak tables of its own */
    /* Of this cycle, of the one before. They change while the world is held; between two cycles
     * threads read `now`. */
    struct stray_set *now, *before;
    struct stray_set sets[2];
};

#define STRAYS_BYTES align_up(sizeof(struct strays), os_page_size())

bool strays_create(gc_heap *heap)
{
    struct strays *s = os_map(STRAYS_BYTES);
    if (!s) {
        log_write(heap, GC_LOG_WARNING, "no memory for the switch roots");
        return false;
    }
    s->now = &s->sets[0];
    s->before = &s->sets[1];
    heap->strays = s;
    return true;
}

void strays_destroy(gc_heap *heap)
{
    if (heap->strays)
        os_unmap(heap->strays, STRAYS_BYTES);
    heap->strays = NULL;
}

/* ---- Sets ---- */

/* The index entry of an object; 0 if the object is not in the set. */
static uint16_t *find(struct stray_set *set, uintptr_t object)
{
    size_t i = (size_t)((uint64_t)object * UINT64_C(0x9e3779b97f4a7c15) >> 40) % INDEX_ROOM;
    while (set->index[i] && set->items[set->index[i] - 1].object != object)
        i = (i + 1) % INDEX_ROOM;
    return &set->index[i];
}

static struct stray *stray_of(struct stray_set *set, uintptr_t object)
{
    uint16_t number = *find(set, object);
    return number ? &set->items[number - 1] : NULL;
}

static void empty(struct stray_set *set)
{
    if (set->n > 0)
        memset(set->index, 0, sizeof set->index);
    set->n = 0;
}

/* ---- Telling ---- */

static const char *const remedies[] = {[OF_STACK] = "is it in a GC_FRAME?",
                                       [OF_DATA] = "is the variable a gc_root()?",
                                       [OF_MALLOC] = "use a gc_handle, or gc_root() on the slot"};

static const char *holder_text(const struct stray *s, char *text, size_t room)
{
    char name[60];
    if (s->kind == OF_MALLOC) {
        snprintf(text, room, "memory of malloc() near 0x%zx", (size_t)s->at);
    } else if (s->kind == OF_DATA) {
        if (!place_variable(s->at, name, sizeof name))
            snprintf(name, sizeof name, "at 0x%zx", (size_t)s->at);
        snprintf(text, room, "the variable %s", name);
    } else {
        if (s->function)
            place_function(s->function, name, sizeof name);
        snprintf(text, room, "the stack of thread %llu%s%s%s%s%s", (unsigned long long)s->by.thread,
                 s->by.name[0] ? " " : "", s->by.name, s->function ? ", in " : "",
                 s->function ? name : "", s->function ? "()" : "");
    }
    return text;
}

static void tell_stray(const gc_heap *heap, const struct stray *stray)
{
    char name[120], where[144];
    if (!checks_stray_is_news(heap, stray->object, false))
        return;
    log_write(heap, GC_LOG_ERROR, "the object at 0x%zx (%s) is held only by %s: %s",
              (size_t)stray->object, site_object_text(heap, stray->object, name, sizeof name),
              holder_text(stray, where, sizeof where), remedies[stray->kind]);
    log_found_by(heap, &stray->by);
    checks_tell_maker(heap, stray->object);
}

/* `how` the program uses it: a call, or nothing is known. */
static bool tell_used(const gc_heap *heap, const struct stray *stray, const char *how)
{
    char name[120], where[144];
    if (u32_load_relaxed(&stray->excused) || heap->strays->hidden_tables ||
        !checks_stray_is_news(heap, stray->object, true))
        return false;
    log_write(heap, GC_LOG_ERROR,
              "the object at 0x%zx (%s) was held only by %s in the last cycle, and is in use "
              "again%s%s: without this switch it would be freed; %s",
              (size_t)stray->object, site_object_text(heap, stray->object, name, sizeof name),
              holder_text(stray, where, sizeof where), how ? ", by " : "", how ? how : "",
              remedies[stray->kind]);
    return true;
}

/* ---- Scanning ---- */

/* The thread whose stack it is; otherwise the one at whose safepoint it is found. */
static const gc_thread *finder(const gc_heap *heap, const struct holder *h)
{
    const gc_thread *self = thread_self();
    if (h->thread)
        return h->thread;
    return self && self->heap == heap ? self : NULL;
}

/* An object that is not marked, and that this cycle has not met. */
static void note_stray(gc_heap *heap, uintptr_t object, const struct holder *h)
{
    struct strays *s = heap->strays;
    uint16_t *index = find(s->now, object);
    marker_edge(s->marker, object);
    if (s->now->n == STRAYS_MAX)
        return;
    struct stray *stray = &s->now->items[s->now->n++];
    *index = (uint16_t)s->now->n;
    stray->object = object;
    stray->kind = h->kind;
    stray->at = h->at;
    stray->function = h->thread ? site_function_at(h->thread, h->at) : 0;
    log_note_finder(&stray->by, finder(heap, h));
    stray->excused = 0;
    const struct stray *before = stray_of(s->before, object);
    stray->cycles = before ? before->cycles + 1 : 1;
    if (stray->cycles == PATIENCE)
        tell_stray(heap, stray);
}

static void scan_word(gc_heap *heap, word value, const struct holder *h)
{
    struct target target;
    uintptr_t object = object_cell(&heap->mem, value_address(&heap->options.format, value));
    if (!object || !target_resolve(&heap->mem, object, &target) || target_is_marked(&target))
        return;
    if (!*find(heap->strays->now, object))
        note_stray(heap, object, h);
}

READS_FOREIGN_WORDS static void scan_words(gc_heap *heap, uintptr_t low, uintptr_t high,
                                           struct holder h, uintptr_t copied_from)
{
    heap->strays->words += (high - low) / WORD_SIZE;
    for (uintptr_t at = align_up(low, WORD_SIZE); at + WORD_SIZE <= high; at += WORD_SIZE) {
        word value = *(volatile slot_word *)at;
        h.at = copied_from ? copied_from : at;
        if (value)
            scan_word(heap, value, &h);
    }
}

/* What lies below the stack pointer, the registers among it, was copied. */
static void scan_stack(gc_heap *heap, const gc_thread *t)
{
    const struct stacks *s = &t->stacks;
    const struct holder h = {OF_STACK, t, 0};
    if (s->scanned || s->here_on != STACK_OWN || !s->here.sp)
        return;
    scan_words(heap, s->here.sp, s->here_high, h, 0);
    scan_words(heap, (uintptr_t)s->here.words, (uintptr_t)&s->here.words[s->here.n], h, s->here.sp);
}

static void scan_data(void *arg, uintptr_t low, uintptr_t high)
{
    scan_words(arg, low, high, (struct holder){OF_DATA, NULL, 0}, 0);
}

/* A part of malloc's memory that is the library's. */
struct own {
    uintptr_t low, high;
};

static void prefer(struct own *first, uintptr_t at, const void *p, const void *end)
{
    if ((uintptr_t)p >= at && (uintptr_t)p < first->low)
        *first = (struct own){(uintptr_t)p, (uintptr_t)end};
}

/* The first one at or above `at`. They hold copies of what is on stacks, and addresses of arenas,
 * where objects may lie. */
static struct own next_own(const gc_heap *heap, uintptr_t at, uintptr_t high)
{
    struct own first = {high, high};
    prefer(&first, at, heap, heap + 1);
    prefer(&first, at, heap->cycle, heap->quarantine + 1); /* struct collector */
    for (const gc_thread *t = heap->mutators.list; t; t = t->next)
        prefer(&first, at, t, t + 1);
    for (uint32_t i = 0; i < u32_load_acquire(&heap->procs.count); i++)
        prefer(&first, at, heap->procs.all[i], heap->procs.all[i] + 1);
    return first;
}

static void scan_malloc(gc_heap *heap, uintptr_t low, uintptr_t high)
{
    const struct holder h = {OF_MALLOC, NULL, 0};
    for (uintptr_t at = low; at < high;) {
        struct own own = next_own(heap, at, high);
        scan_words(heap, at, own.low, h, 0);
        at = own.high;
    }
}

/* Weak maps and intern tables lie in malloc's memory, and refer to objects that they do not keep.
 */
static void scan_all(gc_heap *heap)
{
    uintptr_t low, high;
    for (const gc_thread *t = heap->mutators.list; t; t = t->next)
        scan_stack(heap, t);
    place_each_data(scan_data, heap);
    if (heap->debug.roots > 1 && weaksets_are_small(heap, 0) && os_malloc_bounds(&low, &high))
        scan_malloc(heap, low, high);
}

/* ---- A cycle ---- */

/* Objects that were made in this cycle are marked, and their references are not looked at: what the
 * program put there was marked, or a stray. Their cells may have been noted in the cycle before. */
static bool scan_new(void *arg, struct gc_span *s, uintptr_t object)
{
    gc_heap *heap = arg;
    const struct arena_notes *notes = notes_of(s->arena);
    if (!span_noscan(s) && notes && heap->cycle_number - notes->cycle[arena_bit(object)] <= 1 &&
        bits_test(s->arena->mark, arena_bit(object)))
        marker_scan(heap->strays->marker, object, span_object_bytes(s));
    return true;
}

/* Before this cycle's strays are marked: strays of the last cycle that are marked can be reached
 * from a root. */
static void look_for_used(gc_heap *heap)
{
    const struct stray_set *set = heap->strays->before;
    for (size_t i = 0; i < set->n; i++) {
        const struct stray *stray = &set->items[i];
        if (target_marked_at(&heap->mem, stray->object) && tell_used(heap, stray, NULL)) {
            log_found_by(heap, &stray->by);
            checks_tell_maker(heap, stray->object);
        }
    }
}

static void swap_sets(struct strays *s)
{
    struct stray_set *before = s->now;
    s->now = s->before;
    s->before = before;
    empty(s->now);
}

bool strays_mark(gc_heap *heap, struct marker *m)
{
    struct strays *s = heap->strays;
    bool held = u32_load_relaxed(&heap->mutators.held);
    if (s->cycle == heap->cycle_number)
        return false;
    s->cycle = heap->cycle_number;
    marker_activate(m);
    s->marker = m;
    s->words = 0;
    s->hidden_tables = roots_any_marked(&heap->roots);
    swap_sets(s);
    if (!held)
        handshake_hold(heap);
    access_ignore();
    look_for_used(heap);
    scan_all(heap);
    verify_each_object(heap, scan_new, heap);
    access_heed();
    checks_scanned(heap, s->words);
    if (!held)
        handshake_release(heap);
    return true;
}

/* ---- Between two cycles ---- */

/* The stray of the last cycle to which a slot's word leads, or NULL. */
static struct stray *stray_at(const gc_heap *heap, word value)
{
    uintptr_t address = value_address(&heap->options.format, value);
    uintptr_t object = address ? object_cell(&heap->mem, address) : 0;
    return object ? stray_of(heap->strays->now, object) : NULL;
}

void strays_stored(gc_thread *t, const struct checks_stored *stored)
{
    const struct stray *stray = stray_at(t->heap, stored->value);
    if (!stray || !tell_used(t->heap, stray, stored->call))
        return;
    log_place(t->heap, t, stored->sp);
    checks_tell_maker(t->heap, stray->object);
}

void strays_excuse(const gc_heap *heap, word value)
{
    struct stray *stray = stray_at(heap, value);
    if (stray)
        u32_store_relaxed(&stray->excused, 1);
}

/* More than the frames of a check, of a cycle, or of a few calls of the program take. */
#define WIPED_BYTES 4096

NOINLINE void strays_wipe(void *p, size_t bytes)
{
    volatile char below[WIPED_BYTES];
    volatile char *own = p;
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = 0;
    for (size_t i = 0; i < bytes; i++)
        own[i] = 0;
}
