/* The tree to bytecode for a register machine. A function's variables live in its first registers,
 * temporary values in those above.
 */
#include "compiler.h"
#include "code.h"

#include <limits.h>

struct jump {
    struct jump *next;
    uint32_t at;
};

struct loop {
    struct loop *outer;
    struct jump *breaks, *continues;
};

struct gen {
    struct compiler *c;
    struct thread *t;
    struct gen *outer;
    struct fn_node *fn;
    struct list *constants;       /* rooted */
    struct map *constant_numbers; /* rooted */
    uint32_t *code, *lines;
    uint32_t ncode, code_capacity;
    struct handler *handlers;
    uint32_t nhandlers, handlers_capacity;
    uint32_t ncaches;
    struct loop *loop;
    int locals; /* registers that variables have */
    int top;    /* the first free register */
    int nregs;
};

/* ---- Instructions -------------------------------------------------------------------------- */

static uint32_t emit(struct gen *g, int line, uint32_t word)
{
    if (g->ncode == g->code_capacity) {
        uint32_t capacity = g->code_capacity ? 2 * g->code_capacity : 64;
        uint32_t *code = arena_alloc(g->c, capacity * sizeof code[0]);
        uint32_t *lines = arena_alloc(g->c, capacity * sizeof lines[0]);
        if (g->ncode) {
            memcpy(code, g->code, g->ncode * sizeof code[0]);
            memcpy(lines, g->lines, g->ncode * sizeof lines[0]);
        }
        g->code = code;
        g->lines = lines;
        g->code_capacity = capacity;
    }
    g->code[g->ncode] = word;
    g->lines[g->ncode] = (uint32_t)line;
    return g->ncode++;
}

static int reserve(struct gen *g, int n, int line)
{
    int reg = g->top;
    g->top += n;
    if (g->top > REGISTERS_MAX)
        syntax_error(g->c, line, "a function needs too many registers");
    if (g->top > g->nregs)
        g->nregs = g->top;
    return reg;
}

static uint32_t constant(struct gen *g, value v, int line)
{
    bool found, is_minus_zero = is_number(v) && as_number(v) == 0 && signbit(as_number(v));
    value number = is_minus_zero ? NIL : map_get(g->constant_numbers, v, &found);
    if (!is_minus_zero && found)
        return (uint32_t)as_number(number);
    GC_FRAME(v);
    uint32_t n;
    list_items(g->constants, &n);
    if (n > UINT16_MAX)
        syntax_error(g->c, line, "a function has too many constants");
    list_push(g->t, g->constants, v);
    if (!is_minus_zero)
        map_set(g->t, g->constant_numbers, v, from_int(n));
    return n;
}

static uint32_t name_constant(struct gen *g, struct text text, int line)
{
    return constant(g, from_object(intern(g->t, text.at, text.length)), line);
}

static void emit_constant(struct gen *g, int line, enum opcode op, int a, uint32_t number)
{
    emit(g, line, code_abx(op, a, (int)number));
}

/* The word that names a member and its inline cache. */
static void emit_member(struct gen *g, struct text name, int line)
{
    uint32_t number = name_constant(g, name, line);
    if (g->ncaches > UINT16_MAX)
        syntax_error(g->c, line, "a function names too many members");
    emit(g, line, number | g->ncaches++ << 16);
}

static void move(struct gen *g, int line, int to, int from)
{
    if (to != from)
        emit(g, line, code_abc(OP_MOVE, to, from, 0));
}

/* ---- Jumps --------------------------------------------------------------------------------- */

static bool has_offset_word(enum opcode op)
{
    return (op >= OP_JUMP_LT && op <= OP_JUMP_EQK) || op == OP_FOR_START || op == OP_FOR_STEP ||
           op == OP_NEXT;
}

static void jump_set(struct gen *g, uint32_t at, uint32_t target)
{
    enum opcode op = (enum opcode)(g->code[at] & 0xFF);
    int distance = (int)target - (int)at - 1;
    if (has_offset_word(op)) {
        g->code[at + 1] = (uint32_t)(distance - 1);
        return;
    }
    bool is_short = op == OP_JUMP_TRUE || op == OP_JUMP_FALSE;
    int limit = is_short ? INT16_MAX : 0x7FFFFF;
    if (distance > limit || distance < -limit)
        syntax_error(g->c, (int)g->lines[at], "a function is too long");
    if (is_short)
        g->code[at] = code_abx(op, (int)code_a(g->code[at]), distance & 0xFFFF);
    else
        g->code[at] = code_ax(op, distance);
}

static void jump_add(struct gen *g, struct jump **list, uint32_t at)
{
    struct jump *jump = arena_alloc(g->c, sizeof *jump);
    jump->at = at;
    jump->next = *list;
    *list = jump;
}

static void jumps_set(struct gen *g, struct jump *list, uint32_t target)
{
    for (; list; list = list->next)
        jump_set(g, list->at, target);
}

static void jumps_here(struct gen *g, struct jump *list)
{
    jumps_set(g, list, g->ncode);
}

static uint32_t emit_jump(struct gen *g, int line, uint32_t word)
{
    uint32_t at = emit(g, line, word);
    if (has_offset_word((enum opcode)(word & 0xFF)))
        emit(g, line, 0);
    return at;
}

/* ---- Variables ----------------------------------------------------------------------------- */

static int capture_number(const struct fn_node *fn, const struct decl *d)
{
    for (int i = 0; i < fn->ncaptures; i++)
        if (fn->captures[i] == d)
            return i;
    return -1;
}

/* The box of a module variable, as a constant; for `store` only those of the module itself. */
static uint32_t global_constant(struct gen *g, struct text name, bool store, int line)
{
    struct string *key = intern(g->t, name.at, name.length);
    bool found, is_core;
    value box = map_get(g->c->module->variables, from_object(key), &found);
    if (!found) {
        box = map_get(vm.core->variables, from_object(key), &is_core);
        if (!is_core)
            syntax_error(g->c, line, "there is no variable '%.*s'", (int)name.length, name.at);
        if (store)
            syntax_error(g->c, line, "the built-in '%.*s' cannot be assigned to", (int)name.length,
                         name.at);
    }
    return constant(g, box, line);
}

static void load_local(struct gen *g, struct decl *d, int to, int line)
{
    if (d->owner == g->fn) {
        if (decl_is_boxed(d))
            emit(g, line, code_abc(OP_GET_BOX, to, d->reg, 0));
        else
            move(g, line, to, d->reg);
        return;
    }
    enum opcode op = decl_is_boxed(d) ? OP_GET_CAPTURED : OP_GET_CAPTURE;
    emit(g, line, code_abc(op, to, capture_number(g->fn, d), 0));
}

static void store_local(struct gen *g, struct decl *d, int from, int line)
{
    if (d->owner != g->fn)
        emit(g, line, code_abc(OP_SET_CAPTURED, from, capture_number(g->fn, d), 0));
    else if (decl_is_boxed(d))
        emit(g, line, code_abc(OP_SET_BOX, from, d->reg, 0));
    else
        move(g, line, d->reg, from);
}

static bool in_register(const struct gen *g, const struct node *node)
{
    return node->kind == NODE_LOCAL && node->decl->owner == g->fn && !decl_is_boxed(node->decl);
}

/* A new variable whose value is in its register already. */
static void box_if_needed(struct gen *g, const struct decl *d, int line)
{
    if (d && decl_is_boxed(d))
        emit(g, line, code_abc(OP_BOX, d->reg, 0, 0));
}

/* ---- Expressions --------------------------------------------------------------------------- */

static void expression(struct gen *g, struct node *node, int to);
static struct function *function_of(struct gen *outer, struct compiler *c, struct fn_node *fn);

/* The register where the value is, or is put: `scratch` if that is temporary, or a new one. */
static int operand(struct gen *g, struct node *node, int scratch)
{
    if (in_register(g, node))
        return node->decl->reg;
    int reg = scratch >= g->locals ? scratch : reserve(g, 1, node->line);
    expression(g, node, reg);
    return reg;
}

/* A number of the constants that fits an operand, or -1. */
static int small_constant(struct gen *g, const struct node *node)
{
    value v;
    if (node->kind == NODE_NUMBER)
        v = from_number(node->number);
    else if (node->kind == NODE_CONSTANT)
        v = node->token == TOKEN_NIL    ? NIL
            : node->token == TOKEN_DONE ? DONE
                                        : from_bool(node->token == TOKEN_TRUE);
    else if (node->kind == NODE_STRING)
        v = from_object(intern(g->t, node->text.at, node->text.length));
    else
        return -1;
    uint32_t number = constant(g, v, node->line);
    return number < SMALL_CONSTANTS ? (int)number : -1;
}

/* The instructions of operators, and of the assignments that are made with them. */
static const uint8_t arithmetic_ops[TOKEN_COUNT] = {
    [TOKEN_PLUS] = OP_ADD,       [TOKEN_PLUS_EQ] = OP_ADD,  [TOKEN_MINUS] = OP_SUB,
    [TOKEN_MINUS_EQ] = OP_SUB,   [TOKEN_STAR] = OP_MUL,     [TOKEN_STAR_EQ] = OP_MUL,
    [TOKEN_SLASH] = OP_DIV,      [TOKEN_SLASH_EQ] = OP_DIV, [TOKEN_PERCENT] = OP_MOD,
    [TOKEN_PERCENT_EQ] = OP_MOD, [TOKEN_IDIV] = OP_IDIV,    [TOKEN_IDIV_EQ] = OP_IDIV,
    [TOKEN_BAND] = OP_BAND,      [TOKEN_BAND_EQ] = OP_BAND, [TOKEN_BOR] = OP_BOR,
    [TOKEN_BOR_EQ] = OP_BOR,     [TOKEN_BXOR] = OP_BXOR,    [TOKEN_BXOR_EQ] = OP_BXOR,
    [TOKEN_SHL] = OP_SHL,        [TOKEN_SHL_EQ] = OP_SHL,   [TOKEN_SHR] = OP_SHR,
    [TOKEN_SHR_EQ] = OP_SHR,     [TOKEN_IS] = OP_IS};

/* to = left (a register) token right */
static void binary_with(struct gen *g, enum token_kind token, int to, int left, struct node *right,
                        int line)
{
    enum opcode op = (enum opcode)arithmetic_ops[token];
    int k = op <= OP_MOD && right->kind == NODE_NUMBER ? small_constant(g, right) : -1;
    if (k >= 0) {
        emit(g, line, code_abc((enum opcode)(op - OP_ADD + OP_ADDK), to, left, k));
        return;
    }
    int top = g->top;
    int r = operand(g, right, -1);
    emit(g, line, code_abc(op, to, left, r));
    g->top = top;
}

static void binary(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    int left = operand(g, node->a, to);
    binary_with(g, node->token, to, left, node->b, node->line);
    g->top = top;
}

static void unary(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    int a = operand(g, node->a, to);
    enum opcode op = node->token == TOKEN_NOT     ? OP_NOT
                     : node->token == TOKEN_MINUS ? OP_NEG
                                                  : OP_BNOT;
    emit(g, node->line, code_abc(op, to, a, 0));
    g->top = top;
}

static enum opcode compare_op(enum token_kind token, bool with_constant)
{
    switch (token) {
    case TOKEN_LT:
        return with_constant ? OP_JUMP_LTK : OP_JUMP_LT;
    case TOKEN_GT:
        return with_constant ? OP_JUMP_GTK : OP_JUMP_LT;
    case TOKEN_LE:
        return with_constant ? OP_JUMP_LEK : OP_JUMP_LE;
    case TOKEN_GE:
        return with_constant ? OP_JUMP_GEK : OP_JUMP_LE;
    default:
        return with_constant ? OP_JUMP_EQK : OP_JUMP_EQ;
    }
}

/* Jumps if the comparison's outcome is `when`. a > b is b < a, but a is evaluated first. */
static void compare_jump(struct gen *g, struct node *node, bool when, struct jump **list)
{
    int top = g->top;
    bool is_equality = node->token == TOKEN_EQ || node->token == TOKEN_NE;
    int a = operand(g, node->a, -1);
    int k = is_equality || node->b->kind == NODE_NUMBER ? small_constant(g, node->b) : -1;
    int b = k >= 0 ? k : operand(g, node->b, -1);
    enum opcode op = compare_op(node->token, k >= 0);
    if (k < 0 && (node->token == TOKEN_GT || node->token == TOKEN_GE)) {
        int swapped = a;
        a = b;
        b = swapped;
    }
    bool flag = node->token == TOKEN_NE ? !when : when;
    jump_add(g, list, emit_jump(g, node->line, code_abc(op, flag, a, b)));
    g->top = top;
}

/* Jumps if the condition's truth is `when`, and goes on behind otherwise. */
static void condition(struct gen *g, struct node *node, bool when, struct jump **list)
{
    if (node->kind == NODE_COMPARE) {
        compare_jump(g, node, when, list);
    } else if (node->kind == NODE_UNARY && node->token == TOKEN_NOT) {
        condition(g, node->a, !when, list);
    } else if (node->kind == NODE_AND || node->kind == NODE_OR) {
        /* `when` decides at once in (or, true) and (and, false). */
        bool at_once = (node->kind == NODE_OR) == when;
        struct jump *past = NULL;
        condition(g, node->a, at_once ? when : !when, at_once ? list : &past);
        condition(g, node->b, when, list);
        jumps_here(g, past);
    } else if (node->kind == NODE_CONSTANT) {
        bool truth = node->token == TOKEN_TRUE || node->token == TOKEN_DONE;
        if (truth == when)
            jump_add(g, list, emit_jump(g, node->line, code_ax(OP_JUMP, 0)));
    } else {
        int top = g->top;
        int reg = operand(g, node, -1);
        enum opcode op = when ? OP_JUMP_TRUE : OP_JUMP_FALSE;
        jump_add(g, list, emit_jump(g, node->line, code_abx(op, reg, 0)));
        g->top = top;
    }
}

/* A comparison as a value. */
static void compare(struct gen *g, struct node *node, int to)
{
    struct jump *when_true = NULL;
    compare_jump(g, node, true, &when_true);
    emit(g, node->line, code_abc(OP_FALSE, to, 0, 0));
    uint32_t end = emit_jump(g, node->line, code_ax(OP_JUMP, 0));
    jumps_here(g, when_true);
    emit(g, node->line, code_abc(OP_TRUE, to, 0, 0));
    jump_set(g, end, g->ncode);
}

static void conditional(struct gen *g, struct node *node, int to)
{
    struct jump *otherwise = NULL;
    condition(g, node->a, false, &otherwise);
    expression(g, node->b, to);
    uint32_t end = emit_jump(g, node->line, code_ax(OP_JUMP, 0));
    jumps_here(g, otherwise);
    expression(g, node->c, to);
    jump_set(g, end, g->ncode);
}

static void and_or(struct gen *g, struct node *node, int to)
{
    expression(g, node->a, to);
    enum opcode op = node->kind == NODE_AND ? OP_JUMP_FALSE : OP_JUMP_TRUE;
    uint32_t end = emit_jump(g, node->line, code_abx(op, to, 0));
    expression(g, node->b, to);
    jump_set(g, end, g->ncode);
}

static void list_literal(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    int n = (int)node->number;
    emit(g, node->line, code_abx(OP_LIST, to, n < UINT16_MAX ? n : UINT16_MAX));
    for (struct node *e = node->a; e; e = e->next) {
        int reg = operand(g, e, -1);
        emit(g, e->line, code_abc(OP_APPEND, to, reg, 0));
        g->top = top;
    }
}

static void map_literal(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    emit(g, node->line, code_abc(OP_MAP, to, 0, 0));
    for (struct node *e = node->a; e; e = e->next) {
        int key = operand(g, e->a, -1);
        int v = operand(g, e->b, -1);
        emit(g, e->line, code_abc(OP_SET_INDEX, to, key, v));
        g->top = top;
    }
}

/* The first of adjacent free registers; `to` itself if it is the last one taken. */
static int adjacent(struct gen *g, int to, int line)
{
    return to == g->top - 1 && to >= g->locals ? to : reserve(g, 1, line);
}

static void arguments(struct gen *g, struct node *list)
{
    for (; list; list = list->next)
        expression(g, list, reserve(g, 1, list->line));
}

static void call(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    int base = adjacent(g, to, node->line);
    expression(g, node->a, base);
    arguments(g, node->b);
    int n = (int)node->number;
    if (node->kind == NODE_CALL) {
        emit(g, node->line, code_abc(OP_CALL, base, n, 0));
    } else if (node->kind == NODE_INVOKE) {
        emit(g, node->line, code_abc(OP_INVOKE, base, n, 0));
        emit_member(g, node->text, node->line);
    } else {
        int super = reserve(g, 1, node->line);
        expression(g, node->c, super);
        emit(g, node->line, code_abc(OP_SUPER, base, n, super));
        emit_member(g, node->text, node->line);
    }
    g->top = top;
    move(g, node->line, to, base);
}

static void interpolation(struct gen *g, struct node *node, int to)
{
    int top = g->top, n = 0;
    int base = adjacent(g, to, node->line);
    for (struct node *part = node->a; part; part = part->next, n++) {
        int reg = n ? reserve(g, 1, part->line) : base;
        expression(g, part, reg);
        if (part->kind != NODE_STRING)
            emit(g, part->line, code_abc(OP_TO_STRING, reg, reg, 0));
    }
    emit(g, node->line, code_abc(OP_CONCAT, base, n, 0));
    g->top = top;
    move(g, node->line, to, base);
}

static void range(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    int base = reserve(g, 2, node->line);
    expression(g, node->a, base);
    expression(g, node->b, base + 1);
    emit(g, node->line, code_abc(OP_RANGE, to, base, node->token == TOKEN_DOTDOTEQ));
    g->top = top;
}

static void field(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    int object = operand(g, node->a, to);
    emit(g, node->line, code_abc(OP_GET_FIELD, to, object, 0));
    emit_member(g, node->text, node->line);
    g->top = top;
}

static void element(struct gen *g, struct node *node, int to)
{
    int top = g->top;
    int object = operand(g, node->a, to);
    int index = operand(g, node->b, -1);
    emit(g, node->line, code_abc(OP_INDEX, to, object, index));
    g->top = top;
}

static void closure(struct gen *g, struct node *node, int to)
{
    struct fn_node *fn = node->fn;
    uint32_t number = constant(g, from_object(function_of(g, g->c, fn)), node->line);
    emit_constant(g, node->line, OP_CLOSURE, to, number);
    for (int i = 0; i < fn->ncaptures; i++) {
        struct decl *d = fn->captures[i];
        bool is_own = d->owner == g->fn;
        uint32_t from = (uint32_t)(is_own ? d->reg : capture_number(g->fn, d));
        emit(g, node->line, from << 1 | is_own);
    }
}

static void constant_expression(struct gen *g, struct node *node, int to)
{
    switch (node->kind) {
    case NODE_NUMBER:
        emit_constant(g, node->line, OP_CONSTANT, to,
                      constant(g, from_number(node->number), node->line));
        return;
    case NODE_STRING:
        emit_constant(g, node->line, OP_CONSTANT, to, name_constant(g, node->text, node->line));
        return;
    default:;
        enum opcode op = node->token == TOKEN_NIL    ? OP_NIL
                         : node->token == TOKEN_TRUE ? OP_TRUE
                         : node->token == TOKEN_DONE ? OP_DONE
                                                     : OP_FALSE;
        emit(g, node->line, code_abc(op, to, 0, 0));
    }
}

/* Whether parts of the result are written before all operands have been read. */
static bool writes_early(enum node_kind kind)
{
    return kind == NODE_AND || kind == NODE_OR || kind == NODE_CONDITIONAL || kind == NODE_LIST ||
           kind == NODE_MAP;
}

static void expression_into(struct gen *g, struct node *node, int to)
{
    switch (node->kind) {
    case NODE_LOCAL:
        load_local(g, node->decl, to, node->line);
        return;
    case NODE_GLOBAL:
        emit_constant(g, node->line, OP_GET_GLOBAL, to,
                      global_constant(g, node->text, false, node->line));
        return;
    case NODE_INTERPOLATION:
        interpolation(g, node, to);
        return;
    case NODE_LIST:
        list_literal(g, node, to);
        return;
    case NODE_MAP:
        map_literal(g, node, to);
        return;
    case NODE_FN:
        closure(g, node, to);
        return;
    case NODE_UNARY:
        unary(g, node, to);
        return;
    case NODE_BINARY:
        binary(g, node, to);
        return;
    case NODE_AND:
    case NODE_OR:
        and_or(g, node, to);
        return;
    case NODE_COMPARE:
        compare(g, node, to);
        return;
    case NODE_RANGE:
        range(g, node, to);
        return;
    case NODE_CONDITIONAL:
        conditional(g, node, to);
        return;
    case NODE_CALL:
    case NODE_INVOKE:
    case NODE_SUPER:
        call(g, node, to);
        return;
    case NODE_FIELD:
        field(g, node, to);
        return;
    case NODE_INDEX:
        element(g, node, to);
        return;
    default:
        constant_expression(g, node, to);
    }
}

static void expression(struct gen *g, struct node *node, int to)
{
    if (to >= g->locals || !writes_early(node->kind)) {
        expression_into(g, node, to);
        return;
    }
    int top = g->top;
    int reg = reserve(g, 1, node->line);
    expression_into(g, node, reg);
    move(g, node->line, to, reg);
    g->top = top;
}

/* ---- Statements ---------------------------------------------------------------------------- */

static void statement(struct gen *g, struct node *node);

static void statements(struct gen *g, struct node *list)
{
    for (; list; list = list->next) {
        statement(g, list);
        g->top = g->locals;
    }
}

static void block(struct gen *g, struct node *node)
{
    int locals = g->locals;
    statements(g, node->a);
    if (node->token != TOKEN_LET)
        g->top = g->locals = locals;
}

/* Gives a variable its register, the first free one. */
static int new_local(struct gen *g, struct decl *d, int line)
{
    d->reg = reserve(g, 1, line);
    return d->reg;
}

static void store_global(struct gen *g, struct text name, int from, int line)
{
    emit_constant(g, line, OP_SET_GLOBAL, from, global_constant(g, name, true, line));
}

static void let(struct gen *g, struct node *node)
{
    struct decl *d = node->decl;
    int reg = d ? new_local(g, d, node->line) : reserve(g, 1, node->line);
    if (d && d->early) { /* its own initial value refers to it */
        emit(g, node->line, code_abc(OP_NIL, reg, 0, 0));
        emit(g, node->line, code_abc(OP_BOX, reg, 0, 0));
        g->locals = g->top;
        int temporary = reserve(g, 1, node->line);
        expression(g, node->a, temporary);
        store_local(g, d, temporary, node->line);
        return;
    }
    if (node->a)
        expression(g, node->a, reg);
    else
        emit(g, node->line, code_abc(OP_NIL, reg, 0, 0));
    if (!d) {
        store_global(g, node->text, reg, node->line);
        return;
    }
    box_if_needed(g, d, node->line);
    g->locals = g->top;
}

static void assign_variable(struct gen *g, struct node *node)
{
    struct node *target = node->a;
    bool is_compound = node->token != TOKEN_ASSIGN;
    int to = in_register(g, target) ? target->decl->reg : reserve(g, 1, node->line);
    if (is_compound) {
        int left = operand(g, target, to);
        binary_with(g, node->token, to, left, node->b, node->line);
    } else {
        expression(g, node->b, to);
    }
    if (in_register(g, target))
        return;
    if (target->kind == NODE_GLOBAL)
        store_global(g, target->text, to, node->line);
    else
        store_local(g, target->decl, to, node->line);
}

static void assign_field(struct gen *g, struct node *node)
{
    struct node *target = node->a;
    int object = operand(g, target->a, -1), v;
    if (node->token == TOKEN_ASSIGN) {
        v = operand(g, node->b, -1);
    } else {
        v = reserve(g, 1, node->line);
        emit(g, node->line, code_abc(OP_GET_FIELD, v, object, 0));
        emit_member(g, target->text, node->line);
        binary_with(g, node->token, v, v, node->b, node->line);
    }
    emit(g, node->line, code_abc(OP_SET_FIELD, object, v, 0));
    emit_member(g, target->text, node->line);
}

static void assign_element(struct gen *g, struct node *node)
{
    struct node *target = node->a;
    int object = operand(g, target->a, -1), index = operand(g, target->b, -1), v;
    if (node->token == TOKEN_ASSIGN) {
        v = operand(g, node->b, -1);
    } else {
        v = reserve(g, 1, node->line);
        emit(g, node->line, code_abc(OP_INDEX, v, object, index));
        binary_with(g, node->token, v, v, node->b, node->line);
    }
    emit(g, node->line, code_abc(OP_SET_INDEX, object, index, v));
}

static void assign(struct gen *g, struct node *node)
{
    if (node->a->kind == NODE_FIELD)
        assign_field(g, node);
    else if (node->a->kind == NODE_INDEX)
        assign_element(g, node);
    else
        assign_variable(g, node);
}

static void if_else(struct gen *g, struct node *node)
{
    struct jump *otherwise = NULL;
    condition(g, node->a, false, &otherwise);
    block(g, node->b);
    if (!node->c) {
        jumps_here(g, otherwise);
        return;
    }
    uint32_t end = emit_jump(g, node->line, code_ax(OP_JUMP, 0));
    jumps_here(g, otherwise);
    statement(g, node->c);
    jump_set(g, end, g->ncode);
}

static void loop_body(struct gen *g, struct node *body, struct loop *loop)
{
    loop->outer = g->loop;
    g->loop = loop;
    block(g, body);
    g->loop = loop->outer;
}

static void loop_back(struct gen *g, uint32_t target, int line)
{
    jump_set(g, emit_jump(g, line, code_ax(OP_LOOP, 0)), target);
}

static void while_loop(struct gen *g, struct node *node)
{
    struct loop loop = {0};
    uint32_t start = g->ncode;
    condition(g, node->a, false, &loop.breaks);
    loop_body(g, node->b, &loop);
    jumps_set(g, loop.continues, start);
    loop_back(g, start, node->line);
    jumps_here(g, loop.breaks);
}

/* Over a range that is spelt out: no object is made. */
static void count_loop(struct gen *g, struct node *node)
{
    struct loop loop = {0};
    int base = reserve(g, 3, node->line);
    bool inclusive = node->a->token == TOKEN_DOTDOTEQ;
    expression(g, node->a->a, base);
    expression(g, node->a->b, base + 1);
    g->locals = g->top;
    node->decl->reg = base + 2;
    jump_add(g, &loop.breaks, emit_jump(g, node->line, code_abc(OP_FOR_START, base, 0, inclusive)));
    uint32_t start = g->ncode;
    box_if_needed(g, node->decl, node->line);
    loop_body(g, node->b, &loop);
    jumps_here(g, loop.continues);
    jump_set(g, emit_jump(g, node->line, code_abc(OP_FOR_STEP, base, 0, inclusive)), start);
    jumps_here(g, loop.breaks);
}

static void iterator_loop(struct gen *g, struct node *node)
{
    struct loop loop = {0};
    int base = reserve(g, 4, node->line);
    expression(g, node->a, base);
    g->locals = g->top;
    node->decl->reg = base + 2;
    if (node->decl2)
        node->decl2->reg = base + 3;
    emit(g, node->line, code_abc(OP_ITERATE, base, 0, 0));
    uint32_t start = g->ncode;
    jump_add(g, &loop.breaks,
             emit_jump(g, node->line, code_abc(OP_NEXT, base, node->decl2 != NULL, 0)));
    box_if_needed(g, node->decl, node->line);
    box_if_needed(g, node->decl2, node->line);
    loop_body(g, node->b, &loop);
    jumps_set(g, loop.continues, start);
    loop_back(g, start, node->line);
    jumps_here(g, loop.breaks);
}

static void for_loop(struct gen *g, struct node *node)
{
    int locals = g->locals;
    if (node->a->kind == NODE_RANGE && !node->decl2)
        count_loop(g, node);
    else
        iterator_loop(g, node);
    g->top = g->locals = locals;
}

static void return_from(struct gen *g, struct node *node)
{
    if (g->fn->is_init)
        emit(g, node->line, code_abc(OP_RETURN, 0, 0, 0));
    else if (node->a)
        emit(g, node->line, code_abc(OP_RETURN, operand(g, node->a, -1), 0, 0));
    else
        emit(g, node->line, code_abc(OP_RETURN_NIL, 0, 0, 0));
}

static void add_handler(struct gen *g, struct handler handler)
{
    if (g->nhandlers == g->handlers_capacity) {
        uint32_t capacity = g->handlers_capacity ? 2 * g->handlers_capacity : 4;
        struct handler *grown = arena_alloc(g->c, capacity * sizeof grown[0]);
        if (g->nhandlers)
            memcpy(grown, g->handlers, g->nhandlers * sizeof grown[0]);
        g->handlers = grown;
        g->handlers_capacity = capacity;
    }
    g->handlers[g->nhandlers++] = handler;
}

/* Handlers of inner try blocks come first: the VM takes the first that fits. */
static void try_catch(struct gen *g, struct node *node)
{
    int locals = g->locals;
    uint32_t from = g->ncode;
    block(g, node->a);
    uint32_t to = g->ncode;
    uint32_t end = emit_jump(g, node->line, code_ax(OP_JUMP, 0));
    uint32_t reg = (uint32_t)new_local(g, node->decl, node->line);
    g->locals = g->top;
    add_handler(g, (struct handler){from, to, g->ncode, reg});
    box_if_needed(g, node->decl, node->line);
    block(g, node->b);
    g->top = g->locals = locals;
    jump_set(g, end, g->ncode);
}

/* Adds members to the class in `class`; the register behind it is free for their closures. */
static void members(struct gen *g, struct node *list, int class)
{
    for (struct node *m = list; m; m = m->next) {
        enum opcode op = OP_FIELD;
        if (m->a) {
            closure(g, m->a, class + 1);
            op = m->token == TOKEN_NAME ? OP_STATIC : OP_METHOD;
        }
        emit_constant(g, m->line, op, class, name_constant(g, m->text, m->line));
    }
}

static void class_definition(struct gen *g, struct node *node)
{
    int locals = g->locals, line = node->line;
    struct decl *d = node->decl;
    int reg = d ? new_local(g, d, line) : -1;
    bool is_boxed = d && decl_is_boxed(d);
    if (is_boxed) {
        emit(g, line, code_abc(OP_NIL, reg, 0, 0));
        emit(g, line, code_abc(OP_BOX, reg, 0, 0));
    }
    int class = d && !is_boxed ? reg : reserve(g, 1, line);
    int second = reserve(g, 1, line);
    g->locals = g->top;
    if (node->decl2) {
        expression(g, node->a, new_local(g, node->decl2, line));
        g->locals = g->top;
        move(g, line, second, node->decl2->reg);
        box_if_needed(g, node->decl2, line);
    } else {
        emit(g, line, code_abc(OP_NIL, second, 0, 0));
    }
    emit_constant(g, line, OP_CLASS, class, name_constant(g, node->text, line));
    members(g, node->b, class);
    if (!d)
        store_global(g, node->text, class, line);
    else
        store_local(g, d, class, line);
    g->top = g->locals = d ? reg + 1 : locals;
}

static void extend(struct gen *g, struct node *node)
{
    int class = reserve(g, 2, node->line);
    emit_constant(g, node->line, OP_GET_GLOBAL, class,
                  global_constant(g, node->text, false, node->line));
    members(g, node->b, class);
}

static void import_names(struct gen *g, struct node *list, int module)
{
    for (struct node *name = list; name; name = name->next) {
        int reg = name->decl ? name->decl->reg : reserve(g, 1, name->line);
        emit(g, name->line, code_abc(OP_GET_FIELD, reg, module, 0));
        emit_member(g, name->text, name->line);
        if (name->decl)
            box_if_needed(g, name->decl, name->line);
        else
            store_global(g, name->text, reg, name->line);
    }
}

static void import(struct gen *g, struct node *node)
{
    int line = node->line;
    if (node->decl)
        new_local(g, node->decl, line);
    for (struct node *name = node->a; name; name = name->next)
        if (name->decl)
            new_local(g, name->decl, line);
    g->locals = g->top;
    int reg = node->decl ? node->decl->reg : reserve(g, 1, line);
    emit_constant(g, line, OP_IMPORT, reg, name_constant(g, node->c->text, line));
    if (node->decl)
        box_if_needed(g, node->decl, line);
    else if (node->text.at)
        store_global(g, node->text, reg, line);
    import_names(g, node->a, reg);
}

static void expression_statement(struct gen *g, struct node *node)
{
    int reg = reserve(g, 1, node->line);
    if (!g->c->interactive || !g->fn->is_module) {
        expression(g, node->a, reg);
        return;
    }
    struct node show = {.kind = NODE_GLOBAL, .line = node->line, .text = {"_show", 5}};
    struct node call_show = {
        .kind = NODE_CALL, .line = node->line, .a = &show, .b = node->a, .number = 1};
    expression(g, &call_show, reg);
}

static void statement(struct gen *g, struct node *node)
{
    switch (node->kind) {
    case NODE_LET:
        let(g, node);
        return;
    case NODE_ASSIGN:
        assign(g, node);
        return;
    case NODE_BLOCK:
        block(g, node);
        return;
    case NODE_IF:
        if_else(g, node);
        return;
    case NODE_WHILE:
        while_loop(g, node);
        return;
    case NODE_FOR:
        for_loop(g, node);
        return;
    case NODE_BREAK:
        jump_add(g, &g->loop->breaks, emit_jump(g, node->line, code_ax(OP_JUMP, 0)));
        return;
    case NODE_CONTINUE:
        jump_add(g, &g->loop->continues, emit_jump(g, node->line, code_ax(OP_JUMP, 0)));
        return;
    case NODE_RETURN:
        return_from(g, node);
        return;
    case NODE_THROW:
        emit(g, node->line, code_abc(OP_THROW, operand(g, node->a, -1), 0, 0));
        return;
    case NODE_TRY:
        try_catch(g, node);
        return;
    case NODE_CLASS:
        class_definition(g, node);
        return;
    case NODE_EXTEND:
        extend(g, node);
        return;
    case NODE_IMPORT:
        import(g, node);
        return;
    default:
        expression_statement(g, node);
    }
}

/* ---- Functions ----------------------------------------------------------------------------- */

static void *copy_bytes(struct thread *t, const void *from, size_t size)
{
    void *to = new_bytes(t, size ? size : 1);
    if (size)
        memcpy(to, from, size);
    return to;
}

static struct function *finish(struct gen *g)
{
    struct function *fn = NEW(g->t, &function_type, KIND_FUNCTION);
    GC_FRAME(fn);
    gc_store(&fn->name, intern(g->t, g->fn->name.at, g->fn->name.length));
    gc_store(&fn->module, g->c->module);
    gc_store(&fn->code, copy_bytes(g->t, g->code, g->ncode * sizeof g->code[0]));
    gc_store(&fn->lines, copy_bytes(g->t, g->lines, g->ncode * sizeof g->lines[0]));
    gc_store(&fn->caches, new_bytes(g->t, (g->ncaches + 1) * sizeof fn->caches[0]));
    gc_store(&fn->handlers, copy_bytes(g->t, g->handlers, g->nhandlers * sizeof g->handlers[0]));
    gc_store(&fn->constants, gc_load(&g->constants->items));
    fn->ncode = g->ncode;
    fn->nhandlers = g->nhandlers;
    fn->ncaptures = (uint32_t)g->fn->ncaptures;
    fn->nregs = (uint16_t)g->nregs;
    fn->nparams = (uint16_t)(g->fn->nparameters - g->fn->variadic);
    fn->variadic = g->fn->variadic;
    return fn;
}

static void body(struct gen *g)
{
    struct fn_node *fn = g->fn;
    reserve(g, 1, fn->line);
    for (struct node *p = fn->parameters; p; p = p->next)
        new_local(g, p->decl, p->line);
    g->locals = g->top;
    for (struct node *p = fn->parameters; p; p = p->next)
        box_if_needed(g, p->decl, p->line);
    statement(g, fn->body);
    if (fn->is_init)
        emit(g, fn->line, code_abc(OP_RETURN, 0, 0, 0));
    else
        emit(g, fn->line, code_abc(OP_RETURN_NIL, 0, 0, 0));
}

static struct function *function_of(struct gen *outer, struct compiler *c, struct fn_node *fn)
{
    struct gen g = {.c = c, .t = c->t, .outer = outer, .fn = fn};
    GC_FRAME(g.constants, g.constant_numbers);
    g.constants = new_list(g.t, 4);
    g.constant_numbers = new_map(g.t);
    body(&g);
    return finish(&g);
}

struct function *generate(struct compiler *c, struct fn_node *fn)
{
    for (struct global *g = c->globals; g; g = g->next)
        module_variable(c->t, c->module, intern(c->t, g->name.at, g->name.length));
    return function_of(NULL, c, fn);
}
