/* Full collections of heaps that are all alive, one shape each: what marking costs per item (a
 * node, or a slot where the shape is about slots). With cpus=1 the process has one CPU.
 *
 *   tree      a binary tree as it was allocated: what a compiler or an interpreter leaves
 *   list      one list, linked in the order of its allocation
 *   shuffled  one list, linked in random order: each link is a cache miss that the next one waits
 *             for
 *   random    nodes with two random neighbours each, all reached over a cycle
 *   table     the same nodes, and a table that holds all of them in order
 *   strings   a hash table: chains of entries that refer to a key and a value without references
 *   arrays    arrays of arrays of small blocks
 *   mixed     pairs, strings, short vectors under a table, each referring to some that are older
 *   wide      objects with 30 random references each
 *   boxed     tables of value words: numbers, and references to strings of a common pool. Only
 *             gcheap is given boxed words; the others get plain references, and NULL for a number
 */
#include "nodes.h"

#include <stdlib.h>

enum { COLLECTIONS_MAX = 64 };

/* A random permutation of 0 … n-1 that is one cycle (Sattolo). Off the heap. */
static uint32_t *random_cycle(size_t n, struct random *r)
{
    uint32_t *next = malloc(n * sizeof *next);
    if (!next)
        fail("out of memory");
    for (size_t i = 0; i < n; i++)
        next[i] = (uint32_t)i;
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = random_below(r, i);
        uint32_t t = next[i];
        next[i] = next[j];
        next[j] = t;
    }
    return next;
}

/* ---- Nodes ---- */

static void *tree_make(size_t n)
{
    int depth = 0;
    while (((size_t)4 << depth) - 1 <= n)
        depth++;
    return tree_new(depth);
}

static uint64_t tree_check(void *root, size_t n)
{
    (void)n;
    return tree_count(root);
}

static void *list_make(size_t n)
{
    struct node *list = NULL, *fresh = NULL;
    BM_ROOTS(list, fresh);
    for (size_t i = 0; i < n; i++) {
        fresh = leaf_new();
        fresh->left = list;
        list = fresh;
    }
    return list;
}

static uint64_t list_check(void *root, size_t n)
{
    uint64_t count = 0;
    const struct node *at = root;
    for (size_t i = 0; i < n && at; i++, at = at->left)
        count += at->value;
    return count;
}

static void **leaves_new(size_t n)
{
    void **all = BM_POINTERS(n);
    BM_ROOTS(all);
    for (size_t i = 0; i < n; i++)
        BM_STORE(&all[i], leaf_new());
    return all;
}

/* Links the nodes as one cycle in random order; with `both`, also each one to a random other. */
static void link_nodes(void **all, size_t n, bool both)
{
    struct random r = {42};
    uint32_t *next = random_cycle(n, &r);
    for (size_t i = 0; i < n; i++) {
        struct node *at = all[i];
        BM_STORE(&at->left, all[next[i]]);
        if (both)
            BM_STORE(&at->right, all[random_below(&r, n)]);
        if (i % 1024 == 0)
            bm_poll();
    }
    free(next);
}

/* noinline: when these return, the table of all nodes is gone. */
static __attribute__((noinline)) void *shuffled_make(size_t n)
{
    void **all = leaves_new(n);
    BM_ROOTS(all);
    link_nodes(all, n, false);
    return all[0];
}

static __attribute__((noinline)) void *random_make(size_t n)
{
    void **all = leaves_new(n);
    BM_ROOTS(all);
    link_nodes(all, n, true);
    return all[0];
}

static void *table_make(size_t n)
{
    void **all = leaves_new(n);
    BM_ROOTS(all);
    link_nodes(all, n, true);
    return all;
}

static uint64_t table_check(void *root, size_t n)
{
    return list_check(*(void **)root, n);
}

/* ---- Strings ---- */

enum { PER_BUCKET = 2, STRING_MIN = 16, STRING_SPREAD = 32 };

struct entry {
    struct entry *next;
    unsigned char *key, *value;
    uint64_t hash;
};
BM_TYPE(entry_type, struct entry, next, key, value);

static unsigned char *string_new(struct random *r)
{
    size_t size = STRING_MIN + random_below(r, STRING_SPREAD);
    unsigned char *string = BM_BYTES(size);
    fill(string, size, (unsigned char)size);
    return string;
}

static void entry_add(struct entry **slot, struct random *r)
{
    unsigned char *key = NULL, *value = NULL;
    BM_ROOTS(key, value);
    key = string_new(r);
    value = string_new(r);
    struct entry *e = BM_NEW(struct entry, entry_type);
    e->next = *slot;
    e->key = key;
    e->value = value;
    e->hash = 0;
    BM_STORE(slot, e);
}

/* An item is an entry with its two strings. */
static void *strings_make(size_t n)
{
    struct random r = {7};
    struct entry **table = (struct entry **)BM_POINTERS(n / PER_BUCKET);
    BM_ROOTS(table);
    for (size_t i = 0; i < n; i++)
        entry_add(&table[random_below(&r, n / PER_BUCKET)], &r);
    return table;
}

static uint64_t strings_check(void *root, size_t n)
{
    uint64_t sum = 0;
    struct entry **table = root;
    for (size_t i = 0; i < n / PER_BUCKET; i++)
        for (const struct entry *e = table[i]; e; e = e->next)
            sum += (uint64_t)e->key[0] + e->value[0];
    return sum;
}

/* ---- Arrays ---- */

enum { ROW = 100 };

static void **row_new(void)
{
    void **row = BM_POINTERS(ROW);
    BM_ROOTS(row);
    for (size_t i = 0; i < ROW; i++) {
        uint64_t *number = BM_BYTES(16);
        number[0] = number[1] = i;
        BM_STORE(&row[i], number);
    }
    return row;
}

static void *arrays_make(size_t n)
{
    void **rows = BM_POINTERS(n / ROW);
    BM_ROOTS(rows);
    for (size_t i = 0; i < n / ROW; i++)
        BM_STORE(&rows[i], row_new());
    return rows;
}

static uint64_t arrays_check(void *root, size_t n)
{
    uint64_t sum = 0;
    void ***rows = root;
    for (size_t i = 0; i < n / ROW; i++)
        for (size_t j = 0; j < ROW; j++)
            sum += *(uint64_t *)rows[i][j];
    return sum;
}

/* An item's number says of which kind it is. */
enum { KINDS = 4, VECTOR_SPREAD = 8, NEAR = 1000 };

static void *older(void **all, size_t i, struct random *r)
{
    return i > 0 ? all[i - 1 - random_below(r, i < NEAR ? i : NEAR)] : NULL;
}

static void *vector_new(void **all, size_t i, struct random *r)
{
    size_t n = 1 + random_below(r, VECTOR_SPREAD);
    void **vector = BM_POINTERS(n);
    for (size_t j = 0; j < n; j++)
        vector[j] = older(all, i, r);
    return vector;
}

static void *mixed_new(void **all, size_t i, struct random *r)
{
    if (i % KINDS == 0)
        return string_new(r);
    if (i % KINDS == 1)
        return vector_new(all, i, r);
    struct node *n = leaf_new();
    n->left = older(all, i, r);
    n->right = older(all, i, r);
    return n;
}

static void *mixed_make(size_t n)
{
    struct random r = {11};
    void **all = BM_POINTERS(n);
    BM_ROOTS(all);
    for (size_t i = 0; i < n; i++)
        BM_STORE(&all[i], mixed_new(all, i, &r));
    return all;
}

static uint64_t mixed_check(void *root, size_t n)
{
    uint64_t sum = 0;
    void **all = root;
    for (size_t i = 2; i < n; i += KINDS)
        sum += ((struct node *)all[i])->value;
    return sum;
}

/* ---- Wide objects ---- */

enum { WIDTH = 30 };

static void *wide_new(void **all, size_t i, struct random *r)
{
    void **at = BM_POINTERS(WIDTH);
    for (size_t j = 0; j < WIDTH; j++)
        at[j] = i > 0 ? all[random_below(r, i)] : NULL;
    return at;
}

static void *wide_make(size_t n)
{
    struct random r = {13};
    size_t count = n / WIDTH;
    void **all = BM_POINTERS(count);
    BM_ROOTS(all);
    for (size_t i = 0; i < count; i++)
        BM_STORE(&all[i], wide_new(all, i, &r));
    return all;
}

static uint64_t wide_check(void *root, size_t n)
{
    uint64_t sum = 0;
    void ***all = root;
    for (size_t i = 0; i < n / WIDTH; i++)
        sum += all[i][0] != NULL;
    return sum;
}

/* ---- Boxed values ---- */

enum { VALUES = 50, POOL = 20000 };

static void *boxed_new(void **pool, struct random *r)
{
    uint64_t *table = (uint64_t *)BM_POINTERS(VALUES);
    for (size_t i = 0; i < VALUES; i++) {
        uint64_t dice = random_next(r);
        table[i] = dice % 2 ? BM_BOX(pool[(dice >> 32) % POOL]) : BM_BOX_NUMBER((double)i);
    }
    return table;
}

static void *boxed_make(size_t n)
{
    struct random r = {17};
    void **pool = NULL, **all = NULL;
    BM_ROOTS(pool, all);
    pool = BM_POINTERS(POOL);
    all = BM_POINTERS(n / VALUES);
    for (size_t i = 0; i < POOL; i++)
        BM_STORE(&pool[i], string_new(&r));
    for (size_t i = 0; i < n / VALUES; i++)
        BM_STORE(&all[i], boxed_new(pool, &r));
    return all;
}

static uint64_t boxed_check(void *root, size_t n)
{
    uint64_t sum = 0;
    uint64_t **all = root;
    for (size_t i = 0; i < n / VALUES; i++)
        for (size_t j = 0; j < VALUES; j++) {
            unsigned char *string = BM_UNBOX(all[i][j]);
            sum += string ? string[0] : 0;
        }
    return sum;
}

/* ---- All of them ---- */

static const struct shape {
    const char *name;
    void *(*make)(size_t n);
    uint64_t (*check)(void *root, size_t n);
} shapes[] = {
    {"tree", tree_make, tree_check},         {"list", list_make, list_check},
    {"shuffled", shuffled_make, list_check}, {"random", random_make, list_check},
    {"table", table_make, table_check},      {"strings", strings_make, strings_check},
    {"arrays", arrays_make, arrays_check},   {"mixed", mixed_make, mixed_check},
    {"wide", wide_make, wide_check},         {"boxed", boxed_make, boxed_check},
};

static const struct shape *shape_of(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!strcmp(shapes[i].name, name))
            return &shapes[i];
    fail("no such shape");
}

static void time_collections(int n, size_t items)
{
    double wall[COLLECTIONS_MAX], cpu[COLLECTIONS_MAX];
    for (int i = 0; i < n; i++) {
        uint64_t t0 = now_ns(), cpu0 = cpu_ns();
        bm_collect();
        cpu[i] = (double)(cpu_ns() - cpu0) / (double)items;
        wall[i] = (double)(now_ns() - t0) / (double)items;
    }
    result("time", median(wall, n), "ns/item");
    result("cpu", median(cpu, n), "ns/item");
}

void run_graphs(void)
{
    void *root = NULL;
    if (!BM_COLLECTS)
        fail("nothing is collected here");
    const struct shape *shape = shape_of(parameter_name("shape", "table"));
    size_t n = (size_t)parameter("items", 4 * 1000 * 1000);
    int collections = (int)parameter("collections", 5);
    if (collections < 1 || collections > COLLECTIONS_MAX)
        fail("1 to 64 collections");
    if (parameter("cpus", 2) > 1)
        bm_mark_in_parallel();
    if (!strcmp(shape->name, "boxed"))
        bm_box_values();
    BM_ROOTS(root);
    root = shape->make(n);
    bm_collect();
    time_collections(collections, n);
    check(shape->check(root, n));
}
