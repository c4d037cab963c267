#include "introspect/site.h"
#include "allocator/object.h"
#include "memory/tagged.h"
#include "mutator/self.h"
#include <errno.h>

#define TABLE_ROOM (2 * SITES_MAX)
#define ALL_BYTES align_up(SITES_MAX * sizeof(struct site), os_page_size())
#define TABLE_BYTES align_up(TABLE_ROOM * sizeof(uint32_t), os_page_size())

bool sites_create(gc_heap *heap)
{
    struct sites *sites = calloc(1, sizeof *sites);
    if (!sites)
        return false;
    lock_init(&sites->lock, LOCK_NOTES);
    sites->all = os_map(ALL_BYTES);
    sites->table = sites->all ? os_map(TABLE_BYTES) : NULL;
    if (sites->table) {
        heap->sites = sites;
        return true;
    }
    if (sites->all)
        os_unmap(sites->all, ALL_BYTES);
    free(sites);
    return false;
}

void sites_destroy(gc_heap *heap)
{
    if (!heap->sites)
        return;
    os_unmap(heap->sites->all, ALL_BYTES);
    os_unmap(heap->sites->table, TABLE_BYTES);
    free(heap->sites);
    heap->sites = NULL;
}

static size_t hash(const struct site *site)
{
    uint64_t seed =
        site->thread ^ (uintptr_t)site->of.type ^ (uintptr_t)site->of.element * 31 ^ site->of.kind;
    return (size_t)type_hash_bytes(site->place.pc, sizeof site->place.pc, seed);
}

static bool same_site(const struct site *a, const struct site *b)
{
    return a->of.kind == b->of.kind && a->of.type == b->of.type && a->of.element == b->of.element &&
           a->thread == b->thread && strcmp(a->name, b->name) == 0 &&
           memcmp(a->place.pc, b->place.pc, sizeof a->place.pc) == 0;
}

/* The number of an equal site, or of the new one. 0: there are too many. */
static uint32_t find_locked(struct sites *sites, const struct site *site)
{
    LOCK_ASSERT_HELD(&sites->lock);
    size_t i = hash(site) % TABLE_ROOM;
    while (sites->table[i] && !same_site(&sites->all[sites->table[i]], site))
        i = (i + 1) % TABLE_ROOM;
    if (!sites->table[i] && sites->n + 1 < SITES_MAX) {
        sites->all[++sites->n] = *site;
        sites->table[i] = sites->n;
    }
    return sites->table[i];
}

static uint32_t number_of(struct sites *sites, const struct site *site)
{
    lock_acquire(&sites->lock);
    uint32_t number = find_locked(sites, site);
    lock_release(&sites->lock);
    return number;
}

void site_note(gc_heap *heap, uintptr_t object, const struct site *site)
{
    struct arena *a = arena_of(&heap->mem.arenas, object);
    struct arena_notes *notes = a ? notes_make(a) : NULL;
    if (!notes)
        return;
    notes->cycle[arena_bit(object)] = u32_load_relaxed(&heap->cycle_number);
    u32_store_release(&notes->site[arena_bit(object)], number_of(heap->sites, site));
}

void site_note_cells(gc_heap *heap, uintptr_t object, size_t n, const struct site_type *type)
{
    const struct gc_span *s = mheap_span_of(&heap->mem, object);
    struct arena_notes *notes = s ? notes_make(s->arena) : NULL;
    const struct site site = {.of = *type};
    uint32_t number = notes ? number_of(heap->sites, &site) : 0;
    for (size_t i = 0; notes && i < n; i++)
        u32_store_release(&notes->site[arena_bit(object) + i * s->words], number);
}

const struct site *site_of(const gc_heap *heap, uintptr_t object)
{
    const struct sites *sites = heap->sites;
    struct arena *a = sites ? arena_of(&heap->mem.arenas, object) : NULL;
    const struct arena_notes *notes = a ? notes_of(a) : NULL;
    uint32_t number = notes ? u32_load_acquire(&notes->site[arena_bit(object)]) : 0;
    return number ? &sites->all[number] : NULL;
}

/* ---- Texts ---- */

static const char *name_of(const gc_type *type)
{
    return type->name && type->name[0] ? type->name : "type without a name";
}

bool site_type_of(const gc_heap *heap, const struct gc_span *s, uintptr_t object,
                  struct site_type *known)
{
    const struct site *site = site_of(heap, object);
    if (site) {
        *known = site->of;
        return true;
    }
    const struct parts p = s ? parts_of(s, object) : (struct parts){0};
    enum site_kind kind = !p.element ? SITE_TYPED : p.head ? SITE_FLEX : SITE_ARRAY;
    *known = (struct site_type){kind, parts_type(&p), p.head ? p.element : NULL};
    return known->type != NULL;
}

static void ask_embedder(const gc_heap *heap, uintptr_t object, const gc_type *type, char *text,
                         size_t room)
{
    gc_thread *self = self_calls_back();
    int cancel = os_cancel_off(), error = errno;
    heap->options.describe(heap->options.user, (const void *)object, type, text, room);
    errno = error;
    os_cancel_restore(cancel);
    self_called_back(self);
}

/* A line stays a line. */
static size_t clean(char *text, size_t room)
{
    size_t n = 0;
    text[room - 1] = 0;
    for (; text[n]; n++) {
        if ((unsigned char)text[n] < ' ')
            text[n] = ' ';
    }
    return n;
}

size_t site_describe(const gc_heap *heap, uintptr_t object, char *text, size_t room)
{
    struct site_type known;
    text[0] = 0;
    if (!heap->options.describe || object_cell(&heap->mem, object) != object)
        return 0;
    bool is_known = site_type_of(heap, mheap_span_of(&heap->mem, object), object, &known);
    ask_embedder(heap, object, is_known ? known.type : NULL, text, room);
    return clean(text, room);
}

static const char *type_text(const gc_heap *heap, uintptr_t object, char *text, size_t room)
{
    const struct gc_span *s = mheap_span_of(&heap->mem, object);
    struct site_type t;
    bool known = site_type_of(heap, s, object, &t);
    if (!known && s && span_is_large(s))
        snprintf(text, room, "large object");
    else if (!known && s)
        snprintf(text, room, "object of class %u", spanclass_size(s->spanclass));
    else if (!known)
        snprintf(text, room, "object");
    else if (t.kind == SITE_TYPED)
        snprintf(text, room, "%s", name_of(t.type));
    else if (t.kind == SITE_ARRAY)
        snprintf(text, room, "array of %s", name_of(t.type));
    else if (t.kind == SITE_FLEX)
        snprintf(text, room, "%s with elements %s", name_of(t.type), name_of(t.element));
    else
        snprintf(text, room, "block of bytes");
    return text;
}

const char *site_object_text(const gc_heap *heap, uintptr_t object, char *text, size_t room)
{
    char name[80];
    size_t n = strlen(type_text(heap, object, text, room));
    if (site_describe(heap, object, name, sizeof name) > 0)
        snprintf(text + n, room - n, " \"%s\"", name);
    return text;
}

/* The place of a word in an object of the type: ".next", or " + 8". `first`: whether ` + 0` is
 * written. */
static void part_text(const gc_type *type, size_t offset, bool first, char *text, size_t room)
{
    size_t length;
    const char *name =
        type && offset % WORD_SIZE == 0 ? type_field(type, offset / WORD_SIZE, &length) : NULL;
    if (name)
        snprintf(text, room, ".%.*s", (int)length, name);
    else if (offset > 0 || first)
        snprintf(text, room, " + %zu", offset);
}

/* The place of a word in the elements of an array, or of a tail. */
static void element_text(const gc_type *element, size_t offset, char *text, size_t room)
{
    int n = element->size > 0 ? snprintf(text, room, " [%zu]", offset / element->size) : 0;
    part_text(element, element->size > 0 ? offset % element->size : offset, false, text + n,
              room - (size_t)n);
}

/* Where the elements begin. */
static size_t elements_of(const struct site_type *t)
{
    if (t->kind == SITE_ARRAY)
        return 0;
    return t->kind == SITE_FLEX
               ? type_tail_offset(type_info((gc_type *)t->type), type_info((gc_type *)t->element))
               : SIZE_MAX;
}

static void place_in_object(const gc_heap *heap, uintptr_t object, size_t offset, char *text,
                            size_t room)
{
    struct site_type t;
    bool known = site_type_of(heap, mheap_span_of(&heap->mem, object), object, &t);
    size_t elements = known ? elements_of(&t) : SIZE_MAX;
    const gc_type *element = t.kind == SITE_FLEX ? t.element : t.type;
    text[0] = 0;
    if (element && offset >= elements)
        element_text(element, offset - elements, text, room);
    else
        part_text(known ? t.type : NULL, offset, true, text, room);
}

const char *site_word_text(const gc_heap *heap, uintptr_t object, uintptr_t at, char *text,
                           size_t room)
{
    site_object_text(heap, object, text, room);
    size_t n = strlen(text);
    place_in_object(heap, object, at - object, text + n, room - n);
    return text;
}

const char *site_field_text(const gc_heap *heap, uintptr_t object, uintptr_t at, char *text,
                            size_t room)
{
    char place[80];
    place_in_object(heap, object, at - object, place, sizeof place);
    snprintf(text, room, "%s", place + (place[0] == ' ' || place[0] == '.'));
    return text;
}

uintptr_t site_function_at(const gc_thread *t, uintptr_t at)
{
    size_t i = place_skip(t->frames_noted, t->nframes);
    while (i + 1 < t->nframes && t->frames_noted[i + 1].sp <= at)
        i++;
    bool farther_out = i + 1 == THREAD_FRAMES || !stack_contains(&t->stacks.own, at);
    return i + 1 < t->nframes || (t->nframes && !farther_out) ? t->frames_noted[i].pc : 0;
}

const char *site_function_text(const gc_thread *t, uintptr_t at, char *text, size_t room)
{
    uintptr_t pc = site_function_at(t, at);
    return pc ? place_function(pc, text, room) : NULL;
}
