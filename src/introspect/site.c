#include "introspect/site.h"
#include "allocator/mheap.h"

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
    os_unmap(heap->sites->all, ALL_BYTES);
    os_unmap(heap->sites->table, TABLE_BYTES);
    free(heap->sites);
    heap->sites = NULL;
}

static size_t hash(const struct site *site)
{
    uint64_t seed = site->thread ^ (uintptr_t)site->type;
    return (size_t)type_hash_bytes(site->place.pc, sizeof site->place.pc, seed);
}

static bool same_site(const struct site *a, const struct site *b)
{
    return a->kind == b->kind && a->type == b->type && a->element == b->element &&
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

void site_note(gc_heap *heap, uintptr_t object, const struct site *site)
{
    struct sites *sites = heap->sites;
    struct arena *a = arena_of(&heap->mem.arenas, object);
    struct arena_notes *notes = a ? notes_make(a) : NULL;
    if (!notes)
        return;
    lock_acquire(&sites->lock);
    uint32_t number = find_locked(sites, site);
    lock_release(&sites->lock);
    notes->cycle[arena_bit(object)] = heap->cycle_number;
    u32_store_release(&notes->site[arena_bit(object)], number);
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

const char *site_object_text(const gc_heap *heap, uintptr_t object, char *text, size_t room)
{
    const struct site *site = site_of(heap, object);
    const struct gc_span *s = mheap_span_of(&heap->mem, object);
    if (!site && s)
        snprintf(text, room, "object of class %u", spanclass_size(s->spanclass));
    else if (!site)
        snprintf(text, room, "object");
    else if (site->kind == SITE_TYPED)
        snprintf(text, room, "%s", name_of(site->type));
    else if (site->kind == SITE_ARRAY)
        snprintf(text, room, "array of %s", name_of(site->type));
    else if (site->kind == SITE_FLEX)
        snprintf(text, room, "%s with elements %s", name_of(site->type), name_of(site->element));
    else
        snprintf(text, room, "block of bytes");
    return text;
}

/* The element of an array, or of a tail, in which the word lies. */
static size_t element_text(const gc_type *element, size_t offset, char *text, size_t room)
{
    int n = element->size > 0 ? snprintf(text, room, " [%zu]", offset / element->size) : 0;
    size_t rest = element->size > 0 ? offset % element->size : offset;
    if (rest > 0)
        n += snprintf(text + n, room - (size_t)n, " + %zu", rest);
    return (size_t)n;
}

const char *site_word_text(const gc_heap *heap, uintptr_t object, uintptr_t at, char *text,
                           size_t room)
{
    const struct site *site = site_of(heap, object);
    size_t offset = at - object, tail = 0;
    site_object_text(heap, object, text, room);
    size_t n = strlen(text);
    if (site && site->kind == SITE_FLEX)
        tail =
            type_tail_offset(type_info((gc_type *)site->type), type_info((gc_type *)site->element));
    if (site && site->kind == SITE_ARRAY)
        element_text(site->type, offset, text + n, room - n);
    else if (tail && offset >= tail)
        element_text(site->element, offset - tail, text + n, room - n);
    else
        snprintf(text + n, room - n, " + %zu", offset);
    return text;
}
