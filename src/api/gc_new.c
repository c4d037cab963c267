/* Allocation: safepoint, assist, the attempt, and what follows if memory is refused. */
#include "allocator/object.h"
#include "api/entry.h"
#include "cycle/assist.h"
#include "introspect/profile.h"
#include "introspect/strays.h"
#include "memory/tagged.h"

/* How much a thread allocates between two looks at what it owes (I39). */
#define ASSIST_BYTES ((size_t)32 << 10)

static size_t assist_bytes(const gc_thread *t)
{
    return t->phase == PHASE_MARK ? ASSIST_BYTES / 4 : ASSIST_BYTES;
}

/* Under the switch all, objects of one type come from runs that become longer by a cell after so
 * many allocations. Only the first object of a run is looked at as it is made. */
#define RARER_BY 8192

/* The switch nth. If collections become rarer, their cost stays in proportion to that of the
 * allocations. */
static COLD bool is_nth(gc_heap *heap)
{
    uint32_t n = u32_fetch_add_relaxed(&heap->debug_allocations, 1);
    if (!heap->debug.rarer)
        return n % heap->debug.nth == 0;
    if (n % RARER_BY == 0 && !heap->mem.guarded)
        u32_store_relaxed(&heap->mem.run_limit, 1 + n / RARER_BY);
    uint32_t next = u32_load_relaxed(&heap->debug_next);
    uint32_t cost = heap->checks ? checks_cost(heap) / 32 : 0;
    return (int32_t)(n - next) >= 0 &&
           u32_cas_relaxed(&heap->debug_next, next, n + 1 + n / 64 + cost);
}

/* Every allocation that takes the slow path is a safepoint first, and assists for what it owes. */
static struct mcache *allocation_point(gc_thread *t, size_t bytes)
{
    gc_heap *heap = t->heap;
    if (UNLIKELY(heap->checks))
        assist_checks(heap, t);
    thread_poll(t);
    if (UNLIKELY(heap->debug.nth) && is_nth(heap))
        assist_nth(heap, t);
    if (UNLIKELY(heap->debug.stay))
        assist_stay(heap, t);
    if (mcache_unassisted(t->proc->cache) + bytes >= assist_bytes(t))
        assist_allocation(heap, t, bytes);
    return t->proc->cache;
}

/* What an allocation wants, to be tried again when memory was refused. */
struct request {
    void *(*make)(struct mcache *c, const struct request *r);
    struct type_info *type, *element;
    size_t n, size;
    enum site_kind kind;
};

/* Zeroes in pieces, with a safepoint after each, so that no handshake waits until gigabytes are
 * zero (Go: memclrNoHeapPointersChunked). */
static void zero_in_pieces(gc_thread *t, void *object, size_t bytes)
{
    GC_FRAME(object);
    for (size_t done = 0, step; done < bytes; done += step) {
        step = MIN_OF(bytes - done, MALLOC_ZERO_PIECE);
        memset((char *)object + done, 0, step);
        if (!t->quiet)
            thread_poll(t);
    }
}

/* If the object is the first of a run, how many cells that has. All are for objects of its type:
 * a run that types share has one. */
static size_t run_length(const gc_thread *t, const void *object, const struct site_type *type)
{
    const struct gc_run *run = type->type ? &t->proc->cache->runs[type->type->run] : NULL;
    bool first = run && run->size && run->cursor == (uintptr_t)object + run->size;
    return first ? 1 + (run->limit - run->cursor) / run->size : 1;
}

/* The public call's frame holds the request. */
static COLD void note_allocation(gc_thread *t, void *object, const struct request *r, bool sampled)
{
    const struct checks_request noted = {
        {r->kind, r->type ? r->type->type : NULL, r->element ? r->element->type : NULL},
        r->size,
        (uintptr_t)r};
    size_t n = run_length(t, object, &noted.of);
    if (sampled)
        profile_sampled(t, object, (uintptr_t)r);
    if (t->heap->checks)
        checks_allocated(t, object, n, &noted);
    else if (t->heap->sites)
        site_note_cells(t->heap, (uintptr_t)object, n, &noted.of);
    if (t->heap->strays)
        strays_wipe(NULL, 0);
}

/* Bytes that are not counted until a run is used up. */
static size_t large_bytes(const struct request *r)
{
    return r->size > SIZECLASS_MAX_SIZE ? r->size : 0;
}

static void count_quiet(gc_thread *t, size_t bytes)
{
    struct mutators *m = &t->heap->mutators;
    t->quiet_bytes += bytes;
    u64_fetch_add_relaxed(&m->quiet_bytes, bytes);
    uint64_t most = u64_load_relaxed(&m->quiet_max);
    while (t->quiet_bytes > most && !u64_cas_relaxed(&m->quiet_max, most, t->quiet_bytes))
        most = u64_load_relaxed(&m->quiet_max);
}

/* In a quiet region: no safepoint, and no look for more memory. What the allocation owes is paid at
 * the next safepoint, which is made due. */
static void *make_quietly(gc_thread *t, const struct request *r)
{
    struct mcache *c = t->proc->cache;
    size_t large = large_bytes(r), before = mcache_unassisted(c);
    if (t->quiet_bytes >= t->quiet_limit || large > t->quiet_limit - t->quiet_bytes)
        return NULL;
    void *p = r->make(c, r);
    size_t after = mcache_unassisted(c);
    count_quiet(t, after > before ? after - before : 0);
    if (after >= assist_bytes(t))
        thread_request_poll(t);
    return p;
}

static void *make_at_safepoint(gc_thread *t, const struct request *r)
{
    void *p = r->make(allocation_point(t, large_bytes(r)), r);
    for (unsigned n = 0; UNLIKELY(!p) && assist_find_memory(t->heap, t, r->size, n); n++)
        p = r->make(t->proc->cache, r);
    return p;
}

static void *allocate(gc_thread *t, const struct request *r)
{
    gc_heap *heap = t->heap;
    void *p = UNLIKELY(t->quiet) ? make_quietly(t, r) : make_at_safepoint(t, r);
    size_t unzeroed = t->proc->cache->unzeroed;
    bool sampled = t->proc->cache->sampler.taken;
    t->proc->cache->unzeroed = 0;
    t->proc->cache->sampler.taken = false;
    if (UNLIKELY(unzeroed))
        zero_in_pieces(t, p, unzeroed);
    if (UNLIKELY(!p))
        errno = ENOMEM;
    else if (UNLIKELY(heap->sites || sampled))
        note_allocation(t, p, r, sampled);
    return p;
}

static void *make_typed(struct mcache *c, const struct request *r)
{
    return malloc_typed(c, r->type);
}
static void *make_bytes(struct mcache *c, const struct request *r)
{
    return malloc_bytes(c, r->size);
}
static void *make_bytes_raw(struct mcache *c, const struct request *r)
{
    return malloc_bytes_raw(c, r->size);
}
static void *make_array(struct mcache *c, const struct request *r)
{
    return malloc_array(c, r->type, r->n);
}
static void *make_flex(struct mcache *c, const struct request *r)
{
    return malloc_flex(c, r->type, r->element, r->n);
}

/* More than an eighth of the address space is refused before any arithmetic. */
static bool absurd(size_t size)
{
    return size > SIZE_MAX / 4 >> 1;
}

static void *refuse_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *gc_new_slow(gc_type *type)
{
    gc_thread *t = ENTER();
    struct type_info *info = t ? type_info(type) : NULL;
    if (!info)
        return NULL;
    if (absurd(info->size))
        return refuse_memory();
    struct request r = {make_typed, info, NULL, 1, info->size, SITE_TYPED};
    return allocate(t, &r);
}

static void *new_bytes(gc_thread *t, size_t size,
                       void *(*make)(struct mcache *, const struct request *), enum site_kind kind)
{
    if (!t)
        return NULL;
    if (size == 0)
        return (void *)(uintptr_t)&malloc_zero_object;
    if (absurd(size))
        return refuse_memory();
    struct request r = {make, NULL, NULL, 1, size, kind};
    return allocate(t, &r);
}

void *gc_new_bytes_slow(size_t size)
{
    return new_bytes(ENTER(), size, make_bytes, SITE_BYTES);
}

void *gc_new_bytes_raw_slow(size_t size)
{
    return new_bytes(ENTER(), size, make_bytes_raw, SITE_RAW);
}

/* Whether elements of this type fit into arrays: a traced object needs a header of its own, and the
 * references of all elements must be aligned. */
static bool fits_arrays(const struct type_info *info)
{
    if (!info->type->trace && (info->noscan || info->type->size % WORD_SIZE == 0))
        return true;
    errno = EINVAL;
    return false;
}

void *gc_new_array_slow(gc_type *type, size_t n)
{
    gc_thread *t = ENTER();
    struct type_info *info = t ? type_info(type) : NULL;
    size_t size;
    if (!info)
        return NULL;
    if (!fits_arrays(info))
        return NULL;
    if (__builtin_mul_overflow(type->size, n, &size) || absurd(size))
        return refuse_memory();
    if (size == 0)
        return (void *)(uintptr_t)&malloc_zero_object;
    struct request r = {make_array, info, NULL, n, size, SITE_ARRAY};
    return allocate(t, &r);
}

void *gc_new_flex_slow(gc_type *head, gc_type *element, size_t n)
{
    gc_thread *t = ENTER();
    struct type_info *h = t ? type_info(head) : NULL, *e = h ? type_info(element) : NULL;
    size_t size;
    if (!e)
        return NULL;
    if (!fits_arrays(e))
        return NULL;
    if (__builtin_mul_overflow(element->size, n, &size) || absurd(size) ||
        absurd(size + type_tail_offset(h, e)))
        return refuse_memory();
    size += type_tail_offset(h, e);
    if (size == 0)
        return (void *)(uintptr_t)&malloc_zero_object;
    struct request r = {make_flex, h, e, n, size, SITE_FLEX};
    return allocate(t, &r);
}

size_t gc_size_class(size_t size)
{
    if (size == 0)
        return 0;
    if (size > SIZECLASS_MAX_SIZE)
        return absurd(size) ? 0 : align_up(size, PAGE_SIZE);
    return sizeclass_table[sizeclass_of(size)].size;
}

/* ---- Growing and shrinking ---- */

#define GROW_LEAST 4

/* An array with room for half as many more. false: absurd. */
static bool grown_room(size_t n, size_t size, size_t *room)
{
    size_t bytes;
    return !__builtin_add_overflow(n, n / 2 + GROW_LEAST, room) &&
           !__builtin_mul_overflow(*room, size, &bytes) && !absurd(bytes);
}

static void copy_elements(const struct type_info *info, void *to, const void *from, size_t n)
{
    if (n > 0 && info->noscan)
        memcpy(to, from, n * info->type->size);
    else
        gc_copy(to, from, n * info->type->size);
}

void *gc_array_grow(gc_type *type, const void *array, size_t n, size_t *capacity)
{
    gc_thread *t = ENTER();
    struct type_info *info = t ? type_info(type) : NULL;
    size_t room;
    if (!info)
        return NULL;
    if (!grown_room(n, type->size, &room))
        return refuse_memory();
    if (type->size > 0)
        room = malloc_array_cell(info, room).room;
    GC_FRAME(array);
    void *grown = gc_new_array(type, room);
    if (!grown)
        return NULL;
    copy_elements(info, grown, array, n);
    *capacity = room;
    return grown;
}

/* Whether `array` is an object with room for n elements. Their size is not 0. */
static bool holds_elements(const gc_thread *t, const struct type_info *info, const void *array,
                           size_t n)
{
    uintptr_t object = object_base(&t->heap->mem, (uintptr_t)array);
    if (!object || object != (uintptr_t)array)
        return false;
    const struct gc_span *s = mheap_span_of(&t->heap->mem, object);
    return n <= (span_object_bytes(s) - header_bytes(s, object)) / info->type->size;
}

/* As heapbits_store(), but markers may read the slots meanwhile. */
static void store_fill(const struct arena_index *index, uintptr_t from, uintptr_t end, word fill)
{
    for (; from < end; from += WORD_SIZE) {
        if (heapbits_load(arena_of(index, from), from, 1))
            word_store_relaxed((word *)from, fill);
    }
}

/* Makes elements [from, to) of an array what they are in a new one. */
static void empty_elements(gc_thread *t, const struct type_info *info, char *array, size_t from,
                           size_t to)
{
    char *start = array + from * info->type->size, *end = array + to * info->type->size;
    if (info->noscan)
        memset(start, 0, (size_t)(end - start));
    else
        gc_clear(start, (size_t)(end - start));
    if (info->bits.fill.rest)
        store_fill(&t->heap->mem.arenas, (uintptr_t)start, (uintptr_t)end, info->bits.fill.rest);
}

/* An array that fills this cell, if the cell is smaller than that of another array. NULL: there is
 * none. */
static void *smaller_array(gc_thread *t, gc_type *type, const void *array, struct array_cell cell)
{
    KEEP_ERRNO;
    const struct gc_span *s = mheap_span_of(&t->heap->mem, (uintptr_t)array);
    return cell.bytes < span_object_bytes(s) ? gc_new_array(type, cell.room) : NULL;
}

static void *refuse_argument(void)
{
    errno = EINVAL;
    return NULL;
}

void *gc_array_shrink(gc_type *type, void *array, size_t n, size_t *capacity)
{
    gc_thread *t = ENTER();
    struct type_info *info = t ? type_info(type) : NULL;
    if (!info || !fits_arrays(info))
        return NULL;
    if (n > *capacity)
        return refuse_argument();
    if (n == 0 || type->size == 0) {
        *capacity = n;
        return (void *)(uintptr_t)&malloc_zero_object;
    }
    if (!holds_elements(t, info, array, *capacity))
        return refuse_argument();
    struct array_cell cell = malloc_array_cell(info, n);
    GC_FRAME(array);
    void *smaller = smaller_array(t, type, array, cell);
    if (!smaller) {
        empty_elements(t, info, array, n, *capacity);
        return array;
    }
    copy_elements(info, smaller, array, n);
    *capacity = cell.room;
    return smaller;
}
