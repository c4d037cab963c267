/* object.c: making objects, the symbol table, equality and hash tables.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <string.h>

static GC_TYPE_NOPTR(real_type, struct real);
static GC_TYPE_NOPTR(byte_type, char);
static GC_TYPE_NOPTR(vector_type, struct vector);
static GC_TYPE_NOPTR(continuation_type, struct continuation);
static GC_TYPE(symbol_type, struct symbol, global, alias);
static GC_TYPE(pair_type, struct pair, car, cdr);
static GC_TYPE(table_type, struct table, slots);
static GC_TYPE(port_type, struct port, text);
static GC_TYPE(condition_type, struct condition, message, irritants);
static GC_TYPE(code_type, struct code, name, constants, insns);
static GC_TYPE(closure_type, struct closure, code);
static GC_TYPE(box_type, struct box, content);
static GC_TYPE(macro_type, struct macro, name, literals, rules, procedure);
static GC_TYPE(variable_type, struct variable, name);
static GC_TYPE(node_type, struct node, a, b, c);

#define CONSTANT(name, text) struct constant name = {{T_CONSTANT, 0, 0, 0}, text}
CONSTANT(nil_object, "()");
CONSTANT(true_object, "#t");
CONSTANT(false_object, "#f");
CONSTANT(void_object, "#<void>");
CONSTANT(eof_object, "#<eof>");
CONSTANT(undefined_object, "#<undefined>");
static CONSTANT(deleted_object, "#<deleted>"); /* the key of a slot that was in use */
#define DELETED (&deleted_object.head)

/* ---- Constructors --------------------------------------------------------------------------- */

static void *tagged(void *memory, enum tag tag)
{
    if (!memory)
        out_of_memory();
    ((struct object *)memory)->tag = (uint8_t)tag;
    return memory;
}

void *object_new(gc_type *type, enum tag tag)
{
    return tagged(gc_new(type), tag);
}

value cons(value car, value cdr)
{
    GC_FRAME(car, cdr);
    struct pair *pair = object_new(&pair_type, T_PAIR);
    pair->car = car; /* a fresh object's fields need no gc_store */
    pair->cdr = cdr;
    return &pair->head;
}

value list2(value a, value b)
{
    GC_FRAME(a);
    return cons(a, cons(b, NIL));
}

value list3(value a, value b, value c)
{
    GC_FRAME(a);
    return cons(a, list2(b, c));
}

value make_real(double number)
{
    struct real *real = object_new(&real_type, T_REAL);
    real->number = number;
    return &real->head;
}

value make_integer(int64_t n)
{
    return n >= FIXNUM_MIN && n <= FIXNUM_MAX ? fixnum(n) : make_real((double)n);
}

value make_string(const char *bytes, size_t length)
{
    struct string *string = tagged(gc_new_bytes(sizeof *string + length + 1), T_STRING);
    string->length = length;
    if (bytes)
        memcpy(string->bytes, bytes, length);
    return &string->head;
}

value make_text(const char *text)
{
    return make_string(text, strlen(text));
}

/* A fresh vector is filled plainly; a large one with safepoints on the way, and so by gc_store. */
static void fill_vector(struct vector *vector, value fill)
{
    enum { STRIDE = 1 << 16 };
    size_t i = 0;
    GC_FRAME(vector, fill);
    for (; i < vector->length && i < STRIDE; i++)
        vector->items[i] = fill;
    for (; i < vector->length; i++) {
        if (i % STRIDE == 0)
            check_interrupt();
        gc_store(&vector->items[i], fill);
    }
}

value make_vector(size_t length, value fill)
{
    GC_FRAME(fill);
    struct vector *vector = tagged(gc_new_flex(&vector_type, &gc_pointer_type, length), T_VECTOR);
    vector->length = length;
    if (fill)
        fill_vector(vector, fill);
    return &vector->head;
}

value make_record(value type, int argc, const value *argv)
{
    struct vector *record = (struct vector *)make_vector((size_t)argc + 1, type);
    record->head.tag = T_RECORD;
    memcpy(record->items + 1, argv, (size_t)argc * sizeof *argv);
    return &record->head;
}

value make_box(value content)
{
    GC_FRAME(content);
    struct box *box = object_new(&box_type, T_BOX);
    box->content = content;
    return &box->head;
}

value make_closure(value code)
{
    GC_FRAME(code);
    size_t free = ((struct code *)code)->free;
    struct closure *closure = tagged(gc_new_flex(&closure_type, &gc_pointer_type, free), T_CLOSURE);
    closure->code = code;
    return &closure->head;
}

value make_continuation(const value *items, size_t length, uint64_t run)
{
    struct continuation *k =
        tagged(gc_new_flex(&continuation_type, &gc_pointer_type, length), T_CONTINUATION);
    k->length = length;
    k->run = run;
    memcpy(k->items, items, length * sizeof *items);
    return &k->head;
}

value make_code(void)
{
    return object_new(&code_type, T_CODE);
}

value make_condition(value message, value irritants)
{
    GC_FRAME(message, irritants);
    struct condition *condition = object_new(&condition_type, T_CONDITION);
    condition->message = message;
    condition->irritants = irritants;
    return &condition->head;
}

value make_node(enum node_kind kind, value a, value b, value c)
{
    GC_FRAME(a, b, c);
    struct node *node = object_new(&node_type, T_NODE);
    node->head.flag = (uint8_t)kind;
    node->head.file = here.file;
    node->head.line = here.line;
    node->a = a;
    node->b = b;
    node->c = c;
    return &node->head;
}

value make_variable(value name, unsigned level)
{
    GC_FRAME(name);
    struct variable *variable = object_new(&variable_type, T_VARIABLE);
    variable->name = name;
    variable->level = level;
    return &variable->head;
}

value make_macro(value name)
{
    GC_FRAME(name);
    struct macro *macro = object_new(&macro_type, T_MACRO);
    macro->name = name;
    return &macro->head;
}

value make_port(enum port_kind kind, FILE *file, bool (*fill)(struct port *port))
{
    struct port *port = object_new(&port_type, T_PORT);
    port->head.flag = (uint8_t)kind;
    port->file = file;
    port->fill = fill;
    port->head.line = 1;
    return &port->head;
}

/* ---- Symbols -------------------------------------------------------------------------------- */

static gc_intern *symbols; /* weak: a symbol that nobody holds goes away */

static uint64_t hash_bytes(const void *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (const unsigned char *p = bytes; size--; p++)
        hash = (hash ^ *p) * 0x100000001b3;
    return hash ^ hash >> 29;
}

static bool has_name(const void *object, const void *name, size_t length)
{
    const struct symbol *symbol = object;
    return symbol->length == length && memcmp(symbol->name, name, length) == 0;
}

static void *new_symbol(const void *name, size_t length, void *unused)
{
    (void)unused;
    struct symbol *symbol = gc_new_flex(&symbol_type, &byte_type, length + 1);
    if (!symbol)
        return NULL;
    symbol->head.tag = T_SYMBOL;
    symbol->length = length;
    memcpy(symbol->name, name, length);
    return symbol;
}

value intern(const char *name, size_t length)
{
    value symbol = gc_intern_get(symbols, name, length, NULL);
    if (!symbol)
        out_of_memory();
    return symbol;
}

value symbol(const char *name)
{
    return intern(name, strlen(name));
}

value make_alias(value symbol, bool global)
{
    GC_FRAME(symbol);
    struct symbol *original = (struct symbol *)symbol;
    struct symbol *alias = tagged(new_symbol(original->name, original->length, NULL), T_SYMBOL);
    alias->alias = symbol;
    alias->head.flag = global;
    return &alias->head;
}

void define(value symbol, value v)
{
    GC_FRAME(symbol, v);
    struct symbol *s = (struct symbol *)symbol;
    if (!s->global)
        gc_store(&reg.globals, cons(symbol, reg.globals));
    gc_store(&s->global, v);
}

static const char *name_of(value v)
{
    return v && is(v, T_SYMBOL) ? ((struct symbol *)v)->name : "";
}

/* What messages of the heap call an object: symbols and procedures by their names. */
void object_describe(void *unused, const void *object, const gc_type *type, char *text, size_t size)
{
    const struct code *code = NULL;
    (void)unused;
    if (type == &symbol_type)
        snprintf(text, size, "%s", ((const struct symbol *)object)->name);
    else if (type == &code_type)
        code = object;
    else if (type == &closure_type)
        code = gc_load(&((const struct closure *)object)->code);
    if (code)
        snprintf(text, size, "%s", name_of(gc_load(&code->name)));
}

void object_init(void)
{
    static const struct gc_intern_ops ops = {hash_bytes, has_name, new_symbol};
    symbols = gc_intern_new(&ops);
    if (!symbols)
        out_of_memory();
}

void object_end(void)
{
    gc_intern_free(symbols);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

int64_t list_length(value list)
{
    int64_t n = 0;
    for (value slow = list; is_pair(list); list = cdr(list), n++) {
        if (n && n % 2 == 0)
            slow = cdr(slow);
        if (n && list == slow)
            return -1;
    }
    return list == NIL ? n : -1;
}

value reverse(value list)
{
    value result = NIL;
    GC_FRAME(list, result);
    for (; is_pair(list); list = cdr(list))
        result = cons(car(list), result);
    return result;
}

/* ---- Equality ------------------------------------------------------------------------------- */

bool eqv(value a, value b)
{
    if (a == b)
        return true;
    if (!is(a, T_REAL) || !is(b, T_REAL))
        return false;
    return memcmp(&((struct real *)a)->number, &((struct real *)b)->number, sizeof(double)) == 0;
}

static bool equal_strings(const struct string *a, const struct string *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static bool equal_items(const struct vector *a, const struct vector *b)
{
    size_t i = 0;
    if (a->length != b->length)
        return false;
    while (i < a->length && equal(a->items[i], b->items[i]))
        i++;
    return i == a->length;
}

/* Goes down cars and items by recursion, along cdrs in the loop. */
bool equal(value a, value b)
{
    check_stack();
    for (; is_pair(a) && is_pair(b); a = cdr(a), b = cdr(b)) {
        if (car(a) != car(b) && !equal(car(a), car(b)))
            return false;
        check_interrupt();
    }
    if (is(a, T_STRING) && is(b, T_STRING))
        return equal_strings((struct string *)a, (struct string *)b);
    if (is(a, T_VECTOR) && is(b, T_VECTOR))
        return equal_items((struct vector *)a, (struct vector *)b);
    return eqv(a, b);
}

/* ---- Hash tables: open addressing, linear probing ------------------------------------------- */

enum { HASHED_ITEMS = 16, FIRST_SLOTS = 16 }; /* how many items of a list or vector count */

static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
}

static uint64_t hash_value(value v, int depth);

static uint64_t hash_items(const value *items, size_t n, int depth)
{
    uint64_t hash = n;
    for (size_t i = 0; i < n && i < HASHED_ITEMS; i++)
        hash = mix(hash + hash_value(items[i], depth));
    return hash;
}

static uint64_t hash_list(value list, int depth)
{
    uint64_t hash = 1;
    for (int i = 0; is_pair(list) && i < HASHED_ITEMS; i++, list = cdr(list))
        hash = mix(hash + hash_value(car(list), depth));
    return hash;
}

/* Equal values hash alike. The others hash by address, which never changes. */
static uint64_t hash_value(value v, int depth)
{
    uint64_t bits;
    if (depth > 4)
        return 0;
    switch (tag_of(v)) {
    case T_STRING:
        return hash_bytes(((struct string *)v)->bytes, ((struct string *)v)->length);
    case T_REAL:
        memcpy(&bits, &((struct real *)v)->number, sizeof bits);
        return mix(bits);
    case T_PAIR:
        return hash_list(v, depth + 1);
    case T_VECTOR:
        return hash_items(((struct vector *)v)->items, ((struct vector *)v)->length, depth + 1);
    default:
        return mix((uintptr_t)v);
    }
}

/* The slot of key, or the free slot where it belongs. */
static value *probe(struct vector *slots, value key)
{
    size_t mask = slots->length / 2 - 1;
    value *grave = NULL;
    for (size_t i = hash_value(key, 0) & mask;; i = (i + 1) & mask) {
        value *slot = &slots->items[2 * i];
        if (!*slot)
            return grave ? grave : slot;
        if (*slot == DELETED)
            grave = grave ? grave : slot;
        else if (*slot == key || equal(*slot, key))
            return slot;
    }
}

static void rehash(struct table *table, size_t slots)
{
    struct vector *old = (struct vector *)table->slots;
    struct vector *new = (struct vector *)make_vector(slots, NULL);
    GC_FRAME(table, new);
    for (size_t i = 0; i < old->length; i += 2) {
        check_interrupt();
        if (!old->items[i] || old->items[i] == DELETED)
            continue;
        value *slot = probe(new, old->items[i]);
        gc_store(&slot[0], old->items[i]);
        gc_store(&slot[1], old->items[i + 1]);
    }
    gc_store(&table->slots, new);
    table->used = table->count;
}

value make_table(void)
{
    value slots = make_vector(FIRST_SLOTS, NULL);
    GC_FRAME(slots);
    struct table *table = object_new(&table_type, T_TABLE);
    table->slots = slots;
    return &table->head;
}

value *table_find(value table, value key)
{
    value *slot = probe((struct vector *)((struct table *)table)->slots, key);
    return *slot && *slot != DELETED ? slot + 1 : NULL;
}

void table_set(value table, value key, value v)
{
    GC_FRAME(table, key, v);
    struct table *t = (struct table *)table;
    size_t slots = ((struct vector *)t->slots)->length;
    if ((t->used + 1) * 8 > slots * 3)
        rehash(t, t->count * 4 > slots / 2 ? slots * 2 : slots);
    value *slot = probe((struct vector *)t->slots, key);
    if (!*slot || *slot == DELETED) {
        t->used += !*slot;
        t->count++;
        gc_store(&slot[0], key);
    }
    gc_store(&slot[1], v);
}

bool table_delete(value table, value key)
{
    struct table *t = (struct table *)table;
    value *found = table_find(table, key);
    if (!found)
        return false;
    gc_store(&found[-1], DELETED);
    gc_store(&found[0], NULL);
    t->count--;
    return true;
}
