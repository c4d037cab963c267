/* Hash maps that keep the order of insertion.
 *
 * A table has its entries in the order they came and, if there are more than a few, an index by
 * hash. An entry's key never changes in a table, but for becoming DELETED; an entry is complete
 * before the index or `used` tells of it. So readers need no lock: each key they find is whole.
 * Writers exclude each other by map->lock, as soon as there is a second thread. Nobody allocates
 * with the lock held; a table that has to grow is copied and changed for the old one under it.
 */
#include "vm.h"

#include <sched.h>

#define SMALL 8 /* entries that are searched without an index */

/* ---- Keys ---------------------------------------------------------------------------------- */

bool value_equal(value a, value b)
{
    if (is_number(a) && is_number(b))
        return as_number(a) == as_number(b);
    if (a == b)
        return true;
    return is_string(a) && is_string(b) && string_equal(as_object(a), as_object(b));
}

/* The lower bits of small integers, as doubles, are all zero. */
static uint32_t hash_word(uint64_t word)
{
    word = (word ^ word >> 32) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(word >> 32);
}

static uint32_t hash_value(value key)
{
    if (!is_string(key))
        return hash_word(key);
    return string_hash(as_object(key));
}

/* Minus zero is zero. */
static value normal_key(value key)
{
    return is_number(key) && as_number(key) == 0 ? from_double(0) : key;
}

/* Keys that are equal only if they are the same word. */
static bool is_identity_key(value key)
{
    return !is_string(key) || ((struct string *)as_object(key))->length <= INTERN_MAX;
}

/* ---- Tables -------------------------------------------------------------------------------- */

static GC_TYPE(table_head, struct table, index);

static struct table *new_table(struct thread *t, uint32_t capacity)
{
    struct table *table =
        check_memory(t, gc_new_flex(&table_head, &gc_word_type, 2 * (size_t)capacity));
    table->capacity = capacity;
    if (capacity <= SMALL)
        return table;
    GC_FRAME(table);
    uint32_t slots = 16;
    while (slots / 4 * 3 < capacity)
        slots *= 2;
    uint32_t *index = new_bytes(t, slots * sizeof index[0]);
    table->mask = slots - 1;
    gc_store(&table->index, index);
    return table;
}

static bool key_matches(value have, value key, bool identity)
{
    if (have == key)
        return true;
    return !identity && is_string(have) && string_equal(as_object(have), as_object(key));
}

/* The entry with that key, or NULL. */
static value *table_find(struct table *table, value key, uint32_t hash)
{
    bool identity = is_identity_key(key);
    if (!table->index) {
        uint32_t used = __atomic_load_n(&table->used, __ATOMIC_ACQUIRE);
        for (uint32_t i = 0; i < used; i++)
            if (key_matches(gc_load_value(&table->entries[2 * i]), key, identity))
                return &table->entries[2 * i];
        return NULL;
    }
    for (uint32_t i = hash & table->mask;; i = (i + 1) & table->mask) {
        uint32_t number = __atomic_load_n(&table->index[i], __ATOMIC_ACQUIRE);
        if (!number)
            return NULL;
        value *entry = &table->entries[2 * (size_t)(number - 1)];
        if (key_matches(gc_load_value(entry), key, identity))
            return entry;
    }
}

/* Appends an entry; there is room. The table may be in use by readers. */
static void table_append(struct table *table, value key, value v, uint32_t hash)
{
    uint32_t number = table->used;
    value *entry = &table->entries[2 * (size_t)number];
    gc_store_value(&entry[1], v);
    gc_store_value(&entry[0], key);
    if (table->index) {
        uint32_t i = hash & table->mask;
        while (table->index[i])
            i = (i + 1) & table->mask;
        __atomic_store_n(&table->index[i], number + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&table->live, table->live + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&table->used, number + 1, __ATOMIC_RELEASE);
}

/* Copies the live entries of one table, or as many as there is room for. Both are rooted. */
static void table_copy(struct table *to, const struct table *from)
{
    uint32_t used = __atomic_load_n(&from->used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used && to->used < to->capacity; i++) {
        if (i % 4096 == 4095)
            gc_safepoint();
        value key = gc_load_value(&from->entries[2 * (size_t)i]);
        if (key != DELETED)
            table_append(to, key, gc_load_value(&from->entries[2 * (size_t)i + 1]),
                         hash_value(key));
    }
}

/* ---- Locking ------------------------------------------------------------------------------- */

static bool map_lock(struct map *map)
{
    if (!vm_is_threaded())
        return false;
    while (__atomic_exchange_n(&map->lock, 1, __ATOMIC_ACQUIRE)) {
        /* The holder makes no system call and never waits: it is done soon, or has no CPU. */
        gc_blocking_begin();
        sched_yield();
        gc_blocking_end();
    }
    return true;
}

static void map_unlock(struct map *map, bool locked)
{
    if (locked)
        __atomic_store_n(&map->lock, 0, __ATOMIC_RELEASE);
}

static uint32_t grown_capacity(struct thread *t, const struct table *table)
{
    uint32_t live = table ? __atomic_load_n(&table->live, __ATOMIC_RELAXED) : 0;
    if (live >= UINT32_MAX / 8)
        throw_error(t, ERROR_MemoryError, "a map has more than 2^29 entries");
    if (live < 4)
        return 4;
    return live < SMALL ? SMALL : live + live / 2 + 8;
}

/* ---- Maps ---------------------------------------------------------------------------------- */

struct map *new_map(struct thread *t)
{
    return NEW(t, &map_type, KIND_MAP);
}

value map_get(const struct map *map, value key, bool *found)
{
    struct table *table = gc_load(&map->table);
    value v = DELETED;
    if (table) {
        key = normal_key(key);
        value *entry = table_find(table, key, table->index ? hash_value(key) : 0);
        if (entry)
            v = gc_load_value(&entry[1]);
    }
    if (found)
        *found = v != DELETED;
    return v == DELETED ? NIL : v;
}

/* What a locked attempt to set a key came to. */
enum outcome { OUTCOME_SET, OUTCOME_PRESENT, OUTCOME_FULL };

static enum outcome try_set(struct map *map, value key, value *v, bool replace, uint32_t hash)
{
    struct table *table = gc_load(&map->table);
    value *entry = table ? table_find(table, key, hash) : NULL;
    if (entry && !replace) {
        *v = gc_load_value(&entry[1]);
        return OUTCOME_PRESENT;
    }
    if (entry) {
        gc_store_value(&entry[1], *v);
        return OUTCOME_SET;
    }
    if (!table || table->used == table->capacity)
        return OUTCOME_FULL;
    table_append(table, key, *v, hash);
    return OUTCOME_SET;
}

/* Makes room for one more. The new table is filled under the lock, so that no entry is lost. */
static void map_grow(struct thread *t, struct map *map)
{
    struct table *old = gc_load(&map->table);
    struct table *grown = NULL;
    GC_FRAME(old, grown);
    grown = new_table(t, grown_capacity(t, old));
    bool locked = map_lock(map);
    if (gc_load(&map->table) == old && (!old || old->live < grown->capacity)) {
        if (old)
            table_copy(grown, old);
        gc_store(&map->table, grown);
    }
    map_unlock(map, locked);
}

static value map_put(struct thread *t, struct map *map, value key, value v, bool replace)
{
    if (is_number(key) && as_number(key) != as_number(key))
        throw_error(t, ERROR_ValueError, "nan cannot be a key");
    key = normal_key(key);
    uint32_t hash = hash_value(key);
    for (;;) {
        bool locked = map_lock(map);
        enum outcome outcome = try_set(map, key, &v, replace, hash);
        map_unlock(map, locked);
        if (outcome != OUTCOME_FULL)
            return v;
        GC_FRAME(map, key, v);
        map_grow(t, map);
    }
}

void map_set(struct thread *t, struct map *map, value key, value v)
{
    map_put(t, map, key, v, true);
}

value map_set_default(struct thread *t, struct map *map, value key, value v)
{
    return map_put(t, map, key, v, false);
}

bool map_delete(struct map *map, value key, value *old)
{
    key = normal_key(key);
    bool locked = map_lock(map);
    struct table *table = gc_load(&map->table);
    value *entry = table ? table_find(table, key, hash_value(key)) : NULL;
    if (entry) {
        *old = gc_load_value(&entry[1]);
        gc_store_value(&entry[1], DELETED);
        gc_store_value(&entry[0], DELETED);
        __atomic_store_n(&table->live, table->live - 1, __ATOMIC_RELAXED);
    }
    map_unlock(map, locked);
    return entry != NULL;
}

void map_clear(struct map *map)
{
    bool locked = map_lock(map);
    gc_store(&map->table, NULL);
    map_unlock(map, locked);
}

uint32_t map_count(const struct map *map)
{
    struct table *table = gc_load(&map->table);
    return table ? __atomic_load_n(&table->live, __ATOMIC_RELAXED) : 0;
}

bool map_next(const struct map *map, uint32_t *position, value *key, value *v)
{
    struct table *table = gc_load(&map->table);
    uint32_t used = table ? __atomic_load_n(&table->used, __ATOMIC_ACQUIRE) : 0;
    while (*position < used) {
        uint32_t i = (*position)++;
        *key = gc_load_value(&table->entries[2 * (size_t)i]);
        *v = gc_load_value(&table->entries[2 * (size_t)i + 1]);
        if (*key != DELETED && *v != DELETED)
            return true;
    }
    return false;
}
