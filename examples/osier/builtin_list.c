/* Lists and maps. What takes functions is in the prelude. */
#include "vm.h"

#include <stdlib.h>

#define SELF ((struct list *)as_object(args[0]))

/* ---- Lists --------------------------------------------------------------------------------- */

/* List(n, v): n times v. */
static value list_new(struct thread *t, value *args, int n)
{
    uint32_t count = n ? (uint32_t)arg_int_in(t, args, 1, 0, 1 << 30) : 0;
    struct list *list = new_list(t, count);
    for (uint32_t i = 0; n > 1 && i < count; i++)
        gc_store_value(&list->items->v[i], args[2]);
    if (count)
        list->items->count = count;
    return from_object(list);
}

static value list_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    uint32_t count;
    list_items(SELF, &count);
    return from_int(count);
}

static value list_push_method(struct thread *t, value *args, int n)
{
    for (int i = 1; i <= n; i++)
        list_push(t, SELF, args[i]);
    return args[0];
}

static void set_count(struct block *items, uint32_t count)
{
    __atomic_store_n(&items->count, count, __ATOMIC_RELEASE);
}

static value list_pop(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t count;
    struct block *items = list_items(SELF, &count);
    if (!count)
        throw_error(t, ERROR_IndexError, "an empty list has no last element");
    value v = gc_load_value(&items->v[count - 1]);
    gc_store_value(&items->v[count - 1], NIL);
    set_count(items, count - 1);
    return v;
}

static value list_last(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t count;
    struct block *items = list_items(SELF, &count);
    if (!count)
        throw_error(t, ERROR_IndexError, "an empty list has no last element");
    return gc_load_value(&items->v[count - 1]);
}

static value list_insert(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t count, moved;
    list_items(SELF, &count);
    uint32_t i = (uint32_t)arg_int_in(t, args, 1, 0, count);
    list_push(t, SELF, args[2]);
    struct block *items = list_items(SELF, &count);
    if (count <= i)
        return args[0]; /* lost in a race */
    moved = count - 1 - i;
    move_values(&items->v[i + 1], &items->v[i], moved);
    gc_store_value(&items->v[i], args[2]);
    return args[0];
}

static value list_remove(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t count;
    struct block *items = list_items(SELF, &count);
    uint32_t i = (uint32_t)arg_int_in(t, args, 1, 0, (int64_t)count - 1);
    value v = gc_load_value(&items->v[i]);
    move_values(&items->v[i], &items->v[i + 1], count - 1 - i);
    gc_store_value(&items->v[count - 1], NIL);
    set_count(items, count - 1);
    return v;
}

static value list_clear(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    gc_store(&SELF->items, NULL);
    return args[0];
}

static value list_find(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    uint32_t count;
    struct block *items = list_items(SELF, &count);
    for (uint32_t i = 0; i < count; i++)
        if (value_equal(gc_load_value(&items->v[i]), args[1]))
            return from_int(i);
    return NIL;
}

static value list_has(struct thread *t, value *args, int n)
{
    return from_bool(list_find(t, args, n) != NIL);
}

static value list_concat(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t a, b;
    struct block *first = list_items(SELF, &a), *second = NULL;
    second = list_items(arg_object(t, args, 1, KIND_LIST), &b);
    GC_FRAME(first, second);
    struct list *list = new_list(t, a + b);
    if (a)
        move_values(list->items->v, first->v, a);
    if (b)
        move_values(list->items->v + a, second->v, b);
    if (a + b)
        list->items->count = a + b;
    return from_object(list);
}

static value list_reverse(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    uint32_t count;
    struct block *items = list_items(SELF, &count);
    for (uint32_t i = 0; i < count / 2; i++) {
        value low = gc_load_value(&items->v[i]), high = gc_load_value(&items->v[count - 1 - i]);
        gc_store_value(&items->v[i], high);
        gc_store_value(&items->v[count - 1 - i], low);
    }
    return args[0];
}

static int compare_numbers(const void *a, const void *b)
{
    double x = as_number(*(const value *)a), y = as_number(*(const value *)b);
    return (x > y) - (x < y);
}

static int compare_strings(const void *a, const void *b)
{
    const struct string *x = as_object(*(const value *)a), *y = as_object(*(const value *)b);
    size_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->bytes, y->bytes, n);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* A collection need not wait for it: the copy is rooted, and is no part of the heap. */
static void sort_copy(value *copy, uint32_t count, bool strings)
{
    GC_FRAME_ARRAY(copy, count);
    gc_blocking_begin();
    qsort(copy, count, sizeof copy[0], strings ? compare_strings : compare_numbers);
    gc_blocking_end();
}

static value list_sort(struct thread *t, value *args, int n)
{
    (void)n;
    uint32_t count;
    struct block *items = list_items(SELF, &count);
    bool strings = count && is_string(gc_load_value(&items->v[0]));
    value *copy = check_memory(t, malloc((count + 1) * sizeof copy[0]));
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = gc_load_value(&items->v[i]);
        if (strings ? is_string(copy[i]) : is_number(copy[i]))
            continue;
        free(copy);
        throw_error(t, ERROR_TypeError, "sort() alone takes only numbers or only strings");
    }
    sort_copy(copy, count, strings);
    for (uint32_t i = 0; i < count; i++)
        gc_store_value(&items->v[i], copy[i]);
    free(copy);
    return args[0];
}

void builtin_list_open(struct thread *t)
{
    static const struct native_def lists[] = {{"len", list_len, 0, 0, false},
                                              {"push", list_push_method, 1, -1, false},
                                              {"pop", list_pop, 0, 0, false},
                                              {"last", list_last, 0, 0, false},
                                              {"insert", list_insert, 2, 2, false},
                                              {"remove", list_remove, 1, 1, false},
                                              {"clear", list_clear, 0, 0, false},
                                              {"find", list_find, 1, 1, false},
                                              {"has", list_has, 1, 1, false},
                                              {"concat", list_concat, 1, 1, false},
                                              {"reverse", list_reverse, 0, 0, false},
                                              {"_sort", list_sort, 0, 0, false},
                                              {NULL, NULL, 0, 0, false}};
    define_natives(t, vm.classes[KIND_LIST], lists);
    define_constructor(t, KIND_LIST, list_new, 0, 2);
}

/* ---- Maps ---------------------------------------------------------------------------------- */

#define MAP ((struct map *)as_object(args[0]))

static value map_new(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    return from_object(new_map(t));
}

static value map_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_int(map_count(MAP));
}

static value map_has(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    bool found;
    map_get(MAP, args[1], &found);
    return from_bool(found);
}

static value map_get_method(struct thread *t, value *args, int n)
{
    (void)t;
    bool found;
    value v = map_get(MAP, args[1], &found);
    return found || n < 2 ? v : args[2];
}

static value map_get_or_set(struct thread *t, value *args, int n)
{
    (void)n;
    return map_set_default(t, MAP, args[1], args[2]);
}

static value map_delete_method(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    value old = NIL;
    map_delete(MAP, args[1], &old);
    return old;
}

static value map_clear_method(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    map_clear(MAP);
    return args[0];
}

static value map_list(struct thread *t, value *args, bool keys)
{
    struct list *list = new_list(t, map_count(MAP));
    uint32_t position = 0;
    value key = NIL, v = NIL;
    GC_FRAME(list, key, v);
    while (map_next(MAP, &position, &key, &v))
        list_push(t, list, keys ? key : v);
    return from_object(list);
}

static value map_keys(struct thread *t, value *args, int n)
{
    (void)n;
    return map_list(t, args, true);
}

static value map_values(struct thread *t, value *args, int n)
{
    (void)n;
    return map_list(t, args, false);
}

void builtin_map_open(struct thread *t)
{
    static const struct native_def maps[] = {{"len", map_len, 0, 0, false},
                                             {"has", map_has, 1, 1, false},
                                             {"get", map_get_method, 1, 2, false},
                                             {"get_or_set", map_get_or_set, 2, 2, false},
                                             {"delete", map_delete_method, 1, 1, false},
                                             {"clear", map_clear_method, 0, 0, false},
                                             {"keys", map_keys, 0, 0, false},
                                             {"values", map_values, 0, 0, false},
                                             {NULL, NULL, 0, 0, false}};
    define_natives(t, vm.classes[KIND_MAP], maps);
    define_constructor(t, KIND_MAP, map_new, 0, 0);
}
