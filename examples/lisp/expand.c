/* expand.c: source text to nodes. Finds what each name stands for and applies macros; only ten
 * special forms are known here, the others are macros of the prelude.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

struct place here;

_Noreturn void syntax_error(const char *message, value form)
{
    fail_at(here, form, "%s", message);
}

void check_depth(void)
{
    if (is_stack_low())
        fail_at(here, NULL, "nested too deeply");
}

/* ---- Names ---------------------------------------------------------------------------------- */

static bool is_symbol(value v)
{
    return is(v, T_SYMBOL);
}

/* The symbol that the user wrote, before macros renamed it. */
value base_symbol(value symbol)
{
    while (((struct symbol *)symbol)->alias)
        symbol = ((struct symbol *)symbol)->alias;
    return symbol;
}

static value find_binding(value symbol, value env)
{
    for (; env != NIL; env = cdr(env))
        if (((struct variable *)car(env))->name == symbol)
            return car(env);
    return NULL;
}

/* A variable or macro of the scope, or else the global symbol. What a macro inserted under a new
 * name stands for what it stood for where the macro was defined. */
static value resolve(value symbol, value env)
{
    for (;;) {
        value binding = find_binding(symbol, env);
        struct symbol *s = (struct symbol *)symbol;
        if (binding || !s->alias)
            return binding ? binding : symbol;
        if (s->head.flag)
            env = NIL;
        symbol = s->alias;
    }
}

/* The macro or special form that a form's head stands for, or NULL. */
static value syntax_of(value head, value env)
{
    if (!is_symbol(head))
        return NULL;
    value meaning = resolve(head, env);
    if (is_symbol(meaning))
        meaning = ((struct symbol *)meaning)->global;
    return meaning && (is(meaning, T_SPECIAL) || is(meaning, T_MACRO)) ? meaning : NULL;
}

/* Replaces, within what a macro made, renamed symbols by the user's. */
value strip_aliases(value datum)
{
    if (is_symbol(datum))
        return base_symbol(datum);
    check_depth();
    for (value rest = datum; is_pair(rest); rest = cdr(rest)) {
        struct pair *pair = (struct pair *)rest;
        gc_store(&pair->car, strip_aliases(pair->car));
        if (is_symbol(pair->cdr))
            gc_store(&pair->cdr, base_symbol(pair->cdr));
    }
    return datum;
}

static void check_form(value form, int64_t min, int64_t max)
{
    int64_t n = list_length(form);
    if (n < min || (max >= 0 && n > max))
        syntax_error("bad syntax:", form);
}

/* ---- References, constants, calls ----------------------------------------------------------- */

static value constant(value v)
{
    return make_node(N_CONST, v, NULL, NULL);
}

static value expand_symbol(value symbol, struct scope scope)
{
    value meaning = resolve(symbol, scope.env);
    if (syntax_of(symbol, scope.env))
        syntax_error("this names syntax, not a variable:", symbol);
    if (is_symbol(meaning))
        return make_node(N_GLOBAL, meaning, NULL, NULL);
    if (((struct variable *)meaning)->level != scope.level)
        meaning->flag |= CAPTURED;
    return make_node(N_LOCAL, meaning, NULL, NULL);
}

static value expand_each(value forms, struct scope scope)
{
    value nodes = NIL;
    GC_FRAME(forms, scope.env, nodes);
    for (; is_pair(forms); forms = cdr(forms))
        nodes = cons(expand(car(forms), scope), nodes);
    return reverse(nodes);
}

static value apply_macro(value macro, value form)
{
    GC_FRAME(macro, form);
    struct macro *m = (struct macro *)macro;
    return m->procedure ? vm_apply(m->procedure, cdr(form)) : apply_rules(macro, form);
}

static struct special lambda_form;
static value expand_let(value lambda, value inits, struct scope scope);

static bool is_let(value form, struct scope scope)
{
    value head = car(form);
    if (!is_pair(head) || syntax_of(car(head), scope.env) != &lambda_form.head)
        return false;
    check_form(head, 3, -1);
    int64_t params = list_length(car(cdr(head)));
    return params >= 0 && params == list_length(cdr(form));
}

static value expand_pair(value form, struct scope scope)
{
    GC_FRAME(form, scope.env);
    value syntax = syntax_of(car(form), scope.env);
    if (syntax && is(syntax, T_SPECIAL))
        return ((struct special *)syntax)->expand(form, scope);
    if (syntax)
        return expand(apply_macro(syntax, form), scope);
    if (list_length(form) < 0)
        syntax_error("bad syntax:", form);
    if (is_let(form, scope))
        return expand_let(car(form), cdr(form), scope);
    value head = expand(car(form), scope);
    GC_FRAME(head);
    return make_node(N_CALL, head, expand_each(cdr(form), scope), NULL);
}

value expand(value form, struct scope scope)
{
    check_depth();
    if (is_symbol(form))
        return expand_symbol(form, scope);
    if (form == NIL)
        syntax_error("nothing to call:", form);
    if (!is_pair(form))
        return constant(form);
    struct place outer = here;
    if (form->line)
        here = (struct place){form->file, form->line};
    value node = expand_pair(form, scope);
    here = outer;
    return node;
}

/* ---- Bodies --------------------------------------------------------------------------------- */

static value add_variable(value name, struct scope *scope)
{
    if (!is_symbol(name))
        syntax_error("not a name:", name);
    value variable = make_variable(name, scope->level);
    GC_FRAME(variable);
    scope->env = cons(variable, scope->env);
    return variable;
}

static struct special define_form, begin_form, define_syntax_form, define_macro_form;
static value make_user_macro(value form, bool global);

/* (define name value), (define (name . parameters) body ...) */
static value defined_name(value form)
{
    check_form(form, 2, -1);
    value target = car(cdr(form));
    if (!is_pair(target))
        check_form(form, 2, 3);
    return is_pair(target) ? car(target) : target;
}

/* Splits a body into items (variable or #f . form), the last first. Applies the macros that
 * stand at the heads of forms, since they may make definitions. */
static value collect_body(value forms, struct scope *scope, value items)
{
    value form = NULL;
    GC_FRAME(forms, items, form);
    check_depth();
    for (; is_pair(forms); forms = cdr(forms)) {
        value syntax;
        form = car(forms);
        while (is_pair(form) && (syntax = syntax_of(car(form), scope->env)) && is(syntax, T_MACRO))
            form = apply_macro(syntax, form);
        syntax = is_pair(form) ? syntax_of(car(form), scope->env) : NULL;
        if (syntax == &begin_form.head)
            items = collect_body(cdr(form), scope, items);
        else if (syntax == &define_syntax_form.head || syntax == &define_macro_form.head)
            scope->env = cons(make_user_macro(form, false), scope->env);
        else if (syntax == &define_form.head)
            items = cons(cons(add_variable(defined_name(form), scope), form), items);
        else
            items = cons(cons(FALSE, form), items);
    }
    return items;
}

static value expand_definition(value form, struct scope scope);

static value expand_item(value item, struct scope scope)
{
    value variable = car(item);
    if (variable == FALSE)
        return expand(cdr(item), scope);
    GC_FRAME(item, variable, scope.env);
    variable->flag |= MUTATED | LATE;
    value init = expand_definition(cdr(item), scope);
    return make_node(N_SET_LOCAL, variable, init, NULL);
}

static value expand_body(value forms, struct scope scope)
{
    value items = NIL, node = NULL, variables = NIL, inits = NIL;
    GC_FRAME(forms, scope.env, items, node, variables, inits);
    items = collect_body(forms, &scope, NIL);
    if (items == NIL)
        syntax_error("empty body:", forms);
    for (; items != NIL; items = cdr(items)) {
        value first = expand_item(car(items), scope);
        node = node ? make_node(N_SEQUENCE, first, node, NULL) : first;
        if (car(car(items)) == FALSE)
            continue;
        variables = cons(car(car(items)), variables);
        inits = cons(constant(UNDEFINED), inits);
    }
    return variables == NIL ? node : make_node(N_LET, variables, inits, node);
}

/* ---- Lambda --------------------------------------------------------------------------------- */

static value expand_lambda(value params, value body, value name, struct scope scope)
{
    value variables = NIL;
    GC_FRAME(params, body, name, scope.env, variables);
    scope.level++;
    for (; is_pair(params); params = cdr(params))
        variables = cons(add_variable(car(params), &scope), variables);
    enum node_kind kind = params == NIL ? N_LAMBDA : N_LAMBDA_REST;
    if (kind == N_LAMBDA_REST)
        variables = cons(add_variable(params, &scope), variables);
    variables = reverse(variables);
    return make_node(kind, variables, expand_body(body, scope), name);
}

/* ((lambda (name ...) body ...) init ...), done without a call. */
static value expand_let(value lambda, value inits, struct scope scope)
{
    value names = car(cdr(lambda)), body = cdr(cdr(lambda)), variables = NIL;
    GC_FRAME(names, body, inits, scope.env, variables);
    inits = expand_each(inits, scope);
    for (; is_pair(names); names = cdr(names))
        variables = cons(add_variable(car(names), &scope), variables);
    variables = reverse(variables);
    body = expand_body(body, scope);
    return make_node(N_LET, variables, inits, body);
}

static value expand_named(value form, value name, struct scope scope)
{
    if (is_pair(form) && syntax_of(car(form), scope.env) == &lambda_form.head &&
        list_length(form) >= 3)
        return expand_lambda(car(cdr(form)), cdr(cdr(form)), base_symbol(name), scope);
    return expand(form, scope);
}

/* The value of a definition. */
static value expand_definition(value form, struct scope scope)
{
    value target = car(cdr(form)), rest = cdr(cdr(form));
    if (is_pair(target))
        return expand_lambda(cdr(target), rest, base_symbol(car(target)), scope);
    return rest == NIL ? constant(VOID) : expand_named(car(rest), target, scope);
}

/* ---- Special forms -------------------------------------------------------------------------- */

static value expand_lambda_form(value form, struct scope scope)
{
    check_form(form, 3, -1);
    return expand_lambda(car(cdr(form)), cdr(cdr(form)), FALSE, scope);
}

static value expand_quote(value form, struct scope scope)
{
    (void)scope;
    check_form(form, 2, 2);
    return constant(strip_aliases(car(cdr(form))));
}

static value expand_if(value form, struct scope scope)
{
    check_form(form, 3, 4);
    value branches = expand_each(cdr(form), scope);
    GC_FRAME(branches);
    value rest = cdr(cdr(branches));
    value otherwise = rest == NIL ? constant(VOID) : car(rest);
    return make_node(N_IF, car(branches), car(cdr(branches)), otherwise);
}

static value expand_define(value form, struct scope scope)
{
    value name = defined_name(form);
    if (!is_symbol(name))
        syntax_error("not a name:", name);
    if (scope.env != NIL || scope.level)
        syntax_error("a definition cannot stand here:", form);
    name = base_symbol(name);
    GC_FRAME(name);
    return make_node(N_DEFINE, name, expand_definition(form, scope), NULL);
}

static value expand_set(value form, struct scope scope)
{
    check_form(form, 3, 3);
    if (!is_symbol(car(cdr(form))))
        syntax_error("not a name:", form);
    value target = expand_symbol(car(cdr(form)), scope);
    GC_FRAME(form, target);
    value variable = ((struct node *)target)->a;
    value init = expand(car(cdr(cdr(form))), scope);
    if (target->flag == N_GLOBAL)
        return make_node(N_SET_GLOBAL, variable, init, NULL);
    variable->flag |= MUTATED;
    return make_node(N_SET_LOCAL, variable, init, NULL);
}

static value expand_begin(value form, struct scope scope)
{
    value node = NULL, rest = NIL;
    GC_FRAME(node, rest);
    check_form(form, 1, -1);
    rest = reverse(expand_each(cdr(form), scope));
    if (rest == NIL)
        return constant(VOID);
    for (node = car(rest), rest = cdr(rest); rest != NIL; rest = cdr(rest))
        node = make_node(N_SEQUENCE, car(rest), node, NULL);
    return node;
}

/* (define-syntax name (syntax-rules ...)), (define-macro (name . parameters) body ...) */
static value make_user_macro(value form, bool global)
{
    value name = defined_name(form), rules = cdr(cdr(form)), procedure = NULL;
    GC_FRAME(name, procedure);
    if (!is_symbol(name))
        syntax_error("not a name:", name);
    if (syntax_of(car(form), NIL) != &define_macro_form.head) {
        check_form(form, 3, 3);
        return parse_rules(name, car(rules), global);
    }
    check_form(form, 3, -1);
    procedure = expand_definition(form, (struct scope){NIL, 0});
    procedure = vm_apply(compile_node(procedure), NIL);
    struct macro *macro = (struct macro *)make_macro(name);
    gc_store(&macro->procedure, procedure);
    return &macro->head;
}

static value expand_macro_definition(value form, struct scope scope)
{
    if (scope.env != NIL || scope.level)
        syntax_error("a definition cannot stand here:", form);
    GC_FRAME(form);
    value macro = make_user_macro(form, true);
    define(base_symbol(defined_name(form)), macro);
    return constant(VOID);
}

/* ---- Quasiquote ----------------------------------------------------------------------------- */

static value call_builtin(const char *name, value a, value b)
{
    value args = NIL, function = NULL;
    GC_FRAME(args, function, a);
    args = b ? list2(a, b) : cons(a, NIL);
    function = constant(((struct symbol *)symbol(name))->global);
    return make_node(N_CALL, function, args, NULL);
}

/* Is form (keyword x)? */
static bool is_tagged(value form, value keyword)
{
    return is_pair(form) && is_symbol(car(form)) && base_symbol(car(form)) == keyword &&
           is_pair(cdr(form)) && cdr(cdr(form)) == NIL;
}

static value expand_template(value x, int depth, struct scope scope);

static value expand_template_pair(value x, int depth, struct scope scope)
{
    value head = NULL, tail = NULL;
    GC_FRAME(x, scope.env, head, tail);
    if (is_tagged(car(x), reg.unquote_splicing) && depth == 1) {
        head = expand(car(cdr(car(x))), scope);
        tail = expand_template(cdr(x), depth, scope);
        return call_builtin("append", head, tail);
    }
    head = expand_template(car(x), depth, scope);
    tail = expand_template(cdr(x), depth, scope);
    if (head->flag == N_CONST && tail->flag == N_CONST)
        return constant(strip_aliases(x));
    return call_builtin("cons", head, tail);
}

static value expand_template(value x, int depth, struct scope scope)
{
    GC_FRAME(x, scope.env);
    check_depth();
    if (is(x, T_VECTOR)) {
        value list = NIL;
        GC_FRAME(list);
        for (size_t i = ((struct vector *)x)->length; i-- > 0;)
            list = cons(((struct vector *)x)->items[i], list);
        return call_builtin("list->vector", expand_template(list, depth, scope), NULL);
    }
    if (!is_pair(x))
        return constant(strip_aliases(x));
    if (is_tagged(x, reg.unquote)) {
        if (depth == 1)
            return expand(car(cdr(x)), scope);
        depth--;
    } else if (is_tagged(x, reg.unquote_splicing)) {
        depth--;
    } else if (is_tagged(x, reg.quasiquote)) {
        depth++;
    }
    return expand_template_pair(x, depth, scope);
}

static value expand_quasiquote(value form, struct scope scope)
{
    check_form(form, 2, 2);
    return expand_template(car(cdr(form)), 1, scope);
}

/* ---- Table ---------------------------------------------------------------------------------- */

#define SPECIAL(object, name, expand)                                                              \
    static struct special object = {{T_SPECIAL, 0, 0, 0}, name, expand}
SPECIAL(quote_form, "quote", expand_quote);
SPECIAL(quasiquote_form, "quasiquote", expand_quasiquote);
SPECIAL(if_form, "if", expand_if);
SPECIAL(set_form, "set!", expand_set);
SPECIAL(define_form, "define", expand_define);
SPECIAL(lambda_form, "lambda", expand_lambda_form);
SPECIAL(begin_form, "begin", expand_begin);
SPECIAL(define_syntax_form, "define-syntax", expand_macro_definition);
SPECIAL(define_macro_form, "define-macro", expand_macro_definition);

void install_special_forms(void)
{
    struct special *const forms[] = {&quote_form, &quasiquote_form,    &if_form,
                                     &set_form,   &define_form,        &lambda_form,
                                     &begin_form, &define_syntax_form, &define_macro_form};
    for (size_t i = 0; i < COUNT(forms); i++)
        define(symbol(forms[i]->name), &forms[i]->head);
}
