/* Duo: a virtual machine whose values are two words, what a value is and a tag, as in Lua and in
 * QuickJS. It is small, and has what a port of such a machine meets (docs/porting.md): a stack that
 * a root callback visits, tables, lists and closures full of tagged words, the barrier of a
 * collector of one's own before plain stores, and a table with weak keys.
 *
 *     duo [N]      runs its programs, N rounds each, and checks what they return
 *
 * SPDX-License-Identifier: MIT
 */
#include <gcheap.h>
#include <stdio.h>
#include <stdlib.h>

static void *must(void *p)
{
    if (p)
        return p;
    perror("duo");
    exit(1);
}

/* ---- Values and the stack ------------------------------------------------------------------ */

enum { NIL, NUMBER, OBJECT = 0x40, NAME = OBJECT, TABLE, WEAK_TABLE, LIST, CLOSURE };

struct value {
    union {
        void *object; /* if the tag has the bit OBJECT; names lie outside the heap */
        double number;
    } u;
    uint8_t tag;
};
static const struct gc_tagged object_of_value[] = {
    GC_TAGGED(struct value, u.object, tag, OBJECT, OBJECT)};
static GC_TYPE_TAGGED(value_type, struct value, object_of_value, u.object);

static const struct value nil;

static struct value from_number(double number)
{
    return (struct value){.u.number = number, .tag = NUMBER};
}

static struct value from_object(void *object, uint8_t tag)
{
    return (struct value){.u.object = object, .tag = tag};
}

static struct value from_name(const char *name)
{
    return from_object((void *)name, NAME);
}

static bool same(struct value a, struct value b)
{
    return a.tag == b.tag &&
           (a.tag == NUMBER ? a.u.number == b.u.number : a.u.object == b.u.object);
}

/* Written plainly. What lies above the top is not visited. */
enum { STACK_SIZE = 1000 };
static struct value stack[STACK_SIZE], *top = stack;

static void visit_stack(void *unused, gc_tracer *tracer)
{
    (void)unused;
    gc_trace_tagged(tracer, stack, (size_t)(top - stack), sizeof *stack, object_of_value);
}

static void push(struct value v)
{
    if (top == stack + STACK_SIZE)
        exit((fputs("duo: the stack is full\n", stderr), 1));
    *top++ = v;
}

/* ---- Tables -------------------------------------------------------------------------------- */

struct entry {
    struct value key, value; /* key NIL: not used */
};
static const struct gc_tagged objects_of_entry[] = {
    GC_TAGGED(struct entry, key.u.object, key.tag, OBJECT, OBJECT),
    GC_TAGGED(struct entry, value.u.object, value.tag, OBJECT, OBJECT)};
static GC_TYPE_TAGGED(entry_type, struct entry, objects_of_entry, key.u.object, value.u.object);

struct table {
    struct entry *entries;
    size_t room, used;
};
static GC_TYPE(table_type, struct table, entries);

static size_t hash_address(const void *p)
{
    return (size_t)((uintptr_t)p * 0x9E3779B9u >> 12);
}

static size_t hash_value(struct value key)
{
    return key.tag == NUMBER ? (size_t)key.u.number : hash_address(key.u.object);
}

static struct entry *find_entry(struct entry *entries, size_t room, struct value key)
{
    size_t i = hash_value(key) & (room - 1);
    while (entries[i].key.tag != NIL && !same(entries[i].key, key))
        i = (i + 1) & (room - 1);
    return &entries[i];
}

/* The larger array is fresh, so it is filled plainly. */
static void table_grow(struct table *t)
{
    size_t room = t->room ? 2 * t->room : 4;
    struct entry *larger = must(gc_new_array(&entry_type, room));
    for (size_t i = 0; i < t->room; i++) {
        if (t->entries[i].key.tag != NIL)
            *find_entry(larger, room, t->entries[i].key) = t->entries[i];
    }
    gc_store(&t->entries, larger);
    t->room = room;
}

/* The barrier stands before the plain stores of all four words, with no safepoint in between. The
 * collector may read them meanwhile, one by one, which ThreadSanitizer would tell. */
__attribute__((no_sanitize("thread"))) static void table_set(struct table *t, struct value key,
                                                             struct value v)
{
    if (t->used + 1 > t->room / 4 * 3)
        table_grow(t);
    struct entry *e = find_entry(t->entries, t->room, key);
    t->used += e->key.tag == NIL;
    gc_before_write(t->entries);
    *e = (struct entry){key, v};
}

static struct value table_get(const struct table *t, struct value key)
{
    return t->room ? find_entry(t->entries, t->room, key)->value : nil;
}

/* ---- Lists --------------------------------------------------------------------------------- */

struct list {
    struct value *items;
    size_t room, used;
};
static GC_TYPE(list_type, struct list, items);

static void replace_items(struct list *l, struct value *items)
{
    gc_store(&l->items, items);
}

/* The barrier stands as in table_set. */
__attribute__((no_sanitize("thread"))) static void list_append(struct list *l, struct value v)
{
    if (l->used == l->room)
        replace_items(l, must(gc_array_grow(&value_type, l->items, l->used, &l->room)));
    gc_before_write(l->items);
    l->items[l->used++] = v;
}

/* What lies behind the first n items goes, and most of the memory if that was three quarters. */
static void list_cut(struct list *l, size_t n)
{
    if (n <= l->room / 4)
        replace_items(l, must(gc_array_shrink(&value_type, l->items, n, &l->room)));
    else
        gc_clear(&l->items[n], (l->used - n) * sizeof *l->items);
    l->used = n;
}

/* Pushes the last item, and takes it off the list. */
static void push_last(struct list *l)
{
    push(l->used > 0 ? l->items[l->used - 1] : nil);
    if (l->used > 0)
        list_cut(l, l->used - 1);
}

/* ---- Tables with weak keys: pairs of a key, and of a value that lives as long as the key ----- */

#define DEAD ((void *)1) /* what the collector leaves as the key of a dead pair */

struct pair {
    void *key;
    struct value *value; /* an object of its own, as both words of a pair are references */
};
struct pairs {
    size_t room, used;
    struct pair pairs[];
};

static bool leads_to_object(const void *weak)
{
    return weak && weak != DEAD;
}

static void trace_pairs(void *object, gc_tracer *tracer)
{
    struct pairs *all = object;
    gc_trace_ephemerons(tracer, all->pairs, all->room, sizeof(struct pair), DEAD);
}
static gc_type pairs_type = {
    .size = sizeof(struct pairs), .name = "struct pairs", .trace = trace_pairs};
static GC_TYPE_NOPTR(pair_type, struct pair); /* trace_pairs names its words */

struct weak_table {
    struct pairs *pairs;
};
static GC_TYPE(weak_table_type, struct weak_table, pairs);

static struct pair *find_pair(struct pairs *all, const void *key)
{
    struct pair *unused = NULL;
    for (size_t i = hash_address(key);; i++) {
        struct pair *pair = &all->pairs[i & (all->room - 1)];
        const void *word = gc_load(&pair->key); /* enough, as the caller holds the key */
        if (word == key)
            return pair;
        if (!word)
            return unused ? unused : pair;
        if (word == DEAD && !unused)
            unused = pair;
    }
}

static void put_pair(struct pairs *all, void *key, struct value *v)
{
    struct pair *pair = find_pair(all, key);
    all->used += !gc_load(&pair->key);
    gc_store_weak(&pair->value, v);
    gc_store_weak(&pair->key, key);
}

static size_t count_pairs(struct pairs *all)
{
    size_t n = 0;
    for (size_t i = 0; i < all->room; i++)
        n += leads_to_object(gc_load_weak(&all->pairs[i].key));
    return n;
}

static struct pairs *make_pairs(struct pairs *old, size_t times)
{
    size_t room = old ? times * old->room : 4;
    struct pairs *all = must(gc_new_flex(&pairs_type, &pair_type, room));
    all->room = room;
    for (size_t i = 0; old && i < old->room; i++) {
        void *key = gc_load_weak(&old->pairs[i].key);
        if (leads_to_object(key))
            put_pair(all, key, gc_load_weak(&old->pairs[i].value));
    }
    return all;
}

static void weak_set(struct weak_table *t, void *key, struct value v)
{
    struct value *own = must(gc_new(&value_type));
    *own = v;
    GC_FRAME(own);
    struct pairs *all = t->pairs;
    if (all->used + 1 > all->room / 4 * 3)
        gc_store(&t->pairs, make_pairs(all, count_pairs(all) < all->room / 2 ? 1 : 2));
    put_pair(t->pairs, key, own);
}

static struct value weak_get(struct weak_table *t, const void *key)
{
    struct pair *pair = find_pair(t->pairs, key);
    return gc_load(&pair->key) == key ? *(struct value *)gc_load_weak(&pair->value) : nil;
}

/* ---- The machine --------------------------------------------------------------------------- */

/* One byte each. Those before RETURN have an operand behind them: the number of a name, of a local,
 * of a value of the closure's own, of a function; a tag; how many arguments. */
enum op { PUSH_NAME, LOCAL, FREE, SET_FREE, NEW, MAKE, CALL, RETURN, ADD, GET, SET, APPEND, TAKE };
enum { N, SUM, NEXT, OWNER };
static const char *const names[] = {"n", "sum", "next", "owner"};

struct closure {
    const uint8_t *code;
    struct value free[];
};
static GC_TYPE_NOPTR(closure_type, struct closure);

/* The n values on the top become its own. It is fresh, so they are written plainly. */
static void make_closure(const uint8_t *code, int n)
{
    struct closure *c = must(gc_new_flex(&closure_type, &value_type, (size_t)n));
    c->code = code;
    top -= n;
    for (int i = 0; i < n; i++)
        c->free[i] = top[i];
    push(from_object(c, CLOSURE));
}

static gc_type *type_of(uint8_t tag)
{
    return tag == TABLE ? &table_type : tag == LIST ? &list_type : &weak_table_type;
}

static void push_new(uint8_t tag)
{
    void *object = must(gc_new(type_of(tag)));
    push(from_object(object, tag));
    if (tag == WEAK_TABLE) {
        struct pairs *pairs = make_pairs(NULL, 1);
        gc_store(&((struct weak_table *)object)->pairs, pairs);
    }
}

static struct value get(struct value t, struct value key)
{
    return t.tag == TABLE ? table_get(t.u.object, key) : weak_get(t.u.object, key.u.object);
}

static void set(struct value t, struct value key, struct value v)
{
    if (t.tag == TABLE)
        table_set(t.u.object, key, v);
    else
        weak_set(t.u.object, key.u.object, v);
}

#define T_I FREE, 0, LOCAL, 0
#define T_I_N T_I, GET, PUSH_NAME, N
#define T_SUM FREE, 0, PUSH_NAME, SUM
/* t[i] = {}; t[i].n = i; t.sum = t.sum + t[i].n; t[i] = t[i].n; return t.sum */
static const uint8_t sums[] = {T_I,   NEW,   TABLE, SET,   T_I_N, LOCAL, 0,   SET,
                               T_SUM, T_SUM, GET,   T_I_N, GET,   ADD,   SET, T_I,
                               T_I_N, GET,   SET,   T_SUM, GET,   RETURN};
/* node = {}; node.n = n; node.next = next; return node */
static const uint8_t cons[] = {NEW, TABLE,     LOCAL, 2,     PUSH_NAME, N,   LOCAL, 0, SET,   LOCAL,
                               2,   PUSH_NAME, NEXT,  LOCAL, 1,         SET, LOCAL, 2, RETURN};
static const uint8_t *const functions[] = {cons};
/* list = cons(i, list); return list */
static const uint8_t lists[] = {MAKE, 0, LOCAL, 0, FREE, 0, CALL, 2, SET_FREE, 0, FREE, 0, RETURN};
/* key = {}; value = {}; value.owner = key; weak[key] = value; held[i] = key;
 * return weak[key].owner */
static const uint8_t owners[] = {
    NEW, TABLE, NEW, TABLE, LOCAL, 2,   PUSH_NAME, OWNER, LOCAL, 1,     SET,   FREE,
    0,   LOCAL, 1,   LOCAL, 2,     SET, FREE,      1,     LOCAL, 0,     LOCAL, 1,
    SET, FREE,  0,   LOCAL, 1,     GET, PUSH_NAME, OWNER, GET,   RETURN};
/* item = {}; item.n = i; list.append(item); return item */
static const uint8_t appends[] = {NEW,  TABLE, LOCAL, 1, PUSH_NAME, N,     LOCAL, 0,     SET,
                                  FREE, 0,     LOCAL, 1, APPEND,    LOCAL, 1,     RETURN};
/* t.sum = t.sum + list.take().n; return t.sum */
static const uint8_t takes[] = {T_SUM, T_SUM, GET, FREE, 1,     TAKE, PUSH_NAME,
                                N,     GET,   ADD, SET,  T_SUM, GET,  RETURN};

/* Calls the closure below the n arguments on the top; its result takes their place. */
static void call(int n)
{
    struct value *base = top - n;
    struct closure *self = base[-1].u.object;
    for (const uint8_t *code = self->code;;) {
        enum op op = *code++;
        uint8_t operand = op < RETURN ? *code++ : 0;
        switch (op) {
        case PUSH_NAME:
            push(from_name(names[operand]));
            break;
        case LOCAL:
            push(base[operand]);
            break;
        case FREE:
            push(self->free[operand]);
            break;
        case SET_FREE:
            top--;
            gc_store_tagged(&self->free[operand], object_of_value, top->u.object, top->tag);
            break;
        case NEW:
            push_new(operand);
            break;
        case MAKE:
            make_closure(functions[operand], 0);
            break;
        case CALL:
            call(operand);
            break;
        case RETURN:
            base[-1] = top[-1];
            top = base;
            return;
        case ADD:
            top[-2] = from_number(top[-2].u.number + top[-1].u.number);
            top--;
            break;
        case GET:
            top[-2] = get(top[-2], top[-1]);
            top--;
            break;
        case SET:
            set(top[-3], top[-2], top[-1]);
            top -= 3;
            break;
        case APPEND:
            list_append(top[-2].u.object, top[-1]);
            top -= 2;
            break;
        case TAKE:
            push_last(top[-1].u.object);
            top[-2] = top[-1];
            top--;
            break;
        }
    }
}

/* ---- What it runs: closures that are called with 0, 1, 2, and so on -------------------------- */

/* The last result takes the place of the closure on the top. */
static void call_often(int n)
{
    struct value *self = top - 1;
    push(nil);
    for (int i = 0; i < n; i++) {
        push(*self);
        push(from_number(i));
        call(1);
        self[1] = *--top;
    }
    *self = *--top;
}

static int failures;

static void check(const char *what, double got, double expected)
{
    printf("%-36s %.17g\n", what, got);
    failures += got != expected;
}

static void run_sums(int n)
{
    push_new(TABLE);
    make_closure(sums, 1);
    call_often(n);
    check("sum of a table", (--top)->u.number, n * (n - 1.0) / 2);
}

static void run_lists(int n)
{
    double sum = 0;
    push(nil);
    make_closure(lists, 1);
    call_often(n);
    for (struct value v = *--top; v.tag == TABLE; v = table_get(v.u.object, from_name(names[NEXT])))
        sum += table_get(v.u.object, from_name(names[N])).u.number;
    check("sum of a list", sum, n * (n - 1.0) / 2);
}

static void run_stack(int n)
{
    push_new(LIST);
    struct list *list = top[-1].u.object;
    push(top[-1]);
    make_closure(appends, 1);
    call_often(n);
    top--;
    check("items of a stack", (double)list->used, n);
    push_new(TABLE);
    push(top[-2]);
    make_closure(takes, 2);
    call_often(n);
    check("sum of what was on it", (--top)->u.number, n * (n - 1.0) / 2);
    check("room of the empty stack", (double)list->room, 0);
    top--;
}

static void run_owners(int n)
{
    push_new(WEAK_TABLE);
    push_new(TABLE);
    struct weak_table *weak = top[-2].u.object;
    push(top[-2]);
    push(top[-2]);
    make_closure(owners, 2);
    call_often(n);
    top--;
    gc_collect();
    check("weak entries whose keys are held", (double)count_pairs(weak->pairs), n);
    top--;
    gc_collect();
    check("weak entries whose keys are dropped", (double)count_pairs(weak->pairs), 0);
    top--;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 50000;
    gc_heap *heap = must(gc_heap_create(NULL));
    gc_root_callback(GC_ROOT_THREAD, visit_stack, NULL);
    run_sums(n);
    run_lists(n);
    run_stack(n);
    run_owners(n);
    gc_heap_destroy(heap);
    return failures > 0;
}
