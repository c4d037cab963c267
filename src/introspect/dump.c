#include "introspect/dump.h"
#include "introspect/edges.h"
#include "allocator/object.h"
#include "base/os.h"
#include "base/outfile.h"
#include "collector/pacing.h"
#include <errno.h>
#include <time.h>

/* What the file calls a type: a type of an embedder, as an object by itself, as elements of an
 * array, or as the head of a flexible object. */
struct dump_type {
    enum site_kind kind;
    const gc_type *type, *element;
    uint32_t number; /* 0: the place is free */
};

struct dump {
    gc_heap *heap;
    struct outfile *out;
    struct dump_type *types; /* by hash; mapped; `room` is a power of two */
    size_t ntypes, room;
    const struct gc_span *span; /* whose line was written last */
    size_t object_bytes;        /* of the object whose line is being written */
    uint64_t objects, edges, roots;
    unsigned searches; /* for the names of roots */
    bool no_memory;
};

/* ---- Lines ---- */

static void word_text(struct dump *d, const char *before, uint64_t n)
{
    outfile_text(d->out, before);
    outfile_hex(d->out, n);
}

/* Text that may come from the embedder, without the end of its line. */
static void name_text(struct dump *d, const char *name)
{
    char escape[8];
    for (; *name; name++) {
        if ((unsigned char)*name >= ' ' && *name != '\\')
            snprintf(escape, sizeof escape, "%c", *name);
        else
            snprintf(escape, sizeof escape, "\\x%02x", (unsigned char)*name);
        outfile_text(d->out, escape);
    }
}

static void figure(struct dump *d, const char *name, uint64_t n)
{
    outfile_text(d->out, "= ");
    outfile_text(d->out, name);
    outfile_text(d->out, " ");
    outfile_decimal(d->out, n);
    outfile_text(d->out, "\n");
}

/* ---- Types ---- */

static size_t types_bytes(size_t room)
{
    return align_up(room * sizeof(struct dump_type), os_page_size());
}

static struct dump_type *find_type(const struct dump *d, const struct dump_type *key)
{
    uint64_t hash = (uintptr_t)key->type * 3 + (uintptr_t)key->element * 5 + key->kind;
    size_t i = (size_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (d->room - 1);
    while (d->types[i].number != 0 &&
           (d->types[i].type != key->type || d->types[i].element != key->element ||
            d->types[i].kind != key->kind))
        i = (i + 1) & (d->room - 1);
    return &d->types[i];
}

#define TYPES_ROOM_AT_FIRST 1024

static bool make_types_room(struct dump *d)
{
    struct dump old = *d;
    d->room = old.room ? 2 * old.room : TYPES_ROOM_AT_FIRST;
    d->types = os_map(types_bytes(d->room));
    if (!d->types) {
        *d = old;
        return false;
    }
    for (size_t i = 0; i < old.room; i++) {
        if (old.types[i].number)
            *find_type(d, &old.types[i]) = old.types[i];
    }
    if (old.types)
        os_unmap(old.types, types_bytes(old.room));
    return true;
}

/* A line for each reference of the type that has a name; `letter`: of an object, or of its
 * elements. */
static void field_lines(struct dump *d, const char *letter, uint32_t number, const gc_type *type)
{
    char name[128];
    size_t length;
    for (size_t i = 0; i < type->size / WORD_SIZE; i++) {
        const char *text = type_field(type, i, &length);
        if (!text)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length, text);
        word_text(d, letter, number);
        word_text(d, " ", i * WORD_SIZE);
        outfile_text(d->out, " ");
        name_text(d, name);
        outfile_text(d->out, "\n");
    }
}

static const char *type_name(const gc_type *type)
{
    return type->name && type->name[0] ? type->name : "type without a name";
}

static void type_line(struct dump *d, const struct dump_type *t)
{
    size_t size = t->kind == SITE_ARRAY ? 0 : t->type->size;
    size_t stride = t->kind == SITE_ARRAY ? t->type->size : 0;
    if (t->kind == SITE_FLEX) {
        size = type_tail_offset(type_info((gc_type *)t->type), type_info((gc_type *)t->element));
        stride = t->element->size;
    }
    word_text(d, "T ", t->number);
    word_text(d, " ", size);
    word_text(d, " ", stride);
    outfile_text(d->out, t->kind == SITE_ARRAY ? " array of " : " ");
    name_text(d, type_name(t->type));
    if (t->kind == SITE_FLEX) {
        outfile_text(d->out, " with elements ");
        name_text(d, type_name(t->element));
    }
    outfile_text(d->out, "\n");
    if (t->kind != SITE_ARRAY)
        field_lines(d, "F ", t->number, t->type);
    if (t->kind == SITE_ARRAY || t->kind == SITE_FLEX)
        field_lines(d, "E ", t->number, t->kind == SITE_FLEX ? t->element : t->type);
}

/* The number of an object's type, whose line is written before its first object; 0: not known. */
static uint32_t type_number(struct dump *d, const struct gc_span *s, uintptr_t object)
{
    struct dump_type key = {.number = 0};
    struct site_type known;
    if (!site_type_of(d->heap, s, object, &known) || !known.type)
        return 0;
    key = (struct dump_type){known.kind, known.type, known.element, 0};
    if (2 * d->ntypes >= d->room && !make_types_room(d)) {
        d->no_memory = true;
        return 0;
    }
    struct dump_type *t = find_type(d, &key);
    if (t->number == 0) {
        *t = key;
        t->number = (uint32_t)++d->ntypes;
        type_line(d, t);
    }
    return t->number;
}

/* ---- Objects ---- */

static void span_line(struct dump *d, const struct gc_span *s)
{
    word_text(d, "S ", s->base);
    word_text(d, " ", s->npages);
    word_text(d, " ", span_object_bytes(s));
    outfile_text(d->out, span_noscan(s) ? " b\n" : " p\n");
    d->span = s;
}

/* "-" stands for the place of a reference that lies in memory of the embedder's. */
static void object_edge(void *arg, const struct gc_edge *edge)
{
    struct dump *d = arg;
    uintptr_t offset = (uintptr_t)edge->slot - (uintptr_t)edge->from;
    if (offset < d->object_bytes)
        word_text(d, " ", offset);
    else
        outfile_text(d->out, " -");
    word_text(d, " ", (uintptr_t)edge->to);
    d->edges++;
}

static void description_line(struct dump *d, uintptr_t object)
{
    char text[200];
    if (site_describe(d->heap, object, text, sizeof text) == 0)
        return;
    outfile_text(d->out, "N ");
    name_text(d, text);
    outfile_text(d->out, "\n");
}

static bool object_line(void *arg, struct gc_span *s, uintptr_t object)
{
    struct dump *d = arg;
    uint32_t type = type_number(d, s, object);
    const struct arena_notes *notes = notes_of(s->arena);
    const struct site *site = site_of(d->heap, object);
    if (d->span != s)
        span_line(d, s);
    word_text(d, "", span_is_large(s) ? 0 : (object - s->base) / s->size);
    word_text(d, " ", type);
    if (notes && site && site->thread)
        word_text(d, "/", notes->cycle[arena_bit(object)]);
    d->object_bytes = span_object_bytes(s);
    edges_of_object(d->heap, s, object, object_edge, d);
    outfile_text(d->out, "\n");
    description_line(d, object);
    d->objects++;
    return !outfile_has_failed(d->out);
}

/* ---- Roots, and what lives as long as a key ---- */

/* The names of functions and variables are searched in the program's file, which takes some 0.1 ms.
 * The world is held, so not all of many roots are named. */
#define SEARCHES_MOST 2000

static const char *root_text(struct dump *d, const struct gc_edge *edge, char *text, size_t room)
{
    static const char *const plain[] = {[GC_IN_FRAME] = "a local of a GC_FRAME",
                                        [GC_IN_STACK] = "a C stack",
                                        [GC_IN_GLOBAL] = "a rooted slot"};
    const char *what = (size_t)edge->by < ARRAY_LEN(plain) ? plain[edge->by] : NULL;
    if (!what || d->searches++ < SEARCHES_MOST)
        return edge_text(d->heap, edge, text, room);
    snprintf(text, room, "%s at 0x%zx", what, (size_t)edge->slot);
    return text;
}

static void root_line(void *arg, const struct gc_edge *edge)
{
    struct dump *d = arg;
    char text[300];
    word_text(d, "R ", (uintptr_t)edge->to);
    outfile_text(d->out, " ");
    name_text(d, root_text(d, edge, text, sizeof text));
    outfile_text(d->out, "\n");
    d->roots++;
}

/* A value lives as long as its key, and what a fiber holds as long as the fiber's owner. The value
 * of a key outside of the heap is a root. */
static void entry_line(void *arg, const struct gc_edge *edge)
{
    struct dump *d = arg;
    if (!object_cell(&d->heap->mem, (uintptr_t)edge->from)) {
        root_line(arg, edge);
        return;
    }
    word_text(d, "X ", (uintptr_t)edge->from);
    word_text(d, " ", (uintptr_t)edge->to);
    outfile_text(d->out,
                 edge->by == GC_IN_FIBER ? " in a suspended fiber\n" : " value in a weak map\n");
    d->edges++;
}

/* ---- Pages ---- */

static void arena_lines(struct dump *d)
{
    for (const struct arena *a = d->heap->mem.arenas.newest; a; a = a->older) {
        word_text(d, "A ", a->base);
        word_text(d, " ", ARENA_SIZE);
        outfile_text(d->out, "\n");
    }
}

enum page_use { PAGE_USED, PAGE_BACKED, PAGE_GIVEN_BACK };

static enum page_use use_of(struct dump *d, uintptr_t page)
{
    struct pagealloc *pages = &d->heap->mem.pages;
    if (!pagealloc_is_free(pages, page, 1))
        return PAGE_USED;
    return pagealloc_count_scavenged(pages, page, 1) ? PAGE_GIVEN_BACK : PAGE_BACKED;
}

static void free_line(struct dump *d, uintptr_t base, uintptr_t end, enum page_use use)
{
    word_text(d, "G ", base);
    word_text(d, " ", (end - base) >> PAGE_SHIFT);
    outfile_text(d->out, use == PAGE_BACKED ? " b\n" : " r\n");
}

/* Adjacent free pages of one use. */
struct free_run {
    uintptr_t base, end;
    enum page_use use;
};

/* The first from `at` on; false: there is none. The world is held, but the library's threads back
 * memory. */
static bool find_free(struct dump *d, uintptr_t at, uintptr_t end, struct free_run *r)
{
    struct lock *lock = &d->heap->mem.lock;
    r->use = PAGE_USED;
    lock_acquire(lock);
    while (at < end && (r->use = use_of(d, at)) == PAGE_USED)
        at += PAGE_SIZE;
    r->base = at;
    while (at < end && use_of(d, at) == r->use)
        at += PAGE_SIZE;
    r->end = at;
    lock_release(lock);
    return r->base < end;
}

/* Whoever reads the file may wait for the lock, so it is not held while anything is written. */
static void free_lines(struct dump *d)
{
    struct free_run r;
    for (const struct arena *a = d->heap->mem.arenas.newest; a; a = a->older) {
        for (uintptr_t at = a->base; find_free(d, at, a->base + ARENA_SIZE, &r); at = r.end)
            free_line(d, r.base, r.end, r.use);
    }
}

/* ---- The file ---- */

static void memory_figures(struct dump *d)
{
    struct mheap *mem = &d->heap->mem;
    lock_acquire(&mem->lock);
    uint64_t pages = mem->pages.free_pages, released = mem->pages.scavenged_pages;
    lock_release(&mem->lock);
    figure(d, "heap_live", mheap_live_bytes(mem));
    figure(d, "heap_inuse", (uint64_t)mem->counts.pages_inuse << PAGE_SHIFT);
    figure(d, "heap_idle", (pages - released) << PAGE_SHIFT);
    figure(d, "heap_released", released << PAGE_SHIFT);
    figure(d, "heap_reserved", mem->mapped_bytes);
}

static void figures(struct dump *d)
{
    struct gc_statistics s = {0};
    pacing_report(d->heap, &s);
    figure(d, "version", GC_VERSION);
    figure(d, "word", WORD_SIZE);
    figure(d, "page", PAGE_SIZE);
    figure(d, "pid", os_process_id());
    figure(d, "time", (uint64_t)time(NULL));
    figure(d, "age_ms", (os_now_ns() - d->heap->created_ns) / 1000000);
    figure(d, "cycles", d->heap->cycle_number);
    figure(d, "threads", d->heap->mutators.count);
    figure(d, "heap_marked", s.heap_marked);
    figure(d, "heap_goal", s.heap_goal);
    figure(d, "external", s.external);
    memory_figures(d);
}

static void end_line(struct dump *d)
{
    word_text(d, "Z ", d->objects);
    word_text(d, " ", d->edges);
    word_text(d, " ", d->roots);
    outfile_text(d->out, "\n");
}

void dump_write(gc_heap *heap, void *request)
{
    struct dump_request *r = request;
    struct dump d = {.heap = heap};
    r->error = outfile_open(r->path, &d.out);
    if (r->error)
        return;
    verify_flush_caches(heap);
    outfile_text(d.out, "gcheap heap dump 1\n");
    figures(&d);
    arena_lines(&d);
    free_lines(&d);
    edges_of_roots(heap, root_line, &d);
    edges_of_keys(heap, entry_line, &d);
    verify_each_object(heap, object_line, &d);
    end_line(&d);
    r->error = outfile_close(d.out, !d.no_memory);
    if (d.no_memory)
        r->error = -ENOMEM;
    if (d.types)
        os_unmap(d.types, types_bytes(d.room));
}
