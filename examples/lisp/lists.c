/* lists.c: pairs, vectors, hash tables and equality, for Lisp programs.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <string.h>

static struct pair *as_pair(value v)
{
    return (struct pair *)expect(v, T_PAIR);
}
static struct vector *as_vector(value v)
{
    return (struct vector *)expect(v, T_VECTOR);
}

static int64_t as_list(value v)
{
    int64_t length = list_length(v);
    if (length < 0)
        wrong_type(v, "a list");
    return length;
}

/* ---- Pairs ---------------------------------------------------------------------------------- */

EXPRESSION("cons", pair_cons, 2, 2, cons(argv[0], argv[1]))
EXPRESSION("car", pair_car, 1, 1, as_pair(argv[0])->car)
EXPRESSION("cdr", pair_cdr, 1, 1, as_pair(argv[0])->cdr)
EXPRESSION("cadr", pair_cadr, 1, 1, as_pair(as_pair(argv[0])->cdr)->car)
EXPRESSION("cddr", pair_cddr, 1, 1, as_pair(as_pair(argv[0])->cdr)->cdr)
EXPRESSION("caar", pair_caar, 1, 1, as_pair(as_pair(argv[0])->car)->car)
EXPRESSION("cdar", pair_cdar, 1, 1, as_pair(as_pair(argv[0])->car)->cdr)
EXPRESSION("caddr", pair_caddr, 1, 1, as_pair(as_pair(as_pair(argv[0])->cdr)->cdr)->car)
EXPRESSION("set-car!", pair_set_car, 2, 2, (gc_store(&as_pair(argv[0])->car, argv[1]), VOID))
EXPRESSION("set-cdr!", pair_set_cdr, 2, 2, (gc_store(&as_pair(argv[0])->cdr, argv[1]), VOID))

/* ---- Lists ---------------------------------------------------------------------------------- */

BUILTIN("list", list_make, 0, -1)
{
    value list = NIL;
    while (argc-- > 0)
        list = argv[argc] = cons(argv[argc], list); /* the slots keep what is made */
    return list;
}

EXPRESSION("list?", list_is_list, 1, 1, boolean(list_length(argv[0]) >= 0))
EXPRESSION("length", list_count, 1, 1, fixnum(as_list(argv[0])))

/* A copy of the list that ends in `tail` instead of (). */
static value append_two(value list, value tail)
{
    value first = tail, last = NULL;
    as_list(list);
    GC_FRAME(list, tail, first);
    for (; list != NIL; list = cdr(list)) {
        value cell = cons(car(list), tail);
        if (last)
            gc_store(&((struct pair *)last)->cdr, cell);
        else
            first = cell;
        last = cell;
    }
    return first;
}

BUILTIN("append", list_append, 0, -1)
{
    if (argc == 0)
        return NIL;
    for (int i = argc - 2; i >= 0; i--)
        argv[i] = append_two(argv[i], argv[i + 1]);
    return argv[0];
}

EXPRESSION("reverse", list_reverse, 1, 1, (as_list(argv[0]), reverse(argv[0])))

BUILTIN("list-tail", list_tail, 2, 2)
{
    value list = argv[0];
    for (int64_t n = as_integer(argv[1]); n > 0; n--)
        list = as_pair(list)->cdr;
    return list;
}

EXPRESSION("list-ref", list_ref, 2, 2, as_pair(list_tail(argc, argv))->car)

static bool eq(value a, value b)
{
    return a == b;
}

static value find_member(value *argv, bool (*same)(value, value))
{
    value list = argv[1];
    while (is_pair(list) && !same(argv[0], car(list)))
        list = cdr(list);
    return is_pair(list) ? list : FALSE;
}

static value find_entry(value *argv, bool (*same)(value, value))
{
    value list = argv[1];
    while (is_pair(list) && !same(argv[0], as_pair(car(list))->car))
        list = cdr(list);
    return is_pair(list) ? car(list) : FALSE;
}

EXPRESSION("memq", list_memq, 2, 2, find_member(argv, eq))
EXPRESSION("memv", list_memv, 2, 2, find_member(argv, eqv))
EXPRESSION("member", list_member, 2, 2, find_member(argv, equal))
EXPRESSION("assq", list_assq, 2, 2, find_entry(argv, eq))
EXPRESSION("assv", list_assv, 2, 2, find_entry(argv, eqv))
EXPRESSION("assoc", list_assoc, 2, 2, find_entry(argv, equal))

/* ---- Equality and types --------------------------------------------------------------------- */

EXPRESSION("eq?", is_eq, 2, 2, boolean(eq(argv[0], argv[1])))
EXPRESSION("eqv?", is_eqv, 2, 2, boolean(eqv(argv[0], argv[1])))
EXPRESSION("equal?", is_equal, 2, 2, boolean(equal(argv[0], argv[1])))

PREDICATE("not", is_not, v == FALSE)
PREDICATE("null?", is_null, v == NIL)
PREDICATE("boolean?", is_boolean, v == TRUE || v == FALSE)
PREDICATE("pair?", is_a_pair, is_pair(v))
PREDICATE("vector?", is_vector, is(v, T_VECTOR))
PREDICATE("hash-table?", is_table, is(v, T_TABLE))
PREDICATE("procedure?", is_procedure, is(v, T_BUILTIN) || is(v, T_CLOSURE) || is(v, T_CONTINUATION))

/* ---- Vectors -------------------------------------------------------------------------------- */

EXPRESSION("make-vector", vector_make, 1, 2,
           make_vector(as_index(argv[0], SIZE_MAX / 16), argc == 2 ? argv[1] : fixnum(0)))

BUILTIN("vector", vector_of, 0, -1)
{
    struct vector *vector = (struct vector *)make_vector((size_t)argc, NULL);
    memcpy(vector->items, argv, (size_t)argc * sizeof *argv);
    return &vector->head;
}

EXPRESSION("vector-length", vector_count, 1, 1, fixnum((int64_t)as_vector(argv[0])->length))

BUILTIN("vector-ref", vector_ref, 2, 2)
{
    struct vector *vector = as_vector(argv[0]);
    return vector->items[as_index(argv[1], vector->length)];
}

BUILTIN("vector-set!", vector_set, 3, 3)
{
    struct vector *vector = as_vector(argv[0]);
    gc_store(&vector->items[as_index(argv[1], vector->length)], argv[2]);
    return VOID;
}

BUILTIN("vector-fill!", vector_fill, 2, 2)
{
    struct vector *vector = as_vector(argv[0]);
    for (size_t i = 0; i < vector->length; i++) {
        gc_store(&vector->items[i], argv[1]);
        check_interrupt();
    }
    return VOID;
}

BUILTIN("vector->list", vector_to_list, 1, 1)
{
    value list = NIL;
    GC_FRAME(list);
    for (size_t i = as_vector(argv[0])->length; i-- > 0;)
        list = cons(as_vector(argv[0])->items[i], list);
    return list;
}

BUILTIN("list->vector", vector_from_list, 1, 1)
{
    value list = argv[0];
    struct vector *vector = (struct vector *)make_vector((size_t)as_list(list), NULL);
    for (size_t i = 0; i < vector->length; i++, list = cdr(list))
        vector->items[i] = car(list);
    return &vector->head;
}

/* (vector-copy vector [start [end]]) */
BUILTIN("vector-copy", vector_copy, 1, 3)
{
    size_t length = as_vector(argv[0])->length;
    size_t end = argc > 2 ? as_index(argv[2], length + 1) : length;
    size_t start = argc > 1 ? as_index(argv[1], end + 1) : 0;
    struct vector *copy = (struct vector *)make_vector(end - start, NULL);
    memcpy(copy->items, as_vector(argv[0])->items + start, (end - start) * sizeof(value));
    return &copy->head;
}

/* ---- Records: (%record type field ...), types are lists (name field ...) -------------------- */

EXPRESSION("%record", record_make, 1, -1, make_record(argv[0], argc - 1, argv + 1))
EXPRESSION("%record?", record_is, 2, 2,
           boolean(is(argv[0], T_RECORD) && ((struct vector *)argv[0])->items[0] == argv[1]))

/* (record, type, index): the field, whose existence the prelude has checked. */
static value *record_field(value *argv)
{
    struct vector *record = (struct vector *)argv[0];
    if (!is(argv[0], T_RECORD) || record->items[0] != argv[1]) {
        value name = as_pair(argv[1])->car;
        fail(argv[0], "expected a %s, got", ((struct symbol *)expect(name, T_SYMBOL))->name);
    }
    return &record->items[as_index(argv[2], record->length)];
}

EXPRESSION("%record-ref", record_ref, 3, 3, *record_field(argv))
EXPRESSION("%record-set!", record_set, 4, 4, (gc_store(record_field(argv), argv[3]), VOID))

/* ---- Hash tables ---------------------------------------------------------------------------- */

static struct table *as_table(value v)
{
    return (struct table *)expect(v, T_TABLE);
}

EXPRESSION("make-hash-table", hash_make, 0, 0, make_table())

/* (hash-table-ref/default table key default) */
BUILTIN("hash-table-ref/default", hash_ref, 3, 3)
{
    value *found = table_find(&as_table(argv[0])->head, argv[1]);
    return found ? *found : argv[2];
}

EXPRESSION("hash-table-set!", hash_set, 3, 3,
           (table_set(&as_table(argv[0])->head, argv[1], argv[2]), VOID))
EXPRESSION("hash-table-delete!", hash_delete, 2, 2,
           boolean(table_delete(&as_table(argv[0])->head, argv[1])))
EXPRESSION("hash-table-contains?", hash_contains, 2, 2,
           boolean(table_find(&as_table(argv[0])->head, argv[1])))
EXPRESSION("hash-table-count", hash_count, 1, 1, fixnum((int64_t)as_table(argv[0])->count))

BUILTIN("hash-table->alist", hash_to_list, 1, 1)
{
    value list = NIL, slots = as_table(argv[0])->slots;
    GC_FRAME(list, slots);
    const struct vector *vector = (struct vector *)slots;
    for (size_t i = 0; i < vector->length; i += 2)
        if (vector->items[i] && vector->items[i + 1])
            list = cons(cons(vector->items[i], vector->items[i + 1]), list);
    return list;
}
