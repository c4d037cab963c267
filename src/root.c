#include "root.h"
#include <errno.h>

/* ---- Root sets ---- */

void rootset_free(struct rootset *set)
{
    free(set->ranges.items);
    free(set->callbacks.items);
    memset(set, 0, sizeof *set);
}

/* Room for one more item of `size` bytes. */
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
    return 0;
}

static void visit_slots(const slot_word *base, size_t n, struct gc_tracer *tracer)
{
    for (size_t i = 0; i < n; i++) {
        word value = slot_load_acquire(&base[i]);
        if (value)
            tracer->value(tracer, value);
    }
}

static void visit_frame(const struct gc_frame *frame, struct gc_tracer *tracer)
{
    if (!frame->slots) {
        visit_slots(frame->base, frame->n, tracer);
        return;
    }
    for (size_t i = 0; i < frame->n; i++)
        visit_slots(frame->slots[i], 1, tracer);
}

void rootset_visit(const struct rootset *set, const struct gc_frame *frames,
                   struct gc_tracer *tracer)
{
    for (; frames; frames = frames->prev)
        visit_frame(frames, tracer);
    for (size_t i = 0; i < set->ranges.n; i++) {
        const struct root_range *r = &set->ranges.items[i];
        const slot_word *end = r->top ? *r->top : r->end;
        visit_slots(r->base, (size_t)(end - r->base), tracer);
    }
    for (size_t i = 0; i < set->callbacks.n; i++)
        set->callbacks.items[i].fn(set->callbacks.items[i].arg, tracer);
}

/* Between the locals of a C stack lies what AddressSanitizer has poisoned; and who is blocked may
 * go on writing its own, of which any value will do. */
__attribute__((no_sanitize("address", "thread"))) void
root_visit_words(uintptr_t low, uintptr_t high, struct gc_tracer *tracer)
{
    for (uintptr_t at = align_up(low, WORD_SIZE); at + WORD_SIZE <= high; at += WORD_SIZE) {
        word value = *(volatile slot_word *)at;
        if (value)
            tracer->stale(tracer, value);
    }
}

/* ---- Handles ---- */

static bool add_handle_block_locked(struct handles *h)
{
    LOCK_ASSERT_HELD(&h->lock);
    size_t capacity = h->capacity + HANDLE_BLOCK;
    slot_word **stack = realloc(h->free, capacity * sizeof *stack);
    if (!stack)
        return false;
    h->free = stack;
    struct handle_block *block = calloc(1, sizeof *block);
    if (!block)
        return false;
    h->capacity = capacity;
    for (size_t i = HANDLE_BLOCK; i > 0; i--)
        h->free[h->nfree++] = &block->slots[i - 1];
    block->next = h->blocks;
    ptr_store_release(&h->blocks, block);
    return true;
}

slot_word *handles_take(struct handles *h)
{
    slot_word *slot = NULL;
    lock_acquire(&h->lock);
    if (h->nfree > 0 || add_handle_block_locked(h)) {
        slot = h->free[--h->nfree];
        h->used++;
    }
    lock_release(&h->lock);
    return slot;
}

void handles_give(struct handles *h, slot_word *slot)
{
    lock_acquire(&h->lock);
    h->free[h->nfree++] = slot;
    h->used--;
    lock_release(&h->lock);
}

static void visit_handles(struct handles *h, struct gc_tracer *tracer)
{
    for (struct handle_block *b = ptr_load_acquire(&h->blocks); b; b = b->next)
        visit_slots(b->slots, HANDLE_BLOCK, tracer);
}

/* ---- Globals ---- */

void roots_init(struct roots *r)
{
    memset(r, 0, sizeof *r);
    lock_init(&r->lock, LOCK_ROOTS);
    lock_init(&r->handles.lock, LOCK_HANDLES);
}

static unsigned long hash_address(const void *p)
{
    return (unsigned long)((uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15u >> 20);
}

static struct root_node *node_of(struct cds_lfht_node *node)
{
    return CONTAINER_OF(node, struct root_node, node);
}

static int match_node(struct cds_lfht_node *node, const void *base)
{
    return CONTAINER_OF(node, struct root_node, node)->base == base;
}

#define TABLE_BUCKETS 64

static bool table_make_locked(struct roots *r)
{
    if (!r->table) {
        /* No automatic resizing: it would start a thread of liburcu's. */
        r->table = cds_lfht_new_flavor(TABLE_BUCKETS, TABLE_BUCKETS, 0, 0, &urcu_bp_flavor, NULL);
        r->buckets = TABLE_BUCKETS;
    }
    return r->table != NULL;
}

static void table_grow_locked(struct roots *r)
{
    if (++r->count <= 2 * r->buckets)
        return;
    r->buckets *= 4;
    cds_lfht_resize(r->table, r->buckets);
}

int roots_add(struct roots *r, void *base, size_t n)
{
    struct root_node *node = calloc(1, sizeof *node);
    if (!node)
        return -ENOMEM;
    cds_lfht_node_init(&node->node);
    node->base = base;
    node->n = n;
    RCU_PUBLISHED(node);
    int error = -ENOMEM;
    lock_acquire(&r->lock);
    if (table_make_locked(r)) {
        urcu_bp_read_lock();
        struct cds_lfht_node *there =
            cds_lfht_add_unique(r->table, hash_address(base), match_node, base, &node->node);
        urcu_bp_read_unlock();
        error = there == &node->node ? 0 : -EEXIST;
        if (!error) {
            r->slots += n;
            table_grow_locked(r);
        }
    }
    lock_release(&r->lock);
    if (error)
        free(node);
    return error;
}

static struct root_node *lookup_locked(struct roots *r, void *base)
{
    struct cds_lfht_iter iter;
    LOCK_ASSERT_HELD(&r->lock);
    if (!r->table)
        return NULL;
    urcu_bp_read_lock();
    cds_lfht_lookup(r->table, hash_address(base), match_node, base, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    urcu_bp_read_unlock();
    return node ? node_of(node) : NULL;
}

bool roots_find(struct roots *r, void *base, size_t *n)
{
    lock_acquire(&r->lock);
    const struct root_node *node = lookup_locked(r, base);
    if (node)
        *n = node->n;
    lock_release(&r->lock);
    return node != NULL;
}

bool roots_remove(struct roots *r, void *base)
{
    lock_acquire(&r->lock);
    struct root_node *node = lookup_locked(r, base);
    if (node) {
        urcu_bp_read_lock();
        cds_lfht_del(r->table, &node->node);
        urcu_bp_read_unlock();
        node->removed = true;
        node->next_retired = r->retired;
        r->retired = node;
        r->count--;
    }
    lock_release(&r->lock);
    return node != NULL;
}

int roots_add_callback(struct roots *r, struct root_callback callback)
{
    lock_acquire(&r->lock);
    int error = rootset_add_callback(&r->callbacks, callback);
    lock_release(&r->lock);
    return error;
}

int roots_remove_callback(struct roots *r, struct root_callback callback, struct gc_tracer *tracer)
{
    lock_acquire(&r->lock);
    int error = rootset_remove_callback(&r->callbacks, callback);
    if (!error && tracer)
        callback.fn(callback.arg, tracer);
    lock_release(&r->lock);
    return error;
}

/* Slots that are visited while gc_unroot() may have to wait. */
#define VISIT_SLOTS 512

/* The slots are the embedder's, who may free them as soon as they are unrooted: they are visited
 * under the lock. */
static void visit_node(struct roots *r, const struct root_node *root, struct gc_tracer *tracer)
{
    size_t n = 1;
    for (size_t done = 0; n > 0; done += n) {
        lock_acquire(&r->lock);
        n = root->removed ? 0 : MIN_OF(root->n - done, (size_t)VISIT_SLOTS);
        visit_slots(&root->base[done], n, tracer);
        lock_release(&r->lock);
    }
}

/* The nodes are gathered first: no lock is waited for in a read section. Only the collector frees
 * nodes, and not now. */
static void visit_table(struct roots *r, struct gc_tracer *tracer)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *at;
    struct root_node *all = NULL;
    urcu_bp_read_lock();
    cds_lfht_for_each(r->table, &iter, at)
    {
        struct root_node *node = node_of(at);
        RCU_FOUND(node);
        node->next_visited = all;
        all = node;
    }
    urcu_bp_read_unlock();
    for (; all; all = all->next_visited)
        visit_node(r, all, tracer);
}

void roots_visit(struct roots *r, struct gc_tracer *tracer)
{
    lock_acquire(&r->lock);
    for (size_t i = 0; i < r->callbacks.n; i++)
        r->callbacks.items[i].fn(r->callbacks.items[i].arg, tracer);
    struct cds_lfht *table = r->table;
    lock_release(&r->lock);
    if (table)
        visit_table(r, tracer);
    visit_handles(&r->handles, tracer);
}

#define FEW_SLOTS 4096

bool roots_are_few(struct roots *r)
{
    lock_acquire(&r->lock);
    size_t n = r->slots;
    bool any = r->callbacks.n > 0;
    lock_release(&r->lock);
    lock_acquire(&r->handles.lock);
    n += r->handles.capacity;
    lock_release(&r->handles.lock);
    return !any && n <= FEW_SLOTS;
}

static void free_nodes(struct root_node *list)
{
    while (list) {
        struct root_node *next = list->next_retired;
        free(list);
        list = next;
    }
}

void roots_free_retired(struct roots *r)
{
    lock_acquire(&r->lock);
    struct root_node *list = r->retired;
    r->retired = NULL;
    for (const struct root_node *node = list; node; node = node->next_retired)
        r->slots -= node->n;
    lock_release(&r->lock);
    if (list)
        urcu_bp_synchronize_rcu();
    free_nodes(list);
}

static void destroy_table(struct cds_lfht *table)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *at;
    struct root_node *all = NULL;
    urcu_bp_read_lock();
    cds_lfht_for_each(table, &iter, at)
    {
        struct root_node *root = node_of(at);
        cds_lfht_del(table, at);
        root->next_retired = all;
        all = root;
    }
    urcu_bp_read_unlock();
    urcu_bp_synchronize_rcu();
    free_nodes(all);
    cds_lfht_destroy(table, NULL);
}

void roots_destroy(struct roots *r)
{
    roots_free_retired(r);
    if (r->table)
        destroy_table(r->table);
    free(r->callbacks.items);
    while (r->handles.blocks) {
        struct handle_block *b = r->handles.blocks;
        r->handles.blocks = b->next;
        free(b);
    }
    free(r->handles.free);
}
