/* Tokens to a tree. Names are resolved on the way: to a local variable, which closures may capture,
 * or to one of the module. */
#include "compiler.h"

#include <stdlib.h>

#define DEPTH_MAX 200

/* ---- Tokens -------------------------------------------------------------------------------- */

static bool check(const struct compiler *c, enum token_kind kind)
{
    return c->current.kind == kind;
}

static bool match(struct compiler *c, enum token_kind kind)
{
    if (!check(c, kind))
        return false;
    lexer_advance(c);
    return true;
}

_Noreturn static void unexpected(struct compiler *c, const char *wanted)
{
    bool at_end = check(c, TOKEN_END);
    int line = at_end && c->previous.line ? c->previous.line : c->current.line;
    if (c->incomplete && at_end)
        *c->incomplete = true;
    if (check(c, TOKEN_NAME))
        syntax_error(c, line, "expected %s, not '%.*s'", wanted, (int)c->current.text.length,
                     c->current.text.at);
    const char *quote = c->current.kind > TOKEN_STRING_LAST ? "'" : "";
    syntax_error(c, line, "expected %s, not %s%s%s", wanted, quote, token_name(c->current.kind),
                 quote);
}

static void expect(struct compiler *c, enum token_kind kind, const char *wanted)
{
    if (!match(c, kind))
        unexpected(c, wanted);
}

static struct text expect_name(struct compiler *c, const char *wanted)
{
    expect(c, TOKEN_NAME, wanted);
    return c->previous.text;
}

static bool match_word(struct compiler *c, const char *word)
{
    if (!check(c, TOKEN_NAME) || !text_is(c->current.text, word))
        return false;
    lexer_advance(c);
    return true;
}

static void enter(struct compiler *c)
{
    if (++c->depth > DEPTH_MAX)
        syntax_error(c, c->current.line, "this is nested too deeply");
}

/* ---- Nodes --------------------------------------------------------------------------------- */

static struct node *new_node(struct compiler *c, enum node_kind kind, int line)
{
    struct node *node = arena_alloc(c, sizeof *node);
    node->kind = kind;
    node->line = line;
    return node;
}

static struct node *new_node_ab(struct compiler *c, enum node_kind kind, int line, struct node *a,
                                struct node *b)
{
    struct node *node = new_node(c, kind, line);
    node->a = a;
    node->b = b;
    return node;
}

static struct node *new_string_node(struct compiler *c, int line, struct text text)
{
    struct node *node = new_node(c, NODE_STRING, line);
    node->text = text;
    return node;
}

/* ---- Variables ----------------------------------------------------------------------------- */

static struct text text_of(const char *z)
{
    return (struct text){z, strlen(z)};
}

static bool text_equal(struct text a, struct text b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static struct decl *declare(struct compiler *c, struct text name)
{
    struct fn_node *fn = c->fn;
    for (struct decl *d = fn->scope; d && d->depth == fn->depth; d = d->outer)
        if (text_equal(d->name, name))
            syntax_error(c, c->previous.line, "'%.*s' is declared twice here", (int)name.length,
                         name.at);
    struct decl *d = arena_alloc(c, sizeof *d);
    d->name = name;
    d->owner = fn;
    d->depth = fn->depth;
    d->outer = fn->scope;
    fn->scope = d;
    return d;
}

static void declare_global(struct compiler *c, struct text name)
{
    for (struct global *g = c->globals; g; g = g->next)
        if (text_equal(g->name, name)) {
            if (c->interactive)
                return;
            syntax_error(c, c->previous.line, "'%.*s' is declared twice: see line %d",
                         (int)name.length, name.at, g->line);
        }
    struct global *g = arena_alloc(c, sizeof *g);
    g->name = name;
    g->line = c->previous.line;
    g->next = c->globals;
    c->globals = g;
}

static bool at_module_level(const struct compiler *c)
{
    return c->fn->is_module && c->fn->depth == 0;
}

/* Declares what a statement defines: node->decl, or a module variable if that stays NULL. */
static void declare_for(struct compiler *c, struct node *node, struct text name)
{
    node->text = name;
    if (at_module_level(c))
        declare_global(c, name);
    else
        node->decl = declare(c, name);
}

static void scope_open(struct compiler *c)
{
    c->fn->depth++;
}

static void scope_close(struct compiler *c)
{
    struct fn_node *fn = c->fn;
    while (fn->scope && fn->scope->depth == fn->depth)
        fn->scope = fn->scope->outer;
    fn->depth--;
}

static void add_capture(struct compiler *c, struct fn_node *fn, struct decl *d)
{
    for (int i = 0; i < fn->ncaptures; i++)
        if (fn->captures[i] == d)
            return;
    if (fn->ncaptures == 200)
        syntax_error(c, c->previous.line, "a function captures more than 200 variables");
    if (fn->ncaptures == fn->captures_capacity) {
        int capacity = fn->captures_capacity ? 2 * fn->captures_capacity : 4;
        struct decl **grown = arena_alloc(c, (size_t)capacity * sizeof grown[0]);
        if (fn->ncaptures)
            memcpy(grown, fn->captures, (size_t)fn->ncaptures * sizeof grown[0]);
        fn->captures = grown;
        fn->captures_capacity = capacity;
    }
    fn->captures[fn->ncaptures++] = d;
}

static struct decl *resolve(struct compiler *c, struct text name)
{
    for (struct fn_node *fn = c->fn; fn; fn = fn->parent)
        for (struct decl *d = fn->scope; d; d = d->outer) {
            if (!text_equal(d->name, name))
                continue;
            for (struct fn_node *inner = c->fn; inner != fn; inner = inner->parent)
                add_capture(c, inner, d);
            d->captured |= c->fn != fn;
            d->early |= c->fn != fn && d->pending;
            return d;
        }
    return NULL;
}

static struct node *variable(struct compiler *c, struct text name, int line)
{
    struct decl *d = resolve(c, name);
    struct node *node = new_node(c, d ? NODE_LOCAL : NODE_GLOBAL, line);
    node->decl = d;
    node->text = name;
    return node;
}

/* ---- Expressions --------------------------------------------------------------------------- */

static struct node *expression(struct compiler *c);
static struct node *block(struct compiler *c);
enum role { ROLE_FUNCTION, ROLE_METHOD, ROLE_INIT };
static struct node *function(struct compiler *c, struct text name, enum role role);

/* Appends a list of expressions up to `end`; returns how many. */
static int expressions_until(struct compiler *c, struct node **list, enum token_kind end,
                             const char *wanted)
{
    int n = 0;
    c->nesting++;
    while (!check(c, end)) {
        *list = expression(c);
        list = &(*list)->next;
        n++;
        if (!match(c, TOKEN_COMMA))
            break;
    }
    c->nesting--;
    expect(c, end, wanted);
    return n;
}

static struct node *list_literal(struct compiler *c)
{
    struct node *node = new_node(c, NODE_LIST, c->previous.line);
    node->number =
        expressions_until(c, &node->a, TOKEN_RIGHT_BRACKET, "']' after the elements of a list");
    return node;
}

static struct node *map_key(struct compiler *c)
{
    if (match(c, TOKEN_NAME))
        return new_string_node(c, c->previous.line, c->previous.text);
    if (match(c, TOKEN_LEFT_BRACKET)) {
        struct node *key = expression(c);
        expect(c, TOKEN_RIGHT_BRACKET, "']' after a computed key");
        return key;
    }
    if (!check(c, TOKEN_STRING) && !check(c, TOKEN_STRING_FIRST) && !check(c, TOKEN_NUMBER))
        unexpected(c, "a key");
    return expression(c);
}

static struct node *map_literal(struct compiler *c)
{
    struct node *node = new_node(c, NODE_MAP, c->previous.line);
    struct node **end = &node->a;
    c->nesting++;
    while (!check(c, TOKEN_RIGHT_BRACE)) {
        /* The key itself goes into a wrapper, since a name's node may have a b of its own. */
        struct node *entry = new_node(c, NODE_MAP, c->current.line);
        entry->a = map_key(c);
        expect(c, TOKEN_COLON, "':' after a key");
        entry->b = expression(c);
        *end = entry;
        end = &entry->next;
        if (!match(c, TOKEN_COMMA))
            break;
    }
    c->nesting--;
    expect(c, TOKEN_RIGHT_BRACE, "'}' after the entries of a map");
    return node;
}

static struct node *interpolation(struct compiler *c)
{
    struct node *node = new_node(c, NODE_INTERPOLATION, c->previous.line);
    struct node **end = &node->a;
    for (;;) {
        if (c->previous.text.length) {
            *end = new_string_node(c, c->previous.line, c->previous.text);
            end = &(*end)->next;
        }
        if (c->previous.kind == TOKEN_STRING_LAST)
            return node;
        c->nesting++;
        *end = expression(c);
        c->nesting--;
        end = &(*end)->next;
        if (!match(c, TOKEN_STRING_MIDDLE))
            expect(c, TOKEN_STRING_LAST, "'}' after an interpolated expression");
    }
}

static struct node *this_node(struct compiler *c, int line)
{
    struct decl *d = resolve(c, text_of("this"));
    if (!d)
        syntax_error(c, line, "'this' is of use only in a method");
    return variable(c, d->name, line);
}

static struct node *super_call(struct compiler *c)
{
    struct node *node = new_node(c, NODE_SUPER, c->previous.line);
    node->a = this_node(c, node->line);
    if (!resolve(c, text_of("super")))
        syntax_error(c, node->line, "'super' needs a class that has a superclass");
    node->c = variable(c, text_of("super"), node->line);
    expect(c, TOKEN_DOT, "'.' after 'super'");
    node->text = expect_name(c, "a method's name");
    expect(c, TOKEN_LEFT_PAREN, "'(': a method of 'super' can only be called");
    node->number = expressions_until(c, &node->b, TOKEN_RIGHT_PAREN, "')' after arguments");
    return node;
}

static struct node *grouping(struct compiler *c)
{
    c->nesting++;
    struct node *node = expression(c);
    c->nesting--;
    expect(c, TOKEN_RIGHT_PAREN, "')'");
    return node;
}

static struct node *constant(struct compiler *c, int line)
{
    struct node *node = new_node(c, NODE_CONSTANT, line);
    node->token = c->previous.kind;
    return node;
}

static struct node *primary(struct compiler *c)
{
    int line = c->current.line;
    switch (c->current.kind) {
    case TOKEN_NUMBER:
        lexer_advance(c);
        struct node *number = new_node(c, NODE_NUMBER, line);
        number->number = c->previous.number;
        return number;
    case TOKEN_STRING:
        lexer_advance(c);
        return new_string_node(c, line, c->previous.text);
    case TOKEN_STRING_FIRST:
        lexer_advance(c);
        return interpolation(c);
    case TOKEN_NIL:
    case TOKEN_TRUE:
    case TOKEN_FALSE:
    case TOKEN_DONE:
        lexer_advance(c);
        return constant(c, line);
    case TOKEN_NAME:
        lexer_advance(c);
        return variable(c, c->previous.text, line);
    case TOKEN_THIS:
        lexer_advance(c);
        return this_node(c, line);
    case TOKEN_SUPER:
        lexer_advance(c);
        return super_call(c);
    case TOKEN_LEFT_PAREN:
        lexer_advance(c);
        return grouping(c);
    case TOKEN_LEFT_BRACKET:
        lexer_advance(c);
        return list_literal(c);
    case TOKEN_LEFT_BRACE:
        lexer_advance(c);
        return map_literal(c);
    case TOKEN_FN:
        lexer_advance(c);
        return function(c, text_of("fn"), ROLE_FUNCTION);
    default:
        unexpected(c, "an expression");
    }
}

/* Whether the current token goes on with the expression: one on a new line does only if it could
 * not begin a statement. */
static bool continues(const struct compiler *c)
{
    return c->nesting || !c->current.after_newline;
}

static struct node *member(struct compiler *c, struct node *object)
{
    struct node *node = new_node_ab(c, NODE_FIELD, c->previous.line, object, NULL);
    node->text = expect_name(c, "a name after '.'");
    if (check(c, TOKEN_LEFT_PAREN) && continues(c)) {
        lexer_advance(c);
        node->kind = NODE_INVOKE;
        node->number = expressions_until(c, &node->b, TOKEN_RIGHT_PAREN, "')' after arguments");
    }
    return node;
}

static struct node *postfix(struct compiler *c)
{
    struct node *node = primary(c);
    for (;;) {
        int line = c->current.line;
        if (match(c, TOKEN_DOT)) {
            node = member(c, node);
        } else if (check(c, TOKEN_LEFT_PAREN) && continues(c)) {
            lexer_advance(c);
            node = new_node_ab(c, NODE_CALL, line, node, NULL);
            node->number = expressions_until(c, &node->b, TOKEN_RIGHT_PAREN, "')' after arguments");
        } else if (check(c, TOKEN_LEFT_BRACKET) && continues(c)) {
            lexer_advance(c);
            node = new_node_ab(c, NODE_INDEX, line, node, NULL);
            c->nesting++;
            node->b = expression(c);
            c->nesting--;
            expect(c, TOKEN_RIGHT_BRACKET, "']' after an index");
        } else {
            return node;
        }
    }
}

static struct node *unary(struct compiler *c)
{
    int line = c->current.line;
    if (!check(c, TOKEN_MINUS) && !check(c, TOKEN_BNOT))
        return postfix(c);
    lexer_advance(c);
    enum token_kind token = c->previous.kind;
    enter(c);
    struct node *operand = unary(c);
    c->depth--;
    if (token == TOKEN_MINUS && operand->kind == NODE_NUMBER) {
        operand->number = -operand->number;
        return operand;
    }
    struct node *node = new_node_ab(c, NODE_UNARY, line, operand, NULL);
    node->token = token;
    return node;
}

/* What a token does between two expressions. */
struct operator
{
    uint8_t strength; /* of its binding; 0: it is no binary operator */
    uint8_t kind;     /* enum node_kind */
};
#define NOT_STRENGTH 3
static const struct operator operators[TOKEN_COUNT] = {
    [TOKEN_OR] = {1, NODE_OR},           [TOKEN_AND] = {2, NODE_AND},
    [TOKEN_EQ] = {4, NODE_COMPARE},      [TOKEN_NE] = {4, NODE_COMPARE},
    [TOKEN_LT] = {4, NODE_COMPARE},      [TOKEN_LE] = {4, NODE_COMPARE},
    [TOKEN_GT] = {4, NODE_COMPARE},      [TOKEN_GE] = {4, NODE_COMPARE},
    [TOKEN_IS] = {4, NODE_BINARY},       [TOKEN_IN] = {4, NODE_BINARY},
    [TOKEN_DOTDOT] = {5, NODE_RANGE},    [TOKEN_DOTDOTEQ] = {5, NODE_RANGE},
    [TOKEN_BOR] = {6, NODE_BINARY},      [TOKEN_BXOR] = {7, NODE_BINARY},
    [TOKEN_BAND] = {8, NODE_BINARY},     [TOKEN_SHL] = {9, NODE_BINARY},
    [TOKEN_SHR] = {9, NODE_BINARY},      [TOKEN_PLUS] = {10, NODE_BINARY},
    [TOKEN_MINUS] = {10, NODE_BINARY},   [TOKEN_STAR] = {11, NODE_BINARY},
    [TOKEN_SLASH] = {11, NODE_BINARY},   [TOKEN_IDIV] = {11, NODE_BINARY},
    [TOKEN_PERCENT] = {11, NODE_BINARY}, [TOKEN_ASSIGN] = {0, NODE_ASSIGN},
    [TOKEN_PLUS_EQ] = {0, NODE_ASSIGN},  [TOKEN_MINUS_EQ] = {0, NODE_ASSIGN},
    [TOKEN_STAR_EQ] = {0, NODE_ASSIGN},  [TOKEN_SLASH_EQ] = {0, NODE_ASSIGN},
    [TOKEN_IDIV_EQ] = {0, NODE_ASSIGN},  [TOKEN_PERCENT_EQ] = {0, NODE_ASSIGN},
    [TOKEN_BAND_EQ] = {0, NODE_ASSIGN},  [TOKEN_BOR_EQ] = {0, NODE_ASSIGN},
    [TOKEN_BXOR_EQ] = {0, NODE_ASSIGN},  [TOKEN_SHL_EQ] = {0, NODE_ASSIGN},
    [TOKEN_SHR_EQ] = {0, NODE_ASSIGN}};

static struct node *binary(struct compiler *c, int least);

static struct node *not_expression(struct compiler *c)
{
    int line = c->current.line;
    if (!match(c, TOKEN_NOT))
        return unary(c);
    enter(c);
    struct node *node = new_node_ab(c, NODE_UNARY, line, binary(c, NOT_STRENGTH), NULL);
    c->depth--;
    node->token = TOKEN_NOT;
    return node;
}

/* On a new line most operators could begin a statement, or a method's definition. */
static bool is_operator_here(const struct compiler *c)
{
    return check(c, TOKEN_AND) || check(c, TOKEN_OR) || continues(c);
}

/* `a in b` is `b.has(a)`. */
static struct node *membership(struct node *node)
{
    struct node *element = node->a;
    node->kind = NODE_INVOKE;
    node->text = text_of("has");
    node->a = node->b;
    node->b = element;
    node->number = 1;
    return node;
}

static struct node *binary(struct compiler *c, int least)
{
    enter(c);
    struct node *left = not_expression(c);
    for (;;) {
        enum token_kind token = c->current.kind;
        struct operator op = operators[token];
        if (!op.strength || op.strength < least || !is_operator_here(c))
            break;
        lexer_advance(c);
        int line = c->previous.line;
        struct node *right = binary(c, op.strength + 1);
        left = new_node_ab(c, (enum node_kind)op.kind, line, left, right);
        left->token = token;
        if (token == TOKEN_IN)
            left = membership(left);
    }
    c->depth--;
    return left;
}

static struct node *expression(struct compiler *c)
{
    enter(c);
    struct node *node = binary(c, 1);
    int line = c->current.line;
    if (match(c, TOKEN_QUESTION)) {
        struct node *condition = node;
        node = new_node(c, NODE_CONDITIONAL, line);
        node->a = condition;
        node->b = expression(c);
        expect(c, TOKEN_COLON, "':' in a conditional expression");
        node->c = expression(c);
    }
    c->depth--;
    return node;
}

/* ---- Functions ----------------------------------------------------------------------------- */

static void parameters(struct compiler *c)
{
    struct fn_node *fn = c->fn;
    struct node **end = &fn->parameters;
    expect(c, TOKEN_LEFT_PAREN, "'(' before parameters");
    while (!check(c, TOKEN_RIGHT_PAREN)) {
        fn->variadic = match(c, TOKEN_DOTDOTDOT);
        *end = new_node(c, NODE_PARAMETER, c->current.line);
        (*end)->decl = declare(c, expect_name(c, "a parameter's name"));
        end = &(*end)->next;
        if (++fn->nparameters > 200)
            syntax_error(c, c->previous.line, "a function has more than 200 parameters");
        if (fn->variadic || !match(c, TOKEN_COMMA))
            break;
    }
    expect(c, TOKEN_RIGHT_PAREN, "')' after parameters");
}

static struct node *arrow_body(struct compiler *c)
{
    struct node *node = new_node(c, NODE_RETURN, c->previous.line);
    node->a = expression(c);
    return node;
}

static struct fn_node *fn_open(struct compiler *c, struct text name)
{
    struct fn_node *fn = arena_alloc(c, sizeof *fn);
    fn->parent = c->fn;
    fn->name = name;
    fn->line = c->previous.line;
    c->fn = fn;
    return fn;
}

/* From the parameters on. */
static struct node *function(struct compiler *c, struct text name, enum role role)
{
    int nesting = c->nesting;
    struct node *node = new_node(c, NODE_FN, c->previous.line);
    enter(c);
    struct fn_node *fn = node->fn = fn_open(c, name);
    c->nesting = 0;
    fn->is_init = role == ROLE_INIT;
    fn->depth = 1;
    declare(c, text_of(role == ROLE_FUNCTION ? "" : "this"));
    parameters(c);
    if (match(c, TOKEN_ARROW)) {
        c->nesting = nesting;
        fn->body = arrow_body(c);
    } else {
        fn->body = block(c);
    }
    c->fn = fn->parent;
    c->nesting = nesting;
    c->depth--;
    return node;
}

/* ---- Classes ------------------------------------------------------------------------------- */

static struct text operator_name(struct compiler *c)
{
    struct token token = c->current;
    if (match(c, TOKEN_LEFT_BRACKET)) {
        expect(c, TOKEN_RIGHT_BRACKET, "']'");
        return text_of(match(c, TOKEN_ASSIGN) ? "[]=" : "[]");
    }
    bool can_be_defined = operators[token.kind].strength > operators[TOKEN_DOTDOT].strength ||
                          token.kind == TOKEN_LT || token.kind == TOKEN_LE;
    if (!can_be_defined)
        unexpected(c, "a method, 'var' or '}'");
    lexer_advance(c);
    return text_of(token_name(token.kind));
}

static struct node **fields(struct compiler *c, struct node **end)
{
    do {
        *end = new_node(c, NODE_MEMBER, c->current.line);
        (*end)->text = expect_name(c, "a field's name");
        end = &(*end)->next;
    } while (match(c, TOKEN_COMMA));
    match(c, TOKEN_SEMICOLON);
    return end;
}

static struct node *class_body(struct compiler *c)
{
    struct node *members = NULL, **end = &members;
    expect(c, TOKEN_LEFT_BRACE, "'{' before the members of a class");
    while (!match(c, TOKEN_RIGHT_BRACE)) {
        if (match_word(c, "var")) {
            end = fields(c, end);
            continue;
        }
        bool is_static = match_word(c, "static");
        struct node *node = *end = new_node(c, NODE_MEMBER, c->current.line);
        end = &node->next;
        node->token = is_static ? TOKEN_NAME : TOKEN_FN;
        node->text = match(c, TOKEN_NAME) ? c->previous.text : operator_name(c);
        bool is_init = !is_static && text_is(node->text, "init");
        node->a = function(c, node->text, is_init ? ROLE_INIT : ROLE_METHOD);
    }
    return members;
}

static struct node *class_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_CLASS, c->previous.line);
    declare_for(c, node, expect_name(c, "a class's name"));
    if (node->decl)
        node->decl->pending = true;
    scope_open(c);
    if (match(c, TOKEN_LT)) {
        node->a = postfix(c);
        node->decl2 = declare(c, text_of("super"));
    }
    node->b = class_body(c);
    scope_close(c);
    if (node->decl)
        node->decl->pending = false;
    return node;
}

static struct node *extend_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_EXTEND, c->previous.line);
    node->text = expect_name(c, "a class's name");
    node->b = class_body(c);
    return node;
}

/* ---- Statements ---------------------------------------------------------------------------- */

static struct node *statement(struct compiler *c);

static void end_of_statement(struct compiler *c)
{
    if (match(c, TOKEN_SEMICOLON) || check(c, TOKEN_RIGHT_BRACE) || check(c, TOKEN_END) ||
        c->current.after_newline)
        return;
    unexpected(c, "the end of the statement");
}

static struct node *statements_until(struct compiler *c, enum token_kind end)
{
    struct node *first = NULL, **last = &first;
    while (!check(c, end)) {
        if (match(c, TOKEN_SEMICOLON))
            continue;
        if (check(c, TOKEN_END))
            unexpected(c, "'}'");
        *last = statement(c);
        last = &(*last)->next;
    }
    return first;
}

static struct node *block(struct compiler *c)
{
    int nesting = c->nesting;
    c->nesting = 0;
    expect(c, TOKEN_LEFT_BRACE, "'{'");
    struct node *node = new_node(c, NODE_BLOCK, c->previous.line);
    scope_open(c);
    node->a = statements_until(c, TOKEN_RIGHT_BRACE);
    scope_close(c);
    c->nesting = nesting;
    lexer_advance(c);
    return node;
}

static struct node *let_statement(struct compiler *c)
{
    struct node *first = NULL, **end = &first;
    do {
        struct text name = expect_name(c, "a variable's name");
        struct node *node = *end = new_node(c, NODE_LET, c->previous.line);
        end = &node->next;
        if (match(c, TOKEN_ASSIGN))
            node->a = expression(c);
        declare_for(c, node, name);
    } while (match(c, TOKEN_COMMA));
    end_of_statement(c);
    if (!first->next)
        return first;
    struct node *group = new_node_ab(c, NODE_BLOCK, first->line, first, NULL);
    group->token = TOKEN_LET; /* opens no scope */
    return group;
}

static struct node *fn_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_LET, c->previous.line);
    struct text name = expect_name(c, "a function's name");
    declare_for(c, node, name);
    if (node->decl)
        node->decl->pending = true;
    node->a = function(c, name, ROLE_FUNCTION);
    if (node->decl)
        node->decl->pending = false;
    return node;
}

static struct node *if_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_IF, c->previous.line);
    enter(c);
    node->a = expression(c);
    node->b = block(c);
    if (match(c, TOKEN_ELSE))
        node->c = match(c, TOKEN_IF) ? if_statement(c) : block(c);
    c->depth--;
    return node;
}

static struct node *loop_body(struct compiler *c)
{
    c->fn->loops++;
    struct node *body = block(c);
    c->fn->loops--;
    return body;
}

static struct node *while_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_WHILE, c->previous.line);
    node->a = expression(c);
    node->b = loop_body(c);
    return node;
}

static struct node *for_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_FOR, c->previous.line);
    struct text name = expect_name(c, "a variable's name"), second = {NULL, 0};
    if (match(c, TOKEN_COMMA))
        second = expect_name(c, "a second variable's name");
    expect(c, TOKEN_IN, "'in'");
    node->a = expression(c);
    scope_open(c);
    node->decl = declare(c, name);
    if (second.at)
        node->decl2 = declare(c, second);
    node->b = loop_body(c);
    scope_close(c);
    return node;
}

static struct node *jump_statement(struct compiler *c, enum node_kind kind)
{
    if (!c->fn->loops)
        syntax_error(c, c->previous.line, "'%s' is of use only in a loop",
                     token_name(c->previous.kind));
    struct node *node = new_node(c, kind, c->previous.line);
    end_of_statement(c);
    return node;
}

static struct node *return_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_RETURN, c->previous.line);
    bool bare = check(c, TOKEN_RIGHT_BRACE) || check(c, TOKEN_SEMICOLON) || check(c, TOKEN_END) ||
                c->current.after_newline;
    if (!bare)
        node->a = expression(c);
    if (node->a && c->fn->is_init)
        syntax_error(c, node->line, "'init' returns no value but the new object");
    end_of_statement(c);
    return node;
}

static struct node *throw_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_THROW, c->previous.line);
    node->a = expression(c);
    end_of_statement(c);
    return node;
}

static struct node *try_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_TRY, c->previous.line);
    node->a = block(c);
    expect(c, TOKEN_CATCH, "'catch' after a 'try' block");
    scope_open(c);
    node->decl = declare(c, expect_name(c, "a variable for the error"));
    node->b = block(c);
    scope_close(c);
    return node;
}

static struct node *import_statement(struct compiler *c)
{
    struct node *node = new_node(c, NODE_IMPORT, c->previous.line);
    expect(c, TOKEN_STRING, "a string that names a module");
    struct text path = c->previous.text;
    if (match_word(c, "as")) {
        declare_for(c, node, expect_name(c, "a name for the module"));
    } else if (match(c, TOKEN_FOR)) {
        struct node **end = &node->a;
        do {
            *end = new_node(c, NODE_LET, c->current.line);
            declare_for(c, *end, expect_name(c, "a name to import"));
            end = &(*end)->next;
        } while (match(c, TOKEN_COMMA));
    }
    node->c = new_string_node(c, node->line, path);
    end_of_statement(c);
    return node;
}

static struct node *assignment(struct compiler *c, struct node *target)
{
    struct node *node = new_node_ab(c, NODE_ASSIGN, c->current.line, target, NULL);
    node->token = c->current.kind;
    bool is_place = target->kind == NODE_LOCAL || target->kind == NODE_GLOBAL ||
                    target->kind == NODE_FIELD || target->kind == NODE_INDEX;
    if (!is_place || (target->decl && text_is(target->decl->name, "this")))
        syntax_error(c, node->line, "this cannot be assigned to");
    if (target->decl)
        target->decl->assigned = true;
    lexer_advance(c);
    node->b = expression(c);
    return node;
}

static struct node *expression_statement(struct compiler *c)
{
    int line = c->current.line;
    struct node *node = expression(c);
    if (operators[c->current.kind].kind == NODE_ASSIGN)
        node = assignment(c, node);
    else
        node = new_node_ab(c, NODE_EXPRESSION, line, node, NULL);
    end_of_statement(c);
    return node;
}

static struct node *break_statement(struct compiler *c)
{
    return jump_statement(c, NODE_BREAK);
}

static struct node *continue_statement(struct compiler *c)
{
    return jump_statement(c, NODE_CONTINUE);
}

/* Those that begin with a keyword. */
static struct node *(*const keyword_statements[TOKEN_COUNT])(struct compiler *) = {
    [TOKEN_LET] = let_statement,       [TOKEN_FN] = fn_statement,
    [TOKEN_CLASS] = class_statement,   [TOKEN_IF] = if_statement,
    [TOKEN_WHILE] = while_statement,   [TOKEN_FOR] = for_statement,
    [TOKEN_BREAK] = break_statement,   [TOKEN_CONTINUE] = continue_statement,
    [TOKEN_RETURN] = return_statement, [TOKEN_THROW] = throw_statement,
    [TOKEN_TRY] = try_statement,       [TOKEN_IMPORT] = import_statement};

static struct node *statement(struct compiler *c)
{
    struct node *node;
    enter(c);
    if (check(c, TOKEN_LEFT_BRACE)) {
        node = block(c);
    } else if (keyword_statements[c->current.kind]) {
        lexer_advance(c);
        node = keyword_statements[c->previous.kind](c);
    } else if (c->module == vm.core && match_word(c, "extend")) {
        node = extend_statement(c);
    } else {
        node = expression_statement(c);
    }
    c->depth--;
    return node;
}

/* The source as the body of a function without parameters. */
struct fn_node *parse(struct compiler *c)
{
    struct fn_node *fn = fn_open(c, text_of("main"));
    fn->is_module = true;
    fn->line = 1;
    declare(c, text_of(""));
    fn->body = new_node(c, NODE_BLOCK, 1);
    fn->body->token = TOKEN_LET;
    fn->body->a = statements_until(c, TOKEN_END);
    return fn;
}
