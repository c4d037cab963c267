/* rules.c: syntax-rules. Symbols that a template inserts are renamed, so that they neither capture
 * the user's variables nor are captured by them.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

/* While a rule is tried: what pattern variables stand for, as a list of (symbol . form). The form
 * of a variable under an ellipsis is a box that holds a list of forms. */
struct match {
    struct macro *macro; /* rooted by apply_rules */
    value bindings, renames;
};

static value assq(value key, value list)
{
    while (list != NIL && car(car(list)) != key)
        list = cdr(list);
    return list == NIL ? NULL : car(list);
}

static bool is_literal(const struct macro *macro, value symbol)
{
    value list = macro->literals;
    while (is_pair(list) && car(list) != symbol)
        list = cdr(list);
    return is_pair(list);
}

/* Is what follows the head of this pattern or template an ellipsis? */
static bool repeats(value pair)
{
    value next = cdr(pair);
    return is_pair(next) && is(car(next), T_SYMBOL) && base_symbol(car(next)) == reg.ellipsis;
}

static size_t pairs(value list)
{
    size_t n = 0;
    for (; is_pair(list); list = cdr(list))
        n++;
    return n;
}

static void bind(struct match *match, value symbol, value form)
{
    match->bindings = cons(cons(symbol, form), match->bindings);
}

/* ---- Matching ------------------------------------------------------------------------------- */

static bool match_form(struct match *match, value pattern, value form);

static bool match_symbol(struct match *match, value symbol, value form)
{
    if (is_literal(match->macro, symbol))
        return is(form, T_SYMBOL) && base_symbol(form) == base_symbol(symbol);
    if (base_symbol(symbol) != reg.underscore)
        bind(match, symbol, form);
    return true;
}

/* Gives each variable of a pattern under an ellipsis the list of what it matched. */
static void bind_sequences(struct match *match, value pattern, value matches)
{
    GC_FRAME(pattern, matches);
    for (; is_pair(pattern); pattern = cdr(pattern))
        bind_sequences(match, car(pattern), matches);
    if (!is(pattern, T_SYMBOL) || is_literal(match->macro, pattern) ||
        base_symbol(pattern) == reg.ellipsis || base_symbol(pattern) == reg.underscore)
        return;
    value forms = NIL; /* `matches` has the last one first */
    GC_FRAME(forms);
    for (; matches != NIL; matches = cdr(matches))
        forms = cons(cdr(assq(pattern, car(matches))), forms);
    bind(match, pattern, make_box(forms));
}

/* (pattern ... . rest): matches n forms with the pattern. */
static bool match_sequence(struct match *match, value pattern, value form, size_t n)
{
    struct match each = {match->macro, NIL, NIL};
    value matches = NIL;
    GC_FRAME(pattern, form, each.bindings, matches);
    for (; n > 0; n--, form = cdr(form)) {
        each.bindings = NIL;
        if (!match_form(&each, pattern, car(form)))
            return false;
        matches = cons(each.bindings, matches);
    }
    bind_sequences(match, pattern, matches);
    return true;
}

static bool match_form(struct match *match, value pattern, value form)
{
    GC_FRAME(pattern, form);
    check_depth();
    while (is_pair(pattern)) {
        if (repeats(pattern)) {
            size_t have = pairs(form), rest = pairs(cdr(cdr(pattern)));
            if (have < rest || !match_sequence(match, car(pattern), form, have - rest))
                return false;
            for (; have > rest; have--)
                form = cdr(form);
            pattern = cdr(cdr(pattern));
            continue;
        }
        if (!is_pair(form) || !match_form(match, car(pattern), car(form)))
            return false;
        pattern = cdr(pattern);
        form = cdr(form);
    }
    return is(pattern, T_SYMBOL) ? match_symbol(match, pattern, form) : equal(pattern, form);
}

/* ---- Templates ------------------------------------------------------------------------------ */

static value fill(struct match *match, value template);

static value rename_symbol(struct match *match, value symbol)
{
    value renamed = assq(symbol, match->renames);
    if (renamed)
        return cdr(renamed);
    GC_FRAME(symbol);
    value alias = make_alias(symbol, match->macro->head.flag);
    match->renames = cons(cons(symbol, alias), match->renames);
    return alias;
}

/* The variables of a template that stand for sequences, as a list of (symbol . forms). */
static value sequences(struct match *match, value template, value found)
{
    GC_FRAME(template, found);
    for (; is_pair(template); template = cdr(template))
        found = sequences(match, car(template), found);
    value binding = is(template, T_SYMBOL) ? assq(template, match->bindings) : NULL;
    if (!binding || !is(cdr(binding), T_BOX))
        return found;
    return cons(cons(template, ((struct box *)cdr(binding))->content), found);
}

/* Binds each variable to the next form of its sequence. Returns what is left of the sequences;
 * NULL if one of them is at its end. */
static value bind_next(struct match *match, value sequences)
{
    value left = NIL;
    GC_FRAME(sequences, left);
    for (; sequences != NIL; sequences = cdr(sequences)) {
        value sequence = car(sequences);
        if (!is_pair(cdr(sequence)))
            return NULL;
        bind(match, car(sequence), car(cdr(sequence)));
        left = cons(cons(car(sequence), cdr(cdr(sequence))), left);
    }
    return left;
}

/* (template ... . rest) */
static value fill_sequence(struct match *match, value template, value rest)
{
    value outer = match->bindings, result = NIL, left = NULL;
    GC_FRAME(template, rest, outer, result, left);
    left = sequences(match, template, NIL);
    if (left == NIL)
        syntax_error("no sequence before the ellipsis:", template);
    while ((left = bind_next(match, left))) {
        result = cons(fill(match, template), result);
        match->bindings = outer;
    }
    match->bindings = outer;
    for (rest = fill(match, rest); result != NIL; result = cdr(result))
        rest = cons(car(result), rest);
    return rest;
}

static value fill(struct match *match, value template)
{
    check_depth();
    if (is(template, T_SYMBOL)) {
        value binding = assq(template, match->bindings);
        return binding ? cdr(binding) : rename_symbol(match, template);
    }
    if (!is_pair(template))
        return template;
    if (repeats(template))
        return fill_sequence(match, car(template), cdr(cdr(template)));
    GC_FRAME(template);
    value head = fill(match, car(template));
    GC_FRAME(head);
    return cons(head, fill(match, cdr(template)));
}

/* ---- Macros --------------------------------------------------------------------------------- */

/* spec: (syntax-rules (literal ...) (pattern template) ...) */
value parse_rules(value name, value spec, bool global)
{
    if (!is_pair(spec) || list_length(spec) < 2 || !is(car(spec), T_SYMBOL) ||
        base_symbol(car(spec)) != reg.syntax_rules || list_length(car(cdr(spec))) < 0)
        syntax_error("not (syntax-rules (literal ...) (pattern template) ...):", spec);
    GC_FRAME(spec);
    struct macro *macro = (struct macro *)make_macro(name);
    macro->head.flag = global;
    macro->literals = car(cdr(spec));
    macro->rules = cdr(cdr(spec));
    for (value rules = macro->rules; is_pair(rules); rules = cdr(rules))
        if (list_length(car(rules)) != 2 || !is_pair(car(car(rules))))
            syntax_error("not (pattern template):", car(rules));
    return &macro->head;
}

value apply_rules(value macro, value form)
{
    struct match match = {(struct macro *)macro, NIL, NIL};
    value rules = match.macro->rules;
    GC_FRAME(macro, form, rules, match.bindings, match.renames);
    for (; is_pair(rules); rules = cdr(rules)) {
        value rule = car(rules);
        match.bindings = NIL;
        if (match_form(&match, cdr(car(rule)), cdr(form)))
            return fill(&match, car(cdr(rule)));
    }
    syntax_error("bad syntax:", strip_aliases(form));
}
