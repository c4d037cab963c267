#include "mutator/root.h"
#include "mutator/heap.h"
#include "base/os.h"
#include "base/stress.h"
#include <errno.h>

/* ---- Root sets ---- */

void rootset_free(struct rootset *set)
{
    free(set->ranges.items);
    free(set->callbacks.items);
    memset(set, 0, sizeof *set);
}

/* Makes room for one more item of `size` bytes. */
static bool make_room(void **items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 4;
    void *more = realloc(*items, wanted * size);
    if (!more)
        return false;
    *items = more;
    *capacity = wanted;
    return true;
}

/* Gives memory back when few of many items are left. If realloc fails, the items stay where they
 * are. */
static void *trim(void *items, size_t n, size_t *capacity, size_t size)
{
    if (*capacity <= 4 || n > *capacity / 4)
        return items;
    void *less = realloc(items, *capacity / 2 * size);
    if (!less)
        return items;
    *capacity /= 2;
    return less;
}

static size_t find_range(const struct root_ranges *ranges, const void *base)
{
    size_t i = 0;
    while (i < ranges->n && ranges->items[i].base != base)
        i++;
    return i;
}

int rootset_add_range(struct rootset *set, struct root_range range)
{
    struct root_ranges *r = &set->ranges;
    void *items = r->items;
    if (find_range(r, range.base) < r->n)
        return -EEXIST;
    if (!make_room(&items, r->n, &r->capacity, sizeof range))
        return -ENOMEM;
    r->items = items;
    r->items[r->n++] = range;
    return 0;
}

int rootset_remove_range(struct rootset *set, const void *base)
{
    struct root_ranges *r = &set->ranges;
    size_t i = find_range(r, base);
    if (i == r->n)
        return -ENOENT;
    r->items[i] = r->items[--r->n];
    r->items = trim(r->items, r->n, &r->capacity, sizeof *r->items);
    return 0;
}

static size_t find_callback(const struct root_callbacks *list, struct root_callback c)
{
    size_t i = 0;
    while (i < list->n && (list->items[i].fn != c.fn || list->items[i].arg != c.arg))
        i++;
    return i;
}

int rootset_add_callback(struct root_callbacks *list, struct root_callback callback)
{
    void *items = list->items;
    if (find_callback(list, callback) < list->n)
        return -EEXIST;
    if (!make_room(&items, list->n, &list->capacity, sizeof callback))
        return -ENOMEM;
    list->items = items;
    list->items[list->n++] = callback;
    return 0;
}

int rootset_remove_callback(struct root_callbacks *list, struct root_callback callback)
{
    size_t i = find_callback(list, callback);
    if (i == list->n)
        return -ENOENT;
    list->items[i] = list->items[--list->n];
    list->items = trim(list->items, list->n, &list->capacity, sizeof callback);
    return 0;
}

static void visit_slots(const slot_word *base, size_t n, struct gc_tracer *tracer)
{
    for (size_t i = 0; i < n; i++)
        tracer_slot(tracer, &base[i]);
}

static const void *address_of(gc_root_fn fn)
{
    return (const void *)(uintptr_t)fn;
}

static void call_back(struct root_callback callback, struct gc_tracer *tracer)
{
    tracer_enter(tracer, GC_IN_CALLBACK, address_of(callback.fn));
    callback.fn(callback.arg, tracer);
}

void rootset_visit(const struct rootset *set, struct gc_tracer *tracer)
{
    for (size_t i = 0; i < set->ranges.n; i++) {
        const struct root_range *r = &set->ranges.items[i];
        const slot_word *end = r->top ? *r->top : r->end;
        tracer_enter(tracer, GC_IN_RANGE, r->base);
        visit_slots(r->base, (size_t)(end - r->base), tracer);
    }
    for (size_t i = 0; i < set->callbacks.n; i++)
        call_back(set->callbacks.items[i], tracer);
}

/* ---- Handles ---- */

static void open_block_locked(struct handles *h, struct handle_block *b)
{
    LOCK_ASSERT_HELD(&h->lock);
    b->next_open = h->open;
    b->open_link = &h->open;
    if (h->open)
        h->open->open_link = &b->next_open;
    h->open = b;
}

static void close_block_locked(struct handles *h, struct handle_block *b)
{
    LOCK_ASSERT_HELD(&h->lock);
    *b->open_link = b->next_open;
    if (b->next_open)
        b->next_open->open_link = b->open_link;
}

static bool add_block_locked(struct handles *h)
{
    LOCK_ASSERT_HELD(&h->lock);
    struct handle_block *b = os_aligned_alloc(HANDLE_BLOCK_BYTES, HANDLE_BLOCK_BYTES);
    if (!b)
        return false;
    memset(b, 0, sizeof *b);
    b->handles = h;
    b->next = h->blocks;
    ptr_store_release(&h->blocks, b);
    h->count++;
    open_block_locked(h, b);
    return true;
}

static slot_word *take_slot_locked(struct handles *h)
{
    LOCK_ASSERT_HELD(&h->lock);
    struct handle_block *b = h->open;
    size_t i = 0;
    while (!~b->taken[i])
        i++;
    unsigned bit = bits_trailing_zeros(~b->taken[i]);
    word_store_relaxed(&b->taken[i], b->taken[i] | (word)1 << bit);
    if (++b->used == HANDLE_SLOTS)
        close_block_locked(h, b);
    return &b->slots[i * WORD_BITS + bit];
}

slot_word *handles_take(struct handles *h)
{
    slot_word *slot = NULL;
    lock_acquire(&h->lock);
    if (h->open || add_block_locked(h))
        slot = take_slot_locked(h);
    lock_release(&h->lock);
    return slot;
}

void handles_give(struct handles *h, slot_word *slot)
{
    struct handle_block *b = handle_block_of(slot);
    size_t i = (size_t)(slot - b->slots);
    lock_acquire(&h->lock);
    ASSERT(handle_is_taken(slot));
    if (b->used-- == HANDLE_SLOTS)
        open_block_locked(h, b);
    word *taken = &b->taken[i / WORD_BITS];
    word_store_relaxed(taken, *taken & ~((word)1 << i % WORD_BITS));
    lock_release(&h->lock);
}

/* I25. Drops the empty blocks, except for one, which a heap with few handles will use again. */
static void drop_empty_blocks(struct handles *h)
{
    bool keep = true;
    lock_acquire(&h->lock);
    for (struct handle_block **link = &h->blocks, *b; (b = *link) != NULL;) {
        if (b->used > 0 || keep) {
            keep &= b->used > 0;
            link = &b->next;
            continue;
        }
        *link = b->next;
        close_block_locked(h, b);
        h->count--;
        os_aligned_free(b);
    }
    lock_release(&h->lock);
}

static void visit_handles(struct handles *h, struct gc_tracer *tracer)
{
    drop_empty_blocks(h);
    tracer_enter(tracer, GC_IN_HANDLE, NULL);
    for (struct handle_block *b = ptr_load_acquire(&h->blocks); b; b = b->next)
        visit_slots(b->slots, HANDLE_SLOTS, tracer);
}

/* ---- Globals ---- */

void roots_init(struct roots *r)
{
    memset(r, 0, sizeof *r);
    lock_init(&r->lock, LOCK_ROOTS);
    lock_init(&r->handles.lock, LOCK_HANDLES);
}

int roots_add(struct roots *r, void *base, size_t n)
{
    lock_acquire(&r->lock);
    int error = roottable_add(&r->globals, base, n);
    lock_release(&r->lock);
    return error;
}

size_t roots_find(struct roots *r, const void *base)
{
    lock_acquire(&r->lock);
    size_t n = roottable_find(&r->globals, base);
    lock_release(&r->lock);
    return n;
}

bool roots_remove(struct roots *r, const void *base)
{
    lock_acquire(&r->lock);
    bool removed = roottable_remove(&r->globals, base);
    lock_release(&r->lock);
    return removed;
}

int roots_add_callback(struct roots *r, struct root_callback callback)
{
    lock_acquire(&r->lock);
    int error = rootset_add_callback(&r->callbacks, callback);
    lock_release(&r->lock);
    return error;
}

static bool is_same(struct root_callback a, struct root_callback b)
{
    return a.fn == b.fn && a.arg == b.arg;
}

static void await_end_locked(struct roots *r, struct root_callback callback)
{
    LOCK_ASSERT_HELD(&r->lock);
    while (is_same(r->running, callback)) {
        uint32_t done = u32_load_relaxed(&r->done);
        lock_release(&r->lock);
        stress(STRESS_CALLBACK_AWAITED);
        os_wait(&r->done, done, -1);
        lock_acquire(&r->lock);
    }
}

static int remove_callback_locked(struct roots *r, struct root_callback callback)
{
    LOCK_ASSERT_HELD(&r->lock);
    struct root_callbacks *list = &r->callbacks;
    size_t i = find_callback(list, callback);
    if (i == list->n)
        return -ENOENT;
    list->n--;
    memmove(&list->items[i], &list->items[i + 1], (list->n - i) * sizeof callback);
    list->items = trim(list->items, list->n, &list->capacity, sizeof callback);
    r->next -= i < r->next;
    return 0;
}

int roots_remove_callback(struct roots *r, struct root_callback callback, struct gc_tracer *tracer)
{
    lock_acquire(&r->lock);
    bool there = find_callback(&r->callbacks, callback) < r->callbacks.n;
    lock_release(&r->lock);
    int cancel = os_cancel_off();
    if (there && tracer)
        call_back(callback, tracer);
    os_cancel_restore(cancel);
    lock_acquire(&r->lock);
    await_end_locked(r, callback);
    int error = remove_callback_locked(r, callback);
    lock_release(&r->lock);
    return error;
}

/* Calls back without the lock: the callback may wait for a thread that wants it. */
static void run_callback_locked(struct roots *r, struct root_callback callback,
                                struct gc_tracer *tracer)
{
    LOCK_ASSERT_HELD(&r->lock);
    r->running = callback;
    lock_release(&r->lock);
    call_back(callback, tracer);
    lock_acquire(&r->lock);
    r->running = (struct root_callback){NULL, NULL};
    u32_fetch_add_relaxed(&r->done, 1);
    os_wake(&r->done, OS_WAKE_ALL);
}

static void visit_callbacks(struct roots *r, struct gc_tracer *tracer)
{
    lock_acquire(&r->lock);
    for (r->next = 0; r->next < r->callbacks.n;)
        run_callback_locked(r, r->callbacks.items[r->next++], tracer);
    lock_release(&r->lock);
}

/* ---- Marked callbacks ---- */

static struct root_callback marked_callback(gc_marked_fn fn, void *arg)
{
    return (struct root_callback){(gc_root_fn)(void (*)(void))fn, arg};
}

int roots_add_marked(struct roots *r, gc_marked_fn fn, void *arg)
{
    lock_acquire(&r->lock);
    int error = rootset_add_callback(&r->marked, marked_callback(fn, arg));
    lock_release(&r->lock);
    return error;
}

int roots_remove_marked(struct roots *r, gc_marked_fn fn, void *arg)
{
    lock_acquire(&r->lock);
    int error = rootset_remove_callback(&r->marked, marked_callback(fn, arg));
    lock_release(&r->lock);
    return error;
}

bool roots_any_marked(struct roots *r)
{
    lock_acquire(&r->lock);
    bool any = r->marked.n > 0;
    lock_release(&r->lock);
    return any;
}

void roots_call_marked(const struct roots *r, struct gc_tracer *tracer, bool decided)
{
    for (size_t i = 0; i < r->marked.n; i++) {
        struct root_callback c = r->marked.items[i];
        ((gc_marked_fn)(void (*)(void))c.fn)(c.arg, tracer, decided);
    }
}

/* ---- Visits ---- */

/* The most slots that are visited while gc_unroot() may have to wait. */
#define VISIT_SLOTS 512

static bool visit_some_locked(struct roots *r, struct gc_tracer *tracer)
{
    LOCK_ASSERT_HELD(&r->lock);
    slot_word *base;
    size_t n = 0;
    for (size_t room = VISIT_SLOTS; room > 0; room -= n) {
        n = roottable_visit_next(&r->globals, room, &base);
        if (n == 0)
            return false;
        tracer_enter(tracer, GC_IN_GLOBAL, base);
        visit_slots(base, n, tracer);
    }
    return true;
}

/* The slots belong to the embedder, which may free them as soon as they are unrooted. So they are
 * visited under the lock. */
static void visit_globals(struct roots *r, struct gc_tracer *tracer)
{
    bool more = true;
    lock_acquire(&r->lock);
    roottable_begin_visit(&r->globals);
    lock_release(&r->lock);
    while (more) {
        lock_acquire(&r->lock);
        more = visit_some_locked(r, tracer);
        lock_release(&r->lock);
    }
}

void roots_visit(struct roots *r, struct gc_tracer *tracer)
{
    tracer->source.thread = NULL;
    visit_callbacks(r, tracer);
    visit_globals(r, tracer);
    visit_handles(&r->handles, tracer);
}

void roots_each_global(struct roots *r, void (*fn)(void *arg, const slot_word *base, size_t n),
                       void *arg)
{
    lock_acquire(&r->lock);
    roottable_each(&r->globals, fn, arg);
    lock_release(&r->lock);
}

#define FEW_SLOTS 4096

bool roots_call_back(struct roots *r)
{
    lock_acquire(&r->lock);
    bool any = r->callbacks.n > 0;
    lock_release(&r->lock);
    return any;
}

bool roots_are_few(struct roots *r)
{
    lock_acquire(&r->lock);
    size_t n = r->globals.slots;
    lock_release(&r->lock);
    lock_acquire(&r->handles.lock);
    n += r->handles.count * HANDLE_SLOTS;
    lock_release(&r->handles.lock);
    return n <= FEW_SLOTS && !roots_call_back(r);
}

void roots_destroy(struct roots *r)
{
    roottable_free(&r->globals);
    free(r->callbacks.items);
    free(r->marked.items);
    while (r->handles.blocks) {
        struct handle_block *b = r->handles.blocks;
        r->handles.blocks = b->next;
        os_aligned_free(b);
    }
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->roots.lock);
    lock_seize(&heap->roots.handles.lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->roots.handles.lock);
    lock_free(&heap->roots.lock);
}

const struct fork_part root_fork = {ROOT_FORK_RANKS, .seize = seize, .release = release};
