/* Short strings that are looked up by content, and made where there are none: what a virtual
 * machine does with names and with the strings that a program computes.
 *   hit   one of `names` strings that live, looked up by its bytes
 *   miss  a new string: the failed look-up, the object, its entry; and its death, as only the last
 *         4096 are kept
 * The mallocs use a table as a VM has its own: open addressing, removal by hand. Boehm's collector
 * has the same table with disappearing links. */
#include "../harness.h"

#include <stdlib.h>

enum { WINDOW = 4096, KEY_MAX = 16 };

struct string {
    uint64_t hash;
    size_t length;
    char bytes[];
};

struct key {
    char bytes[KEY_MAX];
    size_t length;
};

/* FNV-1a. */
static uint64_t hash_of(const void *bytes, size_t length)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = bytes; length--; p++)
        h = (h ^ *p) * 0x100000001b3u;
    return h;
}

static bool is_equal(const void *string, const void *bytes, size_t length)
{
    const struct string *s = string;
    return s->length == length && memcmp(s->bytes, bytes, length) == 0;
}

static void *string_fill(struct string *s, const void *bytes, size_t length, uint64_t hash)
{
    s->hash = hash;
    s->length = length;
    memcpy(s->bytes, bytes, length);
    return s;
}

#if defined(BENCH_GCHEAP)

static gc_intern *strings;

static void *string_make(const void *bytes, size_t length, void *arg)
{
    (void)arg;
    return string_fill(gc_new_bytes_raw(sizeof(struct string) + length), bytes, length, 0);
}

static void table_new(void)
{
    strings = gc_intern_new(&(struct gc_intern_ops){hash_of, is_equal, string_make});
}

static inline struct string *intern(const struct key *k)
{
    return gc_intern_get(strings, k->bytes, k->length, NULL);
}

static inline void drop(struct string *s)
{
    (void)s;
}

#else

/* Linear probing. A slot without a string is free, or its string has died and its hash stays. */
static struct {
    struct string **slots;
    uint64_t *hashes; /* 0: the slot was never used */
    size_t size, used;
} table;

#if defined(BENCH_BOEHM)

/* Neither array keeps what it refers to alive. */
static void *array_new(size_t n)
{
    return memset(GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(n * sizeof(void *)), 0, n * sizeof(void *));
}

static void slot_set(size_t i, struct string *s)
{
    table.slots[i] = s;
    GC_general_register_disappearing_link((void **)&table.slots[i], s);
}

static void slot_move(struct string **from, size_t to)
{
    table.slots[to] = *from;
    GC_move_disappearing_link((void **)from, (void **)&table.slots[to]);
}

static inline void drop(struct string *s)
{
    (void)s;
}

#else

static void *array_new(size_t n)
{
    return calloc(n, sizeof(void *));
}

static void slot_set(size_t i, struct string *s)
{
    table.slots[i] = s;
}

static void slot_move(struct string **from, size_t to)
{
    table.slots[to] = *from;
}

/* Takes the string out. What lies behind it moves forward, so there are no marks of the dead. */
static void drop(struct string *s)
{
    size_t mask = table.size - 1, i;
    if (!s)
        return;
    for (i = s->hash & mask; table.slots[i] != s; i = (i + 1) & mask)
        ;
    free(s);
    for (size_t j = (i + 1) & mask; table.slots[j]; j = (j + 1) & mask) {
        if (((j - table.hashes[j]) & mask) < ((j - i) & mask))
            continue;
        table.slots[i] = table.slots[j];
        table.hashes[i] = table.hashes[j];
        i = j;
    }
    table.slots[i] = NULL;
    table.hashes[i] = 0;
    table.used--;
}

#endif

static void table_new(void)
{
    BM_ROOT_GLOBALS(&table.slots, 2);
    table.size = 1024;
    table.slots = array_new(table.size);
    table.hashes = array_new(table.size);
}

static size_t free_slot(uint64_t hash)
{
    size_t mask = table.size - 1, i = hash & mask;
    while (table.hashes[i])
        i = (i + 1) & mask;
    table.hashes[i] = hash;
    table.used++;
    return i;
}

static void rebuild(void)
{
    struct string **old = table.slots;
    uint64_t *hashes = table.hashes;
    size_t n = table.size, live = 0;
    for (size_t i = 0; i < n; i++)
        live += old[i] != NULL;
    table.size = live > n / 3 ? 2 * n : n;
    table.slots = array_new(table.size);
    table.hashes = array_new(table.size);
    table.used = 0;
    for (size_t i = 0; i < n; i++)
        if (old[i])
            slot_move(&old[i], free_slot(hashes[i]));
    BM_FREE(old);
    BM_FREE(hashes);
}

static inline struct string *intern(const struct key *k)
{
    uint64_t hash = hash_of(k->bytes, k->length) | 1;
    size_t mask = table.size - 1;
    for (size_t i = hash & mask; table.hashes[i]; i = (i + 1) & mask) {
        struct string *s = table.slots[i];
        if (table.hashes[i] == hash && s && is_equal(s, k->bytes, k->length))
            return s;
    }
    struct string *s = BM_BYTES(sizeof *s + k->length);
    string_fill(s, k->bytes, k->length, hash);
    if (4 * table.used >= 3 * table.size)
        rebuild();
    slot_set(free_slot(hash), s);
    return s;
}

#endif

/* A letter and eight hexadecimal digits. */
static void key_set(struct key *k, char letter, uint32_t number)
{
    k->length = 9;
    k->bytes[0] = letter;
    for (int i = 8; i > 0; i--, number >>= 4)
        k->bytes[i] = "0123456789abcdef"[number & 15];
}

static uint64_t time_hits(const struct key *keys, struct string **kept, size_t names, size_t hits)
{
    struct random r = {7};
    uint64_t t0 = now_ns(), wrong = 0;
    for (size_t i = 0; i < hits; i++) {
        size_t which = random_below(&r, names);
        wrong += intern(&keys[which]) != kept[which];
        if (i % 64 == 0)
            bm_poll();
    }
    result("hit", since(t0) * 1e9 / (double)hits, "ns");
    return wrong;
}

static uint64_t time_misses(size_t misses)
{
    struct string *window[WINDOW] = {0};
    uint64_t sum = 0;
    BM_ROOT_ARRAY(window, WINDOW);
    uint64_t t0 = now_ns(), cpu0 = cpu_ns();
    for (size_t i = 0; i < misses; i++) {
        struct key key;
        key_set(&key, 'm', (uint32_t)i);
        struct string *s = intern(&key);
        drop(window[i % WINDOW]);
        window[i % WINDOW] = s;
        sum += (unsigned char)s->bytes[8];
    }
    result("miss", since(t0) * 1e9 / (double)misses, "ns");
    result("miss_cpu", (double)(cpu_ns() - cpu0) / (double)misses, "ns");
    return sum;
}

void run_intern(void)
{
    size_t names = (size_t)parameter("names", 5000), hits = (size_t)parameter("hits", 10000000),
           misses = (size_t)parameter("misses", 5000000);
    struct string **kept = NULL;
    struct key *keys = malloc(names * sizeof *keys);
    BM_ROOTS(kept);
    table_new();
    kept = (struct string **)BM_POINTERS(names);
    for (size_t i = 0; i < names; i++) {
        key_set(&keys[i], 'n', (uint32_t)i);
        BM_STORE(&kept[i], intern(&keys[i]));
    }
    bm_collect();
    uint64_t wrong = time_hits(keys, kept, names, hits);
    check(time_misses(misses) + wrong);
    free(keys);
}
