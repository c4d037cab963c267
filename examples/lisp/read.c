/* read.c: text to data.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct place read_place;

static struct place place_in(const struct port *port)
{
    return (struct place){port->head.file, port->head.line};
}

static void set_place(value pair, struct place place)
{
    pair->file = place.file;
    pair->line = place.line;
}

static void skip_line(struct port *port)
{
    int c;
    do
        c = port_get(port);
    while (c != '\n' && c != EOF);
}

/* After "#|"; such comments nest. */
static void skip_block(struct port *port)
{
    struct place start = place_in(port);
    for (int depth = 1, last = 0; depth > 0;) {
        int c = port_get(port);
        if (c == EOF)
            fail_at(start, NULL, "this comment does not end");
        depth += last == '#' && c == '|' ? 1 : last == '|' && c == '#' ? -1 : 0;
        last = (last == '#' && c == '|') || (last == '|' && c == '#') ? 0 : c;
    }
}

/* ---- Atoms ---------------------------------------------------------------------------------- */

enum { TOKEN_MAX = 256 };

static bool is_delimiter(int c)
{
    return c == EOF || isspace(c) || strchr("()\"';`,", c);
}

static void read_token(struct port *port, char *token, size_t n)
{
    for (; !is_delimiter(port_peek(port)); n++) {
        if (n == TOKEN_MAX - 1)
            fail_at(place_in(port), NULL, "this name is longer than %d bytes", TOKEN_MAX - 1);
        token[n] = (char)port_get(port);
    }
    token[n] = 0;
}

static value parse_real(const char *text)
{
    char *end;
    if (strcmp(text, "+inf.0") == 0 || strcmp(text, "-inf.0") == 0)
        return make_real(*text == '-' ? -HUGE_VAL : HUGE_VAL);
    if (strcmp(text, "+nan.0") == 0)
        return make_real((double)NAN);
    if (text[strspn(text, "0123456789+-.eE")])
        return NULL;
    double number = strtod(text, &end);
    return *end ? NULL : make_real(number);
}

value parse_number(const char *text, int base)
{
    char *end;
    const char *digits = text + (*text == '+' || *text == '-');
    if (!isalnum((unsigned char)*digits) && *digits != '.')
        return NULL;
    errno = 0;
    long long n = strtoll(text, &end, base);
    if (!*end && !errno && !(base == 16 && digits[1] == 'x'))
        return make_integer(n);
    return base == 10 ? parse_real(text) : NULL;
}

static const struct {
    const char *name;
    char c;
} characters[] = {{"space", ' '}, {"newline", '\n'}, {"tab", '\t'},   {"return", '\r'},
                  {"nul", 0},     {"escape", 27},    {"delete", 127}, {"alarm", 7}};

static value read_character(struct port *port)
{
    char token[TOKEN_MAX];
    int first = port_get(port);
    token[0] = (char)first;
    read_token(port, token, 1);
    if (!token[1] && first != EOF)
        return character((unsigned char)first);
    for (size_t i = 0; i < COUNT(characters); i++)
        if (strcmp(token, characters[i].name) == 0)
            return character((unsigned char)characters[i].c);
    fail_at(place_in(port), NULL, "#\\%s is no character", token);
}

static int read_escape(struct port *port)
{
    int c = port_get(port);
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'a':
        return '\a';
    case '0':
        return 0;
    default:
        return c;
    }
}

static value read_string(struct port *port)
{
    struct place start = place_in(port);
    value text = make_port(PORT_OUTPUT, NULL, NULL);
    GC_FRAME(text);
    for (int c; (c = port_get(port)) != '"';) {
        if (c == '\\')
            c = read_escape(port);
        if (c == EOF)
            fail_at(start, NULL, "this string does not end");
        port_write((struct port *)text, &(char){(char)c}, 1);
    }
    return port_text((struct port *)text);
}

static value read_atom(struct port *port)
{
    char token[TOKEN_MAX];
    read_token(port, token, 0);
    value number = parse_number(token, 10);
    return number ? number : symbol(token);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static value read_or_close(struct port *port);
static struct object close_mark; /* what read_or_close returns for ")" */

static value read_tail(struct port *port)
{
    value last = read_value(port);
    GC_FRAME(last);
    if (read_or_close(port) != &close_mark)
        fail_at(place_in(port), NULL, "one datum and ) must follow the dot");
    return last;
}

static value read_list(struct port *port)
{
    struct place start = place_in(port);
    value list = NIL, last = NULL, item = NULL;
    GC_FRAME(list, item);
    if (is_stack_low())
        fail_at(start, NULL, "nested too deeply");
    for (port->nesting++; (item = read_or_close(port)) != &close_mark;) {
        if (item == END_OF_FILE)
            fail_at(start, NULL, "this list does not end");
        if (last && is(item, T_SYMBOL) && strcmp(((struct symbol *)item)->name, ".") == 0) {
            gc_store(&((struct pair *)last)->cdr, read_tail(port));
            break;
        }
        struct place place = last ? place_in(port) : start;
        item = cons(item, NIL);
        set_place(item, place);
        if (last)
            gc_store(&((struct pair *)last)->cdr, item);
        else
            list = item;
        last = item;
    }
    port->nesting--;
    return list;
}

static value list_to_vector(value list)
{
    GC_FRAME(list);
    struct vector *vector = (struct vector *)make_vector((size_t)list_length(list), NULL);
    for (size_t i = 0; i < vector->length; i++, list = cdr(list))
        vector->items[i] = car(list);
    return &vector->head;
}

/* 'x and its like: (quote x). */
static value read_quoted(struct port *port, value *keyword)
{
    struct place start = place_in(port);
    port->nesting++;
    value datum = read_value(port);
    port->nesting--;
    if (datum == END_OF_FILE)
        fail_at(start, NULL, "something must follow a quote");
    value form = list2(*keyword, datum);
    set_place(form, start);
    return form;
}

static value read_hash(struct port *port)
{
    char token[TOKEN_MAX];
    int c = port_peek(port);
    if (c == '(') {
        port_get(port);
        return list_to_vector(read_list(port));
    }
    if (c == '\\') {
        port_get(port);
        return read_character(port);
    }
    read_token(port, token, 0);
    if (strcmp(token, "t") == 0 || strcmp(token, "true") == 0)
        return TRUE;
    if (strcmp(token, "f") == 0 || strcmp(token, "false") == 0)
        return FALSE;
    int base = c == 'x' ? 16 : c == 'b' ? 2 : c == 'o' ? 8 : c == 'd' ? 10 : 0;
    value number = base ? parse_number(token + 1, base) : NULL;
    if (!number)
        fail_at(place_in(port), NULL, "#%s is nothing that can be read", token);
    return number;
}

/* White space and comments. Returns the character after them, taken. */
static int skip_blank(struct port *port)
{
    for (;;) {
        int c = port_get(port);
        if (c == ';') {
            skip_line(port);
        } else if (c == '#' && port_peek(port) == '|') {
            port_get(port);
            skip_block(port);
        } else if (c == '#' && port_peek(port) == '!') { /* #!/usr/bin/lisp */
            skip_line(port);
        } else if (c == '#' && port_peek(port) == ';') {
            port_get(port);
            read_value(port);
        } else if (c == EOF || !isspace(c)) {
            return c;
        }
    }
}

static value read_or_close(struct port *port)
{
    int c = skip_blank(port);
    switch (c) {
    case EOF:
        return END_OF_FILE;
    case '(':
        return read_list(port);
    case ')':
        return &close_mark;
    case '\'':
        return read_quoted(port, &reg.quote);
    case '`':
        return read_quoted(port, &reg.quasiquote);
    case ',':
        if (port_peek(port) != '@')
            return read_quoted(port, &reg.unquote);
        port_get(port);
        return read_quoted(port, &reg.unquote_splicing);
    case '"':
        return read_string(port);
    case '#':
        return read_hash(port);
    default:
        port->next--;
        return read_atom(port);
    }
}

/* The port is rooted by the caller. */
value read_value(struct port *port)
{
    value v = read_or_close(port);
    if (v == &close_mark)
        fail_at(place_in(port), NULL, "unexpected )");
    read_place = place_in(port);
    return v;
}
