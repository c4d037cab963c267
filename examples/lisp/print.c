/* print.c: data to text.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void print_format(struct port *port, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print_format(struct port *port, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    port_puts(port, text);
}

/* The fewest digits that read back as the same number. */
static void print_real(struct port *port, double number)
{
    char text[40];
    if (isnan(number) || isinf(number)) {
        port_puts(port, isnan(number) ? "+nan.0" : number < 0 ? "-inf.0" : "+inf.0");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    port_puts(port, text);
    if (!strpbrk(text, ".e"))
        port_puts(port, ".0");
}

static void print_char(struct port *port, unsigned char c, bool quoted)
{
    if (!quoted)
        port_write(port, (char *)&c, 1);
    else if (c == ' ' || c == '\n' || c == '\t')
        print_format(port, "#\\%s", c == ' ' ? "space" : c == '\n' ? "newline" : "tab");
    else
        print_format(port, "#\\%c", c);
}

static void print_string(struct port *port, const struct string *string, bool quoted)
{
    if (!quoted) {
        port_write(port, string->bytes, string->length);
        return;
    }
    port_puts(port, "\"");
    for (size_t i = 0; i < string->length; i++) {
        char c = string->bytes[i];
        const char *escape = c == '"'    ? "\\\""
                             : c == '\\' ? "\\\\"
                             : c == '\n' ? "\\n"
                             : c == '\t' ? "\\t"
                                         : NULL;
        port_write(port, escape ? escape : &c, escape ? 2 : 1);
    }
    port_puts(port, "\"");
}

/* 'x for (quote x). */
static bool print_quotation(struct port *port, value pair, bool quoted)
{
    value head = car(pair);
    if (!is_pair(cdr(pair)) || cdr(cdr(pair)) != NIL)
        return false;
    const char *mark = head == reg.quote              ? "'"
                       : head == reg.quasiquote       ? "`"
                       : head == reg.unquote          ? ","
                       : head == reg.unquote_splicing ? ",@"
                                                      : NULL;
    if (!mark)
        return false;
    port_puts(port, mark);
    print(port, car(cdr(pair)), quoted);
    return true;
}

static bool is_full(const struct port *port)
{
    return port->limit && port->end >= port->limit;
}

static void print_pair(struct port *port, value pair, bool quoted)
{
    if (print_quotation(port, pair, quoted))
        return;
    port_puts(port, "(");
    print(port, car(pair), quoted);
    for (pair = cdr(pair); is_pair(pair) && !is_full(port); pair = cdr(pair)) {
        port_puts(port, " ");
        print(port, car(pair), quoted);
    }
    if (pair != NIL && !is_full(port)) {
        port_puts(port, " . ");
        print(port, pair, quoted);
    }
    port_puts(port, ")");
}

static void print_items(struct port *port, value v, bool quoted)
{
    const struct vector *vector = (struct vector *)v;
    bool record = is(v, T_RECORD);
    port_puts(port, record ? "#<" : "#(");
    for (size_t i = 0; i < vector->length && !is_full(port); i++) {
        port_puts(port, i ? " " : "");
        print(port, record && !i ? car(vector->items[0]) : vector->items[i], quoted);
    }
    port_puts(port, record ? ">" : ")");
}

static const char *name_of(value name)
{
    return is(name, T_SYMBOL) ? ((struct symbol *)name)->name : "lambda";
}

static void print_other(struct port *port, value v)
{
    switch (tag_of(v)) {
    case T_TABLE:
        print_format(port, "#<hash-table %zu>", ((struct table *)v)->count);
        break;
    case T_PORT:
        port_puts(port, v->flag == PORT_CLOSED ? "#<closed port>" : "#<port>");
        break;
    case T_BUILTIN:
        print_format(port, "#<procedure %s>", ((struct builtin *)v)->name);
        break;
    case T_CLOSURE:
        v = ((struct code *)((struct closure *)v)->code)->name;
        print_format(port, "#<procedure %s>", name_of(v));
        break;
    case T_CONTINUATION:
        port_puts(port, "#<continuation>");
        break;
    default:
        port_puts(port, "#<syntax>");
    }
}

/* Goes down cars and items by recursion, along cdrs in a loop. The port is rooted by the caller;
 * quoted: so that read_value() can read it back. */
void print(struct port *port, value v, bool quoted)
{
    GC_FRAME(v);
    check_stack();
    check_interrupt();
    switch (tag_of(v)) {
    case T_FIXNUM:
        print_format(port, "%lld", (long long)fixnum_value(v));
        break;
    case T_CHAR:
        print_char(port, (unsigned char)(uintptr_t)v, quoted);
        break;
    case T_CONSTANT:
        port_puts(port, ((struct constant *)v)->text);
        break;
    case T_REAL:
        print_real(port, ((struct real *)v)->number);
        break;
    case T_SYMBOL:
        port_puts(port, ((struct symbol *)v)->name);
        break;
    case T_STRING:
        print_string(port, (struct string *)v, quoted);
        break;
    case T_PAIR:
        print_pair(port, v, quoted);
        break;
    case T_VECTOR:
    case T_RECORD:
        print_items(port, v, quoted);
        break;
    case T_CONDITION:
        port_puts(port, "#<condition ");
        print_condition(port, v);
        port_puts(port, ">");
        break;
    default:
        print_other(port, v);
    }
}

enum { IRRITANT_MAX = 500 };

/* The message, then the irritants, not at any length. */
void print_condition(struct port *port, value v)
{
    GC_FRAME(v);
    const struct condition *condition = (struct condition *)v;
    value text = make_port(PORT_OUTPUT, NULL, NULL);
    GC_FRAME(text);
    struct port *brief = (struct port *)text;
    brief->limit = IRRITANT_MAX;
    print(brief, condition->message, false);
    for (value rest = condition->irritants; is_pair(rest); rest = cdr(rest)) {
        port_puts(brief, " ");
        print(brief, car(rest), true);
    }
    port_puts(brief, is_full(brief) ? " ..." : "");
    port_write(port, ((struct string *)brief->text)->bytes, brief->end);
}
