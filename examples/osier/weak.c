/* Weak references, weak maps and weak sets, and the cleanups that free what objects own off the
 * heap. */
#include "vm.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- Cleanups ------------------------------------------------------------------------------ */

/* What is to be done after an object, or at the end of the program if the object lives so long. */
struct cleanup {
    struct cleanup *next, *previous;
    gc_cleanup_fn fn;
    void *arg;
    bool done;
};

/* All of them, under the lock. Those of dead objects are run by a thread of the heap's. */
static struct cleanup cleanups = {&cleanups, &cleanups, NULL, NULL, true};
static pthread_mutex_t cleanups_lock = PTHREAD_MUTEX_INITIALIZER;
static bool cleanups_closed;

static void lock_cleanups(void)
{
    if (pthread_mutex_trylock(&cleanups_lock) == 0)
        return;
    gc_blocking_begin();
    pthread_mutex_lock(&cleanups_lock);
    gc_blocking_end();
}

static void cleanup_unlink(struct cleanup *cleanup)
{
    cleanup->next->previous = cleanup->previous;
    cleanup->previous->next = cleanup->next;
    free(cleanup);
}

static void cleanup_run(void *arg)
{
    struct cleanup *cleanup = arg;
    lock_cleanups();
    bool mine = !cleanup->done;
    cleanup->done = true;
    pthread_mutex_unlock(&cleanups_lock);
    if (!mine)
        return;
    cleanup->fn(cleanup->arg);
    lock_cleanups();
    if (!cleanups_closed)
        cleanup_unlink(cleanup);
    pthread_mutex_unlock(&cleanups_lock);
}

void add_cleanup(struct thread *t, void *object, gc_cleanup_fn fn, void *arg)
{
    struct cleanup *cleanup = malloc(sizeof *cleanup);
    if (!cleanup || gc_cleanup_add(object, cleanup_run, cleanup) < 0) {
        free(cleanup);
        fn(arg);
        throw_memory(t);
    }
    lock_cleanups();
    *cleanup = (struct cleanup){cleanups.next, &cleanups, fn, arg, false};
    cleanups.next->previous = cleanup;
    cleanups.next = cleanup;
    pthread_mutex_unlock(&cleanups_lock);
}

/* Runs what is left, while the heap still exists. */
void cleanups_close(void)
{
    lock_cleanups();
    cleanups_closed = true;
    for (struct cleanup *c = cleanups.next; c != &cleanups; c = c->next) {
        if (!c->done)
            c->fn(c->arg);
        c->done = true;
    }
    pthread_mutex_unlock(&cleanups_lock);
}

/* Gives their memory back, when the heap is gone. */
void cleanups_free(void)
{
    while (cleanups.next != &cleanups)
        cleanup_unlink(cleanups.next);
}

static void *weak_target(struct thread *t, value v)
{
    if (!is_object(v) || is_string(v))
        throw_error(t, ERROR_TypeError, "%s cannot be held weakly", class_name_of(v));
    return as_object(v);
}

/* ---- Weak ---------------------------------------------------------------------------------- */

static void trace_weak(void *object, gc_tracer *tracer)
{
    gc_trace_weak(tracer, &((struct weak *)object)->target, 1, sizeof(void *), NULL);
}
gc_type weak_type = {.size = sizeof(struct weak), .name = "struct weak", .trace = trace_weak};

static value weak_new(struct thread *t, value *args, int n)
{
    (void)n;
    void *target = weak_target(t, args[1]);
    struct weak *self = NEW(t, &weak_type, KIND_WEAK);
    gc_store_weak(&self->target, target);
    return from_object(self);
}

/* The object, or nil when it is gone. */
static value weak_get(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    void *target = gc_load_weak(&((struct weak *)as_object(args[0]))->target);
    return target ? from_object(target) : NIL;
}

/* ---- Tables of pairs ----------------------------------------------------------------------- */

/* In the slot of a key or member that is gone: others may lie behind it. */
#define GONE ((void *)1)
#define ROOM_MIN 4

/* The object that a weak slot holds, if it lives. */
static void *held_by(void **slot)
{
    void *object = gc_load_weak(slot);
    return object == GONE ? NULL : object;
}

static void trace_pairs(void *object, gc_tracer *tracer)
{
    struct weak_table *table = object;
    gc_trace_ephemerons(tracer, table->pairs, table->room, sizeof(struct weak_pair), GONE);
}
static gc_type table_type = {
    .size = sizeof(struct weak_table), .name = "struct weak_table", .trace = trace_pairs};
static GC_TYPE_NOPTR(pair_type, struct weak_pair); /* trace_pairs names its words */

static struct weak_table *new_table(struct thread *t, size_t room)
{
    struct weak_table *table = check_memory(t, gc_new_flex(&table_type, &pair_type, room));
    table->room = room;
    return table;
}

static size_t hash_address(const void *p)
{
    return (size_t)((uintptr_t)p * 0x9E3779B9u >> 8);
}

static bool has_room(size_t room, size_t used)
{
    return used + 1 < room - room / 4;
}

static size_t room_for(size_t live)
{
    size_t room = ROOM_MIN;
    while (room < 2 * live + 2)
        room *= 2;
    return room;
}

/* The pair with that key, or else one where it can be put. A pair whose key has died is neither,
 * until the collector has been there. */
static struct weak_pair *find_pair(struct weak_table *table, const void *key)
{
    size_t mask = table->room - 1, i = hash_address(key) & mask;
    struct weak_pair *unused = NULL;
    for (;; i = (i + 1) & mask) {
        struct weak_pair *pair = &table->pairs[i];
        const void *k = gc_load(&pair->key);
        if (k == key)
            return pair;
        if (!k)
            return unused ? unused : pair;
        if (k == GONE && !unused)
            unused = pair;
    }
}

static bool has_key(const struct weak_pair *pair, const void *key)
{
    return gc_load(&pair->key) == key;
}

static void put_pair(struct weak_table *table, void *key, void *v)
{
    struct weak_pair *pair = find_pair(table, key);
    table->used += !gc_load(&pair->key);
    gc_store_weak(&pair->value, v);
    gc_store_weak(&pair->key, key);
}

/* What lives; no safepoint. */
static void copy_pairs(struct weak_table *to, struct weak_table *from)
{
    for (size_t i = 0; i < from->room; i++) {
        void *key = held_by(&from->pairs[i].key);
        void *v = gc_load_weak(&from->pairs[i].value);
        if (key)
            put_pair(to, key, v);
    }
}

static size_t count_pairs(struct weak_table *table)
{
    size_t n = 0;
    for (size_t i = 0; i < table->room; i++)
        n += held_by(&table->pairs[i].key) != NULL;
    return n;
}

/* ---- Locks --------------------------------------------------------------------------------- */

/* Each operation is atomic: under the lock that belongs to the map or set. There are no safepoints
 * under it. */
#define LOCKS 16
static pthread_mutex_t locks[LOCKS] = {
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_MUTEX_INITIALIZER};

/* An object does not move, so neither does its lock. */
static pthread_mutex_t *lock_of(const void *object)
{
    return &locks[((uintptr_t)object >> 5) % LOCKS];
}

static void unlock(const void *object)
{
    pthread_mutex_unlock(lock_of(object));
}

/* ---- WeakMap ------------------------------------------------------------------------------- */

static struct weak_table *lock_map(struct weakmap *map)
{
    pthread_mutex_lock(lock_of(map));
    return gc_load(&map->table);
}

#define MAP ((struct weakmap *)as_object(args[0]))

static value weakmap_new(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    struct weak_table *table = new_table(t, ROOM_MIN);
    GC_FRAME(table);
    struct weakmap *self = NEW(t, &weakmap_type, KIND_WEAKMAP);
    self->table = table;
    return from_object(self);
}

/* The map holds references only; other values are put into boxes. */
static value from_reference(void *p)
{
    if (!p)
        return NIL;
    struct object *object = p;
    return object->kind == KIND_BOX ? ((struct box *)p)->content : from_object(p);
}

/* false: the table is full. */
static bool try_set(struct weakmap *map, void *key, void *v)
{
    struct weak_table *table = lock_map(map);
    bool fits = has_room(table->room, table->used);
    if (fits || has_key(find_pair(table, key), key)) {
        put_pair(table, key, v);
        fits = true;
    }
    unlock(map);
    return fits;
}

static void make_room(struct thread *t, struct weakmap *map)
{
    size_t live = count_pairs(lock_map(map));
    unlock(map);
    struct weak_table *larger = new_table(t, room_for(live));
    struct weak_table *table = lock_map(map);
    if (count_pairs(table) <= live) {
        copy_pairs(larger, table);
        gc_store(&map->table, larger);
    }
    unlock(map);
}

static value weakmap_set(struct thread *t, value *args, int n)
{
    (void)n;
    void *key = weak_target(t, args[1]);
    void *v = is_object(args[2]) ? as_object(args[2]) : new_box(t, args[2]);
    GC_FRAME(v);
    while (!try_set(MAP, key, v))
        make_room(t, MAP);
    return args[2];
}

/* Whether the key is there, and its value. */
static bool look_up(struct thread *t, value *args, void **v)
{
    void *key = weak_target(t, args[1]);
    struct weak_pair *pair = find_pair(lock_map(MAP), key);
    bool found = has_key(pair, key);
    *v = found ? gc_load_weak(&pair->value) : NULL;
    unlock(MAP);
    return found;
}

static value weakmap_get(struct thread *t, value *args, int n)
{
    void *v;
    (void)n;
    look_up(t, args, &v);
    return from_reference(v);
}

static value weakmap_has(struct thread *t, value *args, int n)
{
    void *v;
    (void)n;
    return from_bool(look_up(t, args, &v));
}

static value weakmap_delete(struct thread *t, value *args, int n)
{
    (void)n;
    void *key = weak_target(t, args[1]);
    struct weak_pair *pair = find_pair(lock_map(MAP), key);
    bool found = has_key(pair, key);
    if (found) {
        gc_store_weak(&pair->value, NULL);
        gc_store_weak(&pair->key, GONE);
    }
    unlock(MAP);
    return from_bool(found);
}

static value weakmap_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    size_t count = count_pairs(lock_map(MAP));
    unlock(MAP);
    return from_int((int64_t)count);
}

/* Of the table that the map has at the beginning; another one may take its place meanwhile. */
static value weakmap_list(struct thread *t, value *args, bool keys)
{
    struct list *list = new_list(t, 0);
    struct weak_table *table = gc_load(&MAP->table);
    void *key = NULL, *v = NULL;
    GC_FRAME(list, table, key, v);
    for (size_t i = 0; i < table->room; i++) {
        lock_map(MAP);
        key = held_by(&table->pairs[i].key);
        v = gc_load_weak(&table->pairs[i].value);
        unlock(MAP);
        if (key)
            list_push(t, list, from_reference(keys ? key : v));
    }
    return from_object(list);
}

static value weakmap_keys(struct thread *t, value *args, int n)
{
    (void)n;
    return weakmap_list(t, args, true);
}

static value weakmap_values(struct thread *t, value *args, int n)
{
    (void)n;
    return weakmap_list(t, args, false);
}

/* ---- WeakSet ------------------------------------------------------------------------------- */

static void trace_slots(void *object, gc_tracer *tracer)
{
    struct weak_slots *all = object;
    gc_trace_weak(tracer, all->slots, all->room, sizeof(void *), GONE);
}
static gc_type slots_type = {
    .size = sizeof(struct weak_slots), .name = "struct weak_slots", .trace = trace_slots};
static GC_TYPE_NOPTR(slot_type, void *); /* trace_slots names it */

static struct weak_slots *new_slots(struct thread *t, size_t room)
{
    struct weak_slots *all = check_memory(t, gc_new_flex(&slots_type, &slot_type, room));
    all->room = room;
    return all;
}

/* The slot that holds the object, or else one where it can be put; see find_pair. */
static void **find_slot(struct weak_slots *all, const void *object)
{
    void **unused = NULL;
    for (size_t mask = all->room - 1, i = hash_address(object) & mask;; i = (i + 1) & mask) {
        const void *held = gc_load(&all->slots[i]);
        if (held == object)
            return &all->slots[i];
        if (!held)
            return unused ? unused : &all->slots[i];
        if (held == GONE && !unused)
            unused = &all->slots[i];
    }
}

static void put_slot(struct weak_slots *all, void *object)
{
    void **slot = find_slot(all, object);
    all->used += !gc_load(slot);
    gc_store_weak(slot, object);
}

static size_t count_slots(struct weak_slots *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->room; i++)
        n += held_by(&all->slots[i]) != NULL;
    return n;
}

/* What lives; no safepoint. */
static void copy_slots(struct weak_slots *to, struct weak_slots *from)
{
    for (size_t i = 0; i < from->room; i++) {
        void *object = held_by(&from->slots[i]);
        if (object)
            put_slot(to, object);
    }
}

#define SET ((struct weakset *)as_object(args[0]))

static struct weak_slots *lock_set(struct weakset *set)
{
    pthread_mutex_lock(lock_of(set));
    return gc_load(&set->slots);
}

static value weakset_new(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    struct weak_slots *slots = new_slots(t, ROOM_MIN);
    GC_FRAME(slots);
    struct weakset *self = NEW(t, &weakset_type, KIND_WEAKSET);
    self->slots = slots;
    return from_object(self);
}

/* false: the set is full. */
static bool try_add(struct weakset *set, void *object)
{
    struct weak_slots *all = lock_set(set);
    bool fits = has_room(all->room, all->used) || gc_load(find_slot(all, object)) == object;
    if (fits)
        put_slot(all, object);
    unlock(set);
    return fits;
}

static void make_set_room(struct thread *t, struct weakset *set)
{
    size_t live = count_slots(lock_set(set));
    unlock(set);
    struct weak_slots *larger = new_slots(t, room_for(live));
    struct weak_slots *all = lock_set(set);
    if (count_slots(all) <= live) {
        copy_slots(larger, all);
        gc_store(&set->slots, larger);
    }
    unlock(set);
}

static value weakset_add(struct thread *t, value *args, int n)
{
    (void)n;
    void *object = weak_target(t, args[1]);
    while (!try_add(SET, object))
        make_set_room(t, SET);
    return args[0];
}

static value weakset_has(struct thread *t, value *args, int n)
{
    (void)n;
    const void *object = weak_target(t, args[1]);
    bool found = gc_load(find_slot(lock_set(SET), object)) == object;
    unlock(SET);
    return from_bool(found);
}

static value weakset_delete(struct thread *t, value *args, int n)
{
    (void)n;
    const void *object = weak_target(t, args[1]);
    void **slot = find_slot(lock_set(SET), object);
    bool found = gc_load(slot) == object;
    if (found)
        gc_store_weak(slot, GONE);
    unlock(SET);
    return from_bool(found);
}

static value weakset_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    size_t count = count_slots(lock_set(SET));
    unlock(SET);
    return from_int((int64_t)count);
}

/* See weakmap_list. */
static value weakset_list(struct thread *t, value *args, int n)
{
    (void)n;
    struct list *list = new_list(t, 0);
    struct weak_slots *all = gc_load(&SET->slots);
    void *object = NULL;
    GC_FRAME(list, all, object);
    for (size_t i = 0; i < all->room; i++) {
        object = held_by(&all->slots[i]);
        if (object)
            list_push(t, list, from_object(object));
    }
    return from_object(list);
}

void builtin_weak_open(struct thread *t)
{
    static const struct native_def weaks[] = {{"get", weak_get, 0, 0, false},
                                              {NULL, NULL, 0, 0, false}};
    static const struct native_def weakmaps[] = {
        {"set", weakmap_set, 2, 2, false},       {"get", weakmap_get, 1, 1, false},
        {"has", weakmap_has, 1, 1, false},       {"delete", weakmap_delete, 1, 1, false},
        {"len", weakmap_len, 0, 0, false},       {"keys", weakmap_keys, 0, 0, false},
        {"values", weakmap_values, 0, 0, false}, {NULL, NULL, 0, 0, false}};
    static const struct native_def weaksets[] = {
        {"add", weakset_add, 1, 1, false},       {"has", weakset_has, 1, 1, false},
        {"delete", weakset_delete, 1, 1, false}, {"len", weakset_len, 0, 0, false},
        {"list", weakset_list, 0, 0, false},     {NULL, NULL, 0, 0, false}};
    define_natives(t, vm.classes[KIND_WEAK], weaks);
    define_constructor(t, KIND_WEAK, weak_new, 1, 1);
    define_natives(t, vm.classes[KIND_WEAKMAP], weakmaps);
    define_constructor(t, KIND_WEAKMAP, weakmap_new, 0, 0);
    define_natives(t, vm.classes[KIND_WEAKSET], weaksets);
    define_constructor(t, KIND_WEAKSET, weakset_new, 0, 0);
}
