/* The objects of the heap. Each begins with its kind and the id of its class, by which the VM's
 * inline caches know it. Which fields are references, object.c says with GC_TYPE.
 *
 * Objects may be shared between threads, so all fields that can change after an object was
 * published are read with gc_load and written with gc_store, and everything that must agree hangs
 * on one reference: a list's items with their number, a map's table with its sizes.
 */
#ifndef OSIER_OBJECT_H
#define OSIER_OBJECT_H

#include "value.h"

/* Kinds are the ids of the built-in classes, too. Those up to KIND_DONE are no objects. */
enum kind {
    KIND_NONE,
    KIND_NIL,
    KIND_BOOL,
    KIND_NUMBER,
    KIND_DONE,
    KIND_STRING,
    KIND_LIST,
    KIND_MAP,
    KIND_RANGE,
    KIND_BUFFER,
    KIND_CLOSURE,
    KIND_NATIVE,
    KIND_BOUND,
    KIND_CLASS,
    KIND_INSTANCE,
    KIND_MODULE,
    KIND_COROUTINE,
    KIND_THREAD,
    KIND_CHANNEL,
    KIND_MUTEX,
    KIND_ATOMIC,
    KIND_WEAK,
    KIND_WEAKMAP,
    KIND_WEAKSET,
    KIND_FILE,
    KIND_GC, /* a class of static methods only */
    KIND_COUNT,
    KIND_BOX, /* these two are never seen by programs */
    KIND_FUNCTION
};

struct object {
    uint32_t kind;
    uint32_t class_id;
};

struct thread;
struct context;
struct monitor;

/* Short strings are interned: two of them are equal if they are the same object. */
#define INTERN_MAX 40
struct string {
    struct object head;
    uint32_t hash;
    uint32_t length;
    char bytes[]; /* and a final 0 */
};

/* An array of values whose capacity never changes; the first `count` are in use. */
struct block {
    uint32_t capacity;
    uint32_t count;
    value v[];
};

struct list {
    struct object head;
    struct block *items; /* NULL: empty */
};

/* Insertion-ordered. Readers take no lock; writers exclude each other by `lock`. */
struct table {
    uint32_t capacity; /* entries there is room for */
    uint32_t used;     /* entries taken, the deleted ones included */
    uint32_t live;
    uint32_t mask;   /* slots of the index - 1 */
    uint32_t *index; /* by hash: an entry's number + 1, or 0; NULL in small tables */
    value entries[]; /* key, value, key, value … */
};
struct map {
    struct object head;
    struct table *table; /* NULL: empty */
    uint32_t lock;
};

struct range {
    struct object head;
    double from, to, step;
    bool inclusive;
};

/* A growable array of bytes. */
struct bytes {
    uint32_t capacity;
    uint32_t count;
    char data[];
};
struct buffer {
    struct object head;
    struct bytes *bytes; /* NULL: empty */
};

/* A variable that closures share or a module owns. */
struct box {
    struct object head;
    value content;
};

/* Where an exception goes: `from` <= pc < `to` is guarded by the catch at `target`. */
struct handler {
    uint32_t from, to, target, reg;
};

/* Compiled code; immutable but for the caches. */
struct function {
    struct object head;
    struct string *name;
    struct module *module;
    uint32_t *code;
    uint32_t *lines; /* one per word of code */
    struct block *constants;
    uint64_t *caches; /* class id << 32 | index; see vm.c */
    struct handler *handlers;
    uint32_t ncode, nhandlers, ncaptures;
    uint16_t nregs, nparams;
    bool variadic;
};

struct closure {
    struct object head;
    struct function *fn;
    value captures[];
};

typedef value (*native_fn)(struct thread *t, value *args, int n);
struct native {
    struct object head;
    struct string *name;
    native_fn call; /* args[0] is the receiver, args[1] … args[n] the arguments */
    int min, max;   /* how many; max -1: any number */
    bool switches;  /* changes the call stack, and may return SWITCHED */
};

struct bound {
    struct object head;
    value receiver, method;
};

/* Immutable once its definition has run. `members` maps a name to a field's number, or to
 * -1 - number for a method; what is inherited is copied in. */
struct class
{
    struct object head;
    struct string *name;
    struct class *super;
    struct class *meta; /* the class of this class: its methods are the static ones */
    struct map *members;
    struct block *methods;
    value init; /* what a call of the class calls, or nil */
    uint32_t id;
    uint32_t nfields;
    uint32_t instance_kind; /* KIND_INSTANCE for classes that programs define */
};

struct instance {
    struct object head;
    struct class *class;
    value fields[];
};

enum module_state { MODULE_NEW, MODULE_LOADING, MODULE_READY, MODULE_FAILED };
struct module {
    struct object head;
    struct string *name, *path;
    struct map *variables; /* name to box */
    struct monitor *monitor;
    const struct thread *loader;
    uint32_t state;
};

struct coroutine {
    struct object head;
    value function;
    struct coroutine *resumer; /* which waits for this one; NULL: none, or a thread does */
    struct context *context;   /* off the heap; freed by a cleanup */
};

struct weak {
    struct object head;
    void *target; /* a weak slot */
};

/* An open hash table of pairs, each of whose values lives as long as its key. */
struct weak_pair {
    void *key, *value;
};
struct weak_table {
    size_t room, used; /* a power of two; keys that are not NULL, dead ones too */
    struct weak_pair pairs[];
};
struct weakmap {
    struct object head;
    struct weak_table *table; /* replaced and written under a lock, see weak.c */
};

/* An open hash table of weak slots. */
struct weak_slots {
    size_t room, used; /* as in a weak_table */
    void *slots[];
};
struct weakset {
    struct object head;
    struct weak_slots *slots; /* likewise */
};

struct file {
    struct object head;
    struct string *path;
    struct stream *stream;
};

/* ---- Making them. All of these throw when memory is exhausted, and are safepoints. --------- */

/* Fixed-size objects of a static type, on the inlined path. */
#define NEW(t, type, kind) new_object(t, type, kind, kind)
void *new_object_failed(struct thread *t);
static inline void *check_memory(struct thread *t, void *p)
{
    return GC_LIKELY(p != NULL) ? p : new_object_failed(t);
}
static inline void *begin_object(struct thread *t, void *p, uint32_t kind, uint32_t class_id)
{
    struct object *object = check_memory(t, p);
    object->kind = kind;
    object->class_id = class_id;
    return object;
}
static inline void *new_object(struct thread *t, gc_type *type, uint32_t kind, uint32_t class_id)
{
    return begin_object(t, gc_new(type), kind, class_id);
}
static inline void *new_bytes(struct thread *t, size_t size)
{
    return check_memory(t, gc_new_bytes(size));
}

extern gc_type box_type, list_type, map_type, range_type, buffer_type, bound_type, native_type,
    class_type, function_type, module_type, coroutine_type, weak_type, weakmap_type, weakset_type,
    file_type;

/* Records are a head and n references or values: instances and closures. */
extern gc_type record_head;
static inline void *new_record(struct thread *t, size_t n, uint32_t kind, uint32_t class_id)
{
    return begin_object(t, gc_new_flex(&record_head, &gc_word_type, n), kind, class_id);
}
#define FIELDS_MAX 255
static inline struct instance *new_instance(struct thread *t, struct class *class)
{
    struct instance *self = new_record(t, 1 + class->nfields, KIND_INSTANCE, class->id);
    self->class = class;
    return self;
}
static inline struct closure *new_closure(struct thread *t, struct function *fn)
{
    struct closure *closure = new_record(t, 1 + fn->ncaptures, KIND_CLOSURE, KIND_CLOSURE);
    closure->fn = fn;
    return closure;
}
static inline struct box *new_box(struct thread *t, value content)
{
    struct box *box = NEW(t, &box_type, KIND_BOX);
    box->content = content;
    return box;
}

struct block *new_block(struct thread *t, uint32_t capacity);
struct list *new_list(struct thread *t, uint32_t capacity);
struct map *new_map(struct thread *t);
struct buffer *new_buffer(struct thread *t);
struct range *new_range(struct thread *t, double from, double to, bool inclusive);
struct bound *new_bound(struct thread *t, value receiver, value method);
/* `name` and `super` must be rooted by the caller. */
struct class *new_class(struct thread *t, struct string *name, struct class *super);

/* ---- Strings ------------------------------------------------------------------------------- */

uint32_t hash_bytes(const char *bytes, size_t length);
int string_table_open(void);
void string_table_close(void);
/* A string of these bytes, which may lie in an object that the caller has rooted. */
struct string *new_string(struct thread *t, const char *bytes, size_t length);
struct string *new_string_z(struct thread *t, const char *text);
/* A string to be filled in: publish it with string_finish(), before the next safepoint. */
struct string *string_begin(struct thread *t, size_t length);
struct string *string_finish(struct thread *t, struct string *raw);
/* The canonical string of these bytes, however long. */
struct string *intern(struct thread *t, const char *bytes, size_t length);
bool string_equal(const struct string *a, const struct string *b);
uint32_t string_hash(const struct string *s);
struct string *string_concat(struct thread *t, struct string *a, struct string *b);
/* The one-byte string. */
struct string *string_byte(struct thread *t, uint8_t byte);
/* The length of the UTF-8 sequence at `at`; 1 if it is none. */
size_t utf8_length(const struct string *s, size_t at);

/* What to_string gives for everything but instances, whose class may define str(). */
struct string *value_to_string(struct thread *t, value v);
#define NUMBER_TEXT 32
int format_number(char text[NUMBER_TEXT], double d);

/* ---- Lists --------------------------------------------------------------------------------- */

/* The list's items and their number at one instant; items may be NULL if the number is 0. */
static inline struct block *list_items(const struct list *list, uint32_t *count)
{
    struct block *items = gc_load(&list->items);
    *count = items ? __atomic_load_n(&items->count, __ATOMIC_RELAXED) : 0;
    return items;
}
/* Moves values within or between blocks that other threads may use; the areas may overlap. */
void move_values(value *to, const value *from, uint32_t n);
void list_grow(struct thread *t, struct list *list, uint32_t capacity);
void list_push_slow(struct thread *t, struct list *list, value v);
/* Both arguments must be rooted by the caller. */
static inline void list_push(struct thread *t, struct list *list, value v)
{
    struct block *items = gc_load(&list->items);
    uint32_t n = items ? __atomic_load_n(&items->count, __ATOMIC_RELAXED) : 0;
    if (GC_UNLIKELY(!items || n == items->capacity)) {
        list_push_slow(t, list, v);
        return;
    }
    gc_store_value(&items->v[n], v);
    __atomic_store_n(&items->count, n + 1, __ATOMIC_RELEASE);
}

/* ---- Maps ---------------------------------------------------------------------------------- */

bool value_equal(value a, value b);
/* NIL if the key is absent; *found may be NULL. */
value map_get(const struct map *map, value key, bool *found);
/* All arguments must be rooted by the caller. Throws for NaN keys. */
void map_set(struct thread *t, struct map *map, value key, value v);
/* Sets key to v if it is absent; returns what it is set to. */
value map_set_default(struct thread *t, struct map *map, value key, value v);
bool map_delete(struct map *map, value key, value *old);
void map_clear(struct map *map);
uint32_t map_count(const struct map *map);
/* The first live entry at or after *position, which it advances. */
bool map_next(const struct map *map, uint32_t *position, value *key, value *v);

/* ---- Buffers ------------------------------------------------------------------------------- */

void buffer_append(struct thread *t, struct buffer *buffer, const char *bytes, size_t length);
/* Adds a value's text: instances must be made strings before. */
void buffer_append_value(struct thread *t, struct buffer *buffer, value v);
struct bytes *buffer_content(const struct buffer *buffer, uint32_t *count);

/* ---- Kinds and classes --------------------------------------------------------------------- */

static inline bool is_kind(value v, uint32_t kind)
{
    return is_object(v) && ((struct object *)as_object(v))->kind == kind;
}
static inline bool is_string(value v)
{
    return is_kind(v, KIND_STRING);
}
enum kind value_kind(value v);
struct class *class_of(value v);
bool is_subclass(const struct class *class, const struct class *ancestor);
/* A class's member by name: its number as in class.members. */
bool class_member(const struct class *class, struct string *name, int64_t *number);
void class_add_field(struct thread *t, struct class *class, struct string *name);
/* Adds a method (or replaces an inherited one) while the class is being made. */
void class_add_method(struct thread *t, struct class *class, struct string *name, value method);
value class_method(const struct class *class, struct string *name); /* or UNDEFINED */
uint32_t class_ids(uint32_t n);                                     /* n fresh ones */

#endif
