/* compile.c: nodes to instructions for the machine of vm.c.
 * SPDX-License-Identifier: MIT
 *
 * A procedure's frame in the stack, from `fp` on: its parameters, then the variables of its lets
 * and temporary values, each at a place known here. Below `fp` are the closure, the caller's `fp`
 * and its `pc`. A closure has the values of the variables it captured; those that are assigned to
 * as well are in boxes.
 */
#include "lisp.h"

#include <string.h>

/* One lambda in the making. */
struct gen {
    unsigned level;
    uint32_t depth, room;     /* words in the frame now, and at most */
    struct insn *insns;       /* pointer-free memory of the heap */
    uint32_t count, capacity; /* instructions */
    value constants, free;    /* lists; of constants the last first */
    uint32_t constant_count;
    const struct object *source; /* whose place the next instruction gets */
};

enum { ARG_MAX = (1 << 24) - 1 };

static void gen_node(struct gen *g, value node, bool tail);

/* ---- Instructions --------------------------------------------------------------------------- */

static void grow(struct gen *g)
{
    uint32_t capacity = g->capacity ? 2 * g->capacity : 32;
    struct insn *insns = gc_new_bytes(capacity * sizeof *insns);
    if (!insns)
        out_of_memory();
    if (g->count)
        memcpy(insns, g->insns, g->count * sizeof *insns);
    g->insns = insns;
    g->capacity = capacity;
}

/* `effect`: how many words the instruction adds to the frame. */
static uint32_t emit(struct gen *g, enum op op, uint32_t arg, int effect)
{
    if (g->count == g->capacity)
        grow(g);
    if (g->count >= ARG_MAX || arg > ARG_MAX)
        fail(NULL, "this procedure is too large");
    struct insn *insn = &g->insns[g->count];
    insn->op = op & 0xff;
    insn->arg = arg & ARG_MAX;
    insn->file = (uint32_t)g->source->file & 0xfff;
    insn->line = g->source->line & 0xfffff;
    g->depth += (uint32_t)effect;
    if (g->depth > g->room)
        g->room = g->depth;
    return g->count++;
}

/* The jump at `from` leads to the next instruction. */
static void land(struct gen *g, uint32_t from)
{
    g->insns[from].arg = g->count & ARG_MAX;
}

static uint32_t constant_index(struct gen *g, value v)
{
    uint32_t i = g->constant_count;
    for (value rest = g->constants; rest != NIL; rest = cdr(rest), i--)
        if (car(rest) == v)
            return i - 1;
    g->constants = cons(v, g->constants);
    return g->constant_count++;
}

static void gen_const(struct gen *g, value v)
{
    emit(g, OP_CONST, constant_index(g, v), 1);
}

/* ---- Variables ------------------------------------------------------------------------------ */

static uint32_t free_index(struct gen *g, value variable)
{
    uint32_t i = 0;
    value last = NIL;
    for (value rest = g->free; rest != NIL; last = rest, rest = cdr(rest), i++)
        if (car(rest) == variable)
            return i;
    value cell = cons(variable, NIL);
    if (last == NIL)
        g->free = cell;
    else
        gc_store(&((struct pair *)last)->cdr, cell);
    return i;
}

static bool is_boxed(value variable)
{
    return (variable->flag & BOXED) == BOXED;
}

/* Pushes a variable's value, or its box if `raw` and it has one. */
static void gen_variable(struct gen *g, value v, bool raw)
{
    const struct variable *variable = (struct variable *)v;
    bool unbox = is_boxed(v) && !raw;
    if (variable->level == g->level)
        emit(g, unbox ? OP_LOCAL_BOX : OP_LOCAL, variable->slot, 1);
    else
        emit(g, unbox ? OP_FREE_BOX : OP_FREE, free_index(g, v), 1);
    if (v->flag & LATE && !is_boxed(v))
        emit(g, OP_CHECK, 0, 0);
}

static void gen_set(struct gen *g, value v)
{
    const struct variable *variable = (struct variable *)v;
    if (variable->level != g->level)
        emit(g, OP_SET_FREE_BOX, free_index(g, v), 0);
    else
        emit(g, is_boxed(v) ? OP_SET_LOCAL_BOX : OP_SET_LOCAL, variable->slot, 0);
}

/* The word at `slot` becomes a variable. */
static void place_variable(struct gen *g, value v, uint32_t slot)
{
    ((struct variable *)v)->slot = slot;
    if (is_boxed(v))
        emit(g, OP_BOX, slot, 0);
}

/* ---- Lambda --------------------------------------------------------------------------------- */

static value finish_code(struct gen *g, value name, uint32_t params, bool rest)
{
    value constants = NULL;
    GC_FRAME(name, constants);
    struct vector *vector = (struct vector *)make_vector(g->constant_count, NULL);
    constants = &vector->head;
    value list = g->constants;
    for (size_t i = g->constant_count; i-- > 0; list = cdr(list))
        vector->items[i] = car(list);
    struct code *code = (struct code *)make_code();
    code->name = name;
    code->constants = constants;
    code->insns = g->insns;
    code->params = params;
    code->rest = rest;
    code->room = g->room + 1;
    code->free = (uint32_t)list_length(g->free);
    return &code->head;
}

/* Compiles a lambda; *free gets the variables it captures. */
static value gen_code(struct gen *outer, value lambda, value *free)
{
    const struct node *node = (struct node *)lambda;
    struct gen g = {.level = outer ? outer->level + 1 : 0};
    g.constants = g.free = NIL;
    g.source = &node->head;
    GC_FRAME(lambda, g.insns, g.constants, g.free);
    for (value rest = node->a; rest != NIL; rest = cdr(rest))
        g.depth++;
    uint32_t params = g.room = g.depth, slot = 0;
    for (value rest = node->a; rest != NIL; rest = cdr(rest))
        place_variable(&g, car(rest), slot++);
    gen_node(&g, node->b, true);
    *free = g.free;
    return finish_code(&g, node->c, params, node->head.flag == N_LAMBDA_REST);
}

static void gen_lambda(struct gen *g, value lambda)
{
    value free = NIL;
    GC_FRAME(free);
    uint32_t code = constant_index(g, gen_code(g, lambda, &free));
    int n = 0;
    for (; free != NIL; free = cdr(free), n++)
        gen_variable(g, car(free), true);
    emit(g, OP_CLOSURE, code, 1 - n);
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* The builtin that a call's head names for good, or NULL. */
static const struct builtin *builtin_of(const struct node *head)
{
    value v = head->head.flag == N_CONST    ? head->a
              : head->head.flag == N_GLOBAL ? ((struct symbol *)head->a)->global
                                            : NULL;
    return v && is(v, T_BUILTIN) ? (struct builtin *)v : NULL;
}

static const struct {
    const char *name;
    enum op op;
    int argc;
} operations[] = {{"car", OP_CAR, 1},    {"cdr", OP_CDR, 1},     {"cons", OP_CONS, 2},
                  {"null?", OP_NULL, 1}, {"pair?", OP_PAIR, 1},  {"not", OP_NOT, 1},
                  {"eq?", OP_EQ, 2},     {"+", OP_ADD, 2},       {"-", OP_SUB, 2},
                  {"=", OP_EQUALS, 2},   {"<", OP_LESS, 2},      {">", OP_GREATER, 2},
                  {"<=", OP_AT_MOST, 2}, {">=", OP_AT_LEAST, 2}, {"vector-ref", OP_VECTOR_REF, 2}};

void install_inlined(void)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        value v = ((struct symbol *)symbol(operations[i].name))->global;
        struct builtin *builtin = (struct builtin *)v;
        builtin->op = operations[i].op;
        builtin->op_argc = operations[i].argc;
        inlined[builtin->op] = builtin;
    }
}

static int gen_each(struct gen *g, value nodes)
{
    int n = 0;
    for (; nodes != NIL; nodes = cdr(nodes), n++)
        gen_node(g, car(nodes), false);
    return n;
}

static void gen_call(struct gen *g, const struct node *node, bool tail)
{
    const struct builtin *builtin = builtin_of((struct node *)node->a);
    if (builtin && builtin->op && list_length(node->b) == builtin->op_argc) {
        int n = gen_each(g, node->b);
        g->source = &node->head;
        emit(g, builtin->op, 0, 1 - n);
        if (tail)
            emit(g, OP_RETURN, 0, -1);
        return;
    }
    if (!tail)
        emit(g, OP_FRAME, 0, 2);
    gen_node(g, node->a, false);
    int n = gen_each(g, node->b);
    g->source = &node->head;
    emit(g, tail ? OP_TAIL_CALL : OP_CALL, (uint32_t)n, tail ? -n - 1 : -n - 2);
}

/* ---- The others ----------------------------------------------------------------------------- */

static void gen_if(struct gen *g, const struct node *node, bool tail)
{
    uint32_t leave = 0;
    gen_node(g, node->a, false);
    uint32_t skip = emit(g, OP_JUMP_FALSE, 0, -1);
    uint32_t depth = g->depth;
    gen_node(g, node->b, tail);
    if (!tail)
        leave = emit(g, OP_JUMP, 0, 0);
    land(g, skip);
    g->depth = depth;
    gen_node(g, node->c, tail);
    if (!tail)
        land(g, leave);
}

static void gen_let(struct gen *g, const struct node *node, bool tail)
{
    uint32_t bottom = g->depth, slot = bottom;
    gen_each(g, node->b);
    for (value rest = node->a; rest != NIL; rest = cdr(rest))
        place_variable(g, car(rest), slot++);
    gen_node(g, node->c, tail);
    if (!tail && slot > bottom)
        emit(g, OP_SLIDE, slot - bottom, -(int)(slot - bottom));
}

/* The forms that leave a value on the stack and go on. */
static void gen_simple(struct gen *g, const struct node *node)
{
    switch ((enum node_kind)node->head.flag) {
    case N_LOCAL:
        gen_variable(g, node->a, false);
        break;
    case N_GLOBAL:
        emit(g, OP_GLOBAL, constant_index(g, node->a), 1);
        break;
    case N_SET_LOCAL:
        gen_node(g, node->b, false);
        gen_set(g, node->a);
        break;
    case N_SET_GLOBAL:
    case N_DEFINE:
        gen_node(g, node->b, false);
        g->source = &node->head;
        emit(g, node->head.flag == N_DEFINE ? OP_DEFINE : OP_SET_GLOBAL, constant_index(g, node->a),
             0);
        break;
    default:
        gen_const(g, node->a);
    }
}

/* tail: the value is what the procedure returns. */
static void gen_node(struct gen *g, value v, bool tail)
{
    check_depth();
    for (; v->flag == N_SEQUENCE; v = ((struct node *)v)->b) {
        gen_node(g, ((struct node *)v)->a, false);
        emit(g, OP_POP, 0, -1);
    }
    const struct node *node = (struct node *)v;
    g->source = &node->head;
    switch ((enum node_kind)v->flag) {
    case N_IF:
        gen_if(g, node, tail);
        return;
    case N_LET:
        gen_let(g, node, tail);
        return;
    case N_CALL:
        gen_call(g, node, tail);
        return;
    case N_LAMBDA:
    case N_LAMBDA_REST:
        gen_lambda(g, v);
        break;
    default:
        gen_simple(g, node);
    }
    if (tail)
        emit(g, OP_RETURN, 0, -1);
}

value compile_node(value node)
{
    value lambda = NULL, free = NIL;
    GC_FRAME(lambda, free);
    lambda = make_node(N_LAMBDA, NIL, node, FALSE);
    return make_closure(gen_code(NULL, lambda, &free));
}

value compile(value form)
{
    here = is_pair(form) && form->line ? (struct place){form->file, form->line} : read_place;
    return compile_node(expand(form, (struct scope){NIL, 0}));
}
